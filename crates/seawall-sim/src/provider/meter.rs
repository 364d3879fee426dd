//! One limit, and how a provider counts what is used of it.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::settings::Limit;

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

    pub(crate) fn amount(&self, cost: Cost) -> u64 {
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
