//! Builds the mock API server and the contenders in release mode. kube's contender has its own cargo workspace, and
//! client-go's contender is a Go module, so that their dependencies never enter this project's lock file.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;

use super::contender::Contender;
use super::process;
use xtask_process::progress::Progress;
use xtask_process::{LaunchOptions, Scratch};

/// The time limit for one build. A build that takes longer is assumed to hang.
const BUILD_TIMEOUT: Duration = Duration::from_secs(3600);

/// The file name of the second program of client-go's contender. This program runs the rows that need
/// controller-runtime. Both programs are in the same folder.
pub(super) const CONTROLLER_RUNTIME_PROGRAM: &str = "controller-runtime";

/// The folders of the checkout and of the build.
#[derive(Debug)]
pub(super) struct Folders {
    /// The root of this workspace.
    pub(super) root: PathBuf,
    /// Cargo's target folder.
    pub(super) target: PathBuf,
}

impl Folders {
    /// Locates the folders.
    ///
    /// # Errors
    /// If the checkout from which this program was built no longer exists.
    pub(super) fn find() -> anyhow::Result<Self> {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = here.ancestors().nth(2).context("xtask/bench has no parent folder")?.to_owned();
        anyhow::ensure!(
            root.join("xtask/bench/shared").is_dir(),
            "the sources of the bench are not at {}: run `cargo xtask bench` from a checkout",
            root.display()
        );
        let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
        Ok(Self { target: std::path::absolute(target).context("cannot find the target folder")?, root })
    }

    /// The folder of a contender's sources.
    pub(super) fn source_folder(&self, name: &str) -> PathBuf {
        self.root.join("xtask/bench").join(name)
    }

    /// The folder for the build of `name`, below cargo's target folder.
    pub(super) fn build_folder(&self, name: &str) -> PathBuf {
        self.target.join("xtask-bench").join(name)
    }
}

/// The paths of the compiled programs.
#[derive(Debug)]
pub(super) struct BuiltPrograms {
    /// The mock API server.
    pub(super) mock_server: PathBuf,
    /// Each contender's program, or the reason for its absence.
    pub(super) contenders: Vec<(Contender, Result<PathBuf, String>)>,
}

/// Builds the mock API server and `contenders`.
///
/// # Errors
/// If a build fails. Without a Go toolchain, client-go is reported as absent, and no error results.
///
/// # Cancel safety
/// Cancelling terminates the build; the next run continues from cargo's and Go's caches.
pub(super) async fn build_all(
    folders: &Folders,
    scratch: &Scratch,
    contenders: &[Contender],
    progress: &Progress,
) -> anyhow::Result<BuiltPrograms> {
    progress.step("building the mock API server and this project's contender");
    // This build uses the root workspace and its lock file. Cargo keeps the results of debug builds in another folder, so
    // a release build does not replace them.
    let target = folders.target.join("release");
    let packages = ["build", "--release", "--quiet", "-p", "bench-load", "-p", "bench-ours"];
    run_cargo(scratch, &folders.root, &folders.target, &packages).await?;
    let mut built = Vec::new();
    for contender in contenders {
        let program = match contender {
            Contender::Ours => Ok(target.join("bench-ours")),
            Contender::Kube => {
                progress.step("building kube's contender");
                let target = folders.build_folder("kube");
                let args = ["build", "--release", "--quiet", "--locked", "-p", "bench-kube"];
                run_cargo(scratch, &folders.source_folder("kube"), &target, &args).await?;
                Ok(target.join("release/bench-kube"))
            }
            Contender::ClientGo => {
                progress.step("building client-go's contender");
                build_client_go(folders, scratch).await?
            }
        };
        built.push((*contender, program));
    }
    Ok(BuiltPrograms { mock_server: target.join("bench-load"), contenders: built })
}

/// Runs cargo with `args` in `folder`, building into `target`. Cargo does not receive the caller's environment variables
/// for incremental builds, so that the profile decides whether the build is incremental.
pub(super) async fn run_cargo(
    scratch: &Scratch,
    folder: &Path,
    target: &Path,
    args: &[&str],
) -> anyhow::Result<process::Output> {
    let cargo = std::env::var_os("CARGO").map_or_else(|| PathBuf::from("cargo"), PathBuf::from);
    process::run_to_completion(scratch, &cargo, BUILD_TIMEOUT, |launch| {
        let launch = launch
            .args(args.iter().copied())
            .folder(folder)
            .env_remove(xtask_process::cargo::variables_from_cargo())
            .env_remove(["CARGO_INCREMENTAL", "CARGO_BUILD_INCREMENTAL"].map(Into::into));
        launch.env("CARGO_TARGET_DIR", target)
    })
    .await
}

/// Builds the two programs of client-go's contender, and returns the path of the program without
/// controller-runtime. If there is no working Go toolchain, the inner result is an `Err` with the text of the
/// problem. [`BuiltPrograms::contenders`] contains the inner result.
async fn build_client_go(folders: &Folders, scratch: &Scratch) -> anyhow::Result<Result<PathBuf, String>> {
    let go = |launch: LaunchOptions| {
        launch
            .folder(folders.source_folder("client-go"))
            .env("CGO_ENABLED", "0")
            .env("GOFLAGS", "-mod=readonly")
            .env("GOWORK", "off")
    };
    let version = process::run_to_completion(scratch, Path::new("go"), Duration::from_secs(60), |launch| {
        go(launch).args(["version"])
    });
    if let Err(error) = version.await {
        return Ok(Err(format!("no working Go toolchain was found, client-go is skipped ({error:#})")));
    }
    let program = folders.build_folder("client-go");
    fs::create_dir_all(program.parent().unwrap_or(&folders.target))
        .context("cannot create the build folder")?;
    let programs =
        [(program.clone(), ""), (program.with_file_name(CONTROLLER_RUNTIME_PROGRAM), "controller_runtime")];
    for (program, tags) in programs {
        process::run_to_completion(scratch, Path::new("go"), BUILD_TIMEOUT, |launch| {
            let args = ["build", "-trimpath", "-buildvcs=false", "-tags", tags, "-o"];
            go(launch).args(args).args([program.as_os_str()]).args(["."])
        })
        .await?;
    }
    Ok(Ok(program))
}
