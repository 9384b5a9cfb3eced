//! `Page`: one allocation for many packed objects.
//!
//! Many long-lived small allocations between short-lived ones would fragment the heap and slow down the allocator. An
//! object has a page of its own only until enough objects can share one. This module owns the layout and decides
//! which pages to vacate. It must not decide which objects are in use (see `writer`).

use std::sync::{
    Arc, Weak,
    atomic::{AtomicBool, Ordering},
};

/// The size in bytes of a shared page: small compared with a store, large compared with an object.
const PAGE_SIZE: usize = 32 << 10;

/// An immutable allocation of packed objects.
#[derive(Debug)]
struct Page {
    entries: Box<[Entry]>,
    /// The concatenated namespaces and names.
    names: Box<str>,
    /// The concatenated encoded objects.
    texts: Box<[u8]>,
    /// Whether [`Packed::vacate`] has returned the page's objects, to move them to another page.
    vacated: AtomicBool,
}

/// The offsets of an object in its page. The object ends where the next entry begins.
#[derive(Debug)]
struct Entry {
    identity: u64,
    namespace: u32,
    name: u32,
    text: u32,
    /// See [`Text::length`].
    length: Option<u32>,
}

impl Page {
    /// A page of `objects`; `None` if the offsets overflow `u32`.
    fn of<'a>(objects: impl Iterator<Item = ((&'a str, &'a str), Text<'a>)> + Clone) -> Option<Self> {
        let (mut count, mut letters, mut bytes) = (0, 0, 0);
        for ((namespace, name), text) in objects.clone() {
            (count, letters, bytes) =
                (count + 1, letters + namespace.len() + name.len(), bytes + text.bytes.len());
        }
        let (mut entries, mut names, mut texts) =
            (Vec::with_capacity(count), String::with_capacity(letters), Vec::with_capacity(bytes));
        for ((namespace, name), Text { bytes, length, identity }) in objects {
            let text = u32::try_from(texts.len()).ok()?;
            let [namespace, name] = [namespace, name].map(|part| {
                let begin = u32::try_from(names.len()).ok();
                names.push_str(part);
                begin
            });
            entries.push(Entry { identity, namespace: namespace?, name: name?, text, length });
            texts.extend_from_slice(bytes);
        }
        Some(Self {
            entries: entries.into(),
            names: names.into(),
            texts: texts.into(),
            vacated: AtomicBool::new(false),
        })
    }
}

/// The encoded JSON of an object.
#[derive(Debug, Clone, Copy)]
pub(super) struct Text<'a> {
    pub(super) bytes: &'a [u8],
    /// The uncompressed length; `None` if `bytes` are not compressed.
    pub(super) length: Option<u32>,
    /// A hash of uid and resource version.
    pub(super) identity: u64,
}

/// A packed object, cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Packed {
    /// The page that contains the object.
    page: Arc<Page>,
    entry: u32,
}

impl Packed {
    /// Packs an object on a page of its own; `None` if the offsets overflow `u32`.
    pub(super) fn alone(key: (&str, &str), text: Text<'_>) -> Option<Self> {
        Some(Self { page: Arc::new(Page::of([(key, text)].into_iter())?), entry: 0 })
    }

    /// Namespace and name.
    pub(super) fn key(&self) -> (&str, &str) {
        let names = &self.page.names;
        let Some((Entry { namespace, name, .. }, next)) = self.entry() else { return ("", "") };
        let end = next.map_or(names.len(), |next| next.namespace as usize);
        let part = |from: u32, to: usize| names.get(from as usize..to).unwrap_or_default();
        (part(*namespace, *name as usize), part(*name, end))
    }

