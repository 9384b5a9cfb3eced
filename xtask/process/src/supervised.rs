//! The handle to a program that runs under a supervisor (see [`super`]). Owns starting, signalling and ending it; what
//! the program is for is its caller's business.

use std::fmt;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};
use tokio::sync::watch;

use super::launch::Launch;

/// How long a supervisor may take to end beyond the grace it gives its program before it is killed itself.
const SUPERVISOR_GRACE: Duration = Duration::from_secs(10);

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// Its exit code; 128 and the signal's number where a signal ended it.
    pub code: u8,
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.code {
            code @ 129..=192 => write!(f, "killed by signal {}", code - 128),
            code => write!(f, "exit code {code}"),
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum State {
    Starting,
    Running(Pid),
    Ended(Ended),
}

#[derive(Debug)]
struct Shared {
    /// The supervisor's id for as long as it names the supervisor: it is reaped under this lock.
    supervisor: Mutex<Option<Pid>>,
    state: watch::Sender<State>,
    /// Whether someone asked for the end.
    wanted: Mutex<bool>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing that holds these locks can leave them in a broken state.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

type OnDeath = Box<dyn FnOnce(Ended) + Send>;

/// A program that runs under a supervisor. Dropping it ends the program, with all that it has started, and waits until
/// it is gone (at most its grace and ten seconds).
#[derive(Debug)]
pub struct Supervised {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    grace: Duration,
}

impl Supervised {
    /// Starts the program. Blocks for the few milliseconds that this takes, so that there is no moment in which a
    /// cancelled caller could leave a process behind.
    ///
    /// `on_death` is called, on a thread of its own, when the program ends without having been asked to through this
    /// handle.
    ///
    /// # Errors
    /// When the supervisor cannot be started. A program that cannot be run ends with code 126 or 127 and says so on
    /// its stderr.
    pub fn spawn(launch: &Launch, on_death: impl FnOnce(Ended) + Send + 'static) -> anyhow::Result<Self> {
        let command = launch.command()?;
        let shared = Arc::new(Shared {
            supervisor: Mutex::new(None),
            state: watch::Sender::new(State::Starting),
            wanted: Mutex::new(false),
        });
        let (started, starting) = mpsc::channel();
        // The supervisor dies with the thread that starts it, so this thread lives for as long as it does.
        let thread = std::thread::Builder::new().name("supervised".to_owned()).spawn({
            let shared = shared.clone();
            move || attend(command, &shared, &started, Box::new(on_death))
        });
        let thread = thread.context("cannot start a thread")?;
        match starting.recv() {
            Ok(Ok(())) => Ok(Self { shared, thread: Some(thread), grace: launch.grace_period() }),
            Ok(Err(error)) => {
                Err(anyhow!(error).context(format!("cannot start a supervisor for {}", launch.name())))
            }
            Err(mpsc::RecvError) => Err(anyhow!("the thread that starts a supervisor has gone")),
        }
    }

    /// Waits until the program has ended.
    ///
    /// # Cancel safety
    /// Cancelling changes nothing.
    pub async fn wait(&self) -> Ended {
        let mut state = self.shared.state.subscribe();
        loop {
            if let State::Ended(ended) = *state.borrow_and_update() {
                return ended;
            }
            if state.changed().await.is_err() {
                // Unreachable while `self` holds the sender; ending is the safe answer.
                return Ended { code: 1 };
            }
        }
    }

    /// How the program has ended, if it has.
    pub fn ended(&self) -> Option<Ended> {
        match *self.shared.state.borrow() {
            State::Ended(ended) => Some(ended),
            _ => None,
        }
    }

    /// Sends a signal to the program and its process group: to pause it, say. Not its end: see [`Self::kill`].
    ///
    /// # Errors
    /// When the program has ended, or writes to the terminal rather than to files (then its id is not known).
    ///
    /// # Cancel safety
    /// Either the signal is sent or it is not.
    pub async fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let mut state = self.shared.state.subscribe();
        let state = state.wait_for(|state| !matches!(state, State::Starting)).await.map(|state| *state);
        match state {
            Ok(State::Running(pid)) => {
                rustix::process::kill_process_group(pid, signal).context("cannot send a signal")
            }
            _ => Err(anyhow!("it is not running")),
        }
    }

    /// Asks the program to end (SIGTERM), and kills it after its grace. Returns at once; see [`Self::wait`].
    pub fn end(&self) {
        self.shared.end(Signal::TERM);
    }

    /// Kills the program as a crash would, and waits until it is gone.
    ///
    /// # Errors
    /// When it has ended already.
    ///
    /// # Cancel safety
    /// The program may or may not have been killed.
    pub async fn kill(&self) -> anyhow::Result<Ended> {
        *lock(&self.shared.wanted) = true;
        self.signal(Signal::KILL).await?;
        Ok(self.wait().await)
    }

    /// Asks the program to end by SIGTERM, with as much time as `patience`, and kills it after that.
    ///
    /// # Errors
    /// When it has ended already.
    ///
    /// # Cancel safety
    /// The program was asked to end, and may go on for as long as this handle lives.
    pub async fn terminate(&self, patience: Duration) -> anyhow::Result<Ended> {
        *lock(&self.shared.wanted) = true;
        self.signal(Signal::TERM).await?;
        match tokio::time::timeout(patience, self.wait()).await {
            Ok(ended) => Ok(ended),
            Err(_) => self.kill().await,
        }
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        self.end();
        let Some(thread) = self.thread.take() else { return };
        let deadline = Instant::now() + self.grace + SUPERVISOR_GRACE;
        while !thread.is_finished() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        if !thread.is_finished() {
            self.shared.end(Signal::KILL);
        }
    }
}

impl Shared {
    fn end(&self, signal: Signal) {
        *lock(&self.wanted) = true;
        if let Some(pid) = *lock(&self.supervisor) {
            // Nobody else reaps it, and we only under this lock: the id is still its own.
            let _ = rustix::process::kill_process(pid, signal);
        }
    }
}

/// Starts the supervisor, learns the program's id, and waits for the end.
fn attend(
    mut command: Command,
    shared: &Shared,
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
    let ended = reap(child, pid, shared);
    let wanted = *lock(&shared.wanted);
    shared.state.send_replace(State::Ended(ended));
    if !wanted {
        on_death(ended);
    }
}

fn read_program_id(child: &mut Child) -> Option<Pid> {
    // One short line, or the end of the file where the program could not be started.
    let mut line = String::new();
    BufReader::new(child.stdout.take()?.take(32)).read_line(&mut line).ok()?;
    Pid::from_raw(line.trim().parse().ok()?)
}

fn reap(mut child: Child, pid: Pid, shared: &Shared) -> Ended {
    // Waits without reaping, so that the id cannot come to name another process before it is forgotten.
    let exited = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
    while matches!(rustix::process::waitid(WaitId::Pid(pid), exited), Err(rustix::io::Errno::INTR)) {}
    let mut supervisor = lock(&shared.supervisor);
    *supervisor = None;
    let code = child.wait().ok().and_then(|status| status.code()).and_then(|code| u8::try_from(code).ok());
    Ended { code: code.unwrap_or(128 + 9) }
}
