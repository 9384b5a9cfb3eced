//! The data of the rows that measure streams: repetitions of one block.

/// Bytes in a MiB.
pub(crate) const MIB: usize = 1 << 20;
/// The length of the block in bytes. A kubelet sends the output of a process in messages of this size.
pub(crate) const BLOCK_LEN: usize = 32 << 10;

pub(crate) fn data_block() -> Vec<u8> {
    (0..251).cycle().take(BLOCK_LEN).collect()
}

/// Compares received data with repetitions of the block.
#[derive(Debug)]
pub(crate) struct StreamChecker {
    /// Two copies of the block. Received data can begin at any position of the block. It is compared in parts
    /// of at most the block's length. In two copies, the expected bytes of each part are contiguous.
    blocks: Vec<u8>,
    bytes: u64,
    position: usize,
}

impl Default for StreamChecker {
    fn default() -> Self {
        Self { blocks: data_block().repeat(2), bytes: 0, position: 0 }
    }
}

impl StreamChecker {
    /// Compares `data` with the data that must follow the data of previous calls, and counts the compared bytes. Returns
    /// whether the data is equal.
    pub(crate) fn check_next(&mut self, data: &[u8]) -> bool {
        data.chunks(BLOCK_LEN).all(|part| {
            let equal = self.blocks[self.position..][..part.len()] == *part;
            self.position = (self.position + part.len()) % BLOCK_LEN;
            self.bytes += part.len() as u64;
            equal
        })
    }

    /// The number of bytes that [`Self::check_next`] has compared.
    pub(crate) fn compared_bytes(&self) -> u64 {
        self.bytes
    }
}
