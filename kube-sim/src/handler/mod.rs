//! Request handlers: routing and the verbs.
//!
//! Handlers lock the state only while they read or commit; see [`write`] for the phases of a write. Handlers must not
//! block, and they await only webhooks; `server` owns streams and sockets.

pub(crate) mod accept;
mod access_review;
pub(crate) mod admission;
pub(crate) mod authorization;
mod cluster_ip;
pub(crate) mod conversion_webhooks;
pub(crate) mod convert;
mod delete;
pub(crate) mod deletion;
mod escalation;
mod eviction;
mod metrics;
mod node_port;
pub(crate) mod object_meta;
pub(crate) mod options;
mod patch;
pub(crate) mod plugins;
pub(crate) mod quota;
pub(crate) mod read;
pub(crate) mod render;
pub(crate) mod reply;
mod scale;
pub(crate) mod service_account;
pub(crate) mod service_account_token;
mod service_endpoint;
mod streaming;
mod subresource;
pub(crate) mod target;
mod typed_body;
mod unstored;
mod write;

use std::sync::Arc;

use http::{Method, StatusCode};
use serde_json::Value;

use crate::apply;
use crate::controllers;
use crate::discovery;
use crate::protobuf;
use crate::shared_state::Inner;
use crate::status::SimError;
use crate::store::object::StoredObject;
use crate::streams::{self, Offer, Upgrade};
use crate::warnings::Warnings;
use crate::watch::Watch;
use accept::{Accept, Endpoint, negotiate};
use conversion_webhooks::Converter;
use delete::{DeleteOptions, DeletionResponse};
use options::Options;
use reply::{Content, Reply, Request};
use target::{Path, Target};
use write::{IfMissing, WriteContext, WrittenObject, WrittenPart};

/// The RBAC verb of a request; empty for an unknown method.
pub(crate) fn verb_of(method: &Method, path: &Path, query: &str) -> &'static str {
    let collection = path.name.is_empty();
    // As in the API server, the query parameter `watch` has no effect in a request for one object.
    let watch = path.watch
        || collection
            && form_urlencoded::parse(query.as_bytes()).any(|(k, v)| k == "watch" && options::parse_flag(&v));
    match *method {
        Method::GET if watch => "watch",
        Method::GET if collection => "list",
        Method::GET | Method::HEAD => "get",
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE if collection => "deletecollection",
        Method::DELETE => "delete",
        _ => "",
    }
}

/// Handles one request.
///
/// # Errors
/// The `Status` of the response.
pub(crate) async fn handle(inner: &Arc<Inner>, request: &Request) -> Result<Reply, SimError> {
    let path = Path::parse(&request.path);
    authorization::check_request(inner, request, path.as_ref())?;
    let Some(path) = path else {
        return discovery::serve(inner, request);
    };
    let verb = verb_of(&request.method, &path, &request.query);
    let watch = path.watch;
    let single = !path.name.is_empty() && !watch;
    let group = path.group.clone();
    let target = {
        let mut state = inner.lock();
        controllers::run(&mut state);
        path.resolve(&state.registry)
    };
    let Some(target) = target else {
        return discovery::unknown_resource_reply(&group);
    };
    let warnings = Warnings::default();
    warnings.add(target.resource.deprecation_warning().map(str::to_owned));
    let handled = async {
        let mut options = Options::parse(&request.method, &request.query, single)?;
        options.watch = verb == "watch" || watch;
        let call = Call { inner, request, target: &target, options: &options, warnings: &warnings };
        call.dispatch(verb).await
    };
    match handled.await {
        Ok(reply) => Ok(Reply { warnings: warnings.into_texts(), ..reply }),
        Err(error) => Err(error.with_warnings(warnings.into_texts())),
    }
}

/// The warnings about a deletion without a propagation policy, by kind. The deletion of these kinds orphans the
/// dependents by default.
const ORPHAN_WARNINGS: [(&str, &str); 1] = [(
    "Job",
    "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove them or set propagationPolicy=Orphan to suppress this warning",
)];

