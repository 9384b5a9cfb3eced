//! Runs the Go toolchain for a [`Recipe`]. Owns how Go is called and how its troubles are told; where the result goes
//! is the caller's business.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};

use super::recipe::Recipe;
use xtask_process::progress::Progress;
use xtask_process::{Ended, Launch, Streams, Supervised, log};

const WHAT_TO_DO: &str = "Get Go from https://go.dev/dl (or your system's packages) and put `go` on the PATH; or do without it: \
     `e2e` runs on the etcd and kube-apiserver of the folder that KUBEBUILDER_ASSETS names (`cluster` takes it by --assets), \
     and with --kubeconfig on a cluster of your own, which KUBECONFIG names";

/// How long Go may take to clean up after SIGTERM.
const GRACE: Duration = Duration::from_secs(2);

/// A folder to build in, and what came of it.
#[derive(Debug)]
pub(super) struct Workshop<'a> {
    pub(super) recipe: &'a Recipe,
    /// A scratch folder: sources, Go's temporary files, logs and the result.
    pub(super) folder: &'a Path,
    pub(super) progress: &'a Progress,
}

impl Workshop<'_> {
    /// Builds everything, and gives the folder it is in.
    pub(super) async fn build(&self) -> anyhow::Result<PathBuf> {
        let out = self.folder.join("out");
        for folder in ["out", "source", "tmp"] {
            fs::create_dir(self.folder.join(folder)).context("cannot make a folder to build in")?;
        }
        fs::write(self.folder.join("source/go.mod"), self.recipe.go_mod)?;
        fs::write(self.folder.join("source/go.sum"), self.recipe.go_sum)?;
        self.check_go().await?;
        let total = self.download().await?;
        for (package, binary) in &self.recipe.binaries {
            self.progress.step(&format!("{}: compiling {binary}", self.recipe.name));
            self.compile(package, &out.join(binary), total).await?;
        }
        self.keep_files(&out).await?;
        fs::write(out.join(super::recipe::STAMP), self.recipe.stamp())?;
        Ok(out)
    }

    async fn check_go(&self) -> anyhow::Result<()> {
        let (ended, text) = self.query("version", &["env", "GOVERSION", "GOTOOLCHAIN"]).await?;
        let needed = self.recipe.go();
        if ended.code == 127 {
            bail!(
                "Go {needed} or newer is needed to build {}, and there is no `go`. {WHAT_TO_DO}",
                self.recipe.name
            );
        }
        if ended.code != 0 {
            bail!("`go env` failed: {}", self.log("version"));
        }
        let mut lines = text.lines();
        let (version, toolchain) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
        if toolchain == "local" && is_older(version, needed) {
            bail!(
                "Go {needed} or newer is needed to build {}; this is {version}, and GOTOOLCHAIN=local keeps it from \
                 fetching a newer one. {WHAT_TO_DO}",
                self.recipe.name
            );
        }
        Ok(())
    }

    /// Fetches the modules that are needed and no others, and counts the packages that are to be compiled.
    async fn download(&self) -> anyhow::Result<u64> {
        let name = &self.recipe.name;
        self.progress.step(&format!("{name}: fetching Go modules"));
        let mut args = vec!["list", "-deps", "-buildvcs=false", "-f", "{{.ImportPath}}"];
        args.extend(self.recipe.packages());
        let (ended, packages) = self.query("download", &args).await?;
        if ended.code != 0 {
            bail!(
                "cannot fetch the Go modules of {name}: {}\n(the network, or GOPROXY={}, may be at fault)",
                self.log("download"),
                std::env::var("GOPROXY").unwrap_or_else(|_| "its default".to_owned())
            );
        }
        Ok(packages.lines().count() as u64)
    }

    async fn compile(&self, package: &str, binary: &Path, total: u64) -> anyhow::Result<()> {
        let stderr = self.folder.join("compile.log");
        let go = self.go("compile").args(["build", "-v", "-trimpath", "-buildvcs=false", "-ldflags"]);
        let go = go.args([self.recipe.ldflags.as_str(), "-o"]).args([binary.as_os_str()]).args([package]);
        let go = Supervised::spawn(&go, |_| {})?;
        let ended = loop {
            tokio::select! {
                ended = go.wait() => break ended,
                () = tokio::time::sleep(Duration::from_millis(300)) => {
                    // One line for each package that Go did not have from an earlier build.
                    let done = fs::read_to_string(&stderr).map_or(0, |log| log.lines().count() as u64);
                    self.progress.count(done.min(total), total, "packages");
                }
            }
        };
        if ended.code != 0 {
            bail!("{package} cannot be built ({ended}): {}", self.log("compile"));
        }
        Ok(())
    }

    async fn keep_files(&self, out: &Path) -> anyhow::Result<()> {
        for (module, folder, names) in &self.recipe.files {
            let (ended, text) = self.query("module", &["list", "-m", "-f", "{{.Dir}}", module]).await?;
            if ended.code != 0 || text.trim().is_empty() {
                bail!("cannot find the sources of {module}: {}", self.log("module"));
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

    /// Runs `go` to its end and gives its output.
    async fn query(&self, name: &str, args: &[&str]) -> anyhow::Result<(Ended, String)> {
        let output = self.folder.join(format!("{name}.out"));
        // The same question may be asked twice.
        let _ = fs::remove_file(&output);
        let go = Supervised::spawn(&self.go(name).args(args.iter().copied()), |_| {})?;
        let ended = go.wait().await;
        Ok((ended, fs::read_to_string(&output).unwrap_or_default()))
    }

    fn go(&self, name: &str) -> Launch {
        let streams = Streams::Files {
            stdout: self.folder.join(format!("{name}.out")),
            stderr: self.folder.join(format!("{name}.log")),
        };
        Launch::new("go", streams)
            .folder(self.folder.join("source"))
            .grace(GRACE)
            .scratch(self.folder)
            .env("CGO_ENABLED", "0")
            .env("GOFLAGS", "-mod=readonly")
            .env("GOWORK", "off")
            .env("GOTMPDIR", self.folder.join("tmp"))
    }

    fn log(&self, name: &str) -> String {
        log::tail(&self.folder.join(format!("{name}.log")), 12)
    }
}

/// Whether `version`, as `go1.26.8`, is older than `needed`, as `1.26.0`. An unreadable one is not.
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
    fn compares_versions_by_number() {
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
