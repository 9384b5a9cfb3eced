//! The metric of leader elections. client-go has the same metric with the same name.

/// Sets the metric that states whether this process holds the lease `name`.
pub(crate) fn set_leader_metric(name: &str, is_leader: bool) {
    #[cfg(feature = "metrics")]
    metrics::gauge!("leader_election_master_status", "name" => name.to_owned()).set(if is_leader {
        1.0
    } else {
        0.0
    });
    #[cfg(not(feature = "metrics"))]
    let _ = (name, is_leader);
}
