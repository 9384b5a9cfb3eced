//! Authentication and authorization: tokens, client certificates, RBAC and impersonation.

use std::time::Duration;

use anyhow::Context;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::authentication::v1::{SelfSubjectReview, TokenRequest};
use k8s_openapi::api::core::v1::{ConfigMap, ServiceAccount};
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube_client::api::{DeleteParams, ListParams, PostParams};
use kube_client::config::AuthInfo;
use kube_client::{Api, Client, Error, TransportKind};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde_json::json;

use crate::case::suite;
use crate::env::Env;
use crate::failure::{Outcome, check, check_eq, refused};
use crate::support::{eventually, named_metadata, object_from_json};
use xtask_control_plane::{Authority, Identity};

suite!("auth":
    the_server_rejects_anonymous_requests,
    the_server_rejects_an_invalid_token,
    the_client_rejects_a_server_certificate_of_an_unknown_ca,
    the_server_accepts_the_administrators_token [Token],
    the_user_is_the_subject_of_the_client_certificate [Certificates],
    the_server_rejects_a_client_certificate_of_an_unknown_ca [Certificates],
    the_client_rereads_the_token_file_after_a_rejection [Token],
    the_client_rereads_the_certificate_files_after_a_rejection [Certificates],
    a_service_account_is_authorized_by_its_role [Authorization],
    a_user_is_impersonated [Authorization],
);

/// A client with `auth_info` instead of the administrator's credentials.
pub(super) fn client_as(env: &Env, auth_info: AuthInfo) -> Outcome<Client> {
    let mut config = env.config();
    config.auth_info = auth_info;
    Ok(Client::try_from(config)?)
}

/// Credentials that consist of a bearer token.
fn token_auth(token: &str) -> Outcome<AuthInfo> {
    Ok(serde_json::from_value(json!({ "token": token }))?)
}

/// Credentials that consist of a client certificate and its key.
pub(super) fn certificate_auth(identity: &Identity) -> Outcome<AuthInfo> {
    let encode = |text: &str| STANDARD.encode(text);
    let data = json!({
        "client-certificate-data": encode(&identity.certificate),
        "client-key-data": encode(&identity.key),
    });
    Ok(serde_json::from_value(data)?)
}

/// An `Api` for the config maps in the client's default namespace.
fn config_maps(client: Client) -> Api<ConfigMap> {
    Api::default_namespaced(client)
}

/// The user name that the server assigns to the client, from a `SelfSubjectReview`.
async fn user_name(client: Client) -> Outcome<String> {
    let review = Api::all(client).create(&PostParams::default(), &SelfSubjectReview::default()).await?;
    let user = review.status.and_then(|status| status.user_info);
    Ok(user.and_then(|user| user.username).context("the SelfSubjectReview has no user name")?)
}

async fn the_server_rejects_anonymous_requests(env: Env) -> Outcome {
    let client = client_as(&env, AuthInfo::default())?;
    let error = refused!(config_maps(client).list(&ListParams::default()).await);
    check!(error.is_unauthorized() || error.is_forbidden(), "{error:?}");
    Ok(())
}

async fn the_server_rejects_an_invalid_token(env: Env) -> Outcome {
    let client = client_as(&env, token_auth("wrong")?)?;
    let error = refused!(config_maps(client).list(&ListParams::default()).await);
    check!(error.is_unauthorized() && !error.is_retryable(), "{error:?}");
    check!(!format!("{error:?} {error}").contains("wrong"), "the error contains the token: {error:?}");
    Ok(())
}

async fn the_client_rejects_a_server_certificate_of_an_unknown_ca(env: Env) -> Outcome {
    let mut config = env.config();
    let other = CertificateDer::from_pem_slice(Authority::new()?.certificate().as_bytes())?;
    config.root_cert = Some(vec![other.to_vec()]);
    config.accept_invalid_certs = false;
    let error = refused!(config_maps(Client::try_from(config)?).list(&ListParams::default()).await);
    check!(matches!(&error, Error::Transport { kind: TransportKind::Tls, .. }), "{error:?}");
    check!(!error.is_retryable());
    Ok(())
}

async fn the_server_accepts_the_administrators_token(env: Env) -> Outcome {
    let token = env.server().token().context("the server has no administrator token")?;
    let client = client_as(&env, token_auth(token)?)?;
    config_maps(client).list(&ListParams::default()).await?;
    Ok(())
}

async fn the_user_is_the_subject_of_the_client_certificate(env: Env) -> Outcome {
    let plain = certificate_auth(&env.server().client_certificate("jane", None)?)?;
    let client = client_as(&env, plain)?;
    check_eq!(user_name(client.clone()).await?, "jane");
    let error = refused!(config_maps(client).list(&ListParams::default()).await);
    check!(error.is_forbidden() && error.to_string().contains("\"jane\""), "{error}");
    let master = certificate_auth(&env.server().client_certificate("joe", Some("system:masters"))?)?;
    config_maps(client_as(&env, master)?).list(&ListParams::default()).await?;
    Ok(())
}

async fn the_server_rejects_a_client_certificate_of_an_unknown_ca(env: Env) -> Outcome {
    let forged = Authority::new()?.issue_client_certificate("admin", Some("system:masters"))?;
    let client = client_as(&env, certificate_auth(&forged)?)?;
    let error = refused!(config_maps(client).list(&ListParams::default()).await);
    check!(error.is_unauthorized(), "{error:?}");
    Ok(())
}

