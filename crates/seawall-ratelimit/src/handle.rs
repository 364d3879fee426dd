//! Reads and controls a rate limit from outside.

use std::time::{Duration, SystemTime};

use seawall_core::{
    EventSource, InstanceHandle, InstanceName, InvalidConfig, QuotaSignal, Rejection, RequestMeta,
    Samples, ns,
};

use crate::config::RateLimitConfig;
use crate::costs::MetaCost;
use crate::counts::RateLimitCounts;
use crate::limiter::Limiter;
use crate::limiter_ref::{LimiterRef, TokenRequests};
use crate::reserve::Reservation;
use crate::snapshot::{RateLimitSnapshot, RateLimitState, limit_samples, pause_sample, resumes_in};
use crate::state::{SharedState, State};

/// Reads and controls a rate limit from any thread, without being part of any call.
///
/// It keeps the state alive, not the services.
///
/// ```
/// use std::time::Duration;
/// use seawall_ratelimit::{RateLimitConfig, RateLimitLayer, RateLimitState};
///
/// let ten = RateLimitConfig::builder().rate(10, Duration::from_secs(1)).burst(5);
/// let handle = RateLimitLayer::new("quotes", ten.clone().build()?).handle();
/// // The provider has raised the limit: what was used stays used, waiters depart sooner.
/// handle.configure(ten.rate(50, Duration::from_secs(1)).burst(20).build()?)?;
/// assert_eq!(handle.tokens(), 20.0);
///
/// handle.pause();
/// assert_eq!(handle.snapshot().state, RateLimitState::Paused);
/// handle.resume();
/// # Ok::<(), seawall_core::InvalidConfig>(())
/// ```
#[derive(Clone)]
pub struct RateLimitHandle {
    state: SharedState,
}

impl RateLimitHandle {
    pub(crate) const fn new(state: SharedState) -> Self {
        Self { state }
    }

    pub(crate) fn shared_state(&self) -> SharedState {
        self.state.clone()
    }

    /// The name of the instance.
    pub fn name(&self) -> InstanceName {
        self.state().events.name()
    }

    /// The settings in force.
    pub fn config(&self) -> RateLimitConfig {
        self.limiter().config()
    }

    /// Changes the settings, shadow mode included. What was used stays used: a bucket misses as many
    /// tokens as before, a strict limit remembers its departures. Waiters stay queued, and depart
    /// by the new limits.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] when the limits are not as many as before, of the same kinds and units in
    /// the same order; the settings stay as they were.
    pub fn configure(&self, config: RateLimitConfig) -> Result<(), InvalidConfig> {
        self.limiter().configure(self.now(), config)?;
        self.events().commanded("configure");
        Ok(())
    }

    /// Whether [`configure`](Self::configure) accepts these settings, without a change: before
    /// settings of several layers are changed together.
    ///
    /// # Errors
    ///
    /// As `configure`.
    pub fn check(&self, config: &RateLimitConfig) -> Result<(), InvalidConfig> {
        self.limiter().config().check_shape(config)
    }

    /// Tokens that are there now, in whole and partial ones, at most the burst; with several limits,
    /// of the one that has the least. Waiters have not taken theirs yet. Below zero where more was
    /// used than estimated.
    pub fn tokens(&self) -> f64 {
        self.limiter().min_available(self.now())
    }

