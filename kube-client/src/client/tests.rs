//! Tests of the client with in-process servers over real connections: TLS errors, time limits, cancellation.

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
