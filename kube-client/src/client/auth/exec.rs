//! Credential plugins (exec, KEP-541): commands that print an `ExecCredential`.
//!
//! A plugin runs when there is no valid credential. The output of a plugin must never appear in an error or a log.

use http::HeaderValue;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use std::{
    fmt,
    io::IsTerminal,
    process::{Output, Stdio},
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    process::Command,
    time::{Instant, timeout},
};

use super::{PresentedCredentials, auth_error, bearer_header};
use crate::{
    config::{ExecAuthCluster, ExecConfig, ExecInteractiveMode, Identity, identity_from_pem},
    core::{nearest_timestamp, without_values},
    error::{BoxError, Error, Result, Wait},
};

/// The callback for each new client certificate that a plugin prints.
pub(crate) type OnCertificate = Box<dyn Fn(Identity) -> Result<(), BoxError> + Send + Sync>;

/// The API version in which `interactiveMode` is required.
const API_V1: &str = "client.authentication.k8s.io/v1";
const API_V1BETA1: &str = "client.authentication.k8s.io/v1beta1";
/// The time limit on one run of a plugin that does not use the terminal.
const PLUGIN_TIMEOUT: Duration = Duration::from_secs(60);
/// The time limit on one run of a plugin that may prompt the user on the terminal.
const INTERACTIVE_PLUGIN_TIMEOUT: Duration = Duration::from_secs(300);
/// Credentials are refreshed this long before they expire, so that they are still valid when the server checks them.
const EXPIRY_MARGIN: Duration = Duration::from_secs(10);
/// The minimum time between two plugin runs caused by a 401. Without this minimum, the plugin would run for every
/// request while the server rejects its credentials.
const CREDENTIAL_REFRESH_INTERVAL: Duration = Duration::from_secs(10);

/// A plugin and the credentials from its last run.
pub(crate) struct ExecPlugin {
    config: ExecConfig,
    command: String,
    api_version: String,
    on_certificate: OnCertificate,
    cached: Mutex<Option<CachedCredentials>>,
    /// Held while the plugin runs, so that concurrent requests share one run.
    running: tokio::sync::Mutex<()>,
}

/// The credentials from the last run of the plugin.
#[derive(Clone)]
struct CachedCredentials {
    header: Option<HeaderValue>,
    /// The PEM text of the certificate, to detect a change.
    certificate: Option<String>,
    /// Incremented when the token or the certificate changes.
    generation: u64,
    expires: Option<Instant>,
    /// The time of the last run caused by a 401.
    renewed: Option<Instant>,
}

impl CachedCredentials {
    /// Whether the credentials never expire, or expire in the future.
    fn is_unexpired(&self) -> bool {
        self.expires.is_none_or(|at| Instant::now() < at)
    }

    fn into_presented(self) -> PresentedCredentials {
        PresentedCredentials { header: self.header, generation: self.generation }
    }
}

impl ExecPlugin {
    /// Checks the configuration. Does not run the plugin.
    pub(super) fn new(config: ExecConfig, on_certificate: OnCertificate) -> Result<Self> {
        let Some(command) = config.command.clone().filter(|command| !command.is_empty()) else {
            return Err(auth_error("the user's exec plugin has no command".to_owned()));
        };
        let api_version = match config.api_version.as_deref() {
            Some(version @ (API_V1 | API_V1BETA1)) => version.to_owned(),
            other => {
                return Err(auth_error(format!(
                    "the exec plugin `{command}` has apiVersion `{}`; {API_V1} and {API_V1BETA1} are supported",
                    other.unwrap_or_default()
                )));
            }
        };
        if api_version == API_V1 && config.interactive_mode.is_none() {
            return Err(auth_error(format!(
                "the exec plugin `{command}` needs interactiveMode with {API_V1}"
            )));
        }
        Ok(Self {
            config,
            command,
            api_version,
            on_certificate,
            cached: Mutex::default(),
            running: tokio::sync::Mutex::default(),
        })
    }

    /// The cached credentials; runs the plugin if there are none, or if they have expired.
    pub(super) async fn current(&self) -> Result<PresentedCredentials> {
        if let Some(cached) = self.unexpired() {
            return Ok(cached.into_presented());
        }
        let _running = self.running.lock().await;
        match self.unexpired() {
            Some(cached) => Ok(cached.into_presented()),
            None => self.run_plugin().await.map(CachedCredentials::into_presented),
        }
    }

