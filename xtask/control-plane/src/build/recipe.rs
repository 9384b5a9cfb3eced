//! `Recipe`: a pinned Go module, the binaries to build from it, and the files of a finished build. The Rust module `go`
//! runs the builds.

use std::fs;
use std::path::{Path, PathBuf};

use super::super::version::KubernetesVersion;

/// One Go module to build.
#[derive(Debug, Clone)]
pub(crate) struct Recipe {
    /// The name of the build in the cache: a program or a project, and a version, such as `etcd-3.7.3`.
    pub(crate) name: String,
    pub(crate) go_mod: &'static str,
    pub(crate) go_sum: &'static str,
    /// The Go files of the module, as (file name, text). Without Go files, the packages to build are in other modules.
    pub(crate) sources: Vec<(&'static str, &'static str)>,
    /// The Go packages to build, each with the name of its binary.
    pub(crate) binaries: Vec<(&'static str, &'static str)>,
    pub(crate) ldflags: String,
    /// The YAML files to copy, as (module, folder in the module, file names). The copies are below the folder of the
    /// binaries, in folders with the same paths as in the module.
    pub(crate) files: Vec<(&'static str, &'static str, &'static [&'static str])>,
    /// The measured duration of a first build on one core, in minutes. Includes the downloads.
    pub(crate) core_minutes: u32,
}

/// The name of the file with the inputs of a build. Each finished build has this file.
pub(super) const INPUTS_FILE: &str = "built-from";

const ETCD_VERSION: &str = "3.7.3";
const KWOK_VERSION: &str = "0.8.0";
/// The version of the kubelet's streaming library.
const CRI_STREAMING_VERSION: &str = "0.37.2";
/// The version of the Go module `k8s.io/kubectl` in [`Recipe::kubectl`], which builds an older kubectl.
const KUBECTL_VERSION: &str = "0.32.13";
/// The folders of kwok's Stages, which define the behaviour of pods and nodes.
const STAGE_FOLDERS: [&str; 3] =
    ["kustomize/stage/pod/fast", "kustomize/stage/node/fast", "kustomize/stage/node/heartbeat-with-lease"];

impl Recipe {
    /// The recipe for etcd.
    pub(crate) fn etcd() -> Self {
        Self {
            name: format!("etcd-{ETCD_VERSION}"),
            go_mod: include_str!("../../go/etcd/go.mod"),
            go_sum: include_str!("../../go/etcd/go.sum"),
            sources: Vec::new(),
            binaries: vec![("go.etcd.io/etcd/server/v3", "etcd")],
            ldflags: "-s -w".to_owned(),
            files: Vec::new(),
            core_minutes: 1,
        }
    }

    /// The recipe for kwok, which also copies kwok's Stages.
    pub(crate) fn kwok() -> Self {
        const MODULE: &str = "sigs.k8s.io/kwok";
        Self {
            name: format!("kwok-{KWOK_VERSION}"),
            go_mod: include_str!("../../go/kwok/go.mod"),
            go_sum: include_str!("../../go/kwok/go.sum"),
            sources: Vec::new(),
            binaries: vec![("sigs.k8s.io/kwok/cmd/kwok", "kwok")],
            ldflags: format!("-s -w -X {MODULE}/pkg/consts.Version=v{KWOK_VERSION}"),
            files: vec![
                (MODULE, STAGE_FOLDERS[0], &["pod-ready.yaml", "pod-complete.yaml", "pod-delete.yaml"]),
                (MODULE, STAGE_FOLDERS[1], &["node-initialize.yaml"]),
                (MODULE, STAGE_FOLDERS[2], &["node-heartbeat-with-lease.yaml"]),
            ],
            core_minutes: 2,
        }
    }

    /// The recipe for the stand-in for the kubelets' HTTP server.
    pub(crate) fn kubelet() -> Self {
        Self {
            name: format!("kubelet-{CRI_STREAMING_VERSION}"),
            go_mod: include_str!("../../go/kubelet/go.mod"),
            go_sum: include_str!("../../go/kubelet/go.sum"),
            sources: vec![("main.go", include_str!("../../go/kubelet/main.go"))],
            binaries: vec![("kubelet.xtask.invalid", "kubelet")],
            ldflags: "-s -w".to_owned(),
            files: Vec::new(),
            core_minutes: 1,
        }
    }

    /// The recipe for an older kubectl. `cargo xtask kubectl` runs each script with this kubectl and with the
    /// kubectl of the newest Kubernetes.
    pub(crate) fn kubectl() -> Self {
        let minor = KUBECTL_VERSION.split('.').nth(1).unwrap_or_default();
        Self {
            name: format!("kubectl-{KUBECTL_VERSION}"),
            go_mod: include_str!("../../go/kubectl-1.32/go.mod"),
            go_sum: include_str!("../../go/kubectl-1.32/go.sum"),
            sources: vec![("main.go", include_str!("../../go/kubectl-1.32/main.go"))],
            binaries: vec![("kubectl.xtask.invalid", "kubectl")],
            ldflags: version_ldflags(&KUBECTL_VERSION.replacen('0', "1", 1), "1", minor),
            files: Vec::new(),
            core_minutes: 3,
        }
    }

