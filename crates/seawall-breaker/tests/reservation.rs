//! A call that is rejected, or that waits for the circuit, holds nothing of the inner service.
//! Time is paused, but for the last test.

use std::borrow::Cow;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use seawall_breaker::{
    BreakerConfig, BreakerConfigBuilder, BreakerLayer, Error, HalfOpenPolicy, KeyedBreakerLayer,
    Reason, Rejectable, WrapErrorLayer,
};
use seawall_testkit::contract::{BoxError, Mock, MockHandle, PolledFuture, mock};
use tower::limit::GlobalConcurrencyLimitLayer;
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};

const SECOND: Duration = Duration::from_secs(1);

fn rules() -> BreakerConfigBuilder {
    BreakerConfig::builder()
        .consecutive_failures(1)
        .open_for(10 * SECOND)
}

fn layer(rules: BreakerConfigBuilder) -> BreakerLayer {
    BreakerLayer::new("upstream", rules.build().expect("valid"))
}

fn poll<S: Service<u32>>(service: &mut S) -> Poll<bool> {
    let polled = service.poll_ready(&mut Context::from_waker(Waker::noop()));
    polled.map(|ready| ready.is_ok())
}

fn is_ready<S: Service<u32>>(service: &mut S) -> bool {
    poll(service) == Poll::Ready(true)
}

async fn rejection<S>(service: &mut S) -> Reason
where
    S: Service<u32, Error = BoxError>,
    S::Response: std::fmt::Debug,
{
    let rejected = service.call(100).await.expect_err("rejected");
    rejected.rejection().expect("by the circuit").reason()
}

/// One reservation for all instances.
fn narrow() -> (Mock, MockHandle) {
    let (inner, mock) = mock();
    mock.set_capacity(1);
    mock.respond_immediately();
    (inner, mock)
}

