//! Checks the syntax of an object, removes the skipped fields from its text, and reads its identity, in one pass.

use super::access::Members;
use super::reader::{Reader, error};
use super::{Result, check_utf8, error_with_position};
use crate::core::__client::FieldNode;
use serde::de::Error as _;
use std::borrow::Cow;
use std::ops::ControlFlow::Continue;

/// The identity of an object, and its resource version.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct ObjectIdentity<'a> {
    pub(crate) namespace: Option<Cow<'a, str>>,
    pub(crate) name: Option<Cow<'a, str>>,
    pub(crate) uid: Option<Cow<'a, str>>,
    pub(crate) resource_version: Option<Cow<'a, str>>,
}

/// How [`cut_skipped_fields`] checks the values that it keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ValueCheck {
    /// Checks that the values are valid JSON.
    Syntax,
    /// Only counts the brackets of objects and lists. The caller decodes the text, and the decoder checks the values
    /// that it reads.
    Brackets,
}

/// Checks that `text` is one JSON object, and reads its identity. If the object contains skipped fields, appends the
/// text without these fields to `out`; otherwise `out` stays unchanged. In skipped objects and lists, only the brackets
/// are counted, as in the decoder.
///
/// # Errors
///
/// If `check` finds that the text is not valid JSON, if the text is not an object, or if a field of the identity is
/// neither a string nor null.
pub(crate) fn cut_skipped_fields<'a>(
    text: &'a [u8],
    skipped: Option<&FieldNode>,
    check: ValueCheck,
    out: &mut Vec<u8>,
) -> Result<ObjectIdentity<'a>> {
    let text = check_utf8(text)?;
    let mut reader = Reader::new(text);
    let mut cutter = Cutter { text, check, out, done: 0, identity: ObjectIdentity::default() };
    let outcome =
        cutter.read_object(&mut reader, skipped, ObjectPart::Object).and_then(|()| reader.expect_end());
    outcome.map_err(|error| error_with_position(&error, &reader))?;
    if cutter.done > 0 {
        cutter.remove_range(text.len(), text.len());
    }
    Ok(cutter.identity)
}

/// The state of [`cut_skipped_fields`], which copies `text` to `out` without the skipped fields, and reads the identity.
struct Cutter<'de, 'o> {
    text: &'de str,
    check: ValueCheck,
    out: &'o mut Vec<u8>,
    /// The offset in `text` up to which the text was copied or removed.
    done: usize,
    identity: ObjectIdentity<'de>,
}

/// Whether a JSON object is the whole API object, its metadata, or another object within the API object.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ObjectPart {
    Object,
    Metadata,
    Other,
}

