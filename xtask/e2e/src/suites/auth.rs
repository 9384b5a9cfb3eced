//! Authentication, authorization and impersonation.

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
use crate::support::{eventually, named, object};
use xtask_control_plane::{Authority, Identity};

suite!("auth":
    who_says_nothing_gets_nothing,
    a_wrong_token_is_unauthorized,
    a_server_of_another_authority_is_not_trusted,
    the_administrators_token_is_good [Token],
    a_client_certificate_is_who_it_says [Certificates],
    a_certificate_of_another_authority_is_unauthorized [Certificates],
    a_service_account_may_do_what_a_role_says [Authorization],
    one_acts_as_another [Authorization],
);

/// A client with other credentials than the administrator's.
pub(super) fn client_as(env: &Env, auth_info: AuthInfo) -> Outcome<Client> {
    let mut config = env.config();
    config.auth_info = auth_info;
    Ok(Client::try_from(config)?)
}

fn token(token: &str) -> Outcome<AuthInfo> {
    Ok(serde_json::from_value(json!({ "token": token }))?)
}

fn certificate(identity: &Identity) -> Outcome<AuthInfo> {
    let encode = |text: &str| STANDARD.encode(text);
    let data = json!({
        "client-certificate-data": encode(&identity.certificate),
        "client-key-data": encode(&identity.key),
    });
    Ok(serde_json::from_value(data)?)
}

fn maps(client: Client) -> Api<ConfigMap> {
    Api::default_namespaced(client)
}

/// The user name that the server authenticates for a client.
async fn name(client: Client) -> Outcome<String> {
    let review = Api::all(client).create(&PostParams::default(), &SelfSubjectReview::default()).await?;
    let user = review.status.and_then(|status| status.user_info);
    Ok(user.and_then(|user| user.username).context("the server names no user")?)
}

async fn who_says_nothing_gets_nothing(env: Env) -> Outcome {
    let client = client_as(&env, AuthInfo::default())?;
    let error = refused!(maps(client).list(&ListParams::default()).await);
    check!(error.is_unauthorized() || error.is_forbidden(), "{error:?}");
    Ok(())
}

async fn a_wrong_token_is_unauthorized(env: Env) -> Outcome {
    let client = client_as(&env, token("wrong")?)?;
    let error = refused!(maps(client).list(&ListParams::default()).await);
    check!(error.is_unauthorized() && !error.is_retryable(), "{error:?}");
    check!(!format!("{error:?} {error}").contains("wrong"), "the token is told: {error:?}");
    Ok(())
}

async fn a_server_of_another_authority_is_not_trusted(env: Env) -> Outcome {
    let mut config = env.config();
    let other = CertificateDer::from_pem_slice(Authority::new()?.certificate().as_bytes())?;
    config.root_cert = Some(vec![other.to_vec()]);
    config.accept_invalid_certs = false;
    let error = refused!(maps(Client::try_from(config)?).list(&ListParams::default()).await);
    check!(matches!(&error, Error::Transport { kind: TransportKind::Tls, .. }), "{error:?}");
    check!(!error.is_retryable());
    Ok(())
}

async fn the_administrators_token_is_good(env: Env) -> Outcome {
    let secret = env.server().token().context("there is no token")?;
    let client = client_as(&env, token(secret)?)?;
    maps(client).list(&ListParams::default()).await?;
    Ok(())
}

async fn a_client_certificate_is_who_it_says(env: Env) -> Outcome {
    let plain = certificate(&env.cluster()?.client_certificate("jane", None)?)?;
    let client = client_as(&env, plain)?;
    check_eq!(name(client.clone()).await?, "jane");
    let error = refused!(maps(client).list(&ListParams::default()).await);
    check!(error.is_forbidden() && error.to_string().contains("\"jane\""), "{error}");
    let master = certificate(&env.cluster()?.client_certificate("joe", Some("system:masters"))?)?;
    maps(client_as(&env, master)?).list(&ListParams::default()).await?;
    Ok(())
}

async fn a_certificate_of_another_authority_is_unauthorized(env: Env) -> Outcome {
    let forged = Authority::new()?.client("admin", Some("system:masters"))?;
    let client = client_as(&env, certificate(&forged)?)?;
    let error = refused!(maps(client).list(&ListParams::default()).await);
    check!(error.is_unauthorized(), "{error:?}");
    Ok(())
}

/// A client of a new service account in the case's namespace, without any permissions.
pub(super) async fn robot(env: &Env) -> Outcome<Client> {
    let accounts: Api<ServiceAccount> = env.api();
    let account = ServiceAccount { metadata: named("robot"), ..ServiceAccount::default() };
    accounts.create(&PostParams::default(), &account).await?;
    let request: TokenRequest = object(json!({"metadata": {}, "spec": {"audiences": []}}))?;
    let answer: TokenRequest =
        accounts.create_subresource("token", "robot", &PostParams::default(), &request).await?;
    let secret = answer.status.and_then(|status| status.token).context("the server gives no token")?;
    client_as(env, token(&secret)?)
}

/// Binds a role to the robot's service account that allows it to read config maps.
pub(super) async fn allow(env: &Env) -> Outcome {
    let roles: Api<Role> = env.api();
    let reads = json!({"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list", "watch"]});
    let role = object(json!({"metadata": {"name": "reader"}, "rules": [reads]}))?;
    match roles.create(&PostParams::default(), &role).await {
        Err(error) if !error.is_already_exists() => return Err(error.into()),
        _ => {}
    }
    let bindings: Api<RoleBinding> = env.api();
    let binding = object(json!({
        "metadata": {"name": "reader"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"},
        "subjects": [{"kind": "ServiceAccount", "name": "robot", "namespace": env.namespace()}],
    }))?;
    bindings.create(&PostParams::default(), &binding).await?;
    Ok(())
}

/// Deletes the role binding of [`allow`].
pub(super) async fn forbid(env: &Env) -> Outcome {
    env.api::<RoleBinding>().delete("reader", &DeleteParams::default()).await?;
    Ok(())
}

async fn a_service_account_may_do_what_a_role_says(env: Env) -> Outcome {
    let robot = robot(&env).await?;
    check_eq!(name(robot.clone()).await?, format!("system:serviceaccount:{}:robot", env.namespace()));
    let maps = maps(robot);
    let error = refused!(maps.list(&ListParams::default()).await);
    check!(error.is_forbidden() && !error.is_retryable(), "{error:?}");
    check!(error.to_string().contains("cannot list resource \"configmaps\""), "{error}");
    allow(&env).await?;
    eventually("the role is known", Duration::from_secs(20), async || {
        match maps.list(&ListParams::default()).await {
            Err(error) if error.is_forbidden() => Ok(None),
            other => Ok(Some(other?)),
        }
    })
    .await?;
    let error = refused!(maps.delete("nobody", &DeleteParams::default()).await);
    check!(error.is_forbidden(), "{error:?}");
    Ok(())
}

async fn one_acts_as_another(env: Env) -> Outcome {
    let mut config = env.config();
    config.auth_info.impersonate = Some("jane".to_owned());
    config.auth_info.impersonate_groups = Some(vec!["readers".to_owned()]);
    let client = Client::try_from(config)?;
    check_eq!(name(client.clone()).await?, "jane");
    check!(refused!(maps(client).list(&ListParams::default()).await).is_forbidden());
    Ok(())
}
