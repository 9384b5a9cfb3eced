//! Converts the objects of a watch with a conversion webhook.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::future::BoxFuture;

use crate::handler::conversion_webhooks::Converter;
use crate::registry::Resource;
use crate::shared_state::Inner;
use crate::status::SimError;
use crate::store::object::StoredObject;
use crate::store::table::Change;

/// An event that the watch has not sent, with its object before or after the conversion.
pub(super) struct UnsentEvent {
    pub(super) change: Change,
    pub(super) object: Arc<StoredObject>,
    /// The resource version of the event, if it differs from the resource version of the object.
    pub(super) version: Option<u64>,
}

/// A conversion in progress.
pub(super) struct Conversion(BoxFuture<'static, Result<Vec<UnsentEvent>, SimError>>);

impl Conversion {
    /// Whether a webhook converts the objects of a resource.
    pub(super) fn is_needed(resource: &Resource) -> bool {
        resource.custom_properties().is_some_and(|custom| custom.webhook.is_some())
    }

    pub(super) fn start(inner: Arc<Inner>, resource: Arc<Resource>, items: Vec<UnsentEvent>) -> Self {
        Self(Box::pin(async move {
            let converter = Converter { inner: &inner, resource: &resource, calls_webhooks: true };
            let objects = items.iter().map(|item| item.object.clone()).collect();
            let objects = converter.all_from_stored(objects).await?;
            Ok(items.into_iter().zip(objects).map(|(item, object)| UnsentEvent { object, ..item }).collect())
        }))
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Vec<UnsentEvent>, SimError>> {
        Pin::new(&mut self.0).poll(cx)
    }
}
