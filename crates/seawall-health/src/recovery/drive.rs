//! The task that carries a recovery out.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use seawall_core::deadline;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::entry::Entry;
use super::hold::Held;
use super::{Hook, RecoveryState};
use crate::checks::Shared;
use crate::run::{Begin, Run, panicked};
use crate::{CheckResult, Status};

/// How many runs a validation may take: those that are inconclusive are repeated.
const RUNS_PER_VALIDATION: u32 = 3;

/// Recovers a check whenever it is unhealthy, until it is removed or the checks are started again.
pub(crate) async fn keep_recovering(shared: Arc<Shared>, entry: Arc<Entry>, round: u64) {
    let is_current = || shared.is_current(round) && !entry.is_removed();
    while is_current() {
        let may = || is_current() && shared.recovers();
        until(&shared, || {
            !is_current() || (may() && is_down(&shared, &entry))
        })
        .await;
        if !may() {
            continue;
        }
        // Dropped in the middle where it may not go on, it lets go what it holds.
        let stopped = until(&shared, || !may());
        race(recover(&shared, &entry), stopped).await;
    }
}

/// Whether it is unhealthy by its own results, and not because of something below it.
fn is_down(shared: &Shared, entry: &Entry) -> bool {
    entry.check.node().own == Status::Unhealthy && shared.because_of(&entry.check).is_none()
}

struct Stop<'a>(&'a Entry);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.stop();
    }
}

async fn recover(shared: &Shared, entry: &Entry) {
    let _stop = Stop(entry);
    let mut held = Held::new(&entry.plan.held, std::ptr::from_ref(shared).addr());
    loop {
        entry.enter(RecoveryState::Down, "detected");
        if !is_up(entry) {
            held.hold();
        }
        if attempts(shared, entry, &mut held).await {
            return;
        }
        entry.enter(RecoveryState::GaveUp, "gave_up");
        rest(shared, entry, &mut held).await;
    }
}

fn is_up(entry: &Entry) -> bool {
    entry.check.node().own != Status::Unhealthy
}

/// Makes attempts until one succeeds; `false` when all have failed.
async fn attempts(shared: &Shared, entry: &Entry, held: &mut Held<'_>) -> bool {
    let mut delays = entry.config.backoff().start();
    for attempt in 1..=entry.config.max_attempts() {
        let Some(pause) = delays.next(entry.config.backoff(), fastrand::f64()) else {
            break;
        };
        let next = deadline(Instant::now(), pause);
        let heals = entry.plan.heal.is_some();
        entry.await_attempt(attempt, heals.then_some(next));
        wait(shared, entry, next, heals).await;
        let was_holding = held.is_holding();
        match try_once(shared, entry, attempt, held).await {
            Ok(()) => return true,
            Err(message) => {
                // What is up is not held beyond the last attempt.
                let is_last = attempt == entry.config.max_attempts();
                if was_holding && !(is_last && is_up(entry)) {
                    held.hold();
                }
                entry.failed(message);
            }
        }
    }
    false
}

/// Rests after the last attempt: until a check that is down is better, or one that is up is down again. An
/// operator ends it.
async fn rest(shared: &Shared, entry: &Entry, held: &mut Held<'_>) {
    let asked = entry.asked();
    let is_asked = || entry.asked() != asked;
    if is_up(entry) {
        held.release();
        until(shared, || is_down(shared, entry) || is_asked()).await;
    } else {
        until(shared, || is_up(entry) || is_asked()).await;
    }
}

/// Waits for the moment of an attempt. One that has no hook to heal waits for the check to be better, and
/// none is made while something below is unhealthy. An operator ends the wait.
async fn wait(shared: &Shared, entry: &Entry, next: Instant, heals: bool) {
    let asked = entry.asked();
    let is_clear = || shared.because_of(&entry.check).is_none();
    let ready = async {
        // Not sooner than the pause, also where the check is better at once: it may be flapping.
        sleep_until(next).await;
        until(shared, || is_clear() && (heals || is_up(entry))).await;
    };
    race(ready, until(shared, || entry.asked() != asked)).await;
}

async fn try_once(
    shared: &Shared,
    entry: &Entry,
    attempt: u32,
    held: &mut Held<'_>,
) -> Result<(), Option<String>> {
    let limit = entry.config.hook_timeout();
    if let Some(heal) = entry.plan.heal.as_ref().filter(|_| !is_up(entry)) {
        entry.enter(RecoveryState::Healing, "healing");
        success(run_hook(heal, attempt, limit).await)?;
    }
    entry.enter(RecoveryState::Validating, "validating");
    validate(shared, entry, attempt).await?;
    entry.enter(RecoveryState::Restoring, "restoring");
    held.release();
    for hook in &entry.plan.restore {
        success(run_hook(hook, attempt, limit).await)?;
    }
    if !is_up(entry) {
        // What it knows is from before the recovery.
        entry.check.reset();
        shared.run(&entry.check).await;
    }
    entry.enter(RecoveryState::Idle, "restored");
    Ok(())
}

/// Runs validations until enough in a row were clean, or one has failed.
async fn validate(shared: &Shared, entry: &Entry, attempt: u32) -> Result<(), Option<String>> {
    let config = &entry.config;
    let most = config.validations().saturating_mul(RUNS_PER_VALIDATION);
    let mut clean = 0;
    for run in 0..most {
        if run > 0 {
            sleep(config.validate_every()).await;
        }
        let result = match &entry.plan.validate {
            Some(hook) => run_hook(hook, attempt, config.hook_timeout()).await,
            None => shared.run(&entry.check).await,
        };
        if result.outcome.is_none() {
            continue;
        }
        success(result)?;
        clean += 1;
        entry.count_clean(clean);
        if clean == config.validations() {
            return Ok(());
        }
    }
    Err(Some("too many validations were inconclusive".to_owned()))
}

fn success(result: CheckResult) -> Result<(), Option<String>> {
    match result.is_failure() {
        true => Err(result.message),
        false => Ok(()),
    }
}

/// Runs a hook, whose panics are failures.
async fn run_hook(hook: &Hook, attempt: u32, limit: Duration) -> CheckResult {
    let hook = Arc::clone(hook);
    let begin: Begin = Box::new(move || hook(attempt));
    let mut run = Run::new(&begin);
    let result = match timeout(limit, &mut run).await {
        Ok(Ok(result)) => result,
        Ok(Err(panic)) => panicked(panic),
        Err(_) => CheckResult::failed(format!("no result within {limit:?}")),
    };
    match run.end() {
        Ok(()) => result,
        Err(panic) => panicked(panic),
    }
}

/// Waits until something is so, which is asked again at each change.
async fn until(shared: &Shared, is_so: impl Fn() -> bool) {
    loop {
        // Made before the question, so that no change falls in between.
        let changed = shared.changed();
        if is_so() {
            return;
        }
        changed.await;
    }
}

/// Waits for the first of two.
async fn race(one: impl Future<Output = ()>, other: impl Future<Output = ()>) {
    let (mut one, mut other) = (pin!(one), pin!(other));
    poll_fn(|cx| match other.as_mut().poll(cx) {
        Poll::Ready(()) => Poll::Ready(()),
        Poll::Pending => one.as_mut().poll(cx),
    })
    .await;
}
