//! What is counted: calls and attempts by outcome, retries, and why there was no other one.

use seawall_core::counters::{OutcomeCounts, OutcomeStripe};
use seawall_core::striped::StripeSet;
use seawall_core::{Outcome, Rejection, Samples};

use crate::StopReason;
use crate::reason::{GiveUpCounts, GiveUpStripe};

/// What a retry layer and all its services did so far.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct RetryCounts {
    /// Calls, by the outcome of the result that the caller got.
    pub calls: OutcomeCounts,
    /// Attempts that have ended, first ones included, by their outcome.
    pub attempts: OutcomeCounts,
    /// Attempts that were followed by another one.
    pub retries: u64,
    /// Calls that ended without success, by reason.
    pub give_ups: GiveUpCounts,
}

impl RetryCounts {
    pub(crate) fn sum(stripes: &StripeSet<RetryStripe>) -> Self {
        let retried = OutcomeCounts::sum(stripes.iter().map(|stripe| &stripe.retried));
        Self {
            calls: OutcomeCounts::sum(stripes.iter().flat_map(|s| [&s.last, &s.no_attempt])),
            attempts: OutcomeCounts::sum(
                stripes
                    .iter()
                    .flat_map(|s| [&s.last, &s.retried, &s.replaced]),
            ),
            retries: retried.total(),
            give_ups: GiveUpCounts::sum(stripes.iter().map(|stripe| &stripe.give_ups)),
        }
    }

    pub(crate) fn samples(&self, sink: &mut Samples<'_>) {
        for (outcome, count) in self.attempts.by_label() {
            let labels = [("outcome", outcome)];
            sink.counter("seawall_retry_attempts_total", &labels, count);
        }
        for (outcome, count) in self.calls.by_label() {
            let labels = [("layer", "retry"), ("outcome", outcome)];
            sink.counter("seawall_calls_total", &labels, count);
        }
        sink.counter("seawall_retry_retries_total", &[], self.retries);
        self.give_ups.samples(sink);
    }
}

/// The counters of one stripe. A call that succeeds at once writes one of them.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct RetryStripe {
    /// Attempts whose result was that of their call.
    last: OutcomeStripe,
    /// Attempts that were followed by another one.
    retried: OutcomeStripe,
    /// Last attempts that were not sent, in whose place the caller got an earlier result.
    replaced: OutcomeStripe,
    /// Results of calls that are not those of their last attempt.
    no_attempt: OutcomeStripe,
    give_ups: GiveUpStripe,
}

impl RetryStripe {
    /// An attempt succeeded, and its call with it, on a thread that may have the stripe alone.
    #[inline]
    pub(crate) fn succeeded(&self, alone: bool) {
        self.last.success.add_here(alone);
    }

    /// The result of an attempt is that of its call.
    pub(crate) fn completed(&self, outcome: &Outcome, rejection: Option<&Rejection>) {
        self.last.add(outcome, rejection);
    }

    /// Another attempt follows.
    pub(crate) fn retried(&self, outcome: &Outcome, rejection: Option<&Rejection>) {
        self.retried.add(outcome, rejection);
    }

    /// The last attempt was not sent, and the caller gets an earlier result.
    pub(crate) fn replaced(&self, outcome: &Outcome, rejection: Option<&Rejection>) {
        self.replaced.add(outcome, rejection);
    }

    /// A call ended with a result that is not that of its last attempt.
    pub(crate) fn ended_between_attempts(&self, outcome: &Outcome, rejection: Option<&Rejection>) {
        self.no_attempt.add(outcome, rejection);
    }

    pub(crate) fn gave_up(&self, reason: StopReason) {
        self.give_ups.add(reason);
    }
}
