//! When the checks of a monitor are run.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use seawall_core::deadline;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use crate::check::Check;
use crate::checks::Shared;
use crate::graph::waves;

/// Runs a check at its interval, until it is removed or the checks are started again.
pub(crate) async fn keep_running(shared: Arc<Shared>, check: Arc<Check>, round: u64) {
    let mut was_blocked = false;
    let is_current = || shared.is_current(round) && !check.is_removed();
    while is_current() {
        if shared.because_of(&check).is_none() {
            shared.run(&check).await;
        }
        let ended = Instant::now();
        let unit = fastrand::f64();
        loop {
            // Made before the questions, so that no change falls in between.
            let changed = shared.changed();
            if !is_current() {
                return;
            }
            let is_blocked = shared.because_of(&check).is_some();
            if !is_blocked && std::mem::take(&mut was_blocked) {
                // What it depends on is better: is it, too?
                break;
            }
            was_blocked |= is_blocked;
            let next = deadline(ended, check.config().pause(unit));
            if timeout_at(next, changed).await.is_err() {
                break;
            }
        }
    }
}

/// Polls every future until all have ended: at each wake all that are left, which is little work
/// for as many checks as one process has.
struct All<'a>(Vec<Option<BoxedRun<'a>>>);

type BoxedRun<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// Runs the checks that `is_meant` accepts: all at once, but each after those that it depends on, and
/// not at all while one of these is unhealthy.
pub(crate) async fn run_all(shared: &Shared, is_meant: impl Fn(&Check) -> bool) {
    let checks = shared.checks();
    let nodes: Vec<_> = checks.iter().map(|check| check.node()).collect();
    for wave in waves(&nodes) {
        let of_wave = wave.iter().filter_map(|at| checks.get(*at));
        let meant = of_wave.filter(|check| is_meant(check) && shared.because_of(check).is_none());
        let run = async |check: &Arc<Check>| {
            shared.run(check).await;
        };
        let runs = meant.map(|check| Some(Box::pin(run(check)) as BoxedRun<'_>));
        All(runs.collect()).await;
    }
}

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
    pub(crate) const fn new(tasks: Vec<JoinHandle<()>>) -> Self {
        Self { tasks }
    }

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
