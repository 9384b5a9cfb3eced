//! Traverses a schema and rewrites each node. Rewrites the properties and items of a node before `composition` merges
//! the node's `allOf`, `oneOf` and `anyOf`.
//!
//! A node is the schema itself or one of its subschemas. This file tracks the path of the current node and collects the
//! problems. Other files, such as `keywords` and `composition`, rewrite the keywords of a single node.

use schemars::Schema;
use serde_json::{Value, json};

use super::{JsonObject, SchemaProblem, composition, defaults, keywords, nullable};

/// Rewrites a whole schema in place. Returns the problems. Most problems describe a node that accepts more
/// values than before.
pub(super) fn rewrite_schema(schema: &mut Schema) -> Vec<SchemaProblem> {
    let raw = schema.clone().to_value();
    let mut rewriter = Rewriter { root: raw.clone(), ..Rewriter::default() };
    let node = rewriter.rewrite_node(raw);
    *schema = Schema::from(node);
    rewriter.problems
}

/// The traversal of a schema: its current position, and the problems that it has found.
#[derive(Default)]
pub(super) struct Rewriter {
    /// The original schema, for the resolution of references.
    root: Value,
    /// The `$ref`s that the rewriter followed from the root to the current node. The list may contain the `$ref` of a
    /// recursive type twice.
    followed_references: Vec<String>,
    /// The path of the current node.
    path: String,
    /// The problems of the nodes that have been rewritten.
    problems: Vec<SchemaProblem>,
}

impl Rewriter {
    /// Rewrites a node and all nodes below it.
    pub(super) fn rewrite_node(&mut self, raw: Value) -> JsonObject {
        let mut node = match raw {
            Value::Object(node) => node,
            Value::Bool(false) => {
                self.report(
                    "the schema allows no value",
                    "remove the field from the schema with #[schemars(skip)]",
                );
                return any_value_schema();
            }
            _ => return any_value_schema(),
        };
        if let Some(reference) = node.remove("$ref") {
            return self.expand_reference(node, &reference);
        }
        keywords::convert_keywords(self, &mut node);
        self.rewrite_children(&mut node);
        composition::rewrite_composition(self, &mut node);
        self.finish_node(&mut node);
        node
    }

    /// Records a problem of the current node. Most problems describe a rewritten node that accepts more values than
    /// the original node.
    pub(super) fn report(&mut self, what: impl Into<String>, advice: &'static str) {
        self.problems.push(SchemaProblem::new(self.path.clone(), what, advice));
    }

    /// Runs `work` with `segment` added to the path.
    pub(super) fn at_path_segment<R>(&mut self, segment: &str, work: impl FnOnce(&mut Self) -> R) -> R {
        let length = self.path.len();
        self.path.push_str(segment);
        let result = work(self);
        self.path.truncate(length);
        result
    }

    /// Runs `work` and discards the problems that it reports.
    pub(super) fn discard_problems_of<R>(&mut self, work: impl FnOnce(&mut Self) -> R) -> R {
        let known = self.problems.len();
        let result = work(self);
        self.problems.truncate(known);
        result
    }

    /// Rewrites a node with a `$ref`: the target of `reference` replaces the node. `beside` contains the other keywords
    /// of the node: annotations in `beside` replace the target's annotations, and validations in `beside` are added to
    /// the target's validations. If the target does not exist or the recursion is too deep, reports a problem and
    /// returns a schema that accepts any value.
    fn expand_reference(&mut self, beside: JsonObject, reference: &Value) -> JsonObject {
        let name = reference.as_str().unwrap_or_default().to_owned();
        // Expand a recursive type for two levels, so that the server also validates the fields of the first nested
        // value.
        if self.followed_references.iter().filter(|followed| **followed == name).count() > 1 {
            self.report(
                "the type contains itself, which would make the schema infinite",
                "define a type for each needed level, or give the field #[schemars(with = \"serde_json::Value\")]",
            );
            return copy_title_and_description(any_value_schema(), &beside);
        }
        let Some(target) = name.strip_prefix('#').and_then(|pointer| self.root.pointer(pointer)).cloned()
        else {
            self.report(
                format!("the target of the reference {name:?} does not exist"),
                "inline the referenced schema",
            );
            return copy_title_and_description(any_value_schema(), &beside);
        };
        let merged = match target {
            Value::Object(target) => Value::Object(merge_reference(target, beside)),
            other => other,
        };
        self.followed_references.push(name);
        let node = self.rewrite_node(merged);
        self.followed_references.pop();
        node
    }

    /// Rewrites the schemas of properties, items and map values.
    fn rewrite_children(&mut self, node: &mut JsonObject) {
        if let Some(Value::Object(properties)) = node.get_mut("properties") {
            for (name, property) in properties.iter_mut() {
                let raw = property.take();
                *property =
                    Value::Object(self.at_path_segment(&format!(".{name}"), |this| this.rewrite_node(raw)));
            }
        }
        if node.get("items") == Some(&Value::Bool(false)) {
            node.remove("items");
            node.insert("maxItems".to_owned(), json!(0));
        }
        for key in ["items", "additionalProperties"] {
            if let Some(child) = node.get_mut(key)
                && *child != Value::Bool(false)
            {
                let raw = child.take();
                *child = Value::Object(self.at_path_segment("[*]", |this| this.rewrite_node(raw)));
            }
        }
        if let Some(Value::Array(items)) = node.remove("prefixItems") {
            let items = items
                .into_iter()
                .map(|raw| self.at_path_segment("[*]", |this| this.rewrite_node(raw)))
                .collect();
            let item = self.at_path_segment("[*]", |this| composition::union_of_all(this, items));
            node.insert("items".to_owned(), Value::Object(item));
        }
        if let Some(Value::Object(patterns)) = node.remove("patternProperties") {
            let values = patterns
                .into_iter()
                .map(|(_, raw)| self.at_path_segment("[*]", |this| this.rewrite_node(raw)))
                .collect();
            let value = self.at_path_segment("[*]", |this| composition::union_of_all(this, values));
            node.insert("additionalProperties".to_owned(), Value::Object(value));
        }
    }

