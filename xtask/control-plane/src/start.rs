//! Starts a cluster, component by component. The methods of a running cluster are in [`super::control_plane`].

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use http::Method;

use super::api_server::ApiServer;
use super::build::{Binaries, Cache, PodPrograms};
use super::control_plane::{Cluster, PodComponents};
use super::etcd::Etcd;
use super::flags::{self, ClusterFiles};
use super::health::{Death, Monitor};
use super::http::HttpClient;
use super::kubeconfig::{self, Credentials};
use super::options::{Options, Source, User};
use super::pki::{self, Authority, Identity};
use super::{nodes, ports, tokens};
use xtask_process::Scratch;

/// The maximum number of attempts to start a cluster. Only a port conflict causes another attempt: another process has
/// taken a port before a component of the cluster listened on the port.
const MAX_ATTEMPTS: usize = 5;

impl Cluster {
    /// Starts a cluster, and waits until its API servers are ready and its nodes are Ready. For [`Source::Build`], first
    /// builds the programs that are not in the cache.
    ///
    /// # Errors
    /// When the options are invalid, a program cannot be built, a component dies (the error has the last lines of its
    /// log) or a component is not ready within two minutes.
    ///
    /// # Cancel safety
    /// Cancelling ends all started components and removes the temporary folder.
    pub async fn start(options: Options) -> anyhow::Result<Self> {
        options.validate()?;
        let binaries = match &options.source {
            Source::Assets(folder) => Binaries::from_assets(folder)?,
            Source::Build(version) => Binaries::build(*version, &Cache::open()?, &options.progress).await?,
        };
        let parent = std::env::temp_dir();
        let parent =
            parent.canonicalize().with_context(|| format!("cannot find the folder {}", parent.display()))?;
        Scratch::sweep(&parent);
        let mut attempt = 1;
        loop {
            match start_components(&options, &binaries, &parent).await {
                Err(error) if attempt < MAX_ATTEMPTS && is_port_conflict(&error) => {
                    options.progress.note("another process took one of the ports; trying others");
                    attempt += 1;
                }
                result => {
                    options.progress.finish();
                    return result;
                }
            }
        }
    }
}

/// Whether `error` is the death of a component whose log says that a port was in use.
fn is_port_conflict(error: &anyhow::Error) -> bool {
    error.downcast_ref::<Death>().is_some_and(|death| ports::log_has_conflict(&death.log))
}

/// Makes one attempt to start all components, on newly chosen ports.
async fn start_components(options: &Options, binaries: &Binaries, parent: &Path) -> anyhow::Result<Cluster> {
    let scratch = Scratch::create(parent)?;
    let files = ClusterFiles { folder: scratch.path().to_owned() };
    let logs = create_log_folder(options, scratch.path())?;
    let monitor = Monitor::new(scratch.path().to_owned(), logs);
    let ports = ports::choose_free(options.api_servers + 4)?;
    let (etcd_port, peer_port, simulator_ports, server_ports) =
        (ports[0], ports[1], SimulatorPorts { kwok: ports[2], kubelet: ports[3] }, &ports[4..]);

    options.progress.step("starting etcd");
    let flags = flags::etcd(&files, etcd_port, peer_port);
    let etcd = Etcd::new(binaries.etcd.clone(), flags, etcd_port, files.path("etcd"), monitor.clone());
    etcd.spawn().await?;
    let authority = Authority::new()?;
    let admin = authority.issue_client_certificate("admin", Some("system:masters"))?;
    let users = write_server_files(&files, &authority, &options.users)?;
    let client = HttpClient::with_tls(authority.certificate(), &admin)?;
    etcd.start().await?;

    options.progress.step("starting kube-apiserver");
    let api_servers: Vec<_> = (server_ports.iter().enumerate())
        .map(|(index, port)| {
            let controllers = options.controllers && binaries.pod_programs.is_some();
            let default = if controllers { Vec::new() } else { vec!["ServiceAccount"] };
            let disabled = options.disabled_admission_plugins.clone().unwrap_or(default);
            let flags = flags::api_server(&files, index, *port, etcd_port, &options.feature_gates, &disabled);
            ApiServer::new(index, binaries.api_server.clone(), flags, *port, client.clone(), monitor.clone())
        })
        .collect();
    // Start one server after the other: a server exits if another one initializes the allocator of cluster IPs at the
    // same time.
    for server in &api_servers {
        server.start().await?;
    }
    let first = &api_servers[0];
    let kubeconfig = files.path("kubeconfig");
    kubeconfig::write(&kubeconfig, &first.url(), authority.certificate(), &Credentials::Certificate(admin))?;
    let version = first.request_json(Method::GET, "/version", None).await?;
    let version =
        version["gitVersion"].as_str().context("the server's /version has no gitVersion")?.to_owned();

    let pod_components = match &binaries.pod_programs {
        _ if !options.controllers => None,
        Some(pod_programs) => Some(
            start_pod_components(options, pod_programs, &files, &authority, first, &monitor, simulator_ports)
                .await?,
        ),
        None => None,
    };
    let kubectl = binaries.kubectl.clone();
    let source = options.source.clone();
    Ok(Cluster {
        pod_components,
        api_servers,
        etcd,
        monitor,
        authority,
        users,
        kubeconfig,
        version,
        kubectl,
        source,
        scratch,
    })
}

