//! Cuts fields out of an object's text before it is decoded, so that nothing of them is ever built.
//!
//! Only what leads to the fields is looked at closely; the rest is skipped at the speed of a search for quotes. Text that is
//! not JSON is left as it is: the decoder says what is wrong with it.

use super::scan::ValueScan;
use crate::core::{FieldNode, FieldSet};
use std::{borrow::Cow, ops::Range};

/// The text without the fields.
pub(super) fn prune<'a>(text: &'a [u8], fields: &FieldSet) -> Cow<'a, [u8]> {
    if fields.is_empty() {
        return Cow::Borrowed(text);
    }
    let mut pruner = Pruner { text, at: 0, cuts: Vec::new() };
    if pruner.value(fields.root(), Extent::UpToTheLastField).is_none() || pruner.cuts.is_empty() {
        return Cow::Borrowed(text);
    }
    let mut kept = Vec::with_capacity(text.len());
    let mut from = 0;
    for cut in pruner.cuts {
        kept.extend_from_slice(&text[from..cut.start]);
        from = cut.end;
    }
    kept.extend_from_slice(&text[from..]);
    Cow::Owned(kept)
}

struct Pruner<'a> {
    text: &'a [u8],
    at: usize,
    /// In order, and apart from each other.
    cuts: Vec<Range<usize>>,
}

/// How far a value has to be read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Extent {
    Whole,
    /// What comes after the last field that is named is of no interest: nothing is read after this value.
    UpToTheLastField,
}

/// The members of one object or list, as they are read.
#[derive(Default)]
struct Members {
    /// Where the last member ends that stays; `None` while there is none.
    kept: Option<usize>,
}