    /// The recipe for the components of Kubernetes and for kubectl.
    pub(crate) fn kubernetes(version: KubernetesVersion) -> Self {
        let (major, minor) = version.minor().split_once('.').unwrap_or((version.minor(), "0"));
        Self {
            name: format!("kubernetes-{version}"),
            go_mod: version.go_mod,
            go_sum: version.go_sum,
            sources: Vec::new(),
            binaries: vec![
                ("k8s.io/kubernetes/cmd/kube-apiserver", "kube-apiserver"),
                ("k8s.io/kubernetes/cmd/kube-controller-manager", "kube-controller-manager"),
                ("k8s.io/kubernetes/cmd/kube-scheduler", "kube-scheduler"),
                ("k8s.io/kubernetes/cmd/kubectl", "kubectl"),
            ],
            ldflags: version_ldflags(version.number, major, minor),
            files: Vec::new(),
            core_minutes: 12,
        }
    }

    /// Whether `folder` contains a complete build of this recipe, with the same inputs.
    pub(crate) fn has_build_at(&self, folder: &Path) -> bool {
        fs::read_to_string(folder.join(INPUTS_FILE)).is_ok_and(|text| text == self.inputs_text())
            && self.binaries.iter().all(|(_, binary)| folder.join(binary).is_file())
            && self.copied_files().all(|file| folder.join(file).is_file())
    }

    /// The text of all inputs of the build. A change of one input, such as a pinned version, causes a rebuild.
    pub(super) fn inputs_text(&self) -> String {
        let mut inputs = format!(
            "{}\n{:?}\n{:?}\n{}\n{}\n{}",
            self.name, self.binaries, self.files, self.ldflags, self.go_mod, self.go_sum
        );
        for (name, text) in &self.sources {
            inputs.extend(["\n", name, "\n", text]);
        }
        inputs
    }

    /// The Go packages to build.
    pub(super) fn packages(&self) -> impl Iterator<Item = &'static str> {
        self.binaries.iter().map(|(package, _)| *package)
    }

    /// The paths of the copied YAML files, relative to the folder of the build.
    fn copied_files(&self) -> impl Iterator<Item = PathBuf> {
        self.files.iter().flat_map(|(_, folder, names)| names.iter().map(|name| Path::new(folder).join(name)))
    }

    /// The minimum version of Go, such as `1.26.0`.
    pub(super) fn minimum_go_version(&self) -> &'static str {
        self.go_mod.lines().find_map(|line| line.strip_prefix("go ")).unwrap_or("1.24.0").trim()
    }
}

/// The linker flags of a program of Kubernetes. They set the version that the program reports.
fn version_ldflags(version: &str, major: &str, minor: &str) -> String {
    const PACKAGE: &str = "k8s.io/component-base/version";
    format!(
        "-s -w -X {PACKAGE}.gitVersion=v{version} -X {PACKAGE}.gitMajor={major} -X {PACKAGE}.gitMinor={minor}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all_recipes() -> Vec<Recipe> {
        let kubernetes = KubernetesVersion::all().iter().map(|version| Recipe::kubernetes(*version));
        kubernetes.chain([Recipe::etcd(), Recipe::kwok(), Recipe::kubelet(), Recipe::kubectl()]).collect()
    }

    #[test]
    fn every_go_mod_names_the_packages_of_its_recipe() {
        for recipe in all_recipes() {
            for package in recipe.packages() {
                assert!(recipe.go_mod.contains(package), "{} does not list {package}", recipe.name);
            }
            assert!(!recipe.minimum_go_version().is_empty());
        }
    }

    #[test]
    fn every_recipe_name_contains_the_pinned_version() {
        for recipe in all_recipes() {
            let version = format!("v{}", recipe.name.rsplit_once('-').unwrap().1);
            let pinned = recipe.go_mod.lines().map(|line| line.trim().trim_start_matches("require "));
            let pinned = pinned.filter_map(|line| line.split_once(' '));
            // The programs `kubelet` and `kubectl` are in this repository. Their recipes have the version of the library
            // that the program uses.
            let package = match recipe.binaries[0].0 {
                "kubelet.xtask.invalid" => "k8s.io/cri-streaming",
                "kubectl.xtask.invalid" => "k8s.io/kubectl",
                package => package,
            };
            let mut modules = pinned.filter(|(module, _)| package.starts_with(module));
            let found = modules.any(|(_, rest)| rest.split(' ').next() == Some(&version));
            assert!(found, "{} is not what its go.mod pins", recipe.name);
        }
    }

    #[test]
    fn an_incomplete_or_outdated_build_is_not_used() {
        let folder = tempfile::tempdir().unwrap();
        let recipe = Recipe::etcd();
        assert!(!recipe.has_build_at(folder.path()));
        fs::write(folder.path().join("etcd"), "").unwrap();
        assert!(!recipe.has_build_at(folder.path()));
        fs::write(folder.path().join(INPUTS_FILE), recipe.inputs_text()).unwrap();
        assert!(recipe.has_build_at(folder.path()));
        let newer = Recipe { go_sum: "other", ..recipe.clone() };
        assert!(!newer.has_build_at(folder.path()));
        let changed = Recipe { sources: vec![("main.go", "package main")], ..recipe };
        assert!(!changed.has_build_at(folder.path()));
    }
}
