//! How far a call has come: what it has tried, what it may still try, and what it holds.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use seawall_core::{Figure, InstanceName, Reason, Rejection, RequestMeta, Sent, Withdrawal, ns};
use tokio::time::Instant;

use super::failed::{Failed, Kind};
use super::learn::Running;
use super::pick::{Asked, Excluded, Picked};
use super::state::{ModelState, State};
use super::{RouteAttempt, RouteOutcome, RouteRecorder, RouteTrace};
use crate::ErrorClass;

/// One call of a router. Dropped before it is over, it gives everything back.
pub(crate) struct Progress {
    state: Arc<State>,
    meta: RequestMeta,
    /// The model that the request names, where it matters.
    model: Option<Bytes>,
    began: u64,
    excluded: Excluded,
    running: Option<Running>,
    /// Attempts that may have been sent.
    sent: u32,
    /// What pays for the next attempt, or has paid for the last one.
    payment: Option<Withdrawal>,
    /// Why the last attempt failed, and what the next one is charged as.
    last: Option<Failed>,
    /// When no wait lasts longer; set with the first one.
    waits_until: Option<u64>,
    /// The first to come back of the deployments that failed, and may succeed after a moment.
    deferred: Option<Deferred>,
    /// Attempts that failed by the provider or by their connection, and not by a time-out.
    faults: u32,
    trace: RouteTrace,
    recorder: Option<RouteRecorder>,
    is_over: bool,
}

/// A deployment that is asked again from then on, if nothing else is left.
#[derive(Clone, Copy, Debug)]
struct Deferred {
    at: u64,
    index: usize,
    kind: Kind,
}

/// After so many faults a call goes back to none of the deployments that had them; a retry makes as
/// many attempts.
const MOST_FAULTS: u32 = 3;

/// The longest wait before a deployment is asked again after the first fault of a call, doubled with
/// each; the wait is drawn from zero on ("full jitter").
const FAULT_WAIT: u64 = 500_000_000;

/// Whether another attempt may follow one that failed.
pub(crate) enum Follow {
    Yes,
    /// Not, for that reason; without one where the error is the caller's and means no deployment.
    No(Option<Rejection>),
}

/// What comes next.
pub(crate) enum Next {
    /// An attempt at this deployment.
    Attempt(usize),
    /// A wait until then, at most.
    Wait(Instant),
    /// Nothing: for that reason, if no earlier attempt says more.
    End(Rejection),
}

impl Progress {
    pub(crate) fn new(
        state: &Arc<State>,
        meta: RequestMeta,
        model: Option<Bytes>,
        recorder: Option<RouteRecorder>,
    ) -> Self {
        Self {
            meta,
            model,
            began: 0,
            excluded: Excluded::default(),
            running: None,
            sent: 0,
            payment: None,
            last: None,
            waits_until: None,
            deferred: None,
            faults: 0,
            trace: RouteTrace::default(),
            recorder,
            is_over: false,
            state: Arc::clone(state),
        }
    }