    /// Gives the node a single type, or makes the node accept any value. Removes keywords that do not apply to the type,
    /// and a default that is not valid.
    pub(super) fn finish_node(&mut self, node: &mut JsonObject) {
        if node.get("additionalProperties") == Some(&Value::Bool(false)) {
            node.remove("additionalProperties");
        }
        let has_properties = node
            .get("properties")
            .and_then(Value::as_object)
            .is_some_and(|properties| !properties.is_empty());
        if has_properties && let Some(values) = node.remove("additionalProperties") {
            if !values.as_object().is_some_and(keywords::accepts_any_type) {
                self.report(
                    "the values of a flattened map are not validated beside other fields",
                    "move the map into a field, or use values of type serde_json::Value",
                );
            }
            node.insert("x-kubernetes-preserve-unknown-fields".to_owned(), Value::Bool(true));
        }
        keywords::infer_type(node);
        keywords::drop_inapplicable_keywords(self, node);
        keywords::drop_unsupported_maximum(self, node);
        self.convert_unique_items(node);
        if keywords::type_of(node) == Some("array") && !node.contains_key("items") {
            node.insert("items".to_owned(), Value::Object(any_value_schema()));
        }
        self.drop_map_list_type_if_items_are_untyped(node);
        nullable::move_enum_to_all_of(node);
        if let Some(default) = node.get("default")
            && let Err(what) = defaults::check_default(default, node)
        {
            node.remove("default");
            self.report(what, "make the default and the schema agree, or remove one of them");
        }
    }

    /// Drops the list type `map` if the items accept any value, for example because the type is recursive. The API
    /// server would reject the keys of such a list, because the items have no fields.
    fn drop_map_list_type_if_items_are_untyped(&mut self, node: &mut JsonObject) {
        let items = node.get("items").and_then(Value::as_object);
        if node.get("x-kubernetes-list-type") == Some(&json!("map"))
            && items.is_some_and(keywords::accepts_any_type)
        {
            node.remove("x-kubernetes-list-type");
            node.remove("x-kubernetes-list-map-keys");
            self.report(
                "the items accept any value, so a list of the type `map` has no keys",
                "give the items a type, or remove the merge strategy",
            );
        }
    }

    /// Converts `uniqueItems: true` into `x-kubernetes-list-type: set`. If the node already has a list type, only drops
    /// `uniqueItems`. If the items are nullable or not scalars, drops `uniqueItems` and reports a problem.
    fn convert_unique_items(&mut self, node: &mut JsonObject) {
        if node.remove("uniqueItems") != Some(Value::Bool(true))
            || node.contains_key("x-kubernetes-list-type")
        {
            return;
        }
        let items = node.get("items").and_then(Value::as_object);
        let scalar = items.is_some_and(|items| {
            matches!(keywords::type_of(items), Some("string" | "integer" | "number" | "boolean"))
                && !nullable::is_nullable(items)
        });
        if scalar {
            node.insert("x-kubernetes-list-type".to_owned(), json!("set"));
        } else {
            self.report(
                "a set needs items of type string, number or boolean that are not nullable",
                "use a list, with a validation rule if duplicates must be rejected",
            );
        }
    }
}

/// Merges a referenced schema with the node that refers to it. `target` is the referenced schema. `beside` contains the
/// keywords of the node other than `$ref`.
fn merge_reference(mut target: JsonObject, mut beside: JsonObject) -> JsonObject {
    let is_annotation = |key: &str| matches!(key, "title" | "description" | "default" | "examples");
    let mut keys = beside.iter().filter(|(key, _)| !is_annotation(key));
    let conflict = keys.any(|(key, value)| target.get(key).is_some_and(|other| other != value));
    if !conflict {
        target.extend(beside);
        return target;
    }
    // Keywords conflict, for example, in a newtype variant of an internally tagged enum: schemars writes the tag into
    // `properties` beside the reference. `allOf` keeps the keywords of both schemas.
    target.retain(|key, _| !(is_annotation(key) && beside.contains_key(key)));
    match beside.get_mut("allOf") {
        Some(Value::Array(all)) => all.push(Value::Object(target)),
        _ => {
            beside.insert("allOf".to_owned(), json!([target]));
        }
    }
    beside
}

/// A schema that accepts any value, including null.
///
/// Without `nullable`, the API server drops a null when it stores the object. Each server-side apply of the same object
/// then counts as a change, and a controller that applies the object on every event runs in a loop.
pub(super) fn any_value_schema() -> JsonObject {
    let mut node =
        JsonObject::from_iter([("x-kubernetes-preserve-unknown-fields".to_owned(), Value::Bool(true))]);
    nullable::set_nullable(&mut node);
    node
}

/// Copies the title and description of `from`, the replaced schema, to `node`.
pub(super) fn copy_title_and_description(mut node: JsonObject, from: &JsonObject) -> JsonObject {
    for key in ["title", "description"] {
        if let Some(text) = from.get(key).filter(|text| text.is_string()) {
            node.insert(key.to_owned(), text.clone());
        }
    }
    node
}
