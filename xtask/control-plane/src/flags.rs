//! The command lines of the components. The functions are pure: [`super::start`] writes the files that the flags name.

use std::path::{Path, PathBuf};

use super::options::FeatureGate;

/// The CIDR of cluster IPs.
pub(super) const SERVICE_RANGE: &str = "10.0.0.0/24";
/// The first address of [`SERVICE_RANGE`]: the cluster IP of the `kubernetes` Service.
pub(super) const SERVICE_IP: std::net::Ipv4Addr = std::net::Ipv4Addr::new(10, 0, 0, 1);
/// The CIDR of pod IPs.
const POD_RANGE: &str = "10.240.0.0/16";

/// The common name of the client certificate with which the API servers connect to the kubelets.
pub(super) const KUBELET_CLIENT: &str = "kube-apiserver-kubelet-client";

/// The name of the file with the audit policy.
pub(super) const AUDIT_POLICY_FILE: &str = "audit-policy.yaml";

/// The audit policy: logs the metadata of all writes, except writes in the namespaces `kube-system` and
/// `kube-node-lease`, because the components write there continually.
pub(super) const AUDIT_POLICY_YAML: &str = "\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: None
  namespaces: [kube-system, kube-node-lease]
- level: Metadata
  verbs: [create, update, patch, delete, deletecollection]
- level: None
";

/// The folder with the files of one cluster, such as certificates and kubeconfigs.
#[derive(Debug, Clone)]
pub(super) struct ClusterFiles {
    pub(super) folder: PathBuf,
}

impl ClusterFiles {
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The path of the audit log of the API server with this index.
    pub(super) fn audit_log(&self, index: usize) -> PathBuf {
        self.path(&format!("audit-{index}.log"))
    }

    /// The path of the file with this name, as text.
    fn path_string(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }
}

/// Formats a flag as `--name=value`.
fn flag(name: &str, value: impl std::fmt::Display) -> String {
    format!("--{name}={value}")
}

/// The flags of etcd. `client` is the port for clients, and `peer` is the port for peers.
pub(super) fn etcd(files: &ClusterFiles, client: u16, peer: u16) -> Vec<String> {
    let url = |port| format!("http://127.0.0.1:{port}");
    vec![
        flag("data-dir", files.path_string("etcd")),
        flag("listen-client-urls", url(client)),
        flag("advertise-client-urls", url(client)),
        flag("listen-peer-urls", url(peer)),
        flag("initial-advertise-peer-urls", url(peer)),
        flag("initial-cluster", format!("default={}", url(peer))),
        // The data need not survive a power failure.
        "--unsafe-no-fsync".to_owned(),
    ]
}

/// The flags of the API server with this index.
pub(super) fn api_server(
    files: &ClusterFiles,
    index: usize,
    port: u16,
    etcd: u16,
    gates: &[FeatureGate],
    disabled_plugins: &[&str],
) -> Vec<String> {
    let mut flags = vec![
        flag("etcd-servers", format!("http://127.0.0.1:{etcd}")),
        flag("secure-port", port),
        flag("bind-address", "127.0.0.1"),
        // The advertised address is the endpoint of the `kubernetes` Service. It must not be a loopback
        // address, and the machine may have no other address. Therefore the advertised address is from a
        // range that is reserved for documentation (RFC 5737).
        flag("advertise-address", format!("192.0.2.{}", index + 1)),
        flag("cert-dir", files.path_string(&format!("api-server-{index}"))),
        flag("tls-cert-file", files.path_string("server.crt")),
        flag("tls-private-key-file", files.path_string("server.key")),
        flag("client-ca-file", files.path_string("ca.crt")),
        flag("kubelet-certificate-authority", files.path_string("ca.crt")),
        flag("kubelet-client-certificate", files.path_string("kubelet-client.crt")),
        flag("kubelet-client-key", files.path_string("kubelet-client.key")),
        flag("token-auth-file", files.path_string("tokens.csv")),
        flag("service-cluster-ip-range", SERVICE_RANGE),
        flag("service-account-key-file", files.path_string("service-account.pub")),
        flag("service-account-signing-key-file", files.path_string("service-account.key")),
        flag("service-account-issuer", "https://kubernetes.default.svc"),
        flag("authorization-mode", "RBAC"),
        flag("allow-privileged", true),
        flag("audit-policy-file", files.path_string(AUDIT_POLICY_FILE)),
        flag("audit-log-path", files.audit_log(index).display()),
    ];
    if !disabled_plugins.is_empty() {
        flags.push(flag("disable-admission-plugins", disabled_plugins.join(",")));
    }
    flags.extend(feature_gates(gates));
    flags
}

