//! A cache of HTTP answers keeps to RFC 9111, and so do callers that share a call.
#![cfg(feature = "cache")]
#![allow(
    clippy::unwrap_used,
    reason = "a test shows what is wrong by panicking there"
)]

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderName, Method, Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Full};
use seawall_cache::{
    CacheConfig, CacheHandle, CacheLayer, CoalesceConfig, CoalesceLayer, SnapshotFile,
};
use seawall_core::{Error, WrapErrorLayer};
use seawall_http::cache::{HttpCache, HttpCacheKey, HttpCodec, HttpStored, StoreBody};
use seawall_http::{DEGRADED, FreshOnly, HttpClassifier, HttpFresh, HttpMark, Routes};
use tokio::time::advance;
use tower::{Layer, Service, ServiceBuilder, ServiceExt, util::BoxCloneSyncService};

const SECOND: Duration = Duration::from_secs(1);

/// A body that a test takes apart.
struct Pieces {
    frames: VecDeque<Result<Frame<Bytes>, &'static str>>,
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = &'static str;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
        Poll::Ready(self.frames.pop_front())
    }

    fn is_end_stream(&self) -> bool {
        self.frames.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

/// Answers with a number, and with what a test says.
#[derive(Clone, Default)]
struct Upstream(Arc<Mutex<Script>>);

#[derive(Default)]
struct Script {
    calls: u32,
    status: Option<StatusCode>,
    headers: Vec<(String, String)>,
    ending: Option<Result<Frame<Bytes>, &'static str>>,
    length: usize,
    delay: Duration,
}

impl Upstream {
    fn set(&self, headers: &[(&str, &str)]) {
        let own = |(name, value): &(&str, &str)| (String::from(*name), String::from(*value));
        self.0.lock().unwrap().headers = headers.iter().map(own).collect();
    }

    fn status(&self, status: u16) {
        self.0.lock().unwrap().status = StatusCode::from_u16(status).ok();
    }

    fn calls(&self) -> u32 {
        self.0.lock().unwrap().calls
    }
}

impl Service<Request<Full<Bytes>>> for Upstream {
    type Response = Response<Pieces>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Pieces>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Full<Bytes>>) -> Self::Future {
        let mut script = self.0.lock().unwrap();
        script.calls += 1;
        let mut response = Response::builder().status(script.status.unwrap_or(StatusCode::OK));
        for (name, value) in &script.headers {
            response = response.header(name, value);
        }
        let text = format!("{}{}", script.calls, "x".repeat(script.length));
        let mut frames = VecDeque::from([Ok(Frame::data(text.into()))]);
        frames.extend(script.ending.take());
        let delay = script.delay;
        Box::pin(async move {
            tokio::time::sleep(delay).await;
            Ok(response.body(Pieces { frames }).unwrap())
        })
    }
}

type Client = BoxCloneSyncService<Request<Full<Bytes>>, Response<Passed>, Error<Infallible>>;
type Passed = seawall_http::cache::CacheBody<Pieces>;
type Handle = CacheHandle<HttpCacheKey, HttpStored>;

fn client_with(rules: HttpCache) -> (Client, Upstream, Handle) {
    let config = CacheConfig::builder(SECOND)
        .stale_on_failure(3_600 * SECOND)
        .build()
        .unwrap();
    let layer = CacheLayer::new("quotes", config)
        .classify(HttpClassifier::new())
        .describe(Routes::new())
        .rules(rules)
        .store(StoreBody::new().with_cap(100))
        .mark(HttpMark)
        .fresh_only(HttpFresh);
    let (upstream, handle) = (Upstream::default(), layer.handle());
    let service = ServiceBuilder::new().layer(layer).layer(WrapErrorLayer);
    let client = service.service(upstream.clone());
    (BoxCloneSyncService::new(client), upstream, handle)
}

fn client() -> (Client, Upstream, Handle) {
    client_with(HttpCache::new())
}

fn get(target: &str) -> Request<Full<Bytes>> {
    with(target, &[])
}

fn with(target: &str, headers: &[(&str, &str)]) -> Request<Full<Bytes>> {
    let mut request = Request::get(target);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Full::default()).unwrap()
}

/// Status and text; an error where the body breaks off.
async fn read(client: &Client, request: Request<Full<Bytes>>) -> (u16, String) {
    let response = client.clone().oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    let body = response.into_body().collect().await;
    let text = body.map(|body| body.to_bytes().to_vec());
    (status, String::from_utf8(text.unwrap_or_default()).unwrap())
}

