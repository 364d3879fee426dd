//! Copies of requests, clones of services, allocations.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_request_is_copied_before_every_attempt_but_the_last_and_to_see_that_it_still_can_be() {
    let copies = Arc::new(AtomicUsize::new(0));
    let count = |config: RetryConfig, replay, results: usize| {
        let copies = Arc::clone(&copies);
        async move {
            copies.store(0, Ordering::Relaxed);
            let counted = Arc::clone(&copies);
            let layer = layer(config, replay).copy(move |request: &u32| {
                counted.fetch_add(1, Ordering::Relaxed);
                Some(*request)
            });
            let upstream = Upstream::new(std::iter::repeat_n(NOT_SENT, results));
            let mut service = layer.layer(upstream.service());
            let _ = service.ready().await.unwrap().call(7).await;
            copies.load(Ordering::Relaxed)
        }
    };
    assert_eq!(count(ladder(3), Replay::Safe, 0).await, 1);
    assert_eq!(count(ladder(3), Replay::Safe, 1).await, 3);
    assert_eq!(count(ladder(3), Replay::Safe, 9).await, 4);
    assert_eq!(count(ladder(1), Replay::Safe, 9).await, 0);
    assert_eq!(count(ladder(2), Replay::Never, 9).await, 2);
    let unsent = RetryConfig::builder()
        .retry_if_not_sent(false)
        .build()
        .unwrap();
    assert_eq!(count(unsent, Replay::Never, 9).await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_cannot_be_copied_is_sent_once() {
    /// Not `Clone`, as many request types are not.
    struct Streamed;
    fn none(_: &Streamed) -> Option<Streamed> {
        None
    }
    let layer = RetryLayer::new("r", ladder(3)).describe(SAFE).copy(none);
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let mut service = layer.layer(service_fn(move |_: Streamed| {
        counted.fetch_add(1, Ordering::Relaxed);
        std::future::ready(Err::<(), BoxError>("down".into()))
    }));
    let result = service.ready().await.unwrap().call(Streamed).await;
    assert_eq!(result.unwrap_err().to_string(), "down");
    assert_eq!(calls.load(Ordering::Relaxed), 1);
}

/// A streamed body grew past what is kept while it was sent, and the upstream responded. The
/// response was thrown away for a second attempt, which failed for lack of a body.
#[tokio::test(start_paused = true)]
async fn a_result_is_kept_when_the_copy_cannot_be_sent_any_more() {
    #[derive(Debug)]
    struct Streamed(Arc<AtomicUsize>);
    fn while_short(request: &Streamed) -> Option<Streamed> {
        let short = request.0.load(Ordering::Relaxed) < 10;
        short.then(|| Streamed(Arc::clone(&request.0)))
    }
    let layer = RetryLayer::new("r", ladder(3))
        .describe(SAFE)
        .classify(ByError)
        .copy(while_short);
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let mut service = layer.layer(service_fn(move |request: Streamed| {
        counted.fetch_add(1, Ordering::Relaxed);
        request.0.fetch_add(6, Ordering::Relaxed);
        std::future::ready(Err::<u32, _>(SERVER))
    }));
    let request = Streamed(Arc::default());
    let result = service.ready().await.unwrap().call(request).await;
    assert_eq!(result, Err(SERVER));
    // Six fit and could be sent again, twelve could not.
    assert_eq!(calls.load(Ordering::Relaxed), 2);
    assert_eq!(layer.handle().counts().retries, 1);
}

#[derive(Debug)]
struct CountsClones<S>(S, Arc<AtomicUsize>);

impl<S: Clone> Clone for CountsClones<S> {
    fn clone(&self) -> Self {
        self.1.fetch_add(1, Ordering::Relaxed);
        Self(self.0.clone(), Arc::clone(&self.1))
    }
}

impl<S: Service<R>, R> Service<R> for CountsClones<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }
    fn call(&mut self, request: R) -> S::Future {
        self.0.call(request)
    }
}

#[tokio::test(start_paused = true)]
async fn the_inner_service_is_cloned_only_for_an_extra_attempt() {
    let clones = Arc::new(AtomicUsize::new(0));
    let upstream = Upstream::new([]);
    let inner = CountsClones(upstream.service(), Arc::clone(&clones));
    let mut service = layer(ladder(3), Replay::Safe).layer(inner);
    clones.store(0, Ordering::Relaxed);
    for _ in 0..10 {
        service.ready().await.unwrap().call(7).await.unwrap();
    }
    assert_eq!(clones.load(Ordering::Relaxed), 0);
    upstream.results.lock().unwrap().extend([Err(SERVER); 2]);
    service.ready().await.unwrap().call(7).await.unwrap();
    assert_eq!(clones.load(Ordering::Relaxed), 2);
}

#[test]
fn a_call_that_needs_no_retry_allocates_nothing_and_needs_no_runtime() {
    let upstream = service_fn(|n: u32| std::future::ready(Ok::<_, Rejection>(n)));
    let mut service = RetryLayer::new("r", ladder(3))
        .describe(SAFE)
        .layer(upstream);
    let mut once = || {
        let mut cx = Context::from_waker(Waker::noop());
        assert!(service.poll_ready(&mut cx).is_ready());
        let mut future = std::pin::pin!(service.call(7));
        assert_eq!(future.as_mut().poll(&mut cx), Poll::Ready(Ok(7)));
    };
    once();
    assert_eq!(seawall_testkit::alloc::count(&mut once).allocations, 0);
    let service = service.clone();
    let clone = seawall_testkit::alloc::count(|| service.clone());
    assert_eq!(clone.allocations, 0);
}

/// Counts how often it is cloned.
struct Counted(Arc<AtomicUsize>);

impl Clone for Counted {
    fn clone(&self) -> Self {
        self.0.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(&self.0))
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_is_cloned_once_for_each_attempt_that_may_follow_and_never_when_none_may() {
    let unsent = |retry| {
        let config = RetryConfig::builder().attempts(3).retry_if_not_sent(retry);
        config.build().unwrap()
    };
    for (config, replay, failures, clones) in [
        (ladder(1), Replay::Safe, 9, 0),
        (unsent(false), Replay::Never, 9, 0),
        (unsent(true), Replay::Never, 9, 1),
        (ladder(3), Replay::Safe, 0, 1),
        (ladder(3), Replay::Safe, 1, 2),
        (ladder(3), Replay::SafeWithKey, 9, 2),
    ] {
        let left = Arc::new(AtomicUsize::new(failures));
        let layer = RetryLayer::new("r", config).describe(ConstMeta(RequestMeta::new(replay)));
        let upstream = service_fn(move |_: Counted| {
            let failing = left.load(Ordering::Relaxed) > 0;
            left.store(
                left.load(Ordering::Relaxed).saturating_sub(1),
                Ordering::Relaxed,
            );
            std::future::ready(if failing {
                Err::<(), BoxError>("down".into())
            } else {
                Ok(())
            })
        });
        let count = Arc::new(AtomicUsize::new(0));
        let _ = layer
            .layer(upstream)
            .oneshot(Counted(Arc::clone(&count)))
            .await;
        assert_eq!(
            count.load(Ordering::Relaxed),
            clones,
            "{replay:?}, {failures}"
        );
    }
}
