//! The names of verbs in RBAC rules and in discovery documents.

/// The verb that creates an object.
pub const CREATE: &str = "create";
/// The verb that reads one object.
pub const GET: &str = "get";
/// The verb that reads a list of objects.
pub const LIST: &str = "list";
/// The verb that watches for changes of objects.
pub const WATCH: &str = "watch";
/// The verb that deletes one object.
pub const DELETE: &str = "delete";
/// The verb that deletes a collection of objects.
pub const DELETE_COLLECTION: &str = "deletecollection";
/// The verb that replaces an object.
pub const UPDATE: &str = "update";
/// The verb that changes parts of an object.
pub const PATCH: &str = "patch";
