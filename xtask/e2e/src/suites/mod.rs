//! The suites. Each case must pass on every API server that has the capabilities which the case needs. Each file or folder
//! with a constant `SUITE` contains the cases of one topic. The other files are helpers.

mod access;
mod actions;
mod admission_plugins;
mod admission_policies;
mod auth;
mod built_in_controllers;
mod cel;
mod churn;
mod closed_connections;
mod conflict;
mod connections;
mod controller;
mod copies;
mod crd;
mod derived_schemas;
mod discovery;
mod disruption;
mod events;
mod example_commands;
mod examples;
mod expired_versions;
mod fencing;
mod finalizers;
mod formats;
mod kubelet;
mod languages;
mod logs;
mod mutating_policies;
mod object_types;
mod paging;
mod patch;
mod ports;
mod processes;
mod restore;
mod rollouts;
mod rotation;
mod running_example;
mod running_pod;
mod runtime_webhooks;
mod schemas;
mod selectors;
mod streams;
mod testdata;
mod validation;
mod verbs;
mod wait;
mod watch;
mod watch_list;
mod webhooks;
mod widget;
mod workloads;

use super::case::Suite;

/// All suites, in the order of `--list`.
pub(super) const ALL: &[Suite] = &[
    verbs::SUITE,
    actions::SUITE,
    patch::SUITE,
    selectors::SUITE,
    paging::SUITE,
    watch::SUITE,
    watch_list::SUITE,
    expired_versions::SUITE,
    conflict::SUITE,
    finalizers::SUITE,
    crd::SUITE,
    derived_schemas::SUITE,
    discovery::SUITE,
    schemas::SUITE,
    cel::SUITE,
    object_types::SUITE,
    formats::SUITE,
    testdata::SUITE,
    validation::SUITE,
    runtime_webhooks::SUITE,
    streams::SUITE,
    closed_connections::SUITE,
    connections::SUITE,
    controller::SUITE,
    churn::SUITE,
    wait::SUITE,
    events::SUITE,
    auth::SUITE,
    webhooks::SUITE,
    access::SUITE,
    admission_plugins::SUITE,
    admission_policies::SUITE,
    mutating_policies::SUITE,
    languages::SUITE,
    rotation::SUITE,
    workloads::SUITE,
    rollouts::SUITE,
    built_in_controllers::SUITE,
    processes::SUITE,
    logs::SUITE,
    ports::SUITE,
    copies::SUITE,
    kubelet::SUITE,
    disruption::SUITE,
    restore::SUITE,
    fencing::SUITE,
    examples::SUITE,
    example_commands::SUITE,
];
