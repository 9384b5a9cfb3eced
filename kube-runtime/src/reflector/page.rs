//! `Page`: one allocation for many packed objects.
//!
//! Many long-lived small allocations between short-lived ones would fragment the heap and slow down the allocator. An
//! object has a page of its own only until enough objects can share a page. This module owns the layout and decides
//! which pages to vacate. It must not decide which objects are in use (see `writer`).

use super::compression::Method;
use std::num::NonZero;
use std::sync::{
    Arc, Weak,
    atomic::{AtomicBool, Ordering},
};

/// The size in bytes of a shared page: small compared with a store, large compared with an object.
const PAGE_SIZE: usize = 32 << 10;

/// The maximum number of vacated pages that waiting objects keep in memory.
const MAX_VACATED: usize = 4;

/// An immutable allocation of packed objects.
#[derive(Debug)]
struct Page {
    entries: Box<[Entry]>,
    /// The concatenated namespaces and names.
    names: Box<str>,
    /// The concatenated encoded objects.
    encoded_objects: Box<[u8]>,
    /// Whether [`Packed::vacate`] has returned the page's objects, to move them to another page.
    vacated: AtomicBool,
}

/// A packed object. `namespace` and `name` are offsets into [`Page::names`], and `encoded` is an offset into
/// [`Page::encoded_objects`]. Each of these values ends at the offset of the next one. 16 bits suffice for the offsets: an
/// object of at least half a shared page is alone on its page.
#[derive(Debug)]
struct Entry {
    identity: u64,
    /// See [`Encoded::uid`]; 0 for `None`.
    uid: u32,
    /// See [`Encoded::length`].
    length: u32,
    namespace: u16,
    name: u16,
    encoded: u16,
    method: Method,
}

