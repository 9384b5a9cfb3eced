//! The subset of HTTP/1.1 that the bench needs. This module reads the target and a few headers of a request, and writes
//! prepared bytes.

use std::io::{self, BufRead, Write};

use crate::format::Format;

/// The maximum length of a line of a request, in bytes.
const MAX_LINE_BYTES: u64 = 64 << 10;
/// A limit in bytes. [`ChunkedResponse`] sends its buffer when the buffer has reached this limit. [`respond_in_format`]
/// sends the head and a body below this limit in one write, and sends the parts of a longer body in separate writes.
const FLUSH_BYTES: usize = 128 << 10;

/// The parts of a request that the server uses.
#[derive(Debug)]
pub(crate) struct Request {
    /// Path and query.
    pub(crate) target: String,
    /// The format of the response.
    pub(crate) format: Format,
    /// The offer to switch to a WebSocket, if the request has one.
    pub(crate) websocket: Option<WebSocketOffer>,
}

/// The offer of a client to switch to a WebSocket.
#[derive(Debug, Default)]
pub(crate) struct WebSocketOffer {
    /// The value of `Sec-WebSocket-Key`.
    pub(crate) key: String,
    /// The values of `Sec-WebSocket-Protocol`.
    pub(crate) protocols: Vec<String>,
}

/// Reads the next request; `None` if the peer closed the connection. The body is discarded.
pub(crate) fn next_request(reader: &mut impl BufRead) -> io::Result<Option<Request>> {
    let Some(first) = read_line(reader)? else { return Ok(None) };
    let bad = |problem: &str| io::Error::new(io::ErrorKind::InvalidData, problem.to_owned());
    let target = first.split(' ').nth(1).ok_or_else(|| bad("a request line without a target"))?.to_owned();
    let (mut body, mut format, mut offer) = (0, Format::Json, WebSocketOffer::default());
    while let Some(header) = read_line(reader)?.filter(|line| !line.is_empty()) {
        let Some((name, value)) = header.split_once(':') else { continue };
        let value = value.trim();
        if name.eq_ignore_ascii_case("content-length") {
            body = value.parse().map_err(|_| bad("a content length that is not a number"))?;
        } else if name.eq_ignore_ascii_case("accept") {
            format = Format::from_accept_header(value);
        } else if name.eq_ignore_ascii_case("sec-websocket-key") {
            value.clone_into(&mut offer.key);
        } else if name.eq_ignore_ascii_case("sec-websocket-protocol") {
            offer.protocols.extend(value.split(',').map(|protocol| protocol.trim().to_owned()));
        }
    }
    io::copy(&mut io::Read::take(&mut *reader, body), &mut io::sink())?;
    Ok(Some(Request { target, format, websocket: (!offer.key.is_empty()).then_some(offer) }))
}

/// Reads a line without its line break; `None` at the end of the stream.
fn read_line(reader: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut line = String::new();
    let read = io::Read::take(&mut *reader, MAX_LINE_BYTES).read_line(&mut line)?;
    Ok((read > 0).then(|| line.trim_end().to_owned()))
}

/// Sends a response with the media type of JSON. The body is the concatenation of `parts`.
pub(crate) fn respond(out: &mut impl Write, status: &str, parts: &[&[u8]]) -> io::Result<()> {
    respond_in_format(Format::Json, out, status, parts)
}

/// Sends a response with the media type of `format`. The body is the concatenation of `parts`.
pub(crate) fn respond_in_format(
    format: Format,
    out: &mut impl Write,
    status: &str,
    parts: &[&[u8]],
) -> io::Result<()> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let media_type = format.media_type();
    let head = format!("HTTP/1.1 {status}\r\nContent-Type: {media_type}\r\nContent-Length: {length}\r\n\r\n");
    // The server's sockets have TCP_NODELAY, so each write sends a packet. Thus a short response is one write.
    if length < FLUSH_BYTES {
        return out.write_all(&[&[head.as_bytes()], parts].concat().concat());
    }
    out.write_all(head.as_bytes())?;
    parts.iter().try_for_each(|part| out.write_all(part))
}

