//! The settings of a breaker: values that cannot be wrong.

use std::time::Duration;

use seawall_core::{Count, InvalidConfig, Positive, Ratio};

/// The longest count window: a ring of ten million outcomes, 1.25 MB.
const MAX_WINDOW: u32 = 10_000_000;

/// When a circuit opens, how long it stays open, and what closes it again.
///
/// The default opens after 5 failures in a row, or when half of the last 100 calls failed (judged
/// from 20 calls on), stays open for 60 s, probes with one call at a time and closes after 2
/// probes have succeeded.
///
/// ```
/// use std::time::Duration;
/// use seawall_breaker::BreakerConfig;
///
/// let config = BreakerConfig::builder()
///     .failure_rate(0.5, 100)
///     .min_calls(20)
///     .open_for(Duration::from_secs(30))
///     .probes(2)
///     .build()?;
/// assert_eq!(config.window(), Some(100));
///
/// let refused = BreakerConfig::builder().failure_rate(1.5, 100).build().unwrap_err();
/// assert_eq!(refused.field(), "failure_rate");
/// # Ok::<(), seawall_core::InvalidConfig>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct BreakerConfig {
    pub(crate) consecutive: Option<Count>,
    pub(crate) rate: Option<Rate>,
    pub(crate) open_for: Positive,
    pub(crate) probes: Count,
    pub(crate) successes_to_close: Count,
    pub(crate) probe_timeout: Positive,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Rate {
    pub(crate) threshold: Ratio,
    pub(crate) window: Count,
    pub(crate) min_calls: Count,
}

impl BreakerConfig {
    /// Starts with no rule to open by; at least one must be set.
    pub fn builder() -> BreakerConfigBuilder {
        BreakerConfigBuilder {
            consecutive: None,
            rate: None,
            min_calls: None,
            open_for: Duration::from_secs(60),
            probes: 1,
            successes_to_close: None,
            probe_timeout: None,
        }
    }

    /// Failures in a row that open the circuit, if that rule is on.
    pub fn consecutive_failures(&self) -> Option<u32> {
        self.consecutive.map(Count::get)
    }

    /// The share of failures that opens the circuit, if that rule is on.
    pub fn failure_rate(&self) -> Option<Ratio> {
        self.rate.map(|r| r.threshold)
    }

    /// How many of the last calls the failure rate is taken over.
    pub fn window(&self) -> Option<u32> {
        self.rate.map(|r| r.window.get())
    }

    /// From how many calls on the failure rate is judged.
    pub fn min_calls(&self) -> Option<u32> {
        self.rate.map(|r| r.min_calls.get())
    }

    /// How long the circuit stays open before it probes.
    pub fn open_for(&self) -> Duration {
        self.open_for.get()
    }

    /// How many probes may be under way at once.
    pub fn probes(&self) -> u32 {
        self.probes.get()
    }

    /// How many probes must succeed to close the circuit.
    pub fn successes_to_close(&self) -> u32 {
        self.successes_to_close.get()
    }

    /// After how long probes that have not answered are given up and their places dealt again.
    pub fn probe_timeout(&self) -> Duration {
        self.probe_timeout.get()
    }
}

impl Default for BreakerConfig {
    fn default() -> Self {
        Self {
            consecutive: Count::new(5).ok(),
            rate: Some(Rate {
                threshold: Ratio::HALF,
                window: Count::new(100).unwrap_or(Count::ONE),
                min_calls: Count::new(20).unwrap_or(Count::ONE),
            }),
            open_for: MINUTE,
            probes: Count::ONE,
            successes_to_close: Count::new(2).unwrap_or(Count::ONE),
            probe_timeout: MINUTE,
        }
    }
}

const MINUTE: Positive = match Positive::from_secs(60) {
    Some(minute) => minute,
    None => panic!("sixty is not zero"),
};

/// Collects the settings of a [`BreakerConfig`]; what was set wrong is told by
/// [`build`](Self::build).
#[must_use]
#[derive(Clone, Debug)]
pub struct BreakerConfigBuilder {
    consecutive: Option<u32>,
    rate: Option<(f64, u32)>,
    min_calls: Option<u32>,
    open_for: Duration,
    probes: u32,
    successes_to_close: Option<u32>,
    probe_timeout: Option<Duration>,
}

impl BreakerConfigBuilder {
    /// Opens after `failures` failures in a row, at least 1.
    pub fn consecutive_failures(mut self, failures: u32) -> Self {
        self.consecutive = Some(failures);
        self
    }

    /// Opens when `share` (above 0, at most 1) of the last `window` calls (1 to 10,000,000)
    /// failed.
    pub fn failure_rate(mut self, share: f64, window: u32) -> Self {
        self.rate = Some((share, window));
        self
    }

    /// Judges the failure rate only from `calls` calls on: at least 1, at most the window.
    /// Without it, a fifth of the window.
    pub fn min_calls(mut self, calls: u32) -> Self {
        self.min_calls = Some(calls);
        self
    }

    /// Stays open for `time` before it probes; 60 s without it. `Duration::MAX` means until an
    /// operator resets it.
    pub fn open_for(mut self, time: Duration) -> Self {
        self.open_for = time;
        self
    }