/// The service that is used, rejected once by the circuit, and the one that needs its reservation.
async fn frees_it_when_rejected<S>(mut idle: S, open: impl FnOnce(), mock: &MockHandle)
where
    S: Service<u32, Response = u32, Error = BoxError>,
{
    assert!(is_ready(&mut idle));
    assert_eq!(mock.reserved(), 1);
    open();
    assert!(matches!(
        rejection(&mut idle).await,
        Reason::CircuitOpen | Reason::NotReady
    ));
    assert_eq!(mock.reserved(), 0, "given up, though the instance lives");
    // And it is still of use.
    assert!(is_ready(&mut idle));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_the_breaker_rejects_frees_what_its_instance_had_reserved() {
    let (inner, mock) = narrow();
    let layer = layer(rules());
    let open = || layer.handle().force_open();
    frees_it_when_rejected(layer.layer(inner), open, &mock).await;
}

#[tokio::test(start_paused = true)]
async fn a_call_that_the_gate_rejects_frees_what_its_instance_had_reserved() {
    let (inner, mock) = narrow();
    let layer = layer(rules());
    let open = || layer.handle().force_open();
    frees_it_when_rejected(layer.gate().layer(inner), open, &mock).await;
}

#[tokio::test(start_paused = true)]
async fn a_call_that_gate_and_breaker_reject_frees_what_its_instance_had_reserved() {
    let (inner, mock) = narrow();
    let layer = layer(rules());
    let both = layer.gate().layer(layer.layer(inner));
    frees_it_when_rejected(both, || layer.handle().force_open(), &mock).await;
}

#[tokio::test(start_paused = true)]
async fn a_call_of_a_key_that_is_rejected_frees_what_its_instance_had_reserved() {
    let (inner, mock) = narrow();
    let config = rules().build().expect("valid");
    let layer = KeyedBreakerLayer::new("keyed", config, |key: &u32| Cow::<u32>::Owned(*key));
    let keys = layer.handle();
    let open = || keys.circuit(&100).force_open();
    frees_it_when_rejected(layer.layer(inner), open, &mock).await;
}

/// Polled again after the circuit has opened, an instance is ready with its rejection and holds
/// nothing, also if its caller then does not call.
#[tokio::test(start_paused = true)]
async fn readiness_of_an_open_circuit_holds_nothing() {
    for gate in [false, true] {
        let (inner, mock) = narrow();
        let layer = layer(rules());
        let mut idle = if gate {
            either(layer.gate().layer(inner))
        } else {
            either(layer.layer(inner))
        };
        assert!(is_ready(&mut idle));
        layer.handle().force_open();
        assert!(is_ready(&mut idle));
        assert_eq!(mock.reserved(), 0);
        assert_eq!(rejection(&mut idle).await, Reason::CircuitOpen);
    }
}

fn either<S>(service: S) -> tower::util::BoxService<u32, u32, BoxError>
where
    S: Service<u32, Response = u32, Error = BoxError> + Send + 'static,
    S::Future: Send,
{
    service.boxed()
}

/// An instance that is queued below keeps its place there, which a permit may be given to.
#[tokio::test(start_paused = true)]
async fn an_instance_that_waited_below_when_the_circuit_opened_waits_there_no_longer() {
    let (inner, mock) = narrow();
    let layer = layer(rules());
    let mut first = layer.layer(inner);
    let mut second = first.clone();
    assert!(is_ready(&mut first));
    assert_eq!(poll(&mut second), Poll::Pending);
    assert_eq!(mock.waiting(), 1);
    layer.handle().force_open();
    assert!(is_ready(&mut second), "ready with its rejection");
    assert_eq!(mock.waiting(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_finds_no_probe_slot_frees_what_its_instance_had_reserved() {
    let (inner, mock) = mock();
    let layer = layer(rules());
    let mut probe = layer.layer(inner);
    let mut idle = probe.clone();
    assert!(is_ready(&mut idle));
    layer.handle().force_open();
    layer.handle().automatic();
    mock.hold_responses();
    assert!(is_ready(&mut probe));
    let _in_flight = probe.call(1);
    assert_eq!(mock.reserved(), 2);
    assert_eq!(rejection(&mut idle).await, Reason::CircuitOpen);
    assert_eq!(mock.reserved(), 1, "the probe's");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_not_of_the_share_of_a_ramp_frees_its_reservation() {
    for gate in [false, true] {
        let (inner, mock) = mock();
        mock.respond_immediately();
        let layer = layer(rules().ramp(3, 60 * SECOND));
        let mut service = if gate {
            either(layer.gate().layer(layer.layer(inner)))
        } else {
            either(layer.layer(inner))
        };
        layer.handle().force_open();
        layer.handle().automatic();
        let mut rejected = 0;
        for _ in 0..9 {
            assert!(is_ready(&mut service));
            rejected += u32::from(service.call(100).await.is_err());
            assert_eq!(mock.reserved(), 0);
        }
        assert_eq!(rejected, 7, "the probe and one in eight pass");
    }
}

/// What waits for a probe must not hold what the probe needs.
#[tokio::test(start_paused = true)]
async fn an_instance_that_waits_for_a_probe_holds_nothing_meanwhile() {
    let (inner, mock) = mock();
    let wait = HalfOpenPolicy::Wait {
        max_wait: 60 * SECOND,
    };
    let layer = layer(rules().half_open_policy(wait));
    let mut probe = layer.layer(inner);
    let mut idle = probe.clone();
    assert!(is_ready(&mut idle));
    layer.handle().force_open();
    layer.handle().automatic();
    mock.hold_responses();
    assert!(is_ready(&mut probe));
    let in_flight = probe.call(1);
    assert_eq!(mock.reserved(), 2);
    let mut waiting =
        PolledFuture::new(
            async move { std::future::poll_fn(|cx| idle.poll_ready(cx)).await.is_ok() },
        );
    assert!(waiting.poll().is_pending());
    assert_eq!(mock.reserved(), 1, "the probe's");
    mock.respond_to_all();
    in_flight.await.expect("echoed");
    assert_eq!(waiting.poll(), Poll::Ready(true));
}

#[tokio::test(start_paused = true)]
async fn a_call_of_a_key_that_waits_for_a_probe_holds_nothing_meanwhile() {
    let (inner, mock) = mock();
    let wait = HalfOpenPolicy::Wait {
        max_wait: 60 * SECOND,
    };
    let config = rules().half_open_policy(wait).build().expect("valid");
    let layer = KeyedBreakerLayer::new("keyed", config, |key: &u32| Cow::<u32>::Owned(*key));
    let keys = layer.handle();
    let mut service = layer.layer(inner);
    // Half-open, with one probe in flight.
    keys.circuit(&7).force_open();
    keys.circuit(&7).automatic();
    let probe = keys.circuit(&7).try_admit().expect("the probe");
    let mut waiting = {
        assert!(is_ready(&mut service));
        PolledFuture::new(service.call(7))
    };
    assert!(waiting.poll().is_pending());
    assert_eq!(
        (mock.reserved(), mock.waiting()),
        (0, 0),
        "waits for the probe"
    );
    // The slot is free, but the inner service is not ready.
    mock.set_pending();
    drop(probe);
    assert!(waiting.poll().is_pending());
    assert_eq!(mock.waiting(), 1);
    // Another call takes the slot: the place below is given up.
    let probe = keys.circuit(&7).try_admit().expect("the probe");
    keys.set_max_keys(100);
    keys.circuit(&7).reset();
    keys.circuit(&7).force_open();
    keys.circuit(&7).automatic();
    let again = keys.circuit(&7).try_admit().expect("the probe");
    assert!(waiting.poll().is_pending());
    assert_eq!(mock.waiting(), 0);
    drop((probe, again));
    mock.set_ready();
    mock.respond_immediately();
    assert!(matches!(waiting.poll(), Poll::Ready(Ok(7))));
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_never_polled_the_inner_service_makes_no_clone_of_it() {
    let (inner, mock) = mock();
    let layer = layer(rules());
    layer.handle().force_open();
    let mut service = layer.layer(inner);
    for _ in 0..10 {
        assert!(is_ready(&mut service));
        assert_eq!(rejection(&mut service).await, Reason::CircuitOpen);
    }
    assert_eq!((mock.readiness_polls(), mock.instances()), (0, 1));
}

/// With tower's limit, whose permits are those of a semaphore: ten idle instances that were
/// rejected, and one call that has to get through.
#[tokio::test]
async fn idle_instances_that_were_rejected_block_nobody_in_real_time() {
    let layer = layer(rules().open_for(Duration::from_millis(20)));
    let client = ServiceBuilder::new()
        .layer(layer.gate())
        .layer(layer.clone())
        .layer(GlobalConcurrencyLimitLayer::new(10))
        .layer(WrapErrorLayer)
        .service(service_fn(|fails: bool| async move {
            if fails { Err("down") } else { Ok(()) }
        }));
    let mut idle: Vec<_> = (0..9).map(|_| client.clone()).collect();
    for service in &mut idle {
        service.ready().await.expect("ready");
    }
    let mut last = client.clone();
    last.ready().await.expect("ready");
    last.call(true).await.expect_err("down");
    for service in &mut idle {
        let rejected: Error<_> = service.call(false).await.expect_err("open");
        assert_eq!(
            rejected.rejection().expect("by the gate").reason(),
            Reason::CircuitOpen
        );
    }
    tokio::time::sleep(Duration::from_millis(30)).await;
    // Ten at once need all permits.
    let mut ready: Vec<_> = (0..10).map(|_| client.clone()).collect();
    for service in &mut ready {
        let ready = tokio::time::timeout(5 * SECOND, service.ready()).await;
        ready.expect("a permit").expect("ready");
    }
    ready[0].call(false).await.expect("the probe");
}
