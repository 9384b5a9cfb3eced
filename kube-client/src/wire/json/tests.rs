//! Tests of the decoder. Most of them compare the decoder with serde_json on the same texts.

mod comparison_with_serde_json;

use super::decode;
use crate::core::FieldSet;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json, value::RawValue};
use std::collections::{BTreeMap, HashMap};
use std::fmt::Debug;

/// The set of the fields at these paths.
fn field_set(paths: &[&str]) -> FieldSet {
    paths.iter().map(|path| path.parse::<FieldSet>().unwrap()).collect()
}

/// Asserts that the decoder and serde_json return the same value, or that both fail.
#[track_caller]
fn assert_same_result<T: DeserializeOwned + Debug + PartialEq>(text: &str) {
    let expected = serde_json::from_str::<T>(text);
    let found = decode::<T>(text.as_bytes(), &FieldSet::none());
    match (found, expected) {
        (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{text}"),
        (Err(_), Err(_)) => {}
        (found, expected) => panic!("{text}: {found:?} instead of {expected:?}"),
    }
}

#[test]
fn the_decoder_reads_values_as_serde_json_does() {
    for text in [
        "null",
        "true",
        "false",
        " [ ] ",
        "{}",
        "[1,2]",
        "[1,]",
        "[,1]",
        "[1 2]",
        "{\"a\":1,}",
        "{,}",
        "{\"a\" 1}",
        "{a:1}",
        "{\"a\":1 \"b\":2}",
        "nul",
        "truee",
        "",
        " ",
        "1 2",
        "\"a\\u00e9\\ud83d\\ude00\\n\"",
        "\"\\ud800\"",
        "\"\\x\"",
        "\"a\nb\"",
        "\"a",
        "\"a\\",
        "{\"a\\\"b\":{\"c\":[{}]}}",
        "[[[]]]",
        "{\"a\":}",
        "[}",
        "]",
        "{\"a\":1}}",
        "\"0123456789abcdef0123456789abcdef\"",
        "\"0123456789abcde\\\"f0123456789\"",
        "{\"k\":\"é\u{1f600}\"}",
    ] {
        assert_same_result::<Value>(text);
    }
}

#[test]
fn the_decoder_reads_numbers_as_serde_json_does() {
    for text in [
        "0",
        "-0",
        "7",
        "-7",
        "18446744073709551615",
        "18446744073709551616",
        "-9223372036854775808",
        "-9223372036854775809",
        "1.5",
        "-1.5e3",
        "1E+2",
        "1e-2",
        "0.1",
        "123456789.987654321",
        "01",
        "-",
        "+1",
        ".5",
        "1.",
        "1e",
        "1e+",
        "1e999",
        "--1",
        "1-1",
        "0x1",
        "1.2.3",
        "4.35",
        "9007199254740993",
        "2.2250738585072014e-308",
    ] {
        assert_same_result::<Value>(text);
        assert_same_result::<f64>(text);
        assert_same_result::<u8>(text);
        assert_same_result::<i32>(text);
        assert_same_result::<i64>(text);
    }
    assert_same_result::<i128>("-170141183460469231731687303715884105728");
    assert_same_result::<u128>("340282366920938463463374607431768211455");
}

/// An enum with each kind of variant.
#[derive(Debug, PartialEq, Deserialize)]
enum Choice {
    Unit,
    One(u8),
    Two(u8, String),
    Named { a: Option<u8> },
}

/// An internally tagged enum.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
enum TaggedEnum {
    First { value: Vec<u8> },
    Second(FlattenedStruct),
}

/// A struct with a flattened map.
#[derive(Debug, PartialEq, Deserialize)]
struct FlattenedStruct {
    #[serde(default)]
    name: String,
    #[serde(flatten)]
    rest: BTreeMap<String, Value>,
}

/// An enum for the keys of maps.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
enum Letter {
    A,
    B,
}

/// A struct with fields of many types of serde's data model.
#[derive(Debug, PartialEq, Deserialize)]
struct ManyTypes {
    unit: (),
    flag: Option<bool>,
    letter: char,
    tuple: (i8, f32),
    choices: Vec<Choice>,
    tagged: Option<TaggedEnum>,
    by_number: BTreeMap<i16, bool>,
    by_letter: BTreeMap<Letter, u8>,
    by_flag: HashMap<bool, u8>,
    boxed: Box<[String]>,
}

#[test]
fn the_decoder_reads_a_struct_of_many_types_as_serde_json_does() {
    let text = json!({
        "unit": null, "flag": true, "letter": "x", "tuple": [-1, 2.5], "unknown": {"a": ["]}\"", {}]},
        "choices": ["Unit", {"One": 1}, {"Two": [2, "b"]}, {"Named": {"a": null}}],
        "tagged": {"value": [1, 2], "kind": "first"},
        "by_number": {"-3": true}, "by_letter": {"B": 2, "A": 1}, "by_flag": {"true": 1},
        "boxed": ["a", "b\n"],
    });
    assert_same_result::<ManyTypes>(&text.to_string());
    assert_same_result::<ManyTypes>(&format!("{text:#}"));
    for (field, wrong) in [
        ("unit", json!(1)),
        ("letter", json!("xy")),
        ("tuple", json!([1])),
        ("tuple", json!([1, 2, 3])),
        ("choices", json!(["None"])),
        ("choices", json!([{"One": 1, "Two": 2}])),
        ("choices", json!([{"Unit": 1}])),
        ("choices", json!([{}])),
        ("tagged", json!({"kind": "third"})),
        ("tagged", json!({"kind": "second", "name": "n", "more": [1]})),
        ("by_number", json!({"x": true})),
        ("by_letter", json!({"C": 1})),
        ("boxed", json!({})),
        ("boxed", json!(null)),
    ] {
        let mut text = text.clone();
        text[field] = wrong;
        assert_same_result::<ManyTypes>(&text.to_string());
    }
}

#[test]
fn raw_values_keep_their_text() {
    #[derive(Deserialize)]
    struct Raw {
        a: Box<RawValue>,
    }
    let raw: Raw = decode(br#"{"a": {"b" : [1 ]} }"#, &FieldSet::none()).unwrap();
    assert_eq!(raw.a.get(), r#"{"b" : [1 ]}"#);
}

#[test]
fn errors_contain_cause_and_position() {
    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "only the decode error matters")]
    struct Small {
        n: u8,
    }
    for (text, expected) in [
        ("{\"n\":\n \"x\"}", "invalid type: string, expected u8 at line 2 column 4"),
        ("{\"n\":300}", "invalid value: integer, expected u8 at line 1 column 8"),
        ("{}", "missing field `n` at line 1 column 2"),
        ("{\"n\":1", "EOF while parsing an object at line 1 column 6"),
        ("{\"n\":1}x", "trailing characters at line 1 column 7"),
        ("{\"n\":[\n]}", "invalid type: sequence, expected u8 at line 1 column 5"),
    ] {
        let error = decode::<Small>(text.as_bytes(), &FieldSet::none()).unwrap_err();
        assert_eq!(error.to_string(), expected, "{text}");
    }
    let error = decode::<Vec<Vec<u8>>>(b"[[1,\n\"x\"\n]\n]", &FieldSet::none()).unwrap_err();
    assert_eq!(error.to_string(), "invalid type: string, expected u8 at line 2 column 3");
    let error = decode::<Value>(b"[\"a\", \"\xff\"]", &FieldSet::none()).unwrap_err();
    assert_eq!(error.to_string(), "bytes that are not UTF-8 at line 1 column 7");
}

#[test]
fn an_error_keeps_a_field_name_that_contains_a_line_number() {
    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Strict {}
    let text = br#"{"looked at line 3 of it":1}"#;
    let error = decode::<Strict>(text, &FieldSet::none()).unwrap_err();
    let expected = "unknown field `looked at line 3 of it`, there are no fields at line 1 column 25";
    assert_eq!(error.to_string(), expected);
}

/// Decodes only the first member of an object.
#[derive(Debug, PartialEq)]
struct FirstMember(Value);

impl<'de> Deserialize<'de> for FirstMember {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = FirstMember;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a map")
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<FirstMember, A::Error> {
                map.next_key::<String>()?;
                map.next_value().map(FirstMember)
            }
        }
        deserializer.deserialize_map(Visitor)
    }
}

