//! The CEL authorization library of Kubernetes: the variable `authorizer` of admission expressions, the values that
//! describe accesses, and the checks of these accesses.
//!
//! This module owns the functions of the library. This module must not decide whether an access is allowed: the
//! caller that evaluates an expression passes an [`Authorizer`], whose implementation decides.

use std::fmt;
use std::rc::Rc;

use super::value::{Failure, Outcome, Val};
use crate::names;

/// The names of the CEL types of this library.
pub(super) const AUTHORIZER: &str = "kubernetes.authorization.Authorizer";
const PATH_CHECK: &str = "kubernetes.authorization.PathCheck";
const GROUP_CHECK: &str = "kubernetes.authorization.GroupCheck";
pub(super) const RESOURCE_CHECK: &str = "kubernetes.authorization.ResourceCheck";
const DECISION: &str = "kubernetes.authorization.Decision";

/// Returns `name` if it is the name of a type of this library.
pub(super) fn known_type_name(name: &str) -> Option<&'static str> {
    [AUTHORIZER, PATH_CHECK, GROUP_CHECK, RESOURCE_CHECK, DECISION].into_iter().find(|known| *known == name)
}

/// Decides whether each access that an expression checks is allowed.
pub(crate) trait Authorizer: fmt::Debug {
    /// The value of the variable `authorizer.requestResource`: the access to the object of the request.
    fn request_resource(&self) -> ResourceCheck;

    /// The reason for which an access is allowed; `None` if it is denied.
    fn decide(&self, subject: &Subject, access: &CheckedAccess, verb: &str) -> Option<String>;
}

/// The user whose access is checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Subject {
    /// The sender of the request.
    #[default]
    Sender,
    ServiceAccount {
        namespace: Rc<str>,
        name: Rc<str>,
    },
}

/// What an authorization check asks about: a non-resource path or a resource. The verb is passed separately.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CheckedAccess {
    Path(Rc<str>),
    Resource(ResourceCheck),
}

/// An access to objects of a resource. It contains no field or label selectors, because RBAC ignores them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ResourceCheck {
    pub(crate) group: Rc<str>,
    pub(crate) resource: Rc<str>,
    pub(crate) subresource: Rc<str>,
    pub(crate) namespace: Rc<str>,
    pub(crate) name: Rc<str>,
}

/// A CEL value of the authorization library. [`type_name`](Self::type_name) returns the CEL type of the value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Authorization {
    Authorizer(Subject),
    Group {
        subject: Subject,
        group: Rc<str>,
    },
    Access {
        subject: Subject,
        access: CheckedAccess,
    },
    /// The reason for which the access is allowed; `None` if it is denied.
    Decision(Option<Rc<str>>),
}

impl Authorization {
    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Self::Authorizer(_) => AUTHORIZER,
            Self::Access { access: CheckedAccess::Path(_), .. } => PATH_CHECK,
            Self::Group { .. } => GROUP_CHECK,
            Self::Access { access: CheckedAccess::Resource(_), .. } => RESOURCE_CHECK,
            Self::Decision(_) => DECISION,
        }
    }

    fn into_value(self) -> Val<'static> {
        Val::Authorization(Rc::new(self))
    }
}

/// The values of the variables `authorizer` and `authorizer.requestResource`.
pub(super) fn variables(authorizer: &dyn Authorizer) -> [(&'static str, Val<'static>); 2] {
    let access = CheckedAccess::Resource(authorizer.request_resource());
    let requested = Authorization::Access { subject: Subject::Sender, access };
    [
        ("authorizer", Authorization::Authorizer(Subject::Sender).into_value()),
        ("authorizer.requestResource", requested.into_value()),
    ]
}

