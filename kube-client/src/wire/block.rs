//! `Block`: searches 64 bytes per step with vector (SIMD) instructions.
//!
//! The instruction set is detected at run time, except in `first_special_byte`. The module classifies bytes, and must not
//! interpret JSON.
#![expect(
    clippy::inline_always,
    reason = "vector instructions are enabled only within the dispatched function, so its callees have to be inlined"
)]

use fearless_simd::{Level, dispatch, prelude::*, u8x16, u8x64};

/// The number of bytes in a block, and of bits in a mask.
pub(super) const BLOCK_BYTES: usize = 64;
/// The number of bytes that [`first_special_byte`] searches.
pub(super) const SMALL_BLOCK_BYTES: usize = 16;

/// A block of bytes. The methods of a block return bit masks: bit `n` is the result for byte `n`.
#[derive(Clone, Copy)]
pub(super) struct Block<S: Simd>(u8x64<S>);

impl<S: Simd> Block<S> {
    /// Loads 64 bytes into vector registers.
    #[inline(always)]
    pub(super) fn new(simd: S, bytes: &[u8; BLOCK_BYTES]) -> Self {
        Self(u8x64::simd_from(simd, *bytes))
    }

    /// The bytes equal to `byte`.
    #[inline(always)]
    pub(super) fn bytes_equal_to(self, byte: u8) -> u64 {
        self.0.simd_eq(byte).to_bitmask()
    }

    /// The bytes that are white space or control characters.
    #[inline(always)]
    pub(super) fn white_space_or_control(self) -> u64 {
        self.0.simd_le(b' ').to_bitmask()
    }

    /// The opening brackets (`[`, `{`) and the closing brackets (`]`, `}`). `[` and `{` differ in one bit; `]` and `}`
    /// differ in the same bit.
    #[inline(always)]
    pub(super) fn brackets(self) -> (u64, u64) {
        const BIT: u8 = b'{' ^ b'[';
        let either = Self(self.0 | BIT);
        (either.bytes_equal_to(b'{'), either.bytes_equal_to(b'}'))
    }
}

/// The offset of the first quote, backslash or control character.
///
/// Uses the baseline instructions of the architecture: run-time detection costs more than it saves on short strings.
#[inline]
pub(super) fn first_special_byte(bytes: &[u8; SMALL_BLOCK_BYTES]) -> Option<usize> {
    let special = dispatch!(Level::baseline(), simd => special_byte_mask(simd, bytes));
    (special != 0).then(|| special.trailing_zeros() as usize)
}

/// A bit mask of the quotes, backslashes and control characters.
#[inline(always)]
fn special_byte_mask<S: Simd>(simd: S, bytes: &[u8; SMALL_BLOCK_BYTES]) -> u64 {
    let lanes = u8x16::simd_from(simd, *bytes);
    (lanes.simd_lt(b' ') | lanes.simd_eq(b'"') | lanes.simd_eq(b'\\')).to_bitmask()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_have_a_bit_for_each_matching_byte() {
        let mut bytes = [b'a'; BLOCK_BYTES];
        for (at, byte) in [(0, b'{'), (1, b'['), (2, b'}'), (17, b']'), (33, b'"'), (63, b'"')] {
            bytes[at] = byte;
        }
        for level in [Level::new(), Level::baseline()] {
            let (quotes, brackets) = dispatch!(level, simd => {
                let block = Block::new(simd, &bytes);
                (block.bytes_equal_to(b'"'), block.brackets())
            });
            assert_eq!(quotes, 1 << 33 | 1 << 63, "{level:?}");
            assert_eq!(brackets, (0b11, 1 << 2 | 1 << 17), "{level:?}");
        }
    }

    #[test]
    fn the_first_special_byte_of_a_string_is_found() {
        let mut random = fastrand::Rng::with_seed(3);
        for _ in 0..2_000 {
            let bytes: [u8; SMALL_BLOCK_BYTES] = std::array::from_fn(|_| match random.u8(..9) {
                0 => b"\"\\{}[],"[random.usize(..7)],
                1 => random.u8(..0x22),
                _ => random.u8(0x20..),
            });
            let special = |byte: &u8| *byte < 0x20 || matches!(byte, b'"' | b'\\');
            assert_eq!(first_special_byte(&bytes), bytes.iter().position(special), "{bytes:?}");
        }
    }
}
