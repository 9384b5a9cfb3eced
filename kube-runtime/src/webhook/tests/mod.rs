//! Tests of the webhook server over TLS.

mod limits;
mod reviews;
mod support;