impl<'de> Cutter<'de, '_> {
    /// Copies `text[done..begin]` to `out`, and omits `text[begin..end]`.
    fn remove_range(&mut self, begin: usize, end: usize) {
        self.out.extend_from_slice(self.text.as_bytes().get(self.done..begin).unwrap_or_default());
        self.done = end;
    }

    /// Reads an object, and removes the parts that `fields` skips.
    fn read_object(
        &mut self,
        reader: &mut Reader<'de>,
        fields: Option<&FieldNode>,
        part: ObjectPart,
    ) -> Result<()> {
        if reader.peek_or_fail("an object")? != b'{' {
            return error("expected an object");
        }
        reader.enter_container()?;
        // The end of the previous member. If the next member is removed, the removed text begins here, and includes the
        // comma before the member.
        let mut end = reader.consumed_text().len();
        let (mut is_first, mut has_removed) = (true, false);
        Members::new(reader, None).for_each(|key, reader| {
            let begin = end;
            let member = fields.and_then(|fields| fields.field(key));
            if member.is_some_and(FieldNode::skips_whole_value) {
                reader.skip_value()?;
                end = reader.consumed_text().len();
                self.remove_range(begin, end);
                has_removed = true;
                return Ok(Continue(()));
            }
            if is_first && has_removed {
                // All members before this member were removed: also remove the comma before this member.
                let comma = self.text.get(begin..).and_then(|rest| rest.find(',')).unwrap_or_default();
                self.remove_range(begin, begin + comma + 1);
            }
            is_first = false;
            self.read_member(reader, key, member, part)?;
            end = reader.consumed_text().len();
            Ok(Continue(()))
        })
    }

    /// Reads the value of a member that is not skipped.
    fn read_member(
        &mut self,
        reader: &mut Reader<'de>,
        key: &str,
        fields: Option<&FieldNode>,
        part: ObjectPart,
    ) -> Result<()> {
        let identity = &mut self.identity;
        let slot = match (part, key) {
            (ObjectPart::Object, "metadata") if reader.peek() == Some(b'{') => {
                self.identity = ObjectIdentity::default();
                return self.read_object(reader, fields, ObjectPart::Metadata);
            }
            (ObjectPart::Metadata, "name") => &mut identity.name,
            (ObjectPart::Metadata, "namespace") => &mut identity.namespace,
            (ObjectPart::Metadata, "uid") => &mut identity.uid,
            (ObjectPart::Metadata, "resourceVersion") => &mut identity.resource_version,
            _ => return self.read_value(reader, fields),
        };
        *slot = match reader.peek_or_fail("a string")? {
            b'"' => Some(reader.read_string()?),
            b'n' => reader.read_literal("null").map(|()| None)?,
            _ => return Err(serde_json::Error::custom(format_args!("metadata.{key} is not a string"))),
        };
        Ok(())
    }

    /// Reads a value, and removes the parts that `fields` skips.
    fn read_value(&mut self, reader: &mut Reader<'de>, fields: Option<&FieldNode>) -> Result<()> {
        let Some(fields) = fields else { return self.skip_value(reader) };
        match (reader.peek_or_fail("a value")?, fields.elements()) {
            (b'{', _) => self.read_object(reader, Some(fields), ObjectPart::Other),
            (b'[', Some(element)) => self.read_list(reader, element),
            _ => self.skip_value(reader),
        }
    }

    /// Skips a value from which nothing is removed, and checks the value as `check` requires.
    fn skip_value(&self, reader: &mut Reader<'de>) -> Result<()> {
        match self.check {
            ValueCheck::Syntax => reader.check_value(),
            ValueCheck::Brackets => reader.skip_value(),
        }
    }

    /// Reads a list, and removes the parts of its elements that `element` skips.
    fn read_list(&mut self, reader: &mut Reader<'de>, element: &FieldNode) -> Result<()> {
        reader.enter_container()?;
        let (begin, mut is_first) = (reader.consumed_text().len(), true);
        while reader.advance_to_element(&mut is_first)? {
            if element.skips_whole_value() {
                reader.skip_value()?;
            } else {
                self.read_value(reader, Some(element))?;
            }
        }
        if element.skips_whole_value() {
            // The last byte that was read is the `]`, which is not removed.
            self.remove_range(begin, reader.consumed_text().len() - 1);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::FieldSet;
    use crate::wire::json::decode;
    use serde_json::{Value, json};

    /// Cuts `text` with both values of [`ValueCheck`], and compares the results. Returns the text without the skipped
    /// fields, and the identity.
    fn cut_text<'a>(text: &'a str, skipped: &[&str]) -> Result<(String, ObjectIdentity<'a>)> {
        let skipped: FieldSet = skipped.iter().map(|path| path.parse::<FieldSet>().unwrap()).collect();
        let mut out = Vec::new();
        let identity = cut_skipped_fields(text.as_bytes(), skipped.root(), ValueCheck::Syntax, &mut out)?;
        let mut unchecked = Vec::new();
        assert_eq!(
            cut_skipped_fields(text.as_bytes(), skipped.root(), ValueCheck::Brackets, &mut unchecked)?,
            identity
        );
        assert_eq!(unchecked, out);
        let rest = if out.is_empty() { text.to_owned() } else { String::from_utf8(out).unwrap() };
        // Decoding the cut text returns the same value as decoding the whole text with `skipped`.
        let whole: Value = decode(text.as_bytes(), &skipped).unwrap();
        assert_eq!(decode::<Value>(rest.as_bytes(), &FieldSet::none()).unwrap(), whole, "{text}");
        Ok((rest, identity))
    }

    #[test]
    fn each_skipped_field_and_one_adjacent_comma_are_removed() {
        for (text, skipped, expected) in [
            (r#"{"a":1,"b":2}"#, &["c"][..], r#"{"a":1,"b":2}"#),
            (r#"{"a":1,"b":2,"c":3}"#, &["a"], r#"{"b":2,"c":3}"#),
            (r#"{"a":1,"b":2,"c":3}"#, &["b"], r#"{"a":1,"c":3}"#),
            (r#"{"a":1,"b":2,"c":3}"#, &["c"], r#"{"a":1,"b":2}"#),
            (r#"{"a":1,"b":2,"c":3}"#, &["a", "b"], r#"{"c":3}"#),
            (r#"{"a":1,"b":2,"c":3}"#, &["a", "c"], r#"{"b":2}"#),
            (r#"{"a":1,"b":2,"c":3}"#, &["a", "b", "c"], "{}"),
            (r#"{ "a" : [1, 2] , "b" : {"x":","} , "c":3 }"#, &["a"], r#"{ "b" : {"x":","} , "c":3 }"#),
            (
                r#"{"a":{"x":1,"y":[{"z":1,"w":2},3,{"z":4}]},"b":0}"#,
                &["a.y[*].z"],
                r#"{"a":{"x":1,"y":[{"w":2},3,{}]},"b":0}"#,
            ),
            (r#"{"a":{"y":[{"z":1},3]},"b":0}"#, &["a.y[*]"], r#"{"a":{"y":[]},"b":0}"#),
            (r#"{"a":{"y":[ ]},"b":[{"y":1}]}"#, &["a.y[*]", "b.y"], r#"{"a":{"y":[]},"b":[{"y":1}]}"#),
            (
                r#"{"a":7,"b":{"k":{"x":1,"y":2},"l":3}}"#,
                &["a.x", "b.*.x"],
                r#"{"a":7,"b":{"k":{"y":2},"l":3}}"#,
            ),
        ] {
            assert_eq!(cut_text(text, skipped).unwrap().0, expected, "{text} without {skipped:?}");
        }
    }

    #[test]
    fn the_identity_of_an_object_is_read() {
        let text = r#"{"metadata":{"managedFields":[{}],"name":"a\"b","uid":"u","resourceVersion":null,"labels":{"name":"x"}},
            "spec":{"metadata":{"name":"other"}}}"#;
        let (rest, identity) = cut_text(text, &["metadata.managedFields"]).unwrap();
        assert!(!rest.contains("managedFields"));
        let found = [identity.namespace, identity.name, identity.uid, identity.resource_version];
        assert_eq!(
            found.map(|part| part.map(Cow::into_owned)),
            [None, Some("a\"b".into()), Some("u".into()), None]
        );
        assert_eq!(cut_text("{}", &[]).unwrap().1, ObjectIdentity::default());
        assert_eq!(cut_text(r#"{"metadata":null}"#, &[]).unwrap().1, ObjectIdentity::default());
    }

    #[test]
    fn the_error_for_malformed_text_contains_the_problem() {
        for (text, problem) in [
            ("", "EOF while parsing an object"),
            ("7", "expected an object at line 1 column 0"),
            ("[]", "expected an object"),
            (r#"{"a":1"#, "EOF"),
            (r#"{"a":1}}"#, "trailing characters"),
            (r#"{"a":[1,]}"#, "trailing comma"),
            (r#"{"a":[1 2]}"#, "expected `,` or `]`"),
            (r#"{"a":{"b":1,}}"#, "trailing comma"),
            (r#"{"a":{"b" 1}}"#, "expected `:`"),
            (r#"{"a":{1:1}}"#, "key must be a string"),
            (r#"{"a":{"b":1 "c":2}}"#, "expected `,` or `}`"),
            (r#"{"a":{"b":1]}"#, "expected `,` or `}`"),
            (r#"{"a":[01]}"#, "invalid number"),
            (r#"{"a":[tru]}"#, "expected ident"),
            (r#"{"a":["\x"]}"#, "invalid escape"),
            ("{\"a\":[\"\n\"]}", "control character"),
            (r#"{"a":["\ud800"]}"#, "hex escape"),
            (r#"{"a":["\ud800\u0041"]}"#, "hex escape"),
            (r#"{"a":["b]}"#, "EOF while parsing a string"),
            (r#"{"metadata":{"name":7}}"#, "metadata.name is not a string at line 1 column 20"),
        ] {
            let error = cut_skipped_fields(text.as_bytes(), None, ValueCheck::Syntax, &mut Vec::new())
                .unwrap_err()
                .to_string();
            assert!(error.contains(problem), "{text}: {error}");
        }
        let deep = format!("{{\"a\":{}1{}}}", "[".repeat(200), "]".repeat(200));
        assert!(
            cut_skipped_fields(deep.as_bytes(), None, ValueCheck::Syntax, &mut Vec::new())
                .unwrap_err()
                .to_string()
                .contains("recursion")
        );
        assert!(
            cut_skipped_fields(b"{\"a\":\"\xff\"}", None, ValueCheck::Syntax, &mut Vec::new())
                .unwrap_err()
                .to_string()
                .contains("UTF-8")
        );
    }

    #[test]
    fn cut_skipped_fields_accepts_the_same_objects_as_serde_json() {
        let mut random = fastrand::Rng::with_seed(3);
        let value = json!({"metadata": {"name": "a", "labels": {"x": "\u{1F600}\n\\", "y": ""}}, "list": [1, -2.5e3, true, null, [], {}, [[{"a": []}]]]});
        let text = value.to_string();
        for _ in 0..20_000 {
            let mut bytes = text.clone().into_bytes();
            for _ in 0..random.usize(0..3) {
                let at = random.usize(0..bytes.len());
                match random.u8(0..3) {
                    0 => drop(bytes.remove(at)),
                    1 => bytes[at] = random.choice(*b"{}[],:\"\\u019ae \n-").unwrap(),
                    _ => bytes.insert(at, random.choice(*b"{}[],:\"\\u019ae \n-").unwrap()),
                }
            }
            let expected = serde_json::from_slice::<Value>(&bytes);
            let found = cut_skipped_fields(&bytes, None, ValueCheck::Syntax, &mut Vec::new());
            let text = String::from_utf8_lossy(&bytes);
            // Two differences are allowed: `cut_skipped_fields` rejects a field of the identity that is not a string,
            // and accepts numbers of any size.
            match (&expected, &found) {
                (Ok(Value::Object(_)), Err(error)) => {
                    assert!(error.to_string().contains("is not a string"), "{text}: {error}");
                }
                (Err(error), Ok(_)) => {
                    assert!(error.to_string().contains("number out of range"), "{text}: {error}");
                }
                _ => {}
            }
        }
    }
}
