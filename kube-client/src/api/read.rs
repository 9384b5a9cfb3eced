//! The verbs get and list.

use super::negotiation::ReadVerb;
use super::set_types::TypeMetaSetter;
use super::{Api, GetParams, ListParams, ListStream, ObjectList, PartialObjectMeta};
use crate::core::{Representation, Request, Status, Table, TypeMeta};
use crate::{Error, Result};
use futures::TryStreamExt;
use serde::de::DeserializeOwned;

impl<K: DeserializeOwned> Api<K> {
    /// Reads one object.
    ///
    /// # Errors
    ///
    /// [`Error::is_not_found`](crate::Error::is_not_found) if no object has this name.
    ///
    /// # Cancel safety
    /// Cancel safe: the request ends, and has changed nothing.
    pub async fn get(&self, name: &str) -> Result<K> {
        self.get_with(name, &GetParams::default()).await
    }

    /// Reads one object with [`GetParams`].
    ///
    /// # Errors
    ///
    /// As [`get`](Api::get).
    ///
    /// # Cancel safety
    /// Cancel safe: the request ends, and has changed nothing.
    pub async fn get_with(&self, name: &str, gp: &GetParams) -> Result<K> {
        self.request_object(&self.request, self.request.get(name, gp)?).await
    }

    /// Reads one object. Returns `None` if no object has this name.
    ///
    /// # Errors
    ///
    /// If the request fails for another reason, for example because the server does not serve the resource.
    ///
    /// # Cancel safety
    /// Cancel safe: the request ends, and has changed nothing.
    pub async fn get_opt(&self, name: &str) -> Result<Option<K>> {
        none_if_missing(self.get(name).await)
    }
}

impl<K: DeserializeOwned + Send + 'static> Api<K> {
    /// Lists the objects, or one page of them. Each object is decoded as soon as its text has arrived.
    ///
    /// # Errors
    ///
    /// If the request fails, or an object does not decode; the error names the object. A
    /// [`list_stream`](Api::list_stream) continues after such an object.
    ///
    /// # Cancel safety
    /// Cancel safe: the request ends, and has changed nothing.
    pub async fn list(&self, lp: &ListParams) -> Result<ObjectList<K>> {
        collect_list(self.list_stream(lp).await?).await
    }

    /// Lists the objects, or one page of them, as a stream of decoded objects, without the whole list in memory.
    ///
    /// # Errors
    ///
    /// If the request fails. The stream emits later errors.
    ///
    /// # Cancel safety
    /// Cancel safe: dropping the future or the stream ends the request.
    pub async fn list_stream(&self, lp: &ListParams) -> Result<ListStream<K>> {
        self.open_list(&self.request, lp, self.set_types.clone()).await
    }
}

impl<K> Api<K> {
    /// Reads the metadata of one object.
    ///
    /// # Errors
    ///
    /// As [`get`](Api::get).
    ///
    /// # Cancel safety
    /// Cancel safe: the request ends, and has changed nothing.
    pub async fn get_metadata(&self, name: &str) -> Result<PartialObjectMeta<K>> {
        self.get_metadata_with(name, &GetParams::default()).await
    }

    /// Reads the metadata of one object with [`GetParams`].
    ///
    /// # Errors
    ///
    /// As [`get`](Api::get).
    ///
    /// # Cancel safety
    /// Cancel safe: the request ends, and has changed nothing.
    pub async fn get_metadata_with(&self, name: &str, gp: &GetParams) -> Result<PartialObjectMeta<K>> {
        let request = self.metadata_request();
        self.request_object(&request, request.get(name, gp)?).await
    }

    /// Reads the metadata of one object. Returns `None` if no object has this name.
    ///
    /// # Errors
    ///
    /// As [`get_opt`](Api::get_opt).
    ///
    /// # Cancel safety
    /// Cancel safe: the request ends, and has changed nothing.
    pub async fn get_metadata_opt(&self, name: &str) -> Result<Option<PartialObjectMeta<K>>> {
        self.get_metadata_opt_with(name, &GetParams::default()).await
    }

