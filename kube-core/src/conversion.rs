//! Conversion reviews. A review is the body of a request from an API server to the conversion webhook of a custom
//! resource, or the body of the response.
//!
//! [`Converter`] converts the objects of a review. This module performs no IO: `kube_runtime::webhook` serves HTTPS.

pub use super::converter::{ConversionError, Converter};
use super::{Status, TypeMeta, null::null_as_default};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;

/// The `kind` of a [`ConversionReview`].
pub const META_KIND: &str = "ConversionReview";
/// The `apiVersion` of a [`ConversionReview`].
pub const META_API_VERSION_V1: &str = "apiextensions.k8s.io/v1";

/// The error for a [`ConversionReview`] without a request.
#[derive(Debug, Error)]
#[error("read a ConversionReview: the field `request` is missing")]
pub struct ConvertConversionReviewError;

/// The body of a request to a conversion webhook, and of the response (`apiextensions.k8s.io/v1 ConversionReview`).
///
/// The server sets `request`; the webhook answers with a review that contains only `response`. See
/// [Versions in CustomResourceDefinitions](https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definition-versioning/).
///
/// ```
/// use kube_core::conversion::{ConversionRequest, ConversionResponse, ConversionReview};
///
/// let body = r#"{
///     "apiVersion": "apiextensions.k8s.io/v1", "kind": "ConversionReview",
///     "request": {
///         "uid": "705ab4f5", "desiredAPIVersion": "example.com/v2",
///         "objects": [{"apiVersion": "example.com/v1", "kind": "Site", "spec": {"port": 80}}]
///     }
/// }"#;
/// let review: ConversionReview = serde_json::from_str(body)?;
/// let request = ConversionRequest::from_review(review)?;
/// let convert = |object: &serde_json::Value| {
///     let mut object = object.clone();
///     object["apiVersion"] = request.desired_api_version.clone().into();
///     object["spec"] = serde_json::json!({ "ports": [object["spec"]["port"]] });
///     object
/// };
/// let converted = request.objects.iter().map(convert).collect();
/// let reply = serde_json::to_value(ConversionResponse::for_request(request).success(converted).into_review())?;
/// assert_eq!(reply["response"]["result"]["status"], "Success");
/// assert_eq!(reply["response"]["convertedObjects"][0]["spec"]["ports"][0], 80);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct ConversionReview {
    /// `apiVersion` and `kind` of the review. A review with a response must have the same values as
    /// the review with the request.
    #[serde(flatten)]
    pub types: TypeMeta,
    /// The request; set by the server only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<ConversionRequest>,
    /// The response; set by the webhook only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response: Option<ConversionResponse>,
}

/// Objects to convert (`apiextensions.k8s.io/v1 ConversionRequest`).
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct ConversionRequest {
    /// `apiVersion` and `kind` of the review. The response repeats them. `None` if the request was not taken from a
    /// review.
    #[serde(skip)]
    pub types: Option<TypeMeta>,
    /// The identifier of this request. The response repeats the identifier.
    pub uid: String,
    /// The `apiVersion` to convert to, such as `example.com/v2`.
    #[serde(rename = "desiredAPIVersion")]
    pub desired_api_version: String,
    /// The objects. They may have different versions, and may have the desired version already.
    pub objects: Vec<Value>,
}

impl ConversionRequest {
    /// Takes the request out of a review.
    ///
    /// # Errors
    ///
    /// If the review has no request.
    pub fn from_review(review: ConversionReview) -> Result<Self, ConvertConversionReviewError> {
        let types = Some(review.types);
        review.request.map(|request| Self { types, ..request }).ok_or(ConvertConversionReviewError)
    }
}

impl TryFrom<ConversionReview> for ConversionRequest {
    type Error = ConvertConversionReviewError;

    fn try_from(review: ConversionReview) -> Result<Self, Self::Error> {
        Self::from_review(review)
    }
}

/// The response to a [`ConversionRequest`] (`apiextensions.k8s.io/v1 ConversionResponse`).
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct ConversionResponse {
    /// `apiVersion` and `kind` of the review. `None` means `apiextensions.k8s.io/v1` and `ConversionReview`.
    #[serde(skip)]
    pub types: Option<TypeMeta>,
    /// The uid of the request.
    pub uid: String,
    /// Whether the conversion succeeded. After a failure, the server rejects the user's request with the message of
    /// this status.
    pub result: Status,
    /// The converted objects, in the order of the request; empty after a failure. The server rejects a change of
    /// name, namespace or uid. Of the remaining metadata, the server uses only the converted labels and annotations.
    #[serde(rename = "convertedObjects", default, deserialize_with = "null_as_default")]
    pub converted_objects: Vec<Value>,
}

