//! Tests of kube-runtime, most of them on the simulated server. They form one program, because each test program takes
//! seconds to link. Tests that install a metrics recorder or a tracing subscriber, or that measure real time, are
//! programs of their own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by a panic")]

mod bad_input;
mod common;
mod compact_stores;
mod controller;
mod controller_parts;
mod deletions;
mod events;
mod filters;
mod filters_before_decoding;
mod finalizer;
mod gates;
mod invalid_server_data;
mod keys_of_deleted_objects;
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
mod merged_stores;
mod panics;
mod priorities;
mod random_failures;
mod reconcile_outcomes;
mod reflector_and_informer;
mod reflector_polls;
mod related_objects;
mod relist;
mod replicas;
mod reproducible_runs;
mod restored_storage;
mod script;
mod shared_informers;
mod snapshots;
mod store_modifiers;
mod sync_timeout;
mod wait;
mod watch_timeouts;
mod watcher;
