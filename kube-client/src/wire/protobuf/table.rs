//! The table of Protobuf messages. It describes the built-in kinds of all supported Kubernetes versions.
//!
//! `cargo xtask protobuf` writes `messages.txt`. A line `@PACKAGE` begins a Go package. A line
//! `=NAME [APIVERSION]` begins a message. Only the line of a kind has an API version. The line of a field is
//! `NUMBER "KEY":[LABEL]TYPE[FLAGS] [MESSAGE]`:
//!
//! - `KEY` is the key of the field in JSON.
//! - `LABEL` is `*` for a list, `%` for a map, and `~` for an inline message. A single value has no label.
//! - `TYPE` is a letter for the type of the value.
//! - `FLAGS` contains `-` if JSON omits zero, and `0` if JSON has null for an absent value.
//! - `MESSAGE` is the name of the value's message, if any.

use std::collections::HashMap;
use std::sync::LazyLock;

/// The form of a value in Protobuf and in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ValueType {
    String,
    Bytes,
    Bool,
    Int,
    Uint,
    Double,
    Message,
    Time,
    MicroTime,
    Quantity,
    IntOrString,
    /// JSON text, or an object in an envelope.
    Json,
    /// A message with a list of strings. In JSON, the value is the list itself.
    Strings,
    SchemaOrList,
    SchemaOrBool,
    SchemaOrStrings,
}

/// The cardinality of a field, and the form of its value in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Label {
    Single,
    List,
    /// A map with string keys.
    Map,
    /// A message whose fields belong to the JSON object of the outer message.
    Inline,
}

/// A field of a message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field {
    pub(super) number: u16,
    /// The key in JSON, with its quotes and the colon.
    pub(super) key: &'static str,
    pub(super) label: Label,
    pub(super) value: ValueType,
    /// Whether JSON omits the zero value, although Protobuf contains it.
    pub(super) omits_zero: bool,
    /// Whether JSON has null for an absent value.
    pub(super) has_null: bool,
    /// The index of the value's message in [`Messages::all`]; not used if the type of the value needs no message.
    message: u16,
}

impl Field {
    /// The name of the field in JSON.
    pub(super) fn name(&self) -> &'static str {
        self.key.trim_end_matches(':').trim_matches('"')
    }

    /// The Protobuf message type of the field's value.
    pub(super) fn message(&self) -> &'static Message {
        &MESSAGES.all[usize::from(self.message)]
    }
}

/// A Protobuf message type. It has at most 64 fields.
#[derive(Debug)]
pub(crate) struct Message {
    pub(super) fields: Vec<Field>,
    /// Bit `n` is set if `fields[n].has_null` is true.
    pub(super) nulls: u64,
}

impl Message {
    /// The field with this number, and its index in `fields`.
    #[inline]
    pub(super) fn field(&self, number: u64) -> Option<(usize, &Field)> {
        // Most messages number their fields without a gap: the field `number` has the index `number - 1`.
        let guess = usize::try_from(number).unwrap_or_default().wrapping_sub(1);
        match self.fields.get(guess) {
            Some(field) if u64::from(field.number) == number => Some((guess, field)),
            _ => self.fields.iter().enumerate().find(|(_, field)| u64::from(field.number) == number),
        }
    }
}

/// The parsed table.
struct Messages {
    all: Vec<Message>,
    /// For each API version and kind, the index of the kind's message in `all`.
    kinds: HashMap<(&'static str, &'static str), usize>,
}

/// The table, which is parsed at its first use.
static MESSAGES: LazyLock<Messages> = LazyLock::new(|| parse(include_str!("messages.txt")));

/// The Protobuf message type of a kind; `None` if the table does not contain the kind, as for custom resources.
pub(crate) fn message_of_kind(api_version: &str, kind: &str) -> Option<&'static Message> {
    MESSAGES.kinds.get(&(api_version, kind)).map(|at| &MESSAGES.all[*at])
}

