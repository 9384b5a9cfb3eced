//! The Protobuf wire format: a message consists of fields. Each field has a field number, and a value: a number or
//! bytes. This module knows no message types.

/// The value of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Payload<'a> {
    Varint(u64),
    Fixed64(u64),
    /// A value of 32 bits, which Kubernetes does not use.
    Fixed32,
    Bytes(&'a [u8]),
}

/// The beginning of a field: its number, and its value or the length of the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) number: u64,
    pub(super) value: HeaderValue,
    /// The number of bytes of the header.
    pub(super) length: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HeaderValue {
    /// The value is in the header.
    Varint(u64),
    /// A value of this many bytes follows.
    Bytes(u64),
    /// A number of this many bytes follows: 4 or 8.
    Fixed(usize),
}

pub(super) const TRUNCATED_FIELD: &str = "the bytes end in the middle of a field";

/// Parses the header of the field at the beginning of `bytes`; `Ok(None)` if `bytes` ends within the header.
#[inline]
pub(super) fn parse_header(bytes: &[u8]) -> Result<Option<Header>, &'static str> {
    let Some((tag, after_tag)) = parse_varint(bytes)? else { return Ok(None) };
    let number = tag >> 3;
    if number == 0 || number >= 1 << 29 {
        return Err("a field has an invalid number");
    }
    let value = match tag & 7 {
        wire_type @ (0 | 2) => {
            let Some((value, length)) = parse_varint(&bytes[after_tag..])? else { return Ok(None) };
            let length = after_tag + length;
            let value = if wire_type == 0 { HeaderValue::Varint(value) } else { HeaderValue::Bytes(value) };
            return Ok(Some(Header { number, value, length }));
        }
        1 => HeaderValue::Fixed(8),
        5 => HeaderValue::Fixed(4),
        3 | 4 => return Err("groups are not supported"),
        _ => return Err("a field has an unknown wire type"),
    };
    Ok(Some(Header { number, value, length: after_tag }))
}

/// Parses a number of at most 64 bits. Returns the number and its length in bytes; `Ok(None)` if `bytes` ends within the
/// number.
#[inline]
fn parse_varint(bytes: &[u8]) -> Result<Option<(u64, usize)>, &'static str> {
    match bytes.first() {
        Some(byte) if *byte < 0x80 => Ok(Some((u64::from(*byte), 1))),
        _ => parse_long_varint(bytes),
    }
}

fn parse_long_varint(bytes: &[u8]) -> Result<Option<(u64, usize)>, &'static str> {
    let mut value = 0;
    for (at, byte) in bytes.iter().take(10).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * at);
        if *byte < 0x80 {
            return if at == 9 && *byte > 1 {
                Err("a number is longer than 64 bits")
            } else {
                Ok(Some((value, at + 1)))
            };
        }
    }
    if bytes.len() < 10 { Ok(None) } else { Err("a number is longer than 64 bits") }
}

/// Reads the fields of one message.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The number and the value of the next field; `None` at the end of the message.
    #[inline]
    pub(super) fn next(&mut self) -> Result<Option<(u64, Payload<'a>)>, &'static str> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let Header { number, value, length } = parse_header(self.rest)?.ok_or(TRUNCATED_FIELD)?;
        let after = &self.rest[length..];
        let (payload, rest) = match value {
            HeaderValue::Varint(value) => (Payload::Varint(value), after),
            HeaderValue::Bytes(length) => {
                let length = usize::try_from(length).map_err(|_| TRUNCATED_FIELD)?;
                let (bytes, rest) = after.split_at_checked(length).ok_or(TRUNCATED_FIELD)?;
                (Payload::Bytes(bytes), rest)
            }
            HeaderValue::Fixed(4) => (Payload::Fixed32, after.get(4..).ok_or(TRUNCATED_FIELD)?),
            HeaderValue::Fixed(_) => {
                let (bytes, rest) = after.split_first_chunk().ok_or(TRUNCATED_FIELD)?;
                (Payload::Fixed64(u64::from_le_bytes(*bytes)), rest)
            }
        };
        self.rest = rest;
        Ok(Some((number, payload)))
    }

    /// Returns the value of the next field if the field number is `number`. Otherwise, returns `None`, and the field stays
    /// unread.
    #[inline]
    pub(super) fn next_if_field_is(&mut self, number: u16) -> Result<Option<Payload<'a>>, &'static str> {
        let before = *self;
        match self.next()? {
            Some((found, payload)) if found == u64::from(number) => Ok(Some(payload)),
            _ => {
                *self = before;
                Ok(None)
            }
        }
    }
}

/// The values of the fields 1, 2 and 3 in a message. If a field occurs more than once, returns its last value.
pub(super) fn fields_1_to_3(bytes: &[u8]) -> Result<[Option<Payload<'_>>; 3], &'static str> {
    let (mut reader, mut found) = (Reader::new(bytes), [None; 3]);
    while let Some((number, payload)) = reader.next()? {
        let slot = number.checked_sub(1).and_then(|at| usize::try_from(at).ok());
        if let Some(slot) = slot.and_then(|at| found.get_mut(at)) {
            *slot = Some(payload);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_supported_wire_type_is_read() {
        let bytes = [0x08, 0x96, 0x01, 0x12, 2, b'h', b'i', 0x19, 1, 0, 0, 0, 0, 0, 0, 0, 0x25, 1, 0, 0, 0];
        let mut reader = Reader::new(&bytes);
        assert_eq!(reader.next(), Ok(Some((1, Payload::Varint(150)))));
        assert_eq!(reader.next_if_field_is(3), Ok(None));
        assert_eq!(reader.next_if_field_is(2), Ok(Some(Payload::Bytes(b"hi"))));
        assert_eq!(reader.next(), Ok(Some((3, Payload::Fixed64(1)))));
        assert_eq!(reader.next(), Ok(Some((4, Payload::Fixed32))));
        assert_eq!(reader.next(), Ok(None));
        for end in 1..bytes.len() {
            let mut reader = Reader::new(&bytes[..end]);
            let error = loop {
                match reader.next() {
                    Ok(Some(_)) => {}
                    Ok(None) => break None,
                    Err(error) => break Some(error),
                }
            };
            assert_eq!(error, (![3, 7, 16].contains(&end)).then_some(TRUNCATED_FIELD), "{end}");
        }
    }

    #[test]
    fn malformed_fields_are_rejected() {
        let error = |bytes: &[u8]| Reader::new(bytes).next().unwrap_err();
        assert_eq!(error(&[0x80]), TRUNCATED_FIELD);
        assert_eq!(error(&[0x08, 0xff, 0xff]), TRUNCATED_FIELD);
        assert_eq!(error(&[0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f]), TRUNCATED_FIELD, "4 GiB");
        assert!(
            error(&[0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02]).contains("64 bits")
        );
        assert!(error(&[[0x08].as_slice(), &[0xff; 12]].concat()).contains("64 bits"));
        assert!(error(&[0x0b]).contains("groups") && error(&[0x0c]).contains("groups"));
        assert!(error(&[0x0e]).contains("wire type") && error(&[0x0f]).contains("wire type"));
        assert!(error(&[0x00, 0x00]).contains("number"));
    }
}
