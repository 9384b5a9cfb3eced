//! `User`: the sender of a request. This module must not authenticate or authorize requests.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// The group of all users with credentials.
const AUTHENTICATED: &str = "system:authenticated";
/// The group of the users without credentials.
const UNAUTHENTICATED: &str = "system:unauthenticated";
/// The name of the users without credentials.
const ANONYMOUS: &str = "system:anonymous";
/// The prefix of the names of service accounts.
const SERVICE_ACCOUNT_PREFIX: &str = "system:serviceaccount:";
/// The key in [`User::extra`] under which the id of the credential of a request is stored.
pub(crate) const CREDENTIAL_ID: &str = "authentication.kubernetes.io/credential-id";
/// The group whose members may do everything.
pub(crate) const SUPERUSERS: &str = "system:masters";

/// A user, for example the sender of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) name: String,
    /// Empty for users without a uid.
    pub(crate) uid: String,
    pub(crate) groups: Vec<String>,
    pub(crate) extra: BTreeMap<String, Vec<String>>,
}

impl User {
    /// A user in these groups. Adds the group of all authenticated users, or, for the anonymous user, the group of the
    /// unauthenticated users.
    pub(crate) fn in_groups(name: impl Into<String>, groups: Vec<String>) -> Self {
        let mut user = Self { name: name.into(), groups, ..Self::default() };
        let of_all = if user.name == ANONYMOUS { UNAUTHENTICATED } else { AUTHENTICATED };
        if !user.is_in(of_all) {
            user.groups.push(of_all.to_owned());
        }
        user
    }

    /// A user who may do everything.
    pub(crate) fn administrator(name: &str) -> Self {
        Self::in_groups(name, vec![SUPERUSERS.to_owned()])
    }

    /// The sender of a request without credentials.
    pub(crate) fn anonymous() -> Self {
        Self::in_groups(ANONYMOUS, Vec::new())
    }

    /// An authenticated service account. It is in the groups of all authenticated users, of all service accounts, and of
    /// the service accounts in its namespace.
    pub(crate) fn service_account(namespace: &str, name: &str) -> Self {
        let account = Self::unauthenticated_service_account(namespace, name);
        Self::in_groups(account.name, account.groups)
    }

    /// A service account in only the two groups of service accounts. `authorizer.serviceAccount` in a CEL expression checks
    /// the permissions of such a user: the account has not sent the request, so it is not in the group of all
    /// authenticated users.
    pub(crate) fn unauthenticated_service_account(namespace: &str, name: &str) -> Self {
        let groups = ["system:serviceaccounts".to_owned(), format!("system:serviceaccounts:{namespace}")];
        let name = format!("{SERVICE_ACCOUNT_PREFIX}{namespace}:{name}");
        Self { name, groups: groups.into(), ..Self::default() }
    }

    pub(crate) fn is_in(&self, group: &str) -> bool {
        self.groups.iter().any(|known| known == group)
    }

    /// The user as a `UserInfo` object, for example in an `AdmissionReview`.
    pub(crate) fn to_user_info(&self) -> Value {
        let mut info = json!({"username": self.name, "groups": self.groups});
        if !self.uid.is_empty() {
            info["uid"] = self.uid.clone().into();
        }
        if !self.extra.is_empty() {
            info["extra"] = json!(self.extra);
        }
        info
    }
}

/// The namespace and the name of the service account with the user name `user`; `None` for other users.
pub(crate) fn service_account_parts(user: &str) -> Option<(&str, &str)> {
    user.strip_prefix(SERVICE_ACCOUNT_PREFIX)?.split_once(':')
}
