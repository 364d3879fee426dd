//! The attempt timeout.

use super::*;

#[test]
fn a_response_that_is_ready_at_once_needs_no_runtime_no_timer_and_no_memory() {
    // No Tokio runtime here: arming a timer would panic.
    let echo = || service_fn(|n: u32| std::future::ready(Ok::<_, Rejection>(n)));
    let mut attempt = attempt_layer(SECOND).layer(echo());
    let mut overall = deadline_layer(SECOND).layer(echo());
    fn once<S: Service<u32, Response = u32, Error = Rejection>>(service: &mut S) {
        let mut cx = Context::from_waker(Waker::noop());
        assert!(service.poll_ready(&mut cx).is_ready());
        let mut future = std::pin::pin!(service.call(7));
        assert_eq!(future.as_mut().poll(&mut cx), Poll::Ready(Ok(7)));
    }
    for _ in 0..3 {
        once(&mut attempt);
        once(&mut overall);
    }
    let counts = seawall_testkit::alloc::count(|| {
        once(&mut attempt);
        once(&mut overall);
    });
    assert_eq!(counts.allocations, 0);
    let clones = seawall_testkit::alloc::count(|| (attempt.clone(), overall.clone()));
    assert_eq!(clones.allocations, 0);
}

#[tokio::test(start_paused = true)]
async fn a_slow_attempt_times_out_in_time_and_may_have_been_sent() {
    let layer = attempt_layer(SECOND);
    let handle = layer.handle();
    let mut service = layer.layer(sleeper());
    let start = Instant::now();
    let error = service.ready().await.unwrap().call(2 * SECOND).await;
    let rejection = error.unwrap_err();
    assert_eq!(rejection.reason(), Reason::AttemptTimeout);
    assert_eq!(rejection.sent(), Sent::Maybe);
    assert_eq!(rejection.name().as_str(), "a");
    assert_eq!(start + SECOND, Instant::now());
    assert_eq!(handle.counts().timed_out, 1);
    // In time, and exactly in time: the response wins.
    let call = service.ready().await.unwrap().call(SECOND - MS);
    assert_eq!(call.await, Ok(SECOND - MS));
    assert_eq!(service.call(SECOND).await, Ok(SECOND));
    assert_eq!(handle.counts().timed_out, 1);
}

#[tokio::test(start_paused = true)]
async fn the_inner_future_is_dropped_before_the_caller_is_notified_of_the_timeout() {
    let (inner, mock) = mock();
    mock.hold_responses();
    mock.set_capacity(1);
    let mut service = attempt_layer(SECOND).layer(inner);
    let mut call = Box::pin(service.ready().await.unwrap().call(1));
    let result = call.as_mut().await;
    assert_eq!(rejection(result), (Reason::AttemptTimeout, Sent::Maybe));
    // The finished future is still here, and holds nothing.
    let held = (mock.futures(), mock.in_flight(), mock.reserved());
    assert_eq!(held, (0, 0, 0));
    drop(call);
}

#[tokio::test(start_paused = true)]
async fn the_time_starts_at_the_first_poll() {
    let mut service = attempt_layer(SECOND).layer(sleeper());
    let call = service.ready().await.unwrap().call(SECOND);
    advance(10 * SECOND).await;
    let start = Instant::now();
    let mut call = std::pin::pin!(call);
    // The sleep of the inner service starts at its first poll, too.
    assert_eq!(call.as_mut().await, Ok(SECOND));
    assert_eq!(start + SECOND, Instant::now());
}

#[tokio::test(start_paused = true)]
async fn the_longest_duration_waits_forever_and_does_not_panic() {
    let year = 365 * 24 * 3600 * SECOND;
    let mut attempt = attempt_layer(Duration::MAX).layer(sleeper());
    assert_eq!(attempt.ready().await.unwrap().call(year).await, Ok(year));
    let propagate = |_: &mut Duration, at: Instant| assert!(at > Instant::now());
    let layer = deadline_layer(Duration::MAX).propagate(propagate);
    let mut overall = layer.layer(sleeper());
    assert_eq!(overall.ready().await.unwrap().call(year).await, Ok(year));
}

