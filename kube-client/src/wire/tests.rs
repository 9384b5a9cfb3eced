//! Tests that compare the splitters and the decoder with serde_json. The bodies are random, cut at random positions,
//! and corrupted.

use super::{EventSplitter, ListSplitter, ObjectDecoder, Split, WireError, json::decode};
use crate::core::{DynamicObject, FieldSet};
use bytes::Bytes;
use fastrand::Rng;
use serde_json::{Map, Number, Value, json, value::RawValue};

/// The number of bodies that each randomized test generates.
const RANDOM_BODY_COUNT: usize = 3_000;

/// A random JSON value.
fn random_value(random: &mut Rng, depth: usize) -> Value {
    match random.u8(..if depth == 0 { 6 } else { 9 }) {
        0 => Value::Null,
        1 => json!(random.bool()),
        2 => json!(random.i64(..)),
        3 => Number::from_f64(random.f64() * 1e300).map_or(Value::Null, Value::Number),
        4 => json!(
            ["", "\"", "\\", "\\\"", "}]", "{[,:", "\u{0}\n\t", "é\u{1f600}\u{2028}"][random.usize(..8)]
        ),
        5 => json!("x".repeat(random.usize(..40))),
        6 => (0..random.usize(..4)).map(|_| random_value(random, depth - 1)).collect(),
        _ => Value::Object(random_object(random, depth - 1)),
    }
}

/// A random JSON object. Its keys are chosen from a few names. Most of these names occur in the paths of fields that the
/// tests skip.
fn random_object(random: &mut Rng, depth: usize) -> Map<String, Value> {
    let key =
        |random: &mut Rng| ["metadata", "managedFields", "a", "b", "é\"", ""][random.usize(..6)].to_owned();
    (0..random.usize(..5)).map(|_| (key(random), random_value(random, depth))).collect()
}

/// Serializes the value as compact or pretty JSON, at random.
fn serialize(random: &mut Rng, value: &Value) -> Vec<u8> {
    if random.bool() { serde_json::to_vec_pretty(value) } else { serde_json::to_vec(value) }.unwrap()
}

/// Changes, removes or inserts one to three bytes, or truncates the text.
fn corrupt(random: &mut Rng, text: &mut Vec<u8>) {
    for _ in 0..random.usize(1..4) {
        let at = random.usize(..=text.len());
        let byte = *random.choice(b"{}[]\",:\\ \n0-1nx\xff\x00").unwrap();
        match random.u8(..4) {
            0 => text.truncate(at),
            1 if at < text.len() => drop(text.remove(at)),
            2 if at < text.len() => text[at] = byte,
            _ => text.insert(at, byte),
        }
    }
}

/// Pushes `text` in frames of random size. Returns the pieces, and whether the body ended without an error.
fn split_randomly(mut splitter: impl Split, random: &mut Rng, mut text: &[u8]) -> (Vec<Vec<u8>>, bool) {
    let mut pieces = Vec::new();
    while !text.is_empty() {
        let (part, rest) = text.split_at(random.usize(1..=text.len().min(50)));
        splitter.push(Bytes::copy_from_slice(part));
        while let Some(piece) = splitter.next() {
            match piece {
                Ok(piece) => pieces.push(piece.to_vec()),
                Err(_) => return (pieces, false),
            }
        }
        text = rest;
    }
    match splitter.finish() {
        Ok((rest, _)) => {
            pieces.extend(rest.map(|piece| piece.to_vec()));
            (pieces, true)
        }
        Err(_) => (pieces, false),
    }
}

#[test]
fn the_list_splitter_splits_lists_into_their_items() {
    let mut random = Rng::with_seed(1);
    for _ in 0..RANDOM_BODY_COUNT {
        let items: Vec<Value> =
            (0..random.usize(..5)).map(|_| Value::Object(random_object(&mut random, 3))).collect();
        let mut list = random_object(&mut random, 2);
        list.remove("metadata");
        list.insert("items".into(), items.clone().into());
        let text = serialize(&mut random, &list.into());
        let (pieces, complete) = split_randomly(ListSplitter::new(usize::MAX), &mut random, &text);
        let read: Vec<Value> = pieces.iter().map(|piece| serde_json::from_slice(piece).unwrap()).collect();
        assert!(complete && read == items, "{}", String::from_utf8_lossy(&text));
    }
}

