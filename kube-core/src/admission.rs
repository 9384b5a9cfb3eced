//! Admission reviews: the requests that an API server sends to an admission webhook, and the responses.
//!
//! This module contains only the types. A webhook of `kube_runtime::webhook` receives and answers reviews over HTTPS.

use super::{
    DynamicObject, GroupVersionKind, GroupVersionResource, Status, TypeMeta, null::null_as_default, reason,
    redact_decode_error,
};
use k8s_openapi::{ByteString, api::authentication::v1::UserInfo, apimachinery::pkg::runtime::RawExtension};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::DeserializeOwned};
use serde_json::Value;
use std::collections::HashMap;
use thiserror::Error;

/// The `kind` of an [`AdmissionReview`].
pub const META_KIND: &str = "AdmissionReview";
/// The `apiVersion` of an [`AdmissionReview`].
pub const META_API_VERSION_V1: &str = "admission.k8s.io/v1";

/// The error for a JSON Patch that does not serialize.
#[derive(Debug, Error)]
#[error("serialize the JSON Patch of an admission response")]
pub struct SerializePatchError(#[source] serde_json::Error);

/// The error for an [`AdmissionReview`] without a request.
#[derive(Debug, Error)]
#[error("read an AdmissionReview: the field `request` is missing")]
pub struct ConvertAdmissionReviewError;

/// The error of [`AdmissionRequest::decode`]: an object in the request does not decode as the requested type.
#[derive(Debug, Error)]
#[error("decode `{field}` of the admission request for {kind} {name:?}")]
pub struct DecodeObjectError {
    /// `object` or `oldObject`.
    field: &'static str,
    kind: String,
    name: String,
    /// The decoder's error, without values of the object.
    source: serde_json::Error,
}

/// The body of an HTTP request to an admission webhook, or the body of the HTTP response
/// (`admission.k8s.io/v1 AdmissionReview`).
///
/// The server sets `request`; the webhook answers with a review that contains only `response`. See
/// [Dynamic Admission Control](https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/).
///
/// ```
/// use k8s_openapi::api::core::v1::ConfigMap;
/// use kube_core::admission::{AdmissionRequest, AdmissionResponse, AdmissionReview};
///
/// let body = r#"{
///     "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
///     "request": {
///         "uid": "705ab4f5", "operation": "CREATE", "userInfo": {"username": "jane"},
///         "kind": {"group": "", "version": "v1", "kind": "ConfigMap"},
///         "resource": {"group": "", "version": "v1", "resource": "configmaps"},
///         "name": "settings", "namespace": "web",
///         "object": {"metadata": {"name": "settings"}}
///     }
/// }"#;
/// let review: AdmissionReview<ConfigMap> = serde_json::from_str(body)?;
/// let request: AdmissionRequest<ConfigMap> = review.try_into()?;
/// let mut response = AdmissionResponse::from(&request);
/// if request.object.is_some_and(|object| object.data.is_none()) {
///     response = response.deny("a config map needs data");
/// }
/// let reply = serde_json::to_value(response.into_review())?;
/// assert_eq!(reply["response"]["uid"], "705ab4f5");
/// assert_eq!(reply["response"]["allowed"], false);
/// assert_eq!(reply["response"]["status"]["message"], "a config map needs data");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Serialize, Deserialize, Clone, Debug)]
pub struct AdmissionReview<T> {
    /// `apiVersion` and `kind`. The review with the response must repeat the values of the review with the request.
    #[serde(flatten)]
    pub types: TypeMeta,
    /// The request; set by the server only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<AdmissionRequest<T>>,
    /// The response; set by the webhook only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response: Option<AdmissionResponse>,
}

impl<T> TryFrom<AdmissionReview<T>> for AdmissionRequest<T> {
    type Error = ConvertAdmissionReviewError;

    fn try_from(review: AdmissionReview<T>) -> Result<Self, Self::Error> {
        let types = review.types;
        review.request.map(|request| Self { types, ..request }).ok_or(ConvertAdmissionReviewError)
    }
}

/// A write or a connection that the webhook allows or rejects (`admission.k8s.io/v1 AdmissionRequest`).
///
/// `T` is the type of the object: a typed kind, or [`DynamicObject`] for a webhook of several kinds. For a connect request,
/// use `serde_json::Value`, because the options of the request, such as `PodExecOptions`, are not objects with metadata.
#[derive(Serialize, Deserialize, Clone, Debug)]
#[serde(rename_all = "camelCase")]
pub struct AdmissionRequest<T> {
    /// `apiVersion` and `kind` of the review. The response repeats these values.
    #[serde(skip)]
    pub types: TypeMeta,
    /// The identifier of this request. The response repeats the identifier.
    pub uid: String,
    /// The kind of `object`, in the version for which the webhook is registered.
    pub kind: GroupVersionKind,
    /// The resource of the request, in the version for which the webhook is registered.
    pub resource: GroupVersionResource,
    /// The subresource of the request, such as `status` or `exec`; `None` for the object itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sub_resource: Option<String>,
    /// The kind of the user's request. It differs from `kind` if the server converted the object for this webhook
    /// (`matchPolicy: Equivalent`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_kind: Option<GroupVersionKind>,
    /// The resource of the user's request. It differs from `resource` if the server converted the object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_resource: Option<GroupVersionResource>,
    /// The subresource of the user's request; `None` for the object itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_sub_resource: Option<String>,
    /// The object's name; empty for a create with `generateName`, and for the deletion of a collection.
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The object's namespace; for a `Namespace`, its own name. `None` for other cluster-scoped objects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The operation of the user's request.
    pub operation: Operation,
    /// The authenticated user who sent the request to the server.
    pub user_info: UserInfo,
    /// The object as it would be stored, or the options of a connect request; `None` for a deletion.
    pub object: Option<T>,
    /// The object as it is stored before the write; set for updates and deletions.
    pub old_object: Option<T>,
    /// Whether the server discards the write after admission. If this is true, a webhook must have no side effects.
    #[serde(default, deserialize_with = "null_as_default")]
    pub dry_run: bool,
    /// The options of the write, such as `meta.k8s.io/v1 CreateOptions`; `None` for a connect request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub options: Option<RawExtension>,
}

impl AdmissionRequest<Value> {
    /// Decodes `object` and `old_object` as `K`.
    ///
    /// # Errors
    ///
    /// If an object does not decode as `K`. For example, the stored object may be older than the schema of its kind.
    pub fn decode<K: DeserializeOwned>(&self) -> Result<AdmissionRequest<K>, DecodeObjectError> {
        let decode = |field: &'static str, object: &Option<Value>| match object {
            None => Ok(None),
            Some(object) => K::deserialize(object).map(Some).map_err(|error| DecodeObjectError {
                field,
                kind: self.kind.kind.clone(),
                name: self.name.clone(),
                source: redact_decode_error(error),
            }),
        };
        Ok(AdmissionRequest {
            object: decode("object", &self.object)?,
            old_object: decode("oldObject", &self.old_object)?,
            types: self.types.clone(),
            uid: self.uid.clone(),
            kind: self.kind.clone(),
            resource: self.resource.clone(),
            sub_resource: self.sub_resource.clone(),
            request_kind: self.request_kind.clone(),
            request_resource: self.request_resource.clone(),
            request_sub_resource: self.request_sub_resource.clone(),
            name: self.name.clone(),
            namespace: self.namespace.clone(),
            operation: self.operation,
            user_info: self.user_info.clone(),
            dry_run: self.dry_run,
            options: self.options.clone(),
        })
    }
}

