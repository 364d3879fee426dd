//! From raw values to settings that cannot be wrong.

use std::time::Duration;

use seawall_core::{InvalidConfig, NonZeroCount, NonZeroDuration, Ratio, ns};

use super::build::BreakerConfigBuilder;
use super::{BreakerConfig, ClosePolicy, HalfOpenPolicy, Ramp, RateRule, Throttle};
use crate::buckets::Pace;
use crate::opening::Opening;
use crate::rule::Rules;

/// The longest count window: a ring of ten million calls, 1.25 MB.
const MAX_CALLS: u32 = 10_000_000;
const MIN_WINDOW: Duration = Duration::from_millis(10);
const DAY: Duration = Duration::from_secs(24 * 3600);
const MINUTE: Duration = Duration::from_secs(60);
/// Fewer calls in a time window say nothing; Hystrix' `requestVolumeThreshold`.
const MIN_CALLS_OVER_TIME: u32 = 20;
const MAX_STEPS: u32 = 16;

impl BreakerConfigBuilder {
    /// The settings, checked.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] naming the first setting that cannot be: a count, a share or a time
    /// outside of its bounds, `min_calls` above a window of calls, a cap of the growth below the
    /// open time, settings without the rule that they belong to, two that exclude each other, or
    /// no rule at all.
    pub fn build(self) -> Result<BreakerConfig, InvalidConfig> {
        self.check_rules()?;
        let min = self.min_calls;
        let consecutive = self.consecutive.map(|n| count("consecutive_failures", n));
        let failure_calls = self.failure_calls.map(|r| rate("failure_rate", r, min));
        let failure_time = self
            .failure_time
            .map(|r| rate_over("failure_rate_over", r, min));
        let slow_calls = self.slow_calls.map(|r| rate("slow_rate", r, min));
        let slow_time = self.slow_time.map(|r| rate_over("slow_rate_over", r, min));
        let (failure_time, slow_time) = (failure_time.transpose()?, slow_time.transpose()?);
        let window = failure_time.or(slow_time).map(|r| r.over);
        let throttle = match self.throttle {
            None => None,
            Some((0, _)) => {
                return Err(InvalidConfig::new(
                    "open_on_throttle",
                    "no scope",
                    "at least one scope",
                ));
            }
            Some((scopes, at_most)) => Some(Throttle {
                scopes,
                at_most: positive("open_on_throttle", at_most)?,
            }),
        };
        let open_for = positive("open_for", self.open_for)?;
        let growth = self.growth.map(|g| growth(g, open_for.get())).transpose()?;
        let jitter = Ratio::new(self.jitter).map_err(|e| e.in_field("open_jitter"))?;
        let decay = match self.decay {
            Some(_) if growth.is_none() => {
                return Err(lonely("open_decay", "open_growth"));
            }
            Some(period) => positive("open_decay", period)?,
            None => open_for,
        };
        let probes = count("probes", self.probes)?;
        let probe_timeout = self.probe_timeout.unwrap_or(match self.open_for {
            time if time <= DAY => time,
            _ => MINUTE,
        });
        if let HalfOpenPolicy::Wait { at_most } = self.half_open_policy {
            positive("while_probing", at_most)?;
        }
        Ok(BreakerConfig {
            consecutive: consecutive.transpose()?,
            failure_calls: failure_calls.transpose()?,
            failure_time,
            slow_after: self
                .slow_after
                .map(|d| positive("slow_after", d))
                .transpose()?,
            slow_calls: slow_calls.transpose()?,
            slow_time,
            ban: self.ban.map(|d| positive("open_on_ban", d)).transpose()?,
            throttle,
            open_for,
            growth,
            jitter,
            decay,
            seed: self.seed,
            probes,
            close_policy: self.close_policy(probes)?,
            probe_timeout: within_a_day("probe_timeout", probe_timeout)?,
            ramp: self.ramp.map(ramp).transpose()?,
            half_open_policy: self.half_open_policy,
            abandoned_policy: self.abandoned_policy,
            shadow: self.shadow,
            opening: Opening {
                start: ns(open_for.get()),
                factor: growth.map_or(1.0, |(factor, _)| factor),
                cap: ns(growth.map_or(open_for, |(_, cap)| cap).get()),
                jitter: jitter.get(),
                decay: ns(decay.get()),
            },
            pace: window.map_or(Pace::NONE, Pace::of),
            rules: Rules(self.rules),
        })
    }

    /// Whether there is a rule, and each setting has the rule that it belongs to.
    fn check_rules(&self) -> Result<(), InvalidConfig> {
        let slow = self.slow_calls.is_some() || self.slow_time.is_some();
        let rates = slow || self.failure_calls.is_some() || self.failure_time.is_some();
        let hints = self.ban_was_set || self.throttle.is_some();
        if !rates && !hints && self.consecutive.is_none() && self.rules.is_empty() {
            return Err(InvalidConfig::new(
                "rules",
                "empty",
                "at least one rule: consecutive_failures, failure_rate, failure_rate_over, \
                 slow_rate, slow_rate_over, rule, open_on_ban or open_on_throttle",
            ));
        }
        if self.min_calls.is_some() && !rates {
            return Err(InvalidConfig::new(
                "min_calls",
                self.min_calls.unwrap_or_default(),
                "a setting only together with a rate",
            ));
        }
        match self.slow_after {
            None if slow => {
                let field = if self.slow_calls.is_some() {
                    "slow_rate"
                } else {
                    "slow_rate_over"
                };
                return Err(lonely(field, "slow_after"));
            }
            Some(time) if !slow => {
                let accepted = "a setting only together with slow_rate or slow_rate_over";
                return Err(InvalidConfig::new(
                    "slow_after",
                    format!("{time:?}"),
                    accepted,
                ));
            }
            _ => {}
        }
        match (self.failure_time, self.slow_time) {
            (Some((_, failure)), Some((_, slow))) if failure != slow => Err(InvalidConfig::new(
                "slow_rate_over",
                format!("{slow:?}"),
                format!("the time of failure_rate_over, {failure:?}"),
            )),
            _ => Ok(()),
        }
    }

