//! The strategy of secrets.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::config_map::{check_data_keys, decoded_len, reject_changes_of_immutable_data, total_size};
use crate::go_json::{self, unmarshal_error};
use crate::schema::FieldError;
use crate::strategy::Strategy;
use crate::strategy::defaulting::{object_or_insert, set_default_string};
use crate::strategy::fields::SelectableField;
use crate::strategy::printer::{Printer, age_cell, entry_count, name_cell, text_cell};
use crate::strategy::validation::{Errors, string_in};

pub(super) const STRATEGY: Strategy = Strategy {
    kind: "Secret",
    set_defaults,
    validate,
    validate_update: Some(|old, new, out| {
        validate(new, out);
        out.reject_change("type", old, new);
        reject_changes_of_immutable_data(old, new, &["data"], out);
    }),
    selectable_fields: &[SelectableField::new("type")],
    printer: Printer::new(|object, now| {
        let count = entry_count(&object["data"]);
        vec![name_cell(object), text_cell(&object["type"]), count.into(), age_cell(object, now)]
    }),
    ..Strategy::DEFAULT
};

/// Sets the default type, and moves the values of `stringData` to `data`, because `stringData` is write-only.
fn set_defaults(_: Option<&Value>, object: &mut Value) {
    set_default_string(object, "type", "Opaque");
    let texts = object.as_object_mut().and_then(|map| map.remove("stringData"));
    let Some(Value::Object(texts)) = texts else { return };
    if let Some(data) = object_or_insert(object, "data") {
        for (key, text) in texts {
            data[&key] = Value::from(STANDARD.encode(text.as_str().unwrap_or_default()));
        }
    }
}

fn validate(new: &Value, out: &mut Errors) {
    check_data_keys("data", &new["data"], out);
    out.limit_size("data", total_size(&new["data"], decoded_len));
    let data = &new["data"];
    let is_absent = |key: &str| data.get(key).is_none();
    let mut require = |key: &str| out.push(FieldError::required(format!("data[{key}]"), ""));
    match string_in(new, "type") {
        "kubernetes.io/tls" => {
            ["tls.crt", "tls.key"].into_iter().filter(|key| is_absent(key)).for_each(require);
        }
        "kubernetes.io/dockerconfigjson" => check_docker_config(data, ".dockerconfigjson", out),
        "kubernetes.io/dockercfg" => check_docker_config(data, ".dockercfg", out),
        "kubernetes.io/ssh-auth" if string_in(data, "ssh-privatekey").is_empty() => require("ssh-privatekey"),
        "kubernetes.io/basic-auth" if is_absent("username") && is_absent("password") => {
            ["username", "password"].into_iter().for_each(require);
        }
        "kubernetes.io/service-account-token" => {
            let key = "kubernetes.io/service-account.name";
            if string_in(&new["metadata"]["annotations"], key).is_empty() {
                out.push(FieldError::required(format!("metadata.annotations[{key}]"), ""));
            }
        }
        _ => {}
    }
}

/// Checks that `data` contains `key`, and that the decoded value is a JSON object or null.
fn check_docker_config(data: &Value, key: &str, out: &mut Errors) {
    let path = format!("data[{key}]");
    let Some(text) = data.get(key) else { return out.push(FieldError::required(path, "")) };
    let bytes = STANDARD.decode(text.as_str().unwrap_or_default()).unwrap_or_default();
    let parsed = match go_json::syntax_error(&bytes) {
        Some(problem) => Err(problem),
        None => serde_json::from_slice::<Value>(&bytes).map_err(|error| error.to_string()),
    };
    let problem = match parsed {
        Ok(Value::Object(_) | Value::Null) => return,
        Ok(other) => unmarshal_error(&other, "map[string]interface {}"),
        Err(problem) => problem,
    };
    out.push(FieldError::invalid(path, "<secret contents redacted>", problem));
}
