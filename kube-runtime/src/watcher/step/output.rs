//! The output of the step function: an event, and the driver's next action.

use super::PageRequest;
use crate::watcher::Event;
use kube_client::Error as ClientError;
use kube_client::core::{Status, UndecodableObject};

/// The event to emit and the driver's next action.
#[derive(Debug)]
pub(in crate::watcher) struct Output {
    /// The event to emit. The driver adds the object to the event.
    pub(in crate::watcher) event: Option<Result<Event<()>, Failure>>,
    pub(in crate::watcher) then: DriverAction,
    /// Whether the watch proved the server healthy. If so, the driver resets the backoff.
    pub(in crate::watcher) healthy: bool,
}

/// The driver's next action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::watcher) enum DriverAction {
    /// Continue reading the response.
    Read,
    /// Send a request.
    Send(Request),
    /// Drop the response, if any, and pass [`Input::Ready`](super::Input::Ready) to `step` immediately.
    Next,
    /// Drop the response, if any, and pass [`Input::Ready`](super::Input::Ready) to `step` after the backoff.
    Wait,
    /// Continue reading, and concurrently read the server's current resource version.
    Probe,
    /// Like `Next`, and use only paged lists for the duration [`STREAMING_RETRY_AFTER`](super::STREAMING_RETRY_AFTER).
    GiveUpStreaming,
}

/// A request to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::watcher) enum Request {
    List(PageRequest),
    StreamingList,
    Watch { version: String },
}

/// An error without the path of the collection. The driver adds the path, except to `Object`.
#[derive(Debug)]
pub(in crate::watcher) enum Failure {
    List(ClientError),
    WatchStart(ClientError),
    WatchStatus(Box<Status>),
    Watch(ClientError),
    TooShort,
    NoResourceVersion,
    Restored { seen: String, current: String },
    Object(Box<UndecodableObject>),
}
