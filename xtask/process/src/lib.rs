//! Processes that never outlive us, and folders that never stay behind.
//!
//! Everything a task starts runs under a supervisor: a second process of this very binary (`__supervise`) that starts
//! the program, tells its process id, and kills it with all its descendants as soon as it is asked to, or as soon as
//! the process that started the supervisor is gone, also by `kill -9`. The program itself is started through a third,
//! short-lived form (`__exec`) that makes the kernel kill it should the supervisor be killed the hard way.
//!
//! Folders are [`Scratch`] folders: locked while anyone uses them, removed by the last one to leave, and swept by the
//! next run should even that have failed.

pub mod cargo;
pub mod exec;
pub mod foreground;
pub mod interrupt;
pub mod launch;
pub mod log;
pub mod logging;
pub mod progress;
pub mod scratch;
pub mod supervise;
pub mod supervised;

pub use foreground::Foreground;
pub use interrupt::{Interrupt, Interrupts};
pub use launch::{Launch, Streams};
pub use scratch::Scratch;
pub use supervised::{Ended, Supervised};
