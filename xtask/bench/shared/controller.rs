//! The rows that measure a controller of `Widget`s: the time to the first reconcile, and reconciles that do nothing.
//! `CountingController` serves other rows, too.

use std::convert::Infallible;
use std::fmt::Debug;
use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::StreamExt;
use serde::de::DeserializeOwned;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;

use super::store::{ListStrategy, digest_of_store};
use super::widget::Widget;
use super::{Control, Job, Measure, Outcome};
use crate::library::{Action, Api, Controller, Resource, Store};

/// Counts reconciles, and notifies a waiter when the count reaches a goal.
#[derive(Debug, Default)]
pub(crate) struct Counter {
    reconciled: AtomicUsize,
    /// The count at which `reached` is notified.
    goal: AtomicUsize,
    reached: Notify,
}

impl Counter {
    /// Waits until `goal` reconciles have run since the start of the controller.
    pub(crate) async fn wait_for(&self, goal: usize) {
        self.goal.store(goal, Ordering::SeqCst);
        while self.reconciled.load(Ordering::SeqCst) < goal {
            self.reached.notified().await;
        }
    }
}

/// A running controller whose reconciler only counts. Dropping this handle aborts the controller's task.
pub(crate) struct CountingController {
    pub(crate) counter: Arc<Counter>,
    task: JoinHandle<()>,
}

impl Drop for CountingController {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl CountingController {
    /// Runs `controller` in a new task, with a reconciler that only counts.
    pub(crate) fn start<K>(controller: Controller<K>) -> Self
    where
        K: Resource + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
        K::DynamicType: Eq + Hash + Clone + Debug + Unpin + Send + Sync + 'static,
    {
        let counter = Arc::new(Counter::default());
        let reconcile = |_: Arc<K>, counter: Arc<Counter>| async move {
            let done = counter.reconciled.fetch_add(1, Ordering::SeqCst) + 1;
            if done == counter.goal.load(Ordering::SeqCst) {
                counter.reached.notify_one();
            }
            Ok::<_, Infallible>(Action::await_change())
        };
        let results = controller.run(reconcile, |_, never: &Infallible, _| match *never {}, counter.clone());
        let task = tokio::spawn(results.for_each(|_| std::future::ready(())));
        Self { counter, task }
    }
}

/// A running controller of `Widget`s.
struct WidgetController {
    running: CountingController,
    store: Store<Widget>,
    /// Each message makes the controller reconcile all objects.
    again: mpsc::UnboundedSender<()>,
}

/// Starts a controller of `Widget`s with a paginated initial list. Each message to `again` makes the controller reconcile
/// all objects.
fn start_controller(job: &Job) -> anyhow::Result<WidgetController> {
    let widgets: Api<Widget> = Api::all(job.client()?);
    let (again, mut requests) = mpsc::unbounded_channel();
    let requests = futures::stream::poll_fn(move |context| requests.poll_recv(context));
    let controller = Controller::new(widgets, ListStrategy::List.config()).reconcile_all_on(requests);
    let store = controller.store();
    Ok(WidgetController { running: CountingController::start(controller), store, again })
}

/// Measures from the start of the controller to its first reconcile.
pub(crate) async fn measure_first_reconcile(job: &Job) -> anyhow::Result<Outcome> {
    let measured = Measure::start()?;
    let widgets = start_controller(job)?;
    widgets.running.counter.wait_for(1).await;
    let measure = measured.stop()?;
    let digest = digest_of_store(&widgets.store)?;
    Ok(Outcome::new(1, &measure).digest(digest))
}

/// Measures repeated reconciles of all objects, after the store is complete.
pub(crate) async fn measure_reconciles(job: &Job) -> anyhow::Result<Outcome> {
    let WidgetController { running, store, again } = start_controller(job)?;
    Control::for_job(job).wait_for_watches(1).await?;
    let objects = store.state().len();
    let mut goal = objects;
    running.counter.wait_for(goal).await;
    let rounds = job.calls.div_ceil(objects.max(1));
    let measured = Measure::start()?;
    for _ in 0..rounds {
        goal += objects;
        again.send(())?;
        running.counter.wait_for(goal).await;
    }
    let measure = measured.stop()?;
    let done = running.counter.reconciled.load(Ordering::SeqCst);
    anyhow::ensure!(done == goal, "{done} reconciles instead of {goal}");
    Ok(Outcome::new(rounds * objects, &measure).digest(digest_of_store(&store)?))
}
