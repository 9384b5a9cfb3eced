//! Reading: get and list.

use super::complete::Complete;
use super::{Api, GetParams, ListParams, ListStream, ObjectList, PartialObjectMeta};
use crate::core::{Request, Status, TypeMeta};
use crate::{Error, Result};
use futures::TryStreamExt;
use serde::de::DeserializeOwned;

impl<K: DeserializeOwned + Send + 'static> Api<K> {
    /// Reads one object.
    ///
    /// # Errors
    ///
    /// [`Error::is_not_found`](crate::Error::is_not_found) if there is none of that name.
    pub async fn get(&self, name: &str) -> Result<K> {
        self.get_with(name, &GetParams::default()).await
    }

    /// Reads one object, as [`GetParams`] say.
    ///
    /// # Errors
    ///
    /// As [`get`](Api::get).
    pub async fn get_with(&self, name: &str, gp: &GetParams) -> Result<K> {
        self.read(self.request.get(name, gp)?).await
    }

    /// Reads one object, `None` if there is none of that name.
    ///
    /// # Errors
    ///
    /// If the request fails in any other way. That the resource itself is not served is an error, too.
    pub async fn get_opt(&self, name: &str) -> Result<Option<K>> {
        match self.get(name).await {
            Ok(object) => Ok(Some(object)),
            Err(error) if names_an_object(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Lists the objects, or one page of them, decoding each as soon as it has arrived.
    ///
    /// # Errors
    ///
    /// If the request fails, or an object does not decode: the error names it. See [`list_stream`](Api::list_stream) for
    /// a list that goes on after such an object.
    pub async fn list(&self, lp: &ListParams) -> Result<ObjectList<K>> {
        collect(self.list_stream(lp).await?).await
    }

    /// Lists the objects, or one page of them, as a stream of decoded objects; neither the text nor all objects of the list
    /// need to fit into memory.
    ///
    /// # Errors
    ///
    /// If the request fails; failures after that come out of the stream.
    pub async fn list_stream(&self, lp: &ListParams) -> Result<ListStream<K>> {
        self.open_list(&self.request, lp, self.complete.clone()).await
    }
}

impl<K: 'static> Api<K> {
    /// Reads the metadata of one object.
    ///
    /// # Errors
    ///
    /// As [`get`](Api::get).
    pub async fn get_metadata(&self, name: &str) -> Result<PartialObjectMeta<K>> {
        self.read(self.metadata_request().get(name, &GetParams::default())?).await
    }

    /// Reads the metadata of one object, `None` if there is none of that name.
    ///
    /// # Errors
    ///
    /// As [`get_opt`](Api::get_opt).
    pub async fn get_metadata_opt(&self, name: &str) -> Result<Option<PartialObjectMeta<K>>> {
        match self.get_metadata(name).await {
            Ok(object) => Ok(Some(object)),
            Err(error) if names_an_object(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Lists the metadata of the objects, or of one page of them.
    ///
    /// # Errors
    ///
    /// As [`list`](Api::list).
    pub async fn list_metadata(&self, lp: &ListParams) -> Result<ObjectList<PartialObjectMeta<K>>> {
        collect(self.open_list(&self.metadata_request(), lp, Complete::nothing()).await?).await
    }

    /// Sends a request whose answer is one object.
    async fn read<T: DeserializeOwned>(&self, request: http::Request<Vec<u8>>) -> Result<T> {
        let path = request.uri().path().to_owned();
        let text = self.client.open(request).await?.into_body().collect_bytes().await?;
        self.shape().object(&text).map_err(|source| Error::Decode {
            what: format!("the response to GET {path}"),
            source: source.into(),
        })
    }

    async fn open_list<T: DeserializeOwned + Send + 'static>(
        &self,
        request: &Request,
        lp: &ListParams,
        complete: Complete<T>,
    ) -> Result<ListStream<T>> {
        let response = self.client.open(request.list(lp)?).await?;
        Ok(ListStream::new(response.into_body(), self.shape(), complete))
    }
}

async fn collect<T: DeserializeOwned + Send + 'static>(mut stream: ListStream<T>) -> Result<ObjectList<T>> {
    let mut items = Vec::new();
    while let Some(item) = stream.try_next().await? {
        items.push(item);
    }
    let (types, metadata) =
        stream.into_head().unwrap_or_else(|| (TypeMeta::default(), crate::core::ListMeta::default()));
    Ok(ObjectList { types, metadata, items })
}

/// Whether a failure is about an object that does not exist, rather than about a resource that is not served.
fn names_an_object(error: &Error) -> bool {
    let undetailed_or_named = |status: &Status| status.details.as_ref().is_none_or(|d| !d.name.is_empty());
    // A resource that is not served has no `Status` at all, or one with details that name nothing.
    error.is_not_found() && error.status().is_some_and(undetailed_or_named)
}
