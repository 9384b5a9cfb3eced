//! The verbs `get` and `list`: selectors, chunking with continue tokens, resource versions.

use std::sync::Arc;

use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::{DecodeError, Engine as _};
use serde_json::{Value, json};

use super::convert;
use super::options::{Options, VersionMatch};
use super::render::Page;
use super::target::Target;
use crate::registry::Resource;
use crate::registry::fields::FieldSelector;
use crate::status::SimError;
use crate::store::State;
use crate::store::cache::Arrival;
use crate::store::object::{StoredObject, key};
use crate::store::selector::LabelSelector;
use crate::store::view::View;

/// The message of a 410 response to a list request with an expired continue token.
const EXPIRED_TOKEN_MESSAGE: &str = "The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with the provided token results in an inconsistent list - objects that were created, modified, or deleted between the time the first chunk was returned and now may show up in the list.";

/// Selects the objects of a list or watch by namespace, name, label selector and field selector.
#[derive(Clone, Debug)]
pub(crate) struct Filter {
    namespace: String,
    name: Option<String>,
    labels: LabelSelector,
    fields: FieldSelector,
}

impl Filter {
    /// Parses the selectors of a list or watch.
    ///
    /// # Errors
    /// 400 for a selector that does not parse, or for a field that the kind does not support.
    pub(crate) fn new(target: &Target, options: &Options) -> Result<Self, SimError> {
        let labels = LabelSelector::parse(&options.label_selector).map_err(SimError::bad_request)?;
        let fields = FieldSelector::parse(&options.field_selector, &target.resource)?;
        let name = (!target.name.is_empty()).then(|| target.name.clone());
        if let (Some(name), Some(selected)) = (&name, fields.exact_name())
            && name != selected
        {
            return Err(SimError::bad_request(
                "field metadata.name must match the name of the object in the URL",
            ));
        }
        Ok(Self { namespace: target.namespace.clone(), name, labels, fields })
    }

    pub(crate) fn matches(&self, object: &StoredObject) -> bool {
        (self.namespace.is_empty() || object.namespace() == self.namespace)
            && self.name.as_deref().is_none_or(|name| object.name() == name)
            && self.labels.matches(&object.labels)
            && self.fields.matches(object)
    }

    fn has_selector(&self) -> bool {
        !self.labels.is_empty() || !self.fields.is_empty()
    }
}

/// Returns one object. The view must have reached the resource version in `options`.
pub(crate) fn get(view: View<'_>, target: &Target, options: &Options) -> Result<Arc<StoredObject>, SimError> {
    check_version_reached(view, options.version)?;
    find(view, target)
}

/// Returns the state of one object in the view.
pub(crate) fn find(view: View<'_>, target: &Target) -> Result<Arc<StoredObject>, SimError> {
    let resource = &target.resource;
    view.get(&resource.storage, &key(&target.namespace, &target.name))
        .map_err(|_| SimError::expired(EXPIRED_VERSION_MESSAGE))?
        .ok_or_else(|| SimError::not_found(&resource.group, &resource.plural, &target.name))
}

/// Checks that the view has reached a resource version.
///
/// # Errors
/// 504 if the resource version is later than the view.
pub(crate) fn check_version_reached(view: View<'_>, version: Option<u64>) -> Result<(), SimError> {
    match version {
        Some(wanted) if wanted > view.version() => {
            Err(SimError::too_large_resource_version(wanted, view.version()))
        }
        _ => Ok(()),
    }
}

/// The view for a `get` or `list`. If an API server would read etcd for the request, the view is the store.
/// Otherwise, the view is the watch cache of the server.
///
/// # Errors
/// 504 if the request must wait for the watch cache, and the cache has not reached the version that the store had when
/// the request arrived.
pub(crate) fn view<'a>(
    state: &'a mut State,
    arrival: Arrival,
    options: &Options,
    verb: &str,
) -> Result<View<'a>, SimError> {
    let is_continued = !options.continue_token.is_empty();
    let is_consistent = options.version.is_none();
    if is_continued || exact_version(options).is_some() || (is_consistent && verb == "get") {
        return Ok(state.view());
    }
    let cached = state.cache_version(arrival.server);
    if is_consistent && cached < arrival.version {
        if arrival.waits {
            return Err(SimError::too_large_resource_version(arrival.version, cached));
        }
        return Ok(state.view());
    }
    Ok(state.cache_view(arrival.server))
}

/// The message of a 410 response to a read at a version that the storage no longer has.
const EXPIRED_VERSION_MESSAGE: &str = "The resourceVersion for the provided list is too old.";

/// A continue token: the resource version of the first page, and the last key of the previous page. A token without a
/// version continues the list at the current version. If a token has expired, the 410 response contains a token without a
/// version.
#[derive(Debug)]
struct ContinueToken {
    version: Option<u64>,
    after: String,
}

