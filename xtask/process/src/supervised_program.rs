//! The handle of a program that runs under a supervisor (see [`super`]): starts, signals and ends the program. This
//! module must work with any program.

use std::fmt;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};
use tokio::sync::watch;

use super::launch::LaunchOptions;

/// The time for which a dropped handle waits for the end of the supervisor, after the program's grace period.
/// If the supervisor still runs at the end of this time, the handle kills the supervisor (SIGKILL).
const SUPERVISOR_GRACE: Duration = Duration::from_secs(10);

/// The exit status of a program that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProgramExit {
    /// The exit code; 128 plus the signal's number if a signal ended the program.
    pub code: u8,
}

impl fmt::Display for ProgramExit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.code {
            code @ 129..=192 => write!(f, "killed by signal {}", code - 128),
            code => write!(f, "exit code {code}"),
        }
    }
}

/// The state of the supervised program.
#[derive(Debug, Clone, Copy)]
enum State {
    Starting,
    Running(Pid),
    Ended(ProgramExit),
}

/// The state that the handle shares with the thread that runs the supervisor.
#[derive(Debug)]
struct SharedState {
    /// The supervisor's process id; `None` before its start and after its end. The supervisor is reaped under this
    /// lock, so that the id cannot be reused while a signal is sent.
    supervisor: Mutex<Option<Pid>>,
    state: watch::Sender<State>,
    /// Whether the handle has requested the end of the program.
    end_requested: Mutex<bool>,
}

/// Locks a mutex, even if a thread panicked while it held the lock.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // In this module, each write to a locked value is a single assignment. Therefore a panic cannot leave the
    // value half-written.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The callback for the end of the program. It is called only if the handle did not request the end.
type OnDeath = Box<dyn FnOnce(ProgramExit) + Send>;

/// A program that runs under a supervisor. Dropping this handle ends the program and its descendants, and blocks until
/// they have ended (at most the grace period and ten seconds).
#[derive(Debug)]
pub struct SupervisedProgram {
    shared: Arc<SharedState>,
    thread: Option<JoinHandle<()>>,
    grace: Duration,
}

impl SupervisedProgram {
    /// Starts the program, and blocks for a few milliseconds. This function is not async, because a cancelled future could
    /// leave a process running.
    ///
    /// Calls `on_death` on another thread if the program ends and this handle did not request the end.
    ///
    /// # Errors
    /// When the supervisor cannot be started. If the program cannot be executed, its stderr has the error and its
    /// exit code is 126 or 127.
    pub fn spawn(
        launch: &LaunchOptions,
        on_death: impl FnOnce(ProgramExit) + Send + 'static,
    ) -> anyhow::Result<Self> {
        let command = launch.supervisor_command()?;
        let shared = Arc::new(SharedState {
            supervisor: Mutex::new(None),
            state: watch::Sender::new(State::Starting),
            end_requested: Mutex::new(false),
        });
        let (started, starting) = mpsc::channel();
        // The supervisor's parent death signal is bound to the thread that starts the supervisor. Therefore a new thread
        // starts the supervisor, and lives as long as the supervisor.
        let thread = std::thread::Builder::new().name("supervised".to_owned()).spawn({
            let shared = shared.clone();
            move || run_supervisor(command, &shared, &started, Box::new(on_death))
        });
        let thread = thread.context("cannot start a thread")?;
        match starting.recv() {
            Ok(Ok(())) => Ok(Self { shared, thread: Some(thread), grace: launch.grace_period() }),
            Ok(Err(error)) => {
                Err(anyhow!(error).context(format!("cannot start a supervisor for {}", launch.name())))
            }
            Err(mpsc::RecvError) => Err(anyhow!("the thread that starts a supervisor has ended")),
        }
    }

    /// Waits until the program has ended.
    ///
    /// # Cancel safety
    /// Cancelling changes nothing.
    pub async fn wait(&self) -> ProgramExit {
        let mut state = self.shared.state.subscribe();
        loop {
            if let State::Ended(ended) = *state.borrow_and_update() {
                return ended;
            }
            if state.changed().await.is_err() {
                // Unreachable while `self` holds the sender.
                return ProgramExit { code: 1 };
            }
        }
    }

    /// The exit status of the program; `None` while the program runs.
    pub fn exit_if_ended(&self) -> Option<ProgramExit> {
        match *self.shared.state.borrow() {
            State::Ended(ended) => Some(ended),
            _ => None,
        }
    }