/// A request for a resource, with the simulation and the options that its handler needs.
pub(crate) struct Call<'a> {
    pub(crate) inner: &'a Arc<Inner>,
    pub(crate) request: &'a Request,
    pub(crate) target: &'a Target,
    pub(crate) options: &'a Options,
    pub(crate) warnings: &'a Warnings,
}

impl Call<'_> {
    /// Calls the handler of the verb, or of the subresource.
    async fn dispatch(&self, verb: &str) -> Result<Reply, SimError> {
        let target = self.target;
        let resource = &target.resource;
        if !target.subresource.is_empty() {
            return subresource::handle(self, verb).await;
        }
        if !resource.is_stored() && !resource.has_verb("get") && !target.name.is_empty() {
            return Err(SimError::no_such_resource());
        }
        if !resource.has_verb(verb) {
            return Err(SimError::method_not_allowed());
        }
        if !resource.is_stored() {
            return unstored::handle(self, verb).await;
        }
        let has_required_namespace = !resource.namespaced || !target.namespace.is_empty();
        if matches!(verb, "create" | "deletecollection") && !has_required_namespace {
            return Err(SimError::method_not_allowed());
        }
        match verb {
            "get" => self.handle_get().await,
            "list" => self.handle_list().await,
            "watch" => self.handle_watch(),
            "create" if target.name.is_empty() => self.handle_create().await,
            "update" if !target.name.is_empty() => self.handle_update(WrittenPart::Object).await,
            "patch" if !target.name.is_empty() => self.handle_patch(WrittenPart::Object).await,
            "delete" => self.handle_delete().await,
            "deletecollection" => self.handle_delete_collection().await,
            _ => Err(SimError::method_not_allowed()),
        }
    }

    /// The converter between the version of the request and the other versions of the resource.
    pub(crate) fn converter(&self) -> Converter<'_> {
        let calls_webhooks = self.request.calls_webhooks;
        Converter { inner: self.inner, resource: &self.target.resource, calls_webhooks }
    }

    /// Selects the representation of the response.
    pub(crate) fn negotiate(&self) -> Result<Accept, SimError> {
        let is_collection = self.target.name.is_empty()
            && matches!(self.request.method, Method::GET | Method::HEAD | Method::DELETE);
        let endpoint = match is_collection {
            _ if self.options.watch => Endpoint::Watch,
            true => Endpoint::Collection,
            false => Endpoint::Object,
        };
        let resource = &self.target.resource;
        // A watch over WebSocket sends text messages, which cannot contain Protobuf.
        let protobuf =
            self.request.upgrade.is_none() && protobuf::has_kind(&resource.api_version, &resource.kind);
        let offer = accept::Offer { endpoint, protobuf, go_type: &|is_list| resource.go_type(is_list) };
        negotiate(&self.request.accept, &self.options.include_object, &offer)
    }

    fn object_reply(&self, object: &StoredObject, accept: Accept) -> Reply {
        let now = self.inner.clock.now();
        let body = render::encode_object(&self.target.resource, object, accept, now);
        Reply::whole(StatusCode::OK, content_type(accept), body)
    }

    pub(crate) async fn handle_get(&self) -> Result<Reply, SimError> {
        let accept = self.negotiate()?;
        let object = self.converter().convert_stored(self.read_object()?).await?;
        Ok(self.object_reply(&object, accept))
    }

    /// Reads the object of a `get`.
    fn read_object(&self) -> Result<Arc<StoredObject>, SimError> {
        let mut state = self.inner.lock();
        let view = read::view(&mut state, self.request.arrival, self.options, "get")?;
        read::get(view, self.target, self.options)
    }

    /// Reads the page of a `list`.
    fn read_page(&self) -> Result<render::Page, SimError> {
        let mut state = self.inner.lock();
        let view = read::view(&mut state, self.request.arrival, self.options, "list")?;
        let candidates = read::list(view, self.target, self.options)?;
        drop(state);
        Ok(candidates.select_page(&self.target.resource))
    }

    async fn handle_list(&self) -> Result<Reply, SimError> {
        let accept = self.negotiate()?;
        let mut page = self.read_page()?;
        page.objects = self.converter().all_from_stored(page.objects).await?;
        Ok(self.page_reply(page, accept))
    }

    fn page_reply(&self, page: render::Page, accept: Accept) -> Reply {
        let content = match render::encode_list(&self.target.resource, page, accept, self.inner.clock.now()) {
            render::ListBody::Whole(bytes) => Content::Whole(bytes),
            render::ListBody::Pieces(pieces, size) => Content::Pieces(pieces, size),
        };
        Reply {
            code: StatusCode::OK,
            content_type: content_type(accept),
            warnings: Vec::new(),
            retry_after: None,
            headers: Vec::new(),
            content,
        }
    }

    fn handle_watch(&self) -> Result<Reply, SimError> {
        let accept = self.negotiate()?;
        let watch = crate::watch::open(self.inner, self.request.arrival, self.target, self.options, accept)?;
        let content_type = match accept.encoding {
            accept::Encoding::Protobuf => "application/vnd.kubernetes.protobuf;stream=watch",
            _ => "application/json",
        };
        let mut reply = Reply::whole(StatusCode::OK, content_type, "");
        reply.content = match &self.request.upgrade {
            Some(offer) => Content::Upgrade(watch_upgrade(offer, watch)?),
            None => Content::Watch(Box::new(watch)),
        };
        Ok(reply)
    }

    /// The write context of the request. The caller sets `applying` for a server-side apply, and `patching` for a
    /// patch.
    pub(crate) fn write_context(&self) -> WriteContext<'_> {
        let manager = self.options.manager.as_deref().unwrap_or(self.request.default_manager());
        WriteContext {
            inner: self.inner,
            target: self.target,
            options: self.options,
            manager,
            request: self.request,
            applying: false,
            fields_tracked: false,
            patching: false,
            warnings: self.warnings.new_buffer(),
        }
    }

    /// Sets the `managedFields` of a created object that is not stored.
    pub(crate) fn set_managed_fields(&self, schema: &crate::schema::Schema, object: &mut Value) {
        let text = |field: &str| object[field].as_str().unwrap_or_default().to_owned();
        let (api_version, kind) = (text("apiVersion"), text("kind"));
        let cx = apply::Context {
            schema,
            api_version: &api_version,
            kind: &kind,
            served: std::slice::from_ref(&api_version),
            subresource: &self.target.subresource,
            manager: self.options.manager.as_deref().unwrap_or(self.request.default_manager()),
            now: &self.inner.clock.stamp(),
            reset: &[],
        };
        apply::track_ownership(&cx, None, object);
    }

    /// Decodes the object in the request body.
    fn decode(&self, cx: &mut WriteContext<'_>) -> Result<Value, SimError> {
        let mut object =
            write::parse_body(&self.request.body, &self.request.content_type, &self.target.resource.kind)?;
        cx.decode(&mut object, self.duplicate_fields())?;
        Ok(object)
    }

    async fn handle_create(&self) -> Result<Reply, SimError> {
        let accept = self.negotiate()?;
        let mut cx = self.write_context();
        let mut object = self.decode(&mut cx)?;
        self.set_requestor(&mut object);
        let written = cx.create(object).await?;
        Ok(self.reply_to_write(&written, accept))
    }

    /// Sets the user of a certificate signing request.
    fn set_requestor(&self, object: &mut Value) {
        if self.target.resource.kind == "CertificateSigningRequest" && object["spec"].is_object() {
            let user = &self.request.user;
            object["spec"]["username"] = user.name.as_str().into();
            object["spec"]["groups"] = user.groups.iter().map(String::as_str).collect();
            if !user.uid.is_empty() {
                object["spec"]["uid"] = user.uid.as_str().into();
            }
            if !user.extra.is_empty() {
                object["spec"]["extra"] = serde_json::json!(user.extra);
            }
        }
    }

    /// The messages about duplicate fields in a JSON body; none for YAML and Protobuf.
    fn duplicate_fields(&self) -> Vec<String> {
        if matches!(self.request.content_type.as_str(), "application/yaml" | protobuf::MEDIA_TYPE) {
            return Vec::new();
        }
        crate::schema::duplicate_field_messages(&self.request.body)
    }

    /// The response to a create, update or patch.
    pub(crate) fn reply_to_write(&self, written: &WrittenObject, accept: Accept) -> Reply {
        let mut reply = self.object_reply(&written.object, accept);
        if written.created {
            reply.code = StatusCode::CREATED;
        }
        reply
    }

    pub(crate) async fn handle_update(&self, part: WrittenPart) -> Result<Reply, SimError> {
        let accept = self.negotiate()?;
        let mut cx = self.write_context();
        let mut decoded = Some(self.decode(&mut cx)?);
        let creates = part == WrittenPart::Object && self.target.resource.strategy.allow_create_on_update;
        let missing = if creates { IfMissing::Create } else { IfMissing::NotFound };
        let decode = |cx: &mut WriteContext<'_>, _: Option<&Arc<StoredObject>>| {
            if let Some(object) = decoded.take() {
                return Ok(object);
            }
            let warning_count = cx.warnings.len();
            let object = self.decode(cx);
            // `cx` already contains the warnings of the body from the first call of `decode`.
            cx.warnings.truncate(warning_count);
            object
        };
        let written = cx.guaranteed_update(part, missing, decode).await?;
        Ok(self.reply_to_write(&written, accept))
    }

    pub(crate) async fn handle_patch(&self, part: WrittenPart) -> Result<Reply, SimError> {
        let accept = self.negotiate()?;
        let mut cx = self.write_context();
        let written = patch::patch(&mut cx, &self.request.body, &self.request.content_type, part).await?;
        Ok(self.reply_to_write(&written, accept))
    }

    async fn handle_delete(&self) -> Result<Reply, SimError> {
        let accept = self.negotiate()?;
        let delete = DeleteOptions::parse(self.options, &self.request.body, &self.request.content_type)?;
        let name = &self.target.name;
        let response =
            delete::delete_one(self, self.target, &delete, name, &mut self.warnings.new_buffer()).await?;
        let reply = match response {
            DeletionResponse::Status(status) => Reply::json(&status),
            DeletionResponse::Object { object, accepted } => {
                let body =
                    render::encode_value(&self.target.resource, &object, accept, self.inner.clock.now());
                let mut reply = Reply::whole(StatusCode::OK, content_type(accept), body);
                if accepted {
                    reply.code = StatusCode::ACCEPTED;
                }
                reply
            }
        };
        self.add_orphan_warning(&delete);
        Ok(reply)
    }

    /// Adds the [warning](ORPHAN_WARNINGS) of a kind that orphans the dependents by default, if the request does not set
    /// the propagation policy.
    fn add_orphan_warning(&self, delete: &DeleteOptions) {
        let resource = &self.target.resource;
        if resource.strategy.deletion.orphans_by_default && delete.has_default_propagation() {
            let orphaning = ORPHAN_WARNINGS.iter().filter(|(of, _)| *of == resource.kind);
            self.warnings.add(orphaning.map(|(_, text)| (*text).to_owned()));
        }
    }

    async fn handle_delete_collection(&self) -> Result<Reply, SimError> {
        let accept = self.negotiate()?;
        let delete = DeleteOptions::parse(self.options, &self.request.body, &self.request.content_type)?;
        let mut page = delete::delete_collection(self, &delete, &mut self.warnings.new_buffer()).await?;
        page.objects = self.converter().all_from_stored(page.objects).await?;
        self.add_orphan_warning(&delete);
        Ok(self.page_reply(page, accept))
    }
}

/// The upgrade of a watch over WebSocket: each event is a text message.
///
/// # Errors
/// 403 if the header `Origin` is missing, as in the API server, or if the client offers a subprotocol.
fn watch_upgrade(offer: &Offer, watch: Watch) -> Result<Upgrade, SimError> {
    if !offer.has_origin {
        return Err(SimError::new(StatusCode::FORBIDDEN, "Forbidden", "null origin"));
    }
    let protocol = offer.select(&[""])?;
    Ok(Upgrade::new(protocol, |socket| {
        let mut watch = watch;
        streams::send_messages(socket, futures::stream::poll_fn(move |cx| watch.poll_frame(cx)))
    }))
}

fn content_type(accept: Accept) -> &'static str {
    match accept.encoding {
        accept::Encoding::Json => "application/json",
        accept::Encoding::Yaml => "application/yaml",
        accept::Encoding::Protobuf => protobuf::MEDIA_TYPE,
    }
}
