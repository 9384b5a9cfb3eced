//! Content negotiation: the `Accept` header selects the representation of a response.

use crate::status::SimError;

/// The representation of an object in a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// The whole object.
    Plain,
    /// A `Table`, from which `kubectl get` prints rows and columns.
    Table(RowObject),
    /// Only `apiVersion`, `kind` and `metadata`, as `PartialObjectMetadata`.
    Partial,
}

/// The object in each row of a table (`includeObject` of `TableOptions`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RowObject {
    None,
    Metadata,
    Object,
}

impl RowObject {
    /// Parses the query parameter `includeObject`.
    fn parse(text: &str) -> Result<Self, SimError> {
        match text {
            "None" => Ok(Self::None),
            "" | "Metadata" => Ok(Self::Metadata),
            "Object" => Ok(Self::Object),
            _ => Err(SimError::bad_request(format!(
                "Unable to convert to Table as requested: includeObject: Invalid value: {text:?}: must be 'Metadata', \
                 'Object', 'None', or empty"
            ))),
        }
    }
}

/// The serialization of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Json,
    Yaml,
    Protobuf,
}

/// The result of content negotiation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Accept {
    pub(crate) shape: Shape,
    pub(crate) encoding: Encoding,
}

/// The whole object as JSON: the default for a request without an `Accept` header.
pub(crate) const JSON: Accept = Accept { shape: Shape::Plain, encoding: Encoding::Json };

/// The supported media types. The message of a 406 response lists them.
const SUPPORTED_MEDIA_TYPES: &str = "application/json, application/yaml, application/json;stream=watch";
/// The same, for a kind with a Protobuf message.
const SUPPORTED_WITH_PROTOBUF: &str = "application/json, application/yaml, application/vnd.kubernetes.protobuf, \
     application/json;stream=watch, application/vnd.kubernetes.protobuf;stream=watch";

/// The entries of an `Accept` header, each as its media type and its parameters.
pub(crate) fn header_entries(header: &str) -> impl Iterator<Item = (String, Vec<(String, String)>)> + '_ {
    header.split(',').filter_map(|entry| {
        let mut parts = entry.split(';').map(str::trim);
        let media = parts.next()?.to_ascii_lowercase();
        let parameters = parts
            .filter_map(|p| p.split_once('='))
            .map(|(k, v)| (k.trim().to_ascii_lowercase(), v.trim().trim_matches('"').to_owned()))
            .collect();
        (!media.is_empty()).then_some((media, parameters))
    })
}

/// Selects the first media type of the header that the server supports. `include_object` is the query parameter
/// `includeObject`, which applies only to a `Table`. `protobuf` is whether the kind has a Protobuf message; the metadata of
/// all kinds has one, and tables have none.
///
/// # Errors
/// 406 if the server supports none of the media types; 400 for a `Table` with an unknown `include_object`.
pub(crate) fn negotiate(header: &str, include_object: &str, protobuf: bool) -> Result<Accept, SimError> {
    if header.trim().is_empty() {
        return Ok(JSON);
    }
    for (media, parameters) in header_entries(header) {
        let encoding = match media.as_str() {
            "application/json" | "*/*" | "application/*" => Encoding::Json,
            "application/yaml" => Encoding::Yaml,
            crate::protobuf::MEDIA_TYPE => Encoding::Protobuf,
            _ => continue,
        };
        let find = |key: &str| parameters.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str());
        if find("stream").is_some_and(|s| s != "watch") {
            continue;
        }
        let known_group = find("g").is_none_or(|g| g == "meta.k8s.io");
        let known_version = find("v").is_none_or(|v| matches!(v, "v1" | "v1beta1"));
        let shape = match find("as") {
            None => Shape::Plain,
            Some("Table") if known_group && known_version => Shape::Table(RowObject::parse(include_object)?),
            Some("PartialObjectMetadata" | "PartialObjectMetadataList") if known_group && known_version => {
                Shape::Partial
            }
            Some(_) => continue,
        };
        let has_protobuf = match shape {
            Shape::Plain => protobuf,
            Shape::Partial => true,
            Shape::Table(_) => false,
        };
        if encoding == Encoding::Protobuf && !has_protobuf {
            continue;
        }
        return Ok(Accept { shape, encoding });
    }
    Err(SimError::not_acceptable(if protobuf { SUPPORTED_WITH_PROTOBUF } else { SUPPORTED_MEDIA_TYPES }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_negotiation(header: &str, expected: Option<(Shape, Encoding)>) {
        let got = negotiate(header, "", false).ok().map(|a| (a.shape, a.encoding));
        assert_eq!(got, expected, "{header}");
    }

    #[test]
    fn selects_the_first_supported_media_type() {
        let json = |shape| Some((shape, Encoding::Json));
        check_negotiation("", json(Shape::Plain));
        check_negotiation("application/json", json(Shape::Plain));
        check_negotiation("*/*", json(Shape::Plain));
        check_negotiation("application/vnd.kubernetes.protobuf,application/json", json(Shape::Plain));
        check_negotiation(
            "application/json;as=Table;v=v1;g=meta.k8s.io,application/json",
            json(Shape::Table(RowObject::Metadata)),
        );
        check_negotiation(
            "application/json;as=Table;v=v9;g=meta.k8s.io,application/json",
            json(Shape::Plain),
        );
        check_negotiation(
            "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1",
            json(Shape::Partial),
        );
        check_negotiation("application/yaml", Some((Shape::Plain, Encoding::Yaml)));
        check_negotiation("application/vnd.kubernetes.protobuf", None);
        check_negotiation(
            "application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json",
            Some((Shape::Partial, Encoding::Protobuf)),
        );
        check_negotiation("application/vnd.kubernetes.protobuf;as=Table;g=meta.k8s.io;v=v1", None);
        let built_in = negotiate("application/vnd.kubernetes.protobuf,application/json", "", true).unwrap();
        assert_eq!((built_in.shape, built_in.encoding), (Shape::Plain, Encoding::Protobuf));
        check_negotiation("text/html", None);
    }
}
