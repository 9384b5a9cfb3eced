//! Churn: four controllers run on two shared informers. Meanwhile, writers change objects or delete and create them again,
//! and some requests fail.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::anyhow;
use futures::future::{Either, join_all, select};
use futures::stream::{self, StreamExt, TryStreamExt};
use k8s_openapi::api::networking::v1::{Ingress, NetworkPolicy};
use kube_client::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube_client::core::{ApiResource, DynamicObject, NamespaceResourceScope};
use kube_client::{Api, Resource, ResourceExt};
use kube_runtime::Controller;
use kube_runtime::controller::{Action, Changes, backoff_on_error, own};
use kube_runtime::informer::SharedInformers;
use kube_runtime::watcher::Config;
use kube_sim::Sim;
use kube_sim::fault::{self, Rule};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use crate::case::suite;
use crate::env::Env;
use crate::failure::{Outcome, check, check_eq};
use crate::support::eventually;

suite!("churn":
    four_controllers_reconcile_the_last_generation_of_each_object [History],
);

/// The time limit of each wait.
const TIMEOUT: Duration = Duration::from_secs(90);
/// The number of concurrent writers.
const WRITER_COUNT: usize = 16;
/// The selector of the objects of this suite.
const LABEL_SELECTOR: &str = "topic=churn";

/// The record of the reconciles of one controller.
#[derive(Default)]
struct Ledger {
    keys: Mutex<HashMap<String, KeyState>>,
    violations: Mutex<Vec<String>>,
    count: AtomicUsize,
}

/// The state of the reconciles of one key.
#[derive(Default)]
struct KeyState {
    is_running: bool,
    /// The uid and the generation of the object in the last successful reconcile.
    last: (String, i64),
}

impl Ledger {
    fn keys(&self) -> MutexGuard<'_, HashMap<String, KeyState>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records the start of a reconcile.
    fn begin_reconcile(self: &Arc<Self>, key: String) -> RunningReconcile {
        self.count.fetch_add(1, Ordering::SeqCst);
        let was_running =
            std::mem::replace(&mut self.keys().entry(key.clone()).or_default().is_running, true);
        if was_running {
            let mut violations = self.violations.lock().unwrap_or_else(PoisonError::into_inner);
            violations.push(format!("two reconciles of {key} ran at once"));
        }
        RunningReconcile { ledger: self.clone(), key }
    }

    /// The keys of `expected` that are outdated. A key is up to date if no reconcile of the key is in flight, and the last
    /// successful reconcile had the expected uid and generation.
    fn outdated_keys(&self, expected: &HashMap<String, (String, i64)>) -> Vec<String> {
        let keys = self.keys();
        let differs = |(key, last): &(&String, &(String, i64))| {
            keys.get(*key).is_none_or(|known| known.is_running || known.last != **last)
        };
        expected.iter().filter(differs).map(|(key, _)| key.clone()).collect()
    }
}

/// A reconcile. Dropping this value records the end of the reconcile, even if the reconcile was cancelled.
struct RunningReconcile {
    ledger: Arc<Ledger>,
    key: String,
}

impl RunningReconcile {
    fn succeed(self, state: (String, i64)) {
        self.ledger.keys().entry(self.key.clone()).or_default().last = state;
    }
}

impl Drop for RunningReconcile {
    fn drop(&mut self) {
        if let Some(known) = self.ledger.keys().get_mut(&self.key) {
            known.is_running = false;
        }
    }
}

/// The error of a reconcile that fails at random.
#[derive(Debug, thiserror::Error)]
#[error("the reconcile fails at random")]
struct RandomFailure;

/// Records the reconcile in `ledger`, waits for up to 4 ms, and fails one time out of 20.
async fn reconcile<K: Resource>(object: Arc<K>, ledger: Arc<Ledger>) -> Result<Action, RandomFailure> {
    let running = ledger.begin_reconcile(object.name_any());
    sleep(Duration::from_micros(fastrand::u64(..4000))).await;
    if fastrand::u8(..20) == 0 {
        return Err(RandomFailure);
    }
    running.succeed(uid_and_generation(&*object));
    Ok(Action::await_change())
}

fn uid_and_generation<K: Resource>(object: &K) -> (String, i64) {
    (object.uid().unwrap_or_default(), object.meta().generation.unwrap_or_default())
}

