//! `Page`: one allocation for many packed objects.
//!
//! Many long-lived small allocations between short-lived ones would fragment the heap and slow down the allocator. A
//! small object has a page of its own only until enough objects can share a page. This module owns the layout and decides
//! which pages to vacate. It must not decide which objects are in use (see `writer`).

use super::compression::Method;
use std::num::NonZero;
use std::sync::{
    Arc, Weak,
    atomic::{AtomicBool, Ordering},
};

/// The size in bytes of a shared page: small compared with a store, large compared with an object.
const PAGE_SIZE: usize = 32 << 10;

/// The maximum number of vacated pages that the objects of a [`MoveQueue`] keep in memory. At this number, the queue
/// moves all its objects, even if they do not fill a page.
const MAX_VACATED_PAGES: usize = 4;

/// An immutable allocation of packed objects.
#[derive(Debug)]
struct Page {
    entries: Box<[Entry]>,
    /// The concatenated names. Consecutive objects of one namespace share one copy of the namespace, which precedes the
    /// name of the first of these objects.
    names: Box<str>,
    /// The concatenated encoded objects.
    encoded_objects: Box<[u8]>,
    /// Whether [`Packed::vacate_page`] has returned the page's objects, to move them to another page.
    vacated: AtomicBool,
}

/// A packed object. `namespace` and `name` are offsets into [`Page::names`], and `encoded` is an offset into
/// [`Page::encoded_objects`]. The name and the encoded object end where the next object begins. 16 bits suffice for the
/// offsets: an object of at least half a shared page is alone on its page.
#[derive(Debug)]
struct Entry {
    identity: u64,
    /// See [`EncodedObject::uid`]; 0 for `None`.
    uid: u32,
    /// See [`EncodedObject::length`].
    length: u32,
    namespace: u16,
    name: u16,
    encoded: u16,
    /// The length of the namespace, which is at most 63 bytes in Kubernetes.
    namespace_length: u8,
    method: Method,
}

impl Entry {
    /// The offset at which the name of the previous entry ends. `previous_name` is the offset at which that
    /// name begins. In [`Page::names`], the namespace of this entry follows that name. If the namespace is
    /// empty, or if both entries share it, the name of this entry follows instead.
    fn end_of_previous_name(&self, previous_name: u16) -> usize {
        let namespace_follows = self.namespace_length > 0 && self.namespace >= previous_name;
        usize::from(if namespace_follows { self.namespace } else { self.name })
    }
}

impl Page {
    /// A page with copies of `objects`; `None` if an offset overflows `u16`, or if the length of a namespace overflows
    /// `u8`.
    fn from_objects<'a>(
        objects: impl Iterator<Item = ((&'a str, &'a str), EncodedObject<'a>)> + Clone,
    ) -> Option<Self> {
        let (mut count, mut name_bytes, mut bytes) = (0, 0, 0);
        let mut last_namespace = None;
        for ((namespace, name), encoded) in objects.clone() {
            if last_namespace.replace(namespace) != Some(namespace) {
                name_bytes += namespace.len();
            }
            (count, name_bytes, bytes) = (count + 1, name_bytes + name.len(), bytes + encoded.bytes.len());
        }
        let (mut entries, mut names, mut encoded_objects) =
            (Vec::with_capacity(count), String::with_capacity(name_bytes), Vec::with_capacity(bytes));
        let (mut last_namespace, mut namespace_offset) = (None, 0);
        for ((namespace, name), EncodedObject { bytes, length, method, identity, uid }) in objects {
            if last_namespace.replace(namespace) != Some(namespace) {
                namespace_offset = u16::try_from(names.len()).ok()?;
                names.push_str(namespace);
            }
            entries.push(Entry {
                identity,
                uid: uid.map_or(0, NonZero::get),
                length,
                namespace: namespace_offset,
                name: u16::try_from(names.len()).ok()?,
                encoded: u16::try_from(encoded_objects.len()).ok()?,
                namespace_length: u8::try_from(namespace.len()).ok()?,
                method,
            });
            names.push_str(name);
            encoded_objects.extend_from_slice(bytes);
        }
        Some(Self {
            entries: entries.into(),
            names: names.into(),
            encoded_objects: encoded_objects.into(),
            vacated: AtomicBool::new(false),
        })
    }
}

