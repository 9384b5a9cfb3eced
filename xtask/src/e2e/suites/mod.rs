//! The suites: what holds for every API server. A file holds one topic.

mod conflict;
mod controller;
mod crd;
mod finalizers;
mod gone;
mod objects;
mod paging;
mod patch;
mod select;
mod streams;
mod verbs;
mod watch;
mod watch_list;
mod widget;

use super::case::Suite;

/// All of them.
pub(super) const ALL: &[Suite] = &[
    conflict::SUITE,
    controller::SUITE,
    crd::SUITE,
    finalizers::SUITE,
    gone::SUITE,
    objects::SUITE,
    paging::SUITE,
    patch::SUITE,
    select::SUITE,
    streams::SUITE,
    verbs::SUITE,
    watch::SUITE,
    watch_list::SUITE,
];
