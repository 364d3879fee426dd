//! What happens in a layer.

use std::num::NonZeroU64;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::{EventType, Misconfiguration};
use crate::{InstanceName, Rejection};

/// One thing that happened in one layer instance.
#[non_exhaustive]
///
/// Under the feature `serde`, what is written of it has the time as `at_unix_ms`.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Event {
    /// The number of a [change](EventType::is_change), counted from 1 in each
    /// [`Events`](crate::Events); none of what happens to a call.
    pub sequence: Option<NonZeroU64>,
    /// When it was emitted, on tokio's clock.
    #[cfg_attr(feature = "serde", serde(skip))]
    pub at: Instant,
    /// When it was emitted by the clock of the machine, for people; it may be set back.
    #[cfg_attr(
        feature = "serde",
        serde(rename = "at_unix_ms", serialize_with = "crate::serialize::unix_ms")
    )]
    pub time: SystemTime,
    /// The pattern: `"breaker"`, `"retry"`, ...
    pub pattern: &'static str,
    /// The layer instance.
    pub name: InstanceName,
    /// What happened.
    pub kind: EventKind,
}

crate::state_words! {
    /// How bad what an alert is about is.
    pub enum Severity {
        /// Worth knowing.
        Info = "info",
        /// To be looked at soon.
        Warning = "warning",
        /// To be looked at now.
        Critical = "critical",
    }
}

/// What happened.
///
/// Under the feature `serde` it is a map with its [type](Self::event_type) as `type`.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize),
    serde(tag = "type", rename_all = "snake_case")
)]
pub enum EventKind {
    /// A component went from one state to another.
    Transition {
        /// The state before.
        from: &'static str,
        /// The state since.
        to: &'static str,
        /// Why.
        reason: &'static str,
    },
    /// A call was rejected.
    Rejected(Rejection),
    /// A call would have been rejected with this, but the layer is in shadow mode and let it pass.
    Shadowed(Rejection),
    /// Another attempt is made after a wait.
    Retry {
        /// The attempt to come, counted from 1; the first extra attempt is 2.
        attempt: u32,
        /// The wait before it.
        #[cfg_attr(
            feature = "serde",
            serde(rename = "delay_seconds", serialize_with = "crate::serialize::seconds")
        )]
        delay: Duration,
    },
    /// Another attempt is made beside those that are under way.
    Hedged {
        /// The attempt, counted from 1; the first extra attempt is 2.
        attempt: u32,
        /// How long the first attempt has been waited for.
        #[cfg_attr(
            feature = "serde",
            serde(rename = "delay_seconds", serialize_with = "crate::serialize::seconds")
        )]
        delay: Duration,
    },
    /// An extra attempt was wanted and the budget had none left.
    BudgetExhausted,
    /// A call was dropped before it was answered.
    Abandoned,
    /// An operator has given a command, or a recovery.
    Commanded {
        /// The command, by the name of the handle's method, also where a
        /// [registry](crate::Registry) gives it (`"pause"` for the
        /// [`Block`](crate::Command::Block) of a bulkhead):
        ///
        /// * of every layer: `"configure"`, `"reset"`, and where it has them `"bypass"`, and
        ///   `"shadow_on"` and `"shadow_off"` for `set_shadow`;
        /// * of bulkheads and rate limits: `"pause"`, `"drain"`, `"resume"`, of the latter
        ///   `"pause_for"`, and for all keys `"pause_all"`, `"pause_all_for"`, `"drain_all"`,
        ///   `"resume_all"`;
        /// * of rate limits: `"refill"`, `"set_wall_clock"`, `"configure_key"`, `"evict_idle"`,
        ///   `"apply_signal"`;
        /// * of fallbacks: `"read_only_on"` and `"read_only_off"` for `set_read_only`;
        /// * of bulkheads: `"set_limit"`, `"set_share"`, `"reset_peak"`;
        /// * of breakers: `"force_open"`, `"force_open_for"`, `"force_closed"`, `"automatic"`,
        ///   `"set_max_keys"`; that of a key has the name of all keys;
        /// * of health monitors: `"configure_check"`, `"set_dependencies"`, `"remove"`,
        ///   `"set_recovery"`, `"remove_recovery"`, `"set_auto_recovery"`, `"recover_now"`,
        ///   `"set_score"`;
        /// * of monitors: `"acknowledge"`, `"unacknowledge"`, `"silence"`, `"unsilence"`;
        /// * of order safety: `"cancel"`, `"resolve"`, `"look_up_again"`, `"set_mode"`;
        /// * of spend budgets: `"already_spent"`, `"set_wall_clock"`;
        /// * of routers: `"pause_all"` and `"resume_all"`, and of a deployment, with its name and the
        ///   pattern `"deployment"`, `"block"` and `"resume"`;
        /// * of a recovery, to what it holds: `"recovery_hold"` and `"recovery_release"`, in place of the
        ///   method's name.
        ///
        /// A command that is rejected is not emitted; one that changes nothing is, but for a pause
        /// of no time.
        command: &'static str,
    },
    /// The layer is set up so that it does not do what was probably wanted. What was found before the
    /// instance is attached to events is emitted when it is.
    #[cfg_attr(
        feature = "serde",
        serde(serialize_with = "crate::serialize::misconfigured")
    )]
    Misconfigured(Misconfiguration),
    /// A value that the upstream reported is beyond reason, and a smaller one is applied.
    Bounded {
        /// What was reported: `"wait_ms"`, `"pause_ms"`, `"ban_ms"`, `"usage"`.
        what: &'static str,
        /// What the upstream reported; saturates.
        reported: u64,
        /// What is applied in its place, in the same unit.
        applied: u64,
    },
    /// The clock of the machine was set: it moved by this, compared with the running clock.
    ClockJumped {
        /// By how much.
        #[cfg_attr(
            feature = "serde",
            serde(rename = "by_seconds", serialize_with = "crate::serialize::seconds")
        )]
        by: Duration,
        /// Whether it was set back.
        back: bool,
    },
    /// A file that keeps what is used could not be written; it is tried again.
    FileNotWritten,
    /// The journal of orders can be written again after it had failed, and what was lost of it is written.
    JournalRecovered {
        /// How many marks were written again.
        marks: u64,
    },
    /// The upstream has asked for fewer calls, and the layer holds them back.
    Throttled {
        /// For how long from now on.
        #[cfg_attr(
            feature = "serde",
            serde(rename = "wait_seconds", serialize_with = "crate::serialize::seconds")
        )]
        wait: Duration,
    },
    /// A call was answered, but not by the upstream's answer to it.
    Degraded {
        /// The failure in a word; see [`Degradation::reason`](crate::Degradation::reason).
        reason: &'static str,
        /// Where the answer comes from.
        source: InstanceName,
        /// How old its data is; none where it was made for the call.
        #[cfg_attr(
            feature = "serde",
            serde(
                rename = "age_seconds",
                serialize_with = "crate::serialize::optional_seconds"
            )
        )]
        age: Option<Duration>,
    },
    /// The outcome of an order is known that was never in doubt.
    OrderSettled {
        /// Its number in the journal; `None` until the journal has it.
        number: Option<u64>,
        /// How many copies of its request have left: above 1 it was sent again.
        copy: u32,
        /// What is known: `"confirmed"`, `"rejected"`, `"absent"` or `"abandoned"`.
        state: &'static str,
        /// From where it is known.
        reason: &'static str,
    },
    /// Something has become known of an order that is or was in doubt, or that a person has to look at.
    Order {
        /// Its number in the journal; `None` until the journal has it.
        number: Option<u64>,
        /// How many copies of its request have left: above 1 it was sent again.
        copy: u32,
        /// What is known: `"in_doubt"`, `"resent"`, `"confirmed"`, `"rejected"`, `"absent"`,
        /// `"abandoned"`, or `"alert"`.
        state: &'static str,
        /// Why, or from where it is known; of an alert, what a person has to look at.
        reason: &'static str,
    },
    /// Our own orders and the lists of their broker differ, or agree again. The figures of both sides are in
    /// the notices of the handle.
    OrdersDiffer {
        /// What differs: `"unknown_to_us"`, `"unknown_to_broker"`, `"not_open"`, `"figures"`, `"several"`,
        /// `"position"`.
        what: &'static str,
        /// Whether it was reported before, and is gone.
        is_gone: bool,
    },
    /// A configuration is in force that was read again, or one that was rejected before is right again
    /// as it was.
    Reloaded {
        /// How many configurations were in force, this one included.
        generation: u64,
    },
    /// A configuration that was read again is not accepted: the last good one stays in force. Once, until
    /// something else is wrong with it.
    ReloadRejected {
        /// Why: `"unreadable"`, `"invalid"`, or `"new_stack"` where a running stack cannot be changed so.
        reason: &'static str,
    },
    /// The status of a health check has changed.
    CheckChanged {
        /// The check.
        check: InstanceName,
        /// The status before.
        from: &'static str,
        /// The status now.
        to: &'static str,
    },
    /// The recovery of an upstream has come to another step.
    Recovery {
        /// The step: `"detected"` where its check is unhealthy, `"healing"` where a hook is to put it right,
        /// `"validating"`, `"restoring"`, `"restored"`, `"failed"` of one attempt, or `"gave_up"` after
        /// the last.
        step: &'static str,
        /// Which attempt to recover it is, counted from 1.
        attempt: u32,
    },
    /// An alert is raised, or over.
    Alert {
        /// The rule that was evaluated.
        rule: InstanceName,
        /// How bad it is.
        severity: Severity,
        /// Whether it is raised now; otherwise it is resolved.
        raised: bool,
    },
}