/// The JSON of an object, which may be compressed.
#[derive(Debug, Clone, Copy)]
pub(super) struct EncodedObject<'a> {
    pub(super) bytes: &'a [u8],
    /// The length of the uncompressed JSON in bytes.
    pub(super) length: u32,
    /// The method that compressed the JSON.
    pub(super) method: Method,
    /// A hash of uid and resource version. Its lowest bit is set if the object has a resource version.
    pub(super) identity: u64,
    /// A hash of the uid.
    pub(super) uid: Option<NonZero<u32>>,
}

/// A packed object, cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Packed {
    /// The page that contains the object.
    page: Arc<Page>,
    entry: u32,
}

impl Packed {
    /// Packs an object on a page of its own; `None` if the namespace is longer than 255 bytes.
    pub(super) fn on_own_page(key: (&str, &str), encoded: EncodedObject<'_>) -> Option<Self> {
        Some(Self { page: Arc::new(Page::from_objects([(key, encoded)].into_iter())?), entry: 0 })
    }

    /// Namespace and name.
    pub(super) fn key(&self) -> (&str, &str) {
        let names = &self.page.names;
        let Some((Entry { namespace, namespace_length, name, .. }, next)) = self.entry() else {
            return ("", "");
        };
        let part = |from: u16, to: usize| names.get(usize::from(from)..to).unwrap_or_default();
        let namespace_end = usize::from(*namespace) + usize::from(*namespace_length);
        let name_end = next.map_or(names.len(), |next| next.end_of_previous_name(*name));
        (part(*namespace, namespace_end), part(*name, name_end))
    }

    /// The JSON of the object, which may be compressed.
    pub(super) fn encoded(&self) -> EncodedObject<'_> {
        let encoded_objects = &self.page.encoded_objects;
        let Some((Entry { identity, uid, encoded, length, method, .. }, next)) = self.entry() else {
            return EncodedObject { bytes: &[], length: 0, method: Method::Plain, identity: 0, uid: None };
        };
        let end = next.map_or(encoded_objects.len(), |next| usize::from(next.encoded));
        EncodedObject {
            bytes: encoded_objects.get(usize::from(*encoded)..end).unwrap_or_default(),
            length: *length,
            method: *method,
            identity: *identity,
            uid: NonZero::new(*uid),
        }
    }

    /// The object's entry and the next entry.
    fn entry(&self) -> Option<(&Entry, Option<&Entry>)> {
        let (this, following) = self.page.entries.get(self.entry as usize..)?.split_first()?;
        Some((this, following.first()))
    }

    /// The size of the object on a page, in bytes. The size includes the whole namespace, even if objects on
    /// the page share one copy of the namespace.
    pub(super) fn size(&self) -> usize {
        let (namespace, name) = self.key();
        size_of::<Entry>() + namespace.len() + name.len() + self.encoded().bytes.len()
    }

    /// Whether `self` and `other` are the same entry of the same page.
    pub(super) fn is_same_entry(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.page, &other.page) && self.entry == other.entry
    }

    /// The object's address. It is unique while the object or a [`WeakPacked`] of it exists.
    pub(super) fn address(&self) -> (usize, u32) {
        (Arc::as_ptr(&self.page).addr(), self.entry)
    }

    /// A weak reference to this object.
    pub(super) fn downgrade(&self) -> WeakPacked {
        WeakPacked { page: Arc::downgrade(&self.page), entry: self.entry }
    }

    /// Returns all objects of this object's page if less than half of them are in use. Returns `Some` at most once
    /// per page.
    fn vacate_page(&self) -> Option<impl Iterator<Item = Self>> {
        let Page { entries, vacated, .. } = &*self.page;
        let is_sparse = Arc::strong_count(&self.page) * 2 < entries.len();
        (is_sparse && !vacated.swap(true, Ordering::Relaxed))
            .then(|| (0..).take(entries.len()).map(|entry| Self { page: self.page.clone(), entry }))
    }
}

