//! The stand-in for kube-apiserver: a simulated API server with the flags of kube-apiserver. It uses the certificates
//! that envtest has written.

use std::ffi::OsString;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::{Path, PathBuf};

use kube_sim::{AdmissionPlugin, Controller, ParseServiceRangeError, ServiceRange, Sim, TlsFiles};

use crate::Error;
use crate::flags::{Effect, Flag, Flags, help};

const FLAGS: [Flag; 36] = [
    ("advertise-address", Effect::Honoured, "the IPv4 address of the endpoint of the service kubernetes"),
    ("authorization-mode", Effect::Honoured, "RBAC, Node (which grants nothing) and AlwaysAllow"),
    ("bind-address", Effect::Honoured, "the IP address to listen on"),
    ("cert-dir", Effect::Honoured, "the folder with apiserver.crt and apiserver.key"),
    ("client-ca-file", Effect::Honoured, "the authorities of client certificates"),
    (
        "disable-admission-plugins",
        Effect::Honoured,
        "plugins that kube-sim does not have are disabled already",
    ),
    ("enable-admission-plugins", Effect::Honoured, "plugins that kube-sim does not have are refused"),
    ("secure-port", Effect::Honoured, "the port of HTTPS"),
    ("service-cluster-ip-range", Effect::Honoured, "the range of cluster IPs; one IPv4 range only"),
    ("tls-cert-file", Effect::Honoured, "the certificate of the server"),
    ("tls-private-key-file", Effect::Honoured, "the private key of the server"),
    ("allow-privileged", Effect::Inert, "privileged containers are always allowed"),
    ("etcd-prefix", Effect::Inert, "the store is in this process"),
    ("etcd-servers", Effect::Inert, "the store is in this process, and ends with it"),
    ("event-ttl", Effect::Inert, "events do not expire"),
    ("logging-format", Effect::Inert, "the log has a few lines"),
    ("max-mutating-requests-inflight", Effect::Inert, "requests are not limited"),
    ("max-requests-inflight", Effect::Inert, "requests are not limited"),
    ("min-request-timeout", Effect::Inert, "a watch ends after 30 to 60 minutes"),
    ("profiling", Effect::Inert, "there are no profiles"),
    ("service-account-issuer", Effect::Inert, "tokens have kube-sim's own issuer"),
    ("service-account-key-file", Effect::Inert, "tokens are signed with kube-sim's own key"),
    ("service-account-signing-key-file", Effect::Inert, "tokens are signed with kube-sim's own key"),
    ("v", Effect::Inert, "the log has a few lines"),
    ("vmodule", Effect::Inert, "the log has a few lines"),
    ("watch-cache", Effect::Inert, "all reads are from memory"),
    ("admission-control-config-file", Effect::Refused, "admission plugins cannot be configured"),
    ("audit-policy-file", Effect::Refused, "requests are not audited"),
    ("authentication-config", Effect::Refused, "JWT authenticators are not simulated"),
    ("authorization-config", Effect::Refused, "use --authorization-mode"),
    ("encryption-provider-config", Effect::Refused, "nothing is encrypted"),
    ("feature-gates", Effect::Refused, "feature gates cannot be set"),
    ("insecure-port", Effect::Refused, "kube-apiserver has no insecure port either"),
    ("oidc-issuer-url", Effect::Refused, "OIDC is not simulated"),
    ("runtime-config", Effect::Refused, "the APIs that Kubernetes enables by default are served"),
    ("token-auth-file", Effect::Refused, "use client certificates"),
];

pub(crate) async fn run(arguments: Vec<OsString>) -> Result<(), Error> {
    let Some(flags) = Flags::parse(&FLAGS, arguments)? else {
        print!("{}", help("kube-apiserver", &FLAGS));
        return Ok(());
    };
    let addr = listen_address(&flags)?;
    let mut builder = Sim::builder()
        .advertise_address(advertised_address(&flags, addr.port())?)
        .service_cluster_ip_range(service_range(&flags)?)
        .without_controller(Controller::GarbageCollector)
        .without_controller(Controller::Namespace)
        .without_controller(Controller::Kubelet);
    for (plugin, enabled) in plugins(&flags)? {
        builder =
            if enabled { builder.admission_plugin(plugin) } else { builder.without_admission_plugin(plugin) };
    }
    if is_rbac_enabled(&flags)? {
        builder = builder.rbac();
    }
    let sim = builder.build();
    let server = sim.serve_https_with(addr, &read_tls_files(&flags)?).await?;
    eprintln!("kube-sim serves at {} in place of kube-apiserver. No built-in controllers run.", server.url());
    crate::wait_for_interrupt().await?;
    server.shutdown().await;
    Ok(())
}

/// Whether RBAC authorizes requests: the flag `--authorization-mode` contains `RBAC`, but not `AlwaysAllow`.
/// Otherwise, each request is allowed. As in kube-apiserver, one mode that allows a request is sufficient, so
/// `AlwaysAllow` has precedence over `RBAC`.
fn is_rbac_enabled(flags: &Flags) -> Result<bool, Error> {
    let modes: Vec<_> = flags.items("authorization-mode").collect();
    if let Some(mode) = modes.iter().find(|mode| !["RBAC", "Node", "AlwaysAllow"].contains(mode)) {
        return Err(format!("--authorization-mode={mode} is not simulated").into());
    }
    Ok(modes.contains(&"RBAC") && !modes.contains(&"AlwaysAllow"))
}

