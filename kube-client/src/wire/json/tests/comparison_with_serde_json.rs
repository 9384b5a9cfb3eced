//! Differential test of the decoder and serde_json: both decode a corpus and random texts into many types.
//!
//! `DECODER_RUNS=100000 cargo test --release -p kube-client comparison_with_serde_json` decodes more random texts. If
//! the results for a text differ, add the text to a file in `corpus`, which has one text per line.

use super::decode;
use crate::core::FieldSet;
use fastrand::Rng;
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::{Value, value::RawValue};
use std::collections::BTreeMap;
use std::fmt::{self, Debug};

/// The contents of the files in `corpus`. Each line of a file is one text to decode.
const CORPUS: [&str; 4] = [
    include_str!("corpus/values.txt"),
    include_str!("corpus/numbers.txt"),
    include_str!("corpus/strings.txt"),
    include_str!("corpus/keys.txt"),
];

/// An enum with each kind of variant.
#[derive(Debug, PartialEq, Deserialize)]
enum Choice {
    Unit,
    One(i64),
    Two(u8, String),
    Named { a: Option<u8> },
}

/// An untagged enum.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(untagged)]
enum UntaggedEnum {
    Number(f64),
    Text(String),
    Other(Value),
}

/// Decodes from any value and ignores it.
#[derive(Debug, PartialEq, Deserialize)]
struct IgnoredValue(IgnoredAny);

/// Decodes three fields and ignores all others.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(default)]
struct PartialStruct {
    a: Option<f32>,
    b: UntaggedEnum,
    metadata: BTreeMap<String, Option<IgnoredValue>>,
}

impl Default for PartialStruct {
    fn default() -> Self {
        Self { a: None, b: UntaggedEnum::Number(0.0), metadata: BTreeMap::new() }
    }
}

/// A struct with a flattened map.
#[derive(Debug, PartialEq, Deserialize)]
struct FlattenedStruct {
    #[serde(default)]
    a: Option<u8>,
    #[serde(flatten)]
    rest: BTreeMap<String, Value>,
}

/// The bytes of a string, whether they are valid UTF-8 or not.
#[derive(PartialEq)]
struct Octets(Vec<u8>);

impl Debug for Octets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x?}", self.0)
    }
}

impl<'de> Deserialize<'de> for Octets {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Octets;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes")
            }
            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Octets, E> {
                Ok(Octets(bytes.to_vec()))
            }
        }
        deserializer.deserialize_bytes(Visitor)
    }
}

/// Asserts that the decoder and serde_json return the same `T`, or that both fail.
#[track_caller]
fn compare_results<T: DeserializeOwned + Debug>(text: &str) {
    // Do not use `from_str`: if the type requires `bool` keys and a key is neither `true` nor `false`, serde_json
    // 1.0.154 may create a `str` that begins within a multi-byte character.
    let expected = serde_json::from_slice::<T>(text.as_bytes()).ok().map(|value| format!("{value:?}"));
    let found = decode::<T>(text.as_bytes(), &FieldSet::none()).ok().map(|value| format!("{value:?}"));
    assert_eq!(found, expected, "{text:?} as {}", std::any::type_name::<T>());
}

/// Like [`compare_results`], for types that ignore parts of the text. In those parts the decoder only counts brackets,
/// so it may accept invalid JSON.
#[track_caller]
fn compare_results_with_ignored_parts<T: DeserializeOwned + Debug>(text: &str) {
    let is_json = serde_json::from_str::<IgnoredAny>(text).is_ok();
    if is_json || decode::<T>(text.as_bytes(), &FieldSet::none()).is_err() {
        compare_results::<T>(text);
    }
}

