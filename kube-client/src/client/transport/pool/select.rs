//! Selects a connection for a request. Pure functions over the state of the connections.

use http::{Request, Uri};
use std::time::Duration;

use crate::client::long_running::{is_long_running, is_upgrade};
use crate::client::transport::h2::MAX_STREAMS;
use crate::client::transport::tls::Protocol;

/// The connection that a request requires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::client::transport) enum Demand {
    /// A stream of a connection that requests of the same class share.
    Stream(Class),
    /// A connection that no other request uses. The server may switch it to another protocol.
    Upgrade,
}

/// The requests that share connections. The events of many watches must not delay the responses to calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::client::transport) enum Class {
    Calls,
    Watches,
}

impl Demand {
    /// The class of a connection that is opened for the request.
    pub(in crate::client::transport) fn class(self) -> Class {
        match self {
            Self::Stream(class) => class,
            Self::Upgrade => Class::Calls,
        }
    }

    /// The demand of a request to `target`.
    pub(in crate::client::transport) fn of<B>(request: &Request<B>, target: &Uri) -> Self {
        if is_upgrade(request.headers()) {
            Self::Upgrade
        } else if is_long_running(target) {
            Self::Stream(Class::Watches)
        } else {
            Self::Stream(Class::Calls)
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

/// The state of an open HTTP/2 connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Load {
    pub(super) class: Class,
    pub(super) streams: usize,
    /// The limit of the server on concurrent streams.
    pub(super) max_streams: usize,
    pub(super) age: Duration,
}

/// The number of calls that make a connection busy: one task reads and writes for all of them.
const BUSY_CALLS: usize = 16;
/// The number of connections for calls, unless the server's limit on streams requires more.
const CALL_CONNECTIONS: usize = 2;

/// The connection for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Selection {
    pub(super) index: usize,
    /// Whether all connections of the class are busy, and the class may have a further connection.
    pub(super) wants_further: bool,
}

/// Selects a connection of `class` that has capacity and is not too old: the first that is not busy, otherwise the one
/// with the fewest streams. In this order, later connections become idle when the load falls. Returns `None` if there
/// is no such connection. A `None` in `loads` stands for a connection with another pool key.
pub(super) fn select(
    class: Class,
    max_age: Option<Duration>,
    loads: impl Iterator<Item = Option<Load>>,
) -> Option<Selection> {
    let busy = match class {
        Class::Calls => BUSY_CALLS,
        Class::Watches => usize::MAX,
    };
    let (mut open, mut least) = (0, None);
    for (index, load) in loads.enumerate() {
        let Some(load) = load else { continue };
        if load.class != class || max_age.is_some_and(|max_age| load.age >= max_age) {
            continue;
        }
        open += 1;
        if load.streams >= capacity(load.max_streams) {
            continue;
        }
        if load.streams < busy {
            return Some(Selection { index, wants_further: false });
        }
        if least.is_none_or(|(streams, _)| load.streams < streams) {
            least = Some((load.streams, index));
        }
    }
    least.map(|(_, index)| Selection { index, wants_further: open < CALL_CONNECTIONS })
}

/// The number of streams that requests may use if the server allows `max_streams`: nine tenths of that number, or of
/// [`MAX_STREAMS`] if it is lower, but at least one. The server counts a stream until it has received the reset of a
/// dropped response.
pub(super) fn capacity(max_streams: usize) -> usize {
    let allowed = max_streams.min(MAX_STREAMS as usize);
    (allowed - allowed.div_ceil(10)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_request_determines_the_demand() {
        let (calls, watches) = (Demand::Stream(Class::Calls), Demand::Stream(Class::Watches));
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
    fn http1_is_for_upgrades_on_request_and_for_servers_without_http2() {
        use Protocol::{Http1, Http2};
        let call = Demand::Stream(Class::Calls);
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
    fn selects_the_first_connection_of_the_class_with_capacity() {
        use Class::{Calls, Watches};
        let load = |class, streams, max_streams, age| {
            Some(Load { class, streams, max_streams, age: Duration::from_secs(age) })
        };
        let calls = |streams| load(Calls, streams, 100, 0);
        for (class, loads, expected) in [
            (Calls, vec![], None),
            (Calls, vec![calls(0)], Some(0)),
            (Calls, vec![load(Watches, 1, 100, 0)], None),
            (Calls, vec![None, calls(1)], Some(1)),
            (Watches, vec![calls(0), load(Watches, 50, 100, 0)], Some(1)),
            (Watches, vec![load(Watches, 89, 100, 0), load(Watches, 3, 100, 0)], Some(0)),
            // Ten of 100 streams stay unused.
            (Watches, vec![load(Watches, 90, 100, 0), load(Watches, 3, 100, 0)], Some(1)),
            (Watches, vec![load(Watches, 90, 100, 0)], None),
            // The maximum age is 60 s.
            (Calls, vec![load(Calls, 0, 100, 60), load(Calls, 5, 100, 59)], Some(1)),
            // A connection serves at least one request, and not more than 128 streams.
            (Calls, vec![load(Calls, 0, 0, 0)], Some(0)),
            (Calls, vec![load(Calls, 0, 1, 0)], Some(0)),
            (Calls, vec![load(Calls, 1, 1, 0)], None),
            (Watches, vec![load(Watches, 114, usize::MAX, 0)], Some(0)),
            (Watches, vec![load(Watches, 115, usize::MAX, 0)], None),
            // Calls use the second connection while the first is busy.
            (Calls, vec![calls(15), calls(3)], Some(0)),
            (Calls, vec![calls(16), calls(15)], Some(1)),
            (Calls, vec![calls(17), calls(16)], Some(1)),
            (Calls, vec![calls(16), calls(16)], Some(0)),
            (Calls, vec![calls(20), calls(90), calls(19)], Some(2)),
        ] {
            let selected = select(class, Some(Duration::from_secs(60)), loads.iter().copied());
            let expected = expected.map(|index| Selection { index, wants_further: false });
            assert_eq!(selected, expected, "{class:?} {loads:?}");
        }
        let old = load(Calls, 0, 100, 1_000_000);
        assert_eq!(select(Calls, None, [old].into_iter()).map(|selected| selected.index), Some(0));
    }

    #[test]
    fn only_calls_want_a_further_connection_and_only_while_one_is_busy() {
        use Class::{Calls, Watches};
        let load = |class, streams, age| {
            Some(Load { class, streams, max_streams: 100, age: Duration::from_secs(age) })
        };
        for (class, loads, wanted) in [
            (Calls, vec![load(Calls, 15, 0)], false),
            (Calls, vec![load(Calls, 16, 0)], true),
            (Calls, vec![load(Watches, 0, 0), load(Calls, 16, 0), None], true),
            // The second connection is too old.
            (Calls, vec![load(Calls, 16, 0), load(Calls, 0, 60)], true),
            (Calls, vec![load(Calls, 50, 0), load(Calls, 50, 0)], false),
            // The other connection has no capacity.
            (Calls, vec![load(Calls, 90, 0), load(Calls, 50, 0)], false),
            (Watches, vec![load(Watches, 80, 0)], false),
        ] {
            let selected = select(class, Some(Duration::from_secs(60)), loads.iter().copied()).unwrap();
            assert_eq!(selected.wants_further, wanted, "{class:?} {loads:?}");
        }
    }
}