/// The operation of an [`AdmissionRequest`].
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Operation {
    /// A create, or an apply of an object that does not exist.
    Create,
    /// A replace, a patch or an apply of an existing object.
    Update,
    /// A deletion of an object or of a collection.
    Delete,
    /// A connection to a subresource, such as `pods/exec`.
    Connect,
}

/// The response to an [`AdmissionRequest`] (`admission.k8s.io/v1 AdmissionResponse`).
///
/// `AdmissionResponse::from(&request)` allows the request.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct AdmissionResponse {
    /// `apiVersion` and `kind` of the review.
    #[serde(skip)]
    pub types: TypeMeta,
    /// The uid of the request.
    pub uid: String,
    /// Whether the request is allowed.
    pub allowed: bool,
    /// The reason of a rejection. The server passes the reason on to the user. If `allowed` is true, the server ignores
    /// this field.
    #[serde(
        rename = "status",
        default,
        deserialize_with = "null_as_default",
        skip_serializing_if = "is_unset"
    )]
    pub result: Status,
    /// The text of a JSON Patch (RFC 6902). Only mutating webhooks may set a patch. The JSON of the response contains the
    /// patch in base64. [`with_patch`](Self::with_patch) sets the patch and its type.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        serialize_with = "serialize_base64",
        deserialize_with = "deserialize_base64"
    )]
    pub patch: Option<Vec<u8>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    patch_type: Option<PatchType>,
    /// Annotations for the audit event. The server prefixes each key with the name of the webhook.
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "HashMap::is_empty")]
    pub audit_annotations: HashMap<String, String>,
    /// Warnings, which the server returns to the user as `Warning` headers. If the total length of the warnings for the
    /// user's request exceeds 4096 characters, the server truncates each warning to 256 characters, and may omit warnings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warnings: Option<Vec<String>>,
}

