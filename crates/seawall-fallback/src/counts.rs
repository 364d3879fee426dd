//! What is counted: calls that failed, and what became of the steps.

use seawall_core::counters;

counters! {
    /// What became of calls that failed.
    pub struct FallbackCounts;

    /// The counters of a layer.
    #[derive(Debug, Default)]
    pub(crate) struct FallbackCounters {
        /// Answered by a step.
        answered => "seawall_fallback_calls_total" [result = "answered"],
        /// No step that was asked had an answer: the caller got the original result.
        unanswered => "seawall_fallback_calls_total" [result = "unanswered"],
        /// The failure is none that a step covers, as a caller's own mistake.
        not_covered => "seawall_fallback_calls_total" [result = "not_covered"],
        /// The request must not be answered from elsewhere; see [`Step::also_for`](crate::Step::also_for).
        not_answerable => "seawall_fallback_calls_total" [result = "not_answerable"],
        /// The request wants no degraded answer.
        wants_fresh => "seawall_fallback_calls_total" [result = "wants_fresh"],
        /// Calls that a step of the layer made to the layer itself, and that were rejected.
        looped => "seawall_rejections_total" [layer = "fallback", reason = "no_route"],
        /// Calls that the read-only mode has rejected.
        read_only => "seawall_rejections_total" [layer = "fallback", reason = "paused"],
    }
}

counters! {
    /// What became of the calls that a step was asked for.
    pub struct StepCounts;

    /// The counters of a step.
    #[derive(Debug, Default)]
    pub(crate) struct StepCounters {
        /// It has answered.
        answered => (),
        /// It had no answer: it failed, or had none that is accepted or young enough.
        nothing => (),
        /// It did not answer in time.
        timed_out => (),
        /// Too many calls were in steps already.
        full => (),
        /// Its answer is older than one that was returned before.
        older => (),
        /// Its request could not be copied.
        no_copy => (),
    }
}

impl StepCounts {
    /// Each count with the value of the label `result` that metrics give it.
    pub(crate) const fn by_label(&self) -> [(&'static str, u64); 6] {
        [
            ("answered", self.answered),
            ("nothing", self.nothing),
            ("timed_out", self.timed_out),
            ("full", self.full),
            ("older", self.older),
            ("no_copy", self.no_copy),
        ]
    }
}
