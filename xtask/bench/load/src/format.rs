//! `Format`: JSON or Protobuf. Each object is encoded in Protobuf only once. The encoder is part of kube-sim,
//! and shares no code with the contenders.

use crate::http::append_chunk;
use crate::protobuf::encode::{encode_without_envelope, envelope, put_bytes};
use crate::protobuf::{encode, encode_event};

/// The media type of Protobuf.
const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";
/// The field number of `items` in the Protobuf message of a list.
const ITEMS_FIELD: u64 = 2;

/// The format of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Json,
    Protobuf,
}

/// The `apiVersion` and `kind` of a set of objects.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TypeInfo {
    pub(crate) api_version: &'static str,
    pub(crate) kind: &'static str,
    /// Whether the objects are custom resources. Custom resources have no Protobuf encoding, and the items of their
    /// lists have `apiVersion` and `kind`. The items of lists of built-in kinds have neither field.
    pub(crate) custom: bool,
}

/// An encoded body in three parts, so that prepared bytes are not copied.
#[derive(Debug)]
pub(crate) struct Body<'a> {
    head: Vec<u8>,
    content: &'a [u8],
    tail: &'static [u8],
}

impl Body<'_> {
    pub(crate) fn parts(&self) -> [&[u8]; 3] {
        [&self.head, self.content, self.tail]
    }
}

impl Format {
    /// The format of the first media type in the value of an `Accept` header.
    pub(crate) fn from_accept_header(value: &str) -> Self {
        if value.trim_start().starts_with(PROTOBUF) { Self::Protobuf } else { Self::Json }
    }

