//! The default plural of a kind, by the regular rules of English.
//!
//! Irregular plurals need `#[kube(plural = "..")]`.

/// The lower-case plural of a kind or singular name.
pub(crate) fn plural_of(singular: &str) -> String {
    let word = singular.to_ascii_lowercase();
    let is_sibilant = ["s", "x", "z", "ch", "sh"].iter().any(|end| word.ends_with(end));
    if is_sibilant {
        return word + "es";
    }
    if let Some(stem) = word.strip_suffix('y')
        && !stem.ends_with(['a', 'e', 'i', 'o', 'u'])
        && !stem.is_empty()
    {
        return format!("{stem}ies");
    }
    word + "s"
}

#[cfg(test)]
mod tests {
    use super::plural_of;

    #[track_caller]
    fn check(kind: &str, expected: &str) {
        assert_eq!(plural_of(kind), expected);
    }

    #[test]
    fn forms_the_plurals_of_common_kinds() {
        check("Foo", "foos");
        check("Ingress", "ingresses");
        check("Box", "boxes");
        check("Quiz", "quizes");
        check("Batch", "batches");
        check("Mesh", "meshes");
        check("NetworkPolicy", "networkpolicies");
        check("Gateway", "gateways");
        check("Key", "keys");
        check("Status", "statuses");
        check("Y", "ys");
        check("StorageClass", "storageclasses");
    }
}
