//! A fault: what happens, to which calls, and how often.

use seawall_core::InvalidConfig;

use crate::{ClockSkew, Delay, FaultKind, Reach, StatusResponse};

/// What happens to calls, to which of them, and how often.
///
/// Unless [set](Self::with_intensity) it hits each call, and unless [set](Self::with_reach) all of
/// them. What a service cannot do (its layer's [`FaultHooks`](crate::FaultHooks) say so) is an error at
/// the start.
///
/// ```
/// use std::time::Duration;
/// use seawall_chaos::{Delay, Fault, FaultKind, Reach};
/// use seawall_core::Operation;
///
/// let slow = Fault::delay(Delay::constant(Duration::from_millis(300))?)
///     .with_intensity(0.1)?
///     .with_reach(Reach::everything().operation(Operation::new("quotes")));
/// assert_eq!((slow.kind(), slow.intensity()), (FaultKind::Delay, 0.1));
///
/// let invalid = Fault::hang().with_intensity(0.0).unwrap_err();
/// assert_eq!(invalid.to_string(), "`intensity` is 0, accepted is a number above 0, up to 1");
/// # Ok::<(), seawall_core::InvalidConfig>(())
/// ```
#[derive(Clone, Debug)]
pub struct Fault {
    what: What,
    intensity: f64,
    reach: Reach,
}

/// What happens.
#[derive(Clone, Debug)]
pub(crate) enum What {
    Delay(Delay),
    Hang,
    ErrorBeforeSending,
    LostResponse,
    RefusedConnection,
    Status(StatusResponse),
    TruncatedBody,
    CorruptedBody,
    SlowBody(Delay),
    StaleResponse,
    DuplicatedRequest,
    ClockSkew(ClockSkew),
}

impl Fault {
    /// The least share of calls that a fault can hit, one in a million: less is as good as nothing.
    pub const LEAST_INTENSITY: f64 = 1e-6;

    const fn of(what: What) -> Self {
        Self {
            what,
            intensity: 1.0,
            reach: Reach::EVERYTHING,
        }
    }

    /// The request is sent, and its response held back for so long. An outer timeout or deadline ends
    /// the wait as it would end that for a slow upstream.
    pub const fn delay(delay: Delay) -> Self {
        Self::of(What::Delay(delay))
    }

    /// The request is sent, and its response held back until the fault is stopped or its time is over,
    /// or the caller gives up.
    pub const fn hang() -> Self {
        Self::of(What::Hang)
    }

    /// An error of which is certain that nothing was sent: the request is not sent.
    pub const fn error_before_sending() -> Self {
        Self::of(What::ErrorBeforeSending)
    }

    /// The request is sent, and its response replaced by an error: to the caller its fate is unknown.
    pub const fn lost_response() -> Self {
        Self::of(What::LostResponse)
    }

    /// As if nobody listened at the address: the request is not sent.
    pub const fn refused_connection() -> Self {
        Self::of(What::RefusedConnection)
    }

    /// This response, without the request being sent.
    pub const fn status(response: StatusResponse) -> Self {
        Self::of(What::Status(response))
    }

    /// The body of the response breaks off before its end.
    pub const fn truncated_body() -> Self {
        Self::of(What::TruncatedBody)
    }

    /// A byte of the response's body is another one.
    pub const fn corrupted_body() -> Self {
        Self::of(What::CorruptedBody)
    }

    /// Each piece of the response's body is held back for so long.
    pub const fn slow_body(before_each_piece: Delay) -> Self {
        Self::of(What::SlowBody(before_each_piece))
    }

    /// The first response to the same request since the fault began, without the request being sent.
    /// What is the same request say the layer's hooks. The first one itself passes.
    pub const fn stale_response() -> Self {
        Self::of(What::StaleResponse)
    }

    /// The request is sent again when its first response is there, and the caller gets what the second one
    /// comes to: as where a proxy tries again on its own. The first response is dropped before, so a call
    /// that has got so far goes on with the second when the fault ends. As of every fault, only reads are hit, unless
    /// the upstream is [simulated](crate::ChaosConfigBuilder::simulated_upstream).
    pub const fn duplicated_request() -> Self {
        Self::of(What::DuplicatedRequest)
    }

    /// The timestamps of the response are off.
    pub const fn clock_skew(skew: ClockSkew) -> Self {
        Self::of(What::ClockSkew(skew))
    }

    /// Sets which share of the calls in [reach](Self::with_reach) is hit: at least one in a million, up to 1.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] otherwise; a fault that hits nothing is one without effect.
    pub fn with_intensity(mut self, intensity: f64) -> Result<Self, InvalidConfig> {
        if !(intensity > 0.0 && intensity <= 1.0) {
            let accepted = "a number above 0, up to 1";
            return Err(InvalidConfig::new("intensity", intensity, accepted));
        }
        if intensity < Self::LEAST_INTENSITY {
            // All of its digits would be hundreds.
            let value = format!("{intensity:e}");
            let accepted = "a number from one in a million, up to 1";
            return Err(InvalidConfig::new("intensity", value, accepted));
        }
        self.intensity = intensity;
        Ok(self)
    }

    /// Sets which calls may be hit.
    #[must_use]
    pub fn with_reach(mut self, reach: Reach) -> Self {
        self.reach = reach;
        self
    }

    /// What sort of fault it is.
    pub const fn kind(&self) -> FaultKind {
        match self.what {
            What::Delay(_) => FaultKind::Delay,
            What::Hang => FaultKind::Hang,
            What::ErrorBeforeSending => FaultKind::ErrorBeforeSending,
            What::LostResponse => FaultKind::LostResponse,
            What::RefusedConnection => FaultKind::RefusedConnection,
            What::Status(_) => FaultKind::Status,
            What::TruncatedBody => FaultKind::TruncatedBody,
            What::CorruptedBody => FaultKind::CorruptedBody,
            What::SlowBody(_) => FaultKind::SlowBody,
            What::StaleResponse => FaultKind::StaleResponse,
            What::DuplicatedRequest => FaultKind::DuplicatedRequest,
            What::ClockSkew(_) => FaultKind::ClockSkew,
        }
    }

    seawall_core::getters! {
        /// Which share of the calls in reach is hit.
        pub const fn intensity -> f64;
        /// Which calls may be hit.
        pub const fn reach -> &Reach;
        pub(crate) const fn what -> &What;
    }
}
