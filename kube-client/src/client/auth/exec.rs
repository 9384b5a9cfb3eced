//! Credential plugins (exec, KEP-541): commands that print an `ExecCredential`.
//!
//! The credentials that a plugin prints must never appear in an error or a log. This module must not decide when a
//! plugin runs: `credentials` does.

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use std::{
    ffi::OsString,
    fmt,
    io::IsTerminal,
    process::{Output, Stdio},
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::{process::Command, time::timeout};

use super::{
    auth_error, bearer_header,
    source::{NewCredentials, refresh_time},
};
use crate::{
    config::{
        CredentialPluginPolicy, ExecAuthCluster, ExecConfig, ExecInteractiveMode, Identity, identity_from_pem,
    },
    core::__client::{nearest_timestamp_if_out_of_range, remove_quoted_values},
    error::{BoxError, Error, Result, Wait},
};

/// The callback for each new client certificate that a plugin prints.
pub(crate) type CertificateCallback = Box<dyn Fn(Identity) -> Result<(), BoxError> + Send + Sync>;

/// The API version in which `interactiveMode` is required.
const API_V1: &str = "client.authentication.k8s.io/v1";
const API_V1BETA1: &str = "client.authentication.k8s.io/v1beta1";
/// The time limit on one run of a plugin that does not use the terminal.
const PLUGIN_TIMEOUT: Duration = Duration::from_secs(60);
/// The time limit on one run of a plugin that may prompt the user on the terminal.
const INTERACTIVE_PLUGIN_TIMEOUT: Duration = Duration::from_secs(300);

/// A plugin, and its last client certificate that [`CertificateCallback`] accepted.
pub(crate) struct ExecPlugin {
    config: ExecConfig,
    /// [`ExecConfig::command`], for error texts.
    command: String,
    /// The executable to start: a path, or a name that is searched for in `PATH`.
    executable: OsString,
    api_version: String,
    on_certificate: CertificateCallback,
    /// The PEM text of the last certificate that `on_certificate` accepted; `None` if it has accepted none.
    last_certificate: Mutex<Option<String>>,
}

impl ExecPlugin {
    /// Checks the configuration. Does not run the plugin.
    pub(super) fn new(
        config: ExecConfig,
        policy: &CredentialPluginPolicy,
        on_certificate: CertificateCallback,
    ) -> Result<Self> {
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
        let executable = policy.allowed_executable(&command).map_err(|refusal| {
            let hint = if refusal.is_not_found() { printable_install_hint(&config) } else { None };
            let hint = hint.map(|hint| format!("; {hint}")).unwrap_or_default();
            auth_error(format!("the exec plugin `{command}` {refusal}{hint}"))
        })?;
        let last_certificate = Mutex::default();
        Ok(Self { config, command, executable, api_version, on_certificate, last_certificate })
    }

    /// Runs the plugin and parses its output.
    pub(super) async fn run(&self) -> Result<NewCredentials> {
        let output = self.capture_output().await?;
        self.parse_output(&output)
    }

    /// Runs the plugin and returns its output. Stops the plugin when the time limit expires.
    async fn capture_output(&self) -> Result<Output> {
        let (interactive, limit) = (self.is_interactive(), self.time_limit());
        if self.config.interactive_mode == Some(ExecInteractiveMode::Always) && !interactive {
            return Err(self.plugin_error("needs a terminal, and stdin is not one", None));
        }
        let mut command = self.build_command(interactive)?;
        let what = format!("exec plugin `{}`", self.command);
        // `Command::output` would capture stderr, so that the user would not see the login prompts of the plugin.
        let child = command.spawn().map_err(|source| {
            let is_missing = source.kind() == std::io::ErrorKind::NotFound;
            count_call(if is_missing { "plugin_not_found_error" } else { "client_internal_error" }, 1);
            self.start_error(source)
        })?;
        let Ok(output) = timeout(limit, child.wait_with_output()).await else {
            count_call("plugin_execution_error", 1);
            return Err(Error::Timeout { wait: Wait::Credentials, after: limit, what });
        };
        let output =
            output.map_err(|source| self.plugin_error("cannot be waited for", Some(source.into())))?;
        let is_ok = output.status.success();
        let call_status = if is_ok { "no_error" } else { "plugin_execution_error" };
        count_call(call_status, output.status.code().unwrap_or(1));
        Ok(output)
    }

    /// Whether the plugin may prompt the user on the terminal.
    fn is_interactive(&self) -> bool {
        self.config.interactive_mode != Some(ExecInteractiveMode::Never) && std::io::stdin().is_terminal()
    }

    /// The time limit on one run.
    pub(super) fn time_limit(&self) -> Duration {
        if self.is_interactive() { INTERACTIVE_PLUGIN_TIMEOUT } else { PLUGIN_TIMEOUT }
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
            self.plugin_error(
                "cannot receive the cluster information (provideClusterInfo)",
                Some(source.into()),
            )
        })?;
        let mut command = Command::new(&self.executable);
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

    fn start_error(&self, source: std::io::Error) -> Error {
        let is_missing = source.kind() == std::io::ErrorKind::NotFound;
        let what = match printable_install_hint(&self.config).filter(|_| is_missing) {
            Some(hint) => format!("cannot be started; {hint}"),
            None => "cannot be started; is it installed and in PATH?".to_owned(),
        };
        self.plugin_error(&what, Some(source.into()))
    }

    /// Parses the output of the plugin. Errors quote only the `apiVersion` and `kind` of the output, because the rest
    /// contains credentials.
    fn parse_output(&self, output: &Output) -> Result<NewCredentials> {
        if !output.status.success() {
            let what = format!("failed with {}; see its messages on stderr", output.status);
            return Err(self.plugin_error(&what, None));
        }
        let printed = parse_exec_credential(&output.stdout).map_err(|place| {
            self.plugin_error(&format!("printed no ExecCredential in JSON or YAML{place}"), None)
        })?;
        if printed.kind != "ExecCredential" || printed.api_version != self.api_version {
            let what = format!(
                "printed apiVersion `{}`, kind `{}` instead of `{}`, ExecCredential",
                printed.api_version, printed.kind, self.api_version
            );
            return Err(self.plugin_error(&what, None));
        }
        let Some(status) = printed.status else { return Err(self.plugin_error("printed no status", None)) };
        let header = status
            .token
            .filter(|token| !token.expose_secret().is_empty())
            .map(|token| bearer_header(&token, &format!("the token of the exec plugin `{}`", self.command)));
        let header = header.transpose()?;
        let due = status.expiration_timestamp.as_deref().map(|text| self.next_run_time(text)).transpose()?;
        let certificate = status.client_certificate_data.filter(|text| !text.is_empty());
        let key = status.client_key_data.filter(|key| !key.expose_secret().is_empty());
        if header.is_none() && certificate.is_none() && key.is_none() {
            return Err(self.plugin_error("printed neither a token nor a client certificate", None));
        }
        let has_new_certificate = self.use_certificate(certificate, key.as_ref())?;
        Ok(NewCredentials { header, has_new_certificate, due })
    }

    /// Converts an `expirationTimestamp` to the time at which to run the plugin again.
    fn next_run_time(&self, text: &str) -> Result<tokio::time::Instant> {
        // 9999-12-31T23:59:59Z, which plugins print for "never", is beyond jiff's last timestamp.
        let at = nearest_timestamp_if_out_of_range(text).map_or_else(|| text.parse(), Ok);
        let at = at.map_err(|error: jiff::Error| {
            // jiff's error quotes the text, which is a secret if the plugin prints a token in the wrong field.
            let reason = remove_quoted_values(&error.to_string());
            self.plugin_error("printed an expirationTimestamp that is no RFC 3339 time", Some(reason.into()))
        })?;
        Ok(refresh_time(at))
    }

    /// Passes a new client certificate and its key to `on_certificate`. A certificate is new if it differs from the last
    /// certificate that `on_certificate` accepted. Returns whether there is a new certificate.
    fn use_certificate(&self, certificate: Option<String>, key: Option<&SecretString>) -> Result<bool> {
        let mut last = self.last_certificate.lock().unwrap_or_else(PoisonError::into_inner);
        match (certificate, key) {
            // New connections keep the last certificate.
            (None, None) => Ok(false),
            (Some(certificate), Some(_)) if last.as_ref() == Some(&certificate) => Ok(false),
            (Some(certificate), Some(key)) => {
                let unusable =
                    |source| self.plugin_error("printed a client certificate that cannot be used", source);
                let identity = identity_from_pem(&certificate, key.expose_secret())
                    .map_err(|error| unusable(Some(error.into())))?;
                (self.on_certificate)(identity).map_err(|error| unusable(Some(error)))?;
                *last = Some(certificate);
                Ok(true)
            }
            _ => Err(self.plugin_error("printed only one of clientCertificateData and clientKeyData", None)),
        }
    }

    /// An error about the plugin. `what` completes a sentence that begins with the name of the plugin.
    fn plugin_error(&self, what: &str, source: Option<BoxError>) -> Error {
        Error::Auth { what: format!("the exec plugin `{}` {what}", self.command), source }
    }
}

