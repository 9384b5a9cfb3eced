//! Decodes frames from the bytes of a connection, and encodes frames.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};

use super::headers::{HeaderReader, HeaderWriter, length_field};

/// The version of SPDY in the head of each control frame.
const VERSION: u16 = 3;

const SYN_STREAM: u16 = 1;
const SYN_REPLY: u16 = 2;
const RST_STREAM: u16 = 3;
const PING: u16 = 6;
const GOAWAY: u16 = 7;

/// The flag of the last frame of a stream.
const FIN: u8 = 1;

/// The status code with which a `RST_STREAM` frame cancels a stream.
const CANCEL: u32 = 5;

/// Maximum length of a control frame in bytes, without the head of 8 bytes. A data frame can have any length that its
/// length field can express, because the decoder returns the data in parts.
const MAX_CONTROL_LENGTH: usize = 64 * 1024;

/// A frame. A control frame has only the fields that port-forward needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::streams) enum Frame {
    /// Opens a stream.
    SynStream { id: u32, fin: bool, headers: Vec<(String, String)> },
    /// Accepts a stream.
    SynReply { id: u32 },
    /// Ends a stream with an error.
    Reset { id: u32 },
    /// Requests a response: a `Ping` with the same number.
    Ping { number: u32 },
    /// The sender accepts no more streams.
    GoAway { last: u32 },
    /// A part of the data of a stream; `fin` marks the last part.
    Data { id: u32, fin: bool, data: Bytes },
    /// A control frame of any other type, which has no effect.
    Ignored,
}

/// The error for bytes that are not SPDY/3.1.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(in crate::streams) struct SpdyError(pub(super) &'static str);

/// The rest of a data frame whose head is decoded.
#[derive(Clone, Copy, Debug)]
struct DataFrameRest {
    id: u32,
    fin: bool,
    remaining: usize,
}

/// Decodes the frames of a connection.
#[derive(Debug, Default)]
pub(in crate::streams) struct Decoder {
    bytes: BytesMut,
    data: Option<DataFrameRest>,
    headers: HeaderReader,
}

impl Decoder {
    /// Adds received bytes.
    pub(in crate::streams) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The next frame; `None` if more bytes are needed.
    pub(in crate::streams) fn next_frame(&mut self) -> Result<Option<Frame>, SpdyError> {
        if let Some(data) = self.data {
            return Ok(self.next_data(data));
        }
        let Some(head) = self.bytes.first_chunk::<8>() else { return Ok(None) };
        let first = u32::from_be_bytes([head[0], head[1], head[2], head[3]]);
        let flags = head[4];
        let length = (usize::from(head[5]) << 16) | (usize::from(head[6]) << 8) | usize::from(head[7]);
        if first >> 31 == 0 {
            self.bytes.advance(8);
            return Ok(self.next_data(DataFrameRest { id: first, fin: flags & FIN != 0, remaining: length }));
        }
        let version = u16::from_be_bytes([head[0], head[1]]) & 0x7fff;
        let kind = u16::from_be_bytes([head[2], head[3]]);
        if version != VERSION {
            return Err(SpdyError("a frame has another version than SPDY/3"));
        }
        if length > MAX_CONTROL_LENGTH {
            return Err(SpdyError("a control frame is too long"));
        }
        if self.bytes.len() < 8 + length {
            return Ok(None);
        }
        self.bytes.advance(8);
        let payload = self.bytes.split_to(length).freeze();
        self.decode_control(kind, flags, payload).map(Some)
    }

    /// The available part of a data frame.
    fn next_data(&mut self, mut data: DataFrameRest) -> Option<Frame> {
        let size = data.remaining.min(self.bytes.len());
        data.remaining -= size;
        self.data = (data.remaining > 0).then_some(data);
        if size == 0 && data.remaining > 0 {
            return None;
        }
        let bytes = self.bytes.split_to(size).freeze();
        Some(Frame::Data { id: data.id, fin: data.fin && data.remaining == 0, data: bytes })
    }

    fn decode_control(&mut self, kind: u16, flags: u8, mut payload: Bytes) -> Result<Frame, SpdyError> {
        let number = |payload: &mut Bytes| {
            payload.try_get_u32().map_err(|_| SpdyError("a control frame is too short"))
        };
        Ok(match kind {
            SYN_STREAM => {
                let id = number(&mut payload)? & 0x7fff_ffff;
                let _associated = number(&mut payload)?;
                payload.try_get_u16().map_err(|_| SpdyError("a control frame is too short"))?;
                Frame::SynStream { id, fin: flags & FIN != 0, headers: self.headers.read(&payload)? }
            }
            SYN_REPLY => {
                let id = number(&mut payload)? & 0x7fff_ffff;
                // The header blocks of all frames are one compressed stream, so each block must be decompressed.
                self.headers.read(&payload)?;
                Frame::SynReply { id }
            }
            RST_STREAM => Frame::Reset { id: number(&mut payload)? & 0x7fff_ffff },
            PING => Frame::Ping { number: number(&mut payload)? },
            GOAWAY => Frame::GoAway { last: number(&mut payload)? & 0x7fff_ffff },
            _ => Frame::Ignored,
        })
    }
}