    /// The encoded JSON of the object.
    pub(super) fn text(&self) -> Text<'_> {
        let texts = &self.page.texts;
        let Some((Entry { identity, text, length, .. }, next)) = self.entry() else {
            return Text { bytes: &[], length: None, identity: 0 };
        };
        let end = next.map_or(texts.len(), |next| next.text as usize);
        Text {
            bytes: texts.get(*text as usize..end).unwrap_or_default(),
            length: *length,
            identity: *identity,
        }
    }

    /// The object's entry and the next one.
    fn entry(&self) -> Option<(&Entry, Option<&Entry>)> {
        let (this, behind) = self.page.entries.get(self.entry as usize..)?.split_first()?;
        Some((this, behind.first()))
    }

    /// The object's size on its page, in bytes.
    fn size(&self) -> usize {
        let (namespace, name) = self.key();
        size_of::<Entry>() + namespace.len() + name.len() + self.text().bytes.len()
    }

    /// Whether `self` and `other` are the same entry of the same page.
    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.page, &other.page) && self.entry == other.entry
    }

    /// The object's address. It is unique while the object or a [`Mark`] of it exists.
    pub(super) fn address(&self) -> (usize, u32) {
        (Arc::as_ptr(&self.page).addr(), self.entry)
    }

    /// A weak identity, which does not keep the page alive.
    pub(super) fn mark(&self) -> Mark {
        Mark { page: Arc::downgrade(&self.page), entry: self.entry }
    }

    /// Returns all objects of this object's page if less than half of them are in use. Returns `Some` at most once
    /// per page.
    fn vacate(&self) -> Option<impl Iterator<Item = Self>> {
        let Page { entries, vacated, .. } = &*self.page;
        let thin = Arc::strong_count(&self.page) * 2 < entries.len();
        (thin && !vacated.swap(true, Ordering::Relaxed))
            .then(|| (0..).take(entries.len()).map(|entry| Self { page: self.page.clone(), entry }))
    }
}

/// A weak identity of a [`Packed`].
#[derive(Debug)]
pub(super) struct Mark {
    page: Weak<Page>,
    entry: u32,
}

impl Mark {
    /// Whether this is the identity of `packed`.
    pub(super) fn is_of(&self, packed: &Packed) -> bool {
        std::ptr::eq(self.page.as_ptr(), Arc::as_ptr(&packed.page)) && self.entry == packed.entry
    }
}

/// The objects to move to shared pages.
#[derive(Debug, Default)]
pub(super) struct Loose {
    /// The objects that wait for a shared page.
    objects: Vec<Packed>,
    /// The total size of `objects` on a page, in bytes.
    size: usize,
}

/// The move of an object from one page to another.
#[derive(Debug)]
pub(super) struct Move {
    pub(super) from: Packed,
    pub(super) to: Packed,
}

impl Loose {
    /// Adds an object with a page of its own. An object of at least half a page is not moved.
    pub(super) fn add(&mut self, packed: &Packed) {
        let size = packed.size();
        if size < PAGE_SIZE / 2 {
            self.size += size;
            self.objects.push(packed.clone());
        }
    }

    /// Adds all objects on the page of `packed`, if less than half of them are in use.
    pub(super) fn add_rest(&mut self, packed: &Packed) {
        for packed in packed.vacate().into_iter().flatten() {
            self.add(&packed);
        }
    }

    /// Whether the objects are enough for a page.
    pub(super) fn is_enough(&self) -> bool {
        self.size >= PAGE_SIZE
    }

