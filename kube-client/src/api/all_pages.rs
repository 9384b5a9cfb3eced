//! `Api::list_all`: lists a collection page by page, as one stream.

use super::{Api, ListParams, ListStream};
use crate::{Error, Result};
use futures::{Stream, StreamExt, stream};
use serde::de::DeserializeOwned;

/// The size of a page if the parameters set no limit, as in client-go.
const DEFAULT_PAGE_SIZE: u32 = 500;

impl<K: DeserializeOwned + Send + 'static> Api<K> {
    /// Lists all objects, page by page, as a stream of decoded objects. [`ListParams::limit`] is the size of a page, 500
    /// by default.
    ///
    /// The pages are a snapshot of one resource version. The server keeps that version for 5 to 10 minutes. If the
    /// listing takes longer, the stream continues at a newer version: each object that exists during the whole listing
    /// is emitted once, in its old or its new state.
    ///
    /// ```
    /// use futures::TryStreamExt;
    /// use k8s_openapi::api::core::v1::Namespace;
    /// use kube_client::{Api, Client, ResourceExt, api::ListParams};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let client = Client::new(kube_sim::Sim::new().service(), "default");
    /// let namespaces: Api<Namespace> = Api::all(client);
    /// let mut all = std::pin::pin!(namespaces.list_all(&ListParams::default().limit(2)));
    /// while let Some(namespace) = all.try_next().await? {
    ///     println!("{}", namespace.name_any());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// The stream emits an error for each object that does not decode, and continues. Any other error ends the stream.
    ///
    /// # Cancel safety
    ///
    /// Dropping the stream cancels its request.
    pub fn list_all(&self, lp: &ListParams) -> impl Stream<Item = Result<K>> + Send + use<K> {
        let limit = lp.limit.or(Some(DEFAULT_PAGE_SIZE));
        let pages = Pages {
            api: self.clone(),
            lp: ListParams { limit, ..lp.clone() },
            current: CurrentPage::NotRequested,
        };
        stream::unfold(pages, async |mut pages| pages.next().await.map(|item| (item, pages)))
    }
}

/// The state of [`Api::list_all`]. `lp` contains the parameters of the current or the next page.
struct Pages<K> {
    api: Api<K>,
    lp: ListParams,
    current: CurrentPage<K>,
}

enum CurrentPage<K> {
    NotRequested,
    Open(Box<ListStream<K>>),
    /// The last page has ended, or a page failed.
    Ended,
}

impl<K: DeserializeOwned + Send + 'static> Pages<K> {
    async fn next(&mut self) -> Option<Result<K>> {
        loop {
            match &mut self.current {
                CurrentPage::Ended => return None,
                CurrentPage::NotRequested => match self.api.list_stream(&self.lp).await {
                    Ok(page) => self.current = CurrentPage::Open(Box::new(page)),
                    Err(error) => {
                        let Some(token) = newer_token(&error, self.lp.continue_token.as_deref()) else {
                            self.current = CurrentPage::Ended;
                            return Some(Err(error));
                        };
                        self.lp.continue_token = Some(token);
                    }
                },
                CurrentPage::Open(page) => {
                    if let Some(item) = page.next().await {
                        return Some(item);
                    }
                    let token = page.metadata().and_then(|meta| meta.continue_.clone());
                    self.current = match token.filter(|token| !token.is_empty()) {
                        Some(token) => {
                            self.lp.continue_token = Some(token);
                            CurrentPage::NotRequested
                        }
                        None => CurrentPage::Ended,
                    };
                }
            }
        }
    }
}

/// Returns the new continue token that a 410 response contains. The new token continues the list at a newer resource
/// version. `expired` is the continue token of the failed request.
fn newer_token(error: &Error, expired: Option<&str>) -> Option<String> {
    let expired = expired?;
    let status = error.status().filter(|status| status.is_gone())?;
    let token = status.metadata.as_ref()?.continue_.clone()?;
    // The server would reject the same token again.
    (!token.is_empty() && token != expired).then_some(token)
}