    /// The media type of an object or a list.
    pub(crate) fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Protobuf => PROTOBUF,
        }
    }

    /// The media type of a watch.
    pub(crate) fn watch_media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Protobuf => "application/vnd.kubernetes.protobuf;stream=watch",
        }
    }

    /// Appends an object as an item of a list, without a separator. `json` is the object.
    pub(crate) fn append_item(self, type_info: TypeInfo, json: &[u8], out: &mut Vec<u8>) {
        match self {
            Self::Json => out.extend_from_slice(json),
            Self::Protobuf => put_bytes(ITEMS_FIELD, &protobuf_message(type_info, type_info.kind, json), out),
        }
    }

    /// The separator of the items of a list.
    pub(crate) fn separator(self) -> &'static [u8] {
        match self {
            Self::Json => b",",
            Self::Protobuf => b"",
        }
    }

    /// The body of a list. `metadata` is the JSON of the list's metadata; `items` are the encoded items with their
    /// separators.
    pub(crate) fn list_body<'a>(self, type_info: TypeInfo, metadata: &str, items: &'a [u8]) -> Body<'a> {
        let TypeInfo { kind, api_version, .. } = type_info;
        match self {
            Self::Json => {
                let head = format!(
                    r#"{{"kind":"{kind}List","apiVersion":"{api_version}","metadata":{metadata},"items":["#
                );
                Body { head: head.into(), content: items, tail: b"]}\n" }
            }
            Self::Protobuf => {
                let kind = format!("{kind}List");
                let metadata =
                    protobuf_message(type_info, &kind, format!(r#"{{"metadata":{metadata}}}"#).as_bytes());
                let (mut head, tail) = envelope(api_version, &kind, metadata.len() + items.len());
                head.extend_from_slice(&metadata);
                Body { head, content: items, tail }
            }
        }
    }

    /// Converts an encoded item of a list to a complete object with `apiVersion` and `kind`.
    pub(crate) fn object_body(self, type_info: TypeInfo, item: &[u8]) -> Body<'_> {
        let TypeInfo { kind, api_version, custom } = type_info;
        match self {
            Self::Json if custom => Body { head: Vec::new(), content: item, tail: b"" },
            Self::Json => {
                let head = format!(r#"{{"kind":"{kind}","apiVersion":"{api_version}","#);
                Body { head: head.into(), content: &item[1..], tail: b"" }
            }
            Self::Protobuf => {
                let length_end = item.iter().skip(1).position(|byte| *byte < 0x80);
                let content = &item[length_end.map_or(item.len(), |at| at + 2)..];
                let (head, tail) = envelope(api_version, kind, content.len());
                Body { head, content, tail }
            }
        }
    }

    /// Appends a watch event as an HTTP chunk.
    pub(crate) fn append_event(self, event_type: &str, object: [&[u8]; 3], out: &mut Vec<u8>) {
        match self {
            Self::Json => {
                let head = format!(r#"{{"type":"{event_type}","object":"#);
                let [a, b, c] = object;
                append_chunk(out, &[head.as_bytes(), a, b, c, b"}\n"]);
            }
            Self::Protobuf => append_chunk(out, &[&encode_event(event_type, &object.concat())]),
        }
    }

    /// Encodes an object that is not an item of a list, such as a `Status`. `json` has `apiVersion` and `kind`.
    #[expect(clippy::expect_used, reason = "this crate writes the JSON of objects of built-in kinds")]
    pub(crate) fn encode(self, json: &str) -> Vec<u8> {
        match self {
            Self::Json => json.into(),
            Self::Protobuf => {
                let object = serde_json::from_str(json).expect("this is JSON");
                encode(&object).expect("the kind has a Protobuf message").into()
            }
        }
    }
}

/// The Protobuf message of an object of this kind, without its envelope.
#[expect(clippy::expect_used, reason = "the templates are objects of built-in kinds")]
fn protobuf_message(type_info: TypeInfo, kind: &str, json: &[u8]) -> Vec<u8> {
    let mut object: serde_json::Value = serde_json::from_slice(json).expect("a template is JSON");
    object["apiVersion"] = type_info.api_version.into();
    object["kind"] = kind.into();
    encode_without_envelope(&object).expect("a template has the fields of its kind")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protobuf::decode;
    use serde_json::{Value, json};

    const POD: TypeInfo = TypeInfo { api_version: "v1", kind: "Pod", custom: false };

    fn item(format: Format, name: &str) -> Vec<u8> {
        let mut out = Vec::new();
        let pod = json!({"metadata": {"name": name}, "spec": {"nodeName": "n".repeat(300)}});
        format.append_item(POD, pod.to_string().as_bytes(), &mut out);
        out
    }

    #[test]
    fn an_object_has_its_kind_in_both_formats() {
        for format in [Format::Json, Format::Protobuf] {
            let item = item(format, "a");
            let body = format.object_body(POD, &item).parts().concat();
            let object: Value = match format {
                Format::Json => serde_json::from_slice(&body).unwrap(),
                Format::Protobuf => decode(&body).unwrap(),
            };
            assert_eq!((&object["kind"], &object["metadata"]["name"]), (&json!("Pod"), &json!("a")));
            assert_eq!(object["spec"]["nodeName"], "n".repeat(300));
        }
    }

    #[test]
    fn a_list_consists_of_its_metadata_and_items() {
        let items = [item(Format::Protobuf, "a"), item(Format::Protobuf, "b")].concat();
        let body = Format::Protobuf.list_body(POD, r#"{"resourceVersion":"7"}"#, &items).parts().concat();
        let object = json!({"apiVersion": "v1", "kind": "PodList", "metadata": {"resourceVersion": "7"}, "items": [
            {"metadata": {"name": "a"}, "spec": {"nodeName": "n".repeat(300)}},
            {"metadata": {"name": "b"}, "spec": {"nodeName": "n".repeat(300)}},
        ]});
        assert_eq!(body, encode(&object).unwrap());
    }

    #[test]
    fn an_event_is_one_chunk() {
        let mut out = Vec::new();
        Format::Json.append_event("ADDED", [b"{", b"}", b""], &mut out);
        assert_eq!(out, b"1d\r\n{\"type\":\"ADDED\",\"object\":{}}\n\r\n");
        let mut out = Vec::new();
        let pod = item(Format::Protobuf, "a");
        Format::Protobuf.append_event("ADDED", Format::Protobuf.object_body(POD, &pod).parts(), &mut out);
        assert!(out.windows(4).any(|four| four == b"k8s\0") && out.ends_with(b"\r\n"));
    }

    #[test]
    fn the_first_media_type_of_accept_selects_the_format() {
        assert_eq!(Format::from_accept_header("application/json"), Format::Json);
        assert_eq!(Format::from_accept_header(&format!("{PROTOBUF},application/json")), Format::Protobuf);
        assert_eq!(Format::from_accept_header(&format!(" {PROTOBUF};stream=watch")), Format::Protobuf);
    }
}