    fn asked(&self) -> Asked<'_> {
        Asked {
            meta: &self.meta,
            model: self
                .model
                .as_deref()
                .and_then(|name| str::from_utf8(name).ok()),
        }
    }

    /// Chooses what comes next.
    pub(crate) fn next(&mut self) -> Next {
        let state = Arc::clone(&self.state);
        let now = state.clock.now();
        let is_first = self.last.is_none() && self.waits_until.is_none();
        if is_first {
            self.began = now;
        }
        if state.is_paused() {
            return Next::End(self.rejection(Reason::Paused));
        }
        let mut picked = state.pick(now, self.asked(), &self.excluded);
        if !matches!(picked, Picked::Deployment(_)) && self.readmit(now) {
            picked = state.pick(now, self.asked(), &self.excluded);
        }
        match picked {
            Picked::Deployment(claimed) => {
                if is_first {
                    state.note_exhausted(false);
                }
                if !self.pay() {
                    self.state.give_back(&claimed);
                    return Next::End(self.unpaid());
                }
                self.running = Some(Running {
                    claimed,
                    began: now,
                    sent: false,
                });
                let deployment = &state.deployments[claimed.index];
                deployment.counters.picks.add();
                if self.sent > 0 {
                    state.counters.rerouted.add();
                }
                Next::Attempt(claimed.index)
            }
            Picked::Later { at, on_trial } => self.wait(now, at, on_trial),
            Picked::Nothing => self.wait(now, None, false),
        }
    }

    /// Where nothing else is left, a deployment that failed may be asked again after a while; whether
    /// one may be now.
    fn readmit(&mut self, now: u64) -> bool {
        let Some(deferred) = self.deferred.take_if(|deferred| deferred.at <= now) else {
            return false;
        };
        self.excluded.readmit(deferred.index);
        true
    }

    /// Pays for a further attempt, if the last one may have been executed and that is not paid for
    /// already: one that was turned away has cost the provider next to nothing.
    fn pay(&mut self) -> bool {
        let is_owed = |last: &Failed| last.executed && self.payment.is_none();
        let Some(last) = self.last.filter(is_owed) else {
            return true;
        };
        self.payment = self.state.budget.withdraw(last.cost_class());
        if self.payment.is_none() {
            self.state.counters.budget_exhausted.add();
        }
        self.payment.is_some()
    }

    /// Waits for the first deployment to come back, if there is time for it.
    fn wait(&mut self, now: u64, at: Option<u64>, on_trial: bool) -> Next {
        let state = Arc::clone(&self.state);
        if self.last.is_none() {
            state.note_exhausted(true);
        }
        let deferred = self.deferred.map(|deferred| deferred.at);
        let at = match (at, deferred) {
            (Some(at), Some(deferred)) => Some(at.min(deferred)),
            (at, deferred) => at.or(deferred),
        };
        let longest = state.config().max_wait();
        let until = *self
            .waits_until
            .get_or_insert_with(|| now.saturating_add(ns(longest)));
        let until = match self.meta.deadline {
            Some(deadline) => until.min(state.clock.at(deadline)),
            None => until,
        };
        let until = match at {
            Some(at) if at <= until => at,
            _ if on_trial && now < until => until,
            at => return Next::End(self.no_route(now, at)),
        };
        if !self.pay() {
            return Next::End(self.unpaid());
        }
        // Timers fire on whole milliseconds, and never before.
        Next::Wait(state.clock.instant(until))
    }

    /// A rejection of the router, of a call that may have been sent before.
    fn rejection(&self, reason: Reason) -> Rejection {
        let sent = if self.sent > 0 { Sent::Maybe } else { Sent::No };
        self.state.events.rejection(reason).with_sent(sent)
    }

    fn unpaid(&self) -> Rejection {
        let rejection = self.rejection(Reason::BudgetExhausted);
        match self.state.budget.budget() {
            Some(budget) => rejection.with_figure(Figure::Budget {
                attempts: self.sent,
                tenths_left: (budget.balance() * 10.0) as u32,
            }),
            None => rejection,
        }
    }

    /// Why nothing is left, and when the first deployment comes back.
    fn no_route(&self, now: u64, at: Option<u64>) -> Rejection {
        let mut rejection = self.rejection(Reason::NoRoute);
        let deferred = self.deferred.filter(|deferred| at == Some(deferred.at));
        let why = match deferred.map(|deferred| deferred.kind) {
            Some(Kind::Rejected(reason)) => Some(InstanceName::new(&reason.to_string())),
            Some(Kind::Class(class)) => Some(InstanceName::new(class.text())),
            None => {
                let obstacle = self.state.obstacle(now, self.asked(), &self.excluded);
                obstacle.map(|obstacle| InstanceName::new(obstacle.text()))
            }
        };
        if let Some(why) = why {
            rejection = rejection.with_figure(Figure::Because(why));
        }
        match at {
            Some(at) => rejection.with_retry_after_ns(at.saturating_sub(now)),
            None => rejection,
        }
    }

    /// Whether another attempt could follow the one that is about to be made, so that it needs a copy
    /// of the request: also where no further one may be sent, since this one may be rejected before.
    pub(crate) fn may_follow(&self) -> bool {
        self.state.has_alternatives()
    }

    /// When the call is of no use any more.
    pub(crate) const fn deadline(&self) -> Option<Instant> {
        self.meta.deadline
    }

    /// How long the readiness of a deployment is waited for.
    pub(crate) fn ready_until(&self) -> Instant {
        let own = self.state.clock.instant(self.state.clock.now());
        let own = seawall_core::deadline(own, self.state.config().max_wait());
        self.meta.deadline.map_or(own, |deadline| deadline.min(own))
    }

    /// The attempt is about to be sent.
    pub(crate) fn sending(&mut self) {
        if let Some(running) = &mut self.running {
            running.sent = true;
            self.sent += 1;
        }
        if let Some(payment) = &mut self.payment {
            payment.set_spent(true);
        }
    }

    /// The attempt has succeeded, and with it the call.
    pub(crate) fn succeeded(&mut self) {
        let Some(running) = self.running.take() else {
            return;
        };
        let now = self.state.clock.now();
        self.state.learn_success(&running, now);
        self.note(&running, now, RouteOutcome::Success);
        match self.payment.take() {
            Some(payment) => self.state.budget.deposit_retried(payment),
            None => self.state.budget.deposit(),
        }
        self.state.counters.success.add();
        self.is_over = true;
    }

    /// The attempt has failed; whether another one may follow.
    pub(crate) fn failed(&mut self, failed: Failed) -> Follow {
        let Some(running) = self.running.take() else {
            return Follow::No(None);
        };
        let now = self.state.clock.now();
        self.state.learn(&running, &failed, now);
        if running.sent && !failed.sent {
            // It turned out that nothing was sent: what has paid for it pays for the next one.
            self.sent -= 1;
            if let Some(payment) = &mut self.payment {
                payment.set_spent(false);
            }
        } else if failed.sent {
            // Spent, so that nothing is given back.
            self.payment = None;
            self.state.budget.record_failure();
        }
        self.last = Some(failed);
        self.may_follow_after(&running, &failed, now)
    }

    fn may_follow_after(&mut self, running: &Running, failed: &Failed, now: u64) -> Follow {
        let index = running.claimed.index;
        let deployment = &self.state.deployments[index];
        let outcome = match failed.kind {
            Kind::Class(class) => RouteOutcome::Failed(class),
            Kind::Rejected(reason) => RouteOutcome::Rejected(reason),
        };
        let (model, provider) = (deployment.model, deployment.provider);
        let is_cooling = self.state.providers[provider]
            .cool_down
            .cooling(now)
            .is_some();
        self.note(running, now, outcome);
        match failed.kind {
            Kind::Class(ErrorClass::ContentPolicy | ErrorClass::InvalidRequest) => {
                return Follow::No(None);
            }
            _ if !failed.may_be_repeated(&self.meta) => {
                return Follow::No(Some(self.rejection(Reason::OutcomeUnknown)));
            }
            Kind::Rejected(_) => {
                self.excluded.deployment(index);
                if let Some(wait) = failed.wait {
                    let at = now.saturating_add(ns(wait).max(MIN_DEFERRAL));
                    let kind = failed.kind;
                    self.defer(Deferred { at, index, kind });
                }
            }
            Kind::Class(ErrorClass::ContextLength) => {
                let window = self.state.models[model].context_window;
                let reads_more = |other: &ModelState| {
                    window.is_some_and(|window| other.context_window.is_some_and(|o| o > window))
                };
                if !self.state.models.iter().any(reads_more) {
                    return Follow::No(Some(self.nothing_left(failed)));
                }
                self.excluded.window = self.excluded.window.max(window);
            }
            Kind::Class(
                ErrorClass::Credential | ErrorClass::QuotaExhausted | ErrorClass::ModelUnavailable,
            ) => self.excluded.deployment(index),
            // It cools down, and may come back while the call waits.
            Kind::Class(ErrorClass::RateLimit) => {}
            Kind::Class(ErrorClass::Overload) if is_cooling => {}
            Kind::Class(ErrorClass::Overload) => self.excluded.provider(provider),
            // Silence is that of the provider, whose other keys are not waited for as long.
            Kind::Class(ErrorClass::Server | ErrorClass::Network) if failed.timed_out => {
                self.excluded.provider(provider);
            }
            Kind::Class(ErrorClass::Server | ErrorClass::Network) => {
                self.excluded.deployment(index);
                self.return_after_fault(failed, index, now);
            }
        }
        self.has_chance(failed)
    }

    /// Whether there is time, a route and an attempt left after a failure.
    fn has_chance(&self, failed: &Failed) -> Follow {
        if { self.meta.deadline }.is_some_and(|at| self.state.clock.has_passed(at)) {
            return Follow::No(Some(self.rejection(Reason::DeadlineExceeded)));
        }
        if self.sent >= self.state.max_attempts() {
            let attempts = Figure::Attempts(self.sent);
            let rejection = self.rejection(Reason::NoRoute).with_figure(attempts);
            return Follow::No(Some(rejection));
        }
        match self.deferred.is_some() || self.state.has_route(&self.excluded) {
            true => Follow::Yes,
            false => Follow::No(Some(self.nothing_left(failed))),
        }
    }

    /// Every route has failed for this call, the last one like that.
    fn nothing_left(&self, failed: &Failed) -> Rejection {
        let why = match failed.kind {
            Kind::Class(class) => InstanceName::new(class.text()),
            Kind::Rejected(reason) => InstanceName::new(&reason.to_string()),
        };
        let rejection = self.rejection(Reason::NoRoute);
        rejection.with_figure(Figure::Because(why))
    }

    /// A fault may be over in a moment: the deployment is asked again, where nothing else is left.
    fn return_after_fault(&mut self, failed: &Failed, index: usize, now: u64) {
        self.faults += 1;
        if self.faults >= MOST_FAULTS {
            let is_fault = |deferred: &mut Deferred| matches!(deferred.kind, Kind::Class(_));
            self.deferred.take_if(is_fault);
        } else if failed.may_return {
            let drawn = self.state.draw(FAULT_WAIT << (self.faults - 1));
            let wait = failed.wait.map_or(drawn, |asked| ns(asked).max(drawn));
            let (at, kind) = (now.saturating_add(wait), failed.kind);
            self.defer(Deferred { at, index, kind });
        }
    }

    /// Remembers the first deployment to come back; the others stay excluded.
    fn defer(&mut self, next: Deferred) {
        if self.deferred.is_none_or(|other| next.at < other.at) {
            self.deferred = Some(next);
        }
    }

    fn note(&mut self, running: &Running, now: u64, outcome: RouteOutcome) {
        let is_plain = outcome == RouteOutcome::Success && self.trace.is_empty();
        let wanted = !is_plain || self.state.always_traces();
        if !wanted && self.recorder.is_none() {
            return;
        }
        let deployment = &self.state.deployments[running.claimed.index];
        let attempt = RouteAttempt {
            model: self.state.models[deployment.model].name,
            deployment: deployment.events.name(),
            provider: self.state.provider_of(deployment).events.name(),
            began: Duration::from_nanos(running.began.saturating_sub(self.began)),
            took: Duration::from_nanos(now.saturating_sub(running.began)),
            outcome,
        };
        if let Some(recorder) = &self.recorder {
            recorder.add(attempt);
        }
        if wanted {
            self.trace.add(attempt);
        }
    }

    /// What the call has tried, if there is something to show.
    pub(crate) fn take_trace(&mut self) -> Option<RouteTrace> {
        let is_shown = self.trace.attempts().len() > 1 || self.state.always_traces();
        (is_shown && !self.trace.is_empty()).then(|| std::mem::take(&mut self.trace))
    }

    /// The call ends without a success: with the rejection of a layer, or an error of a deployment.
    pub(crate) fn ended(&mut self, rejected_below: bool) {
        let counters = &self.state.counters;
        if rejected_below {
            counters.rejected_below.add();
        } else {
            counters.failure.add();
        }
        self.is_over = true;
    }

    /// The call ends with the router's own rejection.
    pub(crate) fn rejected(&mut self, rejection: Rejection) {
        self.state.counters.rejected.add();
        self.state
            .events
            .emit_call(|| seawall_core::EventKind::Rejected(rejection));
        self.is_over = true;
    }

    /// The call begins to wait.
    pub(crate) fn waits(&self) {
        self.state.counters.waits.add();
    }

    /// Wakes when a trial is over, or an operator has commanded something.
    pub(crate) fn changed(&self) -> tokio::sync::futures::OwnedNotified {
        Arc::clone(&self.state.changed).notified_owned()
    }
}

/// The shortest wait for a deployment whose own stack has rejected an attempt.
const MIN_DEFERRAL: u64 = 1_000_000;

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            let deployment = &self.state.deployments[running.claimed.index];
            deployment.counters.abandoned.add();
            self.state.give_back(&running.claimed);
        }
        if !self.is_over {
            self.state.counters.abandoned.add();
            self.state
                .events
                .emit_call(|| seawall_core::EventKind::Abandoned);
        }
    }
}
