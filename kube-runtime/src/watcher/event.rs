//! `Event`: what a watcher says.

/// A change of a collection, or a part of its present state.
///
/// Between `Init` and `InitDone` the present state is sent anew: whoever keeps objects builds a new set from the
/// `InitApply`s and swaps it in at `InitDone`. An object that goes away before the state is complete comes as a `Delete` in
/// between, and is to be taken out of the new set; an `Apply` never comes in between.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event<K> {
    /// The object is new or has changed.
    Apply(K),
    /// The object is gone; this is its last known state.
    Delete(K),
    /// The present state follows.
    Init,
    /// An object of the present state.
    InitApply(K),
    /// The present state is complete.
    InitDone,
}

impl<K> Event<K> {
    /// The same event about a transformed object.
    pub fn map<T>(self, f: impl FnOnce(K) -> T) -> Event<T> {
        match self {
            Self::Apply(object) => Event::Apply(f(object)),
            Self::Delete(object) => Event::Delete(f(object)),
            Self::Init => Event::Init,
            Self::InitApply(object) => Event::InitApply(f(object)),
            Self::InitDone => Event::InitDone,
        }
    }

    /// Changes the object in place, if there is one; for instance to drop what is not needed.
    #[must_use]
    pub fn modify(mut self, f: impl FnOnce(&mut K)) -> Self {
        if let Self::Apply(object) | Self::Delete(object) | Self::InitApply(object) = &mut self {
            f(object);
        }
        self
    }
}
