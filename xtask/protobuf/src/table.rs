//! `Table`: merges the messages of several versions of Kubernetes, and formats the messages as the text that
//! `kube-client` reads.
//!
//! `kube-client/src/wire/protobuf/table.rs` documents the format.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::{Context as _, ensure};
use serde::Deserialize;

/// The maximum number of fields of a message: the decoder in `kube-client` has one bit for each field.
const MAX_FIELDS: usize = 64;

/// A line of the Go program's output: a Protobuf message.
#[derive(Deserialize)]
struct MessageLine {
    name: String,
    #[serde(default)]
    kinds: Vec<Kind>,
    fields: Vec<Field>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Kind {
    api_version: String,
    kind: String,
}

#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Field {
    number: u16,
    name: String,
    r#type: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    label: String,
    #[serde(default)]
    omit_zero: bool,
    #[serde(default)]
    null: bool,
}

/// The Protobuf messages of one or more versions of Kubernetes. The key of a message is the name of its Go
/// type.
#[derive(Default)]
pub struct Table {
    messages: BTreeMap<String, Message>,
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table").field("messages", &self.messages.len()).finish()
    }
}

#[derive(Default)]
struct Message {
    /// The API version, if the message is a kind.
    api_version: Option<String>,
    fields: BTreeMap<u16, Field>,
}

impl Table {
    /// Adds the messages of a version of Kubernetes. Each line of `description` describes one message. The
    /// version must be newer than all versions added before.
    ///
    /// # Errors
    /// If the description is malformed, or contradicts the description of a version added before.
    pub fn add(&mut self, description: &str) -> anyhow::Result<()> {
        for line in description.lines() {
            let described: MessageLine = serde_json::from_str(line).context("parsing a message")?;
            let name = short_name(&described.name);
            let message = self.messages.entry(name.clone()).or_default();
            for kind in described.kinds {
                let type_name = name.rsplit('.').next().unwrap_or_default();
                ensure!(kind.kind == type_name, "{name} is the kind {}", kind.kind);
                let known = message.api_version.get_or_insert_with(|| kind.api_version.clone());
                ensure!(*known == kind.api_version, "{name} is a kind of two API versions");
            }
            for field in described.fields {
                let known_type = type_letter(&field.r#type).is_some();
                ensure!(
                    known_type,
                    "{name}.{} has the type {}, which is not known",
                    field.name,
                    field.r#type
                );
                let field = Field { message: short_name(&field.message), ..field };
                if let Some(known) = message.fields.get(&field.number) {
                    let form =
                        |f: &Field| (f.name.clone(), f.r#type.clone(), f.label.clone(), f.message.clone());
                    ensure!(form(known) == form(&field), "{name}.{} has another type", field.name);
                }
                // The field of the newer version replaces the field of the older version. The old field and the new field
                // can differ only in `omit_zero` and `null`.
                message.fields.insert(field.number, field);
            }
            ensure!(message.fields.len() <= MAX_FIELDS, "{name} has more than {MAX_FIELDS} fields");
        }
        Ok(())
    }

    /// The number of messages.
    pub fn message_count(&self) -> usize {
        self.messages.len()
    }

    /// The number of kinds.
    pub fn kind_count(&self) -> usize {
        self.messages.values().filter(|message| message.api_version.is_some()).count()
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut package = "";
        for (name, message) in &self.messages {
            let (message_package, type_name) = name.rsplit_once('.').unwrap_or(("", name));
            if message_package != package {
                package = message_package;
                writeln!(f, "@{package}")?;
            }
            match &message.api_version {
                Some(version) => writeln!(f, "={type_name} {version}")?,
                None => writeln!(f, "={type_name}")?,
            }
            for field in message.fields.values() {
                writeln!(f, "{}", field_line(field, package))?;
            }
        }
        Ok(())
    }
}

/// The letter of a type in the table; `None` if the client does not read the type.
fn type_letter(name: &str) -> Option<char> {
    const LETTERS: [(&str, char); 16] = [
        ("string", 's'),
        ("bytes", 'b'),
        ("bool", 't'),
        ("int", 'i'),
        ("uint", 'u'),
        ("double", 'd'),
        ("message", 'm'),
        ("time", 'T'),
        ("microTime", 'M'),
        ("quantity", 'Q'),
        ("intOrString", 'I'),
        ("json", 'J'),
        ("strings", 'S'),
        ("schemaOrList", 'L'),
        ("schemaOrBool", 'B'),
        ("schemaOrStrings", 'P'),
    ];
    LETTERS.iter().find(|(known, _)| *known == name).map(|(_, letter)| *letter)
}

/// The table's line for a field. `package` is the package of the message that contains the field.
fn field_line(field: &Field, package: &str) -> String {
    let label = match field.label.as_str() {
        "list" => "*",
        "map" => "%",
        "inline" => "~",
        _ => "",
    };
    let value = type_letter(&field.r#type).unwrap_or('?');
    let zero = if field.omit_zero { "-" } else { "" };
    let null = if field.null { "0" } else { "" };
    let own = field.message.strip_prefix(package).and_then(|name| name.strip_prefix('.'));
    let message = own.unwrap_or(&field.message);
    format!("{} \"{}\":{label}{value}{zero}{null} {message}", field.number, field.name).trim_end().to_owned()
}

/// The name of a Go type without the common part of its package's path.
fn short_name(name: &str) -> String {
    let prefixes = [
        "k8s.io/apimachinery/pkg/apis/",
        "k8s.io/apiextensions-apiserver/pkg/apis/",
        "k8s.io/kube-aggregator/pkg/apis/",
        "k8s.io/api/",
    ];
    let stripped = prefixes.iter().find_map(|prefix| name.strip_prefix(prefix));
    stripped.unwrap_or(name).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_version_adds_fields_and_changes_omit_zero() {
        let mut table = Table::default();
        table.add(r#"{"name":"k8s.io/api/core/v1.A","kinds":[{"apiVersion":"v1","kind":"A"}],"fields":[{"number":1,"name":"a","type":"string"}]}"#).unwrap();
        table.add(r#"{"name":"k8s.io/api/core/v1.A","fields":[{"number":1,"name":"a","type":"string","omitZero":true},{"number":3,"name":"b","type":"message","message":"k8s.io/api/core/v1.B","label":"list","null":true}]}"#).unwrap();
        assert_eq!(table.to_string(), "@core/v1\n=A v1\n1 \"a\":s-\n3 \"b\":*m0 B\n");
        assert_eq!((table.kind_count(), table.message_count()), (1, 1));
    }

    #[test]
    fn a_reused_field_number_is_an_error() {
        let line = |name: &str| {
            format!(r#"{{"name":"A","fields":[{{"number":1,"name":"{name}","type":"string"}}]}}"#)
        };
        let mut table = Table::default();
        table.add(&line("a")).unwrap();
        assert!(table.add(&line("b")).unwrap_err().to_string().contains("A.b"));
    }
}
