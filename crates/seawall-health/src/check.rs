//! One named check: how it is run and what is known of it.

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use seawall_core::InstanceName;
use tokio::time::Instant;

use crate::counts::CheckCounters;
use crate::graph::Node;
use crate::history::History;
use crate::run::{Begin, Run, panicked};
use crate::threshold::{CheckOutcome, Threshold};
use crate::{CheckConfig, CheckCounts, CheckReport, CheckResult, Depth, Status};

pub(crate) struct Check {
    name: InstanceName,
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
    history: History,
    depends_on: Arc<[InstanceName]>,
    since: Instant,
    message: Option<String>,
    /// When the last run that was recorded had begun.
    begun: Option<Instant>,
    took: Option<Duration>,
}

impl State {
    fn new(config: CheckConfig, depends_on: Arc<[InstanceName]>, generation: u64) -> Self {
        Self {
            history: History::new(config.history()),
            depends_on,
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
    pub(crate) fn new<F, Fut>(name: InstanceName, config: CheckConfig, check: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output: Into<CheckResult>> + Send + 'static,
    {
        Self {
            name,
            begin: Box::new(move || {
                let check = check();
                Box::pin(async move { check.await.into() })
            }),
            counters: CheckCounters::default(),
            state: Mutex::new(State::new(config, Arc::new([]), 0)),
            removed: AtomicBool::new(false),
        }
    }

    seawall_core::getters! {
        pub(crate) const fn name -> InstanceName;

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
        state.history.set_limit(config.history());
    }

    pub(crate) fn depends_on(&self, on: Arc<[InstanceName]>) {
        self.lock().depends_on = on;
    }

    /// Forgets that it depends on a check that is removed.
    pub(crate) fn forget_dependency(&self, name: InstanceName) {
        let mut state = self.lock();
        if state.depends_on.contains(&name) {
            let others = state.depends_on.iter().filter(|on| **on != name);
            state.depends_on = others.copied().collect();
        }
    }

    pub(crate) fn remove(&self) {
        let _state = self.lock();
        self.removed.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_removed(&self) -> bool {
        self.removed.load(Ordering::Relaxed)
    }

    /// Runs the check once and records the result, which it returns. Dropped before the end,
    /// nothing is recorded; nor is anything if the check is reset or removed meanwhile.
    pub(crate) async fn run(&self) -> CheckResult {
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
        self.record(generation, begun, took, result)
    }

    fn record(
        &self,
        generation: u64,
        begun: Instant,
        took: Duration,
        mut result: CheckResult,
    ) -> CheckResult {
        let mut state = self.lock();
        if self.is_removed() || state.generation != generation {
            return result;
        }
        // A run that began before one that is recorded already is out of date.
        if state.begun.is_some_and(|last| begun < last) {
            return result;
        }
        state.begun = Some(begun);
        state.took = Some(took);
        self.counters.runs.add();
        if result.is_failure() {
            self.counters.failure.add();
        }
        if result.outcome.is_some() {
            state.history.push(took, result.is_failure());
        }
        if result.outcome == Some(CheckOutcome::Passed)
            && let Some((failures, runs)) = state.history.full()
            && failures as f64 / runs as f64 > state.config.max_error_rate().get()
        {
            result = CheckResult::degraded(format!("{failures} of the last {runs} runs failed"));
        }
        state.message.clone_from(&result.message);
        let observed = result
            .outcome
            .and_then(|outcome| state.threshold.observe(outcome));
        if observed.is_some() {
            state.since = Instant::now();
        }
        result
    }

    pub(crate) fn reset(&self) {
        let mut state = self.lock();
        let depends_on = Arc::clone(&state.depends_on);
        *state = State::new(state.config, depends_on, state.generation.wrapping_add(1));
    }

    /// Its status by its own results, and what it depends on.
    pub(crate) fn own(&self) -> (Status, Arc<[InstanceName]>) {
        let state = self.lock();
        (state.threshold.status(), Arc::clone(&state.depends_on))
    }

    /// What the others need to know. A passive check that has seen no calls yet is not critical: it
    /// must not keep a service from being called for the first time.
    pub(crate) fn node(&self) -> Node {
        let state = self.lock();
        let (config, own) = (&state.config, state.threshold.status());
        let silent = config.depth() == Depth::Passive && own == Status::Unknown;
        Node {
            name: self.name,
            critical: config.critical() && !silent,
            own,
            depends_on: Arc::clone(&state.depends_on),
            because_of: None,
        }
    }

    pub(crate) fn report(&self, node: &Node) -> CheckReport {
        let counts = CheckCounts::sum([&self.counters]);
        let state = self.lock();
        let message = match node.because_of {
            Some(cause) => Some(format!("not run while `{cause}` is unhealthy")),
            None => state.message.clone(),
        };
        CheckReport {
            name: self.name,
            depth: state.config.depth(),
            critical: state.config.critical(),
            status: node.status(),
            since: state.since,
            message,
            because_of: node.because_of,
            depends_on: state.depends_on.to_vec(),
            consecutive_failures: state.threshold.failures(),
            consecutive_successes: state.threshold.successes(),
            last_run: state.begun,
            took: state.took,
            trend: state.history.trend(),
            runs: counts.runs,
            failures: counts.failure,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
