//! The implementation without vector instructions, for other architectures.

use super::{BLOCK_BYTES, BaselineVectors, SMALL_BLOCK_BYTES, Vectors};
use archmage::ScalarToken;

impl Vectors for ScalarToken {
    #[inline(always)]
    fn bytes_equal_to(self, bytes: &[u8; BLOCK_BYTES], set: u8, byte: u8) -> u64 {
        mask(bytes, |other| other | set == byte)
    }

    #[inline(always)]
    fn white_space_or_control(self, bytes: &[u8; BLOCK_BYTES]) -> u64 {
        mask(bytes, |byte| byte <= b' ')
    }
}

impl BaselineVectors for ScalarToken {
    #[inline(always)]
    fn special_bytes(self, bytes: &[u8; SMALL_BLOCK_BYTES]) -> u16 {
        bytes
            .iter()
            .rev()
            .fold(0, |mask, byte| mask << 1 | u16::from(*byte < b' ' || matches!(byte, b'"' | b'\\')))
    }
}

/// The mask of the bytes for which `matches` returns true.
#[inline(always)]
fn mask(bytes: &[u8; BLOCK_BYTES], matches: impl Fn(u8) -> bool) -> u64 {
    bytes.iter().rev().fold(0, |mask, byte| mask << 1 | u64::from(matches(*byte)))
}
