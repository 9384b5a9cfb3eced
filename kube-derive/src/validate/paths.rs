//! Validation of the JSON paths in a CRD: columns, selectable fields and the scale subresource.
//!
//! This module must not compare paths with the fields of the Rust type: a macro cannot resolve renames and custom
//! schemas.

/// The maximum number of selectable fields per version.
pub(super) const MAX_SELECTABLE_FIELDS: usize = 8;

/// Checks that the path of a printer column consists of a dot and at least one further character. A path that begins with
/// a brace has an error text of its own.
pub(super) fn check_column_path(path: &str) -> Result<(), String> {
    if path.starts_with('{') {
        return Err(format!("JSON path \"{path}\" must not have braces"));
    }
    if !path.starts_with('.') || path.len() < 2 {
        let fixed = path.trim_start_matches(['$', '.']);
        return Err(format!("JSON path \"{path}\" must begin with a dot: \".{fixed}\""));
    }
    Ok(())
}

/// Checks that the path of a selectable field consists of field names, without array notation. Rejects `.metadata` and the
/// paths below `.metadata`.
pub(super) fn check_selectable_path(path: &str) -> Result<(), String> {
    check_column_path(path)?;
    check_field_names(path)?;
    if path == ".metadata" || path.starts_with(".metadata.") {
        return Err(format!(
            "\"{path}\" cannot be selectable: name and namespace always are, and other metadata cannot be"
        ));
    }
    Ok(())
}

/// Checks that a path begins with one of `roots` and consists of field names, without array notation.
pub(super) fn check_path_below(path: &str, roots: &[&str]) -> Result<(), String> {
    check_column_path(path)?;
    check_field_names(path)?;
    if roots.iter().any(|root| path.starts_with(root)) {
        return Ok(());
    }
    let roots = roots.iter().map(|r| format!("`{r}`")).collect::<Vec<_>>().join(" or ");
    Err(format!("JSON path \"{path}\" must begin with {roots}"))
}

/// Checks that a path consists of field names, without array notation.
fn check_field_names(path: &str) -> Result<(), String> {
    let named =
        |part: &str| !part.is_empty() && part.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-'));
    if path[1..].split('.').all(named) {
        return Ok(());
    }
    Err(format!("JSON path \"{path}\" must be field names joined by dots, without array notation"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn column_paths_begin_with_a_dot() {
        assert!(check_column_path(".spec.items[*].name").is_ok());
        for bad in ["spec.a", "{.spec.a}", "", ".", "$.spec"] {
            assert!(check_column_path(bad).is_err(), "{bad:?} should be rejected");
        }
        assert!(check_column_path("$.spec.a").unwrap_err().contains("\".spec.a\""));
    }

    #[test]
    fn selectable_paths_have_no_array_notation_and_exclude_metadata() {
        assert!(check_selectable_path(".spec.color").is_ok());
        for bad in [".spec.items[0]", ".metadata.name", ".spec..x", ".spec."] {
            assert!(check_selectable_path(bad).is_err(), "{bad:?} should be rejected");
        }
    }

    #[test]
    fn scale_paths_are_below_their_root() {
        assert!(check_path_below(".spec.replicas", &[".spec."]).is_ok());
        assert!(check_path_below(".status.replicas", &[".spec."]).is_err());
        assert!(check_path_below(".spec", &[".spec."]).is_err());
    }
}
