//! One circuit per key. Time is paused.

use std::borrow::Cow;
use std::cell::Cell;
use std::future::Future;
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use seawall_breaker::{
    BreakerConfig, BreakerRegistry, CircuitHandle, CircuitState, HalfOpenPolicy, Keyed,
    KeyedBreaker, KeyedBreakerLayer, Permit, Policy,
};
use seawall_core::{
    Classify, Command, Complete, Error, ErrorIsFailure, InstanceHandle, Outcome, Reason, Registry,
    Rejectable, Rejection, Value,
};
use seawall_testkit::alloc;
use seawall_testkit::contract::{
    BoxError, Mock, MockError, MockHandle, PolledFuture, fail_calls, mock,
};
use static_assertions::{assert_impl_all, assert_not_impl_any};
use tokio::time::advance;
use tower_layer::Layer;
use tower_service::Service;

const SECOND: Duration = Duration::from_secs(1);

fn in_a_row(failures: u32) -> BreakerConfig {
    BreakerConfig::builder()
        .consecutive_failures(failures)
        .open_for(10 * SECOND)
        .build()
        .expect("valid")
}

/// The hundreds of a request are its key.
fn hundreds(request: &u32) -> Cow<'_, u32> {
    Cow::Owned(request / 100)
}

type KeyFn = fn(&u32) -> Cow<'_, u32>;
type Subject = KeyedBreaker<Mock, Policy, u32, KeyFn>;

fn layer(failures: u32) -> KeyedBreakerLayer<Policy, u32, KeyFn> {
    KeyedBreakerLayer::new("keyed", in_a_row(failures), hundreds as KeyFn)
}

fn subject(failures: u32) -> (Subject, BreakerRegistry<u32>, MockHandle) {
    let layer = layer(failures);
    let (inner, mock) = mock();
    mock.respond_immediately();
    (layer.layer(inner), layer.handle(), mock)
}

async fn ready(service: &mut Subject) {
    let ready = std::future::poll_fn(|cx| service.poll_ready(cx)).await;
    ready.expect("the inner service is");
}

async fn send<S: Service<u32>>(service: &mut S, request: u32) -> Result<S::Response, S::Error> {
    std::future::poll_fn(|cx| service.poll_ready(cx)).await?;
    service.call(request).await
}

async fn fail<S>(service: &mut S, mock: &MockHandle, request: u32)
where
    S: Service<u32, Response = u32, Error = BoxError>,
{
    mock.script([Err(MockError::Failed(1))]);
    let failed = send(service, request).await.expect_err("scripted");
    assert!(failed.rejection().is_none(), "{failed}");
}

async fn rejected<S>(service: &mut S, request: u32) -> Reason
where
    S: Service<u32, Response = u32, Error = BoxError>,
{
    let error = send(service, request).await.expect_err("rejected");
    error.rejection().expect("a rejection").reason()
}

#[tokio::test(start_paused = true)]
async fn each_key_has_a_circuit_of_its_own() {
    let (mut service, keys, mock) = subject(2);
    for _ in 0..2 {
        fail(&mut service, &mock, 100).await;
        assert_eq!(send(&mut service, 200).await.expect("well"), 200);
    }
    assert_eq!(rejected(&mut service, 101).await, Reason::CircuitOpen);
    assert_eq!(send(&mut service, 201).await.expect("well"), 201);
    assert_eq!(keys.open_keys(), [(1, CircuitState::Open)]);
    assert_eq!(
        (keys.len(), keys.circuit(&2).state()),
        (2, CircuitState::Closed)
    );
}

#[tokio::test(start_paused = true)]
async fn an_open_circuit_probes_and_closes() {
    let (mut service, keys, mock) = subject(1);
    fail(&mut service, &mock, 100).await;
    let one = keys.get(&1).expect("there");
    assert_eq!(one.snapshot().probes_in, Some(10 * SECOND));
    advance(10 * SECOND).await;
    send(&mut service, 100).await.expect("a probe");
    assert_eq!(one.state(), CircuitState::Closed);
    assert_eq!(
        one.snapshot().last().map(|t| t.cause.as_str()),
        Some("probes_succeeded")
    );
}

#[tokio::test(start_paused = true)]
async fn an_open_circuit_is_not_evicted_before_it_could_be_probed_and_the_excess_is_reported() {
    let (mut service, keys, mock) = subject(1);
    keys.set_max_keys(4);
    for key in 1..=6 {
        fail(&mut service, &mock, 100 * key).await;
    }
    assert_eq!(
        (keys.len(), keys.over_capacity(), keys.snapshot().evicted),
        (6, 2, 0)
    );
    for key in 7..1_000 {
        send(&mut service, 100 * key).await.expect("closed");
    }
    let mut open: Vec<u32> = keys.open_keys().into_iter().map(|(key, _)| key).collect();
    open.sort_unstable();
    assert_eq!(open, [1, 2, 3, 4, 5, 6]);
    assert!(keys.len() <= 7, "{}", keys.len());
    // Once they are closed, the bound is reached again.
    keys.reset();
    for key in 2_000..2_010 {
        send(&mut service, 100 * key).await.expect("closed");
    }
    assert_eq!((keys.len(), keys.over_capacity()), (4, 0));
}

