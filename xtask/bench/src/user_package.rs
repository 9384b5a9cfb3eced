//! A generated package that depends on the crates of this project, or on kube, as the package of a user does.
//!
//! The lock file is a copy of this project's lock file. For kube, it is a copy of the lock file of kube's
//! contender. The profiles of this project's workspace do not apply to the package. Cargo builds path
//! dependencies, such as the packages of this project, incrementally, but not dependencies from a registry.
//! Therefore the manifest turns off incremental builds for all dependencies. It also turns off their debug
//! information.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::build::Folders;
use super::contender::Contender;

/// kube needs these features to offer what this project's crates offer by default. The table "Cargo
/// features" in `docs/migrating-from-kube.md` shows which features of kube are always available in these
/// crates. These crates also have HTTP/2 and Protobuf. No feature of kube corresponds to HTTP/2 or to
/// Protobuf.
const KUBE_FEATURES: [&str; 9] =
    ["admission", "client", "derive", "gzip", "jsonpatch", "oidc", "proxy", "runtime", "unstable-runtime"];

/// Replaces the folder `package` with a package of these source files (name and text) and these further dependencies
/// (lines of the manifest).
///
/// # Errors
/// If the folder cannot be removed, or a file cannot be written.
pub(super) fn write(
    folders: &Folders,
    package: &Path,
    contender: Contender,
    further: &str,
    sources: &[(String, String)],
) -> anyhow::Result<()> {
    let (lock, crates) = if contender == Contender::Kube {
        (
            folders.source_folder("kube").join("Cargo.lock"),
            format!("kube = {{ version = \"=5.0.0\", features = {KUBE_FEATURES:?} }}\n"),
        )
    } else {
        let dependency = |name: &str| {
            let path = folders.root.join(name);
            format!("{name} = {{ path = {:?} }}\n", path.display().to_string())
        };
        (
            folders.root.join("Cargo.lock"),
            ["kube-client", "kube-derive", "kube-runtime"].map(dependency).concat(),
        )
    };
    remove(package)?;
    let write = |path: PathBuf, text: &str| {
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    };
    fs::create_dir_all(package.join("src"))
        .with_context(|| format!("cannot create {}", package.display()))?;
    fs::copy(&lock, package.join("Cargo.lock")).with_context(|| format!("cannot copy {}", lock.display()))?;
    write(package.join("Cargo.toml"), &manifest(&crates, further))?;
    sources.iter().try_for_each(|(name, text)| write(package.join("src").join(name), text))
}

/// Removes the folder of the package, if it exists.
///
/// # Errors
/// If the folder cannot be removed.
pub(super) fn remove(package: &Path) -> anyhow::Result<()> {
    if package.exists() {
        fs::remove_dir_all(package).with_context(|| format!("cannot remove {}", package.display()))?;
    }
    Ok(())
}

fn manifest(crates: &str, further: &str) -> String {
    format!(
        r#"[workspace]

[package]
name = "user"
version = "0.0.0"
edition = "2024"
publish = false

[profile.dev]
debug = "line-tables-only"

[profile.dev.package."*"]
debug = false
incremental = false

[dependencies]
{crates}k8s-openapi = {{ version = "0.29", default-features = false, features = ["std", "latest"] }}
{further}"#
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The strings of the list that begins after `start` in a manifest.
    fn list_after<'a>(manifest: &'a str, start: &str) -> BTreeSet<&'a str> {
        let (_, rest) = manifest.split_once(start).unwrap();
        let (list, _) = rest.split_once(']').unwrap();
        list.split(',').map(|item| item.trim().trim_matches('"')).collect()
    }

    /// A generated package for kube uses a copy of the contender's lock file. Therefore this lock file must
    /// contain the dependencies of all features in [`KUBE_FEATURES`]. Cargo adds these dependencies only if
    /// the contender's manifest has the features.
    #[test]
    fn the_feature_build_rows_adds_the_missing_kube_features() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("kube/contender/Cargo.toml");
        let manifest = fs::read_to_string(path).unwrap();
        let of_programs = list_after(&manifest, "\nkube = { version = \"=5.0.0\", features = [");
        let further: BTreeSet<&str> = list_after(&manifest, "\nbuild-rows = [")
            .into_iter()
            .map(|feature| feature.strip_prefix("kube/").unwrap())
            .collect();
        let wanted = BTreeSet::from(KUBE_FEATURES);
        assert_eq!(further, &wanted - &of_programs);
    }
}
