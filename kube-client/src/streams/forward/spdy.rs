//! The frames of SPDY/3.1 that port-forwarding uses. This module must not perform I/O.
//!
//! Kubernetes servers do not use the flow control of SPDY: they send and expect no `WINDOW_UPDATE`. The headers that a
//! server sends have no meaning for port-forwarding: the decoder skips them without decompression. The decoder buffers at
//! most 8 bytes of a control frame, and passes the bytes of a data frame on as they arrive.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use flate2::{Compress, Compression, FlushCompress, Status};

use super::dictionary::dictionary;
use crate::error::BoxError;

/// The size in bytes of the header of a frame.
pub(super) const FRAME_HEADER_BYTES: usize = 8;
/// The flag of the last frame in one direction of a stream.
const FIN: u8 = 1;
/// The maximum number of payload bytes that the decoder reads from a control frame: an id and a status.
const MAX_CONTROL_BYTES: usize = 8;

/// The types of control frames.
mod control_frame_type {
    pub(super) const SYN_STREAM: u16 = 1;
    pub(super) const RST_STREAM: u16 = 3;
    pub(super) const PING: u16 = 6;
    pub(super) const GOAWAY: u16 = 7;
}

/// The status in a frame that resets a stream.
#[derive(Clone, Copy, Debug)]
pub(super) enum ResetStatus {
    RefusedStream = 3,
    Cancel = 5,
}

/// A frame of the server, or a part of a data frame.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    /// Bytes of a stream. `is_last` is true only for the last part of the stream's last frame.
    Data { stream: u32, bytes: Bytes, is_last: bool },
    /// The server opens a stream.
    Open { stream: u32 },
    /// The server ends both directions of a stream.
    Reset { stream: u32, status: u32 },
    /// A ping of the server has an even id, and the client sends the same ping back. A ping with an odd id is the answer
    /// to a ping of the client.
    Ping { id: u32 },
    /// The server accepts no further streams.
    GoAway,
}

/// The unread payload of a frame whose header was read.
#[derive(Clone, Copy, Debug)]
enum Payload {
    Data { stream: u32, is_last: bool, length: usize },
    Control { kind: u16, length: usize },
}

/// Splits the bytes of WebSocket messages into frames. A frame may span messages.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    /// The unread bytes of the last message.
    unread: Bytes,
    /// The incomplete header, or the incomplete payload of a control frame: the rest is in the next message.
    partial: BytesMut,
    payload: Option<Payload>,
}

impl Decoder {
    /// Adds a message. All frames of the previous message must have been read.
    pub(super) fn push(&mut self, message: Bytes) {
        self.unread = message;
    }

    /// The next frame; `None` after the end of the message.
    ///
    /// # Errors
    /// If the bytes are not SPDY/3.
    pub(super) fn next(&mut self) -> Result<Option<Frame>, BoxError> {
        loop {
            match self.payload {
                None => {
                    if !self.fill_partial(FRAME_HEADER_BYTES) {
                        return Ok(None);
                    }
                    let (first, second) = (self.partial.get_u32(), self.partial.get_u32());
                    self.payload = Some(parse_header(first, second)?);
                }
                Some(Payload::Data { stream, is_last, length }) => {
                    if length > 0 && self.unread.is_empty() {
                        return Ok(None);
                    }
                    let bytes = self.unread.split_to(length.min(self.unread.len()));
                    let left = length - bytes.len();
                    self.payload = (left > 0).then_some(Payload::Data { stream, is_last, length: left });
                    return Ok(Some(Frame::Data { stream, bytes, is_last: is_last && left == 0 }));
                }
                Some(Payload::Control { kind, length }) => {
                    // The end of a long payload is skipped.
                    let wanted = length.min(MAX_CONTROL_BYTES);
                    if !self.fill_partial(wanted) {
                        return Ok(None);
                    }
                    let skipped = (length - wanted).min(self.unread.len());
                    self.unread.advance(skipped);
                    if skipped < length - wanted {
                        self.payload = Some(Payload::Control { kind, length: length - skipped });
                        return Ok(None);
                    }
                    self.payload = None;
                    let payload = self.partial.split();
                    if let Some(frame) = parse_control(kind, &payload)? {
                        return Ok(Some(frame));
                    }
                }
            }
        }
    }

    /// Moves unread bytes to `partial` until it has `length` bytes. Returns whether there were enough bytes.
    fn fill_partial(&mut self, length: usize) -> bool {
        let missing = length.saturating_sub(self.partial.len()).min(self.unread.len());
        self.partial.put(self.unread.split_to(missing));
        self.partial.len() >= length
    }
}

