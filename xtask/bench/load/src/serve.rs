//! `Server`: routes requests to responses. Each connection of the listener without TLS has its own thread. The
//! response to a list request consists of prepared bytes: the server does not serialise the objects for each request.

use std::io::{self, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use crate::dataset::Dataset;
use crate::exec;
use crate::format::Format;
use crate::http::{ChunkedResponse, next_request, respond, respond_in_format};
use crate::object_set::Objects;
use crate::pod_changes::{LIST_VERSION, RELIST_VERSION};
use crate::session::{Gate, Session, Sessions};

/// The state shared by all connections.
#[derive(Debug)]
pub(crate) struct Server {
    dataset: Dataset,
    sessions: Sessions,
}

impl Server {
    /// Creates a server of the objects and events in `dataset`.
    pub(crate) fn new(dataset: Dataset) -> Self {
        Self { dataset, sessions: Sessions::default() }
    }

    /// The session with this name.
    pub(crate) fn session(&self, name: &str) -> Arc<Session> {
        self.sessions.get(name)
    }

    /// Serves all connections forever, each in its own thread.
    ///
    /// # Errors
    /// If a thread cannot be spawned.
    pub(crate) fn serve(self: &Arc<Self>, listener: &TcpListener) -> io::Result<()> {
        for connection in listener.incoming() {
            let Ok(connection) = connection else { continue };
            let server = self.clone();
            std::thread::Builder::new().name("connection".to_owned()).spawn(move || {
                // A contender closes its connections at the end of a run, even in the middle of a response.
                let _ = server.handle_connection(connection);
            })?;
        }
        Ok(())
    }

    /// Handles the requests of a connection in order, until the client closes the connection or an exec request takes
    /// over the connection.
    fn handle_connection(&self, connection: TcpStream) -> io::Result<()> {
        connection.set_nodelay(true)?;
        let mut out = connection.try_clone()?;
        let mut reader = BufReader::new(connection);
        while let Some(request) = next_request(&mut reader)? {
            let target = &request.target;
            let (path, query) = target.split_once('?').unwrap_or((target, ""));
            if let Some(offer) = &request.websocket {
                return exec::run(reader, offer, &Query(query));
            }
            let mut path = path.trim_start_matches('/').split('/');
            let session = path.next().unwrap_or_default();
            let path: Vec<_> = path.collect();
            match path.as_slice() {
                ["-", action] => self.handle_control(&mut out, session, action, &Query(query))?,
                path => {
                    let request = ApiRequest { path, query: Query(query), format: request.format };
                    self.handle_api(&mut out, &self.sessions.get(session), &request)?;
                }
            }
        }
        Ok(())
    }

    /// Handles a control request of a contender or of `xtask-bench`.
    fn handle_control(
        &self,
        out: &mut impl Write,
        name: &str,
        action: &str,
        query: &Query<'_>,
    ) -> io::Result<()> {
        let session = self.sessions.get(name);
        let text = match action {
            "events" => {
                session.set_gate(Gate::Events);
                String::new()
            }
            "gone" => {
                session.set_gate(Gate::Expired);
                String::new()
            }
            // The data is generated here, because a measured run must not include the generation.
            "prepare" => {
                let protobuf = query.get("format") == Some("protobuf");
                self.dataset.generate_prepared_data(if protobuf { Format::Protobuf } else { Format::Json });
                String::new()
            }
            "end" => {
                self.sessions.end(name);
                String::new()
            }
            "held" if !session.wait_for_watches(query.get_number("count").unwrap_or(1)) => {
                return respond(out, "504 Gateway Timeout", &[b"timed out waiting for the watches"]);
            }
            "held" => String::new(),
            "since-relist" => {
                session.time_since_relist().as_ref().map(Duration::as_nanos).unwrap_or_default().to_string()
            }
            "connections" => session.connection_count().to_string(),
            "names" => {
                let names = self.dataset.pod_names(query.get_number("count").unwrap_or(1));
                serde_json::to_string(&names)?
            }
            "digest" => match query.get("of").and_then(|of| self.dataset.digest(of)) {
                Some(digest) => serde_json::to_string(&digest)?,
                None => return respond(out, "404 Not Found", &[b"no such digest"]),
            },
            _ => return respond(out, "404 Not Found", &[b"no such action"]),
        };
        respond(out, "200 OK", &[text.as_bytes()])
    }

    /// Handles a request for Kubernetes objects.
    pub(crate) fn handle_api(
        &self,
        out: &mut impl Write,
        session: &Session,
        request: &ApiRequest<'_>,
    ) -> io::Result<()> {
        let ApiRequest { path, query, format } = request;
        if query.get("labelSelector").or(query.get("fieldSelector")).is_some() {
            return respond_error(out, 400, "BadRequest", "the mock API server does not support selectors");
        }
        match path {
            ["api", "v1", "namespaces", namespace, "pods", name] => {
                match self.dataset.find_pod_index(namespace, name) {
                    Some(index) => respond_object(out, *format, self.dataset.pods(), index),
                    None => respond_error(out, 404, "NotFound", "no such pod"),
                }
            }
            ["api", "v1", "configmaps", index] => match index.parse::<usize>() {
                Ok(index) if index < self.dataset.config_maps().json.len() => {
                    respond_object(out, *format, self.dataset.config_maps(), index)
                }
                _ => respond_error(out, 404, "NotFound", "no such config map"),
            },
            [.., resource] => match self.collection(session, resource, request) {
                Some(collection) if query.get("watch").is_some_and(|watch| watch != "false") => {
                    self.handle_watch(out, session, &collection, query)
                }
                Some(collection) => collection.write_list(out, query),
                None => respond_error(out, 404, "NotFound", "no such resource"),
            },
            [] => respond_error(out, 404, "NotFound", "no such path"),
        }
    }

    /// The objects of `resource` with their resource version and format; `None` if there is no such resource. A list
    /// request for pods after the expiry of the watches returns the relisted pods.
    fn collection(
        &self,
        session: &Session,
        resource: &str,
        request: &ApiRequest<'_>,
    ) -> Option<Collection<'_>> {
        let is_relist = || request.query.get("watch").is_none() && session.record_list_request();
        let (objects, version) = match resource {
            "pods" if is_relist() => (self.dataset.relisted_pods(), RELIST_VERSION),
            "pods" => (self.dataset.pods(), LIST_VERSION),
            "nodes" => (self.dataset.nodes(), LIST_VERSION),
            "configmaps" => (self.dataset.config_maps(), LIST_VERSION),
            "secrets" => (self.dataset.secrets(), LIST_VERSION),
            "widgets" => (self.dataset.widgets(), LIST_VERSION),
            _ => return None,
        };
        let format = if objects.type_info.custom { Format::Json } else { request.format };
        Some(Collection { objects, version, format })
    }

    /// Handles a watch request. Sends the initial events if the request asks for initial events. Then sends the prepared
    /// events or the error `410 Expired`, as the session's [`Gate`] selects.
    fn handle_watch(
        &self,
        out: &mut impl Write,
        session: &Session,
        collection: &Collection<'_>,
        query: &Query<'_>,
    ) -> io::Result<()> {
        let format = collection.format;
        let mut chunks = ChunkedResponse::begin(out, format)?;
        if query.get("sendInitialEvents").is_some_and(|wanted| wanted == "true") {
            collection.write_initial_events(&mut chunks)?;
        }
        chunks.flush()?;
        // Only a watch that starts at the initial list of pods receives the prepared events or the error.
        let version = query.get_number("resourceVersion");
        let ignores_events = collection.objects.type_info.kind != "Pod"
            || version.is_some_and(|version| version as u64 > LIST_VERSION);
        match session.wait_at_gate(ignores_events) {
            Gate::Events => {
                chunks.write_encoded_chunks(self.dataset.event_chunks(format))?;
                session.wait_at_gate(true);
            }
            Gate::Expired => {
                let expired = format.encode(&status_json(410, "Expired", "too old resource version"));
                chunks.push_event("ERROR", [&expired, b"", b""])?;
            }
            Gate::Closed | Gate::Over => {}
        }
        chunks.end()
    }
}