    /// Which share of what a limit grants at once is there now, from 0 to 1; with several limits, of the
    /// one that has the smallest. In shadow mode, and while it is bypassed, everything.
    ///
    /// ```
    /// use std::time::Duration;
    /// use seawall_ratelimit::{RateLimitConfig, RateLimitLayer};
    ///
    /// let config = RateLimitConfig::builder().rate(10, Duration::from_secs(60)).burst(4).build()?;
    /// let handle = RateLimitLayer::new("model", config).handle();
    /// let taken = handle.try_reserve(&Default::default())?;
    /// assert!((0.75..0.76).contains(&handle.share_left()));
    /// # drop(taken);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn share_left(&self) -> f64 {
        self.limiter().share_left(self.now())
    }

    /// How many calls wait for tokens.
    pub fn queue_depth(&self) -> usize {
        self.limiter().waiting(self.now())
    }

    /// What became of the calls so far.
    pub fn counts(&self) -> RateLimitCounts {
        RateLimitCounts::sum(self.state.stripes())
    }

    /// When a request like this would depart, from now, behind the queued calls. `None` when the
    /// layer is paused until it is resumed, or when the request costs more than a limit can grant.
    pub fn time_to_next(&self, meta: &RequestMeta) -> Option<Duration> {
        let limiter = self.limiter_ref();
        let requests = TokenRequests::new(&limiter, meta, |unit| MetaCost::of(meta, unit));
        let wait = limiter.time_to(self.now(), &requests);
        (wait != u64::MAX).then(|| Duration::from_nanos(wait))
    }

    /// Everything at once.
    pub fn snapshot(&self) -> RateLimitSnapshot {
        let (limiter, now) = (self.limiter(), self.now());
        let counts = self.counts();
        RateLimitSnapshot {
            name: self.name(),
            state: RateLimitState::of(limiter, now),
            limits: limiter.snapshots(now),
            queue_depth: self.queue_depth(),
            rejection_rate: counts.rejection_rate(),
            counts,
            time_to_next: self.time_to_next(&RequestMeta::default()),
            resumes_in: resumes_in(limiter.paused_until(now), now),
            shadow: limiter.is_shadow(),
        }
    }

    /// Grants nothing until [`resume`](Self::resume), while what is used comes back as usual. New calls are rejected with
    /// [`Paused`](seawall_core::Reason::Paused), in shadow mode too; queued ones wait as long as
    /// they may.
    pub fn pause(&self) {
        self.limiter().pause();
        self.events().commanded("pause");
    }

    /// Grants nothing for so long, and starts carefully then: what an upstream asks for with a
    /// throttle. A bucket then has what it had less what would have flowed in since the pause began, a
    /// strict limit grants its count evenly over as long as the pause lasted (at most over its
    /// period), and windows and days have what is left of them.
    ///
    /// It never shortens a pause that lasts longer, and changes nothing after a [`pause`](Self::pause)
    /// or a [`Block`](seawall_core::Command::Block), which last until they are resumed.
    ///
    /// Calls whose `max_wait` is longer than that are queued. In shadow mode, where no call waits,
    /// new calls are rejected.
    pub fn pause_for(&self, time: Duration) {
        if !time.is_zero() {
            self.limiter().pause_for(self.now(), ns(time), true);
            self.events().commanded("pause_for");
        }
    }

    /// Rejects new calls with [`Draining`](seawall_core::Reason::Draining) until
    /// [`resume`](Self::resume), in shadow mode too, and serves the queued ones: before a restart.
    pub fn drain(&self) {
        self.limiter().drain();
        self.events().commanded("drain");
    }

    /// Ends every pause with its careful start, whether an operator or the upstream has asked for it,
    /// a drain and a bypass, and forgets what the upstream has reported, for every kind of limit. What
    /// was used stays used, and what an upstream has reported without a reset of a strict limit counts
    /// as used for one period. So what is granted then is what would be without the pause, at most what
    /// the limits allow. [`refill`](Self::refill) fills them at once.
    pub fn resume(&self) {
        self.limiter().resume(self.now());
        self.events().commanded("resume");
    }

    /// As [`resume`](Self::resume), and fills every bucket and strict limit: what was taken of those
    /// before is not given back any more. Counts of windows and days stay, since only the upstream can renew those; where the clock was set meanwhile, they go
    /// by the new time at once.
    pub fn refill(&self) {
        self.limiter().refill(self.now());
        self.events().commanded("refill");
    }

    /// Back to automatic: as [`resume`](Self::resume), with the shadow mode of the settings and the
    /// clock of the system. What was used stays used, and [`counts`](Self::counts) stay.
    pub fn reset(&self) {
        self.state().follow_system_clock();
        self.limiter().reset(self.now());
        self.events().commanded("reset");
    }

    /// Turns shadow mode on or off, until [`configure`](Self::configure) or [`reset`](Self::reset);
    /// see [`RateLimitConfigBuilder::shadow`](crate::RateLimitConfigBuilder::shadow). Turned on, it
    /// lets queued calls depart as well. It covers what the limits decide and what the upstream asks
    /// for: a [`pause`](Self::pause) and a [`drain`](Self::drain) reject all the same. Either way a
    /// bypass ends.
    pub fn set_shadow(&self, on: bool) {
        self.limiter().set_shadow(self.now(), on);
        self.events().commanded_shadow(on);
    }

    /// Sets the time for limits that count by the wall clock. From then on, until a
    /// [`reset`](Self::reset), it follows the running clock alone; without, the clock of the system is read again every second, and one that was set
    /// is emitted as [`ClockJumped`](seawall_core::EventKind::ClockJumped) and counted.
    ///
    /// A clock that goes back gives nothing back: the window or day that was reached lasts until it
    /// would have ended, and then the new time counts. One that goes forward begins another, but
    /// only once within the length of one.
    pub fn set_wall_clock(&self, time: SystemTime) {
        self.state().set_wall_clock(time);
        self.events().commanded("set_wall_clock");
    }

    /// Applies what the upstream has reported in another way than in a result: a push message, a
    /// message to the operator. See [`FeedbackLayer`](crate::FeedbackLayer) for the effects.
    /// [`QuotaSignal::Used`] takes the full amount, since there is no estimate.
    pub fn apply_signal(&self, signal: QuotaSignal) {
        let state = self.state.local();
        self.state()
            .apply_to_all(state.stripe(), self.now(), signal, None);
        self.events().commanded("apply_signal");
    }

    /// Takes what a request like this costs, and waits for it as calls do.
    ///
    /// # Errors
    ///
    /// The rejection that a call would get.
    ///
    /// # Panics
    ///
    /// If it has to wait outside of a Tokio runtime with time enabled.
    pub async fn reserve(&self, meta: &RequestMeta) -> Result<Reservation, Rejection> {
        self.limiter_ref().reserve(meta).await
    }

    /// Takes what a request like this costs, if it is there and no call waits for it.
    ///
    /// # Errors
    ///
    /// The rejection, also where a call would wait.
    pub fn try_reserve(&self, meta: &RequestMeta) -> Result<Reservation, Rejection> {
        self.limiter_ref().try_reserve(meta)
    }

    fn bypass(&self) {
        self.limiter().bypass(self.now());
        self.events().commanded("bypass");
    }

    fn events(&self) -> &EventSource {
        &self.state().events
    }

    fn limiter_ref(&self) -> LimiterRef {
        LimiterRef::new(self.state.local(), None)
    }

    fn state(&self) -> &State {
        self.state.common()
    }

    fn limiter(&self) -> &Limiter {
        &self.state().limiter
    }

    fn now(&self) -> u64 {
        self.state().clock.now()
    }
}