/// Creates the folder of the components' logs, and returns its absolute path.
fn create_log_folder(options: &Options, scratch: &Path) -> anyhow::Result<PathBuf> {
    let folder = options.logs.clone().unwrap_or_else(|| scratch.join("logs"));
    fs::create_dir_all(&folder).with_context(|| format!("cannot create the folder {}", folder.display()))?;
    // The components run in another working directory, where a relative path would name another folder.
    folder.canonicalize().with_context(|| format!("cannot find {}", folder.display()))
}

/// Writes the certificates, keys, token file and audit policy of the API servers, and returns the name and token of
/// each user.
fn write_server_files(
    files: &ClusterFiles,
    authority: &Authority,
    users: &[User],
) -> anyhow::Result<Vec<(String, String)>> {
    let write = |name: &str, text: &str| kubeconfig::write_private(&files.path(name), text);
    let server = authority.issue_server_certificate(flags::SERVICE_IP)?;
    let kubelet_client = authority.issue_client_certificate(flags::KUBELET_CLIENT, None)?;
    let (private, public) = pki::generate_signing_keys()?;
    write("ca.crt", authority.certificate())?;
    write("server.crt", &server.certificate)?;
    write("server.key", &server.key)?;
    write("kubelet-client.crt", &kubelet_client.certificate)?;
    write("kubelet-client.key", &kubelet_client.key)?;
    write("service-account.key", &private)?;
    write("service-account.pub", &public)?;
    let (table, tokens) = tokens::generate(users)?;
    write("tokens.csv", &table)?;
    write(flags::AUDIT_POLICY_FILE, flags::AUDIT_POLICY_YAML)?;
    Ok(tokens)
}

/// The ports of the programs that simulate the nodes.
#[derive(Debug, Clone, Copy)]
struct SimulatorPorts {
    kwok: u16,
    kubelet: u16,
}

/// Starts kube-controller-manager, kube-scheduler, kwok and the stand-in for the kubelets. Creates the nodes, and waits
/// until they are Ready and the namespace `default` has its default service account.
async fn start_pod_components(
    options: &Options,
    pod_programs: &PodPrograms,
    files: &ClusterFiles,
    authority: &Authority,
    server: &ApiServer,
    monitor: &Monitor,
    ports: SimulatorPorts,
) -> anyhow::Result<PodComponents> {
    let write_kubeconfig = |file: &str, user: &str, group| {
        let identity: Identity = authority.issue_client_certificate(user, group)?;
        let credentials = Credentials::Certificate(identity);
        kubeconfig::write(&files.path(file), &server.url(), authority.certificate(), &credentials)
    };
    write_kubeconfig("controller-manager.kubeconfig", "system:kube-controller-manager", None)?;
    write_kubeconfig("scheduler.kubeconfig", "system:kube-scheduler", None)?;
    write_kubeconfig("kwok.kubeconfig", "kwok", Some("system:masters"))?;
    let config = nodes::write_config(&files.folder, &pod_programs.stages)?;

    options.progress.step("starting controllers and nodes");
    let gates = &options.feature_gates;
    let pod_components = PodComponents {
        _kubelet: monitor.start_component(
            "kubelet",
            &pod_programs.kubelet,
            &flags::kubelet(files, ports.kubelet),
        )?,
        _kwok: monitor.start_component(
            "kwok",
            &pod_programs.kwok,
            &flags::kwok(files, ports.kwok, ports.kubelet, &config),
        )?,
        _scheduler: monitor.start_component(
            "kube-scheduler",
            &pod_programs.scheduler,
            &flags::scheduler(files, gates),
        )?,
        _controller_manager: monitor.start_component(
            "kube-controller-manager",
            &pod_programs.controller_manager,
            &flags::controller_manager(files, gates),
        )?,
    };
    for index in 0..options.nodes {
        server.request_json(Method::POST, "/api/v1/nodes", Some(&nodes::node(index))).await?;
    }
    let wanted = options.nodes;
    monitor
        .wait_for("waiting for the nodes", "kwok", async || {
            let list = server.request_json(Method::GET, "/api/v1/nodes", None).await?;
            Ok((nodes::count_ready(&list) == wanted).then_some(()))
        })
        .await?;
    // The namespace `default` admits no pods until its service account `default` exists.
    monitor
        .wait_for("creating the default service account", "kube-controller-manager", async || {
            server
                .request_json(Method::GET, "/api/v1/namespaces/default/serviceaccounts/default", None)
                .await?;
            Ok(Some(()))
        })
        .await?;
    Ok(pod_components)
}