async fn text(client: &Client, request: Request<Full<Bytes>>) -> String {
    read(client, request).await.1
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_fresh_for_as_long_as_it_says_less_its_age() {
    let (client, upstream, _) = client();
    upstream.set(&[
        ("Cache-Control", "Public, Max-Age=10"),
        ("age", "4"),
        ("connection", "close"),
    ]);
    assert_eq!(text(&client, get("/q")).await, "1");
    advance(5 * SECOND).await;
    let response = client.clone().oneshot(get("/q")).await.unwrap();
    assert_eq!(response.headers()["age"], "9");
    assert!(!response.headers().contains_key("connection"));
    assert_eq!(
        response.into_body().collect().await.unwrap().to_bytes(),
        "1"
    );
    advance(SECOND).await;
    assert_eq!(text(&client, get("/q")).await, "2");
    // Without a word of it, by the settings.
    upstream.set(&[]);
    assert_eq!(text(&client, get("/other")).await, "3");
    advance(SECOND / 2).await;
    assert_eq!(text(&client, get("/other")).await, "3");
    advance(SECOND / 2).await;
    assert_eq!(text(&client, get("/other")).await, "4");
}

fn client_of(config: CacheConfig) -> (Client, Upstream, Handle) {
    let layer = CacheLayer::new("quotes", config)
        .classify(HttpClassifier::new())
        .describe(Routes::new())
        .rules(HttpCache::new())
        .store(StoreBody::new())
        .mark(HttpMark)
        .fresh_only(HttpFresh);
    let (upstream, handle) = (Upstream::default(), layer.handle());
    let service = ServiceBuilder::new().layer(layer).layer(WrapErrorLayer);
    let client = service.service(upstream.clone());
    (BoxCloneSyncService::new(client), upstream, handle)
}

#[tokio::test(start_paused = true)]
async fn age_counts_against_the_time_of_the_settings() {
    let minute = || CacheConfig::builder(60 * SECOND);
    // Until it is a minute old.
    let (client, upstream, _) = client_of(minute().build().unwrap());
    upstream.set(&[("age", "50")]);
    assert_eq!(text(&client, get("/q")).await, "1");
    advance(9 * SECOND).await;
    assert_eq!(text(&client, get("/q")).await, "1");
    advance(SECOND).await;
    assert_eq!(text(&client, get("/q")).await, "2");
    // Stale at once, it stands in until it is too old.
    let bound = 3_700 * SECOND;
    for (after, seen) in [(99, (200, "1", "3699")), (101, (503, "4", ""))] {
        let config = minute().stale_on_failure(bound).build().unwrap();
        let (client, upstream, _) = client_of(config);
        upstream.set(&[("age", "3600")]);
        assert_eq!(text(&client, get("/q")).await, "1");
        assert_eq!(text(&client, get("/other")).await, "2");
        assert_eq!(text(&client, get("/other")).await, "3");
        advance(after * SECOND).await;
        upstream.set(&[]);
        upstream.status(503);
        let response = client.clone().oneshot(get("/q")).await.unwrap();
        let age = response.headers().get("age");
        let age = age.map_or("", |age| age.to_str().unwrap()).to_owned();
        let status = response.status().as_u16();
        let text = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(
            (status, &text[..], &*age),
            (seen.0, seen.1.as_bytes(), seen.2)
        );
    }
    // Whatever it says.
    for age in ["60, 0", "2147483648", "9223372036854775807", DIGITS] {
        let (client, upstream, _) = client_of(minute().build().unwrap());
        upstream.set(&[("age", age)]);
        assert_eq!(text(&client, get("/q")).await, "1");
        assert_eq!(text(&client, get("/q")).await, "2", "{age}");
    }
    // What is no age is none.
    for age in ["-60", "6e1", "soon", ""] {
        let (client, upstream, _) = client_of(minute().build().unwrap());
        upstream.set(&[("age", age)]);
        assert_eq!(text(&client, get("/q")).await, "1");
        assert_eq!(text(&client, get("/q")).await, "1", "{age}");
    }
    // Of what says that it is fresh for longer, a day is left.
    let (client, upstream, _) = client_of(minute().build().unwrap());
    upstream.set(&[("age", "200000"), ("cache-control", "max-age=600000")]);
    assert_eq!(text(&client, get("/q")).await, "1");
    advance(86_399 * SECOND).await;
    assert_eq!(text(&client, get("/q")).await, "1");
    advance(SECOND).await;
    assert_eq!(text(&client, get("/q")).await, "2");
}

/// A date so far from now.
fn date(ago: i64) -> String {
    let now = SystemTime::now();
    let span = Duration::from_secs(ago.unsigned_abs());
    let at = if ago < 0 { now + span } else { now - span };
    httpdate::fmt_http_date(at)
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_as_old_as_its_date_and_its_age_say() {
    let minute = || CacheConfig::builder(60 * SECOND).build().unwrap();
    // Whether it is fresh: by what it says for 50 s, and by the settings for 60 s.
    for (ago, age, says, settings) in [
        (0, "", true, true),
        (1, "", true, true),
        (45, "", true, true),
        (55, "", false, true),
        (65, "", false, false),
        (3_600, "10", false, false),
        (0, "55", false, true),
        (45, "55", false, true),
        // A clock that is ahead says nothing.
        (-3_600, "", true, true),
        (-3_600, "65", false, false),
    ] {
        for (cache_control, is_fresh) in [("max-age=50", says), ("public", settings)] {
            let (client, upstream, _) = client_of(minute());
            let date = date(ago);
            let mut headers = vec![("date", &*date), ("cache-control", cache_control)];
            headers.extend((!age.is_empty()).then_some(("age", age)));
            upstream.set(&headers);
            assert_eq!(text(&client, get("/q")).await, "1");
            let again = text(&client, get("/q")).await;
            assert_eq!(again == "1", is_fresh, "{headers:?}");
        }
    }
    // The bound is one of what is left, as with `Age`.
    let (client, upstream, _) = client_of(minute());
    upstream.set(&[
        ("date", &date(200_000)),
        ("cache-control", "max-age=600000"),
    ]);
    assert_eq!(text(&client, get("/q")).await, "1");
    advance(86_000 * SECOND).await;
    assert_eq!(text(&client, get("/q")).await, "1");
    advance(400 * SECOND).await;
    assert_eq!(text(&client, get("/q")).await, "2");
    // What is kept comes with that age.
    let (client, upstream, _) = client_of(minute());
    upstream.set(&[("date", &date(30))]);
    assert_eq!(text(&client, get("/q")).await, "1");
    let response = client.clone().oneshot(get("/q")).await.unwrap();
    let age: u64 = response.headers()["age"].to_str().unwrap().parse().unwrap();
    assert!((30..60).contains(&age), "{age}");
    // In every form of a date, and what is none says nothing.
    for (date, is_fresh) in [
        ("Sunday, 06-Nov-94 08:49:37 GMT", false),
        ("Sun Nov  6 08:49:37 1994", false),
        ("Thu, 01 Jan 1970 00:00:00 GMT", false),
        ("yesterday", true),
    ] {
        let (client, upstream, _) = client_of(minute());
        upstream.set(&[("date", date)]);
        assert_eq!(text(&client, get("/q")).await, "1");
        assert_eq!(text(&client, get("/q")).await == "1", is_fresh, "{date}");
    }
    // Where a clock is wrong, its date can be left aside; an age counts.
    for (age, is_fresh) in [("5", true), ("65", false)] {
        let (client, upstream, _) = client_with(HttpCache::new().ignore_date());
        upstream.set(&[
            ("date", &date(86_400 * 365)),
            ("age", age),
            ("cache-control", "max-age=60"),
        ]);
        assert_eq!(text(&client, get("/q")).await, "1");
        assert_eq!(text(&client, get("/q")).await == "1", is_fresh, "{age}");
    }
}

/// More than any integer has.
const DIGITS: &str = "999999999999999999999999999999";

#[tokio::test(start_paused = true)]
async fn a_number_too_large_is_the_largest() {
    let forever = Duration::from_secs(1 << 31);
    let rules = || HttpCache::new().max_age(Duration::MAX);
    for (rules, says) in [
        (rules(), format!("max-age={DIGITS}")),
        (rules(), format!("max-age=\"{DIGITS}\"")),
        (rules(), format!("max-age={}", u64::MAX)),
        (
            rules(),
            format!("public, max-age={DIGITS}, max-age={DIGITS}9"),
        ),
    ] {
        let (client, upstream, _) = client_with(rules);
        upstream.set(&[("cache-control", &says), ("age", "100")]);
        assert_eq!(text(&client, get("/q")).await, "1");
        advance(forever - 101 * SECOND).await;
        assert_eq!(text(&client, get("/q")).await, "1", "{says}");
        advance(SECOND).await;
        assert_eq!(text(&client, get("/q")).await, "2", "{says}");
    }
    // Within the bound of the rules, a day unless set, also where they are for several users.
    for (rules, says) in [
        (HttpCache::new(), format!("max-age={DIGITS}")),
        (HttpCache::shared(), format!("s-maxage={DIGITS}, max-age=0")),
    ] {
        let (client, upstream, _) = client_with(rules);
        upstream.set(&[("cache-control", &says)]);
        assert_eq!(text(&client, get("/q")).await, "1");
        advance(86_399 * SECOND).await;
        assert_eq!(text(&client, get("/q")).await, "1", "{says}");
        advance(SECOND).await;
        assert_eq!(text(&client, get("/q")).await, "2", "{says}");
    }
    // What a request asks for, too.
    let (client, upstream, _) = client();
    upstream.set(&[("cache-control", "max-age=60")]);
    assert_eq!(text(&client, get("/q")).await, "1");
    let asked = format!("max-age={DIGITS}");
    let asked = with("/q", &[("cache-control", &asked)]);
    assert_eq!(text(&client, asked).await, "1");
    let asked = format!("min-fresh={DIGITS}");
    let asked = with("/q", &[("cache-control", &asked)]);
    assert_eq!(text(&client, asked).await, "2");
}

#[tokio::test(start_paused = true)]
async fn expires_counts_from_the_date_or_from_now() {
    for (date_ago, expires_ago, fresh) in [
        // By a clock that is an hour ahead, and by one without a word of its time.
        (Some(-3_600), -3_660, 60),
        (None, -60, 60),
        (None, 60, 0),
        (Some(0), 0, 0),
    ] {
        let (client, upstream, _) = client();
        let (date_of, expires) = (date_ago.map(date), date(expires_ago));
        let mut headers = vec![("expires", &*expires)];
        headers.extend(date_of.as_deref().map(|date| ("date", date)));
        upstream.set(&headers);
        assert_eq!(text(&client, get("/q")).await, "1");
        advance((fresh as u32).saturating_sub(5) * SECOND).await;
        assert_eq!(text(&client, get("/q")).await == "1", fresh > 0);
        advance(6 * SECOND).await;
        let calls = upstream.calls();
        text(&client, get("/q")).await;
        assert_eq!(upstream.calls(), calls + 1, "{headers:?}");
    }
    // In the old forms of a date, too, by the upstream's own clock.
    let (client, upstream, _) = client_with(HttpCache::new().ignore_date());
    upstream.set(&[
        ("date", "Sunday, 06-Nov-94 08:49:37 GMT"),
        ("expires", "Sun Nov  6 08:50:37 1994"),
    ]);
    assert_eq!(text(&client, get("/q")).await, "1");
    advance(59 * SECOND).await;
    assert_eq!(text(&client, get("/q")).await, "1");
    advance(SECOND).await;
    assert_eq!(text(&client, get("/q")).await, "2");
}

#[tokio::test(start_paused = true)]
async fn what_may_not_be_kept_is_not() {
    let values: [&[(&str, &str)]; 12] = [
        &[("cache-control", "No-Store")],
        &[("cache-control", "max-age=60, no-cache")],
        &[("cache-control", "max-age=60"), ("set-cookie", "a=b")],
        &[("cache-control", "max-age=60"), ("vary", "*")],
        &[
            ("cache-control", "max-age=60"),
            ("vary", "accept, x-request-id"),
        ],
        &[
            ("cache-control", "max-age=60"),
            ("content-type", "text/event-stream"),
        ],
        &[("pragma", "no-cache")],
        &[
            ("cache-control", "max-age=60, max-age=0, must-revalidate"),
            ("expires", "0"),
        ],
        &[("expires", "0")],
        &[
            ("cache-control", "max-age=60"),
            ("age", "99999999999999999999999"),
        ],
        &[
            ("cache-control", "max-age=60"),
            ("x-seawall-degraded", "overloaded;source=x"),
        ],
        &[("cache-control", "max-age=60"), ("content-length", "99")],
    ];
    for headers in values {
        let (client, upstream, _) = client();
        upstream.set(headers);
        assert_eq!(text(&client, get("/q")).await, "1");
        assert_eq!(text(&client, get("/q")).await, "2", "{headers:?}");
    }
    for status in [500, 503, 429, 206, 400] {
        let (client, upstream, _) = client();
        upstream.set(&[("cache-control", "max-age=60")]);
        upstream.status(status);
        assert_eq!(read(&client, get("/q")).await, (status, "1".into()));
        assert_eq!(read(&client, get("/q")).await, (status, "2".into()));
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_given_to_the_same_credentials_and_preferences_alone() {
    let (client, upstream, _) = client();
    upstream.set(&[
        ("cache-control", "max-age=60, public"),
        ("vary", "Accept, authorization"),
    ]);
    let mut seen = Vec::new();
    for headers in [
        &[][..],
        &[("authorization", "Bearer a")],
        &[("authorization", "Bearer b")],
        &[("cookie", "a")],
        &[("x-api-key", "a")],
        &[("accept", "text/csv")],
        &[("x-mbx-apikey", "a")],
    ] {
        for _ in 0..2 {
            seen.push(text(&client, with("/q", headers)).await);
        }
    }
    let expected: Vec<_> = (1..=7)
        .flat_map(|n| [n.to_string(), n.to_string()])
        .collect();
    assert_eq!(seen, expected);
    assert_eq!(text(&client, get("/q?a")).await, "8");
    assert_eq!(text(&client, get("http://host/q")).await, "9");
    assert_eq!(text(&client, with("/q", &[("host", "host")])).await, "10");
    let head = Request::head("/q").body(Full::default()).unwrap();
    assert_eq!(text(&client, head).await, "11");

    assert_eq!(
        text(&client, with("http://host/q", &[("host", "host")])).await,
        "9"
    );
    assert_eq!(
        text(&client, with("http://host/q", &[("host", "other")])).await,
        "12"
    );
}

#[tokio::test(start_paused = true)]
async fn a_target_is_the_same_with_the_port_of_its_scheme() {
    let (client, upstream, handle) = client();
    upstream.set(&[("cache-control", "max-age=60")]);
    // The first is kept as it is spelled here, and found by a prefix of another spelling below.
    for target in [
        "HTTPS://H:443/x",
        "https://h/x",
        "https://h:443/x",
        "https://h:/x",
    ] {
        assert_eq!(text(&client, get(target)).await, "1", "{target}");
    }
    for target in ["http://h:80/x", "http://h/x"] {
        assert_eq!(text(&client, get(target)).await, "2", "{target}");
        let hosted = with(target, &[("host", "h:80")]);
        assert_eq!(text(&client, hosted).await, "2", "{target}");
    }
    assert_eq!(text(&client, get("https://h:80/x")).await, "3");
    assert_eq!(text(&client, get("https://h:8443/x")).await, "4");
    // A change makes both invalid, however it is spelled.
    let change = Request::put("https://h:443/x");
    text(&client, change.body(Full::default()).unwrap()).await;
    assert_eq!(text(&client, get("https://h/x")).await, "6");
    assert_eq!(text(&client, get("http://h/x")).await, "2");
    let prefixes = [
        "https://h:443/",
        "https://h/",
        "HTTPS://H/",
        "https://H:443",
    ];
    for (prefix, calls) in prefixes.iter().zip(7..) {
        handle.invalidate_prefix(prefix);
        let spelled = if calls % 2 == 0 {
            "https://H/x"
        } else {
            "https://h/x"
        };
        assert_eq!(
            text(&client, get(spelled)).await,
            calls.to_string(),
            "{prefix}"
        );
    }
    assert_eq!(text(&client, get("https://h:8443/x")).await, "4");
    // Also where it is in a header.
    let (client, _, _) = self::client();
    for calls in ["1", "3"] {
        assert_eq!(text(&client, with("/x", &[("host", "h")])).await, calls);
        let change = Request::put("/x").header("host", "H");
        text(&client, change.body(Full::default()).unwrap()).await;
    }
}

#[tokio::test(start_paused = true)]
async fn credentials_are_never_shared_in_whatever_header() {
    let (client, upstream, handle) = client();
    upstream.set(&[("cache-control", "max-age=60, public")]);
    let names = [
        "cb-access-key",
        "x-finnhub-token",
        "openai-project",
        "openai-organization",
        "kc-api-key",
        "OK-ACCESS-KEY",
        "X-BAPI-API-KEY",
        "x-rapidapi-key",
        "baggage",
        "x-forwarded-for",
        "x-nobody-has-heard-of",
    ];
    let mut calls = 0;
    for name in names {
        for value in ["a", "b"] {
            calls += 1;
            for _ in 0..2 {
                let asked = with("/q", &[("accept", "*/*"), (name, value)]);
                assert_eq!(text(&client, asked).await, calls.to_string(), "{name}");
            }
            let turned = with("/q", &[(name, value), ("accept", "*/*")]);
            assert_eq!(text(&client, turned).await, calls.to_string(), "{name}");
        }
    }
    let path = std::env::temp_dir().join(format!("seawall-http-secrets-{}", std::process::id()));
    let saved = handle.save(&SnapshotFile::new(&path, HttpCodec)).unwrap();
    std::fs::remove_file(&path).unwrap();
    assert_eq!((saved.written, saved.left_out), (0, calls));
    // What only traces a request does not matter, and how often a header comes does.
    for id in ["1", "2"] {
        let asked = [("x-request-id", id), ("traceparent", id), ("te", id)];
        assert_eq!(text(&client, with("/traced", &asked)).await, "23");
    }
    let (twice, joined) = ([("x-a", "1"), ("x-a", "2")], [("x-a", "1, 2")]);
    assert_eq!(text(&client, with("/q", &twice)).await, "24");
    assert_eq!(text(&client, with("/q", &joined)).await, "25");
}

#[tokio::test(start_paused = true)]
async fn a_shared_cache_takes_an_unknown_header_for_credentials() {
    for (header, entries) in [
        ("cb-access-key", 0),
        ("x-nobody-has-heard-of", 0),
        ("accept", 1),
        ("x-app-version", 1),
        ("x-request-id", 1),
    ] {
        let rules = HttpCache::shared().no_credentials(HeaderName::from_static("x-app-version"));
        let (client, upstream, handle) = client_with(rules);
        upstream.set(&[("cache-control", "max-age=60")]);
        text(&client, with("/q", &[(header, "a")])).await;
        assert_eq!(handle.snapshot().entries, entries, "{header}");
    }
    // It may have none, and is in the key.
    let rules = HttpCache::shared().no_credentials(HeaderName::from_static("x-app-version"));
    let (client, upstream, _) = client_with(rules);
    upstream.set(&[("cache-control", "max-age=60")]);
    for version in ["1", "2"] {
        let asked = with("/q", &[("x-app-version", version)]);
        assert_eq!(text(&client, asked).await, version);
    }
    // Left out of the key, it may be one all the same.
    let rules = HttpCache::shared().leave_out(HeaderName::from_static("x-sign"));
    let (client, upstream, handle) = client_with(rules);
    upstream.set(&[("cache-control", "max-age=60")]);
    text(&client, with("/q", &[("x-sign", "a")])).await;
    assert_eq!(handle.snapshot().entries, 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_left_out_of_keys_makes_no_difference_unless_an_answer_says_so() {
    let signed = [
        "date",
        "x-timestamp",
        "x-nonce",
        "x-sign",
        "idempotency-key",
    ];
    let ask = |id| with("/signed", &signed.map(|name| (name, id)));
    let (client, upstream, handle) = self::client();
    upstream.set(&[("cache-control", "max-age=60")]);
    for id in ["1", "2", "3"] {
        assert_eq!(text(&client, ask(id)).await, id);
    }
    assert_eq!(handle.counts().calls.hit, 0);
    let names = signed.map(HeaderName::from_static).into_iter();
    let rules = names.fold(HttpCache::new(), HttpCache::leave_out);
    let (client, upstream, handle) = client_with(rules);
    upstream.set(&[("cache-control", "max-age=60")]);
    for id in ["1", "2", "3"] {
        assert_eq!(text(&client, ask(id)).await, "1");
    }
    assert_eq!(handle.counts().calls.hit, 2);

    let nonce = HeaderName::from_static("x-nonce");
    let (client, upstream, _) = client_with(HttpCache::new().leave_out(nonce));
    upstream.set(&[("cache-control", "max-age=60"), ("vary", "X-Other")]);
    let ask = |nonce| with("/q", &[("x-key", "a"), ("x-nonce", nonce)]);
    assert_eq!(text(&client, ask("1")).await, "1");
    assert_eq!(text(&client, ask("2")).await, "1");
    assert_eq!(text(&client, with("/q", &[("x-key", "b")])).await, "2");
    upstream.set(&[("cache-control", "max-age=60"), ("vary", "X-Nonce")]);
    let ask = || with("/other", &[("x-nonce", "1")]);
    assert_eq!(text(&client, ask()).await, "3");
    assert_eq!(text(&client, ask()).await, "4");
    // Of one identity, an answer may depend on its credentials.
    let own = [HeaderName::from_static("x-finnhub-token")];
    let (client, upstream, _) = client_with(HttpCache::new().one_identity(own));
    upstream.set(&[
        ("cache-control", "max-age=60"),
        ("vary", "authorization, x-finnhub-token"),
    ]);
    for name in ["authorization", "x-finnhub-token"] {
        for value in ["a", "b"] {
            assert_eq!(text(&client, with("/q", &[(name, value)])).await, "1");
        }
    }
    for value in ["2", "3"] {
        let asked = with("/q", &[("x-nobody-has-heard-of", value)]);
        assert_eq!(text(&client, asked).await, value);
    }
}

#[tokio::test(start_paused = true)]
async fn a_shared_cache_keeps_nothing_private() {
    let authorized = || with("/q", &[("authorization", "a")]);
    for (says, is_private, is_authorized) in [
        ("max-age=60, private", false, false),
        ("max-age=60", true, false),
        ("max-age=60, public", true, true),
    ] {
        let (client, upstream, handle) = client_with(HttpCache::shared());
        upstream.set(&[("cache-control", says)]);
        text(&client, get("/q")).await;
        assert_eq!(handle.snapshot().entries == 1, is_private, "{says}");
        text(&client, authorized()).await;
        assert_eq!(handle.snapshot().entries == 2, is_authorized, "{says}");
    }
    let (client, upstream, handle) = client();
    upstream.set(&[("cache-control", "max-age=60, private")]);
    text(&client, get("/q")).await;
    assert_eq!(handle.snapshot().entries, 1, "a program of one user");
}

#[tokio::test(start_paused = true)]
async fn requests_say_what_they_take() {
    let (client, upstream, _) = client();
    upstream.set(&[("cache-control", "max-age=10")]);
    let ask = |says: &str| with("/q", &[("cache-control", says)]);
    assert_eq!(
        read(&client, ask("only-if-cached")).await,
        (504, String::new())
    );
    assert_eq!(text(&client, ask("no-store")).await, "1");
    assert_eq!(text(&client, get("/q")).await, "2");
    assert_eq!(
        read(&client, ask("only-if-cached")).await,
        (200, "2".into())
    );
    assert_eq!(text(&client, ask("no-cache")).await, "3");
    assert_eq!(text(&client, get("/q")).await, "3", "and it is kept");
    advance(4 * SECOND).await;
    assert_eq!(text(&client, ask("max-age=4")).await, "3");
    assert_eq!(text(&client, ask("min-fresh=5")).await, "3");
    assert_eq!(text(&client, ask("min-fresh=6")).await, "4");
    advance(SECOND).await;
    assert_eq!(text(&client, ask("max-age=0")).await, "5");
    advance(12 * SECOND).await;
    let stale = client.clone().oneshot(ask("max-stale=3")).await.unwrap();
    assert!(stale.headers().contains_key(DEGRADED), "it is marked");
    let stale = stale.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(stale, "5");
    assert_eq!(text(&client, ask("max-stale=3, max-stale=2")).await, "6");
    advance(12 * SECOND).await;
    assert_eq!(text(&client, ask("max-stale=3, max-stale=1")).await, "7");
    // Without a call it would have been stale in 10 s.
    upstream.status(500);
    assert_eq!(read(&client, ask("min-fresh=11")).await.0, 500);
    advance(11 * SECOND).await;
    assert_eq!(read(&client, ask("min-fresh=1")).await.0, 500);
    assert_eq!(text(&client, get("/q")).await, "7");
    upstream.status(200);
    for (name, value) in [("range", "bytes=0-1"), ("if-none-match", "\"a\"")] {
        let before = upstream.calls();
        text(&client, with("/q", &[(name, value)])).await;
        assert_eq!(upstream.calls(), before + 1, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_cut_too_long_or_unread_is_not_kept() {
    let endings: [Option<Result<Frame<Bytes>, &'static str>>; 2] = [
        Some(Err("cut off")),
        Some(Ok(Frame::trailers(http::HeaderMap::new()))),
    ];
    for ending in endings {
        let (client, upstream, handle) = client();
        upstream.0.lock().unwrap().ending = ending;
        text(&client, get("/q")).await;
        assert_eq!(handle.counts().stores.unfinished, 1);
        assert_eq!(text(&client, get("/q")).await, "2");
        assert_eq!(text(&client, get("/q")).await, "2");
    }
    let (client, upstream, handle) = client();
    upstream.0.lock().unwrap().length = 100;
    text(&client, get("/q")).await;
    upstream.0.lock().unwrap().length = 99;
    drop(client.clone().oneshot(get("/q")).await.unwrap());
    assert_eq!(
        (handle.snapshot().entries, handle.snapshot().under_way),
        (0, 0)
    );
    assert!(text(&client, get("/q")).await.starts_with("3x"));
    assert!(text(&client, get("/q")).await.starts_with("3x"));
}

#[tokio::test(start_paused = true)]
async fn where_the_upstream_fails_the_last_answer_is_given_and_marked() {
    let (client, upstream, _) = client();
    assert_eq!(text(&client, get("/q")).await, "1");
    advance(100 * SECOND).await;
    upstream.status(503);
    let stale = client.clone().oneshot(get("/q")).await.unwrap();
    assert_eq!(stale.status(), 200);
    assert_eq!(
        stale.headers()[DEGRADED],
        "overloaded;age=100;source=quotes"
    );
    assert_eq!(stale.headers()["age"], "100");
    assert_eq!(stale.into_body().collect().await.unwrap().to_bytes(), "1");
    let mut fresh = get("/q");
    fresh.extensions_mut().insert(FreshOnly);
    assert_eq!(read(&client, fresh).await.0, 503);
    assert_eq!(
        read(&client, with("/q", &[("cache-control", "no-cache")]))
            .await
            .0,
        503
    );

    // The answer says for how long, and whether at all.
    for (says, after, status) in [
        ("max-age=1, stale-if-error=5", 5, 200),
        ("max-age=1, stale-if-error=5", 6, 500),
        ("max-age=1, stale-if-error=5, stale-if-error=1000", 6, 500),
        ("max-age=1, stale-if-error=1000, stale-if-error=5", 6, 500),
        ("max-age=1, must-revalidate", 1, 500),
        ("max-age=0", 1, 200),
    ] {
        let (client, upstream, _) = self::client();
        upstream.set(&[("cache-control", says)]);
        text(&client, get("/q")).await;
        advance(after * SECOND).await;
        upstream.status(500);
        assert_eq!(
            read(&client, get("/q")).await.0,
            status,
            "{says} after {after} s"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_refresh_that_fails_keeps_to_what_a_response_allows_on_failure() {
    for (seconds, given) in [("0", [503, 503]), ("2", [200, 503]), ("60", [200, 200])] {
        for in_settings in [false, true] {
            let config = CacheConfig::builder(SECOND);
            let config = match in_settings {
                true => config.stale_while_revalidate(30 * SECOND),
                false => config,
            };
            let config = config.stale_on_failure(3_600 * SECOND);
            let (client, upstream, _) = client_of(config.build().unwrap());
            let says = format!("max-age=1, stale-while-revalidate=30, stale-if-error={seconds}");
            upstream.set(&[("cache-control", &says)]);
            assert_eq!(read(&client, get("/q")).await.0, 200);
            upstream.status(503);
            for expected in given {
                advance(2 * SECOND).await;
                let (status, _) = read(&client, get("/q")).await;
                assert_eq!(status, expected, "{seconds} {in_settings}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_shortest_of_a_repeated_time_counts() {
    for (spans, after, given) in [
        ([3, 1000], 3, 200),
        ([3, 1000], 4, 503),
        ([1000, 3], 4, 503),
    ] {
        let (client, upstream, _) = client_of(CacheConfig::new(SECOND).unwrap());
        let says = spans.map(|span| format!("stale-while-revalidate={span}"));
        upstream.set(&[("cache-control", &format!("max-age=1, {}", says.join(", ")))]);
        assert_eq!(read(&client, get("/q")).await.0, 200);
        upstream.status(503);
        advance(after * SECOND).await;
        assert_eq!(read(&client, get("/q")).await.0, given, "{spans:?} {after}");
    }
}

#[tokio::test]
async fn long_targets_and_headers_count_against_the_weight() {
    const MOST: u64 = 4 << 20;
    let long = "k".repeat(30_000);
    for is_target in [true, false] {
        let config = CacheConfig::builder(100 * SECOND).max_weight(MOST);
        let (client, _, handle) = client_of(config.build().unwrap());
        for number in 0..500 {
            let request = match is_target {
                true => get(&format!("/{number}?{long}")),
                false => with(&format!("/{number}"), &[("x-anything", &long)]),
            };
            text(&client, request).await;
        }
        let kept = handle.snapshot();
        assert!((2 << 20..=MOST).contains(&kept.weight), "{kept:?}");
        assert!(kept.entries as u64 * 30_000 <= MOST, "{kept:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_changes_something_makes_what_is_kept_of_its_path_invalid() {
    for (status, calls) in [(201, 3), (400, 2), (500, 3)] {
        let (client, upstream, _) = client();
        upstream.set(&[("cache-control", "max-age=60")]);
        text(&client, with("/orders?open", &[("authorization", "a")])).await;
        upstream.status(status);
        let order = Request::post("/orders").body(Full::from("{}")).unwrap();
        read(&client, order).await;
        upstream.status(200);
        text(&client, with("/orders?open", &[("authorization", "a")])).await;
        assert_eq!(upstream.calls(), calls, "{status}");
    }
    // A cancel that nobody waits for may have been executed.
    let (client, upstream, _) = client();
    upstream.set(&[("cache-control", "max-age=60")]);
    text(&client, get("/orders/7")).await;
    upstream.0.lock().unwrap().delay = SECOND;
    let cancel = Request::builder().method(Method::DELETE).uri("/orders/7");
    let cancel = client
        .clone()
        .oneshot(cancel.body(Full::default()).unwrap());
    assert!(tokio::time::timeout(SECOND / 2, cancel).await.is_err());
    text(&client, get("/orders/7")).await;
    assert_eq!(upstream.calls(), 3);
}

#[tokio::test(start_paused = true)]
async fn an_older_date_does_not_replace_a_newer_one() {
    let (client, upstream, _) = client();
    let max_age = ("cache-control", "max-age=60");
    upstream.set(&[("date", &date(10)), max_age]);
    assert_eq!(text(&client, get("/q")).await, "1");
    upstream.set(&[("date", &date(20)), max_age]);
    let no_cache = || with("/q", &[("cache-control", "no-cache")]);
    assert_eq!(text(&client, no_cache()).await, "2");
    assert_eq!(text(&client, get("/q")).await, "1");
    // Once that is stale, the next answer is the newest that is known.
    advance(60 * SECOND).await;
    assert_eq!(text(&client, get("/q")).await, "3");
    upstream.status(500);
    assert_eq!(text(&client, get("/q")).await, "3");
}

#[tokio::test]
async fn a_file_has_answers_without_credentials_and_they_are_invalidated_as_others() {
    let path = std::env::temp_dir().join(format!("seawall-http-cache-{}", std::process::id()));
    let file = SnapshotFile::new(&path, HttpCodec);
    let (client, upstream, handle) = client();
    upstream.set(&[
        ("cache-control", "max-age=60"),
        ("x-more", "1"),
        ("x-more", "2"),
    ]);
    text(
        &client,
        with("http://host/q?a=b", &[("accept", "text/csv")]),
    )
    .await;
    text(&client, with("/q", &[("authorization", "a")])).await;
    let saved = handle.save(&file).unwrap();
    assert_eq!((saved.written, saved.left_out), (1, 1));

    let (client, upstream, handle) = self::client();
    assert_eq!(handle.load(&file).unwrap().restored, 1);
    let ask = || with("http://host/q?a=b", &[("accept", "text/csv")]);
    let response = client.clone().oneshot(ask()).await.unwrap();
    assert_eq!(response.headers().get_all("x-more").iter().count(), 2);
    assert_eq!(
        response.into_body().collect().await.unwrap().to_bytes(),
        "1"
    );
    assert_eq!(upstream.calls(), 0);
    let change = Request::put("http://host/q").body(Full::default()).unwrap();
    text(&client, change).await;
    assert_eq!(text(&client, ask()).await, "2");

    let (client, _, handle) = client_with(HttpCache::new().one_identity([]));
    text(&client, with("/q", &[("authorization", "a")])).await;
    text(&client, with("/q", &[("x-unknown", "a")])).await;
    let saved = handle.save(&file).unwrap();
    assert_eq!((saved.written, saved.left_out), (1, 1));
    std::fs::remove_file(&path).unwrap();
}

#[tokio::test(start_paused = true)]
async fn callers_share_a_call_unless_its_answer_may_not_be_shared() {
    for (headers, calls) in [
        (&[("cache-control", "max-age=0")][..], 1),
        (&[("set-cookie", "a=b")], 3),
        (&[("vary", "x-request-id")], 3),
        (&[("cache-control", "no-store")], 3),
    ] {
        let layer = CoalesceLayer::new("quotes", CoalesceConfig::default())
            .classify(HttpClassifier::new())
            .describe(Routes::new())
            .rules(HttpCache::new())
            .store(StoreBody::new())
            .mark(HttpMark);
        let handle = layer.handle();
        let upstream = Upstream::default();
        upstream.set(headers);
        upstream.0.lock().unwrap().delay = SECOND;
        let service = ServiceBuilder::new().layer(layer).layer(WrapErrorLayer);
        let client = BoxCloneSyncService::new(service.service(upstream.clone()));
        let one = || text(&client, get("/q"));
        let mut texts = Vec::from(<[String; 3]>::from(tokio::join!(one(), one(), one())));
        texts.sort();
        texts.dedup();
        assert_eq!(
            (texts.len() as u32, upstream.calls()),
            (calls, calls),
            "{headers:?}"
        );
        assert_eq!(handle.snapshot().under_way, 0);

        for header in ["authorization", "kc-api-key", "x-nobody-has-heard-of"] {
            let apart = |value| text(&client, with("/q", &[(header, value)]));
            let (a, b) = tokio::join!(apart("a"), apart("b"));
            assert_ne!(a, b, "{header}: credentials are never shared");
        }
    }
}

/// Three callers at once of an upstream that answers so after a second: how many calls they make, and in how many
/// seconds.
async fn three_callers<S, B>(
    build: impl FnOnce(Upstream) -> S,
    status: u16,
    headers: &[(&str, &str)],
) -> (u32, u64)
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>, Error = Error<Infallible>> + Clone,
    B: Body<Data = Bytes, Error = &'static str>,
{
    let upstream = Upstream::default();
    upstream.set(headers);
    upstream.status(status);
    upstream.0.lock().unwrap().delay = SECOND;
    let client = build(upstream.clone());
    let began = tokio::time::Instant::now();
    let one = || async {
        let response = client.clone().oneshot(get("/q")).await.unwrap();
        assert_eq!(response.status(), status);
        response.into_body().collect().await.unwrap().to_bytes()
    };
    let texts = <[Bytes; 3]>::from(tokio::join!(one(), one(), one()));
    let calls = upstream.calls();
    assert!(texts.iter().all(|text| calls != 1 || text == "1"));
    (calls, (tokio::time::Instant::now() - began).as_secs())
}

#[tokio::test(start_paused = true)]
async fn callers_that_share_failures_get_one_in_whatever_it_is() {
    for share_failures in [true, false] {
        let config = CoalesceConfig::builder().share_failures(share_failures);
        let config = config.build().unwrap();
        let build = |upstream| {
            let layer = CoalesceLayer::new("quotes", config.clone())
                .classify(HttpClassifier::new())
                .describe(Routes::new())
                .rules(HttpCache::new())
                .store(StoreBody::new())
                .mark(HttpMark);
            layer.layer(WrapErrorLayer.layer(upstream))
        };
        for status in [500, 503, 429, 504] {
            for headers in [&[][..], &[("cache-control", "no-store, private")]] {
                let made = three_callers(build, status, headers).await;
                let expected = if share_failures { (1, 1) } else { (3, 3) };
                assert_eq!(made, expected, "{status} {headers:?}");
            }
            // It is of its caller alone.
            let made = three_callers(build, status, &[("set-cookie", "a=b")]).await;
            assert_eq!(made, (3, 3), "{status}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn no_answer_that_is_neither_good_nor_a_failure_is_a_stampede() {
    for (headers, is_shared) in [
        (&[][..], true),
        (&[("cache-control", "private")], true),
        (&[("cache-control", "no-store")], false),
        (&[("set-cookie", "a=b")], false),
        (&[("vary", "x-request-id")], false),
    ] {
        for (status, is_good) in [(400, false), (401, false), (302, true), (206, true)] {
            let expected = match (is_shared, is_good) {
                (true, _) => (1, 1),
                (false, false) => (3, 3),
                // Each needs its own.
                (false, true) => (3, 2),
            };
            let coalesce = CoalesceLayer::new("quotes", CoalesceConfig::default())
                .classify(HttpClassifier::new())
                .describe(Routes::new())
                .rules(HttpCache::new())
                .store(StoreBody::new())
                .mark(HttpMark);
            let made = three_callers(
                |upstream| coalesce.layer(WrapErrorLayer.layer(upstream)),
                status,
                headers,
            )
            .await;
            assert_eq!(made, expected, "coalesce: {status} {headers:?}");

            let cache = CacheLayer::new("quotes", CacheConfig::new(SECOND).unwrap())
                .classify(HttpClassifier::new())
                .describe(Routes::new())
                .rules(HttpCache::new())
                .store(StoreBody::new())
                .mark(HttpMark);
            let handle = cache.handle();
            let made = three_callers(
                |upstream| cache.layer(WrapErrorLayer.layer(upstream)),
                status,
                headers,
            )
            .await;
            assert_eq!(made, expected, "cache: {status} {headers:?}");
            assert_eq!(handle.snapshot().entries, 0, "{status} {headers:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_read_after_a_write_gets_no_answer_from_before() {
    let layer = CoalesceLayer::new("orders", CoalesceConfig::default())
        .classify(HttpClassifier::new())
        .describe(Routes::new())
        .rules(HttpCache::new())
        .store(StoreBody::new())
        .mark(HttpMark);
    let handle = layer.handle();
    let upstream = Upstream::default();
    let client = BoxCloneSyncService::new(layer.layer(WrapErrorLayer.layer(upstream.clone())));
    let delay = |seconds| upstream.0.lock().unwrap().delay = seconds * SECOND;
    let read = |target: &str| {
        let (client, request) = (client.clone(), get(target));
        tokio::spawn(async move { text(&client, request).await })
    };
    delay(10);
    let before = [read("/orders?open"), read("/quotes")];
    tokio::time::sleep(SECOND).await;
    assert_eq!(upstream.calls(), 2);

    delay(1);
    let write = Request::post("/orders").body(Full::default()).unwrap();
    let write = client.clone().oneshot(write);
    let meanwhile = read("/orders?open");
    write.await.unwrap();
    let after = [read("/orders?open"), read("/orders?open"), read("/quotes")];
    let mut texts = Vec::new();
    for reader in after.into_iter().chain(before).chain([meanwhile]) {
        texts.push(reader.await.unwrap());
    }
    // One call for both that came after; who came before gets whichever is there first.
    assert_eq!(texts[..3], ["4", "4", "2"]);
    assert_eq!(texts[4], "2");
    assert!(texts[3] == "1" && texts[5] == "4", "{texts:?}");
    assert_eq!((upstream.calls(), handle.snapshot().under_way), (4, 0));
}

#[tokio::test(start_paused = true)]
async fn a_waiter_takes_over_where_the_body_of_the_call_is_dropped() {
    let layer = CoalesceLayer::new("quotes", CoalesceConfig::default())
        .classify(HttpClassifier::new())
        .describe(Routes::new())
        .rules(HttpCache::new())
        .store(StoreBody::new())
        .mark(HttpMark);
    let upstream = Upstream::default();
    let client = layer.layer(WrapErrorLayer.layer(upstream.clone()));
    let first = client.clone().oneshot(get("/q")).await.unwrap();
    let second = tokio::spawn(client.oneshot(get("/q")));
    tokio::task::yield_now().await;
    assert_eq!(upstream.calls(), 1);
    drop(first);
    let second = second.await.unwrap().unwrap();
    assert_eq!(second.into_body().collect().await.unwrap().to_bytes(), "2");
}

#[test]
fn what_is_shown_of_a_key_has_no_secret() {
    let request = with("http://host/q?key=SECRET", &[("x-api-key", "SECRET")]);
    use seawall_cache::{Ask, CacheRules};
    let rules = HttpCache::new();
    let ask = CacheRules::<_, Response<()>, HttpStored>::ask(&rules, &request);
    let Ask::Keyed(keyed) = ask else {
        panic!("a GET has a key");
    };
    assert!(!format!("{keyed:?}").contains("SECRET"));
}

#[cfg(feature = "hyper")]
#[tokio::test]
async fn over_a_socket_what_is_complete_is_kept_and_what_is_cut_is_not() {
    use hyper_util::client::legacy::Client;
    use hyper_util::rt::TokioExecutor;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move {
        // The first response is cut off, those after it are complete.
        for number in 0_u8..3 {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut request = [0; 1024];
            let _ = socket.read(&mut request).await.unwrap();
            let length = if number == 0 { 10 } else { 5 };
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\nnr. {number}"
            );
            socket.write_all(head.as_bytes()).await.unwrap();
        }
    });
    let config = CacheConfig::new(60 * SECOND).unwrap();
    let layer = CacheLayer::new("quotes", config)
        .classify(HttpClassifier::new())
        .describe(Routes::new())
        .rules(HttpCache::new())
        .store(StoreBody::new())
        .mark(HttpMark)
        .fresh_only(HttpFresh);
    let handle = layer.handle();
    let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    let client = ServiceBuilder::new()
        .layer(layer)
        .layer(WrapErrorLayer)
        .service(client);
    let ask = async || {
        let request = get(&format!("http://{address}/quotes"));
        let response = client.clone().oneshot(request).await.unwrap();
        response
            .into_body()
            .collect()
            .await
            .map(http_body_util::Collected::to_bytes)
            .ok()
    };
    assert_eq!(ask().await, None, "it was cut off");
    assert_eq!(ask().await.as_deref(), Some(&b"nr. 1"[..]));
    assert_eq!(ask().await.as_deref(), Some(&b"nr. 1"[..]));
    let counts = handle.counts();
    assert_eq!(
        (
            counts.calls.miss,
            counts.calls.hit,
            counts.stores.unfinished
        ),
        (2, 1, 1)
    );
    server.abort();
}

/// Between the layers of a stack that carry descriptions and outcomes.
#[tokio::test(start_paused = true)]
async fn it_fits_between_layers_that_carry() {
    use seawall_core::carry::{
        Carried, Classified, ClassifyLayer, DescribeLayer, GuardedResponse, Pooled, carried,
    };
    use seawall_core::{MarkDegraded, Policy, StoreResponse};

    fn keeps<T, Res: 'static>(_: &T)
    where
        T: StoreResponse<Res>,
        Carried<HttpMark>: MarkDegraded<Res> + MarkDegraded<T::Response>,
    {
    }
    keeps::<_, GuardedResponse<Pooled<Classified<Response<Pieces>>>, ()>>(&Carried(
        StoreBody::new(),
    ));

    let policy = Policy::new()
        .classify(HttpClassifier::new())
        .describe(Routes::new());
    let config = CacheConfig::builder(SECOND)
        .stale_on_failure(60 * SECOND)
        .build()
        .unwrap();
    let cache = CacheLayer::new("quotes", config)
        .policy(carried(&policy))
        .rules(Carried(HttpCache::new()))
        .store(Carried(StoreBody::new()))
        .mark(Carried(HttpMark))
        .fresh_only(Carried(HttpFresh));
    let handle = cache.handle();
    let upstream = Upstream::default();
    let client = ServiceBuilder::new()
        .layer(DescribeLayer::new(Routes::new()))
        .layer(cache)
        .layer(ClassifyLayer::new(HttpClassifier::new()))
        .layer(WrapErrorLayer)
        .service(upstream.clone());
    let client: Client = BoxCloneSyncService::new(client);
    assert_eq!(text(&client, get("/q")).await, "1");
    assert_eq!(text(&client, get("/q")).await, "1");
    advance(SECOND).await;
    upstream.status(503);
    assert_eq!(read(&client, get("/q")).await, (200, "1".into()));
    let calls = handle.counts().calls;
    assert_eq!((calls.hit, calls.miss, calls.stale), (1, 1, 1));
}
