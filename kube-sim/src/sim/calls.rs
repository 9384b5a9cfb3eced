//! Direct requests (the errors say "a direct call"): `Sim` calls the handlers without a connection, for tests and for
//! `WorkloadSimulator`.

use bytes::{Bytes, BytesMut};
use futures::{FutureExt as _, StreamExt as _};
use http::Method;
use serde_json::Value;

use super::Sim;
use crate::handler;
use crate::handler::reply::{Content, Request};
use crate::journal::Recorder;
use crate::server::service::journal_entry;
use crate::status::SimError;
use crate::store::cache::Arrival;
use crate::user::User;

impl Sim {
    /// The URL path of the collection of a kind.
    fn collection_path(&self, api_version: &str, kind: &str, namespace: &str) -> Result<String, SimError> {
        let found = self.inner.lock().registry.find_kind(api_version, kind);
        let resource = found.ok_or_else(|| {
            SimError::bad_request(format!("no kind \"{kind}\" of apiVersion \"{api_version}\" is served"))
        })?;
        let root = if resource.group.is_empty() { "/api" } else { "/apis" };
        let scope = match (resource.namespaced, namespace) {
            (false, _) | (true, "") => String::new(),
            (true, namespace) => format!("/namespaces/{namespace}"),
        };
        Ok(format!("{root}/{}{scope}/{}", resource.api_version, resource.plural))
    }

    /// The URL path of the collection of an object, or of the object itself if `named` is set.
    fn object_path(&self, object: &Value, named: bool) -> Result<String, SimError> {
        let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
        let meta = &object["metadata"];
        let namespace = match meta["namespace"].as_str() {
            Some(namespace) if !namespace.is_empty() => namespace,
            _ => "default",
        };
        let mut path =
            self.collection_path(&text(&object["apiVersion"]), &text(&object["kind"]), namespace)?;
        if named {
            path.push('/');
            path.push_str(meta["name"].as_str().unwrap_or_default());
        }
        Ok(path)
    }

