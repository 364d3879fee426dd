//! What can go wrong with one request or one listener.

use std::time::Duration;

use super::split_mix::SplitMix64;

/// No scripted delay is longer than this, whatever its distribution yields.
pub(crate) const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// The distribution a scripted delay is drawn from.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Latency {
    /// Always the same delay.
    Constant {
        /// The delay.
        delay: Duration,
    },
    /// Every delay between two bounds is as likely as any other.
    Uniform {
        /// The shortest delay.
        min: Duration,
        /// The longest delay.
        max: Duration,
    },
    /// A bell around the mean; what would be negative is no delay.
    Normal {
        /// The middle of the bell.
        mean: Duration,
        /// One standard deviation.
        deviation: Duration,
    },
    /// What healthy services look like: a hump and a long tail.
    LogNormal {
        /// Half of the delays are shorter than this.
        median: Duration,
        /// The standard deviation of the delay's logarithm; 0.5 is mild, 1.5 is wild.
        sigma: f64,
    },
    /// Waiting for something that happens at a constant rate.
    Exponential {
        /// The average delay.
        mean: Duration,
    },
    /// A tail so heavy that the average says nothing when the shape is near 1.
    Pareto {
        /// The shortest delay.
        min: Duration,
        /// How fast the tail falls, above 0: 3 is tame, 1.1 is brutal.
        shape: f64,
    },
}

impl Latency {
    pub(crate) fn sample(self, draw: &mut SplitMix64) -> Duration {
        let seconds = match self {
            Self::Constant { delay } => return delay,
            Self::Uniform { min, max } => {
                let width = max.saturating_sub(min).as_secs_f64();
                min.as_secs_f64() + width * draw.unit()
            }
            Self::Normal { mean, deviation } => {
                mean.as_secs_f64() + deviation.as_secs_f64() * draw.normal()
            }
            Self::LogNormal { median, sigma } => {
                median.as_secs_f64() * (sigma * draw.normal()).exp()
            }
            Self::Exponential { mean } => -mean.as_secs_f64() * (1.0 - draw.unit()).ln(),
            Self::Pareto { min, shape } => {
                min.as_secs_f64() / (1.0 - draw.unit()).powf(1.0 / shape)
            }
        };
        bounded(seconds)
    }
}

/// Seconds as a duration; negative and absurd values are brought into range.
pub(crate) fn bounded(seconds: f64) -> Duration {
    // `max` also turns NaN into zero.
    Duration::try_from_secs_f64(seconds.max(0.0)).map_or(LONGEST, |delay| delay.min(LONGEST))
}

/// How a `Retry-After` header is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RetryAfterForm {
    /// Whole seconds, rounded up.
    Seconds,
    /// An HTTP date.
    Date,
}

/// How a provider fails during an [`Fault::Outage`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum OutageMode {
    /// The listener is closed: connects are refused, and connections that exist are reset.
    Refuse,
    /// Connects succeed and are reset immediately, and connections that exist are reset. The provider
    /// sees each attempt, so it can count them.
    Reset,
    /// Every request gets a 503: the front end is up, everything behind it is down.
    Unavailable,
}

/// What the caller sees of a request that is executed later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum LateResponse {
    /// Nothing, until one of the two sides gives up.
    Stall,
    /// The connection is reset.
    Reset,
    /// An error status in the provider's own format, 400 to 599.
    Status(u16),
}

