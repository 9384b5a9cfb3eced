//! Negotiation of the format of a response: the `Accept` header of a read, the fallback to JSON, and the `Content-Type`.

use super::Api;
use crate::client::Body;
use crate::core::{Request, WireFormat};
use crate::wire::{BodyFormat, ObjectDecoder, PROTOBUF_MEDIA_TYPE, ProtobufKind};
use crate::{Error, Result};
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use std::sync::Arc;

/// A verb that reads objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ReadVerb {
    Get,
    List,
    Watch,
}

impl<K> Api<K> {
    /// Sets the format in which get, list and watch read objects, instead of the format of the client. See
    /// [`WireFormat`].
    ///
    /// ```
    /// use k8s_openapi::api::core::v1::ConfigMap;
    /// use kube_client::{Api, Client, config::WireFormat};
    ///
    /// # let client = Client::new(kube_sim::Sim::new().service(), "default");
    /// let maps = Api::<ConfigMap>::default_namespaced(client).wire_format(WireFormat::Protobuf);
    /// ```
    #[must_use]
    pub fn wire_format(mut self, format: WireFormat) -> Self {
        self.format = Some(format);
        self
    }

    /// Sends `http_request`, which `request` built. First requests Protobuf, unless only JSON may be requested. If the
    /// server refuses Protobuf, requests JSON. Returns the response, and the decoder for the format of the response.
    pub(super) async fn send_read_request(
        &self,
        request: &Request,
        verb: ReadVerb,
        http_request: http::Request<Vec<u8>>,
    ) -> Result<(Response<Body>, ObjectDecoder)> {
        let response = match self.protobuf_request(request, verb, &http_request) {
            None => self.client.open(http_request).await?,
            Some(preferred) => match self.client.open(preferred).await {
                Err(error) if is_format_refused(&error) => {
                    let response = self.client.open(http_request).await?;
                    self.client.kinds_without_protobuf().add(self.refusal_key(request));
                    response
                }
                outcome => outcome?,
            },
        };
        let kind = || self.protobuf_kind(request);
        let format = response_format(response.headers(), kind);
        if let BodyFormat::Protobuf(None) = format {
            return Err(Error::Decode {
                what: format!("the Protobuf response to {}", request.url_path),
                source: format!(
                    "{} {} has no Protobuf table: request JSON for this kind",
                    self.group_version, self.kind
                )
                .into(),
            });
        }
        Ok((response, self.decoder().with_format(format)))
    }

    /// A copy of `http_request` whose `Accept` header prefers Protobuf; `None` if only JSON may be requested.
    fn protobuf_request(
        &self,
        request: &Request,
        verb: ReadVerb,
        http_request: &http::Request<Vec<u8>>,
    ) -> Option<http::Request<Vec<u8>>> {
        let prefers_protobuf = match self.format.unwrap_or(self.client.wire_format()) {
            WireFormat::Protobuf => true,
            WireFormat::Auto => verb != ReadVerb::Get,
            _ => false,
        };
        if !prefers_protobuf {
            return None;
        }
        self.protobuf_kind(request)?;
        if self.client.kinds_without_protobuf().contains(&self.refusal_key(request)) {
            return None;
        }
        // The Protobuf type comes first; the JSON types remain as the fallback for servers without Protobuf.
        let json = http_request.headers().get(header::ACCEPT)?.to_str().ok()?;
        let parameters = json.split(',').next()?.strip_prefix("application/json")?;
        let accept = HeaderValue::try_from(format!("{PROTOBUF_MEDIA_TYPE}{parameters},{json}")).ok()?;
        let mut preferred = http_request.clone();
        preferred.headers_mut().insert(header::ACCEPT, accept);
        Some(preferred)
    }

    /// The Protobuf message type of the objects that `request` returns; `None` if the kind has no message type.
    fn protobuf_kind(&self, request: &Request) -> Option<ProtobufKind> {
        if request.is_for_metadata() {
            ProtobufKind::partial_object()
        } else {
            ProtobufKind::find(&self.group_version, &self.kind)
        }
    }

    /// The key under which the client remembers that the server refuses Protobuf for the objects of `request`.
    fn refusal_key(&self, request: &Request) -> String {
        let form = if request.is_for_metadata() { "metadata of " } else { "" };
        format!("{form}{} {}", self.group_version, self.kind)
    }
}

/// Whether the server refused a read because of its `Accept` header. A read has no body, so not only 406 but
/// also 415 is about this header.
fn is_format_refused(error: &Error) -> bool {
    let refused = [StatusCode::NOT_ACCEPTABLE, StatusCode::UNSUPPORTED_MEDIA_TYPE];
    error.status().is_some_and(|status| refused.iter().any(|code| code.as_u16() == status.code))
}

