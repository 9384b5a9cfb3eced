//! The status page: HTML without scripts, light or dark as the browser prefers. This module performs no IO.

use crate::controller::{Inspection, RunningKey};
use crate::reflector::Overview;
use std::{borrow::Cow, fmt::Write, time::Duration};

/// The maximum number of objects with a running reconcile that the page lists for each controller.
const MAX_LISTED_OBJECTS: usize = 50;

/// The content of the page.
#[derive(Debug)]
pub(super) struct PageContent {
    /// `None` if there is no leader election.
    pub(super) lease: Option<ElectionState>,
    pub(super) caches: Vec<(String, Overview)>,
    /// The name and the answer of each controller; `None` if the controller did not answer.
    pub(super) controllers: Vec<(String, Option<Inspection>)>,
}

/// The state of the leader election.
#[derive(Debug)]
pub(super) struct ElectionState {
    pub(super) name: String,
    pub(super) identity: String,
    pub(super) is_leader: bool,
}

/// The beginning of the page. The colors follow the browser's preference.
const HEAD: &str = r#"<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Manager</title>
<meta name="viewport" content="width=device-width"><meta name="color-scheme" content="light dark">
<meta http-equiv="refresh" content="5">
<style>
:root { --fg: #1b1f24; --bg: #ffffff; --line: #d0d7de; --bad: #b3261e; --ok: #1a7f37; --dim: #59636e }
@media (prefers-color-scheme: dark) {
  :root { --fg: #e6edf3; --bg: #0d1117; --line: #30363d; --bad: #ff7b72; --ok: #3fb950; --dim: #9198a1 }
}
body { font: 15px/1.5 system-ui, sans-serif; color: var(--fg); background: var(--bg); max-width: 70rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid var(--line); overflow-wrap: anywhere }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums }
.bad { color: var(--bad) } .ok { color: var(--ok) } .dim { color: var(--dim) }
</style></head><body>
<h1>Manager</h1>
"#;

/// Renders the page.
pub(super) fn render(content: &PageContent) -> String {
    let mut page = Page(HEAD.to_owned());
    page.add_lease(content.lease.as_ref());
    page.add_caches(&content.caches);
    page.add_controllers(&content.controllers);
    page.0.push_str("</body></html>\n");
    page.0
}

struct Page(String);

impl Page {
    fn add_lease(&mut self, lease: Option<&ElectionState>) {
        self.0.push_str("<h2>Lease</h2>\n");
        match lease {
            None => self.0.push_str("<p class=dim>No leader election.</p>\n"),
            Some(ElectionState { name, identity, is_leader }) => {
                let state = if *is_leader { "<b class=ok>leader</b>" } else { "<b>candidate</b>" };
                self.add_line(&format!("<p>{}: {state}, as {}</p>", escape(name), escape(identity)));
            }
        }
    }

    fn add_caches(&mut self, caches: &[(String, Overview)]) {
        self.add_line("<h2>Caches</h2>\n<table><tr><th>collection<th class=n>objects<th class=n>bytes<th class=n>version<th class=n>last event<th>state</tr>");
        for (name, Overview { is_ready, objects, bytes, version, silent_for }) in caches {
            let state =
                if *is_ready { "<td class=ok>complete" } else { "<td class=bad>first list is not complete" };
            self.add_line(&format!(
                "<tr><td>{}<td class=n>{objects}<td class=n>{}<td class=n>{}<td class=n>{}{state}</tr>",
                escape(name),
                bytes.map_or_else(unknown_text, |bytes| bytes.to_string().into()),
                version.as_deref().map_or_else(unknown_text, |version| escape(version)),
                silent_for.map_or_else(unknown_text, |time| format!("{} ago", format_seconds(time)).into()),
            ));
        }
        self.add_line("</table>");
    }

    fn add_controllers(&mut self, controllers: &[(String, Option<Inspection>)]) {
        self.add_line("<h2>Controllers</h2>");
        for (name, inspection) in controllers {
            self.add_line(&format!("<h3>{}</h3>", escape(name)));
            match inspection {
                None => self.add_line(
                    "<p class=bad>The controller does not answer: it has ended, or its task is blocked.</p>",
                ),
                Some(inspection) => self.add_controller(inspection),
            }
        }
    }

    fn add_controller(&mut self, inspection: &Inspection) {
        let Inspection { ready, delayed, stuck, running, closed_gates } = inspection;
        self.add_line(&format!("<p>Queue: {ready} ready, {delayed} delayed; {} running.</p>", running.len()));
        if !closed_gates.is_empty() {
            self.add_line(&format!("<p>Waiting for: {}.</p>", escape(&closed_gates.join(", "))));
        }
        if let Some(key) = stuck {
            self.add_line(&format!("<p class=bad>Stuck in the queue: {}</p>", escape(key)));
        }
        if running.is_empty() {
            return;
        }
        self.add_line("<table><tr><th>running<th class=n>for at least<th>state</tr>");
        for key in running.iter().take(MAX_LISTED_OBJECTS) {
            self.add_running_key(key);
        }
        self.add_line("</table>");
        if running.len() > MAX_LISTED_OBJECTS {
            self.add_line(&format!("<p class=dim>and {} more</p>", running.len() - MAX_LISTED_OBJECTS));
        }
    }

    fn add_running_key(&mut self, RunningKey { key, elapsed, is_stuck }: &RunningKey) {
        let state = if *is_stuck { "<td class=bad>stuck" } else { "<td>" };
        self.add_line(&format!(
            "<tr><td>{}<td class=n>{}{state}</tr>",
            escape(key),
            format_seconds(*elapsed)
        ));
    }

    fn add_line(&mut self, html: &str) {
        // Writing to a string does not fail.
        let _ = writeln!(self.0, "{html}");
    }
}

/// The text of an unknown value.
fn unknown_text<'a>() -> Cow<'a, str> {
    "–".into()
}

fn format_seconds(duration: Duration) -> String {
    format!("{} s", duration.as_secs())
}

/// Escapes text for HTML, because names come from servers and users.
fn escape(text: &str) -> Cow<'_, str> {
    if !text.contains(['<', '>', '&', '"', '\'']) {
        return text.into();
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        match character {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped.into()
}
