//! Admission of a call, and the slot that it holds until its permit does.

use std::time::Duration;

use seawall_core::{EventKind, ReadFor, Rejection};

use crate::buckets::epoch_by;
use crate::circuit::admit::Admission;
use crate::config::HalfOpenPolicy;
use crate::entry_point::EntryPoint;
use crate::in_flight::StartBucket;
use crate::overdue::CheckOverdue;
use crate::record::{AdmissionRecord, UNMEASURED};
use crate::state::Locked;
use crate::state_word::{CircuitState, StateWord};

pub(crate) trait Admit: CheckOverdue {
    /// Admits a call to the circuit, or rejects it, where there is no gate.
    #[inline]
    fn admit(&self) -> Result<AdmissionRecord, Rejection> {
        let word = self.common().word();
        let start = self.start(word);
        let changed = start != UNMEASURED && self.check_overdue(word, start);
        if word.is_passing() && !changed {
            return Ok(AdmissionRecord::new(word, start));
        }
        let word = self.admit_locked(EntryPoint::Breaker, true)?;
        Ok(AdmissionRecord::new(word, self.start(word)))
    }

    /// Admits a call in a state that does not simply pass; `ramps` is whether the share of a ramp
    /// is applied here.
    #[cold]
    fn admit_locked(&self, at: EntryPoint, ramps: bool) -> Result<StateWord, Rejection> {
        let common = self.common();
        let now = common.now();
        // On a ramp, too, calls that hang are noticed by those that come after them.
        let word = common.word();
        if word.state() == CircuitState::HalfOpen && common.settings(word).in_flight() != 0 {
            self.check_overdue(word, now);
        }
        let mut locked = common.lock();
        let Locked {
            circuit, config, ..
        } = &mut *locked;
        let (admission, change) = circuit.admit(config, at, ramps, now);
        self.publish(locked, change, false, now);
        match admission {
            Admission::Pass(word) => Ok(word),
            Admission::Shadow(word, denial) => {
                // Counted at the breaker alone, which each call that passes the gate comes to.
                if at == EntryPoint::Breaker {
                    self.stripe().counters.shadowed.add();
                    let events = &common.setup.breaker_events;
                    events.emit_call(|| EventKind::Shadowed(common.rejection(at, denial)));
                }
                Ok(word)
            }
            Admission::Reject(denial) => Err(common.rejection(at, denial)),
        }
    }

    /// Counts and reports a rejection.
    #[inline]
    fn count_rejection(&self, at: EntryPoint, rejection: Rejection) {
        self.stripe().count_rejection(at, rejection.reason());
        let events = self.common().setup.events(at);
        events.emit_call(|| EventKind::Rejected(rejection));
    }

    /// When a call starts that passes under `word`.
    #[inline]
    fn start(&self, word: StateWord) -> u64 {
        if word.measures() {
            self.common().shared_now(ReadFor::Departure)
        } else {
            UNMEASURED
        }
    }

    /// Counts a call in flight that has started then, if slow ones are watched.
    #[inline(never)]
    fn count_in_flight(&self, word: StateWord, start: u64) -> StartBucket {
        let common = self.common();
        let settings = common.settings(word);
        let (pace, watch) = (settings.in_flight(), settings.watch());
        let Some(in_flight) = self.stripe().in_flight.get() else {
            return StartBucket::NONE;
        };
        // In another generation the settings may be others; such a call is not watched.
        if pace == 0 || common.word() != word {
            return StartBucket::NONE;
        }
        let bucket = StartBucket::new(watch, epoch_by(pace, start));
        in_flight.start(bucket);
        bucket
    }

    /// A slot that was reserved is given back.
    #[cold]
    fn give_back(&self, at: EntryPoint, word: StateWord) {
        let common = self.common();
        let mut locked = common.lock();
        if !locked.circuit.is_present(word) {
            return;
        }
        let waited_for = match at {
            EntryPoint::Gate => locked.circuit.release_queued(),
            EntryPoint::Breaker => locked.circuit.release_probe(),
        };
        drop(locked);
        if waited_for && common.waits() {
            common.wake();
        }
    }

    /// How long a call may wait for a slot in total, and how long until the slot of a lost probe
    /// is used again.
    fn wait_limits(&self, at: EntryPoint, now: u64) -> (Duration, Duration) {
        let locked = self.common().lock();
        let max_wait = match locked.config.half_open_policy {
            HalfOpenPolicy::Wait { max_wait } => max_wait,
            HalfOpenPolicy::Reject => Duration::ZERO,
        };
        let left = locked.circuit.time_left(&locked.config, at, now);
        (max_wait, Duration::from_nanos(left))
    }
}

impl<X: CheckOverdue> Admit for X {}
