//! Builds the components that are missing in the cache folder, from pinned Go modules. Starts no component.

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

/// The paths of a control plane's programs.
#[derive(Debug, Clone)]
pub struct Binaries {
    pub(crate) etcd: PathBuf,
    pub(crate) api_server: PathBuf,
    /// The programs for controllers, scheduler and nodes; `None` for [`Binaries::from_assets`].
    pub(crate) pod_programs: Option<PodPrograms>,
    /// The folder that contains kubectl; `None` if the assets have no kubectl.
    /// [`Cluster::command_path`](crate::Cluster::command_path) begins with this folder.
    pub(crate) kubectl: Option<PathBuf>,
}

/// The programs that create, schedule and simulate pods.
#[derive(Debug, Clone)]
pub(crate) struct PodPrograms {
    pub(crate) controller_manager: PathBuf,
    pub(crate) scheduler: PathBuf,
    pub(crate) kwok: PathBuf,
    pub(crate) kubelet: PathBuf,
    /// The files with kwok's Stages, which define the behaviour of pods and nodes.
    pub(crate) stages: Vec<PathBuf>,
}

impl Binaries {
    /// Finds `etcd`, `kube-apiserver` and, if present, `kubectl` in `folder`, which is usually the value of
    /// `KUBEBUILDER_ASSETS`. Uses no other programs of `folder`, so a cluster of these programs has no controllers and no
    /// nodes.
    ///
    /// # Errors
    /// When `etcd` or `kube-apiserver` is missing or is a link to `kube-sim`, or a path cannot be resolved.
    pub fn from_assets(folder: &Path) -> anyhow::Result<Self> {
        let find = |name: &str| {
            let path = folder.join(name);
            if !path.is_file() {
                bail!("{} is missing: the folder must contain etcd and kube-apiserver", path.display());
            }
            path.canonicalize().with_context(|| format!("cannot find {}", path.display()))
        };
        for name in ["etcd", "kube-apiserver"] {
            find(name)?;
            refuse_kube_sim(&folder.join(name))?;
        }
        let kubectl = find("kubectl").ok().and_then(|path| path.parent().map(Path::to_owned));
        Ok(Self { etcd: find("etcd")?, api_server: find("kube-apiserver")?, pod_programs: None, kubectl })
    }

    /// Creates a folder with links to `etcd` and `kube-apiserver`, for `KUBEBUILDER_ASSETS`.
    ///
    /// # Errors
    /// When the folder exists or cannot be created.
    pub fn link_assets(&self, folder: &Path) -> anyhow::Result<()> {
        fs::create_dir(folder).with_context(|| format!("cannot create {}", folder.display()))?;
        for (program, name) in [(&self.etcd, "etcd"), (&self.api_server, "kube-apiserver")] {
            std::os::unix::fs::symlink(program, folder.join(name))
                .with_context(|| format!("cannot create a link in {}", folder.display()))?;
        }
        Ok(())
    }

    /// Finds the programs for this version of Kubernetes in the cache, and builds the missing programs.
    ///
    /// # Errors
    /// When Go is missing or too old, a module cannot be downloaded, or a build fails.
    ///
    /// # Cancel safety
    /// Cancelling ends the build and removes its temporary folder. Go's own caches keep modules and compiled packages,
    /// so that the next build is faster.
    pub async fn build(
        version: KubernetesVersion,
        cache: &Cache,
        progress: &Progress,
    ) -> anyhow::Result<Self> {
        let recipes = [Recipe::etcd(), Recipe::kwok(), Recipe::kubelet(), Recipe::kubernetes(version)];
        let missing =
            || recipes.iter().filter(|recipe| !recipe.has_build_at(&cache.path_of_build(&recipe.name)));
        if missing().next().is_some() {
            Scratch::sweep(cache.folder());
            progress.note(&first_build_note(missing(), cache.folder()));
        }
        for recipe in &recipes {
            build_if_missing(recipe, cache, progress).await?;
        }
        let [etcd, kwok, kubelet, kubernetes] = recipes.map(|recipe| cache.path_of_build(&recipe.name));
        let mut stages = Vec::new();
        for (_, folder, names) in Recipe::kwok().files {
            stages.extend(names.iter().map(|name| kwok.join(folder).join(name)));
        }
        Ok(Self {
            etcd: etcd.join("etcd"),
            api_server: kubernetes.join("kube-apiserver"),
            pod_programs: Some(PodPrograms {
                controller_manager: kubernetes.join("kube-controller-manager"),
                scheduler: kubernetes.join("kube-scheduler"),
                kwok: kwok.join("kwok"),
                kubelet: kubelet.join("kubelet"),
                stages,
            }),
            kubectl: Some(kubernetes),
        })
    }
}

/// A kubectl that has been built.
#[derive(Debug, Clone)]
pub struct Kubectl {
    /// The major and minor version, such as `1.37`.
    pub version: String,
    /// The folder that contains the program `kubectl`.
    pub folder: PathBuf,
}

