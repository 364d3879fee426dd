//! A wait that the provider named is waited for by every layer, whatever its form and whatever the
//! clock of the server shows.

mod support;

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use http::{Request, Response, StatusCode};
use seawall::{CircuitState, HttpStack, StackBuilder};
use seawall_tests::provider;
use support::Body;
use tokio::time::Instant;
use tower::{ServiceBuilder, ServiceExt, service_fn};

const TEN: Duration = Duration::from_secs(10);
type Headers = Vec<(&'static str, String)>;

/// What a stack did with one such response, after which the upstream is well.
struct Effect {
    /// When each request came, from the first one on.
    sent: Vec<Duration>,
    status: Option<StatusCode>,
    /// For how long the rate limit is paused, after the first response.
    paused: Option<Duration>,
    circuit: CircuitState,
}

async fn replay(stack: HttpStack, status: u16, headers: Headers) -> Effect {
    let sent = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&sent);
    let handles = stack.handles();
    let began = Instant::now();
    let client = ServiceBuilder::new()
        .layer(stack)
        .service(service_fn(move |_: Request<Body>| {
            let mut log = log.lock().expect("no panic");
            log.push(Instant::now() - began);
            let mut response = Response::builder();
            if log.len() == 1 {
                response = response.status(status);
                for (name, value) in &headers {
                    response = response.header(*name, value);
                }
            }
            let response = response.body(Body::from("{}")).expect("a response");
            async move { Ok::<_, Infallible>(response) }
        }));
    let call = tokio::spawn(client.oneshot(support::get("http://vendor", "/v1/quote")));
    tokio::time::sleep(Duration::from_millis(1)).await;
    let paused = handles.rate_limit.snapshot().resumes_in;
    let result = call.await.expect("no panic");
    // Its body has gone with it, so that the call is over.
    let status = result.ok().map(|response| response.status());
    let circuit = handles.breaker.snapshot().state;
    let sent = sent.lock().expect("no panic").clone();
    Effect {
        sent,
        status,
        paused,
        circuit,
    }
}

impl Effect {
    /// The limit is paused for ten seconds, and the retry departs when they are over.
    fn waited_ten_seconds(&self, what: &str) {
        let paused = self.paused.unwrap_or_default();
        assert!(paused > TEN - Duration::from_secs(1), "{what}: {paused:?}");
        assert!(paused <= TEN + Duration::from_secs(1), "{what}: {paused:?}");
        assert_eq!(self.status, Some(StatusCode::OK), "{what}: {:?}", self.sent);
        let [_, again] = self.sent[..] else {
            panic!("{what}: {:?}", self.sent);
        };
        assert!(again >= TEN - Duration::from_secs(1), "{what}: {again:?}");
        assert!(again <= TEN + Duration::from_secs(5), "{what}: {again:?}");
    }
}

fn date(at: SystemTime) -> String {
    httpdate::fmt_http_date(at)
}

fn stack(builder: StackBuilder) -> HttpStack {
    builder.build().expect("valid")
}

/// Hours behind, ten minutes behind and ahead, and days ahead.
fn server_clocks() -> [SystemTime; 5] {
    let now = SystemTime::now();
    let minutes = |n: u64| Duration::from_secs(60 * n);
    [
        now - minutes(300),
        now - minutes(10),
        now,
        now + minutes(10),
        now + minutes(5_000),
    ]
}

#[tokio::test(start_paused = true)]
async fn a_throttle_until_a_date_is_measured_by_the_servers_clock() {
    for clock in server_clocks() {
        let headers = vec![("date", date(clock)), ("retry-after", date(clock + TEN))];
        let seen = replay(stack(seawall::broker("skewed")), 429, headers).await;
        seen.waited_ten_seconds(&format!("{clock:?}"));
    }
}

#[tokio::test(start_paused = true)]
async fn an_overloaded_server_that_names_a_date_is_called_again_by_its_clock() {
    for clock in server_clocks() {
        let headers = vec![("date", date(clock)), ("retry-after", date(clock + TEN))];
        let seen = replay(stack(seawall::broker("overloaded")), 503, headers).await;
        assert_eq!(seen.status, Some(StatusCode::OK));
        let again = seen.sent[1];
        assert!(again >= TEN && again < 2 * TEN, "{clock:?}: {again:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_ban_until_a_date_is_measured_by_the_servers_clock() {
    for clock in server_clocks() {
        let headers = vec![("date", date(clock)), ("retry-after", date(clock + TEN))];
        let seen = replay(stack(seawall::broker("banned")), 418, headers).await;
        assert_eq!(seen.circuit, CircuitState::Open, "{clock:?}");
        let paused = seen.paused.unwrap_or_default();
        assert!(paused > TEN / 2 && paused <= TEN, "{clock:?}: {paused:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_date_that_is_absurd_falls_back_to_the_local_clock() {
    for absurd in [
        "Thu, 01 Jan 1970 00:00:00 GMT",
        "Fri, 31 Dec 9999 23:59:59 GMT",
        "today",
    ] {
        // The clock of the wall goes on while the test is paused, and a date has whole seconds.
        let until = SystemTime::now() + TEN;
        let headers = vec![("date", absurd.to_owned()), ("retry-after", date(until))];
        let seen = replay(stack(seawall::broker("absurd")), 429, headers).await;
        seen.waited_ten_seconds(absurd);
    }
}

/// A reset alone: nothing says that nothing is left, and there is no `Retry-After`.
#[tokio::test(start_paused = true)]
async fn a_throttle_with_a_reset_alone_waits_for_it_whatever_its_form() {
    type Preset = (fn(&'static str) -> StackBuilder, &'static str);
    let presets: [Preset; 5] = [
        (
            |name| provider("openai", name),
            "x-ratelimit-reset-requests",
        ),
        (|name| provider("openai", name), "x-ratelimit-reset-tokens"),
        (
            |name| provider("anthropic", name),
            "anthropic-ratelimit-requests-reset",
        ),
        (|name| provider("alpaca", name), "x-ratelimit-reset"),
        (|name| provider("reddit", name), "x-ratelimit-reset"),
    ];
    let now = SystemTime::now();
    let unix = now
        .duration_since(SystemTime::UNIX_EPOCH)
        .expect("after 1970");
    let reset = unix.as_secs() + 10;
    let forms = [
        "10".to_owned(),
        "10.0".to_owned(),
        "10s".to_owned(),
        "0m9.5s500ms".to_owned(),
        reset.to_string(),
        format!("{reset}000"),
        date(now + TEN),
    ];
    for (preset, header) in presets {
        for form in &forms {
            let headers = vec![("date", date(now)), (header, form.clone())];
            let seen = replay(stack(preset("reset")), 429, headers).await;
            seen.waited_ten_seconds(&format!("{header}: {form}"));
        }
    }
}