/// Compares the results for all types of this test.
fn compare_results_of_all_types(text: &str) {
    compare_results::<Value>(text);
    compare_results_with_ignored_parts::<IgnoredAny>(text);
    compare_results::<Box<RawValue>>(text);
    compare_results_with_ignored_parts::<Choice>(text);
    compare_results::<UntaggedEnum>(text);
    compare_results_with_ignored_parts::<PartialStruct>(text);
    compare_results::<FlattenedStruct>(text);
    compare_results::<Octets>(text);
    compare_results::<Option<(u8, bool)>>(text);
    compare_results_with_ignored_parts::<Vec<PartialStruct>>(text);
    compare_results_with_ignored_parts::<Vec<Choice>>(text);
    compare_results_with_ignored_parts::<BTreeMap<String, Choice>>(text);
    compare_results::<(f32, f64)>(text);
    compare_results::<String>(text);
    compare_results::<char>(text);
    compare_results::<()>(text);
    compare_numbers_and_keys(text);
}

/// Compares the results for numeric types, and for maps with other keys than strings.
fn compare_numbers_and_keys(text: &str) {
    compare_results::<i8>(text);
    compare_results::<u64>(text);
    compare_results::<i64>(text);
    compare_results::<u128>(text);
    compare_results::<i128>(text);
    compare_results::<f32>(text);
    compare_results::<f64>(text);
    compare_results::<BTreeMap<u8, u8>>(text);
    compare_results::<BTreeMap<i32, Value>>(text);
    compare_results::<BTreeMap<i128, Value>>(text);
    compare_results::<BTreeMap<bool, Value>>(text);
    compare_results::<BTreeMap<char, Value>>(text);
    compare_results_with_ignored_parts::<BTreeMap<Option<u128>, Option<IgnoredValue>>>(text);
}

/// Appends the text of a random value: valid JSON, except for some numbers and strings.
fn append_value(random: &mut Rng, depth: u8, out: &mut String) {
    match random.u8(..if depth == 0 { 5 } else { 8 }) {
        0 => out.push_str(random.choice(["null", "true", "false"]).unwrap()),
        1 | 2 => append_number(random, out),
        3 | 4 => append_string(random, out),
        5 | 6 => {
            out.push('{');
            for n in 0..random.u8(..4) {
                append_with_space(random, out, if n == 0 { "" } else { "," });
                append_string(random, out);
                append_with_space(random, out, ":");
                append_value(random, depth - 1, out);
            }
            append_with_space(random, out, "}");
        }
        _ => {
            out.push('[');
            for n in 0..random.u8(..4) {
                append_with_space(random, out, if n == 0 { "" } else { "," });
                append_value(random, depth - 1, out);
            }
            append_with_space(random, out, "]");
        }
    }
}

/// Appends `what` with random white space before and after it.
fn append_with_space(random: &mut Rng, out: &mut String, what: &str) {
    let spaces = ["", "", "", " ", "\n", "\r\t"];
    out.push_str(random.choice(spaces).unwrap());
    out.push_str(what);
    out.push_str(random.choice(spaces).unwrap());
}

/// Appends a random number, or a text that resembles a number.
fn append_number(random: &mut Rng, out: &mut String) {
    match random.u8(..5) {
        0 => out.push_str(&random.u64(..).to_string()),
        1 => out.push_str(&random.i8(..).to_string()),
        2 => out.push_str(&f32::from_bits(random.u32(..)).to_string()),
        3 => out.push_str(&f64::from_bits(random.u64(..)).to_string()),
        _ => {
            let parts = ["-", "0", "1", "9", "00", "123456789", ".", ".5", "e", "E+", "e-", "38", "400"];
            for _ in 0..random.u8(1..6) {
                out.push_str(random.choice(parts).unwrap());
            }
        }
    }
}