/// Parses a frame header, given as its two 32-bit words. The result describes the payload that follows.
fn parse_header(first: u32, second: u32) -> Result<Payload, BoxError> {
    let flags = second.to_be_bytes()[0];
    let length = (second & 0x00FF_FFFF) as usize;
    if first & 0x8000_0000 == 0 {
        return Ok(Payload::Data { stream: first, is_last: flags & FIN != 0, length });
    }
    let (version, kind) = ((first >> 16) & 0x7FFF, (first & 0xFFFF) as u16);
    if version != 3 {
        return Err(format!("a frame has the SPDY version {version} instead of 3").into());
    }
    Ok(Payload::Control { kind, length })
}

/// Parses the start of the payload of a control frame; `None` for a frame that port-forwarding does not use.
fn parse_control(kind: u16, mut payload: &[u8]) -> Result<Option<Frame>, BoxError> {
    let mut next = || {
        payload.try_get_u32().map_err(|_| BoxError::from(format!("a SPDY frame of type {kind} is too short")))
    };
    Ok(match kind {
        control_frame_type::SYN_STREAM => Some(Frame::Open { stream: next()? & 0x7FFF_FFFF }),
        control_frame_type::RST_STREAM => {
            Some(Frame::Reset { stream: next()? & 0x7FFF_FFFF, status: next()? })
        }
        control_frame_type::PING => Some(Frame::Ping { id: next()? }),
        control_frame_type::GOAWAY => Some(Frame::GoAway),
        _ => None,
    })
}

/// Writes the header of a data frame into the first [`FRAME_HEADER_BYTES`] bytes of the frame.
pub(super) fn write_data_header(stream: u32, frame: &mut BytesMut) {
    let length = u32::try_from(frame.len() - FRAME_HEADER_BYTES).unwrap_or_default();
    frame[..4].copy_from_slice(&stream.to_be_bytes());
    frame[4..8].copy_from_slice(&length.to_be_bytes());
}

/// An empty data frame that ends a direction of a stream.
pub(super) fn last_data_frame(stream: u32) -> Bytes {
    let mut frame = BytesMut::with_capacity(FRAME_HEADER_BYTES);
    frame.put_u32(stream);
    frame.put_u8(FIN);
    frame.put_uint(0, 3);
    frame.freeze()
}

/// A control frame with this payload.
fn control_frame(kind: u16, flags: u8, payload: &[u8]) -> BytesMut {
    let mut frame = BytesMut::with_capacity(FRAME_HEADER_BYTES + payload.len());
    frame.put_u16(0x8003);
    frame.put_u16(kind);
    frame.put_u8(flags);
    frame.put_uint(payload.len() as u64, 3);
    frame.put_slice(payload);
    frame
}

/// A frame that ends both directions of a stream.
pub(super) fn reset_frame(stream: u32, status: ResetStatus) -> Bytes {
    control_frame(
        control_frame_type::RST_STREAM,
        0,
        &[stream.to_be_bytes(), (status as u32).to_be_bytes()].concat(),
    )
    .freeze()
}

/// A ping frame, which answers the ping with the same id.
pub(super) fn ping_frame(id: u32) -> Bytes {
    control_frame(control_frame_type::PING, 0, &id.to_be_bytes()).freeze()
}

/// Encodes the frames that open streams. The headers of all streams share one compression context, so the frames must be
/// sent in the order in which they were encoded.
#[derive(Debug)]
pub(super) struct SynStreamEncoder(Compress);

impl SynStreamEncoder {
    pub(super) fn new() -> Result<Self, BoxError> {
        let mut compress = Compress::new(Compression::fast(), true);
        compress.set_dictionary(&dictionary())?;
        Ok(Self(compress))
    }

    /// The frame that opens a stream with these headers. The names of the headers must be in lower case. If
    /// `is_last` is true, the frame also closes the client's side of the stream (half-close): the client
    /// sends no data on the stream.
    pub(super) fn encode(
        &mut self,
        stream: u32,
        headers: &[(&str, &str)],
        is_last: bool,
    ) -> Result<BytesMut, BoxError> {
        let mut block = Vec::new();
        block.put_u32(u32::try_from(headers.len())?);
        for text in headers.iter().flat_map(|(name, value)| [name, value]) {
            block.put_u32(u32::try_from(text.len())?);
            block.put_slice(text.as_bytes());
        }
        // The id of the stream, no associated stream, priority 0 and no credential slot.
        let mut payload = [&stream.to_be_bytes()[..], &[0; 6]].concat();
        payload.reserve(block.len() + 64);
        let before = self.0.total_in();
        while self.0.total_in() - before < block.len() as u64 {
            let read = usize::try_from(self.0.total_in() - before)?;
            payload.reserve(64);
            self.0.compress_vec(&block[read..], &mut payload, FlushCompress::Sync)?;
        }
        // If `payload` has unused capacity after a flush, the flush is complete. If `payload` is full, compressed
        // bytes may remain, so the loop flushes again.
        while payload.len() == payload.capacity() {
            payload.reserve(64);
            if self.0.compress_vec(&[], &mut payload, FlushCompress::Sync)? == Status::BufError {
                break;
            }
        }
        Ok(control_frame(control_frame_type::SYN_STREAM, if is_last { FIN } else { 0 }, &payload))
    }
}

