//! The names of verbs in RBAC rules and in discovery documents.

/// Creates an object.
pub const CREATE: &str = "create";
/// Reads one object.
pub const GET: &str = "get";
/// Reads a list of objects.
pub const LIST: &str = "list";
/// Watches for changes of objects.
pub const WATCH: &str = "watch";
/// Deletes one object.
pub const DELETE: &str = "delete";
/// Deletes a collection of objects.
pub const DELETE_COLLECTION: &str = "deletecollection";
/// Replaces an object.
pub const UPDATE: &str = "update";
/// Changes parts of an object.
pub const PATCH: &str = "patch";
