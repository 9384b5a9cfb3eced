//! Progress output of a task: a spinner or bar on a terminal, plain lines elsewhere. Writes to stderr only, because
//! stdout belongs to the task's COMMAND.

use std::io::IsTerminal;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// The minimum time between two lines with a count.
const LINE_INTERVAL: Duration = Duration::from_secs(30);

/// Shows progress until it is dropped.
#[derive(Debug)]
pub struct Progress {
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Silent,
    Terminal(ProgressBar),
    Lines { last: Mutex<(String, Instant)> },
}

impl Progress {
    /// Shows a spinner if stderr is a terminal, else lines.
    pub fn new() -> Self {
        if !std::io::stderr().is_terminal() {
            return Self { kind: Kind::Lines { last: Mutex::new((String::new(), Instant::now())) } };
        }
        let bar = ProgressBar::new_spinner();
        bar.set_style(spinner());
        bar.enable_steady_tick(Duration::from_millis(120));
        Self { kind: Kind::Terminal(bar) }
    }

    /// Shows nothing.
    pub fn silent() -> Self {
        Self { kind: Kind::Silent }
    }

    /// Begins a step, and shows its description.
    pub fn step(&self, text: &str) {
        match &self.kind {
            Kind::Silent => {}
            Kind::Terminal(bar) => {
                bar.unset_length();
                bar.set_style(spinner());
                bar.set_message(text.to_owned());
            }
            Kind::Lines { last } => {
                let mut last = last.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                if last.0 != text {
                    eprintln!("{text}");
                    *last = (text.to_owned(), Instant::now());
                }
            }
        }
    }

    /// Shows the progress of the current step: `done` of at most `total`, counted in `unit`.
    pub fn count(&self, done: u64, total: u64, unit: &str) {
        match &self.kind {
            Kind::Silent => {}
            Kind::Terminal(bar) => {
                if bar.length() != Some(total) {
                    bar.set_style(counter(unit));
                    bar.set_length(total);
                }
                bar.set_position(done);
            }
            Kind::Lines { last } => {
                let mut last = last.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                if last.1.elapsed() >= LINE_INTERVAL {
                    eprintln!("{}: {done} of {total} {unit}", last.0);
                    last.1 = Instant::now();
                }
            }
        }
    }

    /// Prints a line that the spinner does not overwrite.
    pub fn note(&self, text: &str) {
        match &self.kind {
            Kind::Silent => {}
            Kind::Terminal(bar) => bar.suspend(|| eprintln!("{text}")),
            Kind::Lines { .. } => eprintln!("{text}"),
        }
    }

    /// Clears the terminal's line.
    pub fn finish(&self) {
        if let Kind::Terminal(bar) = &self.kind {
            bar.finish_and_clear();
        }
    }
}

impl Default for Progress {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.finish();
    }
}

fn spinner() -> ProgressStyle {
    style("{spinner} {msg} ({elapsed})")
}

fn counter(unit: &str) -> ProgressStyle {
    style(&format!("{{spinner}} {{msg}} {{wide_bar}} {{pos}}/{{len}} {unit} ({{elapsed}})"))
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}