/// Evaluates the function `check`, whose arguments are an access and a verb.
///
/// # Errors
/// The arguments have other types.
pub(super) fn evaluate_check<'a>(authorizer: &dyn Authorizer, arguments: &[Val<'a>]) -> Outcome<'a> {
    let [Val::Authorization(value), Val::String(verb)] = arguments else {
        return Err(Failure::no_such_overload());
    };
    let Authorization::Access { subject, access } = &**value else {
        return Err(Failure::no_such_overload());
    };
    let reason = authorizer.decide(subject, access, verb);
    Ok(Authorization::Decision(reason.map(Into::into)).into_value())
}

/// Calls a function of this library; see [`Library`](super::library::Library).
pub(super) fn call<'a>(name: &str, arguments: &[Val<'a>]) -> Option<Outcome<'a>> {
    let (Val::Authorization(target), texts) = arguments.split_first()? else { return None };
    let texts: Option<Vec<Rc<str>>> = texts.iter().map(string_value).collect();
    Some(match (&**target, texts?.as_slice()) {
        (Authorization::Authorizer(subject), texts) => {
            call_on_authorizer(subject, name, texts)?.map(Authorization::into_value)
        }
        (Authorization::Group { subject, group }, [resource]) if name == "resource" => {
            if resource.trim().is_empty() {
                return Some(Err(Failure::new("resource must not be empty")));
            }
            let check =
                ResourceCheck { group: group.clone(), resource: resource.clone(), ..Default::default() };
            let access = CheckedAccess::Resource(check);
            Ok(Authorization::Access { subject: subject.clone(), access }.into_value())
        }
        (Authorization::Access { subject, access: CheckedAccess::Resource(check) }, [text]) => {
            let access = CheckedAccess::Resource(with_field(check.clone(), name, text)?);
            Ok(Authorization::Access { subject: subject.clone(), access }.into_value())
        }
        (Authorization::Decision(reason), []) => Ok(match name {
            "allowed" => Val::Bool(reason.is_some()),
            "reason" => Val::text(reason.as_deref().unwrap_or_default()),
            // The evaluation of roles and bindings has no errors.
            "errored" => Val::Bool(false),
            "error" => Val::text(""),
            _ => return None,
        }),
        _ => return None,
    })
}

fn string_value(value: &Val<'_>) -> Option<Rc<str>> {
    match value {
        Val::String(text) => Some(text.clone()),
        _ => None,
    }
}

/// Calls a member function of the CEL type [`AUTHORIZER`]; `None` if the type has no function with this name and number
/// of arguments.
fn call_on_authorizer(
    subject: &Subject,
    name: &str,
    arguments: &[Rc<str>],
) -> Option<Result<Authorization, Failure>> {
    Some(match (name, arguments) {
        ("path", [path]) if path.trim().is_empty() => Err(Failure::new("path must not be empty")),
        ("path", [path]) => {
            Ok(Authorization::Access { subject: subject.clone(), access: CheckedAccess::Path(path.clone()) })
        }
        ("group", [group]) => Ok(Authorization::Group { subject: subject.clone(), group: group.clone() }),
        ("serviceAccount", [_, name]) if !names::is_subdomain(name) => {
            Err(Failure::new("Invalid service account name"))
        }
        ("serviceAccount", [namespace, _]) if names::dns_label_problem(namespace).is_some() => {
            Err(Failure::new("Invalid service account namespace"))
        }
        ("serviceAccount", [namespace, name]) => Ok(Authorization::Authorizer(Subject::ServiceAccount {
            namespace: namespace.clone(),
            name: name.clone(),
        })),
        _ => return None,
    })
}

/// Sets one field of `check` to `text`: `subresource`, `namespace` or `name`. Ignores selectors, as RBAC does. `None` for
/// any other `field`.
fn with_field(mut check: ResourceCheck, field: &str, text: &Rc<str>) -> Option<ResourceCheck> {
    match field {
        "subresource" => check.subresource = text.clone(),
        "namespace" => check.namespace = text.clone(),
        "name" => check.name = text.clone(),
        "fieldSelector" | "labelSelector" => {}
        _ => return None,
    }
    Some(check)
}
