//! Validation of the environment variables and volumes of pods, with their references to config maps and secrets.

use serde_json::Value;

use crate::names;
use crate::schema::FieldError;
use crate::strategy::validation::{Errors, items, join, string_in};

/// The error text for a value with more than one source.
const MORE_THAN_ONE_SOURCE: &str = "may not have more than one field specified at a time";

/// Validates `env` and `envFrom` of the container at `path`.
pub(super) fn check_environment_variables(path: &str, container: &Value, out: &mut Errors) {
    for (path, variable) in items(path, container, "env") {
        let name = string_in(variable, "name");
        if name.is_empty() {
            out.push(FieldError::required(join(&path, "name"), ""));
        } else if !is_environment_variable_name(name) {
            out.push(FieldError::invalid(join(&path, "name"), name, names::INVALID_VARIABLE_NAME));
        }
        let from = join(&path, "valueFrom");
        if variable["valueFrom"].is_object() {
            if !string_in(variable, "value").is_empty() {
                let why = "may not be specified when `value` is not empty";
                out.push(FieldError::invalid(&from, "", why));
            }
            check_value_from(&from, &variable["valueFrom"], out);
        }
    }
    for (at, source) in items(path, container, "envFrom") {
        let prefix = string_in(source, "prefix");
        if !prefix.is_empty() && !is_environment_variable_name(prefix) {
            out.push(FieldError::invalid(join(&at, "prefix"), prefix, names::INVALID_VARIABLE_NAME));
        }
        let named: Vec<&str> =
            ["configMapRef", "secretRef"].into_iter().filter(|field| source[*field].is_object()).collect();
        for field in &named {
            let (at, name) = (join(&at, &format!("{field}.name")), string_in(&source[*field], "name"));
            if name.is_empty() {
                out.push(FieldError::required(at, ""));
            } else if let Some(why) = names::subdomain_problem(name) {
                out.push(FieldError::invalid(at, name, why));
            }
        }
        let why = match named.len() {
            0 => "must specify one of: `configMapRef` or `secretRef`",
            1 => continue,
            _ => MORE_THAN_ONE_SOURCE,
        };
        // As in the API server, the error has the path of the list instead of the path of the item.
        out.push(FieldError::invalid(join(path, "envFrom"), "", why));
    }
}

fn is_environment_variable_name(name: &str) -> bool {
    name.bytes().all(|b| (b' '..=b'~').contains(&b) && b != b'=')
}

/// Validates `valueFrom` of an environment variable.
fn check_value_from(path: &str, source: &Value, out: &mut Errors) {
    let known = ["fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef"];
    let named: Vec<&str> = known.into_iter().filter(|field| source[*field].is_object()).collect();
    for field in &named {
        let (path, reference) = (join(path, field), &source[*field]);
        match *field {
            "fieldRef" => out.require_string(&path, reference, "fieldPath"),
            "resourceFieldRef" => out.require_string(&path, reference, "resource"),
            "configMapKeyRef" | "secretKeyRef" => {
                let (name, key) = (string_in(reference, "name"), string_in(reference, "key"));
                if let Some(why) = names::subdomain_problem(name) {
                    out.push(FieldError::invalid(join(&path, "name"), name, why));
                }
                if key.is_empty() {
                    out.push(FieldError::required(join(&path, "key"), ""));
                } else if let Some(why) = names::config_key_problem(key) {
                    out.push(FieldError::invalid(join(&path, "key"), key, why));
                }
            }
            _ => {}
        }
    }
    let why = match named.len() {
        0 => {
            "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`"
        }
        1 => return,
        _ => MORE_THAN_ONE_SOURCE,
    };
    out.push(FieldError::invalid(path, "", why));
}

/// Validates the source of the volume at `path`. Checks only config maps, secrets, persistent volume claims, host paths
/// and projected volumes.
pub(super) fn check_volume(path: &str, volume: &Value, out: &mut Errors) {
    for (source, name) in [
        ("configMap", "name"),
        ("secret", "secretName"),
        ("persistentVolumeClaim", "claimName"),
        ("hostPath", "path"),
    ] {
        if volume[source].is_object() {
            let path = join(path, source);
            out.require_string(&path, &volume[source], name);
            check_volume_files(&path, &volume[source], out);
        }
    }
    let path = join(path, "projected");
    check_file_mode(&path, &volume["projected"], "defaultMode", out);
    for (path, source) in items(&path, &volume["projected"], "sources") {
        for kind in ["configMap", "secret"] {
            if source[kind].is_object() {
                let path = join(&path, kind);
                out.require_string(&path, &source[kind], "name");
                check_volume_files(&path, &source[kind], out);
            }
        }
    }
}

/// Validates the file modes and the `items` of a volume source.
fn check_volume_files(path: &str, source: &Value, out: &mut Errors) {
    check_file_mode(path, source, "defaultMode", out);
    for (path, item) in items(path, source, "items") {
        out.require_string(&path, item, "key");
        check_file_mode(&path, item, "mode", out);
        let (field, file) = (join(&path, "path"), string_in(item, "path"));
        if file.is_empty() {
            out.push(FieldError::required(field, ""));
        } else if file.starts_with('/') {
            out.push(FieldError::invalid(field, file, "must be a relative path"));
        } else if file.split('/').any(|part| part == "..") {
            out.push(FieldError::invalid(field, file, "must not contain '..'"));
        }
    }
}

fn check_file_mode(path: &str, object: &Value, field: &str, out: &mut Errors) {
    if let Some(mode) = object[field].as_i64().filter(|mode| !(0..=0o777).contains(mode)) {
        let why = "must be a number between 0 and 0777 (octal), both inclusive";
        out.push(FieldError::invalid(join(path, field), mode, why));
    }
}