/// `None` anywhere below: the text is not what it should be.
impl Pruner<'_> {
    fn value(&mut self, node: &FieldNode, extent: Extent) -> Option<()> {
        match self.peek()? {
            b'{' => self.object(node, extent),
            b'[' if node.elements().is_some() => self.list(node.elements()?),
            _ => self.skip(),
        }
    }

    fn object(&mut self, node: &FieldNode, extent: Extent) -> Option<()> {
        self.at += 1;
        let mut members = Members::default();
        let mut open = node.named_fields();
        loop {
            match self.peek()? {
                b'}' => {
                    self.at += 1;
                    return Some(());
                }
                b',' => self.at += 1,
                b'"' => {
                    let start = self.at;
                    let key = self.key()?;
                    if self.peek()? != b':' {
                        return None;
                    }
                    self.at += 1;
                    let field = node.field(&key);
                    if field.is_some() {
                        open = open.map(|open| open.saturating_sub(1));
                    }
                    // The last of the named fields, in an object after which nothing is read.
                    let last = open == Some(0) && extent == Extent::UpToTheLastField;
                    let inner = if last { Extent::UpToTheLastField } else { Extent::Whole };
                    self.member(start, field, inner, &mut members)?;
                    if last {
                        return Some(());
                    }
                }
                _ => return None,
            }
        }
    }

    fn list(&mut self, elements: &FieldNode) -> Option<()> {
        self.at += 1;
        let mut members = Members::default();
        loop {
            match self.peek()? {
                b']' => {
                    self.at += 1;
                    return Some(());
                }
                b',' => self.at += 1,
                _ => self.member(self.at, Some(elements), Extent::Whole, &mut members)?,
            }
        }
    }

    /// Reads the value of a member that begins at `start`, and cuts the member out if it is not wanted.
    fn member(
        &mut self,
        start: usize,
        node: Option<&FieldNode>,
        extent: Extent,
        members: &mut Members,
    ) -> Option<()> {
        self.peek()?;
        match node {
            Some(node) if node.skips() => {
                self.skip()?;
                let end = self.at;
                if self.peek()? == b',' {
                    self.at += 1;
                    self.cut(start..self.at);
                } else {
                    // The last member goes with the comma before it.
                    self.cut(members.kept.unwrap_or(start)..end);
                }
            }
            Some(node) => {
                self.value(node, extent)?;
                members.kept = Some(self.at);
            }
            None => {
                self.skip()?;
                members.kept = Some(self.at);
            }
        }
        Some(())
    }

    fn cut(&mut self, range: Range<usize>) {
        while self.cuts.last().is_some_and(|last| last.start >= range.start) {
            self.cuts.pop();
        }
        self.cuts.push(range);
    }

    /// The first byte that is not white space.
    fn peek(&mut self) -> Option<u8> {
        loop {
            let byte = *self.text.get(self.at)?;
            if !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                return Some(byte);
            }
            self.at += 1;
        }
    }

    fn key(&mut self) -> Option<Cow<'static, str>> {
        let start = self.at;
        self.skip()?;
        // Through the decoder, for keys may be escaped.
        serde_json::from_slice::<String>(&self.text[start..self.at]).ok().map(Cow::Owned)
    }

    /// Goes behind the value that begins here.
    fn skip(&mut self) -> Option<()> {
        self.at += ValueScan::default().feed(&self.text[self.at..])?;
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[track_caller]
    fn check(paths: &[&str], text: &str, expected: &str) {
        let fields = paths.iter().map(|path| path.parse::<FieldSet>().unwrap()).collect();
        let pruned = prune(text.as_bytes(), &fields);
        assert_eq!(std::str::from_utf8(&pruned).unwrap(), expected, "{paths:?}");
    }

    #[test]
    fn cuts_members_wherever_they_stand() {
        let text = r#"{"a":1,"b":{"c":[1,{"d":"}"}]},"e":"x"}"#;
        check(&["a"], text, r#"{"b":{"c":[1,{"d":"}"}]},"e":"x"}"#);
        check(&["b"], text, r#"{"a":1,"e":"x"}"#);
        check(&["e"], text, r#"{"a":1,"b":{"c":[1,{"d":"}"}]}}"#);
        check(&["b", "e"], text, r#"{"a":1}"#);
        check(&["a", "b", "e"], text, "{}");
        check(&["a", "e"], text, r#"{"b":{"c":[1,{"d":"}"}]}}"#);
        check(&["b.c"], text, r#"{"a":1,"b":{},"e":"x"}"#);
        check(&["x", "b.x"], text, text);
    }

    #[test]
    fn reaches_into_lists_and_maps() {
        let text = r#"{"l":[{"m":1,"n":2},{"n":3},4],"k":{"p":{"m":5},"q":{"n":6}}}"#;
        check(&["l[*].m"], text, r#"{"l":[{"n":2},{"n":3},4],"k":{"p":{"m":5},"q":{"n":6}}}"#);
        check(&["k.*.m"], text, r#"{"l":[{"m":1,"n":2},{"n":3},4],"k":{"p":{},"q":{"n":6}}}"#);
        check(&["l[*]"], text, r#"{"l":[],"k":{"p":{"m":5},"q":{"n":6}}}"#);
        check(&["k.*"], text, r#"{"l":[{"m":1,"n":2},{"n":3},4],"k":{}}"#);
    }

    #[test]
    fn takes_white_space_and_escaped_keys() {
        check(&["b"], "{ \"a\" : 1 ,\n \"\\u0062\" : [ 2 ] }", "{ \"a\" : 1 }");
    }

    #[test]
    fn leaves_what_is_no_json_to_the_decoder() {
        for text in ["", "{", r#"{"a""#, r#"{"a":1"#, "[", "null", "{a:1}", r#"{"b":{"a":}"#] {
            check(&["a.x", "b.a", "c"], text, text);
        }
    }

    #[test]
    fn gives_what_removing_from_the_value_gives() {
        fn remove(value: &mut Value, depth: usize) {
            let Value::Object(fields) = value else { return };
            fields.retain(|key, _| key != if depth == 0 { "k0" } else { "k1" });
            if depth == 0
                && let Some(inner) = fields.get_mut("k2")
            {
                remove(inner, 1);
            }
        }
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..2_000 {
            let mut value = json!({});
            for _ in 0..random.usize(..5) {
                let inner = match random.u8(..4) {
                    0 => json!({"k1": "\"}{", "k3": [1, {"k1": 2}]}),
                    1 => json!([{"k0": 1}, "\\"]),
                    2 => json!({"k4": {"k1": {}}}),
                    _ => json!(random.u32(..)),
                };
                value[format!("k{}", random.u8(..4))] = inner;
            }
            let fields = ["k0", "k2.k1"].into_iter().map(|path| path.parse::<FieldSet>().unwrap()).collect();
            let text = value.to_string();
            let pruned: Value = serde_json::from_slice(&prune(text.as_bytes(), &fields)).unwrap();
            remove(&mut value, 0);
            assert_eq!(pruned, value, "{text}");
        }
    }
}