/// Parses the table. Ignores a line that does not parse; the tests check that all lines parse.
fn parse(text: &'static str) -> Messages {
    let index = index_messages(text);
    let mut messages = Messages { all: Vec::with_capacity(index.len()), kinds: HashMap::new() };
    let mut package = "";
    for line in text.lines() {
        if let Some(name) = line.strip_prefix('@') {
            package = name;
        } else if let Some(message) = line.strip_prefix('=') {
            if let Some((kind, api_version)) = message.split_once(' ') {
                messages.kinds.insert((api_version, kind), messages.all.len());
            }
            messages.all.push(Message { fields: Vec::new(), nulls: 0 });
        } else if let (Some(field), Some(message)) =
            (parse_field(line, package, &index), messages.all.last_mut())
        {
            message.nulls |= u64::from(field.has_null) << (message.fields.len() % 64);
            message.fields.push(field);
        }
    }
    messages
}

/// The index of each message, by package and name.
fn index_messages(text: &'static str) -> HashMap<(&'static str, &'static str), u16> {
    let (mut index, mut package) = (HashMap::new(), "");
    for line in text.lines() {
        if let Some(name) = line.strip_prefix('@') {
            package = name;
        } else if let Some(message) = line.strip_prefix('=') {
            let name = message.split(' ').next().unwrap_or_default();
            index.insert((package, name), u16::try_from(index.len()).unwrap_or(u16::MAX));
        }
    }
    index
}

/// Parses the line of a field.
fn parse_field(
    line: &'static str,
    package: &'static str,
    index: &HashMap<(&'static str, &'static str), u16>,
) -> Option<Field> {
    let (number, rest) = line.split_once(' ')?;
    let (key, form) = rest.split_at(rest.find(':')? + 1);
    let mut parts = form.split(' ');
    let (number, form) = (number.parse().ok()?, parts.next()?);
    let label = match form.as_bytes().first()? {
        b'*' => Label::List,
        b'%' => Label::Map,
        b'~' => Label::Inline,
        _ => Label::Single,
    };
    let form = if label == Label::Single { form } else { &form[1..] };
    let value = match form.as_bytes().first()? {
        b's' => ValueType::String,
        b'b' => ValueType::Bytes,
        b't' => ValueType::Bool,
        b'i' => ValueType::Int,
        b'u' => ValueType::Uint,
        b'd' => ValueType::Double,
        b'm' => ValueType::Message,
        b'T' => ValueType::Time,
        b'M' => ValueType::MicroTime,
        b'Q' => ValueType::Quantity,
        b'I' => ValueType::IntOrString,
        b'J' => ValueType::Json,
        b'S' => ValueType::Strings,
        b'L' => ValueType::SchemaOrList,
        b'B' => ValueType::SchemaOrBool,
        b'P' => ValueType::SchemaOrStrings,
        _ => return None,
    };
    let message = match parts.next() {
        Some(name) => *index.get(&name.rsplit_once('.').unwrap_or((package, name)))?,
        None => 0,
    };
    let (omits_zero, has_null) = (form[1..].contains('-'), form[1..].contains('0'));
    Some(Field { number, key, label, value, omits_zero, has_null, message })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_table_is_parsed() {
        let text = include_str!("messages.txt");
        let fields = text.lines().filter(|line| line.starts_with(|c: char| c.is_ascii_digit())).count();
        assert_eq!(MESSAGES.all.iter().map(|message| message.fields.len()).sum::<usize>(), fields);
        assert!(fields > 4000 && text.len() < 150 << 10, "{fields} fields, {} bytes", text.len());
        assert!(MESSAGES.all.iter().all(|message| message.fields.len() <= 64));
        assert!(MESSAGES.all.iter().flat_map(|message| &message.fields).all(|field| {
            field.key.starts_with('"') && field.key.ends_with("\":") && !field.name().contains(['"', '\\'])
        }));
    }

    #[test]
    fn field_metadata_has_number_1_and_field_items_has_number_2() {
        let number = |message: &Message, name: &str| {
            message.fields.iter().find(|field| field.name() == name).map(|field| field.number)
        };
        for ((api_version, kind), at) in &MESSAGES.kinds {
            let message = &MESSAGES.all[*at];
            assert!(matches!(number(message, "metadata"), None | Some(1)), "{api_version} {kind}");
            if kind.ends_with("List") {
                assert_eq!(number(message, "items"), Some(2), "{api_version} {kind}");
            }
        }
    }
}
