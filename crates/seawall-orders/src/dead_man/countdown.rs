//! What is known of the venue's timer. Pure: `now` is an argument.

use std::time::Duration;

use seawall_core::state_words;
use tokio::time::Instant;

use super::config::DeadManConfig;

state_words! {
    /// What is known of the venue's timer.
    pub enum DeadManState {
        /// It is not set, as far as is known.
        Disarmed = "disarmed",
        /// It is set, and renewed.
        Armed = "armed",
        /// It is set and not renewed, since health does not allow new orders: it will fire.
        Withheld = "withheld",
        /// It has fired: the time of the last renewal that is known is over.
        Lapsed = "lapsed",
    }
}

/// Everything that is known of the venue's timer at one moment.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct DeadManSnapshot {
    /// The state.
    pub state: DeadManState,
    /// How long the timer will not fire, at least; `None` if it is not set.
    #[cfg_attr(
        feature = "serde",
        serde(serialize_with = "seawall_core::serialize::optional_seconds")
    )]
    pub left: Option<Duration>,
    /// How many times it was set or renewed.
    pub renewed: u64,
    /// How many requests failed.
    pub failed: u64,
    /// How many times it has fired.
    pub lapsed: u64,
}

/// A change of state, or an end of a request that leaves it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) from: DeadManState,
    pub(super) to: DeadManState,
    pub(super) reason: &'static str,
}

/// How a request to set the timer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The venue says that it is set.
    Set,
    /// The venue says something else.
    Rejected,
    /// It may have been set: the reason.
    Unknown(&'static str),
}

/// The venue's timer as it is known.
#[derive(Debug)]
pub(super) struct Countdown {
    config: DeadManConfig,
    state: DeadManState,
    healthy: bool,
    /// When the last request was sent whose response came.
    renewed_at: Option<Instant>,
    next: Instant,
    /// Until when a request without a response may still arrive.
    pub(super) in_doubt_until: Option<Instant>,
    counts: [u64; 3],
}

impl Countdown {
    pub(super) fn new(config: DeadManConfig, now: Instant) -> Self {
        Self {
            config,
            state: DeadManState::Disarmed,
            healthy: true,
            renewed_at: None,
            next: now,
            in_doubt_until: None,
            counts: [0; 3],
        }
    }

    /// When it fires at the earliest.
    pub(super) fn fires_at(&self) -> Option<Instant> {
        Some(self.renewed_at? + self.config.timeout())
    }

    /// Looks at the time and at health.
    pub(super) fn tick(&mut self, now: Instant, healthy: bool) -> Option<Change> {
        let is_better = healthy && !self.healthy;
        self.healthy = healthy;
        if is_better {
            self.next = now;
        }
        if self.fires_at().is_some_and(|at| now >= at) {
            self.renewed_at = None;
            self.counts[2] += 1;
            return Some(self.to(DeadManState::Lapsed, "not_renewed"));
        }
        let withholds = self.state == DeadManState::Armed && !healthy;
        withholds.then(|| self.to(DeadManState::Withheld, "unhealthy"))
    }

    /// When the next request is due.
    pub(super) fn next(&self) -> Instant {
        self.next
    }

    /// Takes the end of a request to set the timer that was sent at `sent`.
    pub(super) fn ended(&mut self, sent: Instant, now: Instant, end: End) -> Change {
        let is_late = now >= sent + self.config.timeout();
        let failure = match end {
            End::Set if is_late => "late",
            End::Set => {
                self.counts[0] += 1;
                self.next = sent + self.config.interval();
                self.renewed_at = Some(sent);
                let reason = match self.state {
                    DeadManState::Armed => "renewed",
                    _ => "set",
                };
                return self.to(DeadManState::Armed, reason);
            }
            End::Rejected => "rejected",
            End::Unknown(reason) => {
                self.in_doubt_until = Some(now + self.config.attempt_timeout());
                reason
            }
        };
        self.counts[1] += 1;
        self.next = now + self.config.retry_after();
        self.to(self.state, failure)
    }

    /// Takes the end of a request to disarm the timer.
    pub(super) fn disarm_ended(&mut self, end: End) -> Change {
        let failure = match end {
            End::Set => {
                self.renewed_at = None;
                return self.to(DeadManState::Disarmed, "stopped");
            }
            End::Rejected => "rejected",
            End::Unknown(reason) => reason,
        };
        self.counts[1] += 1;
        self.to(self.state, failure)
    }

    pub(super) fn snapshot(&self, now: Instant) -> DeadManSnapshot {
        let left = self.fires_at().map(|at| at.saturating_duration_since(now));
        // The driver may have ended, or be late.
        let is_over = left.is_some_and(|left| left.is_zero());
        let [renewed, failed, lapsed] = self.counts;
        DeadManSnapshot {
            state: if is_over {
                DeadManState::Lapsed
            } else {
                self.state
            },
            left: left.filter(|_| !is_over),
            renewed,
            failed,
            lapsed: lapsed + u64::from(is_over),
        }
    }

    fn to(&mut self, to: DeadManState, reason: &'static str) -> Change {
        let from = std::mem::replace(&mut self.state, to);
        Change { from, to, reason }
    }
}
