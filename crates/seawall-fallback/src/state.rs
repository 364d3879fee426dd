//! What the services of a layer and its handles share.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use seawall_core::{
    Clock, Degradation, EventKind, EventSource, InstanceName, Reason, Rejection, Replay,
    RequestMeta,
};

use crate::counts::FallbackCounters;
use crate::last_good::Forget;
use crate::step_info::StepInfo;
use crate::{FallbackConfig, Step};

const READ_ONLY: u32 = 1;
const BYPASSED: u32 = 2;

/// What does not depend on the types of requests and responses.
pub(crate) struct Core {
    pub(crate) source: EventSource,
    pub(crate) clock: Clock,
    flags: AtomicU32,
    config: Mutex<FallbackConfig>,
    pub(crate) counters: FallbackCounters,
    pub(crate) steps: Vec<Arc<StepInfo>>,
    /// What the steps are, for people.
    pub(crate) about: Vec<(&'static str, String)>,
    running: AtomicU32,
    /// What is learned beside the steps.
    learned: Mutex<Vec<Arc<dyn Forget>>>,
}

impl Core {
    pub(crate) fn new(
        name: InstanceName,
        config: FallbackConfig,
        steps: Vec<Arc<StepInfo>>,
        about: Vec<(&'static str, String)>,
    ) -> Self {
        Self {
            source: EventSource::new("fallback", name),
            clock: Clock::start(),
            flags: AtomicU32::new(0),
            config: Mutex::new(config),
            counters: FallbackCounters::default(),
            steps,
            about,
            running: AtomicU32::new(0),
            learned: Mutex::default(),
        }
    }

    pub(crate) fn learns(&self, learned: Arc<dyn Forget>) {
        let mut all = self.learned.lock().unwrap_or_else(PoisonError::into_inner);
        all.push(learned);
    }

    pub(crate) fn config(&self) -> FallbackConfig {
        *self.config.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn configure(&self, config: FallbackConfig) {
        *self.config.lock().unwrap_or_else(PoisonError::into_inner) = config;
    }

    /// What calls are to know of what an operator has commanded.
    #[inline]
    pub(crate) fn mode(&self) -> Mode {
        Mode(self.flags.load(Ordering::Relaxed))
    }

    pub(crate) fn set_read_only(&self, on: bool) {
        self.set(READ_ONLY, on);
    }

    pub(crate) fn set_bypassed(&self, on: bool) {
        self.set(BYPASSED, on);
    }

    /// As if nothing had been commanded.
    pub(crate) fn end_all(&self) {
        self.flags.store(0, Ordering::Relaxed);
    }

    fn set(&self, flag: u32, on: bool) {
        if on {
            self.flags.fetch_or(flag, Ordering::Relaxed);
        } else {
            self.flags.fetch_and(!flag, Ordering::Relaxed);
        }
    }

    /// Forgets what was learned.
    pub(crate) fn forget(&self) {
        let now = self.clock.instant_now();
        for memory in self.steps.iter().filter_map(|step| step.memory.as_ref()) {
            memory.forget(now);
        }
        // In one expression, which ends the lock: keys are the caller's own type.
        let learned = { self.learned.lock() }
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        for memory in learned {
            memory.forget(now);
        }
    }

    /// How many calls are in steps that take time.
    pub(crate) fn running(&self) -> u32 {
        self.running.load(Ordering::Relaxed)
    }

    /// A permit for a step that takes time; none where too many run.
    pub(crate) fn permit(self: &Arc<Self>, max: u32) -> Option<StepPermit> {
        let one_more = |running| (running < max).then_some(running + 1);
        let taken = self
            .running
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more);
        taken.is_ok().then(|| StepPermit(Arc::clone(self)))
    }

    /// Counts and emits a rejection of a request that was not sent.
    #[cold]
    pub(crate) fn reject(&self, reason: Reason) -> Rejection {
        match reason {
            Reason::Paused => self.counters.read_only.add(),
            _ => self.counters.looped.add(),
        }
        let rejection = self.source.rejection(reason);
        self.source.emit_call(|| EventKind::Rejected(rejection));
        rejection
    }

    /// Counts and emits that a step has answered.
    pub(crate) fn answered(&self, step: &StepInfo, degradation: &Degradation) {
        step.counters.answered.add();
        self.counters.answered.add();
        self.source.emit_call(|| EventKind::Degraded {
            reason: degradation.reason,
            source: degradation.source,
            age: degradation.age,
        });
    }
}

/// What an operator has commanded.
#[derive(Clone, Copy)]
pub(crate) struct Mode(u32);

impl Mode {
    #[inline]
    pub(crate) const fn rejects(self, replay: Replay) -> bool {
        self.0 & READ_ONLY != 0 && !matches!(replay, Replay::Safe | Replay::SafeWithEffect)
    }

    pub(crate) const fn is_read_only(self) -> bool {
        self.0 & READ_ONLY != 0
    }

    #[inline]
    pub(crate) const fn is_bypassed(self) -> bool {
        self.0 & BYPASSED != 0
    }
}

/// The right to run one step that takes time.
pub(crate) struct StepPermit(Arc<Core>);

impl Drop for StepPermit {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The steps of a layer, in their order.
pub(crate) struct Steps<Req, Res> {
    pub(crate) all: Vec<Step<Req, Res>>,
    /// Whether any is asked with the request.
    pub(crate) need_request: bool,
    /// Whether any learns from successes.
    pub(crate) learn: bool,
    /// Whether any answers every request that is safe.
    any_safe: bool,
}

impl<Req, Res> Steps<Req, Res> {
    pub(crate) fn new(all: Vec<Step<Req, Res>>) -> Self {
        Self {
            need_request: all.iter().any(|step| step.needs_request),
            learn: all.iter().any(|step| step.info.memory.is_some()),
            any_safe: all.iter().any(Step::answers_all_safe),
            all,
        }
    }

    /// Whether any may answer a request that is this, whatever the failure.
    #[inline]
    pub(crate) fn may_answer(&self, meta: &RequestMeta) -> bool {
        (self.any_safe && meta.replay.is_read()) || self.any_answers(meta)
    }

    fn any_answers(&self, meta: &RequestMeta) -> bool {
        self.all.iter().any(|step| step.may_answer(meta))
    }
}
