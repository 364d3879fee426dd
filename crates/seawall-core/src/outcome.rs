//! What a result means, in one vocabulary for breaker, retry, limiter and health.

use std::time::Duration;

/// What one response says about the upstream.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The upstream did what it was asked to do.
    Success,
    /// The upstream failed.
    Failure(FailureKind),
    /// The upstream asks for fewer requests; it is healthy, this client is too fast.
    Throttled {
        /// How long the upstream asks to wait, if it says so.
        retry_after: Option<Duration>,
        /// What the throttle covers.
        scope: Scope,
    },
    /// The upstream has banned this client; every further request is wasted or prolongs the ban.
    Banned {
        /// How long the ban lasts from now, if known.
        lasts: Option<Duration>,
    },
    /// A quota of hours, days or money is used up; waiting for seconds does not help.
    QuotaExhausted {
        /// When the quota is renewed, from now, if known.
        renews_in: Option<Duration>,
    },
    /// The response says nothing about the upstream: a bad request, a local rejection.
    Ignored,
    /// The request may have been executed: it timed out or was cut off after it was sent.
    Unknown,
    /// The call was answered, but not by the upstream's answer to it: by a fallback, or by what was kept
    /// of an earlier answer. It says nothing about the upstream, and is never sent again; see
    /// [`Degradation`](crate::Degradation).
    Degraded,
}

/// In what way the upstream failed.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// The request certainly did not leave: no connection, no name, no handshake.
    NotSent,
    /// The upstream reported that it failed (HTTP 5xx, gRPC `INTERNAL`).
    Server,
    /// The upstream reported that it is overloaded or down for now (HTTP 503, 529).
    Overloaded,
    /// The upstream reported that it waited too long (HTTP 408, 504).
    Timeout,
    /// The response began and broke off.
    Body,
    /// Anything else.
    Other,
}

impl FailureKind {
    /// Every kind.
    pub const ALL: [Self; 6] = [
        Self::NotSent,
        Self::Server,
        Self::Overloaded,
        Self::Timeout,
        Self::Body,
        Self::Other,
    ];

    /// The kind as a label value of metrics and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotSent => "not_sent",
            Self::Server => "server",
            Self::Overloaded => "overloaded",
            Self::Timeout => "timeout",
            Self::Body => "body",
            Self::Other => "failure",
        }
    }
}

/// What a throttle covers.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Everything that this client sends to this upstream.
    #[default]
    Upstream,
    /// The endpoint that was called.
    Endpoint,
    /// The account or key that was used.
    Account,
}

/// How an outcome counts for the health of the upstream.
// Exhaustive: a vote is for, against, or neither; who counts votes must count each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Vote {
    /// The upstream is healthy.
    Success,
    /// The upstream is unhealthy.
    Failure,
    /// It says nothing about the upstream.
    Abstain,
}

impl Outcome {
    /// Every word of [`as_str`](Self::as_str).
    pub(crate) const WORDS: [&str; 8] = [
        "success",
        "failure",
        "throttled",
        "banned",
        "quota_exhausted",
        "ignored",
        "unknown",
        "degraded",
    ];

    /// How this outcome counts for the health of the upstream.
    ///
    /// Throttles and used-up quotas abstain: the upstream is healthy, this client is too fast. A
    /// ban, and a request of unknown fate, count as failures.
    pub const fn vote(&self) -> Vote {
        match self {
            Self::Success => Vote::Success,
            Self::Failure(_) | Self::Banned { .. } | Self::Unknown => Vote::Failure,
            Self::Throttled { .. }
            | Self::QuotaExhausted { .. }
            | Self::Ignored
            | Self::Degraded => Vote::Abstain,
        }
    }

    /// How long the upstream asks to stay away, if it says so.
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Throttled { retry_after, .. } => *retry_after,
            Self::Banned { lasts } => *lasts,
            Self::QuotaExhausted { renews_in } => *renews_in,
            _ => None,
        }
    }

    /// The outcome as a label value of metrics and logs.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure(_) => "failure",
            Self::Throttled { .. } => "throttled",
            Self::Banned { .. } => "banned",
            Self::QuotaExhausted { .. } => "quota_exhausted",
            Self::Ignored => "ignored",
            Self::Unknown => "unknown",
            Self::Degraded => "degraded",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn throttles_abstain_and_bans_count() {
        let throttled = Outcome::Throttled {
            retry_after: None,
            scope: Scope::Upstream,
        };
        assert_eq!(throttled.vote(), Vote::Abstain);
        assert_eq!(Outcome::Banned { lasts: None }.vote(), Vote::Failure);
        assert_eq!(Outcome::Unknown.vote(), Vote::Failure);
        assert_eq!(Outcome::Degraded.vote(), Vote::Abstain);
        assert_eq!(Outcome::Degraded.retry_after(), None);
    }
}
