//! Builds the components from pinned Go modules, once, into a cache folder. Starts none of them.

mod cache;
mod go;
mod recipe;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use super::version::KubernetesVersion;
use xtask_process::Scratch;
use xtask_process::progress::Progress;

pub use cache::{CACHE_VARIABLE, Cache};
use recipe::Recipe;

/// Where the programs of a control plane are.
#[derive(Debug, Clone)]
pub struct Binaries {
    pub(crate) etcd: PathBuf,
    pub(crate) api_server: PathBuf,
    /// What runs controllers, the scheduler and nodes; not there where someone else's assets are used.
    pub(crate) workload: Option<Workload>,
    /// A folder with a kubectl of the server's version, for the command's PATH.
    pub(crate) kubectl: Option<PathBuf>,
}

/// The programs that make pods run, or seem to.
#[derive(Debug, Clone)]
pub(crate) struct Workload {
    pub(crate) controller_manager: PathBuf,
    pub(crate) scheduler: PathBuf,
    pub(crate) kwok: PathBuf,
    /// The files that say how kwok's pods and nodes behave.
    pub(crate) stages: Vec<PathBuf>,
}

impl Binaries {
    /// Those of a folder such as `KUBEBUILDER_ASSETS` names, with `etcd` and `kube-apiserver` and no way to run pods.
    ///
    /// # Errors
    /// When one of them is missing.
    pub fn assets(folder: &Path) -> anyhow::Result<Self> {
        let find = |name: &str| {
            let path = folder.join(name);
            if !path.is_file() {
                bail!("{} is missing: a folder with etcd and kube-apiserver is needed", path.display());
            }
            path.canonicalize().with_context(|| format!("cannot find {}", path.display()))
        };
        let kubectl = find("kubectl").ok().and_then(|path| path.parent().map(Path::to_owned));
        Ok(Self { etcd: find("etcd")?, api_server: find("kube-apiserver")?, workload: None, kubectl })
    }

    /// Those of this version, built now if they are not in the cache.
    ///
    /// # Errors
    /// When Go is missing or too old, a module cannot be fetched, or a build fails.
    ///
    /// # Cancel safety
    /// Cancelling ends the build and removes what it has begun. What Go itself keeps in its caches stays, so that the
    /// next build takes less time.
    pub async fn build(
        version: KubernetesVersion,
        cache: &Cache,
        progress: &Progress,
    ) -> anyhow::Result<Self> {
        let recipes = [Recipe::etcd(), Recipe::kwok(), Recipe::kubernetes(version)];
        let missing = || recipes.iter().filter(|recipe| !recipe.is_built_in(&cache.place(&recipe.name)));
        if missing().next().is_some() {
            Scratch::sweep(cache.folder());
            progress.note(&hint(missing(), cache.folder()));
        }
        for recipe in &recipes {
            ensure(recipe, cache, progress).await?;
        }
        let [etcd, kwok, kubernetes] = recipes.map(|recipe| cache.place(&recipe.name));
        let mut stages = Vec::new();
        for (_, folder, names) in Recipe::kwok().files {
            stages.extend(names.iter().map(|name| kwok.join(folder).join(name)));
        }
        Ok(Self {
            etcd: etcd.join("etcd"),
            api_server: kubernetes.join("kube-apiserver"),
            workload: Some(Workload {
                controller_manager: kubernetes.join("kube-controller-manager"),
                scheduler: kubernetes.join("kube-scheduler"),
                kwok: kwok.join("kwok"),
                stages,
            }),
            kubectl: Some(kubernetes),
        })
    }
}

async fn ensure(recipe: &Recipe, cache: &Cache, progress: &Progress) -> anyhow::Result<()> {
    let place = cache.place(&recipe.name);
    if recipe.is_built_in(&place) {
        return Ok(());
    }
    let _lock = cache.lock(&recipe.name, progress).await?;
    // The one that we waited for has built it.
    if recipe.is_built_in(&place) {
        return Ok(());
    }
    let scratch = Scratch::create(cache.folder())?;
    let workshop = go::Workshop { recipe, folder: scratch.path(), progress };
    let built = workshop.build().await.with_context(|| format!("cannot build {}", recipe.name))?;
    // What is there was built from another pin, or is broken; a run that still uses it keeps its open files.
    if place.exists() {
        fs::rename(&place, scratch.path().join("replaced")).context("cannot move an old build away")?;
    }
    fs::rename(&built, &place).with_context(|| format!("cannot move the build to {}", place.display()))?;
    progress.note(&format!("built {}", recipe.name));
    Ok(())
}

fn hint<'a>(missing: impl Iterator<Item = &'a Recipe> + Clone, folder: &Path) -> String {
    let names: Vec<_> = missing.clone().map(|recipe| recipe.name.as_str()).collect();
    let core_minutes: u32 = missing.map(|recipe| recipe.core_minutes).sum();
    let cores = std::thread::available_parallelism()
        .map_or(1, |cores| u32::try_from(cores.get()).unwrap_or(u32::MAX));
    // Linking and the network do not get faster with cores.
    let minutes = core_minutes.div_ceil(cores).max(1) + 1;
    format!(
        "Building {} for the first time, into {}. This takes about {minutes} min on {cores} core{}, less if Go has \
         parts of it already, and some 4 GB of Go's caches; later starts take seconds.",
        names.join(", "),
        folder.display(),
        if cores == 1 { "" } else { "s" },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn assets_without_a_server_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("etcd"), "").unwrap();
        let error = Binaries::assets(folder.path()).unwrap_err().to_string();
        assert!(error.contains("kube-apiserver is missing"), "{error}");
        fs::write(folder.path().join("kube-apiserver"), "").unwrap();
        assert!(Binaries::assets(folder.path()).unwrap().workload.is_none());
    }

    #[test]
    fn the_hint_names_what_is_built_and_how_long_it_takes() {
        let text = hint([Recipe::etcd(), Recipe::kwok()].iter(), Path::new("/c"));
        assert!(
            text.contains("etcd-3.7.3, kwok-0.8.0") && text.contains(" min on ") && text.contains("/c"),
            "{text}"
        );
    }
}
