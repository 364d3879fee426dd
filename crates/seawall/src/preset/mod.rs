//! A stack as a table of numbers: one constant for each kind of service.

mod ai;
mod broker;
mod general;
#[cfg(feature = "http")]
mod http;
mod market_data;

use std::time::Duration;

use crate::settings::Settings;
use seawall_breaker::BreakerConfig;
use seawall_bulkhead::BulkheadConfig;
use seawall_core::{Backoff, InvalidConfig, Jitter, Unit};
use seawall_ratelimit::{Limit, RateLimitConfig};
use seawall_retry::RetryConfig;
use seawall_telemetry::TelemetryConfig;
use seawall_timeout::{AttemptTimeoutConfig, DeadlineConfig};

pub use ai::ai_api;
pub use broker::{broker, order_execution};
pub use general::{ai_agents, api_client, database, news};
#[cfg(feature = "http")]
pub(crate) use http::{BodyTimes, HttpParts};
pub use market_data::market_data;

#[cfg(feature = "http")]
pub use ai::inference_routes;

const SECOND: Duration = secs(1);
const MINUTE: Duration = secs(60);

/// The longest pause that a throttle may ask for, unless the preset itself pauses for longer: the
/// rate limit's default.
pub(crate) const LONGEST_PAUSE: Duration = secs(15 * 60);

/// The longest ban that an exchange documents, Binance's. The classifiers of HTTP allow a day unless
/// they are asked for more.
pub(crate) const LONGEST_BAN: Duration = secs(3 * 24 * 3_600);

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// The numbers of a stack, outermost layer first, and what is particular to HTTP.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Preset {
    deadline: Duration,
    retry: Retry,
    bulkhead: Bulkhead,
    rate_limit: Rate,
    breaker: Breaker,
    attempt_timeout: Duration,
    #[cfg(feature = "http")]
    bodies: BodyTimes,
}

#[derive(Clone, Copy, Debug)]
struct Retry {
    attempts: u32,
    /// The first wait and the longest one.
    backoff: (Duration, Duration),
    jitter: Jitter,
    max_retry_after: Duration,
}

#[derive(Clone, Copy, Debug)]
struct Bulkhead {
    max_concurrent: u32,
    max_waiting: u32,
    max_wait: Duration,
}

#[derive(Clone, Copy, Debug)]
struct Rate {
    rate: (u32, Duration),
    burst: u32,
    /// Limits beside the rate: so many of a unit in any period of that length.
    quotas: &'static [(u32, Duration, Unit)],
    max_wait: Duration,
    max_waiting: u32,
    /// For throttles and exhausted quotas that name no time.
    default_pause: Duration,
}

#[derive(Clone, Copy, Debug)]
struct Breaker {
    consecutive_failures: Option<u32>,
    /// Share, of so many calls, from so many calls on.
    failure_rate: Option<(f64, u32, u32)>,
    open_for: Duration,
    /// How many calls at once a half-open circuit lets pass.
    probes: u32,
    successes_to_close: u32,
}

/// What most presets share: waits with full jitter; hints are followed up to a minute.
const RETRY: Retry = Retry {
    attempts: 3,
    backoff: (SECOND, secs(30)),
    jitter: Jitter::Full,
    max_retry_after: MINUTE,
};

/// What most presets share: a single limit, and a second of pause for a throttle without a time.
const RATE: Rate = Rate {
    rate: (1, SECOND),
    burst: 1,
    quotas: &[],
    max_wait: secs(30),
    max_waiting: 1_024,
    default_pause: SECOND,
};

/// What most presets share: a single success closes the circuit.
const BREAKER: Breaker = Breaker {
    consecutive_failures: None,
    failure_rate: None,
    open_for: MINUTE,
    probes: 1,
    successes_to_close: 1,
};

impl Preset {
    /// The configurations that these numbers make.
    pub(crate) fn settings(&self) -> Result<Settings, InvalidConfig> {
        Ok(Settings {
            telemetry: TelemetryConfig::default(),
            deadline: DeadlineConfig::new(self.deadline)?,
            retry: self.retry.config()?,
            bulkhead: BulkheadConfig::builder()
                .max_concurrent(self.bulkhead.max_concurrent)
                .max_waiting(self.bulkhead.max_waiting)
                .max_wait(self.bulkhead.max_wait)
                .build()?,
            rate_limit: self.rate_limit.config()?,
            breaker: self.breaker.config()?,
            attempt_timeout: AttemptTimeoutConfig::fixed(self.attempt_timeout)?,
            #[cfg(feature = "http")]
            body_timeout: self.bodies.config()?,
        })
    }
}

impl Retry {
    fn config(self) -> Result<RetryConfig, InvalidConfig> {
        let (first, longest) = self.backoff;
        RetryConfig::builder()
            .attempts(self.attempts)
            .backoff(Backoff::exponential(first, longest)?.with_jitter(self.jitter))
            .max_retry_after(self.max_retry_after)
            .build()
    }
}

impl Rate {
    fn config(self) -> Result<RateLimitConfig, InvalidConfig> {
        let (rate, per) = self.rate;
        let mut config = RateLimitConfig::builder()
            .rate(rate, per)
            .burst(self.burst)
            .max_wait(self.max_wait)
            .max_waiting(self.max_waiting)
            .default_pause(self.default_pause)
            .max_pause(self.default_pause.max(LONGEST_PAUSE))
            .max_ban(LONGEST_BAN);
        for (count, per, unit) in self.quotas {
            config = config.limit(Limit::strict(*count, *per).with_unit(*unit));
        }
        config.build()
    }
}

impl Breaker {
    fn config(self) -> Result<BreakerConfig, InvalidConfig> {
        let mut config = BreakerConfig::builder()
            .open_for(self.open_for)
            .probes(self.probes)
            .successes_to_close(self.successes_to_close)
            .open_on_ban(LONGEST_BAN);
        if let Some(failures) = self.consecutive_failures {
            config = config.consecutive_failures(failures);
        }
        if let Some((share, calls, min_calls)) = self.failure_rate {
            config = config.failure_rate(share, calls).min_calls(min_calls);
        }
        config.build()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::StackBuilder;

    fn all() -> [StackBuilder; 8] {
        [
            broker("broker"),
            order_execution("orders"),
            market_data("data"),
            news("news"),
            ai_api("ai"),
            ai_agents("agents"),
            database("database"),
            api_client("api"),
        ]
    }

    #[test]
    fn no_call_opens_the_circuit_before_its_own_last_attempt() {
        for preset in all() {
            let settings = preset.settings().expect("valid").clone();
            let attempts = settings.retry.attempts();
            let opens_after = settings.breaker.consecutive_failures();
            assert!(opens_after.is_none_or(|failures| failures >= attempts));
        }
    }

    #[test]
    fn every_preset_makes_a_stack_and_no_burst_passes_the_limit() {
        for preset in all() {
            let settings = preset.settings().expect("valid").clone();
            // 80 % of a limit and a burst of a fifth of it never pass the limit.
            let limit = &settings.rate_limit.limits()[0];
            assert!(limit.capacity() * 4 <= limit.count().max(4), "{settings:?}");
            assert!(preset.build_generic(seawall_core::Policy::new()).is_ok());
        }
    }
}
