//! Counting what a caller has used, and what happens when it is too much.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::settings::{BanPolicy, Limit};

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Requests,
    /// Requests over a long time: when it is used up, waiting seconds does not help.
    Quota,
    /// Input and output together.
    Tokens,
    Input,
    Output,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Quota => "quota",
            Self::Tokens => "tokens",
            Self::Input => "input_tokens",
            Self::Output => "output_tokens",
        }
    }
}

/// How a provider counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counting {
    /// In windows that follow each other from the start of the server.
    Fixed,
    /// At most the count in *any* window of this length.
    Sliding,
    /// A bucket that holds the count and refills continuously.
    Bucket,
}

/// What one request uses.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Cost {
    pub(crate) input: u32,
    /// The most that the response may have.
    pub(crate) output: u32,
}

#[derive(Debug, Clone)]
enum Used {
    Fixed {
        window: u128,
        used: u64,
    },
    Sliding {
        log: VecDeque<(Instant, u64)>,
        used: u64,
    },
    Bucket {
        level: f64,
        at: Instant,
    },
}

/// One limit with what has been used of it.
#[derive(Debug, Clone)]
pub(crate) struct Meter {
    pub(crate) kind: Kind,
    pub(crate) limit: Limit,
    start: Instant,
    used: Used,
}

impl Meter {
    pub(crate) fn new(kind: Kind, limit: Limit, counting: Counting, start: Instant) -> Self {
        let used = match counting {
            Counting::Fixed => Used::Fixed { window: 0, used: 0 },
            Counting::Sliding => Used::Sliding {
                log: VecDeque::new(),
                used: 0,
            },
            Counting::Bucket => Used::Bucket {
                level: f64::from(limit.count()),
                at: start,
            },
        };
        Self {
            kind,
            limit,
            start,
            used,
        }
    }

    fn amount(&self, cost: Cost) -> u64 {
        match self.kind {
            Kind::Requests | Kind::Quota => 1,
            Kind::Tokens => u64::from(cost.input) + u64::from(cost.output),
            Kind::Input => u64::from(cost.input),
            Kind::Output => u64::from(cost.output),
        }
    }

    fn rate(&self) -> f64 {
        f64::from(self.limit.count()) / self.limit.per().as_secs_f64()
    }

    fn advance(&mut self, now: Instant) {
        let (full, rate) = (f64::from(self.limit.count()), self.rate());
        match &mut self.used {
            Used::Fixed { window, used } => {
                let current = now.saturating_duration_since(self.start).as_nanos()
                    / self.limit.per().as_nanos().max(1);
                if current != *window {
                    (*window, *used) = (current, 0);
                }
            }
            Used::Sliding { log, used } => {
                while let Some((at, amount)) = log.front() {
                    if now.saturating_duration_since(*at) < self.limit.per() {
                        break;
                    }
                    *used -= amount;
                    log.pop_front();
                }
            }
            Used::Bucket { level, at } => {
                let passed = now.saturating_duration_since(*at).as_secs_f64();
                *level = (*level + passed * rate).min(full);
                *at = now;
            }
        }
    }

    /// What is left after [`advance`](Self::advance).
    fn left(&self) -> u64 {
        let count = u64::from(self.limit.count());
        match &self.used {
            Used::Fixed { used, .. } | Used::Sliding { used, .. } => count.saturating_sub(*used),
            // Refilling in steps leaves the level a rounding error short of a whole token.
            Used::Bucket { level, .. } => (level + 1e-6) as u64,
        }
    }

    pub(crate) fn remaining(&mut self, now: Instant) -> u64 {
        self.advance(now);
        self.left()
    }

    pub(crate) fn charge(&mut self, amount: u64, now: Instant) {
        match &mut self.used {
            Used::Fixed { used, .. } => *used += amount,
            Used::Sliding { log, used } => {
                log.push_back((now, amount));
                *used += amount;
            }
            Used::Bucket { level, .. } => *level = (*level - amount as f64).max(0.0),
        }
    }

    fn window_end(&self, now: Instant) -> Duration {
        let passed = now.saturating_duration_since(self.start).as_nanos();
        let per = self.limit.per().as_nanos().max(1);
        let left = per - passed % per;
        Duration::from_nanos(u64::try_from(left).unwrap_or(u64::MAX))
    }