impl Kubectl {
    /// Finds two versions of kubectl in the cache, an old one and the newest, and builds the missing versions. The build
    /// of [`KubernetesVersion::LATEST`] contains the newest kubectl.
    ///
    /// # Errors
    /// When Go is missing or too old, a module cannot be downloaded, or a build fails.
    ///
    /// # Cancel safety
    /// As with [`Binaries::build`].
    pub async fn build(cache: &Cache, progress: &Progress) -> anyhow::Result<[Self; 2]> {
        let latest = KubernetesVersion::LATEST;
        let recipes = [("1.32", Recipe::kubectl()), (latest.minor(), Recipe::kubernetes(latest))];
        for (_, recipe) in &recipes {
            build_if_missing(recipe, cache, progress).await?;
        }
        Ok(recipes.map(|(version, recipe)| Self {
            version: version.to_owned(),
            folder: cache.path_of_build(&recipe.name),
        }))
    }
}

/// Fails if `program` is a link to `kube-sim`, which is no real control plane. `kube-sim assets` creates such links.
fn refuse_kube_sim(program: &Path) -> anyhow::Result<()> {
    let target = fs::canonicalize(program).with_context(|| format!("cannot find {}", program.display()))?;
    if target.file_name().is_some_and(|name| name == "kube-sim") {
        bail!(
            "{} is kube-sim, not a real control plane: set KUBEBUILDER_ASSETS to a folder with a real etcd and \
             kube-apiserver, or unset it to build them from source",
            program.display()
        );
    }
    Ok(())
}

/// Builds a recipe, unless the cache contains a complete build of it.
async fn build_if_missing(recipe: &Recipe, cache: &Cache, progress: &Progress) -> anyhow::Result<()> {
    let path = cache.path_of_build(&recipe.name);
    if recipe.has_build_at(&path) {
        return Ok(());
    }
    let _lock = cache.lock_build(&recipe.name, progress).await?;
    // Another process may have completed the build while this process waited for the lock.
    if recipe.has_build_at(&path) {
        return Ok(());
    }
    let scratch = Scratch::create(cache.folder())?;
    let go_build = go::Build { recipe, folder: scratch.path(), progress };
    let built = go_build.build().await.with_context(|| format!("cannot build {}", recipe.name))?;
    // If `path` exists, it contains an incomplete build or a build with other inputs. Move this old build instead of
    // overwriting it, because a running process may use its files.
    if path.exists() {
        fs::rename(&path, scratch.path().join("replaced"))
            .context("cannot move the old build out of the cache")?;
    }
    fs::rename(&built, &path).with_context(|| format!("cannot move the build to {}", path.display()))?;
    progress.note(&format!("built {}", recipe.name));
    Ok(())
}

/// The note before a first build: the missing builds, the cache folder, and the expected duration.
fn first_build_note<'a>(missing: impl Iterator<Item = &'a Recipe> + Clone, folder: &Path) -> String {
    let names: Vec<_> = missing.clone().map(|recipe| recipe.name.as_str()).collect();
    let core_minutes: u32 = missing.map(|recipe| recipe.core_minutes).sum();
    let cores = std::thread::available_parallelism()
        .map_or(1, |cores| u32::try_from(cores.get()).unwrap_or(u32::MAX));
    // Adds one minute, because more cores do not speed up linking and downloads.
    let minutes = core_minutes.div_ceil(cores).max(1) + 1;
    format!(
        "Building {} for the first time, into {}. This takes about {minutes} min on {cores} core{} (less if Go's caches \
         have parts of it), and about 4 GB in Go's caches; later starts take seconds.",
        names.join(", "),
        folder.display(),
        if cores == 1 { "" } else { "s" },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn assets_without_an_api_server_are_rejected() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("etcd"), "").unwrap();
        let error = Binaries::from_assets(folder.path()).unwrap_err().to_string();
        assert!(error.contains("kube-apiserver is missing"), "{error}");
        fs::write(folder.path().join("kube-apiserver"), "").unwrap();
        assert!(Binaries::from_assets(folder.path()).unwrap().pod_programs.is_none());
    }

    #[test]
    fn the_assets_of_kube_sim_are_rejected() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("kube-sim"), "").unwrap();
        for name in ["etcd", "kube-apiserver"] {
            std::os::unix::fs::symlink(folder.path().join("kube-sim"), folder.path().join(name)).unwrap();
        }
        let error = Binaries::from_assets(folder.path()).unwrap_err().to_string();
        assert!(error.contains("/etcd is kube-sim, not a real control plane"), "{error}");
    }

    #[test]
    fn the_first_build_note_contains_the_builds_and_the_duration() {
        let text = first_build_note([Recipe::etcd(), Recipe::kwok()].iter(), Path::new("/c"));
        assert!(
            text.contains("etcd-3.7.3, kwok-0.8.0") && text.contains(" min on ") && text.contains("/c"),
            "{text}"
        );
    }
}
