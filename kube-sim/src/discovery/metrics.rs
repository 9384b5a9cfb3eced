//! The metrics of the server in the text format of Prometheus, with the names and labels of an API server.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::shared_state::Inner;

/// The text of `/metrics`.
pub(super) fn text(inner: &Inner) -> String {
    let mut text = String::new();
    write_metric_header(
        &mut text,
        "apiserver_request_total",
        "counter",
        "[STABLE] Requests by verb, resource, scope and HTTP status.",
    );
    for (labels, count) in inner.counters.snapshot() {
        let component = if labels.resource.is_empty() { "" } else { "apiserver" };
        let dry_run = if labels.dry_run { "All" } else { "" };
        // Writing to a string is infallible.
        let _ = writeln!(
            text,
            "apiserver_request_total{{code=\"{}\",component=\"{component}\",dry_run=\"{dry_run}\",group=\"{}\",resource=\"{}\",scope=\"{}\",subresource=\"{}\",verb=\"{}\",version=\"{}\"}} {count}",
            labels.code,
            labels.group,
            labels.resource,
            labels.scope,
            labels.subresource,
            labels.verb,
            labels.version,
        );
    }
    let state = inner.lock();
    write_metric_header(
        &mut text,
        "apiserver_resource_objects",
        "gauge",
        "[ALPHA] Stored objects by resource.",
    );
    let mut resources = BTreeMap::new();
    for resource in state.registry.all_resources().filter(|resource| resource.is_stored()) {
        let count = state.table(&resource.storage).map_or(0, |table| table.objects("").len());
        let (group, plural) = resource.storage.split_once('/').unwrap_or_default();
        resources.insert((group.to_owned(), plural.to_owned()), count);
    }
    for ((group, resource), count) in resources {
        let _ =
            writeln!(text, "apiserver_resource_objects{{group=\"{group}\",resource=\"{resource}\"}} {count}");
    }
    write_metric_header(&mut text, "apiserver_registered_watchers", "gauge", "[ALPHA] Open watches.");
    let _ = writeln!(text, "apiserver_registered_watchers {}", state.watcher_count());
    write_metric_header(&mut text, "kubernetes_build_info", "gauge", "[BETA] The version of the server.");
    let _ = writeln!(
        text,
        "kubernetes_build_info{{git_version=\"{}\",major=\"1\",minor=\"{}\"}} 1",
        super::RELEASE,
        super::MINOR_VERSION
    );
    text
}

/// Writes the help and the type of a metric.
fn write_metric_header(text: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
}
