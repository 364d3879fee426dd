//! What is known at one moment.

use crate::protocol::{Caps, Conditions, GuardUse, ModeCause, ModePolicy, TradingMode};

/// Everything that a trading control knows at one moment.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct TradingSnapshot {
    /// The mode.
    pub mode: TradingMode,
    /// Why it is so.
    pub cause: ModeCause,
    /// The mode that the conditions ask for; where it is better, clean queries are missing.
    pub target: TradingMode,
    /// The conditions, as they were last reported or asked for.
    pub conditions: Conditions,
    /// Which condition leads to which mode.
    pub policy: ModePolicy,
    /// The caps.
    pub caps: Caps,
    /// What is used of them.
    pub used: GuardUse,
}
