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

use super::ai_api::Prompt;
use super::app::App;
use super::body::{Reply, SimBody};
use super::call::{Call, Moment, Validity};
use super::clock::Clock;
use super::control::{ConnectionControl, Disconnect};
use super::limits::{Bans, Limiter};
use super::meter::Cost;
use super::profile::{Profile, with_retry_after};
use super::settings::BanPolicy;
use super::stats::Stats;
use crate::incident::{Fault, Injection, Injector, LateResponse, RetryAfterForm, Route};

/// No request of these APIs is larger.
const LARGEST_BODY: usize = 1 << 20;

/// A request that was read and admitted.
#[derive(Debug)]
struct AdmittedRequest {
    route: Route,
    uri: Uri,
    body: Bytes,
    prompt: Option<Prompt>,
    id: String,
    injection: Injection,
    arrived: Duration,
    validity: Validity,
}

/// How a request ends.
#[derive(Debug)]
enum Completion {
    Reply(Reply),
    Stall,
    Reset,
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) stats: Stats,
    limiter: Limiter,
    bans: Bans,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) app: App,
    pub(crate) injector: Injector,
    pub(crate) clock: Clock,
    profile: Profile,
    ban: Option<BanPolicy>,
    state: Mutex<State>,
    stopped: watch::Receiver<bool>,
}