/// A weak reference to a packed object. The reference does not keep the content of the page in memory.
#[derive(Debug)]
pub(super) struct WeakPacked {
    page: Weak<Page>,
    entry: u32,
}

impl WeakPacked {
    /// Whether this refers to `packed`.
    pub(super) fn refers_to(&self, packed: &Packed) -> bool {
        std::ptr::eq(self.page.as_ptr(), Arc::as_ptr(&packed.page)) && self.entry == packed.entry
    }
}

/// The objects to move to shared pages.
#[derive(Debug, Default)]
pub(super) struct MoveQueue {
    /// The objects that wait for a shared page.
    objects: Vec<Packed>,
    /// The sum of [`Packed::size`] for `objects`. Includes objects that were deleted after they were added to the queue.
    size: usize,
    /// The number of vacated pages whose objects were added since `objects` was last empty.
    vacated: usize,
}

/// The move of an object from one page to another.
#[derive(Debug)]
pub(super) struct Move {
    pub(super) from: Packed,
    pub(super) to: Packed,
}

impl MoveQueue {
    /// Adds an object. Ignores an object of at least half a page: such an object is large enough for a page
    /// of its own, and gains nothing from a shared page.
    pub(super) fn add_object(&mut self, packed: &Packed) {
        let size = packed.size();
        if size < PAGE_SIZE / 2 {
            self.size += size;
            self.objects.push(packed.clone());
        }
    }

    /// Adds the objects on the page of `packed`, if less than half of them are in use. Does so at most once
    /// for each page. Ignores the same objects as [`add_object`](Self::add_object).
    pub(super) fn add_page_of(&mut self, packed: &Packed) {
        let Some(objects) = packed.vacate_page() else { return };
        self.vacated += 1;
        for packed in objects {
            self.add_object(&packed);
        }
    }

    /// Whether [`move_to_shared_pages`](Self::move_to_shared_pages) may return moves.
    pub(super) fn may_have_moves(&self) -> bool {
        self.size >= PAGE_SIZE || self.vacated >= MAX_VACATED_PAGES
    }

    /// Copies the queued objects in use to shared pages. Objects that do not fill a page continue to wait, unless they
    /// keep too many vacated pages in memory. Returns the moves, which the caller applies to the store.
    pub(super) fn move_to_shared_pages(&mut self, in_use: impl Fn(&Packed) -> bool) -> Vec<Move> {
        let Self { objects, size, vacated } = self;
        objects.retain(in_use);
        *size = objects.iter().map(Packed::size).sum();
        let moves_all = *vacated >= MAX_VACATED_PAGES;
        let mut moves = Vec::new();
        let mut done = 0;
        while *size >= PAGE_SIZE || moves_all && done < objects.len() {
            let rest = &objects[done..];
            let mut group_size = 0;
            let fits = rest.iter().take_while(|packed| {
                let before = group_size;
                group_size += packed.size();
                before < PAGE_SIZE
            });
            let group = &rest[..fits.count()];
            done += group.len();
            *size -= group.iter().map(Packed::size).sum::<usize>();
            moves.extend(copy_to_one_page(group).into_iter().flatten());
        }
        objects.drain(..done);
        if objects.is_empty() {
            *vacated = 0;
        }
        moves
    }
}

/// Copies objects to one page. Returns the moves, or `None` if an offset overflows.
fn copy_to_one_page(objects: &[Packed]) -> Option<impl Iterator<Item = Move>> {
    let page = Page::from_objects(objects.iter().map(|packed| (packed.key(), packed.encoded())))?;
    let page = Arc::new(page);
    let to = (0..).map(move |entry| Packed { page: page.clone(), entry });
    Some(objects.iter().cloned().zip(to).map(|(from, to)| Move { from, to }))
}

#[cfg(test)]
mod tests;
