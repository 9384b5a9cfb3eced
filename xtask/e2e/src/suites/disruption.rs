//! Watchers during failures of API servers and etcd, and while the permission to watch is revoked. After each disruption,
//! the store of the watcher must equal the server's list.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::core::v1::ConfigMap;
use kube_client::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube_client::{Api, Client};
use kube_runtime::reflector::{Store, store};
use kube_runtime::watcher::{self, Config, watcher};
use kube_runtime::{Reflector, reflector};
use serde_json::json;
use tokio::time::{Instant, sleep, timeout};

use super::auth::{grant_read, revoke_read, robot_client};
use crate::case::suite;
use crate::env::Env;
use crate::failure::{Outcome, check, check_eq};
use crate::support::{eventually, labelled_config_map, poll_reflector_until, wait_until_converged};
use xtask_control_plane::ApiServer;

suite!("disruption":
    store_converges_after_an_api_server_is_killed [Components],
    store_converges_after_a_graceful_api_server_restart [Components],
    store_converges_after_etcd_is_paused [Components],
    store_converges_after_the_proxy_switches_api_servers [Components],
    reflector_converges_after_an_api_server_is_killed [Components],
    store_converges_after_permission_is_revoked_and_granted [Authorization],
);

/// The time limit of each wait.
const TIMEOUT: Duration = Duration::from_secs(90);

/// The list parameters for the config maps of [`create_map`].
fn topic_params() -> ListParams {
    ListParams::default().labels("topic=disruption")
}

/// Creates a config map with the label `topic=disruption`.
async fn create_map(maps: &Api<ConfigMap>, name: &str) -> Outcome {
    maps.create(&PostParams::default(), &labelled_config_map(name, "topic", "disruption")).await?;
    Ok(())
}

/// Creates the config map `new`, deletes `old` and changes `kept`. [`create_initial_maps`] must have created `old`
/// and `kept`.
async fn change_maps(maps: &Api<ConfigMap>) -> Outcome {
    create_map(maps, "new").await?;
    maps.delete("old", &DeleteParams::default()).await?;
    let merge = Patch::Merge(json!({"data": {"v": "changed"}}));
    maps.patch("kept", &PatchParams::default(), &merge).await?;
    Ok(())
}

/// A store that a spawned watcher writes to, and the watcher's errors.
struct WatchedStore {
    reader: Store<ConfigMap>,
    errors: Arc<Mutex<Vec<watcher::Error>>>,
    watch_task: tokio::task::JoinHandle<()>,
}

impl WatchedStore {
    /// Starts the watcher and waits for the end of the initial list.
    async fn start(maps: Api<ConfigMap>, config: Config) -> Outcome<Self> {
        let (reader, writer) = store();
        let errors = Arc::new(Mutex::new(Vec::new()));
        let seen = errors.clone();
        let watch =
            reflector(writer, watcher(maps, config.labels("topic=disruption"))).for_each(move |item| {
                if let Err(error) = item {
                    seen.lock().unwrap_or_else(PoisonError::into_inner).push(error);
                }
                std::future::ready(())
            });
        let watched = Self { reader, errors, watch_task: tokio::spawn(watch) };
        timeout(TIMEOUT, watched.reader.wait_until_ready()).await??;
        Ok(watched)
    }

    /// Waits until the store equals the list of `maps`, and checks that the watcher still runs.
    async fn wait_until_equal(&self, maps: &Api<ConfigMap>) -> Outcome {
        wait_until_converged(&self.reader, maps, &topic_params(), TIMEOUT).await?;
        check!(!self.watch_task.is_finished());
        Ok(())
    }

    /// Returns whether the watcher has reported an error that `matches` accepts.
    fn has_error(&self, matches: impl Fn(&watcher::Error) -> bool) -> bool {
        self.errors.lock().unwrap_or_else(PoisonError::into_inner).iter().any(matches)
    }
}

impl Drop for WatchedStore {
    fn drop(&mut self) {
        self.watch_task.abort();
    }
}

/// An `Api` for config maps that sends its requests to `url` instead of the URL of the kubeconfig.
fn maps_at(env: &Env, url: &str) -> Outcome<Api<ConfigMap>> {
    let mut config = env.config();
    config.cluster_url = url.parse()?;
    Ok(Api::default_namespaced(Client::try_from(config)?))
}

/// The first two API servers of the cluster.
fn first_two_servers(env: &Env) -> Outcome<(&ApiServer, &ApiServer)> {
    match env.cluster()?.api_servers() {
        [first, second, ..] => Ok((first, second)),
        _ => Err(anyhow::anyhow!("the cluster has fewer than two API servers").into()),
    }
}

/// Creates the config maps `kept` and `old`.
async fn create_initial_maps(env: &Env) -> Outcome<Api<ConfigMap>> {
    let maps: Api<ConfigMap> = env.api();
    create_map(&maps, "kept").await?;
    create_map(&maps, "old").await?;
    Ok(maps)
}

