//! Child processes that never outlive this process, and temporary folders that are always removed.
//!
//! A task starts each program under a supervisor. The subcommands `__supervise` and `__exec` each handle one
//! case in which processes would keep running. Tests of this package and of `xtask-control-plane` reproduce
//! both cases:
//!
//! - The supervisor (`__supervise`) is another process of the same binary. It adopts the program's descendants (as a
//!   "child subreaper"). It kills all of them when it receives SIGTERM or when the process that started it has ended.
//!   Without the supervisor, `kill -9` of `cargo xtask TASK -- COMMAND` leaves the background processes of COMMAND and the
//!   compilers of Go running: a killed process cannot clean up, and the kernel sends the parent death signal to children
//!   only, not to their descendants.
//! - The supervisor starts the program through `__exec`, which sets the parent death signal and replaces itself with
//!   the program. Without `__exec`, etcd and kube-apiserver keep running if the supervisor is killed (`pkill -9 xtask`, or
//!   the kernel's OOM killer). `Command::pre_exec` could set the signal without `__exec`, but is `unsafe`.
//!
//! [`main`] runs both subcommands. Therefore the `main` function of each binary must only call [`main`].
//!
//! Temporary folders are [`Scratch`] folders: the process that creates a folder removes it. If that process is killed,
//! the last of its supervisors removes the folder. If the supervisors are also killed, the next run removes the folder.

pub mod cargo;
mod exec;
pub mod foreground;
pub mod interrupt;
pub mod launch;
pub mod log;
pub mod logging;
pub mod progress;
pub mod scratch;
mod supervise;
pub mod supervised_program;
mod task;

pub use foreground::ForegroundCommand;
pub use interrupt::{Interrupt, Interrupts};
pub use launch::{LaunchOptions, Streams};
pub use scratch::Scratch;
pub use supervised_program::{ProgramExit, SupervisedProgram};
pub use task::main;
