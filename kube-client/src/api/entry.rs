//! `Entry`: reads an object, changes or creates it, and writes it back.

use super::{Api, PostParams};
use crate::core::Resource;
use crate::{Error, Result};
use serde::{Serialize, de::DeserializeOwned};
use std::fmt;
use thiserror::Error as ThisError;

impl<K: Resource + DeserializeOwned> Api<K> {
    /// Reads an object, which the program can change and write back. If no object has this name, the [`Entry`] is
    /// [`Vacant`](Entry::Vacant).
    ///
    /// ```
    /// use k8s_openapi::api::core::v1::ConfigMap;
    /// use kube_client::{Api, Client, api::PostParams};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let client = Client::new(kube_sim::Sim::new().service(), "default");
    /// let maps: Api<ConfigMap> = Api::default_namespaced(client);
    /// for visits in ["1", "2"] {
    ///     let entry = maps.entry("visits").await?.or_insert(ConfigMap::default);
    ///     let set = |map: &mut ConfigMap| map.data = Some([("count".into(), visits.into())].into());
    ///     entry.and_modify(set).commit(&PostParams::default()).await?;
    /// }
    /// assert_eq!(maps.get("visits").await?.data.unwrap()["count"], "2");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`get_opt`](Api::get_opt).
    ///
    /// # Cancel safety
    /// Cancel safe: the request ends, and has changed nothing.
    pub async fn entry<'a>(&'a self, name: &'a str) -> Result<Entry<'a, K>> {
        Ok(match self.get_opt(name).await? {
            Some(object) => {
                Entry::Occupied(OccupiedEntry { api: self, name, object, pending: PendingWrite::None })
            }
            None => Entry::Vacant(VacantEntry { api: self, name }),
        })
    }
}

/// The result of [`Api::entry`]: an existing object, or the name of an object that does not exist.
#[derive(Debug)]
pub enum Entry<'a, K> {
    /// The object exists.
    Occupied(OccupiedEntry<'a, K>),
    /// The object does not exist.
    Vacant(VacantEntry<'a, K>),
}

impl<'a, K> Entry<'a, K> {
    /// The object, if it exists.
    pub fn get(&self) -> Option<&K> {
        match self {
            Self::Occupied(entry) => Some(entry.get()),
            Self::Vacant(_) => None,
        }
    }

    /// A mutable reference to the object, if it exists. [`OccupiedEntry::commit`] writes the changes.
    pub fn get_mut(&mut self) -> Option<&mut K> {
        match self {
            Self::Occupied(entry) => Some(entry.get_mut()),
            Self::Vacant(_) => None,
        }
    }

    /// Changes the object, if it exists.
    #[must_use]
    pub fn and_modify(self, change: impl FnOnce(&mut K)) -> Self {
        match self {
            Self::Occupied(entry) => Self::Occupied(entry.and_modify(change)),
            vacant @ Self::Vacant(_) => vacant,
        }
    }

    /// Returns the entry of the existing object. If no object exists, returns an entry with the object from `default`;
    /// [`OccupiedEntry::commit`] creates this object.
    pub fn or_insert(self, default: impl FnOnce() -> K) -> OccupiedEntry<'a, K> {
        match self {
            Self::Occupied(entry) => entry,
            Self::Vacant(entry) => entry.insert(default()),
        }
    }
}

/// The write that a commit sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PendingWrite {
    /// The object is unchanged.
    None,
    Replace,
    Create,
}

/// An object that exists, or that [`commit`](OccupiedEntry::commit) creates.
pub struct OccupiedEntry<'a, K> {
    api: &'a Api<K>,
    name: &'a str,
    object: K,
    pending: PendingWrite,
}

