//! The settings of an attempt timeout.

use std::marker::PhantomData;
use std::time::Duration;

use seawall_core::{InvalidConfig, NonZeroDuration};

use super::learned_config::LearnedConfig;
use crate::limit::{LEARNED, limit_ns};
use crate::state::Limit;

/// The timeout is as it was set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fixed;

/// The timeout is learned from responses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Learned;

/// How long an attempt may take: a fixed time, or one that is learned from recent responses.
///
/// `M` is [`Fixed`] or [`Learned`], so that layers with a fixed timeout measure nothing.
///
/// ```
/// use std::time::Duration;
/// use seawall_timeout::{AttemptTimeoutConfig, LearnedConfig};
///
/// let fixed = AttemptTimeoutConfig::fixed(Duration::from_secs(5))?;
/// assert_eq!(fixed.timeout(), Duration::from_secs(5));
///
/// let learned = AttemptTimeoutConfig::learned(LearnedConfig::default());
/// assert_eq!(learned.timeout(), Duration::from_secs(30), "until enough responses are known");
///
/// let rejected = AttemptTimeoutConfig::fixed(Duration::ZERO).unwrap_err();
/// assert_eq!(rejected.field(), "timeout");
/// # Ok::<(), seawall_timeout::InvalidConfig>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AttemptTimeoutConfig<M = Fixed> {
    source: Source,
    mode: PhantomData<M>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Source {
    Fixed(Duration),
    Learned(LearnedConfig),
}

impl AttemptTimeoutConfig<Fixed> {
    /// Attempts may take `timeout`; [`Duration::MAX`] is forever.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] that names `timeout` when it is zero.
    pub fn fixed(timeout: Duration) -> Result<Self, InvalidConfig> {
        NonZeroDuration::check("timeout", timeout)?;
        Ok(Self::of(Source::Fixed(timeout)))
    }
}

impl AttemptTimeoutConfig<Learned> {
    /// The timeout is a quantile of what recent responses took, times a factor, within bounds; see
    /// [`LearnedConfig`].
    ///
    /// Attempts that timed out, that the caller gave up, or that failed slowly count as what they
    /// are: responses that would have taken at least so long. Without them the timeout would sink
    /// until most attempts time out. Failures that come fast do not count. What is a failure is
    /// up to the layer's [`classify`](crate::AttemptTimeoutLayer::classify): a 429 that comes at
    /// once must not pass for a fast response.
    ///
    /// While too few responses are known, at the start or after a pause, attempts may take the
    /// initial timeout. Costs two readings of the clock per call and 15 kB per layer.
    pub const fn learned(learned: LearnedConfig) -> Self {
        Self::of(Source::Learned(learned))
    }
}

impl<M> AttemptTimeoutConfig<M> {
    pub(super) const fn of(source: Source) -> Self {
        Self {
            source,
            mode: PhantomData,
        }
    }

    pub(super) fn into_source(self) -> Source {
        self.source
    }

    /// How long an attempt may take; where that is learned, the initial timeout.
    pub fn timeout(&self) -> Duration {
        self.source.timeout()
    }

    /// How the timeout is learned; `None` where it is fixed.
    pub const fn learning(&self) -> Option<LearnedConfig> {
        self.source.learning()
    }
}

impl From<LearnedConfig> for AttemptTimeoutConfig<Learned> {
    fn from(learned: LearnedConfig) -> Self {
        Self::learned(learned)
    }
}

impl Source {
    pub(super) fn timeout(&self) -> Duration {
        match self {
            Self::Fixed(timeout) => *timeout,
            Self::Learned(learned) => learned.initial(),
        }
    }

    pub(super) const fn learning(&self) -> Option<LearnedConfig> {
        match self {
            Self::Fixed(_) => None,
            Self::Learned(learned) => Some(*learned),
        }
    }
}

impl Limit for Source {
    fn limit_ns(&self) -> u64 {
        match self {
            Self::Fixed(timeout) => limit_ns(*timeout),
            Self::Learned(_) => LEARNED,
        }
    }
}
