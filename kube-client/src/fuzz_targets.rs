//! Functions that must not panic for any input. The fuzz targets in `fuzz/` call them with random bytes. The tests below
//! call them with the saved corpus. This module is compiled only for tests and with `--cfg fuzzing`.

#![allow(
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "a panic is how a target reports a defect"
)]

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, value::RawValue};

use k8s_openapi::api::core::v1::Pod;

use crate::config::Kubeconfig;
use crate::core::{DynamicObject, FieldSet, ListMeta, Selector};
use crate::wire::{
    BodyFormat, Convert, EventBodySplitter, EventSplitter, FilterDepth, ListBodySplitter, ListSplitter,
    ObjectDecoder, ProtobufKind, Split, decode_json, encode_protobuf,
};

/// Parses a kubeconfig. Asserts that the kubeconfig has the same content after it is serialized and parsed again.
pub fn check_kubeconfig(data: &[u8]) {
    let Some(parsed) = std::str::from_utf8(data).ok().and_then(|text| Kubeconfig::from_yaml(text).ok())
    else {
        return;
    };
    let written = yaml_serde::to_string(&parsed).expect("a kubeconfig that parses can be written");
    let again = Kubeconfig::from_yaml(&written).expect("a kubeconfig that was written parses");
    let json = |kubeconfig: &Kubeconfig| serde_json::to_value(kubeconfig).ok();
    assert_eq!(json(&parsed), json(&again));
}

/// Splits a list and decodes its items, twice: first in chunks, whose size is the first byte of the input, then in one
/// chunk. If serde_json accepts the list, asserts that the splitter and serde_json return the same items.
pub fn check_list(data: &[u8]) {
    /// A list as serde_json decodes it.
    #[derive(Deserialize)]
    struct List<'a> {
        #[serde(borrow, default)]
        items: Option<Vec<&'a RawValue>>,
        #[serde(default, rename = "kind")]
        _kind: String,
        #[serde(default, rename = "apiVersion")]
        _api_version: String,
        #[serde(default, rename = "metadata")]
        _metadata: ListMeta,
    }
    let Some((size, body)) = data.split_first() else { return };
    let expected = serde_json::from_slice::<List<'_>>(body).ok().and_then(|list| list.items);
    let decoder = ObjectDecoder::new("Object", &FieldSet::default());
    for size in [usize::from(*size).max(1), body.len().max(1)] {
        let (items, is_complete) = split_body(ListSplitter::new(usize::MAX), body, size);
        for item in &items {
            check_decoders(item);
            check_stored_text(&decoder, item);
            let _ = decoder.decode_item::<DynamicObject>(item, |_| {});
        }
        if let Some(expected) = &expected {
            assert!(is_complete);
            let expected: Vec<_> = expected.iter().map(|item| item.get().as_bytes()).collect();
            assert_eq!(items.iter().map(|item| item.trim_ascii()).collect::<Vec<_>>(), expected);
        }
    }
}

/// Splits a watch and decodes its events, twice: first in chunks, whose size is the first byte of the input, then in one
/// chunk. If serde_json accepts the body as consecutive objects, asserts that the splitter and serde_json return the
/// same events.
pub fn check_watch(data: &[u8]) {
    let Some((size, body)) = data.split_first() else { return };
    let values: Result<Vec<Value>, _> = serde_json::Deserializer::from_slice(body).into_iter().collect();
    let expected = values.ok().filter(|values| values.iter().all(Value::is_object));
    let decoder = ObjectDecoder::new("Object", &FieldSet::default());
    for size in [usize::from(*size).max(1), body.len().max(1)] {
        let (events, is_complete) = split_body(EventSplitter::new(usize::MAX), body, size);
        for event in &events {
            check_decoders(event);
            let _ = decoder.decode_event::<DynamicObject>(event);
        }
        if let Some(expected) = &expected {
            assert!(is_complete);
            let events: Result<Vec<Value>, _> = events.iter().map(|event| decode_json(event)).collect();
            assert_eq!(events.as_ref().ok(), Some(expected));
        }
    }
}

