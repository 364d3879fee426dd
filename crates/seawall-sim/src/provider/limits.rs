//! All limits of a provider, and its bans.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::meter::{Cost, Kind, Meter};
use super::settings::BanPolicy;

/// What was exceeded, and when the request is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Exceeded {
    pub(crate) kind: Kind,
    pub(crate) wait: Duration,
}

/// All the limits of one provider.
#[derive(Debug, Clone, Default)]
pub(crate) struct Limiter {
    pub(crate) meters: Vec<Meter>,
}

impl Limiter {
    /// Charges every meter, or none.
    pub(crate) fn admit(&mut self, cost: Cost, now: Instant) -> Result<(), Exceeded> {
        for meter in &mut self.meters {
            let amount = meter.amount(cost);
            if meter.remaining(now) < amount {
                return Err(Exceeded {
                    kind: meter.kind,
                    wait: meter.wait(amount, now),
                });
            }
        }
        for meter in &mut self.meters {
            meter.charge(meter.amount(cost), now);
        }
        Ok(())
    }

    pub(crate) fn meter(&mut self, kind: Kind) -> Option<&mut Meter> {
        self.meters.iter_mut().find(|meter| meter.kind == kind)
    }
}

/// Which callers are banned, and which are about to be.
#[derive(Debug, Default)]
pub(crate) struct Bans {
    violations: VecDeque<Instant>,
    until: Option<(Instant, u16)>,
}

impl Bans {
    /// The status for a banned caller.
    pub(crate) fn status(&mut self, policy: Option<&BanPolicy>, now: Instant) -> Option<u16> {
        let (until, status) = self.until.filter(|(until, _)| now < *until)?;
        if let Some(policy) = policy.filter(|policy| policy.prolonged) {
            self.until = Some((until.max(now + policy.lasts), status));
        }
        Some(status)
    }

    /// Notes a violation; whether it led to a ban.
    pub(crate) fn violation(&mut self, policy: Option<&BanPolicy>, now: Instant) -> bool {
        let Some(policy) = policy else { return false };
        self.violations.push_back(now);
        while let Some(at) = self.violations.front() {
            if now.saturating_duration_since(*at) < policy.within {
                break;
            }
            self.violations.pop_front();
        }
        if self.violations.len() < policy.after_violations as usize {
            return false;
        }
        self.violations.clear();
        self.impose(now, policy.lasts, policy.status);
        true
    }

    pub(crate) fn impose(&mut self, now: Instant, lasts: Duration, status: u16) {
        self.until = Some((now + lasts, status));
    }
}

#[cfg(test)]
mod tests;
