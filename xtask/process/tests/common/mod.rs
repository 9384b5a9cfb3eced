//! `Sandbox`: an isolated environment for a program of `cargo xtask`. It consists of a temporary folder,
//! which contains a cache folder. Tests write scripts into the folder: the scripts stand in for Go, etcd and
//! kube-apiserver. An environment variable marks all processes of this environment.

#![expect(dead_code, reason = "no test file uses all of this module")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// The environment variable that marks the processes of a [`Sandbox`].
const MARK: &str = "KUBE_XTASK_TEST_WORLD";
/// The time limit of [`eventually`]. It is long enough for a machine that is busy with other tests.
const LIMIT: Duration = Duration::from_secs(30);

/// An isolated environment in a temporary folder.
pub(crate) struct Sandbox {
    folder: tempfile::TempDir,
}

impl Sandbox {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["tmp", "cache", "bin", "assets"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        Self { folder }
    }

    /// The path of a file or folder below the folder of this environment.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes an executable shell script to the path `name` below the folder of this environment.
    pub(crate) fn write_script(&self, name: &str, text: &str) {
        let path = self.path(name);
        // The kernel refuses to execute a file that is open for writing (ETXTBSY). If this process opened the file, a
        // child process of another test could inherit the descriptor. Therefore a child process writes the file.
        let mut cat = Command::new("sh");
        cat.args(["-c", "cat > \"$0\" && chmod 755 \"$0\""]).arg(&path);
        let mut child = cat.stdin(Stdio::piped()).spawn().unwrap();
        std::io::Write::write_all(
            &mut child.stdin.take().unwrap(),
            format!("#!/bin/sh\n{text}\n").as_bytes(),
        )
        .unwrap();
        assert!(child.wait().unwrap().success());
        assert!(fs::metadata(&path).unwrap().permissions().mode() & 0o100 != 0);
    }

    /// A command that runs [`crate::PROGRAM`] in this environment.
    pub(crate) fn program_command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(crate::PROGRAM);
        command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        self.set_environment(&mut command);
        command
    }

    /// Sets the environment variables of a command, so that it runs in this sandbox.
    pub(crate) fn set_environment(&self, command: &mut Command) {
        let path = format!("{}:/usr/bin:/bin", self.path("bin").display());
        command.env("PATH", path).env("TMPDIR", self.path("tmp")).env("KUBE_XTASK_CACHE", self.path("cache"));
        command.env(MARK, self.mark_value()).env("WORLD", self.folder.path());
    }

    /// The value of [`MARK`], which is different in each environment.
    fn mark_value(&self) -> String {
        self.folder.path().display().to_string()
    }

    /// The variable that marks a process of this environment, and its value.
    pub(crate) fn mark_variable(&self) -> (&'static str, String) {
        (MARK, self.mark_value())
    }

    /// The ids and command lines of the running processes of this environment.
    pub(crate) fn processes(&self) -> Vec<(i32, String)> {
        let mark = format!("{MARK}={}", self.mark_value());
        let ids =
            fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        ids.filter_map(|id: i32| {
            let environment = fs::read(format!("/proc/{id}/environ")).ok()?;
            environment.split(|byte| *byte == 0).find(|entry| *entry == mark.as_bytes())?;
            let line = fs::read(format!("/proc/{id}/cmdline")).ok()?;
            Some((id, String::from_utf8_lossy(&line).replace('\0', " ")))
        })
        .collect()
    }

    /// Waits until the command lines of at least `count` running processes contain `text`. Panics after [`LIMIT`].
    #[track_caller]
    pub(crate) fn wait_for_processes(&self, text: &str, count: usize) {
        let found = || self.processes().iter().filter(|(_, line)| line.contains(text)).count() >= count;
        assert!(eventually(found), "no {count} of {text:?} among {:#?}", self.processes());
    }

    /// Waits until no process of this environment runs and no scratch folder exists. Panics after [`LIMIT`].
    #[track_caller]
    pub(crate) fn wait_until_clean(&self) {
        assert!(eventually(|| self.processes().is_empty()), "left running: {:#?}", self.processes());
        assert!(
            eventually(|| self.scratch_folders().is_empty()),
            "left behind: {:#?}",
            self.scratch_folders()
        );
    }

    /// The existing scratch folders.
    pub(crate) fn scratch_folders(&self) -> Vec<PathBuf> {
        let folders = ["tmp", "cache"].into_iter().flat_map(|name| entries(&self.path(name)));
        folders
            .filter(|path| {
                path.file_name().is_some_and(|name| name.to_string_lossy().contains("kube-xtask-"))
            })
            .collect()
    }
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
}

/// Polls until the condition holds; returns false after [`LIMIT`].
pub(crate) fn eventually(condition: impl Fn() -> bool) -> bool {
    let start = Instant::now();
    while start.elapsed() < LIMIT {
        if condition() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    false
}

/// Sends a signal to a child process.
pub(crate) fn send_signal(child: &Child, signal: rustix::process::Signal) {
    rustix::process::kill_process(rustix::process::Pid::from_child(child), signal).unwrap();
}

/// Waits for the end of a process, and returns its exit code and its stdout followed by stderr.
#[track_caller]
pub(crate) fn wait_for_exit(child: Child) -> (Option<i32>, String) {
    let Output { status, stderr, stdout } = child.wait_with_output().unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    (status.code(), text)
}