/// Decodes bytes that arrive in parts, for tests and fuzz targets. Joins consecutive data frames of a stream. Returns the
/// frames before the first error, and the error.
#[cfg(any(test, fuzzing))]
pub(crate) fn decode_frames<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Frame>, Option<String>) {
    let (mut decoder, mut frames) = (Decoder::default(), Vec::new());
    for part in parts {
        decoder.push(Bytes::copy_from_slice(part));
        loop {
            let frame = match decoder.next() {
                Ok(Some(frame)) => frame,
                Ok(None) => break,
                Err(error) => return (frames, Some(error.to_string())),
            };
            match (frames.last_mut(), frame) {
                (
                    Some(Frame::Data { stream: last, bytes: before, is_last: is_ended @ false }),
                    Frame::Data { stream, bytes, is_last },
                ) if *last == stream => {
                    *before = [before.as_ref(), bytes.as_ref()].concat().into();
                    *is_ended = is_last;
                }
                (_, frame) => frames.push(frame),
            }
        }
    }
    (frames, None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Decompress, FlushDecompress};

    #[test]
    fn frames_may_be_split_anywhere() {
        let mut data = BytesMut::from(&b"\0\0\0\0\0\0\0\0hello"[..]);
        write_data_header(3, &mut data);
        // A SYN_REPLY frame, which the decoder skips.
        let reply = control_frame(2, 0, &[7; 40]);
        let all = [
            &data[..],
            &reply,
            &last_data_frame(3),
            &reset_frame(7, ResetStatus::Cancel),
            &ping_frame(2),
            &control_frame(control_frame_type::GOAWAY, 0, &[0; 8]),
        ]
        .concat();
        let frames = vec![
            Frame::Data { stream: 3, bytes: Bytes::from_static(b"hello"), is_last: true },
            Frame::Reset { stream: 7, status: 5 },
            Frame::Ping { id: 2 },
            Frame::GoAway,
        ];
        let expected = (frames, None);
        for at in 0..all.len() {
            assert_eq!(decode_frames([&all[..at], &all[at..]]), expected, "{at}");
        }
        assert_eq!(decode_frames(all.chunks(1)), expected);
    }

    #[test]
    fn other_spdy_versions_and_short_frames_are_errors() {
        let other: &[u8] = &[0x80, 2, 0, 1, 0, 0, 0, 0];
        let short = control_frame(control_frame_type::RST_STREAM, 0, &[0; 7]);
        for (bytes, expected) in [(other, "version 2"), (&short[..], "too short")] {
            let (frames, error) = decode_frames([bytes]);
            assert_eq!(frames, []);
            assert!(error.unwrap().contains(expected));
        }
    }

    #[test]
    fn the_decoder_does_not_buffer_a_long_control_frame() {
        let mut decoder = Decoder::default();
        decoder.push(Bytes::from_static(&[0x80, 3, 0, 8, 0, 0xFF, 0xFF, 0xFF]));
        for _ in 0..100 {
            assert_eq!(decoder.next().unwrap(), None);
            decoder.push(Bytes::from_static(&[0; 1000]));
        }
        assert!(decoder.partial.capacity() < 1000, "{}", decoder.partial.capacity());
    }

    #[test]
    fn headers_are_compressed_with_the_dictionary_of_the_protocol() {
        let mut encoder = SynStreamEncoder::new().unwrap();
        let mut decompress = Decompress::new(true);
        for (stream, port) in [(1, "80"), (3, "443")] {
            let headers = [("streamtype", "data"), ("port", port)];
            let frame = encoder.encode(stream, &headers, stream == 1).unwrap();
            let head = [0x80, 3, 0, 1, u8::from(stream == 1), 0, 0, u8::try_from(frame.len() - 8).unwrap()];
            assert_eq!(frame[..8], head);
            assert_eq!(frame[8..12], stream.to_be_bytes());
            let mut block = Vec::with_capacity(1000);
            let flush = FlushDecompress::Sync;
            let mut read = 18;
            if stream == 1 {
                let error = decompress.decompress_vec(&frame[18..], &mut block, flush).unwrap_err();
                // The checksum of the dictionary in the specification.
                assert_eq!(error.needs_dictionary(), Some(0xe3c6_a7c2));
                read += usize::try_from(decompress.total_in()).unwrap();
                decompress.set_dictionary(&dictionary()).unwrap();
            }
            decompress.decompress_vec(&frame[read..], &mut block, flush).unwrap();
            let expected = [
                &[0, 0, 0, 2, 0, 0, 0, 10][..],
                b"streamtype",
                &[0, 0, 0, 4],
                b"data",
                &[0, 0, 0, 4],
                b"port",
            ]
            .concat();
            assert_eq!(block[..expected.len()], expected);
            assert!(block.ends_with(port.as_bytes()), "{block:?}");
        }
    }
}
