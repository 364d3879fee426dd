//! From raw values to settings that cannot be wrong.

use std::fmt::Debug;
use std::time::Duration;

use seawall_core::{InvalidConfig, NonZeroCount, NonZeroDuration, Ratio};

use super::breaker_config::BreakerConfig;
use super::builder::BreakerConfigBuilder;
use super::values::{
    ClosePolicy, DAY, HOUR, HalfOpenPolicy, MIN_CALLS_OVER_TIME, Ramp, RateRule, ThrottleRule,
    default_probe_timeout,
};
use crate::ages::Aging;
use crate::buckets::Pace;

/// The longest count window: a ring of ten million calls, 1.25 MB.
const MAX_CALLS: u32 = 10_000_000;
const MIN_WINDOW: Duration = Duration::from_millis(10);
const MIN_AGE: Duration = Duration::from_secs(1);
const MAX_AGE: Duration = Duration::from_secs(7 * 24 * 3600);
const MAX_STEPS: u32 = 16;

impl BreakerConfigBuilder {
    /// The settings, checked.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] with the name of the first setting that cannot be: a count, a share or a
    /// time outside of its bounds, `min_calls` above a window of calls, a cap of the growth below
    /// the open time, settings without the rule that they belong to, two that exclude each other,
    /// or no rule at all.
    pub fn build(mut self) -> Result<BreakerConfig, InvalidConfig> {
        self.check_dependencies()?;
        self.build_rules()?;
        self.build_age()?;
        self.build_open_time()?;
        self.build_half_open()?;
        Ok(self.config)
    }

    fn build_rules(&mut self) -> Result<(), InvalidConfig> {
        let (config, min_calls) = (&mut self.config, self.min_calls);
        if let Some(failures) = config.consecutive_failures {
            count("consecutive_failures", failures)?;
        }
        if let Some(rule) = &mut config.failure_rate {
            rate("failure_rate", rule, min_calls)?;
        }
        if let Some(rare) = &mut config.rare {
            if let Some(rule) = &mut rare.slow_rate {
                rate("slow_rate", rule, min_calls)?;
            }
            for (field, rule) in [
                ("failure_rate_over", &mut rare.failure_rate_over),
                ("slow_rate_over", &mut rare.slow_rate_over),
            ] {
                rule.as_mut()
                    .map_or(Ok(()), |r| rate_over(field, r, min_calls))?;
            }
        }
        let window = config
            .rare()
            .failure_rate_over
            .or(config.rare().slow_rate_over);
        config.pace = window.map_or(Pace::NONE, |rule| Pace::of(rule.over));
        if let Some(time) = config.slow_after {
            positive("slow_after", time)?;
        }
        if let Some(max) = config.open_on_ban {
            positive("open_on_ban", max)?;
        }
        match config.rare().throttle {
            Some(ThrottleRule { scopes: 0, .. }) => Err(InvalidConfig::new(
                "open_on_throttle",
                "no scope",
                "at least one scope",
            )),
            Some(ThrottleRule { max, .. }) => positive("open_on_throttle", max),
            None => Ok(()),
        }
    }

    fn build_age(&mut self) -> Result<(), InvalidConfig> {
        let config = &mut self.config;
        let counts = config.consecutive_failures.is_some()
            || config.failure_rate.is_some()
            || config.rare().slow_rate.is_some()
            || !config.rare().rules.0.is_empty();
        config.max_age = match self.max_age {
            Some(Some(_)) if !counts => {
                let rules = "consecutive_failures, failure_rate, slow_rate or rule";
                return Err(lonely("max_age", rules));
            }
            None | Some(None) if !counts => None,
            Some(age) => age,
            None => Some(HOUR),
        };
        match config.max_age {
            Some(age) if !(MIN_AGE..=MAX_AGE).contains(&age) => {
                return Err(invalid("max_age", age, "a time from 1 s to 7 days"));
            }
            age => config.aging = Aging::of(age),
        }
        match config.max_retry_after {
            Some(longest) => within_a_day("max_retry_after", longest),
            None => Ok(()),
        }
    }

    fn build_open_time(&mut self) -> Result<(), InvalidConfig> {
        let config = &mut self.config;
        positive("open_for", config.open_for)?;
        if let Some((factor, cap)) = config.rare().open_growth {
            growth(factor, cap, config.open_for)?;
        }
        Ratio::new(config.open_jitter).map_err(|e| e.in_field("open_jitter"))?;
        if config.seed.is_some() && config.open_jitter <= 0.0 {
            return Err(lonely("seed", "open_jitter"));
        }
        config.open_decay = match self.open_decay {
            Some(_) if config.rare().open_growth.is_none() => {
                return Err(lonely("open_decay", "open_growth"));
            }
            Some(period) => {
                positive("open_decay", period)?;
                period
            }
            None => config.open_for,
        };
        Ok(())
    }

    fn build_half_open(&mut self) -> Result<(), InvalidConfig> {
        let config = &mut self.config;
        count("probes", config.probes)?;
        config.close_policy = match (self.successes_to_close, self.close_rate) {
            (Some(n), Some(_)) => {
                let value = format!("set beside successes_to_close of {n}");
                return Err(InvalidConfig::new("close_rate", value, "either of the two"));
            }
            (Some(n), None) => {
                count("successes_to_close", n)?;
                ClosePolicy::Successes(n)
            }
            (None, Some((part, calls))) => {
                share("close_rate", part)?;
                count("close_rate", calls)?;
                ClosePolicy::Rate { share: part, calls }
            }
            (None, None) => self
                .close_policy
                .unwrap_or(ClosePolicy::Successes(config.probes)),
        };
        let default = default_probe_timeout(config.open_for);
        config.probe_timeout = self.probe_timeout.unwrap_or(default);
        within_a_day("probe_timeout", config.probe_timeout)?;
        if let Some(Ramp { steps, step }) = config.rare().ramp {
            if !(1..=MAX_STEPS).contains(&steps) {
                let accepted = format!("a whole number of steps from 1 to {MAX_STEPS}");
                return Err(InvalidConfig::new("ramp", steps, accepted));
            }
            within_a_day("ramp", step)?;
        }
        match config.half_open_policy {
            HalfOpenPolicy::Wait { max_wait } => positive("half_open_policy", max_wait),
            HalfOpenPolicy::Reject => Ok(()),
        }
    }

