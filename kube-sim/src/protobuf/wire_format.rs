//! The Protobuf wire format. A message is a sequence of fields. A field has a number and a value. The value is an
//! integer of variable length, a value of 32 or 64 bits, or a byte string.

/// The encoded value of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WireValue<'a> {
    Varint(u64),
    /// A value of 32 or 64 bits.
    Fixed(u64),
    Bytes(&'a [u8]),
}

/// Parses the fields of one message.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

fn truncated_error() -> String {
    "the message ends in the middle of a field".to_owned()
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Returns the number and the value of the next field, or `None` at the end of the message.
    pub(super) fn next_field(&mut self) -> Result<Option<(u64, WireValue<'a>)>, String> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let tag = self.read_varint()?;
        let wire = match tag & 7 {
            0 => WireValue::Varint(self.read_varint()?),
            1 => WireValue::Fixed(u64::from_le_bytes(
                self.take_bytes(8)?.try_into().map_err(|_| truncated_error())?,
            )),
            2 => {
                let length = usize::try_from(self.read_varint()?).map_err(|_| truncated_error())?;
                WireValue::Bytes(self.take_bytes(length)?)
            }
            5 => {
                let bytes: [u8; 4] = self.take_bytes(4)?.try_into().map_err(|_| truncated_error())?;
                WireValue::Fixed(u64::from(u32::from_le_bytes(bytes)))
            }
            other => return Err(format!("wire type {other} is not supported")),
        };
        Ok(Some((tag >> 3, wire)))
    }

    fn take_bytes(&mut self, length: usize) -> Result<&'a [u8], String> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or_else(truncated_error)?;
        self.rest = rest;
        Ok(taken)
    }

    fn read_varint(&mut self) -> Result<u64, String> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.take_bytes(1)?[0];
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err("a number is longer than 64 bits".to_owned())
    }
}