/// Open for ten seconds, and for as long again in which a call could probe.
#[tokio::test(start_paused = true)]
async fn an_open_circuit_whose_key_never_returns_is_evicted_in_the_end() {
    let (mut service, keys, mock) = subject(1);
    keys.set_max_keys(4);
    for key in 1..=100 {
        fail(&mut service, &mock, 100 * key).await;
    }
    assert_eq!((keys.len(), keys.over_capacity()), (100, 96));
    advance(19 * SECOND).await;
    for key in 1_000..1_100 {
        send(&mut service, 100 * key).await.expect("closed");
    }
    assert_eq!(keys.open_keys().len(), 100);
    advance(SECOND).await;
    for key in 2_000..2_200 {
        send(&mut service, 100 * key).await.expect("closed");
    }
    assert!(keys.open_keys().is_empty(), "{:?}", keys.open_keys());
    assert_eq!((keys.len(), keys.over_capacity()), (4, 0));
    assert_eq!(keys.counts().failure, 100, "what they counted stays");
}

#[tokio::test(start_paused = true)]
async fn the_wait_that_the_upstream_named_is_part_of_the_open_time() {
    let keys: BreakerRegistry<u32> = BreakerRegistry::new("asked", in_a_row(1));
    keys.set_max_keys(1);
    let mut permit = keys.circuit(&1).try_admit().expect("closed");
    permit.delay_probe(600 * SECOND);
    permit.complete(Outcome::Failure(seawall_core::FailureKind::Overloaded));
    advance(609 * SECOND).await;
    for key in 10..100 {
        keys.circuit(&key);
    }
    assert_eq!(keys.open_keys(), [(1, CircuitState::Open)]);
    advance(SECOND).await;
    for key in 10..100 {
        keys.circuit(&key);
    }
    assert!(keys.get(&1).is_none());
}

