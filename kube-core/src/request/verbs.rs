//! The methods of [`Request`] that build the request of each verb.

use super::{Error, JSON_CONTENT_TYPE, Request, build_request};
use crate::Representation;
use crate::params::{
    DeleteParams, EvictParams, Eviction, GetParams, ListParams, LogParams, Patch, PatchParams, PostParams,
    Query, WatchParams,
};
use http::{Method, header};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;

/// The result of a method that builds a request: the request, with the body as bytes.
type BuildResult = Result<http::Request<Vec<u8>>, Error>;

impl Request {
    /// Builds a request that lists the collection, or one page of the collection.
    ///
    /// # Errors
    ///
    /// If the parameters are invalid, for example if a version match has no resource version.
    pub fn list(&self, lp: &ListParams) -> BuildResult {
        let mut query = Query::new();
        lp.populate_query(&mut query)?;
        self.build_read(self.collection_path()?, query, true)
    }

    /// Builds a request that watches the collection from the resource version `version`. With `"0"`, the watch starts
    /// at any state in the server's cache; with `""`, at the most recent state.
    ///
    /// # Errors
    ///
    /// If `wp` has a timeout of zero, or requests initial events without bookmarks.
    pub fn watch(&self, wp: &WatchParams, version: &str) -> BuildResult {
        let mut query = Query::new();
        query.append_flag("watch", true);
        wp.populate_query(&mut query)?;
        query.append_pair("resourceVersion", version);
        self.build_read(self.collection_path()?, query, false)
    }

    /// Builds a request that reads one object.
    ///
    /// # Errors
    ///
    /// If `name` is not a valid path segment.
    pub fn get(&self, name: &str, gp: &GetParams) -> BuildResult {
        let mut query = Query::new();
        gp.populate_query(&mut query);
        self.build_read(&self.object_path(name, None)?, query, false)
    }

    /// Builds a request that creates an object. `data` is the object as JSON.
    ///
    /// # Errors
    ///
    /// If a segment of [`url_path`](Request::url_path) is not valid, such as an empty namespace.
    pub fn create(&self, pp: &PostParams, data: Vec<u8>) -> BuildResult {
        let mut query = Query::new();
        pp.populate_query(&mut query);
        self.build_write(Method::POST, self.collection_path()?, query, JSON_CONTENT_TYPE, data)
    }

    /// Builds a request that replaces an object. `data` is the new object as JSON.
    ///
    /// # Errors
    ///
    /// If `name` is not a valid path segment.
    pub fn replace(&self, name: &str, pp: &PostParams, data: Vec<u8>) -> BuildResult {
        self.build_replace(name, None, pp, data)
    }

    /// Builds a request that patches an object.
    ///
    /// # Errors
    ///
    /// If `name` is not a valid path segment, the parameters are invalid for this type of patch, or the patch cannot be
    /// serialized.
    pub fn patch<P: Serialize>(&self, name: &str, pp: &PatchParams, patch: &Patch<P>) -> BuildResult {
        self.build_patch(name, None, pp, patch)
    }

    /// Builds a request that deletes an object.
    ///
    /// # Errors
    ///
    /// If `name` is not a valid path segment.
    pub fn delete(&self, name: &str, dp: &DeleteParams) -> BuildResult {
        self.build_write(
            Method::DELETE,
            &self.object_path(name, None)?,
            Query::new(),
            JSON_CONTENT_TYPE,
            delete_options_body(dp)?,
        )
    }

    /// Builds a request that deletes all objects that a list request with the parameters `lp` would return.
    ///
    /// # Errors
    ///
    /// The same as for [`list`](Request::list).
    pub fn delete_collection(&self, dp: &DeleteParams, lp: &ListParams) -> BuildResult {
        let mut query = Query::new();
        lp.populate_query(&mut query)?;
        self.build_write(
            Method::DELETE,
            self.collection_path()?,
            query,
            JSON_CONTENT_TYPE,
            delete_options_body(dp)?,
        )
    }

    /// Builds a request that reads a subresource of an object, such as `status`.
    ///
    /// # Errors
    ///
    /// If `name` or `subresource` is not a valid path segment.
    pub fn get_subresource(&self, subresource: &str, name: &str) -> BuildResult {
        self.build_read(&self.object_path(name, Some(subresource))?, Query::new(), false)
    }

    /// Builds a POST request to a subresource of an object, such as `eviction`. `data` is the body as JSON.
    ///
    /// # Errors
    ///
    /// If `name` or `subresource` is not a valid path segment.
    pub fn create_subresource(
        &self,
        subresource: &str,
        name: &str,
        pp: &PostParams,
        data: Vec<u8>,
    ) -> BuildResult {
        let mut query = Query::new();
        pp.populate_query(&mut query);
        self.build_write(
            Method::POST,
            &self.object_path(name, Some(subresource))?,
            query,
            JSON_CONTENT_TYPE,
            data,
        )
    }

    /// Builds a request that patches a subresource of an object.
    ///
    /// # Errors
    ///
    /// If `name` or `subresource` is not a valid path segment, the parameters are invalid for this type of patch, or the
    /// patch cannot be serialized.
    pub fn patch_subresource<P: Serialize>(
        &self,
        subresource: &str,
        name: &str,
        pp: &PatchParams,
        patch: &Patch<P>,
    ) -> BuildResult {
        self.build_patch(name, Some(subresource), pp, patch)
    }

