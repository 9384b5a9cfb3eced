//! `Suite`, `Case` and `Need`: the test cases of a topic and the server capabilities that each case requires.

use futures::future::LocalBoxFuture;

use super::env::Env;
use super::failure::Outcome;

/// A capability that only some servers have. If the server lacks a capability that a case needs, the runner skips the
/// case and reports the reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// The garbage collector and the namespace controller, which deletes the contents of a terminating namespace.
    Controllers,
    /// The controllers of workloads (such as the deployment controller), the scheduler, and nodes that run pods.
    Pods,
    /// Exec, attach, logs and port-forward of pods. Cases expect the output of the stand-in for the kubelets
    /// (`xtask/control-plane/go/kubelet`).
    Processes,
    /// Compaction of the history: requests with older resource versions then get 410 Gone.
    History,
    /// Control of the components: API servers can be killed, and etcd can be paused.
    Components,
    /// A CA that can issue client certificates for new users.
    Certificates,
    /// A bearer token of the administrator.
    Token,
    /// Permission to create Node objects.
    NewNodes,
    /// Role-based access control and service account tokens.
    Authorization,
    /// The error texts, the CEL functions and the validation of the newest supported Kubernetes version.
    Latest,
    /// Watches that begin with the initial list (WatchList, KEP-3157).
    WatchList,
    /// The server can connect to loopback addresses of this machine.
    Loopback,
    /// Go, to download modules of Kubernetes.
    Go,
    /// The Go program of the suite `languages`.
    GoProgram,
    /// The Python clients of the suite `languages`.
    Python,
    /// The command `echo` in each pod.
    Echo,
    /// The executables of the workspace's examples.
    Examples,
    /// A record of the requests that the server received: the audit log of the API servers, or kube-sim's journal.
    RequestLog,
}

impl Need {
    /// Whether a case with this need must not run concurrently with other cases.
    pub(crate) fn is_exclusive(self) -> bool {
        matches!(self, Self::History | Self::Components)
    }
}

/// A test of one behaviour. The test must pass on every server that has the capabilities in `needs`.
#[derive(Clone, Copy)]
pub(crate) struct Case {
    /// The name of the case's function. The name states the tested behaviour.
    pub(crate) name: &'static str,
    /// The capabilities that the server must have.
    pub(crate) needs: &'static [Need],
    /// The test. Its [`Env`] has a namespace of its own.
    pub(crate) run: fn(Env) -> LocalBoxFuture<'static, Outcome>,
}

impl Case {
    /// Whether the case must not run concurrently with other cases.
    pub(crate) fn is_exclusive(&self) -> bool {
        self.needs.iter().any(|need| need.is_exclusive())
    }
}

/// The cases of one topic.
#[derive(Clone, Copy)]
pub(crate) struct Suite {
    /// The name of the topic. The full name of each case in the suite begins with this name.
    pub(crate) name: &'static str,
    /// The cases of the suite.
    pub(crate) cases: &'static [Case],
}

/// Defines the constant `SUITE` of a file. The arguments are the name of the suite and its cases. A case is a function
/// `async fn(Env) -> Outcome`. If a case has needs, the brackets after the function's name contain them.
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
