//! Allocations, sizes, auto traits, settings, and what is seen from outside.

use super::*;

impl Service<u32> for Departures {
    type Response = u64;
    type Error = Error<()>;
    type Future = Ready<Result<u64, Error<()>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: u32) -> Self::Future {
        let at = (Instant::now() - self.start).as_millis() as u64;
        self.log
            .lock()
            .expect("no panic under it")
            .push((request, at));
        ready(Ok(at))
    }
}

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
fn a_grant_and_a_rejection_allocate_nothing() {
    let layer = RateLimitLayer::new(
        "alloc",
        RateLimitConfig::builder()
            .rate(1, Duration::from_secs(3600))
            .burst(3)
            .build()
            .unwrap(),
    );
    let mut svc = layer.layer(Echo);
    let cx = &mut Context::from_waker(Waker::noop());
    let mut once = |svc: &mut RateLimit<Echo>| {
        assert!(svc.poll_ready(cx).is_ready());
        let mut future = std::pin::pin!(svc.call(1));
        assert!(future.as_mut().poll(cx).is_ready());
    };
    once(&mut svc);
    assert_eq!(alloc::count(|| once(&mut svc)).allocations, 0);
    assert_eq!(alloc::count(|| once(&mut svc.clone())).allocations, 0);
    assert_eq!(layer.handle().counts().granted, 3);
    assert_eq!(alloc::count(|| once(&mut svc)).allocations, 0);
    assert_eq!(layer.handle().counts().rejected, 1);
}

#[test]
fn the_future_of_a_granted_call_is_small() {
    type Inner = Ready<Result<u32, Error<()>>>;
    let size = size_of::<ResponseFuture<Echo, u32>>();
    assert!(
        size <= size_of::<Inner>() + 2 * size_of::<usize>(),
        "{size}"
    );
}

/// Neither `Send` nor `Sync`, as is what is made of it.
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

type Fut<S> = <RateLimit<S> as Service<u32>>::Future;
assert_impl_all!(RateLimit<Echo>: Send, Sync, Unpin, Clone);
assert_impl_all!(Fut<Echo>: Send, Sync, Unpin);
assert_impl_all!(RateLimit<Local>: Unpin, Clone);
assert_not_impl_any!(RateLimit<Local>: Send, Sync);
assert_not_impl_any!(Fut<Local>: Send, Sync);
assert_impl_all!(RateLimitLayer: Send, Sync, Clone);
assert_impl_all!(RateLimitHandle: Send, Sync, Clone, InstanceHandle);

#[test]
fn a_service_that_is_not_send_works() {
    let mut svc = layer(1, SECOND).layer(Local(Rc::default()));
    assert!(matches!(call(&mut svc, 3).poll(), Poll::Ready(Ok(3))));
}

#[test]
fn a_registry_reads_state_samples_and_settings() {
    let free = ConstMeta(RequestMeta::new(Replay::Safe).with_cost(0));
    let layer = RateLimitLayer::new(
        "desk",
        RateLimitConfig::builder()
            .rate(1, Duration::from_secs(3600))
            .burst(2)
            .build()
            .unwrap(),
    );
    let registry = Registry::new("svc");
    registry.register(layer.handle()).unwrap();
    let mut events = registry.events().subscribe();
    assert!(
        call(&mut layer.clone().describe(free).layer(Echo), 0)
            .poll()
            .is_ready()
    );
    let mut svc = layer.layer(Echo);
    for n in 0..3 {
        assert!(call(&mut svc, n).poll().is_ready());
    }
    let snapshot = registry.snapshot().remove(0);
    assert_eq!(
        (snapshot.pattern, snapshot.state),
        ("ratelimit", "exhausted")
    );
    let value = |metric: &str, label: Option<&str>| {
        let found = snapshot.samples.iter().find(|s| {
            s.metric == metric && label.is_none_or(|l| s.labels.iter().any(|(_, v)| *v == l))
        });
        found.expect("a sample").value.clone()
    };
    let granted = value("seawall_calls_total", Some("granted"));
    assert_eq!(granted, Value::Counter(3));
    let rejected = value("seawall_rejections_total", Some("rate_limited"));
    assert_eq!(rejected, Value::Counter(1));
    assert_eq!(
        value("seawall_ratelimit_queue_depth", None),
        Value::Gauge(0.0)
    );
    let Value::Gauge(tokens) = value("seawall_ratelimit_tokens_available", None) else {
        panic!("not a gauge")
    };
    assert!((0.0..1.0).contains(&tokens), "{tokens}");
    let Some(Received::Event(event)) = events.try_next() else {
        panic!("no event of the rejection")
    };
    assert!(matches!(event.kind, EventKind::Rejected(r) if r.reason() == Reason::RateLimited));
}

#[test]
fn invalid_settings_are_errors_that_name_the_field() {
    let field = |builder: RateLimitConfigBuilder| builder.build().unwrap_err().field().to_owned();
    let builder = RateLimitConfig::builder;
    let day = Duration::from_secs(24 * 3600);
    assert_eq!(field(builder().rate(0, SECOND)), "rate");
    assert_eq!(field(builder().rate(1, Duration::ZERO)), "period");
    assert_eq!(field(builder().rate(1, Duration::MAX)), "period");
    assert_eq!(field(builder().rate(2, Duration::from_nanos(1))), "rate");
    assert_eq!(field(builder().rate(1, SECOND).burst(0)), "burst");
    // Settings without effect.
    assert_eq!(field(builder().burst(3)), "burst");
    let waiting = || builder().max_wait(SECOND);
    assert_eq!(field(waiting().max_waiting(0)), "max_waiting");
    assert_eq!(field(waiting().max_waiting(1 << 25)), "max_waiting");
    assert_eq!(field(builder().max_waiting(5)), "max_waiting");
    assert_eq!(field(builder().priority_aging(SECOND)), "priority_aging");
    let zero = waiting().priority_aging(Duration::ZERO);
    assert_eq!(field(zero), "priority_aging");
    assert!(builder().max_waiting(0).build().is_ok());
    assert_eq!(field(builder().rate(1, 2 * day).burst(184)), "burst");
    assert_eq!(field(builder().rate(1, 366 * day).burst(u32::MAX)), "burst");
    assert!(builder().rate(1, 2 * day).burst(183).build().is_ok());
    assert!(builder().rate(1, Duration::from_nanos(1)).build().is_ok());
    assert_eq!(builder().build().unwrap(), RateLimitConfig::default());
    assert_eq!(
        builder().rate(5, SECOND).build().unwrap().limits()[0].capacity(),
        1
    );
}
