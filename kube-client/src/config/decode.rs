//! Decodes `null` and the booleans of YAML 1.1 in the same way as kubectl, so that this crate accepts the kubeconfigs that
//! kubectl accepts. Encodes maps in the order of their keys, so that the text of an unchanged kubeconfig does not change.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
use std::collections::{BTreeMap, HashMap};

/// Decodes a list. `null` becomes an empty list, and a `null` element becomes the default value.
pub(super) fn list_with_null_elements<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    optional_list_with_null_elements(deserializer).map(Option::unwrap_or_default)
}

/// Decodes an optional list. A `null` element becomes the default value.
pub(super) fn optional_list_with_null_elements<'de, D, T>(deserializer: D) -> Result<Option<Vec<T>>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    let elements = Option::<Vec<Option<T>>>::deserialize(deserializer)?;
    Ok(elements.map(|elements| elements.into_iter().map(Option::unwrap_or_default).collect()))
}

/// Decodes a map of strings. A `null` value becomes an empty string.
pub(super) fn map_with_null_values<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<HashMap<String, String>, D::Error> {
    let texts = Option::<HashMap<String, Option<String>>>::deserialize(deserializer)?.unwrap_or_default();
    Ok(texts.into_iter().map(|(key, text)| (key, text.unwrap_or_default())).collect())
}

/// Decodes the environment variables of a credential plugin. An entry, a name or a value may be `null`.
pub(super) fn environment_variables<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Vec<HashMap<String, String>>>, D::Error> {
    let variables = optional_list_with_null_elements::<_, HashMap<String, Option<String>>>(deserializer)?;
    let complete = |(key, text): (String, Option<String>)| (key, text.unwrap_or_default());
    Ok(variables.map(|all| all.into_iter().map(|one| one.into_iter().map(complete).collect()).collect()))
}

/// Decodes the extra attributes of a user. A list, or an element of a list, may be `null`.
pub(super) fn extra_attributes<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<HashMap<String, Vec<String>>>, D::Error> {
    #[derive(Deserialize)]
    #[serde(transparent)]
    struct StringList(#[serde(deserialize_with = "list_with_null_elements")] Vec<String>);
    let attributes = Option::<HashMap<String, StringList>>::deserialize(deserializer)?;
    Ok(attributes.map(|all| all.into_iter().map(|(key, texts)| (key, texts.0)).collect()))
}

/// Encodes a map in the order of its keys.
pub(super) fn serialize_sorted<S: Serializer, V: Serialize>(
    map: &HashMap<String, V>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    map.iter().collect::<BTreeMap<_, _>>().serialize(serializer)
}

/// Encodes an optional map in the order of its keys.
#[expect(clippy::ref_option, reason = "serde hands serialize_with a reference to the field")]
pub(super) fn serialize_sorted_option<S: Serializer, V: Serialize>(
    map: &Option<HashMap<String, V>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match map {
        Some(map) => serialize_sorted(map, serializer),
        None => serializer.serialize_none(),
    }
}

/// Encodes bytes as base64, and decodes them.
pub(super) mod base64_bytes {
    use base64::{Engine, engine::general_purpose::STANDARD};
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    #[expect(clippy::ref_option, reason = "serde hands serialize_with a reference to the field")]
    pub(in crate::config) fn serialize<S: Serializer>(
        bytes: &Option<Vec<u8>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match bytes {
            Some(bytes) => serializer.serialize_str(&STANDARD.encode(bytes)),
            None => serializer.serialize_none(),
        }
    }

    pub(in crate::config) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Vec<u8>>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        text.map(|text| STANDARD.decode(text).map_err(D::Error::custom)).transpose()
    }
}

