//! What a person sees while a task prepares: a spinner or bar on a terminal, plain lines elsewhere. All of it goes to
//! stderr, so that stdout belongs to the command that is run.

use std::io::IsTerminal;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// How often a count is told where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(30);

/// Tells of progress; quiet again once it is dropped.
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
    /// On the terminal if stderr is one, else as lines.
    pub fn new() -> Self {
        if !std::io::stderr().is_terminal() {
            return Self { kind: Kind::Lines { last: Mutex::new((String::new(), Instant::now())) } };
        }
        let bar = ProgressBar::new_spinner();
        bar.set_style(spinner());
        bar.enable_steady_tick(Duration::from_millis(120));
        Self { kind: Kind::Terminal(bar) }
    }

    /// Says nothing.
    pub fn silent() -> Self {
        Self { kind: Kind::Silent }
    }

    /// What is being done now.
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

    /// How far the present step is: `done` of at most `total`, counted in `unit`.
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
                if last.1.elapsed() >= LINE_EVERY {
                    eprintln!("{}: {done} of {total} {unit}", last.0);
                    last.1 = Instant::now();
                }
            }
        }
    }

    /// A line that stays.
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
