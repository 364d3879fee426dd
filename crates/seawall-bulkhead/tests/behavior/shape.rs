//! Allocations, sizes, auto traits, settings, and what is seen from outside.

use super::*;

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
fn a_call_that_need_not_wait_and_a_rejection_allocate_nothing() {
    let layer = layer(1, 0);
    let mut svc = layer.layer(Echo);
    let cx = &mut Context::from_waker(Waker::noop());
    let mut once = |svc: &mut Bulkhead<Echo>| {
        assert!(svc.poll_ready(cx).is_ready());
        let mut response = std::pin::pin!(svc.call(1));
        assert!(response.as_mut().poll(cx).is_ready());
    };
    once(&mut svc);
    assert_eq!(alloc::count(|| once(&mut svc)).allocations, 0);
    assert_eq!(alloc::count(|| once(&mut svc.clone())).allocations, 0);
    let _running = svc.call(0);
    assert_eq!(alloc::count(|| once(&mut svc)).allocations, 0);
    assert_eq!(layer.handle().counts().rejected_full, 1);
}

#[test]
fn the_future_of_a_call_that_need_not_wait_is_small() {
    type Inner = Ready<Result<u32, Error<()>>>;
    let size = size_of::<ResponseFuture<Wide, [u8; 1_000]>>();
    assert!(
        size <= size_of::<Inner>() + 4 * size_of::<usize>(),
        "{size}"
    );
}

#[derive(Clone)]
struct Wide;

impl Service<[u8; 1_000]> for Wide {
    type Response = u32;
    type Error = Error<()>;
    type Future = Ready<Result<u32, Error<()>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: [u8; 1_000]) -> Self::Future {
        ready(Ok(0))
    }
}

/// Neither `Send` nor `Sync`, and so is what is made of it.
#[derive(Clone)]
struct Local(#[expect(dead_code, reason = "it is here for its auto traits")] Rc<Cell<u32>>);

impl Service<u32> for Local {
    type Response = u32;
    type Error = Error<()>;
    type Future = Pin<Box<dyn Future<Output = Result<u32, Error<()>>>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: u32) -> Self::Future {
        Box::pin(ready(Ok(request)))
    }
}

type Fut<S> = <Bulkhead<S> as Service<u32>>::Future;
assert_impl_all!(Bulkhead<Echo>: Send, Sync, Unpin, Clone);
assert_impl_all!(Fut<Echo>: Send, Sync, Unpin);
assert_impl_all!(Bulkhead<Local>: Unpin, Clone);
assert_not_impl_any!(Bulkhead<Local>: Send, Sync);
assert_not_impl_any!(Fut<Local>: Send, Sync);
assert_impl_all!(BulkheadLayer: Send, Sync, Clone);
assert_impl_all!(BulkheadHandle: Send, Sync, Clone, InstanceHandle);
assert_impl_all!(Permit: Send, Sync, Unpin);

#[test]
fn a_service_that_is_not_send_works() {
    let mut svc = layer(1, 1).layer(Local(Rc::default()));
    assert!(matches!(call(&mut svc, 3).poll(), Poll::Ready(Ok(3))));
}

#[test]
fn a_registry_reads_what_the_bulkhead_does() {
    let layer = layer(2, 0);
    let registry = Registry::new("svc");
    registry.register(layer.handle()).unwrap();
    let mut events = registry.events().subscribe();
    let mut svc = layer.layer(Echo);
    let _running = (
        Service::<u32>::call(&mut svc, 1),
        Service::<u32>::call(&mut svc, 2),
    );
    let _rejected = Service::<u32>::call(&mut svc, 3);
    let snapshot = registry.snapshot().remove(0);
    assert_eq!((snapshot.pattern, snapshot.state), ("bulkhead", "full"));
    let value = |metric: &str, label: Option<&str>| {
        let found = snapshot.samples.iter().find(|s| {
            s.metric == metric && label.is_none_or(|l| s.labels.iter().any(|(_, v)| *v == l))
        });
        format!("{:?}", found.expect("a sample").value)
    };
    assert_eq!(value("seawall_bulkhead_in_flight", None), "Gauge(2.0)");
    assert_eq!(value("seawall_bulkhead_queue_depth", None), "Gauge(0.0)");
    assert_eq!(
        value("seawall_rejections_total", Some("bulkhead_full")),
        "Counter(1)"
    );
    assert_eq!(value("seawall_calls_total", Some("success")), "Counter(0)");
    let Some(seawall_core::Received::Event(event)) = events.try_next() else {
        panic!("the rejection was not emitted")
    };
    assert!(matches!(event.kind, EventKind::Rejected(r) if r.reason() == Reason::BulkheadFull));
}

#[test]
fn impossible_settings_are_rejected_by_name() {
    let field = |builder: seawall_bulkhead::BulkheadConfigBuilder| {
        builder.build().unwrap_err().field().to_owned()
    };
    let builder = BulkheadConfig::builder;
    assert_eq!(field(builder().max_concurrent(0)), "max_concurrent");
    assert_eq!(
        field(builder().max_waiting(1).max_wait(Duration::ZERO)),
        "max_wait"
    );
    let widest = builder()
        .max_concurrent(u32::MAX)
        .max_waiting(u32::MAX)
        .max_wait(Duration::MAX)
        .build()
        .expect("valid settings");
    let layer = BulkheadLayer::new("wide", widest);
    let _running = layer.layer(Echo).call(1_u32);
    assert_eq!(layer.handle().in_flight(), 1);
    assert_eq!(builder().build().unwrap(), BulkheadConfig::default());
}
