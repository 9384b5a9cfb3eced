//! `status.storedVersions`: the versions in which custom resources of the CRD may be stored.

use std::collections::HashMap;

use serde_json::Value;

use super::super::field_error::FieldError;
use super::string_field;

const PATH: &str = "status.storedVersions";

/// Checks that the spec contains all stored versions, and that the storage version is one of the stored versions.
pub(super) fn check(crd: &Value, errors: &mut Vec<FieldError>) {
    let list = &crd["status"]["storedVersions"];
    let names: Vec<&str> = list.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if names.is_empty() {
        errors.push(FieldError::invalid(PATH, list.clone(), "must have at least one stored version"));
        return;
    }
    let mut missing: HashMap<&str, usize> =
        names.iter().enumerate().map(|(index, name)| (*name, index)).collect();
    for version in crd["spec"]["versions"].as_array().into_iter().flatten() {
        let name = string_field(version, "name");
        // The first version with a name removes the name from `missing`. If a second version has the same
        // name and `storage: true`, it therefore causes the error below, as in the API server.
        if missing.remove(name).is_none() && version["storage"] == true {
            let why = format!("must have the storage version {name}");
            errors.push(FieldError::invalid(PATH, list.clone(), why));
        }
    }
    let mut missing: Vec<_> = missing.into_iter().collect();
    missing.sort_by_key(|(_, index)| *index);
    for (name, index) in missing {
        let why = format!(
            "missing from spec.versions; {name} was previously a storage version, and must remain in spec.versions until a storage migration ensures no data remains persisted in {name} and removes {name} from status.storedVersions"
        );
        errors.push(FieldError::invalid(format!("{PATH}[{index}]"), name, why));
    }
}
