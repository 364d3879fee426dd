//! The monitor: checks by name, run at an interval or on demand.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use std::task::{Context, Poll};

use seawall_core::{AlreadyRegistered, EventKind, EventSource, Events, InstanceName, deadline};
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use crate::check::Check;
use crate::{
    CheckConfig, CheckReport, CheckResult, Depth, HealthHandle, HealthReport, Status, aggregate,
};

/// Named checks and the status of the whole. Clones share.
///
/// Register the checks, then [`start`](Self::start) them or [`run`](Self::run) them on demand. A
/// check that panics has failed, and so has one that takes longer than its timeout; neither
/// disturbs the others.
///
/// ```
/// use seawall_health::{CheckConfig, Depth, HealthMonitor, Status};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let monitor = HealthMonitor::new("desk");
/// monitor.register("broker", CheckConfig::default(), || async { Ok::<(), String>(()) }).unwrap();
/// let report = monitor.run(Depth::Shallow).await;
/// assert_eq!(report.status, Status::Healthy);
///
/// let _monitoring = monitor.start(); // until it is dropped
/// # }
/// ```
#[derive(Clone)]
pub struct HealthMonitor {
    shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub(crate) observer: EventSource,
    events: OnceLock<Events>,
    checks: RwLock<Vec<Arc<Check>>>,
    /// The status of the whole as it was last told.
    told: Mutex<Status>,
    /// Counts the starts; tasks of an earlier one end.
    round: AtomicU64,
    /// Wakes the sleeping tasks to look whether they are still wanted.
    changed: Notify,
}

impl HealthMonitor {
    /// A monitor without checks; its status is unknown.
    pub fn new(name: impl Into<InstanceName>) -> Self {
        Self {
            shared: Arc::new(Shared {
                observer: EventSource::new("health_monitor", name),
                events: OnceLock::new(),
                checks: RwLock::default(),
                told: Mutex::default(),
                round: AtomicU64::new(0),
                changed: Notify::new(),
            }),
        }
    }

    /// The name of the monitor.
    pub fn name(&self) -> InstanceName {
        self.shared.observer.name()
    }

    /// Adds a check. Each run calls `check` and waits for what it finds: a [`CheckResult`], or a
    /// `Result`, a `bool` or `()` that becomes one.
    ///
    /// It is run on demand from now on, and at its interval from the next
    /// [`start`](Self::start). A name is kept for the life of the process, also when the check is
    /// removed: names come from a fixed set, not from users or addresses.
    ///
    /// # Errors
    ///
    /// [`AlreadyRegistered`] when there is a check of that name; it stays.
    pub fn register<F, Fut>(
        &self,
        name: impl Into<InstanceName>,
        config: CheckConfig,
        check: F,
    ) -> Result<(), AlreadyRegistered>
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output: Into<CheckResult>> + Send + 'static,
    {
        let name = name.into();
        let check = {
            let mut checks = self.write();
            if checks.iter().any(|c| c.name() == name) {
                return Err(AlreadyRegistered {
                    pattern: "health_check",
                    name,
                });
            }
            let check = Arc::new(Check::new(self.name(), name, config, check));
            checks.push(Arc::clone(&check));
            check
        };
        if let Some(events) = self.shared.events.get() {
            check.observer().attach(events);
        }
        self.shared.tell_overall();
        Ok(())
    }

    /// Adds what a [`HealthLayer`](crate::HealthLayer) observes as a passive check under the
    /// layer's name.
    ///
    /// The layer smooths over its window already, so 1 failure to unhealthy and 1 success to
    /// recover are sensible here; the depth in `config` is taken as passive.
    ///
    /// With too few calls in the window to judge by, a run finds nothing and its status stays
    /// what it was: an upstream that was down is not taken for healthy because nobody calls it
    /// any more. So it is unknown until there were calls, and the status of the whole does
    /// without it until then.
    ///
    /// # Errors
    ///
    /// [`AlreadyRegistered`] when there is a check of that name; it stays.
    pub fn register_layer(
        &self,
        layer: HealthHandle,
        config: CheckConfig,
    ) -> Result<(), AlreadyRegistered> {
        let config = config.with_depth(Depth::Passive);
        self.register(layer.name(), config, move || {
            std::future::ready(layer.finding())
        })
    }

    /// Removes a check; a run of it that is under way is not waited for, and not recorded. `false`
    /// when there is none of that name.
    pub fn remove(&self, name: &str) -> bool {
        let removed = {
            let mut checks = self.write();
            let at = checks.iter().position(|c| c.name().as_str() == name);
            at.map(|at| checks.remove(at))
        };
        if let Some(check) = &removed {
            check.remove();
            self.shared.changed.notify_waiters();
            self.shared.tell_overall();
        }
        removed.is_some()
    }

    /// Runs every check at its interval, the first time at once, until the returned guard is
    /// dropped.
    ///
    /// This spawns one task per check that is registered now. Started again, it takes over: the
    /// tasks of the earlier start end, those in the middle of a run after it. So does the task of
    /// a check that is removed.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime; an earlier start goes on then. On a runtime without time, the
    /// tasks panic.
    #[must_use = "monitoring stops when the guard is dropped"]
    pub fn start(&self) -> MonitorGuard {
        // First of all, since it may panic.
        let runtime = Handle::current();
        let round = self.shared.round.fetch_add(1, Ordering::Relaxed) + 1;
        self.shared.changed.notify_waiters();
        let tasks = self.checks().into_iter().map(|check| {
            let shared = Arc::clone(&self.shared);
            runtime.spawn(keep_running(shared, check, round))
        });
        MonitorGuard {
            tasks: tasks.collect(),
        }
    }

