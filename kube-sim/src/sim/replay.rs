//! Sends the requests of a journal to a new simulation, and compares the responses.

use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt as _;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use tower::ServiceExt as _;

use super::Sim;
use crate::fault::Action;
use crate::journal::{Entry, RecordedBody};
use crate::server::body::SimBody;
use crate::server::service::SimService;

/// The first difference between a recorded run and its replay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("request {number} ({request}) differs at {place}: recorded {recorded}, replayed {replayed}")]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Difference {
    /// The number of the request in the journal.
    pub number: u64,
    /// The method and the path of the request.
    pub request: String,
    /// The location of the difference: `status`, a JSON pointer into the body, `body` if a body is not complete JSON,
    /// `event N` of a watch (from 0, with a JSON pointer), `replica` if the API server does not exist, or `faults` if a
    /// fault cannot be applied.
    pub place: String,
    /// The recorded value.
    pub recorded: String,
    /// The value of the replay.
    pub replayed: String,
}

/// A watch that the replay has opened. It stays open until the end of the replay, because the recorded watch may have
/// received events until the end of the run.
struct OpenWatch<'a> {
    entry: &'a Entry,
    body: SimBody,
    text: Vec<u8>,
}

impl Sim {
    /// Sends the recorded requests to this simulation, in the order in which they were handled and with the recorded
    /// times between them, and compares the statuses and bodies of the responses. For a watch, compares only the
    /// recorded events, without periodic bookmarks. Returns the number of requests that were sent.
    ///
    /// This simulation must be new, and built with the same settings as the recorded one: its seed, start time, nodes,
    /// controllers and replicas. Bodies must be recorded from the first request on
    /// ([`SimBuilder::record_bodies`](crate::SimBuilder::record_bodies)). The clock of the simulation follows the recorded
    /// times.
    ///
    /// The replay omits each request that was not handled, together with its faults. The cause can be a fault, a
    /// failed authentication or an unreadable body. For each handled request, the replay applies the recorded
    /// faults that change the store, and ignores the faults in the response. It sends neither requests for
    /// an upgrade (`exec`) nor requests without a response.
    ///
    /// # Errors
    /// The first difference. If several threads handled requests at the same time, the recorded order of these requests
    /// can be wrong. A run on a paused current-thread runtime has no such requests.
    ///
    /// # Cancel safety
    /// Dropping the future ends the replay; the requests that were sent have taken effect.
    ///
    /// # Examples
    /// ```
    /// use kube_sim::Sim;
    /// use serde_json::json;
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(async {
    /// let build = || Sim::builder().start_time("2026-01-01T00:00:00Z".parse().unwrap()).record_bodies(1 << 20).build();
    /// let sim = build();
    /// sim.create(&json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "a-"}}))?;
    /// let mut entries = sim.journal().entries();
    /// assert_eq!(build().replay(&entries).await?, 1);
    ///
    /// entries[0].status = Some(http::StatusCode::OK);
    /// let difference = build().replay(&entries).await.unwrap_err();
    /// assert_eq!((&*difference.place, &*difference.recorded, &*difference.replayed), ("status", "200", "201"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn replay(&self, entries: &[Entry]) -> Result<usize, Difference> {
        let mut handled: Vec<_> =
            entries.iter().filter_map(|e| e.handling.as_ref().map(|handling| (handling, e))).collect();
        handled.sort_by_key(|(handling, _)| handling.order);
        let mut watches = Vec::new();
        let mut sent = 0;
        let mut previous = None;
        for (handling, entry) in handled {
            self.wait_between_requests(previous.unwrap_or(handling.time), handling.time).await;
            previous = Some(handling.time);
            self.apply_store_faults(entry)?;
            if entry.status.is_none() || entry.status == Some(StatusCode::SWITCHING_PROTOCOLS) {
                continue;
            }
            let servers = self.inner.lock().server_count();
            if entry.replica >= servers {
                let servers = format!("{servers} API servers");
                return Err(difference(entry, "replica", entry.replica.to_string(), servers));
            }
            sent += 1;
            let (code, body) = self.send_recorded(entry).await;
            compare_part(entry, "status", &entry.status, &Some(code), |code| code.map_or(0, |c| c.as_u16()))?;
            if entry.verb == "watch" && code.is_success() {
                watches.push(OpenWatch { entry, body, text: Vec::new() });
            } else if let Some(recorded) = &entry.response_body {
                // Only a fault makes a body fail, and a replay applies no faults to bodies.
                let replayed =
                    body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
                compare_bodies(entry, recorded, &replayed)?;
            }
            watches.iter_mut().for_each(OpenWatch::read_available_frames);
        }
        // The recorded watches may have received events after the last response. Therefore, other tasks run
        // before the last read.
        tokio::task::yield_now().await;
        for mut watch in watches {
            watch.read_available_frames();
            watch.compare_events()?;
        }
        Ok(sent)
    }

    /// Waits for the time between two requests, and sets the clock to the time of the second request.
    async fn wait_between_requests(&self, from: Timestamp, to: Timestamp) {
        let between = to.duration_since(from);
        if let Ok(between) = std::time::Duration::try_from(between)
            && !between.is_zero()
        {
            tokio::time::sleep(between).await;
        }
        let clock = &self.inner.clock;
        clock.advance(to.duration_since(clock.now()));
    }

    /// Applies the recorded faults that change the store.
    fn apply_store_faults(&self, entry: &Entry) -> Result<(), Difference> {
        for fault in &entry.faults {
            match fault.action {
                Action::Compact => self.compact_all(),
                Action::Restart => self.restart(),
                Action::Rewind(changes) => {
                    if let Err(error) = self.rewind(changes) {
                        let fault = format!("rewind {changes}");
                        return Err(difference(entry, "faults", fault, error.message().to_owned()));
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Sends a recorded request, without faults. Returns the status and the body of the response.
    async fn send_recorded(&self, entry: &Entry) -> (StatusCode, SimBody) {
        let uri = if entry.query.is_empty() {
            entry.path.clone()
        } else {
            format!("{}?{}", entry.path, entry.query)
        };
        let body = entry.request_body.as_ref().map(|body| body.content.clone()).unwrap_or_default();
        let mut request = Request::builder().method(entry.method.clone()).uri(uri);
        for (name, value) in [
            (header::USER_AGENT, &entry.user_agent),
            (header::ACCEPT, &entry.accept),
            (header::CONTENT_TYPE, &entry.content_type),
        ] {
            if !value.is_empty() {
                request = request.header(name, value);
            }
        }
        let response = match request.body(Full::<Bytes>::new(body)) {
            Ok(request) => {
                let service = SimService::new(self.inner.clone(), Arc::from([entry.replica]));
                service.oneshot(request).await
            }
            // A recorded entry always forms a valid request. An entry of an edited journal may be invalid.
            Err(_) => return (StatusCode::BAD_REQUEST, SimBody::empty()),
        };
        match response {
            Ok(response) => (response.status(), response.into_body()),
            Err(never) => match never {},
        }
    }
}

impl OpenWatch<'_> {
    /// Reads the frames that are available.
    fn read_available_frames(&mut self) {
        while let Some(Some(Ok(frame))) = self.body.frame().now_or_never() {
            if let Ok(data) = frame.into_data() {
                self.text.extend_from_slice(&data);
            }
        }
    }

    /// Compares the recorded events with the first events of the replay.
    fn compare_events(&self) -> Result<(), Difference> {
        let Some(recorded) = &self.entry.response_body else { return Ok(()) };
        let recorded = parse_complete_events(&recorded.content);
        let replayed = parse_complete_events(&self.text);
        for (at, event) in recorded.iter().enumerate() {
            let replayed = replayed.get(at).unwrap_or(&Value::Null);
            if let Some((pointer, recorded, replayed)) = first_difference(event, replayed, String::new()) {
                return Err(difference(self.entry, &format!("event {at}{pointer}"), recorded, replayed));
            }
        }
        Ok(())
    }
}

/// The complete events of the body of a watch, without periodic bookmarks.
fn parse_complete_events(text: &[u8]) -> Vec<Value> {
    let lines = text.split_inclusive(|byte| *byte == b'\n').filter(|line| line.ends_with(b"\n"));
    let events = lines.filter_map(|line| serde_json::from_slice::<Value>(line).ok());
    let is_periodic =
        |event: &Value| event["type"] == "BOOKMARK" && event["object"]["metadata"]["annotations"].is_null();
    events.filter(|event| !is_periodic(event)).collect()
}

fn difference(entry: &Entry, place: &str, recorded: String, replayed: String) -> Difference {
    let request = format!("{} {}", entry.method, entry.path);
    Difference { number: entry.number, request, place: place.to_owned(), recorded, replayed }
}

fn compare_part<T: PartialEq, S: ToString>(
    entry: &Entry,
    place: &str,
    recorded: &T,
    replayed: &T,
    text: impl Fn(&T) -> S,
) -> Result<(), Difference> {
    if recorded == replayed {
        return Ok(());
    }
    Err(difference(entry, place, text(recorded).to_string(), text(replayed).to_string()))
}

fn compare_bodies(entry: &Entry, recorded: &RecordedBody, replayed: &Bytes) -> Result<(), Difference> {
    let json = |bytes: &Bytes| serde_json::from_slice::<Value>(bytes).ok();
    if let (Some(recorded), Some(replayed)) = (json(&recorded.content), json(replayed)) {
        return match first_difference(&recorded, &replayed, String::new()) {
            Some((pointer, recorded, replayed)) => Err(difference(entry, &pointer, recorded, replayed)),
            None => Ok(()),
        };
    }
    // Here, at least one of the two bodies is not valid JSON. The recorded body may be incomplete, because the client
    // stopped reading, or because the body was longer than the limit of `SimBuilder::record_bodies`.
    let same = replayed.slice(..replayed.len().min(recorded.content.len()));
    let text = |bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned();
    compare_part(entry, "body", &recorded.content, &same, text)
}

/// The path of the first difference between two values, and the differing parts of both values as text. The
/// path has the form of a JSON pointer, but `~` and `/` in keys are not escaped.
fn first_difference(a: &Value, b: &Value, at: String) -> Option<(String, String, String)> {
    match (a, b) {
        (Value::Object(a), Value::Object(b)) => a
            .keys()
            .chain(b.keys().filter(|key| !a.contains_key(*key)))
            .find_map(|key| child_difference(a.get(key), b.get(key), format!("{at}/{key}"))),
        (Value::Array(a), Value::Array(b)) => (0..a.len().max(b.len()))
            .find_map(|index| child_difference(a.get(index), b.get(index), format!("{at}/{index}"))),
        _ if a == b => None,
        _ => Some((at, a.to_string(), b.to_string())),
    }
}

fn child_difference(a: Option<&Value>, b: Option<&Value>, at: String) -> Option<(String, String, String)> {
    match (a, b) {
        (Some(a), Some(b)) => first_difference(a, b, at),
        (a, b) => {
            let text = |value: Option<&Value>| value.map_or("absent".to_owned(), ToString::to_string);
            Some((at, text(a), text(b)))
        }
    }
}
