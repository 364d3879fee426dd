//! Trading modes: what passes when something is wrong.

use std::error::Error as StdError;
use std::fmt;

use seawall_core::{EventKind, InvalidConfig, getters, setters, state_words};

state_words! {
    /// Which requests pass. In every mode cancels and queries do.
    pub enum TradingMode {
        /// Everything.
        Normal = "normal",
        /// Orders that reduce a position, cancels, queries.
        ReduceOnly = "reduce_only",
        /// Cancels and queries.
        CancelOnly = "cancel_only",
        /// The same, and the driver lets a dead man's switch of the venue fire.
        Halted = "halted",
    }
}

impl TradingMode {
    const fn severity(self) -> u8 {
        match self {
            Self::Normal => 0,
            Self::ReduceOnly => 1,
            Self::CancelOnly => 2,
            Self::Halted => 3,
        }
    }
}

state_words! {
    /// Why a mode is what it is.
    pub enum ModeCause {
        /// Nothing is wrong.
        Fine = "fine",
        /// The circuit of the broker is open.
        CircuitOpen = "circuit_open",
        /// A limit or quota of the broker is spent.
        LimitsSpent = "limits_spent",
        /// Too many intents are in doubt.
        InDoubt = "in_doubt",
        /// The look-ups of an intent are used up.
        Exhausted = "exhausted",
        /// Intents of an earlier process are not reconciled yet.
        Starting = "starting",
        /// The journal cannot be written.
        Journal = "journal",
        /// The kill switch is engaged.
        KillSwitch = "kill_switch",
        /// A person has set the mode.
        Manual = "manual",
    }
}

state_words! {
    /// What a request does, for a mode.
    pub enum ModeRequest {
        /// It places or changes an order that can make a position larger.
        Open = "open",
        /// It places or changes an order that can only make a position smaller.
        Reduce = "reduce",
        /// It cancels an order.
        Cancel = "cancel",
        /// It reads.
        Query = "query",
    }
}

/// What the mode depends on, at one moment. Nothing is wrong by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Conditions {
    /// Whether the circuit of the broker is open.
    pub circuit_open: bool,
    /// Whether a limit or quota is spent.
    pub limits_spent: bool,
    /// How many intents are in doubt.
    pub in_doubt: u32,
    /// How many intents are exhausted.
    pub exhausted: u32,
    /// How many intents of an earlier process are in doubt.
    pub starting: u32,
    /// Whether the last write to the journal failed.
    pub journal_failed: bool,
    /// Whether the kill switch is engaged.
    pub kill_switch: bool,
    /// The mode that a person wants at least.
    pub manual: Option<TradingMode>,
}

impl Conditions {
    setters! { self:
        /// Sets whether the circuit of the broker is open.
        pub const fn circuit_open(bool);
        /// Sets whether a limit or quota is spent.
        pub const fn limits_spent(bool);
        /// Sets how many intents are in doubt.
        pub const fn in_doubt(u32);
        /// Sets how many intents are exhausted.
        pub const fn exhausted(u32);
        /// Sets how many intents of an earlier process are in doubt.
        pub const fn starting(u32);
        /// Sets whether the last write to the journal failed.
        pub const fn journal_failed(bool);
        /// Sets whether the kill switch is engaged.
        pub const fn kill_switch(bool);
        /// Sets the mode that a person wants at least.
        pub const fn manual(Some(TradingMode));
    }
}

/// Which condition leads to which mode, and how a better one is reached again.
///
/// ```
/// use seawall_orders::protocol::{Conditions, ModePolicy, ModeRequest, TradingMode, TradingModes};
///
/// let policy = ModePolicy::builder().reduce_from(5).clean_queries(2).build()?;
/// let fine = Conditions::default();
/// let mut modes = TradingModes::new(policy, fine);
/// modes.update(fine.in_doubt(5));
/// assert_eq!(modes.mode(), TradingMode::ReduceOnly);
/// let rejected = modes.admit(ModeRequest::Open).unwrap_err();
/// assert_eq!(rejected.to_string(), "trading mode reduce_only, because of in_doubt; nothing was sent");
/// assert!(modes.admit(ModeRequest::Cancel).is_ok());
///
/// // It is better, and two queries in sequence have to succeed.
/// modes.update(fine);
/// modes.queried(true);
/// assert_eq!(modes.mode(), TradingMode::ReduceOnly);
/// modes.queried(true);
/// assert_eq!(modes.mode(), TradingMode::Normal);
/// # Ok::<(), seawall_core::InvalidConfig>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct ModePolicy {
    on_circuit_open: TradingMode,
    on_limits_spent: TradingMode,
    on_exhausted: TradingMode,
    reduce_from: u32,
    cancel_from: u32,
    clean_queries: u32,
}