impl fmt::Debug for ExecPlugin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExecPlugin").field("config", &self.config).finish_non_exhaustive()
    }
}

/// Counts a run of a plugin, in the metric that client-go has for plugin runs.
#[cfg_attr(not(feature = "metrics"), expect(unused_variables, reason = "without metrics nothing is counted"))]
fn count_call(call_status: &'static str, code: i32) {
    #[cfg(feature = "metrics")]
    metrics::counter!(
        "rest_client_exec_plugin_call_total",
        "code" => code.to_string(), "call_status" => call_status
    )
    .increment(1);
}

/// The installation hint without terminal control sequences, and without control characters other than line breaks: a
/// kubeconfig must not control the terminal.
fn printable_install_hint(config: &ExecConfig) -> Option<String> {
    let mut plain = String::new();
    let mut chars = config.install_hint.as_deref()?.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            // A control sequence (ECMA-48) ends with a byte from `@` to `~`.
            '\u{1b}' if chars.next_if_eq(&'[').is_some() => {
                chars.by_ref().find(|c| ('@'..='~').contains(c));
            }
            '\n' => plain.push(c),
            c if c.is_control() => {}
            c => plain.push(c),
        }
    }
    Some(plain.trim().to_owned()).filter(|hint| !hint.is_empty())
}

/// Parses the output of a plugin as JSON or, like client-go, as YAML. If both attempts fail, the `Err` is a text with
/// the position of one error: the JSON error if the output begins with `{`, and the YAML error otherwise. The text is
/// empty if the YAML parser reports no position.
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