impl<T> From<&AdmissionRequest<T>> for AdmissionResponse {
    fn from(request: &AdmissionRequest<T>) -> Self {
        Self::allow(request.types.clone(), request.uid.clone())
    }
}

impl AdmissionResponse {
    /// A response that allows the request with this uid, without a patch.
    fn allow(types: TypeMeta, uid: String) -> Self {
        Self {
            types,
            uid,
            allowed: true,
            result: Status::default(),
            patch: None,
            patch_type: None,
            audit_annotations: HashMap::new(),
            warnings: None,
        }
    }

    /// Creates a rejection of a body that is not an admission request. The response has no uid, because the body has
    /// none.
    #[expect(clippy::needless_pass_by_value, reason = "kube's signature")]
    pub fn invalid<T: ToString>(reason: T) -> Self {
        let types = TypeMeta { api_version: META_API_VERSION_V1.to_owned(), kind: META_KIND.to_owned() };
        let result = Status::failure(&reason.to_string(), reason::BAD_REQUEST).with_code(400);
        Self { allowed: false, result, ..Self::allow(types, String::new()) }
    }

    /// Rejects the request. The server shows `reason` to the user, with the code 403 `Forbidden`.
    ///
    /// For another code or machine-readable reason, set the fields of [`result`](Self::result) afterwards.
    #[must_use]
    #[expect(clippy::needless_pass_by_value, reason = "kube's signature")]
    pub fn deny<T: ToString>(mut self, reason: T) -> Self {
        self.allowed = false;
        self.result = Status::failure(&reason.to_string(), reason::FORBIDDEN).with_code(403);
        self
    }

    /// Sets the JSON Patch (RFC 6902) that the server applies to the object. Replaces a patch that was set before.
    ///
    /// # Errors
    ///
    /// If the patch does not serialize.
    #[expect(clippy::needless_pass_by_value, reason = "kube's signature")]
    pub fn with_patch(mut self, patch: json_patch::Patch) -> Result<Self, SerializePatchError> {
        self.patch = Some(serde_json::to_vec(&patch).map_err(SerializePatchError)?);
        self.patch_type = Some(PatchType::JsonPatch);
        Ok(self)
    }

    /// Converts this response into a review, which is the body of the HTTP response.
    #[must_use]
    pub fn into_review(self) -> AdmissionReview<DynamicObject> {
        AdmissionReview { types: self.types.clone(), request: None, response: Some(self) }
    }
}

/// The format of a patch. API servers accept only JSON Patch.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub enum PatchType {
    /// A JSON Patch (RFC 6902).
    #[serde(rename = "JSONPatch")]
    JsonPatch,
}

/// Whether all fields of the status have their default values. The response omits such a status.
fn is_unset(status: &Status) -> bool {
    *status == Status::default()
}

#[expect(clippy::ref_option, reason = "serde passes a reference to the field")]
fn serialize_base64<S: Serializer>(bytes: &Option<Vec<u8>>, serializer: S) -> Result<S::Ok, S::Error> {
    bytes.clone().map(ByteString).serialize(serializer)
}