#[test]
fn frame_sizes_do_not_change_the_items_of_a_corrupted_list() {
    let mut random = Rng::with_seed(2);
    for _ in 0..RANDOM_BODY_COUNT {
        let mut list = random_object(&mut random, 2);
        list.remove("metadata");
        list.insert("items".into(), (0..3).map(|_| Value::Object(random_object(&mut random, 2))).collect());
        let mut text = serialize(&mut random, &list.into());
        corrupt(&mut random, &mut text);
        let shown = String::from_utf8_lossy(&text).into_owned();
        let one = split_randomly(ListSplitter::new(usize::MAX), &mut random, &text);
        assert_eq!(one, split_randomly(ListSplitter::new(usize::MAX), &mut random, &text), "{shown}");
        let decoder = ObjectDecoder::new("Item", &FieldSet::managed_fields());
        let outcomes: Vec<_> =
            one.0.iter().map(|piece| decoder.decode_item::<DynamicObject>(piece, |_| {})).collect();
        // The splitter accepts every list that serde_json accepts.
        if let Ok(Value::Object(list)) = serde_json::from_slice::<Value>(&text)
            && let Some(Value::Array(items)) = list.get("items")
        {
            assert!(one.1 && outcomes.len() == items.len(), "{shown}");
        }
    }
}

#[test]
fn the_event_splitter_splits_events_where_serde_json_splits_values() {
    let mut random = Rng::with_seed(3);
    for _ in 0..RANDOM_BODY_COUNT {
        let mut body = Vec::new();
        for name in 0..4 {
            let mut object = random_object(&mut random, 2);
            object.insert("metadata".into(), json!({"name": name.to_string()}));
            body.extend(serialize(&mut random, &json!({"type": "ADDED", "object": object})));
            body.extend(random.choice([&b"\n"[..], b"\n", b"\r\n", b"", b" \t", b"\n\n"]).unwrap().iter());
        }
        if random.bool() {
            corrupt(&mut random, &mut body);
        }
        let (pieces, _) = split_randomly(EventSplitter::new(usize::MAX), &mut random, &body);
        let valid = body.utf8_chunks().next().map_or("", |chunk| chunk.valid());
        let mut expected = serde_json::Deserializer::from_str(valid).into_iter::<&RawValue>();
        for (at, value) in expected.by_ref().map_while(Result::ok).enumerate() {
            // If a value is not an object, the splitter emits the value and the rest of its line as one
            // piece.
            if !value.get().starts_with('{') {
                break;
            }
            let piece = pieces.get(at).map(|piece| piece.trim_ascii_end());
            let parse_value = |text: &[u8]| serde_json::from_slice::<Value>(text).ok();
            assert_eq!(
                piece.and_then(parse_value),
                parse_value(value.get().as_bytes()),
                "{}",
                String::from_utf8_lossy(&body)
            );
        }
        let again = split_randomly(EventSplitter::new(usize::MAX), &mut random, &body).0;
        assert_eq!(pieces.len(), again.len(), "{}", String::from_utf8_lossy(&body));
    }
}

#[test]
fn a_corrupted_event_does_not_affect_earlier_events() {
    let mut random = Rng::with_seed(3);
    let decoder = ObjectDecoder::new("Item", &FieldSet::managed_fields());
    for _ in 0..RANDOM_BODY_COUNT {
        let line = |name: usize| json!({"type": "ADDED", "object": {"metadata": {"name": name.to_string()}}});
        let mut corrupted = serde_json::to_vec(&line(1)).unwrap();
        corrupt(&mut random, &mut corrupted);
        let body = [line(0).to_string().as_bytes(), b"\n", &corrupted, b"\n", line(2).to_string().as_bytes()]
            .concat();
        let (pieces, complete) = split_randomly(EventSplitter::new(usize::MAX), &mut random, &body);
        let events: Vec<_> =
            pieces.iter().map(|piece| decoder.decode_event::<DynamicObject>(piece)).collect();
        assert!(events.first().unwrap().is_ok(), "{corrupted:?}");
        let broken = |event: &Result<_, WireError>| matches!(event, Err(WireError::Event { .. }));
        // If the corrupted event is valid JSON, the last event decodes: an error of a single object does not
        // end the watch. If the corrupted event is invalid JSON, the last event can be lost. Then the body is
        // incomplete (for example after an additional opening bracket), or an event is a `WireError::Event`.
        assert!(!complete || events.iter().any(broken) || events.last().unwrap().is_ok(), "{corrupted:?}");
    }
}

