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
    fn assert_plural(kind: &str, expected: &str) {
        assert_eq!(plural_of(kind), expected);
    }

    #[test]
    fn common_kinds_have_regular_plurals() {
        assert_plural("Foo", "foos");
        assert_plural("Ingress", "ingresses");
        assert_plural("Box", "boxes");
        assert_plural("Quiz", "quizes");
        assert_plural("Batch", "batches");
        assert_plural("Mesh", "meshes");
        assert_plural("NetworkPolicy", "networkpolicies");
        assert_plural("Gateway", "gateways");
        assert_plural("Key", "keys");
        assert_plural("Status", "statuses");
        assert_plural("Y", "ys");
        assert_plural("StorageClass", "storageclasses");
    }
}
