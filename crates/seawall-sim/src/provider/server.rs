//! What happens to a request between the socket and the application.

use std::future::pending;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use serde_json::json;
use tokio::sync::watch;
use tokio::time::Instant;

use super::ai_api::{Model, Prompt};
use super::body::{Reply, SimBody};
use super::broker::Desk;
use super::connection::{Control, Cut};
use super::handle::stop_of;
use super::limits::{Bans, Cost, Limiter};
use super::market_data::Feed;
use super::profile::{Profile, with_retry_after};
use super::settings::BanPolicy;
use super::stats::Stats;
use crate::incident::{Fault, Provider, RetryAfterForm, Route, Ruling, Script};

/// No request of these APIs is larger.
const LARGEST_BODY: usize = 1 << 20;

/// What is behind the limits.
#[derive(Debug)]
pub(crate) enum App {
    Broker(Desk),
    MarketData(Feed),
    AiApi(Model),
}

impl App {
    pub(crate) fn provider(&self) -> Provider {
        match self {
            Self::Broker(_) => Provider::Broker,
            Self::MarketData(_) => Provider::MarketData,
            Self::AiApi(_) => Provider::AiApi,
        }
    }

    pub(crate) fn profile(&self) -> Profile {
        match self {
            Self::Broker(_) => Profile::Alpaca,
            Self::MarketData(feed) => feed.profile,
            Self::AiApi(model) => model.profile,
        }
    }

    fn route(&self, method: &http::Method, uri: &Uri) -> Route {
        match self {
            Self::Broker(_) => Desk::route(method, uri.path()),
            Self::MarketData(feed) => feed.route(method, uri.path(), uri.query()),
            Self::AiApi(model) => model.route(method, uri.path()),
        }
    }
}

/// A request as the applications see it.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    pub(crate) route: Route,
    pub(crate) path: &'a str,
    pub(crate) query: Option<&'a str>,
    pub(crate) body: &'a [u8],
    pub(crate) id: &'a str,
}

/// A request that was read and admitted.
#[derive(Debug)]
struct Work {
    route: Route,
    uri: Uri,
    body: Bytes,
    prompt: Option<Prompt>,
    id: String,
    ruling: Ruling,
}

/// How a request ends.
#[derive(Debug)]
enum Ending {
    Reply(Reply),
    Silence,
    Reset,
}

#[derive(Debug)]
pub(crate) struct Ledger {
    pub(crate) stats: Stats,
    limiter: Limiter,
    bans: Bans,
}

/// Zero of the incident clock, if it runs.
#[derive(Debug)]
pub(crate) struct Clock {
    zero: Mutex<Option<Instant>>,
}

impl Clock {
    pub(crate) fn new(held: bool) -> Self {
        Self {
            zero: Mutex::new((!held).then(Instant::now)),
        }
    }

    pub(crate) fn start(&self, zero: Instant) {
        *self.zero.lock().unwrap_or_else(PoisonError::into_inner) = Some(zero);
    }

    pub(crate) fn zero(&self) -> Option<Instant> {
        *self.zero.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The place on the timeline; `None` while the clock is held.
    pub(crate) fn at(&self, now: Instant) -> Option<Duration> {
        self.zero()
            .and_then(|zero| now.checked_duration_since(zero))
    }
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) app: App,
    pub(crate) script: Script,
    pub(crate) clock: Clock,
    profile: Profile,
    ban: Option<BanPolicy>,
    ledger: Mutex<Ledger>,
    stopped: watch::Receiver<bool>,
}

impl Shared {
    pub(crate) fn new(
        app: App,
        script: Script,
        clock: Clock,
        limiter: Limiter,
        ban: Option<BanPolicy>,
        stopped: watch::Receiver<bool>,
    ) -> Self {
        let ledger = Ledger {
            stats: Stats::default(),
            limiter,
            bans: Bans::default(),
        };
        let profile = app.profile();
        Self {
            app,
            script,
            clock,
            profile,
            ban,
            ledger: Mutex::new(ledger),
            stopped,
        }
    }

