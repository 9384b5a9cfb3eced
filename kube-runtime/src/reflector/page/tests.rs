//! Tests of pages.

use super::*;

/// Packs an object on a page of its own.
fn pack(name: &str, bytes: &[u8], length: u32) -> Packed {
    let (method, identity) = (Method::Lz4, bytes.len() as u64);
    Packed::on_own_page(("ns", name), EncodedObject { bytes, length, method, identity, uid: None }).unwrap()
}

/// Moves the objects to one page. Returns the moved objects.
fn move_to_one_page(objects: &[Packed]) -> Vec<Packed> {
    copy_to_one_page(objects).unwrap().map(|Move { to, .. }| to).collect()
}

/// Moves queued objects to shared pages, but only objects for which `in_use` returns true. Returns the moved
/// objects.
fn move_queued(move_queue: &mut MoveQueue, in_use: impl Fn(&Packed) -> bool) -> Vec<Packed> {
    move_queue.move_to_shared_pages(in_use).into_iter().map(|Move { to, .. }| to).collect()
}

#[test]
fn objects_are_unchanged_on_a_shared_page() {
    let objects = [pack("a", b"one", 3), pack("", b"", 9), pack("long", &[7; 300], 1000)];
    let moved = move_to_one_page(&objects);
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
fn consecutive_objects_share_their_namespace() {
    let keys =
        [("", "x"), ("", ""), ("a", "x"), ("a", "y"), ("b", ""), ("b", "b"), ("", "z"), ("", "y"), ("a", "")];
    let objects = keys.map(|key| {
        let encoded = EncodedObject { bytes: b"1", length: 1, method: Method::Plain, identity: 1, uid: None };
        Packed::on_own_page(key, encoded).unwrap()
    });
    let moved = move_to_one_page(&objects);
    assert_eq!(moved.iter().map(Packed::key).collect::<Vec<_>>(), keys);
    assert_eq!(&*moved[0].page.names, "xaxybbzya");
}

#[test]
fn moved_objects_fill_shared_pages() {
    let mut move_queue = MoveQueue::default();
    for n in 0..200 {
        move_queue.add_object(&pack(&n.to_string(), &[0; 1000], 0));
    }
    let moved = move_queued(&mut move_queue, |_| true);
    let mut pages: Vec<_> = moved.iter().map(|packed| &packed.page).collect();
    pages.dedup_by(|a, b| Arc::ptr_eq(a, b));
    let page_size = |page: &Page| page.encoded_objects.len() + page.names.len() + size_of_val(&*page.entries);
    assert_eq!(pages.len(), 200 * 1028 / PAGE_SIZE, "{pages:?}");
    assert!(pages.iter().all(|page| (PAGE_SIZE..PAGE_SIZE + 1100).contains(&page_size(page))));
    // The remaining objects do not fill a page: they wait in the queue for further objects.
    assert_eq!(move_queue.objects.len(), 200 - moved.len());
    assert!(!move_queue.objects.is_empty() && !move_queue.may_have_moves());
}

#[test]
fn deleted_objects_do_not_fill_a_page() {
    let mut move_queue = MoveQueue::default();
    let kept = pack("kept", &[0; 1000], 0);
    move_queue.add_object(&kept);
    for _ in 0..2 * PAGE_SIZE / 1000 {
        move_queue.add_object(&pack("deleted", &[0; 1000], 0));
    }
    assert!(move_queue.may_have_moves());
    assert!(move_queued(&mut move_queue, |packed| packed.is_same_entry(&kept)).is_empty());
    assert!(!move_queue.may_have_moves() && move_queue.objects.len() == 1);
}

#[test]
fn objects_of_max_vacated_pages_are_moved_even_if_they_fill_no_page() {
    let mut move_queue = MoveQueue::default();
    let mut kept = Vec::new();
    for n in 0..MAX_VACATED_PAGES {
        let moved =
            move_to_one_page(&[pack(&n.to_string(), b"kept", 0), pack("b", b"", 0), pack("c", b"", 0)]);
        let [first, ..] = &moved[..] else { panic!("three objects were moved") };
        kept.push(first.clone());
        drop(moved);
        let kept = &kept[n];
        assert!(!move_queue.may_have_moves());
        move_queue.add_page_of(kept);
    }
    assert!(move_queue.may_have_moves());
    let moved = move_queued(&mut move_queue, |packed| kept.iter().any(|kept| kept.is_same_entry(packed)));
    assert_eq!(moved.len(), MAX_VACATED_PAGES);
    assert!(moved.iter().all(|packed| Arc::ptr_eq(&packed.page, &moved[0].page)));
    assert!(move_queue.objects.is_empty() && !move_queue.may_have_moves());
}

#[test]
fn unused_and_large_objects_are_not_moved() {
    let mut move_queue = MoveQueue::default();
    let (large, gone, kept) =
        (pack("large", &vec![0; PAGE_SIZE], 0), pack("gone", b"1", 0), pack("kept", b"2", 0));
    for packed in [&large, &gone, &kept] {
        move_queue.add_object(packed);
    }
    assert!(move_queued(&mut move_queue, |packed| !packed.is_same_entry(&gone)).is_empty());
    for n in 0..PAGE_SIZE / 1000 {
        move_queue.add_object(&pack(&n.to_string(), &[0; 1000], 0));
    }
    let moved = move_queued(&mut move_queue, |_| true);
    assert_eq!(moved[0].key().1, "kept");
    assert!(moved.iter().all(|packed| !["large", "gone"].contains(&packed.key().1)));
    assert_eq!(moved.len(), PAGE_SIZE / 1000 + 1);
}

#[test]
fn a_page_is_vacated_at_most_once_and_only_if_less_than_half_is_in_use() {
    let objects: Vec<_> = (0..10).map(|n| pack(&n.to_string(), b"text", 0)).collect();
    let mut moved = move_to_one_page(&objects);
    moved.truncate(5);
    assert!(moved[0].vacate_page().is_none(), "half of it is in use");
    moved.truncate(4);
    assert_eq!(moved[0].vacate_page().map(Iterator::count), Some(10));
    assert!(moved[0].vacate_page().is_none());
    assert!(objects[0].vacate_page().is_none(), "it is alone");
}

#[test]
fn a_weak_reference_identifies_its_object_without_keeping_the_page() {
    let objects = move_to_one_page(&[pack("a", b"1", 0), pack("b", b"2", 0)]);
    let weak = objects[1].downgrade();
    assert!(weak.refers_to(&objects[1]) && !weak.refers_to(&objects[0]));
    drop(objects);
    assert!(weak.page.upgrade().is_none());
}