impl ModePolicy {
    /// A builder with the defaults: cancels only while the circuit is open or a limit is spent,
    /// reductions only from 1 exhausted intent or 5 in doubt, cancels only from 20, back after 3
    /// clean queries.
    pub const fn builder() -> ModePolicyBuilder {
        ModePolicyBuilder {
            policy: Self {
                on_circuit_open: TradingMode::CancelOnly,
                on_limits_spent: TradingMode::CancelOnly,
                on_exhausted: TradingMode::ReduceOnly,
                reduce_from: 5,
                cancel_from: 20,
                clean_queries: 3,
            },
        }
    }

    getters! {
        /// The mode while the circuit is open.
        pub const fn on_circuit_open -> TradingMode;
        /// The mode while a limit is spent.
        pub const fn on_limits_spent -> TradingMode;
        /// The mode while an intent is exhausted.
        pub const fn on_exhausted -> TradingMode;
        /// From how many intents in doubt only reductions pass.
        pub const fn reduce_from -> u32;
        /// From how many intents in doubt only cancels pass.
        pub const fn cancel_from -> u32;
        /// How many queries in sequence have to succeed before a better mode.
        pub const fn clean_queries -> u32;
    }

    /// The most severe mode that the conditions ask for, and the first cause of it.
    fn target(&self, now: Conditions) -> (TradingMode, ModeCause) {
        let asked = [
            (now.kill_switch, TradingMode::Halted, ModeCause::KillSwitch),
            (now.journal_failed, TradingMode::Halted, ModeCause::Journal),
            (
                now.manual.is_some(),
                now.manual.unwrap_or(TradingMode::Normal),
                ModeCause::Manual,
            ),
            (
                now.starting > 0,
                TradingMode::CancelOnly,
                ModeCause::Starting,
            ),
            (
                now.circuit_open,
                self.on_circuit_open,
                ModeCause::CircuitOpen,
            ),
            (
                now.limits_spent,
                self.on_limits_spent,
                ModeCause::LimitsSpent,
            ),
            (
                now.in_doubt >= self.cancel_from,
                TradingMode::CancelOnly,
                ModeCause::InDoubt,
            ),
            (now.exhausted > 0, self.on_exhausted, ModeCause::Exhausted),
            (
                now.in_doubt >= self.reduce_from,
                TradingMode::ReduceOnly,
                ModeCause::InDoubt,
            ),
        ];
        let mut target = (TradingMode::Normal, ModeCause::Fine);
        for (holds, mode, cause) in asked {
            if holds && mode.severity() > target.0.severity() {
                target = (mode, cause);
            }
        }
        target
    }
}

impl Default for ModePolicy {
    /// The defaults of [`builder`](Self::builder).
    fn default() -> Self {
        Self::builder().policy
    }
}

/// Makes a [`ModePolicy`].
#[derive(Clone, Copy, Debug)]
pub struct ModePolicyBuilder {
    policy: ModePolicy,
}

impl ModePolicyBuilder {
    setters! { self.policy:
        /// Sets the mode while the circuit of the broker is open.
        pub const fn on_circuit_open(TradingMode);
        /// Sets the mode while a limit or quota is spent.
        pub const fn on_limits_spent(TradingMode);
        /// Sets the mode while an intent is exhausted.
        pub const fn on_exhausted(TradingMode);
        /// Sets from how many intents in doubt only reductions pass.
        pub const fn reduce_from(u32);
        /// Sets from how many intents in doubt only cancels pass.
        pub const fn cancel_from(u32);
        /// Sets how many queries in sequence have to succeed before a better mode; 0 for none.
        pub const fn clean_queries(u32);
    }

    /// The policy.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] for a number of intents that is zero, and for fewer before only cancels pass
    /// than before only reductions do.
    pub fn build(self) -> Result<ModePolicy, InvalidConfig> {
        let policy = self.policy;
        if policy.reduce_from == 0 {
            return Err(InvalidConfig::new(
                "reduce_from",
                0,
                "a whole number from 1",
            ));
        }
        if policy.cancel_from < policy.reduce_from {
            let accepted = format!("from {}, which is `reduce_from`", policy.reduce_from);
            return Err(InvalidConfig::new(
                "cancel_from",
                policy.cancel_from,
                accepted,
            ));
        }
        Ok(policy)
    }
}