    /// Builds a request that replaces a subresource of an object. `data` is the new object as JSON.
    ///
    /// # Errors
    ///
    /// If `name` or `subresource` is not a valid path segment.
    pub fn replace_subresource(
        &self,
        subresource: &str,
        name: &str,
        pp: &PostParams,
        data: Vec<u8>,
    ) -> BuildResult {
        self.build_replace(name, Some(subresource), pp, data)
    }

    /// Builds a request that reads the logs of a pod's container.
    ///
    /// # Errors
    ///
    /// If `name` is not a valid path segment, or the parameters contradict each other.
    pub fn logs(&self, name: &str, lp: &LogParams) -> BuildResult {
        let mut query = Query::new();
        lp.populate_query(&mut query)?;
        // Accept any content type, because the logs are text, and the API server's errors are JSON.
        build_request(
            Method::GET,
            &self.object_path(name, Some("log"))?,
            query,
            &[(header::ACCEPT, "*/*")],
            Vec::new(),
        )
    }

    /// Builds a request that evicts a pod.
    ///
    /// # Errors
    ///
    /// If `name` is not a valid path segment.
    pub fn evict(&self, name: &str, ep: &EvictParams) -> BuildResult {
        let body = serde_json::to_vec(&Eviction::new(name, ep)).map_err(Error::SerializeBody)?;
        self.create_subresource("eviction", name, &ep.post_options, body)
    }

    /// Builds a request that restarts the pods of a workload such as a deployment. The request sets an annotation of the
    /// pod template, as `kubectl rollout restart` does. `time` is the value of the annotation.
    ///
    /// # Errors
    ///
    /// If `name` is not a valid path segment.
    pub fn restart(&self, name: &str, time: Timestamp) -> BuildResult {
        let annotations = json!({ "kubectl.kubernetes.io/restartedAt": time.to_string() });
        let patch = json!({ "spec": { "template": { "metadata": { "annotations": annotations } } } });
        self.patch(name, &PatchParams::default(), &Patch::Merge(patch))
    }

    /// Builds a request that marks a node as unschedulable.
    ///
    /// # Errors
    ///
    /// If `name` is not a valid path segment.
    pub fn cordon(&self, name: &str) -> BuildResult {
        self.set_unschedulable(name, true)
    }

    /// Builds a request that marks a node as schedulable.
    ///
    /// # Errors
    ///
    /// If `name` is not a valid path segment.
    pub fn uncordon(&self, name: &str) -> BuildResult {
        self.set_unschedulable(name, false)
    }

    fn set_unschedulable(&self, node: &str, unschedulable: bool) -> BuildResult {
        let patch = json!({ "spec": { "unschedulable": unschedulable } });
        self.patch(node, &PatchParams::default(), &Patch::Merge(patch))
    }

    /// Builds a request that reads the metadata of one object.
    ///
    /// # Errors
    ///
    /// If `name` is not a valid path segment.
    pub fn get_metadata(&self, name: &str, gp: &GetParams) -> BuildResult {
        self.clone().representation(Representation::Metadata).get(name, gp)
    }

    /// Builds a request that lists the metadata of the objects in the collection, or in one page of the collection.
    ///
    /// # Errors
    ///
    /// The same as for [`list`](Request::list).
    pub fn list_metadata(&self, lp: &ListParams) -> BuildResult {
        self.clone().representation(Representation::Metadata).list(lp)
    }

    /// Builds a request that watches the metadata of the objects in the collection; see [`watch`](Request::watch).
    ///
    /// # Errors
    ///
    /// The same as for [`watch`](Request::watch).
    pub fn watch_metadata(&self, wp: &WatchParams, version: &str) -> BuildResult {
        self.clone().representation(Representation::Metadata).watch(wp, version)
    }

    /// Builds a request that patches an object. The server returns only the metadata of the patched object.
    ///
    /// # Errors
    ///
    /// The same as for [`patch`](Request::patch).
    pub fn patch_metadata<P: Serialize>(
        &self,
        name: &str,
        pp: &PatchParams,
        patch: &Patch<P>,
    ) -> BuildResult {
        self.clone().representation(Representation::Metadata).patch(name, pp, patch)
    }

    /// Builds a request that replaces an object or one of its subresources.
    fn build_replace(
        &self,
        name: &str,
        subresource: Option<&str>,
        pp: &PostParams,
        data: Vec<u8>,
    ) -> BuildResult {
        let mut query = Query::new();
        pp.populate_query(&mut query);
        self.build_write(Method::PUT, &self.object_path(name, subresource)?, query, JSON_CONTENT_TYPE, data)
    }

    /// Builds a request that patches an object or one of its subresources.
    fn build_patch<P: Serialize>(
        &self,
        name: &str,
        subresource: Option<&str>,
        pp: &PatchParams,
        patch: &Patch<P>,
    ) -> BuildResult {
        let mut query = Query::new();
        pp.populate_query(patch, &mut query)?;
        let url = self.object_path(name, subresource)?;
        self.build_write(Method::PATCH, &url, query, patch.content_type(), patch.body()?)
    }
}

/// The `DeleteOptions` body of a deletion; empty if all parameters have their defaults.
fn delete_options_body(dp: &DeleteParams) -> Result<Vec<u8>, Error> {
    if dp.is_default() { Ok(Vec::new()) } else { serde_json::to_vec(dp).map_err(Error::SerializeBody) }
}
