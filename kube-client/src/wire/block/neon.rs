//! The implementation for 64-bit Arm.

use super::{BLOCK_BYTES, BaselineVectors, SMALL_BLOCK_BYTES, Vectors, quarters};
use archmage::{NeonToken, arcane};
use std::arch::aarch64::uint8x16_t;

impl Vectors for NeonToken {
    #[inline(always)]
    fn bytes_equal_to(self, bytes: &[u8; BLOCK_BYTES], set: u8, byte: u8) -> u64 {
        bytes_equal_to(self, bytes, set, byte)
    }

    #[inline(always)]
    fn white_space_or_control(self, bytes: &[u8; BLOCK_BYTES]) -> u64 {
        white_space_or_control(self, bytes)
    }
}

impl BaselineVectors for NeonToken {
    #[inline(always)]
    fn special_bytes(self, bytes: &[u8; SMALL_BLOCK_BYTES]) -> u16 {
        special_bytes(self, bytes)
    }
}

#[arcane(import_intrinsics)]
#[inline]
fn bytes_equal_to(token: NeonToken, bytes: &[u8; BLOCK_BYTES], set: u8, byte: u8) -> u64 {
    let (set, byte) = (vdupq_n_u8(set), vdupq_n_u8(byte));
    mask(token, quarters(bytes).map(|bytes| vceqq_u8(vorrq_u8(vld1q_u8(bytes), set), byte)))
}

#[arcane(import_intrinsics)]
#[inline]
fn white_space_or_control(token: NeonToken, bytes: &[u8; BLOCK_BYTES]) -> u64 {
    mask(token, quarters(bytes).map(|bytes| vcleq_u8(vld1q_u8(bytes), vdupq_n_u8(b' '))))
}

#[arcane(import_intrinsics)]
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "the other vectors set no bits")]
fn special_bytes(token: NeonToken, bytes: &[u8; SMALL_BLOCK_BYTES]) -> u16 {
    let bytes = vld1q_u8(bytes);
    let equal_to = |byte| vceqq_u8(bytes, vdupq_n_u8(byte));
    let control = vcltq_u8(bytes, vdupq_n_u8(b' '));
    let special = vorrq_u8(control, vorrq_u8(equal_to(b'"'), equal_to(b'\\')));
    let none = vdupq_n_u8(0);
    mask(token, [special, none, none, none]) as u16
}

/// The mask of a block. Each byte of `quarters` is 0 or 0xff. Each of the eight bytes in a group keeps one bit of its own;
/// three pairwise additions join the bits of each group into one byte.
#[arcane(import_intrinsics)]
#[inline]
fn mask(_: NeonToken, quarters: [uint8x16_t; 4]) -> u64 {
    let bits = vreinterpretq_u8_u64(vdupq_n_u64(0x8040_2010_0804_0201));
    let [first, second, third, fourth] = quarters.map(|quarter| vandq_u8(quarter, bits));
    let sums = vpaddq_u8(vpaddq_u8(first, second), vpaddq_u8(third, fourth));
    vgetq_lane_u64::<0>(vreinterpretq_u64_u8(vpaddq_u8(sums, sums)))
}
