//! The in-cluster configuration: the files of the pod's service account, and the address of the API server.

use http::Uri;
use std::{
    io,
    path::{Path, PathBuf},
};

use super::{
    Config,
    env::Env,
    error::{FieldError, InClusterError},
    pem,
    user::AuthInfo,
};

/// The directory in which the kubelet mounts the service account.
const SERVICE_ACCOUNT_FOLDER: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
const HOST_VARIABLE: &str = "KUBERNETES_SERVICE_HOST";
const PORT_VARIABLE: &str = "KUBERNETES_SERVICE_PORT";
/// The variable that contains the pod's namespace, if the pod's manifest sets this variable with the downward API. client-go
/// also reads this variable.
const NAMESPACE_VARIABLE: &str = "POD_NAMESPACE";

/// The API server's address, from the environment variables that the kubelet sets in every container.
pub(super) fn env_address(env: Env<'_>) -> Result<Uri, InClusterError> {
    let host = env.text_value(HOST_VARIABLE).ok_or(InClusterError::NotInCluster(HOST_VARIABLE))?;
    let port = env.text_value(PORT_VARIABLE).ok_or(InClusterError::NotInCluster(PORT_VARIABLE))?;
    let bare_v6 = host.contains(':') && !host.starts_with('[');
    let authority = if bare_v6 { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
    let uri = (port.parse::<u16>().is_ok()).then(|| format!("https://{authority}").parse().ok()).flatten();
    uri.ok_or(InClusterError::Address { host, port })
}

/// The API server's address, with the DNS name of the `kubernetes` service.
pub(super) fn dns_address() -> Uri {
    Uri::from_static("https://kubernetes.default.svc")
}

/// Reads the files of the service account into a configuration. Tests set `root`, the directory of the files.
pub(super) fn load_service_account(
    cluster_url: Uri,
    env: Env<'_>,
    root: Option<&Path>,
) -> Result<Config, InClusterError> {
    let folder = root.unwrap_or(Path::new(SERVICE_ACCOUNT_FOLDER));
    let read = |what, name: &str| {
        let path = folder.join(name);
        std::fs::read_to_string(&path).map_err(|source| InClusterError::Read { what, path, source })
    };
    let token = read("token", "token")?;
    let token_file = folder.join("token");
    if token.trim().is_empty() {
        let source = io::Error::new(io::ErrorKind::InvalidData, "the file is empty");
        return Err(InClusterError::Read { what: "token", path: token_file, source });
    }
    let mut config = Config::new(cluster_url);
    if let Some(namespace) = namespace(env, folder) {
        config.default_namespace = namespace;
    }
    let authority = folder.join("ca.crt");
    if let Some(certificates) = certificate_authority(authority.clone())? {
        config.set_root_cert_and_file(certificates, authority);
    }
    config.auth_info =
        AuthInfo { token_file: Some(token_file.to_string_lossy().into_owned()), ..AuthInfo::default() };
    Ok(config)
}

/// The namespace from `POD_NAMESPACE`, otherwise from the service account's file `namespace`. `None` if neither contains a
/// namespace.
fn namespace(env: Env<'_>, folder: &Path) -> Option<String> {
    let of_account = || {
        let text = std::fs::read_to_string(folder.join("namespace")).ok()?;
        Some(text.trim().to_owned()).filter(|namespace| !namespace.is_empty())
    };
    env.text_value(NAMESPACE_VARIABLE).or_else(of_account)
}

/// The certificates in `ca.crt`. `None` if the file does not exist: then the system's CA bundle is trusted, as in
/// client-go. An unreadable or damaged file is an error; client-go only logs this error.
fn certificate_authority(path: PathBuf) -> Result<Option<Vec<Vec<u8>>>, InClusterError> {
    let file = path.to_string_lossy().into_owned();
    match pem::load_field(None, Some(&file)) {
        Ok(Some(loaded)) => pem::parse_certificates(&loaded)
            .map(|certificates| Some(certificates.iter().map(|der| der.to_vec()).collect()))
            .map_err(InClusterError::CertificateAuthority),
        Ok(None) => Err(InClusterError::CertificateAuthority(FieldError::Missing)),
        Err(FieldError::ReadFile { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            tracing::warn!(path = %path.display(), "the service account has no ca.crt; using the CA bundle of the system");
            Ok(None)
        }
        Err(FieldError::ReadFile { source, .. }) => {
            Err(InClusterError::Read { what: "certificate authority", path, source })
        }
        Err(error) => Err(InClusterError::CertificateAuthority(error)),
    }
}
