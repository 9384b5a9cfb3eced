//! Generates random schemas from a seed, to cover combinations of keywords that `kinds` lacks.

use serde_json::{Map, Value, json};

/// The names of definitions and properties. Random values contain these names as keys and strings.
const NAMES: &[&str] = &["a", "b", "metadata", "type"];
const TYPES: &[&str] = &["object", "array", "string", "integer", "number", "boolean", "null"];

/// Generates a schema with `$defs`. Each reference in the schema resolves to one of these definitions.
pub(crate) fn schema_with_definitions(seed: u64) -> Value {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut root = random_schema(&mut random, 3);
    let defs: Map<String, Value> =
        NAMES.iter().map(|name| ((*name).to_owned(), Value::Object(random_schema(&mut random, 2)))).collect();
    root.insert("$defs".to_owned(), Value::Object(defs));
    Value::Object(root)
}

/// A random element of a list.
fn pick<'l>(random: &mut fastrand::Rng, list: &[&'l str]) -> &'l str {
    list[random.usize(..list.len())]
}

fn random_value(random: &mut fastrand::Rng) -> Value {
    match random.u8(..6) {
        0 => Value::Null,
        1 => json!(random.bool()),
        2 => json!(random.i64(-3..3)),
        3 => json!({ pick(random, NAMES): random.i64(-3..3) }),
        4 => json!([pick(random, NAMES)]),
        _ => json!(pick(random, NAMES)),
    }
}

/// A random boolean, reference or schema.
fn subschema(random: &mut fastrand::Rng, depth: u8) -> Value {
    match random.u8(..10) {
        0 => Value::Bool(random.bool()),
        1 => json!({ "$ref": format!("#/$defs/{}", pick(random, NAMES)), "description": "referred to" }),
        _ => Value::Object(random_schema(random, depth - 1)),
    }
}

/// One to three random subschemas.
fn subschemas(random: &mut fastrand::Rng, depth: u8) -> Value {
    (0..random.usize(1..4)).map(|_| subschema(random, depth)).collect()
}

/// A random schema with at most `depth` levels of nested schemas.
fn random_schema(random: &mut fastrand::Rng, depth: u8) -> Map<String, Value> {
    let mut keywords = Map::new();
    let mut add = |key: &str, value: Value| keywords.insert(key.to_owned(), value);
    match random.u8(..8) {
        0 => {}
        1 => drop(add("type", json!([pick(random, TYPES), pick(random, TYPES)]))),
        _ => drop(add("type", json!(pick(random, TYPES)))),
    }
    for _ in 0..random.usize(..4) {
        match random.u8(..18) {
            0 => add("enum", (0..random.usize(1..4)).map(|_| random_value(random)).collect()),
            1 => add("const", random_value(random)),
            2 => add("default", random_value(random)),
            3 => add("required", json!([pick(random, NAMES)])),
            4 => add("exclusiveMinimum", json!(random.i64(-3..3))),
            5 => add("maximum", json!(random.i64(-3..3))),
            6 => add("minLength", json!(random.u8(..3))),
            7 => add("uniqueItems", json!(true)),
            8 => add("nullable", json!(random.bool())),
            9 => add("description", json!("words")),
            10 => add("format", json!(pick(random, &["uint8", "int32", "date-time", "odd"]))),
            _ if depth == 0 => None,
            11 => add("items", subschema(random, depth)),
            12 => add("additionalProperties", subschema(random, depth)),
            13 => add("prefixItems", subschemas(random, depth)),
            14 => add("not", subschema(random, depth)),
            15 => add("allOf", subschemas(random, depth)),
            16 => add("anyOf", subschemas(random, depth)),
            _ => add("oneOf", subschemas(random, depth)),
        };
    }
    if depth > 0 && random.bool() {
        let properties: Map<String, Value> = (0..random.usize(1..3))
            .map(|_| (pick(random, NAMES).to_owned(), subschema(random, depth)))
            .collect();
        keywords.insert("properties".to_owned(), Value::Object(properties));
    }
    keywords
}
