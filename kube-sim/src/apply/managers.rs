//! The field managers of an object, and their serialized form, `metadata.managedFields`.
//!
//! This module owns the identity of managers, the order of entries, and the limit on the number of update entries.
//! `ownership` computes which fields a manager owns after a write.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::field_set::FieldSet;

/// The maximum number of entries with the operation `Update` in an object. If an object has more entries, the oldest
/// entries of the same API version are merged.
const MAX_UPDATE_ENTRIES: usize = 10;
/// The name of the field manager of merged entries.
const ANCIENT_CHANGES: &str = "ancient-changes";

/// The identity of an entry of `managedFields`. The apply requests of a manager have one entry for each subresource. The
/// other writes of the manager have one entry for each subresource and API version. The main resource counts as the
/// subresource `""`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Manager {
    pub(super) name: String,
    pub(super) operation: Operation,
    /// Empty for [`Operation::Apply`], so that apply requests in different API versions share an entry.
    pub(super) api_version: String,
    pub(super) subresource: String,
}

/// The operation (`ManagedFieldsOperationType`): apply, or any other write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Operation {
    Apply,
    Update,
}

impl Manager {
    pub(super) fn new(name: &str, operation: Operation, api_version: &str, subresource: &str) -> Self {
        let api_version = match operation {
            Operation::Apply => String::new(),
            Operation::Update => api_version.to_owned(),
        };
        let name = if name.is_empty() { "unknown" } else { name };
        Self { name: name.to_owned(), operation, api_version, subresource: subresource.to_owned() }
    }

    /// The text for the manager in the messages of conflicts: `"kubectl" using apps/v1`.
    pub(super) fn describe(&self) -> String {
        let mut text = crate::schema::quote(&self.name);
        if !self.subresource.is_empty() {
            text.push_str(" with subresource ");
            text.push_str(&crate::schema::quote(&self.subresource));
        }
        if self.operation == Operation::Update {
            text.push_str(" using ");
            text.push_str(&self.api_version);
        }
        text
    }
}

/// The fields that a manager owns, and the API version of their paths.
#[derive(Debug, Clone)]
pub(super) struct OwnedFields {
    pub(super) fields: FieldSet,
    pub(super) api_version: String,
    /// The time of the manager's last change. It is `None` in two cases: the apply requests of the manager
    /// have never changed the object, or the last change was made through the subresource `scale`.
    pub(super) time: Option<String>,
}

/// All field managers of an object.
#[derive(Debug, Clone, Default)]
pub(super) struct Managers(pub(super) BTreeMap<Manager, OwnedFields>);

impl Managers {
    /// Parses `metadata.managedFields`.
    ///
    /// # Errors
    /// `entries` is neither null nor a list, or an entry is malformed.
    pub(super) fn parse(entries: &Value) -> Result<Self, String> {
        let mut managers = BTreeMap::new();
        let empty = Vec::new();
        let list = match entries {
            Value::Null => &empty,
            Value::Array(list) => list,
            _ => return Err("managedFields must be a list".to_owned()),
        };
        for (index, entry) in list.iter().enumerate() {
            let text = |field: &str| entry.get(field).and_then(Value::as_str).unwrap_or_default();
            let operation = match text("operation") {
                "Apply" => Operation::Apply,
                "Update" => Operation::Update,
                _ => return Err("operation must be `Apply` or `Update`".to_owned()),
            };
            let api_version = text("apiVersion");
            if api_version.is_empty() {
                return Err("apiVersion must not be empty".to_owned());
            }
            match text("fieldsType") {
                "FieldsV1" => {}
                "" => return Err(format!("missing fieldsType in managed fields entry {index}")),
                other => {
                    return Err(format!("invalid fieldsType \"{other}\" in managed fields entry {index}"));
                }
            }
            let empty = Value::Object(Map::new());
            let fields = FieldSet::of_fields_v1(entry.get("fieldsV1").unwrap_or(&empty))
                .map_err(|problem| format!("error decoding set: {problem}"))?;
            let manager = Manager::new(text("manager"), operation, api_version, text("subresource"));
            let manager = Manager { name: text("manager").to_owned(), ..manager };
            let time = entry.get("time").and_then(Value::as_str).map(str::to_owned);
            managers.insert(manager, OwnedFields { fields, api_version: api_version.to_owned(), time });
        }
        Ok(Self(managers))
    }

    /// The managers of an object; none if its managed fields are malformed.
    pub(super) fn of(object: Option<&Value>) -> Self {
        let entries = object.and_then(|object| object.get("metadata")?.get("managedFields"));
        entries.map_or_else(Self::default, |entries| Self::parse(entries).unwrap_or_default())
    }