impl Page {
    /// A page with copies of `objects`; `None` if the offsets overflow `u16`.
    fn from_objects<'a>(
        objects: impl Iterator<Item = ((&'a str, &'a str), Encoded<'a>)> + Clone,
    ) -> Option<Self> {
        let (mut count, mut name_bytes, mut bytes) = (0, 0, 0);
        for ((namespace, name), encoded) in objects.clone() {
            (count, name_bytes, bytes) =
                (count + 1, name_bytes + namespace.len() + name.len(), bytes + encoded.bytes.len());
        }
        let (mut entries, mut names, mut encoded_objects) =
            (Vec::with_capacity(count), String::with_capacity(name_bytes), Vec::with_capacity(bytes));
        for ((namespace, name), Encoded { bytes, length, method, identity, uid }) in objects {
            let encoded = u16::try_from(encoded_objects.len()).ok()?;
            let [namespace, name] = [namespace, name].map(|part| {
                let begin = u16::try_from(names.len()).ok();
                names.push_str(part);
                begin
            });
            let uid = uid.map_or(0, NonZero::get);
            let (namespace, name) = (namespace?, name?);
            entries.push(Entry { identity, uid, length, namespace, name, encoded, method });
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
pub(super) struct Encoded<'a> {
    pub(super) bytes: &'a [u8],
    /// The length of the JSON.
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
    /// Packs an object on a page of its own; `None` if the namespace is longer than 64 KiB.
    pub(super) fn on_own_page(key: (&str, &str), encoded: Encoded<'_>) -> Option<Self> {
        Some(Self { page: Arc::new(Page::from_objects([(key, encoded)].into_iter())?), entry: 0 })
    }

    /// Namespace and name.
    pub(super) fn key(&self) -> (&str, &str) {
        let names = &self.page.names;
        let Some((Entry { namespace, name, .. }, next)) = self.entry() else { return ("", "") };
        let end = next.map_or(names.len(), |next| usize::from(next.namespace));
        let part = |from: u16, to: usize| names.get(usize::from(from)..to).unwrap_or_default();
        (part(*namespace, usize::from(*name)), part(*name, end))
    }

    /// The JSON of the object, which may be compressed.
    pub(super) fn encoded(&self) -> Encoded<'_> {
        let encoded_objects = &self.page.encoded_objects;
        let Some((Entry { identity, uid, encoded, length, method, .. }, next)) = self.entry() else {
            return Encoded { bytes: &[], length: 0, method: Method::Plain, identity: 0, uid: None };
        };
        let end = next.map_or(encoded_objects.len(), |next| usize::from(next.encoded));
        Encoded {
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

    /// The object's size on its page, in bytes.
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
    fn vacate(&self) -> Option<impl Iterator<Item = Self>> {
        let Page { entries, vacated, .. } = &*self.page;
        let is_sparse = Arc::strong_count(&self.page) * 2 < entries.len();
        (is_sparse && !vacated.swap(true, Ordering::Relaxed))
            .then(|| (0..).take(entries.len()).map(|entry| Self { page: self.page.clone(), entry }))
    }
}

/// A weak reference to a [`Packed`], which does not keep the page alive.
#[derive(Debug)]
pub(super) struct WeakPacked {
    page: Weak<Page>,
    entry: u32,
}

impl WeakPacked {
    /// Whether this refers to `packed`.
    pub(super) fn is_of(&self, packed: &Packed) -> bool {
        std::ptr::eq(self.page.as_ptr(), Arc::as_ptr(&packed.page)) && self.entry == packed.entry
    }
}

/// The objects to move to shared pages.
#[derive(Debug, Default)]
pub(super) struct MoveQueue {
    /// The objects that wait for a shared page.
    objects: Vec<Packed>,
    /// The total size of `objects` on a page, in bytes. Some of them may be deleted.
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
    /// Adds an object. Ignores an object of at least half a page, which gains nothing from a shared page.
    pub(super) fn add(&mut self, packed: &Packed) {
        let size = packed.size();
        if size < PAGE_SIZE / 2 {
            self.size += size;
            self.objects.push(packed.clone());
        }
    }

    /// Adds all objects on the page of `packed`, if less than half of them are in use.
    pub(super) fn add_page_of(&mut self, packed: &Packed) {
        let Some(objects) = packed.vacate() else { return };
        self.vacated += 1;
        for packed in objects {
            self.add(&packed);
        }
    }

    /// Whether [`move_to_shared_pages`](Self::move_to_shared_pages) may have objects to move.
    pub(super) fn may_fill_a_page(&self) -> bool {
        self.size >= PAGE_SIZE || self.vacated >= MAX_VACATED
    }

    /// Copies the objects in use to shared pages. Objects that do not fill a page continue to wait, unless they keep too
    /// many vacated pages in memory. Returns the moves, which the caller applies to the maps.
    pub(super) fn move_to_shared_pages(&mut self, in_use: impl Fn(&Packed) -> bool) -> Vec<Move> {
        let Self { objects, size, vacated } = self;
        objects.retain(in_use);
        *size = objects.iter().map(Packed::size).sum();
        let moves_all = *vacated >= MAX_VACATED;
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
            moves.extend(moves_to_one_page(group).into_iter().flatten());
        }
        objects.drain(..done);
        if objects.is_empty() {
            *vacated = 0;
        }
        moves
    }
}

/// Copies objects to one page; `None` if the offsets overflow.
fn moves_to_one_page(objects: &[Packed]) -> Option<impl Iterator<Item = Move>> {
    let page = Page::from_objects(objects.iter().map(|packed| (packed.key(), packed.encoded())))?;
    let page = Arc::new(page);
    let to = (0..).map(move |entry| Packed { page: page.clone(), entry });
    Some(objects.iter().cloned().zip(to).map(|(from, to)| Move { from, to }))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An object on a page of its own.
    fn packed(name: &str, bytes: &[u8], length: u32) -> Packed {
        let (method, identity) = (Method::Lz4, bytes.len() as u64);
        Packed::on_own_page(("ns", name), Encoded { bytes, length, method, identity, uid: None }).unwrap()
    }

    /// Moves the objects to one page. Returns the moved objects.
    fn move_all(objects: &[Packed]) -> Vec<Packed> {
        moves_to_one_page(objects).unwrap().map(|Move { to, .. }| to).collect()
    }

    /// The objects that the queue moves to shared pages.
    fn moved_by(move_queue: &mut MoveQueue, in_use: impl Fn(&Packed) -> bool) -> Vec<Packed> {
        move_queue.move_to_shared_pages(in_use).into_iter().map(|Move { to, .. }| to).collect()
    }

    #[test]
    fn objects_are_unchanged_on_a_shared_page() {
        let objects = [packed("a", b"one", 3), packed("", b"", 9), packed("long", &[7; 300], 1000)];
        let moved = move_all(&objects);
        assert_eq!(moved.len(), 3);
        for (alone, moved) in objects.iter().zip(&moved) {
            assert_eq!(alone.key(), moved.key());
            let (a, b) = (alone.encoded(), moved.encoded());
            assert_eq!((a.bytes, a.length, a.identity), (b.bytes, b.length, b.identity));
            assert!(!moved.is_same_entry(alone) && moved.is_same_entry(&moved.clone()));
        }
        assert!(moved.iter().all(|packed| Arc::ptr_eq(&packed.page, &moved[0].page)));
    }

    #[test]
    fn fills_shared_pages() {
        let mut move_queue = MoveQueue::default();
        for n in 0..200 {
            move_queue.add(&packed(&n.to_string(), &[0; 1000], 0));
        }
        let moved = moved_by(&mut move_queue, |_| true);
        let mut pages: Vec<_> = moved.iter().map(|packed| &packed.page).collect();
        pages.dedup_by(|a, b| Arc::ptr_eq(a, b));
        let page_size =
            |page: &Page| page.encoded_objects.len() + page.names.len() + size_of_val(&*page.entries);
        assert_eq!(pages.len(), 200 * 1028 / PAGE_SIZE, "{pages:?}");
        assert!(pages.iter().all(|page| (PAGE_SIZE..PAGE_SIZE + 1100).contains(&page_size(page))));
        // The rest waits for further objects.
        assert_eq!(move_queue.objects.len(), 200 - moved.len());
        assert!(!move_queue.objects.is_empty() && !move_queue.may_fill_a_page());
    }

    #[test]
    fn deleted_objects_do_not_fill_a_page() {
        let mut move_queue = MoveQueue::default();
        let kept = packed("kept", &[0; 1000], 0);
        move_queue.add(&kept);
        for _ in 0..2 * PAGE_SIZE / 1000 {
            move_queue.add(&packed("deleted", &[0; 1000], 0));
        }
        assert!(move_queue.may_fill_a_page());
        assert!(moved_by(&mut move_queue, |packed| packed.is_same_entry(&kept)).is_empty());
        assert!(!move_queue.may_fill_a_page() && move_queue.objects.len() == 1);
    }

    #[test]
    fn objects_of_vacated_pages_do_not_wait_for_long() {
        let mut move_queue = MoveQueue::default();
        let mut kept = Vec::new();
        for n in 0..MAX_VACATED {
            let moved =
                move_all(&[packed(&n.to_string(), b"kept", 0), packed("b", b"", 0), packed("c", b"", 0)]);
            let [first, ..] = &moved[..] else { panic!("three objects were moved") };
            kept.push(first.clone());
            drop(moved);
            let kept = &kept[n];
            assert!(!move_queue.may_fill_a_page());
            move_queue.add_page_of(kept);
        }
        assert!(move_queue.may_fill_a_page());
        let moved = moved_by(&mut move_queue, |packed| kept.iter().any(|kept| kept.is_same_entry(packed)));
        assert_eq!(moved.len(), MAX_VACATED);
        assert!(moved.iter().all(|packed| Arc::ptr_eq(&packed.page, &moved[0].page)));
        assert!(move_queue.objects.is_empty() && !move_queue.may_fill_a_page());
    }

    #[test]
    fn does_not_move_unused_and_large_objects() {
        let mut move_queue = MoveQueue::default();
        let (large, gone, kept) =
            (packed("large", &vec![0; PAGE_SIZE], 0), packed("gone", b"1", 0), packed("kept", b"2", 0));
        for packed in [&large, &gone, &kept] {
            move_queue.add(packed);
        }
        assert!(moved_by(&mut move_queue, |packed| !packed.is_same_entry(&gone)).is_empty());
        for n in 0..PAGE_SIZE / 1000 {
            move_queue.add(&packed(&n.to_string(), &[0; 1000], 0));
        }
        let moved = moved_by(&mut move_queue, |_| true);
        assert_eq!(moved[0].key().1, "kept");
        assert!(moved.iter().all(|packed| !["large", "gone"].contains(&packed.key().1)));
        assert_eq!(moved.len(), PAGE_SIZE / 1000 + 1);
    }

    #[test]
    fn vacates_a_page_once_if_less_than_half_is_in_use() {
        let objects: Vec<_> = (0..10).map(|n| packed(&n.to_string(), b"text", 0)).collect();
        let mut moved = move_all(&objects);
        moved.truncate(5);
        assert!(moved[0].vacate().is_none(), "half of it is in use");
        moved.truncate(4);
        assert_eq!(moved[0].vacate().map(Iterator::count), Some(10));
        assert!(moved[0].vacate().is_none());
        assert!(objects[0].vacate().is_none(), "it is alone");
    }

    #[test]
    fn a_weak_reference_identifies_its_object_without_keeping_the_page() {
        let objects = move_all(&[packed("a", b"1", 0), packed("b", b"2", 0)]);
        let weak = objects[1].downgrade();
        assert!(weak.is_of(&objects[1]) && !weak.is_of(&objects[0]));
        drop(objects);
        assert!(weak.page.upgrade().is_none());
    }
}
