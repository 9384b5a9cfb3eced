//! List and watch requests that do not decode the objects. A store keeps the text of an object, and decodes the text when
//! a program reads the object.
//!
//! This module is public only because kube-runtime uses it. It is not part of the crate's stable interface.

pub use crate::wire::{Convert, RawObject};

use super::filter::{Verdict, event_filter, item_filter};
use super::negotiation::ReadVerb;
use super::pipeline::ValueSize;
use super::set_types::TypeMetaSetter;
use super::{
    Api, EventStream, FilterDepth, ListParams, ListStream, ObjectMeta, PartialObjectMeta, WatchParams,
};
use crate::Result;
use crate::core::ObjectOrigin;
use crate::wire::decode_json;
use serde::de::DeserializeOwned;
use std::fmt;
use std::sync::Arc;

/// A filter, and the part of the metadata that it reads. The filter runs before the parameter `convert`
/// of [`Api::list_raw`] and [`Api::watch_raw`].
pub type RawFilter<K> = (FilterDepth, Box<dyn FnMut(ObjectOrigin, &PartialObjectMeta<K>) -> Verdict + Send>);

impl<K: 'static> Api<K> {
    /// As [`list_stream`](Api::list_stream), but emits the result of `convert` for each object. `convert` runs in place
    /// of the decoder, on the same threads.
    ///
    /// # Errors
    ///
    /// As [`list_stream`](Api::list_stream).
    ///
    /// # Cancel safety
    /// Cancel safe: dropping the future or the stream ends the request.
    pub async fn list_raw<T: Send + 'static>(
        &self,
        lp: &ListParams,
        convert: Arc<Convert<T>>,
        filter: Option<RawFilter<K>>,
    ) -> Result<ListStream<T>> {
        let (response, decoder) =
            self.send_read_request(&self.request, ReadVerb::List, self.request.list(lp)?).await?;
        let filter = filter.map(|(depth, filter)| item_filter(decoder.clone(), depth, filter));
        let item_decoder = decoder.clone();
        let decode = move |piece: &[u8]| item_decoder.convert_item(piece, &*convert);
        let stream = ListStream::with_decode(
            response.into_body(),
            self.client.max_object_bytes(),
            decoder,
            decode,
            filter,
        );
        Ok(stream.with_value_size(ValueSize::Compressed))
    }

    /// As [`watch`](Api::watch), but emits the result of `convert` for each object.
    ///
    /// # Errors
    ///
    /// As [`watch`](Api::watch).
    ///
    /// # Cancel safety
    /// Cancel safe: dropping the future or the stream ends the request.
    pub async fn watch_raw<T: Send + 'static>(
        &self,
        wp: &WatchParams,
        version: &str,
        convert: Arc<Convert<T>>,
        filter: Option<RawFilter<K>>,
    ) -> Result<EventStream<T>> {
        let (response, decoder) =
            self.send_read_request(&self.request, ReadVerb::Watch, self.request.watch(wp, version)?).await?;
        let event_decoder = decoder.clone();
        let decode = Arc::new(move |piece: &[u8]| event_decoder.convert_event(piece, &*convert));
        let filter = filter.map(|(depth, filter)| {
            let decode = decode.clone();
            event_filter(decoder.clone(), depth, filter, move |piece| decode(piece))
        });
        let timeout = wp.effective_timeout();
        let decode = move |piece: &[u8]| decode(piece);
        let body = response.into_body();
        let stream = EventStream::with_decode(&self.client, body, decoder, timeout, decode, filter);
        Ok(stream.with_value_size(ValueSize::Compressed))
    }

    /// The decoder of the texts that [`list_raw`](Api::list_raw) and [`watch_raw`](Api::watch_raw) pass to `convert`.
    #[must_use]
    pub fn text_decoder(&self) -> TextDecoder<K> {
        TextDecoder(self.set_types.clone())
    }
}

/// Decodes the text of a [`RawObject`]. The default decoder leaves `apiVersion` and `kind` as the text has them.
pub struct TextDecoder<K>(TypeMetaSetter<K>);

impl<K> TextDecoder<K> {
    /// Whether both decoders set the same `apiVersion` and `kind`.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.0.types() == other.0.types()
    }
}

impl<K: DeserializeOwned> TextDecoder<K> {
    /// Decodes an object, and sets `apiVersion` and `kind` if they are missing. A decoder from
    /// `TextDecoder::default()` does not set them. The error contains no values of the object.
    ///
    /// # Errors
    ///
    /// If the text does not decode as a `K`.
    pub fn decode(&self, json: &[u8]) -> serde_json::Result<K> {
        let mut decoded = decode_json(json);
        // Change the object in place: objects are large.
        if let Ok(object) = &mut decoded {
            self.0.set_if_missing(object);
        }
        decoded
    }
}

impl<K> Default for TextDecoder<K> {
    fn default() -> Self {
        Self(TypeMetaSetter::noop())
    }
}

impl<K> fmt::Debug for TextDecoder<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TextDecoder").field(&self.0.types()).finish()
    }
}

/// The metadata in the text of an object, without `managedFields`; `None` if the text has no readable metadata.
#[must_use]
pub fn read_metadata(json: &[u8], depth: FilterDepth) -> Option<ObjectMeta> {
    crate::wire::read_metadata(json, depth)
}
