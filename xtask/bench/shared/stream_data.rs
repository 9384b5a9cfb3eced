//! The data of the rows that measure streams: one block, repeated.

/// Bytes in a MiB.
pub(crate) const MIB: usize = 1 << 20;
/// The length of the block in bytes. A kubelet sends the output of a process in messages of this size.
pub(crate) const BLOCK: usize = 32 << 10;

pub(crate) fn block() -> Vec<u8> {
    (0..251).cycle().take(BLOCK).collect()
}

/// Compares received data with repeated blocks.
#[derive(Debug)]
pub(crate) struct Checker {
    /// The block, twice: a range of the block's length can begin at each position of the block.
    blocks: Vec<u8>,
    bytes: u64,
    position: usize,
}

impl Default for Checker {
    fn default() -> Self {
        Self { blocks: block().repeat(2), bytes: 0, position: 0 }
    }
}

impl Checker {
    /// Whether `data` continues the repeated blocks after the data of previous calls. Counts the bytes that it
    /// compares.
    pub(crate) fn accepts(&mut self, data: &[u8]) -> bool {
        data.chunks(BLOCK).all(|part| {
            let equal = self.blocks[self.position..][..part.len()] == *part;
            self.position = (self.position + part.len()) % BLOCK;
            self.bytes += part.len() as u64;
            equal
        })
    }

    /// The number of bytes that [`Self::accepts`] has compared.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }
}
