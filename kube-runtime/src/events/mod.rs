//! `events`: publishes Events about objects, through the `events.k8s.io/v1` API.
//!
//! `series` decides when an event, or the count of its repetitions, is written; this file sends the requests. No lock may
//! be held across a request.

mod config;
mod event;
mod series;

pub use config::Config;
pub use event::{Event, EventType, Reference, Reporter};

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1;
use kube_client::api::{Patch, PatchParams, PostParams};
use kube_client::{Api, Client};
use serde_json::json;
use series::{EventWrite, RecorderState};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// The interval at which the recorder sends the writes that [`RecorderState::start_due_writes`] returns.
const FLUSH_INTERVAL: Duration = Duration::from_secs(60);

/// Publishes events about objects. `kubectl describe` shows the events of an object.
///
/// Create one recorder for each controller, and clone the recorder: clones share the series and the limits.
///
/// - **Series.** An event with the same type, action, reason and objects as a previous event is a repetition. The first
///   repetition adds a `series` to the existing event. Further repetitions are counted in memory. While repetitions
///   continue, the recorder writes the count every 30 minutes: by default, the server deletes an event that is not
///   written for an hour. If the event is not repeated for 6 minutes, the recorder writes the count, and the series
///   ends: a later occurrence creates a new event. A series keeps the note of its first event.
/// - **Rate limit.** For each object, 25 events may be written, and then one in 5 minutes ([`Config`]). Further events
///   are dropped, and [`dropped`](Self::dropped) counts them. A repetition over the limit is not dropped: it increases
///   the count of its series.
/// - **Memory.** The recorder keeps at most 4096 series, and the rate limits of at most 4096 objects. It
///   evicts the least recently used entry.
///
/// A task of the recorder writes the counts. The task ends when the last clone is dropped, and unwritten counts are
/// then lost: call [`flush`](Self::flush) before the program drops the last clone. The rate limit and the series use
/// tokio's clock; events contain the times of the system's clock.
///
/// The recorder needs the permissions `create` and `patch` for `events` of the group `events.k8s.io`, in the namespace of
/// the object; for a cluster-scoped object, in the namespace `default`.
///
/// ```
/// use k8s_openapi::api::core::v1::Namespace;
/// use k8s_openapi::api::events::v1;
/// use kube_client::{Api, Client, Resource};
/// use kube_runtime::events::{Event, EventType, Recorder, Reporter};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let client = Client::new(kube_sim::Sim::new().service(), "default");
/// let reporter = Reporter { controller: "example.com/backup".into(), instance: Some("backup-0".into()) };
/// let recorder = Recorder::new(client.clone(), reporter);
/// let namespace = Api::<Namespace>::all(client.clone()).get("default").await?;
/// let event = Event {
///     type_: EventType::Normal,
///     reason: "Saved".into(),
///     note: Some("Saved 3 objects".into()),
///     action: "Backup".into(),
///     secondary: None,
/// };
/// recorder.publish(&event, &namespace.object_ref(&())).await?;
/// recorder.publish(&event, &namespace.object_ref(&())).await?;
///
/// let events = Api::<v1::Event>::namespaced(client, "default").list(&Default::default()).await?;
/// assert_eq!(events.items[0].series.as_ref().map(|series| series.count), Some(2));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Recorder {
    shared: Arc<RecorderData>,
}

/// The data that the clones of a recorder share.
struct RecorderData {
    client: Client,
    reporter: Reporter,
    state: Mutex<RecorderState>,
    /// The task that writes the counts of the series; `None` if there are no series.
    flusher: Mutex<Option<JoinHandle<()>>>,
}

impl Recorder {
    /// A recorder with the limits of client-go.
    #[must_use]
    pub fn new(client: Client, reporter: Reporter) -> Self {
        Self::with_config(client, reporter, Config::default())
    }

    /// A recorder with the limits of `config`.
    #[must_use]
    pub fn with_config(client: Client, reporter: Reporter, config: Config) -> Self {
        let (state, flusher) = (Mutex::new(RecorderState::new(config)), Mutex::new(None));
        Self { shared: Arc::new(RecorderData { client, reporter, state, flusher }) }
    }