    /// Sends a signal, such as SIGSTOP, to the program and its process group. If the signal ends the program, the callback
    /// `on_death` of [`Self::spawn`] is called. [`Self::kill`] ends the program and does not call `on_death`.
    ///
    /// # Errors
    /// When the program has ended. Without [`Streams::Files`](super::Streams::Files), the process id of the program is
    /// unknown: this function waits until the program has ended, and then fails.
    ///
    /// # Cancel safety
    /// If the call is cancelled, no signal was sent.
    pub async fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let mut state = self.shared.state.subscribe();
        let state = state.wait_for(|state| !matches!(state, State::Starting)).await.map(|state| *state);
        match state {
            Ok(State::Running(pid)) => {
                rustix::process::kill_process_group(pid, signal).context("cannot send a signal")
            }
            _ => Err(anyhow!("the program is not running")),
        }
    }

    /// Sends SIGTERM to the program, and SIGKILL after its grace period. Returns immediately; see [`Self::wait`].
    pub fn request_end(&self) {
        self.shared.signal_supervisor(Signal::TERM);
    }

    /// Kills the program (SIGKILL), as in a crash, and waits for its end.
    ///
    /// # Errors
    /// When [`Self::signal`] fails.
    ///
    /// # Cancel safety
    /// The program may or may not have been killed.
    pub async fn kill(&self) -> anyhow::Result<ProgramExit> {
        *lock(&self.shared.end_requested) = true;
        self.signal(Signal::KILL).await?;
        Ok(self.wait().await)
    }

    /// Sends SIGTERM to the program, and SIGKILL if it has not ended after `limit`.
    ///
    /// # Errors
    /// When [`Self::signal`] fails.
    ///
    /// # Cancel safety
    /// SIGTERM may have been sent; the program may continue until this handle is dropped.
    pub async fn terminate(&self, limit: Duration) -> anyhow::Result<ProgramExit> {
        *lock(&self.shared.end_requested) = true;
        self.signal(Signal::TERM).await?;
        match tokio::time::timeout(limit, self.wait()).await {
            Ok(ended) => Ok(ended),
            Err(_) => self.kill().await,
        }
    }
}

impl Drop for SupervisedProgram {
    fn drop(&mut self) {
        self.request_end();
        let Some(thread) = self.thread.take() else { return };
        let deadline = Instant::now() + self.grace + SUPERVISOR_GRACE;
        while !thread.is_finished() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        if !thread.is_finished() {
            self.shared.signal_supervisor(Signal::KILL);
        }
    }
}

impl SharedState {
    /// Records that the end is requested, and sends a signal to the supervisor.
    fn signal_supervisor(&self, signal: Signal) {
        *lock(&self.end_requested) = true;
        if let Some(pid) = *lock(&self.supervisor) {
            // The supervisor is reaped only under this lock: the id cannot belong to a new process.
            let _ = rustix::process::kill_process(pid, signal);
        }
    }
}

/// Starts the supervisor, reads the program's id, and waits for the end of the supervisor. Calls `on_death` if the handle
/// did not request the end.
fn run_supervisor(
    mut command: Command,
    shared: &SharedState,
    started: &mpsc::Sender<std::io::Result<()>>,
    on_death: OnDeath,
) {
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => return drop(started.send(Err(error))),
    };
    let pid = Pid::from_child(&child);
    *lock(&shared.supervisor) = Some(pid);
    let _ = started.send(Ok(()));
    if let Some(program) = read_program_id(&mut child) {
        shared.state.send_replace(State::Running(program));
    }
    let ended = reap_supervisor(child, pid, shared);
    let end_requested = *lock(&shared.end_requested);
    shared.state.send_replace(State::Ended(ended));
    if !end_requested {
        on_death(ended);
    }
}

/// Reads the program's process id, which the supervisor writes to its stdout.
fn read_program_id(child: &mut Child) -> Option<Pid> {
    // The supervisor writes one short line, or nothing if it cannot start the program.
    let mut line = String::new();
    BufReader::new(child.stdout.take()?.take(32)).read_line(&mut line).ok()?;
    Pid::from_raw(line.trim().parse().ok()?)
}

/// Waits for the end of the supervisor, reaps the supervisor, and returns the exit status of the program.
fn reap_supervisor(mut child: Child, pid: Pid, shared: &SharedState) -> ProgramExit {
    // Waits without reaping, so that the kernel cannot reuse the id before this function clears `supervisor`.
    let exited = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
    while matches!(rustix::process::waitid(WaitId::Pid(pid), exited), Err(rustix::io::Errno::INTR)) {}
    let mut supervisor = lock(&shared.supervisor);
    *supervisor = None;
    let code = child.wait().ok().and_then(|status| status.code()).and_then(|code| u8::try_from(code).ok());
    ProgramExit { code: code.unwrap_or(128 + 9) }
}
