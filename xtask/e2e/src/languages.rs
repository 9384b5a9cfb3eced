//! The clients of the suite `languages`. This module builds the Go program, and installs the Python clients in the cache
//! folder.
//!
//! If Go, Python or a package index is not available, the run does not fail. This module stores the reason, and the
//! runner skips the cases that need the client.

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
/// The name of a file in the installation. The file contains the requirements that were installed.
const INSTALLED_REQUIREMENTS_FILE: &str = "installed-from";

/// The clients of a run. The `Err` of a client that is not available contains the reason.
#[derive(Debug)]
pub(crate) struct LanguageClients {
    /// The folder with the Go program. Dropping this handle removes the folder.
    go: Result<TempDir, String>,
    /// The interpreter of a virtual environment that contains the clients.
    python: Result<PathBuf, String>,
}

/// The file name of the Go program.
const GO_PROGRAM: &str = "client";

impl LanguageClients {
    /// Creates a value without clients. [`prepare_go`](Self::prepare_go) and [`prepare_python`](Self::prepare_python) add
    /// the clients.
    pub(crate) fn without_clients() -> Self {
        let reason = "the clients have not been prepared for this run".to_owned();
        Self { go: Err(reason.clone()), python: Err(reason) }
    }

    /// Builds the Go program. If Go or a module is not available, stores the reason.
    ///
    /// # Errors
    /// When the program does not compile.
    ///
    /// # Cancel safety
    /// Dropping the future kills Go.
    pub(crate) async fn prepare_go(&mut self) -> anyhow::Result<()> {
        self.go = match download_go_modules().await {
            Ok(()) => Ok(build_go_program().await.context("cannot build the program in Go")?),
            Err(reason) => Err(format!("{reason:#}")),
        };
        Ok(())
    }

    /// Installs the Python clients, unless the cache folder contains them. If the installation fails, stores the reason.
    ///
    /// # Cancel safety
    /// Dropping the future kills pip, and leaves the cache folder unchanged.
    pub(crate) async fn prepare_python(&mut self) {
        self.python = install_python_clients().await.map_err(|reason| format!("{reason:#}"));
    }

    /// The path of the Go program, or the reason for the program's absence.
    pub(crate) fn go_program(&self) -> Result<PathBuf, &str> {
        self.go.as_ref().map(|folder| folder.path().join(GO_PROGRAM)).map_err(String::as_str)
    }

    /// The path of the Python interpreter, or the reason for the interpreter's absence.
    pub(crate) fn python_interpreter(&self) -> Result<&Path, &str> {
        self.python.as_deref().map_err(String::as_str)
    }
}

/// The folder with the source code of the programs in `language`.
pub(crate) fn source_folder(language: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("languages").join(language)
}

/// Runs a command to its end, and returns its stdout.
///
/// # Errors
/// When the command cannot be started, exceeds the limit or fails. If the command fails, the error contains the last
/// lines of the command's stderr.
///
/// # Cancel safety
/// Dropping the future kills the command.
pub(crate) async fn run_to_end(command: &mut Command, limit: Duration) -> anyhow::Result<String> {
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

fn go_command(arguments: &[&str]) -> Command {
    let mut command = Command::new("go");
    command
        .args(arguments)
        .current_dir(source_folder("go"))
        .env("GOWORK", "off")
        .env("GOFLAGS", "-mod=readonly");
    command
}

/// Downloads the modules of the program. Fails if Go or a module is not available.
async fn download_go_modules() -> anyhow::Result<()> {
    run_to_end(&mut go_command(&["version"]), STEP_TIMEOUT)
        .await
        .context("there is no usable `go` on the PATH")?;
    run_to_end(&mut go_command(&["list", "-deps", "."]), STEP_TIMEOUT)
        .await
        .context("the Go modules are not available")?;
    Ok(())
}

async fn build_go_program() -> anyhow::Result<TempDir> {
    let folder = tempfile::tempdir().context("cannot create a temporary folder")?;
    let path = folder.path().join(GO_PROGRAM);
    run_to_end(
        go_command(&["build", "-trimpath", "-buildvcs=false", "-o"]).arg(&path).arg("."),
        STEP_TIMEOUT,
    )
    .await?;
    Ok(folder)
}

/// Installs the clients in a virtual environment in the cache folder, unless the folder has a complete environment with
/// the same requirements. Returns the path of the environment's interpreter.
async fn install_python_clients() -> anyhow::Result<PathBuf> {
    const PROBE: &str = "import ensurepip, sys, venv; print('%d.%d' % sys.version_info[:2])";
    let version = run_to_end(Command::new("python3").args(["-c", PROBE]), STEP_TIMEOUT).await;
    let version =
        version.context("there is no `python3` with the modules `venv` and `ensurepip` on the PATH")?;
    let requirements = source_folder("python").join("requirements.txt");
    let wanted = std::fs::read_to_string(&requirements)
        .with_context(|| format!("cannot read {}", requirements.display()))?;
    let cache = Cache::open()?;
    let name = format!("python-clients-{}", version.trim());
    let target = cache.folder().join(&name);
    let is_complete = || {
        std::fs::read_to_string(target.join(INSTALLED_REQUIREMENTS_FILE)).is_ok_and(|text| text == wanted)
            && target.join("bin/python").is_file()
    };
    let _lock = cache.lock_build(&name, &Progress::new()).await?;
    if !is_complete() {
        let scratch = Scratch::create(cache.folder())?;
        let environment = scratch.path().join("environment");
        install_in_new_environment(&environment, &requirements)
            .await
            .context("cannot install the Python clients")?;
        std::fs::write(environment.join(INSTALLED_REQUIREMENTS_FILE), &wanted)
            .context("cannot write to the cache folder")?;
        // A rename cannot replace a folder that contains files: first move the old environment to the scratch folder.
        if target.exists() {
            std::fs::rename(&target, scratch.path().join("replaced"))
                .context("cannot move the old environment out of the cache folder")?;
        }
        std::fs::rename(&environment, &target)
            .with_context(|| format!("cannot move the environment to {}", target.display()))?;
    }
    Ok(target.join("bin/python"))
}

async fn install_in_new_environment(folder: &Path, requirements: &Path) -> anyhow::Result<()> {
    run_to_end(Command::new("python3").args(["-m", "venv"]).arg(folder), STEP_TIMEOUT).await?;
    let mut install = Command::new(folder.join("bin/python"));
    install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]);
    // Install only wheels: the installation of a source package may need a compiler.
    install.args(["--only-binary", ":all:", "--timeout", "15", "--retries", "2", "--requirement"]);
    run_to_end(install.arg(requirements), STEP_TIMEOUT).await?;
    Ok(())
}
