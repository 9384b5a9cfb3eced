//! The watch caches of the API servers on one store. A cache can lag behind the store, by a time or by a number of
//! versions.
//!
//! A cache contains no objects, only a version of the store. A read of the cache gets the objects of this version from the
//! history of the store. After a restore of the store to an earlier version, no cache has a later version.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::State;
use super::table::CompactedError;
use super::view::View;

/// How far the watch cache of an API server lags behind the store. See [`Sim::replica`](crate::Sim::replica).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Lag {
    /// The cache has no lag.
    #[default]
    None,
    /// The cache gets each change with this delay, measured on tokio's clock.
    Time(Duration),
    /// The cache lacks the latest changes of the store. The value is the maximum number of changes that the cache lacks.
    Versions(u64),
}

/// The maximum of `Lag::Time`.
const MAX_LAG: Duration = Duration::from_secs(365 * 24 * 3600);

impl Lag {
    /// Limits a time to [`MAX_LAG`], because the sum of an instant and a longer time can overflow.
    fn with_limited_time(self) -> Self {
        match self {
            Self::Time(time) => Self::Time(time.min(MAX_LAG)),
            other => other,
        }
    }
}

/// The arrival of a request at an API server. The arrival determines the state that the request reads.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Arrival {
    /// The API server that received the request.
    pub(crate) server: usize,
    /// The version that the store had when the request arrived.
    pub(crate) version: u64,
    /// Whether a read waits until the watch cache is fresh enough. If this is false, a list without a resource version
    /// is read from the store instead of a stale cache.
    pub(crate) waits: bool,
}

/// The watch cache of one API server.
#[derive(Debug, Default)]
struct Cache {
    lag: Lag,
    /// The highest version that the cache has reached. Reads do not update this field while the cache has no lag.
    reached: u64,
    /// The version of the store when the API server last started. New watches at an older version get 410.
    watched_since: u64,
    /// The API server has ended all its watches whose id is smaller than this id.
    first_open_watch_id: u64,
}

/// The caches of all API servers, and the times of the changes that a cache may lack.
#[derive(Debug)]
pub(super) struct Caches {
    /// The caches by the number of the API server. Cache 0 is that of `Sim` itself, which has no lag.
    servers: Vec<Cache>,
    /// The version and the time of each recorded change, oldest first. Changes are recorded only while a
    /// cache has a [`Lag::Time`].
    commits: VecDeque<(u64, Instant)>,
    /// The version of the latest change before those in `commits`.
    before_commits: u64,
}

impl Default for Caches {
    fn default() -> Self {
        Self { servers: vec![Cache::default()], commits: VecDeque::new(), before_commits: 0 }
    }
}

impl Caches {
    /// The longest lag of all caches with [`Lag::Time`]; `None` if there is no such cache.
    fn longest_time_lag(&self) -> Option<Duration> {
        let time = |cache: &Cache| match cache.lag {
            Lag::Time(time) => Some(time),
            _ => None,
        };
        self.servers.iter().filter_map(time).max()
    }

    /// Records a change of the store. Returns true if at least one cache lags by a number of versions. After the
    /// change, such a cache may have a later version than before.
    pub(super) fn record_change(&mut self, version: u64) -> bool {
        match self.longest_time_lag() {
            None => {
                self.commits.clear();
                self.before_commits = version;
            }
            Some(longest) => {
                let now = Instant::now();
                self.commits.push_back((version, now));
                while let Some((oldest, at)) = self.commits.front().copied()
                    && at + longest <= now
                {
                    self.commits.pop_front();
                    self.before_commits = oldest;
                }
            }
        }
        self.servers.iter().any(|cache| matches!(cache.lag, Lag::Versions(_)))
    }

    /// The number of recorded changes that are at least `time` old. A cache with the lag `time` has these changes.
    fn visible_commit_count(&self, time: Duration) -> usize {
        let now = Instant::now();
        self.commits.partition_point(|(_, at)| *at + time <= now)
    }

    /// Resets the caches to an earlier version, to which the store is restored.
    pub(super) fn rewind(&mut self, version: u64) {
        self.commits.retain(|(committed, _)| *committed <= version);
        self.before_commits = self.before_commits.min(version);
        for cache in &mut self.servers {
            cache.reached = cache.reached.min(version);
            cache.watched_since = cache.watched_since.min(version);
        }
    }
}

