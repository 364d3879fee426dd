//! The choice of a deployment: by the order of models, what is left of limits, and latency.

use std::sync::atomic::Ordering;

use seawall_core::{EventSource, RequestMeta, ns};

use super::cool_down::{CoolDown, Standing, Trial};
use super::state::{DeploymentState, ModelState, State, recover};
use super::{Available, Headroom};
use crate::ErrorClass;

/// The most deployments of a router: their sets are bits of a word.
pub(crate) const MAX_DEPLOYMENTS: usize = 64;

/// What a call asks for.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) meta: &'a RequestMeta,
    pub(crate) model: Option<&'a str>,
}

impl Asked<'_> {
    /// What the limits of a deployment have left for it: those of its model, where they are of each.
    fn available(self, deployment: &DeploymentState, headroom: &dyn Headroom) -> Available {
        let of_model = || headroom.key_of(self.model?);
        match deployment.key.or_else(of_model) {
            Some(key) => headroom.available(&self.meta.with_key(key)),
            None => headroom.available(self.meta),
        }
    }
}

/// What a call does not try any more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Excluded {
    pub(crate) deployments: u64,
    pub(crate) providers: u64,
    /// The prompt is too long for models that read no more than this.
    pub(crate) window: Option<u64>,
}

impl Excluded {
    pub(crate) const fn deployment(&mut self, index: usize) {
        self.deployments |= 1 << index;
    }

    pub(crate) const fn provider(&mut self, index: usize) {
        self.providers |= 1 << index;
    }

    pub(crate) const fn readmit(&mut self, index: usize) {
        self.deployments &= !(1 << index);
    }

    const fn has(&self, index: usize, provider: usize) -> bool {
        self.deployments & (1 << index) != 0 || self.providers & (1 << provider) != 0
    }

    fn excludes_window(&self, window: Option<u64>) -> bool {
        self.window
            .is_some_and(|too_small| window.is_none_or(|window| window <= too_small))
    }
}

/// A deployment that was chosen, with the trials that the call makes of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Claimed {
    pub(crate) index: usize,
    pub(crate) trial: Option<Trial>,
    pub(crate) provider_trial: Option<Trial>,
}

/// What there is for a call.
#[derive(Debug)]
pub(crate) enum Picked {
    Deployment(Claimed),
    /// Nothing now; the first deployment comes back then, if that is known. While a trial is under way,
    /// one may come back at any time.
    Later {
        at: Option<u64>,
        on_trial: bool,
    },
    /// Nothing, and nothing comes back by itself.
    Nothing,
}

/// Shares that differ by less are equal: an eighth of the limit.
const SHARES: f64 = 8.0;

/// The deployments of one model that could take a call now, of those with the largest share left.
struct Candidates {
    share: u32,
    len: usize,
    indices: [u8; MAX_DEPLOYMENTS],
}

impl Candidates {
    fn add(&mut self, index: usize, share: f64) {
        let share = (share * SHARES).ceil() as u32;
        if self.len > 0 && share < self.share {
            return;
        }
        if share > self.share {
            (self.share, self.len) = (share, 0);
        }
        // At most `MAX_DEPLOYMENTS` come, each once.
        if let Some(slot) = self.indices.get_mut(self.len) {
            *slot = index as u8;
            self.len += 1;
        }
    }

    fn all(&self) -> &[u8] {
        &self.indices[..self.len]
    }
}

/// What was found on the way to a choice.
struct Search {
    at: Option<u64>,
    on_trial: bool,
    skipped: bool,
}

impl Search {
    fn later(&mut self, at: u64) {
        self.skipped = true;
        self.at = Some(self.at.map_or(at, |other| other.min(at)));
    }
}

/// What stands in the way of a deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Obstacle {
    Cooling(ErrorClass),
    OnTrial,
    Limits,
    Blocked,
}

impl Obstacle {
    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::Cooling(class) => class.text(),
            Self::OnTrial => "a trial is under way",
            Self::Limits => "the limits of the deployments are used up",
            Self::Blocked => "blocked by an operator",
        }
    }
}

