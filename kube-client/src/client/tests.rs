//! The client against real servers on this machine: TLS and its failures, time limits, cancellation.

mod logs;
mod pool;
mod proxy;
mod server;
mod sim;
mod stack;
mod tls;
