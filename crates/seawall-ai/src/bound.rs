//! What is believed of the usage that a response reports.

use http::Extensions;
use seawall_core::{EventKind, EventSource};
use seawall_http::quota::{ReportedUsage, Usage, UsageBound};

/// What the input may be, in multiples of what was counted.
const MOST_RATIO: u64 = 8;
/// What the input may be of a short request: tools of the provider have a prompt of their own.
const LEAST_INPUT: u64 = 16_384;

/// The most that a call can have used, of which so many tokens were counted, and that writes at most so
/// many.
pub(crate) fn bound_of(counted: u32, output: u32) -> UsageBound {
    let input = (u64::from(counted) * MOST_RATIO).max(LEAST_INPUT);
    UsageBound::new(input, output.into())
}

/// The usage in the head of a response, as it was reported.
pub(crate) fn reported(extensions: &Extensions) -> Option<Usage> {
    let beyond = extensions.get::<ReportedUsage>().map(|beyond| beyond.0);
    beyond.or_else(|| extensions.get().copied())
}

/// Emits that less is believed than was reported.
pub(crate) fn emit_bounded(events: &EventSource, reported: Usage, applied: Usage) {
    events.emit_call(|| EventKind::Bounded {
        what: "usage",
        reported: reported.total(),
        applied: applied.total(),
    });
}
