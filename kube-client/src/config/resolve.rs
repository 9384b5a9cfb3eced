//! Builds a [`Config`] from a [`Kubeconfig`] and [`KubeConfigOptions`]: selects the entries and validates them without
//! network access.

use super::{
    Config, address,
    env::Env,
    error::{FieldError, KubeconfigError, join_with_commas},
    kubeconfig::{Cluster, Context, Kubeconfig},
    pem, proxy,
    user::{AuthInfo, ExecAuthCluster},
    write::UserOrigin,
};
use secrecy::ExposeSecret;

/// The name of the cluster extension that is passed to credential plugins.
const EXEC_EXTENSION: &str = "client.authentication.k8s.io/exec";

/// Selects the entries of a kubeconfig. The default is the current context with its cluster and user.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KubeConfigOptions {
    /// The context to use instead of the current context.
    pub context: Option<String>,
    /// The cluster to use instead of the cluster of the context.
    pub cluster: Option<String>,
    /// The user to use instead of the user of the context.
    pub user: Option<String>,
}

/// The cluster and the user that the options select, and the namespace of the context. `origin` is for error texts.
struct Selection {
    origin: String,
    namespace: Option<String>,
    cluster_name: String,
    cluster: Cluster,
    user_name: String,
    user: AuthInfo,
}

impl Kubeconfig {
    /// The files of the kubeconfig, for error texts.
    pub(super) fn origin(&self) -> String {
        if self.sources.is_empty() {
            "the given kubeconfig".to_owned()
        } else {
            join_with_commas(self.sources.iter().map(|path| path.display()))
        }
    }
}

/// Builds a configuration from the entries that the options select.
pub(super) fn resolve(
    kubeconfig: &Kubeconfig,
    options: &KubeConfigOptions,
    env: Env<'_>,
) -> Result<Config, KubeconfigError> {
    let mut selection = select_entries(kubeconfig, options)?;
    let cluster = &selection.cluster;
    let cluster_error = |field, source| KubeconfigError::Field {
        origin: selection.origin.clone(),
        what: format!("cluster `{}`", selection.cluster_name),
        field,
        source,
    };
    let server = cluster.server.as_deref().filter(|server| !server.is_empty());
    let server = server.ok_or(FieldError::Missing).and_then(address::parse_server);
    let mut config = Config::new(server.map_err(|error| cluster_error("server", error))?);

    let data = cluster.certificate_authority_data.as_deref();
    let authority = pem::read_authorities(data, cluster.certificate_authority.as_deref())
        .map_err(|error| cluster_error(authority_field(cluster), error))?;
    match (authority, &cluster.certificate_authority) {
        (Some(certificates), Some(path)) if !pem::is_inline(data) => {
            config.set_root_cert_and_file(certificates, path.into());
        }
        (certificates, _) => config.root_cert = certificates,
    }
    config.accept_invalid_certs = cluster.insecure_skip_tls_verify.unwrap_or(false);
    if config.accept_invalid_certs && config.root_cert.is_some() {
        let why =
            "it is not allowed with insecure-skip-tls-verify, which would ignore it; remove one of the two";
        return Err(cluster_error(authority_field(cluster), FieldError::Invalid(why.to_owned())));
    }
    config.disable_compression = cluster.disable_compression.unwrap_or(false);
    config.tls_server_name = cluster.tls_server_name.clone().filter(|name| !name.is_empty());
    config.proxy_url = match cluster.proxy_url.as_deref().filter(|url| !url.is_empty()) {
        Some(url) => Some(address::parse_proxy(url).map_err(|error| cluster_error("proxy-url", error))?),
        None => proxy::from_env(&config.cluster_url, env).map_err(|(variable, source)| {
            KubeconfigError::Field {
                origin: "the environment".to_owned(),
                what: "the proxy settings".to_owned(),
                field: variable,
                source,
            }
        })?,
    };
    if let Some(namespace) = selection.namespace.filter(|namespace| !namespace.is_empty()) {
        config.default_namespace = namespace;
    }

    if let Err((field, source)) = selection.user.identity() {
        let what = format!("user `{}`", selection.user_name);
        return Err(KubeconfigError::Field { origin: selection.origin, what, field, source });
    }
    if let Some(exec) = selection.user.exec.as_mut().filter(|exec| exec.provide_cluster_info) {
        exec.cluster = Some(ExecAuthCluster::try_from(&selection.cluster)?);
    }
    if selection.user.auth_provider.is_some() && !kubeconfig.sources.is_empty() {
        config.user_origin =
            Some(UserOrigin { files: kubeconfig.sources.clone(), user: selection.user_name });
    }
    config.auth_info = selection.user;
    Ok(config)
}