impl State {
    /// Adds the cache of an API server that starts now. The cache has all changes so far. Returns the number of the API
    /// server.
    pub(crate) fn add_cache(&mut self, lag: Lag) -> usize {
        let version = self.version();
        let id = self.caches.servers.len();
        self.caches.servers.push(Cache {
            lag: lag.with_limited_time(),
            reached: version,
            watched_since: version,
            ..Cache::default()
        });
        self.update_for_new_lag();
        id
    }

    /// The number of API servers.
    pub(crate) fn server_count(&self) -> usize {
        self.caches.servers.len()
    }

    /// Changes the lag of a cache.
    pub(crate) fn set_lag(&mut self, id: usize, lag: Lag) {
        self.caches.servers[id].reached = self.cache_version(id);
        self.caches.servers[id].lag = lag.with_limited_time();
        self.update_for_new_lag();
    }

    /// If `commits` is empty, sets `before_commits` to the version of the store. Wakes all watches, because
    /// their timers depend on the lag.
    fn update_for_new_lag(&mut self) {
        if self.caches.commits.is_empty() {
            self.caches.before_commits = self.version();
        }
        self.wake_all_watches();
    }

    pub(crate) fn cache_version(&mut self, id: usize) -> u64 {
        let version = self.version();
        let caches = &self.caches;
        let lagging = match caches.servers[id].lag {
            Lag::None => return version,
            Lag::Versions(changes) => version.saturating_sub(changes),
            Lag::Time(time) => match caches.visible_commit_count(time).checked_sub(1) {
                Some(last) => caches.commits[last].0,
                None => caches.before_commits,
            },
        };
        // A read of the cache undoes the changes after `reached`, so the history must contain all these changes.
        let oldest = self.tables().map(|(_, table)| table.last_dropped_version()).max().unwrap_or(0);
        let cache = &mut self.caches.servers[id];
        cache.reached = cache.reached.max(lagging).max(oldest).min(version);
        cache.reached
    }

    pub(crate) fn cache_view(&mut self, id: usize) -> View<'_> {
        let version = self.cache_version(id);
        self.view().of_cache(version)
    }

    /// The time at which a cache gets its next change; `None` if the cache has all changes, or lags by a number of
    /// versions.
    pub(crate) fn next_cache_change(&self, id: usize) -> Option<Instant> {
        let Lag::Time(time) = self.caches.servers[id].lag else { return None };
        let next = self.caches.visible_commit_count(time);
        self.caches.commits.get(next).map(|(_, at)| *at + time)
    }

    /// Returns an error if `version` is too old for a new watch of an API server (410).
    pub(crate) fn check_watch_start(
        &self,
        id: usize,
        storage: &str,
        version: u64,
    ) -> Result<(), CompactedError> {
        let oldest = self.caches.servers[id].watched_since;
        if version < oldest {
            return Err(CompactedError { oldest });
        }
        self.check_not_too_old(storage, version)
    }

    /// Ends all open watches.
    pub(crate) fn end_watches(&mut self) {
        for id in 0..self.caches.servers.len() {
            self.end_watches_of_server(id);
        }
    }

    fn end_watches_of_server(&mut self, id: usize) {
        self.caches.servers[id].first_open_watch_id = self.last_watch_id + 1;
        self.wake_all_watches();
    }

    /// Whether the API server with the number `cache` has ended its watch with the id `watch_id`.
    pub(crate) fn is_watch_ended(&self, cache: usize, watch_id: u64) -> bool {
        watch_id < self.caches.servers[cache].first_open_watch_id
    }

    /// Restarts all API servers.
    pub(crate) fn restart_servers(&mut self) {
        for id in 0..self.caches.servers.len() {
            self.restart_server(id);
        }
    }

    /// Restarts one API server: ends its watches, and sets the version of its cache to the current version. After that,
    /// new watches cannot start at an earlier version. A list with `resourceVersionMatch=Exact` at an earlier version
    /// remains possible, because the API server reads this list from etcd.
    pub(crate) fn restart_server(&mut self, id: usize) {
        let version = self.version();
        let cache = &mut self.caches.servers[id];
        cache.reached = version;
        cache.watched_since = version;
        self.end_watches_of_server(id);
    }
}
