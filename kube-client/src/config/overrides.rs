//! Overrides of a configuration by environment variables, for debugging.

use super::{Config, address, env::Env};

const USER: &str = "KUBE_RS_DEBUG_IMPERSONATE_USER";
const GROUP: &str = "KUBE_RS_DEBUG_IMPERSONATE_GROUP";
const URL: &str = "KUBE_RS_DEBUG_OVERRIDE_URL";

impl Config {
    /// Overrides settings by environment variables, for debugging. Each override is logged as a warning.
    ///
    /// - `KUBE_RS_DEBUG_IMPERSONATE_USER`: the user to impersonate.
    /// - `KUBE_RS_DEBUG_IMPERSONATE_GROUP`: the groups to impersonate, separated by commas.
    /// - `KUBE_RS_DEBUG_OVERRIDE_URL`: the API server's address, such as that of `kubectl proxy`. An invalid address is
    ///   ignored, with a warning.
    ///
    /// ```
    /// // In a program, `Config::infer` does this.
    /// let mut config = kube_client::Config::new("https://10.0.0.1".parse()?);
    /// config.apply_debug_overrides();
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    pub fn apply_debug_overrides(&mut self) {
        self.override_from(Env::process());
    }

    pub(super) fn override_from(&mut self, env: Env<'_>) {
        if let Some(user) = env.text(USER) {
            tracing::warn!(variable = USER, user, "impersonating a user");
            self.auth_info.impersonate = Some(user);
        }
        if let Some(groups) = env.text(GROUP) {
            tracing::warn!(variable = GROUP, groups, "impersonating groups");
            self.auth_info.impersonate_groups =
                Some(groups.split(',').map(|group| group.trim().to_owned()).collect());
        }
        if let Some(url) = env.text(URL) {
            match address::parse_server(&url) {
                Ok(url) => {
                    tracing::warn!(variable = URL, %url, "using another address");
                    self.cluster_url = url;
                }
                Err(error) => tracing::warn!(variable = URL, %error, "ignoring an invalid address"),
            }
        }
    }
}
