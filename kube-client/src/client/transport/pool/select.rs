//! Selects a connection for a request. The functions are pure: their parameters describe the connections.

use http::{Request, Uri};
use std::time::Duration;

use crate::client::long_running::{is_long_running, is_upgrade};
use crate::client::transport::h2::MAX_STREAMS;
use crate::client::transport::tls::Protocol;

/// The connection that a request requires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::client::transport) enum Demand {
    /// A stream of a connection that requests of the same class share.
    Stream(RequestClass),
    /// A connection that no other request uses. The server may switch it to another protocol.
    Upgrade,
}

/// The class of a request: `Watches` for watches and followed logs, and `Calls` for all other requests. Only requests of the
/// same class share an HTTP/2 connection: the events of many watches must not delay the responses to calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::client::transport) enum RequestClass {
    Calls,
    Watches,
}

impl Demand {
    /// The class of a connection that is opened for the request.
    pub(in crate::client::transport) fn class(self) -> RequestClass {
        match self {
            Self::Stream(class) => class,
            Self::Upgrade => RequestClass::Calls,
        }
    }

    /// The type of connection that a request to `target` requires.
    pub(in crate::client::transport) fn of<B>(request: &Request<B>, target: &Uri) -> Self {
        if is_upgrade(request.headers()) {
            Self::Upgrade
        } else if is_long_running(target) {
            Self::Stream(RequestClass::Watches)
        } else {
            Self::Stream(RequestClass::Calls)
        }
    }
}

/// The protocol for a request. `known` is the protocol that the server has negotiated before.
pub(super) fn protocol(demand: Demand, offers_http2: bool, known: Option<Protocol>) -> Protocol {
    match demand {
        Demand::Stream(_) if offers_http2 => known.unwrap_or(Protocol::Http2),
        Demand::Stream(_) | Demand::Upgrade => Protocol::Http1,
    }
}

/// An open HTTP/2 connection that [`select`] may select.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate {
    pub(super) class: RequestClass,
    pub(super) streams: usize,
    /// The limit of the server on concurrent streams.
    pub(super) max_streams: usize,
    pub(super) age: Duration,
}

/// A connection with at least this number of calls is busy. A single task reads and writes all calls of a
/// connection.
const MIN_CALLS_OF_BUSY_CONNECTION: usize = 16;
/// If all open connections for calls are busy, a request opens a further connection only if fewer connections
/// for calls than this number are open. This limit does not apply if none of the open connections has
/// [`capacity`] left: a request then still opens a connection.
const MAX_CALL_CONNECTIONS: usize = 2;

/// The connection that [`select`] has selected; `index` is its position in the parameter `candidates`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Selection {
    pub(super) index: usize,
    /// Whether all connections of the class are busy, and the class may have a further connection.
    pub(super) wants_further_connection: bool,
}

/// Selects one of the connections of `class` that have capacity and are not too old: the first connection that is not busy,
/// or else the connection with the fewest streams. Later connections thus become idle when the load falls. Returns `None`
/// if all connections are too old or without capacity. A `None` in `candidates` stands for a connection with another pool
/// key.
pub(super) fn select(
    class: RequestClass,
    max_age: Option<Duration>,
    candidates: impl Iterator<Item = Option<Candidate>>,
) -> Option<Selection> {
    let busy = match class {
        RequestClass::Calls => MIN_CALLS_OF_BUSY_CONNECTION,
        RequestClass::Watches => usize::MAX,
    };
    let (mut open, mut least) = (0, None);
    for (index, candidate) in candidates.enumerate() {
        let Some(candidate) = candidate else { continue };
        if candidate.class != class || max_age.is_some_and(|max_age| candidate.age >= max_age) {
            continue;
        }
        open += 1;
        if candidate.streams >= capacity(candidate.max_streams) {
            continue;
        }
        if candidate.streams < busy {
            return Some(Selection { index, wants_further_connection: false });
        }
        if least.is_none_or(|(streams, _)| candidate.streams < streams) {
            least = Some((candidate.streams, index));
        }
    }
    least.map(|(_, index)| Selection { index, wants_further_connection: open < MAX_CALL_CONNECTIONS })
}

