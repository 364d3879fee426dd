//! Timeouts that are learned, and those that requests come with.

use super::*;

pub(super) fn builder() -> LearnedConfigBuilder {
    let bounds = LearnedConfig::builder().min(10 * MS).max(10 * SECOND);
    let learned = bounds.quantile(0.9).factor(2.0).warm_up(20);
    learned.initial(5 * SECOND)
}

pub(super) fn config(builder: LearnedConfigBuilder) -> AttemptTimeoutConfig<Learned> {
    AttemptTimeoutConfig::learned(builder.build().unwrap())
}

pub(super) fn learned() -> AttemptTimeoutLayer<Policy, NoOverride, Learned> {
    AttemptTimeoutLayer::new("l", config(builder()))
}

/// Makes `calls` calls that take `takes` each; returns how many responses there were.
pub(super) async fn make<S>(service: &mut S, calls: u32, takes: Duration) -> u32
where
    S: Service<Duration, Response = Duration, Error = Rejection>,
{
    let mut responses = 0;
    for _ in 0..calls {
        let call = service.ready().await.unwrap().call(takes);
        responses += u32::from(call.await.is_ok());
    }
    responses
}

pub(super) fn near(timeout: Duration, expected: Duration) -> bool {
    (expected..=expected * 17 / 16 + MS).contains(&timeout)
}

#[tokio::test(start_paused = true)]
async fn the_initial_timeout_holds_until_enough_responses_are_known() {
    let layer = learned();
    let handle = layer.handle();
    let mut service = layer.layer(sleeper());
    assert_eq!(handle.snapshot().samples_missing, 20);
    make(&mut service, 19, 100 * MS).await;
    assert_eq!(handle.timeout().unwrap(), 5 * SECOND);
    assert_eq!(handle.snapshot().estimate, None);
    assert_eq!(
        make(&mut service, 1, 4 * SECOND).await,
        1,
        "within the initial one"
    );
    assert!(
        near(handle.timeout().unwrap(), 200 * MS),
        "{:?}",
        handle.timeout().unwrap()
    );
    assert_eq!(handle.snapshot().samples_missing, 0);
    let start = Instant::now();
    assert_eq!(make(&mut service, 1, SECOND).await, 0);
    let took = Instant::now() - start;
    assert!(near(took, 200 * MS), "{took:?}");
    assert_eq!(handle.counts().timed_out, 1);
}

#[tokio::test(start_paused = true)]
async fn a_timeout_that_has_become_too_short_grows_back() {
    let layer = learned();
    let mut service = layer.layer(sleeper());
    make(&mut service, 200, 100 * MS).await;
    make(&mut service, 400, 2 * SECOND).await;
    assert_eq!(make(&mut service, 100, 2 * SECOND).await, 100);
    assert!(near(layer.handle().timeout().unwrap(), 4 * SECOND));
}

