//! `User`: the name and the groups of the sender of a request. Authenticates and authorizes nothing.

use serde_json::{Value, json};

/// The group of all users with credentials.
const AUTHENTICATED: &str = "system:authenticated";
/// The group whose members may do everything.
pub(crate) const SUPERUSERS: &str = "system:masters";

/// The sender of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) name: String,
    pub(crate) groups: Vec<String>,
}

impl User {
    /// A user with credentials, who is also in the group of all authenticated users.
    pub(crate) fn authenticated(name: impl Into<String>, mut groups: Vec<String>) -> Self {
        if !groups.iter().any(|group| group == AUTHENTICATED) {
            groups.push(AUTHENTICATED.to_owned());
        }
        Self { name: name.into(), groups }
    }

    /// A user who may do everything.
    pub(crate) fn administrator(name: &str) -> Self {
        Self::authenticated(name, vec![SUPERUSERS.to_owned()])
    }

    /// The sender of a request without credentials.
    pub(crate) fn anonymous() -> Self {
        Self { name: "system:anonymous".to_owned(), groups: vec!["system:unauthenticated".to_owned()] }
    }

    /// The `userInfo` of reviews.
    pub(crate) fn info(&self) -> Value {
        json!({"username": self.name, "groups": self.groups})
    }
}