    /// Runs the plugin after the server rejected `used` with 401, unless a concurrent request has already done so.
    /// Returns whether the credentials differ from `used`.
    pub(super) async fn renew(&self, used: &PresentedCredentials) -> Result<bool> {
        let _running = self.running.lock().await;
        let before = self.unexpired();
        // Compare generations, not headers: a new client certificate does not change the header.
        if before.as_ref().is_some_and(|cached| cached.generation != used.generation) {
            return Ok(true);
        }
        if before
            .as_ref()
            .and_then(|cached| cached.renewed)
            .is_some_and(|at| at.elapsed() < CREDENTIAL_REFRESH_INTERVAL)
        {
            return Ok(false);
        }
        let mut after = self.run_plugin().await?;
        after.renewed = Some(Instant::now());
        *self.cached.lock().unwrap_or_else(PoisonError::into_inner) = Some(after.clone());
        Ok(before.is_none_or(|before| before.generation != after.generation))
    }

    /// The cached credentials; `None` if there are none, or if they have expired.
    fn unexpired(&self) -> Option<CachedCredentials> {
        self.cached
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
            .filter(CachedCredentials::is_unexpired)
    }

    /// Runs the plugin and parses its output.
    async fn run_plugin(&self) -> Result<CachedCredentials> {
        let (interactive, limit) = match self.config.interactive_mode {
            Some(ExecInteractiveMode::Never) => (false, PLUGIN_TIMEOUT),
            mode => {
                let terminal = std::io::stdin().is_terminal();
                if mode == Some(ExecInteractiveMode::Always) && !terminal {
                    return Err(self.error("needs a terminal, and stdin is not one", None));
                }
                if terminal { (true, INTERACTIVE_PLUGIN_TIMEOUT) } else { (false, PLUGIN_TIMEOUT) }
            }
        };
        let mut command = self.build_command(interactive)?;
        let what = format!("exec plugin `{}`", self.command);
        // `Command::output` would capture stderr, so that the user would not see the login prompts of the plugin.
        let child = command.spawn().map_err(|source| self.start_error(source))?;
        let output = timeout(limit, child.wait_with_output())
            .await
            .map_err(|_| Error::Timeout { wait: Wait::Credentials, after: limit, what })?
            .map_err(|source| self.error("cannot be waited for", Some(source.into())))?;
        let mut cached = self.parse_output(&output)?;
        let mut last = self.cached.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(before) = &*last {
            let differs = before.header != cached.header || before.certificate != cached.certificate;
            cached.generation = before.generation + u64::from(differs);
        }
        *last = Some(cached.clone());
        drop(last);
        Ok(cached)
    }

    /// The command with its arguments, environment, and standard streams.
    fn build_command(&self, interactive: bool) -> Result<Command> {
        let info = ExecInfo {
            kind: "ExecCredential",
            api_version: &self.api_version,
            spec: ExecSpec {
                interactive,
                cluster: self.config.cluster.as_ref().filter(|_| self.config.provide_cluster_info),
            },
        };
        let info = serde_json::to_string(&info).map_err(|source| {
            self.error("cannot receive the cluster information (provideClusterInfo)", Some(source.into()))
        })?;
        let mut command = Command::new(&self.command);
        command.args(self.config.args.iter().flatten());
        for name in self.config.drop_env.iter().flatten() {
            command.env_remove(name);
        }
        for variable in self.config.env.iter().flatten() {
            if let (Some(name), Some(value)) = (variable.get("name"), variable.get("value")) {
                command.env(name, value);
            }
        }
        command
            .env("KUBERNETES_EXEC_INFO", info)
            .stdin(if interactive { Stdio::inherit() } else { Stdio::null() })
            .stdout(Stdio::piped())
            // The user sees the messages of the plugin, as with kubectl.
            .stderr(Stdio::inherit())
            .kill_on_drop(true);
        Ok(command)
    }

    /// The error for a command that the operating system cannot start, with the plugin's advice on its installation.
    fn start_error(&self, source: std::io::Error) -> Error {
        let hint = match &self.config.install_hint {
            Some(hint) if source.kind() == std::io::ErrorKind::NotFound => {
                let plain: String = hint.chars().filter(|c| !c.is_control() || *c == '\n').collect();
                format!("cannot be started; {}", plain.trim())
            }
            _ => "cannot be started; is it installed and in PATH?".to_owned(),
        };
        self.error(&hint, Some(source.into()))
    }

    /// Parses the output of the plugin. The output contains credentials, so that errors quote only its `apiVersion` and
    /// `kind`.
    fn parse_output(&self, output: &Output) -> Result<CachedCredentials> {
        if !output.status.success() {
            let what = format!("failed with {}; see its messages on stderr", output.status);
            return Err(self.error(&what, None));
        }
        let printed = parse_exec_credential(&output.stdout).map_err(|place| {
            self.error(&format!("printed no ExecCredential in JSON or YAML{place}"), None)
        })?;
        if printed.kind != "ExecCredential" || printed.api_version != self.api_version {
            let what = format!(
                "printed apiVersion `{}`, kind `{}` instead of `{}`, ExecCredential",
                printed.api_version, printed.kind, self.api_version
            );
            return Err(self.error(&what, None));
        }
        let Some(status) = printed.status else { return Err(self.error("printed no status", None)) };
        let header = status
            .token
            .filter(|token| !token.expose_secret().is_empty())
            .map(|token| bearer_header(&token, &format!("the token of the exec plugin `{}`", self.command)));
        let header = header.transpose()?;
        let expires =
            status.expiration_timestamp.as_deref().map(|text| self.expiry_instant(text)).transpose()?;
        let certificate =
            self.forward_certificate(status.client_certificate_data, status.client_key_data.as_ref())?;
        if header.is_none() && certificate.is_none() {
            return Err(self.error("printed neither a token nor a client certificate", None));
        }
        Ok(CachedCredentials { header, certificate, generation: 0, expires, renewed: None })
    }