impl State {
    /// What stands in the way of the deployment that comes back first, of those that are not excluded.
    pub(crate) fn obstacle(
        &self,
        now: u64,
        asked: Asked<'_>,
        excluded: &Excluded,
    ) -> Option<Obstacle> {
        let all = self.deployments.iter().enumerate();
        let left = all.filter(|(index, deployment)| {
            let window = self.models[deployment.model].context_window;
            !excluded.has(*index, deployment.provider) && !excluded.excludes_window(window)
        });
        let first = left
            .map(|(_, deployment)| self.obstacle_of(now, asked, deployment))
            .min_by_key(|(until, _)| *until);
        first.map(|(_, obstacle)| obstacle)
    }

    fn obstacle_of(&self, now: u64, asked: Asked<'_>, one: &DeploymentState) -> (u64, Obstacle) {
        if one.is_blocked() {
            return (u64::MAX, Obstacle::Blocked);
        }
        let provider = self.provider_of(one).cool_down.cooling(now);
        let cooling = one.cool_down.cooling(now).max(provider);
        if let Some((until, class)) = cooling {
            return (until, Obstacle::Cooling(class));
        }
        if let Some((until, _)) = self.unavailable(now, one) {
            return (until, Obstacle::OnTrial);
        }
        let wait = one
            .headroom
            .as_ref()
            .map(|it| asked.available(one, &**it).wait());
        let until = wait
            .flatten()
            .map_or(u64::MAX - 1, |wait| now.saturating_add(ns(wait)));
        (until, Obstacle::Limits)
    }

    /// Chooses a deployment for a call that has tried what is `excluded`.
    pub(crate) fn pick(&self, now: u64, asked: Asked<'_>, excluded: &Excluded) -> Picked {
        let mut search = Search {
            at: None,
            on_trial: false,
            skipped: false,
        };
        // Those that another call has claimed for its trial since this choice began.
        let mut lost = *excluded;
        for model in &self.models {
            if lost.excludes_window(model.context_window) {
                continue;
            }
            loop {
                let candidates = self.candidates(now, asked, &lost, model, &mut search);
                let Some(index) = self.choose(candidates.all()) else {
                    break;
                };
                if let Some(claimed) = self.claim(now, index) {
                    return Picked::Deployment(claimed);
                }
                search.on_trial = true;
                lost.deployment(index);
            }
        }
        if search.skipped || search.on_trial {
            Picked::Later {
                at: search.at,
                on_trial: search.on_trial,
            }
        } else {
            Picked::Nothing
        }
    }

    /// Whether there is a deployment that a call has not excluded, available or not.
    pub(crate) fn has_route(&self, excluded: &Excluded) -> bool {
        self.models.iter().any(|model| {
            let mut deployments = model.deployments.clone();
            !excluded.excludes_window(model.context_window)
                && deployments.any(|index| {
                    let deployment = &self.deployments[index];
                    !excluded.has(index, deployment.provider) && !deployment.is_blocked()
                })
        })
    }

    fn candidates(
        &self,
        now: u64,
        asked: Asked<'_>,
        excluded: &Excluded,
        model: &ModelState,
        search: &mut Search,
    ) -> Candidates {
        let mut found = Candidates {
            share: 0,
            len: 0,
            indices: [0; MAX_DEPLOYMENTS],
        };
        for index in model.deployments.clone() {
            let deployment = &self.deployments[index];
            if excluded.has(index, deployment.provider) || deployment.is_blocked() {
                continue;
            }
            if let Some((until, on_trial)) = self.unavailable(now, deployment) {
                search.later(until);
                search.on_trial |= on_trial;
                continue;
            }
            let Some(headroom) = &deployment.headroom else {
                found.add(index, 1.0);
                continue;
            };
            let available = asked.available(deployment, &**headroom);
            match available.wait() {
                Some(wait) if wait.is_zero() => found.add(index, available.share()),
                Some(wait) => search.later(now.saturating_add(ns(wait))),
                None => {}
            }
        }
        found
    }