    /// Whether there is a rule, and each setting has the rule that it belongs to.
    fn check_dependencies(&self) -> Result<(), InvalidConfig> {
        let config = &self.config;
        let slow = config.rare().slow_rate.is_some() || config.rare().slow_rate_over.is_some();
        let failing = config.failure_rate.is_some() || config.rare().failure_rate_over.is_some();
        let hints = self.ban_was_set || config.rare().throttle.is_some();
        let rules = config.consecutive_failures.is_some() || !config.rare().rules.0.is_empty();
        if !slow && !failing && !hints && !rules {
            return Err(InvalidConfig::new(
                "rules",
                "empty",
                "at least one rule: consecutive_failures, failure_rate, failure_rate_over, \
                 slow_rate, slow_rate_over, rule, open_on_ban or open_on_throttle",
            ));
        }
        match self.min_calls {
            Some(calls) if !slow && !failing => {
                let accepted = "a setting only together with a rate";
                return Err(InvalidConfig::new("min_calls", calls, accepted));
            }
            _ => {}
        }
        match config.slow_after {
            None if config.rare().slow_rate.is_some() => {
                return Err(lonely("slow_rate", "slow_after"));
            }
            None if slow => return Err(lonely("slow_rate_over", "slow_after")),
            Some(time) if !slow => {
                let accepted = "a setting only together with slow_rate or slow_rate_over";
                return Err(invalid("slow_after", time, accepted));
            }
            _ => {}
        }
        match (
            config.rare().failure_rate_over,
            config.rare().slow_rate_over,
        ) {
            (Some(failure), Some(slow)) if failure.over != slow.over => {
                let accepted = format!("the time of failure_rate_over, {:?}", failure.over);
                Err(invalid("slow_rate_over", slow.over, accepted))
            }
            _ => Ok(()),
        }
    }
}

/// An error about a time.
fn invalid(field: &'static str, value: impl Debug, accepted: impl Into<String>) -> InvalidConfig {
    InvalidConfig::new(field, format!("{value:?}"), accepted.into())
}

fn lonely(field: &'static str, needs: &'static str) -> InvalidConfig {
    let accepted = format!("a setting only together with {needs}");
    InvalidConfig::new(field, format!("set without {needs}"), accepted)
}

fn count(field: &'static str, value: u32) -> Result<(), InvalidConfig> {
    let checked = NonZeroCount::new(value).map(drop);
    checked.map_err(|e| e.in_field(field))
}

fn positive(field: &'static str, value: Duration) -> Result<(), InvalidConfig> {
    let checked = NonZeroDuration::new(value).map(drop);
    checked.map_err(|e| e.in_field(field))
}

fn within_a_day(field: &'static str, value: Duration) -> Result<(), InvalidConfig> {
    if value > DAY {
        return Err(invalid(field, value, "longer than zero, at most 24 h"));
    }
    positive(field, value)
}

fn share(field: &'static str, value: f64) -> Result<(), InvalidConfig> {
    match Ratio::new(value) {
        Ok(ratio) if ratio != Ratio::ZERO => Ok(()),
        _ => Err(InvalidConfig::new(
            field,
            value,
            "a number above 0, at most 1",
        )),
    }
}

fn rate(
    field: &'static str,
    rule: &mut RateRule<u32>,
    min_calls: Option<u32>,
) -> Result<(), InvalidConfig> {
    share(field, rule.share)?;
    let calls = rule.over;
    if !(1..=MAX_CALLS).contains(&calls) {
        let accepted = format!("a whole number of calls from 1 to {MAX_CALLS}");
        return Err(InvalidConfig::new(field, calls, accepted));
    }
    rule.min_calls = min_calls.unwrap_or_else(|| calls.div_ceil(5));
    if !(1..=calls).contains(&rule.min_calls) {
        let accepted = format!("a whole number from 1 to the window of {field}, {calls}");
        return Err(InvalidConfig::new("min_calls", rule.min_calls, accepted));
    }
    Ok(())
}

fn rate_over(
    field: &'static str,
    rule: &mut RateRule<Duration>,
    min_calls: Option<u32>,
) -> Result<(), InvalidConfig> {
    share(field, rule.share)?;
    if !(MIN_WINDOW..=DAY).contains(&rule.over) {
        return Err(invalid(field, rule.over, "a time from 10 ms to 24 h"));
    }
    rule.min_calls = min_calls.unwrap_or(MIN_CALLS_OVER_TIME);
    if rule.min_calls == 0 {
        return Err(InvalidConfig::new("min_calls", 0, "a whole number from 1"));
    }
    Ok(())
}

fn growth(factor: f64, cap: Duration, open_for: Duration) -> Result<(), InvalidConfig> {
    if !(1.0..f64::INFINITY).contains(&factor) {
        return Err(InvalidConfig::new(
            "open_growth",
            factor,
            "a finite factor from 1",
        ));
    }
    if cap < open_for {
        let accepted = format!("a cap of no less than open_for, {open_for:?}");
        return Err(invalid("open_growth", cap, accepted));
    }
    Ok(())
}
