//! The clients of the suite `languages`: builds the program in Go, and installs the Python clients in the cache folder.
//!
//! A machine without Go, Python or their package indexes is no failure: the reason is stored, and the cases are
//! skipped.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use tempfile::TempDir;
use tokio::process::Command;
use tokio::time::timeout;

use xtask_control_plane::build::Cache;
use xtask_process::Scratch;
use xtask_process::progress::Progress;

/// The time limit of each step of an installation.
const STEP_TIMEOUT: Duration = Duration::from_secs(300);
/// The file in an installation that contains the requirements from which it was created.
const INSTALLED: &str = "installed-from";

/// The clients of a run. The `Err` of a client that is not available contains the reason.
#[derive(Debug)]
pub(crate) struct Languages {
    /// The folder with the program in Go, which is removed with this handle.
    go: Result<TempDir, String>,
    /// The interpreter of a virtual environment that contains the clients.
    python: Result<PathBuf, String>,
}

/// The name of the program in Go.
const GO_PROGRAM: &str = "client";

impl Languages {
    /// No clients, because they have not been prepared.
    pub(crate) fn unprepared() -> Self {
        let reason = "the clients have not been prepared for this run".to_owned();
        Self { go: Err(reason.clone()), python: Err(reason) }
    }

    /// Builds the program in Go.
    ///
    /// # Errors
    /// When the program does not compile.
    ///
    /// # Cancel safety
    /// Dropping the future kills Go.
    pub(crate) async fn prepare_go(&mut self) -> anyhow::Result<()> {
        self.go = match load_go_packages().await {
            Ok(()) => Ok(build_go().await.context("cannot build the program in Go")?),
            Err(reason) => Err(format!("{reason:#}")),
        };
        Ok(())
    }

    /// Installs the Python clients, unless the cache folder contains them.
    ///
    /// # Cancel safety
    /// Dropping the future kills pip, and leaves the cache folder unchanged.
    pub(crate) async fn prepare_python(&mut self) {
        self.python = install_python().await.map_err(|reason| format!("{reason:#}"));
    }

    /// The program in Go, or the reason for its absence.
    pub(crate) fn go(&self) -> Result<PathBuf, &str> {
        self.go.as_ref().map(|folder| folder.path().join(GO_PROGRAM)).map_err(String::as_str)
    }

    /// The Python interpreter, or the reason for its absence.
    pub(crate) fn python(&self) -> Result<&Path, &str> {
        self.python.as_deref().map_err(String::as_str)
    }
}

/// The folder with the sources of a language.
pub(crate) fn sources(language: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("languages").join(language)
}

/// Runs a command to its end and returns its output.
///
/// # Errors
/// When the command cannot be started, exceeds the limit or fails. The error contains the end of its error output.
///
/// # Cancel safety
/// Dropping the future kills the command.
pub(crate) async fn complete(command: &mut Command, limit: Duration) -> anyhow::Result<String> {
    let program = command.as_std().get_program().to_string_lossy().into_owned();
    let output = timeout(limit, command.kill_on_drop(true).output()).await;
    let output = output.with_context(|| format!("{program} has not ended after {limit:?}"))?;
    let output = output.with_context(|| format!("cannot run {program}"))?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        let lines: Vec<&str> = text.lines().collect();
        let end = lines[lines.len().saturating_sub(20)..].join("\n");
        bail!("{program} failed ({}): {end}", output.status);
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn go(arguments: &[&str]) -> Command {
    let mut command = Command::new("go");
    command.args(arguments).current_dir(sources("go")).env("GOWORK", "off").env("GOFLAGS", "-mod=readonly");
    command
}

/// Downloads the modules of the program. Fails without Go, and without the modules.
async fn load_go_packages() -> anyhow::Result<()> {
    complete(&mut go(&["version"]), STEP_TIMEOUT).await.context("there is no usable `go` on the PATH")?;
    complete(&mut go(&["list", "-deps", "."]), STEP_TIMEOUT)
        .await
        .context("the Go modules are not available")?;
    Ok(())
}

async fn build_go() -> anyhow::Result<TempDir> {
    let folder = tempfile::tempdir().context("cannot create a temporary folder")?;
    let path = folder.path().join(GO_PROGRAM);
    complete(go(&["build", "-trimpath", "-buildvcs=false", "-o"]).arg(&path).arg("."), STEP_TIMEOUT).await?;
    Ok(folder)
}

/// Returns the interpreter of the virtual environment with the clients in the cache folder. Creates the environment if
/// it is missing, is incomplete, or has other requirements.
async fn install_python() -> anyhow::Result<PathBuf> {
    const PROBE: &str = "import ensurepip, sys, venv; print('%d.%d' % sys.version_info[:2])";
    let version = complete(Command::new("python3").args(["-c", PROBE]), STEP_TIMEOUT).await;
    let version =
        version.context("there is no `python3` with the modules `venv` and `ensurepip` on the PATH")?;
    let requirements = sources("python").join("requirements.txt");
    let wanted = std::fs::read_to_string(&requirements)
        .with_context(|| format!("cannot read {}", requirements.display()))?;
    let cache = Cache::open()?;
    let name = format!("python-clients-{}", version.trim());
    let target = cache.folder().join(&name);
    let is_complete = || {
        std::fs::read_to_string(target.join(INSTALLED)).is_ok_and(|text| text == wanted)
            && target.join("bin/python").is_file()
    };
    let _lock = cache.lock(&name, &Progress::new()).await?;
    if !is_complete() {
        let scratch = Scratch::create(cache.folder())?;
        let environment = scratch.path().join("environment");
        create_environment(&environment, &requirements).await.context("cannot install the Python clients")?;
        std::fs::write(environment.join(INSTALLED), &wanted).context("cannot write to the cache folder")?;
        // A running process may use the files of the old environment.
        if target.exists() {
            std::fs::rename(&target, scratch.path().join("replaced"))
                .context("cannot move the old environment out of the cache folder")?;
        }
        std::fs::rename(&environment, &target)
            .with_context(|| format!("cannot move the environment to {}", target.display()))?;
    }
    Ok(target.join("bin/python"))
}

async fn create_environment(folder: &Path, requirements: &Path) -> anyhow::Result<()> {
    complete(Command::new("python3").args(["-m", "venv"]).arg(folder), STEP_TIMEOUT).await?;
    let mut install = Command::new(folder.join("bin/python"));
    install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]);
    // Without wheels, the installation would need compilers.
    install.args(["--only-binary", ":all:", "--timeout", "15", "--retries", "2", "--requirement"]);
    complete(install.arg(requirements), STEP_TIMEOUT).await?;
    Ok(())
}