    /// Until when a deployment is left alone, or its provider; and whether a trial is under way.
    fn unavailable(&self, now: u64, deployment: &DeploymentState) -> Option<(u64, bool)> {
        let provider = self.provider_of(deployment).cool_down.standing(now);
        let until = |standing| match standing {
            Standing::Unavailable { until, on_trial } => Some((until, on_trial)),
            Standing::Available | Standing::NeedsTrial => None,
        };
        match (until(deployment.cool_down.standing(now)), until(provider)) {
            // A trial that is under way does not help where the other one lasts.
            (Some(own), Some(other)) => Some((own.0.max(other.0), own.1 && other.1)),
            (own, other) => own.or(other),
        }
    }

    /// The one with the lower load of two that are drawn by their weights: "the power of two choices"
    /// (Mitzenmacher), so that calls that choose at once do not all choose the same.
    fn choose(&self, candidates: &[u8]) -> Option<usize> {
        let first = match candidates {
            [] => return None,
            [only] => return Some(usize::from(*only)),
            _ => self.draw_one(candidates, None),
        };
        let second = self.draw_one(candidates, Some(first));
        let load = |index: usize| {
            let deployment = &self.deployments[index];
            let in_flight = deployment.in_flight.load(Ordering::Relaxed);
            deployment.latency.load(in_flight)
        };
        Some(if load(second) < load(first) {
            second
        } else {
            first
        })
    }

    fn draw_one(&self, candidates: &[u8], but: Option<usize>) -> usize {
        let others = || {
            let all = candidates.iter().map(|index| usize::from(*index));
            all.filter(|index| Some(*index) != but)
        };
        let weight = |index: usize| u64::from(self.deployments[index].weight);
        let total: u64 = others().map(weight).sum();
        let mut drawn = self.draw(total.max(1));
        let mut last = 0;
        for index in others() {
            last = index;
            match drawn.checked_sub(weight(index)) {
                Some(rest) => drawn = rest,
                None => break,
            }
        }
        last
    }

    /// Takes the slots of the trials that a deployment needs; `None` when another call has one.
    fn claim(&self, now: u64, index: usize) -> Option<Claimed> {
        let deployment = &self.deployments[index];
        let provider = self.provider_of(deployment);
        let mut claimed = Claimed {
            index,
            trial: None,
            provider_trial: None,
        };
        claimed.provider_trial = self.claim_one(&provider.cool_down, &provider.events, now)?;
        let Some(trial) = self.claim_one(&deployment.cool_down, &deployment.events, now) else {
            self.release(&claimed);
            return None;
        };
        claimed.trial = trial;
        deployment.in_flight.fetch_add(1, Ordering::Relaxed);
        Some(claimed)
    }

    /// The slot of one trial, if one is needed; `None` when it is not to be had.
    fn claim_one(
        &self,
        cool_down: &CoolDown,
        events: &EventSource,
        now: u64,
    ) -> Option<Option<Trial>> {
        if cool_down.standing(now) == Standing::NeedsTrial {
            let timeout = ns(self.config().trial_timeout());
            if let Some(trial) = cool_down.claim_trial(now, timeout) {
                return Some(Some(trial));
            }
        }
        // Another call may have ended its trial since.
        let is_available = cool_down.standing(now) == Standing::Available;
        is_available.then(|| {
            recover(cool_down, events, now);
            None
        })
    }

    /// Frees the slots of the trials, and wakes the calls that wait for them.
    pub(crate) fn release(&self, claimed: &Claimed) {
        let deployment = &self.deployments[claimed.index];
        if let Some(trial) = claimed.trial {
            deployment.cool_down.release(trial);
        }
        if let Some(trial) = claimed.provider_trial {
            self.provider_of(deployment).cool_down.release(trial);
        }
        if claimed.trial.is_some() || claimed.provider_trial.is_some() {
            self.changed.notify_waiters();
        }
    }
}
