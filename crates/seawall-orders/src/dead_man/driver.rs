//! Renews the timer.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use seawall_core::{EventSource, InstanceName, InvalidConfig};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::config::DeadManConfig;
use super::countdown::{Countdown, End};
use super::handle::{DeadManHandle, NotDisarmed, Shared};
use super::venue::CancelAllAfter;
use crate::client::RequestSender;

/// How many times the timer is disarmed at most, at an orderly stop.
const DISARMS: u32 = 5;

/// Renews a venue's timer while health allows new orders, and lets it fire when that does not.
///
/// [`run`](Self::run) is to be spawned. Where it is dropped, or the process ends, nothing renews the
/// timer any more, and the venue cancels all orders.
///
/// ```
/// use std::time::Duration;
/// use bytes::Bytes;
/// use http::{Request, Response};
/// use http_body_util::Full;
/// use seawall_orders::client::RequestSender;
/// use seawall_orders::dead_man::{BitmexTimer, DeadManConfig, DeadManState, DeadManSwitch};
/// use tower::service_fn;
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let venue = RequestSender::new(service_fn(|request: Request<Bytes>| async move {
///     let disarms = request.body() == r#"{"timeout":0}"#;
///     let at = if disarms { "0" } else { "\"2026-11-30T12:01:00.000Z\"" };
///     let body = format!(r#"{{"now":"2026-11-30T12:00:00.000Z","cancelTime":{at}}}"#);
///     Ok::<_, std::io::Error>(Response::new(Full::new(Bytes::from(body))))
/// }));
/// let config = DeadManConfig::builder(Duration::from_secs(60)).build()?;
/// // A trading control knows: `move || control.mode() != TradingMode::Halted`.
/// let switch = DeadManSwitch::new("bitmex", config, BitmexTimer, venue, || true)?;
/// let handle = switch.handle();
/// tokio::spawn(switch.run());
///
/// tokio::time::sleep(Duration::from_secs(3_600)).await;
/// assert_eq!(handle.state(), DeadManState::Armed);
/// assert!(handle.left() >= Some(Duration::from_secs(40)));
/// handle.stop().await?;
/// # Ok(()) }
/// ```
pub struct DeadManSwitch {
    shared: Arc<Shared>,
    stopped: watch::Sender<Option<Result<(), NotDisarmed>>>,
    config: DeadManConfig,
    venue: Box<dyn CancelAllAfter>,
    client: RequestSender,
    healthy: Box<dyn Fn() -> bool + Send + Sync>,
}

impl DeadManSwitch {
    /// A switch that is not armed yet. `healthy` says whether new orders are allowed; where it panics,
    /// the driver ends and the timer fires.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] for a timeout that the venue does not accept.
    pub fn new(
        name: impl Into<InstanceName>,
        config: DeadManConfig,
        venue: impl CancelAllAfter + 'static,
        client: RequestSender,
        healthy: impl Fn() -> bool + Send + Sync + 'static,
    ) -> Result<Self, InvalidConfig> {
        venue.check(config.timeout())?;
        let (stopped, stopped_reader) = watch::channel(None);
        let countdown = Countdown::new(config, Instant::now());
        Ok(Self {
            shared: Arc::new(Shared {
                countdown: Mutex::new(countdown),
                source: EventSource::new("dead_man", name),
                stop: watch::channel(false).0,
                stopped: stopped_reader,
            }),
            stopped,
            config,
            venue: Box::new(venue),
            client,
            healthy: Box::new(healthy),
        })
    }

    /// A handle.
    pub fn handle(&self) -> DeadManHandle {
        let shared = Arc::clone(&self.shared);
        DeadManHandle { shared }
    }

    /// Renews the timer until it is [stopped](DeadManHandle::stop).
    pub async fn run(self) {
        let mut stop = self.shared.stop.subscribe();
        loop {
            // Before the check, so that no stop is missed.
            if *stop.borrow_and_update() {
                break;
            }
            let now = Instant::now();
            let healthy = self.tick(now);
            if healthy && self.shared.read(Countdown::next) <= now {
                self.renew().await;
                continue;
            }
            let wake = self.wake(now);
            // Whichever it is, everything is looked at again.
            first(stop.changed(), sleep_until(wake)).await;
        }
        let end = self.disarm().await;
        self.stopped.send_replace(Some(end));
    }

    /// Looks at health and at the time. Returns the former.
    fn tick(&self, now: Instant) -> bool {
        // Outside of the lock: it may ask the handle.
        let healthy = (self.healthy)();
        self.shared.change(|known| known.tick(now, healthy));
        healthy
    }

    fn wake(&self, now: Instant) -> Instant {
        let check = now + self.config.check_interval();
        let next = self.shared.read(Countdown::next);
        let fires = self.shared.read(Countdown::fires_at);
        let due = [Some(next), fires].into_iter().flatten();
        due.filter(|at| *at > now).fold(check, Instant::min)
    }

    /// Sets the timer, and drops that when health is lost.
    async fn renew(&self) {
        let sent = Instant::now();
        let mut sending = pin!(self.set(self.config.timeout()));
        let end = loop {
            let wake = self.wake(Instant::now());
            if let Some(end) = first(sending.as_mut(), sleep_until(wake)).await {
                break end;
            }
            if !self.tick(Instant::now()) {
                break End::Unknown("unhealthy");
            }
        };
        let now = Instant::now();
        // What has lapsed in this moment has, whatever the response says.
        self.tick(now);
        self.shared
            .change(|known| Some(known.ended(sent, now, end)));
    }

    /// Sends one request.
    async fn set(&self, timeout: Duration) -> End {
        let sending = self.client.send(self.venue.request(timeout));
        match tokio::time::timeout(self.config.attempt_timeout(), sending).await {
            Ok(Ok(response)) if self.venue.is_set(timeout, &response) => End::Set,
            Ok(Ok(response)) if response.status().is_client_error() => End::Rejected,
            // A server error, or an error of another kind, says nothing of what was done.
            Ok(Ok(_)) => End::Unknown("rejected"),
            Ok(Err(_)) => End::Unknown("error"),
            Err(_) => End::Unknown("timeout"),
        }
    }

    async fn disarm(&self) -> Result<(), NotDisarmed> {
        for _ in 0..DISARMS {
            let end = self.set(Duration::ZERO).await;
            let now = Instant::now();
            self.shared.change(|known| known.tick(now, true));
            self.shared.change(|known| Some(known.disarm_ended(end)));
            let in_doubt = self.shared.read(|known| known.in_doubt_until);
            let in_doubt = in_doubt.filter(|until| *until > now);
            match (end, in_doubt) {
                (End::Set, None) => return Ok(()),
                // A renewal without a response may arrive after this, and arm the timer again.
                (End::Set, Some(until)) => sleep_until(until).await,
                _ => tokio::time::sleep(self.config.retry_after()).await,
            }
        }
        let left = self
            .shared
            .read(|known| known.snapshot(Instant::now()).left);
        Err(NotDisarmed { left })
    }
}

seawall_core::impl_debug!(DeadManSwitch: |this|
    config = this.config,
    venue = this.venue,
    handle = this.handle(),
);

/// The output of `a`, unless `b` is over first.
async fn first<A: Future, B: Future>(a: A, b: B) -> Option<A::Output> {
    let (mut a, mut b) = (pin!(a), pin!(b));
    poll_fn(|cx| {
        if let Poll::Ready(output) = a.as_mut().poll(cx) {
            return Poll::Ready(Some(output));
        }
        b.as_mut().poll(cx).map(|_| None)
    })
    .await
}
