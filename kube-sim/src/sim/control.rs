//! The control endpoint: faults, clock, delays, compaction, restart, rewind and the journal over HTTP, for tests in
//! other languages.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};

use super::Sim;
use crate::encoding;
use crate::fault::{Plan, Rule, RuleId};
use crate::server::ServeError;
use crate::store::queue::Controller;

/// The maximum size of the body of a request in bytes.
const BODY_LIMIT: usize = 4 << 20;

/// The maximum number of open connections.
const MAX_CONNECTIONS: usize = 64;

/// The time limit for reading the head of a request.
const HEADER_READ_TIMEOUT: Duration = Duration::from_secs(30);

/// The supported requests, as text for the response to an unknown request.
const SUPPORTED_REQUESTS: &str = "GET, POST, PUT and DELETE /faults, DELETE /faults/ID, GET and POST /clock, \
    PUT /controllers, POST /compact, POST /restart, POST /rewind, GET and DELETE /journal";

/// A running control endpoint; see [`Sim::serve_control`]. Dropping this value stops the endpoint.
#[derive(Debug)]
pub struct ControlServer {
    addr: SocketAddr,
    task: JoinHandle<()>,
}

impl ControlServer {
    /// The address of the listener, with the actual port.
    pub fn local_addr(&self) -> SocketAddr {
        self.addr
    }

    /// The URL of the endpoint, without a trailing slash.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }
}

impl Drop for ControlServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Sim {
    /// Listens for requests that control the simulation, for tests that run in another process. Serves plain HTTP
    /// without authentication, and only on a loopback address. Port 0 selects a free port.
    ///
    /// | request | body | effect and response |
    /// |---|---|---|
    /// | `GET /faults` | | the rules, with their ids and counters |
    /// | `POST /faults` | a [`Rule`] | adds the rule: `{"id": 3}` |
    /// | `PUT /faults` | a [`Plan`] | replaces all rules: `{"ids": [4, 5]}` |
    /// | `DELETE /faults`, `DELETE /faults/3` | | removes all rules, or one |
    /// | `GET /clock` | | `{"now": "2026-01-01T00:00:00Z"}` |
    /// | `POST /clock` | `{"advance": "1h"}` | [`Sim::advance_clock`]; responds like `GET` |
    /// | `PUT /controllers` | `{"GarbageCollector": "5s", "Namespace": null}` | sets delays; null disables |
    /// | `POST /compact` | | [`Sim::compact_all`] |
    /// | `POST /restart` | | [`Sim::restart`] |
    /// | `POST /rewind` | `{"changes": 3}` | [`Sim::rewind`] |
    /// | `GET /journal`, `GET /journal?from=7` | | the entries, from this number on |
    /// | `DELETE /journal` | | removes the entries |
    ///
    /// A response without a value has the status 204. An error has a JSON body with the field `error`. Requests with the
    /// header `Origin`, which web pages send, and requests whose `Host` is not this machine are refused.
    ///
    /// # Errors
    /// When `addr` is not a loopback address, or binding it fails.
    ///
    /// # Cancel safety
    /// Dropping the future closes the listener.
    pub async fn serve_control(&self, addr: SocketAddr) -> Result<ControlServer, ServeError> {
        if !addr.ip().is_loopback() {
            let why = "the control endpoint has no authentication: use a loopback address";
            return Err(ServeError::cannot_listen(addr, std::io::Error::other(why)));
        }
        let listener = TcpListener::bind(addr).await.map_err(|e| ServeError::cannot_listen(addr, e))?;
        let addr = listener.local_addr().map_err(|e| ServeError::cannot_listen(addr, e))?;
        Ok(ControlServer { addr, task: tokio::spawn(accept_connections(listener, self.clone())) })
    }
}

/// Runs in the task of a [`ControlServer`]: accepts connections until this task is aborted.
async fn accept_connections(listener: TcpListener, sim: Sim) {
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        if connections.len() >= MAX_CONNECTIONS {
            connections.join_next().await;
        }
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let sim = sim.clone();
        connections.spawn(async move {
            let service = service_fn(move |request| respond(sim.clone(), request));
            let mut builder = hyper::server::conn::http1::Builder::new();
            builder.timer(TokioTimer::new()).header_read_timeout(HEADER_READ_TIMEOUT);
            if let Err(error) = builder.serve_connection(TokioIo::new(stream), service).await {
                tracing::debug!(%error, "a connection to the control endpoint failed");
            }
        });
    }
}

/// The status code and the text of an error response.
#[derive(Debug)]
struct Refusal(StatusCode, String);

impl Refusal {
    fn bad_request(why: impl Into<String>) -> Self {
        Self(StatusCode::BAD_REQUEST, why.into())
    }
}

async fn respond(sim: Sim, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (code, value) = match handle_request(&sim, request).await {
        Ok(Value::Null) => (StatusCode::NO_CONTENT, None),
        Ok(value) => (StatusCode::OK, Some(value)),
        Err(Refusal(code, error)) => (code, Some(json!({"error": error}))),
    };
    let body = value.map(|value| format!("{value}\n")).unwrap_or_default();
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = code;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    Ok(response)
}