impl Shared {
    pub(crate) fn new(
        app: App,
        injector: Injector,
        clock: Clock,
        limiter: Limiter,
        ban: Option<BanPolicy>,
        stopped: watch::Receiver<bool>,
    ) -> Self {
        let state = State {
            stats: Stats::default(),
            limiter,
            bans: Bans::default(),
        };
        let profile = app.profile();
        Self {
            app,
            injector,
            clock,
            profile,
            ban,
            state: Mutex::new(state),
            stopped,
        }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) async fn handle(
        self: Arc<Self>,
        request: Request<Incoming>,
        control: &Arc<ConnectionControl>,
    ) -> Response<SimBody> {
        let (head, body) = request.into_parts();
        let route = self.app.route(&head.method, &head.uri);
        let arrived = self.clock.at(Instant::now()).unwrap_or_default();
        let (id, injection) = self.receive(route);
        if injection.fault == Some(Fault::ResetBeforeRead) {
            self.note_fault(injection.name);
            control.request(Disconnect::Reset);
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
                control.request(Disconnect::Close);
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
        let fault = injection.fault;
        let request = AdmittedRequest {
            route,
            uri: head.uri,
            body,
            prompt,
            id: id.clone(),
            injection,
            arrived,
            validity: Validity::read(&head.headers),
        };
        // On a task of its own: a client that leaves now must find its order executed, as it would
        // with a real broker. hyper drops this future when the connection breaks.
        match tokio::spawn(Arc::clone(&self).process(request)).await {
            Ok(Completion::Reply(reply)) => self.finish(reply, fault, &id, control),
            Ok(Completion::Reset) => {
                control.request(Disconnect::Reset);
                pending().await
            }
            // A join error means that the runtime shuts down.
            Ok(Completion::Stall) | Err(_) => pending().await,
        }
    }

    /// Counts an arrival, gives it an id and decides what is injected.
    fn receive(&self, route: Route) -> (String, Injection) {
        let at = self.clock.at(Instant::now());
        let injection = at.map_or_else(Injection::default, |at| self.injector.inject(route, at));
        let outage = at.is_some_and(|at| self.injector.is_outage(at));
        let stats = &mut self.state().stats;
        stats.received += 1;
        *stats.by_route.entry(route).or_default() += 1;
        stats.during_outage += u64::from(outage);
        (format!("{:016x}", stats.received), injection)
    }

    /// The ban or the throttle that a request runs into.
    fn reject(&self, cost: Cost, id: &str) -> Option<Reply> {
        let now = Instant::now();
        let state = &mut *self.state();
        if let Some(status) = state.bans.status(self.ban.as_ref(), now) {
            state.stats.while_banned += 1;
            return Some(self.profile.banned(status, id));
        }
        let exceeded = state.limiter.admit(cost, now).err()?;
        state.stats.violations += 1;
        state.stats.throttled += 1;
        *state
            .stats
            .violations_by
            .entry(exceeded.kind.name())
            .or_default() += 1;
        state.stats.bans += u64::from(state.bans.violation(self.ban.as_ref(), now));
        Some(self.profile.exceeded(exceeded, id))
    }

    fn finish(
        &self,
        mut reply: Reply,
        fault: Option<Fault>,
        id: &str,
        control: &Arc<ConnectionControl>,
    ) -> Response<SimBody> {
        self.profile
            .decorate(&mut reply, &mut self.state().limiter, id, Instant::now());
        reply.into_response(fault, control)
    }

    async fn process(self: Arc<Self>, request: AdmittedRequest) -> Completion {
        let mut stopped = self.stopped.clone();
        tokio::select! {
            biased;
            () = stop_of(&mut stopped) => return Completion::Stall,
            () = tokio::time::sleep(request.injection.delay), if !request.injection.delay.is_zero() => {}
            () = std::future::ready(()), if request.injection.delay.is_zero() => {}
        }
        if request.injection.fault.is_some() {
            self.note_fault(request.injection.name);
        }
        let (profile, id) = (self.profile, request.id.as_str());
        Completion::Reply(match request.injection.fault {
            Some(Fault::Status {
                code,
                retry_after,
                execute,
            }) => {
                if execute {
                    self.execute(&request);
                }
                let reply = profile.error(code, "the request failed", id);
                with_retry_after(reply, retry_after, RetryAfterForm::Seconds)
            }
            Some(Fault::Throttle { retry_after, form }) => {
                self.state().stats.throttled += 1;
                profile.throttle(retry_after, form, id)
            }
            Some(Fault::HiddenThrottle) => {
                self.state().stats.throttled += 1;
                match (&self.app, &request.prompt) {
                    (App::AiApi(model), Some(prompt)) => model.hidden_throttle(prompt, id),
                    _ => Reply::json(200, &profile.hidden_throttle(id)),
                }
            }
            Some(Fault::QuotaExhausted) => profile.quota(id),
            Some(Fault::Stall { execute }) => {
                if execute {
                    self.execute(&request);
                }
                return Completion::Stall;
            }
            Some(Fault::ResetAfterExecute) => {
                self.execute(&request);
                return Completion::Reset;
            }
            Some(Fault::ExecuteLate { response, .. }) => {
                let reply = match response {
                    LateResponse::Stall => Completion::Stall,
                    LateResponse::Reset => Completion::Reset,
                    LateResponse::Status(code) => {
                        Completion::Reply(profile.error(code, "the request failed", id))
                    }
                };
                tokio::spawn(self.execute_later(request));
                return reply;
            }
            Some(Fault::Ban { status, lasts }) => {
                let state = &mut *self.state();
                let lasts = lasts.unwrap_or(request.injection.remaining);
                state.bans.impose(Instant::now(), lasts, status);
                state.stats.scripted_bans += 1;
                profile.banned(status, id)
            }
            _ => self.execute(&request),
        })
    }

    /// Nobody sees the response.
    async fn execute_later(self: Arc<Self>, request: AdmittedRequest) {
        let mut stopped = self.stopped.clone();
        tokio::select! {
            biased;
            () = stop_of(&mut stopped) => {}
            () = tokio::time::sleep(request.injection.late) => {
                self.execute(&request);
            }
        }
    }

    fn execute(&self, request: &AdmittedRequest) -> Reply {
        self.state().stats.executed += 1;
        let call = Call {
            route: request.route,
            path: request.uri.path(),
            query: request.uri.query(),
            body: &request.body,
            id: &request.id,
            validity: request.validity,
            moment: Moment {
                arrived: request.arrived,
                at: self.clock.at(Instant::now()).unwrap_or_default(),
            },
        };
        match (&self.app, &request.prompt) {
            (App::Broker(book), _) => book.execute(&call),
            (App::MarketData(feed), _) => feed.execute(&call),
            (App::AiApi(model), Some(prompt)) => {
                let (reply, usage) = model.execute(&call, prompt);
                let tokens = &mut self.state().stats.tokens;
                tokens.input += usage.input;
                tokens.output += usage.output;
                reply
            }
            // `handle` reads a prompt for every request of an AI API.
            (App::AiApi(_), None) => Reply::json(500, &json!({})),
        }
    }

    pub(crate) fn note_connection(&self, during_outage: bool) {
        let stats = &mut self.state().stats;
        stats.connections += 1;
        stats.during_outage += u64::from(during_outage);
    }

    fn note_fault(&self, name: &'static str) {
        *self.state().stats.faults.entry(name).or_default() += 1;
    }
}

/// Ends when the server is stopped, or its handle is gone.
pub(crate) async fn stop_of(stopped: &mut watch::Receiver<bool>) {
    let _ = stopped.wait_for(|stopped| *stopped).await;
}