#[tokio::test(start_paused = true)]
async fn a_half_open_circuit_whose_key_never_returns_is_evicted_in_the_end() {
    let keys: BreakerRegistry<u32> = BreakerRegistry::new("half", in_a_row(1));
    keys.set_max_keys(1);
    keys.circuit(&1).force_open();
    keys.circuit(&1).automatic();
    let probe = keys.circuit(&1).try_admit().expect("the probe");
    advance(100 * SECOND).await;
    for key in 10..100 {
        keys.circuit(&key);
    }
    assert!(keys.get(&1).is_some(), "its probe is in flight");
    drop(probe);
    for key in 10..100 {
        keys.circuit(&key);
    }
    assert!(keys.get(&1).is_none());
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_forced_open_for_a_time_is_evicted_after_it() {
    let keys: BreakerRegistry<u32> = BreakerRegistry::new("forced", in_a_row(1));
    keys.set_max_keys(1);
    keys.circuit(&1).force_open_for(60 * SECOND);
    keys.circuit(&2).force_open();
    advance(69 * SECOND).await;
    for key in 10..100 {
        keys.circuit(&key);
    }
    assert!(keys.get(&1).is_some() && keys.get(&2).is_some());
    advance(SECOND).await;
    for key in 10..100 {
        keys.circuit(&key);
    }
    assert!(keys.get(&1).is_none());
    assert!(keys.get(&2).is_some(), "until it is taken back");
}

#[tokio::test(start_paused = true)]
async fn a_circuit_under_manual_control_is_never_evicted() {
    let (mut service, keys, _mock) = subject(1);
    keys.set_max_keys(1);
    keys.circuit(&1).force_open();
    keys.circuit(&2).force_closed();
    for key in 10..100 {
        send(&mut service, 100 * key).await.expect("closed");
    }
    assert_eq!(keys.circuit(&1).state(), CircuitState::ForcedOpen);
    assert_eq!(keys.circuit(&2).state(), CircuitState::ForcedClosed);
}

#[tokio::test(start_paused = true)]
async fn what_evicted_circuits_counted_stays_in_the_totals() {
    let (mut service, keys, mock) = subject(2);
    keys.set_max_keys(8);
    for key in 1..=500 {
        fail(&mut service, &mock, 100 * key).await;
        send(&mut service, 100 * key).await.expect("well");
        ready(&mut service).await;
        drop(service.call(100 * key));
    }
    let totals = keys.counts();
    assert_eq!(
        (totals.success, totals.failure, totals.abandoned),
        (500, 500, 500)
    );
    assert_eq!((keys.len(), keys.snapshot().evicted), (8, 492));
}

#[tokio::test(start_paused = true)]
async fn a_call_in_flight_keeps_its_circuit_and_votes_in_it() {
    let (mut service, keys, mock) = subject(1);
    keys.set_max_keys(1);
    mock.hold_responses();
    ready(&mut service).await;
    let slow = service.call(100);
    mock.respond_immediately();
    for key in 2..100 {
        send(&mut service, 100 * key).await.expect("closed");
    }
    mock.respond(0, Err(MockError::Failed(1)));
    slow.await.expect_err("failed");
    assert_eq!(rejected(&mut service, 100).await, Reason::CircuitOpen);
}

#[tokio::test(start_paused = true)]
async fn a_circuit_that_remembers_a_failure_outlives_circuits_that_do_not() {
    let (mut service, keys, mock) = subject(2);
    keys.set_max_keys(8);
    fail(&mut service, &mock, 100).await;
    for key in 2..200 {
        send(&mut service, 100 * key).await.expect("closed");
    }
    fail(&mut service, &mock, 100).await;
    assert_eq!(keys.circuit(&1).state(), CircuitState::Open);
}

/// Names as long as those of hosts are; the names themselves are not counted.
#[test]
fn a_hundred_thousand_keys_take_at_most_640_bytes_each() {
    const KEYS: usize = 100_000;
    // What an allocator keeps beside each block.
    const BLOCK: i64 = 16;
    let config = BreakerConfig::builder()
        .failure_rate(0.5, 100)
        .build()
        .expect("valid");
    let keys: BreakerRegistry<u64> = BreakerRegistry::new("memory", config);
    keys.set_max_keys(KEYS);
    let took = allocation_counter::measure(|| {
        for key in 0..KEYS as u64 {
            drop(keys.circuit(&key));
        }
    });
    assert_eq!((keys.len(), keys.snapshot().evicted), (KEYS, 0));
    let each = (took.bytes_current + BLOCK * took.count_current) / KEYS as i64;
    println!(
        "{each} bytes per key, {} blocks; by own estimate {}",
        took.count_current,
        keys.snapshot().memory / KEYS
    );
    assert!(each <= 640, "{each} bytes per key");
    let estimate = (keys.snapshot().memory / KEYS) as i64;
    assert!(
        (each * 8 / 10..=each * 12 / 10).contains(&estimate),
        "{estimate} is reported, {each} are taken"
    );
}

/// Of keys that have opened, with all that they keep: counters, transitions, a half-open state.
#[test]
fn the_memory_that_is_reported_is_what_open_and_half_open_keys_take() {
    const KEYS: usize = 10_000;
    const BLOCK: i64 = 16;
    let config = BreakerConfig::builder()
        .failure_rate(0.5, 100)
        .min_calls(1)
        .slow_after(SECOND)
        .slow_rate_over(0.5, 60 * SECOND)
        .open_for(Duration::from_millis(1));
    let keys: BreakerRegistry<u64> =
        BreakerRegistry::new("open_memory", config.build().expect("valid"));
    keys.set_max_keys(KEYS);
    let failed = Outcome::Failure(seawall_core::FailureKind::Other);
    let took = allocation_counter::measure(|| {
        for key in 0..KEYS as u64 {
            let circuit = keys.circuit(&key);
            circuit.try_admit().expect("closed").complete(failed);
            circuit.force_open();
            circuit.automatic();
        }
    });
    assert_eq!(keys.snapshot().half_open, KEYS);
    let taken = took.bytes_current + BLOCK * took.count_current;
    let reported = keys.snapshot().memory as i64;
    println!("{} bytes per key", taken / KEYS as i64);
    assert!(
        (taken * 9 / 10..=taken * 11 / 10).contains(&reported),
        "{reported} is reported, {taken} are taken"
    );
}

/// Responds at once with the length of the request.
#[derive(Clone)]
struct Len;

impl Service<&'static str> for Len {
    type Response = usize;
    type Error = Error<()>;
    type Future = std::future::Ready<Result<usize, Error<()>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error<()>>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: &'static str) -> Self::Future {
        std::future::ready(Ok(request.len()))
    }
}

fn at_once<F: Future>(future: F) -> F::Output {
    match std::pin::pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("it waits"),
    }
}

#[test]
fn a_call_of_a_known_key_allocates_nothing() {
    let hosts = KeyedBreakerLayer::new("hosts", in_a_row(1), |host: &&'static str| {
        Cow::Borrowed(*host)
    });
    let mut service = hosts.layer(Len);
    assert_eq!(at_once(service.call("api.example.com")), Ok(15));
    let counts = alloc::count(|| {
        for _ in 0..10 {
            assert_eq!(at_once(service.call("api.example.com")), Ok(15));
        }
    });
    assert_eq!((counts.allocations, counts.left), (0, 0));
    hosts.handle().circuit("api.example.com").force_open();
    let counts = alloc::count(|| at_once(service.call("api.example.com")).is_err());
    assert_eq!(
        counts.allocations, 0,
        "a rejection allocates nothing either"
    );
}