    /// How long until `amount` would be granted.
    pub(crate) fn wait(&mut self, amount: u64, now: Instant) -> Duration {
        self.advance(now);
        let left = self.left();
        if left >= amount {
            return Duration::ZERO;
        }
        let per = self.limit.per();
        match &self.used {
            Used::Fixed { .. } => self.window_end(now),
            Used::Sliding { log, .. } => {
                let mut free = left;
                let enough = log.iter().find(|(_, n)| {
                    free += n;
                    free >= amount
                });
                enough.map_or(per, |(at, _)| (*at + per).saturating_duration_since(now))
            }
            Used::Bucket { level, .. } => {
                let seconds = (amount as f64 - level).max(0.0) / self.rate();
                Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
            }
        }
    }

    /// How long until the limit is fully available again.
    pub(crate) fn reset(&mut self, now: Instant) -> Duration {
        self.advance(now);
        match &self.used {
            Used::Fixed { .. } => self.window_end(now),
            Used::Sliding { log, .. } => log.back().map_or(Duration::ZERO, |(at, _)| {
                (*at + self.limit.per()).saturating_duration_since(now)
            }),
            Used::Bucket { .. } => self.wait(u64::from(self.limit.count()), now),
        }
    }
}

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
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn granted(counting: Counting, offsets_ms: &[u64]) -> Vec<bool> {
        let start = Instant::now();
        let limit = Limit::new(2, SECOND).expect("valid");
        let mut limiter = Limiter {
            meters: vec![Meter::new(Kind::Requests, limit, counting, start)],
        };
        let at = |ms: &u64| start + Duration::from_millis(*ms);
        offsets_ms
            .iter()
            .map(|ms| limiter.admit(Cost::default(), at(ms)).is_ok())
            .collect()
    }

    #[test]
    fn fixed_windows_allow_a_burst_over_their_border() {
        let offsets = [800, 900, 950, 1_000, 1_100, 1_200];
        assert_eq!(
            granted(Counting::Fixed, &offsets),
            [true, true, false, true, true, false]
        );
    }

    #[test]
    fn sliding_windows_allow_no_burst_over_any_border() {
        let offsets = [800, 900, 1_000, 1_799, 1_800, 1_899, 1_900];
        assert_eq!(
            granted(Counting::Sliding, &offsets),
            [true, true, false, false, true, false, true]
        );
    }

    #[test]
    fn buckets_refill_continuously() {
        let offsets = [0, 0, 0, 499, 500, 1_000, 1_001];
        assert_eq!(
            granted(Counting::Bucket, &offsets),
            [true, true, false, false, true, true, false]
        );
    }

    #[test]
    fn a_rejected_request_is_not_charged_and_gets_the_wait() {
        let start = Instant::now();
        let requests = Limit::new(10, SECOND).expect("valid");
        let tokens = Limit::new(100, SECOND).expect("valid");
        let mut limiter = Limiter {
            meters: vec![
                Meter::new(Kind::Requests, requests, Counting::Bucket, start),
                Meter::new(Kind::Tokens, tokens, Counting::Bucket, start),
            ],
        };
        let cost = Cost {
            input: 40,
            output: 40,
        };
        assert_eq!(limiter.admit(cost, start), Ok(()));
        let rejected = limiter.admit(cost, start).expect_err("20 tokens are left");
        assert_eq!(rejected.kind, Kind::Tokens);
        assert_eq!(rejected.wait, Duration::from_millis(600));
        assert_eq!(
            limiter.meter(Kind::Requests).map(|m| m.remaining(start)),
            Some(9)
        );
    }

    #[test]
    fn bans_come_after_the_violations_and_are_prolonged_only_on_demand() {
        let policy = BanPolicy::new(2, SECOND, SECOND, 403).expect("valid");
        for (policy, still) in [
            (policy, None),
            (policy.prolonged_by_requests(true), Some(403)),
        ] {
            let (start, mut bans) = (Instant::now(), Bans::default());
            assert!(!bans.violation(Some(&policy), start));
            assert!(bans.violation(Some(&policy), start + SECOND / 2));
            assert_eq!(bans.status(Some(&policy), start + SECOND), Some(403));
            assert_eq!(bans.status(Some(&policy), start + SECOND * 19 / 10), still);
        }
        let mut bans = Bans::default();
        let start = Instant::now();
        assert!(!bans.violation(Some(&policy), start));
        assert!(
            !bans.violation(Some(&policy), start + SECOND),
            "the first one is forgotten"
        );
    }
}