impl<K> OccupiedEntry<'_, K> {
    /// The object, with the changes that are not yet written.
    pub fn get(&self) -> &K {
        &self.object
    }

    /// A mutable reference to the object. [`commit`](Self::commit) writes the changes.
    pub fn get_mut(&mut self) -> &mut K {
        if self.pending == PendingWrite::None {
            self.pending = PendingWrite::Replace;
        }
        &mut self.object
    }

    /// Changes the object.
    #[must_use]
    pub fn and_modify(mut self, change: impl FnOnce(&mut K)) -> Self {
        change(self.get_mut());
        self
    }

    /// Returns the object, and does not write its changes.
    pub fn into_object(self) -> K {
        self.object
    }

    /// Writes the changes: creates a new object, replaces a changed one, and sends nothing for an unchanged one. The
    /// entry then contains the object as the server stored it. After a dry run, the next commit still sends the write.
    ///
    /// An object counts as changed after [`get_mut`](Self::get_mut) and [`and_modify`](Self::and_modify).
    ///
    /// Sets the name and the namespace of the object if they are missing.
    ///
    /// # Errors
    ///
    /// [`CommitError::Validate`] if the object's name or namespace differs from that of the entry, or a new object has a
    /// `generateName`. [`CommitError::Save`] if the request fails. Read the entry again if the source of this error is a
    /// conflict (the object has changed since it was read) or "already exists" (another client has created the object).
    ///
    /// # Cancel safety
    ///
    /// A write that is cancelled may or may not have taken effect. The entry keeps its changes.
    pub async fn commit(&mut self, pp: &PostParams) -> Result<(), CommitError>
    where
        K: Resource + DeserializeOwned + Serialize,
    {
        self.set_missing_identity()?;
        let stored = match self.pending {
            PendingWrite::None => return Ok(()),
            PendingWrite::Create => self.api.create(pp, &self.object).await,
            PendingWrite::Replace => self.api.replace(self.name, pp, &self.object).await,
        };
        self.object = stored.map_err(CommitError::Save)?;
        if !pp.dry_run {
            self.pending = PendingWrite::None;
        }
        Ok(())
    }

    /// Sets the object's name and namespace if they are missing. Fails if the name differs from the name of the entry, if
    /// the namespace differs from the namespace of the `Api`, or if a new object has a `generateName`.
    fn set_missing_identity(&mut self) -> Result<(), CommitValidationError>
    where
        K: Resource,
    {
        let meta = self.object.meta_mut();
        if let Some(generate_name) = &meta.generate_name
            && self.pending == PendingWrite::Create
        {
            return Err(CommitValidationError::GenerateName { object_generate_name: generate_name.clone() });
        }
        let name = meta.name.get_or_insert_with(|| self.name.to_owned());
        if name != self.name {
            let object_name = name.clone();
            return Err(CommitValidationError::NameMismatch { object_name, expected: self.name.to_owned() });
        }
        if meta.namespace.is_none() {
            meta.namespace.clone_from(&self.api.namespace);
        }
        // An `Api` over all namespaces has no namespace to compare with.
        if self.api.namespace.is_some() && meta.namespace != self.api.namespace {
            let (object_namespace, expected) = (meta.namespace.clone(), self.api.namespace.clone());
            return Err(CommitValidationError::NamespaceMismatch { object_namespace, expected });
        }
        Ok(())
    }
}

impl<K: fmt::Debug> fmt::Debug for OccupiedEntry<'_, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OccupiedEntry")
            .field("api", self.api)
            .field("name", &self.name)
            .field("object", &self.object)
            .field("pending", &self.pending)
            .finish()
    }
}

/// An error of [`OccupiedEntry::commit`].
#[derive(Debug, ThisError)]
#[non_exhaustive]
pub enum CommitError {
    /// The object's name, namespace or `generateName` does not match the entry. No request was sent.
    #[error("cannot write the object of an entry")]
    Validate(#[from] CommitValidationError),
    /// The write failed.
    #[error("write the object of an entry")]
    Save(#[source] Error),
}

/// A mismatch between the metadata of an object and its entry.
#[derive(Debug, Clone, PartialEq, Eq, ThisError)]
#[non_exhaustive]
pub enum CommitValidationError {
    /// The name of the object differs from the name of the entry.
    #[error("the object's metadata.name is {object_name:?}, and the name of the entry is {expected:?}")]
    NameMismatch {
        /// The name of the object.
        object_name: String,
        /// The name of the entry.
        expected: String,
    },
    /// The namespace of the object differs from the namespace of the `Api`.
    #[error(
        "the object's metadata.namespace is {}, and the namespace of the Api is {}",
        DisplayNamespace(object_namespace),
        DisplayNamespace(expected)
    )]
    NamespaceMismatch {
        /// The namespace of the object.
        object_namespace: Option<String>,
        /// The namespace of the `Api`.
        expected: Option<String>,
    },
    /// A new object has a `generateName`, but the entry has a fixed name.
    #[error(
        "the object's metadata.generateName is {object_generate_name:?}; remove it, because an entry has a name"
    )]
    GenerateName {
        /// The prefix of the generated name.
        object_generate_name: String,
    },
}

/// Formats an optional namespace.
struct DisplayNamespace<'a>(&'a Option<String>);

impl fmt::Display for DisplayNamespace<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(namespace) => write!(f, "{namespace:?}"),
            None => f.write_str("not set"),
        }
    }
}

/// A name without an object: [`insert`](VacantEntry::insert) supplies the object to create.
#[derive(Debug)]
pub struct VacantEntry<'a, K> {
    api: &'a Api<K>,
    name: &'a str,
}

impl<'a, K> VacantEntry<'a, K> {
    /// Returns an entry with `object`. [`OccupiedEntry::commit`] creates the object.
    pub fn insert(self, object: K) -> OccupiedEntry<'a, K> {
        OccupiedEntry { api: self.api, name: self.name, object, pending: PendingWrite::Create }
    }
}
