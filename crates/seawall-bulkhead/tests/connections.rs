//! What a limit of connections promises.

use std::convert::Infallible;
use std::future::ready;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use seawall_bulkhead::connections::{
    ConnectFuture, ConnectionLimit, ConnectionLimitConfig, ConnectionLimitConfigBuilder,
    ConnectionLimitLayer, Limited,
};
use seawall_bulkhead::{BulkheadState, PoolHandle};
use seawall_core::{
    Command, Error, InstanceHandle, PartitionKey, Reason, Registry, Rejectable, Rejection,
    RequestMeta, Sent,
};
use seawall_testkit::contract::{
    BoxError, Mock, MockError, MockHandle, PolledFuture, Stage, assert_check, checks, hold_call,
    mock,
};
use static_assertions::assert_impl_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tower::util::MapResponse;
use tower::{ServiceExt, service_fn};
use tower_layer::Layer;
use tower_service::Service;

const SECOND: Duration = Duration::from_secs(1);

fn settings(permits: u32, waiting: u32) -> ConnectionLimitConfigBuilder {
    ConnectionLimitConfig::builder()
        .max_connections(permits)
        .max_waiting(waiting)
}

fn layer(permits: u32, waiting: u32) -> ConnectionLimitLayer {
    let config = settings(permits, waiting).build().expect("valid settings");
    ConnectionLimitLayer::new("pool", config)
}

type Subject = (
    ConnectionLimit<Mock>,
    PoolHandle<ConnectionLimitConfig>,
    MockHandle,
);

/// A limit over a mock that leaves its calls open.
fn subject(permits: u32, waiting: u32) -> Subject {
    let (inner, mock) = mock();
    mock.hold_responses();
    let layer = layer(permits, waiting);
    (layer.layer(inner), layer.handle(), mock)
}

/// Polls ready, which must succeed at once, and calls.
fn call<S: Service<u32>>(service: &mut S, target: u32) -> PolledFuture<S::Future> {
    let cx = &mut Context::from_waker(Waker::noop());
    assert!(matches!(service.poll_ready(cx), Poll::Ready(Ok(()))));
    PolledFuture::new(service.call(target))
}

type Respond = Poll<Result<Limited<u32>, BoxError>>;

fn made(response: Respond) -> Limited<u32> {
    match response {
        Poll::Ready(Ok(connection)) => connection,
        other => panic!("{other:?} is no connection"),
    }
}

fn rejection(response: Respond) -> Rejection {
    let Poll::Ready(Err(error)) = response else {
        panic!("{response:?} is no rejection")
    };
    *error.rejection().expect("an error of the limit")
}

/// A limit whose connections are closed at once: what is left is a limit of connects.
type Closing = MapResponse<ConnectionLimit<Mock>, fn(Limited<u32>) -> u32>;

fn closing(layer: &ConnectionLimitLayer, inner: Mock) -> Closing {
    layer
        .layer(inner)
        .map_response(|connection| *connection.get_ref())
}

mod contract {
    use super::*;

    fn rejecting(inner: Mock) -> Closing {
        closing(&layer(1, 0), inner)
    }

    fn waiting(inner: Mock) -> Closing {
        closing(&layer(1, 8), inner)
    }

    fn two_waiting(a: Mock, b: Mock) -> (Closing, Closing) {
        let layer = layer(1, 8);
        (closing(&layer, a), closing(&layer.clone(), b))
    }

    fn two_rejecting(a: Mock, b: Mock) -> (Closing, Closing) {
        let layer = layer(1, 0);
        (closing(&layer, a), closing(&layer.clone(), b))
    }

    mod rejects {
        use super::*;

        seawall_testkit::contract_tests! { rejecting => all, rejected_clone_leaves_the_queue }
    }

    mod waits {
        use super::*;

        seawall_testkit::contract_tests! { waiting => all, dropped_waiter_returns_its_permit }
    }

    #[tokio::test(start_paused = true)]
    async fn the_limit_is_exact() {
        assert_check(checks::never_exceeds_its_limit(|m| closing(&layer(3, 0), m), 3).await);
        assert_check(checks::never_exceeds_its_limit(|m| closing(&layer(3, 100), m), 3).await);
    }

    #[tokio::test(start_paused = true)]
    async fn no_permit_is_kept_for_a_dead_connector() {
        assert_check(checks::keeps_no_permit_while_inner_is_not_ready(two_rejecting).await);
        assert_check(checks::keeps_no_permit_while_inner_is_not_ready(two_waiting).await);
    }

