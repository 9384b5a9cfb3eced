//! The table of layers: which module of which crate may import which. Data only; [`super::imports`] applies it.
//!
//! A module belongs to the longest entry that is a prefix of its path. It may import its own layer, the layers below it
//! in its own path (`client` may import `client::tls`), and those that its entry lists; nothing else. The rules in prose
//! are in `ARCHITECTURE.md`.

/// The layers of one crate.
#[derive(Debug)]
pub(super) struct Crate {
    pub(super) folder: &'static str,
    pub(super) layers: &'static [Layer],
    pub(super) bans: &'static [Ban],
}

/// A module, and what it may import.
#[derive(Debug)]
pub(super) struct Layer {
    pub(super) module: &'static str,
    pub(super) imports: &'static [&'static str],
}

/// A path of another crate that some modules must not name.
#[derive(Debug)]
pub(super) struct Ban {
    /// What is banned: the beginning or the end of a path.
    pub(super) path: &'static str,
    pub(super) place: Place,
    pub(super) because: &'static str,
}

/// Where a ban holds.
#[derive(Debug)]
pub(super) enum Place {
    /// In these modules.
    In(&'static [&'static str]),
    /// Everywhere but in these modules.
    Outside(&'static [&'static str]),
}

const fn layer(module: &'static str, imports: &'static [&'static str]) -> Layer {
    Layer { module, imports }
}

const fn ban(path: &'static str, place: Place, because: &'static str) -> Ban {
    Ban { path, place, because }
}

const CORE: Place = Place::In(&["core"]);
const NO_IO: &str = "core performs no IO: do it in `wire`, `client` or `api`, and hand the bytes to core";
const NO_CLOCK: &str = "core reads no clock: take the time as an argument";
const NO_HTTP: &str = "config says what is wanted and knows no HTTP or TLS library: make it so in `client`";
const ONE_READER: &str = "`config` is the one reader of the environment: ask it";
const ONE_CLOCK: &str =
    "time comes from tokio's clock, so that a paused runtime replays a run: use `tokio::time`";
const ONE_CHANCE: &str = "randomness has one seedable place: use `crate::random`";
const PURE: &str = "the watcher's step is synchronous and total: do it in the driver";

pub(super) const CRATES: &[Crate] = &[
    Crate {
        folder: "kube-client",
        layers: &[
            layer("core", &["error"]),
            layer("error", &["core"]),
            layer("wire", &["core", "error"]),
            layer("config", &["core", "error"]),
            layer("client", &["core", "error", "wire", "config"]),
            layer("client::request_line", &[]),
            layer("client::clock", &[]),
            layer("client::body", &["core", "error", "client::request_line"]),
            layer("client::response", &["core", "error", "wire", "client::request_line", "client::body"]),
            layer("client::tls", &["core", "error", "config", "client::body"]),
            layer("client::auth", &["core", "error", "config", "client::body"]),
            layer("client::transport", &["core", "error", "config", "client::body", "client::clock"]),
            layer(
                "client::middleware",
                &[
                    "core",
                    "error",
                    "config",
                    "client::request_line",
                    "client::body",
                    "client::clock",
                    "client::response",
                ],
            ),
            layer("api", &["core", "error", "wire", "client"]),
            layer("discovery", &["core", "error", "wire", "client"]),
        ],
        bans: &[
            ban("tokio", CORE, NO_IO),
            ban("hyper", CORE, NO_IO),
            ban("hyper_util", CORE, NO_IO),
            ban("tower", CORE, NO_IO),
            ban("rustls", CORE, NO_IO),
            ban("std::fs", CORE, NO_IO),
            ban("std::net", CORE, NO_IO),
            ban("std::process", CORE, NO_IO),
            ban("std::thread", CORE, NO_IO),
            ban("std::time::Instant", CORE, NO_CLOCK),
            ban("std::time::SystemTime", CORE, NO_CLOCK),
            ban("Timestamp::now", CORE, NO_CLOCK),
            ban("Zoned::now", CORE, NO_CLOCK),
            ban("hyper", Place::In(&["config"]), NO_HTTP),
            ban("hyper_util", Place::In(&["config"]), NO_HTTP),
            ban("rustls", Place::In(&["config"]), NO_HTTP),
            ban("tokio_rustls", Place::In(&["config"]), NO_HTTP),
            ban("tower", Place::In(&["config"]), NO_HTTP),
            ban("std::env", Place::Outside(&["config"]), ONE_READER),
        ],
    },
    Crate {
        folder: "kube-runtime",
        layers: &[
            layer("random", &[]),
            layer("time", &[]),
            layer("task", &[]),
            layer("metrics", &[]),
            layer("watcher", &["random"]),
            layer("reflector", &["watcher", "cycle"]),
            layer("cycle", &["watcher"]),
            layer("watch_ext", &["watcher", "reflector"]),
            layer("informer", &["watcher", "reflector", "cycle"]),
            layer("queue", &[]),
            layer("controller", &["watcher", "reflector", "watch_ext", "informer", "queue", "random"]),
        ],
        bans: &[
            ban("std::time::Instant", Place::Outside(&[]), ONE_CLOCK),
            ban("std::time::SystemTime", Place::Outside(&[]), ONE_CLOCK),
            ban("std::thread::sleep", Place::Outside(&[]), ONE_CLOCK),
            ban("fastrand", Place::Outside(&["random"]), ONE_CHANCE),
            ban("tokio", Place::In(&["watcher::step"]), PURE),
            ban("futures", Place::In(&["watcher::step"]), PURE),
        ],
    },
    Crate {
        folder: "kube-derive",
        layers: &[
            layer("plural", &[]),
            layer("input", &[]),
            layer("validate", &["input"]),
            layer("model", &["input", "plural"]),
            layer("expand", &["model", "input"]),
            layer("fallback", &["input", "model"]),
        ],
        bans: &[],
    },
    Crate {
        folder: "kube-sim",
        layers: &[
            layer("clock", &[]),
            layer("fault", &[]),
            layer("schema", &[]),
            layer("builtin", &["schema"]),
            layer("protobuf", &["builtin"]),
            layer("patch", &["builtin", "schema", "apply"]),
            layer("apply", &["builtin", "schema", "patch"]),
            layer("status", &["schema"]),
            layer("registry", &["builtin", "schema", "status", "store"]),
            layer("store", &["clock", "registry", "status"]),
            layer("shared", &["fault", "journal", "store"]),
            layer("table", &["registry", "store"]),
            layer("journal", &[]),
            layer("discovery", &["builtin", "registry", "status", "handler", "shared"]),
            layer(
                "handler",
                &[
                    "clock",
                    "builtin",
                    "schema",
                    "protobuf",
                    "patch",
                    "apply",
                    "status",
                    "registry",
                    "store",
                    "table",
                    "discovery",
                    "watch",
                    "shared",
                ],
            ),
            layer("watch", &["clock", "registry", "store", "status", "table", "handler", "shared"]),
            layer(
                "sim",
                &["clock", "fault", "journal", "shared", "status", "store", "handler", "server", "workload"],
            ),
            layer("server", &["fault", "journal", "status", "handler", "watch", "shared"]),
            layer("workload", &["clock", "sim"]),
        ],
        bans: &[
            ban("std::time::Instant", Place::Outside(&["clock"]), ONE_CLOCK),
            ban("std::time::SystemTime", Place::Outside(&["clock"]), ONE_CLOCK),
            ban("std::thread::sleep", Place::Outside(&[]), ONE_CLOCK),
            ban("Timestamp::now", Place::Outside(&["clock"]), ONE_CLOCK),
            ban(
                "fastrand",
                Place::Outside(&["clock"]),
                "randomness has one seedable place: use `clock::Random`",
            ),
            ban(
                "std::env",
                Place::Outside(&[]),
                "a simulation depends on its settings alone: make it one of `SimBuilder`",
            ),
        ],
    },
];
