//! From raw values to settings that cannot be wrong.

use std::sync::Arc;
use std::time::Duration;

use seawall_core::{Count, InvalidConfig, Positive, Ratio, Scope, ns};

use super::{Abandoned, BreakerConfig, Closing, Ramp, RateRule, Throttle, WhileProbing};
use crate::buckets::Pace;
use crate::opening::Opening;
use crate::rule::{Rule, Rules};

/// The longest count window: a ring of ten million calls, 1.25 MB.
const MAX_CALLS: u32 = 10_000_000;
const MIN_WINDOW: Duration = Duration::from_millis(10);
const DAY: Duration = Duration::from_secs(24 * 3600);
const MINUTE: Duration = Duration::from_secs(60);
/// Fewer calls in a time window say nothing; Hystrix' `requestVolumeThreshold`.
const MIN_CALLS_OVER_TIME: u32 = 20;
const MAX_STEPS: u32 = 16;

/// Collects the settings of a [`BreakerConfig`]; what was set wrong is told by
/// [`build`](Self::build).
#[must_use]
#[derive(Clone, Debug)]
pub struct BreakerConfigBuilder {
    consecutive: Option<u32>,
    failure_calls: Option<(f64, u32)>,
    failure_time: Option<(f64, Duration)>,
    slow_after: Option<Duration>,
    slow_calls: Option<(f64, u32)>,
    slow_time: Option<(f64, Duration)>,
    min_calls: Option<u32>,
    rules: Vec<Arc<dyn Rule>>,
    ban: Option<Duration>,
    ban_was_set: bool,
    throttle: Option<(u8, Duration)>,
    open_for: Duration,
    growth: Option<(f64, Duration)>,
    jitter: f64,
    decay: Option<Duration>,
    seed: Option<u64>,
    probes: u32,
    successes_to_close: Option<u32>,
    close_rate: Option<(f64, u32)>,
    probe_timeout: Option<Duration>,
    ramp: Option<(u32, Duration)>,
    while_probing: WhileProbing,
    abandoned: Abandoned,
    shadow: bool,
}

impl BreakerConfigBuilder {
    pub(super) const fn new() -> Self {
        Self {
            consecutive: None,
            failure_calls: None,
            failure_time: None,
            slow_after: None,
            slow_calls: None,
            slow_time: None,
            min_calls: None,
            rules: Vec::new(),
            ban: Some(DAY),
            ban_was_set: false,
            throttle: None,
            open_for: MINUTE,
            growth: None,
            jitter: 0.0,
            decay: None,
            seed: None,
            probes: 1,
            successes_to_close: None,
            close_rate: None,
            probe_timeout: None,
            ramp: None,
            while_probing: WhileProbing::Refuse,
            abandoned: Abandoned::Ignored,
            shadow: false,
        }
    }

    /// Opens after `failures` failures in a row, at least 1.
    pub fn consecutive_failures(mut self, failures: u32) -> Self {
        self.consecutive = Some(failures);
        self
    }

    /// Opens when `share` (above 0, at most 1) of the last `calls` calls (1 to 10,000,000)
    /// failed.
    pub fn failure_rate(mut self, share: f64, calls: u32) -> Self {
        self.failure_calls = Some((share, calls));
        self
    }

    /// Opens when `share` (above 0, at most 1) of the calls of the last `time` (10 ms to 24 h)
    /// failed. A call counts for at least nine tenths of `time`, and at most for all of it.
    pub fn failure_rate_over(mut self, share: f64, time: Duration) -> Self {
        self.failure_time = Some((share, time));
        self
    }

    /// Says that a call is slow that takes `time` or longer; longer than zero. Together with
    /// [`slow_rate`](Self::slow_rate) or [`slow_rate_over`](Self::slow_rate_over), which count
    /// slow calls, and those still under way as soon as they are slow. A slow probe counts as
    /// failed.
    pub fn slow_after(mut self, time: Duration) -> Self {
        self.slow_after = Some(time);
        self
    }

    /// Opens when `share` (above 0, at most 1) of the last `calls` calls (1 to 10,000,000) was
    /// slow.
    pub fn slow_rate(mut self, share: f64, calls: u32) -> Self {
        self.slow_calls = Some((share, calls));
        self
    }

    /// Opens when `share` (above 0, at most 1) of the calls of the last `time` was slow. The
    /// time is that of [`failure_rate_over`](Self::failure_rate_over), where both are set.
    pub fn slow_rate_over(mut self, share: f64, time: Duration) -> Self {
        self.slow_time = Some((share, time));
        self
    }

    /// Judges rates only from `calls` calls on: at least 1, at most the shortest window of
    /// calls. Without it, from a fifth of each window of calls, and from 20 calls in a window of
    /// time (the `requestVolumeThreshold` of Hystrix).
    pub fn min_calls(mut self, calls: u32) -> Self {
        self.min_calls = Some(calls);
        self
    }

    /// Opens by a rule of your own; any number of them.
    pub fn rule(mut self, rule: impl Rule + 'static) -> Self {
        self.rules.push(Arc::new(rule));
        self
    }

    /// Opens at once when the upstream bans this client, until the ban is over, but for
    /// `at_most` (longer than zero), and for no less than the ordinary open time. On from the
    /// start, with 24 h.
    pub fn open_on_ban(mut self, at_most: Duration) -> Self {
        self.ban = Some(at_most);
        self.ban_was_set = true;
        self
    }

    /// Takes a ban for an ordinary failure.
    pub fn ban_as_failure(mut self) -> Self {
        self.ban = None;
        self.ban_was_set = false;
        self
    }

