//! The implementations for x86-64: AVX2, and SSE2 for processors without AVX2.

use super::{BLOCK_BYTES, BaselineVectors, SMALL_BLOCK_BYTES, Vectors, quarters};
use archmage::{X64V1Token, X64V3Token, arcane};

impl Vectors for X64V3Token {
    #[inline(always)]
    fn bytes_equal_to(self, bytes: &[u8; BLOCK_BYTES], set: u8, byte: u8) -> u64 {
        avx2_bytes_equal_to(self, bytes, set, byte)
    }

    #[inline(always)]
    fn white_space_or_control(self, bytes: &[u8; BLOCK_BYTES]) -> u64 {
        avx2_white_space_or_control(self, bytes)
    }
}

impl Vectors for X64V1Token {
    #[inline(always)]
    fn bytes_equal_to(self, bytes: &[u8; BLOCK_BYTES], set: u8, byte: u8) -> u64 {
        sse2_bytes_equal_to(self, bytes, set, byte)
    }

    #[inline(always)]
    fn white_space_or_control(self, bytes: &[u8; BLOCK_BYTES]) -> u64 {
        sse2_white_space_or_control(self, bytes)
    }
}

impl BaselineVectors for X64V1Token {
    #[inline(always)]
    fn special_bytes(self, bytes: &[u8; SMALL_BLOCK_BYTES]) -> u16 {
        sse2_special_bytes(self, bytes)
    }
}

#[arcane(import_intrinsics)]
#[inline]
fn avx2_bytes_equal_to(_: X64V3Token, bytes: &[u8; BLOCK_BYTES], set: u8, byte: u8) -> u64 {
    let (set, byte) = (_mm256_set1_epi8(set.cast_signed()), _mm256_set1_epi8(byte.cast_signed()));
    join_halves(halves(bytes).map(|bytes| {
        let bytes = _mm256_or_si256(_mm256_loadu_si256(bytes), set);
        _mm256_movemask_epi8(_mm256_cmpeq_epi8(bytes, byte))
    }))
}

#[arcane(import_intrinsics)]
#[inline]
fn avx2_white_space_or_control(_: X64V3Token, bytes: &[u8; BLOCK_BYTES]) -> u64 {
    let space = _mm256_set1_epi8(b' '.cast_signed());
    join_halves(halves(bytes).map(|bytes| {
        let bytes = _mm256_loadu_si256(bytes);
        _mm256_movemask_epi8(_mm256_cmpeq_epi8(_mm256_min_epu8(bytes, space), bytes))
    }))
}

#[inline(always)]
fn halves(bytes: &[u8; BLOCK_BYTES]) -> [&[u8; BLOCK_BYTES / 2]; 2] {
    let (halves, _) = bytes.as_chunks();
    [&halves[0], &halves[1]]
}

/// The mask of a block from the masks of its halves.
#[inline(always)]
fn join_halves([low, high]: [i32; 2]) -> u64 {
    u64::from(low.cast_unsigned()) | u64::from(high.cast_unsigned()) << 32
}

#[arcane(import_intrinsics)]
#[inline]
fn sse2_bytes_equal_to(_: X64V1Token, bytes: &[u8; BLOCK_BYTES], set: u8, byte: u8) -> u64 {
    let (set, byte) = (_mm_set1_epi8(set.cast_signed()), _mm_set1_epi8(byte.cast_signed()));
    join_quarters(quarters(bytes).map(|bytes| {
        let bytes = _mm_or_si128(_mm_loadu_si128(bytes), set);
        _mm_movemask_epi8(_mm_cmpeq_epi8(bytes, byte))
    }))
}

#[arcane(import_intrinsics)]
#[inline]
fn sse2_white_space_or_control(_: X64V1Token, bytes: &[u8; BLOCK_BYTES]) -> u64 {
    let space = _mm_set1_epi8(b' '.cast_signed());
    join_quarters(quarters(bytes).map(|bytes| {
        let bytes = _mm_loadu_si128(bytes);
        _mm_movemask_epi8(_mm_cmpeq_epi8(_mm_min_epu8(bytes, space), bytes))
    }))
}

#[arcane(import_intrinsics)]
#[inline]
fn sse2_special_bytes(_: X64V1Token, bytes: &[u8; SMALL_BLOCK_BYTES]) -> u16 {
    let bytes = _mm_loadu_si128(bytes);
    let equal_to = |byte: u8| _mm_cmpeq_epi8(bytes, _mm_set1_epi8(byte.cast_signed()));
    let control = _mm_cmpeq_epi8(_mm_min_epu8(bytes, _mm_set1_epi8(0x1f)), bytes);
    let special = _mm_or_si128(control, _mm_or_si128(equal_to(b'"'), equal_to(b'\\')));
    mask_of_quarter(_mm_movemask_epi8(special))
}

/// The mask of a block from the masks of its quarters.
#[inline(always)]
fn join_quarters(quarters: [i32; 4]) -> u64 {
    let [first, second, third, fourth] = quarters.map(|mask| u64::from(mask_of_quarter(mask)));
    first | second << 16 | third << 32 | fourth << 48
}

/// The mask that `_mm_movemask_epi8` returned, in the type of its 16 bits.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "only the lower 16 bits can be set")]
fn mask_of_quarter(mask: i32) -> u16 {
    mask.cast_unsigned() as u16
}