impl ConversionResponse {
    /// Creates the response to `request`. The response is incomplete until [`success`](Self::success) or
    /// [`failure`](Self::failure) sets its result.
    #[must_use]
    pub fn for_request(request: ConversionRequest) -> Self {
        Self {
            types: request.types,
            uid: request.uid,
            result: Status::default(),
            converted_objects: Vec::new(),
        }
    }

    /// Reports a success, with the converted objects in the order of the request.
    #[must_use]
    pub fn success(mut self, converted_objects: Vec<Value>) -> Self {
        self.result = Status::success();
        self.converted_objects = converted_objects;
        self
    }

    /// Reports a failure. The server shows the message of `status` to the user.
    #[must_use]
    pub fn failure(mut self, status: Status) -> Self {
        self.result = status;
        self.converted_objects = Vec::new();
        self
    }

    /// Creates the response to a body that is not a conversion request. The response has no uid, because the body has
    /// none.
    #[must_use]
    pub fn invalid(status: Status) -> Self {
        Self { types: None, uid: String::new(), result: status, converted_objects: Vec::new() }
    }

    /// Returns the review that contains this response. The review is the body that the webhook sends.
    #[must_use]
    pub fn into_review(self) -> ConversionReview {
        self.into()
    }
}

impl From<ConversionRequest> for ConversionResponse {
    fn from(request: ConversionRequest) -> Self {
        Self::for_request(request)
    }
}

impl From<ConversionResponse> for ConversionReview {
    fn from(mut response: ConversionResponse) -> Self {
        let types = response.types.take().unwrap_or_else(|| TypeMeta {
            api_version: META_API_VERSION_V1.to_owned(),
            kind: META_KIND.to_owned(),
        });
        Self { types, request: None, response: Some(response) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reason;
    use serde_json::json;

    fn review() -> Value {
        json!({
            "apiVersion": META_API_VERSION_V1, "kind": META_KIND,
            "request": {"uid": "f2b1", "desiredAPIVersion": "example.com/v2", "objects": [{"spec": 1}, {"spec": 2}]},
        })
    }

    fn request() -> ConversionRequest {
        serde_json::from_value::<ConversionReview>(review()).unwrap().try_into().unwrap()
    }

    #[test]
    fn a_review_serializes_as_it_was_received() {
        let decoded: ConversionReview = serde_json::from_value(review()).unwrap();
        assert_eq!(serde_json::to_value(decoded).unwrap(), review());
    }

    #[test]
    fn a_success_repeats_the_uid_and_contains_the_objects() {
        let reply =
            ConversionResponse::for_request(request()).success(vec![json!({"spec": 3})]).into_review();
        let expected = json!({
            "apiVersion": META_API_VERSION_V1, "kind": META_KIND,
            "response": {"uid": "f2b1", "result": {"status": "Success"}, "convertedObjects": [{"spec": 3}]},
        });
        assert_eq!(serde_json::to_value(reply).unwrap(), expected);
    }

    #[test]
    fn a_failure_has_the_message_and_no_objects() {
        let status = Status::failure("no v2 of a site without a host", reason::INVALID);
        let failed =
            ConversionResponse::for_request(request()).success(vec![json!(1)]).failure(status.clone());
        assert_eq!((failed.uid.as_str(), failed.converted_objects.len()), ("f2b1", 0));
        assert_eq!(failed.result, status);
    }

    #[test]
    fn the_answer_to_a_body_without_a_request_is_a_review_with_an_error() {
        let body = json!({"apiVersion": META_API_VERSION_V1, "kind": META_KIND});
        let error = ConversionRequest::from_review(serde_json::from_value(body).unwrap()).unwrap_err();
        let status = Status::failure(&error.to_string(), reason::BAD_REQUEST);
        let reply = ConversionResponse::invalid(status).into_review();
        assert_eq!(
            (reply.types.kind.as_str(), reply.types.api_version.as_str()),
            (META_KIND, META_API_VERSION_V1)
        );
        assert!(reply.response.unwrap().result.message.contains("`request`"));
    }

    #[test]
    fn converted_objects_may_be_null() {
        let body = json!({"uid": "f2b1", "result": {"status": "Failure"}, "convertedObjects": null});
        let response: ConversionResponse = serde_json::from_value(body).unwrap();
        assert!(response.converted_objects.is_empty() && response.result.is_failure());
    }
}
