//! `Summary`: the totals that the demo prints at its end.

use std::fmt;
use std::time::Duration;

use kube_sim::Sim;

use super::agreement::count_pages;
use super::snapshot::Snapshot;
use super::tally::Tally;

/// The values that the summary shows.
pub(super) struct Summary<'a> {
    pub(super) elapsed: Duration,
    pub(super) sim: &'a Sim,
    pub(super) tally: &'a Tally,
    pub(super) snapshot: &'a Snapshot,
    pub(super) agreement: &'a anyhow::Result<()>,
}

impl fmt::Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tally, snapshot, .. } = self;
        writeln!(f, "summary of {:.1} s", self.elapsed.as_secs_f32())?;
        writeln!(
            f,
            "  objects     {} pods, {} nodes, {} sites, {} pages",
            snapshot.pod_count(),
            snapshot.nodes,
            snapshot.sites,
            count_pages(self.sim)
        )?;
        writeln!(
            f,
            "  events      {} of nodes ({} added, {} modified, {} deleted), {} changes of pods in the cache",
            tally.node_event_count(),
            tally.nodes_added.get(),
            tally.nodes_modified.get(),
            tally.nodes_deleted.get(),
            snapshot.pod_changes
        )?;
        writeln!(f, "  nodes       {} broke, {} healed", tally.nodes_broken.get(), tally.nodes_healed.get())?;
        writeln!(
            f,
            "  reconciles  {} ({} failed) after {} edits: {} pages written, {} deleted",
            tally.reconciles.get(),
            tally.failures.get(),
            tally.edits.get(),
            tally.pages_written.get(),
            tally.pages_deleted.get()
        )?;
        writeln!(
            f,
            "  operator    {} deployments scaled, {} nodes drained, {} pods moved",
            tally.rollouts.get(),
            tally.drained_nodes.get(),
            tally.moved_pods.get()
        )?;
        writeln!(
            f,
            "  server      {} requests, resource version {}, {} watch errors",
            self.sim.journal().total(),
            self.sim.resource_version(),
            tally.watch_errors.get()
        )?;
        match self.agreement {
            Ok(()) => writeln!(f, "  in the end  every cache equals the server's state"),
            Err(error) => writeln!(f, "  in the end  {error}"),
        }
    }
}
