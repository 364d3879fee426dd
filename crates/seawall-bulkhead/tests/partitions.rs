//! What a partitioned bulkhead promises: shares, fairness, and the contract of every layer.

use std::collections::BTreeMap;
use std::future::{Ready, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use proptest::prelude::*;
use seawall_bulkhead::BulkheadState;
use seawall_bulkhead::partitions::{
    KeyFn, PartitionConfig, PartitionConfigBuilder, PartitionHandle, PartitionPermit,
    PartitionShare, PartitionedBulkhead, PartitionedBulkheadLayer,
};
use seawall_core::{
    Command, Error, ErrorIsFailure, InstanceHandle, Outcome, PartitionKey, Policy, Reason,
    Registry, Rejectable, Replay, RequestMeta, TrackCompletion,
};
use seawall_testkit::alloc;
use seawall_testkit::contract::{
    BoxError, Mock, MockHandle, PolledFuture, Stage, assert_check, checks, hold_call, mock,
};
use static_assertions::assert_impl_all;
use tower_layer::Layer;
use tower_service::Service;

const SECOND: Duration = Duration::from_secs(1);

/// The key of a request: its hundreds.
fn hundreds(request: &u32) -> PartitionKey {
    PartitionKey(u64::from(request / 100))
}

const A: u32 = 100;
const B: u32 = 200;
const C: u32 = 300;

fn key(of: u32) -> PartitionKey {
    hundreds(&of)
}

type ByHundreds = KeyFn<fn(&u32) -> PartitionKey>;
type KeyedPolicy = Policy<ErrorIsFailure, ByHundreds>;
type Keyed = PartitionedBulkhead<Mock, KeyedPolicy>;

fn keyed_layer(config: PartitionConfigBuilder) -> PartitionedBulkheadLayer<KeyedPolicy> {
    let config = config.build().expect("valid settings");
    PartitionedBulkheadLayer::new("pool", config).key_by(hundreds as fn(&u32) -> PartitionKey)
}

fn subject(config: PartitionConfigBuilder) -> (Keyed, PartitionHandle, MockHandle) {
    let (inner, mock) = mock();
    mock.hold_responses();
    let layer = keyed_layer(config);
    (layer.layer(inner), layer.handle(), mock)
}

fn permits(permits: u32) -> PartitionConfigBuilder {
    PartitionConfig::builder().max_concurrent(permits)
}

type Call = PolledFuture<<Keyed as Service<u32>>::Future>;

fn call(svc: &mut Keyed, request: u32) -> Call {
    let cx = &mut Context::from_waker(Waker::noop());
    assert!(svc.poll_ready(cx).is_ready());
    PolledFuture::new(svc.call(request))
}

fn open(svc: &mut Keyed, request: u32) -> Call {
    let mut call = call(svc, request);
    assert!(call.poll().is_pending());
    call
}

fn reason(response: Poll<Result<u32, BoxError>>) -> Reason {
    let Poll::Ready(Err(error)) = response else {
        panic!("{response:?} is no rejection")
    };
    error.rejection().expect("an error of the pool").reason()
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_alone_has_all_permits_up_to_its_bound() {
    let share = PartitionShare::new().max(2).max_waiting(0);
    let (mut svc, handle, mock) = subject(permits(5).share(key(B), share));
    let _all: Vec<_> = (0..3).map(|n| open(&mut svc, A + n)).collect();
    let _most: Vec<_> = (0..2).map(|n| open(&mut svc, B + n)).collect();
    assert_eq!(mock.calls(), 5);
    assert_eq!(handle.in_flight(), 5);
    let (mut other, handle, _mock) = subject(permits(5).share(key(B), share));
    let _most: Vec<_> = (0..2).map(|n| open(&mut other, B + n)).collect();
    assert_eq!(reason(call(&mut other, B).poll()), Reason::BulkheadFull);
    assert_eq!(handle.counts().rejected_full, 1);
    assert_eq!(handle.state(), "ok");
}

#[tokio::test(start_paused = true)]
async fn what_a_named_key_was_guaranteed_is_free_when_it_comes() {
    let config = permits(4).share(key(B), PartitionShare::new().guaranteed(2));
    let (mut svc, handle, mock) = subject(config);
    let greedy: Vec<_> = (0..10).map(|n| open(&mut svc, A + n)).collect();
    assert_eq!((mock.calls(), handle.queue_depth()), (2, 8));
    let _named: Vec<_> = (0..3).map(|n| open(&mut svc, B + n)).collect();
    assert_eq!(mock.requests(), [A, A + 1, B, B + 1]);
    drop(greedy);
    assert_eq!(handle.snapshot().key(key(A)).queue_depth, 0);
    assert_eq!(handle.snapshot().key(key(B)).in_flight, 2);
}

/// Completes `request`, and polls the calls that were woken until none is.
fn finish(mock: &MockHandle, calls: &mut BTreeMap<u32, Call>, request: u32) {
    let at = mock.requests().iter().position(|of| *of == request);
    mock.respond(at.expect("it runs"), Ok(()));
    assert!(calls.remove(&request).expect("it runs").poll().is_ready());
    settle(mock, calls);
}

fn settle(mock: &MockHandle, calls: &mut BTreeMap<u32, Call>) {
    loop {
        let before = mock.calls();
        for call in calls.values_mut() {
            if call.wakes() > 0 {
                assert!(call.poll().is_pending());
            }
        }
        if mock.calls() == before {
            break;
        }
    }
}

fn queued(svc: &mut Keyed, requests: impl IntoIterator<Item = u32>) -> BTreeMap<u32, Call> {
    let requests = requests.into_iter();
    requests
        .map(|request| (request, open(svc, request)))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn the_key_that_has_borrowed_least_is_next_and_within_it_the_first_waiter() {
    let (mut svc, _handle, mock) = subject(permits(4));
    let mut calls = queued(&mut svc, (A..A + 8).chain(B..B + 3).chain(C..C + 1));
    assert_eq!(mock.requests(), [A, A + 1, A + 2, A + 3]);
    for n in 0..4 {
        finish(&mock, &mut calls, A + n);
    }
    // Each of the three has one before any has two; of equals, the one that was served
    // longest ago.
    assert_eq!(mock.requests()[4..], [B, C, A + 4, B + 1]);
    finish(&mock, &mut calls, C);
    assert_eq!(mock.requests()[8..], [A + 5]);
}

#[tokio::test(start_paused = true)]
async fn a_key_of_twice_the_weight_borrows_twice_as_much() {
    let config = permits(6).share(key(B), PartitionShare::new().weight(2));
    let (mut svc, handle, mock) = subject(config);
    let mut calls = queued(&mut svc, (C..C + 6).chain(A..A + 9).chain(B..B + 9));
    for n in 0..6 {
        finish(&mock, &mut calls, C + n);
    }
    let snapshot = handle.snapshot();
    let has = |of| snapshot.key(key(of)).in_flight;
    assert_eq!((has(A), has(B), has(C)), (2, 4, 0));
}

#[tokio::test(start_paused = true)]
async fn a_key_below_its_guarantee_comes_before_keys_that_borrow() {
    // Not named, so nothing is kept for it; but it goes first.
    let config = permits(2)
        .default_share(PartitionShare::new().guaranteed(1))
        .share(key(A), PartitionShare::new());
    let (mut svc, _handle, mock) = subject(config);
    let mut calls = queued(&mut svc, [A, A + 1, A + 2, A + 3, B, C]);
    finish(&mock, &mut calls, A);
    finish(&mock, &mut calls, A + 1);
    assert_eq!(mock.requests(), [A, A + 1, B, C]);
}

#[tokio::test(start_paused = true)]
async fn a_key_without_calls_is_forgotten_and_a_named_one_is_not() {
    let config = permits(4).share(key(C), PartitionShare::new().guaranteed(1));
    let (mut svc, handle, mock) = subject(config);
    let mut calls = queued(&mut svc, [A, B, C, A + 1, A + 2, B + 1]);
    assert_eq!(handle.snapshot().keys.len(), 3);
    for request in [A, B, C] {
        finish(&mock, &mut calls, request);
    }
    calls.clear();
    let keys = handle.snapshot().keys;
    assert_eq!(keys.iter().map(|of| of.key).collect::<Vec<_>>(), [key(C)]);
    assert_eq!((handle.in_flight(), handle.queue_depth()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn services_of_one_layer_share_the_permits() {
    let ((one, first), (two, second)) = (mock(), mock());
    first.hold_responses();
    second.hold_responses();
    let layer = keyed_layer(permits(2));
    let (mut one, mut two) = (layer.layer(one), layer.clone().layer(two));
    let running = (open(&mut one, A), open(&mut two, A + 1));
    let mut waits = open(&mut two, B);
    assert_eq!((first.calls(), second.calls()), (1, 1));
    drop(running.0);
    assert!(waits.wakes() == 1 && waits.poll().is_pending());
    assert_eq!(second.requests(), [A + 1, B]);
}

#[tokio::test(start_paused = true)]
async fn a_wait_ends_with_max_wait_or_the_deadline() {
    let (inner, mock) = mock();
    mock.hold_responses();
    let config = permits(1).max_wait(5 * SECOND).build().unwrap();
    let start = tokio::time::Instant::now();
    let layer = PartitionedBulkheadLayer::new("dated", config).describe(move |request: &u32| {
        let meta = RequestMeta::new(Replay::Never).with_key(hundreds(request));
        let seconds = u64::from(request % 100);
        match seconds {
            0 => meta,
            _ => meta.with_deadline(start + Duration::from_secs(seconds)),
        }
    });
    let mut svc = layer.layer(inner);
    let mut send = |request: u32| {
        let cx = &mut Context::from_waker(Waker::noop());
        assert!(svc.poll_ready(cx).is_ready());
        PolledFuture::new(svc.call(request))
    };
    let mut running = send(A);
    let (mut soon, mut late) = (send(B + 2), send(C));
    for call in [&mut running, &mut soon, &mut late] {
        assert!(call.poll().is_pending());
    }
    tokio::time::advance(2 * SECOND).await;
    assert!(soon.wakes() > 0);
    assert_eq!(reason(soon.poll()), Reason::DeadlineExceeded);
    assert_eq!(reason(send(B + 1).poll()), Reason::DeadlineExceeded);
    tokio::time::advance(3 * SECOND).await;
    assert_eq!(reason(late.poll()), Reason::QueueTimeout);
    let counts = layer.handle().counts();
    assert_eq!((counts.rejected_deadline, counts.rejected_timeout), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn a_waiter_whose_deadline_has_passed_takes_no_permit() {
    let (inner, mock) = mock();
    mock.hold_responses();
    let deadline = tokio::time::Instant::now() + SECOND;
    let layer = keyed_layer(permits(1)).describe(move |request: &u32| {
        let meta = RequestMeta::default().with_key(hundreds(request));
        if *request == B {
            meta.with_deadline(deadline)
        } else {
            meta
        }
    });
    let mut svc = layer.layer(inner);
    let mut calls = [A, B, C].map(|request| {
        let cx = &mut Context::from_waker(Waker::noop());
        assert!(svc.poll_ready(cx).is_ready());
        Some(PolledFuture::new(svc.call(request)))
    });
    for call in calls.iter_mut().flatten() {
        assert!(call.poll().is_pending());
    }
    let [running, Some(lost), Some(next)] = &mut calls else {
        unreachable!("there are three")
    };
    *running = None;
    tokio::time::advance(SECOND).await;
    assert_eq!(reason(lost.poll()), Reason::DeadlineExceeded);
    assert!(next.wakes() == 1 && next.poll().is_pending());
    assert_eq!(mock.requests(), [A, C]);
}

/// The permit is available, and another key that has borrowed as much waits for it.
#[tokio::test(start_paused = true)]
async fn a_call_does_not_pass_a_waiter_whose_key_has_borrowed_no_more() {
    let (mut svc, _handle, mock) = subject(permits(1));
    let running = open(&mut svc, A);
    let mut woken = open(&mut svc, B);
    drop(running);
    assert_eq!(woken.wakes(), 1);
    let _new = open(&mut svc, C);
    assert_eq!(mock.requests(), [A]);
    assert!(woken.poll().is_pending());
    assert_eq!(mock.requests(), [A, B]);
}

#[tokio::test(start_paused = true)]
async fn the_bound_of_a_key_holds_at_the_end_of_a_wait_too() {
    let (mut svc, handle, mock) = subject(permits(4).default_share(PartitionShare::new().max(1)));
    let _running = open(&mut svc, A);
    let mut waits = open(&mut svc, A + 1);
    tokio::time::advance(30 * SECOND).await;
    assert_eq!(reason(waits.poll()), Reason::QueueTimeout);
    assert_eq!((mock.calls(), handle.in_flight()), (1, 1));
}

/// The first of another key is woken, and not polled any more.
#[tokio::test(start_paused = true)]
async fn an_available_permit_is_taken_past_a_waiter_that_is_not_polled_when_a_wait_ends() {
    let (mut svc, handle, mock) = subject(permits(1));
    let running = open(&mut svc, A);
    let kept = open(&mut svc, B);
    let mut behind = open(&mut svc, C);
    drop(running);
    assert_eq!((kept.wakes(), behind.wakes()), (1, 0));
    tokio::time::advance(30 * SECOND).await;
    assert!(behind.poll().is_pending());
    assert_eq!(mock.requests(), [A, C]);
    drop((kept, behind));
    assert_eq!((handle.in_flight(), handle.queue_depth()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_waiter_whose_service_is_not_ready_lets_another_key_go() {
    let ((one, dead), (two, live)) = (mock(), mock());
    dead.hold_responses();
    live.hold_responses();
    let layer = keyed_layer(permits(1));
    let (mut dying, mut living) = (layer.layer(one), layer.layer(two));
    let running = open(&mut living, A);
    let mut stuck = open(&mut dying, B);
    let mut next = open(&mut living, A + 1);
    dead.set_pending();
    drop(running);
    assert!(stuck.poll().is_pending());
    assert!(next.wakes() == 1 && next.poll().is_pending());
    assert_eq!(live.requests(), [A, A + 1]);
    dead.set_ready();
    assert!(stuck.poll().is_pending());
    drop(next);
    assert!(stuck.poll().is_pending());
    assert_eq!(dead.requests(), [B]);
}

#[tokio::test(start_paused = true)]
async fn limit_and_shares_change_while_calls_run() {
    let config = permits(4).share(key(B), PartitionShare::new().guaranteed(1));
    let (mut svc, handle, mock) = subject(config);
    let mut calls = queued(&mut svc, (A..A + 8).chain([B]));
    assert_eq!(mock.calls(), 4);
    handle.set_limit(6).unwrap();
    settle(&mock, &mut calls);
    assert_eq!(mock.calls(), 6);
    handle
        .set_share(key(A), PartitionShare::new().max(4))
        .unwrap();
    handle.set_limit(7).unwrap();
    settle(&mock, &mut calls);
    assert_eq!(mock.calls(), 6, "the bound of the key is reached");
    handle
        .set_share(key(A), PartitionShare::new().guaranteed(3))
        .unwrap();
    settle(&mock, &mut calls);
    assert_eq!(mock.calls(), 7);
    assert_eq!(handle.set_limit(3).unwrap_err().field(), "guaranteed");
    assert_eq!(handle.set_limit(0).unwrap_err().field(), "max_concurrent");
    let rejected = handle.set_share(key(C), PartitionShare::new().guaranteed(4));
    assert_eq!(rejected.unwrap_err().field(), "guaranteed");
    handle.set_limit(4).unwrap();
    // 7 are taken, and none is given out before there are fewer than 4.
    for request in [A, A + 1, A + 2] {
        finish(&mock, &mut calls, request);
        assert_eq!(mock.calls(), 7);
    }
    finish(&mock, &mut calls, A + 3);
    assert_eq!(mock.calls(), 8);
}

#[tokio::test(start_paused = true)]
async fn a_panic_and_a_dropped_guard_release_the_permit() {
    let (mut svc, handle, mock) = subject(permits(1));
    mock.respond_immediately();
    for stage in [Stage::Call, Stage::Poll] {
        mock.panic_at(stage);
        let panicked = catch_unwind(AssertUnwindSafe(|| call(&mut svc, A).poll()));
        assert!(panicked.is_err());
        assert_eq!(handle.in_flight(), 0, "{stage:?}");
    }

    #[derive(Clone)]
    struct InTheResponse;
    impl TrackCompletion<PartitionPermit, u32> for InTheResponse {
        type Response = PartitionPermit;
        fn track_completion(&self, permit: PartitionPermit, _: Outcome, _: u32) -> PartitionPermit {
            permit
        }
    }
    let layer = keyed_layer(permits(1)).track_completion(InTheResponse);
    let mut svc = layer.layer(Echo);
    let Poll::Ready(Ok(permit)) = PolledFuture::new(svc.call(A)).poll() else {
        panic!("no response")
    };
    assert_eq!((permit.key(), layer.handle().in_flight()), (key(A), 1));
    drop(permit);
    assert_eq!(
        (
            layer.handle().in_flight(),
            layer.handle().counts().abandoned
        ),
        (0, 1)
    );
}

#[derive(Clone)]
struct Echo;

impl Service<u32> for Echo {
    type Response = u32;
    type Error = Error<()>;
    type Future = Ready<Result<u32, Error<()>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: u32) -> Self::Future {
        ready(Ok(request))
    }
}

#[test]
fn a_call_of_a_known_key_and_a_rejection_allocate_nothing() {
    let config = permits(2).default_share(PartitionShare::new().max_waiting(0));
    let mut svc = keyed_layer(config).layer(Echo);
    let cx = &mut Context::from_waker(Waker::noop());
    let mut once = |request| {
        let mut response = std::pin::pin!(svc.call(request));
        assert!(std::future::Future::poll(response.as_mut(), cx).is_ready());
    };
    once(A);
    assert_eq!(alloc::count(|| once(A)).allocations, 0);
    // Another one where as many have been known.
    assert_eq!(alloc::count(|| once(B)).allocations, 0);
    let _running = (svc.call(A), svc.call(A));
    let rejected = alloc::count(|| {
        let mut response = std::pin::pin!(svc.call(C));
        assert!(std::future::Future::poll(response.as_mut(), cx).is_ready());
    });
    assert_eq!(rejected.allocations, 0);
}

#[test]
fn impossible_shares_are_rejected_by_name() {
    let field = |share: PartitionShare| {
        let default = permits(9).default_share(share).build().unwrap_err();
        let named = permits(9)
            .share(PartitionKey(1), share)
            .build()
            .unwrap_err();
        assert_eq!(default, named);
        named.field().to_owned()
    };
    assert_eq!(field(PartitionShare::new().max(0)), "max");
    assert_eq!(field(PartitionShare::new().weight(0)), "weight");
    assert_eq!(
        field(PartitionShare::new().max(3).guaranteed(4)),
        "guaranteed"
    );
    let builder = || permits(9).share(PartitionKey(1), PartitionShare::new().guaranteed(9));
    assert!(builder().build().is_ok());
    // The last share of a key counts.
    assert!(
        builder()
            .share(PartitionKey(1), PartitionShare::new().guaranteed(8))
            .build()
            .is_ok()
    );
    let more = builder().share(PartitionKey(2), PartitionShare::new().guaranteed(1));
    assert_eq!(more.build().unwrap_err().field(), "guaranteed");
    assert_eq!(permits(0).build().unwrap_err().field(), "max_concurrent");
    let timeout = permits(1).max_wait(Duration::ZERO).build();
    assert_eq!(timeout.unwrap_err().field(), "max_wait");
}

#[test]
fn a_registry_reads_the_pool() {
    let layer = keyed_layer(permits(2));
    let registry = Registry::new("svc");
    registry.register(layer.handle()).unwrap();
    let mut svc = layer.layer(Echo);
    let _running = (svc.call(A), svc.call(B));
    let snapshot = registry.snapshot().remove(0);
    assert_eq!((snapshot.pattern, snapshot.state), ("bulkhead", "full"));
    let keys = snapshot
        .samples
        .iter()
        .find(|s| s.metric == "seawall_bulkhead_keys");
    assert_eq!(format!("{:?}", keys.expect("a sample").value), "Gauge(2.0)");
}

type Fut = <PartitionedBulkhead<Echo, KeyedPolicy> as Service<u32>>::Future;
assert_impl_all!(PartitionedBulkhead<Echo, KeyedPolicy>: Send, Sync, Unpin, Clone);
assert_impl_all!(Fut: Send, Sync, Unpin);
assert_impl_all!(PartitionHandle: Send, Sync, Clone, InstanceHandle);

fn rejecting(inner: Mock) -> PartitionedBulkhead<Mock> {
    let share = PartitionShare::new().max_waiting(0);
    let config = permits(1).default_share(share).build().expect("valid");
    PartitionedBulkheadLayer::new("subject", config).layer(inner)
}

fn waiting(inner: Mock) -> PartitionedBulkhead<Mock> {
    let config = permits(1).build().expect("valid");
    PartitionedBulkheadLayer::new("subject", config).layer(inner)
}

fn two_waiting(a: Mock, b: Mock) -> (PartitionedBulkhead<Mock>, PartitionedBulkhead<Mock>) {
    let config = permits(1).build().expect("valid");
    let layer = PartitionedBulkheadLayer::new("subject", config);
    (layer.layer(a), layer.layer(b))
}

mod rejects {
    use super::*;

    seawall_testkit::contract_tests! { rejecting => all, rejected_clone_leaves_the_queue }
}

mod waits {
    use super::*;

    seawall_testkit::contract_tests! { waiting =>
    dropped_future_releases_everything, finished_future_holds_nothing, spawns_no_task,
    survives_a_panic, dropped_waiter_returns_its_permit }
}

#[tokio::test(start_paused = true)]
async fn the_contract_of_limits_holds() {
    assert_check(checks::keeps_no_permit_while_inner_is_not_ready(two_waiting).await);
    let saturate = async |s: &mut _, m: &MockHandle| hold_call(s, m).await;
    assert_check(checks::rejects_in_call(rejecting, saturate).await);
    let three = |m| {
        let config = permits(3).build().unwrap();
        PartitionedBulkheadLayer::new("subject", config).layer(m)
    };
    assert_check(checks::never_exceeds_its_limit(three, 3).await);
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Call(u32),
    Drop(usize),
    Respond(usize),
    Resize(u32),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (0_u32..4).prop_map(Step::Call),
        2 => any::<usize>().prop_map(Step::Drop),
        4 => any::<usize>().prop_map(Step::Respond),
        1 => (2_u32..6).prop_map(Step::Resize),
    ];
    prop::collection::vec(step, 1..80)
}

const SHARES: [PartitionShare; 4] = [
    PartitionShare::new().max_waiting(3),
    PartitionShare::new().max_waiting(3).guaranteed(2),
    PartitionShare::new().max_waiting(3).max(1),
    PartitionShare::new().max_waiting(3).weight(3),
];

#[derive(Default)]
struct Model {
    limit: usize,
    turn: u64,
    served: [u64; 4],
    waiting: [Vec<u32>; 4],
    running: [Vec<u32>; 4],
    departed: Vec<u32>,
}

impl Model {
    fn comes(&mut self, key: usize, call: u32) -> bool {
        self.turn += 1;
        if self.waiting[key].is_empty() {
            self.served[key] = self.turn;
        }
        self.waiting[key].push(call);
        self.settle();
        if self.waiting[key].len() > 3 {
            self.waiting[key].pop();
            return false;
        }
        true
    }

    fn taken(&self) -> usize {
        self.running.iter().map(Vec::len).sum()
    }

    fn settle(&mut self) {
        while let Some(key) = self.next() {
            let call = self.waiting[key].remove(0);
            self.running[key].push(call);
            self.departed.push(call);
            self.turn += 1;
            self.served[key] = self.turn;
        }
    }

    fn next(&self) -> Option<usize> {
        let borrowed =
            |key: usize| self.running[key].len() as f64 - f64::from(share(key).guaranteed());
        let free = self
            .limit
            .checked_sub(self.taken())
            .filter(|free| *free > 0)?;
        let kept: f64 = (0..4).map(|key| (-borrowed(key)).max(0.0)).sum();
        let may = |key: &usize| {
            !self.waiting[*key].is_empty()
                && self.running[*key].len() < share(*key).most()
                && (borrowed(*key) < 0.0 || free as f64 > kept)
        };
        let debt = |key: usize| borrowed(key) / share(key).weighs();
        (0..4).filter(may).min_by(|a, b| {
            let order = debt(*a).total_cmp(&debt(*b));
            order.then(self.served[*a].cmp(&self.served[*b]))
        })
    }
}

/// The numbers of [`SHARES`], once more.
struct Numbers(usize);

const fn share(key: usize) -> Numbers {
    Numbers(key)
}

impl Numbers {
    const fn guaranteed(&self) -> u32 {
        [0, 2, 0, 0][self.0]
    }

    const fn most(&self) -> usize {
        [99, 99, 1, 99][self.0]
    }

    const fn weighs(&self) -> f64 {
        [1.0, 1.0, 1.0, 3.0][self.0]
    }
}

fn check(steps: &[Step]) -> Result<(), TestCaseError> {
    let mut config = permits(3);
    for (key, share) in SHARES.into_iter().enumerate() {
        config = config.share(PartitionKey(key as u64), share);
    }
    let layer = PartitionedBulkheadLayer::new("model", config.build().expect("valid settings"));
    let layer = layer.key_by(|request: &u32| PartitionKey(u64::from(request % 4)));
    let (inner, mock) = mock();
    mock.hold_responses();
    let (mut svc, handle) = (layer.layer(inner), layer.handle());
    let mut model = Model {
        limit: 3,
        ..Model::default()
    };
    let mut calls = BTreeMap::new();
    for (n, step) in steps.iter().enumerate() {
        let before_step = model.departed.len();
        match *step {
            Step::Call(key) => {
                let request = n as u32 * 4 + key;
                let cx = &mut Context::from_waker(Waker::noop());
                assert!(svc.poll_ready(cx).is_ready());
                let mut probe = PolledFuture::new(svc.call(request));
                let let_in = model.comes(key as usize, request);
                prop_assert_eq!(probe.poll().is_pending(), let_in);
                if let_in {
                    calls.insert(request, probe);
                }
            }
            Step::Drop(which) => {
                if let Some(which) = which.checked_rem(calls.len()) {
                    let request = *calls.keys().nth(which).expect("it is one of them");
                    calls.remove(&request);
                    let key = (request % 4) as usize;
                    model.waiting[key].retain(|call| *call != request);
                    model.running[key].retain(|call| *call != request);
                }
            }
            Step::Respond(which) => {
                let running: Vec<u32> = model.running.concat();
                if let Some(which) = which.checked_rem(running.len()) {
                    let request = running[which];
                    model.running[(request % 4) as usize].retain(|call| *call != request);
                    let at = model.departed.iter().position(|call| *call == request);
                    mock.respond(at.expect("it runs"), Ok(()));
                    let mut probe = calls.remove(&request).expect("it runs");
                    prop_assert!(probe.poll().is_ready());
                }
            }
            Step::Resize(limit) => {
                handle.set_limit(limit).expect("valid");
                model.limit = limit as usize;
            }
        }
        model.settle();
        // Only woken calls are polled: a lost wake-up would leave one behind.
        loop {
            let before = mock.calls();
            for probe in calls.values_mut() {
                if probe.wakes() > 0 {
                    prop_assert!(probe.poll().is_pending());
                }
            }
            if mock.calls() == before {
                break;
            }
        }
        // Permits that come free at once go to as many waiters, in the order of their polls.
        let departed = mock.requests();
        let mut expected = model.departed.clone();
        let of_this_step = before_step.min(departed.len());
        expected[before_step..].sort_unstable();
        let mut sorted = departed.clone();
        sorted[of_this_step..].sort_unstable();
        prop_assert_eq!(sorted, expected);
        model.departed = departed;
        prop_assert_eq!(handle.in_flight() as usize, model.taken());
        let waiting: usize = model.waiting.iter().map(Vec::len).sum();
        prop_assert_eq!(handle.queue_depth(), waiting);
    }
    drop(calls);
    prop_assert_eq!((handle.in_flight(), handle.queue_depth()), (0, 0));
    Ok(())
}

proptest! {
    #[test]
    fn permits_go_to_the_calls_that_an_obvious_model_chooses(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("valid settings");
        runtime.block_on(async { check(&steps) })?;
    }
}

#[tokio::test(start_paused = true)]
async fn a_configuration_changes_limit_shares_and_wait_and_a_reset_goes_back_to_it() {
    let config = |limit, share| permits(limit).share(key(B), share).default_share(SHARES[0]);
    let first = config(2, PartitionShare::new().guaranteed(1))
        .build()
        .unwrap();
    let (mut svc, handle, mock) = subject(config(2, PartitionShare::new().guaranteed(1)));
    assert_eq!(handle.config(), first);
    let mut calls = queued(&mut svc, [A, A + 1, A + 2]);
    assert_eq!(mock.requests(), [A], "one is kept for the named key");
    // Nothing is kept any more, and there is one more: calls that wait already get them.
    let second = permits(3)
        .default_share(PartitionShare::new().max_waiting(1))
        .max_wait(SECOND)
        .build()
        .unwrap();
    handle.configure(second.clone()).unwrap();
    settle(&mock, &mut calls);
    assert_eq!(mock.requests(), [A, A + 1, A + 2]);
    assert_eq!(handle.config(), second);
    let mut waits = open(&mut svc, C);
    assert_eq!(reason(call(&mut svc, C + 1).poll()), Reason::BulkheadFull);
    tokio::time::advance(SECOND).await;
    assert_eq!(reason(waits.poll()), Reason::QueueTimeout);
    // Operators' changes are in the settings in force, until a reset.
    handle.set_limit(9).unwrap();
    handle
        .set_share(key(A), PartitionShare::new().max(4))
        .unwrap();
    let changed = handle.config();
    assert_eq!((changed.max_concurrent(), changed.shares().len()), (9, 1));
    handle.reset();
    assert_eq!(handle.config(), second);
    calls.clear();
    let snapshot = handle.snapshot();
    assert_eq!(
        (
            snapshot.in_flight,
            snapshot.queue_depth,
            snapshot.keys.len()
        ),
        (0, 0, 0)
    );
}

#[tokio::test(start_paused = true)]
async fn commands_block_and_bypass_shares_until_a_reset() {
    let share = PartitionShare::new().max(1).max_waiting(2);
    let (mut svc, handle, mock) = subject(permits(2).default_share(share));
    let mut calls = queued(&mut svc, [A, A + 1, A + 2]);
    assert_eq!(mock.requests(), [A]);
    handle.control(Command::Block).unwrap();
    assert_eq!(handle.snapshot().state, BulkheadState::Paused);
    assert_eq!(reason(call(&mut svc, B).poll()), Reason::Paused);
    finish(&mock, &mut calls, A);
    assert_eq!(mock.requests(), [A], "waiters wait");
    // They go although their key is at its maximum, and so do new calls.
    handle.control(Command::Bypass).unwrap();
    settle(&mock, &mut calls);
    assert_eq!(mock.requests(), [A, A + 1, A + 2]);
    calls.insert(A + 3, open(&mut svc, A + 3));
    calls.insert(B, open(&mut svc, B));
    assert_eq!((handle.in_flight(), handle.queue_depth()), (4, 0));
    let counts = handle.counts();
    assert_eq!(
        (counts.waited, counts.rejected_paused, counts.shadowed),
        (4, 1, 0)
    );
    handle.control(Command::Reset).unwrap();
    let kept = open(&mut svc, A + 4);
    assert_eq!((handle.queue_depth(), handle.state()), (1, "queueing"));
    calls.clear();
    assert_eq!((kept.wakes(), handle.in_flight()), (1, 0));
    drop(kept);
    assert_eq!(handle.queue_depth(), 0);
}

#[tokio::test(start_paused = true)]
async fn results_count_as_the_classifier_judges_them() {
    let judge = |result: Result<&u32, &Error<()>>| match result {
        Ok(0) => Outcome::Failure(seawall_core::FailureKind::Server),
        _ => Outcome::Success,
    };
    let config = permits(2).build().unwrap();
    let layer = PartitionedBulkheadLayer::new("judged", config).classify(judge);
    let mut svc = layer.layer(Echo);
    for request in [0, 0, 1] {
        assert!(PolledFuture::new(svc.call(request)).poll().is_ready());
    }
    let counts = layer.handle().counts();
    assert_eq!((counts.failure, counts.success), (2, 1));
}
