//! The strategies of the group `batch`.

mod cron_job;
mod job;

use super::Strategy;
use super::deletion::DeletionStrategy;

/// The common defaults of the strategies of jobs and cron jobs. The strategy of cron jobs sets another
/// `deletion`.
const BATCH_DEFAULT: Strategy = Strategy {
    group: "batch",
    has_generation: true,
    status_reset_fields: &["spec"],
    deletion: DeletionStrategy::ORPHANS_BY_DEFAULT,
    ..Strategy::DEFAULT
};

pub(super) static STRATEGIES: [Strategy; 2] = [cron_job::STRATEGY, job::STRATEGY];