impl ContinueToken {
    fn parse(text: &str) -> Result<Self, SimError> {
        let bad =
            || SimError::bad_request("invalid continue token: continue key is not valid: it does not parse");
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|error| {
            let at = match error {
                DecodeError::InvalidByte(at, _) | DecodeError::InvalidLastSymbol(at, _) => at,
                // Go reports the beginning of the incomplete group of four characters.
                _ => text.len() / 4 * 4,
            };
            SimError::bad_request(format!(
                "invalid continue token: continue key is not valid: illegal base64 data at input byte {at}"
            ))
        })?;
        let token: Value = serde_json::from_slice(&bytes).map_err(|_| bad())?;
        if token["v"] != "meta.k8s.io/v1" {
            let version = token["v"].as_str().unwrap_or_default();
            return Err(SimError::bad_request(format!(
                "invalid continue token: continue key is not valid: server does not recognize this encoded version {version}"
            )));
        }
        let after = token["start"].as_str().ok_or_else(bad)?.trim_end_matches('\0').to_owned();
        if after.is_empty() {
            return Err(SimError::bad_request(
                "invalid continue token: continue key is not valid: encoded start key empty (version meta.k8s.io/v1)",
            ));
        }
        if after.split('/').any(|part| part == "..") {
            return Err(SimError::bad_request(format!(
                "invalid continue token: continue key is not valid: {after}"
            )));
        }
        let version = token["rv"].as_i64().ok_or_else(bad)?;
        match u64::try_from(version) {
            Ok(0) => Err(SimError::bad_request(
                "invalid continue token: continue key is not valid: incorrect encoded start resourceVersion (version meta.k8s.io/v1)",
            )),
            version => Ok(Self { version: version.ok(), after }),
        }
    }

    fn encode(version: Option<u64>, after: &str) -> String {
        let version = version.map_or(json!(-1), Value::from);
        let start = format!("{after}\0");
        URL_SAFE_NO_PAD.encode(json!({"v": "meta.k8s.io/v1", "rv": version, "start": start}).to_string())
    }
}

/// The objects of a list before selection and chunking.
#[derive(Debug)]
pub(crate) struct Candidates {
    objects: Vec<Arc<StoredObject>>,
    version: u64,
    filter: Filter,
    token: Option<ContinueToken>,
    limit: usize,
}

/// Returns the objects from which a list selects one page.
///
/// # Errors
/// 400 or 422 for invalid options, 410 for a version or continue token that has expired, 504 for a version that the
/// view has not reached.
pub(crate) fn list(view: View<'_>, target: &Target, options: &Options) -> Result<Candidates, SimError> {
    options.check_list()?;
    let filter = Filter::new(target, options)?;
    let token = match options.continue_token.as_str() {
        "" => None,
        _ if options.version.is_some_and(|v| v != 0) => {
            return Err(SimError::bad_request(
                "specifying resource version is not allowed when using continue",
            ));
        }
        text => Some(ContinueToken::parse(text)?),
    };
    check_version_reached(view, options.version)?;
    let at = match &token {
        Some(token) => token.version,
        None => exact_version(options),
    };
    let storage = &target.resource.storage;
    let now = view.version();
    let version = match at {
        Some(version) if version > now && view.has_table(storage) => {
            return Err(SimError::too_large_resource_version(version, now));
        }
        at => at.unwrap_or(now),
    };
    let objects = view.at(version).objects(storage, &target.namespace).map_err(|_| match &token {
        Some(token) => {
            SimError::expired(EXPIRED_TOKEN_MESSAGE).with_continue(ContinueToken::encode(None, &token.after))
        }
        None => SimError::expired(EXPIRED_VERSION_MESSAGE),
    })?;
    // For resource version 0, the watch cache returns the whole list and ignores the limit.
    let limit = if options.version == Some(0) { 0 } else { options.limit };
    Ok(Candidates { objects, version, filter, token, limit })
}

impl Candidates {
    /// Selects one page of the objects of `resource`, in the form that clients read.
    pub(crate) fn select_page(self, resource: &Resource) -> Page {
        let Self { objects, version, filter, token, limit } = self;
        let after = token.as_ref().map_or("", |t| &t.after);
        let shown = |object| convert::to_read_form(resource, object);
        let mut page = take_page(objects, after, limit, &filter, version, shown);
        page.next =
            page.next.map(|last| ContinueToken::encode(next_token_version(version, token.as_ref()), &last));
        page
    }
}

/// The resource version of the next continue token: the version of the current token, or `version` if the request has
/// no token or a token without a version.
fn next_token_version(version: u64, token: Option<&ContinueToken>) -> Option<u64> {
    token.and_then(|t| t.version).or(Some(version))
}

/// The resource version at which a list is read; `None` for the current version.
fn exact_version(options: &Options) -> Option<u64> {
    let version = options.version.filter(|v| *v != 0)?;
    match options.version_match {
        Some(VersionMatch::Exact) => Some(version),
        Some(VersionMatch::NotOlderThan) => None,
        // Without `resourceVersionMatch`, a limit implies `Exact`.
        None => (options.limit > 0).then_some(version),
    }
}

/// The first `limit` matching objects after the key `after`; all of them if `limit` is 0. `shown` converts
/// each object to the form that clients read.
fn take_page(
    objects: Vec<Arc<StoredObject>>,
    after: &str,
    limit: usize,
    filter: &Filter,
    version: u64,
    shown: impl Fn(Arc<StoredObject>) -> Arc<StoredObject>,
) -> Page {
    let from = if after.is_empty() { 0 } else { objects.partition_point(|o| &*o.key <= after) };
    let total = objects.len();
    let mut taken: Vec<Arc<StoredObject>> = Vec::new();
    let mut position = from;
    for object in objects.into_iter().skip(from).map(shown) {
        if !filter.matches(&object) {
            position += 1;
            continue;
        }
        if limit > 0 && taken.len() == limit {
            let last = taken.last().map(|o| o.key.to_string());
            let remaining = (!filter.has_selector()).then(|| total - position);
            return Page { objects: taken, version, next: last, remaining };
        }
        position += 1;
        taken.push(object);
    }
    Page { objects: taken, version, next: None, remaining: None }
}