    /// Opens at once when the upstream throttles one of `scopes` and says for how long: for that
    /// time, but for `at_most` (longer than zero). Off from the start, since a throttle tells of
    /// a client that is too fast, not of an upstream that is unwell.
    pub fn open_on_throttle(
        mut self,
        scopes: impl IntoIterator<Item = Scope>,
        at_most: Duration,
    ) -> Self {
        let bits = scopes
            .into_iter()
            .fold(0, |bits, s| bits | Throttle::bit(s));
        self.throttle = Some((bits, at_most));
        self
    }

    /// Stays open for `time` before it probes; 60 s without it. `Duration::MAX` means until an
    /// operator resets it.
    pub fn open_for(mut self, time: Duration) -> Self {
        self.open_for = time;
        self
    }

    /// Multiplies the open time by `factor` (finite, from 1) at each opening that follows
    /// another, up to `cap` (no less than the open time).
    pub fn open_growth(mut self, factor: f64, cap: Duration) -> Self {
        self.growth = Some((factor, cap));
        self
    }

    /// Lengthens each open time at random by up to `share` (0 to 1) of itself, so that the
    /// clients of one upstream do not come back at the same moment. Never shortens it.
    pub fn open_jitter(mut self, share: f64) -> Self {
        self.jitter = share;
        self
    }

    /// Takes one step of the growth back for each `period` that the circuit spends closed;
    /// longer than zero. Without it, the open time. Envoy's outlier detection takes a step back
    /// at each sweep that finds a host healthy.
    pub fn open_decay(mut self, period: Duration) -> Self {
        self.decay = Some(period);
        self
    }

    /// Draws the jitter from a sequence that is always the same; for tests.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Lets `calls` probes be under way at once in the half-open state, at least 1. Never more
    /// than the successes that are still needed to close it.
    pub fn probes(mut self, calls: u32) -> Self {
        self.probes = calls;
        self
    }

    /// Closes after `probes` probes have succeeded, at least 1, and opens again at the first that
    /// fails; as many as there are [`probes`](Self::probes) at once without it.
    pub fn successes_to_close(mut self, probes: u32) -> Self {
        self.successes_to_close = Some(probes);
        self
    }

    /// Closes when `share` (above 0, at most 1) of `calls` probes (at least 1) succeed, in place
    /// of [`successes_to_close`](Self::successes_to_close). The verdict falls as soon as it
    /// cannot change.
    pub fn close_rate(mut self, share: f64, calls: u32) -> Self {
        self.close_rate = Some((share, calls));
        self
    }

    /// Gives up probes that have not answered within `time` (longer than zero, at most 24 h) and
    /// deals their places again, so that a hung probe cannot keep the circuit half-open for
    /// ever. Without it the open time, or 60 s if that is longer than 24 h.
    pub fn probe_timeout(mut self, time: Duration) -> Self {
        self.probe_timeout = Some(time);
        self
    }

    /// Lets a growing share of the calls pass after the probes have succeeded, in place of all
    /// at once: 1/2^`steps` (1 to 16 steps), twice as many after each `step` (longer than zero,
    /// at most 24 h), all after the last. The rules judge these calls.
    pub fn ramp(mut self, steps: u32, step: Duration) -> Self {
        self.ramp = Some((steps, step));
        self
    }

    /// Says what happens to calls that find every place for a probe taken; a wait is longer than
    /// zero. Refused without it.
    pub fn while_probing(mut self, calls: WhileProbing) -> Self {
        self.while_probing = calls;
        self
    }

    /// Says how a call counts that was dropped before it was answered. Ignored without it.
    pub fn abandoned(mut self, calls: Abandoned) -> Self {
        self.abandoned = calls;
        self
    }

    /// Only counts and tells what would have been refused, and lets it pass. What an operator
    /// forces open is refused all the same.
    pub fn shadow(mut self, on: bool) -> Self {
        self.shadow = on;
        self
    }

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
        if let WhileProbing::Wait { at_most } = self.while_probing {
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
            closing: self.closing(probes)?,
            probe_timeout: within_a_day("probe_timeout", probe_timeout)?,
            ramp: self.ramp.map(ramp).transpose()?,
            while_probing: self.while_probing,
            abandoned: self.abandoned,
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

    fn closing(&self, probes: Count) -> Result<Closing, InvalidConfig> {
        match (self.successes_to_close, self.close_rate) {
            (Some(n), Some(_)) => Err(InvalidConfig::new(
                "close_rate",
                format!("set beside successes_to_close of {n}"),
                "either of the two",
            )),
            (Some(n), None) => Ok(Closing::Successes(count("successes_to_close", n)?)),
            (None, Some((part, calls))) => Ok(Closing::Rate {
                share: share("close_rate", part)?,
                calls: count("close_rate", calls)?,
            }),
            (None, None) => Ok(Closing::Successes(probes)),
        }
    }
}

fn lonely(field: &'static str, needs: &'static str) -> InvalidConfig {
    let accepted = format!("a setting only together with {needs}");
    InvalidConfig::new(field, format!("set without {needs}"), accepted)
}

fn count(field: &'static str, value: u32) -> Result<Count, InvalidConfig> {
    Count::new(value).map_err(|e| e.in_field(field))
}

fn positive(field: &'static str, value: Duration) -> Result<Positive, InvalidConfig> {
    Positive::new(value).map_err(|e| e.in_field(field))
}

fn within_a_day(field: &'static str, value: Duration) -> Result<Positive, InvalidConfig> {
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
) -> Result<(f64, Positive), InvalidConfig> {
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
