//! One named check: how it is run and what is known of it.

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use seawall_core::{EventKind, EventSource, InstanceName};
use tokio::time::Instant;

use crate::counts::CheckCounters;
use crate::run::{Begin, Run, panicked};
use crate::threshold::{CheckOutcome, Threshold};
use crate::{CheckConfig, CheckCounts, CheckReport, CheckResult, Depth, Status};

pub(crate) struct Check {
    name: InstanceName,
    source: EventSource,
    begin: Begin,
    counters: CheckCounters,
    state: Mutex<State>,
    /// Set under the lock of the state, so that nothing is recorded after it.
    removed: AtomicBool,
}

struct State {
    config: CheckConfig,
    /// Counts the resets: what began before the last one is not recorded.
    generation: u64,
    threshold: Threshold,
    since: Instant,
    message: Option<String>,
    /// When the last run that was recorded had begun.
    begun: Option<Instant>,
    took: Option<Duration>,
}

impl State {
    fn new(config: CheckConfig, generation: u64) -> Self {
        Self {
            config,
            generation,
            threshold: Threshold::new(
                config.failures_to_unhealthy(),
                config.successes_to_recover(),
            ),
            since: Instant::now(),
            message: None,
            begun: None,
            took: None,
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
            source: EventSource::new("health_check", format!("{monitor}.{name}")),
            begin: Box::new(move || {
                let check = check();
                Box::pin(async move { check.await.into() })
            }),
            counters: CheckCounters::default(),
            state: Mutex::new(State::new(config, 0)),
            removed: AtomicBool::new(false),
        }
    }

    seawall_core::getters! {
        pub(crate) const fn name -> InstanceName;

        pub(crate) const fn source -> &EventSource;

        pub(crate) const fn counters -> &CheckCounters;
    }

    pub(crate) fn config(&self) -> CheckConfig {
        self.lock().config
    }

    pub(crate) fn configure(&self, config: CheckConfig) {
        let mut state = self.lock();
        state.config = config;
        state.threshold.set_limits(
            config.failures_to_unhealthy(),
            config.successes_to_recover(),
        );
    }

    pub(crate) fn remove(&self) {
        let _state = self.lock();
        self.removed.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_removed(&self) -> bool {
        self.removed.load(Ordering::Relaxed)
    }

    /// Runs the check once and records the result. Dropped before the end, nothing is recorded;
    /// nor is anything if the check is reset or removed meanwhile.
    pub(crate) async fn run(&self) {
        let (generation, config) = {
            let state = self.lock();
            (state.generation, state.config)
        };
        let begun = Instant::now();
        let timeout = config.timeout();
        // The timeout has only a reference to the run: it is dropped here, where its panics are
        // results.
        let mut run = Run::new(&self.begin);
        let mut result = match tokio::time::timeout(timeout, &mut run).await {
            Ok(Ok(result)) => result,
            Ok(Err(panic)) => panicked(panic),
            Err(_) => CheckResult::failed(format!("no result within {timeout:?}")),
        };
        if let Err(panic) = run.end() {
            result = panicked(panic);
        }
        let took = Instant::now().saturating_duration_since(begun);
        let slow_after = config.slow_after();
        if result.outcome == Some(CheckOutcome::Passed) && took > slow_after {
            result = CheckResult::degraded(format!("took {took:?}, slow after {slow_after:?}"));
        }
        self.record(generation, begun, took, result);
    }

    fn record(&self, generation: u64, begun: Instant, took: Duration, result: CheckResult) {
        let changed = {
            let mut state = self.lock();
            if self.is_removed() || state.generation != generation {
                return;
            }
            // A run that began before one that is recorded already is out of date.
            if state.begun.is_some_and(|last| begun < last) {
                return;
            }
            state.begun = Some(begun);
            state.took = Some(took);
            self.counters.runs.add();
            if result.is_failure() {
                self.counters.failure.add();
            }
            state.message = result.message;
            let changed = result.outcome.and_then(|outcome| {
                let before = state.threshold.observe(outcome)?;
                Some((before, state.threshold.status(), outcome.as_reason()))
            });
            if changed.is_some() {
                state.since = Instant::now();
            }
            changed
        };
        if let Some((from, to, reason)) = changed {
            self.source.emit(|| EventKind::Transition {
                from: from.as_str(),
                to: to.as_str(),
                reason,
            });
        }
    }

    pub(crate) fn reset(&self) {
        let mut state = self.lock();
        *state = State::new(state.config, state.generation.wrapping_add(1));
    }

    /// Whether it is critical for the aggregate status, and its status. A passive check that has
    /// seen no calls yet is not: it must not keep a service from being called for the first time.
    pub(crate) fn part(&self) -> (bool, Status) {
        let state = self.lock();
        let (config, status) = (&state.config, state.threshold.status());
        let silent = config.depth() == Depth::Passive && status == Status::Unknown;
        (config.critical() && !silent, status)
    }

    pub(crate) fn report(&self) -> CheckReport {
        let counts = CheckCounts::sum([&self.counters]);
        let state = self.lock();
        CheckReport {
            name: self.name,
            depth: state.config.depth(),
            critical: state.config.critical(),
            status: state.threshold.status(),
            since: state.since,
            message: state.message.clone(),
            consecutive_failures: state.threshold.failures(),
            consecutive_successes: state.threshold.successes(),
            last_run: state.begun,
            took: state.took,
            runs: counts.runs,
            failures: counts.failure,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
