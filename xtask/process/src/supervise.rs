//! The subcommand `__supervise` of this binary: runs one program, and ends it and all its descendants on SIGTERM or
//! when the parent process ends. This module must work with any program.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::Context;
use rustix::process::{Pid, Signal};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};

use super::exec::{self, set_parent_death_signal};
use super::scratch::SharedLock;

/// The interval at which the supervisor polls the id of its parent. Linux also sends a signal when the parent ends.
const PARENT_POLL_INTERVAL: Duration = Duration::from_millis(200);

/// The subcommand with which this binary acts as the supervisor. It is the first command line argument.
pub(crate) const SUBCOMMAND: &str = "__supervise";

/// The arguments of `__supervise`, which [`super::LaunchOptions`] creates.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The id of the parent process. The supervisor ends the program when the parent ends.
    #[arg(long)]
    parent: u32,
    /// The time between SIGTERM and SIGKILL, in milliseconds.
    #[arg(long)]
    grace: u64,
    /// Keep the program in this process group, so that it may read from the terminal.
    #[arg(long)]
    foreground: bool,
    /// Write the program's process id to stdout.
    #[arg(long)]
    report: bool,
    /// Append the program's stdout to this file.
    #[arg(long)]
    stdout: Option<PathBuf>,
    /// Append the program's stderr to this file.
    #[arg(long)]
    stderr: Option<PathBuf>,
    /// A scratch folder to lock, and to remove if the parent was killed.
    #[arg(long)]
    scratch: Option<PathBuf>,
    /// The program and its arguments.
    #[arg(required = true, last = true)]
    command: Vec<OsString>,
}

/// Runs the program to its end, and returns its exit code (128 plus the signal's number if a signal ended it).
///
/// # Errors
/// When the scratch folder cannot be locked, a signal handler cannot be installed, or the program cannot be started.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let lock = args.scratch.as_deref().map(SharedLock::acquire).transpose()?;
    let outcome = runtime.block_on(supervise(args));
    reap_descendants();
    let Outcome { status, orphaned } = outcome?;
    if let (Some(lock), true) = (lock, orphaned) {
        lock.release_and_remove();
    }
    let code = status.and_then(|status| status.code().or_else(|| Some(128 + status.signal()?))).unwrap_or(1);
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)))
}

/// The end of the supervised program, as [`supervise`] reports it.
struct Outcome {
    /// `None` if the program was not started.
    status: Option<ExitStatus>,
    /// Whether the parent of the supervisor has ended.
    orphaned: bool,
}

/// Starts the program, and waits until the program ends. Ends the program if SIGTERM arrives or the parent ends.
async fn supervise(args: &Args) -> anyhow::Result<Outcome> {
    let mut term = signal(SignalKind::terminate())?;
    // With `--foreground`, the terminal sends SIGINT and SIGHUP to the program, the parent and the supervisor. With
    // these handlers, the signals do not end the supervisor: it ends after the program or the parent has ended.
    let _int = signal(SignalKind::interrupt())?;
    let _hangup = signal(SignalKind::hangup())?;
    let mut parent = Parent::watch(args.parent)?;
    #[cfg(target_os = "linux")]
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    if parent.has_changed() {
        return Ok(Outcome { status: None, orphaned: true });
    }
    let mut child = spawn_program(args)?;
    let pid =
        child.id().and_then(|id| Pid::from_raw(id.cast_signed())).context("the program has no process id")?;
    if args.report {
        let mut stdout = std::io::stdout();
        // The write fails if the parent has ended. `Parent` detects this end.
        let _ = writeln!(stdout, "{}", pid.as_raw_pid()).and_then(|()| stdout.flush());
    }
    let (mut status, mut orphaned) = tokio::select! {
        status = child.wait() => (Some(status?), false),
        _ = term.recv() => (None, false),
        () = parent.wait_until_ended() => (None, true),
    };
    if status.is_none() && !orphaned {
        send_signal(pid, Signal::TERM, args.foreground);
        // A stopped program does not handle SIGTERM until it continues.
        send_signal(pid, Signal::CONT, args.foreground);
        (status, orphaned) = tokio::select! {
            status = child.wait() => (Some(status?), false),
            () = tokio::time::sleep(Duration::from_millis(args.grace)) => (None, false),
            () = parent.wait_until_ended() => (None, true),
        };
    }
    // Kill the process group even if the program has ended: other processes of the group may still run.
    if status.is_none() || !args.foreground {
        send_signal(pid, Signal::KILL, args.foreground);
    }
    let status = match status {
        Some(status) => status,
        None => child.wait().await?,
    };
    Ok(Outcome { status: Some(status), orphaned: orphaned || parent.has_changed() })
}

