//! `Endpoint`: kube-sim or a real API server, and a client that sends raw requests to the server.

use std::path::Path;

use anyhow::{Context, anyhow};
use http::Request;
use kube_client::client::Body;
use kube_client::config::{KubeConfigOptions, Kubeconfig};
use kube_client::{Client, Config};
use kube_sim::{AdmissionPlugin, Controller, Sim, SimBuilder};
use serde_json::Value;
use tempfile::TempDir;
use xtask_control_plane::{Cluster, Options, Source};
use xtask_process::progress::Progress;

use crate::observation::Response;

/// The default value of the request headers `content-type` and `accept`.
const JSON_MEDIA_TYPE: &str = "application/json";

/// The admission plugins that are disabled in kube-apiserver. The first adds finalizers to storage objects, and the second
/// adds taints to nodes. Only controllers remove these finalizers and taints, and the cluster has no controllers.
const DISABLED_PLUGINS: [&str; 2] = ["StorageObjectInUseProtection", "TaintNodesByCondition"];

/// A running server, and a client that sends the requests of all cases to the server.
pub(crate) struct Endpoint {
    client: Client,
    server: RunningServer,
}

/// A running server. Dropping this value stops the server.
enum RunningServer {
    Simulation { _listener: kube_sim::Server, _folder: TempDir },
    Real(Box<Cluster>),
}

/// One request. The namespace of the case has already replaced `$NS`, and saved values have replaced names such as `$RV`.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) method: http::Method,
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Option<String>,
}

impl Call {
    /// A GET request without headers.
    pub(crate) fn get(path: &str) -> Self {
        Self { method: http::Method::GET, path: path.to_owned(), headers: Vec::new(), body: None }
    }

    /// A POST request with a JSON body.
    pub(crate) fn post(path: String, body: &Value) -> Self {
        let body = Some(body.to_string());
        Self { method: http::Method::POST, path, headers: Vec::new(), body }
    }
}

impl Endpoint {
    /// Starts kube-sim on a loopback port.
    pub(crate) async fn start_simulated() -> anyhow::Result<Self> {
        // The real control plane has no controllers and no kubelets, so kube-sim runs none either. The only
        // exception is the controller for CustomResourceDefinitions: the real kube-apiserver itself does the
        // work of this controller.
        let controllers = [Controller::GarbageCollector, Controller::Namespace, Controller::Kubelet];
        let builder = controllers.into_iter().fold(Sim::builder(), SimBuilder::without_controller);
        // By default, kube-apiserver refuses a pod whose service account does not exist. kube-sim without its controller
        // for service accounts refuses such a pod only if this admission plugin is enabled explicitly.
        let sim = builder.admission_plugin(AdmissionPlugin::ServiceAccount).build();
        let listener = sim.serve_https(([127, 0, 0, 1], 0).into()).await.map_err(|error| anyhow!(error))?;
        let folder = tempfile::tempdir().context("cannot create a temporary folder")?;
        let path = folder.path().join("kubeconfig");
        std::fs::write(&path, listener.kubeconfig())
            .with_context(|| format!("cannot write {}", path.display()))?;
        let client = create_client(&path).await?;
        Ok(Self { client, server: RunningServer::Simulation { _listener: listener, _folder: folder } })
    }

    /// Starts etcd and kube-apiserver, without controllers and nodes.
    pub(crate) async fn start_real(source: Source) -> anyhow::Result<Self> {
        let options = Options::default()
            .source(source)
            .nodes(0)
            .without_controllers()
            .disabled_admission_plugins(&DISABLED_PLUGINS)
            .progress(Progress::new());
        let cluster = Cluster::start(options).await?;
        let client = create_client(cluster.kubeconfig()).await?;
        Ok(Self { client, server: RunningServer::Real(Box::new(cluster)) })
    }

    /// Whether this is the real API server.
    pub(crate) fn is_real(&self) -> bool {
        matches!(self.server, RunningServer::Real(_))
    }

    /// Sends a request, and reads the whole response.
    pub(crate) async fn send(&self, call: &Call) -> anyhow::Result<Response> {
        let mut request = Request::builder().method(call.method.clone()).uri(&call.path);
        let has = |name: &str| call.headers.iter().any(|(header, _)| header.eq_ignore_ascii_case(name));
        if call.body.is_some() && !has("content-type") {
            request = request.header("content-type", JSON_MEDIA_TYPE);
        }
        if !has("accept") {
            request = request.header("accept", JSON_MEDIA_TYPE);
        }
        for (name, value) in &call.headers {
            request = request.header(name, value);
        }
        let body = call.body.as_ref().map_or_else(Body::empty, |text| Body::from(text.clone().into_bytes()));
        let request = request.body(body).with_context(|| format!("{} {}", call.method, call.path))?;
        let (parts, body) = self.client.send(request).await?.into_parts();
        Ok(Response::new(&parts, &body.collect_bytes().await?))
    }

    /// Stops the server.
    pub(crate) async fn stop(self) {
        if let RunningServer::Real(cluster) = self.server {
            cluster.stop().await;
        }
    }
}

/// Creates a client. The file `kubeconfig` contains the URL of the server and the credentials of the client.
async fn create_client(kubeconfig: &Path) -> anyhow::Result<Client> {
    let kubeconfig = Kubeconfig::read_from(kubeconfig)?;
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    Ok(Client::try_from(config)?)
}