#[tokio::test(start_paused = true)]
async fn a_rejected_call_gives_up_what_the_inner_service_had_reserved() {
    let (mut service, keys, mock) = subject(1);
    mock.set_capacity(1);
    let mut other = service.clone();
    keys.circuit(&1).force_open();
    assert_eq!(rejected(&mut service, 100).await, Reason::CircuitOpen);
    // The only reservation is free, though the rejected instance lives on.
    let sent = tokio::time::timeout(SECOND, send(&mut other, 200)).await;
    assert_eq!(sent.expect("there is a reservation").expect("well"), 200);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_never_polled_is_abandoned_and_a_probe_gives_its_slot_back() {
    let (mut service, keys, mock) = subject(1);
    fail(&mut service, &mock, 100).await;
    advance(10 * SECOND).await;
    ready(&mut service).await;
    let probe = service.call(100);
    assert_eq!(keys.circuit(&1).state(), CircuitState::HalfOpen);
    assert_eq!(rejected(&mut service, 100).await, Reason::CircuitOpen);
    drop(probe);
    send(&mut service, 100).await.expect("the next probe");
    assert_eq!(keys.counts().abandoned, 1);
}

#[tokio::test(start_paused = true)]
async fn a_result_from_before_a_transition_does_not_vote() {
    let (mut service, keys, mock) = subject(1);
    mock.hold_responses();
    ready(&mut service).await;
    let old = service.call(100);
    keys.circuit(&1).reset();
    keys.circuit(&1).force_open();
    keys.circuit(&1).reset();
    mock.respond(0, Err(MockError::Failed(1)));
    old.await.expect_err("failed");
    assert_eq!(
        (keys.circuit(&1).state(), keys.counts().late),
        (CircuitState::Closed, 1)
    );
}

fn waits(max_wait: Duration) -> (Subject, BreakerRegistry<u32>, MockHandle) {
    let config = BreakerConfig::builder()
        .consecutive_failures(1)
        .successes_to_close(1)
        .open_for(10 * SECOND)
        .half_open_policy(HalfOpenPolicy::Wait { max_wait })
        .build()
        .expect("valid");
    let layer = KeyedBreakerLayer::new("waiting", config, hundreds as KeyFn);
    let (inner, mock) = mock();
    mock.respond_immediately();
    (layer.layer(inner), layer.handle(), mock)
}

/// A probe of key 1 in flight (the second call of the mock), and a call that waits for it.
async fn probe_and_waiting(
    service: &mut Subject,
    mock: &MockHandle,
) -> [PolledFuture<<Subject as Service<u32>>::Future>; 2] {
    fail(service, mock, 100).await;
    advance(10 * SECOND).await;
    mock.hold_responses();
    [100, 101].map(|request| {
        let ready = service.poll_ready(&mut Context::from_waker(Waker::noop()));
        assert!(ready.is_ready());
        let mut call = PolledFuture::new(service.call(request));
        assert!(call.poll().is_pending());
        call
    })
}

#[tokio::test(start_paused = true)]
async fn a_call_that_may_wait_for_probes_passes_when_they_have_succeeded() {
    let (mut service, keys, mock) = waits(5 * SECOND);
    let [mut probe, mut waiting] = probe_and_waiting(&mut service, &mock).await;
    assert_eq!(mock.calls(), 2, "one waits");
    mock.respond(1, Ok(()));
    assert!(matches!(probe.poll(), Poll::Ready(Ok(100))));
    assert!(waiting.wakes() > 0);
    assert!(waiting.poll().is_pending(), "it is sent now");
    assert_eq!(mock.calls(), 3);
    mock.respond(2, Ok(()));
    assert!(matches!(waiting.poll(), Poll::Ready(Ok(101))));
    assert_eq!(keys.counts().success, 2);
    assert_eq!(mock.violations(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_call_that_waits_for_probes_is_rejected_when_they_fail_or_take_too_long() {
    let (mut service, keys, mock) = waits(5 * SECOND);
    let [mut probe, mut waiting] = probe_and_waiting(&mut service, &mock).await;
    mock.respond(1, Err(MockError::Failed(1)));
    assert!(matches!(probe.poll(), Poll::Ready(Err(_))));
    assert!(waiting.wakes() > 0);
    let Poll::Ready(Err(error)) = waiting.poll() else {
        panic!("it goes on waiting");
    };
    let reason = error.rejection().map(Rejection::reason);
    assert_eq!(reason, Some(Reason::CircuitOpen));
    drop((probe, waiting));

    keys.reset();
    let (mut service, keys, mock) = waits(5 * SECOND);
    let [_probe, mut waiting] = probe_and_waiting(&mut service, &mock).await;
    tokio::time::sleep(5 * SECOND).await;
    assert!(matches!(waiting.poll(), Poll::Ready(Err(_))));
    assert_eq!((mock.calls(), keys.counts().rejected), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_dropped_while_it_waits_for_probes_has_changed_nothing() {
    let (mut service, keys, mock) = waits(5 * SECOND);
    let [mut probe, waiting] = probe_and_waiting(&mut service, &mock).await;
    drop(waiting);
    mock.respond(1, Ok(()));
    assert!(matches!(probe.poll(), Poll::Ready(Ok(100))));
    let totals = keys.counts();
    assert_eq!((totals.abandoned, totals.rejected, mock.calls()), (0, 0, 2));
    assert_eq!(keys.circuit(&1).state(), CircuitState::Closed);
}

#[tokio::test(start_paused = true)]
async fn other_settings_reach_present_and_future_circuits() {
    let (mut service, keys, mock) = subject(5);
    fail(&mut service, &mock, 100).await;
    keys.configure(in_a_row(2)).expect("valid");
    assert_eq!(keys.config().consecutive_failures(), Some(2));
    fail(&mut service, &mock, 100).await;
    assert_eq!(
        keys.circuit(&1).state(),
        CircuitState::Open,
        "one before, one after"
    );
    fail(&mut service, &mock, 200).await;
    fail(&mut service, &mock, 200).await;
    assert_eq!(keys.circuit(&2).state(), CircuitState::Open);
}

thread_local!(static MEDDLE: Cell<Option<BreakerRegistry<Meddler>>> = const { Cell::new(None) });

/// A key that changes the settings when it is copied, which is when its circuit has been made and
/// is not in the map yet.
#[derive(PartialEq, Eq, Hash)]
struct Meddler;

impl Clone for Meddler {
    fn clone(&self) -> Self {
        if let Some(keys) = MEDDLE.take() {
            keys.configure(in_a_row(7)).expect("valid");
        }
        Self
    }
}

#[test]
fn a_circuit_that_is_made_while_settings_change_has_the_new_ones() {
    let keys: BreakerRegistry<Meddler> = BreakerRegistry::new("meddler", in_a_row(1));
    MEDDLE.set(Some(keys.clone()));
    let made = keys.circuit(&Meddler);
    assert_eq!(made.config().consecutive_failures(), Some(7));
}

#[tokio::test(start_paused = true)]
async fn the_handle_of_a_key_controls_and_calls_as_that_of_a_breaker() {
    let breakers: BreakerRegistry = BreakerRegistry::new("control", in_a_row(1));
    let data = breakers.circuit("data");
    let changed = data.state_change();
    data.force_open_for(SECOND);
    assert_eq!(changed.await.to, CircuitState::ForcedOpen);
    let rejected = data.try_admit().expect_err("forced open");
    assert_eq!(rejected.retry_after(), Some(SECOND));
    assert!(data.explain().to_string().starts_with("forced_open"));
    data.automatic();
    assert_eq!(data.state(), CircuitState::HalfOpen);
    let permit = data.admit().await.expect("a probe");
    assert!(permit.is_probe());
    permit.complete(Outcome::Success);
    assert_eq!(data.state(), CircuitState::Closed);
    let classify = |result: Result<&u32, &()>| match result {
        Ok(7) => Outcome::Success,
        _ => Outcome::Ignored,
    };
    assert_eq!(
        data.call_with(classify, async { Err(()) }).await,
        Err(Error::Inner(()))
    );
    assert_eq!(
        (data.state(), breakers.counts().abstained),
        (CircuitState::Closed, 1)
    );
    let fails = data.wrap(|n: u32| async move { Err::<(), _>(n) });
    assert_eq!(fails(3).await, Err(Error::Inner(3)));
    assert_eq!(data.state(), CircuitState::Open);
    data.force_closed();
    assert_eq!(fails(4).await, Err(Error::Inner(4)));
    assert_eq!(data.config(), breakers.config());
}

/// A key whose hashing fails now and then.
#[derive(Clone, PartialEq, Eq)]
struct Fragile(u32);

thread_local!(static FRAGILE: Cell<bool> = const { Cell::new(false) });

impl Hash for Fragile {
    fn hash<H: Hasher>(&self, state: &mut H) {
        assert!(!FRAGILE.get(), "fragile");
        self.0.hash(state);
    }
}

#[tokio::test(start_paused = true)]
async fn panics_of_extract_hash_classifier_and_listener_leave_nothing_behind() {
    let bad: Rc<Cell<&str>> = Rc::new(Cell::new(""));
    let (in_extract, in_classify) = (Rc::clone(&bad), Rc::clone(&bad));
    let layer = KeyedBreakerLayer::new("fragile", in_a_row(1), move |request: &u32| {
        assert_ne!(in_extract.get(), "extract");
        Cow::<Fragile>::Owned(Fragile(*request))
    })
    .classify(move |result: Result<&u32, &BoxError>| {
        assert_ne!(in_classify.get(), "classify");
        ErrorIsFailure.classify(result)
    });
    let keys = layer.handle();
    keys.on_transition(|_, _| panic!("listener"));
    let (inner, mock) = mock();
    mock.respond_immediately();
    let mut service = layer.layer(inner);
    for stage in ["extract", "hash", "classify"] {
        bad.set(stage);
        FRAGILE.set(stage == "hash");
        let sent = catch_unwind(AssertUnwindSafe(|| {
            let ready = service.poll_ready(&mut Context::from_waker(Waker::noop()));
            assert!(ready.is_ready());
            at_once(service.call(1))
        }));
        assert!(sent.is_err(), "{stage}");
        bad.set("");
        FRAGILE.set(false);
        assert_eq!(send(&mut service, 1).await.expect(stage), 1);
    }
    assert_eq!((keys.counts().success, keys.counts().abandoned), (3, 1));
    // A listener's panic neither keeps the circuit from opening nor reaches the call.
    fail(&mut service, &mock, 1).await;
    assert_eq!(keys.circuit(&Fragile(1)).state(), CircuitState::Open);
    assert_eq!(keys.snapshot().listener_panics, 1);
}

#[tokio::test(start_paused = true)]
async fn listeners_get_the_key_and_may_call_back() {
    let (mut service, keys, mock) = subject(1);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (log, again) = (Arc::clone(&seen), keys.clone());
    keys.on_transition(move |key, transition| {
        let state = again.circuit(key).state();
        again.circuit(&(key + 1_000));
        log.lock()
            .unwrap()
            .push((*key, transition.from, transition.to, state));
    });
    fail(&mut service, &mock, 300).await;
    keys.circuit(&3).reset();
    assert_eq!(
        *seen.lock().unwrap(),
        [
            (
                3,
                CircuitState::Closed,
                CircuitState::Open,
                CircuitState::Open
            ),
            (
                3,
                CircuitState::Open,
                CircuitState::Closed,
                CircuitState::Closed
            ),
        ]
    );
}

#[derive(Clone, Default)]
struct Nothing;

impl Hasher for Nothing {
    fn finish(&self) -> u64 {
        0
    }
    fn write(&mut self, _: &[u8]) {}
}

#[tokio::test(start_paused = true)]
async fn keys_of_the_same_hash_have_circuits_of_their_own() {
    let hasher = BuildHasherDefault::<Nothing>::default();
    let keys: BreakerRegistry<u32, _> =
        BreakerRegistry::with_hasher("colliding", in_a_row(1), hasher);
    let (inner, mock) = mock();
    mock.respond_immediately();
    let mut service = keys.layer(hundreds as KeyFn).layer(inner);
    for key in 1..10 {
        send(&mut service, 100 * key).await.expect("well");
    }
    fail(&mut service, &mock, 500).await;
    assert_eq!(keys.open_keys(), [(5, CircuitState::Open)]);
    assert_eq!(keys.len(), 9);
}

#[tokio::test(start_paused = true)]
async fn the_registry_sees_sums_over_all_keys() {
    let (mut service, keys, mock) = subject(1);
    keys.set_max_keys(2);
    let registry = Registry::new("upstream");
    registry.register(keys.clone()).expect("the first");
    let read = |metric: &str, labels: &[(&str, &str)]| {
        let all = registry.snapshot().remove(0);
        all.samples
            .iter()
            .find(|s| s.metric == metric && s.labels == labels)
            .map(|s| s.value.clone())
            .unwrap_or_else(|| panic!("no {metric} {labels:?} in {:?}", all.samples))
    };
    let open = [("state", "open")];
    assert_eq!(read("seawall_breaker_keys", &open), Value::Gauge(0.0));
    fail(&mut service, &mock, 100).await;
    for key in 2..12 {
        send(&mut service, 100 * key).await.expect("well");
    }
    rejected(&mut service, 100).await;
    assert_eq!(read("seawall_breaker_keys", &open), Value::Gauge(1.0));
    assert_eq!(
        read("seawall_breaker_keys", &[("state", "closed")]),
        Value::Gauge(1.0)
    );
    assert_eq!(
        read("seawall_breaker_keys_evicted_total", &[]),
        Value::Counter(9)
    );
    assert_eq!(
        read("seawall_breaker_keys_over_capacity", &[]),
        Value::Gauge(0.0)
    );
    let calls = |outcome| {
        read(
            "seawall_calls_total",
            &[("layer", "breaker"), ("outcome", outcome)],
        )
    };
    assert_eq!(
        (calls("success"), calls("failure")),
        (Value::Counter(10), Value::Counter(1))
    );
    let reasons = [("layer", "breaker"), ("reason", "circuit_open")];
    assert_eq!(
        read("seawall_rejections_total", &reasons),
        Value::Counter(1)
    );
    assert_eq!(registry.snapshot()[0].state, "open");
    let component = registry.get("breaker", "keyed").expect("there");
    component.control(Command::Reset).expect("known");
    assert_eq!(read("seawall_breaker_keys", &open), Value::Gauge(0.0));
    assert_eq!(registry.snapshot()[0].state, "closed");
    component.control(Command::Block).expect("known");
    assert_eq!(read("seawall_breaker_keys", &open), Value::Gauge(2.0));
    component.control(Command::Bypass).expect("known");
    assert_eq!(read("seawall_breaker_keys", &open), Value::Gauge(0.0));
}

#[tokio::test(start_paused = true)]
async fn a_command_to_all_keys_holds_for_new_keys_until_it_is_taken_back() {
    let breakers: BreakerRegistry = BreakerRegistry::new("blocked", in_a_row(1));
    let there = breakers.circuit("there");
    breakers.force_open();
    let later = breakers.circuit("later");
    for circuit in [&there, &later] {
        assert_eq!(circuit.state(), CircuitState::ForcedOpen);
        assert!(circuit.try_admit().is_err());
    }
    breakers.force_closed();
    assert_eq!(breakers.circuit("last").state(), CircuitState::ForcedClosed);
    let _ = later.call(async { Err::<(), _>("down") }).await;
    assert_eq!(later.state(), CircuitState::ForcedClosed);
    breakers.automatic();
    for key in ["there", "later", "last", "new"] {
        assert_eq!(breakers.circuit(key).state(), CircuitState::Closed);
    }
    breakers.force_open();
    breakers.reset();
    assert!(breakers.open_keys().is_empty());
    assert_eq!(breakers.circuit("newest").state(), CircuitState::Closed);
    assert_eq!(breakers.counts().failure, 1, "counters stay");
}

#[tokio::test(start_paused = true)]
async fn keys_that_come_while_all_are_blocked_are_evicted_beyond_the_bound() {
    let breakers: BreakerRegistry<u32> = BreakerRegistry::new("bounded", in_a_row(1));
    breakers.set_max_keys(10);
    breakers.force_open();
    for key in 0..1_000 {
        assert!(breakers.circuit(&key).try_admit().is_err());
    }
    assert_eq!((breakers.len(), breakers.over_capacity()), (10, 0));
    let one = breakers.circuit(&1);
    breakers.reset();
    one.force_open();
    for key in 0..1_000 {
        breakers.circuit(&key);
    }
    assert_eq!(one.state(), CircuitState::ForcedOpen, "of that key alone");
}

#[tokio::test(start_paused = true)]
async fn the_snapshot_of_all_keys_has_their_sums_and_the_worst_state() {
    let breakers: BreakerRegistry = BreakerRegistry::new("summed", in_a_row(1));
    assert_eq!(breakers.snapshot().state, CircuitState::Closed);
    let _ = breakers.call("down", async { Err::<(), _>("down") }).await;
    let _ = breakers.call("up", async { Ok::<_, ()>(1) }).await;
    let snapshot = breakers.snapshot();
    assert_eq!(snapshot.name.as_str(), "summed");
    assert_eq!(
        (
            snapshot.state,
            snapshot.keys,
            snapshot.open,
            snapshot.closed
        ),
        (CircuitState::Open, 2, 1, 1)
    );
    assert_eq!(snapshot.counts, breakers.counts());
    assert_eq!((snapshot.counts.success, snapshot.counts.opened), (1, 1));
    advance(10 * SECOND).await;
    let probe = breakers.circuit("down").try_admit().expect("a probe");
    assert_eq!(breakers.snapshot().state, CircuitState::HalfOpen);
    probe.complete(Outcome::Success);
    assert_eq!(breakers.snapshot(), breakers.clone().snapshot());
}

#[tokio::test(start_paused = true)]
async fn a_named_breaker_guards_any_future() {
    let breakers: BreakerRegistry = BreakerRegistry::new("jobs", in_a_row(1));
    let failed = breakers.call("data", async { Err::<(), _>("down") }).await;
    assert_eq!(failed, Err(Error::Inner("down")));
    let rejected = breakers.call("data", async { Ok::<_, &str>(1) }).await;
    let rejected = rejected.expect_err("open");
    assert_eq!(
        rejected.rejection().map(Rejection::reason),
        Some(Reason::CircuitOpen)
    );
    assert_eq!(
        breakers.call("orders", async { Ok::<_, &str>(2) }).await,
        Ok(2)
    );
    let mut names = breakers.keys();
    names.sort();
    assert_eq!(names, ["data", "orders"]);
    assert!(breakers.get("unknown").is_none());
    // Dropped in the middle: abandoned.
    let mut hangs =
        PolledFuture::new(breakers.call("orders", std::future::pending::<Result<(), ()>>()));
    assert!(hangs.poll().is_pending());
    drop(hangs);
    assert_eq!(breakers.counts().abandoned, 1);
}

#[tokio::test(start_paused = true)]
async fn a_handle_outlives_the_layer_and_keeps_its_circuit() {
    let layer = layer(1);
    let keys = layer.handle();
    keys.set_max_keys(1);
    let one = keys.circuit(&1);
    for key in 2..50 {
        keys.circuit(&key);
    }
    one.force_open();
    assert_eq!(keys.circuit(&1).state(), CircuitState::ForcedOpen);
    drop((layer, keys));
    one.reset();
    assert_eq!((one.state(), *one.key()), (CircuitState::Closed, 1));
}

#[test]
fn threads_that_share_keys_lose_no_call() {
    const CALLS: u64 = 5_000;
    let hosts = KeyedBreakerLayer::new("threads", in_a_row(1), |host: &&'static str| {
        Cow::Borrowed(*host)
    })
    .max_keys(2);
    let service = hosts.layer(Len);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let mut service = service.clone();
            scope.spawn(move || {
                let keys = ["a", "bb", "ccc", "dddd", "eeeee"];
                for call in 0..CALLS as usize {
                    let key = keys[(call * (thread + 1)) % keys.len()];
                    assert_eq!(at_once(service.call(key)), Ok(key.len()));
                }
            });
        }
    });
    assert_eq!(hosts.handle().counts().success, 4 * CALLS);
}

#[test]
fn auto_traits_depend_on_the_parts_alone() {
    assert_impl_all!(BreakerRegistry: Clone, Send, Sync, Unpin, std::fmt::Debug);
    assert_impl_all!(CircuitHandle<Keyed<str>>: Clone, Send, Sync, Unpin, std::fmt::Debug);
    assert_impl_all!(Permit<Keyed<str>>: Send, Sync, Unpin);
    assert_impl_all!(KeyedBreaker<Len, Policy, str, fn(&u32) -> Cow<'_, str>>: Clone, Send, Sync, Unpin);
    assert_not_impl_any!(KeyedBreaker<Rc<()>, Policy, str, fn(&u32) -> Cow<'_, str>>: Send);
    type Fut<S> = <KeyedBreaker<S, Policy, str, ByName> as Service<&'static str>>::Future;
    type ByName = for<'a> fn(&'a &'static str) -> Cow<'a, str>;
    assert_impl_all!(Fut<Len>: Send, Sync, Unpin);
    assert_not_impl_any!(Fut<Local>: Send);
}

/// A service that stays on its thread.
#[derive(Clone)]
struct Local(Rc<()>);

impl Service<&'static str> for Local {
    type Response = usize;
    type Error = Error<()>;
    type Future = std::future::Ready<Result<usize, Error<()>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error<()>>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: &'static str) -> Self::Future {
        std::future::ready(Ok(request.len() + Rc::strong_count(&self.0)))
    }
}

#[test]
fn a_service_that_stays_on_its_thread_can_be_guarded() {
    let hosts = KeyedBreakerLayer::new("local", in_a_row(1), |host: &&'static str| {
        Cow::Borrowed(*host)
    });
    let mut service = hosts.layer(Local(Rc::new(())));
    assert_eq!(at_once(service.call("a")), Ok(2));
}

mod contract {
    use super::*;

    fn one_for_all() -> KeyedBreakerLayer<Policy, u32, KeyFn> {
        KeyedBreakerLayer::new("contract", in_a_row(5), (|_| Cow::Owned(1)) as KeyFn)
    }

    fn subject(inner: Mock) -> Subject {
        one_for_all().layer(inner)
    }

    fn two(a: Mock, b: Mock) -> (Subject, Subject) {
        let layer = one_for_all();
        let copy = layer.clone();
        (layer.layer(a), copy.layer(b))
    }

    async fn trip(subject: &mut Subject, mock: &MockHandle) {
        fail_calls(subject, mock, 5).await;
    }

    seawall_testkit::contract_tests! { subject => all }

    seawall_testkit::contract_tests! { subject, trip => rejects_in_call, clones_share_state }

    seawall_testkit::contract_tests! { two, trip => services_of_one_layer_share_state }
}

#[tokio::test(start_paused = true)]
async fn a_command_to_one_key_is_none_to_the_registry() {
    let registry = BreakerRegistry::<str>::new("one of keys", BreakerConfig::default());
    let untouched = registry.operated();
    registry.circuit("a").force_open();
    assert_eq!(registry.operated(), untouched);
    registry.force_open();
    assert_ne!(registry.operated(), untouched);
}