    /// Converts an `expirationTimestamp` (wall clock) to an instant of the runtime's clock, minus [`EXPIRY_MARGIN`].
    fn expiry_instant(&self, text: &str) -> Result<Instant> {
        // 9999-12-31T23:59:59Z, which plugins print for "never", is beyond jiff's last timestamp.
        let at = nearest_timestamp(text).map_or_else(|| text.parse(), Ok).map_err(|error: jiff::Error| {
            // The error quotes the text. If the plugin confuses its fields, the text is a secret.
            let reason = without_values(&error.to_string());
            self.error("printed an expirationTimestamp that is no RFC 3339 time", Some(reason.into()))
        })?;
        let remaining = Duration::try_from(at.duration_since(jiff::Timestamp::now())).unwrap_or_default();
        let remaining =
            if remaining > EXPIRY_MARGIN * 2 { remaining.saturating_sub(EXPIRY_MARGIN) } else { remaining };
        let now = Instant::now();
        // On overflow of the clock, refresh after a year.
        Ok(now.checked_add(remaining).unwrap_or(now + Duration::from_secs(86_400 * 365)))
    }

    /// Passes a new client certificate and its key to `on_certificate`. Returns the certificate.
    fn forward_certificate(
        &self,
        certificate: Option<String>,
        key: Option<&SecretString>,
    ) -> Result<Option<String>> {
        let certificate = certificate.filter(|text| !text.is_empty());
        match (certificate, key.filter(|key| !key.expose_secret().is_empty())) {
            (None, None) => Ok(None),
            (Some(certificate), Some(key)) => {
                let before = self.cached.lock().unwrap_or_else(PoisonError::into_inner).clone();
                if before.and_then(|before| before.certificate).as_ref() != Some(&certificate) {
                    let unusable =
                        |source| self.error("printed a client certificate that cannot be used", source);
                    let identity = identity_from_pem(&certificate, key.expose_secret())
                        .map_err(|error| unusable(Some(error.into())))?;
                    (self.on_certificate)(identity).map_err(|error| unusable(Some(error)))?;
                }
                Ok(Some(certificate))
            }
            _ => Err(self.error("printed only one of clientCertificateData and clientKeyData", None)),
        }
    }

    /// An error about the plugin. `what` completes a sentence that begins with the name of the plugin.
    fn error(&self, what: &str, source: Option<BoxError>) -> Error {
        Error::Auth { what: format!("the exec plugin `{}` {what}", self.command), source }
    }
}

impl fmt::Debug for ExecPlugin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExecPlugin").field("config", &self.config).finish_non_exhaustive()
    }
}

/// Parses the output of a plugin as JSON or, like client-go, as YAML. The error is the position of the first syntax
/// error.
fn parse_exec_credential(printed: &[u8]) -> Result<ExecCredential, String> {
    let json = match serde_json::from_slice(printed) {
        Ok(credential) => return Ok(credential),
        Err(error) => (error.line(), error.column()),
    };
    yaml_serde::from_slice(printed).map_err(|error| {
        let is_json = printed.trim_ascii_start().starts_with(b"{");
        let yaml = error.location().map(|place| (place.line(), place.column()));
        let place = if is_json { Some(json) } else { yaml };
        place.map_or_else(String::new, |(line, column)| format!(" (at line {line} column {column})"))
    })
}

/// The input of a plugin: the environment variable `KUBERNETES_EXEC_INFO`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ExecInfo<'a> {
    kind: &'static str,
    api_version: &'a str,
    spec: ExecSpec<'a>,
}

/// The `spec` of the `ExecCredential` that the plugin receives.
#[derive(Serialize)]
struct ExecSpec<'a> {
    interactive: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster: Option<&'a ExecAuthCluster>,
}

/// The output of a plugin.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ExecCredential {
    #[serde(default)]
    kind: String,
    #[serde(default)]
    api_version: String,
    status: Option<ExecStatus>,
}

/// The `status` of the `ExecCredential` that the plugin prints: the credentials.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ExecStatus {
    expiration_timestamp: Option<String>,
    token: Option<SecretString>,
    client_certificate_data: Option<String>,
    client_key_data: Option<SecretString>,
}
