//! The JSON forms of those fields of an entry that serde cannot read or write by itself.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

/// The values of `Entry::verb`.
const VERBS: [&str; 9] =
    ["", "create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];

pub(super) fn deserialize_verb<'de, D: Deserializer<'de>>(deserializer: D) -> Result<&'static str, D::Error> {
    let text = String::deserialize(deserializer)?;
    let known = VERBS.into_iter().find(|verb| *verb == text);
    known.ok_or_else(|| D::Error::custom(format!("{text:?} is not a verb: expected one of {VERBS:?}")))
}

/// The JSON form of a method: its name.
pub(super) mod method {
    use http::Method;
    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(in super::super) fn serialize<S: Serializer>(
        method: &Method,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(method.as_str())
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Method, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// The JSON form of an optional status: its number or null.
pub(super) mod status {
    use http::StatusCode;
    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    #[expect(
        clippy::ref_option,
        clippy::trivially_copy_pass_by_ref,
        reason = "serde calls it with a reference to the field"
    )]
    pub(in super::super) fn serialize<S: Serializer>(
        status: &Option<StatusCode>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        status.map(|status| status.as_u16()).serialize(serializer)
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<StatusCode>, D::Error> {
        let code = Option::<u16>::deserialize(deserializer)?;
        code.map(StatusCode::from_u16).transpose().map_err(D::Error::custom)
    }
}
