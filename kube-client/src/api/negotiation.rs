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

    /// Sends a request that `request` built. Returns the response, and the decoder for its format.
    pub(super) async fn open_read(
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
                    self.client.format_memory().refuse(self.format_key(request));
                    response
                }
                outcome => outcome?,
            },
        };
        let kind = || self.protobuf_kind(request);
        let format = format_of(response.headers(), kind);
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

    /// The request with a preference for Protobuf; `None` if the request must be for JSON.
    fn protobuf_request(
        &self,
        request: &Request,
        verb: ReadVerb,
        http_request: &http::Request<Vec<u8>>,
    ) -> Option<http::Request<Vec<u8>>> {
        match self.format.unwrap_or(self.client.wire_format()) {
            WireFormat::Json => return None,
            WireFormat::Auto if verb == ReadVerb::Get => return None,
            WireFormat::Auto | WireFormat::Protobuf => {}
        }
        self.protobuf_kind(request)?;
        if self.client.format_memory().is_refused(&self.format_key(request)) {
            return None;
        }
        // The JSON types stay behind the same type in Protobuf, for servers without it.
        let json = http_request.headers().get(header::ACCEPT)?.to_str().ok()?;
        let parameters = json.split(',').next()?.strip_prefix("application/json")?;
        let accept = HeaderValue::try_from(format!("{PROTOBUF_MEDIA_TYPE}{parameters},{json}")).ok()?;
        let mut preferred = http_request.clone();
        preferred.headers_mut().insert(header::ACCEPT, accept);
        Some(preferred)
    }

    /// The message of the objects that `request` returns; `None` if Protobuf has none.
    fn protobuf_kind(&self, request: &Request) -> Option<ProtobufKind> {
        if request.is_for_metadata() {
            ProtobufKind::partial_object()
        } else {
            ProtobufKind::find(&self.group_version, &self.kind)
        }
    }

    /// The key of the objects that `request` returns in the memory of refused formats.
    fn format_key(&self, request: &Request) -> String {
        let form = if request.is_for_metadata() { "metadata of " } else { "" };
        format!("{form}{} {}", self.group_version, self.kind)
    }
}

/// Whether the server refused the format of a request.
fn is_format_refused(error: &Error) -> bool {
    let refused = [StatusCode::NOT_ACCEPTABLE, StatusCode::UNSUPPORTED_MEDIA_TYPE];
    error.status().is_some_and(|status| refused.iter().any(|code| code.as_u16() == status.code))
}

/// The format of a response. `kind` returns the requested kind.
pub(super) fn format_of(headers: &HeaderMap, kind: impl FnOnce() -> Option<ProtobufKind>) -> BodyFormat {
    let content_type = headers.get(header::CONTENT_TYPE).map_or(&[][..], HeaderValue::as_bytes);
    let media_type = content_type.get(..PROTOBUF_MEDIA_TYPE.len()).unwrap_or_default();
    if media_type.eq_ignore_ascii_case(PROTOBUF_MEDIA_TYPE.as_bytes()) {
        BodyFormat::Protobuf(kind().map(Arc::new))
    } else {
        BodyFormat::Json
    }
}
