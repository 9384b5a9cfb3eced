//! `LaunchOptions`: the options of a supervised program. This module creates the command line of the supervisor, and
//! starts no process.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Context;

use super::supervise::{SUBCOMMAND, this_binary};

/// The stdin, stdout and stderr of a program, and its process group.
#[derive(Debug, Clone)]
pub enum Streams {
    /// No stdin, and a new process group. Stdout and stderr are appended to files. One file may receive
    /// both outputs.
    Files {
        /// The file for stdout.
        stdout: PathBuf,
        /// The file for stderr and the supervisor's errors.
        stderr: PathBuf,
    },
    /// The streams and the process group of this process: the program can read from the terminal, and receives Ctrl-C.
    Terminal,
    /// The streams of this process, and a new process group.
    Inherited,
}

/// The options of a supervised program.
#[derive(Debug, Clone)]
pub struct LaunchOptions {
    program: PathBuf,
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    env_removed: Vec<OsString>,
    folder: Option<PathBuf>,
    streams: Streams,
    grace: Duration,
    scratch: Option<PathBuf>,
    supervisor: Option<PathBuf>,
}

impl LaunchOptions {
    /// Options to run `program` without a grace period: dropping the [`SupervisedProgram`](super::SupervisedProgram)
    /// handle kills the program immediately.
    pub fn new(program: impl Into<PathBuf>, streams: Streams) -> Self {
        Self {
            program: program.into(),
            args: Vec::new(),
            env: Vec::new(),
            env_removed: Vec::new(),
            folder: None,
            streams,
            grace: Duration::ZERO,
            scratch: None,
            supervisor: None,
        }
    }

    /// Appends to the arguments of the program.
    #[must_use]
    pub fn args<A: Into<OsString>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Sets an environment variable of the program. The program also inherits the variables of this process, except the
    /// variables that [`env_remove`](Self::env_remove) removes.
    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Removes the variables `names` from the environment that the program inherits.
    #[must_use]
    pub fn env_remove(mut self, names: impl IntoIterator<Item = OsString>) -> Self {
        self.env_removed.extend(names);
        self
    }

    /// Sets the working directory. The default is the working directory of this process.
    #[must_use]
    pub fn folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = Some(folder.into());
        self
    }

    /// Sets the grace period between SIGTERM and SIGKILL.
    #[must_use]
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Sets the [`Scratch`](super::Scratch) folder of the program. The supervisor locks the folder, and removes
    /// the folder if this process is killed.
    #[must_use]
    pub fn scratch(mut self, folder: impl Into<PathBuf>) -> Self {
        self.scratch = Some(folder.into());
        self
    }

    /// Sets the binary of the supervisor. The default is the binary of this process. The default works only
    /// if the `main` of this binary calls [`main`](super::main). A test, for example, must set another
    /// binary.
    #[must_use]
    pub fn supervisor(mut self, binary: impl Into<PathBuf>) -> Self {
        self.supervisor = Some(binary.into());
        self
    }

    /// The command that starts the supervisor.
    pub(super) fn supervisor_command(&self) -> anyhow::Result<Command> {
        let binary = match &self.supervisor {
            // A relative path would be resolved in the program's working directory.
            Some(binary) => std::path::absolute(binary).context("cannot find the supervisor")?,
            None => this_binary().context("cannot find this binary")?,
        };
        let mut command = Command::new(binary);
        command.arg(SUBCOMMAND).args(["--parent", &std::process::id().to_string()]);
        command.args(["--grace", &self.grace.as_millis().to_string()]);
        match &self.streams {
            Streams::Files { stdout, stderr } => {
                command.arg("--report").arg("--stdout").arg(stdout).arg("--stderr").arg(stderr);
                let log = std::fs::OpenOptions::new().create(true).append(true).open(stderr);
                let log = log.with_context(|| format!("cannot write {}", stderr.display()))?;
                command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
            }
            Streams::Terminal => {
                command.arg("--foreground");
            }
            Streams::Inherited => {}
        }
        if !matches!(self.streams, Streams::Terminal) {
            // Ctrl-C on the terminal must not reach the supervisor: this process decides when the program ends.
            command.process_group(0);
        }
        if let Some(scratch) = &self.scratch {
            command.arg("--scratch").arg(scratch);
        }
        if let Some(folder) = &self.folder {
            command.current_dir(folder);
        }
        command.arg("--").arg(&self.program).args(&self.args);
        for name in &self.env_removed {
            command.env_remove(name);
        }
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        Ok(command)
    }

    /// The time between SIGTERM and SIGKILL.
    pub(super) fn grace_period(&self) -> Duration {
        self.grace
    }

    /// The file name of the program, for messages.
    pub fn name(&self) -> String {
        self.program.file_name().unwrap_or(self.program.as_os_str()).to_string_lossy().into_owned()
    }
}