#[tokio::test(start_paused = true)]
async fn it_stays_within_its_bounds() {
    let layer = learned();
    let mut service = layer.layer(sleeper());
    make(&mut service, 50, MS).await;
    assert_eq!(layer.handle().timeout().unwrap(), 10 * MS);
    layer.handle().reset();
    assert_eq!(layer.handle().timeout().unwrap(), 5 * SECOND);
    make(&mut service, 50, 100 * SECOND).await;
    assert_eq!(layer.handle().timeout().unwrap(), 10 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn failures_and_rejections_that_come_fast_are_not_learned_from() {
    let layer = learned().classify(|result: Result<&u32, &Rejection>| match result {
        Ok(429) => seawall_core::Outcome::Throttled {
            retry_after: None,
            scope: seawall_core::Scope::Upstream,
        },
        Ok(404) => seawall_core::Outcome::Ignored,
        _ => seawall_core::Outcome::Success,
    });
    let handle = layer.handle();
    // A layer below of the same name, as in a stack.
    let upstream = service_fn(|status: u32| async move {
        match status {
            0 => Err(Rejection::new(Reason::RateLimited, "l")),
            1 => Err(Rejection::new(Reason::OutcomeUnknown, "client")),
            status => Ok(status),
        }
    });
    let mut service = layer.layer(upstream);
    for status in [0, 1, 429].repeat(50) {
        let _ = service.ready().await.unwrap().call(status).await;
    }
    assert_eq!(
        (
            handle.snapshot().samples_missing,
            handle.snapshot().estimate
        ),
        (20, None)
    );
    for _ in 0..20 {
        let _ = service.ready().await.unwrap().call(404).await;
    }
    assert_eq!(
        handle.snapshot().samples_missing,
        0,
        "not the fault of the upstream: a response"
    );
}

#[tokio::test(start_paused = true)]
async fn calls_that_are_dropped_count_as_long_as_they_were_waited_for() {
    // Hedging drops the slower of two: without them, only the fast ones would be learned from.
    let layer = learned();
    let mut service = layer.layer(sleeper());
    make(&mut service, 20, 100 * MS).await;
    for _ in 0..200 {
        make(&mut service, 1, 100 * MS).await;
        let call = service.ready().await.unwrap().call(SECOND);
        assert!(tokio::time::timeout(150 * MS, call).await.is_err());
    }
    let timeout = layer.handle().timeout().unwrap();
    assert!(timeout >= 300 * MS, "{timeout:?}");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_was_never_polled_is_not_learned_from() {
    let layer = learned();
    let mut service = layer.layer(sleeper());
    make(&mut service, 19, 100 * MS).await;
    for _ in 0..50 {
        let call = service.ready().await.unwrap().call(SECOND);
        advance(20 * SECOND).await;
        drop(call);
    }
    assert_eq!(layer.handle().snapshot().samples_missing, 1);
}

#[tokio::test(start_paused = true)]
async fn attempts_that_end_at_their_requests_deadline_count_for_as_long_as_they_lasted() {
    let layer = learned().describe(|_: &Duration| {
        RequestMeta::new(Replay::Safe).with_deadline(Instant::now() + 150 * MS)
    });
    let mut service = layer.layer(sleeper());
    make(&mut service, 20, 100 * MS).await;
    make(&mut service, 200, SECOND).await;
    let timeout = layer.handle().timeout().unwrap();
    assert!(timeout >= 300 * MS, "{timeout:?}");
    assert_eq!(layer.handle().counts().deadline_exceeded, 200);
}

#[tokio::test(start_paused = true)]
async fn a_request_may_have_its_own_timeout() {
    let own = |request: &Duration| (*request > SECOND).then(|| 2 * *request - SECOND);
    let layer = attempt_layer(SECOND / 2).per_request(own);
    let mut service = layer.layer(sleeper());
    assert_eq!(
        make(&mut service, 1, 3 * SECOND).await,
        1,
        "longer than the layer's"
    );
    assert_eq!(make(&mut service, 1, SECOND).await, 0, "the layer's");
    let none = attempt_layer(SECOND).per_request(|_: &Duration| Some(Duration::ZERO));
    let mut service = none.layer(sleeper());
    assert_eq!(
        make(&mut service, 1, Duration::ZERO).await,
        1,
        "ready at once"
    );
    assert_eq!(make(&mut service, 1, MS).await, 0);
    let forever = attempt_layer(SECOND).per_request(|_: &Duration| Some(Duration::MAX));
    let mut service = forever.layer(sleeper());
    assert_eq!(make(&mut service, 1, 10_000 * SECOND).await, 1);
}

#[tokio::test(start_paused = true)]
async fn a_requests_own_timeout_comes_before_the_learned_one_and_is_learned_from() {
    let layer = learned().per_request(|request: &Duration| (*request == SECOND).then_some(SECOND));
    let mut service = layer.layer(sleeper());
    make(&mut service, 100, 100 * MS).await;
    assert!(near(layer.handle().timeout().unwrap(), 200 * MS));
    assert_eq!(make(&mut service, 200, SECOND).await, 200);
    assert!(near(layer.handle().timeout().unwrap(), 2 * SECOND));
}

#[tokio::test(start_paused = true)]
async fn a_classifier_that_panics_leaves_the_next_call_untouched() {
    let layer = learned().classify(|result: Result<&Duration, &Rejection>| {
        assert!(*result.unwrap() > Duration::ZERO, "a classifier's panic");
        seawall_core::Outcome::Success
    });
    let mut service = layer.layer(sleeper());
    let mut clone = service.clone();
    let task = tokio::spawn(async move { clone.ready().await.unwrap().call(Duration::ZERO).await });
    assert!(task.await.unwrap_err().is_panic());
    assert_eq!(layer.handle().snapshot().samples_missing, 20);
    assert_eq!(make(&mut service, 20, MS).await, 20);
    assert_eq!(layer.handle().snapshot().samples_missing, 0);
}

/// A call that is lost in a panic was not given up for being slow.
#[tokio::test(start_paused = true)]
async fn a_panic_below_is_not_learned_from() {
    let layer = learned();
    let mut service = layer.layer(service_fn(|time: Duration| async move {
        sleep(time).await;
        assert!(time < 50 * MS, "a panic below");
        Ok::<_, Rejection>(time)
    }));
    make(&mut service, 40, 40 * MS).await;
    for _ in 0..40 {
        let call = service.ready().await.unwrap().call(60 * MS);
        assert!(tokio::spawn(call).await.unwrap_err().is_panic());
    }
    make(&mut service, 1, 40 * MS).await;
    // A new estimate has been computed since.
    sleep(5 * SECOND).await;
    make(&mut service, 1, 40 * MS).await;
    let timeout = layer.handle().timeout().unwrap();
    assert!(near(timeout, 2 * 40 * MS), "{timeout:?}");
}

#[tokio::test(start_paused = true)]
async fn learning_allocates_nothing_while_responses_are_ready() {
    let upstream = service_fn(|n: u32| std::future::ready(Ok::<_, Rejection>(n)));
    let mut service = learned().layer(upstream);
    let mut once = || {
        let mut cx = Context::from_waker(Waker::noop());
        assert!(service.poll_ready(&mut cx).is_ready());
        let mut future = std::pin::pin!(service.call(7));
        assert_eq!(future.as_mut().poll(&mut cx), Poll::Ready(Ok(7)));
    };
    for _ in 0..50 {
        once();
    }
    assert_eq!(seawall_testkit::alloc::count(&mut once).allocations, 0);
}
