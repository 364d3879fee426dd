//! A router at one moment.

use std::sync::atomic::Ordering;
use std::time::Duration;

use seawall_core::InstanceName;

use super::cool_down::{CoolDown, Standing};
use super::counts::{DeploymentCounts, RouterCounts};
use super::state::{DeploymentState, ProviderState, State};

seawall_core::state_words! {
    /// What a router can do.
    pub enum RouterState {
        /// Every deployment can be chosen.
        Ok = "ok",
        /// Some deployments cannot be chosen.
        Degraded = "degraded",
        /// No deployment can be chosen.
        Exhausted = "exhausted",
        /// An operator has paused it: every call is rejected.
        Paused = "paused",
    }
}

seawall_core::state_words! {
    /// Whether a deployment or a provider can be chosen.
    pub enum RouteState {
        /// It can be chosen.
        Available = "available",
        /// It is left alone for a time.
        Cooling = "cooling",
        /// Its time is over, and one call is to show that it has recovered.
        Recovering = "recovering",
        /// An operator has blocked it.
        Blocked = "blocked",
    }
}

/// A router at one moment.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct RouterSnapshot {
    /// The name of the instance.
    pub name: InstanceName,
    /// What it can do.
    pub state: RouterState,
    /// Its deployments, in the order of the models.
    pub deployments: Vec<DeploymentSnapshot>,
    /// Their providers.
    pub providers: Vec<ProviderSnapshot>,
    /// What became of the calls.
    pub counts: RouterCounts,
}

/// One deployment.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct DeploymentSnapshot {
    /// Its name.
    pub name: InstanceName,
    /// Its model.
    pub model: InstanceName,
    /// Its provider.
    pub provider: InstanceName,
    /// Whether it can be chosen, as far as it is concerned: its provider may cool down.
    pub state: RouteState,
    /// For how long it is left alone, from that moment; `None` when it is not.
    #[cfg_attr(
        feature = "serde",
        serde(serialize_with = "seawall_core::serialize::optional_seconds")
    )]
    pub cools_for: Option<Duration>,
    /// Why it is left alone or recovering, as the [word](crate::ErrorClass::as_str) of the class.
    pub reason: Option<&'static str>,
    /// The average latency of its successful responses, which follows a rise at once; `None` before
    /// the first one.
    #[cfg_attr(
        feature = "serde",
        serde(serialize_with = "seawall_core::serialize::optional_seconds")
    )]
    pub latency: Option<Duration>,
    /// Attempts that are under way.
    pub in_flight: u32,
    /// What became of its attempts.
    pub counts: DeploymentCounts,
}

/// One provider.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct ProviderSnapshot {
    /// Its name.
    pub name: InstanceName,
    /// Whether its deployments can be chosen, as far as it is concerned.
    pub state: RouteState,
    /// For how long it is left alone, from that moment; `None` when it is not.
    #[cfg_attr(
        feature = "serde",
        serde(serialize_with = "seawall_core::serialize::optional_seconds")
    )]
    pub cools_for: Option<Duration>,
    /// Why it is left alone or recovering, as the [word](crate::ErrorClass::as_str) of the class.
    pub reason: Option<&'static str>,
}

struct Known {
    state: RouteState,
    cools_for: Option<Duration>,
    reason: Option<&'static str>,
}

fn known(cool_down: &CoolDown, now: u64) -> Known {
    let nothing = Known {
        state: RouteState::Available,
        cools_for: None,
        reason: None,
    };
    let Some((until, class)) = cool_down.reason() else {
        return nothing;
    };
    let reason = Some(class.as_str());
    match cool_down.standing(now) {
        Standing::Available => nothing,
        Standing::Unavailable {
            on_trial: false, ..
        } => Known {
            state: RouteState::Cooling,
            cools_for: Some(Duration::from_nanos(until.saturating_sub(now))),
            reason,
        },
        Standing::NeedsTrial | Standing::Unavailable { .. } => Known {
            state: RouteState::Recovering,
            cools_for: None,
            reason,
        },
    }
}

impl RouterState {
    pub(crate) fn of(state: &State) -> Self {
        let now = state.clock.now();
        if state.is_paused() {
            return Self::Paused;
        }
        let is_free = |deployment: &&DeploymentState| {
            let own = deployment.cool_down.cooling(now).is_none();
            let provider = &state.provider_of(deployment).cool_down;
            own && !deployment.is_blocked() && provider.cooling(now).is_none()
        };
        match state.deployments.iter().filter(is_free).count() {
            0 => Self::Exhausted,
            free if free == state.deployments.len() => Self::Ok,
            _ => Self::Degraded,
        }
    }
}

impl RouterSnapshot {
    pub(crate) fn of(state: &State) -> Self {
        let now = state.clock.now();
        let deployments = state.deployments.iter();
        let providers = state.providers.iter();
        Self {
            name: state.events.name(),
            state: RouterState::of(state),
            deployments: deployments
                .map(|deployment| DeploymentSnapshot::of(state, deployment, now))
                .collect(),
            providers: providers
                .map(|provider| ProviderSnapshot::of(provider, now))
                .collect(),
            counts: RouterCounts::sum([&state.counters]),
        }
    }

    /// The deployment of that name.
    pub fn deployment(&self, name: &str) -> Option<&DeploymentSnapshot> {
        let mut all = self.deployments.iter();
        all.find(|deployment| deployment.name.as_str() == name)
    }

    /// The provider of that name.
    pub fn provider(&self, name: &str) -> Option<&ProviderSnapshot> {
        let mut all = self.providers.iter();
        all.find(|provider| provider.name.as_str() == name)
    }
}

impl DeploymentSnapshot {
    pub(crate) fn of(state: &State, deployment: &DeploymentState, now: u64) -> Self {
        let known = known(&deployment.cool_down, now);
        let micros = deployment.latency.micros();
        Self {
            name: deployment.events.name(),
            model: state.models[deployment.model].name,
            provider: state.provider_of(deployment).events.name(),
            state: match deployment.is_blocked() {
                true => RouteState::Blocked,
                false => known.state,
            },
            cools_for: known.cools_for,
            reason: known.reason,
            latency: micros.map(|micros| Duration::from_micros(micros.into())),
            in_flight: deployment.in_flight.load(Ordering::Relaxed),
            counts: DeploymentCounts::sum([&deployment.counters]),
        }
    }
}

impl ProviderSnapshot {
    fn of(provider: &ProviderState, now: u64) -> Self {
        let known = known(&provider.cool_down, now);
        Self {
            name: provider.events.name(),
            state: known.state,
            cools_for: known.cools_for,
            reason: known.reason,
        }
    }
}
