//! The prefetched next page of a list.

use super::super::step::{PageRequest, Request};
use super::{Body, Driver, Io, PendingResponse};
use crate::watcher::Storable;
use kube_client::Error as ClientError;
use std::task::{Context, Poll};

/// A prefetched page of a list. The server prepares it while the client decodes the previous page.
pub(super) struct Prefetch<K> {
    /// The continue token of the page.
    token: String,
    response: PrefetchState<K>,
}

/// The state of the request for a prefetched page.
enum PrefetchState<K> {
    Awaited(PendingResponse<K>),
    Arrived(Box<Result<Body<K>, ClientError>>),
}

impl<K: Storable + Send + 'static> Driver<K> {
    /// Requests the next page as soon as its continue token arrives, so that decoding does not pause between two
    /// pages. Reads the body of the next page only after the body of the current page is complete.
    pub(super) fn prefetch_page(&mut self, cx: &mut Context<'_>) {
        let Io::Open(Body::List(stream)) = &self.io else { return };
        if self.prefetch.is_none()
            && let Some(token) = stream.continue_token()
        {
            let token = token.to_owned();
            let page = PageRequest { token: Some(token.clone()), ..PageRequest::default() };
            self.prefetch =
                Some(Prefetch { token, response: PrefetchState::Awaited(self.request_page(&page)) });
        }
        if let Some(Prefetch { response, .. }) = &mut self.prefetch
            && let PrefetchState::Awaited(opening) = response
            && let Poll::Ready(arrived) = opening.as_mut().poll(cx)
        {
            *response = PrefetchState::Arrived(Box::new(arrived));
        }
        if stream.metadata().is_some()
            && let Some(Prefetch { response: PrefetchState::Arrived(arrived), .. }) = &mut self.prefetch
            && let Ok(Body::List(next)) = &mut **arrived
        {
            next.read_ahead(cx);
        }
    }

    /// Returns the prefetched response if it is for `request`; otherwise drops it.
    pub(super) fn take_prefetched(&mut self, request: &Request) -> Option<PendingResponse<K>> {
        let Prefetch { token, response } = self.prefetch.take()?;
        match request {
            Request::List(PageRequest { token: Some(wanted), unpaged: false, .. }) if *wanted == token => {
                Some(match response {
                    PrefetchState::Awaited(opening) => opening,
                    PrefetchState::Arrived(response) => Box::pin(std::future::ready(*response)),
                })
            }
            _ => None,
        }
    }
}
