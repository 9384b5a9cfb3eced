//! Converts the objects of a watch with a conversion webhook.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::future::BoxFuture;

use crate::handler::conversion::Converter;
use crate::registry::Resource;
use crate::shared::Inner;
use crate::status::SimError;
use crate::store::object::Stored;
use crate::store::table::Change;

/// An object to send, before or after its conversion.
pub(super) struct Item {
    pub(super) change: Change,
    pub(super) object: Arc<Stored>,
    /// The resource version of the event, if it differs from the resource version of the object.
    pub(super) version: Option<u64>,
}

/// A conversion in progress.
pub(super) struct Conversion(BoxFuture<'static, Result<Vec<Item>, SimError>>);

impl Conversion {
    /// Whether a webhook converts the objects of a resource.
    pub(super) fn is_needed(resource: &Resource) -> bool {
        resource.custom().is_some_and(|custom| custom.webhook.is_some())
    }

    pub(super) fn start(inner: Arc<Inner>, resource: Arc<Resource>, items: Vec<Item>) -> Self {
        Self(Box::pin(async move {
            let converter = Converter { inner: &inner, resource: &resource, calls_webhooks: true };
            let objects = items.iter().map(|item| item.object.clone()).collect();
            let objects = converter.all_from_stored(objects).await?;
            Ok(items.into_iter().zip(objects).map(|(item, object)| Item { object, ..item }).collect())
        }))
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Vec<Item>, SimError>> {
        Pin::new(&mut self.0).poll(cx)
    }
}