    /// Reads the metadata of one object with [`GetParams`]. Returns `None` if no object has this name.
    ///
    /// # Errors
    ///
    /// As [`get_opt`](Api::get_opt).
    ///
    /// # Cancel safety
    /// Cancel safe: the request ends, and has changed nothing.
    pub async fn get_metadata_opt_with(
        &self,
        name: &str,
        gp: &GetParams,
    ) -> Result<Option<PartialObjectMeta<K>>> {
        none_if_missing(self.get_metadata_with(name, gp).await)
    }

    /// Lists the metadata of the objects, or of one page of them.
    ///
    /// # Errors
    ///
    /// As [`list`](Api::list).
    ///
    /// # Cancel safety
    /// Cancel safe: the request ends, and has changed nothing.
    pub async fn list_metadata(&self, lp: &ListParams) -> Result<ObjectList<PartialObjectMeta<K>>>
    where
        K: 'static,
    {
        collect_list(self.open_list(&self.metadata_request(), lp, TypeMetaSetter::noop()).await?).await
    }

    /// Lists the objects, or one page of them, as a table: the columns of `kubectl get`.
    ///
    /// ```
    /// use k8s_openapi::api::core::v1::Namespace;
    /// use kube_client::{Api, Client, api::ListParams};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let client = Client::new(kube_sim::Sim::new().service(), "default");
    /// let table = Api::<Namespace>::all(client).list_table(&ListParams::default()).await?;
    /// let headers: Vec<_> = table.column_definitions.iter().map(|column| column.name.as_str()).collect();
    /// assert_eq!(headers, ["Name", "Status", "Age"]);
    /// assert!(table.rows.iter().any(|row| row.texts().next().as_deref() == Some("kube-system")));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// If the request fails, or the server does not support tables for the resource (406).
    ///
    /// # Cancel safety
    /// Cancel safe: the request ends, and has changed nothing.
    pub async fn list_table(&self, lp: &ListParams) -> Result<Table<K>> {
        self.client.request(self.request.clone().representation(Representation::Table).list(lp)?).await
    }

    /// Sends a request whose response is one object.
    async fn request_object<T: DeserializeOwned>(
        &self,
        request: &Request,
        http_request: http::Request<Vec<u8>>,
    ) -> Result<T> {
        let path = http_request.uri().path().to_owned();
        let (response, decoder) = self.send_read_request(request, ReadVerb::Get, http_request).await?;
        let body = response.into_body().collect_bytes_up_to(self.client.max_object_bytes()).await?;
        decoder.decode_object(&body).map_err(|source| Error::Decode {
            what: format!("the response to GET {path}"),
            source: source.into(),
        })
    }

    /// Sends a list request, and returns the items of the response as a stream.
    async fn open_list<T: DeserializeOwned + Send + 'static>(
        &self,
        request: &Request,
        lp: &ListParams,
        set_types: TypeMetaSetter<T>,
    ) -> Result<ListStream<T>> {
        let (response, decoder) = self.send_read_request(request, ReadVerb::List, request.list(lp)?).await?;
        Ok(ListStream::new(response.into_body(), self.client.max_object_bytes(), decoder, set_types))
    }
}

/// Reads the whole stream into a list, and ends at the first error.
async fn collect_list<T: DeserializeOwned + Send + 'static>(
    mut stream: ListStream<T>,
) -> Result<ObjectList<T>> {
    let mut items = Vec::new();
    while let Some(item) = stream.try_next().await? {
        items.push(item);
    }
    let (types, metadata) =
        stream.into_head().unwrap_or_else(|| (TypeMeta::default(), crate::core::ListMeta::default()));
    Ok(ObjectList { types, metadata, items })
}

/// Converts the error for an object that does not exist into `Ok(None)`.
fn none_if_missing<T>(outcome: Result<T>) -> Result<Option<T>> {
    match outcome {
        Ok(object) => Ok(Some(object)),
        Err(error) if is_missing_object(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether an error is a 404 because the object does not exist. If the 404 means that the server does not
/// serve the resource, returns false.
fn is_missing_object(error: &Error) -> bool {
    let has_name_or_no_details = |status: &Status| status.details.as_ref().is_none_or(|d| !d.name.is_empty());
    // If the server does not serve the resource, the details of the `Status` contain no name. If the body of the response
    // is not a `Status`, the client generates a `Status` whose details also contain no name.
    error.is_not_found() && error.status().is_some_and(has_name_or_no_details)
}