    /// Publishes an event about the object `reference`, in the namespace of the object, or in `default` for a
    /// cluster-scoped object.
    ///
    /// The first occurrence sends a request that creates the event. The first repetition sends a request that adds a
    /// `series` to the event. Later repetitions, and events over the rate limit, send no request. `Ok` therefore does not
    /// mean that the event was written. [`Resource::object_ref`] makes a reference.
    ///
    /// [`Resource::object_ref`]: kube_client::Resource::object_ref
    ///
    /// # Errors
    ///
    /// If the request fails. A reconciler should not return this error. The occurrence is counted, and the next
    /// occurrence of the same event retries the write.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future cancels the request. The recorder then behaves as after a failed request.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub async fn publish(&self, ev: &Event, reference: &ObjectReference) -> Result<(), kube_client::Error> {
        let (now, time) = (Instant::now(), crate::time::now());
        let write =
            self.shared.lock_state().record_occurrence(ev, &self.shared.reporter, reference, now, time);
        let Some(write) = write else { return Ok(()) };
        self.start_flusher();
        PendingWrite { shared: &self.shared, write: Some(write) }.send_all().await
    }

    /// The number of published events that the counts on the server will never include, because of the rate limit, an
    /// evicted series or failed writes.
    pub fn dropped(&self) -> u64 {
        self.shared.lock_state().dropped_count()
    }

    /// Writes all counts that are not written yet and that no other call is writing. Call this method before the program
    /// ends.
    ///
    /// The writes are sent one after the other. If the server is unreachable, each write fails only after the time limits
    /// of the client: use [`tokio::time::timeout`].
    ///
    /// # Errors
    ///
    /// The first failure. The other writes are sent nevertheless.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future cancels the request in flight; the remaining counts are written later.
    pub async fn flush(&self) -> Result<(), kube_client::Error> {
        self.shared.flush(true).await
    }

    /// Starts the task that writes the counts, if it does not run.
    fn start_flusher(&self) {
        let mut flusher = lock(&self.shared.flusher);
        // The task ends with the runtime that it was started on, even if the recorder is still in use.
        if flusher.as_ref().is_none_or(JoinHandle::is_finished) {
            *flusher = Some(tokio::spawn(write_due_counts(Arc::downgrade(&self.shared))));
        }
    }
}

/// Writes the due counts once per [`FLUSH_INTERVAL`]. Returns when the recorder has no series, or when the last clone of
/// the recorder is dropped.
async fn write_due_counts(shared: Weak<RecorderData>) {
    loop {
        tokio::time::sleep(FLUSH_INTERVAL).await;
        let Some(shared) = shared.upgrade() else { return };
        if let Err(error) = shared.flush(false).await {
            tracing::warn!("the counts of events will be written later: {error}");
        }
        // `publish` adds a series, and then locks `flusher` to start the task. Therefore, this task locks
        // `flusher` before it checks whether a series exists. If a series is added after the check, `publish`
        // finds `None` in `flusher`, and starts a new task.
        let mut flusher = lock(&shared.flusher);
        if !shared.lock_state().has_series() {
            *flusher = None;
            return;
        }
    }
}

impl RecorderData {
    fn lock_state(&self) -> MutexGuard<'_, RecorderState> {
        lock(&self.state)
    }

    /// Sends the writes that [`RecorderState::start_due_writes`] returns. Returns the first failure.
    async fn flush(&self, all: bool) -> Result<(), kube_client::Error> {
        let due = self.lock_state().start_due_writes(Instant::now(), all);
        // Dropping a `PendingWrite` releases its series. A cancelled flush therefore also releases the series whose
        // writes were not sent.
        let due: Vec<_> =
            due.into_iter().map(|write| PendingWrite { shared: self, write: Some(write) }).collect();
        let mut result = Ok(());
        for write in due {
            result = result.and(write.send_all().await);
        }
        result
    }

    /// Sends the request of a write. If the event to patch no longer exists, creates the event.
    async fn send_request(&self, write: &EventWrite) -> Result<(), kube_client::Error> {
        let event = &write.event;
        let meta = &event.metadata;
        let (name, namespace) = (meta.name.as_deref(), meta.namespace.as_deref());
        let (name, namespace) = (name.unwrap_or_default(), namespace.unwrap_or_default());
        let api: Api<v1::Event> = Api::namespaced(self.client.clone(), namespace);
        let params = PatchParams::default();
        let series = Patch::Merge(json!({"series": event.series}));
        if !write.create {
            match api.patch(name, &params, &series).await {
                // By default, the server deletes an event that is not written for an hour.
                Err(error) if error.is_not_found() => {}
                result => return result.map(drop),
            }
        }
        match api.create(&PostParams::default(), event).await {
            // A previous attempt created the event, but the response was lost. The event of that attempt did not
            // contain the current series.
            Err(error) if error.is_already_exists() && event.series.is_some() => {
                api.patch(name, &params, &series).await.map(drop)
            }
            Err(error) if error.is_already_exists() => Ok(()),
            result => result.map(drop),
        }
    }
}

impl Drop for RecorderData {
    fn drop(&mut self) {
        let flusher = self.flusher.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(flusher) = flusher.take() {
            flusher.abort();
        }
    }
}

/// A write to send. Dropping the value before its request has succeeded calls [`RecorderState::release_series`].
struct PendingWrite<'a> {
    shared: &'a RecorderData,
    write: Option<EventWrite>,
}

impl PendingWrite<'_> {
    /// Sends the write, and then the next write of the series, if one has become due in the meantime.
    async fn send_all(mut self) -> Result<(), kube_client::Error> {
        while let Some(write) = &self.write {
            self.shared.send_request(write).await?;
            let next = self.shared.lock_state().finish_write(write, Instant::now());
            self.write = next;
        }
        Ok(())
    }
}

impl Drop for PendingWrite<'_> {
    fn drop(&mut self) {
        if let Some(write) = self.write.take() {
            self.shared.lock_state().release_series(&write);
        }
    }
}

/// Locks `mutex` and ignores poisoning: the content is consistent after a panic, because no operation on the content
/// calls user code.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder").field("reporter", &self.shared.reporter).finish_non_exhaustive()
    }
}