/// A change of the mode.
// Exhaustive: from where, to where, why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModeChange {
    /// The mode before.
    pub from: TradingMode,
    /// The mode now.
    pub to: TradingMode,
    /// Why.
    pub cause: ModeCause,
}

impl From<ModeChange> for EventKind {
    fn from(change: ModeChange) -> Self {
        Self::Transition {
            from: change.from.as_str(),
            to: change.to.as_str(),
            reason: change.cause.as_str(),
        }
    }
}

/// The mode, by a [`ModePolicy`]. It gets worse at once, and better after clean queries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TradingModes {
    policy: ModePolicy,
    mode: TradingMode,
    cause: ModeCause,
    target: (TradingMode, ModeCause),
    /// Clean queries in sequence since the target is better than the mode.
    clean: u32,
}

impl TradingModes {
    /// The mode by these conditions.
    pub fn new(policy: ModePolicy, now: Conditions) -> Self {
        let target = policy.target(now);
        Self {
            policy,
            mode: target.0,
            cause: target.1,
            target,
            clean: 0,
        }
    }

    getters! {
        /// The mode.
        pub const fn mode -> TradingMode;
        /// Why it is so; of a mode that is about to end, why it began.
        pub const fn cause -> ModeCause;
        /// The policy.
        pub const fn policy -> ModePolicy;
    }

    /// The mode that the conditions ask for. Where it is better than the mode, clean queries are missing.
    pub const fn target(&self) -> TradingMode {
        self.target.0
    }

    /// Whether queries have to succeed before the mode gets better.
    pub const fn is_validating(&self) -> bool {
        self.target.0.severity() < self.mode.severity()
    }

    /// Takes another policy. What was validated so far counts.
    pub fn set_policy(&mut self, policy: ModePolicy, now: Conditions) -> Option<ModeChange> {
        self.policy = policy;
        self.update(now)
    }

    /// Takes the mode that the conditions ask for, without clean queries.
    pub fn reset(&mut self, now: Conditions) -> Option<ModeChange> {
        let (from, fresh) = (self.mode, Self::new(self.policy, now));
        let (to, cause) = (fresh.mode, fresh.cause);
        *self = fresh;
        (from != to).then_some(ModeChange { from, to, cause })
    }

    /// Takes new conditions.
    pub fn update(&mut self, now: Conditions) -> Option<ModeChange> {
        let before = self.target.0.severity();
        self.target = self.policy.target(now);
        if self.target.0.severity() > before {
            // What was validated since then was another state.
            self.clean = 0;
        }
        self.apply()
    }

    /// Takes the end of a query to the broker: clean if it succeeded and agrees with our own view.
    pub fn queried(&mut self, clean: bool) -> Option<ModeChange> {
        self.clean = if clean {
            self.clean.saturating_add(1)
        } else {
            0
        };
        self.apply()
    }

    fn apply(&mut self) -> Option<ModeChange> {
        let (to, cause) = self.target;
        let (from, wanted) = (self.mode, to.severity());
        if wanted < from.severity() && self.clean < self.policy.clean_queries {
            return None;
        }
        self.clean = 0;
        self.mode = to;
        self.cause = cause;
        (from != to).then_some(ModeChange { from, to, cause })
    }

    /// Whether a request passes.
    ///
    /// # Errors
    ///
    /// [`ModeRejection`] with the mode and its cause.
    pub const fn admit(&self, request: ModeRequest) -> Result<(), ModeRejection> {
        let highest = match request {
            ModeRequest::Open => TradingMode::Normal.severity(),
            ModeRequest::Reduce => TradingMode::ReduceOnly.severity(),
            ModeRequest::Cancel | ModeRequest::Query => TradingMode::Halted.severity(),
        };
        if self.mode.severity() <= highest {
            return Ok(());
        }
        Err(ModeRejection {
            mode: self.mode,
            cause: self.cause,
        })
    }
}

/// A request that does not pass in the present mode.
// Exhaustive: the mode, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModeRejection {
    /// The mode.
    pub mode: TradingMode,
    /// Why it is so.
    pub cause: ModeCause,
}

impl fmt::Display for ModeRejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mode, cause) = (self.mode.as_str(), self.cause.as_str());
        write!(
            f,
            "trading mode {mode}, because of {cause}; nothing was sent"
        )
    }
}

impl StdError for ModeRejection {}
