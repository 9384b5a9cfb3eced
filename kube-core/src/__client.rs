//! Items for kube-client, which no other crate may use. They can change in every release.

pub use crate::field_set::FieldNode;
pub use crate::null::null_as_default;
pub use crate::redact::{redact_decode_error, remove_quoted_values};
pub use crate::timestamp::nearest_timestamp_if_out_of_range;
