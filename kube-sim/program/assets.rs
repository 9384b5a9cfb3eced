//! `kube-sim assets`: a folder with the binaries that envtest starts.

use std::fs;
use std::path::{Path, PathBuf};

use crate::Error;

/// Creates a folder with `kube-apiserver` and `etcd`, which are links to this program, and prints the path of the
/// folder.
///
/// `KUBEBUILDER_ASSETS=$(kube-sim assets) go test ./...` runs the tests of a kubebuilder project on kube-sim. As with
/// envtest, no built-in controllers run: there is no garbage collection, and deleted namespaces stay Terminating.
/// To list the flags, run `./kube-apiserver --help` or `./etcd --help` in the folder.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The folder; by default, `kube-sim/assets` in the cache folder of the user.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

pub(crate) fn run(args: &Args) -> Result<(), Error> {
    let dir = match &args.dir {
        Some(dir) => std::path::absolute(dir)?,
        None => default_assets_folder()?,
    };
    fs::create_dir_all(&dir).map_err(|e| format!("cannot create {}: {e}", dir.display()))?;
    let program = std::env::current_exe()?;
    for name in ["kube-apiserver", "etcd"] {
        create_link(&program, &dir.join(name))?;
    }
    println!("{}", dir.display());
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "the cache folder does not affect a simulation")]
fn default_assets_folder() -> Result<PathBuf, Error> {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = variable("XDG_CACHE_HOME").or_else(|| variable("HOME").map(|home| home.join(".cache")));
    let cache = cache.ok_or("neither XDG_CACHE_HOME nor HOME is set: give the folder with --dir")?;
    Ok(cache.join("kube-sim").join("assets"))
}

/// Creates the link `at`, which refers to the program. Replaces a link, but not a regular file, which could be a real
/// binary.
fn create_link(program: &Path, at: &Path) -> Result<(), Error> {
    match fs::symlink_metadata(at) {
        Ok(found) if !found.is_symlink() => {
            return Err(format!("{} exists and is not a link: select another --dir", at.display()).into());
        }
        Ok(_) if fs::read_link(at).is_ok_and(|target| target == program) => return Ok(()),
        _ => {}
    }
    // A rename is atomic, so a test run that starts at the same time finds either the old or the new link.
    let new = at.with_extension(format!("new-{}", std::process::id()));
    let linked = std::os::unix::fs::symlink(program, &new).and_then(|()| fs::rename(&new, at));
    linked.map_err(|e| format!("cannot create the link {}: {e}", at.display()).into())
}
