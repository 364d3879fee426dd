//! A venue with orders and a timer that cancels them.

use std::collections::VecDeque;
use std::future::pending;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use seawall_orders::client::RequestSender;
use tokio::time::{Instant, sleep};
use tower::service_fn;

/// The timer alone: pure.
#[derive(Debug, Default)]
pub(crate) struct Timer {
    fires_at: Option<Instant>,
    pub(crate) set: u32,
    pub(crate) disarmed: u32,
    /// When it has fired.
    pub(crate) fired: Vec<Instant>,
}

impl Timer {
    /// Takes a request that arrives at `now`.
    pub(crate) fn request(&mut self, now: Instant, timeout: Duration) {
        self.look(now);
        if timeout.is_zero() {
            self.disarmed += 1;
            self.fires_at = None;
        } else {
            self.set += 1;
            self.fires_at = Some(now + timeout);
        }
    }

    pub(crate) fn look(&mut self, now: Instant) {
        if let Some(at) = self.fires_at.filter(|at| *at <= now) {
            self.fired.push(at);
            self.fires_at = None;
        }
    }

    pub(crate) fn is_armed(&self) -> bool {
        self.fires_at.is_some()
    }
}

/// What becomes of one request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fate {
    /// It arrives at once, and the response after this time.
    Answered(Duration),
    /// It arrives, and no response comes.
    Unanswered,
    /// It arrives after this time, whatever becomes of the call, and no response comes.
    Late(Duration),
    /// It does not arrive.
    Lost,
    /// The venue answers with this status.
    Status(u16),
    /// There is no connection.
    Error,
}

#[derive(Clone, Default)]
pub(crate) struct Venue {
    pub(crate) timer: Arc<Mutex<Timer>>,
    /// What becomes of the next requests; then they are answered at once.
    pub(crate) fates: Arc<Mutex<VecDeque<Fate>>>,
}

impl Venue {
    pub(crate) fn fate(&self, fates: impl IntoIterator<Item = Fate>) {
        self.fates.lock().unwrap().extend(fates);
    }

    pub(crate) fn look<T>(&self, look: impl FnOnce(&Timer) -> T) -> T {
        let mut timer = self.timer.lock().unwrap();
        timer.look(Instant::now());
        look(&timer)
    }

    /// As BitMEX.
    pub(crate) fn client(&self) -> RequestSender {
        let venue = self.clone();
        RequestSender::new(service_fn(move |request: Request<Bytes>| {
            let venue = venue.clone();
            async move { venue.answer(&request).await }
        }))
    }

    async fn answer(&self, request: &Request<Bytes>) -> std::io::Result<Response<Full<Bytes>>> {
        let body: serde_json::Value = serde_json::from_slice(request.body())?;
        let timeout = Duration::from_millis(body["timeout"].as_u64().unwrap());
        let fate = self.fates.lock().unwrap().pop_front();
        let arrive = |timer: &Mutex<Timer>| {
            timer.lock().unwrap().request(Instant::now(), timeout);
        };
        match fate.unwrap_or(Fate::Answered(Duration::ZERO)) {
            Fate::Answered(after) => {
                arrive(&self.timer);
                sleep(after).await;
            }
            Fate::Unanswered => {
                arrive(&self.timer);
                pending::<()>().await;
            }
            Fate::Late(after) => {
                let timer = Arc::clone(&self.timer);
                tokio::spawn(async move {
                    sleep(after).await;
                    timer.lock().unwrap().request(Instant::now(), timeout);
                });
                pending::<()>().await;
            }
            Fate::Lost => pending::<()>().await,
            Fate::Error => return Err(std::io::Error::other("no connection")),
            Fate::Status(status) => {
                let mut response = Response::new(Full::default());
                *response.status_mut() = StatusCode::from_u16(status).unwrap();
                return Ok(response);
            }
        }
        Ok(Response::new(Full::new(answered(timeout))))
    }
}

/// What BitMEX answers.
pub(crate) fn answered(timeout: Duration) -> Bytes {
    let at = match timeout {
        Duration::ZERO => "0",
        _ => "\"2026-11-30T12:01:00.000Z\"",
    };
    format!(r#"{{"now":"2026-11-30T12:00:00.000Z","cancelTime":{at}}}"#).into()
}
