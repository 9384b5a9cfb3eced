//! `Block`: many bytes of a JSON text at once, asked which of them are of a kind.
//!
//! With the processor's vector instructions, where `wide` knows them. It knows bytes and not JSON.

use wide::u8x16;

/// How many bytes a block has: as many as an answer has bits.
pub(super) const BLOCK: usize = 64;
/// How many bytes a small block has.
pub(super) const SMALL: usize = 16;

/// A block of bytes. Bit `n` of each answer is about byte `n`.
#[derive(Clone, Copy)]
pub(super) struct Block([u8x16; BLOCK / SMALL]);

impl Block {
    pub(super) fn new(bytes: &[u8; BLOCK]) -> Self {
        let (pieces, _) = bytes.as_chunks::<SMALL>();
        Self(std::array::from_fn(|piece| u8x16::new(pieces[piece])))
    }

    /// Which bytes are this one.
    pub(super) fn equal(&self, byte: u8) -> u64 {
        self.gather(|lanes| lanes.simd_eq(u8x16::splat(byte)))
    }

    /// Which bytes are `[` or `{`, and which are `]` or `}`: each pair differs in one bit only.
    pub(super) fn brackets(&self) -> (u64, u64) {
        const BIT: u8 = b'{' ^ b'[';
        let bit = u8x16::splat(BIT);
        let open = self.gather(|lanes| (lanes | bit).simd_eq(u8x16::splat(b'{')));
        let close = self.gather(|lanes| (lanes | bit).simd_eq(u8x16::splat(b'}')));
        (open, close)
    }

    fn gather(&self, of: impl Fn(u8x16) -> u8x16) -> u64 {
        let bits = |piece: usize| u64::from(of(self.0[piece]).to_bitmask());
        bits(0) | bits(1) << 16 | bits(2) << 32 | bits(3) << 48
    }
}

/// The first byte of a small block that does not belong into the plain part of a JSON string: a quote, a backslash, or a
/// control character.
#[inline]
pub(super) fn first_special(bytes: &[u8; SMALL]) -> Option<usize> {
    let lanes = u8x16::new(*bytes);
    let control = lanes.min(u8x16::splat(0x1f)).simd_eq(lanes);
    let special = control | lanes.simd_eq(u8x16::splat(b'"')) | lanes.simd_eq(u8x16::splat(b'\\'));
    let special = special.to_bitmask();
    (special != 0).then(|| special.trailing_zeros() as usize)
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
        let block = Block::new(&bytes);
        assert_eq!(block.equal(b'"'), 1 << 33 | 1 << 63);
        assert_eq!(block.brackets(), (0b11, 1 << 2 | 1 << 17));
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
