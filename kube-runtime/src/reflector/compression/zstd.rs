//! `Zstd`: compression with a dictionary that is trained on the first objects. The training runs on another thread.

use super::Pool;
use kube_client::workers::AbortOnDrop;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use tokio::runtime::Handle;
use zstd_safe::{CCtx, CDict, CompressionLevel, DCtx, DDict, compress_bound, train_from_buffer};

/// The number of objects on which the dictionary is trained, and the limit of their total size in bytes.
const SAMPLES: usize = 100;
const SAMPLE_BYTES: usize = 1 << 20;
/// The size in bytes of the dictionary.
const DICTIONARY_SIZE: usize = 32 << 10;
const LEVEL: CompressionLevel = 1;

/// The texts of the first objects, until the training begins.
#[derive(Default)]
struct Samples {
    texts: Vec<u8>,
    lengths: Vec<usize>,
}

/// A trained dictionary, prepared for both directions.
struct Dictionary {
    compression: CDict<'static>,
    decompression: DDict<'static>,
}

/// Compresses with zstd, once the dictionary is trained.
pub(in crate::reflector) struct Zstd {
    /// `None` once the training has begun.
    samples: Mutex<Option<Samples>>,
    dictionary: Arc<OnceLock<Dictionary>>,
    /// The task of the training. A training that has begun ends by itself, within about a tenth of a second.
    training: Mutex<Option<AbortOnDrop<()>>>,
    compressors: Pool<CCtx<'static>>,
    decompressors: Pool<DCtx<'static>>,
}

impl Default for Zstd {
    fn default() -> Self {
        Self {
            samples: Mutex::new(Some(Samples::default())),
            dictionary: Arc::default(),
            training: Mutex::default(),
            compressors: Pool::default(),
            decompressors: Pool::default(),
        }
    }
}

impl Zstd {
    /// Whether the dictionary is trained.
    pub(in crate::reflector) fn is_trained(&self) -> bool {
        self.dictionary.get().is_some()
    }

    /// Compresses a text into `output`; false if the dictionary is not trained.
    pub(super) fn compress(&self, text: &[u8], output: &mut Vec<u8>) -> bool {
        let Some(dictionary) = self.dictionary.get() else {
            self.add_sample(text);
            return false;
        };
        output.reserve(compress_bound(text.len()));
        let mut compressor = self.compressors.take().unwrap_or_else(CCtx::create);
        let outcome = compressor.compress_using_cdict(output, text, &dictionary.compression);
        self.compressors.keep(compressor);
        outcome.is_ok()
    }

    /// Decompresses a text, whose length is that of `text`; `None` if the bytes are corrupt.
    pub(super) fn decompress(&self, bytes: &[u8], text: &mut Vec<u8>) -> Option<()> {
        let dictionary = self.dictionary.get()?;
        let mut decompressor = self.decompressors.take().unwrap_or_else(DCtx::create);
        let outcome = decompressor.decompress_using_ddict(text, bytes, &dictionary.decompression);
        self.decompressors.keep(decompressor);
        outcome.is_ok().then_some(())
    }

    /// Adds the text of an object to the samples. Begins the training when there are enough.
    fn add_sample(&self, text: &[u8]) {
        let mut slot = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(samples) = &mut *slot else { return };
        // A large object would take the place of many others.
        let text = &text[..text.len().min(SAMPLE_BYTES / SAMPLES * 4)];
        samples.texts.extend_from_slice(text);
        samples.lengths.push(text.len());
        if samples.lengths.len() >= SAMPLES || samples.texts.len() >= SAMPLE_BYTES {
            let samples = slot.take().unwrap_or_default();
            self.begin_training(samples);
        }
    }

    /// Trains the dictionary on a thread for blocking tasks of the runtime; outside of a runtime on a thread of its
    /// own.
    fn begin_training(&self, samples: Samples) {
        let dictionary = Arc::downgrade(&self.dictionary);
        let train = move || train(&samples, &dictionary);
        match Handle::try_current() {
            Ok(runtime) => {
                let task = AbortOnDrop::new(runtime.spawn_blocking(train));
                *self.training.lock().unwrap_or_else(PoisonError::into_inner) = Some(task);
            }
            // Without a thread the objects stay compressed with LZ4.
            Err(_) => drop(std::thread::Builder::new().name("zstd-training".to_owned()).spawn(train)),
        }
    }
}

/// Trains a dictionary, unless the store was dropped. A failure leaves the objects compressed with LZ4.
fn train(samples: &Samples, dictionary: &Weak<OnceLock<Dictionary>>) {
    if dictionary.strong_count() == 0 {
        return;
    }
    let mut trained = Vec::with_capacity(DICTIONARY_SIZE);
    if train_from_buffer(&mut trained, &samples.texts, &samples.lengths).is_err() {
        tracing::debug!(
            "the objects are too few or too different for a dictionary: they stay compressed with LZ4"
        );
        return;
    }
    let (compression, decompression) = (CDict::try_create(&trained, LEVEL), DDict::try_create(&trained));
    if let (Some(compression), Some(decompression), Some(dictionary)) =
        (compression, decompression, dictionary.upgrade())
    {
        let _ = dictionary.set(Dictionary { compression, decompression });
    }
}

#[cfg(test)]
impl Zstd {
    /// Waits until the training has ended.
    pub(super) async fn wait_for_training(&self) {
        let task = self.training.lock().expect("no code under the lock panics").take();
        if let Some(task) = task {
            task.await.expect("the training does not panic");
        }
    }
}