#[tokio::test(start_paused = true)]
async fn the_shortest_duration_still_lets_a_response_pass_that_is_ready() {
    let mut service = attempt_layer(Duration::from_nanos(1)).layer(sleeper());
    let ready = service.ready().await.unwrap();
    assert_eq!(ready.call(Duration::ZERO).await, Ok(Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn the_deadline_of_a_request_shortens_its_attempt() {
    let start = Instant::now();
    let describe = move |request: &Duration| {
        RequestMeta::new(Replay::Safe)
            .with_deadline(start + Duration::from_millis(300) + *request / 1_000)
    };
    let layer = attempt_layer(SECOND).describe(describe);
    let handle = layer.handle();
    let mut service = layer.layer(sleeper());
    let result = service.ready().await.unwrap().call(SECOND).await;
    let rejection = result.unwrap_err();
    assert_eq!(rejection.reason(), Reason::DeadlineExceeded);
    assert_eq!(rejection.sent(), Sent::Maybe);
    assert_eq!(Instant::now(), start + Duration::from_millis(301));
    assert_eq!(
        (handle.counts().timed_out, handle.counts().deadline_exceeded),
        (0, 1)
    );
}

#[tokio::test(start_paused = true)]
async fn a_deadline_later_than_the_timeout_changes_nothing() {
    let describe =
        |_: &Duration| RequestMeta::default().with_deadline(Instant::now() + 10 * SECOND);
    let mut service = attempt_layer(SECOND).describe(describe).layer(sleeper());
    let result = service.ready().await.unwrap().call(5 * SECOND).await;
    assert_eq!(result.unwrap_err().reason(), Reason::AttemptTimeout);
}

#[tokio::test(start_paused = true)]
async fn a_request_whose_deadline_has_passed_is_never_sent() {
    let (inner, mock) = mock();
    let passed = Instant::now();
    let layer =
        attempt_layer(SECOND).describe(move |_: &u32| RequestMeta::default().with_deadline(passed));
    let handle = layer.handle();
    let mut service = layer.layer(inner);
    let result = service.ready().await.unwrap().call(1).await;
    assert_eq!(rejection(result), (Reason::DeadlineExceeded, Sent::No));
    assert_eq!(mock.calls(), 0);
    assert_eq!(handle.counts().expired_on_arrival, 1);
}

#[tokio::test(start_paused = true)]
async fn a_busy_service_that_uses_up_the_cooperative_budget_times_out_all_the_same() {
    // Tokio makes every resource pend when a task has made too much progress in one poll, so that
    // a timer that is polled last would never fire.
    struct Busy;
    impl Future for Busy {
        type Output = Result<(), Rejection>;
        fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
            while tokio::task::coop::has_budget_remaining() {
                let mut unit = std::pin::pin!(tokio::task::coop::consume_budget());
                let _ = unit.as_mut().poll(cx);
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        }
    }
    let mut service = attempt_layer(SECOND).layer(service_fn(|()| Busy));
    let call = tokio::spawn(service.ready().await.unwrap().call(()));
    for _ in 0..20 {
        advance(SECOND / 4).await;
    }
    assert!(call.is_finished());
    let result = call.await.unwrap();
    assert_eq!(result.unwrap_err().reason(), Reason::AttemptTimeout);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_call_is_not_counted_and_leaves_nothing() {
    let (inner, mock) = mock();
    mock.hold_responses();
    let layer = attempt_layer(SECOND);
    let mut service = layer.layer(inner);
    drop(service.ready().await.unwrap().call(1));
    let mut polled = PolledFuture::new(service.ready().await.unwrap().call(2));
    assert!(polled.poll().is_pending());
    advance(2 * SECOND).await;
    drop(polled);
    assert_eq!((mock.futures(), mock.reserved()), (0, 0));
    assert_eq!(layer.handle().counts().timed_out, 0);
}

#[tokio::test(start_paused = true)]
async fn panics_below_and_in_listeners_leave_the_next_call_untouched() {
    let (inner, mock) = mock();
    let layer = attempt_layer(SECOND);
    let events = Events::new(8);
    layer.handle().attach(&events);
    let _bad = events.listen(|_| panic!("listener"));
    let mut service = layer.layer(inner);
    for stage in [Stage::Call, Stage::Poll] {
        mock.panic_at(stage);
        let mut clone = service.clone();
        let task = tokio::spawn(async move { clone.ready().await.unwrap().call(1).await });
        assert!(task.await.unwrap_err().is_panic());
    }
    mock.hold_responses();
    let result = service.ready().await.unwrap().call(2).await;
    assert_eq!(rejection(result), (Reason::AttemptTimeout, Sent::Maybe));
    assert_eq!(events.listener_panics(), 1);
    mock.respond_immediately();
    assert_eq!(service.ready().await.unwrap().call(3).await.unwrap(), 3);
    assert_eq!(mock.reserved(), 0);
}

#[tokio::test(start_paused = true)]
async fn services_clones_and_layers_count_together_and_take_a_new_timeout() {
    let layer = attempt_layer(SECOND);
    let mut one = layer.layer(sleeper());
    let mut two = layer.clone().layer(sleeper()).clone();
    let handle = layer.handle();
    drop(layer);
    assert!(one.ready().await.unwrap().call(2 * SECOND).await.is_err());
    assert!(two.ready().await.unwrap().call(2 * SECOND).await.is_err());
    assert_eq!(handle.counts().timed_out, 2);
    let longer = AttemptTimeoutConfig::fixed(3 * SECOND).unwrap();
    handle.configure(longer).unwrap();
    assert!(two.ready().await.unwrap().call(2 * SECOND).await.is_ok());
    assert_eq!(
        (handle.timeout(), handle.config()),
        (Some(3 * SECOND), longer)
    );
}

#[test]
fn a_duration_of_zero_is_rejected_by_name() {
    let rejected = AttemptTimeoutConfig::fixed(Duration::ZERO).unwrap_err();
    assert_eq!(
        rejected.to_string(),
        "`timeout` is 0s, accepted is longer than zero"
    );
    let rejected = DeadlineConfig::new(Duration::ZERO).unwrap_err();
    assert_eq!((rejected.field(), rejected.value()), ("timeout", "0s"));
}

#[tokio::test(start_paused = true)]
async fn timeouts_are_emitted_and_published() {
    let registry = Registry::new("svc");
    let layer = attempt_layer(SECOND);
    registry.register(layer.handle()).unwrap();
    registry.register(deadline_layer(SECOND).handle()).unwrap();
    let mut events = registry.events().subscribe();
    let mut service = layer.layer(sleeper());
    let rejection = service
        .ready()
        .await
        .unwrap()
        .call(2 * SECOND)
        .await
        .unwrap_err();
    let Some(Received::Event(event)) = events.try_next() else {
        panic!("nothing was emitted");
    };
    assert_eq!(event.kind, EventKind::Rejected(rejection));
    assert_eq!(
        (event.pattern, event.name.as_str()),
        ("attempt_timeout", "a")
    );
    let snapshot = registry.snapshot();
    let count = |metric: &str, label: &str| {
        snapshot[0]
            .samples
            .iter()
            .find(|s| s.metric == metric && s.labels.iter().any(|(_, v)| *v == label))
            .map(|s| s.value.clone())
    };
    let one = Some(Value::Counter(1));
    assert_eq!(count("seawall_rejections_total", "attempt_timeout"), one);
    assert_eq!(count("seawall_timeouts_total", "attempt"), one);
    assert_eq!(snapshot[0].settings, [("timeout", "1s".to_owned())]);
    assert_eq!(snapshot[1].settings, [("timeout", "1s".to_owned())]);
    // Each pattern publishes what it can count, and nothing else.
    let labels = |n: usize| -> Vec<_> {
        let samples = snapshot[n].samples.iter();
        samples.flat_map(|s| s.labels.last().map(|l| l.1)).collect()
    };
    let of_attempts = [
        "attempt_timeout",
        "deadline_exceeded",
        "attempt",
        "deadline",
        "late",
    ];
    assert_eq!(labels(0), of_attempts);
    assert_eq!(
        labels(1),
        ["deadline_exceeded", "deadline", "late", "readiness"]
    );
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "polled after it had completed")]
async fn a_future_polled_after_its_completion_panics() {
    let mut service = attempt_layer(SECOND).layer(sleeper());
    let mut call = Box::pin(service.ready().await.unwrap().call(Duration::ZERO));
    let _ = call.as_mut().await;
    let _ = call.as_mut().await;
}

/// An attempt that the deadline ended read "attempt timeout: the deadline of the call has passed".
#[tokio::test(start_paused = true)]
async fn a_rejection_says_which_limit_it_was_and_how_long() {
    let text = async |timeout: Duration, until: Duration| {
        let meta = RequestMeta::new(Replay::Safe).with_deadline(Instant::now() + until);
        let config = AttemptTimeoutConfig::fixed(timeout).unwrap();
        let layer = AttemptTimeoutLayer::new("a", config).describe(seawall_core::ConstMeta(meta));
        let hangs = service_fn(|_: u32| std::future::pending::<Result<u32, Error<()>>>());
        let error = layer.layer(hangs).oneshot(7).await.unwrap_err();
        error.rejection().unwrap().to_string()
    };
    let (short, minute) = (Duration::from_secs(5), Duration::from_secs(60));
    assert_eq!(
        text(short, minute).await,
        "attempt timeout `a`: the attempt timed out (after 5 s); the request may have been sent"
    );
    assert_eq!(
        text(minute, short).await,
        "deadline `a`: the deadline of the call has passed; the request may have been sent"
    );
}

#[test]
fn settings_and_errors_write_durations_alike() {
    let forever = AttemptTimeoutConfig::fixed(Duration::MAX).unwrap();
    let handle = AttemptTimeoutLayer::new("a", forever).handle();
    let row = ("timeout", "forever".to_owned());
    assert!(handle.settings().contains(&row), "{:?}", handle.settings());
    let zero = AttemptTimeoutConfig::fixed(Duration::ZERO).unwrap_err();
    assert_eq!(zero.value(), "0s");
}
