//! Failures of API servers, etcd and permissions under running watches. Afterwards the store equals the server's list.

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

use super::auth::{allow, forbid, robot};
use crate::case::suite;
use crate::env::Env;
use crate::failure::{Outcome, check, check_eq};
use crate::support::{converges, eventually, labelled, polling};
use xtask_control_plane::ApiServer;

suite!("disruption":
    a_server_is_killed_and_started_again [Parts],
    a_server_ends_in_good_order_and_is_started_again [Parts],
    etcd_is_paused_for_ten_seconds [Parts],
    clients_are_moved_from_one_server_to_another [Parts],
    an_object_reflector_survives_a_killed_server [Parts],
    a_right_is_taken_away_in_the_middle_of_a_watch [Authorization],
);

const PATIENCE: Duration = Duration::from_secs(90);

fn topic() -> ListParams {
    ListParams::default().labels("topic=disruption")
}

async fn make(maps: &Api<ConfigMap>, name: &str) -> Outcome {
    maps.create(&PostParams::default(), &labelled(name, "topic", "disruption")).await?;
    Ok(())
}

/// Creates `new`, deletes `old` and patches `kept`. `old` and `kept` must exist.
async fn change(maps: &Api<ConfigMap>) -> Outcome {
    make(maps, "new").await?;
    maps.delete("old", &DeleteParams::default()).await?;
    let merge = Patch::Merge(json!({"data": {"v": "changed"}}));
    maps.patch("kept", &PatchParams::default(), &merge).await?;
    Ok(())
}

/// A store with a background task that feeds it, and the errors of the watcher.
struct Fed {
    reader: Store<ConfigMap>,
    errors: Arc<Mutex<Vec<watcher::Error>>>,
    feed: tokio::task::JoinHandle<()>,
}

impl Fed {
    /// Begins, and waits until the store is complete.
    async fn start(maps: Api<ConfigMap>, config: Config) -> Outcome<Self> {
        let (reader, writer) = store();
        let errors = Arc::new(Mutex::new(Vec::new()));
        let seen = errors.clone();
        let run = reflector(writer, watcher(maps, config.labels("topic=disruption"))).for_each(move |item| {
            if let Err(error) = item {
                seen.lock().unwrap_or_else(PoisonError::into_inner).push(error);
            }
            std::future::ready(())
        });
        let fed = Self { reader, errors, feed: tokio::spawn(run) };
        timeout(PATIENCE, fed.reader.wait_until_ready()).await??;
        Ok(fed)
    }

    /// Waits until the store equals what `maps` lists.
    async fn ends_equal(&self, maps: &Api<ConfigMap>) -> Outcome {
        converges(&self.reader, maps, &topic(), PATIENCE).await?;
        check!(!self.feed.is_finished());
        Ok(())
    }

    fn saw(&self, is_it: impl Fn(&watcher::Error) -> bool) -> bool {
        self.errors.lock().unwrap_or_else(PoisonError::into_inner).iter().any(is_it)
    }
}

impl Drop for Fed {
    fn drop(&mut self) {
        self.feed.abort();
    }
}

/// The config maps through the server at `url` instead of the kubeconfig's.
fn through(env: &Env, url: &str) -> Outcome<Api<ConfigMap>> {
    let mut config = env.config();
    config.cluster_url = url.parse()?;
    Ok(Api::default_namespaced(Client::try_from(config)?))
}

fn servers(env: &Env) -> Outcome<(&ApiServer, &ApiServer)> {
    match env.cluster()?.api_servers() {
        [first, second, ..] => Ok((first, second)),
        _ => Err(anyhow::anyhow!("the cluster has one API server only").into()),
    }
}

async fn begin(env: &Env) -> Outcome<Api<ConfigMap>> {
    let maps: Api<ConfigMap> = env.api();
    make(&maps, "kept").await?;
    make(&maps, "old").await?;
    Ok(maps)
}

async fn a_server_is_killed_and_started_again(env: Env) -> Outcome {
    let maps = begin(&env).await?;
    let fed = Fed::start(maps.clone(), Config::default()).await?;
    check_eq!(fed.reader.len(), 2);
    let (first, second) = servers(&env)?;
    first.kill().await?;
    change(&through(&env, &second.url())?).await?;
    // The watcher reports the connection error, and the store stays unchanged.
    eventually("the watch fails", PATIENCE, async || {
        Ok(fed.saw(|error| error.status().is_none()).then_some(()))
    })
    .await?;
    check!(fed.reader.find(|map| map.metadata.name.as_deref() == Some("old")).is_some());
    first.start().await?;
    fed.ends_equal(&maps).await
}

