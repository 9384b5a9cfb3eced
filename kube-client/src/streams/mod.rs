//! Streams over a WebSocket: processes in containers, forwarded ports, and files.
//!
//! `socket` owns the WebSocket and its keepalive; `inbound` and `outbound` are the bounded buffers between the
//! connection and the program; `process` and `forward` interpret the messages. Nothing that a server sends may exhaust
//! the memory, and no task outlives the value that owns it.

mod archive;
mod copy;
mod forward;
mod inbound;
mod kubelet;
mod outbound;
mod process;
mod socket;
#[cfg(test)]
mod tests;

pub use archive::Copied;
pub(crate) use copy::{receive_archive, send_archive, split_path};
#[cfg(any(test, fuzzing))]
pub(crate) use forward::decode_frames;
pub(crate) use forward::offered_protocols;
pub use forward::{ForwardedStream, Portforwarder};
pub use inbound::ProcessOutput;
pub use outbound::ProcessInput;
#[cfg(any(test, fuzzing))]
pub(crate) use process::stdout_of;
pub use process::{AttachedProcess, TerminalSize, TerminalSizeSender};