/// The admission plugins of kube-apiserver that the simulation does not have, whether kube-apiserver enables them by
/// default or not.
const ABSENT_PLUGINS: [&str; 15] = [
    "AlwaysAdmit",
    "AlwaysDeny",
    "AlwaysPullImages",
    "DenyServiceExternalIPs",
    "EventRateLimit",
    "ExtendedResourceToleration",
    "ImagePolicyWebhook",
    "LimitPodHardAntiAffinityTopology",
    "NamespaceAutoProvision",
    "NamespaceExists",
    "NodeRestriction",
    "OwnerReferencesPermissionEnforcement",
    "PodGroupProtection",
    "PodNodeSelector",
    "PodTolerationRestriction",
];

/// All plugins of the simulation, each with `true` if the plugin is enabled. As in kube-apiserver, all plugins are
/// enabled by default. A plugin that one flag enables and another flag disables is enabled; kube-apiserver refuses such
/// flags.
///
/// # Errors
/// If a flag names an unknown plugin, or if a flag enables a plugin that the simulation does not have. Such a
/// flag is not ignored, because a test that sets the flag depends on its effect.
fn plugins(flags: &Flags) -> Result<Vec<(AdmissionPlugin, bool)>, Error> {
    let refuse = |verb: &str, plugin: &str, why: &str| {
        Err(format!("--{verb}-admission-plugins={plugin} is refused by kube-sim: {why}").into())
    };
    let mut disabled = Vec::new();
    for name in flags.items("disable-admission-plugins") {
        match AdmissionPlugin::from_name(name) {
            Some(plugin) => disabled.push(plugin),
            None if ABSENT_PLUGINS.contains(&name) => {}
            None => return refuse("disable", name, "no plugin has this name"),
        }
    }
    for name in flags.items("enable-admission-plugins") {
        match AdmissionPlugin::from_name(name) {
            Some(plugin) => disabled.retain(|other| *other != plugin),
            None if ABSENT_PLUGINS.contains(&name) => {
                return refuse("enable", name, "it does not have this plugin");
            }
            None => return refuse("enable", name, "no plugin has this name"),
        }
    }
    let all = AdmissionPlugin::ALL.iter();
    Ok(all.map(|plugin| (*plugin, !disabled.contains(plugin))).collect())
}

fn listen_address(flags: &Flags) -> Result<SocketAddr, Error> {
    let ip = flags.get("bind-address").unwrap_or("0.0.0.0");
    let ip: IpAddr = match ip {
        "localhost" => [127, 0, 0, 1].into(),
        ip => ip.parse().map_err(|_| format!("--bind-address={ip} is not an IP address"))?,
    };
    let port = flags.get("secure-port").unwrap_or("6443");
    let port = port.parse().map_err(|_| format!("--secure-port={port} is not a port"))?;
    Ok(SocketAddr::new(ip, port))
}

/// The address of the endpoint of the service `kubernetes`. The IP address is the value of the flag
/// `--advertise-address`, by default [`DEFAULT_ADVERTISED_IP`]. The port is the secure port.
fn advertised_address(flags: &Flags, secure_port: u16) -> Result<SocketAddrV4, Error> {
    let text = flags.get("advertise-address").unwrap_or("0.0.0.0");
    let ip: Ipv4Addr = match text.parse() {
        Ok(IpAddr::V4(ip)) => ip,
        Ok(IpAddr::V6(_)) => {
            return Err(
                format!("--advertise-address={text} is refused by kube-sim: IPv6 is not simulated").into()
            );
        }
        Err(_) => return Err(format!("--advertise-address={text} is not an IP address").into()),
    };
    // kube-apiserver replaces the unspecified address with an address of the host.
    let ip = if ip.is_unspecified() { DEFAULT_ADVERTISED_IP } else { ip };
    // If the secure port is 0, the server listens on a free port. The number of that port is not known yet, so
    // the default port is advertised.
    Ok(SocketAddrV4::new(ip, if secure_port == 0 { 6443 } else { secure_port }))
}

/// The default advertised IP address, the same as in [`Sim`]. RFC 5737 reserves it for documentation, so no server has it.
const DEFAULT_ADVERTISED_IP: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

/// The range of cluster IPs.
fn service_range(flags: &Flags) -> Result<ServiceRange, Error> {
    let Some(text) = flags.get("service-cluster-ip-range") else { return Ok(ServiceRange::default()) };
    text.parse()
        .map_err(|error: ParseServiceRangeError| format!("--service-cluster-ip-range: {error}").into())
}

