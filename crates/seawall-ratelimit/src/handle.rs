//! The rate limit from outside: what it does, with which settings, and how to change that.

use std::fmt;
use std::time::{Duration, SystemTime};

use seawall_core::striped::Shared;
use seawall_core::{
    Command, Events, InstanceHandle, InstanceName, InvalidConfig, QuotaSignal, Rejection,
    RequestMeta, Samples, Unit, Unsupported,
};

use crate::feedback::obey;
use crate::meter::WallClock;
use crate::observe::{Common, Stripe, counts};
use crate::reserve::{Reservation, reserve, try_reserve};
use crate::snapshot::{LimitSnapshot, RateLimitSnapshot};
use crate::wait::{Lane, Wishes};
use crate::{MetaCost, RateLimitConfig, RateLimitCounts};

/// Reads and controls a rate limit from any thread, without being part of any call.
///
/// It keeps the state alive, not the services.
///
/// ```
/// use std::time::Duration;
/// use seawall_ratelimit::{RateLimitConfig, RateLimitLayer};
///
/// let ten = RateLimitConfig::builder().rate(10, Duration::from_secs(1)).burst(5);
/// let handle = RateLimitLayer::new("quotes", ten.clone().build()?).handle();
/// // The provider has raised the limit: what was used stays used, what waits goes sooner.
/// handle.configure(ten.rate(50, Duration::from_secs(1)).burst(20).build()?)?;
/// assert_eq!(handle.tokens(), 20.0);
///
/// handle.pause();
/// assert_eq!(handle.snapshot().state, "paused");
/// handle.resume();
/// # Ok::<(), seawall_core::InvalidConfig>(())
/// ```
#[derive(Clone)]
pub struct RateLimitHandle {
    shared: Shared<Common, Stripe>,
}

impl RateLimitHandle {
    pub(crate) const fn new(shared: Shared<Common, Stripe>) -> Self {
        Self { shared }
    }

    /// The name of the instance.
    pub fn name(&self) -> InstanceName {
        self.shared.common().observer.name()
    }

    /// The settings in force.
    pub fn config(&self) -> RateLimitConfig {
        self.shared.common().limiter.config()
    }

    /// Changes the settings. What was used stays used: a bucket misses as many tokens as before,
    /// a strict limit remembers what departed. Those in line are asked again, and nobody is thrown
    /// out.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] when the limits are not as many as before, of the same kinds and units in
    /// the same order; the settings stay as they were.
    pub fn configure(&self, config: RateLimitConfig) -> Result<(), InvalidConfig> {
        let common = self.shared.common();
        common.limiter.configure(common.clock.now(), config)
    }

    /// Tokens that are there now, whole and partial ones, at most the burst; of several limits, of
    /// the one that has least. Calls that wait have not taken theirs yet; below zero where an
    /// answer has used more than was estimated. Reads the clock.
    pub fn tokens(&self) -> f64 {
        let common = self.shared.common();
        common.limiter.least_available(common.clock.now())
    }

    /// How many calls wait for a token now.
    pub fn waiting(&self) -> u32 {
        self.shared.common().limiter.waiting()
    }

    /// What became of the calls so far.
    pub fn counts(&self) -> RateLimitCounts {
        counts(&self.shared)
    }

    /// When a request of this kind could depart, from now; `None` when nobody knows: the layer is
    /// paused until further notice, or the request costs more than a limit can grant.
    pub fn time_to_next(&self, meta: &RequestMeta) -> Option<Duration> {
        let common = self.shared.common();
        let now = common.clock.now();
        let wishes = Wishes::of(&Lane::Whole(self.shared.local()), meta, |unit| {
            MetaCost::of(meta, unit)
        });
        let wait = common.limiter.time_to(now, &wishes.own);
        (wait != u64::MAX).then(|| Duration::from_nanos(wait))
    }

    /// Everything at once, for people to read.
    pub fn snapshot(&self) -> RateLimitSnapshot {
        let common = self.shared.common();
        let limiter = &common.limiter;
        let now = common.clock.now();
        let available = limiter.available(now);
        let config = limiter.config();
        let limits = config.limits().iter().zip(available);
        let counts = self.counts();
        RateLimitSnapshot {
            state: self.state(),
            limits: limits
                .map(|(limit, available)| LimitSnapshot {
                    limit: limit.clone(),
                    available,
                })
                .collect(),
            waiting: self.waiting(),
            rejection_rate: counts.rejection_rate(),
            counts,
            time_to_next: self.time_to_next(&RequestMeta::default()),
            resumes_in: limiter
                .paused_until(now)
                .filter(|until| *until != u64::MAX)
                .map(|until| Duration::from_nanos(until - now)),
            shadow: limiter.is_shadow(),
        }
    }

    /// Grants nothing until [`resume`](Self::resume): new calls are rejected with
    /// [`Paused`](seawall_core::Reason::Paused), those in line wait on for as long as they may.
    pub fn pause(&self) {
        self.shared.common().limiter.pause();
    }

    /// Grants nothing for so long, and then as if all had just been used up. What an upstream
    /// asks for with a throttle; calls that may wait longer than that join the line.
    pub fn pause_for(&self, time: Duration) {
        let said = QuotaSignal::Pause {
            lasts: Some(time),
            scope: seawall_core::Scope::Upstream,
        };
        self.apply_signal(said);
    }

    /// Rejects new calls with [`Draining`](seawall_core::Reason::Draining) until
    /// [`resume`](Self::resume), and serves those in line: before a restart.
    pub fn drain(&self) {
        self.shared.common().limiter.drain();
    }

