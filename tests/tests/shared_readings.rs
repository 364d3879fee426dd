//! The layers of an HTTP stack share readings of the clock, and nothing is ever decided by one that is too
//! old, whatever runs between them.

use std::borrow::Cow;
use std::cell::Cell;
use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use seawall::http_client::Routes;
use seawall::retry::Attempt;
use seawall::{
    BreakerConfig, BulkheadConfig, BulkheadLayer, Describe, Error, Limit, Policy, RateLimitConfig,
    Reason, Rejectable, RequestMeta, StackBuilder, WrapErrorLayer,
};
use seawall_core::readings;
use tokio::time::Instant;
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};

type Sent = Request<Full<Bytes>>;
type Answer = Result<Response<Full<Bytes>>, Infallible>;

const MS: Duration = Duration::from_millis(1);
/// For how long functions of the user's own block a thread here.
const BLOCKED: Duration = Duration::from_millis(50);

/// Time passes while this thread does something else.
fn block() {
    let _ = pin!(tokio::time::advance(BLOCKED)).poll(&mut Context::from_waker(Waker::noop()));
}

fn get() -> Sent {
    Request::get("/v2/positions")
        .body(Full::default())
        .expect("valid")
}

fn answer() -> Ready<Answer> {
    ready(Ok(Response::new(Full::default())))
}

/// A client that counts what it is sent.
fn counting(
    sent: &Rc<Cell<u32>>,
) -> impl Service<Sent, Response = Response<Full<Bytes>>, Error = Infallible, Future = Ready<Answer>>
+ Clone
+ use<> {
    let sent = Rc::clone(sent);
    service_fn(move |_: Sent| {
        sent.set(sent.get() + 1);
        answer()
    })
}

/// The reason of a call that is rejected at once.
async fn rejected<S>(service: S) -> Option<Reason>
where
    S: Service<Sent, Error = Error<Infallible>>,
{
    let result = service.oneshot(get()).await;
    let error = result.err()?;
    Some(error.rejection().expect("of a layer").reason())
}

fn wide() -> RateLimitConfig {
    let limit = RateLimitConfig::builder().rate(1_000_000, Duration::from_secs(1));
    limit.burst(1_000_000).build().expect("valid")
}

