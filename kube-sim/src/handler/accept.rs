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
    /// The version of a `Table` or of partial metadata.
    pub(crate) version: MetaVersion,
}

/// A version of the group `meta.k8s.io`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MetaVersion {
    V1,
    V1Beta1,
}

impl MetaVersion {
    /// The `apiVersion` of a `Table` or of partial metadata.
    pub(crate) fn api_version(self) -> &'static str {
        match self {
            Self::V1 => "meta.k8s.io/v1",
            Self::V1Beta1 => "meta.k8s.io/v1beta1",
        }
    }
}

/// The whole object as JSON: the default for a request without an `Accept` header.
pub(crate) const JSON: Accept =
    Accept { shape: Shape::Plain, encoding: Encoding::Json, version: MetaVersion::V1 };

/// The media types of objects. The messages of 406 responses list them.
pub(crate) const MEDIA_TYPES: &str =
    "application/json, application/yaml, application/vnd.kubernetes.protobuf";
/// The media types of the events of a watch.
const WATCH_MEDIA_TYPES: &str =
    "application/json;stream=watch, application/vnd.kubernetes.protobuf;stream=watch";

/// The kind of the requested endpoint. The media types that the server offers depend on the kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Endpoint {
    /// One object.
    Object,
    /// A collection, which can be watched.
    Collection,
    /// A watch.
    Watch,
}

/// The representations that an endpoint offers.
#[derive(Clone, Copy)]
pub(crate) struct Offer<'a> {
    pub(crate) endpoint: Endpoint,
    /// Whether whole objects are offered in Protobuf. Partial metadata is always offered in Protobuf, a table never.
    pub(crate) protobuf: bool,
    /// Returns the Go type for error messages: the type of a list if the argument is true, otherwise the type of one
    /// object.
    pub(crate) go_type: &'a dyn Fn(bool) -> String,
}

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

/// Selects a representation: the first media type in the `Accept` header that the server supports, in the order of the
/// quality values (`q`). `include_object` is the query parameter `includeObject`, which applies only to a `Table`.
///
/// # Errors
/// 406 if the server supports none of the media types, if the client requests a list as `PartialObjectMetadata`, or if
/// the client requests one object as `PartialObjectMetadataList`; 400 for a `Table` with an unknown `include_object`.
pub(crate) fn negotiate(header: &str, include_object: &str, offer: &Offer<'_>) -> Result<Accept, SimError> {
    let Offer { endpoint, protobuf, go_type } = *offer;
    if header.trim().is_empty() {
        return Ok(JSON);
    }
    let mut entries: Vec<_> = header_entries(header).collect();
    let known = |media: &str| {
        matches!(media, "*/*" | "application/json" | "application/yaml" | crate::protobuf::MEDIA_TYPE)
    };
    // In the API server, the router refuses a request if the router knows no media type in the `Accept`
    // header. The router does not read the parameters of media types.
    if !entries.iter().any(|(media, _)| known(media)) {
        let offered = match endpoint {
            Endpoint::Object => MEDIA_TYPES.to_owned(),
            Endpoint::Collection | Endpoint::Watch => format!("{MEDIA_TYPES}, {WATCH_MEDIA_TYPES}"),
        };
        return Err(SimError::not_routable(&offered));
    }
    entries.sort_by_key(|(_, parameters)| std::cmp::Reverse(quality(parameters)));
    for (media, parameters) in entries {
        let encoding = match media.as_str() {
            "application/json" | "*/*" | "application/*" => Encoding::Json,
            "application/yaml" if endpoint != Endpoint::Watch => Encoding::Yaml,
            crate::protobuf::MEDIA_TYPE => Encoding::Protobuf,
            _ => continue,
        };
        let find = |key: &str| parameters.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str());
        if find("stream").is_some_and(|s| s != "watch") {
            continue;
        }
        let is_meta = find("g").is_none_or(|g| g == "meta.k8s.io");
        let version = match find("v") {
            None | Some("v1") => MetaVersion::V1,
            Some("v1beta1") => MetaVersion::V1Beta1,
            Some(_) if find("as").is_some() => continue,
            Some(_) => MetaVersion::V1,
        };
        let is_list = endpoint != Endpoint::Object;
        let shape = match find("as") {
            None => Shape::Plain,
            Some(_) if !is_meta => continue,
            Some("Table") => Shape::Table(RowObject::parse(include_object)?),
            Some(kind @ "PartialObjectMetadata") if endpoint == Endpoint::Collection => {
                return Err(SimError::not_acceptable_form(kind, is_list, &go_type(is_list)));
            }
            Some(kind @ "PartialObjectMetadataList") if !is_list => {
                return Err(SimError::not_acceptable_form(kind, is_list, &go_type(is_list)));
            }
            Some("PartialObjectMetadata" | "PartialObjectMetadataList") => Shape::Partial,
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
        return Ok(Accept { shape, encoding, version });
    }
    let offered = if endpoint == Endpoint::Watch { WATCH_MEDIA_TYPES } else { MEDIA_TYPES };
    Err(SimError::not_acceptable(offered))
}

/// The quality value (`q`) of a media type, in thousandths; 1000 if it is absent or does not parse.
fn quality(parameters: &[(String, String)]) -> u16 {
    let given =
        parameters.iter().find(|(key, _)| key == "q").and_then(|(_, value)| value.parse::<f32>().ok());
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the value is between 0 and 1000"
    )]
    given.map_or(1_000, |quality| (quality.clamp(0.0, 1.0) * 1_000.0) as u16)
}

/// The serialization of a response with a `Status`: YAML or Protobuf if it is the first media type of the `Accept`
/// header, otherwise JSON.
pub(crate) fn status_encoding(header: &str) -> Encoding {
    match header_entries(header).next() {
        Some((media, _)) if media == "application/yaml" => Encoding::Yaml,
        Some((media, _)) if media == crate::protobuf::MEDIA_TYPE => Encoding::Protobuf,
        _ => Encoding::Json,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(protobuf: bool) -> Offer<'static> {
        Offer { endpoint: Endpoint::Object, protobuf, go_type: &|_| String::new() }
    }

    #[track_caller]
    fn check_negotiation(header: &str, expected: Option<(Shape, Encoding)>) {
        let got = negotiate(header, "", &offer(false)).ok().map(|a| (a.shape, a.encoding));
        assert_eq!(got, expected, "{header}");
    }

    #[test]
    fn negotiation_selects_the_preferred_supported_media_type() {
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
            "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1",
            json(Shape::Partial),
        );
        check_negotiation("application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1", None);
        check_negotiation("application/json;q=0.1, application/yaml", Some((Shape::Plain, Encoding::Yaml)));
        check_negotiation("application/yaml", Some((Shape::Plain, Encoding::Yaml)));
        check_negotiation("application/vnd.kubernetes.protobuf", None);
        check_negotiation(
            "application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json",
            Some((Shape::Partial, Encoding::Protobuf)),
        );
        check_negotiation("application/vnd.kubernetes.protobuf;as=Table;g=meta.k8s.io;v=v1", None);
        let built_in =
            negotiate("application/vnd.kubernetes.protobuf,application/json", "", &offer(true)).unwrap();
        assert_eq!((built_in.shape, built_in.encoding), (Shape::Plain, Encoding::Protobuf));
        check_negotiation("text/html", None);
    }
}