    /// Copies the objects in use to shared pages. Returns the moves, which the caller applies to the maps.
    pub(super) fn settle(&mut self, in_use: impl Fn(&Packed) -> bool) -> Vec<Move> {
        self.size = 0;
        let mut objects = std::mem::take(&mut self.objects);
        objects.retain(in_use);
        let mut moves = Vec::with_capacity(objects.len());
        let mut rest = objects.as_slice();
        while !rest.is_empty() {
            let mut size = 0;
            let fits = rest.iter().take_while(|packed| {
                let before = size;
                size += packed.size();
                before < PAGE_SIZE
            });
            let (group, behind) = rest.split_at(fits.count());
            rest = behind;
            let Some(page) = Page::of(group.iter().map(|packed| (packed.key(), packed.text()))) else {
                continue;
            };
            let page = Arc::new(page);
            moves.extend(
                group.iter().zip(0..).map(|(from, entry)| Move {
                    from: from.clone(),
                    to: Packed { page: page.clone(), entry },
                }),
            );
        }
        moves
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An object on a page of its own.
    fn packed(name: &str, bytes: &[u8], length: Option<u32>) -> Packed {
        Packed::alone(("ns", name), Text { bytes, length, identity: bytes.len() as u64 }).unwrap()
    }

    /// Moves the objects to shared pages. Returns the moved objects.
    fn settled(objects: &[Packed]) -> Vec<Packed> {
        let mut loose = Loose::default();
        for packed in objects {
            loose.add(packed);
        }
        loose.settle(|_| true).into_iter().map(|Move { to, .. }| to).collect()
    }

    #[test]
    fn objects_are_unchanged_on_a_shared_page() {
        let objects =
            [packed("a", b"one", None), packed("", b"", Some(9)), packed("long", &[7; 300], Some(1000))];
        let settled = settled(&objects);
        assert_eq!(settled.len(), 3);
        for (alone, settled) in objects.iter().zip(&settled) {
            assert_eq!(alone.key(), settled.key());
            let (a, b) = (alone.text(), settled.text());
            assert_eq!((a.bytes, a.length, a.identity), (b.bytes, b.length, b.identity));
            assert!(!settled.is(alone) && settled.is(&settled.clone()));
        }
        assert!(settled.iter().all(|packed| Arc::ptr_eq(&packed.page, &settled[0].page)));
    }

    #[test]
    fn fills_shared_pages() {
        let objects: Vec<_> = (0..200).map(|n| packed(&n.to_string(), &[0; 1000], None)).collect();
        let settled = settled(&objects);
        let mut pages: Vec<_> = settled.iter().map(|packed| &packed.page).collect();
        pages.dedup_by(|a, b| Arc::ptr_eq(a, b));
        assert_eq!(pages.len(), (200 * 1030_usize).div_ceil(PAGE_SIZE), "{pages:?}");
        assert!(pages.iter().all(|page| page.texts.len() < PAGE_SIZE + 1000));
    }

    #[test]
    fn does_not_move_unused_and_large_objects() {
        let mut loose = Loose::default();
        let (large, gone, kept) = (
            packed("large", &vec![0; PAGE_SIZE], None),
            packed("gone", b"1", None),
            packed("kept", b"2", None),
        );
        for packed in [&large, &gone, &kept] {
            loose.add(packed);
        }
        let moves = loose.settle(|packed| !packed.is(&gone));
        assert_eq!(moves.iter().map(|Move { to, .. }| to.key().1).collect::<Vec<_>>(), ["kept"]);
        assert!(loose.settle(|_| true).is_empty());
    }

    #[test]
    fn vacates_a_page_once_if_less_than_half_is_in_use() {
        let objects: Vec<_> = (0..10).map(|n| packed(&n.to_string(), b"text", None)).collect();
        let mut settled = settled(&objects);
        settled.truncate(5);
        assert!(settled[0].vacate().is_none(), "half of it is in use");
        settled.truncate(4);
        assert_eq!(settled[0].vacate().map(Iterator::count), Some(10));
        assert!(settled[0].vacate().is_none());
        assert!(objects[0].vacate().is_none(), "it is alone");
    }

    #[test]
    fn a_mark_identifies_its_object_without_keeping_the_page() {
        let objects = settled(&[packed("a", b"1", None), packed("b", b"2", None)]);
        let mark = objects[1].mark();
        assert!(mark.is_of(&objects[1]) && !mark.is_of(&objects[0]));
        drop(objects);
        assert!(mark.page.upgrade().is_none());
    }
}
