//! The tables of layers, `layers/*.txt`: the imports that each module may have. [`super::imports`] applies them.
//!
//! - Each line of a table is an entry: the path of a module, then a list, which may be empty. Without `!` before the path,
//!   the module is a layer, and the list names the layers that the module may import.
//! - A module belongs to the layer with the longest path that is a prefix of the path of the module.
//! - A module may import its own layer, the descendants of this layer (`client` may import `client::tls`) and the layers
//!   in the list; nothing else. No table has a cycle. `store::*` stands for `store` and its descendants.
//! - The path `*` means all modules of the crate.
//! - With `!` before the path, the list names paths of other crates. The module must not use these paths.
//!   `ARCHITECTURE.md` gives the reasons. The `clippy.toml` of a crate contains the calls that the whole crate must not
//!   make.

/// The folder of each crate that is divided into layers, and the table of the crate.
pub(super) const CRATES: [(&str, &str); 5] = [
    ("kube-core", include_str!("layers/kube-core.txt")),
    ("kube-client", include_str!("layers/kube-client.txt")),
    ("kube-runtime", include_str!("layers/kube-runtime.txt")),
    ("kube-derive", include_str!("layers/kube-derive.txt")),
    ("kube-sim", include_str!("layers/kube-sim.txt")),
];

/// An entry of a table: the path of a module, and the list after the path.
pub(super) type Entry = (&'static str, Vec<&'static str>);

/// Returns the entries whose lines in `table` begin with `prefix`. The returned paths omit the prefix. If
/// `prefix` is empty, returns the entries whose lines do not begin with `!`.
pub(super) fn entries(table: &'static str, prefix: &str) -> Vec<Entry> {
    let lines = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let entry = |line: Vec<&'static str>| Some((line.first()?.strip_prefix(prefix)?, line[1..].to_vec()));
    lines.filter_map(entry).filter(|(module, _)| !module.starts_with('!')).collect()
}

/// Whether `path` is `module` or a descendant of `module`.
pub(super) fn is_in_module(path: &str, module: &str) -> bool {
    module == "*" || path.strip_prefix(module).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// Whether the list of an entry contains this layer, directly or through an item such as `store::*`.
pub(super) fn contains_layer(listed: &[&str], layer: &str) -> bool {
    listed
        .iter()
        .any(|name| name.strip_suffix("::*").map_or(*name == layer, |above| is_in_module(layer, above)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_table_has_a_cycle_or_an_unknown_layer() {
        for (folder, table) in CRATES {
            let all = entries(table, "");
            let unknown = |name: &&&str| !all.iter().any(|(layer, _)| contains_layer(&[*name], layer));
            assert_eq!(all.iter().flat_map(|(_, listed)| listed).find(unknown), None, "{folder}");
            // Each layer of a cycle may import another layer of the cycle. Therefore, remove each layer that
            // cannot import another remaining layer. If layers remain at the end, the table has a cycle.
            let may = |(from, listed): &Entry, to: &str| {
                *from != to && (contains_layer(listed, to) || is_in_module(to, from))
            };
            let mut left = all.clone();
            while let Some(free) = left.iter().position(|from| !left.iter().any(|(to, _)| may(from, to))) {
                left.remove(free);
            }
            assert_eq!(left, [], "{folder}");
        }
    }
}
