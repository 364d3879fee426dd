//! What decides about the calls of a service: the state, the budget, the policy, the hooks.

use std::sync::{Arc, Mutex, PoisonError};

use seawall_core::striped::{Anchor, Local};
use seawall_core::{
    BudgetHandle, Classify, CopyRequest, Describe, EventKind, Figure, KeepResponse, Outcome,
    Policies, Reason, Rejection, Sent,
};

use crate::AdaptiveRate;
use crate::StopReason;
use crate::counts::RetryStripe;
use crate::decide::Attempted;
use crate::state::State;

/// What does not depend on the types of a service.
#[derive(Clone, Debug)]
pub(crate) struct Core {
    pub(crate) state: Arc<State>,
    pub(crate) budget: BudgetHandle,
    pub(crate) rate: Option<AdaptiveRate>,
    pub(crate) random: Option<Arc<Mutex<fastrand::Rng>>>,
}

impl Core {
    /// A number from `[0, 1)`: from the seeded generator, or from the thread's own.
    pub(crate) fn draw(&self) -> f64 {
        match &self.random {
            Some(seeded) => seeded.lock().unwrap_or_else(PoisonError::into_inner).f64(),
            None => fastrand::f64(),
        }
    }

    /// Adapts the sending rate to the success of an attempt.
    #[inline]
    pub(crate) fn succeeded(&self) {
        if let Some(rate) = &self.rate {
            rate.on_response(false, rate.now());
        }
    }

    /// Adapts the sending rate to the result of an attempt, which has taken a token of it or not.
    pub(crate) fn adapt_rate(&self, attempted: &Attempted, has_token: bool) {
        let Some(rate) = &self.rate else {
            return;
        };
        if attempted.is_rejected_unsent() {
            if has_token {
                rate.release();
            }
        } else {
            let throttled = matches!(attempted.outcome, Outcome::Throttled { .. });
            rate.on_response(throttled, rate.now());
        }
    }

    /// A rejection of the layer itself.
    pub(crate) fn rejection(&self, reason: Reason, sent: Sent) -> Rejection {
        self.state.events.rejection(reason).with_sent(sent)
    }

    /// How much it was that ended a call's attempts.
    pub(crate) fn figure(&self, reason: StopReason, attempts: u32) -> Figure {
        match self.budget.budget() {
            Some(budget) if reason == StopReason::BudgetExhausted => Figure::Budget {
                attempts,
                tenths_left: (budget.balance() * 10.0) as u32,
            },
            _ => Figure::Attempts(attempts),
        }
    }

    /// A rejection of the layer itself, emitted.
    pub(crate) fn reject(&self, reason: Reason, sent: Sent) -> Rejection {
        self.emitted(self.rejection(reason, sent))
    }

    pub(crate) fn emitted(&self, rejection: Rejection) -> Rejection {
        let event = || EventKind::Rejected(rejection);
        self.state.events.emit(event);
        rejection
    }
}

/// What decides: the same for all services of a layer value.
#[derive(Clone)]
pub(crate) struct Rules<X, H> {
    pub(crate) core: Core,
    pub(crate) policy: X,
    pub(crate) hooks: H,
}

/// A policy for the requests and the results of a service: short for its bounds.
pub(crate) trait PolicyFor<Req, Res, Err>:
    Policies<
        Classifier: Classify<Res, Err>,
        Describer: Describe<Req>,
        Copier: CopyRequest<Req>,
        Keeper: KeepResponse<Res>,
    >
{
}

impl<X, Req, Res, Err> PolicyFor<Req, Res, Err> for X where
    X: Policies<
            Classifier: Classify<Res, Err>,
            Describer: Describe<Req>,
            Copier: CopyRequest<Req>,
            Keeper: KeepResponse<Res>,
        >
{
}

/// What the services of one `layer()` share; the futures hold a reference to it.
pub(crate) struct Common<S, X, H> {
    pub(crate) rules: Rules<X, H>,
    /// Never called itself: later attempts call clones of it. One template here saves every call
    /// a clone that it will most likely not need.
    template: Mutex<S>,
}

impl<S, X, H> Common<S, X, H> {
    pub(crate) const fn new(rules: Rules<X, H>, template: S) -> Self {
        Self {
            rules,
            template: Mutex::new(template),
        }
    }
}

impl<S: Clone, X, H> Common<S, X, H> {
    /// A service for another attempt.
    pub(crate) fn service(&self) -> S {
        let template = self.template.lock();
        template.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

// A stripe is the layer's counters of that stripe, so that all its services count together.
pub(crate) type CommonAnchor<S, X, H> = Anchor<Common<S, X, H>, Arc<RetryStripe>>;
pub(crate) type CommonLocal<S, X, H> = Local<Common<S, X, H>, Arc<RetryStripe>>;