/// The number of streams that requests may use if the server allows `max_streams`: nine tenths of the lower of
/// `max_streams` and [`MAX_STREAMS`], but at least one. One tenth is a reserve: the server counts the stream of a dropped
/// response until the reset of the stream arrives.
pub(super) fn capacity(max_streams: usize) -> usize {
    let allowed = max_streams.min(MAX_STREAMS as usize);
    (allowed - allowed.div_ceil(10)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_request_determines_the_demand() {
        let (calls, watches) = (Demand::Stream(RequestClass::Calls), Demand::Stream(RequestClass::Watches));
        for (uri, headers, expected) in [
            ("/api/v1/pods", &[][..], calls),
            ("/api/v1/pods?watch=true", &[], watches),
            ("/api/v1/pods/a/log?follow=true", &[], watches),
            ("/exec?watch=1", &[("connection", "Upgrade"), ("upgrade", "websocket")], Demand::Upgrade),
            ("/exec", &[("connection", "keep-alive, UPGRADE"), ("upgrade", "SPDY/3.1")], Demand::Upgrade),
            ("/exec", &[("upgrade", "websocket")], calls),
            ("/exec", &[("connection", "upgrade")], calls),
            ("/exec", &[("connection", "keep-alive"), ("upgrade", "websocket")], calls),
        ] {
            let mut request = Request::get(uri);
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            let request = request.body(()).unwrap();
            assert_eq!(Demand::of(&request, request.uri()), expected, "{uri} {headers:?}");
        }
    }

    #[test]
    fn the_protocol_is_http2_unless_http1_is_required() {
        use Protocol::{Http1, Http2};
        let call = Demand::Stream(RequestClass::Calls);
        for (demand, offers_http2, known, expected) in [
            (call, true, None, Http2),
            (call, true, Some(Http2), Http2),
            (call, true, Some(Http1), Http1),
            (call, false, None, Http1),
            (call, false, Some(Http2), Http1),
            (Demand::Upgrade, true, None, Http1),
            (Demand::Upgrade, true, Some(Http2), Http1),
        ] {
            assert_eq!(
                protocol(demand, offers_http2, known),
                expected,
                "{demand:?} {offers_http2} {known:?}"
            );
        }
    }

    #[test]
    fn select_considers_the_class_capacity_age_and_load_of_connections() {
        use RequestClass::{Calls, Watches};
        let connection = |class, streams, max_streams, age| {
            Some(Candidate { class, streams, max_streams, age: Duration::from_secs(age) })
        };
        let calls = |streams| connection(Calls, streams, 100, 0);
        for (class, connections, expected) in [
            (Calls, vec![], None),
            (Calls, vec![calls(0)], Some(0)),
            (Calls, vec![connection(Watches, 1, 100, 0)], None),
            (Calls, vec![None, calls(1)], Some(1)),
            (Watches, vec![calls(0), connection(Watches, 50, 100, 0)], Some(1)),
            (Watches, vec![connection(Watches, 89, 100, 0), connection(Watches, 3, 100, 0)], Some(0)),
            // Ten of 100 streams stay unused.
            (Watches, vec![connection(Watches, 90, 100, 0), connection(Watches, 3, 100, 0)], Some(1)),
            (Watches, vec![connection(Watches, 90, 100, 0)], None),
            // The maximum age is 60 s.
            (Calls, vec![connection(Calls, 0, 100, 60), connection(Calls, 5, 100, 59)], Some(1)),
            // The capacity is at least 1, and at most 115 (nine tenths of `MAX_STREAMS`).
            (Calls, vec![connection(Calls, 0, 0, 0)], Some(0)),
            (Calls, vec![connection(Calls, 0, 1, 0)], Some(0)),
            (Calls, vec![connection(Calls, 1, 1, 0)], None),
            (Watches, vec![connection(Watches, 114, usize::MAX, 0)], Some(0)),
            (Watches, vec![connection(Watches, 115, usize::MAX, 0)], None),
            // Calls use the first connection with fewer than 16 calls, or else the connection with the fewest calls.
            (Calls, vec![calls(15), calls(3)], Some(0)),
            (Calls, vec![calls(16), calls(15)], Some(1)),
            (Calls, vec![calls(17), calls(16)], Some(1)),
            (Calls, vec![calls(16), calls(16)], Some(0)),
            (Calls, vec![calls(20), calls(90), calls(19)], Some(2)),
        ] {
            let selected = select(class, Some(Duration::from_secs(60)), connections.iter().copied());
            let expected = expected.map(|index| Selection { index, wants_further_connection: false });
            assert_eq!(selected, expected, "{class:?} {connections:?}");
        }
        let old = connection(Calls, 0, 100, 1_000_000);
        assert_eq!(select(Calls, None, [old].into_iter()).map(|selected| selected.index), Some(0));
    }

    #[test]
    fn a_second_connection_is_wanted_only_for_calls_and_only_while_the_first_is_busy() {
        use RequestClass::{Calls, Watches};
        let connection = |class, streams, age| {
            Some(Candidate { class, streams, max_streams: 100, age: Duration::from_secs(age) })
        };
        for (class, connections, wanted) in [
            (Calls, vec![connection(Calls, 15, 0)], false),
            (Calls, vec![connection(Calls, 16, 0)], true),
            (Calls, vec![connection(Watches, 0, 0), connection(Calls, 16, 0), None], true),
            // The second connection is too old.
            (Calls, vec![connection(Calls, 16, 0), connection(Calls, 0, 60)], true),
            (Calls, vec![connection(Calls, 50, 0), connection(Calls, 50, 0)], false),
            // The first connection has no capacity left.
            (Calls, vec![connection(Calls, 90, 0), connection(Calls, 50, 0)], false),
            (Watches, vec![connection(Watches, 80, 0)], false),
        ] {
            let selected = select(class, Some(Duration::from_secs(60)), connections.iter().copied()).unwrap();
            assert_eq!(selected.wants_further_connection, wanted, "{class:?} {connections:?}");
        }
    }
}
