//! A watch through a proxy that closes each connection after a fixed time. Load balancers also close idle
//! connections.

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

use crate::case::{Need, suite};
use crate::env::Env;
use crate::failure::{Outcome, check, check_eq};
use crate::support::labelled_config_map;

suite!("closed_connections":
    a_watch_resumes_without_a_relist_after_its_idle_connection_closes,
);

/// The time after which the proxy closes a connection. It is long enough for the watcher to treat the watch as healthy
/// and reset its backoff.
const CONNECTION_LIFETIME: Duration = Duration::from_secs(11);

/// A TCP proxy that closes each connection after [`CONNECTION_LIFETIME`].
struct Proxy {
    port: u16,
    accepted: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Proxy {
    /// Starts a proxy to `port` of `host`.
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
                connections.spawn(timeout(CONNECTION_LIFETIME, async move {
                    let mut server = TcpStream::connect((host.as_str(), port)).await?;
                    copy_bidirectional(&mut client, &mut server).await
                }));
            }
        });
        Ok(Self { port: own, accepted, task })
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn a_watch_resumes_without_a_relist_after_its_idle_connection_closes(env: Env) -> Outcome {
    let mut config = env.config();
    let host = config.cluster_url.host().context("the cluster URL has no host")?.to_owned();
    let port = config.cluster_url.port_u16().unwrap_or(443);
    let proxy = Proxy::start(host.trim_matches(['[', ']']).to_owned(), port).await?;
    config.tls_server_name.get_or_insert(host);
    config.cluster_url = format!("https://127.0.0.1:{}", proxy.port).parse()?;
    let proxied: Api<ConfigMap> = Api::default_namespaced(Client::try_from(config)?);
    let mut items = watcher(proxied, Config::default().labels("topic=cuts")).boxed();

    let (mut inits, mut errors) = (0, 0);
    while errors < 3 {
        match timeout(CONNECTION_LIFETIME * 3, items.next()).await?.context("the watch stream has ended")? {
            Ok(Event::Init) => inits += 1,
            Ok(Event::InitDone) => {}
            Ok(event) => check!(false, "unexpected event {event:?}: no object has changed"),
            Err(error) => {
                check!(error.status().is_none(), "{error:?}");
                errors += 1;
            }
        }
    }
    // The client opened one connection for each watch. This shows that no request failed, and that no
    // connection closed too early. Without WatchList, the initial list needs a further connection, because
    // calls and watches do not share connections.
    let lists = usize::from(env.server().unmet_need_reason(Need::WatchList).is_some());
    check_eq!(proxy.accepted.load(Ordering::Relaxed), errors + lists);
    env.api::<ConfigMap>().create(&PostParams::default(), &labelled_config_map("a", "topic", "cuts")).await?;
    let next =
        timeout(CONNECTION_LIFETIME * 3, items.next()).await?.context("the watch stream has ended")??;
    check!(matches!(&next, Event::Apply(map) if map.name_any() == "a"), "{next:?}");
    // Without WatchList, the watcher emits `Init` for the refused streaming list and for the list after it.
    check_eq!(inits, 1 + lists);
    Ok(())
}
