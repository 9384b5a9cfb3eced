//! `KubernetesVersion`: the versions that can be built, each with its pinned Go module. A new version needs a `go.mod`
//! and a `go.sum` below `xtask/control-plane/go/`, and an entry here.

use std::fmt;
use std::str::FromStr;

/// A Kubernetes version with a pinned Go module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KubernetesVersion {
    /// The full version, for example `1.37.2`.
    pub(crate) number: &'static str,
    pub(crate) go_mod: &'static str,
    pub(crate) go_sum: &'static str,
}

/// The versions that can be built, newest first.
const KNOWN_VERSIONS: &[KubernetesVersion] = &[
    KubernetesVersion {
        number: "1.37.2",
        go_mod: include_str!("../go/kubernetes-1.37/go.mod"),
        go_sum: include_str!("../go/kubernetes-1.37/go.sum"),
    },
    KubernetesVersion {
        number: "1.33.13",
        go_mod: include_str!("../go/kubernetes-1.33/go.mod"),
        go_sum: include_str!("../go/kubernetes-1.33/go.sum"),
    },
];

impl KubernetesVersion {
    /// The newest version.
    pub const LATEST: Self = KNOWN_VERSIONS[0];

    /// All versions, newest first.
    pub fn all() -> &'static [Self] {
        KNOWN_VERSIONS
    }

    /// The major and minor version, for example `1.37`.
    pub fn minor(&self) -> &'static str {
        self.number.rsplit_once('.').map_or(self.number, |(minor, _)| minor)
    }
}

impl fmt::Display for KubernetesVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.number)
    }
}

impl FromStr for KubernetesVersion {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wanted = text.strip_prefix('v').unwrap_or(text);
        KNOWN_VERSIONS
            .iter()
            .find(|known| known.number == wanted || known.minor() == wanted)
            .copied()
            .ok_or_else(|| {
                let known: Vec<_> = KNOWN_VERSIONS.iter().map(|known| known.number).collect();
                format!("no Go module is pinned for Kubernetes {wanted}; choose {}", known.join(" or "))
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_and_minor_versions_are_parsed() {
        for text in ["1.37.2", "v1.37.2", "1.37"] {
            assert_eq!(text.parse(), Ok(KubernetesVersion::LATEST), "{text}");
        }
    }

    #[test]
    fn the_error_for_an_unknown_version_lists_the_known_ones() {
        let message = "1.2.3".parse::<KubernetesVersion>().unwrap_err();
        assert!(message.contains("1.2.3") && message.contains("1.37.2 or 1.33.13"), "{message}");
    }

    #[test]
    fn the_go_module_of_each_version_pins_this_kubernetes_version() {
        for known in KNOWN_VERSIONS {
            assert!(
                known.go_mod.contains(&format!("require k8s.io/kubernetes v{}\n", known.number)),
                "{known}"
            );
            assert!(known.go_sum.contains(&format!("k8s.io/kubernetes v{} h1:", known.number)), "{known}");
            let staging = format!("v0.{}", known.number.split_once('.').unwrap().1);
            let replaced: Vec<_> = known.go_mod.lines().filter(|line| line.contains(" => ")).collect();
            assert!(replaced.len() > 25, "{known}");
            assert!(replaced.iter().all(|line| line.ends_with(&staging)), "{known}");
        }
    }
}
