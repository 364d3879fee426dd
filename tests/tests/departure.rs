//! What a request gets when it leaves, below everything that waits.

use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use seawall::retry::Attempt;
use seawall::{
    Backoff, BreakerConfig, BulkheadConfig, Error, HedgeConfig, RateLimitConfig, Reason,
    Rejectable, Rejection, RetryConfig, StackBuilder,
};
use tokio::time::{Instant, sleep};
use tower::{Layer, Service, ServiceExt, service_fn};

const SECOND: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);

type Sent = Request<Full<Bytes>>;

/// When a request was prepared, and its number in that order.
#[derive(Clone, Copy, Debug)]
struct Stamp {
    at: Instant,
    nonce: u64,
}

/// A hook that stamps requests in the order in which it sees them.
fn stamping<E>() -> impl Fn(&mut Sent) -> Result<(), E> + Clone {
    let nonces = Arc::new(AtomicU64::new(0));
    move |request: &mut Sent| {
        let nonce = nonces.fetch_add(1, Ordering::SeqCst);
        let at = Instant::now();
        request.extensions_mut().insert(Stamp { at, nonce });
        Ok(())
    }
}

/// What a broker has seen: how old each stamp was, and the nonces.
#[derive(Clone, Default)]
struct BrokerLog {
    ages: Arc<Mutex<Vec<Duration>>>,
    nonces: Arc<Mutex<Vec<u64>>>,
}

impl BrokerLog {
    /// A broker that takes so long for each request, and fails it if it should.
    fn broker(
        &self,
        time: Duration,
        fails: fn(u64) -> bool,
    ) -> impl Service<Sent, Response = Response<Full<Bytes>>, Error = Infallible, Future: Send>
    + Clone
    + use<> {
        let seen = self.clone();
        service_fn(move |request: Sent| {
            let stamp = *request.extensions().get::<Stamp>().expect("stamped");
            seen.ages
                .lock()
                .expect("no panic")
                .push(Instant::now() - stamp.at);
            seen.nonces.lock().expect("no panic").push(stamp.nonce);
            async move {
                sleep(time).await;
                let status = if fails(stamp.nonce) { 503 } else { 200 };
                let response = Response::builder().status(status).body(Full::default());
                Ok(response.expect("a response"))
            }
        })
    }

    fn oldest(&self) -> Duration {
        let ages = self.ages.lock().expect("no panic");
        *ages.iter().max().expect("requests")
    }

    fn nonces(&self) -> Vec<u64> {
        self.nonces.lock().expect("no panic").clone()
    }

    fn is_in_order(&self) -> bool {
        self.nonces().is_sorted_by(|a, b| a < b)
    }
}

fn get() -> Sent {
    let request = Request::get("http://broker/v2/positions");
    request.body(Full::default()).expect("a request")
}

/// Two permits, ten requests per second, and queues that are long enough.
fn queued() -> StackBuilder {
    let bulkhead = BulkheadConfig::builder()
        .max_concurrent(2)
        .max_waiting(1_000)
        .max_wait(60 * SECOND);
    let rate = RateLimitConfig::builder()
        .rate(10, SECOND)
        .burst(1)
        .max_wait(60 * SECOND)
        .max_waiting(1_000);
    let retry = RetryConfig::builder().backoff(Backoff::constant(300 * MS).expect("valid"));
    let breaker = BreakerConfig::builder().consecutive_failures(1_000);
    seawall::broker("desk")
        .bulkhead(bulkhead.build().expect("valid"))
        .rate_limit(rate.build().expect("valid"))
        .retry(retry.build().expect("valid"))
        .breaker(breaker.build().expect("valid"))
        .attempt_timeout(10 * SECOND)
        .deadline(600 * SECOND)
}

/// Runs so many calls at once to their ends.
async fn run<S>(service: S, calls: usize)
where
    S: Service<Sent, Future: Send> + Clone + Send + 'static,
    S::Response: Send,
    S::Error: std::fmt::Debug + Send,
{
    let tasks: Vec<_> = (0..calls)
        .map(|_| {
            let service = service.clone();
            tokio::spawn(async move { service.oneshot(get()).await.map(drop) })
        })
        .collect();
    for task in tasks {
        task.await.expect("no panic").expect("a response");
    }
}

