//! Tests of kube-runtime, most of them on the simulated server. They form one program, because each test program takes
//! seconds to link. Tests that install a metrics recorder or a tracing subscriber, or that measure real time, are
//! programs of their own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by a panic")]

mod bad_input;
mod common;
mod compact;
mod controller;
mod deleted;
mod deletions;
mod early;
mod events;
mod filters;
mod finalizer;
mod gates;
mod hostile;
mod leader;
mod malformed_text;
#[cfg(feature = "manager")]
mod manager;
#[cfg(feature = "manager")]
mod manager_access;
#[cfg(feature = "manager")]
mod manager_page;
#[cfg(all(feature = "manager", feature = "webhook"))]
mod manager_webhooks;
mod merged;
mod modify;
mod outcomes;
mod panics;
mod parts;
mod polls;
mod priorities;
mod reflector_and_informer;
mod related;
mod relist;
mod replay;
mod replicas;
mod restored;
mod script;
mod scripted;
mod shared;
mod snapshots;
mod sync;
mod timeouts;
mod wait;
mod watcher;
