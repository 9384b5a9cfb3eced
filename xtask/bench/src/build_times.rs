//! The shared code of the rows that measure build times. It builds this project and kube alternately, selects the median
//! build of each, and compares the ratio of the two times with a target.

use std::time::Duration;

use anyhow::Context;
use serde_json::Value;

use super::contender::Contender;
use xtask_process::progress::Progress;

/// The result of all builds.
#[derive(Debug)]
pub(super) struct Outcome {
    /// The printed table.
    pub(super) text: String,
    /// The results as JSON.
    pub(super) json: Value,
    /// The number of targets that are met.
    pub(super) met: usize,
}

/// The results of this project's builds, and the results of kube's builds.
pub(super) type BuildResults<B> = (Vec<B>, Vec<B>);

/// Runs `build` for this project and for kube alternately, `rounds` times each. `name` is the name of the build in the
/// progress output.
///
/// # Errors
/// The first error of `build`.
///
/// # Cancel safety
/// As cancel safe as `build`.
pub(super) async fn build_alternately<B>(
    name: &str,
    rounds: usize,
    progress: &Progress,
    build: impl AsyncFn(Contender) -> anyhow::Result<B>,
) -> anyhow::Result<BuildResults<B>> {
    let (mut ours, mut kube) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        for (contender, builds) in [(Contender::Ours, &mut ours), (Contender::Kube, &mut kube)] {
            progress.step(&format!("{name}: {contender}, round {} of {rounds}", round + 1));
            builds.push(build(contender).await?);
        }
    }
    Ok((ours, kube))
}

/// The build with the median time.
///
/// # Errors
/// If there are no builds.
pub(super) fn median<B: Copy>(builds: &[B], time: impl Fn(&B) -> Duration) -> anyhow::Result<B> {
    let mut sorted = builds.to_vec();
    sorted.sort_by_key(time);
    sorted.get(sorted.len() / 2).copied().context("no rounds")
}

/// The ratio of this project's time to kube's, and whether it is at most the target.
#[derive(Debug, Clone, Copy)]
pub(super) struct Comparison {
    pub(super) ratio: f64,
    pub(super) is_met: bool,
}

impl Comparison {
    pub(super) fn new(ours: Duration, kube: Duration, target: f64) -> Self {
        let ratio = ours.as_secs_f64() / kube.as_secs_f64();
        Self { ratio, is_met: ratio <= target }
    }

    /// The ratio and the verdict, as a cell of the table.
    pub(super) fn cell(self) -> String {
        format!("{:.2}, {}", self.ratio, if self.is_met { "met" } else { "MISSED" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_up_to_the_target_meets_the_target() {
        let compare = |ours| Comparison::new(Duration::from_secs(ours), Duration::from_secs(100), 0.8).cell();
        assert_eq!((compare(80).as_str(), compare(81).as_str()), ("0.80, met", "0.81, MISSED"));
    }

    #[test]
    fn the_median_is_the_middle_build() {
        let seconds = |n: &u64| Duration::from_secs(*n);
        assert_eq!(median(&[9, 1, 5], seconds).unwrap(), 5);
        assert!(median(&[], seconds).is_err());
    }
}
