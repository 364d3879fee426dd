//! What is counted, and how a future that holds no reference finds its counters.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, PoisonError, RwLock, Weak};
use std::time::Duration;

use crate::attempt::learner::Learner;
use seawall_core::striped::{Shared, Stripes};
use seawall_core::{
    EventKind, EventSource, Events, InstanceName, InvalidConfig, NonZeroDuration, Reason,
    Rejection, Samples, Sent, ns,
};

/// Where a call was cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// An attempt took longer than an attempt may.
    Attempt,
    /// The deadline passed while the inner service worked.
    Deadline,
    /// The deadline had passed when the call was made.
    Late,
    /// The deadline passed while the inner service was not ready.
    Readiness,
}

impl Cut {
    const fn reason(self) -> Reason {
        match self {
            Self::Attempt => Reason::AttemptTimeout,
            Self::Deadline | Self::Late | Self::Readiness => Reason::DeadlineExceeded,
        }
    }

    const fn sent(self) -> Sent {
        match self {
            Self::Attempt | Self::Deadline => Sent::Maybe,
            Self::Late | Self::Readiness => Sent::No,
        }
    }

    const fn label(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Attempt => &[("cause", "attempt")],
            Self::Deadline => &[("cause", "deadline")],
            Self::Late => &[("cause", "late")],
            Self::Readiness => &[("cause", "readiness")],
        }
    }
}

/// What a future carries in place of a reference: a reference count would cost more than all
/// the rest of a call that is answered at once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tag {
    id: u64,
    name: InstanceName,
}

impl Tag {
    /// Counts and tells the cut, and makes the rejection of it.
    #[cold]
    pub(crate) fn cut(self, cut: Cut) -> Rejection {
        let rejection = Rejection::new(cut.reason(), self.name).with_sent(cut.sent());
        // Nobody is left who could read the counters when the ledger is gone.
        if let Some(ledger) = find(self.id) {
            ledger.record(cut, rejection);
        }
        rejection
    }
}

/// One of the two patterns of this crate.
#[derive(Debug)]
pub(crate) struct Pattern {
    pub(crate) name: &'static str,
    /// Where it can cut a call off.
    cuts: &'static [Cut],
}

pub(crate) const ATTEMPT: Pattern = Pattern {
    name: "attempt_timeout",
    cuts: &[Cut::Attempt, Cut::Deadline, Cut::Late],
};

pub(crate) const DEADLINE: Pattern = Pattern {
    name: "deadline",
    cuts: &[Cut::Deadline, Cut::Late, Cut::Readiness],
};

/// The counters of one layer value and its clones.
#[derive(Debug)]
pub(crate) struct Ledger {
    id: u64,
    pattern: Pattern,
    observer: EventSource,
    cuts: [AtomicU64; 4],
}

impl Ledger {
    fn new(pattern: Pattern, name: InstanceName) -> Arc<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let ledger = Arc::new(Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            observer: EventSource::new(pattern.name, name),
            pattern,
            cuts: Default::default(),
        });
        LEDGERS
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(ledger.id, Arc::downgrade(&ledger));
        ledger
    }

    fn record(&self, cut: Cut, rejection: Rejection) {
        self.cuts[cut as usize].fetch_add(1, Ordering::Relaxed);
        self.observer.emit(|| EventKind::Rejected(rejection));
    }

    pub(crate) fn count(&self, cut: Cut) -> u64 {
        self.cuts[cut as usize].load(Ordering::Relaxed)
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        LEDGERS
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.id);
    }
}

/// Every ledger that is alive, by its number. Looked at only when a call was cut off.
static LEDGERS: LazyLock<RwLock<HashMap<u64, Weak<Ledger>>>> = LazyLock::new(RwLock::default);

fn find(id: u64) -> Option<Arc<Ledger>> {
    // The guard ends with the statement: dropping the last `Arc` under it would lock it again.
    let ledger = LEDGERS
        .read()
        .unwrap_or_else(PoisonError::into_inner)
        .get(&id)
        .map(Weak::upgrade);
    ledger.flatten()
}

