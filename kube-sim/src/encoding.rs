//! The JSON forms of durations and of bytes, for the data that users write and read: fault rules and the journal.

/// Durations as text, such as `1.5s`, `200ms` or `1m 30s`.
pub(crate) mod duration {
    use std::time::Duration;

    use jiff::SignedDuration;
    use jiff::fmt::friendly::{SpanParser, SpanPrinter};
    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    /// Parses the text of a duration.
    ///
    /// # Errors
    /// If `text` is not a duration, or the duration is negative. The error describes the expected form.
    pub(crate) fn parse(text: &str) -> Result<Duration, String> {
        let parsed = SpanParser::new().parse_duration(text).ok();
        parsed.and_then(|duration| Duration::try_from(duration).ok()).ok_or_else(|| {
            format!("{text:?} is not a duration: expected a text such as \"1.5s\" or \"200ms\"")
        })
    }

    /// The text of a duration, in the form that [`parse`] reads.
    pub(crate) fn format(duration: Duration) -> String {
        let signed = SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX);
        SpanPrinter::new().duration_to_string(&signed)
    }

    pub(crate) fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&format(*duration))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }

    /// The JSON form of an optional duration. A field that is `None` must be omitted: `deserialize` does not accept null.
    pub(crate) mod optional {
        use std::time::Duration;

        use serde::{Deserializer, Serializer};

        #[expect(clippy::ref_option, reason = "serde calls it with a reference to the field")]
        pub(crate) fn serialize<S: Serializer>(
            duration: &Option<Duration>,
            serializer: S,
        ) -> Result<S::Ok, S::Error> {
            match duration {
                Some(duration) => super::serialize(duration, serializer),
                None => serializer.serialize_none(),
            }
        }

        pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
            deserializer: D,
        ) -> Result<Option<Duration>, D::Error> {
            super::deserialize(deserializer).map(Some)
        }
    }
}

/// Bytes as a text, or as `{"base64": ".."}` if the bytes are not UTF-8.
pub(crate) mod bytes {
    use ::bytes::Bytes;
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    #[serde(untagged)]
    enum TextOrBase64 {
        Text(String),
        Base64 { base64: String },
    }

    pub(crate) fn serialize<S: Serializer>(bytes: &Bytes, serializer: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(bytes) {
            Ok(text) => serializer.serialize_str(text),
            Err(_) => TextOrBase64::Base64 { base64: STANDARD.encode(bytes) }.serialize(serializer),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
        match TextOrBase64::deserialize(deserializer)? {
            TextOrBase64::Text(text) => Ok(text.into()),
            TextOrBase64::Base64 { base64 } => {
                STANDARD.decode(base64).map(Bytes::from).map_err(D::Error::custom)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde::{Deserialize, Serialize};

    use super::*;

    #[derive(Serialize, Deserialize)]
    struct Values {
        #[serde(with = "duration")]
        time: Duration,
        #[serde(with = "bytes")]
        bytes: ::bytes::Bytes,
    }

    #[test]
    fn readable_durations_and_bytes_survive_a_round_trip() {
        for (json, millis, bytes) in [
            (r#"{"time":"1s 500ms","bytes":"a\n"}"#, 1_500, &b"a\n"[..]),
            (r#"{"time":"200ms","bytes":{"base64":"/w=="}}"#, 200, &b"\xff"[..]),
        ] {
            let values: Values = serde_json::from_str(json).unwrap();
            assert_eq!((values.time, &values.bytes[..]), (Duration::from_millis(millis), bytes));
            assert_eq!(serde_json::to_string(&values).unwrap(), json);
        }
        assert_eq!(duration::parse("1.5s"), Ok(Duration::from_millis(1_500)));
        for wrong in ["", "5", "-5s", "soon"] {
            assert!(duration::parse(wrong).unwrap_err().contains("expected a text such as"), "{wrong}");
        }
    }
}