/// Decodes Protobuf. If the input is JSON of a built-in kind, encodes the object in Protobuf, and decodes this Protobuf to
/// JSON. If the Protobuf does not exceed a limit of the decoder, asserts that the JSON survives another
/// round trip. Then also decodes the JSON and the Protobuf as a `Pod`, and asserts that both pods are equal,
/// or that both decodings fail.
///
/// If the input is not JSON, decodes the bytes after the first byte as an object, as a list and as a watch. Decodes the
/// list and the watch twice: first in chunks, whose size is the first byte, then in one chunk.
pub fn check_protobuf(data: &[u8]) {
    let any_kind = ObjectDecoder::new("Object", &FieldSet::none()).with_format(BodyFormat::Protobuf(None));
    if let Ok(object) = serde_json::from_slice::<Value>(data) {
        let Some(body) = encode_protobuf(&object) else { return };
        let found: Value = match any_kind.decode_object(&body) {
            Ok(found) => found,
            Err(error) => {
                let text = error.to_string();
                assert!(
                    ["nested", "recursion", "too large"].iter().any(|part| text.contains(part)),
                    "{text}"
                );
                return;
            }
        };
        let again = encode_protobuf(&found).expect("an object that was decoded can be encoded");
        let again: Value = any_kind.decode_object(&again).expect("an object that was encoded decodes");
        assert_eq!(without_nulls(again), without_nulls(found.clone()));
        assert_eq!(any_kind.decode_object::<Pod>(&body).ok(), serde_json::from_value(found).ok());
        return;
    }
    let Some((size, body)) = data.split_first() else { return };
    let pods = ProtobufKind::find("v1", "Pod").map(std::sync::Arc::new);
    let pods = ObjectDecoder::new("Pod", &FieldSet::managed_fields()).with_format(BodyFormat::Protobuf(pods));
    let _ = any_kind.decode_object::<Value>(body);
    for size in [usize::from(*size).max(1), body.len().max(1)] {
        let limit = 1 << 20;
        for item in split_body(ListBodySplitter::new(pods.format(), limit), body, size).0 {
            let _ = pods.peek_item::<Pod>(&item, FilterDepth::Metadata);
            let _ = pods.decode_item::<Pod>(&item, |_| {});
        }
        for event in split_body(EventBodySplitter::new(pods.format(), limit), body, size).0 {
            let _ = pods.peek_event::<Pod>(&event, FilterDepth::Labels);
            let _ = pods.decode_event::<Pod>(&event);
        }
    }
}

/// The value without members that are null.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let kept = map.into_iter().filter(|(_, value)| !value.is_null());
            kept.map(|(key, value)| (key, without_nulls(value))).collect()
        }
        Value::Array(items) => items.into_iter().map(without_nulls).collect(),
        value => value,
    }
}

/// Parses a label selector. Asserts that the selector is the same after it is formatted and parsed again.
pub fn check_selector(data: &[u8]) {
    let Some(parsed) = std::str::from_utf8(data).ok().and_then(|text| text.parse::<Selector>().ok()) else {
        return;
    };
    let written = parsed.to_string();
    let again: Selector = written.parse().expect("a selector that was written parses");
    assert_eq!(again, parsed, "{written}");
}

/// Decodes the input as port-forward frames: first in chunks, whose size is the first byte of the input, then in one
/// chunk. Asserts that both decodings return the same frames.
///
/// Then passes the input as WebSocket messages to the streams of a process. In the input, a byte with the length precedes
/// each message. Asserts that the standard output contains the bytes of the stdout messages in order, at least up to the
/// first message of a channel that is neither stdout nor stderr.
#[cfg(feature = "ws")]
pub fn check_channels(data: &[u8]) {
    let Some((size, mut rest)) = data.split_first() else { return };
    let frames = crate::streams::decode_frames(rest.chunks(usize::from(*size).max(1)));
    assert_eq!(frames, crate::streams::decode_frames([rest]));
    let mut messages = Vec::new();
    while let Some((length, after)) = rest.split_first() {
        let (message, after) = after.split_at(usize::from(*length).min(after.len()));
        messages.push(Bytes::copy_from_slice(message));
        rest = after;
    }
    let is_output = |message: &&Bytes| message.first().is_none_or(|channel| matches!(channel, 1 | 2));
    let expected = stdout_bytes(messages.iter().take_while(is_output));
    let sent = stdout_bytes(&messages);
    let received = crate::streams::stdout_of(messages);
    assert!(received.starts_with(&expected), "{received:?}");
    assert!(sent.starts_with(&received), "{received:?}");
}

/// The bytes of the stdout messages, without the byte for the channel.
#[cfg(feature = "ws")]
fn stdout_bytes<'a>(messages: impl IntoIterator<Item = &'a Bytes>) -> Vec<u8> {
    let outputs = messages.into_iter().filter_map(|message| message.strip_prefix(&[1]));
    outputs.flatten().copied().collect()
}

/// The items or events of a body that arrives in chunks of `size` bytes, and whether the body was complete.
fn split_body<S: Split>(mut splitter: S, body: &[u8], size: usize) -> (Vec<Bytes>, bool) {
    let mut pieces = Vec::new();
    for frame in body.chunks(size) {
        splitter.push(Bytes::copy_from_slice(frame));
        while let Some(piece) = splitter.next() {
            let Ok(piece) = piece else { return (pieces, false) };
            pieces.push(piece);
        }
    }
    let Ok((last, _)) = splitter.finish() else { return (pieces, false) };
    pieces.extend(last);
    (pieces, true)
}

