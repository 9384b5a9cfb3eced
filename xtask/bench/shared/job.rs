//! `Job` and `Report`: the JSON argument and the JSON output of a contender.

use serde::{Deserialize, Serialize};

use super::{Digest, Measure};
use crate::library::{Client, Config};

/// The transport of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    /// Plain HTTP/1.1.
    Plain,
    /// TLS, with the contender's default version of HTTP.
    Tls,
    /// TLS and HTTP/1.1.
    TlsHttp1,
    /// TLS and HTTP/1.1, with hyper-util's client below this project's middleware.
    HyperUtil,
}

/// One run of one row. A row is one measurement in the bench's table.
#[derive(Debug, Deserialize)]
pub(crate) struct Job {
    /// The row's name.
    pub(crate) row: String,
    /// The address of the mock API server's listener without TLS, such as `127.0.0.1:1234`.
    pub(crate) source: String,
    /// The address of the mock API server's listener over TLS.
    pub(crate) tls_source: String,
    /// The name of the mock API server's session for this run. It is the first segment of every path.
    pub(crate) session: String,
    /// The amount of work in units of the row, such as gets, events, keys or MiB; for the row `idle-manager`,
    /// milliseconds.
    pub(crate) calls: usize,
}

impl Job {
    /// Whether the row reads objects in Protobuf.
    pub(crate) fn is_protobuf(&self) -> bool {
        self.row.ends_with("-protobuf")
    }

    /// Splits the row's name. Returns the name without the suffix that selects a transport or format, and the transport.
    pub(crate) fn name_and_transport(&self) -> (&str, Transport) {
        let suffixes = [
            ("-tls-http1", Transport::TlsHttp1),
            ("-tls", Transport::Tls),
            ("-tls-hyper-util", Transport::HyperUtil),
            ("-protobuf", Transport::Plain),
        ];
        let found = suffixes
            .into_iter()
            .find_map(|(suffix, transport)| Some((self.row.strip_suffix(suffix)?, transport)));
        let default = if self.row == "watches" { Transport::Tls } else { Transport::Plain };
        found.unwrap_or((&self.row, default))
    }

    /// A client with the session's URL, the row's transport and format, and defaults for everything else.
    pub(crate) fn client(&self) -> anyhow::Result<Client> {
        let (_, transport) = self.name_and_transport();
        if transport == Transport::Plain {
            let config = Config::new(format!("http://{}/{}", self.source, self.session).parse()?);
            let config = if self.is_protobuf() { crate::library::with_protobuf(config) } else { config };
            return Ok(Client::try_from(config)?);
        }
        let mut config = Config::new(format!("https://{}/{}", self.tls_source, self.session).parse()?);
        // The client cannot verify the self-signed certificate. The missing verification does not affect the
        // results: no row measures TLS handshakes.
        config.accept_invalid_certs = true;
        match transport {
            Transport::TlsHttp1 => config = crate::library::with_http1_only(config),
            Transport::HyperUtil => return crate::library::hyper_util_client(&config),
            Transport::Plain | Transport::Tls => {}
        }
        Ok(Client::try_from(config)?)
    }
}

/// The output of a contender.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Report {
    /// The row was executed.
    Done(Outcome),
    /// The contender does not have the row.
    Absent {
        /// Why the contender does not have the row. The table shows this text.
        reason: String,
    },
}

/// The measured cost of the work.
#[derive(Debug, Serialize)]
pub(crate) struct Outcome {
    /// The number of processed units of the row, such as objects, events, calls or MiB.
    pub(crate) units: u64,
    /// Wall time.
    pub(crate) wall_ns: u64,
    /// CPU time of all threads, user and system.
    pub(crate) cpu_ns: u64,
    /// Resident memory before the work.
    pub(crate) before_kib: u64,
    /// Peak resident memory during the work.
    pub(crate) peak_kib: u64,
    /// Resident memory after the work, while the contender still holds the result.
    pub(crate) after_kib: u64,
    /// Growth of anonymous resident memory (`RssAnon`).
    pub(crate) kept_kib: u64,
    /// The number of times that a thread was resumed after a wait.
    pub(crate) wakeups: u64,
    /// The digest of the objects that the row has read; `None` if the row has no digest.
    pub(crate) digest: Option<Digest>,
}

impl Outcome {
    /// An outcome of `units` units, without a digest.
    pub(crate) fn new(units: usize, measure: &Measure) -> Self {
        Self {
            units: units as u64,
            wall_ns: nanoseconds(measure.wall),
            cpu_ns: nanoseconds(measure.cpu),
            before_kib: measure.before.resident,
            peak_kib: measure.after.peak,
            after_kib: measure.after.resident,
            kept_kib: measure.after.anonymous.saturating_sub(measure.before.anonymous),
            wakeups: measure.wakeups,
            digest: None,
        }
    }

    /// Sets the field `digest` of the outcome. The caller must compute the digest after the measurement.
    pub(crate) fn digest(mut self, digest: Digest) -> Self {
        self.digest = Some(digest);
        self
    }
}

fn nanoseconds(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
