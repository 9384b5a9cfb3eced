//! Merge strategies of server-side apply for the values of a field (KEP-2155): the `x-kubernetes-list-type` and
//! `x-kubernetes-map-type` of a schema.

use serde_json::{Map, Value, json};

/// The merge strategy of server-side apply for a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListMerge {
    /// One field manager owns the whole list (`atomic`).
    Atomic,
    /// The items are unique scalars. Each item is owned separately (`set`).
    Set,
    /// The items are objects. Each item is owned separately (`map`). The vector contains the names of the key fields:
    /// the values of these fields identify an item.
    Map(Vec<String>),
}

/// The merge strategy of server-side apply for a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MapMerge {
    /// One field manager owns the whole map (`atomic`).
    Atomic,
    /// Each entry is owned separately (`granular`).
    Granular,
}

/// The merge strategy of server-side apply for an object with known fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StructMerge {
    /// One field manager owns the whole object (`atomic`).
    Atomic,
    /// Each field is owned separately (`granular`).
    Granular,
}

/// The merge strategy of server-side apply for a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MergeStrategy {
    /// The merge strategy of a list (`x-kubernetes-list-type`).
    ListType(ListMerge),
    /// The merge strategy of a map or an object (`x-kubernetes-map-type`).
    MapType(MapMerge),
}

impl From<ListMerge> for MergeStrategy {
    fn from(merge: ListMerge) -> Self {
        Self::ListType(merge)
    }
}

impl From<MapMerge> for MergeStrategy {
    fn from(merge: MapMerge) -> Self {
        Self::MapType(merge)
    }
}

impl From<StructMerge> for MergeStrategy {
    fn from(merge: StructMerge) -> Self {
        Self::MapType(match merge {
            StructMerge::Atomic => MapMerge::Atomic,
            StructMerge::Granular => MapMerge::Granular,
        })
    }
}

impl MergeStrategy {
    /// The keywords of the strategy in a schema.
    ///
    /// ```
    /// use kube_core::{ListMerge, MergeStrategy};
    ///
    /// let by_name = MergeStrategy::from(ListMerge::Map(vec!["name".into()]));
    /// assert_eq!(by_name.keywords()["x-kubernetes-list-map-keys"][0], "name");
    /// ```
    pub fn keywords(&self) -> Map<String, Value> {
        let mut keywords = Map::new();
        let (keyword, value) = match self {
            Self::ListType(ListMerge::Atomic) => ("x-kubernetes-list-type", "atomic"),
            Self::ListType(ListMerge::Set) => ("x-kubernetes-list-type", "set"),
            Self::ListType(ListMerge::Map(keys)) => {
                keywords.insert("x-kubernetes-list-map-keys".to_owned(), json!(keys));
                ("x-kubernetes-list-type", "map")
            }
            Self::MapType(MapMerge::Atomic) => ("x-kubernetes-map-type", "atomic"),
            Self::MapType(MapMerge::Granular) => ("x-kubernetes-map-type", "granular"),
        };
        keywords.insert(keyword.to_owned(), json!(value));
        keywords
    }
}