/// A bulkhead and a rate limit held signed requests for seconds, and later nonces overtook them.
#[tokio::test(start_paused = true)]
async fn stamps_are_fresh_and_in_order_behind_a_bulkhead_and_a_rate_limit() {
    let seen = BrokerLog::default();
    let stack = queued().build().expect("valid").on_departure(stamping());
    let start = Instant::now();
    // Every third fails and is tried again, among those that still wait.
    let broker = seen.broker(150 * MS, |nonce| nonce.is_multiple_of(3));
    run(stack.layer(broker), 60).await;
    assert!(Instant::now() - start > 8 * SECOND, "they waited");
    assert!(seen.nonces().len() > 80, "{} attempts", seen.nonces().len());
    assert_eq!(seen.oldest(), Duration::ZERO);
    assert!(seen.is_in_order(), "{:?}", seen.nonces());
}

/// What the other hook is not for.
#[tokio::test(start_paused = true)]
async fn what_is_prepared_above_the_waits_ages_in_them() {
    let seen = BrokerLog::default();
    let stamp = stamping();
    let prepare = move |request: &mut Sent, _: Attempt| stamp(request);
    let stack = queued().build().expect("valid").prepare(prepare);
    run(stack.layer(seen.broker(150 * MS, |_| false)), 60).await;
    assert!(seen.oldest() > 3 * SECOND, "{:?}", seen.oldest());
}

/// The same in real time and on several threads: no more than what it takes to call the client.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stamps_are_fresh_in_real_time() {
    let seen = BrokerLog::default();
    let rate = RateLimitConfig::builder()
        .rate(500, SECOND)
        .burst(1)
        .max_wait(60 * SECOND)
        .max_waiting(1_000);
    let stack = queued()
        .rate_limit(rate.build().expect("valid"))
        .build()
        .expect("valid")
        .on_departure(stamping());
    run(stack.layer(seen.broker(3 * MS, |_| false)), 200).await;
    let mut ages = seen.ages.lock().expect("no panic").clone();
    ages.sort();
    // All but those that were interrupted right between the hook and the client.
    let most = ages[ages.len() * 9 / 10];
    assert!(most < 5 * MS, "{most:?} old at departure");
    assert_eq!(seen.nonces().len(), 200);
}

/// Each hedged attempt leaves with a stamp of its own.
#[tokio::test(start_paused = true)]
async fn every_attempt_has_its_own_stamp() {
    let seen = BrokerLog::default();
    let hedge = HedgeConfig::builder()
        .delay(50 * MS)
        .build()
        .expect("valid");
    let stack = seawall::market_data("feed").build().expect("valid");
    let stack = stack.hedge(hedge).on_departure(stamping());
    run(stack.layer(seen.broker(200 * MS, |_| false)), 1).await;
    assert_eq!(seen.nonces(), [0, 1]);
    assert_eq!(seen.oldest(), Duration::ZERO);
}

/// A hook that rejects: nothing is sent, and the upstream is not blamed.
#[tokio::test(start_paused = true)]
async fn a_hook_that_rejects_sends_nothing_and_is_no_failure() {
    let no_key = |_: &mut Sent| -> Result<(), Error<Infallible>> {
        Err(Rejection::new(Reason::Draining, "keys").into())
    };
    let stack = queued().build().expect("valid").on_departure(no_key);
    let seen = BrokerLog::default();
    let result = stack.layer(seen.broker(MS, |_| false)).oneshot(get()).await;
    let error = result.map(drop).expect_err("rejected");
    let rejection = error.rejection().expect("a rejection");
    assert_eq!(
        (rejection.reason(), rejection.name().as_str()),
        (Reason::Draining, "keys")
    );
    assert!(seen.nonces().is_empty());
    let handles = stack.handles();
    assert_eq!(handles.breaker.snapshot().counts.failure, 0);
    assert_eq!(handles.bulkhead.in_flight(), 0);
}
