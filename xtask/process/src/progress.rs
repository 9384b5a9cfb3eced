//! Progress output of a task: a spinner or bar on a terminal, plain lines elsewhere. Writes to stderr only, because
//! stdout belongs to the COMMAND of `cargo xtask TASK -- COMMAND`.

use std::io::IsTerminal;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// The minimum time from a line with a step or a count to the next line with a count.
const LINE_INTERVAL: Duration = Duration::from_secs(30);

/// The progress output of a task. Dropping this value clears the terminal's line.
#[derive(Debug)]
pub struct Progress {
    output: Output,
}

/// The form in which progress is shown.
#[derive(Debug)]
enum Output {
    Silent,
    Terminal(ProgressBar),
    /// Plain lines. `last` has the last printed step, and the time of the last line with a step or a count.
    Lines {
        last: Mutex<(String, Instant)>,
    },
}

impl Progress {
    /// A progress output with a spinner or bar if stderr is a terminal, else with lines.
    pub fn new() -> Self {
        if !std::io::stderr().is_terminal() {
            return Self { output: Output::Lines { last: Mutex::new((String::new(), Instant::now())) } };
        }
        let bar = ProgressBar::new_spinner();
        bar.set_style(spinner_style());
        bar.enable_steady_tick(Duration::from_millis(120));
        Self { output: Output::Terminal(bar) }
    }

    /// A progress output that shows nothing.
    pub fn silent() -> Self {
        Self { output: Output::Silent }
    }

    /// Begins a step, and shows its description.
    pub fn step(&self, text: &str) {
        match &self.output {
            Output::Silent => {}
            Output::Terminal(bar) => {
                bar.unset_length();
                bar.set_style(spinner_style());
                bar.set_message(text.to_owned());
            }
            Output::Lines { last } => {
                let mut last = last.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                if last.0 != text {
                    eprintln!("{text}");
                    *last = (text.to_owned(), Instant::now());
                }
            }
        }
    }

    /// Shows the progress of the current step: `done` of at most `total`, counted in `unit`.
    pub fn show_count(&self, done: u64, total: u64, unit: &str) {
        match &self.output {
            Output::Silent => {}
            Output::Terminal(bar) => {
                if bar.length() != Some(total) {
                    bar.set_style(counter_style(unit));
                    bar.set_length(total);
                }
                bar.set_position(done);
            }
            Output::Lines { last } => {
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
        match &self.output {
            Output::Silent => {}
            Output::Terminal(bar) => bar.suspend(|| eprintln!("{text}")),
            Output::Lines { .. } => eprintln!("{text}"),
        }
    }

    /// Clears the terminal's line.
    pub fn finish(&self) {
        if let Output::Terminal(bar) = &self.output {
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

/// The style of a step without a count.
fn spinner_style() -> ProgressStyle {
    parse_style("{spinner} {msg} ({elapsed})")
}

/// The style of a step with a count. `unit` is the unit of the count, such as `packages`.
fn counter_style(unit: &str) -> ProgressStyle {
    parse_style(&format!("{{spinner}} {{msg}} {{wide_bar}} {{pos}}/{{len}} {unit} ({{elapsed}})"))
}

/// Parses a template of indicatif.
fn parse_style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}