/// One kind of failure, with its parameters; the [module](super) has the table.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Fault {
    /// The request is handled later; everything else is as usual.
    Latency(Latency),
    /// An error status in the provider's own format.
    Status {
        /// The HTTP status, 400 to 599.
        code: u16,
        /// The wait that the response asks for, if it asks.
        retry_after: Option<Duration>,
        /// The request was executed, although the response says that it failed.
        execute: bool,
    },
    /// The provider's throttle response (429), though the caller kept to the limit.
    Throttle {
        /// The wait that the response asks for; without it the response has no `Retry-After`.
        retry_after: Option<Duration>,
        /// How the wait is written.
        form: RetryAfterForm,
    },
    /// A throttle inside a 200: in the body, or as an error event of a stream.
    HiddenThrottle,
    /// The response that means "no money or quota left", which no retry can help.
    QuotaExhausted,
    /// No response, ever, until one of the two sides gives up.
    Stall {
        /// The request was executed before the stall.
        execute: bool,
    },
    /// The connection is reset and the request is not executed.
    ResetBeforeRead,
    /// The request is executed, then the connection is reset without a response.
    ResetAfterExecute,
    /// The request is executed later, after the caller was left without its response.
    ExecuteLate {
        /// How long after the response, or the loss of it.
        delay: Latency,
        /// What the caller sees at once.
        response: LateResponse,
    },
    /// The response begins, then the connection is reset.
    ResetDuringBody {
        /// The share of the body that is sent, 0 to 1.
        share: f64,
    },
    /// The response ends early, with a regular end of the connection.
    TruncateBody {
        /// The share of the body that is sent, 0 to 1.
        share: f64,
    },
    /// The body arrives in pieces with a pause before each.
    SlowBody {
        /// The pause before each piece.
        pause: Duration,
        /// Into how many pieces a body is cut, at least 1.
        pieces: u32,
    },
    /// New connections are refused; those that exist go on.
    Refuse,
    /// The caller is banned: every request gets this status until the ban is over.
    Ban {
        /// The status of every response, 400 to 599.
        status: u16,
        /// How long the ban lasts after the request that drew it; `None`: to the end of the
        /// incident.
        lasts: Option<Duration>,
    },
    /// The provider is down.
    Outage(OutageMode),
    /// A provider that recovers: errors and delays that fall to nothing over the incident.
    SlowRecovery {
        /// The delay at the beginning.
        latency: Duration,
        /// The share of errors at the beginning, 0 to 1.
        errors: f64,
        /// The status of those errors.
        code: u16,
    },
}

impl Fault {
    /// The name that the file format and the statistics use, e.g. `reset_after_execute`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Latency(_) => "latency",
            Self::Status { .. } => "status",
            Self::Throttle { .. } => "throttle",
            Self::HiddenThrottle => "hidden_throttle",
            Self::QuotaExhausted => "quota_exhausted",
            Self::Stall { .. } => "stall",
            Self::ResetBeforeRead => "reset_before_read",
            Self::ResetAfterExecute => "reset_after_execute",
            Self::ExecuteLate { .. } => "execute_late",
            Self::ResetDuringBody { .. } => "reset_during_body",
            Self::TruncateBody { .. } => "truncate_body",
            Self::SlowBody { .. } => "slow_body",
            Self::Refuse => "refuse",
            Self::Ban { .. } => "ban",
            Self::Outage(_) => "outage",
            Self::SlowRecovery { .. } => "slow_recovery",
        }
    }

    /// Faults of the listener: no request is needed for them to act.
    pub(crate) fn affects_listener(&self) -> bool {
        matches!(
            self,
            Self::Refuse | Self::Outage(OutageMode::Refuse | OutageMode::Reset)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(latency: Latency) -> Vec<Duration> {
        let mut all: Vec<_> = (0..4_001)
            .map(|n| latency.sample(&mut SplitMix64::new(&[3, n])))
            .collect();
        all.sort();
        all
    }

    #[test]
    fn each_distribution_has_its_shape() {
        let ms = Duration::from_millis;
        let near = |got: Duration, want: Duration| {
            let ratio = got.as_secs_f64() / want.as_secs_f64();
            assert!(
                (0.9..1.1).contains(&ratio),
                "got {got:?}, want about {want:?}"
            );
        };
        let uniform = samples(Latency::Uniform {
            min: ms(10),
            max: ms(30),
        });
        assert!(uniform[0] >= ms(10) && uniform[4_000] <= ms(30));
        near(uniform[2_000], ms(20));
        near(
            samples(Latency::Normal {
                mean: ms(50),
                deviation: ms(5),
            })[2_000],
            ms(50),
        );
        near(
            samples(Latency::LogNormal {
                median: ms(80),
                sigma: 0.8,
            })[2_000],
            ms(80),
        );
        near(
            samples(Latency::Exponential { mean: ms(100) })[2_000],
            Duration::from_micros(69_315),
        );
        let pareto = samples(Latency::Pareto {
            min: ms(10),
            shape: 1.0,
        });
        assert!(pareto[0] >= ms(10));
        near(pareto[2_000], ms(20));
    }

    #[test]
    fn no_delay_is_negative_or_endless() {
        let wild = samples(Latency::LogNormal {
            median: LONGEST,
            sigma: 100.0,
        });
        assert_eq!(wild[4_000], LONGEST);
        let below = samples(Latency::Normal {
            mean: Duration::ZERO,
            deviation: Duration::from_secs(1),
        });
        assert_eq!(below[0], Duration::ZERO);
        assert_eq!(bounded(f64::NAN), Duration::ZERO);
    }
}
