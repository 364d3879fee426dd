//! One named check: how it is run and what is known of it.

use std::any::Any;
use std::future::Future;
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use seawall_core::{EventKind, EventSource, InstanceName};
use tokio::time::Instant;

use crate::threshold::{Threshold, Verdict};
use crate::{CheckConfig, CheckReport, CheckResult, Status};

type Running = Pin<Box<dyn Future<Output = CheckResult> + Send>>;

pub(crate) struct Check {
    name: InstanceName,
    config: CheckConfig,
    observer: EventSource,
    begin: Box<dyn Fn() -> Running + Send + Sync>,
    state: Mutex<State>,
    /// Set under the lock of the state, so that nothing is recorded after it.
    removed: AtomicBool,
}

struct State {
    /// Counts the resets: what began before the last one is not recorded.
    era: u64,
    threshold: Threshold,
    since: Instant,
    message: Option<String>,
    /// When the last run that was recorded had begun.
    begun: Option<Instant>,
    took: Option<Duration>,
    runs: u64,
    failures: u64,
}

impl State {
    fn new(config: &CheckConfig, era: u64) -> Self {
        Self {
            era,
            threshold: Threshold::new(
                config.failures_to_unhealthy(),
                config.successes_to_recover(),
            ),
            since: Instant::now(),
            message: None,
            begun: None,
            took: None,
            runs: 0,
            failures: 0,
        }
    }
}

impl Check {
    pub(crate) fn new<F, Fut>(
        monitor: InstanceName,
        name: InstanceName,
        config: CheckConfig,
        check: F,
    ) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output: Into<CheckResult>> + Send + 'static,
    {
        Self {
            name,
            config,
            observer: EventSource::new("health_check", format!("{monitor}.{name}")),
            begin: Box::new(move || {
                let check = check();
                Box::pin(async move { check.await.into() })
            }),
            state: Mutex::new(State::new(&config, 0)),
            removed: AtomicBool::new(false),
        }
    }

    pub(crate) const fn name(&self) -> InstanceName {
        self.name
    }

    pub(crate) const fn config(&self) -> &CheckConfig {
        &self.config
    }

    pub(crate) const fn observer(&self) -> &EventSource {
        &self.observer
    }

    pub(crate) fn remove(&self) {
        let _state = self.lock();
        self.removed.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_removed(&self) -> bool {
        self.removed.load(Ordering::Relaxed)
    }

    /// Runs the check once and records what it found. Dropped before the end, nothing is
    /// recorded; nor is anything if the check is reset or removed meanwhile.
    pub(crate) async fn run(&self) {
        let era = self.lock().era;
        let begun = Instant::now();
        let timeout = self.config.timeout();
        // The timeout only looks at the run: it is dropped here, where its panics are results.
        let mut run = Guarded(Stage::New(&*self.begin));
        let mut found = match tokio::time::timeout(timeout, &mut run).await {
            Ok(Ok(found)) => found,
            Ok(Err(panic)) => panicked(panic),
            Err(_) => CheckResult::failed(format!("no answer within {timeout:?}")),
        };
        if let Err(panic) = run.end() {
            found = panicked(panic);
        }
        let took = Instant::now().saturating_duration_since(begun);
        self.record(era, begun, took, self.with_slowness(found, took));
    }

    fn with_slowness(&self, found: CheckResult, took: Duration) -> CheckResult {
        let slow_after = self.config.slow_after();
        if found.verdict == Some(Verdict::Passed) && took > slow_after {
            return CheckResult::degraded(format!("took {took:?}, slow after {slow_after:?}"));
        }
        found
    }

    fn record(&self, era: u64, begun: Instant, took: Duration, found: CheckResult) {
        let changed = {
            let mut state = self.lock();
            if self.is_removed() || state.era != era {
                return;
            }
            // A run that began before one that is recorded already is old news.
            if state.begun.is_some_and(|last| begun < last) {
                return;
            }
            state.begun = Some(begun);
            state.took = Some(took);
            state.runs += 1;
            state.failures += u64::from(found.is_failure());
            state.message = found.message;
            let changed = found.verdict.and_then(|verdict| {
                let reason = match verdict {
                    Verdict::Passed => "passed",
                    Verdict::Degraded => "degraded",
                    Verdict::Failed => "failures_in_a_row",
                };
                let before = state.threshold.observe(verdict)?;
                Some((before, state.threshold.status(), reason))
            });
            if changed.is_some() {
                state.since = Instant::now();
            }
            changed
        };
        if let Some((from, to, reason)) = changed {
            self.observer.emit(|| EventKind::Transition {
                from: from.as_str(),
                to: to.as_str(),
                reason,
            });
        }
    }

    pub(crate) fn reset(&self) {
        let mut state = self.lock();
        *state = State::new(&self.config, state.era.wrapping_add(1));
    }

    pub(crate) fn status(&self) -> Status {
        self.lock().threshold.status()
    }

    pub(crate) fn report(&self) -> CheckReport {
        let state = self.lock();
        CheckReport {
            name: self.name,
            depth: self.config.depth(),
            critical: self.config.critical(),
            status: state.threshold.status(),
            since: state.since,
            message: state.message.clone(),
            consecutive_failures: state.threshold.failures(),
            consecutive_successes: state.threshold.successes(),
            last_run: state.begun,
            took: state.took,
            runs: state.runs,
            failures: state.failures,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

type Panic = Box<dyn Any + Send>;

/// A run of a check whose panics are results. The check is begun at the first poll, so that a
/// panic in making its future is caught too, as is one in dropping it.
struct Guarded<'a>(Stage<'a>);

enum Stage<'a> {
    New(&'a (dyn Fn() -> Running + Send + Sync)),
    Running(Running),
    Over,
}

impl Guarded<'_> {
    /// Drops the run, wherever it is.
    fn end(&mut self) -> Result<(), Panic> {
        let run = std::mem::replace(&mut self.0, Stage::Over);
        catch_unwind(AssertUnwindSafe(|| drop(run)))
    }
}

impl Drop for Guarded<'_> {
    fn drop(&mut self) {
        // Of a run that was given up; there is nobody to tell.
        if let Err(panic) = self.end() {
            discard(panic);
        }
    }
}

impl Future for Guarded<'_> {
    type Output = Result<CheckResult, Panic>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let stage = &mut self.0;
        // What a panic leaves behind is dropped and never polled again.
        let polled = catch_unwind(AssertUnwindSafe(|| {
            if let Stage::New(begin) = stage {
                *stage = Stage::Running(begin());
            }
            match stage {
                Stage::Running(running) => running.as_mut().poll(cx),
                Stage::New(_) | Stage::Over => Poll::Pending,
            }
        }));
        match polled {
            Ok(poll) => poll.map(Ok),
            Err(panic) => Poll::Ready(Err(panic)),
        }
    }
}

fn panicked(panic: Panic) -> CheckResult {
    let found = CheckResult::failed(format!("the check panicked: {}", said(&*panic)));
    discard(panic);
    found
}

/// Drops what a panic carries, which may panic in its turn.
fn discard(panic: Panic) {
    if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(panic))) {
        // This has to end somewhere.
        let _leaked = ManuallyDrop::new(again);
    }
}

fn said(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}
