//! `View`: displays the demo. If stdout is a terminal, the view prints messages, and redraws rows below the messages. If
//! stdout is not a terminal, the view prints lines.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use kube_sim::Sim;
use tokio::time::Instant;

use super::snapshot::{RUNNING, Snapshot};
use super::tally::Tally;

/// The interval between two lines with the state of the demo, if stdout is not a terminal.
const LINE_INTERVAL: Duration = Duration::from_secs(2);
/// The redraw rate on a terminal.
const REDRAWS_PER_SECOND: u8 = 10;

/// The display of the demo.
pub(super) struct View {
    begin: Instant,
    output: Output,
}

/// The form in which the view displays the state of the demo.
enum Output {
    Terminal(Box<Rows>),
    Lines { next: Instant },
}

/// The rows on a terminal, from top to bottom, and the [`MultiProgress`] that draws them.
struct Rows {
    all: MultiProgress,
    title: ProgressBar,
    pods: ProgressBar,
    nodes: ProgressBar,
    sites: ProgressBar,
    total: ProgressBar,
}

impl View {
    /// Creates a view that redraws rows if stdout is a terminal, and prints lines if it is not. Displays the title.
    pub(super) fn new(title: &str, begin: Instant) -> Self {
        let output = if std::io::stdout().is_terminal() {
            Output::Terminal(Box::new(Rows::new(title)))
        } else {
            println!("{title}");
            Output::Lines { next: begin + LINE_INTERVAL }
        };
        Self { begin, output }
    }

    /// Prints a message with the elapsed time.
    pub(super) fn print_message(&self, line: &str) {
        let line = format!("{:>7.1} s  {line}", self.begin.elapsed().as_secs_f32());
        match &self.output {
            Output::Terminal(rows) => rows.all.suspend(|| println!("{line}")),
            Output::Lines { .. } => println!("{line}"),
        }
    }

    /// Displays the current state. If stdout is not a terminal, does so about once per [`LINE_INTERVAL`].
    pub(super) fn show(&mut self, sim: &Sim, tally: &Tally, snapshot: &Snapshot) {
        let texts = RowTexts::of(sim, tally, snapshot);
        match &mut self.output {
            Output::Terminal(rows) => rows.show(&texts, snapshot),
            Output::Lines { next } if Instant::now() >= *next => {
                *next += LINE_INTERVAL;
                self.print_message(&texts.one_line());
            }
            Output::Lines { .. } => {}
        }
    }

    /// Clears the rows from the terminal.
    pub(super) fn clear_rows(&self) {
        if let Output::Terminal(rows) = &self.output {
            // Clear every bar: an unfinished bar draws again when it is dropped.
            for row in [&rows.title, &rows.pods, &rows.nodes, &rows.sites, &rows.total] {
                row.finish_and_clear();
            }
        }
    }
}

impl Rows {
    fn new(title: &str) -> Self {
        let all = MultiProgress::with_draw_target(ProgressDrawTarget::stdout_with_hz(REDRAWS_PER_SECOND));
        let add = |prefix: &str, template: &str| {
            let bar = all.add(ProgressBar::new(1).with_style(row_style(template)));
            bar.set_prefix(prefix.to_owned());
            bar
        };
        let row = |prefix: &str, colours: &str| {
            add(prefix, &format!("  {{prefix:6.bold}} {{bar:24.{colours}}} {{wide_msg}}"))
        };
        let rows = Self {
            title: add("", "{spinner:.cyan} {msg:.bold}  {elapsed:.dim}"),
            pods: row("pods", "green/black.bright"),
            nodes: row("nodes", "green/red"),
            sites: row("sites", "cyan/yellow"),
            total: add("", "  {wide_msg:.dim}"),
            all,
        };
        rows.title.set_message(title.to_owned());
        rows
    }

    fn show(&self, texts: &RowTexts, snapshot: &Snapshot) {
        let set = |bar: &ProgressBar, done: usize, total: usize, text: &str| {
            bar.set_length(u64::try_from(total.max(1)).unwrap_or(1));
            bar.set_position(u64::try_from(done).unwrap_or(0));
            bar.set_message(text.to_owned());
        };
        let done = usize::try_from(snapshot.pages_done.min(snapshot.pages_wanted)).unwrap_or(0);
        let wanted = usize::try_from(snapshot.pages_wanted).unwrap_or(0);
        set(&self.pods, snapshot.running_pod_count(), snapshot.pod_count(), &texts.pods);
        set(&self.nodes, snapshot.nodes - snapshot.broken.len(), snapshot.nodes, &texts.nodes);
        set(&self.sites, done, wanted, &texts.sites);
        self.total.set_message(texts.total.clone());
        self.title.tick();
        self.total.tick();
    }
}

/// The style of a row, from a template of indicatif.
fn row_style(template: &str) -> ProgressStyle {
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    style.progress_chars("━━━")
}

struct RowTexts {
    pods: String,
    nodes: String,
    sites: String,
    total: String,
}

impl RowTexts {
    /// The texts for the current state.
    fn of(sim: &Sim, tally: &Tally, snapshot: &Snapshot) -> Self {
        let mut states = vec![format!("{} {RUNNING}", snapshot.running_pod_count())];
        states.extend(
            snapshot
                .pods
                .iter()
                .filter(|(state, _)| **state != RUNNING)
                .map(|(state, n)| format!("{n} {state}")),
        );
        let broken = match snapshot.broken.as_slice() {
            [] => "all ready".to_owned(),
            names => format!("broken: {}", names.join(", ")),
        };
        Self {
            pods: format!("{}: {}", snapshot.pod_count(), states.join(", ")),
            nodes: format!("{}: {broken}", snapshot.nodes),
            sites: format!(
                "{}: {} of {} pages, {} reconciles, {} failed",
                snapshot.sites,
                snapshot.pages_done,
                snapshot.pages_wanted,
                tally.reconciles.get(),
                tally.failures.get()
            ),
            total: format!(
                "{} changes of pods, {} events of nodes, {} requests, resource version {}",
                snapshot.pod_changes,
                tally.node_event_count(),
                sim.journal().total(),
                sim.resource_version()
            ),
        }
    }

    /// The texts of pods, nodes and sites in one line.
    fn one_line(&self) -> String {
        format!("[pods {} | nodes {} | sites {}]", self.pods, self.nodes, self.sites)
    }
}
