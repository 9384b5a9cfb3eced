//! What a suite is made of: cases, and what each needs of the server that it runs on.

use futures::future::LocalBoxFuture;

use super::env::Env;
use super::failure::Outcome;

/// What some servers have and others have not. A case whose needs are not met is skipped, with the reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// Garbage collection, and namespaces that empty themselves.
    Controllers,
    /// Deployments make pods, and pods run on nodes.
    Pods,
    /// What happened before can be forgotten, so that it is answered with 410.
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
    /// Watches that begin with the present state (WatchList).
    WatchList,
    /// The built examples.
    Examples,
}

impl Need {
    /// Whether other cases cannot go on beside one that needs this.
    pub(crate) fn is_exclusive(self) -> bool {
        matches!(self, Self::History | Self::Parts)
    }
}

/// One behaviour, tested on whatever server there is.
#[derive(Clone, Copy)]
pub(crate) struct Case {
    /// What holds if the case passes.
    pub(crate) name: &'static str,
    /// What the server must have.
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
