//! Runs the Go toolchain for a [`Recipe`]: sets the arguments and the environment of Go, and explains failed commands. This
//! module must not write to the cache: the caller moves the finished build there.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};

use super::recipe::Recipe;
use xtask_process::progress::Progress;
use xtask_process::{LaunchOptions, ProgramExit, Streams, SupervisedProgram, log};

/// The last sentences of the errors about a missing or outdated Go toolchain.
const ADVICE: &str = "Install Go from https://go.dev/dl (or as a package of your system) and put `go` on the PATH. \
     Without Go: set KUBEBUILDER_ASSETS to a folder with etcd and kube-apiserver for `e2e` (or pass the folder to \
     `cluster` with --assets), or run `e2e` with --kubeconfig on the cluster of your KUBECONFIG";

/// The time between SIGTERM and SIGKILL, in which Go can clean up.
const GRACE_PERIOD: Duration = Duration::from_secs(2);

/// The build of one recipe in a temporary folder.
#[derive(Debug)]
pub(super) struct Build<'a> {
    pub(super) recipe: &'a Recipe,
    /// The scratch folder for sources, Go's temporary files, logs and the result.
    pub(super) folder: &'a Path,
    pub(super) progress: &'a Progress,
}

impl Build<'_> {
    /// Builds all binaries, and returns the folder that contains them.
    pub(super) async fn build(&self) -> anyhow::Result<PathBuf> {
        let out = self.folder.join("out");
        for folder in ["out", "source", "tmp"] {
            fs::create_dir(self.folder.join(folder)).context("cannot create a build folder")?;
        }
        fs::write(self.folder.join("source/go.mod"), self.recipe.go_mod)?;
        fs::write(self.folder.join("source/go.sum"), self.recipe.go_sum)?;
        for (name, text) in &self.recipe.sources {
            fs::write(self.folder.join("source").join(name), text)?;
        }
        self.check_go().await?;
        let total = self.download().await?;
        for (package, binary) in &self.recipe.binaries {
            self.progress.step(&format!("{}: compiling {binary}", self.recipe.name));
            self.compile(package, &out.join(binary), total).await?;
        }
        self.copy_files(&out).await?;
        fs::write(out.join(super::recipe::INPUTS_FILE), self.recipe.inputs_text())?;
        Ok(out)
    }

    /// Checks that Go can build the recipe. With `GOTOOLCHAIN=auto`, the default, an older Go downloads the version that
    /// the recipe needs.
    ///
    /// # Errors
    /// When there is no `go` on the PATH, `go env` fails, or Go is too old and `GOTOOLCHAIN` is `local`.
    async fn check_go(&self) -> anyhow::Result<()> {
        let (ended, text) = self.run_go("version", &["env", "GOVERSION", "GOTOOLCHAIN"]).await?;
        let needed = self.recipe.minimum_go_version();
        if ended.code == 127 {
            bail!(
                "building {} needs Go {needed} or newer, and there is no `go` on the PATH. {ADVICE}",
                self.recipe.name
            );
        }
        if ended.code != 0 {
            bail!("`go env` failed: {}", self.log_tail("version"));
        }
        let mut lines = text.lines();
        let (version, toolchain) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
        if toolchain == "local" && is_older(version, needed) {
            bail!(
                "building {} needs Go {needed} or newer; this is {version}, and GOTOOLCHAIN=local keeps it from \
                 downloading a newer version. {ADVICE}",
                self.recipe.name
            );
        }
        Ok(())
    }

    /// Downloads the modules that the build needs, and returns the number of packages to compile.
    async fn download(&self) -> anyhow::Result<u64> {
        let name = &self.recipe.name;
        self.progress.step(&format!("{name}: downloading Go modules"));
        let mut args = vec!["list", "-deps", "-buildvcs=false", "-f", "{{.ImportPath}}"];
        args.extend(self.recipe.packages());
        let (ended, packages) = self.run_go("download", &args).await?;
        if ended.code != 0 {
            bail!(
                "cannot download the Go modules of {name}: {}\n(check the network and GOPROXY={})",
                self.log_tail("download"),
                std::env::var("GOPROXY").unwrap_or_else(|_| "(default)".to_owned())
            );
        }
        Ok(packages.lines().count() as u64)
    }

    /// Compiles a package into `binary`, and shows the number of compiled packages out of `total`.
    async fn compile(&self, package: &str, binary: &Path, total: u64) -> anyhow::Result<()> {
        let stderr = self.folder.join("compile.log");
        let go = self.go_command("compile").args(["build", "-v", "-trimpath", "-buildvcs=false", "-ldflags"]);
        let go = go.args([self.recipe.ldflags.as_str(), "-o"]).args([binary.as_os_str()]).args([package]);
        let go = SupervisedProgram::spawn(&go, |_| {})?;
        let ended = loop {
            tokio::select! {
                ended = go.wait() => break ended,
                () = tokio::time::sleep(Duration::from_millis(300)) => {
                    // With `-v`, Go prints one line for each package that is not in its build cache.
                    let done = fs::read_to_string(&stderr).map_or(0, |log| log.lines().count() as u64);
                    self.progress.show_count(done.min(total), total, "packages");
                }
            }
        };
        if ended.code != 0 {
            bail!("cannot compile {package} ({ended}): {}", self.log_tail("compile"));
        }
        Ok(())
    }

    /// Copies the recipe's YAML files from their modules into `out`.
    async fn copy_files(&self, out: &Path) -> anyhow::Result<()> {
        for (module, folder, names) in &self.recipe.files {
            let (ended, text) = self.run_go("module", &["list", "-m", "-f", "{{.Dir}}", module]).await?;
            if ended.code != 0 || text.trim().is_empty() {
                bail!("cannot find the sources of {module}: {}", self.log_tail("module"));
            }
            let from = Path::new(text.trim()).join(folder);
            fs::create_dir_all(out.join(folder))?;
            for name in *names {
                let content = fs::read(from.join(name));
                let content =
                    content.with_context(|| format!("cannot read {}", from.join(name).display()))?;
                fs::write(out.join(folder).join(name), content)?;
            }
        }
        Ok(())
    }

    /// Runs [`go_command`](Self::go_command) with these arguments, and returns the exit status and stdout.
    async fn run_go(&self, name: &str, args: &[&str]) -> anyhow::Result<(ProgramExit, String)> {
        let output = self.folder.join(format!("{name}.out"));
        // The output is appended to the file: remove the file of an earlier command with the same name.
        let _ = fs::remove_file(&output);
        let go = SupervisedProgram::spawn(&self.go_command(name).args(args.iter().copied()), |_| {})?;
        let ended = go.wait().await;
        Ok((ended, fs::read_to_string(&output).unwrap_or_default()))
    }

    /// A `go` command that writes its output to `{name}.out` and `{name}.log`.
    fn go_command(&self, name: &str) -> LaunchOptions {
        let streams = Streams::Files {
            stdout: self.folder.join(format!("{name}.out")),
            stderr: self.folder.join(format!("{name}.log")),
        };
        LaunchOptions::new("go", streams)
            .folder(self.folder.join("source"))
            .grace(GRACE_PERIOD)
            .scratch(self.folder)
            .env("CGO_ENABLED", "0")
            .env("GOFLAGS", "-mod=readonly")
            .env("GOWORK", "off")
            .env("GOTMPDIR", self.folder.join("tmp"))
    }

    /// The last lines of the log of the `go` command with this name.
    fn log_tail(&self, name: &str) -> String {
        log::tail(&self.folder.join(format!("{name}.log")), 12)
    }
}

/// Whether `version`, such as `go1.26.8`, is older than `needed`, such as `1.26.0`; false if a version cannot be
/// parsed.
fn is_older(version: &str, needed: &str) -> bool {
    let numbers = |text: &str| -> Option<Vec<u32>> {
        let text = text.strip_prefix("go").unwrap_or(text);
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        text[..end].split('.').map(|number| number.parse().ok()).collect()
    };
    match (numbers(version), numbers(needed)) {
        (Some(version), Some(needed)) => version < needed,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        for (version, needed, older) in [
            ("go1.26.8", "1.26.0", false),
            ("go1.26.0", "1.26.0", false),
            ("go1.9.1", "1.26.0", true),
            ("go1.25.3", "1.26.0", true),
            ("go1.27rc1", "1.26.0", false),
            ("devel +abc", "1.26.0", false),
        ] {
            assert_eq!(is_older(version, needed), older, "{version} against {needed}");
        }
    }
}
