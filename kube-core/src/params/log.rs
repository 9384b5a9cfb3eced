//! Parameters of a request for the logs of a container.

use super::{Error, Query, validation_error};
use jiff::Timestamp;

/// The output that the server returns from the logs of a container: standard output, standard error or both.
///
/// Servers before Kubernetes 1.32 ignore the query parameter `stream`. Servers from 1.32 on reject the parameter if the
/// feature gate `PodLogsQuerySplitStreams` (KEP-3288) is disabled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LogStream {
    /// Standard output and standard error, in the order in which the container wrote the lines.
    All,
    /// Standard output only.
    Stdout,
    /// Standard error only.
    Stderr,
}

impl LogStream {
    /// The value of the query parameter `stream`.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::All => "All",
            Self::Stdout => "Stdout",
            Self::Stderr => "Stderr",
        }
    }
}

/// Parameters of a request for the logs of a container (`core/v1 PodLogOptions`).
///
/// ```
/// use kube_core::LogParams;
///
/// let lp = LogParams { follow: true, tail_lines: Some(10), ..LogParams::default() };
/// assert_eq!(lp.container, None);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "independent parameters, named as in the API")]
pub struct LogParams {
    /// The container; required for a pod with several containers.
    pub container: Option<String>,
    /// Whether the response continues with new lines until the container ends.
    pub follow: bool,
    /// The maximum size of the response, in bytes; `None` for no limit. The last line may be cut off.
    pub limit_bytes: Option<i64>,
    /// Whether the server may format the response for human readers (`pretty`).
    pub pretty: bool,
    /// Whether to return the logs of the previous, terminated instance of the container.
    pub previous: bool,
    /// The maximum age of the returned lines, in seconds. Cannot be set together with `since_time`.
    pub since_seconds: Option<i64>,
    /// The time of the oldest lines to return: the server omits lines that were written before this time. Cannot be set
    /// together with `since_seconds`.
    pub since_time: Option<Timestamp>,
    /// The number of lines to return, counted from the end of the logs; `None` for all lines.
    pub tail_lines: Option<i64>,
    /// Whether each returned line begins with the time at which it was written, in the format of RFC 3339.
    pub timestamps: bool,
    /// The output that the server returns; `None` for both outputs. [`LogStream::Stdout`] and [`LogStream::Stderr`]
    /// cannot be set together with `tail_lines`.
    pub stream: Option<LogStream>,
    /// Whether the API server skips the verification of the kubelet's certificate. An attacker could then serve false
    /// logs.
    pub insecure_skip_tls_verify_backend: bool,
}

impl LogParams {
    pub(crate) fn populate_query(&self, query: &mut Query) -> Result<(), Error> {
        if self.since_seconds.is_some() && self.since_time.is_some() {
            return validation_error("LogParams::since_seconds and LogParams::since_time exclude each other");
        }
        let is_single_stream = matches!(self.stream, Some(LogStream::Stdout | LogStream::Stderr));
        if is_single_stream && self.tail_lines.is_some() {
            return validation_error("LogParams::tail_lines requires both outputs: omit LogParams::stream");
        }
        let number = |value: Option<i64>| value.map(|number| number.to_string());
        query
            .append_optional("container", self.container.as_deref())
            .append_flag("follow", self.follow)
            .append_optional("limitBytes", number(self.limit_bytes).as_deref())
            .append_flag("pretty", self.pretty)
            .append_flag("previous", self.previous)
            .append_optional("sinceSeconds", number(self.since_seconds).as_deref())
            .append_optional("sinceTime", self.since_time.map(|time| time.to_string()).as_deref())
            .append_optional("tailLines", number(self.tail_lines).as_deref())
            .append_flag("timestamps", self.timestamps)
            .append_optional("stream", self.stream.as_ref().map(LogStream::as_str))
            .append_flag("insecureSkipTLSVerifyBackend", self.insecure_skip_tls_verify_backend);
        Ok(())
    }
}
