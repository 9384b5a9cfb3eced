//! The tables of layers, `layers/*.txt`: the imports that each module may have. [`super::imports`] applies them.
//!
//! - A module belongs to the longest entry that is a prefix of its path.
//! - It may import its own layer, the descendants of that layer (`client` may import `client::tls`) and the layers that
//!   its entry lists; nothing else. No table has a cycle. `store::*` stands for `store` and its descendants.
//! - An entry that begins with `!` lists paths of other crates that the module must not use; `ARCHITECTURE.md` gives
//!   the reasons. Calls that are forbidden in a whole crate are in the `clippy.toml` of the crate.

/// Each crate, and its table with one line for each layer.
pub(super) const CRATES: [(&str, &str); 4] = [
    ("kube-client", include_str!("layers/kube-client.txt")),
    ("kube-runtime", include_str!("layers/kube-runtime.txt")),
    ("kube-derive", include_str!("layers/kube-derive.txt")),
    ("kube-sim", include_str!("layers/kube-sim.txt")),
];

/// A module, and the paths that its entry lists.
pub(super) type Entry = (&'static str, Vec<&'static str>);

/// The entries of a table that begin with `prefix`, without the prefix. An empty prefix selects the entries that do
/// not begin with `!`.
pub(super) fn entries(table: &'static str, prefix: &str) -> Vec<Entry> {
    let lines = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let entry = |line: Vec<&'static str>| Some((line.first()?.strip_prefix(prefix)?, line[1..].to_vec()));
    lines.filter_map(entry).filter(|(module, _)| !module.starts_with('!')).collect()
}

/// Whether a path is this module or a descendant of it.
pub(super) fn is_in(path: &str, module: &str) -> bool {
    path.strip_prefix(module).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// Whether a list of layers contains this layer.
pub(super) fn allows(listed: &[&str], layer: &str) -> bool {
    listed.iter().any(|name| name.strip_suffix("::*").map_or(*name == layer, |above| is_in(layer, above)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_table_has_a_cycle_or_an_unknown_layer() {
        for (folder, table) in CRATES {
            let all = entries(table, "");
            let unknown = |name: &&&str| !all.iter().any(|(layer, _)| allows(&[*name], layer));
            assert_eq!(all.iter().flat_map(|(_, listed)| listed).find(unknown), None, "{folder}");
            // A layer that may import none of the remaining layers is in no cycle.
            let may =
                |(from, listed): &Entry, to: &str| *from != to && (allows(listed, to) || is_in(to, from));
            let mut left = all.clone();
            while let Some(free) = left.iter().position(|from| !left.iter().any(|(to, _)| may(from, to))) {
                left.remove(free);
            }
            assert_eq!(left, [], "{folder}");
        }
    }
}