/// What the services of one layer value and its clones share.
#[derive(Debug)]
pub(crate) struct Common {
    /// With a learner, what an attempt may take until enough is known.
    after_ns: AtomicU64,
    tag: Tag,
    ledger: Arc<Ledger>,
    learner: Option<Learner>,
}

/// The state of a layer. Its stripes hold nothing: only their reference counts are wanted, so
/// that cloning a service per request scales.
pub(crate) type State = Shared<Common, ()>;

impl Common {
    pub(crate) fn share(pattern: Pattern, name: InstanceName, after: NonZeroDuration) -> State {
        Self::share_with(pattern, name, after.get(), None)
    }

    pub(crate) fn share_with(
        pattern: Pattern,
        name: InstanceName,
        after: Duration,
        learner: Option<Learner>,
    ) -> State {
        let ledger = Ledger::new(pattern, name);
        let common = Self {
            after_ns: AtomicU64::new(ns(after)),
            tag: Tag {
                id: ledger.id,
                name,
            },
            ledger,
            learner,
        };
        Shared::new(common, Stripes::auto(), || ())
    }

    #[inline]
    pub(crate) fn after_ns(&self) -> u64 {
        self.after_ns.load(Ordering::Relaxed)
    }

    pub(crate) fn after(&self) -> Duration {
        Duration::from_nanos(self.after_ns())
    }

    pub(crate) fn set_after(&self, after: NonZeroDuration) {
        self.after_ns.store(ns(after.get()), Ordering::Relaxed);
    }

    pub(crate) const fn learner(&self) -> Option<&Learner> {
        self.learner.as_ref()
    }

    #[inline]
    pub(crate) const fn tag(&self) -> Tag {
        self.tag
    }

    pub(crate) const fn name(&self) -> InstanceName {
        self.tag.name
    }

    pub(crate) fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    pub(crate) fn attach(&self, events: &Events) {
        self.ledger.observer.attach(events);
    }

    /// Hands out the counters of the pattern: rejections by reason, and by where the call was.
    pub(crate) fn samples(&self, sink: &mut Samples<'_>) {
        let Pattern { name, cuts } = self.ledger.pattern;
        if let Some(learner) = &self.learner {
            let seconds = learner.last_allowed(self.after_ns()) as f64 / 1e9;
            sink.gauge("seawall_timeout_learned_seconds", &[], seconds);
        }
        for reason in [Reason::AttemptTimeout, Reason::DeadlineExceeded] {
            let rejected = cuts.iter().filter(|cut| cut.reason() == reason);
            if rejected.clone().next().is_some() {
                sink.counter(
                    "seawall_rejections_total",
                    &[("layer", name), ("reason", reason.as_str())],
                    rejected.map(|cut| self.ledger.count(*cut)).sum(),
                );
            }
        }
        for cut in cuts {
            sink.counter(
                "seawall_timeouts_total",
                cut.label(),
                self.ledger.count(*cut),
            );
        }
    }
}

/// A duration that is longer than zero, or an error that names `field`.
pub(crate) fn positive(
    field: &'static str,
    value: Duration,
) -> Result<NonZeroDuration, InvalidConfig> {
    NonZeroDuration::new(value).map_err(|rejected| rejected.in_field(field))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ledger_is_found_while_it_lives_and_forgotten_with_it() {
        let second = NonZeroDuration::new(Duration::from_secs(1)).unwrap();
        let state = Common::share(ATTEMPT, InstanceName::new("found"), second);
        let tag = state.common().tag();
        tag.cut(Cut::Attempt);
        tag.cut(Cut::Deadline);
        assert_eq!(state.common().ledger().count(Cut::Attempt), 1);
        assert_eq!(state.common().ledger().count(Cut::Deadline), 1);
        drop(state);
        assert!(find(tag.id).is_none());
        let known = LEDGERS.read().unwrap().contains_key(&tag.id);
        assert!(!known, "the table keeps no dead ledger");
        assert_eq!(tag.cut(Cut::Attempt).reason(), Reason::AttemptTimeout);
    }
}