    fn close_policy(&self, probes: NonZeroCount) -> Result<ClosePolicy, InvalidConfig> {
        match (self.successes_to_close, self.close_rate) {
            (Some(n), Some(_)) => Err(InvalidConfig::new(
                "close_rate",
                format!("set beside successes_to_close of {n}"),
                "either of the two",
            )),
            (Some(n), None) => Ok(ClosePolicy::Successes(count("successes_to_close", n)?)),
            (None, Some((part, calls))) => Ok(ClosePolicy::Rate {
                share: share("close_rate", part)?,
                calls: count("close_rate", calls)?,
            }),
            (None, None) => Ok(ClosePolicy::Successes(probes)),
        }
    }
}

fn lonely(field: &'static str, needs: &'static str) -> InvalidConfig {
    let accepted = format!("a setting only together with {needs}");
    InvalidConfig::new(field, format!("set without {needs}"), accepted)
}

fn count(field: &'static str, value: u32) -> Result<NonZeroCount, InvalidConfig> {
    NonZeroCount::new(value).map_err(|e| e.in_field(field))
}

fn positive(field: &'static str, value: Duration) -> Result<NonZeroDuration, InvalidConfig> {
    NonZeroDuration::new(value).map_err(|e| e.in_field(field))
}

fn within_a_day(field: &'static str, value: Duration) -> Result<NonZeroDuration, InvalidConfig> {
    if value > DAY {
        let accepted = "longer than zero, at most 24 h";
        return Err(InvalidConfig::new(field, format!("{value:?}"), accepted));
    }
    positive(field, value)
}

fn share(field: &'static str, value: f64) -> Result<Ratio, InvalidConfig> {
    match Ratio::new(value) {
        Ok(ratio) if ratio != Ratio::ZERO => Ok(ratio),
        _ => Err(InvalidConfig::new(
            field,
            value,
            "a number above 0, at most 1",
        )),
    }
}

fn rate(
    field: &'static str,
    (part, calls): (f64, u32),
    min_calls: Option<u32>,
) -> Result<RateRule<u32>, InvalidConfig> {
    let part = share(field, part)?;
    if !(1..=MAX_CALLS).contains(&calls) {
        let accepted = format!("a whole number of calls from 1 to {MAX_CALLS}");
        return Err(InvalidConfig::new(field, calls, accepted));
    }
    let min_calls = min_calls.unwrap_or_else(|| calls.div_ceil(5));
    if !(1..=calls).contains(&min_calls) {
        let accepted = format!("a whole number from 1 to the window of {field}, {calls}");
        return Err(InvalidConfig::new("min_calls", min_calls, accepted));
    }
    Ok(RateRule {
        share: part,
        over: calls,
        min_calls,
    })
}

fn rate_over(
    field: &'static str,
    (part, time): (f64, Duration),
    min_calls: Option<u32>,
) -> Result<RateRule<Duration>, InvalidConfig> {
    let part = share(field, part)?;
    if !(MIN_WINDOW..=DAY).contains(&time) {
        return Err(InvalidConfig::new(
            field,
            format!("{time:?}"),
            "a time from 10 ms to 24 h",
        ));
    }
    let min_calls = min_calls.unwrap_or(MIN_CALLS_OVER_TIME);
    if min_calls == 0 {
        return Err(InvalidConfig::new("min_calls", 0, "a whole number from 1"));
    }
    Ok(RateRule {
        share: part,
        over: time,
        min_calls,
    })
}

fn growth(
    (factor, cap): (f64, Duration),
    open_for: Duration,
) -> Result<(f64, NonZeroDuration), InvalidConfig> {
    if !(1.0..f64::INFINITY).contains(&factor) {
        return Err(InvalidConfig::new(
            "open_growth",
            factor,
            "a finite factor from 1",
        ));
    }
    if cap < open_for {
        let accepted = format!("a cap of no less than open_for, {open_for:?}");
        return Err(InvalidConfig::new(
            "open_growth",
            format!("{cap:?}"),
            accepted,
        ));
    }
    Ok((factor, positive("open_growth", cap)?))
}

fn ramp((steps, step): (u32, Duration)) -> Result<Ramp, InvalidConfig> {
    if !(1..=MAX_STEPS).contains(&steps) {
        let accepted = format!("a whole number of steps from 1 to {MAX_STEPS}");
        return Err(InvalidConfig::new("ramp", steps, accepted));
    }
    let step = within_a_day("ramp", step)?.get();
    Ok(Ramp { steps, step })
}
