//! Why a call had no further attempt, and how often that was so.

use seawall_core::{Reason, Rejection, counters};

/// Makes the reasons and their counters from one table.
macro_rules! stop_reasons {
    ($($(#[$doc:meta])* $Reason:ident $field:ident $label:literal,)*) => {
        /// Why there was no further attempt.
        ///
        /// A label of metrics, a part of [`Stopped`], and the fields of [`GiveUpCounts`].
        #[non_exhaustive]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum StopReason {
            /// Nothing to retry: a success, or a result that means nothing for the upstream.
            Completed,
            $($(#[$doc])* $Reason,)*
        }

        impl StopReason {
            /// Every reason.
            pub const ALL: &'static [Self] = &[Self::Completed, $(Self::$Reason),*];

            /// The reason as a label value of metrics and logs.
            pub const fn as_str(self) -> &'static str {
                match self {
                    Self::Completed => "completed",
                    $(Self::$Reason => $label,)*
                }
            }
        }

        counters! {
            /// How many calls ended without success, by the reason why there was no further
            /// attempt.
            pub struct GiveUpCounts;

            /// The same on one stripe.
            #[derive(Debug, Default)]
            pub(crate) struct GiveUpStripe {
                $($(#[$doc])* $field => "seawall_retry_give_ups_total" [cause = $label],)*
            }
        }

        impl GiveUpStripe {
            pub(crate) fn add(&self, reason: StopReason) {
                match reason {
                    StopReason::Completed => {}
                    $(StopReason::$Reason => self.$field.add(),)*
                }
            }
        }

        impl GiveUpCounts {
            /// How many calls ended for `reason`; 0 for [`StopReason::Completed`], which is no
            /// reason to give up.
            pub const fn of(&self, reason: StopReason) -> u64 {
                match reason {
                    StopReason::Completed => 0,
                    $(StopReason::$Reason => self.$field,)*
                }
            }
        }
    };
}

stop_reasons! {
    /// A retry cannot help: banned, the quota is used up, or throttled where that is not retried.
    NotRetryable not_retryable "not_retryable",
    /// A layer below rejected the attempt.
    Rejected rejected "rejected",
    /// The request may have been executed and must not be executed twice.
    NotReplaySafe not_replay_safe "not_replay_safe",
    /// The same, and only because the layer has no describer; see
    /// [`RetryLayer::new`](crate::RetryLayer::new).
    NotDescribed not_described "not_described",
    /// All attempts were made.
    AttemptsExhausted attempts_exhausted "attempts_exhausted",
    /// There is no copy of the request that can be sent.
    NoCopy no_copy "no_copy",
    /// The upstream asks for a longer wait than is allowed.
    RetryAfter retry_after "retry_after",
    /// The wait, or the attempt, could not end before the deadline.
    Deadline deadline "deadline",
    /// The budget could not pay for another attempt.
    BudgetExhausted budget_exhausted "budget_exhausted",
    /// The service of the next attempt failed to become ready.
    NotReady not_ready "not_ready",
    /// The predicate decided against it.
    Predicate predicate "predicate",
    /// The request could not be prepared for its attempt.
    PrepareFailed prepare_failed "prepare_failed",
    /// The adaptive sending rate has no token for the attempt in time.
    AdaptiveRate adaptive_rate "adaptive_rate",
    /// An operator has switched retries off.
    Bypassed bypassed "bypassed",
}

impl StopReason {
    /// What a rejection by this layer says, where a layer's own limit ended the attempts.
    pub(crate) const fn rejects_as(self) -> Option<Reason> {
        match self {
            Self::BudgetExhausted => Some(Reason::BudgetExhausted),
            Self::Deadline => Some(Reason::DeadlineExceeded),
            Self::AdaptiveRate => Some(Reason::RateLimited),
            _ => None,
        }
    }
}

/// How a call ended that had no success: what [`AnnotateGiveUp`](crate::AnnotateGiveUp) gets.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stopped {
    /// Why there was no further attempt.
    pub reason: StopReason,
    /// How many attempts were made; zero when none was. An attempt that a layer below rejected
    /// before it was sent is not counted.
    pub attempts: u32,
    /// The rejection that stood in the way of a further attempt, by a layer below or by this one:
    /// what the result would be if the caller did not get the last one of the upstream.
    pub rejection: Option<Rejection>,
}