fn deserialize_base64<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<u8>>, D::Error> {
    Ok(Option::<ByteString>::deserialize(deserializer)?.map(|ByteString(bytes)| bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn review_json(operation: &str) -> Value {
        json!({
            "apiVersion": META_API_VERSION_V1, "kind": META_KIND,
            "request": {
                "uid": "0c9a8d74", "operation": operation,
                "kind": {"group": "apps", "version": "v1", "kind": "Deployment"},
                "resource": {"group": "apps", "version": "v1", "resource": "deployments"},
                "subResource": "scale",
                "requestKind": {"group": "apps", "version": "v1beta2", "kind": "Deployment"},
                "name": "web", "namespace": "shop",
                "userInfo": {"username": "jane", "groups": ["system:authenticated"]},
                "object": null,
                "oldObject": {"metadata": {"name": "web"}, "spec": {"replicas": 2}},
                "dryRun": true,
                "options": {"kind": "DeleteOptions", "apiVersion": "meta.k8s.io/v1"},
            },
        })
    }

    fn request(operation: &str) -> AdmissionRequest<DynamicObject> {
        serde_json::from_value::<AdmissionReview<DynamicObject>>(review_json(operation))
            .unwrap()
            .try_into()
            .unwrap()
    }

    #[test]
    fn the_conversion_of_a_review_to_a_request_keeps_all_fields() {
        let request = request("DELETE");
        assert_eq!(request.types.api_version, META_API_VERSION_V1);
        assert_eq!(request.operation, Operation::Delete);
        assert_eq!(request.sub_resource.as_deref(), Some("scale"));
        assert_eq!(request.request_kind.unwrap().version, "v1beta2");
        assert!(request.object.is_none() && request.dry_run);
        assert_eq!(request.old_object.unwrap().data["spec"]["replicas"], 2);
        assert_eq!(request.user_info.groups.unwrap(), ["system:authenticated"]);
        assert_eq!(request.options.unwrap().0["kind"], "DeleteOptions");
    }

    #[test]
    fn a_review_serializes_as_it_was_received() {
        for operation in ["CREATE", "UPDATE", "DELETE", "CONNECT"] {
            let decoded: AdmissionReview<DynamicObject> =
                serde_json::from_value(review_json(operation)).unwrap();
            assert_eq!(serde_json::to_value(decoded).unwrap(), review_json(operation));
        }
    }

    #[test]
    fn the_error_for_an_object_that_does_not_decode_contains_no_value_of_the_object() {
        let mut body = review_json("UPDATE");
        body["request"]["object"] = json!({"metadata": {"name": "web"}, "spec": {"replicas": "hunter2"}});
        let review: AdmissionReview<Value> = serde_json::from_value(body).unwrap();
        let request = AdmissionRequest::try_from(review).unwrap();
        let decoded = request.decode::<DynamicObject>().unwrap();
        assert_eq!(decoded.object.unwrap().data["spec"]["replicas"], "hunter2");
        assert_eq!((decoded.uid.as_str(), decoded.name.as_str()), ("0c9a8d74", "web"));
        let error = request.decode::<k8s_openapi::api::apps::v1::Deployment>().unwrap_err();
        assert!(error.to_string().contains("`object`"), "{error}");
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert!(!cause.contains("hunter2"), "{cause}");
    }

    #[test]
    fn a_review_without_a_request_is_an_error_that_names_the_field() {
        let body = json!({"apiVersion": META_API_VERSION_V1, "kind": META_KIND});
        let review: AdmissionReview<DynamicObject> = serde_json::from_value(body).unwrap();
        let error = AdmissionRequest::try_from(review).unwrap_err();
        assert!(error.to_string().contains("`request`"), "{error}");
    }

    #[test]
    fn a_response_has_the_uid_of_the_request_and_encodes_the_patch_as_base64() {
        let patch =
            serde_json::from_value(json!([{"op": "add", "path": "/metadata/labels", "value": {}}])).unwrap();
        let response = AdmissionResponse::from(&request("UPDATE")).with_patch(patch).unwrap();
        let reply = serde_json::to_value(response.clone().into_review()).unwrap();
        let encoded = "W3sib3AiOiJhZGQiLCJwYXRoIjoiL21ldGFkYXRhL2xhYmVscyIsInZhbHVlIjp7fX1d";
        let expected = json!({
            "apiVersion": META_API_VERSION_V1, "kind": META_KIND,
            "response": {"uid": "0c9a8d74", "allowed": true, "patch": encoded, "patchType": "JSONPatch"},
        });
        assert_eq!(reply, expected);
        let decoded: AdmissionResponse = serde_json::from_value(expected["response"].clone()).unwrap();
        assert_eq!(decoded, AdmissionResponse { types: TypeMeta::default(), ..response });
    }

    #[test]
    fn a_denied_request_has_the_status_forbidden_and_an_invalid_body_has_the_status_bad_request() {
        let denied = AdmissionResponse::from(&request("CREATE")).deny("no");
        assert!(!denied.allowed);
        assert_eq!((denied.uid.as_str(), denied.result.message.as_str()), ("0c9a8d74", "no"));
        assert!(denied.result.is_forbidden());
        let invalid = AdmissionResponse::invalid("not a review");
        assert!(!invalid.allowed && invalid.result.is_bad_request());
        assert_eq!(invalid.into_review().types.kind, META_KIND);
    }
}