/// A controller and its ledger. Dropping this value aborts the controller.
struct RunningController {
    ledger: Arc<Ledger>,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl RunningController {
    /// Starts a controller on the shared informer of `K`.
    fn start<K>(env: &Env, informers: &SharedInformers) -> Self
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
        K: DeserializeOwned + Send + Sync + 'static,
    {
        let informer = informers.informer(env.api::<K>(), Config::default().labels(LABEL_SELECTOR));
        let (store, changes) = Changes::shared(&informer);
        let (stop, stopped) = oneshot::channel::<()>();
        let ledger = Arc::new(Ledger::default());
        let results = Controller::from_source(store, changes.handle(own()))
            .graceful_shutdown_on(async { drop(stopped.await) })
            .run(reconcile::<K>, backoff_on_error, ledger.clone())
            .for_each(|_| std::future::ready(()));
        Self { ledger, stop: Some(stop), task: tokio::spawn(results) }
    }

    /// Shuts the controller down, and waits for its end.
    async fn shut_down(&mut self) -> Outcome {
        drop(self.stop.take());
        Ok(timeout(TIMEOUT, &mut self.task).await??)
    }
}

impl Drop for RunningController {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The objects that change: network policies and ingresses. Both kinds have a generation, and no built-in controller
/// changes their objects.
struct PoliciesAndIngresses {
    policies: Api<DynamicObject>,
    ingresses: Api<DynamicObject>,
    count: usize,
}

impl PoliciesAndIngresses {
    fn new(env: &Env, count: usize) -> Self {
        let api = |resource| Api::namespaced_with(env.client(), env.namespace(), &resource);
        let policies = api(ApiResource::erase::<NetworkPolicy>(&()));
        Self { policies, ingresses: api(ApiResource::erase::<Ingress>(&())), count }
    }

    /// The collection and the name of an object, and its spec in this round.
    fn target(&self, object: usize, round: usize) -> (&Api<DynamicObject>, String, Value) {
        if object.is_multiple_of(2) {
            let spec = json!({"podSelector": {"matchLabels": {"round": round.to_string()}}});
            return (&self.policies, format!("policy-{object}"), spec);
        }
        let service = json!({"name": "web", "port": {"number": 1 + round % 60_000}});
        (&self.ingresses, format!("ingress-{object}"), json!({"defaultBackend": {"service": service}}))
    }

    async fn create(&self, object: usize) -> kube_client::Result<()> {
        let (api, name, spec) = self.target(object, 0);
        let new = DynamicObject::new(&name, &ApiResource::erase::<NetworkPolicy>(&()));
        let mut new = DynamicObject { types: None, ..new }.data(json!({"spec": spec}));
        new.labels_mut().insert("topic".to_owned(), "churn".to_owned());
        api.create(&PostParams::default(), &new).await.map(drop)
    }

    /// Changes the spec or the metadata of a random object, or deletes the object and creates it again.
    async fn change_random_object(&self, round: usize) -> kube_client::Result<()> {
        let object = fastrand::usize(..self.count);
        let (api, name, spec) = self.target(object, round);
        let patch = match round % 10 {
            0 => {
                api.delete(&name, &DeleteParams::default()).await?;
                return self.create(object).await;
            }
            1 => json!({"metadata": {"annotations": {"round": round.to_string()}}}),
            _ => json!({"spec": spec}),
        };
        api.patch(&name, &PatchParams::default(), &Patch::Merge(patch)).await.map(drop)
    }

    /// Changes objects until `end`. Returns the number of changes. A failed change is not repeated.
    async fn change_until(&self, end: Instant) -> usize {
        let (rounds, changes) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let write = async || {
            while Instant::now() < end {
                let round = rounds.fetch_add(1, Ordering::SeqCst);
                match timeout(Duration::from_secs(2), self.change_random_object(round)).await {
                    Ok(Ok(())) => drop(changes.fetch_add(1, Ordering::SeqCst)),
                    Ok(Err(_)) | Err(_) => sleep(Duration::from_millis(20)).await,
                }
            }
        };
        join_all((0..WRITER_COUNT).map(|_| write())).await;
        changes.into_inner()
    }