async fn the_client_rereads_the_token_file_after_a_rejection(env: Env) -> Outcome {
    let token = env.server().token().context("the server has no administrator token")?.to_owned();
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("token");
    std::fs::write(&path, "wrong")?;
    let client = client_as(&env, serde_json::from_value(json!({ "tokenFile": path }))?)?;
    let maps: Api<ConfigMap> = Api::namespaced(client, env.namespace());
    let error = refused!(maps.list(&ListParams::default()).await);
    check!(error.is_unauthorized(), "{error:?}");
    std::fs::write(&path, token)?;
    // After a 401, the client reads the token file again and resends the request, whatever its verb is.
    let map = ConfigMap { metadata: named_metadata("created"), ..ConfigMap::default() };
    maps.create(&PostParams::default(), &map).await?;
    Ok(())
}

async fn the_client_rereads_the_certificate_files_after_a_rejection(env: Env) -> Outcome {
    let folder = tempfile::tempdir()?;
    let (certificate, key) = (folder.path().join("tls.crt"), folder.path().join("tls.key"));
    let write = |identity: &Identity| {
        std::fs::write(&certificate, &identity.certificate)?;
        std::fs::write(&key, &identity.key)
    };
    write(&Authority::new()?.issue_client_certificate("admin", Some("system:masters"))?)?;
    let files = json!({ "client-certificate": certificate, "client-key": key });
    let client = client_as(&env, serde_json::from_value(files)?)?;
    let error = refused!(config_maps(client.clone()).list(&ListParams::default()).await);
    check!(error.is_unauthorized(), "{error:?}");
    write(&env.server().client_certificate("joe", Some("system:masters"))?)?;
    check_eq!(user_name(client).await?, "joe");
    Ok(())
}

/// Creates the service account `robot` in the case's namespace, and returns a client that uses the account's token.
/// [`grant_read`] gives the account permissions.
pub(super) async fn robot_client(env: &Env) -> Outcome<Client> {
    let accounts: Api<ServiceAccount> = env.api();
    let account = ServiceAccount { metadata: named_metadata("robot"), ..ServiceAccount::default() };
    accounts.create(&PostParams::default(), &account).await?;
    let request: TokenRequest = object_from_json(json!({"metadata": {}, "spec": {"audiences": []}}))?;
    let response: TokenRequest =
        accounts.create_subresource("token", "robot", &PostParams::default(), &request).await?;
    let token =
        response.status.and_then(|status| status.token).context("the TokenRequest's status has no token")?;
    client_as(env, token_auth(&token)?)
}

/// Grants the service account `robot` the verbs `get`, `list` and `watch` on config maps. The role may exist already.
pub(super) async fn grant_read(env: &Env) -> Outcome {
    let roles: Api<Role> = env.api();
    let reads = json!({"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list", "watch"]});
    let role = object_from_json(json!({"metadata": {"name": "reader"}, "rules": [reads]}))?;
    match roles.create(&PostParams::default(), &role).await {
        Err(error) if !error.is_already_exists() => return Err(error.into()),
        _ => {}
    }
    let bindings: Api<RoleBinding> = env.api();
    let binding = object_from_json(json!({
        "metadata": {"name": "reader"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"},
        "subjects": [{"kind": "ServiceAccount", "name": "robot", "namespace": env.namespace()}],
    }))?;
    bindings.create(&PostParams::default(), &binding).await?;
    Ok(())
}

/// Revokes the grant of [`grant_read`] by deleting the role binding.
pub(super) async fn revoke_read(env: &Env) -> Outcome {
    env.api::<RoleBinding>().delete("reader", &DeleteParams::default()).await?;
    Ok(())
}

async fn a_service_account_is_authorized_by_its_role(env: Env) -> Outcome {
    let robot = robot_client(&env).await?;
    check_eq!(user_name(robot.clone()).await?, format!("system:serviceaccount:{}:robot", env.namespace()));
    let maps = config_maps(robot);
    let error = refused!(maps.list(&ListParams::default()).await);
    check!(error.is_forbidden() && !error.is_retryable(), "{error:?}");
    check!(error.to_string().contains("cannot list resource \"configmaps\""), "{error}");
    grant_read(&env).await?;
    eventually("the server applies the role binding", Duration::from_secs(20), async || {
        match maps.list(&ListParams::default()).await {
            Err(error) if error.is_forbidden() => Ok(None),
            other => Ok(Some(other?)),
        }
    })
    .await?;
    let error = refused!(maps.delete("missing", &DeleteParams::default()).await);
    check!(error.is_forbidden(), "{error:?}");
    Ok(())
}

async fn a_user_is_impersonated(env: Env) -> Outcome {
    let mut config = env.config();
    config.auth_info.impersonate = Some("jane".to_owned());
    config.auth_info.impersonate_groups = Some(vec!["readers".to_owned()]);
    let client = Client::try_from(config)?;
    check_eq!(user_name(client.clone()).await?, "jane");
    check!(refused!(config_maps(client).list(&ListParams::default()).await).is_forbidden());
    Ok(())
}
