//! The suites: behaviour that every API server must have. Each file holds the cases of one topic.

mod auth;
mod conflict;
mod controller;
mod crd;
mod cuts;
mod derived;
mod discovery;
mod disruption;
mod events;
mod examples;
mod finalizers;
mod gone;
mod objects;
mod paging;
mod patch;
mod refusals;
mod restore;
mod schemas;
mod select;
mod streams;
mod verbs;
mod wait;
mod watch;
mod watch_list;
mod widget;
mod workloads;

use super::case::Suite;

/// All suites, in the order of `--list`.
pub(super) const ALL: &[Suite] = &[
    verbs::SUITE,
    patch::SUITE,
    select::SUITE,
    paging::SUITE,
    watch::SUITE,
    watch_list::SUITE,
    gone::SUITE,
    conflict::SUITE,
    finalizers::SUITE,
    crd::SUITE,
    derived::SUITE,
    discovery::SUITE,
    schemas::SUITE,
    objects::SUITE,
    refusals::SUITE,
    streams::SUITE,
    cuts::SUITE,
    controller::SUITE,
    wait::SUITE,
    events::SUITE,
    auth::SUITE,
    workloads::SUITE,
    disruption::SUITE,
    restore::SUITE,
    examples::SUITE,
];