/// Decodes a boolean of YAML 1.1, such as `yes` or `off`.
///
/// The YAML parser implements YAML 1.2, where `yes` and `off` are strings, and does not report whether a string is
/// quoted. A quoted boolean is therefore accepted; kubectl rejects it.
pub(super) fn yaml_bool<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<bool>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum BoolOrText {
        Bool(bool),
        Text(String),
        Other(serde::de::IgnoredAny),
    }
    match Option::deserialize(deserializer)? {
        None => Ok(None),
        Some(BoolOrText::Bool(value)) => Ok(Some(value)),
        Some(BoolOrText::Text(text)) => match text.as_str() {
            "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" | "true" | "True" | "TRUE" => {
                Ok(Some(true))
            }
            "n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF" | "false" | "False" | "FALSE" => {
                Ok(Some(false))
            }
            _ => Err(D::Error::custom("invalid type: string, expected a boolean")),
        },
        Some(BoolOrText::Other(_)) => Err(D::Error::custom("invalid type, expected a boolean")),
    }
}

/// Decodes a boolean of YAML 1.1. `null` becomes `false`.
pub(super) fn yaml_bool_or_false<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    yaml_bool(deserializer).map(Option::unwrap_or_default)
}

#[cfg(test)]
mod tests {
    use crate::config::Kubeconfig;

    /// Decodes `value` as `insecure-skip-tls-verify` and as `disable-compression`.
    fn decode_bool(value: &str) -> Result<Option<bool>, String> {
        let text = format!(
            "clusters: [{{name: a, cluster: {{insecure-skip-tls-verify: {value}, disable-compression: {value}}}}}]"
        );
        let mut config = Kubeconfig::from_yaml(&text).map_err(|error| error.to_string())?;
        let cluster = config.clusters.remove(0).cluster.unwrap();
        assert_eq!(cluster.disable_compression, cluster.insecure_skip_tls_verify);
        Ok(cluster.insecure_skip_tls_verify)
    }

    #[test]
    fn booleans_of_yaml_1_1_are_decoded() {
        for text in ["y", "Yes", "YES", "on", "ON", "true", "True"] {
            assert_eq!(decode_bool(text), Ok(Some(true)), "{text}");
        }
        for text in ["n", "No", "off", "Off", "false", "FALSE"] {
            assert_eq!(decode_bool(text), Ok(Some(false)), "{text}");
        }
        assert_eq!(decode_bool("~"), Ok(None));
        for text in ["yEs", "1", "oui", "[]", "\"\""] {
            assert!(decode_bool(text).is_err(), "{text}");
        }
        let exec = "users: [{name: u, user: {exec: {provideClusterInfo: yes}}}]";
        let user = Kubeconfig::from_yaml(exec).unwrap().auth_infos.remove(0).auth_info.unwrap();
        assert!(user.exec.unwrap().provide_cluster_info);
    }

    #[test]
    fn null_is_decoded_as_an_empty_entry_or_string() {
        let text = "
clusters: [null, {name: a, cluster: {server: 'https://x', extensions: [null]}}]
contexts: [null, {name: a, context: {cluster: a, user: u, extensions: [null, {name: null}]}}]
users:
- null
- name: u
  user:
    as-groups: [null, g]
    as-user-extra: {k: null, l: [null, v]}
    auth-provider: {name: x, config: {a: null}}
    exec:
      args: [null, b]
      env: [null, {name: A, value: null}, {name: null, value: x}, {name: B, value: c}]
extensions: [null]
preferences: {extensions: [null]}
";
        let mut config = Kubeconfig::from_yaml(text).unwrap();
        let names =
            |config: &Kubeconfig| config.auth_infos.iter().map(|user| user.name.clone()).collect::<Vec<_>>();
        assert_eq!(
            (config.clusters.len(), config.contexts.len(), names(&config)),
            (2, 2, vec![String::new(), "u".into()])
        );
        let user = config.auth_infos.remove(1).auth_info.unwrap();
        assert_eq!(user.impersonate_groups.unwrap(), ["", "g"]);
        let extra = user.impersonate_user_extra.unwrap();
        assert_eq!((extra["k"].len(), &extra["l"][..]), (0, &[String::new(), "v".to_owned()][..]));
        assert_eq!(user.auth_provider.unwrap().config["a"], "");
        let exec = user.exec.unwrap();
        assert_eq!(exec.args.unwrap(), ["", "b"]);
        let env = exec.env.unwrap();
        assert_eq!(
            (env.len(), env[0].len(), env[1]["value"].as_str(), env[2]["name"].as_str()),
            (4, 0, "", "")
        );
    }
}
