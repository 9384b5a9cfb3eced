//! `Envelope`: the message that contains an object, and names the API version and kind of the object (`runtime.Unknown`
//! of Kubernetes).

use super::reader::{Payload, Reader, fields_1_to_3};
use super::table::{Message, message_of_kind};
use super::transcode::{Result, TranscodeError, bytes_of};

/// The magic number, which precedes an envelope and identifies Kubernetes' Protobuf.
pub(super) const MAGIC_NUMBER: &[u8] = b"k8s\0";

/// The maximum number of characters of an API version or of a kind in an error message.
const MAX_EXCERPT_CHARS: usize = 80;

/// An object with its API version and kind.
pub(super) struct Envelope<'a> {
    pub(super) api_version: &'a str,
    pub(super) kind: &'a str,
    /// The encoded message of the object.
    pub(super) raw: &'a [u8],
}

impl<'a> Envelope<'a> {
    /// Whether `bytes` begin with the magic number before an envelope.
    pub(super) fn has_magic_number(bytes: &[u8]) -> bool {
        bytes.starts_with(MAGIC_NUMBER)
    }

    /// Parses an envelope with its magic number.
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self> {
        let fields = bytes.strip_prefix(MAGIC_NUMBER).ok_or(NO_MAGIC_NUMBER)?;
        let (mut reader, mut found) = (Reader::new(fields), Self { api_version: "", kind: "", raw: &[] });
        while let Some((number, payload)) = reader.next()? {
            match number {
                1 => (found.api_version, found.kind) = parse_types(bytes_of(payload)?)?,
                2 => found.raw = bytes_of(payload)?,
                3 | 4 => check_content(number, bytes_of(payload)?)?,
                _ => {}
            }
        }
        Ok(found)
    }

    /// The API version and kind.
    pub(super) fn types(&self) -> (&'a str, &'a str) {
        (self.api_version, self.kind)
    }

    /// The Protobuf message type of the kind; an error if the table does not contain the kind.
    pub(super) fn message(&self) -> Result<&'static Message> {
        message_of_kind(self.api_version, self.kind).ok_or_else(|| {
            let name = excerpt(self.api_version, self.kind);
            TranscodeError::new(format!("{name} has no Protobuf table: request JSON for this kind"))
        })
    }
}

pub(super) const NO_MAGIC_NUMBER: &str =
    "the body does not begin with the magic number of Kubernetes' Protobuf";

/// Parses the API version and kind of an envelope (`runtime.TypeMeta`).
pub(super) fn parse_types(bytes: &[u8]) -> Result<(&str, &str), &'static str> {
    let [api_version, kind, _] = fields_1_to_3(bytes)?;
    Ok((text_of(api_version)?, text_of(kind)?))
}

/// The text of a value; empty if it is absent.
pub(super) fn text_of(payload: Option<Payload<'_>>) -> Result<&str, &'static str> {
    std::str::from_utf8(payload.map_or(Ok(&[][..]), bytes_of)?).map_err(|_| "bytes that are not UTF-8")
}

/// Checks the content encoding (`number` 3) or the content type (`number` 4) of an envelope. Kubernetes leaves both
/// empty. The content type may also be the media type of Protobuf.
pub(super) fn check_content(number: u64, value: &[u8]) -> Result<(), &'static str> {
    match (number, value) {
        (_, []) => Ok(()),
        (4, value) if value.starts_with(super::MEDIA_TYPE.as_bytes()) => Ok(()),
        _ => Err("the content of the envelope is compressed, or not Protobuf"),
    }
}

/// Shortens and escapes an API version and a kind from a server, for an error message.
pub(super) fn excerpt(api_version: &str, kind: &str) -> String {
    let short =
        |text: &str| text.chars().take(MAX_EXCERPT_CHARS).collect::<String>().escape_debug().to_string();
    format!("{} {}", short(api_version), short(kind))
}