/// Reads the TLS files that the flags name. If the flag for the server's certificate or key is absent, reads the file in
/// `--cert-dir`.
fn read_tls_files(flags: &Flags) -> Result<TlsFiles, Error> {
    let in_cert_dir = |name: &str| flags.get("cert-dir").map(|dir| Path::new(dir).join(name));
    let required = |flag: &str, name: &str| -> Result<Vec<u8>, Error> {
        let path = flags.get(flag).map(PathBuf::from).or_else(|| in_cert_dir(name));
        let path = path.ok_or_else(|| {
            format!("--{flag} or --cert-dir is required: kube-sim generates no certificate")
        })?;
        read_file(&path)
    };
    Ok(TlsFiles {
        certificate: required("tls-cert-file", "apiserver.crt")?,
        key: required("tls-private-key-file", "apiserver.key")?,
        client_ca: flags.get("client-ca-file").map(|path| read_file(Path::new(path))).transpose()?,
    })
}

fn read_file(path: &Path) -> Result<Vec<u8>, Error> {
    fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(argument: &str) -> Flags {
        Flags::parse(&FLAGS, vec![argument.into()]).unwrap().unwrap()
    }

    /// Parses the flag `argument`. Checks that the flag disables exactly the plugins in `expected`, or that the
    /// program refuses the flag with the reason in `expected`.
    #[track_caller]
    fn check_plugins(argument: &str, expected: Result<&[AdmissionPlugin], &str>) {
        let found = plugins(&parse(argument)).map_err(|error| error.to_string());
        let found = found
            .map(|all| all.into_iter().filter(|(_, on)| !on).map(|(plugin, _)| plugin).collect::<Vec<_>>());
        match (&found, expected) {
            (Ok(disabled), Ok(expected)) => assert_eq!(disabled, expected, "{argument}"),
            (Err(error), Err(reason)) => assert_eq!(error.rsplit(": ").next(), Some(reason), "{argument}"),
            _ => panic!("{argument}: {found:?}"),
        }
    }

    #[test]
    fn flags_disable_plugins_and_cannot_enable_absent_plugins() {
        let two = [AdmissionPlugin::ResourceQuota, AdmissionPlugin::ServiceAccount];
        check_plugins("--disable-admission-plugins=ServiceAccount,ResourceQuota", Ok(&two));
        check_plugins("--disable-admission-plugins=AlwaysPullImages", Ok(&[]));
        check_plugins("--disable-admission-plugins=Missing", Err("no plugin has this name"));
        check_plugins("--enable-admission-plugins=PodSecurity", Ok(&[]));
        check_plugins("--enable-admission-plugins=AlwaysPullImages", Err("it does not have this plugin"));
        check_plugins("--enable-admission-plugins=Missing", Err("no plugin has this name"));
    }

    #[test]
    fn the_advertised_address_and_the_service_range_are_ipv4() {
        let advertised = |argument: &str| {
            let found = advertised_address(&parse(argument), 8443);
            found.map(|address| address.to_string()).map_err(|error| error.to_string())
        };
        assert_eq!(advertised("--v=1").as_deref(), Ok("192.0.2.1:8443"));
        assert_eq!(advertised("--advertise-address=0.0.0.0").as_deref(), Ok("192.0.2.1:8443"));
        assert_eq!(advertised("--advertise-address=10.1.2.3").as_deref(), Ok("10.1.2.3:8443"));
        let error = advertised("--advertise-address=::1").unwrap_err();
        assert_eq!(error, "--advertise-address=::1 is refused by kube-sim: IPv6 is not simulated");
        let error = advertised("--advertise-address=host").unwrap_err();
        assert_eq!(error, "--advertise-address=host is not an IP address");

        let range = |argument: &str| service_range(&parse(argument)).map(|range| range.to_string());
        assert_eq!(range("--v=1").unwrap(), "10.96.0.0/12");
        assert_eq!(range("--service-cluster-ip-range=10.0.0.0/24").unwrap(), "10.0.0.0/24");
        let error = range("--service-cluster-ip-range=10.0.0.0").unwrap_err().to_string();
        let why = "\"10.0.0.0\" is not a range of cluster IPs: it must have the form 10.0.0.0/24";
        assert_eq!(error, format!("--service-cluster-ip-range: {why}"));
    }

    #[test]
    fn rbac_applies_unless_another_mode_allows_all_requests() {
        for (modes, expected) in [
            ("RBAC", Some(true)),
            ("Node,RBAC", Some(true)),
            ("RBAC,AlwaysAllow", Some(false)),
            ("", Some(false)),
            ("RBAC,ABAC", None),
        ] {
            assert_eq!(
                is_rbac_enabled(&parse(&format!("--authorization-mode={modes}"))).ok(),
                expected,
                "{modes}"
            );
        }
    }

    #[test]
    fn the_documentation_lists_each_flag_with_its_effect() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/instead-of-envtest.md");
        let page = std::fs::read_to_string(page).unwrap();
        let rows: Vec<Vec<_>> = page
            .lines()
            .map(|line| line.trim_matches('|').split('|').map(|cell| cell.trim().trim_matches('*')).collect())
            .collect();
        for (name, effect, note) in FLAGS.iter().chain(&crate::etcd::FLAGS) {
            let effect = format!("{effect:?}").to_lowercase();
            let row = [&format!("`{name}`"), &*effect, *note];
            assert!(rows.iter().any(|cells| *cells == row), "no row {row:?}");
        }
    }
}
