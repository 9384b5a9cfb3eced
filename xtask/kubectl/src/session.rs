//! `Session`: runs a script on one server with one kubectl.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;
use regex::Regex;
use xtask_control_plane::build::Kubectl;
use xtask_process::cargo::variables_from_cargo;
use xtask_process::{LaunchOptions, Streams, SupervisedProgram};

use crate::mask;
use crate::script::{Script, Step};
use crate::server::Server;

/// The time limit of a command.
const TIME_LIMIT: Duration = Duration::from_secs(60);

/// The time after which a command with `until` is no longer repeated.
const RETRY_LIMIT: Duration = Duration::from_secs(15);

/// The exit code of a command that exceeds [`TIME_LIMIT`]. The program `timeout` returns the same code.
const TIMEOUT_EXIT_CODE: u8 = 124;

/// The interval between two attempts of a command with `until`.
const RETRY_INTERVAL: Duration = Duration::from_millis(300);

/// The run of a script on a server.
#[derive(Debug)]
pub(crate) struct Session<'a> {
    script: &'a Script,
    kubectl: &'a Kubectl,
    server: &'a Server,
    namespace: String,
    /// The home folder of the commands. The commands run in its subfolder `work`.
    folder: PathBuf,
}

/// The masked result of a command.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Observation {
    pub(crate) code: u8,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl<'a> Session<'a> {
    /// Creates the folder of the session below `parent`, with the files of the script and a kubeconfig.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub(crate) fn create(
        script: &'a Script,
        kubectl: &'a Kubectl,
        server: &'a Server,
        parent: &Path,
    ) -> anyhow::Result<Self> {
        let namespace = format!("{}-{}", script.name, kubectl.version.replace('.', ""));
        let folder = parent.join(format!("{}-{namespace}", server.name()));
        let work = folder.join("work");
        std::fs::create_dir_all(&work).with_context(|| format!("cannot create {}", work.display()))?;
        for (name, text) in &script.files {
            let path = work.join(name);
            std::fs::create_dir_all(path.parent().unwrap_or(&work))?;
            std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        }
        std::fs::write(folder.join("kubeconfig"), server.kubeconfig())
            .context("cannot write a kubeconfig")?;
        Ok(Self { script, kubectl, server, namespace, folder })
    }

    /// Creates the namespace, runs the steps of the script, runs the cleanup commands of the script, and starts the
    /// deletion of the namespace. Returns one observation for each step, including each step whose command fails. If
    /// `print` is true, prints each step and its outputs.
    ///
    /// # Errors
    /// When a process cannot be started, the namespace cannot be created, or the pattern of an `until` is invalid. An
    /// error skips the cleanup and the deletion of the namespace.
    pub(crate) async fn run(&self, print: bool) -> anyhow::Result<Vec<Observation>> {
        let namespace = &self.namespace;
        let before = format!(
            "kubectl config set-context --current --namespace={namespace} && kubectl create namespace {namespace} && \
             until kubectl get serviceaccount/default configmap/kube-root-ca.crt; do sleep 0.1; done"
        );
        let (code, _, stderr) = self.execute(&before).await?;
        anyhow::ensure!(
            code == 0,
            "cannot create the namespace {namespace} on {}: {stderr}",
            self.server.name()
        );
        let mut observations = Vec::new();
        for step in &self.script.steps {
            let observation = self.observe_step(step).await?;
            if print {
                let Observation { code, stdout, stderr } = &observation;
                println!("$ {}\n{stdout}{stderr}[exit code {code}]", step.run);
            }
            observations.push(observation);
        }
        for command in &self.script.cleanup {
            self.execute(command).await?;
        }
        self.execute(&format!("kubectl delete namespace {namespace} --wait=false")).await?;
        Ok(observations)
    }

    /// Runs a step, repeatedly if it has `until`, and masks its outputs. On the real server, a step with `simulated`
    /// does not run, and its observation is empty.
    async fn observe_step(&self, step: &Step) -> anyhow::Result<Observation> {
        if step.simulated.is_some() && matches!(self.server, Server::Real { .. }) {
            return Ok(Observation::default());
        }
        let until = step.until.as_deref().map(Regex::new).transpose()?;
        let begin = Instant::now();
        let (code, stdout, stderr) = loop {
            let outcome = self.execute(&step.run).await?;
            let done = until.as_ref().is_none_or(|pattern| pattern.is_match(&outcome.1));
            if done || begin.elapsed() > RETRY_LIMIT {
                break outcome;
            }
            tokio::time::sleep(RETRY_INTERVAL).await;
        };
        let [stdout, stderr] = [stdout, stderr].map(|text| self.mask(&text, step));
        Ok(Observation { code, stdout, stderr })
    }

    /// Removes the ignored lines from an output of a step, masks the other lines, and sorts these lines if
    /// `step.any_order` is true.
    fn mask(&self, text: &str, step: &Step) -> String {
        let text = text.replace(&*self.folder.to_string_lossy(), "(folder)");
        // No pattern is skipped: `Script::parse` has already rejected invalid patterns.
        let ignored: Vec<_> = step.ignore.iter().filter_map(|pattern| Regex::new(pattern).ok()).collect();
        let compared = |line: &&str| !ignored.iter().any(|pattern| pattern.is_match(line));
        let text: String = text.split_inclusive('\n').filter(compared).collect();
        let mut text = mask::mask_text(&text, &step.mask);
        if step.any_order {
            let mut lines: Vec<_> = text.lines().collect();
            lines.sort_unstable();
            text = lines.join("\n");
        }
        text
    }

    /// Runs a shell command, and returns its exit code, standard output and standard error.
    async fn execute(&self, command: &str) -> anyhow::Result<(u8, String, String)> {
        let [stdout, stderr] = ["stdout", "stderr"].map(|name| self.folder.join(name));
        for file in [&stdout, &stderr] {
            // The supervisor appends to the file: remove the output of the previous command.
            let _ = std::fs::remove_file(file);
        }
        let inherited = std::env::var_os("PATH").unwrap_or_default();
        let folders = std::iter::once(self.kubectl.folder.clone()).chain(std::env::split_paths(&inherited));
        let streams = Streams::Files { stdout: stdout.clone(), stderr: stderr.clone() };
        let launch = LaunchOptions::new("sh", streams)
            .args(["-c", command])
            .folder(self.folder.join("work"))
            .env("HOME", &self.folder)
            .env("KUBECONFIG", self.folder.join("kubeconfig"))
            .env("PATH", std::env::join_paths(folders).context("a folder of the PATH has a colon")?)
            .env("NAMESPACE", &self.namespace)
            .env("TZ", "UTC")
            .env_remove(["KUBE_EDITOR".into(), "EDITOR".into(), "KUBECTL_EXTERNAL_DIFF".into()])
            .env_remove(variables_from_cargo());
        let process = SupervisedProgram::spawn(&launch, |_| {})?;
        let code = match tokio::time::timeout(TIME_LIMIT, process.wait()).await {
            Ok(ended) => ended.code,
            Err(_) => TIMEOUT_EXIT_CODE,
        };
        // The command may have left processes in the background. The drop blocks until it has ended these processes.
        tokio::task::spawn_blocking(move || drop(process)).await.context("cannot end a process")?;
        let read =
            |path: &Path| String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned();
        Ok((code, read(&stdout), read(&stderr)))
    }
}
