//! Random durations, names and test inputs. All other modules must get their random values from this module, so that a
//! seed reproduces a run.
#![expect(clippy::disallowed_methods, reason = "the one place that calls fastrand")]
#![cfg_attr(test, expect(clippy::disallowed_types, reason = "the one place that names fastrand"))]

use std::time::Duration;

/// Returns `wait` plus a random duration of up to 100 % of `wait`.
pub(crate) fn add_jitter(wait: Duration) -> Duration {
    wait.saturating_add(Duration::try_from_secs_f64(wait.as_secs_f64() * fastrand::f64()).unwrap_or(wait))
}

/// A random duration of up to `limit`.
pub(crate) fn duration_up_to(limit: Duration) -> Duration {
    limit.mul_f64(fastrand::f64())
}

/// Random hexadecimal digits. At the end of a name, the digits distinguish this process from other processes.
pub(crate) fn suffix() -> String {
    format!("{:016x}", fastrand::u64(..))
}

/// Returns `limit` minus a random duration of up to 50 % of `limit`.
pub(crate) fn shorten_randomly(limit: Duration) -> Duration {
    limit.mul_f64(1.0 - fastrand::f64() / 2.0)
}

/// Seeds the random generator of the calling thread.
///
/// With a single-threaded runtime, a paused clock and an in-process server, two runs with the same seed are identical,
/// except for their timestamps. With [`start_time`](crate::start_time()), the timestamps are also identical.
///
/// ```
/// kube_runtime::seed(7);
/// ```
pub fn seed(seed: u64) {
    fastrand::seed(seed);
}

/// The random generator of a model test: a test that compares code with a simple model after random inputs.
#[cfg(test)]
pub(crate) type Rng = fastrand::Rng;

/// Runs a model test once for each seed. The number of seeds is 2,000, or the number that `cargo xtask test --models` sets.
/// A failure prints its seed.
#[cfg(test)]
pub(crate) fn check_model(run: impl Fn(&mut Rng) -> Result<(), String>) {
    let sequences = std::env::var("KUBE_MODEL_SEQUENCES").ok();
    let sequences = sequences.map_or(2_000, |text| text.parse().expect("a number of sequences"));
    for seed in 0..sequences {
        if let Err(problem) = run(&mut Rng::with_seed(seed)) {
            panic!("seed {seed}: {problem}");
        }
    }
}
