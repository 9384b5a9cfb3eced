//! `Contender`: the measured libraries. The peers of this project are kube and client-go.

use std::fmt;

use serde::Serialize;

/// A library under measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Contender {
    /// This project.
    Ours,
    /// kube 5.0.
    Kube,
    /// client-go 0.37.
    ClientGo,
}

impl Contender {
    /// All contenders, this project first.
    pub(super) const ALL: [Self; 3] = [Self::Ours, Self::Kube, Self::ClientGo];
}

impl fmt::Display for Contender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ours => "ours",
            Self::Kube => "kube",
            Self::ClientGo => "client-go",
        })
    }
}