/// [`Block`](seawall_core::Command::Block) is [`pause`](RateLimitHandle::pause): queued calls stay queued
/// until their wait ends. [`Bypass`](seawall_core::Command::Bypass) resumes, and lets calls pass as in
/// shadow mode until another command (a pause, a drain, `resume`, `reset`, `set_shadow`, `Block`); new
/// settings do not end it. The last command counts.
impl InstanceHandle for RateLimitHandle {
    seawall_core::handle_methods! { |this|
        pattern: this.state().events.pattern(),
        state: RateLimitState::of(this.limiter(), this.now()).as_str(),
        attach: this.state().events,
        commands: [Block => pause, Bypass => bypass, Reset => reset, Resume => resume, Drain => drain, ShadowOn => set_shadow(true), ShadowOff => set_shadow(false)],
    }

    fn samples(&self, sink: &mut Samples<'_>) {
        self.counts().samples(sink);
        sink.gauge("seawall_ratelimit_tokens_available", &[], self.tokens());
        sink.gauge(
            "seawall_ratelimit_queue_depth",
            &[],
            self.queue_depth() as f64,
        );
        let (limiter, now) = (self.limiter(), self.now());
        pause_sample(limiter.paused_until(now), now, sink);
        limit_samples(&limiter.snapshots(now), sink);
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        self.config().settings()
    }
}

seawall_core::impl_debug!(RateLimitHandle: |this|
    name = this.name(),
    tokens = this.tokens(),
    queue_depth = this.queue_depth(),
);