/// The flags of kube-controller-manager.
pub(super) fn controller_manager(files: &ClusterFiles, gates: &[FeatureGate]) -> Vec<String> {
    let mut flags = vec![
        flag("kubeconfig", files.path_string("controller-manager.kubeconfig")),
        flag("service-account-private-key-file", files.path_string("service-account.key")),
        flag("root-ca-file", files.path_string("ca.crt")),
        flag("use-service-account-credentials", true),
        flag("leader-elect", false),
        flag("secure-port", 0),
        // The suites of `cargo xtask e2e` delete hundreds of namespaces at the same time. With the default of
        // 10 workers, some of these namespaces wait for more than a minute.
        flag("concurrent-namespace-syncs", 50),
    ];
    flags.extend(rate_limits());
    flags.extend(feature_gates(gates));
    flags
}

/// The flags of kube-scheduler.
pub(super) fn scheduler(files: &ClusterFiles, gates: &[FeatureGate]) -> Vec<String> {
    let mut flags = vec![
        flag("kubeconfig", files.path_string("scheduler.kubeconfig")),
        flag("leader-elect", false),
        flag("secure-port", 0),
    ];
    flags.extend(rate_limits());
    flags.extend(feature_gates(gates));
    flags
}

/// The arguments of the stand-in for the kubelets. The stand-in accepts only the API servers as clients.
pub(super) fn kubelet(files: &ClusterFiles, port: u16) -> Vec<String> {
    vec![
        format!("127.0.0.1:{port}"),
        files.path_string("server.crt"),
        files.path_string("server.key"),
        files.path_string("ca.crt"),
        KUBELET_CLIENT.to_owned(),
    ]
}

/// The flags of kwok. `port` is the port of kwok's own server. `kubelet_port` is the port that kwok writes into the status
/// of each node as the port of its kubelet. `config` is the path of kwok's configuration.
pub(super) fn kwok(files: &ClusterFiles, port: u16, kubelet_port: u16, config: &Path) -> Vec<String> {
    vec![
        flag("kubeconfig", files.path_string("kwok.kubeconfig")),
        flag("config", config.display()),
        "--manage-all-nodes".to_owned(),
        flag("node-ip", "127.0.0.1"),
        flag("node-port", kubelet_port),
        flag("server-address", format!("127.0.0.1:{port}")),
        flag("cidr", POD_RANGE),
        flag("node-lease-duration-seconds", 40),
    ]
}

/// The flags for rate limits above the defaults. With the defaults, the controllers would take seconds to start.
fn rate_limits() -> [String; 2] {
    [flag("kube-api-qps", 500), flag("kube-api-burst", 1000)]
}

/// The flag `--feature-gates`; `None` without gates.
fn feature_gates(gates: &[FeatureGate]) -> Option<String> {
    let gates: Vec<_> = gates.iter().map(ToString::to_string).collect();
    (!gates.is_empty()).then(|| flag("feature-gates", gates.join(",")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_component_of_kubernetes_gets_the_feature_gates() {
        let files = ClusterFiles { folder: "/f".into() };
        let gates = ["A", "B=false"].map(|gate| gate.parse().unwrap());
        for flags in [
            api_server(&files, 0, 1, 2, &gates, &[]),
            controller_manager(&files, &gates),
            scheduler(&files, &gates),
        ] {
            assert!(flags.contains(&"--feature-gates=A=true,B=false".to_owned()), "{flags:?}");
        }
        assert!(!scheduler(&files, &[]).iter().any(|flag| flag.contains("gates")));
    }

    #[test]
    fn api_servers_differ_only_in_port_address_folder_and_audit_log() {
        let files = ClusterFiles { folder: "/f".into() };
        let (one, two) = (api_server(&files, 0, 1, 9, &[], &[]), api_server(&files, 1, 2, 9, &[], &[]));
        let differing: Vec<_> = one.iter().filter(|flag| !two.contains(flag)).collect();
        assert_eq!(
            differing,
            [
                "--secure-port=1",
                "--advertise-address=192.0.2.1",
                "--cert-dir=/f/api-server-0",
                "--audit-log-path=/f/audit-0.log",
            ]
        );
    }

    #[test]
    fn admission_plugins_can_be_disabled() {
        let files = ClusterFiles { folder: "/f".into() };
        let flags = api_server(&files, 0, 1, 2, &[], &["A", "B"]);
        assert!(flags.iter().any(|flag| flag.ends_with("disable-admission-plugins=A,B")));
        let flags = api_server(&files, 0, 1, 2, &[], &[]);
        assert!(!flags.iter().any(|flag| flag.contains("disable-admission-plugins")));
    }
}
