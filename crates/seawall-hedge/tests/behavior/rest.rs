//! Sharing, telemetry, allocations, auto traits.

use super::*;

use seawall_testkit::alloc;
use static_assertions::{assert_impl_all, assert_not_impl_any};

assert_impl_all!(Hedge<Upstream>: Clone, Send, Sync, Unpin);
assert_impl_all!(HedgeLayer: Clone, Send, Sync, Unpin);
assert_impl_all!(HedgeHandle: Clone, Send, Sync, Unpin);
assert_impl_all!(
    ResponseFuture<Mock, u32, Policy<ByError, ConstMeta>>: Send
);

/// Neither `Send` nor `Sync` nor `'static`.
#[derive(Clone)]
struct Local<'a>(Rc<[u8]>, &'a str);

impl Service<u32> for Local<'_> {
    type Response = usize;
    type Error = Failed;
    type Future = std::future::Ready<Result<usize, Failed>>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> Poll<Result<(), Failed>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: u32) -> Self::Future {
        std::future::ready(Ok(self.1.len() + usize::from(self.0[0])))
    }
}

assert_not_impl_any!(Hedge<Local<'static>>: Send, Sync);

#[tokio::test(start_paused = true)]
async fn a_service_that_is_not_send_can_be_hedged() {
    let text = String::from("seawall");
    let layer = HedgeLayer::new("h", after_100_ms(1)).describe(SAFE);
    let mut service = layer.layer(Local(Rc::new([7]), &text));
    assert_eq!(service.ready().await.unwrap().call(1).await, Ok(14));
}

#[tokio::test(start_paused = true)]
async fn layers_services_and_clones_share_what_is_learned_and_paid() {
    let quantile = QuantileConfig::new(0.9).unwrap().with_warm_up(4).unwrap();
    let config = HedgeConfig::builder().delay_quantile(quantile).build();
    let layer = layer(config.unwrap()).budget(tokens(5));
    let upstream = Upstream::new([(100 * MS, Ok(1))]);
    let mut first = layer.layer(upstream.clone());
    let mut clone = first.clone();
    let mut second = layer.layer(upstream.clone());
    let mut of_clone = layer.clone().layer(upstream);
    for service in [&mut first, &mut clone, &mut second, &mut of_clone] {
        assert_eq!(layer.handle().delay(), None);
        assert_eq!(call(service).await.0, Ok(1));
    }
    assert!(layer.handle().delay().is_some());
    let slow = || Upstream::new([(SECOND, Ok(1)), (MS, Ok(2))]);
    assert_eq!(call(&mut layer.layer(slow())).await.0, Ok(2));
    assert_eq!(call(&mut layer.clone().layer(slow())).await.0, Ok(2));
    assert_eq!(layer.handle().budget().unwrap().balance(), 3.0);
}

/// Two instances behind one service: each clone goes to one of its own.
#[tokio::test(start_paused = true)]
async fn an_extra_attempt_may_go_to_another_instance() {
    #[derive(Clone)]
    struct Balanced(Arc<AtomicUsize>);
    impl Service<u32> for Balanced {
        type Response = u32;
        type Error = Failed;
        type Future = std::pin::Pin<Box<dyn Future<Output = Result<u32, Failed>>>>;
        fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> Poll<Result<(), Failed>> {
            Poll::Ready(Ok(()))
        }
        fn call(&mut self, _: u32) -> Self::Future {
            let instance = self.0.fetch_add(1, Ordering::Relaxed);
            Box::pin(async move {
                // The first instance hangs.
                sleep(if instance == 0 { 60 * SECOND } else { MS }).await;
                Ok(instance as u32)
            })
        }
    }
    let mut service = layer(after_100_ms(1)).layer(Balanced(Arc::default()));
    assert_eq!(call(&mut service).await.0, Ok(1));
}

#[tokio::test(start_paused = true)]
async fn each_extra_attempt_is_emitted_with_its_number_and_how_long_was_waited() {
    let layer = layer(after_100_ms(2));
    let registry = Registry::new("svc");
    registry.register(layer.handle()).unwrap();
    let mut received = registry.events().subscribe();
    let upstream = Upstream::new([(SECOND, Ok(1))]);
    assert_eq!(call(&mut layer.layer(upstream)).await.0, Ok(1));
    for expected in [2, 3] {
        let Some(Received::Event(event)) = received.try_next() else {
            panic!("nothing emitted");
        };
        assert_eq!((event.pattern, event.name.as_str()), ("hedge", "hedge"));
        let EventKind::Hedged { attempt, delay } = event.kind else {
            panic!("{event:?}");
        };
        assert_eq!(attempt, expected);
        assert_about(delay.as_millis(), 100 * u128::from(expected - 1));
    }
    assert_eq!(received.try_next(), None);
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_a_listener_disturbs_nobody() {
    let layer = layer(after_100_ms(1));
    let events = Events::default();
    layer.handle().attach(&events);
    let _listening = events.listen(|_| panic!("listener"));
    let upstream = Upstream::new([(SECOND, Ok(1)), (MS, Ok(2))]);
    assert_eq!(call(&mut layer.layer(upstream)).await.0, Ok(2));
    assert_eq!(events.listener_panics(), 1);
}

#[tokio::test(start_paused = true)]
async fn calls_are_counted_by_their_outcome() {
    let layer = layer(after_100_ms(1));
    let below = rejected(Reason::RateLimited, Sent::No);
    for result in [
        Ok(1),
        Err(SERVER),
        Err(below),
        Err(Failed::With(Outcome::Ignored)),
    ] {
        let upstream = Upstream::new([(Duration::ZERO, result)]);
        assert_eq!(call(&mut layer.layer(upstream)).await.0, result);
    }
    let raced = Upstream::new([(SECOND, Ok(1)), (MS, Ok(2))]);
    assert_eq!(call(&mut layer.layer(raced)).await.0, Ok(2));
    let handle = layer.handle();
    let calls = |outcome| counter(&handle, "seawall_calls_total", outcome);
    assert_eq!(calls("success"), 2);
    assert_eq!(calls("failure"), 1);
    assert_eq!(calls("rejected"), 1);
    assert_eq!(calls("ignored"), 1);
}

#[test]
fn the_settings_and_gauges_are_published() {
    let handle = layer(after_100_ms(2)).handle();
    let settings: std::collections::BTreeMap<_, _> = handle.settings().into_iter().collect();
    assert_eq!(settings["delay"], "100ms");
    assert_eq!(settings["extra_attempts"], "2");
    assert!(settings["budget"].contains("at most 10;"), "{settings:?}");
    let mut gauges = Vec::new();
    handle.samples(&mut seawall_core::Samples::new(&mut |sample| {
        if let Value::Gauge(value) = sample.value {
            gauges.push((sample.metric, value));
        }
    }));
    assert_eq!(
        gauges,
        [
            ("seawall_hedge_delay_seconds", 0.1),
            ("seawall_hedge_budget_balance", 10.0),
            ("seawall_hedge_budget_capacity", 10.0)
        ]
    );
}

/// A call that is polled so many times before it completes.
fn lazy(polls: u32) -> impl Service<u32, Response = u32, Error = Failed, Future: Send> + Clone {
    tower::service_fn(move |request: u32| {
        let mut left = polls;
        std::future::poll_fn(move |_| match left {
            0 => Poll::Ready(Ok(request)),
            _ => {
                left -= 1;
                Poll::Pending
            }
        })
    })
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_not_hedged_allocates_nothing() {
    let learned = QuantileConfig::new(0.9).unwrap().with_warm_up(1).unwrap();
    let learned = HedgeConfig::builder()
        .delay_quantile(learned)
        .min_delay(SECOND);
    for config in [after_100_ms(4), learned.build().unwrap()] {
        for polls in [0, 3] {
            let mut service = layer(config.clone()).layer(lazy(polls));
            let mut run = || {
                let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
                assert!(service.poll_ready(&mut cx).is_ready());
                let mut call = std::pin::pin!(service.call(7));
                let mut pending = 0;
                loop {
                    match call.as_mut().poll(&mut cx) {
                        Poll::Ready(result) => break assert_eq!(result, Ok(7)),
                        Poll::Pending => pending += 1,
                    }
                }
                assert_eq!(pending, polls);
            };
            for _ in 0..3 {
                run();
            }
            assert_eq!(
                alloc::count(&mut run).allocations,
                0,
                "{config:?}, {polls} polls"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn polling_after_the_call_has_completed_panics() {
    let mut service = layer(after_100_ms(1)).layer(lazy(0));
    let mut call = PolledFuture::new(service.ready().await.unwrap().call(7));
    assert_eq!(call.poll(), Poll::Ready(Ok(7)));
    assert!(catch_unwind(AssertUnwindSafe(|| call.poll())).is_err());
}

/// Each attempt waits for its own token of a limit below; the first keeps its own.
#[tokio::test(start_paused = true)]
async fn a_concurrency_limit_below_bounds_the_attempts_under_way() {
    let upstream = Upstream::new([(SECOND, Ok(1))]);
    let mut service = ServiceBuilder::new()
        .layer(layer(after_100_ms(4)).budget(tokens(9)))
        .concurrency_limit(2)
        .service(upstream.clone());
    assert_eq!(call(&mut service).await.0, Ok(1));
    assert_eq!((upstream.calls(), upstream.open()), (2, 0));
}