    /// Handles one request like a request of the administrator. This method ignores the fault rules, and calls no
    /// admission webhooks. It adds the request to the journal only if the journal records bodies, and does not count the
    /// request in the metrics. Returns the JSON of the response body, or a string if the body is text.
    ///
    /// `path` can contain a query. For a patch, `content_type` selects the type of the patch.
    ///
    /// # Errors
    /// The `Status` of a response that is not 2xx; 400 for a watch, and 500 if a conversion webhook must convert an
    /// object.
    pub fn request(
        &self,
        method: &Method,
        path: &str,
        content_type: &str,
        body: &Value,
    ) -> Result<Value, SimError> {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let request = Request {
            method: method.clone(),
            path: path.to_owned(),
            query: query.to_owned(),
            accept: String::new(),
            content_type: content_type.to_owned(),
            user_agent: "kube-sim".into(),
            user: User::administrator("system:admin"),
            if_none_match: String::new(),
            calls_webhooks: false,
            upgrade: None,
            arrival: Arrival::default(),
            body: if body.is_null() { Bytes::new() } else { Bytes::from(body.to_string()) },
        };
        let recorder = self.record_direct_request(&request);
        // A handler waits only for webhooks, and a direct request calls no webhooks.
        let handled = handler::handle(&self.inner, &request)
            .now_or_never()
            .unwrap_or_else(|| Err(SimError::internal("a direct call cannot wait: use Sim::service")));
        let (code, outcome) = match handled {
            Ok(reply) => (reply.code, collect_body(reply.content)),
            Err(error) => (error.code(), Err(error)),
        };
        if let Some(recorder) = recorder {
            recorder.record_status(code, self.resource_version());
            match &outcome {
                Ok(text) => recorder.record_response_part(text),
                Err(error) => recorder.record_response_part(&Bytes::from(format!("{}\n", error.status()))),
            }
        }
        let text = outcome?;
        let value = serde_json::from_slice(&text)
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&text).into_owned()));
        if code.is_success() {
            return Ok(value);
        }
        Err(SimError::new(code, "", value.as_str().unwrap_or_default().trim()))
    }

    /// Adds a direct request ([`Entry::direct`](crate::Entry::direct)) to the journal. Returns the recorder
    /// of the new entry. If the journal records no bodies, adds nothing and returns `None`.
    fn record_direct_request(&self, request: &Request) -> Option<Recorder> {
        let journal = &self.inner.journal;
        if !journal.records_bodies() {
            return None;
        }
        let recorder = journal.add_entry(journal_entry(&self.inner, request, true));
        recorder.record_request_body(&request.body);
        recorder.record_handling(self.inner.clock.now(), self.resource_version());
        Some(recorder)
    }

    /// Creates an object. The namespace of a namespaced kind defaults to `default`.
    ///
    /// # Errors
    /// The `Status` with which the server refuses the request.
    pub fn create(&self, object: &Value) -> Result<Value, SimError> {
        let path = self.object_path(object, false)?;
        self.request(&Method::POST, &path, "application/json", object)
    }

    /// Replaces an object. If `object` has a resource version, it must be the current one.
    ///
    /// # Errors
    /// The `Status` with which the server refuses the request.
    pub fn update(&self, object: &Value) -> Result<Value, SimError> {
        let path = self.object_path(object, true)?;
        self.request(&Method::PUT, &path, "application/json", object)
    }

    /// Replaces the status of an object.
    ///
    /// # Errors
    /// The `Status` with which the server refuses the request.
    pub fn update_status(&self, object: &Value) -> Result<Value, SimError> {
        let path = format!("{}/status", self.object_path(object, true)?);
        self.request(&Method::PUT, &path, "application/json", object)
    }

    /// Returns one object; `namespace` is empty for a cluster-scoped kind.
    ///
    /// # Errors
    /// 404 when the object does not exist, 400 when the kind is not served.
    pub fn get(&self, api_version: &str, kind: &str, namespace: &str, name: &str) -> Result<Value, SimError> {
        let path = format!("{}/{name}", self.collection_path(api_version, kind, namespace)?);
        self.request(&Method::GET, &path, "", &Value::Null)
    }

    /// Lists the objects of a kind in a namespace, or in all namespaces if `namespace` is empty.
    ///
    /// # Errors
    /// 400 when the kind is not served.
    pub fn list(&self, api_version: &str, kind: &str, namespace: &str) -> Result<Vec<Value>, SimError> {
        let path = self.collection_path(api_version, kind, namespace)?;
        let mut list = self.request(&Method::GET, &path, "", &Value::Null)?;
        match list["items"].take() {
            Value::Array(items) => Ok(items),
            _ => Ok(Vec::new()),
        }
    }

    /// Deletes one object with the default propagation policy of its kind.
    ///
    /// # Errors
    /// 404 when the object does not exist, 400 when the kind is not served.
    pub fn delete(
        &self,
        api_version: &str,
        kind: &str,
        namespace: &str,
        name: &str,
    ) -> Result<Value, SimError> {
        let path = format!("{}/{name}", self.collection_path(api_version, kind, namespace)?);
        self.request(&Method::DELETE, &path, "", &Value::Null)
    }
}

/// The body of a response in one buffer.
///
/// # Errors
/// 400 for a watch and for an upgrade.
fn collect_body(content: Content) -> Result<Bytes, SimError> {
    let mut text = BytesMut::new();
    match content {
        Content::Whole(bytes) => return Ok(bytes),
        Content::Pieces(pieces, _) => pieces.for_each(|p| text.extend_from_slice(&p)),
        // A log with `follow` ends here: this function does not wait for new lines.
        Content::Stream(mut parts) => {
            while let Some(Some(part)) = parts.next().now_or_never() {
                text.extend_from_slice(&part);
            }
        }
        Content::Watch(_) | Content::Upgrade(_) => {
            return Err(SimError::bad_request("a watch is not supported here: use Sim::service"));
        }
    }
    Ok(text.freeze())
}
