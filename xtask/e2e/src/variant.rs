//! The variants of a run: the version of HTTP and the format that the clients use, and the Kubernetes version of the server.

use std::fmt;

use clap::ValueEnum;
use kube_client::Config;
use kube_client::config::{HttpVersions, WireFormat};
use xtask_control_plane::KubernetesVersion;

/// The version of HTTP that the clients of a run use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum HttpVersion {
    #[value(name = "1.1")]
    Http1,
    #[default]
    #[value(name = "2")]
    Http2,
}

/// The format in which the clients of a run read objects.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    Json,
    Protobuf,
    #[default]
    Auto,
}

/// The version of HTTP and the format that the clients of a run use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::Args)]
pub(crate) struct Protocol {
    /// The version of HTTP that the clients use
    #[arg(long, value_name = "VERSION", value_enum, default_value_t)]
    http: HttpVersion,
    /// The format in which the clients read objects of built-in kinds
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t)]
    format: Format,
}

impl Protocol {
    /// Sets the protocol in a client configuration.
    pub(crate) fn apply_to(self, config: &mut Config) {
        config.http_versions = match self.http {
            HttpVersion::Http1 => HttpVersions::Http1,
            HttpVersion::Http2 => HttpVersions::Negotiate,
        };
        config.wire_format = match self.format {
            Format::Json => WireFormat::Json,
            Format::Protobuf => WireFormat::Protobuf,
            Format::Auto => WireFormat::Auto,
        };
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let http = if self.http == HttpVersion::Http1 { "HTTP/1.1" } else { "HTTP/2" };
        write!(
            f,
            "{http}, {}",
            match self.format {
                Format::Json => "JSON",
                Format::Protobuf => "Protobuf",
                Format::Auto => "automatic format",
            }
        )
    }
}

/// A row of `--matrix`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Variant {
    pub(crate) version: KubernetesVersion,
    pub(crate) protocol: Protocol,
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kubernetes {}, {}", self.version, self.protocol)
    }
}

/// The rows of `--matrix`. The newest Kubernetes version runs once with each value of `--http` and `--format` that is not
/// the default. All other versions run with the defaults. A run without `--matrix` covers the newest version with the
/// defaults.
pub(crate) fn matrix() -> Vec<Variant> {
    let row = |version, http, format| Variant { version, protocol: Protocol { http, format } };
    let latest = KubernetesVersion::LATEST;
    let mut rows = vec![
        row(latest, HttpVersion::Http2, Format::Json),
        row(latest, HttpVersion::Http2, Format::Protobuf),
        row(latest, HttpVersion::Http1, Format::Auto),
    ];
    let others = KubernetesVersion::all().iter().filter(|version| **version != latest);
    rows.extend(others.map(|version| row(*version, HttpVersion::default(), Format::default())));
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_matrix_contains_each_kubernetes_version_http_version_and_format() {
        let rows = matrix();
        for version in KubernetesVersion::all() {
            assert!(rows.iter().any(|row| row.version == *version), "{version}");
        }
        for http in HttpVersion::value_variants() {
            assert!(rows.iter().any(|row| row.protocol.http == *http), "{http:?}");
        }
        for format in Format::value_variants() {
            assert!(rows.iter().any(|row| row.protocol.format == *format), "{format:?}");
        }
    }

    #[test]
    fn a_protocol_is_set_in_the_configuration() {
        let mut config = Config::new("https://localhost".parse().unwrap());
        for row in matrix() {
            row.protocol.apply_to(&mut config);
            assert_eq!(config.http_versions == HttpVersions::Http1, row.to_string().contains("HTTP/1.1"));
            assert_eq!(config.wire_format == WireFormat::Protobuf, row.to_string().contains("Protobuf"));
            assert_eq!(config.wire_format == WireFormat::Json, row.to_string().contains("JSON"));
        }
    }
}
