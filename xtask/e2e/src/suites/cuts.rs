//! Watch connections that a proxy closes, as load balancers do with idle connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Context;
use futures::StreamExt;
use k8s_openapi::api::core::v1::ConfigMap;
use kube_client::api::PostParams;
use kube_client::{Api, Client, ResourceExt};
use kube_runtime::watcher::{Config, Event, watcher};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

use crate::case::suite;
use crate::env::Env;
use crate::failure::{Outcome, check, check_eq};
use crate::support::labelled;

suite!("cuts":
    an_idle_watch_that_is_cut_resumes_without_a_relist,
);

/// The age at which the proxy closes a connection: enough for a watch to reset its backoff.
const AGE: Duration = Duration::from_secs(11);

/// A TCP proxy that cuts each connection at a certain age.
struct Cutter {
    port: u16,
    accepted: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Cutter {
    async fn start(host: String, port: u16) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let own = listener.local_addr()?.port();
        let accepted = Arc::new(AtomicUsize::new(0));
        let count = accepted.clone();
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((mut client, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::Relaxed);
                let host = host.clone();
                connections.spawn(timeout(AGE, async move {
                    let mut server = TcpStream::connect((host.as_str(), port)).await?;
                    copy_bidirectional(&mut client, &mut server).await
                }));
            }
        });
        Ok(Self { port: own, accepted, task })
    }
}

impl Drop for Cutter {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn an_idle_watch_that_is_cut_resumes_without_a_relist(env: Env) -> Outcome {
    let mut config = env.config();
    let host = config.cluster_url.host().context("the server has a host")?.to_owned();
    let port = config.cluster_url.port_u16().unwrap_or(443);
    let cutter = Cutter::start(host.trim_matches(['[', ']']).to_owned(), port).await?;
    config.tls_server_name.get_or_insert(host);
    config.cluster_url = format!("https://127.0.0.1:{}", cutter.port).parse()?;
    let through: Api<ConfigMap> = Api::default_namespaced(Client::try_from(config)?);
    let mut items = watcher(through, Config::default().labels("topic=cuts")).boxed();

    let (mut inits, mut cuts) = (0, 0);
    while cuts < 3 {
        match timeout(AGE * 3, items.next()).await?.context("the stream goes on")? {
            Ok(Event::Init) => inits += 1,
            Ok(Event::InitDone) => {}
            Ok(event) => check!(false, "{event:?} although nothing happens"),
            Err(error) => {
                check!(error.status().is_none(), "{error:?}");
                cuts += 1;
            }
        }
    }
    // Each watch was opened once: none was refused, and none was cut before its time.
    check_eq!(cutter.accepted.load(Ordering::Relaxed), cuts);
    env.api::<ConfigMap>().create(&PostParams::default(), &labelled("a", "topic", "cuts")).await?;
    let next = timeout(AGE * 3, items.next()).await?.context("the stream goes on")??;
    check!(matches!(&next, Event::Apply(map) if map.name_any() == "a"), "{next:?}");
    check_eq!(inits, 1);
    Ok(())
}
