//! Tests of streams on an in-process server.

mod copy;
mod forward;
mod handshake;
mod process;
mod server;