#[test]
fn the_decoder_skips_exactly_the_fields_of_the_field_set() {
    fn remove(value: &mut Value, path: &[&str]) {
        match (value, path) {
            (Value::Array(items), ["[*]", rest @ ..]) => items.iter_mut().for_each(|item| remove(item, rest)),
            (Value::Object(fields), [last]) => drop(fields.remove(*last)),
            (Value::Object(fields), [first, rest @ ..]) => {
                fields.get_mut(*first).into_iter().for_each(|field| remove(field, rest));
            }
            _ => {}
        }
    }
    let paths =
        [vec!["metadata", "managedFields"], vec!["a", "b"], vec!["b", "[*]", "a"], vec!["b", "b"], vec![""]];
    let fields = ["metadata.managedFields", "a.b", "b[*].a", "b.b", "[\"\"]"];
    let fields = fields.into_iter().map(|path| path.parse::<FieldSet>().unwrap()).collect();
    let mut random = Rng::with_seed(4);
    for _ in 0..RANDOM_BODY_COUNT {
        let mut expected = Value::Object(random_object(&mut random, 4));
        let mut text = serialize(&mut random, &expected);
        let pruned: Value = decode(&text, &fields).unwrap();
        for path in &paths {
            remove(&mut expected, path);
        }
        assert_eq!(pruned, expected, "{}", String::from_utf8_lossy(&text));
        // The decoder must not panic on a corrupted text. Without skipped fields, it must reject the same texts as
        // serde_json.
        corrupt(&mut random, &mut text);
        let _ = decode::<Value>(&text, &fields);
        let whole = decode::<Value>(&text, &FieldSet::none()).ok();
        assert_eq!(whole, serde_json::from_slice(&text).ok(), "{}", String::from_utf8_lossy(&text));
    }
}

#[test]
fn deep_nesting_fails_only_the_object_that_contains_it() {
    let deep = |open: &str, close: &str| {
        format!(r#"{{"metadata":{{"name":"deep"}},"a":{}1{}}}"#, open.repeat(200_000), close.repeat(200_000))
    };
    let decoder = ObjectDecoder::new("Item", &"a[*][*].b".parse().unwrap());
    for object in [deep("[", "]"), deep("{\"a\":", "}"), deep("[", "")] {
        let list = format!(r#"{{"items":[{object},{{}}]}}"#);
        let (pieces, _) =
            split_randomly(ListSplitter::new(usize::MAX), &mut Rng::with_seed(5), list.as_bytes());
        if let [deep, _] = pieces.as_slice() {
            let error = decoder.decode_item::<DynamicObject>(deep, |_| {}).unwrap_err();
            assert_eq!(error.to_string(), "decode Item deep of a list");
        } else {
            assert!(pieces.is_empty(), "an item without its closing bracket is incomplete");
        }
        let event = format!(r#"{{"type":"ADDED","object":{object}}}"#);
        let error = decoder.decode_event::<DynamicObject>(event.as_bytes()).unwrap_err();
        assert!(error.to_string().starts_with(if pieces.is_empty() {
            "read an event"
        } else {
            "decode Item deep"
        }));
    }
}

/// Pushes the text in frames of two bytes until the splitter fails or the text ends.
fn first_error(mut splitter: impl Split, text: &str) -> Option<WireError> {
    for frame in text.as_bytes().chunks(2) {
        splitter.push(Bytes::copy_from_slice(frame));
        while let Some(piece) = splitter.next() {
            if let Err(error) = piece {
                return Some(error);
            }
        }
    }
    None
}

#[test]
fn an_item_or_event_over_the_limit_fails_before_its_end_is_received() {
    let small = "{\"a\":\"b\"}";
    let large = format!("{{\"a\":\"{}", "x".repeat(40));
    let limit = 20;
    for (text, fails) in [(small.repeat(9), false), (format!("{small}\n{large}"), true)] {
        let error = first_error(EventSplitter::new(limit), &text);
        assert_eq!(matches!(error, Some(WireError::TooLarge { limit: 20 })), fails, "{error:?}");
    }
    for (items, fails) in [([small; 9].join(","), false), (large, true)] {
        let error = first_error(ListSplitter::new(limit), &format!("{{\"items\":[{items}"));
        assert_eq!(matches!(error, Some(WireError::TooLarge { limit: 20 })), fails, "{error:?}");
    }
}
