//! `JsonText`: the JSON text of an object, borrowed from a body or written into a buffer of the thread.

use super::transcode;
use std::cell::Cell;
use std::ops::Deref;

/// The maximum capacity in bytes of the buffer that a thread keeps for its next object.
const MAX_KEPT_BYTES: usize = 1 << 20;

thread_local! {
    /// The buffer of the last object, for reuse. While a decoder uses the buffer, the cell holds an empty
    /// `Vec`. A nested decoder therefore allocates its own buffer.
    static BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// JSON text. Dropping an owned text keeps its buffer for the next object of the thread, unless the buffer is larger
/// than [`MAX_KEPT_BYTES`].
pub(crate) enum JsonText<'a> {
    Borrowed(&'a [u8]),
    Owned(Vec<u8>),
}

impl JsonText<'static> {
    /// Calls the closure `write` with the thread's buffer. Returns the JSON text that the closure has written.
    pub(super) fn write(
        write: impl FnOnce(&mut Vec<u8>) -> transcode::Result<()>,
    ) -> serde_json::Result<Self> {
        Self::write_with(|out| write(out).map_err(transcode::TranscodeError::into_error))
            .map(|(text, ())| text)
    }

    /// Calls the closure `write` with the thread's buffer. Returns the text that the closure has written, and the
    /// closure's result.
    pub(crate) fn write_with<T, E>(write: impl FnOnce(&mut Vec<u8>) -> Result<T, E>) -> Result<(Self, T), E> {
        let mut text = Self::Owned(BUFFER.take());
        let result = match &mut text {
            Self::Owned(buffer) => write(buffer)?,
            Self::Borrowed(_) => write(&mut Vec::new())?,
        };
        Ok((text, result))
    }
}

impl From<Vec<u8>> for JsonText<'_> {
    fn from(text: Vec<u8>) -> Self {
        Self::Owned(text)
    }
}

impl Deref for JsonText<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Borrowed(text) => text,
            Self::Owned(text) => text,
        }
    }
}

impl Drop for JsonText<'_> {
    fn drop(&mut self) {
        if let Self::Owned(buffer) = self
            && buffer.capacity() <= MAX_KEPT_BYTES
        {
            buffer.clear();
            // Do not call `set` on `BUFFER` itself: the call panics while the thread ends.
            let _ = BUFFER.try_with(|kept| kept.set(std::mem::take(buffer)));
        }
    }
}
