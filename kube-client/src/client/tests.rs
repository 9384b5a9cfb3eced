//! Tests of the client with servers in the same process, mostly over TCP connections.

mod bad_input;
mod compose;
mod http2;
mod logs;
mod oidc;
mod pool;
mod proxy;
mod server;
mod sim;
mod stack;
mod tls;
