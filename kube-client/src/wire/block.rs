//! `Block`: many bytes of a JSON text at once, asked which of them are of a kind.
//!
//! With the vector instructions that the processor has, found out at run time. It knows bytes and not JSON.
#![expect(
    clippy::inline_always,
    reason = "vector instructions are known only within the function that was dispatched to"
)]

use fearless_simd::{Level, dispatch, prelude::*, u8x16, u8x64};

/// How many bytes a block has: as many as an answer has bits.
pub(super) const BLOCK: usize = 64;
/// How many bytes a small block has.
pub(super) const SMALL: usize = 16;

/// A block of bytes. Bit `n` of each answer is about byte `n`.
#[derive(Clone, Copy)]
pub(super) struct Block<S: Simd>(u8x64<S>);

impl<S: Simd> Block<S> {
    #[inline(always)]
    pub(super) fn new(simd: S, bytes: &[u8; BLOCK]) -> Self {
        Self(u8x64::simd_from(simd, *bytes))
    }

    /// Which bytes are this one.
    #[inline(always)]
    pub(super) fn equal(self, byte: u8) -> u64 {
        self.0.simd_eq(byte).to_bitmask()
    }

    /// Which bytes are white space or control characters.
    #[inline(always)]
    pub(super) fn white_space(self) -> u64 {
        self.0.simd_le(b' ').to_bitmask()
    }

    /// Which bytes are `[` or `{`, and which are `]` or `}`: each pair differs in one bit only.
    #[inline(always)]
    pub(super) fn brackets(self) -> (u64, u64) {
        const BIT: u8 = b'{' ^ b'[';
        let either = Self(self.0 | BIT);
        (either.equal(b'{'), either.equal(b'}'))
    }
}

/// The first byte of a small block that does not belong into the plain part of a JSON string: a quote, a backslash, or a
/// control character.
///
/// With what every processor of the architecture has, since a string is too short for a choice.
#[inline]
pub(super) fn first_special(bytes: &[u8; SMALL]) -> Option<usize> {
    let special = dispatch!(Level::baseline(), simd => special(simd, bytes));
    (special != 0).then(|| special.trailing_zeros() as usize)
}

#[inline(always)]
fn special<S: Simd>(simd: S, bytes: &[u8; SMALL]) -> u64 {
    let lanes = u8x16::simd_from(simd, *bytes);
    (lanes.simd_lt(b' ') | lanes.simd_eq(b'"') | lanes.simd_eq(b'\\')).to_bitmask()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_bytes_apart() {
        let mut bytes = [b'a'; BLOCK];
        for (at, byte) in [(0, b'{'), (1, b'['), (2, b'}'), (17, b']'), (33, b'"'), (63, b'"')] {
            bytes[at] = byte;
        }
        for level in [Level::new(), Level::baseline()] {
            let (quotes, brackets) = dispatch!(level, simd => {
                let block = Block::new(simd, &bytes);
                (block.equal(b'"'), block.brackets())
            });
            assert_eq!(quotes, 1 << 33 | 1 << 63, "{level:?}");
            assert_eq!(brackets, (0b11, 1 << 2 | 1 << 17), "{level:?}");
        }
    }

    #[test]
    fn finds_what_is_special_in_a_string() {
        let mut random = fastrand::Rng::with_seed(3);
        for _ in 0..2_000 {
            let bytes: [u8; SMALL] = std::array::from_fn(|_| match random.u8(..9) {
                0 => b"\"\\{}[],"[random.usize(..7)],
                1 => random.u8(..0x22),
                _ => random.u8(0x20..),
            });
            let special = |byte: &u8| *byte < 0x20 || matches!(byte, b'"' | b'\\');
            assert_eq!(first_special(&bytes), bytes.iter().position(special), "{bytes:?}");
        }
    }
}
