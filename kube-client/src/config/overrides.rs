//! The environment variables that override settings of a configuration, for debugging.

use super::{Config, address, env::Env};

const USER_VARIABLE: &str = "KUBE_RS_DEBUG_IMPERSONATE_USER";
const GROUP_VARIABLE: &str = "KUBE_RS_DEBUG_IMPERSONATE_GROUP";
const URL_VARIABLE: &str = "KUBE_RS_DEBUG_OVERRIDE_URL";

impl Config {
    /// Applies the environment variables that override settings, for debugging. Logs each override as a warning.
    ///
    /// - `KUBE_RS_DEBUG_IMPERSONATE_USER`: the user to impersonate.
    /// - `KUBE_RS_DEBUG_IMPERSONATE_GROUP`: the groups to impersonate, separated by commas.
    /// - `KUBE_RS_DEBUG_OVERRIDE_URL`: the API server's address, such as the address of `kubectl proxy`. An invalid
    ///   address has no effect, and is logged as a warning.
    ///
    /// ```
    /// // `Config::infer` already calls this method.
    /// let mut config = kube_client::Config::new("https://10.0.0.1".parse()?);
    /// config.apply_debug_overrides();
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    pub fn apply_debug_overrides(&mut self) {
        self.apply_overrides_from(Env::of_process());
    }

    pub(super) fn apply_overrides_from(&mut self, env: Env<'_>) {
        if let Some(user) = env.text_value(USER_VARIABLE) {
            tracing::warn!(variable = USER_VARIABLE, user, "impersonating a user");
            self.auth_info.impersonate = Some(user);
        }
        if let Some(groups) = env.text_value(GROUP_VARIABLE) {
            tracing::warn!(variable = GROUP_VARIABLE, groups, "impersonating groups");
            self.auth_info.impersonate_groups =
                Some(groups.split(',').map(|group| group.trim().to_owned()).collect());
        }
        if let Some(url) = env.text_value(URL_VARIABLE) {
            match address::parse_server(&url) {
                Ok(url) => {
                    tracing::warn!(variable = URL_VARIABLE, %url, "using another address");
                    self.cluster_url = url;
                }
                Err(error) => tracing::warn!(variable = URL_VARIABLE, %error, "ignoring an invalid address"),
            }
        }
    }
}
