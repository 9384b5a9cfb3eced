//! `Suite`, `Case` and `Need`: a case lists the server capabilities that it requires.

use futures::future::LocalBoxFuture;

use super::env::Env;
use super::failure::Outcome;

/// A server capability. The runner skips a case if the server lacks one of its needs, and reports the reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// The garbage collector and the namespace controller.
    Controllers,
    /// Workload controllers, a scheduler, and nodes that run pods.
    Pods,
    /// The watch history can be compacted, so that old resource versions are expired (410).
    History,
    /// API servers can be killed and etcd paused.
    Parts,
    /// New users with client certificates.
    Certificates,
    /// A token of the administrator.
    Token,
    /// Nodes may be added.
    NewNodes,
    /// Role-based access control, and tokens of service accounts.
    Authorization,
    /// Watches that begin with the initial list (WatchList, KEP-3157).
    WatchList,
    /// The built examples.
    Examples,
}

impl Need {
    /// Whether a case with this need must run alone.
    pub(crate) fn is_exclusive(self) -> bool {
        matches!(self, Self::History | Self::Parts)
    }
}

/// A test of one behaviour, for any server.
#[derive(Clone, Copy)]
pub(crate) struct Case {
    /// The behaviour that the case verifies.
    pub(crate) name: &'static str,
    /// The capabilities that the server must have.
    pub(crate) needs: &'static [Need],
    /// Tests it, in a namespace of its own.
    pub(crate) run: fn(Env) -> LocalBoxFuture<'static, Outcome>,
}

impl Case {
    /// Whether no other case may run at the same time.
    pub(crate) fn is_exclusive(&self) -> bool {
        self.needs.iter().any(|need| need.is_exclusive())
    }
}

/// Cases about one topic.
#[derive(Clone, Copy)]
pub(crate) struct Suite {
    /// The topic.
    pub(crate) name: &'static str,
    /// Its cases.
    pub(crate) cases: &'static [Case],
}

/// Lists the cases of a file: functions `async fn(Env) -> Outcome`, each with its needs in brackets if it has any.
macro_rules! suite {
    ($name:literal: $($case:ident $([$($need:ident),+])?),+ $(,)?) => {
        /// The cases of this file.
        pub(super) const SUITE: crate::case::Suite = crate::case::Suite {
            name: $name,
            cases: &[$(crate::case::Case {
                name: stringify!($case),
                needs: &[$($(crate::case::Need::$need),+)?],
                run: |env| Box::pin($case(env)),
            }),+],
        };
    };
}

pub(crate) use suite;