/// The name of the field with the CA bundle, for error texts.
fn authority_field(cluster: &Cluster) -> &'static str {
    match &cluster.certificate_authority_data {
        Some(data) if !data.is_empty() => "certificate-authority-data",
        _ => "certificate-authority",
    }
}

/// The entries that the options select.
fn select_entries(
    kubeconfig: &Kubeconfig,
    options: &KubeConfigOptions,
) -> Result<Selection, KubeconfigError> {
    let origin = kubeconfig.origin();
    let (context_name, context) = select_context(kubeconfig, options, &origin)?;
    let by_context = |option: &Option<String>| {
        if option.is_some() { None } else { context_name.clone() }
    };

    let cluster_name = options.cluster.clone().unwrap_or_else(|| context.cluster.clone());
    let Some(cluster) = kubeconfig.cluster(&cluster_name) else {
        return Err(KubeconfigError::NoSuchCluster {
            origin,
            name: cluster_name,
            context: by_context(&options.cluster),
            known: kubeconfig.clusters.iter().map(|named| named.name.clone()).collect(),
        });
    };
    // A context without a user means anonymous requests.
    let user_name = options.user.clone().or_else(|| context.user.clone()).unwrap_or_default();
    let user = match kubeconfig.user(&user_name) {
        Some(user) => user,
        None if user_name.is_empty() => AuthInfo::default(),
        None => {
            return Err(KubeconfigError::NoSuchUser {
                origin,
                name: user_name,
                context: by_context(&options.user),
                known: kubeconfig.auth_infos.iter().map(|named| named.name.clone()).collect(),
            });
        }
    };
    Ok(Selection { origin, namespace: context.namespace, cluster_name, cluster, user_name, user })
}

/// The selected context and its name. If neither the options nor the kubeconfig select a context, but the options select
/// a cluster, the context is empty and has no name.
fn select_context(
    kubeconfig: &Kubeconfig,
    options: &KubeConfigOptions,
    origin: &str,
) -> Result<(Option<String>, Context), KubeconfigError> {
    let known = || kubeconfig.contexts.iter().map(|named| named.name.clone()).collect();
    let current = kubeconfig.current_context.clone().filter(|name| !name.is_empty());
    match options.context.clone().or(current) {
        Some(name) => match kubeconfig.context(&name) {
            Some(context) => Ok((Some(name), context)),
            None => Err(KubeconfigError::NoSuchContext { origin: origin.to_owned(), name, known: known() }),
        },
        None if options.cluster.is_some() => Ok((None, Context::default())),
        None => Err(KubeconfigError::CurrentContextNotSet { origin: origin.to_owned(), known: known() }),
    }
}

impl TryFrom<&Cluster> for ExecAuthCluster {
    type Error = KubeconfigError;

    /// Reads the CA bundle of the cluster if the bundle is in a file, because the plugin receives the content of the file.
    /// Blocks on the file system.
    fn try_from(cluster: &Cluster) -> Result<Self, KubeconfigError> {
        let data = cluster.certificate_authority_data.as_deref();
        let authority = pem::load_field(data, cluster.certificate_authority.as_deref());
        let authority = authority.map_err(|source| KubeconfigError::Field {
            origin: "the given kubeconfig".to_owned(),
            what: "the cluster".to_owned(),
            field: authority_field(cluster),
            source,
        })?;
        let extension =
            cluster.extensions.iter().flatten().find(|extension| extension.name == EXEC_EXTENSION);
        Ok(Self {
            server: cluster.server.clone(),
            tls_server_name: cluster.tls_server_name.clone().filter(|name| !name.is_empty()),
            insecure_skip_tls_verify: cluster.insecure_skip_tls_verify,
            certificate_authority_data: authority.map(|loaded| loaded.bytes.expose_secret().to_vec()),
            proxy_url: cluster.proxy_url.clone(),
            config: extension.map(|extension| extension.extension.clone()).filter(|config| !config.is_null()),
        })
    }
}
