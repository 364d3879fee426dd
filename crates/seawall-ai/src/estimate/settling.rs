//! What becomes of an estimate when its call is over.

use http::Response;
use seawall_core::counters::Counter;
use seawall_core::{LateUsage, TokenCount};
use seawall_http::quota::Usage;

use super::counts::EstimateCounters;
use super::estimator::{Expected, TokenEstimator};
use crate::bound::{emit_bounded, reported};
use crate::measured_body::{AwaitEnd, BodyEnd};

/// An estimate whose call is not over.
pub(super) struct Settling {
    expected: Option<Expected>,
    late: Option<LateUsage>,
    estimator: TokenEstimator,
}

impl Settling {
    pub(super) const fn new(expected: Expected, estimator: TokenEstimator) -> Self {
        Self {
            expected: Some(expected),
            late: None,
            estimator,
        }
    }

    /// The response has come; `None` when it says all that it will.
    pub(super) fn head<R>(mut self, response: &Response<R>) -> Option<Self> {
        if let Some(usage) = reported(response.extensions())
            && let Some(usage) = self.believed(usage)
        {
            self.settle(usage, |counters| &counters.settled);
            return None;
        }
        if response.status().is_client_error() || response.status().is_server_error() {
            self.failed();
            return None;
        }
        self.late = response.extensions().get().cloned();
        Some(self)
    }

    /// What is believed of a reported usage.
    fn believed(&self, reported: Usage) -> Option<Usage> {
        let bound = self.expected.as_ref()?.bound();
        let usage = bound.apply(reported)?;
        if usage != reported {
            emit_bounded(&self.estimator.shared.events, reported, usage);
        }
        Some(usage)
    }

    fn settle(&mut self, usage: Usage, count: fn(&EstimateCounters) -> &Counter) {
        let Some(expected) = self.expected.take() else {
            return;
        };
        if let Some(late) = self.late.take() {
            late.correct(&usage.units());
        }
        let whole = |tokens| u32::try_from(tokens).unwrap_or(u32::MAX);
        let (input, output) = (whole(usage.input_tokens), whole(usage.output_tokens));
        expected.settle(TokenCount::new(input, output));
        count(&self.estimator.shared.counters).add();
    }

    /// An error, or a response with the status of one: nothing is learned, and the estimate stays.
    pub(super) fn failed(mut self) {
        self.give_up(|counters| &counters.failed);
    }

    fn give_up(&mut self, count: fn(&EstimateCounters) -> &Counter) {
        if self.expected.take().is_some() {
            count(&self.estimator.shared.counters).add();
        }
    }

    fn counts_delivered(&self) -> bool {
        self.estimator.shared.config().count_delivered()
    }

    fn reserved(&self) -> TokenCount {
        let expected = self.expected.as_ref();
        expected.map_or(TokenCount::NONE, Expected::tokens)
    }

    fn correct(&mut self, usage: Usage) {
        if let Some(late) = self.late.take() {
            late.correct(&usage.units());
        }
    }

    /// The output is known as what was delivered; the input is what it was expected to be.
    fn learn_output(&mut self, delivered: u32) {
        if let Some(expected) = self.expected.take() {
            expected.settle_output(delivered);
            self.estimator.shared.counters.delivered.add();
        }
    }

    /// What is taken stays taken, and is raised to what is known: the model may have written more than
    /// was read, and goes on where the provider does not notice that nobody reads.
    fn raise(&mut self, usage: Option<Usage>, delivered: u32) {
        let reserved = self.reserved();
        let usage = usage.unwrap_or_default();
        // An input that was reported is exact; it comes first in a stream.
        let input = match usage.input_tokens {
            0 => reserved.input.into(),
            input => input,
        };
        let output = usage.output_tokens.max(delivered.into());
        self.correct(Usage::new(input, output.max(reserved.output.into())));
    }
}

impl AwaitEnd for Settling {
    fn body_ended(mut self: Box<Self>, end: BodyEnd, usage: Option<Usage>, delivered: u32) {
        let usage = usage.and_then(|usage| self.believed(usage));
        match (end, usage) {
            (BodyEnd::Complete, Some(usage)) => self.settle(usage, |counters| &counters.settled),
            (BodyEnd::Complete, None) if delivered > 0 && self.counts_delivered() => {
                let input = self.reserved().input;
                self.correct(Usage::new(input.into(), delivered.into()));
                self.learn_output(delivered);
            }
            (BodyEnd::Complete, None) => {
                self.raise(usage, delivered);
                self.give_up(|counters| &counters.without_usage);
            }
            (BodyEnd::BrokenOff, usage) => {
                self.raise(usage, delivered);
                self.give_up(|counters| &counters.broken_off);
            }
        }
    }
}

impl Drop for Settling {
    fn drop(&mut self) {
        self.give_up(|counters| &counters.abandoned);
    }
}
