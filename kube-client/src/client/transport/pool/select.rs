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

/// The index of the connection for a request of `class`: the first that has capacity and is not too old, so that the
/// later ones become idle when the load falls. `None` if a further connection is needed. A `None` in `loads` is a
/// connection with another pool key.
pub(super) fn select(
    class: Class,
    max_age: Option<Duration>,
    mut loads: impl Iterator<Item = Option<Load>>,
) -> Option<usize> {
    loads.position(|load| {
        load.is_some_and(|load| {
            load.class == class
                && load.streams < capacity(load.max_streams)
                && max_age.is_none_or(|max_age| load.age < max_age)
        })
    })
}

/// The number of streams that requests may use: nine tenths of the limit, because the server counts a stream until it
/// has received the reset of a dropped response.
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
        for (class, loads, expected) in [
            (Calls, vec![], None),
            (Calls, vec![load(Calls, 0, 100, 0)], Some(0)),
            (Calls, vec![load(Calls, 89, 100, 0)], Some(0)),
            // Ten of 100 streams stay unused.
            (Calls, vec![load(Calls, 90, 100, 0)], None),
            (Calls, vec![load(Calls, 90, 100, 0), load(Calls, 3, 100, 0), load(Calls, 0, 100, 0)], Some(1)),
            (Calls, vec![load(Watches, 1, 100, 0)], None),
            (Calls, vec![None, load(Calls, 1, 100, 0)], Some(1)),
            (Watches, vec![load(Calls, 0, 100, 0), load(Watches, 50, 100, 0)], Some(1)),
            // The maximum age is 60 s.
            (Calls, vec![load(Calls, 0, 100, 60), load(Calls, 5, 100, 59)], Some(1)),
            // A connection serves at least one request, and not more than 128 streams.
            (Calls, vec![load(Calls, 0, 0, 0)], Some(0)),
            (Calls, vec![load(Calls, 0, 1, 0)], Some(0)),
            (Calls, vec![load(Calls, 1, 1, 0)], None),
            (Calls, vec![load(Calls, 114, usize::MAX, 0)], Some(0)),
            (Calls, vec![load(Calls, 115, usize::MAX, 0)], None),
        ] {
            let selected = select(class, Some(Duration::from_secs(60)), loads.iter().copied());
            assert_eq!(selected, expected, "{class:?} {loads:?}");
        }
        let old = load(Calls, 0, 100, 1_000_000);
        assert_eq!(select(Calls, None, [old].into_iter()), Some(0));
    }
}
