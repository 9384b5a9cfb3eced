//! What Go's decoder makes of null and of YAML 1.1 booleans, so that a kubeconfig that kubectl loads is loaded.

use serde::{Deserialize, Deserializer, de::Error};

/// kubectl and its kin write `null` for an empty list.
pub(super) fn null_as_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// A boolean as YAML 1.1 writes it, `yes` and `off` among them.
///
/// The YAML library reads YAML 1.2, where those are texts, and does not say whether one stands in quotes. One in quotes is a
/// boolean here, and an error for kubectl.
pub(super) fn yaml_bool<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<bool>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Bool(bool),
        Text(String),
        Other(serde::de::IgnoredAny),
    }
    match Option::deserialize(deserializer)? {
        None => Ok(None),
        Some(Written::Bool(value)) => Ok(Some(value)),
        Some(Written::Text(text)) => match text.as_str() {
            "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" | "true" | "True" | "TRUE" => {
                Ok(Some(true))
            }
            "n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF" | "false" | "False" | "FALSE" => {
                Ok(Some(false))
            }
            _ => Err(D::Error::custom("invalid type: string, expected a boolean")),
        },
        Some(Written::Other(_)) => Err(D::Error::custom("invalid type, expected a boolean")),
    }
}

/// The same where absence means no.
pub(super) fn yaml_bool_or_false<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    yaml_bool(deserializer).map(Option::unwrap_or_default)
}

#[cfg(test)]
mod tests {
    use crate::config::Kubeconfig;

    fn insecure(value: &str) -> Result<Option<bool>, String> {
        let text = format!(
            "clusters: [{{name: a, cluster: {{insecure-skip-tls-verify: {value}, disable-compression: {value}}}}}]"
        );
        let mut config = Kubeconfig::from_yaml(&text).map_err(|error| error.to_string())?;
        let cluster = config.clusters.remove(0).cluster.unwrap();
        assert_eq!(cluster.disable_compression, cluster.insecure_skip_tls_verify);
        Ok(cluster.insecure_skip_tls_verify)
    }

    #[test]
    fn booleans_are_those_of_yaml_1_1() {
        for text in ["y", "Yes", "YES", "on", "ON", "true", "True"] {
            assert_eq!(insecure(text), Ok(Some(true)), "{text}");
        }
        for text in ["n", "No", "off", "Off", "false", "FALSE"] {
            assert_eq!(insecure(text), Ok(Some(false)), "{text}");
        }
        assert_eq!(insecure("~"), Ok(None));
        for text in ["yEs", "1", "oui", "[]", "\"\""] {
            assert!(insecure(text).is_err(), "{text}");
        }
        let exec = "users: [{name: u, user: {exec: {provideClusterInfo: yes}}}]";
        let user = Kubeconfig::from_yaml(exec).unwrap().auth_infos.remove(0).auth_info.unwrap();
        assert!(user.exec.unwrap().provide_cluster_info);
    }
}
