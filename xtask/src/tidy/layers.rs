//! The table of layers: the imports that each module may have. Data only; [`super::imports`] applies it.
//!
//! - A module belongs to the longest entry that is a prefix of its path.
//! - It may import its own layer, the descendants of that layer (`client` may import `client::tls`) and the layers that
//!   its entry lists; nothing else. No table has a cycle. `store::*` stands for `store` and its descendants.
//! - An entry that begins with `!` lists paths of other crates that the module must not use; `ARCHITECTURE.md` gives
//!   the reasons. Calls that are forbidden in a whole crate are in the `clippy.toml` of the crate.

/// Each crate, and its table with one line for each layer.
pub(super) const CRATES: [(&str, &str); 4] = [
    (
        "kube-client",
        "
        __impl_validate_cel
        __validate_cel_of_type
        core                __impl_validate_cel __validate_cel_of_type
        workers
        error               core
        wire                core error
        config              core error
        client              core error wire config
        client::request_line
        client::clock
        client::long_running
        client::verb
        client::body        core error client::request_line
        client::response    core error wire client::request_line client::body
        client::tls         core error config client::body
        client::auth        core error config client::body
        client::transport   core error config client::body client::clock client::long_running
        client::middleware  core error config client::auth client::request_line client::body client::clock client::long_running client::response client::verb
        streams             core error client
        api                 core error wire client workers streams
        discovery           core error wire client
        fuzz_targets        core wire config streams
        prelude             core client
        !core               tokio hyper hyper_util tower rustls std::fs std::net std::process std::thread
        !core               std::time::Instant std::time::SystemTime Timestamp::now Zoned::now
        !config             hyper hyper_util rustls tokio_rustls tower
        ",
    ),
    (
        "kube-runtime",
        "
        random
        time
        task
        metrics
        watcher         random metrics
        poll_cycle      watcher
        reflector       watcher poll_cycle random
        watch_ext       watcher reflector
        utils           watcher reflector watch_ext
        prelude         reflector watch_ext
        wait            watcher
        informer        watcher reflector poll_cycle
        events          time
        status          time
        queue           random
        finalizer       controller
        controller      watcher reflector watch_ext informer queue random metrics
        leader          controller random metrics time
        serving
        webhook         serving metrics
        manager         leader controller informer reflector watcher metrics serving webhook
        !watcher::step  tokio futures
        !events         Timestamp::now
        !leader         Timestamp::now
        !status         Timestamp::now
        ",
    ),
    (
        "kube-derive",
        "
        plural
        companion
        input
        validate  input
        model     input plural companion
        apply     input model companion
        expand    model input
        fallback  input model companion
        inherit   input model
        kube_schema  input model
        ",
    ),
    (
        "kube-sim",
        "
        clock
        encoding
        json
        fault              clock encoding
        journal            encoding fault
        names
        nesting
        schema             names
        go_json            schema
        store::selector    names
        builtin            names schema store::selector
        protobuf           builtin
        status             names schema
        patch              builtin nesting schema
        apply              schema patch
        store::object      store::selector
        cel                names schema
        strategy           cel clock names builtin schema store::selector
        registry           builtin cel schema status store::object store::selector strategy
        store              clock nesting registry status
        handler::accept    protobuf status
        table              builtin registry strategy handler::accept
        rbac               json store::* user
        containers         status
        streams            containers status
        webhooks
        user
        shared             clock containers fault journal status store
        handler::convert   registry schema store::*
        handler::options   schema status
        handler::service_endpoint  shared store::* webhooks
        handler::conversion  json names registry schema shared status store::* webhooks handler::service_endpoint
        handler::target    registry
        handler::object_meta  builtin clock names registry schema status store::*
        handler::admission registry status store::* handler::target
        handler::deletion  clock registry store::* handler::object_meta
        controllers        apply registry store::* handler::admission handler::deletion handler::object_meta
        handler::render    protobuf registry status store::* table handler::accept handler::convert
        handler::read      registry status store::* handler::options handler::render handler::target
        watch              clock controllers protobuf registry shared status store::* table handler::accept handler::conversion handler::convert handler::options handler::read handler::render handler::target
        handler::reply     protobuf status store::* streams user watch handler::accept handler::render
        discovery          builtin registry shared status handler::accept handler::reply
        handler            cel clock builtin go_json json containers controllers schema protobuf patch apply rbac status registry store::* strategy table shared streams user watch webhooks discovery
        server             fault journal rbac shared status store::* streams user handler::* watch
        workload::objects
        sim                builtin clock containers controllers encoding fault journal shared status store::* user handler::* server workload::objects
        workload           clock sim
        ",
    ),
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