    /// Ends every pause and a drain, and forgets what the upstream has said; what was used stays
    /// used.
    pub fn resume(&self) {
        self.shared.common().limiter.resume();
    }

    /// As [`resume`](Self::resume), and fills every bucket and strict limit. Counts of windows and
    /// days stay: only the upstream can renew those.
    pub fn refill(&self) {
        let common = self.shared.common();
        common.limiter.refill(common.clock.now());
    }

    /// Whether the layer only watches, see [`RateLimitConfigBuilder::shadow`].
    ///
    /// [`RateLimitConfigBuilder::shadow`]: crate::RateLimitConfigBuilder::shadow
    pub fn set_shadow(&self, on: bool) {
        self.shared.common().limiter.watch_only(on);
    }

    /// Tells limits that count by the wall clock what time it is, for one that was set anew since
    /// the layer was made, or that stood still while the machine slept. A clock that goes back
    /// gives nothing back.
    pub fn set_wall_clock(&self, now: SystemTime) {
        let common = self.shared.common();
        let reading = common.clock.now();
        let wall = WallClock::at(reading, now);
        common.limiter.set_wall_clock(reading, wall);
    }

    /// Takes in what the upstream has said by another way than an answer: a push message, an
    /// operator. See [`FeedbackLayer`](crate::FeedbackLayer) for what becomes of it;
    /// [`QuotaSignal::Spent`] takes all of the amount, since there is no estimate.
    pub fn apply_signal(&self, said: QuotaSignal) {
        let common = self.shared.common();
        let now = common.clock.now();
        obey(&common.limiter, now, said, None, now);
    }

    /// Corrects an estimate after the call, where the truth is known too late for a
    /// [`FeedbackLayer`](crate::FeedbackLayer): at the end of a streamed answer. Takes or gives
    /// back the difference at every limit that counts `unit`.
    pub fn settle(&self, unit: Unit, estimated: u64, really: u64) {
        let common = self.shared.common();
        let now = common.clock.now();
        common.limiter.settle(now, unit, estimated, really, now);
    }

    /// Takes what a request of this kind costs, and waits for it as calls do.
    ///
    /// # Errors
    ///
    /// The rejection that a call would have got.
    ///
    /// # Panics
    ///
    /// If it has to wait outside of a Tokio runtime with time enabled.
    pub async fn reserve(&self, meta: &RequestMeta) -> Result<Reservation, Rejection> {
        let lane = Lane::Whole(self.shared.local());
        reserve(lane, meta).await
    }

    /// Takes what a request of this kind costs, if it is there and nobody waits for it.
    ///
    /// # Errors
    ///
    /// The rejection, also where a call would have waited.
    pub fn try_reserve(&self, meta: &RequestMeta) -> Result<Reservation, Rejection> {
        try_reserve(Lane::Whole(self.shared.local()), meta)
    }
}

impl InstanceHandle for RateLimitHandle {
    fn pattern(&self) -> &'static str {
        self.shared.common().observer.pattern()
    }

    fn name(&self) -> InstanceName {
        Self::name(self)
    }

    /// `"ok"` while there is a token, `"exhausted"` when there is none, `"queueing"` when calls
    /// wait, be it for a token or for their own service, `"paused"` and `"draining"` when it is.
    fn state(&self) -> &'static str {
        let common = self.shared.common();
        if common.limiter.is_draining() {
            "draining"
        } else if common.limiter.paused_until(common.clock.now()).is_some() {
            "paused"
        } else if self.waiting() > 0 {
            "queueing"
        } else if self.tokens() < 1.0 {
            "exhausted"
        } else {
            "ok"
        }
    }

    fn samples(&self, sink: &mut Samples<'_>) {
        self.counts().samples(sink);
        let gauges = [
            ("seawall_ratelimit_tokens_available", self.tokens()),
            ("seawall_ratelimit_queue_depth", f64::from(self.waiting())),
        ];
        for (metric, value) in gauges {
            sink.gauge(metric, &[], value);
        }
        let common = self.shared.common();
        let limiter = &common.limiter;
        if limiter.is_single() {
            return;
        }
        let available = limiter.available(common.clock.now());
        for ((limit, unit), value) in NUMBERS.iter().zip(limiter.units()).zip(available) {
            sink.gauge(
                "seawall_ratelimit_limit_available",
                &[("limit", limit), ("unit", unit.as_str())],
                value,
            );
        }
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        self.config().settings()
    }

    fn attach(&self, events: &Events) {
        // The first registry stays the one that is told.
        let _ = self.shared.common().observer.attach(events);
    }

    /// [`Block`](Command::Block) pauses, [`Bypass`](Command::Bypass) lets
    /// everything pass and only watches, [`Reset`](Command::Reset) ends both.
    fn control(&self, command: Command) -> Result<(), Unsupported> {
        match command {
            Command::Block => self.pause(),
            Command::Bypass => {
                self.resume();
                self.set_shadow(true);
            }
            Command::Reset => {
                self.resume();
                self.set_shadow(self.config().shadow());
            }
            command => {
                return Err(Unsupported {
                    pattern: InstanceHandle::pattern(self),
                    command,
                });
            }
        }
        Ok(())
    }
}

/// The limits of one layer as label values.
const NUMBERS: [&str; crate::config::MAX_LIMITS] = ["0", "1", "2", "3", "4", "5", "6", "7"];

impl fmt::Debug for RateLimitHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimitHandle")
            .field("name", &self.name())
            .field("tokens", &self.tokens())
            .field("waiting", &self.waiting())
            .finish_non_exhaustive()
    }
}
