//! One recovery: its plan and where it is.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use seawall_core::{EventKind, EventSource, Events, InstanceName};
use tokio::time::Instant;

use super::{Recovery, RecoveryConfig, RecoveryReport, RecoveryState};
use crate::check::Check;

/// The recovery of one check.
pub(crate) struct Entry {
    pub(crate) check: Arc<Check>,
    pub(crate) config: RecoveryConfig,
    pub(crate) plan: Recovery,
    source: EventSource,
    progress: Mutex<Progress>,
    /// How often an operator has asked for an attempt now.
    asked: AtomicU64,
    removed: AtomicBool,
}

struct Progress {
    state: RecoveryState,
    since: Instant,
    attempt: u32,
    next_attempt: Option<Instant>,
    clean: u32,
    message: Option<String>,
    restored: u64,
    failed: u64,
    gave_up: u64,
}

impl Entry {
    pub(crate) fn new(check: Arc<Check>, config: RecoveryConfig, plan: Recovery) -> Self {
        Self {
            source: EventSource::beside("recovery", check.name()),
            check,
            config,
            plan,
            progress: Mutex::new(Progress {
                state: RecoveryState::Idle,
                since: Instant::now(),
                attempt: 0,
                next_attempt: None,
                clean: 0,
                message: None,
                restored: 0,
                failed: 0,
                gave_up: 0,
            }),
            asked: AtomicU64::new(0),
            removed: AtomicBool::new(false),
        }
    }

    pub(crate) fn name(&self) -> InstanceName {
        self.check.name()
    }

    pub(crate) fn attach(&self, events: &Events) {
        self.source.attach(events);
    }

    /// An operator asks for an attempt now.
    pub(crate) fn ask(&self) {
        self.asked.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }

    pub(crate) fn remove(&self) {
        self.removed.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_removed(&self) -> bool {
        self.removed.load(Ordering::Relaxed) || self.check.is_removed()
    }

    /// Goes on to a state, and emits the step.
    pub(super) fn enter(&self, state: RecoveryState, step: &'static str) {
        let attempt = {
            let mut progress = self.lock();
            progress.enter(state);
            match state {
                RecoveryState::Idle => {
                    progress.restored += 1;
                    progress.message = None;
                }
                RecoveryState::GaveUp => progress.gave_up += 1,
                _ => {}
            }
            progress.attempt
        };
        self.emit(step, attempt);
    }

    /// An attempt has failed.
    pub(super) fn failed(&self, message: Option<String>) {
        let attempt = {
            let mut progress = self.lock();
            progress.enter(RecoveryState::Down);
            progress.failed += 1;
            progress.message = message.or_else(|| Some("it failed without a message".to_owned()));
            progress.attempt
        };
        self.emit("failed", attempt);
    }

    /// Waits for an attempt, until that moment or for something else.
    pub(super) fn await_attempt(&self, attempt: u32, next: Option<Instant>) {
        let mut progress = self.lock();
        progress.attempt = attempt;
        progress.next_attempt = next;
    }

    pub(super) fn count_clean(&self, clean: u32) {
        self.lock().clean = clean;
    }

    /// What is over without a result: it was stopped, or is not needed any more.
    pub(super) fn stop(&self) {
        let mut progress = self.lock();
        if progress.state != RecoveryState::Idle {
            progress.enter(RecoveryState::Idle);
        }
        progress.attempt = 0;
    }

    fn emit(&self, step: &'static str, attempt: u32) {
        self.source.emit(|| EventKind::Recovery { step, attempt });
    }

    pub(crate) fn report(&self) -> RecoveryReport {
        let progress = self.lock();
        RecoveryReport {
            check: self.name(),
            state: progress.state,
            since: progress.since,
            attempt: progress.attempt,
            max_attempts: self.config.max_attempts(),
            next_attempt: progress.next_attempt,
            clean: progress.clean,
            validations: self.config.validations(),
            message: progress.message.clone(),
            restored: progress.restored,
            failed: progress.failed,
            gave_up: progress.gave_up,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Progress {
    fn enter(&mut self, state: RecoveryState) {
        self.state = state;
        self.since = Instant::now();
        self.next_attempt = None;
        self.clean = 0;
    }
}