/// Encodes the frames of a connection.
#[derive(Debug, Default)]
pub(in crate::streams) struct Encoder {
    headers: HeaderWriter,
}

impl Encoder {
    /// The bytes of a frame. The headers of replies are empty.
    pub(in crate::streams) fn encode(&mut self, frame: Frame) -> Bytes {
        let mut out = BytesMut::new();
        match frame {
            Frame::SynStream { id, fin, headers } => {
                let block = self.headers.write(&headers);
                put_control_head(&mut out, SYN_STREAM, if fin { FIN } else { 0 }, 10 + block.len());
                out.put_u32(id);
                out.put_u32(0);
                out.put_u16(0);
                out.put_slice(&block);
            }
            Frame::SynReply { id } => {
                let block = self.headers.write(&[]);
                put_control_head(&mut out, SYN_REPLY, 0, 4 + block.len());
                out.put_u32(id);
                out.put_slice(&block);
            }
            Frame::Reset { id } => {
                put_control_head(&mut out, RST_STREAM, 0, 8);
                out.put_u32(id);
                out.put_u32(CANCEL);
            }
            Frame::Ping { number } => {
                put_control_head(&mut out, PING, 0, 4);
                out.put_u32(number);
            }
            Frame::GoAway { last } => {
                put_control_head(&mut out, GOAWAY, 0, 8);
                out.put_u32(last);
                out.put_u32(0);
            }
            Frame::Data { id, fin, data } => {
                out.put_u32(id);
                put_flags_and_length(&mut out, if fin { FIN } else { 0 }, data.len());
                out.put_slice(&data);
            }
            Frame::Ignored => {}
        }
        out.freeze()
    }
}

/// Appends the head of a control frame.
fn put_control_head(out: &mut BytesMut, kind: u16, flags: u8, length: usize) {
    out.put_u16(0x8000 | VERSION);
    out.put_u16(kind);
    put_flags_and_length(out, flags, length);
}

/// Appends flags and length. The lengths of the encoded frames fit into the 24 bits of the field.
fn put_flags_and_length(out: &mut BytesMut, flags: u8, length: usize) {
    out.put_u32((u32::from(flags) << 24) | (length_field(length) & 0x00ff_ffff));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn frames_are_decoded_from_parts_of_any_size() {
        let frames = [
            Frame::SynStream {
                id: 1,
                fin: true,
                headers: vec![header("streamtype", "error"), header("port", "80")],
            },
            Frame::SynStream { id: 3, fin: false, headers: vec![header("streamtype", "data")] },
            Frame::SynReply { id: 1 },
            Frame::Ping { number: 7 },
            Frame::Reset { id: 3 },
            Frame::GoAway { last: 3 },
        ];
        let mut encoder = Encoder::default();
        let mut bytes = Vec::new();
        for frame in &frames {
            bytes.extend_from_slice(&encoder.encode(frame.clone()));
        }
        for size in [1, 7, bytes.len()] {
            let mut decoder = Decoder::default();
            let mut found = Vec::new();
            for part in bytes.chunks(size) {
                decoder.push(part);
                while let Some(frame) = decoder.next_frame().unwrap() {
                    found.push(frame);
                }
            }
            assert_eq!(found, frames);
        }
    }

    #[test]
    fn data_is_returned_in_the_parts_that_arrive() {
        let data = Bytes::from_static(b"hello");
        let bytes = Encoder::default().encode(Frame::Data { id: 1, fin: true, data });
        let mut decoder = Decoder::default();
        decoder.push(&bytes[..10]);
        let part =
            |text: &'static [u8], fin| Some(Frame::Data { id: 1, fin, data: Bytes::from_static(text) });
        assert_eq!(decoder.next_frame().unwrap(), part(b"he", false));
        assert_eq!(decoder.next_frame().unwrap(), None);
        decoder.push(&bytes[10..]);
        assert_eq!(decoder.next_frame().unwrap(), part(b"llo", true));
        let empty = Encoder::default().encode(Frame::Data { id: 1, fin: true, data: Bytes::new() });
        decoder.push(&empty);
        assert_eq!(decoder.next_frame().unwrap(), part(b"", true));
    }

    #[test]
    fn malformed_frames_are_errors() {
        let check = |bytes: &[u8]| {
            let mut decoder = Decoder::default();
            decoder.push(bytes);
            assert!(decoder.next_frame().is_err(), "{bytes:?}");
        };
        check(&[0x80, 2, 0, 1, 0, 0, 0, 0]);
        check(&[0x80, 3, 0, 1, 0, 0xff, 0xff, 0xff]);
        check(&[0x80, 3, 0, 6, 0, 0, 0, 1, 0]);
        check(&[0x80, 3, 0, 1, 0, 0, 0, 12, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 2]);
    }
}
