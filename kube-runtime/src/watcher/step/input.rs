//! The input of the step function: the reports of the driver.

use kube_client::Error as ClientError;
use kube_client::core::{Bookmark, Status, UndecodableObject};

/// A report of the driver to [`step`](super::step()), for instance a part of a response, a failure or an expired timer.
pub(in crate::watcher) enum Input {
    /// The driver is ready to send a request.
    Ready,
    /// An item of a list.
    Item,
    /// The end of a page.
    PageDone { continue_token: Option<String>, version: Option<String> },
    /// An object was added or modified. The value is its resource version.
    Changed(Option<String>),
    /// An object was deleted. The value is the resource version of the deletion.
    Deleted(Option<String>),
    /// The server has sent all changes up to the bookmark's resource version.
    Bookmark(Bookmark),
    /// A filter dropped an event. The value is the resource version of the event's object.
    Dropped(String),
    /// The watch ended with an ERROR event.
    Error(Phase, Box<Status>),
    /// An object of a list or a watch could not be decoded.
    Undecodable(Box<UndecodableObject>),
    /// The request failed, or reading the response body failed.
    Failed(Phase, ClientError),
    /// The server ended the watch.
    Ended(Ending),
    /// A streaming list made no progress for the stall limit.
    Stalled,
    /// No event and no bookmark arrived for the interval of the silence probe.
    Silent,
    /// The result of the silence probe: the server's current resource version, if the read succeeded.
    Current(Option<String>),
}

/// Classifies a watch that the server ended, by the events that the server had sent and by the age of the watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::watcher) enum Ending {
    /// The server ended the watch immediately, without an event.
    Brief,
    /// The server ended the watch less than a second after the initial events, without another event. Initial events do
    /// not prove that the server sends changes.
    AfterInitialEvents,
    /// The server had sent at least one change or bookmark, or the watch was open for a second.
    Worked,
}

/// The phase in which a request failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::watcher) enum Phase {
    /// The response headers have not arrived.
    Opening,
    /// The response body is open.
    Open,
    /// The response body belongs to a watch that has been open long enough to count as healthy.
    Healthy,
}