/// The process that started this supervisor.
struct Parent {
    id: u32,
    /// Receives the parent death signal. The kernel sends this signal when the thread that started this process ends.
    /// `SupervisedProgram` keeps that thread alive until this process ends. Therefore the signal means that the parent
    /// ends. The signal may arrive before [`has_changed`](Self::has_changed) returns true: other threads of the parent
    /// may still run.
    thread_ended: tokio::signal::unix::Signal,
}

impl Parent {
    /// Starts to observe the parent, whose process id is `id`.
    fn watch(id: u32) -> anyhow::Result<Self> {
        let thread_ended = signal(SignalKind::user_defined1())?;
        set_parent_death_signal(Signal::USR1)?;
        Ok(Self { id, thread_ended })
    }

    /// Whether this process has another parent, because the original parent has ended.
    fn has_changed(&self) -> bool {
        std::os::unix::process::parent_id() != self.id
    }

    /// Waits until the parent has ended.
    async fn wait_until_ended(&mut self) {
        while !self.has_changed() {
            tokio::select! {
                _ = self.thread_ended.recv() => return,
                () = tokio::time::sleep(PARENT_POLL_INTERVAL) => {}
            }
        }
    }
}

/// Starts the program through `__exec`, with the streams and the process group that the arguments select.
fn spawn_program(args: &Args) -> anyhow::Result<Child> {
    let binary = this_binary().context("cannot find this binary")?;
    let mut command = Command::new(binary);
    command
        .arg(exec::SUBCOMMAND)
        .arg("--parent")
        .arg(std::process::id().to_string())
        .arg("--")
        .args(&args.command);
    if let Some(path) = &args.stdout {
        command.stdout(open_to_append(path)?);
    }
    if let Some(path) = &args.stderr {
        command.stderr(open_to_append(path)?);
    }
    if !args.foreground {
        command.process_group(0);
    }
    command.spawn().context("cannot start a process")
}

/// A path of this binary. On Linux, the path stays valid after cargo has replaced the file.
pub(crate) fn this_binary() -> std::io::Result<PathBuf> {
    let own = Path::new("/proc/self/exe");
    if own.exists() { Ok(own.to_owned()) } else { std::env::current_exe() }
}

fn open_to_append(path: &Path) -> anyhow::Result<Stdio> {
    let file = OpenOptions::new().create(true).append(true).open(path);
    Ok(file.with_context(|| format!("cannot write {}", path.display()))?.into())
}

/// Sends a signal to the process `pid` if `single` is true, else to its process group.
fn send_signal(pid: Pid, signal: Signal, single: bool) {
    // Fails only if the process has already ended.
    let _ = if single {
        rustix::process::kill_process(pid, signal)
    } else {
        rustix::process::kill_process_group(pid, signal)
    };
}

/// Kills and reaps the program's descendants, in any process group or session. This process is a child subreaper:
/// orphaned descendants become its children. Only Linux has child subreapers. On other systems this function does nothing,
/// and [`supervise`] kills only the process group.
fn reap_descendants() {
    #[cfg(target_os = "linux")]
    for _ in 0..1000 {
        let children = children_of_this_process();
        for pid in &children {
            send_signal(*pid, Signal::KILL, true);
            let _ = rustix::process::waitpid(Some(*pid), rustix::process::WaitOptions::empty());
        }
        if children.is_empty() {
            return;
        }
    }
}

#[cfg(target_os = "linux")]
fn children_of_this_process() -> Vec<Pid> {
    let own_id = std::process::id();
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok())
        .filter(|pid| {
            std::fs::read_to_string(format!("/proc/{pid}/stat"))
                .is_ok_and(|stat| parent_in_stat(&stat) == Some(own_id))
        })
        .filter_map(Pid::from_raw)
        .collect()
}

/// The parent's id in the text of a `/proc/PID/stat` file: the second field after the name. The name is in
/// parentheses and may contain any character.
#[cfg(target_os = "linux")]
fn parent_in_stat(stat: &str) -> Option<u32> {
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    #[cfg(target_os = "linux")]
    #[test]
    fn the_parent_is_found_if_the_process_name_contains_parentheses() {
        assert_eq!(super::parent_in_stat("12 (a) b (c)) S 34 12 12 0"), Some(34));
        assert_eq!(super::parent_in_stat("12 (a"), None);
        let own = std::fs::read_to_string("/proc/self/stat").unwrap();
        assert_eq!(super::parent_in_stat(&own), Some(std::os::unix::process::parent_id()));
    }
}
