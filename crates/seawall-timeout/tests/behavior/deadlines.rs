//! The overall deadline.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_deadline_covers_readiness_and_the_waiting_task_is_woken() {
    // Time spent in a queue was not counted: the request waited an hour for a service that never
    // became ready, under a timeout of seconds.
    let (inner, mock) = mock();
    mock.set_pending();
    let layer = deadline_layer(SECOND);
    let handle = layer.handle();
    let mut service = layer.layer(inner);
    let start = Instant::now();
    let waiting = tokio::spawn(async move {
        let ready = service.ready().await;
        assert!(ready.is_ok(), "a rejection is an error of the call");
        let result = service.call(1).await;
        (service, result)
    });
    let (mut service, result) = waiting.await.unwrap();
    let text = result.as_ref().unwrap_err().to_string();
    assert!(text.contains("(after 1000 ms)"), "{text}");
    assert_eq!(rejection(result), (Reason::DeadlineExceeded, Sent::No));
    assert_eq!(Instant::now(), start + SECOND);
    assert_eq!(mock.calls(), 0);
    assert_eq!(
        (
            handle.counts().readiness_timeouts,
            handle.counts().deadline_exceeded
        ),
        (1, 0)
    );
    // The instance can be used again.
    mock.set_ready();
    assert_eq!(service.ready().await.unwrap().call(2).await.unwrap(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_readiness_timeout_stays_one_until_the_call() {
    let (inner, mock) = mock();
    mock.set_pending();
    let mut service = deadline_layer(SECOND).layer(inner);
    service.ready().await.unwrap();
    mock.set_ready();
    let polls = mock.readiness_polls();
    for _ in 0..3 {
        service.ready().await.unwrap();
    }
    assert_eq!(mock.readiness_polls(), polls);
    let result = service.call(1).await;
    assert_eq!(rejection(result), (Reason::DeadlineExceeded, Sent::No));
}

#[tokio::test(start_paused = true)]
async fn time_waited_for_readiness_is_taken_off_the_call() {
    let (inner, mock) = mock();
    mock.set_pending();
    mock.hold_responses();
    let layer = deadline_layer(SECOND);
    let mut service = layer.layer(inner);
    let start = Instant::now();
    let waiting = tokio::spawn(async move { service.ready().await.unwrap().call(1).await });
    sleep(700 * MS).await;
    mock.set_ready();
    let result = waiting.await.unwrap();
    assert_eq!(rejection(result), (Reason::DeadlineExceeded, Sent::Maybe));
    assert_eq!(Instant::now(), start + SECOND);
    assert_eq!(layer.handle().counts().deadline_exceeded, 1);
}

#[tokio::test(start_paused = true)]
async fn readiness_lost_and_regained_is_charged_in_full() {
    let (inner, mock) = mock();
    mock.hold_responses();
    let mut service = deadline_layer(SECOND).layer(inner);
    let start = Instant::now();
    for _ in 0..2 {
        mock.set_pending();
        let mut ready = PolledFuture::new(service.ready());
        assert!(ready.poll().is_pending());
        advance(300 * MS).await;
        mock.set_ready();
        assert!(ready.poll().is_ready());
    }
    let result = service.call(1).await;
    assert_eq!(rejection(result), (Reason::DeadlineExceeded, Sent::Maybe));
    assert_eq!(Instant::now(), start + SECOND);
}

#[tokio::test(start_paused = true)]
async fn idle_time_between_readiness_and_call_is_not_charged() {
    let (inner, mock) = mock();
    mock.set_pending();
    let mut service = deadline_layer(SECOND).layer(inner);
    {
        let mut ready = PolledFuture::new(service.ready());
        assert!(ready.poll().is_pending());
        advance(900 * MS).await;
        mock.set_ready();
        assert!(ready.poll().is_ready());
    }
    advance(3600 * SECOND).await;
    assert_eq!(service.call(1).await.unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_was_given_up_long_ago_is_not_charged_to_the_next_call() {
    let (inner, mock) = mock();
    mock.set_pending();
    let mut service = deadline_layer(SECOND).layer(inner);
    assert!(PolledFuture::new(service.ready()).poll().is_pending());
    advance(3600 * SECOND).await;
    // Still not ready: the next caller waits for its own second.
    let mut ready = PolledFuture::new(service.ready());
    assert!(ready.poll().is_pending());
    advance(3600 * SECOND).await;
    drop(ready);
    // Ready by now: the next caller has a full second.
    mock.set_ready();
    mock.hold_responses();
    let start = Instant::now();
    let result = service.ready().await.unwrap().call(1).await;
    assert_eq!(rejection(result), (Reason::DeadlineExceeded, Sent::Maybe));
    assert_eq!(Instant::now(), start + SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_clone_of_a_waiting_service_has_not_waited() {
    let (inner, mock) = mock();
    mock.set_pending();
    let mut service = deadline_layer(SECOND).layer(inner);
    service.ready().await.unwrap();
    let mut clone = service.clone();
    mock.set_ready();
    assert_eq!(clone.ready().await.unwrap().call(2).await.unwrap(), 2);
    assert!(service.call(1).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_buffer_above_survives_a_rejection() {
    // An error of `poll_ready` would shut the buffer down for all its handles.
    let (inner, mock) = mock();
    mock.set_pending();
    let service = deadline_layer(SECOND).layer(inner);
    let mut buffered = tower::buffer::Buffer::new(service, 4);
    let result = buffered.ready().await.unwrap().call(1).await;
    assert_eq!(rejection(result), (Reason::DeadlineExceeded, Sent::No));
    mock.set_ready();
    assert_eq!(buffered.ready().await.unwrap().call(2).await.unwrap(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_error_of_readiness_passes_through() {
    let (inner, mock) = mock();
    mock.set_pending();
    let mut service = deadline_layer(SECOND).layer(inner);
    let mut ready = PolledFuture::new(service.ready());
    assert!(ready.poll().is_pending());
    mock.set_failed();
    let Poll::Ready(Err(error)) = ready.poll() else {
        panic!("the inner service has failed");
    };
    assert!(error.rejection().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_full_concurrency_limit_below_is_waited_for_no_longer_than_the_deadline() {
    let mut first = ServiceBuilder::new()
        .layer(deadline_layer(SECOND))
        .layer(ConcurrencyLimitLayer::new(1))
        .service(sleeper());
    let mut second = first.clone();
    let long = tokio::spawn(first.ready().await.unwrap().call(900 * MS));
    tokio::task::yield_now().await;
    let start = Instant::now();
    // 900 ms of waiting leave 100 ms.
    let result = second.ready().await.unwrap().call(500 * MS).await;
    assert_eq!(result.unwrap_err().reason(), Reason::DeadlineExceeded);
    assert_eq!(Instant::now(), start + SECOND);
    assert!(long.await.unwrap().is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_waiting_instance_polled_by_another_task_wakes_that_task() {
    let (inner, mock) = mock();
    mock.set_pending();
    let mut service = deadline_layer(SECOND).layer(inner);
    let mut first = PolledFuture::new(service.ready());
    assert!(first.poll().is_pending());
    drop(first);
    let mut second = PolledFuture::new(service.ready());
    assert!(second.poll().is_pending());
    sleep(2 * SECOND - MS).await;
    assert!(second.wakes() > 0);
    assert!(second.poll().is_ready());
}

#[tokio::test(start_paused = true)]
async fn deadlines_of_an_own_error_type_and_of_a_wrapped_one_compile_and_reject() {
    #[derive(Debug)]
    enum Own {
        Rejected(Rejection),
    }
    seawall_core::rejectable!(Own::Rejected);
    let pending = service_fn(|()| std::future::pending::<Result<(), Own>>());
    let mut own = deadline_layer(SECOND).layer(pending);
    let Err(Own::Rejected(rejection)) = own.ready().await.unwrap().call(()).await else {
        panic!("a service that never responds");
    };
    assert_eq!(rejection.reason(), Reason::DeadlineExceeded);
    // The type of a stack can be named.
    type Stack<S> =
        Deadline<AttemptTimeout<seawall_core::WrapError<S>, Policy, NoOverride>, NoPropagation>;
    fn named<S>(inner: S) -> Stack<S> {
        deadline_layer(SECOND)
            .layer(attempt_layer(MS).layer(seawall_core::WrapErrorLayer.layer(inner)))
    }
    let never = service_fn(|()| std::future::pending::<Result<(), std::io::Error>>());
    let result = named(never).oneshot(()).await;
    assert!(matches!(result, Err(Error::Rejected(r)) if r.reason() == Reason::AttemptTimeout));
}

#[test]
fn many_threads_count_every_timeout_once() {
    let layer = attempt_layer(Duration::from_nanos(1));
    let responses = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_time()
                    .start_paused(true)
                    .build()
                    .unwrap();
                runtime.block_on(async {
                    let mut service = layer.clone().layer(sleeper());
                    for _ in 0..50 {
                        assert!(service.ready().await.unwrap().call(SECOND).await.is_err());
                        responses.fetch_add(1, Ordering::Relaxed);
                    }
                });
            });
        }
    });
    assert_eq!(responses.load(Ordering::Relaxed), 200);
    assert_eq!(layer.handle().counts().timed_out, 200);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn readiness_and_call_together_never_take_longer_than_the_deadline(
        timeout in 1_u64..2_000,
        unready in 0_u64..3_000,
        takes in 0_u64..3_000,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        let (elapsed, responded) = runtime.block_on(async {
            let (inner, mock) = mock();
            mock.hold_responses();
            mock.set_pending();
            let limit = Duration::from_millis(timeout);
            let mut service = deadline_layer(limit).layer(inner);
            let upstream = mock.clone();
            tokio::spawn(async move {
                sleep(Duration::from_millis(unready)).await;
                upstream.set_ready();
                sleep(Duration::from_millis(takes)).await;
                upstream.respond_immediately();
                upstream.respond_to_all();
            });
            let start = Instant::now();
            let ok = service.ready().await.unwrap().call(1).await.is_ok();
            (start.elapsed_ms(), ok)
        });
        prop_assert!(elapsed <= timeout);
        let needed = unready + takes;
        if needed < timeout {
            prop_assert!(responded);
            prop_assert_eq!(elapsed, needed);
        } else if needed > timeout {
            prop_assert!(!responded);
            prop_assert_eq!(elapsed, timeout);
        }
    }
}

trait ElapsedMs {
    fn elapsed_ms(self) -> u64;
}

impl ElapsedMs for Instant {
    fn elapsed_ms(self) -> u64 {
        u64::try_from((Instant::now() - self).as_millis()).unwrap()
    }
}
