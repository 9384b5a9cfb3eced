//! Request handlers: routing and the verbs.
//!
//! Handlers run synchronously under the lock of the state. They must not block or await; `server` owns streams and
//! sockets.

pub(crate) mod accept;
mod after_commit;
pub(crate) mod convert;
mod delete;
pub(crate) mod gc;
mod object_meta;
pub(crate) mod options;
mod patch;
pub(crate) mod read;
pub(crate) mod render;
pub(crate) mod reply;
mod scale;
mod subresource;
pub(crate) mod target;
mod unstored;
mod write;

use std::sync::Arc;

use http::{Method, StatusCode};

use crate::discovery;
use crate::shared::Inner;
use crate::status::SimError;
use crate::store::State;
use accept::{Accept, negotiate};
use delete::{DeleteOptions, DeletionResponse};
use options::Options;
use reply::{Content, Reply, Request};
use target::{Path, Target};
use write::{WriteContext, Written, WrittenPart};

/// The RBAC verb of a request; empty for an unknown method.
pub(crate) fn verb_of(method: &Method, path: &Path, query: &str) -> &'static str {
    let collection = path.name.is_empty();
    let watch = path.watch
        || form_urlencoded::parse(query.as_bytes()).any(|(k, v)| k == "watch" && options::parse_flag(&v));
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
pub(crate) fn handle(inner: &Arc<Inner>, request: &Request) -> Result<Reply, SimError> {
    let Some(path) = Path::parse(&request.path) else {
        return discovery::serve(inner, request);
    };
    let mut state = inner.lock();
    gc::run_due_removals(&mut state);
    let verb = verb_of(&request.method, &path, &request.query);
    let watch = path.watch;
    let group = path.group.clone();
    let Some(target) = path.resolve(&state.registry) else {
        return discovery::unknown_resource(&group);
    };
    let mut options = Options::parse(&request.method, &request.query)?;
    options.watch |= watch;
    let mut call = Call { inner, state: &mut state, request, target: &target, options: &options };
    call.dispatch(verb)
}

/// A request for a resource, with the state and the options that its handler needs.
pub(crate) struct Call<'a> {
    pub(crate) inner: &'a Arc<Inner>,
    pub(crate) state: &'a mut State,
    pub(crate) request: &'a Request,
    pub(crate) target: &'a Target,
    pub(crate) options: &'a Options,
}

