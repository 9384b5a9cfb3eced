//! `ObjectSet`: the serialised objects of one kind in one format, as the content of a list's `items`. `Objects`: the
//! objects of one kind in both formats.

use std::ops::Range;
use std::sync::OnceLock;

use crate::format::{Format, TypeInfo};

/// Serialised objects in one buffer, with the separator of the format between them. The bytes of consecutive
/// objects in the buffer are the content of the `items` of a list with these objects.
#[derive(Debug)]
pub(crate) struct ObjectSet {
    bytes: Vec<u8>,
    /// The end offset of each object.
    ends: Vec<usize>,
    separator: &'static [u8],
}

/// The objects of one kind. Their Protobuf is encoded at first use.
#[derive(Debug)]
pub(crate) struct Objects {
    pub(crate) type_info: TypeInfo,
    pub(crate) json: ObjectSet,
    protobuf: OnceLock<ObjectSet>,
}

impl Objects {
    /// Combines the objects in `json` with their kind, `type_info`. `json` must be a set in JSON.
    pub(crate) fn new(type_info: TypeInfo, json: ObjectSet) -> Self {
        Self { type_info, json, protobuf: OnceLock::new() }
    }

    /// The objects in this format.
    pub(crate) fn in_format(&self, format: Format) -> &ObjectSet {
        match format {
            Format::Json => &self.json,
            Format::Protobuf => self.protobuf.get_or_init(|| {
                let mut set = ObjectSet::new(format);
                for index in 0..self.json.len() {
                    set.push(|out| format.append_item(self.type_info, self.json.item(index), out));
                }
                set
            }),
        }
    }
}

impl ObjectSet {
    /// An empty set for objects in this format.
    pub(crate) fn new(format: Format) -> Self {
        Self { bytes: Vec::new(), ends: Vec::new(), separator: format.separator() }
    }

    /// Adds one object: `write` appends it to the buffer.
    pub(crate) fn push(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        if !self.ends.is_empty() {
            self.bytes.extend_from_slice(self.separator);
        }
        write(&mut self.bytes);
        self.ends.push(self.bytes.len());
    }

    /// The number of objects.
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The object at `index`, without a separator.
    pub(crate) fn item(&self, index: usize) -> &[u8] {
        self.span(index..index + 1)
    }

    /// The objects in a range with their separators; the range is clamped to the number of objects.
    pub(crate) fn span(&self, range: Range<usize>) -> &[u8] {
        let end = range.end.min(self.len());
        if range.start >= end {
            return &[];
        }
        let start = if range.start == 0 { 0 } else { self.ends[range.start - 1] + self.separator.len() };
        &self.bytes[start..self.ends[end - 1]]
    }

    /// The size of all objects and separators in bytes.
    #[cfg(test)]
    pub(crate) fn byte_count(&self) -> usize {
        self.bytes.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_returns_ranges_and_single_items() {
        let mut set = ObjectSet::new(Format::Json);
        for text in ["1", "22", "333"] {
            set.push(|out| out.extend_from_slice(text.as_bytes()));
        }
        assert_eq!(set.span(0..9), b"1,22,333");
        assert_eq!(set.span(1..2), b"22");
        assert_eq!(set.item(2), b"333");
        assert!(set.span(3..4).is_empty());
    }

    #[test]
    fn protobuf_is_encoded_from_the_json() {
        let mut json = ObjectSet::new(Format::Json);
        for name in ["a", "b"] {
            let object = format!(r#"{{"metadata":{{"name":"{name}"}}}}"#);
            json.push(|out| out.extend_from_slice(object.as_bytes()));
        }
        let type_info = TypeInfo { api_version: "v1", kind: "Secret", custom: false };
        let objects = Objects::new(type_info, json);
        let set = objects.in_format(Format::Protobuf);
        assert_eq!(set.span(0..2), [set.item(0), set.item(1)].concat());
        let body = Format::Protobuf.object_body(type_info, set.item(1)).parts().concat();
        assert_eq!(crate::protobuf::decode(&body).unwrap()["metadata"]["name"], "b");
    }
}
