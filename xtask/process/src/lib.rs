//! Processes that never outlive us, and folders that never stay behind.
//!
//! Everything a task starts runs under a supervisor. Supervisor and program are two processes besides ours, and each
//! prevents a failure that tests of this package and of `xtask-control-plane` provoke:
//!
//! - The supervisor (`__supervise`) is another process of the same binary. It adopts the program's descendants ("subreaper")
//!   and kills all of them when the program is to end or when the process that started the supervisor has ended. Without
//!   it, `kill -9` of a task leaves a COMMAND's background processes and Go's compilers running, since no code of ours runs
//!   then, and the kernel's parent death signal reaches children only.
//! - The program is started through `__exec`, which sets the parent death signal and becomes the program, so that it is no
//!   further process. Without it, a supervisor that is killed (`pkill -9 xtask`, or by the kernel for want of memory)
//!   leaves etcd and kube-apiserver running. `Command::pre_exec` could do the same in the supervisor, but is unsafe.
//!
//! Both forms are recognized by [`main`], which is therefore the whole `main` function of each binary.
//!
//! Folders are [`Scratch`] folders: locked while anyone uses them, removed by the last one to leave, and swept by the
//! next run should even that have failed.

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
pub mod supervised;
mod task;

pub use foreground::Foreground;
pub use interrupt::{Interrupt, Interrupts};
pub use launch::{Launch, Streams};
pub use scratch::Scratch;
pub use supervised::{Ended, Supervised};
pub use task::main;