/// The format of a response. `kind` returns the Protobuf message type of the requested objects, if there is one.
pub(super) fn response_format(
    headers: &HeaderMap,
    kind: impl FnOnce() -> Option<ProtobufKind>,
) -> BodyFormat {
    let content_type = headers.get(header::CONTENT_TYPE).map_or(&[][..], HeaderValue::as_bytes);
    let media_type = content_type.get(..PROTOBUF_MEDIA_TYPE.len()).unwrap_or_default();
    if media_type.eq_ignore_ascii_case(PROTOBUF_MEDIA_TYPE.as_bytes()) {
        BodyFormat::Protobuf(kind().map(Arc::new))
    } else {
        BodyFormat::Json
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Client;
    use crate::core::{ListParams, ObjectMeta};
    use crate::wire::encode_protobuf;
    use k8s_openapi::api::core::v1::{ConfigMap, Pod};
    use serde_json::json;
    use std::convert::Infallible;
    use std::sync::Mutex;

    /// The `Accept` headers of the requests that a server received.
    type AcceptHeaders = Arc<Mutex<Vec<String>>>;

    /// Returns a client, and the `Accept` headers that its server has received. The server responds with the status,
    /// `Content-Type` and body that `respond` returns for the `Accept` header of a request.
    fn recording_client(
        respond: impl Fn(&str) -> (u16, &'static str, Vec<u8>) + Clone + Send + Sync + 'static,
    ) -> (Client, AcceptHeaders) {
        let accepted = AcceptHeaders::default();
        let record = accepted.clone();
        let service = tower::service_fn(move |request: http::Request<Body>| {
            let accept = request.headers()[header::ACCEPT].to_str().unwrap().to_owned();
            let (code, content_type, body) = respond(&accept);
            record.lock().unwrap().push(accept);
            let response = Response::builder().status(code).header(header::CONTENT_TYPE, content_type);
            std::future::ready(Ok::<_, Infallible>(response.body(Body::from(body)).unwrap()))
        });
        (Client::new(service, "default"), accepted)
    }

    const JSON_LIST: &str = r#"{"kind":"ConfigMapList","apiVersion":"v1","metadata":{},"items":[]}"#;

    #[tokio::test]
    async fn a_refusal_of_protobuf_is_remembered_per_kind() {
        for code in [406, 415] {
            let (client, accepted) = recording_client(move |accept| {
                if accept.contains("protobuf") {
                    (code, "application/json", Vec::new())
                } else {
                    (200, "application/json", JSON_LIST.into())
                }
            });
            let client = client.with_wire_format(WireFormat::Auto);
            let maps: Api<ConfigMap> = Api::default_namespaced(client.clone());
            for _ in 0..2 {
                assert!(maps.list(&ListParams::default()).await.unwrap().items.is_empty());
            }
            let protobuf = "application/vnd.kubernetes.protobuf,application/json";
            assert_eq!(*accepted.lock().unwrap(), [protobuf, "application/json", "application/json"]);
            accepted.lock().unwrap().clear();
            // The client still requests Protobuf for other kinds, and for the metadata of the same kind.
            let _ = Api::<Pod>::default_namespaced(client).list(&ListParams::default()).await;
            let _ = maps.list_metadata(&ListParams::default()).await;
            let accepted = accepted.lock().unwrap();
            assert_eq!(accepted[0], protobuf);
            assert!(accepted[2].starts_with(
                "application/vnd.kubernetes.protobuf;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json;as="
            ));
        }
    }

    #[tokio::test]
    async fn the_content_type_of_a_response_selects_the_decoder() {
        let (client, _) = recording_client(|_| (200, "application/json", JSON_LIST.into()));
        let maps: Api<ConfigMap> = Api::default_namespaced(client).wire_format(WireFormat::Protobuf);
        assert!(maps.list(&ListParams::default()).await.unwrap().items.is_empty());
        let map = ConfigMap {
            metadata: ObjectMeta { name: Some("a".into()), ..ObjectMeta::default() },
            ..ConfigMap::default()
        };
        let body =
            encode_protobuf(&json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}}));
        let (client, accepted) = recording_client(move |_| {
            (200, "Application/vnd.kubernetes.Protobuf; charset=x", body.clone().unwrap())
        });
        let maps: Api<ConfigMap> = Api::default_namespaced(client.clone());
        assert_eq!(maps.get("a").await.unwrap(), map);
        assert_eq!(*accepted.lock().unwrap(), ["application/json"]);
    }

    #[tokio::test]
    async fn a_body_that_contradicts_its_content_type_is_an_error_with_kind_and_path() {
        for (content_type, body) in [
            (PROTOBUF_MEDIA_TYPE, JSON_LIST.as_bytes().to_vec()),
            ("application/json", b"k8s\0\x0a\x00".to_vec()),
        ] {
            let (client, _) = recording_client(move |_| (200, content_type, body.clone()));
            let maps: Api<ConfigMap> = Api::default_namespaced(client).wire_format(WireFormat::Protobuf);
            let error = maps.list(&ListParams::default()).await.unwrap_err().to_string();
            assert!(error.contains("ConfigMap"), "{error}");
            let error = maps.get("a").await.unwrap_err().to_string();
            assert!(error.contains("/api/v1/namespaces/default/configmaps/a"), "{error}");
        }
    }

    #[tokio::test]
    async fn unexpected_protobuf_of_a_custom_resource_is_an_error() {
        use crate::core::{ApiResource, DynamicObject, GroupVersionKind};
        let widget = ApiResource::from_gvk(&GroupVersionKind::gvk("example.com", "v1", "Widget"));
        let (client, accepted) = recording_client(|_| (200, PROTOBUF_MEDIA_TYPE, b"k8s\0".to_vec()));
        let widgets: Api<DynamicObject> =
            Api::all_with(client.with_wire_format(WireFormat::Protobuf), &widget);
        let error = widgets.list(&ListParams::default()).await.unwrap_err();
        assert!(error.to_string().contains("/apis/example.com/v1/widgets"), "{error}");
        assert_eq!(*accepted.lock().unwrap(), ["application/json"]);
    }
}
