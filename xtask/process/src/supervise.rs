//! The `__supervise` form of this binary: runs one program, and ends it with all its descendants when told to by
//! SIGTERM or when the process that asked for it is gone. It knows nothing of what the program does.

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

use super::exec::{self, die_with_parent};
use super::scratch::Share;

/// How often the parent is looked for where the kernel does not tell of its end.
const PARENT_CHECK: Duration = Duration::from_millis(200);

/// The first argument that asks for this form.
pub(crate) const FORM: &str = "__supervise";

/// What `__supervise` takes; made by [`super::Launch`].
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The process whose end ends the program.
    #[arg(long)]
    parent: u32,
    /// How long the program may take to end by itself once it was asked to, in milliseconds.
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
    /// A scratch folder to keep from being swept, and to remove if nobody else is left to.
    #[arg(long)]
    scratch: Option<PathBuf>,
    /// The program and its arguments.
    #[arg(required = true, last = true)]
    command: Vec<OsString>,
}

/// Runs the program to its end, and gives its exit code (128 and the signal's number where a signal ended it).
///
/// # Errors
/// When the program cannot be started or watched.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let share = args.scratch.as_deref().map(Share::join).transpose()?;
    let outcome = runtime.block_on(supervise(args));
    reap_descendants();
    let Outcome { status, orphaned } = outcome?;
    if let (Some(share), true) = (share, orphaned) {
        share.leave();
    }
    let code = status.and_then(|status| status.code().or_else(|| Some(128 + status.signal()?))).unwrap_or(1);
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)))
}

struct Outcome {
    /// How the program ended, if it was started.
    status: Option<ExitStatus>,
    /// Whether the process that asked for the program is gone.
    orphaned: bool,
}

async fn supervise(args: &Args) -> anyhow::Result<Outcome> {
    let mut term = signal(SignalKind::terminate())?;
    // The terminal sends these to the program as well; what they mean for us is the parent's decision.
    let _int = signal(SignalKind::interrupt())?;
    let _hangup = signal(SignalKind::hangup())?;
    let mut parent = Parent::watch(args.parent)?;
    #[cfg(target_os = "linux")]
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    if parent.has_changed() {
        return Ok(Outcome { status: None, orphaned: true });
    }
    let mut child = spawn(args)?;
    let pid =
        child.id().and_then(|id| Pid::from_raw(id.cast_signed())).context("the program has no process id")?;
    if args.report {
        let mut stdout = std::io::stdout();
        // Nobody may be listening any more; the watch over the parent finds that out.
        let _ = writeln!(stdout, "{}", pid.as_raw_pid()).and_then(|()| stdout.flush());
    }
    let (mut status, mut orphaned) = tokio::select! {
        status = child.wait() => (Some(status?), false),
        _ = term.recv() => (None, false),
        () = parent.gone() => (None, true),
    };
    if status.is_none() && !orphaned {
        send(pid, Signal::TERM, args.foreground);
        // A paused program would not notice.
        send(pid, Signal::CONT, args.foreground);
        (status, orphaned) = tokio::select! {
            status = child.wait() => (Some(status?), false),
            () = tokio::time::sleep(Duration::from_millis(args.grace)) => (None, false),
            () = parent.gone() => (None, true),
        };
    }
    // Also when the program is gone: others of its group may be left.
    if status.is_none() || !args.foreground {
        send(pid, Signal::KILL, args.foreground);
    }
    let status = match status {
        Some(status) => status,
        None => child.wait().await?,
    };
    Ok(Outcome { status: Some(status), orphaned: orphaned || parent.has_changed() })
}

/// The process that asked for the program.
struct Parent {
    id: u32,
    /// Sent by the kernel when the parent's thread ends that started us, which lives for as long as it wants us. At
    /// that moment others of its threads may still be dying, so that the parent's id alone would not tell yet.
    thread_ended: tokio::signal::unix::Signal,
}

impl Parent {
    fn watch(id: u32) -> anyhow::Result<Self> {
        let thread_ended = signal(SignalKind::user_defined1())?;
        die_with_parent(Signal::USR1)?;
        Ok(Self { id, thread_ended })
    }

    fn has_changed(&self) -> bool {
        std::os::unix::process::parent_id() != self.id
    }

    async fn gone(&mut self) {
        while !self.has_changed() {
            tokio::select! {
                _ = self.thread_ended.recv() => return,
                () = tokio::time::sleep(PARENT_CHECK) => {}
            }
        }
    }
}

fn spawn(args: &Args) -> anyhow::Result<Child> {
    let us = this_binary().context("cannot find this binary")?;
    let mut command = Command::new(us);
    command.arg(exec::FORM).arg("--parent").arg(std::process::id().to_string()).arg("--").args(&args.command);
    if let Some(path) = &args.stdout {
        command.stdout(append(path)?);
    }
    if let Some(path) = &args.stderr {
        command.stderr(append(path)?);
    }
    if !args.foreground {
        command.process_group(0);
    }
    command.spawn().context("cannot start a process")
}

/// The path of this binary in a form that works also after it was built anew.
pub(crate) fn this_binary() -> std::io::Result<PathBuf> {
    let own = Path::new("/proc/self/exe");
    if own.exists() { Ok(own.to_owned()) } else { std::env::current_exe() }
}

fn append(path: &Path) -> anyhow::Result<Stdio> {
    let file = OpenOptions::new().create(true).append(true).open(path);
    Ok(file.with_context(|| format!("cannot write {}", path.display()))?.into())
}

fn send(pid: Pid, signal: Signal, single: bool) {
    // It fails when there is nobody left to get it, which is what we are after.
    let _ = if single {
        rustix::process::kill_process(pid, signal)
    } else {
        rustix::process::kill_process_group(pid, signal)
    };
}

/// Kills and collects what the program has started and left, wherever it moved to: as the "subreaper" we have become
/// the parent of all of it. Only Linux has this; elsewhere killing the process group has to do.
fn reap_descendants() {
    #[cfg(target_os = "linux")]
    for _ in 0..1000 {
        let children = children_of_this_process();
        for pid in &children {
            send(*pid, Signal::KILL, true);
            let _ = rustix::process::waitpid(Some(*pid), rustix::process::WaitOptions::empty());
        }
        if children.is_empty() {
            return;
        }
    }
}

#[cfg(target_os = "linux")]
fn children_of_this_process() -> Vec<Pid> {
    let us = std::process::id();
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok())
        .filter(|pid| {
            std::fs::read_to_string(format!("/proc/{pid}/stat"))
                .is_ok_and(|stat| parent_in_stat(&stat) == Some(us))
        })
        .filter_map(Pid::from_raw)
        .collect()
}

/// The parent's id in the text of a `/proc/PID/stat` file: the second field after the name, which is in parentheses and
/// may hold anything.
#[cfg(target_os = "linux")]
fn parent_in_stat(stat: &str) -> Option<u32> {
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    #[cfg(target_os = "linux")]
    #[test]
    fn finds_the_parent_behind_an_odd_name() {
        assert_eq!(super::parent_in_stat("12 (a) b (c)) S 34 12 12 0"), Some(34));
        assert_eq!(super::parent_in_stat("12 (a"), None);
        let own = std::fs::read_to_string("/proc/self/stat").unwrap();
        assert_eq!(super::parent_in_stat(&own), Some(std::os::unix::process::parent_id()));
    }
}
