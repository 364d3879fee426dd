//! What happens in a layer.

use std::time::Duration;

use tokio::time::Instant;

use super::Misconfiguration;
use crate::{InstanceName, Rejection};

/// One thing that happened in one layer instance.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Event {
    /// When it was emitted, on tokio's clock.
    pub at: Instant,
    /// The pattern: `"breaker"`, `"retry"`, ...
    pub pattern: &'static str,
    /// The layer instance.
    pub name: InstanceName,
    /// What happened.
    pub kind: EventKind,
}

/// What happened.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq)]
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
        delay: Duration,
    },
    /// Another attempt is made beside those that are under way.
    Hedged {
        /// The attempt, counted from 1; the first extra attempt is 2.
        attempt: u32,
        /// How long the first attempt has been waited for.
        delay: Duration,
    },
    /// An extra attempt was wanted and the budget had none left.
    BudgetExhausted,
    /// A call was dropped before it was answered.
    Abandoned,
    /// An operator has given a command.
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
        /// * of bulkheads: `"set_limit"`, `"set_share"`, `"reset_peak"`;
        /// * of breakers: `"force_open"`, `"force_open_for"`, `"force_closed"`, `"automatic"`,
        ///   `"set_max_keys"`; that of a key has the name of all keys;
        /// * of health monitors: `"configure_check"`, `"remove"`;
        /// * of order safety: `"cancel"`, `"resolve"`, `"look_up_again"`, `"set_mode"`;
        /// * of spend budgets: `"already_spent"`, `"set_wall_clock"`;
        /// * of routers: `"pause_all"` and `"resume_all"`, and of a deployment, with its name and the
        ///   pattern `"deployment"`, `"block"` and `"resume"`.
        ///
        /// A command that is rejected is not emitted; one that changes nothing is, but for a pause
        /// of no time.
        command: &'static str,
    },
    /// The layer is set up so that it does not do what was probably wanted. What was found before the
    /// instance is attached to events is emitted when it is.
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
    /// Something has become known of an order whose requests are journalled.
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
}