#[test]
fn the_end_of_a_map_is_checked_if_its_visitor_returns_early() {
    for text in [r#"{"a":1}"#, r#"{"a":1,"b":2}"#, r#"{"a":1]"#, r#"{"a":1}}"#, r#"{"a":1"#, r#"{"a":1 } "#] {
        assert_same_result::<FirstMember>(text);
        assert_same_result::<Vec<FirstMember>>(&format!("[{text}]"));
        assert_same_result::<Vec<FirstMember>>(&format!("[{text},{text}]"));
        assert_same_result::<(FirstMember, u8)>(&format!("[{text},7]"));
        assert_same_result::<BTreeMap<String, FirstMember>>(&format!(r#"{{"x":{text},"y":{text}}}"#));
        assert_same_result::<BTreeMap<String, Option<FirstMember>>>(&format!(r#"{{"x":{text}}}"#));
    }
}

/// Decodes to `None` if the value does not decode as a `T`.
#[derive(Debug, PartialEq)]
struct Lenient<T>(Option<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Lenient<T> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(T::deserialize(deserializer).ok()))
    }
}

/// Like [`assert_same_result`], but the decoder may reject invalid JSON that serde_json accepts: after an error that
/// [`Lenient`] tolerates, serde_json does not report a missing bracket.
#[track_caller]
fn assert_same_result_for_json<T: DeserializeOwned + Debug + PartialEq>(text: &str) {
    let is_json = serde_json::from_str::<Value>(text).is_ok();
    if is_json || decode::<T>(text.as_bytes(), &FieldSet::none()).is_ok() {
        assert_same_result::<T>(text);
    }
}

/// Calls [`assert_same_result_for_json`] with objects and lists that contain the value `wrong` and further values.
#[track_caller]
fn assert_same_lenient_result<T: DeserializeOwned + Debug + PartialEq>(wrong: &str) {
    #[derive(Debug, PartialEq, Deserialize)]
    struct ListAndByte<T> {
        before: Vec<Lenient<T>>,
        after: u8,
    }
    assert_same_result_for_json::<Lenient<T>>(wrong);
    for text in [
        format!(r#"{{"x":{wrong}}}"#),
        format!(r#"{{"x":{wrong},"y":{wrong}}}"#),
        format!(r#"{{"x" : {wrong} , "y":null}}"#),
        format!(r#"{{"x":{wrong}]"#),
        format!(r#"{{"x":{wrong}"#),
    ] {
        assert_same_result_for_json::<BTreeMap<String, Lenient<T>>>(&text);
        assert_same_result_for_json::<Vec<BTreeMap<String, Lenient<T>>>>(&format!("[{text},{text}]"));
    }
    assert_same_result_for_json::<Vec<Lenient<T>>>(&format!("[{wrong},{wrong}, {wrong} ]"));
    assert_same_result_for_json::<(Lenient<T>, u8)>(&format!("[{wrong},7]"));
    assert_same_result_for_json::<ListAndByte<T>>(&format!(r#"{{"before":[{wrong},{wrong}],"after":1}}"#));
    assert_same_result_for_json::<ListAndByte<T>>(&format!(r#"{{"before":[{wrong}}},"after":1}}"#));
    assert_same_result_for_json::<Lenient<Vec<T>>>(&format!("[{wrong}]"));
    assert_same_result_for_json::<Vec<Lenient<Vec<T>>>>(&format!("[[{wrong}],[{wrong}]]"));
}

#[test]
fn decoding_continues_as_serde_json_does_after_a_tolerated_error() {
    type Map<T> = BTreeMap<String, T>;
    for text in
        [r#"["x"]"#, r#"[ "x" ]"#, r#"[1,"x"]"#, r#"["x",1]"#, "[[]]", "[{}]", "[1,]", "[1", "[]", "[300]"]
    {
        assert_same_lenient_result::<Vec<u8>>(text);
        assert_same_lenient_result::<(u8, u8)>(text);
    }
    for text in [r#"[["x"]]"#, r#"[[1],["x"]]"#, r#"[["x"],[1]]"#, "[[1]]", "[7]", r#"[["x"],]"#] {
        assert_same_lenient_result::<Vec<Vec<u8>>>(text);
        assert_same_lenient_result::<Vec<Lenient<Vec<u8>>>>(text);
    }
    for text in
        [r#"{"a":["x"]}"#, r#"{"a":["x"],"b":[1]}"#, r#"{"a":[1],"b":["x"] }"#, r#"{"a":[1]}"#, r#"{"a":7}"#]
    {
        assert_same_lenient_result::<Map<Vec<u8>>>(text);
        assert_same_lenient_result::<Map<Lenient<Vec<u8>>>>(text);
    }
    for text in
        [r#"[{"a":"x"}]"#, r#"[{"a":1},{"a":"x" } ]"#, r#"[{"a":"x"},{"a":1}]"#, r#"[{"a":"x","b":1}]"#]
    {
        assert_same_lenient_result::<Vec<Map<u8>>>(text);
        assert_same_lenient_result::<Vec<Lenient<Map<u8>>>>(text);
    }
    for text in
        [r#"{"a":[{"b":["x"]}]}"#, r#"{"a":[{"b":[1]},{"b":["x"]}]}"#, r#"{"a":[{"b":["x"]},{"b":[1]}]}"#]
    {
        assert_same_lenient_result::<Map<Vec<Map<Vec<u8>>>>>(text);
        assert_same_lenient_result::<Map<Lenient<Vec<Map<Vec<u8>>>>>>(text);
        assert_same_lenient_result::<Map<Vec<Lenient<Map<Vec<u8>>>>>>(text);
    }
    let deep = format!(r#"{}"x"{}"#, "[".repeat(8), "]".repeat(8));
    assert_same_lenient_result::<Vec<Vec<Vec<Vec<Vec<Vec<Vec<Vec<u8>>>>>>>>>(&deep);
}

#[test]
fn nesting_beyond_the_limit_is_an_error() {
    assert_same_result::<Value>(&format!("{}{}", "[".repeat(127), "]".repeat(127)));
    assert_same_result::<Value>(&format!("{}{}", "[".repeat(200), "]".repeat(200)));
    let deep = format!("{}1{}", "{\"a\":".repeat(100_000), "}".repeat(100_000));
    assert!(decode::<Value>(deep.as_bytes(), &FieldSet::none()).is_err());
}

#[test]
fn strings_with_two_character_escapes_are_allocated_once() {
    let escapes =
        r#"["f:\"a\"", "\\", "\/\b\f\n\r\t", "é\"ü\"", "k:{\"type\":\"Ready\"}\\", "\u0041\"", "\"\u00e9"]"#;
    assert_same_result::<Vec<String>>(escapes);
    for broken in [r#"["\"a]"#, r#"["\"\x"]"#, r#"["\"\"#, "[\"\\\"\u{1}\"]"] {
        assert_same_result::<Vec<String>>(broken);
    }
    let plain: Vec<String> = decode(escapes.as_bytes(), &FieldSet::none()).unwrap();
    // The decoder passes strings with Unicode escapes to serde_json, which may allocate a larger capacity.
    assert!(plain[..5].iter().all(|string| string.capacity() == string.len()), "{plain:?}");
}

#[test]
fn vectors_are_allocated_with_their_final_capacity() {
    let check = |text: &str, capacity: usize| {
        let list: Vec<String> = decode(text.as_bytes(), &FieldSet::none()).unwrap();
        assert_eq!(list.capacity(), capacity, "{text}");
    };
    check("[]", 0);
    check(r#"["a"]"#, 1);
    check(r#"["a", "]", "[,\"", "b", "c"]"#, 5);
}

/// Asserts that decoding without the fields at `paths` returns `expected`.
#[track_caller]
fn assert_decoded_without(paths: &[&str], text: &str, expected: &Value) {
    let found: Value = decode(text.as_bytes(), &field_set(paths)).unwrap();
    assert_eq!(found, *expected, "{paths:?}");
}

#[test]
fn fields_are_skipped_at_any_position() {
    let text = r#"{"a":1, "b":{"c":[1,{"d":"}"}]},"\u0065":"x"}"#;
    assert_decoded_without(&["a"], text, &json!({"b": {"c": [1, {"d": "}"}]}, "e": "x"}));
    assert_decoded_without(&["e"], text, &json!({"a": 1, "b": {"c": [1, {"d": "}"}]}}));
    assert_decoded_without(&["a", "b", "e"], text, &json!({}));
    assert_decoded_without(&["b.c"], text, &json!({"a": 1, "b": {}, "e": "x"}));
    assert_decoded_without(&["b.c[*].d"], text, &json!({"a": 1, "b": {"c": [1, {}]}, "e": "x"}));
    assert_decoded_without(&["x", "b.x"], text, &serde_json::from_str(text).unwrap());
}

#[test]
fn fields_are_skipped_within_lists_and_maps() {
    let text = r#"{"l":[{"m":1,"n":2},{"n":3},4],"k":{"p":{"m":5},"q":{"n":6}}}"#;
    let (l, k) = (json!([{"m": 1, "n": 2}, {"n": 3}, 4]), json!({"p": {"m": 5}, "q": {"n": 6}}));
    assert_decoded_without(&["l[*].m"], text, &json!({"l": [{"n": 2}, {"n": 3}, 4], "k": k}));
    assert_decoded_without(&["k.*.m"], text, &json!({"l": l, "k": {"p": {}, "q": {"n": 6}}}));
    assert_decoded_without(&["l[*]"], text, &json!({"l": [], "k": k}));
    assert_decoded_without(&["k.*"], text, &json!({"l": l, "k": {}}));
    assert_decoded_without(&["k.*", "k.p.x"], text, &json!({"l": l, "k": {}}));
    assert_decoded_without(&["k.q.x", "k.*.m"], text, &json!({"l": l, "k": {"p": {}, "q": {"n": 6}}}));
}

#[test]
fn out_of_range_times_decode_to_the_nearest_timestamp() {
    use jiff::Timestamp;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, Time};
    #[derive(Debug, PartialEq, Deserialize)]
    struct Times {
        time: Time,
        micro: Option<MicroTime>,
        bare: Vec<Timestamp>,
        text: String,
        borrowed: BTreeMap<String, Value>,
    }
    const LAST_TIME: &str = "9999-12-31T23:59:59Z";
    let text = json!({
        "time": LAST_TIME, "micro": "9999-12-31T23:59:59.999999Z", "bare": ["-009999-01-01T00:00:00Z", LAST_TIME],
        "text": LAST_TIME, "borrowed": {LAST_TIME: LAST_TIME},
    });
    let times: Times = decode(text.to_string().as_bytes(), &FieldSet::none()).unwrap();
    assert_eq!((times.time.0, times.micro), (Timestamp::MAX, Some(MicroTime(Timestamp::MAX))));
    assert_eq!(times.bare, [Timestamp::MIN, Timestamp::MAX]);
    // Strings and keys are unchanged.
    assert_eq!((times.text.as_str(), &times.borrowed[LAST_TIME]), (LAST_TIME, &json!(LAST_TIME)));
    for wrong in ["9999-12-31T25:00:00Z", "9999-12-31", "9999-12-31T23:59:59", "9999"] {
        assert_same_result::<Time>(&json!(wrong).to_string());
    }
    assert_same_result::<Time>(r#""9999-12-30T22:00:00Z""#);
}