/// A request for Kubernetes objects.
pub(crate) struct ApiRequest<'a> {
    /// The segments of the path after the session's name.
    pub(crate) path: &'a [&'a str],
    pub(crate) query: Query<'a>,
    /// The format that the client prefers.
    pub(crate) format: Format,
}

/// Sends the object with this index.
fn respond_object(out: &mut impl Write, format: Format, objects: &Objects, index: usize) -> io::Result<()> {
    let body = format.object_body(objects.type_info, objects.in_format(format).item(index));
    respond_in_format(format, out, "200 OK", &body.parts())
}

/// The objects, the resource version and the format of the response to a list request or watch request.
struct Collection<'a> {
    objects: &'a Objects,
    version: u64,
    format: Format,
}

impl Collection<'_> {
    /// Sends the page that the query selects, as a list.
    fn write_list(&self, out: &mut impl Write, query: &Query<'_>) -> io::Result<()> {
        let Self { objects, version, format } = self;
        let set = objects.in_format(*format);
        let start = query.get_number("continue").unwrap_or(0);
        let end = match query.get_number("limit") {
            None | Some(0) => set.len(),
            Some(limit) => (start + limit).min(set.len()),
        };
        let left = set.len().saturating_sub(end);
        let next = if left == 0 {
            String::new()
        } else {
            format!(r#","continue":"{end}","remainingItemCount":{left}"#)
        };
        let metadata = format!(r#"{{"resourceVersion":"{version}"{next}}}"#);
        let body = format.list_body(objects.type_info, &metadata, set.span(start..end));
        respond_in_format(*format, out, "200 OK", &body.parts())
    }

    /// Sends the initial events of a WatchList, and the bookmark at their end.
    fn write_initial_events<W: Write>(&self, chunks: &mut ChunkedResponse<'_, W>) -> io::Result<()> {
        let Self { objects, version, format } = self;
        let set = objects.in_format(*format);
        for index in 0..set.len() {
            chunks.push_event("ADDED", format.object_body(objects.type_info, set.item(index)).parts())?;
        }
        let (kind, api_version) = (objects.type_info.kind, objects.type_info.api_version);
        let end = format.encode(&format!(
            r#"{{"kind":"{kind}","apiVersion":"{api_version}","metadata":{{"resourceVersion":"{version}","creationTimestamp":null,"annotations":{{"k8s.io/initial-events-end":"true"}}}}}}"#
        ));
        chunks.push_event("BOOKMARK", [&end, b"", b""])
    }
}

/// The query parameters of a request. They are not percent-decoded: the bench sends no encoded values.
pub(crate) struct Query<'a>(pub(crate) &'a str);

impl Query<'_> {
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let mut pairs = self.0.split('&').filter_map(|pair| pair.split_once('='));
        pairs.find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    /// All values of a parameter. A parameter can occur several times.
    pub(crate) fn all_values(&self, name: &str) -> impl Iterator<Item = &str> {
        let pairs = self.0.split('&').filter_map(|pair| pair.split_once('='));
        pairs.filter(move |(known, _)| *known == name).map(|(_, value)| value)
    }

    fn get_number(&self, name: &str) -> Option<usize> {
        self.get(name)?.parse().ok()
    }
}

/// Sends a Kubernetes `Status` as the response.
fn respond_error(out: &mut impl Write, code: u16, reason: &str, message: &str) -> io::Result<()> {
    respond(out, &format!("{code} {reason}"), &[status_json(code, reason, message).as_bytes()])
}

/// The JSON of a Kubernetes `Status`.
fn status_json(code: u16, reason: &str, message: &str) -> String {
    format!(
        r#"{{"kind":"Status","apiVersion":"v1","metadata":{{}},"status":"Failure","message":"{message}","reason":"{reason}","code":{code}}}"#
    )
}
