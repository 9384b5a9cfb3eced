//! `Zstd`: compression with the text of the first objects as the dictionary.
//!
//! The dictionary is not trained. Training would make pods 5 % smaller, but would take 50 ms and 8 MiB of memory, and
//! the allocator would keep this memory.

use super::Pool;
use std::sync::OnceLock;
use zstd_safe::{CCtx, CDict, CompressionLevel, DCtx, DDict, compress_bound};

/// The size in bytes of the dictionary. For a dictionary of up to 15.5 KiB, zstd selects smaller tables: the tables of
/// the dictionary and of each compressing thread take half the memory that they take for a larger dictionary. A
/// dictionary of 32 KiB would make a pod only 1 % smaller.
pub(super) const DICTIONARY_SIZE: usize = 15 << 10;

/// The compression level. A pod takes 571 bytes with level 1, 545 with level 3, and 553 with level 5. Level 5 takes
/// twice the time of level 3.
const LEVEL: CompressionLevel = 3;

/// A dictionary, prepared for compression and for decompression.
struct Dictionary {
    compression: CDict<'static>,
    decompression: DDict<'static>,
}

/// Compresses and decompresses with zstd.
#[derive(Default)]
pub(super) struct Zstd {
    /// `None` if the memory for the dictionary was not available.
    dictionary: OnceLock<Option<Dictionary>>,
    compressors: Pool<CCtx<'static>>,
    decompressors: Pool<DCtx<'static>>,
}

impl Zstd {
    /// Compresses a text into `output`. Returns `None` if memory is not available. Each call must pass the same
    /// dictionary.
    pub(super) fn compress(&self, dictionary: &[u8], text: &[u8], output: &mut Vec<u8>) -> Option<()> {
        let prepared = self.dictionary.get_or_init(|| {
            let (compression, decompression) =
                (CDict::try_create(dictionary, LEVEL)?, DDict::try_create(dictionary)?);
            Some(Dictionary { compression, decompression })
        });
        let dictionary = prepared.as_ref()?;
        output.reserve(compress_bound(text.len()));
        let mut compressor = self.compressors.take().or_else(CCtx::try_create)?;
        let outcome = compressor.compress_using_cdict(output, text, &dictionary.compression);
        self.compressors.keep(compressor);
        outcome.ok().map(drop)
    }

    /// Decompresses `bytes` into `text`. Before the call, the caller sets the length of `text` to the length of the
    /// decompressed text. Returns `None` if the bytes are corrupt or memory is not available.
    pub(super) fn decompress(&self, bytes: &[u8], text: &mut Vec<u8>) -> Option<()> {
        let dictionary = self.dictionary.get()?.as_ref()?;
        let mut decompressor = self.decompressors.take().or_else(DCtx::try_create)?;
        let outcome = decompressor.decompress_using_ddict(text, bytes, &dictionary.decompression);
        self.decompressors.keep(decompressor);
        outcome.is_ok().then_some(())
    }
}
