//! A chaos layer at one moment.

use std::time::Duration;

use seawall_core::InstanceName;

use crate::{ChaosCounts, FaultKind};

seawall_core::state_words! {
    /// What a chaos layer does.
    pub enum ChaosState {
        /// No fault is on.
        Off = "off",
        /// Faults are on.
        Injecting = "injecting",
        /// An operator lets no fault be started.
        Bypassed = "bypassed",
    }
}

/// A chaos layer at one moment.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct ChaosSnapshot {
    /// The name of the instance.
    pub name: InstanceName,
    /// What it does.
    pub state: ChaosState,
    /// The seed of the layer, set or random.
    pub seed: u64,
    /// The faults that are on, a start each, the oldest first.
    pub injections: Vec<InjectionSnapshot>,
    /// What was injected since the layer was made.
    pub counts: ChaosCounts,
}

/// Faults that are on.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct InjectionSnapshot {
    /// The number of the start.
    pub id: u64,
    /// What it is called.
    pub label: InstanceName,
    /// The seed by which the faults are drawn.
    pub seed: u64,
    /// In how long they end by themselves, if they do. Serialized in seconds.
    #[cfg_attr(
        feature = "serde",
        serde(serialize_with = "seawall_core::serialize::optional_seconds")
    )]
    pub ends_in: Option<Duration>,
    /// The calls since the start, hit or not.
    pub calls: u64,
    /// The faults.
    pub faults: Vec<FaultSnapshot>,
    /// What was injected since the start.
    pub counts: ChaosCounts,
}

/// A fault that is on.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct FaultSnapshot {
    /// What sort it is.
    pub kind: FaultKind,
    /// Which share of the calls in reach is hit.
    pub intensity: f64,
}