/// Checks the JSON text that a compact store keeps for an item: the text must decode to the same value as the item.
fn check_stored_text(decoder: &ObjectDecoder, item: &[u8]) {
    let unchecked = decoder.convert_item(item, &Convert::decoding(|object| Ok(object.json.to_vec())));
    if let Ok(text) = &unchecked {
        assert_eq!(decode_json::<Value>(text).ok(), decode_json::<Value>(item).ok());
    }
    let text = decoder.convert_item(item, &Convert::new(|object| Ok(object.json.to_vec())));
    assert!(unchecked.is_ok() || text.is_err());
    if let Ok(text) = text {
        // The text and the item may both fail to decode, for example if a number is out of range.
        let value = decode_json::<Value>(&text).map_err(|error| error.to_string());
        assert_eq!(value, decode_json::<Value>(item).map_err(|error| error.to_string()));
        assert!(value.is_ok_and(|object| object.is_object()) || decode_json::<Value>(item).is_err());
    }
}

/// Asserts that the client's decoder and serde_json decode a text to the same value, or that both fail.
fn check_decoders(text: &[u8]) {
    let own = decode_json::<Value>(text).ok();
    assert_eq!(own, serde_json::from_slice(text).ok());
}

#[cfg(test)]
mod tests {
    use fastrand::Rng;
    use std::path::Path;

    /// The default number of mutated inputs for each file of the corpus.
    const MUTATIONS_PER_FILE: usize = 300;

    /// Calls a target with each file of its corpus, and with random mutations of the files. The environment variable
    /// `FUZZ_RUNS` overrides [`MUTATIONS_PER_FILE`].
    #[expect(clippy::disallowed_methods, reason = "a setting of this test only")]
    #[track_caller]
    fn run_on_corpus(name: &str, target: fn(&[u8])) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
        let runs = std::env::var("FUZZ_RUNS").map_or(MUTATIONS_PER_FILE, |runs| runs.parse().unwrap());
        let mut paths: Vec<_> =
            std::fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path()).collect();
        paths.sort();
        assert!(paths.len() > 3, "{}", folder.display());
        let inputs: Vec<_> = paths.iter().map(|path| std::fs::read(path).unwrap()).collect();
        for (path, input) in paths.iter().zip(&inputs) {
            // The test harness shows the output of a test that panics.
            println!("{}", path.display());
            target(input);
        }
        // With a fixed seed, each run of the test makes the same mutations.
        let mut rng = Rng::with_seed(1);
        for _ in 0..runs * inputs.len() {
            let mutated = mutate(rng.choice(&inputs).unwrap(), rng.choice(&inputs).unwrap(), &mut rng);
            println!("{:?}", String::from_utf8_lossy(&mutated));
            target(&mutated);
        }
    }

    /// Joins the beginning of the input `one` and the end of the input `other`. Inserts or replaces up to three bytes.
    fn mutate(one: &[u8], other: &[u8], rng: &mut Rng) -> Vec<u8> {
        let mut mutated = one[..rng.usize(..=one.len())].to_vec();
        mutated.extend(&other[rng.usize(..=other.len())..]);
        for _ in 0..rng.usize(..4) {
            let at = rng.usize(..=mutated.len());
            let byte = *rng.choice(b"{}[]\",:\\\n 0e-.nul\xff\x00()!=&*").unwrap();
            if rng.bool() || at == mutated.len() {
                mutated.insert(at, byte);
            } else {
                mutated[at] = byte;
            }
        }
        mutated
    }

    #[test]
    fn the_saved_kubeconfigs_survive_reading_and_writing() {
        run_on_corpus("kubeconfig", super::check_kubeconfig);
    }

    #[test]
    fn the_saved_lists_decode_as_with_serde_json() {
        run_on_corpus("list", super::check_list);
    }

    #[test]
    fn the_event_splitter_and_serde_json_agree_on_the_saved_watches() {
        run_on_corpus("watch", super::check_watch);
    }

    #[cfg(feature = "ws")]
    #[test]
    fn the_saved_messages_reach_their_streams_in_order() {
        run_on_corpus("channels", super::check_channels);
    }

    #[test]
    fn the_saved_objects_decode_equally_from_protobuf_and_json() {
        run_on_corpus("protobuf", super::check_protobuf);
    }

    #[test]
    fn the_saved_selectors_survive_reading_and_writing() {
        run_on_corpus("selector", super::check_selector);
    }
}