type Preset = fn(&'static str) -> StackBuilder;

/// Each with how often it reads the clock for the time to the first byte, which begins with the first
/// poll.
const PRESETS: [(&str, Preset, u64); 8] = [
    ("broker", seawall::broker, 0),
    ("order_execution", seawall::order_execution, 0),
    ("market_data", seawall::market_data, 0),
    ("news", seawall::news, 0),
    ("ai_api", seawall::ai_api, 1),
    ("ai_agents", seawall::ai_agents, 1),
    ("database", seawall::database, 0),
    ("api_client", seawall::api_client, 0),
];

/// How often the clock is read until a call has departed, and from then to its end.
async fn readings_of<S>(mut service: S) -> [u64; 2]
where
    S: Service<Sent, Error: std::fmt::Debug>,
{
    // What the first call of a service does once.
    service
        .ready()
        .await
        .expect("ready")
        .call(get())
        .await
        .expect("it succeeds");
    let service = service.ready().await.expect("ready");
    let before = readings();
    let call = service.call(get());
    let departed = readings();
    call.await.expect("it succeeds");
    [departed - before, readings() - departed]
}

#[tokio::test(start_paused = true)]
async fn a_call_reads_the_clock_at_its_arrival_its_departure_and_its_end() {
    for (name, preset, first_byte) in PRESETS {
        let builder = preset(name).rate_limit(wide());
        let client = counting(&Rc::default());
        let policy = Policy::new().describe(Routes::reads_only());
        let generic = ServiceBuilder::new()
            .layer(builder.clone().build_generic(policy).expect("valid"))
            .layer(WrapErrorLayer)
            .service(client.clone());
        // Its deadline stays outside, so that only the rate limit asks for the time.
        assert_eq!(readings_of(generic).await, [1, 0]);
        let stack = builder.build().expect("valid");
        assert_eq!(
            readings_of(stack.layer(client)).await,
            // At the end for telemetry.
            [2, first_byte + 1],
            "{name}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn slow_calls_cost_one_more_at_the_end_alone() {
    let slow = BreakerConfig::builder()
        .slow_rate(0.5, 100)
        .slow_after(BLOCKED);
    let slow = slow.build().expect("valid");
    for (name, preset, first_byte) in PRESETS {
        let builder = preset(name).breaker(slow.clone());
        let client = counting(&Rc::default());
        for builder in [builder.clone(), builder.rate_limit(wide())] {
            let stack = builder.build().expect("valid");
            assert_eq!(
                readings_of(stack.layer(client.clone())).await,
                [2, 2 + first_byte],
                "{name}"
            );
        }
    }
}

/// A function of the user's own that takes its time, once.
#[derive(Clone, Default)]
struct Blocks(Rc<Cell<bool>>);

impl Blocks {
    fn once() -> Self {
        Self(Rc::new(Cell::new(true)))
    }

    fn run(&self) {
        if self.0.take() {
            block();
        }
    }

    fn copier(&self) -> impl Fn(&Sent) -> Option<Sent> + Clone + use<> {
        let blocks = self.clone();
        move |request: &Sent| {
            blocks.run();
            Some(request.clone())
        }
    }

    fn prepare(
        &self,
    ) -> impl Fn(&mut Sent, Attempt) -> Result<(), Error<Infallible>> + Clone + use<> {
        let blocks = self.clone();
        move |_: &mut Sent, _: Attempt| {
            blocks.run();
            Ok(())
        }
    }

    fn key(&self) -> impl for<'a> Fn(&'a Sent) -> Cow<'a, str> + Clone + use<> {
        let blocks = self.clone();
        move |request: &Sent| {
            blocks.run();
            Cow::Borrowed(request.uri().path())
        }
    }
}

/// Describes requests, and takes its time.
#[derive(Clone)]
struct DescribesSlowly;

impl Describe<Sent> for DescribesSlowly {
    fn describe(&self, request: &Sent) -> RequestMeta {
        block();
        Routes::reads_only().describe(request)
    }
}

fn builder() -> StackBuilder {
    seawall::market_data("blocked")
        .deadline(40 * MS)
        .attempt_timeout(30 * MS)
}

#[tokio::test(start_paused = true)]
async fn what_blocks_until_the_deadline_keeps_the_call_from_departing() {
    let expired = Some(Reason::DeadlineExceeded);
    let sent = Rc::default();
    for builder in [builder(), builder().rate_limit(wide())] {
        let stack = builder.build().expect("valid");
        let client = counting(&sent);
        let copies = stack.clone().copy(Blocks::once().copier());
        assert_eq!(rejected(copies.layer(client.clone())).await, expired);
        let prepares = stack.clone().prepare(Blocks::once().prepare());
        assert_eq!(rejected(prepares.layer(client.clone())).await, expired);
        let keyed = stack.clone().breaker_per_key(Blocks::once().key());
        assert_eq!(rejected(keyed.layer(client.clone())).await, expired);
        assert_eq!(sent.take(), 0);
        // The time of a call begins when it was described, and once it was sent it has its result.
        let described = stack.clone().describe(DescribesSlowly);
        assert_eq!(rejected(described.layer(client.clone())).await, None);
        let departs = stack.on_departure(|_: &mut Sent| {
            block();
            Ok::<_, Error<Infallible>>(())
        });
        assert_eq!(rejected(departs.layer(client)).await, None);
        assert_eq!(sent.take(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_has_the_time_of_the_departure() {
    let period = 2 * BLOCKED;
    let limit = Limit::strict(1, period);
    let limit = RateLimitConfig::builder()
        .limit(limit)
        .max_wait(Duration::ZERO);
    let stack = seawall::market_data("limited")
        .rate_limit(limit.build().expect("valid"))
        .build()
        .expect("valid");
    let service = stack
        .copy(Blocks::once().copier())
        .layer(counting(&Rc::default()));
    let arrived = Instant::now();
    assert_eq!(rejected(service.clone()).await, None);
    let departed = Instant::now();
    assert_eq!(departed - arrived, BLOCKED);
    tokio::time::sleep(period - MS).await;
    assert_eq!(rejected(service.clone()).await, Some(Reason::RateLimited));
    tokio::time::sleep(2 * MS).await;
    assert_eq!(rejected(service).await, None);
}

#[tokio::test(start_paused = true)]
async fn what_blocks_before_the_departure_makes_no_call_slow() {
    let breaker = BreakerConfig::builder()
        .slow_rate(1.0, 100)
        .slow_after(BLOCKED / 2);
    let builder = seawall::market_data("slow").breaker(breaker.build().expect("valid"));
    let blocks = |_: Sent| {
        block();
        answer()
    };
    for builder in [builder.clone(), builder.rate_limit(wide())] {
        let stack = builder.build().expect("valid");
        let slow = || {
            let calls = stack.handles().breaker.snapshot().slow_calls;
            calls.expect("judged").slow
        };
        let copies = stack.clone().copy(Blocks::once().copier());
        let prepares = stack.clone().prepare(Blocks::once().prepare());
        assert_eq!(rejected(copies.layer(counting(&Rc::default()))).await, None);
        assert_eq!(
            rejected(prepares.layer(counting(&Rc::default()))).await,
            None
        );
        assert_eq!(slow(), 0);
        assert_eq!(rejected(stack.layer(service_fn(blocks))).await, None);
        assert_eq!(slow(), 1, "the client is slow");
        let keyed = stack.clone().breaker_per_key(Blocks::once().key());
        assert_eq!(rejected(keyed.layer(counting(&Rc::default()))).await, None);
        let handle = keyed.handles().breaker;
        let circuit = handle.get("/v2/positions").expect("it was called");
        assert_eq!(circuit.snapshot().slow_calls.expect("judged").slow, 0);
    }
}

/// A layer by itself, in whatever a stack calls. It must see that a call has expired by now.
fn expires_in_a_bulkhead(after: impl FnOnce()) -> bool {
    let until = Instant::now() + BLOCKED;
    let meta = move |_: &()| RequestMeta::idempotent().with_deadline(until);
    let leaf = service_fn(|()| ready(Ok::<_, Error<Infallible>>(())));
    let mut service = BulkheadLayer::new(
        "alone",
        BulkheadConfig::builder()
            .max_concurrent(1)
            .build()
            .expect("valid"),
    )
    .describe(meta)
    .layer(leaf);
    after();
    let call = pin!(service.call(()));
    let result = call.poll(&mut Context::from_waker(Waker::noop()));
    matches!(result, Poll::Ready(Err(error)) if error.rejection().is_some_and(|rejection| rejection.reason() == Reason::DeadlineExceeded))
}

#[tokio::test(start_paused = true)]
async fn a_layer_within_a_function_or_a_client_reads_for_itself() {
    let seen = Rc::new(Cell::new(0));
    let check = {
        let seen = Rc::clone(&seen);
        move || {
            assert!(expires_in_a_bulkhead(block));
            seen.set(seen.get() + 1);
        }
    };
    let long = Duration::from_secs(3600);
    let stack = seawall::market_data("outer")
        .deadline(2 * long)
        .attempt_timeout(long);
    let stack = stack.rate_limit(wide()).build().expect("valid");
    let [copies, prepares, keys, departs, called] = [(); 5].map(|()| check.clone());
    let stack = stack
        .copy(move |request: &Sent| {
            copies();
            Some(request.clone())
        })
        .prepare(move |_: &mut Sent, _: Attempt| {
            prepares();
            Ok::<_, Error<Infallible>>(())
        })
        .breaker_per_key(move |request: &Sent| {
            keys();
            Cow::Borrowed(request.uri().path())
        })
        .on_departure(move |_: &mut Sent| {
            departs();
            Ok::<_, Error<Infallible>>(())
        });
    let client = service_fn(move |_: Sent| {
        called();
        answer()
    });
    assert_eq!(rejected(stack.layer(client)).await, None);
    assert!(seen.get() >= 5, "{}", seen.get());
}

#[tokio::test(start_paused = true)]
async fn a_stack_within_a_client_has_its_own_arrival() {
    let inner = builder().rate_limit(wide()).build().expect("valid");
    let sent = Rc::default();
    let inner = inner.layer(counting(&sent));
    let within = Rc::clone(&sent);
    let client = service_fn(move |_: Sent| {
        block();
        let start = readings();
        // Called right here, and not where the client is polled.
        let call = inner.clone().call(get());
        assert_eq!(readings() - start, 2);
        assert_eq!(within.get(), 1, "its deadline began when it was called");
        async move {
            call.await.expect("in time");
            answer().await
        }
    });
    let outer = seawall::broker("outer")
        .rate_limit(wide())
        .build()
        .expect("valid");
    assert_eq!(rejected(outer.layer(client)).await, None);
    assert_eq!(sent.get(), 1);
}

#[tokio::test(start_paused = true)]
async fn after_a_panic_nothing_is_shared() {
    let stack = builder().rate_limit(wide()).build().expect("valid");
    let panics = service_fn(|_: Sent| -> Ready<Answer> { panic!("in the client") });
    let mut in_client = stack.clone().layer(panics);
    let mut in_copier = stack
        .copy(|_: &Sent| -> Option<Sent> { panic!("in the copier") })
        .layer(service_fn(|_: Sent| answer()));
    assert!(expires_in_a_bulkhead(|| {
        let panicked = catch_unwind(AssertUnwindSafe(|| drop(in_client.call(get()))));
        assert!(panicked.is_err());
        block();
    }));
    assert!(expires_in_a_bulkhead(|| {
        let panicked = catch_unwind(AssertUnwindSafe(|| drop(in_copier.call(get()))));
        assert!(panicked.is_err());
        block();
    }));
}

/// The same by the clock of the system.
fn block_really() {
    let start = Instant::now();
    while Instant::now() - start < BLOCKED {
        std::hint::spin_loop();
    }
}

#[tokio::test]
async fn in_real_time_a_token_has_the_time_of_the_departure_too() {
    let limit = RateLimitConfig::builder()
        .limit(Limit::strict(1, 2 * BLOCKED))
        .max_wait(20 * BLOCKED);
    let copied = Rc::new(Cell::new(None));
    let at = Rc::clone(&copied);
    let stack = seawall::market_data("real")
        .rate_limit(limit.build().expect("valid"))
        .build()
        .expect("valid")
        .copy(move |request: &Sent| {
            if at.get().is_none() {
                block_really();
                at.set(Some(Instant::now()));
            }
            Some(request.clone())
        });
    let service = stack.layer(service_fn(|_: Sent| answer()));
    assert_eq!(rejected(service.clone()).await, None);
    let copied = copied.get().expect("it may be sent again");
    for periods in 1..3 {
        assert_eq!(rejected(service.clone()).await, None, "it waits");
        assert!(Instant::now() - copied >= periods * 2 * BLOCKED);
    }
}