    #[tokio::test(start_paused = true)]
    async fn rejections_are_errors_of_call_and_layers_and_clones_share() {
        let saturate = async |s: &mut _, m: &MockHandle| hold_call(s, m).await;
        assert_check(checks::rejects_in_call(rejecting, saturate).await);
        let saturate = async |s: &mut _, m: &MockHandle| hold_call(s, m).await;
        assert_check(checks::services_of_one_layer_share_state(two_rejecting, saturate).await);
        let saturate = async |s: &mut _, m: &MockHandle| hold_call(s, m).await;
        assert_check(checks::clones_share_state(rejecting, saturate).await);
    }
}

#[tokio::test(start_paused = true)]
async fn a_permit_lives_as_long_as_the_connection_and_all_its_clones() {
    let (mut svc, handle, mock) = subject(1, 1);
    mock.respond_immediately();
    let first = made(call(&mut svc, 1).poll());
    let clone = first.clone();
    let mut waits = call(&mut svc, 2);
    assert!(waits.poll().is_pending());
    assert_eq!((handle.in_flight(), handle.queue_depth()), (1, 1));
    assert_eq!(handle.state(), "queueing");
    drop(first);
    assert_eq!((handle.in_flight(), waits.wakes()), (1, 0));
    drop(clone);
    assert_eq!((handle.in_flight(), waits.wakes()), (0, 1));
    let second = made(waits.poll());
    assert_eq!((*second.get_ref(), handle.in_flight()), (2, 1));
    assert_eq!((handle.counts().success, handle.counts().waited), (2, 1));
    drop(second);
    assert_eq!(handle.counts().abandoned, 0);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_fails_to_be_made_releases_its_permit() {
    let (mut svc, handle, mock) = subject(1, 0);
    mock.respond_immediately();
    mock.script([Err(MockError::Failed(1))]);
    let failed = call(&mut svc, 1).poll();
    assert!(matches!(failed, Poll::Ready(Err(_))));
    assert_eq!((handle.in_flight(), handle.counts().failure), (0, 1));
    let _open = made(call(&mut svc, 2).poll());
}

#[tokio::test(start_paused = true)]
async fn the_connection_is_closed_before_its_permit_is_released() {
    struct Closes(PoolHandle<ConnectionLimitConfig>, Arc<AtomicU32>);
    impl Drop for Closes {
        fn drop(&mut self) {
            self.1.store(self.0.in_flight(), Ordering::Relaxed);
        }
    }
    let layer = layer(1, 0);
    let seen = Arc::new(AtomicU32::new(9));
    let (handle, probe) = (layer.handle(), Arc::clone(&seen));
    let svc = layer.layer(service_fn(move |_: u32| {
        ready(Ok::<_, Error<Infallible>>(Closes(
            handle.clone(),
            Arc::clone(&probe),
        )))
    }));
    drop(svc.oneshot(1).await);
    assert_eq!(seen.load(Ordering::Relaxed), 1);
    assert_eq!(layer.handle().in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn rejections_say_that_nothing_was_sent() {
    let (mut svc, handle, mock) = subject(1, 1);
    let _connecting = call(&mut svc, 1);
    let mut waits = call(&mut svc, 2);
    // The wait starts with the first poll.
    tokio::time::advance(10 * SECOND).await;
    assert!(waits.poll().is_pending());
    let full = rejection(call(&mut svc, 3).poll());
    assert_eq!(
        (full.reason(), full.sent()),
        (Reason::BulkheadFull, Sent::No)
    );
    tokio::time::advance(30 * SECOND - Duration::from_millis(1)).await;
    assert!(waits.poll().is_pending());
    tokio::time::advance(Duration::from_millis(1)).await;
    let late = rejection(waits.poll());
    assert_eq!(
        (late.reason(), late.sent()),
        (Reason::QueueTimeout, Sent::No)
    );
    let counts = handle.counts();
    assert_eq!((counts.rejected_full, counts.rejected_timeout), (1, 1));
    assert_eq!((mock.calls(), handle.queue_depth()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_connect_can_be_dropped_at_every_point() {
    let (mut svc, handle, mock) = subject(1, 2);
    drop(call(&mut svc, 0)); // never polled, with a permit
    assert_eq!(handle.in_flight(), 0);
    let mut connecting = call(&mut svc, 1);
    assert!(connecting.poll().is_pending());
    drop(call(&mut svc, 2)); // never polled, without one
    let (mut first, mut second) = (call(&mut svc, 3), call(&mut svc, 4));
    assert!(first.poll().is_pending() && second.poll().is_pending());
    drop(connecting);
    assert_eq!((first.wakes(), second.wakes(), mock.in_flight()), (1, 0, 0));
    // It was woken, and wakes the next.
    drop(first);
    assert_eq!(second.wakes(), 1);
    assert!(second.poll().is_pending());
    assert_eq!(mock.requests(), [0, 1, 4]);
    drop(second);
    assert_eq!((handle.in_flight(), handle.queue_depth()), (0, 0));
    assert_eq!(handle.counts().abandoned, 5);
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_full_keeps_no_other_key_out() {
    let (inner, mock) = mock();
    let config = settings(3, 8).max_per_key(1).build().unwrap();
    let layer = ConnectionLimitLayer::new("keyed", config).describe(|target: &u32| {
        RequestMeta::default().with_key(PartitionKey(u64::from(target / 10)))
    });
    let (mut svc, handle) = (layer.layer(inner), layer.handle());
    let one = made(call(&mut svc, 10).poll());
    let (mut second, mut third) = (call(&mut svc, 11), call(&mut svc, 12));
    assert!(second.poll().is_pending() && third.poll().is_pending());
    // Two of another key pass the queue: one connects, one waits for its own key.
    let two = made(call(&mut svc, 20).poll());
    let mut other = call(&mut svc, 21);
    assert!(other.poll().is_pending());
    assert_eq!(
        (handle.in_flight_of(PartitionKey(1)), handle.in_flight()),
        (1, 2)
    );
    drop(two);
    assert_eq!((second.wakes(), third.wakes(), other.wakes()), (0, 0, 1));
    let _other = made(other.poll());
    drop(one);
    assert_eq!((second.wakes(), third.wakes()), (1, 0));
    assert!(third.poll().is_pending(), "it is not its turn");
    let second = made(second.poll());
    drop(second);
    drop(made(third.poll()));
    assert_eq!(mock.requests(), [10, 20, 21, 11, 12]);
    assert_eq!(handle.queue_depth(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_waiter_whose_connector_is_not_ready_lets_the_next_one_go() {
    let layer = layer(1, 8);
    let ((a, dead), (b, live)) = (mock(), mock());
    let (mut dying, mut living) = (layer.layer(a), layer.layer(b));
    let open = made(call(&mut living, 0).poll());
    let mut stuck = call(&mut dying, 1);
    let mut next = call(&mut living, 2);
    assert!(stuck.poll().is_pending() && next.poll().is_pending());
    dead.set_pending();
    drop(open);
    assert!(stuck.poll().is_pending());
    assert_eq!(next.wakes(), 1);
    let open = made(next.poll());
    // Back while the permit is held: it keeps its rank and takes no permit too many.
    dead.set_ready();
    let mut last = call(&mut living, 3);
    assert!(stuck.poll().is_pending() && last.poll().is_pending());
    drop(open);
    let open = made(stuck.poll());
    assert!(last.poll().is_pending());
    drop(open);
    drop(made(last.poll()));
    assert_eq!((dead.requests(), live.requests()), (vec![1], vec![0, 2, 3]));

    // One whose connector fails for good ends with its error, and takes no permit.
    let open = made(call(&mut living, 4).poll());
    let (mut fails, mut next) = (call(&mut dying, 5), call(&mut living, 6));
    assert!(fails.poll().is_pending() && next.poll().is_pending());
    dead.set_failed();
    drop(open);
    let Poll::Ready(Err(error)) = fails.poll() else {
        panic!("it waits on")
    };
    assert!(error.rejection().is_none());
    assert_eq!((next.wakes(), layer.handle().counts().failure), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_the_connector_releases_the_permit() {
    for stage in [Stage::Call, Stage::Poll] {
        let (mut svc, handle, mock) = subject(1, 0);
        mock.respond_immediately();
        mock.panic_at(stage);
        let panicked = catch_unwind(AssertUnwindSafe(|| call(&mut svc, 0).poll().is_ready()));
        assert!(panicked.is_err(), "{stage:?}");
        assert_eq!(handle.in_flight(), 0, "{stage:?}");
    }
    for stage in [Stage::PollReady, Stage::Call] {
        let (mut svc, handle, mock) = subject(1, 2);
        let connecting = call(&mut svc, 0);
        let (mut waiter, mut next) = (call(&mut svc, 1), call(&mut svc, 2));
        assert!(waiter.poll().is_pending() && next.poll().is_pending());
        drop(connecting);
        mock.panic_at(stage);
        let panicked = catch_unwind(AssertUnwindSafe(|| waiter.poll().is_ready()));
        assert!(panicked.is_err(), "{stage:?}");
        drop(waiter);
        assert!(next.poll().is_pending());
        assert_eq!(mock.requests().last(), Some(&2), "{stage:?}");
        drop(next);
        assert_eq!(
            (handle.in_flight(), handle.queue_depth()),
            (0, 0),
            "{stage:?}"
        );
    }
}

#[tokio::test]
async fn a_limited_connection_is_what_it_holds() {
    let layer = layer(2, 0);
    let pipe = service_fn(|_: u32| ready(Ok::<_, Error<Infallible>>(tokio::io::duplex(64))));
    let (mut near, mut far) = {
        let connection = layer.layer(pipe).oneshot(1).await.unwrap();
        let wrap = |io| ready(Ok::<_, Error<Infallible>>(io));
        let pair = connection.get_ref();
        assert_eq!(layer.handle().in_flight(), 1);
        assert!(format!("{pair:?}").contains("Duplex"));
        drop(connection);
        let (a, b) = tokio::io::duplex(64);
        let near = layer.layer(service_fn(wrap)).oneshot(a).await.unwrap();
        (near, b)
    };
    near.write_all(b"ping").await.unwrap();
    near.flush().await.unwrap();
    let mut read = [0; 4];
    far.read_exact(&mut read).await.unwrap();
    far.write_all(&read).await.unwrap();
    near.read_exact(&mut read).await.unwrap();
    assert_eq!(&read, b"ping");
    near.shutdown().await.unwrap();

    // A `MakeService`: what it makes is a service still.
    let make = service_fn(|_: u32| ready(Ok::<_, Error<Infallible>>(mock().0)));
    let mut made = layer.layer(make).oneshot(1).await.unwrap();
    assert_eq!(made.ready().await.unwrap().call(7).await.unwrap(), 7);
    assert_eq!(layer.handle().in_flight(), 2);
}

#[test]
fn a_registry_reads_what_the_limit_does() {
    let (mut svc, handle, _mock) = subject(1, 0);
    let registry = Registry::new("svc");
    registry.register(handle).unwrap();
    let _open = call(&mut svc, 1);
    drop(call(&mut svc, 2));
    let snapshot = registry.snapshot().remove(0);
    assert_eq!((snapshot.pattern, snapshot.state), ("connections", "full"));
    let value = |metric: &str, label: &str| {
        let found = snapshot
            .samples
            .iter()
            .find(|s| s.metric == metric && s.labels.iter().any(|(_, v)| *v == label));
        format!("{:?}", found.expect("a sample").value)
    };
    assert_eq!(
        value("seawall_bulkhead_in_flight", "connections"),
        "Gauge(1.0)"
    );
    assert_eq!(
        value("seawall_rejections_total", "bulkhead_full"),
        "Counter(1)"
    );
    assert_eq!(snapshot.settings[1], ("max_per_key", "none".to_owned()));
}

#[test]
fn impossible_settings_are_rejected_by_name() {
    let field =
        |builder: ConnectionLimitConfigBuilder| builder.build().unwrap_err().field().to_owned();
    let builder = ConnectionLimitConfig::builder;
    assert_eq!(field(builder().max_connections(0)), "max_connections");
    assert_eq!(field(builder().max_per_key(0)), "max_per_key");
    assert_eq!(field(builder().max_wait(Duration::ZERO)), "max_wait");
    assert_eq!(builder().build().unwrap(), ConnectionLimitConfig::default());
}

assert_impl_all!(ConnectionLimit<Mock>: Send, Sync, Unpin, Clone);
assert_impl_all!(ConnectFuture<Mock, u32>: Send, Sync, Unpin);
assert_impl_all!(Limited<u32>: Send, Sync, Unpin, Clone);
assert_impl_all!(PoolHandle<ConnectionLimitConfig>: Send, Sync, Clone, InstanceHandle);

#[tokio::test(start_paused = true)]
async fn limits_change_while_connections_are_open_and_connects_wait() {
    let (inner, _mock) = mock();
    let layer = ConnectionLimitLayer::new("live", settings(2, 8).build().unwrap())
        .describe(|target: &u32| RequestMeta::default().with_key(PartitionKey(u64::from(*target))));
    let (mut svc, handle) = (layer.layer(inner), layer.handle());
    let open = [
        made(call(&mut svc, 1).poll()),
        made(call(&mut svc, 1).poll()),
    ];
    let mut waits = [call(&mut svc, 1), call(&mut svc, 2)];
    assert!(waits.iter_mut().all(|wait| wait.poll().is_pending()));
    // One more in all, but no more of key 1: the waiter of key 2 passes.
    let config = settings(3, 1).max_per_key(2).build().unwrap();
    handle.configure(config).unwrap();
    assert_eq!(handle.config(), config);
    assert_eq!((waits[0].wakes(), waits[1].wakes()), (0, 1));
    let second = made(waits[1].poll());
    assert_eq!(
        (handle.in_flight(), handle.in_flight_of(PartitionKey(1))),
        (3, 2)
    );
    assert_eq!(
        rejection(call(&mut svc, 2).poll()).reason(),
        Reason::BulkheadFull
    );
    // Without a bound per key, the parked waiter may go.
    handle.configure(settings(4, 1).build().unwrap()).unwrap();
    assert_eq!(waits[0].wakes(), 1);
    let third = made(waits[0].poll());
    // Fewer than are open: none is closed, none is made.
    handle.configure(settings(1, 0).build().unwrap()).unwrap();
    assert_eq!(handle.snapshot().state, BulkheadState::Full);
    drop((open, second));
    assert_eq!(handle.in_flight(), 1);
    assert_eq!(
        rejection(call(&mut svc, 9).poll()).reason(),
        Reason::BulkheadFull
    );
    drop(third);
    drop(made(call(&mut svc, 9).poll()));
    assert_eq!(handle.snapshot().counts, handle.counts());
}

#[tokio::test(start_paused = true)]
async fn commands_block_and_bypass_the_limit_until_a_reset() {
    let (mut svc, handle, mock) = subject(1, 2);
    mock.respond_immediately();
    let open = made(call(&mut svc, 0).poll());
    let mut waits = [call(&mut svc, 1), call(&mut svc, 2)];
    assert!(waits.iter_mut().all(|wait| wait.poll().is_pending()));
    let unpolled = call(&mut svc, 3);
    handle.control(Command::Block).unwrap();
    assert_eq!(handle.snapshot().state, BulkheadState::Paused);
    drop(open);
    assert_eq!((waits[0].wakes(), waits[1].wakes()), (0, 0));
    assert_eq!(rejection(call(&mut svc, 4).poll()).reason(), Reason::Paused);
    assert_eq!(handle.counts().rejected_paused, 1);
    // Every waiter goes, and a new connect passes.
    handle.control(Command::Bypass).unwrap();
    assert_eq!((waits[0].wakes(), waits[1].wakes()), (1, 1));
    let first = made(waits[0].poll());
    let second = made(waits[1].poll());
    let third = made(call(&mut svc, 5).poll());
    assert_eq!((handle.in_flight(), handle.counts().waited), (3, 3));
    drop(unpolled);
    handle.reset();
    assert_eq!(handle.state(), "full");
    assert!(call(&mut svc, 6).poll().is_pending());
    drop((first, second, third));
    assert_eq!((handle.in_flight(), handle.counts().success), (0, 4));
    assert_eq!(handle.state(), "ok");
}

#[tokio::test(start_paused = true)]
async fn a_blocked_connect_is_rejected_when_its_wait_ends() {
    let (mut svc, handle, mock) = subject(1, 1);
    mock.respond_immediately();
    let open = made(call(&mut svc, 0).poll());
    let mut waits = call(&mut svc, 1);
    assert!(waits.poll().is_pending());
    handle.control(Command::Block).unwrap();
    drop(open);
    tokio::time::advance(30 * SECOND).await;
    assert_eq!(rejection(waits.poll()).reason(), Reason::QueueTimeout);
    assert_eq!((handle.in_flight(), handle.queue_depth()), (0, 0));
}
