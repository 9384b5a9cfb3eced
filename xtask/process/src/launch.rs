//! What to run, and how: the command line of a supervisor. Starts nothing.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Context;

use super::supervise::{FORM, this_binary};

/// Where a program's input comes from and its output goes.
#[derive(Debug, Clone)]
pub enum Streams {
    /// No input; the output goes to files. Both may be the same file.
    Files {
        /// Where stdout is appended.
        stdout: PathBuf,
        /// Where stderr is appended, the supervisor's own troubles included.
        stderr: PathBuf,
    },
    /// Ours, in our process group, as a command in a shell has them: Ctrl-C reaches it as well.
    Terminal,
    /// Ours, but in a process group of its own.
    Inherited,
}

/// What to run, and how.
#[derive(Debug, Clone)]
pub struct Launch {
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

impl Launch {
    /// Runs `program` with no grace: it is killed as soon as it is no longer wanted.
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

    /// Adds arguments.
    #[must_use]
    pub fn args<A: Into<OsString>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Sets an environment variable on top of ours.
    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Takes these variables out of the environment that it gets from us.
    #[must_use]
    pub fn env_remove(mut self, names: impl IntoIterator<Item = OsString>) -> Self {
        self.env_removed.extend(names);
        self
    }

    /// Runs it in this folder instead of ours.
    #[must_use]
    pub fn folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = Some(folder.into());
        self
    }

    /// How long it may take to end after SIGTERM before it is killed.
    #[must_use]
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// The [`Scratch`](super::Scratch) folder that it uses: not swept while it runs, and removed with it should we be
    /// killed.
    #[must_use]
    pub fn scratch(mut self, folder: impl Into<PathBuf>) -> Self {
        self.scratch = Some(folder.into());
        self
    }

    /// The binary to supervise with where the `main` of this process is not [`main`](super::main), as in a test.
    #[must_use]
    pub fn supervisor(mut self, binary: impl Into<PathBuf>) -> Self {
        self.supervisor = Some(binary.into());
        self
    }

    /// The supervisor to start.
    pub(super) fn command(&self) -> anyhow::Result<Command> {
        let us = match &self.supervisor {
            // It may be started in another folder.
            Some(binary) => std::path::absolute(binary).context("cannot find the supervisor")?,
            None => this_binary().context("cannot find this binary")?,
        };
        let mut command = Command::new(us);
        command.arg(FORM).args(["--parent", &std::process::id().to_string()]);
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
            // Out of the way of the terminal's Ctrl-C: when to end is our decision.
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

    pub(super) fn grace_period(&self) -> Duration {
        self.grace
    }

    /// The program's name without its folder, for messages.
    pub fn name(&self) -> String {
        self.program.file_name().unwrap_or(self.program.as_os_str()).to_string_lossy().into_owned()
    }
}