    /// Sets `metadata.managedFields` of `object`, or removes this field if there are no managers.
    pub(super) fn write_to(&self, object: &mut Value) {
        let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) else { return };
        if self.0.is_empty() {
            metadata.remove("managedFields");
            return;
        }
        let mut entries: Vec<(&Manager, &OwnedFields)> = self.0.iter().collect();
        entries.sort_by_key(|(manager, owned)| {
            (manager.operation, &owned.time, &manager.name, &owned.api_version, &manager.subresource)
        });
        let entries = entries.into_iter().map(|(manager, owned)| managed_fields_entry(manager, owned));
        metadata.insert("managedFields".to_owned(), entries.collect());
    }

    /// If there are more than [`MAX_UPDATE_ENTRIES`] update entries, merges entries of the same API version, from the
    /// oldest on, until the limit is met or each API version has only one entry.
    pub(super) fn limit_update_entries(&mut self) {
        let mut updaters: Vec<Manager> =
            self.0.keys().filter(|manager| manager.operation == Operation::Update).cloned().collect();
        let mut count = updaters.len();
        if count <= MAX_UPDATE_ENTRIES {
            return;
        }
        updaters.sort_by_key(|manager| (self.0[manager].time.clone(), manager.clone()));
        let mut first_of_version: BTreeMap<String, Manager> = BTreeMap::new();
        for manager in updaters {
            if count <= MAX_UPDATE_ENTRIES {
                break;
            }
            let version = self.0[&manager].api_version.clone();
            let Some(first) = first_of_version.get(&version) else {
                first_of_version.insert(version, manager);
                continue;
            };
            let bucket = Manager::new(ANCIENT_CHANGES, Operation::Update, &version, "");
            if let Some(first) = self.0.remove(first).filter(|_| !self.0.contains_key(&bucket)) {
                self.0.insert(bucket.clone(), first);
            }
            if let (Some(owned), Some(joined)) = (self.0.remove(&manager), self.0.get_mut(&bucket)) {
                joined.fields = joined.fields.union(&owned.fields);
                joined.time = owned.time;
            }
            count -= 1;
        }
    }
}

fn managed_fields_entry(manager: &Manager, owned: &OwnedFields) -> Value {
    let operation = match manager.operation {
        Operation::Apply => "Apply",
        Operation::Update => "Update",
    };
    let mut entry = json!({
        "operation": operation,
        "apiVersion": owned.api_version,
        "fieldsType": "FieldsV1",
        "fieldsV1": owned.fields.to_fields_v1(),
    });
    if let Value::Object(entry) = &mut entry {
        let optional = [("manager", &manager.name), ("subresource", &manager.subresource)];
        for (field, text) in optional.into_iter().filter(|(_, text)| !text.is_empty()) {
            entry.insert(field.to_owned(), Value::from(text.as_str()));
        }
        if let Some(time) = &owned.time {
            entry.insert("time".to_owned(), Value::from(time.as_str()));
        }
    }
    entry
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object_with_managed_fields(entries: &Value) -> Value {
        json!({"metadata": {"managedFields": entries}})
    }

    #[test]
    fn managed_fields_round_trip() {
        let entries = json!([
            {"manager": "a", "operation": "Apply", "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": {"f:data": {}}},
            {"manager": "b", "operation": "Apply", "apiVersion": "v1", "time": "2026-01-01T00:00:00Z", "fieldsType": "FieldsV1", "fieldsV1": {"f:data": {}}},
            {"manager": "a", "operation": "Update", "apiVersion": "v1", "subresource": "status", "time": "2025-01-01T00:00:00Z", "fieldsType": "FieldsV1", "fieldsV1": {"f:status": {}}},
        ]);
        let mut written = json!({"metadata": {}});
        Managers::of(Some(&object_with_managed_fields(&entries))).write_to(&mut written);
        assert_eq!(written, object_with_managed_fields(&entries));
    }

    #[test]
    fn malformed_entries_are_rejected() {
        let error_with = |field: &str, value: Value| {
            let mut entry = json!({"manager": "a", "operation": "Apply", "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": {}});
            entry[field] = value;
            Managers::parse(&json!([entry])).err()
        };
        assert!(error_with("operation", json!("Patch")).unwrap().contains("operation must be"));
        assert!(error_with("apiVersion", json!("")).unwrap().contains("apiVersion must not be empty"));
        assert!(error_with("fieldsType", json!("")).unwrap().contains("missing fieldsType"));
        assert!(error_with("fieldsType", json!("V2")).unwrap().contains("invalid fieldsType"));
        assert!(error_with("fieldsV1", json!({"f:a": 1})).unwrap().contains("error decoding set"));
    }

    #[test]
    fn the_oldest_update_entries_are_merged_if_there_are_more_than_ten() {
        let mut managers = Managers::default();
        for index in 0..12 {
            let mut fields = FieldSet::default();
            fields.insert(&[super::super::path::Element::Field(format!("f{index:02}"))]);
            let time = Some(format!("2026-01-01T00:00:{index:02}Z"));
            let manager = Manager::new(&format!("m{index:02}"), Operation::Update, "v1", "");
            managers.0.insert(manager, OwnedFields { fields, api_version: "v1".to_owned(), time });
        }
        managers.limit_update_entries();
        assert_eq!(managers.0.len(), 10);
        let joined = &managers.0[&Manager::new(ANCIENT_CHANGES, Operation::Update, "v1", "")];
        assert_eq!(joined.fields.paths(), [".f00", ".f01", ".f02"]);
        assert_eq!(joined.time.as_deref(), Some("2026-01-01T00:00:02Z"));
    }

    #[test]
    fn describe_returns_the_text_of_conflict_messages() {
        assert_eq!(Manager::new("a", Operation::Apply, "v1", "").describe(), "\"a\"");
        assert_eq!(
            Manager::new("", Operation::Update, "apps/v1", "").describe(),
            "\"unknown\" using apps/v1"
        );
        let status = Manager::new("a", Operation::Update, "apps/v1", "status");
        assert_eq!(status.describe(), "\"a\" with subresource \"status\" using apps/v1");
    }
}
