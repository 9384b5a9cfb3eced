//! `Block`: searches 64 bytes per step with vector (SIMD) instructions.
//!
//! [`Vectors`] is one instruction set. The crate `archmage` detects at run time which instruction sets the processor has.
//! The module classifies bytes, and must not interpret JSON.
#![expect(
    clippy::inline_always,
    reason = "vector instructions are enabled only within the dispatched function, so its callees have to be inlined"
)]

#[cfg(target_arch = "aarch64")]
mod neon;
mod scalar;
#[cfg(target_arch = "x86_64")]
mod x86_64;

use archmage::{incant, magetypes};

/// The number of bytes in a block, and of bits in a mask.
pub(super) const BLOCK_BYTES: usize = 64;
/// The number of bytes that [`first_special_byte`] searches.
pub(super) const SMALL_BLOCK_BYTES: usize = 16;

/// The instructions of one set. Bit `n` of a returned mask is the result for byte `n`.
pub(super) trait Vectors: Copy {
    /// The bytes that are equal to `byte` after the bits of `set` are set in them.
    fn bytes_equal_to(self, bytes: &[u8; BLOCK_BYTES], set: u8, byte: u8) -> u64;

    /// The bytes that are white space or control characters.
    fn white_space_or_control(self, bytes: &[u8; BLOCK_BYTES]) -> u64;
}

/// The instructions that every processor of an architecture has.
trait BaselineVectors: Copy {
    /// The quotes, backslashes and control characters.
    fn special_bytes(self, bytes: &[u8; SMALL_BLOCK_BYTES]) -> u16;
}

/// The quarters of a block: vectors of 128 bits.
#[cfg(any(target_arch = "aarch64", target_arch = "x86_64"))]
#[inline(always)]
fn quarters(bytes: &[u8; BLOCK_BYTES]) -> [&[u8; BLOCK_BYTES / 4]; 4] {
    let (quarters, _) = bytes.as_chunks();
    [&quarters[0], &quarters[1], &quarters[2], &quarters[3]]
}

/// A block of bytes. The methods of a block return bit masks: bit `n` is the result for byte `n`.
#[derive(Clone, Copy)]
pub(super) struct Block<'a, V> {
    vectors: V,
    bytes: &'a [u8; BLOCK_BYTES],
}

impl<'a, V: Vectors> Block<'a, V> {
    #[inline(always)]
    pub(super) fn new(vectors: V, bytes: &'a [u8; BLOCK_BYTES]) -> Self {
        Self { vectors, bytes }
    }

    /// The bytes equal to `byte`.
    #[inline(always)]
    pub(super) fn bytes_equal_to(self, byte: u8) -> u64 {
        self.vectors.bytes_equal_to(self.bytes, 0, byte)
    }

    /// The bytes that are white space or control characters.
    #[inline(always)]
    pub(super) fn white_space_or_control(self) -> u64 {
        self.vectors.white_space_or_control(self.bytes)
    }

    /// The opening brackets (`[`, `{`) and the closing brackets (`]`, `}`). `[` and `{` differ in one bit; `]` and `}`
    /// differ in the same bit.
    #[inline(always)]
    pub(super) fn brackets(self) -> (u64, u64) {
        const BIT: u8 = b'{' ^ b'[';
        (
            self.vectors.bytes_equal_to(self.bytes, BIT, b'{'),
            self.vectors.bytes_equal_to(self.bytes, BIT, b'}'),
        )
    }
}

/// The offset of the first quote, backslash or control character.
///
/// Uses the baseline instructions of the architecture: run-time detection costs more than it saves on short strings.
#[inline]
pub(super) fn first_special_byte(bytes: &[u8; SMALL_BLOCK_BYTES]) -> Option<usize> {
    let special = incant!(special_bytes(bytes), [v1, neon, scalar]);
    (special != 0).then(|| special.trailing_zeros() as usize)
}

/// See [`BaselineVectors::special_bytes`].
#[magetypes(v1, neon, scalar)]
#[inline]
fn special_bytes(token: Token, bytes: &[u8; SMALL_BLOCK_BYTES]) -> u16 {
    token.special_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Asserts that the masks of an instruction set are right, if the processor has it.
    fn assert_masks<V: Vectors>(vectors: Option<V>) {
        let Some(vectors) = vectors else { return };
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..2_000 {
            let bytes: [u8; BLOCK_BYTES] = std::array::from_fn(|_| match random.u8(..4) {
                0 => b"\"\\{}[],"[random.usize(..7)],
                1 => random.u8(..0x22),
                _ => random.u8(..),
            });
            let mask = |matches: &dyn Fn(u8) -> bool| {
                (0..BLOCK_BYTES).fold(0, |mask, at| mask | u64::from(matches(bytes[at])) << at)
            };
            let block = Block::new(vectors, &bytes);
            for byte in [b'"', b'\\', b',', b'{', 0, 0xff, bytes[9]] {
                assert_eq!(block.bytes_equal_to(byte), mask(&|other| other == byte), "{byte} in {bytes:?}");
            }
            assert_eq!(block.white_space_or_control(), mask(&|byte| byte <= b' '), "{bytes:?}");
            let brackets = (mask(&|byte| b"[{".contains(&byte)), mask(&|byte| b"]}".contains(&byte)));
            assert_eq!(block.brackets(), brackets, "{bytes:?}");
        }
    }

    /// Asserts that the special bytes of an instruction set are right.
    fn assert_special_bytes<V: BaselineVectors>(vectors: V) {
        let mut random = fastrand::Rng::with_seed(3);
        for _ in 0..2_000 {
            let bytes: [u8; SMALL_BLOCK_BYTES] = std::array::from_fn(|_| match random.u8(..9) {
                0 => b"\"\\{}[],"[random.usize(..7)],
                1 => random.u8(..0x22),
                _ => random.u8(0x20..),
            });
            let is_special = |byte: &u8| *byte < 0x20 || matches!(byte, b'"' | b'\\');
            let expected =
                bytes.iter().rev().fold(0, |mask: u16, byte| mask << 1 | u16::from(is_special(byte)));
            assert_eq!(vectors.special_bytes(&bytes), expected, "{bytes:?}");
            assert_eq!(first_special_byte(&bytes), bytes.iter().position(is_special), "{bytes:?}");
        }
    }

    #[test]
    fn every_instruction_set_returns_the_same_masks() {
        use archmage::SimdToken;
        assert_masks(archmage::ScalarToken::summon());
        assert_special_bytes(archmage::ScalarToken);
        #[cfg(target_arch = "x86_64")]
        {
            assert_masks(archmage::X64V3Token::summon());
            assert_masks(archmage::X64V1Token::summon());
            assert_special_bytes(archmage::X64V1Token::summon().unwrap());
        }
        #[cfg(target_arch = "aarch64")]
        {
            assert_masks(archmage::NeonToken::summon());
            assert_special_bytes(archmage::NeonToken::summon().unwrap());
        }
    }
}