    /// Lets `calls` probes be under way at once in the half-open state, at least 1. Never more
    /// than the successes that are still needed to close it.
    pub fn probes(mut self, calls: u32) -> Self {
        self.probes = calls;
        self
    }

    /// Closes after `probes` probes have succeeded, at least 1; as many as there are
    /// [`probes`](Self::probes) at once without it.
    pub fn successes_to_close(mut self, probes: u32) -> Self {
        self.successes_to_close = Some(probes);
        self
    }

    /// Gives up probes that have not answered within `time` and deals their places again, so
    /// that a hung probe cannot keep the circuit half-open for ever; the open time without it.
    pub fn probe_timeout(mut self, time: Duration) -> Self {
        self.probe_timeout = Some(time);
        self
    }

    /// The settings, checked.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] naming the first setting that cannot be: a count of 0, a share outside
    /// of its bounds, `min_calls` above the window, a duration of zero, or no rule at all.
    pub fn build(self) -> Result<BreakerConfig, InvalidConfig> {
        if self.consecutive.is_none() && self.rate.is_none() {
            return Err(InvalidConfig::new(
                "rules",
                "empty",
                "at least one of consecutive_failures and failure_rate",
            ));
        }
        let consecutive = self
            .consecutive
            .map(|n| Count::new(n).map_err(|e| e.in_field("consecutive_failures")))
            .transpose()?;
        let rate = self
            .rate
            .map(|(share, window)| rate(share, window, self.min_calls))
            .transpose()?;
        if rate.is_none() && self.min_calls.is_some() {
            return Err(InvalidConfig::new(
                "min_calls",
                self.min_calls.unwrap_or_default(),
                "a setting only together with failure_rate",
            ));
        }
        let probes = Count::new(self.probes).map_err(|e| e.in_field("probes"))?;
        let open_for = Positive::new(self.open_for).map_err(|e| e.in_field("open_for"))?;
        Ok(BreakerConfig {
            consecutive,
            rate,
            open_for,
            probes,
            successes_to_close: match self.successes_to_close {
                Some(n) => Count::new(n).map_err(|e| e.in_field("successes_to_close"))?,
                None => probes,
            },
            probe_timeout: match self.probe_timeout {
                Some(t) => Positive::new(t).map_err(|e| e.in_field("probe_timeout"))?,
                None => open_for,
            },
        })
    }
}

fn rate(share: f64, window: u32, min_calls: Option<u32>) -> Result<Rate, InvalidConfig> {
    const SHARE: &str = "a number above 0, at most 1";
    let threshold = match Ratio::new(share) {
        Ok(ratio) if ratio != Ratio::ZERO => ratio,
        _ => return Err(InvalidConfig::new("failure_rate", share, SHARE)),
    };
    if !(1..=MAX_WINDOW).contains(&window) {
        return Err(InvalidConfig::new(
            "window",
            window,
            format!("a whole number from 1 to {MAX_WINDOW}"),
        ));
    }
    let min_calls = min_calls.unwrap_or_else(|| window.div_ceil(5));
    if !(1..=window).contains(&min_calls) {
        return Err(InvalidConfig::new(
            "min_calls",
            min_calls,
            format!("a whole number from 1 to the window, {window}"),
        ));
    }
    Ok(Rate {
        threshold,
        window: Count::new(window)?,
        min_calls: Count::new(min_calls)?,
    })
}

#[cfg(all(test, not(seawall_loom)))]
mod tests {
    use super::*;

    #[test]
    fn impossible_settings_are_refused_by_name() {
        let b = BreakerConfig::builder;
        let five = || b().consecutive_failures(5);
        let field = |b: BreakerConfigBuilder| b.build().unwrap_err().field().to_owned();
        assert_eq!(field(b()), "rules");
        assert_eq!(field(b().consecutive_failures(0)), "consecutive_failures");
        for share in [0.0, -0.0, -1.0, 1.1, f64::NAN, f64::INFINITY] {
            assert_eq!(field(b().failure_rate(share, 10)), "failure_rate");
        }
        assert_eq!(field(b().failure_rate(0.5, 0)), "window");
        assert_eq!(field(b().failure_rate(0.5, u32::MAX)), "window");
        assert_eq!(field(b().failure_rate(0.5, 10).min_calls(0)), "min_calls");
        assert_eq!(field(b().failure_rate(0.5, 10).min_calls(11)), "min_calls");
        assert_eq!(field(five().min_calls(3)), "min_calls");
        assert_eq!(field(five().open_for(Duration::ZERO)), "open_for");
        assert_eq!(field(five().probes(0)), "probes");
        assert_eq!(field(five().successes_to_close(0)), "successes_to_close");
        assert_eq!(field(five().probe_timeout(Duration::ZERO)), "probe_timeout");
        assert!(five().open_for(Duration::MAX).build().is_ok());
    }

    #[test]
    fn the_default_can_be_built_by_hand() {
        let by_hand = BreakerConfig::builder()
            .consecutive_failures(5)
            .failure_rate(0.5, 100)
            .min_calls(20)
            .open_for(Duration::from_secs(60))
            .successes_to_close(2)
            .build();
        assert_eq!(by_hand.unwrap(), BreakerConfig::default());
    }
}