async fn store_converges_after_an_api_server_is_killed(env: Env) -> Outcome {
    let maps = create_initial_maps(&env).await?;
    let watched = WatchedStore::start(maps.clone(), Config::default()).await?;
    check_eq!(watched.reader.len(), 2);
    let (first, second) = first_two_servers(&env)?;
    first.kill().await?;
    change_maps(&maps_at(&env, &second.url())?).await?;
    // The watcher reports a connection error, and the store remains unchanged.
    eventually("the watch fails", TIMEOUT, async || {
        Ok(watched.has_error(|error| error.status().is_none()).then_some(()))
    })
    .await?;
    check!(watched.reader.find(|map| map.metadata.name.as_deref() == Some("old")).is_some());
    first.start().await?;
    watched.wait_until_equal(&maps).await
}

async fn store_converges_after_a_graceful_api_server_restart(env: Env) -> Outcome {
    let maps = create_initial_maps(&env).await?;
    // During a graceful shutdown, the server waits up to a minute until its watches end. The cluster's own
    // controllers watch only the first server. Therefore this case stops the second server.
    let (_, second) = first_two_servers(&env)?;
    let short_watches = Config::default().timeout(Duration::from_secs(2));
    let watched = WatchedStore::start(maps_at(&env, &second.url())?, short_watches).await?;
    let (stopped, changed) = futures::join!(second.stop(), change_maps(&maps));
    stopped?;
    changed?;
    eventually("the watch fails", TIMEOUT, async || {
        Ok(watched.has_error(|error| error.status().is_none()).then_some(()))
    })
    .await?;
    second.start().await?;
    watched.wait_until_equal(&maps).await
}

async fn store_converges_after_etcd_is_paused(env: Env) -> Outcome {
    let maps = create_initial_maps(&env).await?;
    let watched = WatchedStore::start(maps.clone(), Config::default()).await?;
    let etcd = env.cluster()?.etcd();
    etcd.pause().await?;
    let started = Instant::now();
    let resume = async {
        sleep(Duration::from_secs(10)).await;
        etcd.resume().await
    };
    // The write waits for etcd, and succeeds after etcd resumes.
    let (made, resumed) = futures::join!(create_map(&maps, "during"), resume);
    resumed?;
    check!(
        started.elapsed() >= Duration::from_secs(10),
        "the response arrived after {:?}",
        started.elapsed()
    );
    made?;
    change_maps(&maps).await?;
    watched.wait_until_equal(&maps).await?;
    check_eq!(watched.reader.len(), 3);
    Ok(())
}

async fn store_converges_after_the_proxy_switches_api_servers(env: Env) -> Outcome {
    let maps = create_initial_maps(&env).await?;
    let proxy = env.cluster()?.start_proxy().await?;
    let watched = WatchedStore::start(maps_at(&env, &proxy.url())?, Config::default()).await?;
    let (first, second) = first_two_servers(&env)?;
    proxy.redirect_to(second);
    change_maps(&maps).await?;
    watched.wait_until_equal(&maps).await?;
    // The proxy switches back and forth while objects change.
    for n in 0..6 {
        proxy.redirect_to(if n % 2 == 0 { first } else { second });
        create_map(&maps, &format!("m{n}")).await?;
        sleep(Duration::from_millis(300)).await;
    }
    maps.delete("m0", &DeleteParams::default()).await?;
    watched.wait_until_equal(&maps).await?;
    check_eq!(watched.reader.len(), 7);
    Ok(())
}

async fn reflector_converges_after_an_api_server_is_killed(env: Env) -> Outcome {
    let maps = create_initial_maps(&env).await?;
    let config = Config::default().labels("topic=disruption");
    let mut reflector = Reflector::with_config(maps.clone(), config).timeout(Duration::from_secs(3));
    reflector.poll().await?;
    check_eq!(reflector.read().len(), 2);
    let (first, second) = first_two_servers(&env)?;
    first.kill().await?;
    change_maps(&maps_at(&env, &second.url())?).await?;
    // The client retries a failed request, possibly for longer than one poll. The loop ends when a poll returns the
    // error.
    let mut polls = 0;
    let error = loop {
        polls += 1;
        check!(polls < 10, "no poll reports the killed server");
        if let Err(error) = reflector.poll().await {
            break error;
        }
    };
    check!(error.status().is_none(), "{error:?}");
    check_eq!(reflector.read().len(), 2);
    first.start().await?;
    let reader = reflector.store();
    poll_reflector_until(&mut reflector, wait_until_converged(&reader, &maps, &topic_params(), TIMEOUT)).await
}

async fn store_converges_after_permission_is_revoked_and_granted(env: Env) -> Outcome {
    let maps = create_initial_maps(&env).await?;
    let client = robot_client(&env).await?;
    grant_read(&env).await?;
    let robot_maps: Api<ConfigMap> = Api::default_namespaced(client);
    // A server authorizes a watch only when the watch opens. Short watches make the server authorize again soon.
    let watched = WatchedStore::start(robot_maps, Config::default().timeout(Duration::from_secs(2))).await?;
    check_eq!(watched.reader.len(), 2);
    revoke_read(&env).await?;
    eventually("the watch is refused", TIMEOUT, async || {
        let refused =
            |error: &watcher::Error| error.status().is_some_and(kube_client::core::Status::is_forbidden);
        Ok(watched.has_error(refused).then_some(()))
    })
    .await?;
    change_maps(&maps).await?;
    check_eq!(watched.reader.len(), 2);
    grant_read(&env).await?;
    watched.wait_until_equal(&maps).await
}