    /// The uid and the generation of each object, by its name.
    async fn uids_and_generations(&self) -> Outcome<HashMap<String, (String, i64)>> {
        let mut states = HashMap::new();
        for api in [&self.policies, &self.ingresses] {
            let list = api.list_metadata(&ListParams::default().labels(LABEL_SELECTOR)).await?;
            states.extend(list.items.iter().map(|object| (object.name_any(), uid_and_generation(object))));
        }
        Ok(states)
    }
}

/// Delays requests and makes requests fail, again and again, until the caller drops the returned future. With kube-sim, this
/// function adds fault rules, compacts the history and ends watches. With a cluster, this function kills and restarts an
/// API server.
async fn disturb_server(env: &Env, disturbances: &AtomicUsize) -> Outcome<std::convert::Infallible> {
    loop {
        sleep(Duration::from_secs(1)).await;
        let number = disturbances.fetch_add(1, Ordering::SeqCst);
        if let Some(sim) = env.server().simulation() {
            disturb_simulation(sim, env.namespace(), number);
            continue;
        }
        let server = &env.cluster()?.api_servers()[0];
        server.kill().await?;
        sleep(Duration::from_secs(1)).await;
        server.start().await?;
    }
}

fn disturb_simulation(sim: &Sim, namespace: &str, number: usize) {
    use fault::Action;
    let rule = |action, times| Rule::new(action).namespace(namespace).times(times);
    let watches = |action| rule(action, 2).verb("watch");
    let rules = match number % 7 {
        0 => vec![watches(Action::Reset)],
        1 => vec![watches(Action::CutAfterEvents(5))],
        2 => vec![rule(Action::status(503), 2).verb("list"), watches(Action::status(410))],
        3 => vec![rule(Action::status(429), 20).verb("patch")],
        4 => vec![rule(Action::Delay(Duration::from_millis(300)), 50)],
        5 => vec![watches(Action::CloseAfterEvents(1)), rule(Action::ResetAfterHandling, 5).verb("patch")],
        _ => Vec::new(),
    };
    for rule in rules {
        sim.faults().add(rule);
    }
    if number % 3 == 2 {
        sim.compact_all();
    }
    sim.end_watches();
}

async fn four_controllers_reconcile_the_last_generation_of_each_object(env: Env) -> Outcome {
    let scale = env.server().churn();
    let objects = PoliciesAndIngresses::new(&env, scale.objects);
    let informers = SharedInformers::default();
    let mut controllers = [
        RunningController::start::<NetworkPolicy>(&env, &informers),
        RunningController::start::<NetworkPolicy>(&env, &informers),
        RunningController::start::<Ingress>(&env, &informers),
        RunningController::start::<Ingress>(&env, &informers),
    ];
    stream::iter(0..scale.objects)
        .map(|object| objects.create(object))
        .buffer_unordered(WRITER_COUNT)
        .try_for_each(async |()| Ok(()))
        .await?;

    let disturbances = AtomicUsize::new(0);
    let end = Instant::now() + scale.duration;
    let churn = std::pin::pin!(objects.change_until(end));
    let changes = match select(churn, std::pin::pin!(disturb_server(&env, &disturbances))).await {
        Either::Left((changes, _)) => changes,
        Either::Right((failed, _)) => match failed? {},
    };
    env.server().restart_components().await?;
    let disturbances = disturbances.into_inner();
    check!(changes > 0 && disturbances > 0, "{changes} changes, {disturbances} disturbances");

    let states = objects.uids_and_generations().await?;
    let (policies, ingresses): (HashMap<_, _>, HashMap<_, _>) =
        states.into_iter().partition(|(name, _)| name.starts_with("policy-"));
    check!(policies.len() + ingresses.len() > scale.objects / 2);
    for (controller, expected) in controllers.iter().zip([&policies, &policies, &ingresses, &ingresses]) {
        eventually("each object's last generation is reconciled", TIMEOUT, async || {
            let differing = controller.ledger.outdated_keys(expected);
            if differing.is_empty() {
                return Ok(Some(()));
            }
            Err(anyhow!("{} objects differ, such as {:?}", differing.len(), differing.first()))
        })
        .await?;
    }

    for controller in &mut controllers {
        controller.shut_down().await?;
    }
    let counts = || controllers.each_ref().map(|controller| controller.ledger.count.load(Ordering::SeqCst));
    let before = counts();
    let end = Instant::now() + Duration::from_secs(1);
    check!(objects.change_until(end).await > 0);
    check_eq!(counts(), before);
    for controller in &controllers {
        let running: HashSet<_> = controller
            .ledger
            .keys()
            .iter()
            .filter(|(_, known)| known.is_running)
            .map(|(key, _)| key.clone())
            .collect();
        check!(running.is_empty(), "these run after the shutdown: {running:?}");
        let violations = controller.ledger.violations.lock().unwrap_or_else(PoisonError::into_inner).clone();
        check!(violations.is_empty(), "{violations:?}");
    }
    let reconciles: usize = before.iter().sum();
    println!(
        "{} objects, {changes} changes, {disturbances} disturbances, {reconciles} reconciles",
        scale.objects
    );
    Ok(())
}