/// Appends one HTTP chunk whose data is the concatenation of `parts`.
pub(crate) fn append_chunk(out: &mut Vec<u8>, parts: &[&[u8]]) {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    out.extend_from_slice(format!("{length:x}\r\n").as_bytes());
    for part in parts {
        out.extend_from_slice(part);
    }
    out.extend_from_slice(b"\r\n");
}

/// The writer of a response to a watch. Each watch event is one HTTP chunk, as in the responses of kube-apiserver.
#[derive(Debug)]
pub(crate) struct ChunkedResponse<'a, W: Write> {
    out: &'a mut W,
    format: Format,
    buffer: Vec<u8>,
}

impl<'a, W: Write> ChunkedResponse<'a, W> {
    /// Sends the response head.
    pub(crate) fn begin(out: &'a mut W, format: Format) -> io::Result<Self> {
        let media_type = format.watch_media_type();
        write!(out, "HTTP/1.1 200 OK\r\nContent-Type: {media_type}\r\nTransfer-Encoding: chunked\r\n\r\n")?;
        Ok(Self { out, format, buffer: Vec::with_capacity(2 * FLUSH_BYTES) })
    }

    /// Buffers an event; `object` has the parts of the encoded object. Sends the buffer if it has reached [`FLUSH_BYTES`].
    pub(crate) fn push_event(&mut self, event_type: &str, object: [&[u8]; 3]) -> io::Result<()> {
        self.format.append_event(event_type, object, &mut self.buffer);
        if self.buffer.len() >= FLUSH_BYTES { self.flush() } else { Ok(()) }
    }

    /// Flushes the buffer, then sends chunks that are already encoded.
    pub(crate) fn write_encoded_chunks(&mut self, chunks: &[u8]) -> io::Result<()> {
        self.flush()?;
        self.out.write_all(chunks)
    }

    /// Sends the buffered chunks.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.out.write_all(&self.buffer)?;
        self.buffer.clear();
        Ok(())
    }

    /// Ends the response.
    pub(crate) fn end(mut self) -> io::Result<()> {
        self.buffer.extend_from_slice(b"0\r\n\r\n");
        self.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pipelined_requests_are_read() {
        let text = "GET /a?b=c HTTP/1.1\r\nHost: x\r\naccept: application/json\r\n\r\nPOST /d HTTP/1.1\r\ncontent-length: 3\r\n\r\nxyzGET /e HTTP/1.1\r\n\r\n";
        let mut reader = text.as_bytes();
        let mut targets = Vec::new();
        while let Some(request) = next_request(&mut reader).unwrap() {
            assert!(request.websocket.is_none());
            targets.push(request.target);
        }
        assert_eq!(targets, ["/a?b=c", "/d", "/e"]);
    }

    #[test]
    fn the_websocket_offer_of_a_request_is_read() {
        let text = "GET /x HTTP/1.1\r\nsec-websocket-key: k\r\nSec-WebSocket-Protocol: a, b\r\n\r\n";
        let request = next_request(&mut text.as_bytes()).unwrap().unwrap();
        let offer = request.websocket.unwrap();
        assert_eq!((offer.key.as_str(), offer.protocols), ("k", vec!["a".to_owned(), "b".to_owned()]));
    }

    #[test]
    fn each_event_becomes_one_chunk() {
        let mut out = Vec::new();
        let mut chunks = ChunkedResponse::begin(&mut out, Format::Json).unwrap();
        chunks.push_event("A", [b"1", b"2", b"3"]).unwrap();
        chunks.write_encoded_chunks(b"1\r\nd\r\n").unwrap();
        chunks.end().unwrap();
        assert!(out.ends_with(b"\r\n\r\n1a\r\n{\"type\":\"A\",\"object\":123}\n\r\n1\r\nd\r\n0\r\n\r\n"));
    }
}