    pub(crate) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) async fn handle(
        self: Arc<Self>,
        request: Request<Incoming>,
        control: &Arc<Control>,
    ) -> Response<SimBody> {
        let (head, body) = request.into_parts();
        let route = self.app.route(&head.method, &head.uri);
        let (id, ruling) = self.receive(route);
        if ruling.fault == Some(Fault::ResetBeforeRead) {
            self.note_fault(ruling.name);
            control.request(Cut::Reset);
            return pending().await;
        }
        let body = match Limited::new(body, LARGEST_BODY).collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) if error.is::<LengthLimitError>() => {
                let reply = self
                    .profile
                    .error(413, "request body is larger than 1 MiB", &id);
                return self.finish(reply, None, &id, control);
            }
            // The client left in the middle of its request.
            Err(_) => {
                control.request(Cut::Close);
                return pending().await;
            }
        };
        let (prompt, cost) = match &self.app {
            App::AiApi(model) => {
                let prompt = Prompt::read(self.profile, &body);
                let cost = model.cost(&prompt);
                (Some(prompt), cost)
            }
            _ => (None, Cost::default()),
        };
        if let Some(reply) = self.reject(cost, &id) {
            return self.finish(reply, None, &id, control);
        }
        let fault = ruling.fault;
        let work = Work {
            route,
            uri: head.uri,
            body,
            prompt,
            id: id.clone(),
            ruling,
        };
        // On a task of its own: a client that leaves now must find its order executed, as it would
        // with a real broker. hyper drops this future when the connection breaks.
        match tokio::spawn(Arc::clone(&self).carry_out(work)).await {
            Ok(Ending::Reply(reply)) => self.finish(reply, fault, &id, control),
            Ok(Ending::Reset) => {
                control.request(Cut::Reset);
                pending().await
            }
            // A join error means that the runtime shuts down.
            Ok(Ending::Silence) | Err(_) => pending().await,
        }
    }

    /// Counts an arrival; names it and decides its fate.
    fn receive(&self, route: Route) -> (String, Ruling) {
        let at = self.clock.at(Instant::now());
        let ruling = at.map_or_else(Ruling::default, |at| self.script.rule(route, at));
        let outage = at.is_some_and(|at| self.script.is_outage(at));
        let stats = &mut self.ledger().stats;
        stats.received += 1;
        *stats.by_route.entry(route).or_default() += 1;
        stats.during_outage += u64::from(outage);
        (format!("{:016x}", stats.received), ruling)
    }

    /// The ban or the throttle that a request runs into.
    fn reject(&self, cost: Cost, id: &str) -> Option<Reply> {
        let now = Instant::now();
        let ledger = &mut *self.ledger();
        if let Some(status) = ledger.bans.status(self.ban.as_ref(), now) {
            ledger.stats.while_banned += 1;
            return Some(self.profile.banned(status, id));
        }
        let exceeded = ledger.limiter.admit(cost, now).err()?;
        ledger.stats.violations += 1;
        ledger.stats.throttled += 1;
        *ledger
            .stats
            .violations_by
            .entry(exceeded.kind.name())
            .or_default() += 1;
        ledger.stats.bans += u64::from(ledger.bans.violation(self.ban.as_ref(), now));
        Some(self.profile.exceeded(exceeded, id))
    }

    fn finish(
        &self,
        mut reply: Reply,
        fault: Option<Fault>,
        id: &str,
        control: &Arc<Control>,
    ) -> Response<SimBody> {
        self.profile
            .decorate(&mut reply, &mut self.ledger().limiter, id, Instant::now());
        reply.into_response(fault, control)
    }

    async fn carry_out(self: Arc<Self>, work: Work) -> Ending {
        let mut stopped = self.stopped.clone();
        tokio::select! {
            biased;
            () = stop_of(&mut stopped) => return Ending::Silence,
            () = tokio::time::sleep(work.ruling.delay), if !work.ruling.delay.is_zero() => {}
            () = std::future::ready(()), if work.ruling.delay.is_zero() => {}
        }
        if work.ruling.fault.is_some() {
            self.note_fault(work.ruling.name);
        }
        let (profile, id) = (self.profile, work.id.as_str());
        Ending::Reply(match work.ruling.fault {
            Some(Fault::Status {
                code,
                retry_after,
                execute,
            }) => {
                if execute {
                    self.execute(&work);
                }
                let reply = profile.error(code, "the request failed", id);
                with_retry_after(reply, retry_after, RetryAfterForm::Seconds)
            }
            Some(Fault::AdaptiveThrottle { retry_after, form }) => {
                self.ledger().stats.throttled += 1;
                profile.throttle(retry_after, form, id)
            }
            Some(Fault::HiddenThrottle) => {
                self.ledger().stats.throttled += 1;
                match (&self.app, &work.prompt) {
                    (App::AiApi(model), Some(prompt)) => model.hidden_throttle(prompt, id),
                    _ => Reply::json(200, &profile.hidden_throttle(id)),
                }
            }
            Some(Fault::QuotaExhausted) => profile.quota(id),
            Some(Fault::Stall { execute }) => {
                if execute {
                    self.execute(&work);
                }
                return Ending::Silence;
            }
            Some(Fault::ResetAfterExecute) => {
                self.execute(&work);
                return Ending::Reset;
            }
            Some(Fault::Ban { status, lasts }) => {
                let ledger = &mut *self.ledger();
                let lasts = lasts.unwrap_or(work.ruling.remaining);
                ledger.bans.impose(Instant::now(), lasts, status);
                ledger.stats.scripted_bans += 1;
                profile.banned(status, id)
            }
            _ => self.execute(&work),
        })
    }

    fn execute(&self, work: &Work) -> Reply {
        self.ledger().stats.executed += 1;
        let call = Call {
            route: work.route,
            path: work.uri.path(),
            query: work.uri.query(),
            body: &work.body,
            id: &work.id,
        };
        match (&self.app, &work.prompt) {
            (App::Broker(desk), _) => {
                let at = self.clock.at(Instant::now()).unwrap_or_default();
                desk.execute(&call, at)
            }
            (App::MarketData(feed), _) => feed.execute(&call),
            (App::AiApi(model), Some(prompt)) => {
                let (reply, usage) = model.execute(&call, prompt);
                let tokens = &mut self.ledger().stats.tokens;
                tokens.input += usage.input;
                tokens.output += usage.output;
                reply
            }
            // `handle` reads a prompt for every request of an AI API.
            (App::AiApi(_), None) => Reply::json(500, &json!({})),
        }
    }

    pub(crate) fn note_connection(&self, during_outage: bool) {
        let stats = &mut self.ledger().stats;
        stats.connections += 1;
        stats.during_outage += u64::from(during_outage);
    }

    fn note_fault(&self, name: &'static str) {
        *self.ledger().stats.faults.entry(name).or_default() += 1;
    }
}
