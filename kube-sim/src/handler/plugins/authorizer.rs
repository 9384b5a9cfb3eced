//! The variable `authorizer` in the CEL expressions of webhooks and policies: RBAC decides about each access.

use super::attributes::Attributes;
use crate::cel::{Authorizer, CheckedAccess, ResourceCheck, Subject};
use crate::rbac::{Access, ResourceAccess, find_grant};
use crate::shared_state::Inner;
use crate::user::User;

/// Decides whether the sender of a request or a service account has access to a resource or a path.
#[derive(Clone, Copy, Debug)]
pub(super) struct RequestAuthorizer<'a> {
    pub(super) inner: &'a Inner,
    pub(super) attributes: &'a Attributes<'a>,
}

impl Authorizer for RequestAuthorizer<'_> {
    fn request_resource(&self) -> ResourceCheck {
        let Attributes { resource, subresource, namespace, name, .. } = self.attributes;
        ResourceCheck {
            group: resource.group.as_str().into(),
            resource: resource.plural.as_str().into(),
            subresource: (*subresource).into(),
            namespace: namespace.as_str().into(),
            name: name.as_str().into(),
        }
    }

    /// Without RBAC, each user has all permissions.
    fn decide(&self, subject: &Subject, access: &CheckedAccess, verb: &str) -> Option<String> {
        if !self.inner.settings.rbac {
            return Some(String::new());
        }
        let account;
        let user = match subject {
            Subject::Sender => &self.attributes.user,
            Subject::ServiceAccount { namespace, name } => {
                account = User::unauthenticated_service_account(namespace, name);
                &account
            }
        };
        let access = match access {
            CheckedAccess::Path(path) => Access::Path { verb, path },
            CheckedAccess::Resource(check) => Access::Resource(ResourceAccess {
                verb,
                group: &check.group,
                resource: &check.resource,
                subresource: &check.subresource,
                namespace: &check.namespace,
                name: &check.name,
            }),
        };
        find_grant(&self.inner.lock(), user, &access)
    }
}
