//! `CollectionSize`: the number of objects of a collection and the size of their text, with an optional budget. It only
//! counts; it must not log.

use crate::metrics::ObjectsAndBytes;
use kube_client::core::WatchEvent;

/// The metrics are updated only if the size differs from the recorded size by more than 1 %. The difference of 1 % is the
/// recorded size divided by this number.
const INVERSE_TOLERANCE: u64 = 100;

/// Adds an object.
fn add_object(size: &mut ObjectsAndBytes, bytes: u64) {
    size.objects = size.objects.saturating_add(1);
    size.bytes = size.bytes.saturating_add(bytes);
}

/// Removes an object. Subtracts the average size of an object, because the sizes of single objects are not stored.
fn remove_object(size: &mut ObjectsAndBytes) {
    let average = size.bytes.checked_div(size.objects).unwrap_or_default();
    size.bytes = size.bytes.saturating_sub(average);
    size.objects = size.objects.saturating_sub(1);
}

/// Whether metrics with the value `recorded` are exact enough for `size`.
fn is_close_enough(size: ObjectsAndBytes, recorded: ObjectsAndBytes) -> bool {
    let is_close = |one: u64, other: u64| one.abs_diff(other) <= other / INVERSE_TOLERANCE;
    is_close(size.objects, recorded.objects) && is_close(size.bytes, recorded.bytes)
}

/// The size of a collection. The size is exact after each snapshot, and an estimate after deletions and changes.
#[derive(Debug, Default)]
pub(super) struct CollectionSize {
    /// The size of the snapshot in progress; `None` if no snapshot is in progress.
    listed: Option<ObjectsAndBytes>,
    current: ObjectsAndBytes,
    /// The size that was last recorded in the metrics.
    recorded: ObjectsAndBytes,
    /// The number of bytes above which the collection exceeds its budget.
    budget: Option<u64>,
    is_exceeded: bool,
}

impl CollectionSize {
    pub(super) fn new(budget: Option<u64>) -> Self {
        Self { budget, ..Self::default() }
    }

    /// Begins a snapshot.
    pub(super) fn begin_snapshot(&mut self) {
        self.listed = Some(ObjectsAndBytes::default());
    }

    /// Completes a snapshot.
    pub(super) fn end_snapshot(&mut self) {
        if let Some(listed) = self.listed.take() {
            self.current = listed;
        }
    }

    /// Counts an object of a list.
    pub(super) fn count_listed_object(&mut self, bytes: usize) {
        add_object(self.size_to_update(), bytes as u64);
    }

    /// Counts an event. `bytes` is the value of `EventStream::last_event_bytes`.
    pub(super) fn count_event<K>(&mut self, event: &WatchEvent<K>, bytes: usize) {
        let size = self.size_to_update();
        match event {
            WatchEvent::Added(_) => add_object(size, bytes as u64),
            WatchEvent::Modified(_) => {
                remove_object(size);
                add_object(size, bytes as u64);
            }
            WatchEvent::Deleted(_) => remove_object(size),
            WatchEvent::Bookmark(_) | WatchEvent::Error(_) => {}
        }
    }

    /// The size that objects and events update: the size of the snapshot in progress, or the current size if no snapshot is
    /// in progress.
    fn size_to_update(&mut self) -> &mut ObjectsAndBytes {
        self.listed.as_mut().unwrap_or(&mut self.current)
    }

    /// Returns the recorded size and the current size, and then records the current size. If the sizes are close, or a
    /// snapshot is in progress, returns `None` and records nothing.
    pub(super) fn take_change(&mut self) -> Option<(ObjectsAndBytes, ObjectsAndBytes)> {
        if self.listed.is_some() || is_close_enough(self.current, self.recorded) {
            return None;
        }
        Some((std::mem::replace(&mut self.recorded, self.current), self.current))
    }

    /// The size that was last recorded in the metrics.
    pub(super) fn recorded_size(&self) -> ObjectsAndBytes {
        self.recorded
    }

    /// Returns the size and the budget if the size exceeds the budget. Then returns `None` until the size has
    /// fallen below nine tenths of the budget and exceeds the budget again. Also returns `None` during a
    /// snapshot, and if there is no budget.
    pub(super) fn take_excess(&mut self) -> Option<(ObjectsAndBytes, u64)> {
        let budget = self.budget?;
        if self.listed.is_some() {
            return None;
        }
        if self.current.bytes < budget - budget / 10 {
            self.is_exceeded = false;
        }
        if self.current.bytes <= budget || self.is_exceeded {
            return None;
        }
        self.is_exceeded = true;
        Some((self.current, budget))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size_after_list(budget: Option<u64>, objects: &[usize]) -> CollectionSize {
        let mut size = CollectionSize::new(budget);
        size.begin_snapshot();
        for bytes in objects {
            size.count_listed_object(*bytes);
        }
        assert_eq!((size.take_change(), size.take_excess()), (None, None), "the snapshot is not complete");
        size.end_snapshot();
        size
    }

    #[test]
    fn changes_are_counted_and_small_changes_are_not_recorded() {
        let mut size = size_after_list(None, &[100; 1000]);
        let listed = ObjectsAndBytes { objects: 1000, bytes: 100_000 };
        assert_eq!(size.take_change(), Some((ObjectsAndBytes::default(), listed)));
        size.count_event(&WatchEvent::Added(()), 700);
        size.count_event(&WatchEvent::Modified(()), 100);
        assert_eq!(size.take_change(), None);
        size.count_event(&WatchEvent::Modified(()), 10_000);
        let (before, after) = size.take_change().unwrap();
        assert_eq!((before, after.objects), (listed, 1001));
        assert!((110_000..111_000).contains(&after.bytes), "{after:?}");
        (0..2000).for_each(|_| size.count_event(&WatchEvent::Deleted(()), 100));
        assert_eq!(size.take_change(), Some((after, ObjectsAndBytes::default())));
        assert_eq!(size.recorded_size(), ObjectsAndBytes::default());
    }

    #[test]
    fn an_exceeded_budget_is_reported_once_until_the_size_is_well_below_it() {
        let mut size = size_after_list(Some(1000), &[100; 10]);
        assert_eq!(size.take_excess(), None, "equal to the budget");
        for expected in [true, false] {
            size.count_event(&WatchEvent::Added(()), 100);
            assert_eq!(size.take_excess().is_some(), expected);
        }
        size.count_event(&WatchEvent::Deleted(()), 100);
        size.count_event(&WatchEvent::Deleted(()), 100);
        assert_eq!(size.take_excess(), None);
        size.count_event(&WatchEvent::Added(()), 100);
        assert_eq!(size.take_excess(), None, "it was not well below the budget");
        (0..6).for_each(|_| size.count_event(&WatchEvent::Deleted(()), 100));
        assert_eq!(size.take_excess(), None);
        size.count_event(&WatchEvent::Added(()), 10_000);
        assert!(size.take_excess().is_some());
    }
}