async fn a_server_ends_in_good_order_and_is_started_again(env: Env) -> Outcome {
    let maps = begin(&env).await?;
    // The second server, which the cluster's own controllers do not watch: it would wait for them to end for a minute.
    let (_, second) = servers(&env)?;
    let brief = Config::default().timeout(Duration::from_secs(2));
    let fed = Fed::start(through(&env, &second.url())?, brief).await?;
    let (stopped, changed) = futures::join!(second.stop(), change(&maps));
    stopped?;
    changed?;
    eventually("the watch fails", PATIENCE, async || {
        Ok(fed.saw(|error| error.status().is_none()).then_some(()))
    })
    .await?;
    second.start().await?;
    fed.ends_equal(&maps).await
}

async fn etcd_is_paused_for_ten_seconds(env: Env) -> Outcome {
    let maps = begin(&env).await?;
    let fed = Fed::start(maps.clone(), Config::default()).await?;
    let etcd = env.cluster()?.etcd();
    etcd.pause().await?;
    let begun = Instant::now();
    let resume = async {
        sleep(Duration::from_secs(10)).await;
        etcd.resume().await
    };
    // A write during the pause succeeds after etcd resumes.
    let (made, resumed) = futures::join!(make(&maps, "during"), resume);
    resumed?;
    check!(begun.elapsed() >= Duration::from_secs(10), "it answered after {:?}", begun.elapsed());
    made?;
    change(&maps).await?;
    fed.ends_equal(&maps).await?;
    check_eq!(fed.reader.len(), 3);
    Ok(())
}

async fn clients_are_moved_from_one_server_to_another(env: Env) -> Outcome {
    let maps = begin(&env).await?;
    let switch = env.cluster()?.switch().await?;
    let fed = Fed::start(through(&env, &switch.url())?, Config::default()).await?;
    let (first, second) = servers(&env)?;
    switch.lead_to(second);
    change(&maps).await?;
    fed.ends_equal(&maps).await?;
    // Back and forth while things change.
    for n in 0..6 {
        switch.lead_to(if n % 2 == 0 { first } else { second });
        make(&maps, &format!("m{n}")).await?;
        sleep(Duration::from_millis(300)).await;
    }
    maps.delete("m0", &DeleteParams::default()).await?;
    fed.ends_equal(&maps).await?;
    check_eq!(fed.reader.len(), 7);
    Ok(())
}

async fn an_object_reflector_survives_a_killed_server(env: Env) -> Outcome {
    let maps = begin(&env).await?;
    let config = Config::default().labels("topic=disruption");
    let mut reflector = Reflector::with_config(maps.clone(), config).timeout(Duration::from_secs(3));
    reflector.poll().await?;
    check_eq!(reflector.read().len(), 2);
    let (first, second) = servers(&env)?;
    first.kill().await?;
    change(&through(&env, &second.url())?).await?;
    // The client tries for a while, which may be longer than a poll.
    let mut polls = 0;
    let error = loop {
        polls += 1;
        check!(polls < 10, "nothing is told of a dead server");
        if let Err(error) = reflector.poll().await {
            break error;
        }
    };
    check!(error.status().is_none(), "{error:?}");
    check_eq!(reflector.read().len(), 2);
    first.start().await?;
    let reader = reflector.store();
    polling(&mut reflector, converges(&reader, &maps, &topic(), PATIENCE)).await
}

async fn a_right_is_taken_away_in_the_middle_of_a_watch(env: Env) -> Outcome {
    let maps = begin(&env).await?;
    let client = robot(&env).await?;
    allow(&env).await?;
    let theirs: Api<ConfigMap> = Api::default_namespaced(client);
    // The API server authorizes a watch only when it is opened. Short watches are reopened soon after the change.
    let fed = Fed::start(theirs, Config::default().timeout(Duration::from_secs(2))).await?;
    check_eq!(fed.reader.len(), 2);
    forbid(&env).await?;
    eventually("the watch is refused", PATIENCE, async || {
        let refused =
            |error: &watcher::Error| error.status().is_some_and(kube_client::core::Status::is_forbidden);
        Ok(fed.saw(refused).then_some(()))
    })
    .await?;
    change(&maps).await?;
    check_eq!(fed.reader.len(), 2);
    allow(&env).await?;
    fed.ends_equal(&maps).await
}