    /// Runs every check of up to `depth` now, all at once, and reports on all of them.
    ///
    /// It spawns nothing; dropped before its end, the checks that have ended are recorded.
    ///
    /// # Panics
    ///
    /// When it is polled outside of a tokio runtime with time enabled.
    pub async fn run(&self, depth: Depth) -> HealthReport {
        let checks = self.checks();
        let runs = checks
            .iter()
            .filter(|check| check.config().depth() <= depth)
            .map(|check| Some(Box::pin(self.shared.run(check)) as Pin<Box<_>>));
        All(runs.collect()).await;
        self.report()
    }

    /// Runs one check now; `None` when there is none of that name.
    ///
    /// # Panics
    ///
    /// When it is polled outside of a tokio runtime with time enabled.
    pub async fn run_check(&self, name: &str) -> Option<CheckReport> {
        let check = self
            .checks()
            .into_iter()
            .find(|c| c.name().as_str() == name)?;
        self.shared.run(&check).await;
        Some(check.report())
    }

    /// The status of the whole, from the last runs; see [`aggregate`].
    pub fn status(&self) -> Status {
        self.shared.aggregate()
    }

    /// What is known of all checks, from their last runs.
    pub fn report(&self) -> HealthReport {
        let checks: Vec<_> = self.checks().iter().map(|c| c.report()).collect();
        HealthReport {
            status: aggregate(checks.iter().map(|c| part(c.depth, c.critical, c.status))),
            checks,
        }
    }

    /// Forgets all results, those of runs that are under way too; every check is unknown until it
    /// is run again.
    pub fn reset(&self) {
        for check in self.checks() {
            check.reset();
        }
        self.shared.tell_overall();
    }

    /// Connects the monitor and its checks to `events`, also those registered later. The first
    /// connection stays.
    pub(crate) fn attach_to(&self, events: &Events) {
        if self.shared.observer.attach(events) {
            let _ = self.shared.events.set(events.clone());
            for check in self.checks() {
                check.observer().attach(events);
            }
        }
    }

    pub(crate) fn checks(&self) -> Vec<Arc<Check>> {
        self.shared.checks()
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, Vec<Arc<Check>>> {
        self.shared
            .checks
            .write()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    fn checks(&self) -> Vec<Arc<Check>> {
        self.checks
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    async fn run(&self, check: &Check) {
        check.run().await;
        self.tell_overall();
    }

    fn aggregate(&self) -> Status {
        // Not a copy of the list: the last reference to a removed check would be dropped here, and
        // with it what its user put into it, under the lock of who asks.
        let checks = self.checks.read().unwrap_or_else(PoisonError::into_inner);
        aggregate(checks.iter().map(|c| {
            let config = c.config();
            part(config.depth(), config.critical(), c.status())
        }))
    }

    /// Tells a change of the whole. Read under the lock, so that each change starts where the one
    /// before it ended. Told outside, since a listener may ask the monitor: two changes at the
    /// same moment may be told in either order.
    fn tell_overall(&self) {
        let (from, to) = {
            let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
            let to = self.aggregate();
            (std::mem::replace(&mut *told, to), to)
        };
        if from != to {
            self.observer.emit(|| EventKind::Transition {
                from: from.as_str(),
                to: to.as_str(),
                reason: "checks",
            });
        }
    }
}

/// What a check counts for in the whole. A passive one that has seen no calls yet says nothing: it
/// must not keep a service from being called for the first time.
fn part(depth: Depth, critical: bool, status: Status) -> (bool, Status) {
    let silent = depth == Depth::Passive && status == Status::Unknown;
    (critical && !silent, status)
}

async fn keep_running(shared: Arc<Shared>, check: Arc<Check>, round: u64) {
    let wanted = || shared.round.load(Ordering::Relaxed) == round && !check.is_removed();
    while wanted() {
        shared.run(&check).await;
        let next = deadline(Instant::now(), check.config().interval());
        loop {
            // Asked for before the question, so that no change falls in between.
            let changed = shared.changed.notified();
            if !wanted() {
                return;
            }
            if timeout_at(next, changed).await.is_err() {
                break;
            }
        }
    }
}

/// Polls every future until all have ended: at each wake all that are left, which is little work
/// for as many checks as one process has.
struct All<'a>(Vec<Option<Pin<Box<dyn Future<Output = ()> + Send + 'a>>>>);

impl Future for All<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut waiting = false;
        for slot in &mut self.0 {
            if let Some(run) = slot {
                if run.as_mut().poll(cx).is_ready() {
                    *slot = None;
                } else {
                    waiting = true;
                }
            }
        }
        if waiting {
            Poll::Pending
        } else {
            Poll::Ready(())
        }
    }
}

/// Keeps a monitor's checks running; dropped, it stops them, in the middle of a run too.
#[derive(Debug)]
pub struct MonitorGuard {
    tasks: Vec<JoinHandle<()>>,
}

impl MonitorGuard {
    /// How many of the tasks are still there.
    pub fn tasks(&self) -> usize {
        self.tasks.iter().filter(|t| !t.is_finished()).count()
    }
}

impl Drop for MonitorGuard {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl fmt::Debug for HealthMonitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let checks: Vec<_> = self.checks().iter().map(|c| c.name()).collect();
        f.debug_struct("HealthMonitor")
            .field("name", &self.name())
            .field("status", &self.status())
            .field("checks", &checks)
            .finish()
    }
}
