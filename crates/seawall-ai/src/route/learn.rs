//! What an attempt shows about its deployment and its provider.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::failed::{Failed, Kind};
use super::pick::Claimed;
use super::state::{State, cool, recover};
use crate::ErrorClass;

/// An attempt that is under way.
pub(crate) struct Running {
    pub(crate) claimed: Claimed,
    pub(crate) began: u64,
    pub(crate) sent: bool,
}

/// The shortest time for which an overloaded provider is left alone.
const MIN_OVERLOAD: Duration = Duration::from_millis(100);

impl State {
    pub(crate) fn learn_success(&self, running: &Running, now: u64) {
        let deployment = &self.deployments[running.claimed.index];
        deployment.counters.success.add();
        let took = now.saturating_sub(running.began);
        deployment.latency.observe(now, Duration::from_nanos(took));
        self.provider_of(deployment).is_alive();
        self.end_trials(running, now, true, true);
    }

    /// Notes what the attempt says about the deployment, its provider and the way to go on.
    pub(crate) fn learn(&self, running: &Running, failed: &Failed, now: u64) {
        let config = self.config();
        let deployment = &self.deployments[running.claimed.index];
        let provider = self.provider_of(deployment);
        let class = match failed.kind {
            Kind::Class(class) => class,
            Kind::Rejected(_) => {
                deployment.counters.rejected_below.add();
                self.end_trials(running, now, false, false);
                return;
            }
        };
        deployment.counters.of(class).add();
        let longest = config.longest_cool_down();
        let own = match class {
            ErrorClass::Credential => Some(config.account_cool_down()),
            ErrorClass::ModelUnavailable => Some(config.model_cool_down()),
            // What a limit of seconds asks for beside it is not when the quota renews.
            ErrorClass::QuotaExhausted => Some({
                let shortest = config.account_cool_down();
                failed.wait.unwrap_or(shortest).max(shortest).min(longest)
            }),
            ErrorClass::RateLimit => Some({
                let wait = failed.wait.filter(|wait| !wait.is_zero());
                wait.unwrap_or_else(|| config.rate_limit_cool_down())
                    .min(longest)
            }),
            _ => None,
        };
        if let Some(time) = own {
            cool(&deployment.cool_down, &deployment.events, now, time, class);
        }
        let fails = class.is_failure();
        if fails {
            self.provider_failed(running, failed, class, now);
        } else {
            provider.is_alive();
        }
        self.end_trials(running, now, own.is_none() && !fails, !fails);
    }

    fn provider_failed(&self, running: &Running, failed: &Failed, class: ErrorClass, now: u64) {
        let config = self.config();
        let deployment = &self.deployments[running.claimed.index];
        let provider = self.provider_of(deployment);
        if !provider.cool_down.is_news(running.began) {
            return;
        }
        let time = if class == ErrorClass::Overload {
            let wait = failed.wait.unwrap_or_else(|| config.provider_cool_down());
            // The provider reports that it has no capacity, so a wait of next to nothing is none.
            wait.clamp(
                MIN_OVERLOAD.min(config.provider_cool_down()),
                config.longest_provider_cool_down(),
            )
        } else {
            let failures = provider.failures.fetch_add(1, Ordering::Relaxed);
            let is_trial = running.claimed.provider_trial.is_some();
            if !is_trial && failures.saturating_add(1) < config.failure_threshold() {
                return;
            }
            config.provider_cool_down()
        };
        provider.failures.store(0, Ordering::Relaxed);
        cool(&provider.cool_down, &provider.events, now, time, class);
    }

    /// Ends the trials of an attempt: what it has shown is recovered, and the slots are free.
    fn end_trials(&self, running: &Running, now: u64, own: bool, provider: bool) {
        let deployment = &self.deployments[running.claimed.index];
        if own && running.claimed.trial.is_some() {
            recover(&deployment.cool_down, &deployment.events, now);
        }
        if provider && running.claimed.provider_trial.is_some() {
            let provider = self.provider_of(deployment);
            recover(&provider.cool_down, &provider.events, now);
        }
        self.give_back(&running.claimed);
    }

    /// The attempt is over: its slots are free.
    pub(crate) fn give_back(&self, claimed: &Claimed) {
        let deployment = &self.deployments[claimed.index];
        deployment.in_flight.fetch_sub(1, Ordering::Relaxed);
        self.release(claimed);
    }
}
