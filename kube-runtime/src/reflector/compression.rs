//! `Compression`: compresses the texts of a compact store with a dictionary, which is made of the first objects.
//! Objects of a kind share field names and many values.
//!
//! A dictionary keeps the plain text of objects, even after these objects are deleted.

#[cfg(feature = "zstd")]
mod zstd;

use super::page::EncodedObject;
use lz4rip_decode::decompress_into_with_dict;
use lz4rip_encode::{DictCompressorN, get_maximum_output_size};
use std::fmt;
use std::sync::{Mutex, OnceLock, PoisonError};

/// The size in bytes of the dictionary of LZ4. A pod takes 946 bytes with a dictionary of 16 KiB, 904 with 32 KiB and
/// 887 with 56 KiB; the time is the same. Each `Compressor` contains a copy of the dictionary.
const DICTIONARY_SIZE: usize = 32 << 10;

/// The number of entries in each hash table of LZ4. An entry takes two bytes.
const TABLE_ENTRIES: usize = 8 << 10;

/// The maximum number of unused values in a [`Pool`].
const MAX_SPARE_VALUES: usize = 16;

/// A value whose buffer has more than this number of bytes is dropped instead of kept in a [`Pool`].
const MAX_SPARE_BYTES: usize = 1 << 20;

/// The method that compressed an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    /// The text is not compressed.
    Plain,
    /// LZ4 with the dictionary of the first objects.
    Lz4,
    /// zstd with the dictionary of the first objects.
    #[cfg(feature = "zstd")]
    Zstd,
}

/// Compresses and decompresses texts. Any number of threads can use it at the same time.
#[derive(Default)]
pub(super) struct Compression {
    /// The dictionary; set when the texts of the first objects fill it. The first objects are not compressed.
    dictionary: OnceLock<Box<[u8]>>,
    /// The texts of the first objects, until they fill the dictionary; then empty.
    samples: Mutex<Vec<u8>>,
    compressors: Pool<Compressor>,
    buffers: Pool<Vec<u8>>,
    #[cfg(feature = "zstd")]
    zstd: Option<zstd::Zstd>,
}

/// The hash tables of LZ4 with a copy of the dictionary, and a buffer for the output.
struct Compressor {
    lz4: Box<DictCompressorN<TABLE_ENTRIES>>,
    output: Vec<u8>,
}

impl Compression {
    /// Compresses with zstd instead of LZ4.
    #[cfg(feature = "zstd")]
    pub(super) fn use_zstd(&mut self) {
        self.zstd = Some(zstd::Zstd::default());
    }

    /// The method that compresses the objects from now on.
    pub(super) fn best_method(&self) -> Method {
        if self.dictionary.get().is_none() {
            return Method::Plain;
        }
        #[cfg(feature = "zstd")]
        if self.zstd.is_some() {
            return Method::Zstd;
        }
        Method::Lz4
    }

    /// Compresses a text, and passes the result to `store`. Until the dictionary is full, adds the text to the dictionary
    /// instead, and passes the uncompressed text to `store`.
    pub(super) fn compress<T>(&self, text: &[u8], store: impl FnOnce(&[u8], Method) -> T) -> T {
        let Some(dictionary) = self.dictionary.get() else {
            self.add_sample(text);
            return store(text, Method::Plain);
        };
        #[cfg(feature = "zstd")]
        if let Some(zstd) = &self.zstd {
            return self.with_buffer(|buffer| match zstd.compress(dictionary, text, buffer) {
                Some(()) => store(buffer, Method::Zstd),
                None => store(text, Method::Plain),
            });
        }
        self.compress_with_lz4(dictionary, text, store)
    }

    fn compress_with_lz4<T>(
        &self,
        dictionary: &[u8],
        text: &[u8],
        store: impl FnOnce(&[u8], Method) -> T,
    ) -> T {
        let mut compressor = self.compressors.take().unwrap_or_else(|| Compressor {
            lz4: Box::new(DictCompressorN::new(dictionary)),
            output: Vec::new(),
        });
        let Compressor { lz4, output } = &mut compressor;
        let room = get_maximum_output_size(text.len());
        if output.len() < room {
            output.resize(room, 0);
        }
        let compressed = lz4.compress_into(text, output).ok().and_then(|length| output.get(..length));
        let stored = match compressed {
            Some(compressed) => store(compressed, Method::Lz4),
            None => store(text, Method::Plain),
        };
        if compressor.output.capacity() <= MAX_SPARE_BYTES {
            self.compressors.keep(compressor);
        }
        stored
    }

    /// Adds the text of an object to the samples. When the samples have the size of the dictionary, they become the
    /// dictionary.
    fn add_sample(&self, text: &[u8]) {
        let mut samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        #[cfg(feature = "zstd")]
        let size = if self.zstd.is_some() { zstd::DICTIONARY_SIZE } else { DICTIONARY_SIZE };
        #[cfg(not(feature = "zstd"))]
        let size = DICTIONARY_SIZE;
        let room = size.saturating_sub(samples.len());
        samples.extend_from_slice(&text[..text.len().min(room)]);
        if samples.len() >= size {
            let _ = self.dictionary.set(std::mem::take(&mut *samples).into());
        }
    }

    /// Decompresses an object, and passes its text to `read`. Returns `None` if the compressed bytes are corrupt, or if
    /// zstd gets no memory.
    pub(super) fn decompress<T>(
        &self,
        encoded: &EncodedObject<'_>,
        read: impl FnOnce(&[u8]) -> T,
    ) -> Option<T> {
        let EncodedObject { bytes, length, method, .. } = encoded;
        if *method == Method::Plain {
            return Some(read(bytes));
        }
        self.with_buffer(|text| {
            text.resize(*length as usize, 0);
            match method {
                Method::Plain => {}
                Method::Lz4 => {
                    let length = decompress_into_with_dict(bytes, text, self.dictionary.get()?).ok()?;
                    text.truncate(length);
                }
                #[cfg(feature = "zstd")]
                Method::Zstd => self.zstd.as_ref()?.decompress(bytes, text)?,
            }
            Some(read(text))
        })
    }

    /// Calls `f` with an empty buffer, which is reused: large temporary allocations between small long-lived allocations
    /// would fragment the heap.
    pub(super) fn with_buffer<T>(&self, f: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        let mut buffer = self.buffers.take().unwrap_or_default();
        let result = f(&mut buffer);
        if buffer.capacity() <= MAX_SPARE_BYTES {
            buffer.clear();
            self.buffers.keep(buffer);
        }
        result
    }
}

impl fmt::Debug for Compression {
    /// Omits the dictionary, which contains text of objects.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compression").field("method", &self.best_method()).finish_non_exhaustive()
    }
}

/// Unused values, which any thread can take and use again.
struct Pool<T>(Mutex<Vec<T>>);

impl<T> Pool<T> {
    fn take(&self) -> Option<T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    fn keep(&self, value: T) {
        let mut spare = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if spare.len() < MAX_SPARE_VALUES {
            spare.push(value);
        }
    }
}

impl<T> Default for Pool<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

#[cfg(test)]
mod tests;