/// Appends a random string, which may contain invalid escapes and a control character.
fn append_string(random: &mut Rng, out: &mut String) {
    out.push('"');
    match random.u8(..4) {
        0 => out.push_str(random.choice(["a", "b", "metadata", "Unit", "One", "Two", "Named"]).unwrap()),
        1 => append_number(random, out),
        2 => out.push_str(&"x".repeat(random.usize(..40))),
        _ => {
            let parts = [
                "\\n",
                "\\\"",
                "\\\\",
                "\\/",
                "\\u0041",
                "\\ud83d",
                "\\ude00",
                "\\uD800",
                "\\u12",
                "\\x",
                "\u{1}",
                "é",
                "\u{1f600}",
                "{",
                "]",
                ",",
                "x",
            ];
            for _ in 0..random.u8(..5) {
                out.push_str(random.choice(parts).unwrap());
            }
        }
    }
    out.push('"');
}

/// Replaces, removes or inserts one or two characters.
fn corrupt_text(random: &mut Rng, text: &str) -> String {
    let mut chars: Vec<char> = text.chars().collect();
    for _ in 0..random.u8(1..3) {
        let at = random.usize(..=chars.len());
        let other =
            random.choice(['{', '}', '[', ']', '"', ',', ':', '\\', '0', '-', '.', 'e', 'n', ' ']).unwrap();
        match random.u8(..3) {
            0 if at < chars.len() => drop(chars.remove(at)),
            1 if at < chars.len() => chars[at] = other,
            _ => chars.insert(at, other),
        }
    }
    chars.into_iter().collect()
}

#[test]
fn the_decoder_reads_the_corpus_as_serde_json_does() {
    for text in CORPUS.iter().flat_map(|file| file.lines()) {
        compare_results_of_all_types(text);
        // Also compare the results for the text within other values, and in an ignored field.
        for around in
            [format!("[{text}]"), format!(r#"{{"a":{text},"ignored":{text}}}"#), format!("[{text},{text}]")]
        {
            compare_results_of_all_types(&around);
        }
    }
}

#[test]
fn the_decoder_reads_random_texts_as_serde_json_does() {
    #[expect(
        clippy::disallowed_methods,
        reason = "sets the number of test runs, not the configuration of a client"
    )]
    let runs = std::env::var("DECODER_RUNS").ok().and_then(|runs| runs.parse().ok()).unwrap_or(2_000);
    let corpus: Vec<&str> = CORPUS.iter().flat_map(|file| file.lines()).collect();
    let mut random = Rng::with_seed(7);
    for _ in 0..runs {
        let mut made = String::new();
        append_value(&mut random, 4, &mut made);
        compare_results_of_all_types(&made);
        compare_results_of_all_types(&corrupt_text(&mut random, &made));
        let known = *random.choice(&corpus).unwrap();
        compare_results_of_all_types(&corrupt_text(&mut random, known));
    }
}

#[test]
fn floats_near_a_midpoint_are_rounded_once() {
    let mut random = Rng::with_seed(8);
    for _ in 0..2_000 {
        let below = f32::from_bits(random.u32(..0x7f7f_ffff));
        let above = f32::from_bits(below.to_bits() + 1);
        // An f64 represents the midpoint exactly. A number close to the midpoint would be rounded twice if it were
        // parsed as an f64 and then converted to an f32.
        let half = f64::midpoint(f64::from(below), f64::from(above));
        for text in [half.to_string(), format!("{half}1"), format!("{half:e}"), half.next_down().to_string()]
        {
            compare_results::<f32>(&text);
            compare_results::<f64>(&text);
        }
    }
}

#[test]
fn the_nesting_limit_equals_that_of_serde_json() {
    for depth in [126, 127, 128, 129, 200] {
        let lists = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        let objects = format!("{}1{}", r#"{"a":"#.repeat(depth), "}".repeat(depth));
        for text in [lists, objects] {
            compare_results::<Value>(&text);
            compare_results_with_ignored_parts::<IgnoredAny>(&text);
            compare_results::<Box<RawValue>>(&text);
            compare_results::<FlattenedStruct>(&text);
            compare_results_with_ignored_parts::<PartialStruct>(&format!(r#"{{"ignored":{text}}}"#));
        }
    }
}