impl Call<'_> {
    /// Calls the handler of the verb, or of the subresource.
    fn dispatch(&mut self, verb: &str) -> Result<Reply, SimError> {
        let target = self.target;
        let resource = &target.resource;
        if !target.subresource.is_empty() {
            return subresource::handle(self, verb);
        }
        if !resource.allows(verb) {
            return Err(SimError::method_not_allowed());
        }
        if !resource.is_stored() {
            return unstored::handle(self, verb);
        }
        let scoped = !resource.namespaced || !target.namespace.is_empty();
        if matches!(verb, "create" | "deletecollection") && !scoped {
            return Err(SimError::method_not_allowed());
        }
        match verb {
            "get" => self.handle_get(),
            "list" => self.handle_list(),
            "watch" => self.handle_watch(),
            "create" if target.name.is_empty() => self.handle_create(),
            "update" if !target.name.is_empty() => self.handle_update(WrittenPart::Object),
            "patch" if !target.name.is_empty() => self.handle_patch(WrittenPart::Object),
            "delete" => self.handle_delete(),
            "deletecollection" => self.handle_delete_collection(),
            _ => Err(SimError::method_not_allowed()),
        }
    }

    /// Selects the representation of the response.
    pub(crate) fn accept(&self) -> Result<Accept, SimError> {
        negotiate(&self.request.accept, &self.options.include_object)
    }

    fn object_reply(&self, object: &crate::store::object::Stored, accept: Accept) -> Reply {
        let now = self.state.clock.now();
        let body = render::object(&self.target.resource, object, accept, now);
        Reply::whole(StatusCode::OK, content_type(accept), body)
    }

    pub(crate) fn handle_get(&mut self) -> Result<Reply, SimError> {
        let accept = self.accept()?;
        let object = read::get(self.state, self.target, self.options)?;
        let mut reply = self.object_reply(&object, accept);
        self.add_deprecation_warning(&mut reply);
        Ok(reply)
    }

    fn add_deprecation_warning(&self, reply: &mut Reply) {
        if let Some(text) = self.target.resource.custom().and_then(|c| c.deprecation.clone()) {
            reply.warnings.push(text);
        }
    }

    fn handle_list(&mut self) -> Result<Reply, SimError> {
        let accept = self.accept()?;
        let page = read::list(self.state, self.target, self.options)?;
        let mut reply = self.page_reply(page, accept);
        self.add_deprecation_warning(&mut reply);
        Ok(reply)
    }

    fn page_reply(&self, page: render::Page, accept: Accept) -> Reply {
        let content = match render::list(&self.target.resource, page, accept, self.state.clock.now()) {
            render::ListBody::Whole(bytes) => Content::Whole(bytes),
            render::ListBody::Pieces(pieces, size) => Content::Pieces(pieces, size),
        };
        Reply {
            code: StatusCode::OK,
            content_type: content_type(accept),
            warnings: Vec::new(),
            retry_after: None,
            content,
        }
    }

    fn handle_watch(&mut self) -> Result<Reply, SimError> {
        let accept = self.accept()?;
        let watch = crate::watch::open(self.inner, self.state, self.target, self.options, accept)?;
        let mut reply = Reply::whole(StatusCode::OK, "application/json", "");
        reply.content = Content::Watch(Box::new(watch));
        self.add_deprecation_warning(&mut reply);
        Ok(reply)
    }

    fn handle_create(&mut self) -> Result<Reply, SimError> {
        let accept = self.accept()?;
        let mut object = write::parse_body(&self.request.body, &self.request.content_type)?;
        let duplicates = self.duplicate_fields();
        let Self { state, request, target, options, .. } = self;
        let mut cx = write_context(request, target, options, Vec::new());
        cx.warn_of_deprecation();
        cx.decode(&mut object, duplicates)?;
        let written = cx.create(state, object)?;
        let warnings = cx.warnings;
        Ok(self.written_reply(&written, warnings, accept))
    }

    /// The messages about duplicate fields in a JSON body; none for YAML and Protobuf.
    fn duplicate_fields(&self) -> Vec<String> {
        if matches!(self.request.content_type.as_str(), "application/yaml" | crate::protobuf::MEDIA_TYPE) {
            return Vec::new();
        }
        crate::schema::duplicates(&self.request.body)
    }

    /// The response to a create, update or patch.
    pub(crate) fn written_reply(&self, written: &Written, warnings: Vec<String>, accept: Accept) -> Reply {
        let mut reply = self.object_reply(&written.object, accept);
        if written.created {
            reply.code = StatusCode::CREATED;
        }
        reply.warnings = warnings;
        reply
    }

    pub(crate) fn handle_update(&mut self, part: WrittenPart) -> Result<Reply, SimError> {
        let accept = self.accept()?;
        let mut object = write::parse_body(&self.request.body, &self.request.content_type)?;
        let duplicates = self.duplicate_fields();
        let Self { state, request, target, options, .. } = self;
        let mut cx = write_context(request, target, options, Vec::new());
        cx.warn_of_deprecation();
        cx.decode(&mut object, duplicates)?;
        let written = match read::find(state, target) {
            Ok(old) => cx.update(state, &old, object, part)?,
            Err(_) if part == WrittenPart::Object && target.resource.strategy.allow_create_on_update => {
                cx.create(state, object)?
            }
            Err(e) => return Err(e),
        };
        let warnings = cx.warnings;
        Ok(self.written_reply(&written, warnings, accept))
    }

    pub(crate) fn handle_patch(&mut self, part: WrittenPart) -> Result<Reply, SimError> {
        let accept = self.accept()?;
        let Self { state, request, target, options, .. } = self;
        let mut cx = write_context(request, target, options, Vec::new());
        cx.warn_of_deprecation();
        let written = patch::patch(state, &mut cx, &request.body, &request.content_type, part)?;
        let warnings = cx.warnings;
        Ok(self.written_reply(&written, warnings, accept))
    }

    fn handle_delete(&mut self) -> Result<Reply, SimError> {
        self.accept()?;
        let delete = DeleteOptions::parse(self.options, &self.request.body, &self.request.content_type)?;
        Ok(match delete::delete_one(self.state, self.target, &delete)? {
            DeletionResponse::Status(status) => Reply::json(&status),
            DeletionResponse::Object { object, accepted } => {
                let mut reply = Reply::json(&object);
                if accepted {
                    reply.code = StatusCode::ACCEPTED;
                }
                reply
            }
        })
    }

    fn handle_delete_collection(&mut self) -> Result<Reply, SimError> {
        let accept = self.accept()?;
        let delete = DeleteOptions::parse(self.options, &self.request.body, &self.request.content_type)?;
        let page = delete::delete_collection(self.state, self.target, self.options, &delete)?;
        Ok(self.page_reply(page, accept))
    }
}

/// The write context of a request. The caller sets `applying` for a server-side apply, and `patching` for a patch.
pub(crate) fn write_context<'a>(
    request: &'a Request,
    target: &'a Target,
    options: &'a Options,
    warnings: Vec<String>,
) -> WriteContext<'a> {
    let manager = options.manager.as_deref().unwrap_or(request.default_manager());
    WriteContext { target, options, manager, applying: false, patching: false, warnings }
}

fn content_type(accept: Accept) -> &'static str {
    match accept.encoding {
        accept::Encoding::Json => "application/json",
        accept::Encoding::Yaml => "application/yaml",
    }
}
