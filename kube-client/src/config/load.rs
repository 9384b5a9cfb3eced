//! Reads a [`Kubeconfig`] from files or text: finds the files, then decodes, parses, validates and merges them.
//! This module makes the paths inside a file absolute, so that the paths stay valid after a merge.

use std::{
    collections::HashSet,
    ffi::OsStr,
    io,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use crate::core::__client::remove_quoted_values;

use super::{env::Env, error::KubeconfigError, kubeconfig::Kubeconfig};

impl Kubeconfig {
    /// Reads and merges the files that `KUBECONFIG` lists. Reads `~/.kube/config` if the variable is not set or is empty.
    ///
    /// Blocks on the file system. [`Config::infer`](crate::Config::infer) reads the same files without blocking.
    ///
    /// # Errors
    /// As for [`read_from`](Self::read_from) and [`from_env`](Self::from_env). It is also an error if neither `KUBECONFIG`
    /// nor a home directory is set.
    pub fn read() -> Result<Self, KubeconfigError> {
        match Self::from_env()? {
            Some(config) => Ok(config),
            None => Self::read_from(Env::of_process().home_kubeconfig().ok_or(KubeconfigError::FindPath)?),
        }
    }

    /// Reads one file. Relative paths in the file are resolved against its directory.
    ///
    /// # Errors
    /// If the file cannot be read, is not YAML, is not a kubeconfig, or has two clusters, users or contexts with the
    /// same name.
    pub fn read_from<P: AsRef<Path>>(path: P) -> Result<Self, KubeconfigError> {
        let path = path.as_ref();
        let mut config = read_with_relative_paths(path)?;
        let absolute = std::path::absolute(path)
            .map_err(|source| KubeconfigError::Read { path: path.to_owned(), source })?;
        if let Some(folder) = absolute.parent() {
            config.resolve_paths(folder);
        }
        config.sources = vec![absolute];
        Ok(config)
    }

    /// Parses the text of a kubeconfig; several YAML documents are merged. Relative paths are unchanged.
    ///
    /// # Errors
    /// If the text is not YAML, is not a kubeconfig, or has two clusters, users or contexts with the same name.
    pub fn from_yaml(text: &str) -> Result<Self, KubeconfigError> {
        parse_kubeconfig(text, "the given kubeconfig")
    }

    /// Reads and merges the files that `KUBECONFIG` lists; `None` if the variable is not set or is empty.
    ///
    /// Skips listed files that do not exist.
    ///
    /// # Errors
    /// As for [`read_from`](Self::read_from). It is also an error if none of the listed files exists.
    pub fn from_env() -> Result<Option<Self>, KubeconfigError> {
        match Env::of_process().kubeconfig() {
            Some(list) => read_listed_files(&list).map(Some),
            None => Ok(None),
        }
    }

    /// Joins each relative path in the clusters and users to `folder`, which is an absolute path.
    fn resolve_paths(&mut self, folder: &Path) {
        self.for_each_path(|path| resolve_path(path, folder));
    }

    /// Calls `change` for each file path in the clusters and users: certificates, keys, token files and credential plugins.
    pub(super) fn for_each_path(&mut self, mut change: impl FnMut(&mut String)) {
        for cluster in self.clusters.iter_mut().filter_map(|named| named.cluster.as_mut()) {
            cluster.certificate_authority.iter_mut().for_each(&mut change);
        }
        for user in self.auth_infos.iter_mut().filter_map(|named| named.auth_info.as_mut()) {
            let files = [&mut user.client_certificate, &mut user.client_key, &mut user.token_file];
            files.into_iter().flatten().for_each(&mut change);
            // A command without a path separator is not a path, but a name that is searched for in `PATH`.
            let command = user.exec.as_mut().and_then(|exec| exec.command.as_mut());
            command
                .filter(|command| command.contains(std::path::is_separator))
                .into_iter()
                .for_each(&mut change);
        }
    }
}

/// Reads one file, and leaves the relative paths in it unchanged.
pub(super) fn read_with_relative_paths(path: &Path) -> Result<Kubeconfig, KubeconfigError> {
    let bytes =
        std::fs::read(path).map_err(|source| KubeconfigError::Read { path: path.to_owned(), source })?;
    let origin = path.display().to_string();
    let text = decode_text(&bytes).ok_or_else(|| KubeconfigError::NotText { origin: origin.clone() })?;
    parse_kubeconfig(&text, &origin)
}

/// Reads and merges the files whose paths are in `list`. Skips files that do not exist. The paths are separated as in
/// `PATH`: by `:` on Unix, and by `;` on Windows.
pub(super) fn read_listed_files(list: &OsStr) -> Result<Kubeconfig, KubeconfigError> {
    let mut seen = HashSet::new();
    let mut merged: Option<Kubeconfig> = None;
    let mut paths: Vec<PathBuf> = Vec::new();
    for path in std::env::split_paths(list).filter(|path| !path.as_os_str().is_empty()) {
        if !seen.insert(path.clone()) {
            continue;
        }
        match Kubeconfig::read_from(&path) {
            Ok(next) => {
                merged = Some(match merged {
                    None => next,
                    Some(merged) => merged.merge(next)?,
                });
            }
            Err(KubeconfigError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                tracing::debug!(path = %path.display(), "skipping a file of KUBECONFIG that does not exist");
            }
            Err(error) => return Err(error),
        }
        paths.push(path);
    }
    merged.ok_or(KubeconfigError::AllMissing { paths })
}

/// Joins `path` to `folder` if `path` is relative.
fn resolve_path(path: &mut String, folder: &Path) {
    if !path.is_empty() && Path::new(path.as_str()).is_relative() {
        // `components` removes `.`, but keeps `..`.
        let absolute: PathBuf = folder.join(path.as_str()).components().collect();
        // The path stays relative if the name of the directory is not UTF-8.
        if let Some(absolute) = absolute.to_str() {
            absolute.clone_into(path);
        }
    }
}

/// Decodes UTF-8 (with or without a byte order mark) or UTF-16 (only with a byte order mark). Some versions of PowerShell
/// write UTF-16. Returns `None` for other bytes.
fn decode_text(bytes: &[u8]) -> Option<String> {
    let units = |from: fn([u8; 2]) -> u16| {
        let rest = &bytes[2..];
        let pairs: Vec<u16> = rest.chunks_exact(2).map(|pair| from([pair[0], pair[1]])).collect();
        if rest.len().is_multiple_of(2) { String::from_utf16(&pairs).ok() } else { None }
    };
    match bytes {
        [0xff, 0xfe, ..] => units(u16::from_le_bytes),
        [0xfe, 0xff, ..] => units(u16::from_be_bytes),
        [0xef, 0xbb, 0xbf, rest @ ..] => String::from_utf8(rest.to_vec()).ok(),
        _ => String::from_utf8(bytes.to_vec()).ok(),
    }
}

/// Parses and validates each YAML document of a text, and merges the documents.
fn parse_kubeconfig(text: &str, origin: &str) -> Result<Kubeconfig, KubeconfigError> {
    let parse_error = |message: &str| KubeconfigError::Parse {
        origin: origin.to_owned(),
        source: remove_quoted_values(message).into(),
    };
    let fail = |error: yaml_serde::Error| parse_error(&error.to_string());
    let mut merged: Option<Kubeconfig> = None;
    // Expanding merge keys requires a `Value`, but the positions in errors are then lost.
    let has_merge_keys = text.contains("<<");
    for document in yaml_serde::Deserializer::from_str(text) {
        let next: Option<Kubeconfig> = if has_merge_keys {
            let mut value = yaml_serde::Value::deserialize(document).map_err(fail)?;
            expand_merge_keys(&mut value).map_err(fail)?;
            // The value is converted to text first: the decoder of a `Value` rejects a number for a string
            // field, as in `namespace: 1`.
            let expanded = yaml_serde::to_string(&value).map_err(fail)?;
            yaml_serde::from_str(&expanded).map_err(|error| parse_error(&text_without_position(&error)))?
        } else {
            Option::deserialize(document).map_err(fail)?
        };
        let Some(next) = next else { continue };
        validate(&next, origin)?;
        merged = Some(match merged {
            None => next,
            Some(merged) => merged.merge(next)?,
        });
    }
    Ok(merged.unwrap_or_default())
}

/// The text of an error, without the position. The position refers to the document with expanded merge keys.
/// The user does not have this document.
fn text_without_position(error: &yaml_serde::Error) -> String {
    let text = error.to_string();
    let Some(at) = error.location() else { return text };
    text.replace(&format!(" at line {} column {}", at.line(), at.column()), "")
}

/// Expands YAML merge keys (`<<: *base`). Expands nested mappings first, because the base may contain a merge key.
fn expand_merge_keys(value: &mut yaml_serde::Value) -> Result<(), yaml_serde::Error> {
    match value {
        yaml_serde::Value::Mapping(mapping) => {
            mapping.values_mut().try_for_each(expand_merge_keys)?;
            value.apply_merge()
        }
        yaml_serde::Value::Sequence(items) => items.iter_mut().try_for_each(expand_merge_keys),
        _ => Ok(()),
    }
}

/// Returns an error if the kind or the API version is wrong, or if two entries of one type have the same name.
fn validate(config: &Kubeconfig, origin: &str) -> Result<(), KubeconfigError> {
    let kind = config.kind.as_deref().unwrap_or("Config");
    let api_version = config.api_version.as_deref().unwrap_or("v1");
    if !matches!(kind, "Config" | "") || !matches!(api_version, "v1" | "") {
        return Err(KubeconfigError::WrongKind {
            origin: origin.to_owned(),
            api_version: api_version.to_owned(),
            kind: kind.to_owned(),
        });
    }
    check_unique(origin, "cluster", config.clusters.iter().map(|named| &named.name))?;
    check_unique(origin, "user", config.auth_infos.iter().map(|named| &named.name))?;
    check_unique(origin, "context", config.contexts.iter().map(|named| &named.name))
}

/// Returns an error for the first name that occurs twice.
fn check_unique<'a>(
    origin: &str,
    what: &'static str,
    names: impl Iterator<Item = &'a String>,
) -> Result<(), KubeconfigError> {
    let mut seen = HashSet::new();
    for name in names {
        if !seen.insert(name) {
            return Err(KubeconfigError::Duplicate { origin: origin.to_owned(), what, name: name.clone() });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_in_utf16_or_with_a_byte_order_mark_are_decoded() {
        let text = "clusters: []";
        let le: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let be: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
        assert_eq!(decode_text(&[&[0xff, 0xfe], &le[..]].concat()).as_deref(), Some(text));
        assert_eq!(decode_text(&[&[0xfe, 0xff], &be[..]].concat()).as_deref(), Some(text));
        assert_eq!(decode_text(&[&[0xef, 0xbb, 0xbf], text.as_bytes()].concat()).as_deref(), Some(text));
        assert_eq!(decode_text(&[0xff, 0xfe, 0x00]), None);
        assert_eq!(decode_text(&[0xc3, 0x28]), None);
    }
}