impl EventKind {
    /// What it is about.
    pub const fn event_type(&self) -> EventType {
        match self {
            Self::Transition { .. } => EventType::Transition,
            Self::Rejected(_) => EventType::Rejected,
            Self::Shadowed(_) => EventType::Shadowed,
            Self::Retry { .. } => EventType::Retry,
            Self::Hedged { .. } => EventType::Hedged,
            Self::BudgetExhausted => EventType::BudgetExhausted,
            Self::Abandoned => EventType::Abandoned,
            Self::Commanded { .. } => EventType::Commanded,
            Self::Misconfigured(_) => EventType::Misconfigured,
            Self::Bounded { .. } => EventType::Bounded,
            Self::ClockJumped { .. } => EventType::ClockJumped,
            Self::FileNotWritten => EventType::FileNotWritten,
            Self::JournalRecovered { .. } => EventType::JournalRecovered,
            Self::Throttled { .. } => EventType::Throttled,
            Self::Degraded { .. } => EventType::Degraded,
            Self::OrderSettled { .. } => EventType::OrderSettled,
            Self::Order { .. } => EventType::Order,
            Self::OrdersDiffer { .. } => EventType::OrdersDiffer,
            Self::Reloaded { .. } => EventType::Reloaded,
            Self::ReloadRejected { .. } => EventType::ReloadRejected,
            Self::CheckChanged { .. } => EventType::CheckChanged,
            Self::Recovery { .. } => EventType::Recovery,
            Self::Alert { .. } => EventType::Alert,
        }
    }
}