/// Whether the `Host` header names this machine. This check prevents DNS rebinding: if the name of a web page resolves to
/// a loopback address, the `Host` header of the requests of the page still has this name.
fn is_local(host: &str) -> bool {
    let name = match host.parse::<SocketAddr>() {
        Ok(addr) => return addr.ip().is_loopback(),
        Err(_) if host.ends_with(']') => host,
        Err(_) => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    name == "localhost" || name.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

async fn handle_request(sim: &Sim, request: Request<Incoming>) -> Result<Value, Refusal> {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    if !is_local(host) || request.headers().contains_key(header::ORIGIN) {
        return Err(Refusal(StatusCode::FORBIDDEN, "requests of web pages are refused".into()));
    }
    let (parts, body) = request.into_parts();
    let body = Limited::new(body, BODY_LIMIT).collect().await;
    let body =
        body.map_err(|error| Refusal::bad_request(format!("reading the body failed: {error}")))?.to_bytes();
    let path: Vec<&str> = parts.uri.path().split('/').filter(|part| !part.is_empty()).collect();
    match (&parts.method, path.as_slice()) {
        (_, ["faults", rest @ ..]) => handle_faults(sim, &parts.method, rest, &body),
        (&Method::GET, ["clock"]) => Ok(clock_value(sim)),
        (&Method::POST, ["clock"]) => {
            sim.advance_clock(parse_body::<AdvanceRequest>(&body)?.advance);
            Ok(clock_value(sim))
        }
        (&Method::PUT, ["controllers"]) => {
            for (controller, ControllerDelay(delay)) in
                parse_body::<BTreeMap<Controller, ControllerDelay>>(&body)?
            {
                sim.set_controller_delay(controller, delay);
            }
            Ok(Value::Null)
        }
        (&Method::POST, ["compact"]) => {
            sim.compact_all();
            Ok(Value::Null)
        }
        (&Method::POST, ["restart"]) => {
            sim.restart();
            Ok(Value::Null)
        }
        (&Method::POST, ["rewind"]) => {
            let rewound = sim.rewind(parse_body::<RewindRequest>(&body)?.changes);
            rewound.map(|()| Value::Null).map_err(|error| Refusal::bad_request(error.message()))
        }
        (&Method::GET, ["journal"]) => journal_value(sim, parts.uri.query().unwrap_or_default()),
        (&Method::DELETE, ["journal"]) => {
            sim.journal().clear();
            Ok(Value::Null)
        }
        _ => Err(unknown_request()),
    }
}

fn unknown_request() -> Refusal {
    Refusal(StatusCode::NOT_FOUND, format!("unknown request: expected {SUPPORTED_REQUESTS}"))
}

fn handle_faults(sim: &Sim, method: &Method, path: &[&str], body: &Bytes) -> Result<Value, Refusal> {
    let faults = sim.faults();
    match (method, path) {
        (&Method::GET, []) => to_value(&faults.rules()),
        (&Method::POST, []) => Ok(json!({"id": faults.add(parse_body::<Rule>(body)?)})),
        (&Method::PUT, []) => Ok(json!({"ids": faults.load(parse_body::<Plan>(body)?)})),
        (&Method::DELETE, []) => {
            faults.clear();
            Ok(Value::Null)
        }
        (&Method::DELETE, [id]) => {
            let id =
                id.parse().map_err(|_| Refusal::bad_request(format!("{id:?} is not the id of a rule")))?;
            if faults.remove(RuleId::new(id)) {
                return Ok(Value::Null);
            }
            Err(Refusal(StatusCode::NOT_FOUND, format!("there is no rule {id}")))
        }
        _ => Err(unknown_request()),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AdvanceRequest {
    #[serde(with = "encoding::duration")]
    advance: Duration,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RewindRequest {
    changes: u64,
}

/// The delay of a controller; `None` (null in JSON) disables the controller.
struct ControllerDelay(Option<Duration>);

impl<'de> Deserialize<'de> for ControllerDelay {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        let delay = text.as_deref().map(encoding::duration::parse).transpose();
        delay.map(Self).map_err(serde::de::Error::custom)
    }
}

fn clock_value(sim: &Sim) -> Value {
    json!({"now": sim.now().to_string()})
}

/// The entries of the journal as JSON. The parameter `from` of the query is the number of the first entry.
fn journal_value(sim: &Sim, query: &str) -> Result<Value, Refusal> {
    let mut from = 0;
    for (key, value) in form_urlencoded::parse(query.as_bytes()) {
        match (&*key, value.parse::<u64>()) {
            ("from", Ok(number)) => from = number,
            ("from", Err(_)) => return Err(Refusal::bad_request("from is not the number of an entry")),
            _ => return Err(Refusal::bad_request(format!("unknown parameter {key:?}: expected from"))),
        }
    }
    let entries = sim.journal().entries();
    to_value(&entries.iter().filter(|entry| entry.number >= from).collect::<Vec<_>>())
}

fn to_value(value: &impl Serialize) -> Result<Value, Refusal> {
    serde_json::to_value(value).map_err(|error| Refusal(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))
}

fn parse_body<T: DeserializeOwned>(body: &Bytes) -> Result<T, Refusal> {
    serde_json::from_slice(body)
        .map_err(|error| Refusal::bad_request(format!("the body is not usable: {error}")))
}
