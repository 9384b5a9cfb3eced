//! `Request`: builds `http::Request`s for a resource, without sending them.
//!
//! Paths are relative to the server's root; the client's tower stack adds the server's URL and the credentials.

mod kubelet;
mod streams;
mod verbs;

use super::Representation;
use super::params::Query;
use super::resource::join_collection_path;
use http::{Method, header};
use std::fmt;
use thiserror::Error as ThisError;

pub use kubelet::KubeletDebugParams;

/// The error for a request that cannot be built.
#[derive(Debug, ThisError)]
#[non_exhaustive]
pub enum Error {
    /// A parameter or a name is invalid. For example, two parameters contradict each other, or a name is not a valid
    /// path segment.
    #[error("invalid request: {0}")]
    Validation(String),
    /// The body cannot be serialized as JSON.
    #[error("serialize the body of a request")]
    SerializeBody(#[source] serde_json::Error),
    /// The path, the query or a header is not valid in HTTP.
    #[error("build a request")]
    Build(#[source] http::Error),
}

/// Builds requests for one collection. Each method that builds a request returns an error if a segment of
/// [`url_path`](Self::url_path) is not valid, such as an empty namespace.
///
/// ```
/// use k8s_openapi::api::core::v1::Pod;
/// use kube_core::{ListParams, Request, Resource};
///
/// let pods = Request::new(Pod::url_path(&(), Some("web")));
/// let request = pods.list(&ListParams::default().limit(10))?;
/// assert_eq!(request.uri(), "/api/v1/namespaces/web/pods?limit=10");
/// # Ok::<(), kube_core::request::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Request {
    /// The path of the collection, such as `/api/v1/namespaces/web/pods`.
    pub url_path: String,
    representation: Representation,
}

impl Request {
    /// Creates a builder of requests for the collection at `url_path`. Usually,
    /// [`Resource::url_path`](super::Resource::url_path) returns this path.
    pub fn new(url_path: impl Into<String>) -> Self {
        Self { url_path: url_path.into(), representation: Representation::Full }
    }

    /// Sets the form in which the server returns objects.
    #[must_use]
    pub fn representation(mut self, representation: Representation) -> Self {
        self.representation = representation;
        self
    }

    /// Whether the requests ask for only the metadata of objects.
    #[doc(hidden)]
    pub fn is_for_metadata(&self) -> bool {
        self.representation == Representation::Metadata
    }

    /// Returns a builder for the same collection in `namespace`, or in all namespaces if `namespace` is `None`.
    /// `has_namespace` states whether `self.url_path` contains a namespace.
    #[doc(hidden)]
    pub fn in_namespace(&self, has_namespace: bool, namespace: Option<&str>) -> Self {
        let (parent, plural) = self.url_path.rsplit_once('/').unwrap_or(("", &self.url_path));
        // `rsplitn` yields the namespace, the segment `namespaces` and the path of the group version.
        let version = if has_namespace { parent.rsplitn(3, '/').nth(2).unwrap_or(parent) } else { parent };
        Self { url_path: join_collection_path(version, namespace, plural), ..self.clone() }
    }

    /// The path of the collection. Checks each segment, because `url_path` may contain an invalid namespace.
    fn collection_path(&self) -> Result<&str, Error> {
        for part in self.url_path.strip_prefix('/').unwrap_or(&self.url_path).split('/') {
            check_path_segment(format_args!("part of the path {:?}", self.url_path), part)?;
        }
        Ok(&self.url_path)
    }

    fn object_path(&self, name: &str, subresource: Option<&str>) -> Result<String, Error> {
        let collection = self.collection_path()?;
        check_path_segment(format_args!("name of an object"), name)?;
        let subresource_length = subresource.map_or(0, |subresource| 1 + subresource.len());
        let mut path = String::with_capacity(collection.len() + 1 + name.len() + subresource_length);
        path.push_str(collection);
        path.push('/');
        path.extend(percent_encoding::utf8_percent_encode(name, ESCAPED_IN_PATH_SEGMENT));
        if let Some(subresource) = subresource {
            check_path_segment(format_args!("name of a subresource"), subresource)?;
            path.push('/');
            path.extend(percent_encoding::utf8_percent_encode(subresource, ESCAPED_IN_PATH_SEGMENT));
        }
        Ok(path)
    }

    /// Builds a GET request. `list` states whether the response is a list.
    fn build_read(&self, path: &str, query: Query, list: bool) -> Result<http::Request<Vec<u8>>, Error> {
        let accept = self.accept_header(list);
        build_request(Method::GET, path, query, &[(header::ACCEPT, accept)], Vec::new())
    }

    /// Builds a request with a body, such as POST, PUT, PATCH or DELETE.
    fn build_write(
        &self,
        method: Method,
        path: &str,
        query: Query,
        content_type: &str,
        body: Vec<u8>,
    ) -> Result<http::Request<Vec<u8>>, Error> {
        let headers = [(header::ACCEPT, self.accept_header(false)), (header::CONTENT_TYPE, content_type)];
        build_request(method, path, query, &headers, body)
    }

    /// The value of the `Accept` header. For metadata, plain JSON is last, as a fallback for servers that do not support
    /// `PartialObjectMetadata`.
    fn accept_header(&self, list: bool) -> &'static str {
        match (self.representation, list) {
            (Representation::Full, _) => JSON_CONTENT_TYPE,
            (Representation::Metadata, false) => {
                "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json"
            }
            (Representation::Metadata, true) => {
                "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"
            }
            // Omit the fallback to plain JSON, because a plain list does not decode as a table.
            (Representation::Table, _) => "application/json;as=Table;g=meta.k8s.io;v=v1",
        }
    }
}

const JSON_CONTENT_TYPE: &str = "application/json";

/// The characters to escape in a path segment. `/` and `%` are missing here because `check_path_segment` rejects them.
const ESCAPED_IN_PATH_SEGMENT: &percent_encoding::AsciiSet = &percent_encoding::CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'`')
    .add(b'{')
    .add(b'}');

/// Rejects the names that the API server rejects in paths.
fn check_path_segment(what: fmt::Arguments<'_>, segment: &str) -> Result<(), Error> {
    let problem = match segment {
        "" => "is empty",
        "." | ".." => "is a relative path",
        _ if segment.bytes().any(|byte| matches!(byte, b'/' | b'%')) => "contains '/' or '%'",
        _ => return Ok(()),
    };
    Err(Error::Validation(format!("the {what}, {segment:?}, {problem}")))
}

/// Builds a request with the query appended to `path`.
fn build_request(
    method: Method,
    path: &str,
    query: Query,
    headers: &[(header::HeaderName, &str)],
    body: Vec<u8>,
) -> Result<http::Request<Vec<u8>>, Error> {
    let mut request = http::Request::builder().method(method).uri(query.into_path_and_query(path));
    for (name, value) in headers {
        request = request.header(name, *value);
    }
    request.body(body).map_err(Error::Build)
}

#[cfg(test)]
mod tests;
