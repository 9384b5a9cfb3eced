//! Header blocks: names and values, compressed with zlib and the dictionary of SPDY. All blocks that one side of a
//! connection sends are one zlib stream.
//!
//! Some backends of flate2 cannot set a dictionary. Therefore, the reader first inflates a stored block that contains the
//! dictionary, and then the raw deflate data. The writer stores its blocks without compression.

use std::fmt;

use bytes::{Buf as _, BufMut as _};
use flate2::{Decompress, FlushDecompress, Status};

use super::dictionary::{CHECKSUM, DICTIONARY};
use super::frame::SpdyError;

/// Maximum size in bytes of a header block after decompression.
const MAX_BLOCK: usize = 64 * 1024;

/// The first byte of a zlib stream: deflate with a window of 32 KiB.
const ZLIB_METHOD: u8 = 0x78;
/// The bit for a dictionary, in the second byte of a zlib stream.
const ZLIB_DICTIONARY: u8 = 0x20;

/// Reads the header blocks of a connection.
#[derive(Default)]
pub(super) struct HeaderReader {
    /// The decompressor of the zlib stream; `None` before the first block.
    inflate: Option<Decompress>,
}

impl fmt::Debug for HeaderReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeaderReader").finish_non_exhaustive()
    }
}

impl HeaderReader {
    /// Decompresses the next header block, and returns its names and values.
    pub(super) fn read(&mut self, mut compressed: &[u8]) -> Result<Vec<(String, String)>, SpdyError> {
        let inflate = if let Some(inflate) = &mut self.inflate {
            inflate
        } else {
            let mut inflate = Decompress::new(false);
            compressed = skip_zlib_head(compressed, &mut inflate)?;
            self.inflate.insert(inflate)
        };
        parse(&decompress(inflate, compressed)?)
    }
}

/// Skips the head of the zlib stream, and returns the bytes after the head. Gives the dictionary to `inflate` if the head
/// announces one.
fn skip_zlib_head<'a>(mut compressed: &'a [u8], inflate: &mut Decompress) -> Result<&'a [u8], SpdyError> {
    let head = compressed.try_get_u16().map_err(|_| SpdyError("a header block is too short"))?;
    let [method, flags] = head.to_be_bytes();
    if method & 0x0f != ZLIB_METHOD & 0x0f || head % 31 != 0 {
        return Err(SpdyError("a header block is not a zlib stream"));
    }
    if flags & ZLIB_DICTIONARY == 0 {
        return Ok(compressed);
    }
    if compressed.try_get_u32() != Ok(CHECKSUM) {
        return Err(SpdyError("a header block uses an unknown dictionary"));
    }
    let mut block = Vec::with_capacity(DICTIONARY.len() + 5);
    put_stored_block(&mut block, DICTIONARY);
    decompress(inflate, &block)?;
    Ok(compressed)
}

/// Decompresses all bytes of `compressed`. Their last deflate block must end at a byte boundary.
fn decompress(inflate: &mut Decompress, mut compressed: &[u8]) -> Result<Vec<u8>, SpdyError> {
    let mut block = Vec::new();
    loop {
        if block.len() == block.capacity() {
            block.reserve(4096);
        }
        let (consumed, produced) = (inflate.total_in(), inflate.total_out());
        let status = inflate
            .decompress_vec(compressed, &mut block, FlushDecompress::Sync)
            .map_err(|_| SpdyError("a header block does not decompress"))?;
        let consumed = usize::try_from(inflate.total_in() - consumed).unwrap_or(usize::MAX);
        compressed = compressed.get(consumed..).unwrap_or_default();
        if block.len() > MAX_BLOCK {
            return Err(SpdyError("a header block is too long"));
        }
        let progress = consumed > 0 || inflate.total_out() > produced;
        match status {
            Status::StreamEnd => return Err(SpdyError("the compressed stream of header blocks ends")),
            // If `block` is full, `inflate` may have more output although all input is consumed.
            _ if compressed.is_empty() && block.len() < block.capacity() => return Ok(block),
            _ if !progress && block.len() < block.capacity() => {
                return Err(SpdyError("a header block does not decompress"));
            }
            _ => {}
        }
    }
}

/// Parses the names and values of a decompressed block.
fn parse(mut block: &[u8]) -> Result<Vec<(String, String)>, SpdyError> {
    const SHORT: SpdyError = SpdyError("a header block is too short");
    let count = block.try_get_u32().map_err(|_| SHORT)?;
    let mut text = || {
        let length = block.try_get_u32().map_err(|_| SHORT)?;
        let (text, rest) =
            usize::try_from(length).ok().and_then(|length| block.split_at_checked(length)).ok_or(SHORT)?;
        block = rest;
        String::from_utf8(text.to_vec()).map_err(|_| SpdyError("a header is not UTF-8"))
    };
    let mut headers = Vec::new();
    for _ in 0..count {
        headers.push((text()?, text()?));
    }
    Ok(headers)
}

/// Writes the header blocks of a connection.
#[derive(Debug, Default)]
pub(super) struct HeaderWriter {
    started: bool,
}

impl HeaderWriter {
    /// The header block of `headers`, as the next part of the zlib stream.
    pub(super) fn write(&mut self, headers: &[(String, String)]) -> Vec<u8> {
        let mut block = Vec::new();
        block.put_u32(length_field(headers.len()));
        for (name, value) in headers {
            for text in [name, value] {
                block.put_u32(length_field(text.len()));
                block.put_slice(text.as_bytes());
            }
        }
        let mut out = Vec::new();
        if !std::mem::replace(&mut self.started, true) {
            let head = u16::from_be_bytes([ZLIB_METHOD, ZLIB_DICTIONARY]);
            // zlib (RFC 1950) requires that the two bytes, as one number, are a multiple of 31.
            out.put_u16(head + (31 - head % 31) % 31);
            out.put_u32(CHECKSUM);
        }
        for part in block.chunks(usize::from(u16::MAX)) {
            put_stored_block(&mut out, part);
        }
        // An empty block is zlib's sync flush. Without it, Go's decompressor waits for more bytes, and fails at the end
        // of the frame.
        put_stored_block(&mut out, &[]);
        out
    }
}

/// Converts the length of a list, a text or a frame to 32 bits. These lengths are far below the limit.
pub(super) fn length_field(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

/// Appends a block of deflate that stores `data` without compression. `data` has at most 65,535 bytes.
fn put_stored_block(out: &mut Vec<u8>, data: &[u8]) {
    let length = u16::try_from(data.len()).unwrap_or(u16::MAX);
    out.put_u8(0);
    out.put_u16_le(length);
    out.put_u16_le(!length);
    out.put_slice(&data[..usize::from(length)]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_block_ends_with_a_sync_flush() {
        let (mut writer, mut reader) = (HeaderWriter::default(), HeaderReader::default());
        for headers in [vec![], vec![("port".to_owned(), "80".to_owned())]] {
            let block = writer.write(&headers);
            assert!(block.ends_with(&[0, 0, 0, 0xff, 0xff]), "{block:?}");
            assert_eq!(reader.read(&block).unwrap(), headers);
        }
    }
}
