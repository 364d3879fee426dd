//! One call, and what is reserved for its attempts.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use seawall_core::Rejection;
use seawall_core::counters::Counter;
use seawall_http::quota::{Usage, UsageBound};

use super::budget::Budgets;
use super::counts::SpendCounters;
use super::money::Money;
use super::price::Price;
use crate::bound::emit_bounded;
use seawall_http::WatchDeparture;

/// What the calls of a layer have shown of their stack.
#[derive(Debug, Default)]
pub(super) struct Noted {
    /// Departures are noted.
    departures: AtomicBool,
    /// The results of attempts are noted.
    results: AtomicBool,
}

/// What a call costs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Charge {
    pub(super) price: Price,
    /// What is believed of a reported usage.
    pub(super) bound: UsageBound,
    /// What is reserved for one attempt.
    pub(super) each: Money,
}

/// One call, as its stack and its response know it.
pub(super) struct Call {
    noted: Arc<Noted>,
    budgets: Budgets,
    charge: Charge,
    attempts: Mutex<Attempts>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Attempts {
    departed: u64,
    /// Those whose result says that they were not billed.
    unbilled: u64,
    /// For how many there is a reservation.
    held: u64,
    is_over: bool,
}

/// How a call was over.
pub(super) enum End {
    /// Before its response: it was dropped.
    Dropped,
    /// With an error, of which it may be certain that nothing was sent.
    Failed { certainly_unsent: bool },
    /// With a response of the status of an error.
    ErrorStatus,
    /// With a response, and its usage where that is known.
    Response(Option<Usage>),
}

impl Call {
    /// A call for whose first attempt there is a reservation.
    pub(super) fn reserved(
        noted: Arc<Noted>,
        budgets: Budgets,
        charge: Charge,
    ) -> Result<Arc<Self>, Rejection> {
        budgets.reserve(charge.each)?;
        let attempts = Attempts {
            held: 1,
            ..Attempts::default()
        };
        Ok(Arc::new(Self {
            noted,
            budgets,
            charge,
            attempts: Mutex::new(attempts),
        }))
    }

    fn attempts(&self) -> MutexGuard<'_, Attempts> {
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An attempt was answered with an error, or certainly not sent.
    pub(super) fn unbilled(&self) {
        self.noted.results.store(true, Ordering::Relaxed);
        let mut attempts = self.attempts();
        attempts.unbilled = attempts.departed.min(attempts.unbilled + 1);
    }

    /// That results are noted, whatever this one is.
    pub(super) fn note_results(&self) {
        self.noted.results.store(true, Ordering::Relaxed);
    }

    /// The call is over: what it has cost, or may have, is booked, once.
    pub(super) fn end(&self, end: &End) {
        let mut attempts = self.attempts();
        if std::mem::replace(&mut attempts.is_over, true) {
            return;
        }
        let now = *attempts;
        drop(attempts);
        let reported = match end {
            End::Response(usage) => *usage,
            _ => None,
        };
        let usage = reported.and_then(|usage| self.charge.bound.apply(usage));
        let (cost, count) = self.cost(now, end, usage);
        self.budgets.settle(self.charge.each.times(now.held), cost);
        for budget in self.budgets.each() {
            count(&budget.counters).add();
            if let Some((reported, usage)) = reported.zip(usage)
                && reported != usage
            {
                emit_bounded(&budget.events, reported, usage);
            }
        }
    }

    fn cost(
        &self,
        attempts: Attempts,
        end: &End,
        usage: Option<Usage>,
    ) -> (Money, fn(&SpendCounters) -> &Counter) {
        let Charge { price, each, .. } = self.charge;
        let noted = self.noted.departures.load(Ordering::Relaxed);
        // What departs unnoticed has departed, unless it is certain that it has not.
        let departed = match end {
            _ if noted => attempts.departed,
            End::Failed { certainly_unsent } => u64::from(!certainly_unsent),
            _ => attempts.departed.max(1),
        };
        let mut billed = departed.saturating_sub(attempts.unbilled);
        if let End::ErrorStatus = end
            && !self.noted.results.load(Ordering::Relaxed)
        {
            billed = billed.saturating_sub(1);
        }
        match usage {
            Some(usage) => {
                // All that departed but the one that was answered.
                let others = each.times(billed.saturating_sub(1));
                (price.cost(usage).plus(others), |counters| &counters.settled)
            }
            None if billed == 0 => (Money::ZERO, |counters| &counters.released),
            None => (each.times(billed), |counters| &counters.kept),
        }
    }
}

impl WatchDeparture for Call {
    /// An earlier attempt whose result is not known may be billed, so a further one needs a
    /// reservation of its own.
    fn departs(&self) -> Result<(), Rejection> {
        self.noted.departures.store(true, Ordering::Relaxed);
        let mut attempts = self.attempts();
        if attempts.is_over {
            // A hedged attempt that departs after the call was answered is dropped at once.
            return Ok(());
        }
        let open = attempts.departed + 1 - attempts.unbilled;
        if open > attempts.held {
            self.budgets.reserve(self.charge.each)?;
            attempts.held += 1;
        }
        attempts.departed += 1;
        Ok(())
    }
}

/// The call, in the extensions of its request, for those that note the results of attempts.
#[derive(Clone)]
pub(super) struct Paid {
    pub(super) call: Arc<Call>,
    pub(super) outer: Option<Arc<Paid>>,
}
