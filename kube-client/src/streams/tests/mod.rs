//! Tests of streams on an in-process server.

mod forward;
mod handshake;
mod process;
mod server;
