//! What a result says about whether the request may have been sent.

use super::*;

fn timed_out() -> Failed {
    Failed::Rejected(Rejection::new(Reason::AttemptTimeout, "below").with_sent(Sent::Maybe))
}

fn rejection_of(result: Result<u32, Failed>) -> (Reason, Sent) {
    let error = result.expect_err("a rejection");
    let rejection = error.rejection().expect("a rejection of a layer");
    (rejection.reason(), rejection.sent())
}

/// The first attempt of an order timed out and opened the circuit, which rejected the second one:
/// the caller received "not sent" and placed the order again.
#[tokio::test(start_paused = true)]
async fn a_rejection_after_an_attempt_that_may_have_been_sent_is_maybe_sent() {
    let results = [timed_out(), rejected(Reason::CircuitOpen, Some(SECOND))];
    let (result, upstream, _) = one_call(ladder(3), Replay::SafeWithKey, results).await;
    let Err(Failed::Rejected(rejection)) = result else {
        panic!("{result:?}");
    };
    assert_eq!(rejection.reason(), Reason::CircuitOpen);
    assert_eq!(rejection.sent(), Sent::Maybe);
    assert_eq!(rejection.retry_after(), Some(SECOND), "all else stays");
    assert_eq!(upstream.calls(), 2);
    // A result of the upstream itself is not replaced by a rejection at all.
    for first in [UNKNOWN, SERVER, throttled(None)] {
        let results = [first, rejected(Reason::CircuitOpen, Some(SECOND))];
        let (result, upstream, _) = one_call(ladder(3), Replay::SafeWithKey, results).await;
        assert_eq!((result, upstream.calls()), (Err(first), 2));
    }
}

/// Nobody knows what became of such a call. Counted as rejected, it raised alerts about limits of our own.
#[tokio::test(start_paused = true)]
async fn a_call_that_was_sent_and_then_rejected_counts_as_unknown_and_its_attempt_as_rejected() {
    let open = || rejected(Reason::CircuitOpen, Some(SECOND));
    let results = [timed_out(), open()];
    let (_, _, handle) = one_call(ladder(3), Replay::SafeWithKey, results).await;
    let RetryCounts {
        calls, attempts, ..
    } = handle.counts();
    assert_eq!((calls.unknown, calls.rejected, calls.total()), (1, 0, 1));
    assert_eq!((attempts.rejected, attempts.total()), (1, 2));
    // Its deadline ended an attempt that had left.
    let late = Rejection::new(Reason::DeadlineExceeded, "below").with_sent(Sent::Maybe);
    let results = [Failed::Rejected(late)];
    let (_, _, handle) = one_call(ladder(3), Replay::SafeWithKey, results).await;
    let calls = handle.counts().calls;
    assert_eq!((calls.unknown, calls.rejected, calls.total()), (1, 0, 1));
    // Of one that never left it is known that nothing happened.
    let (_, _, handle) = one_call(ladder(3), Replay::SafeWithKey, [open()]).await;
    let calls = handle.counts().calls;
    assert_eq!((calls.unknown, calls.rejected, calls.total()), (0, 1, 1));
}

/// A connection was reset after the request had left, and the next one was rejected: the error
/// of the last attempt alone proves that nothing was sent, and that is wrong of the call.
#[tokio::test(start_paused = true)]
async fn a_failure_to_connect_after_an_attempt_that_may_have_been_sent_is_outcome_unknown() {
    let events = Events::new(8);
    let mut received = events.subscribe();
    let layer = layer(ladder(2), Replay::SafeWithKey);
    layer.handle().attach(&events);
    let upstream = Upstream::new([UNKNOWN, NOT_SENT]);
    let result = layer.layer(upstream.service()).oneshot(7).await;
    let Err(Failed::Rejected(rejection)) = result else {
        panic!("{result:?}");
    };
    assert_eq!(rejection.name().as_str(), "r", "the retry speaks");
    assert_eq!(rejection_of(result), (Reason::OutcomeUnknown, Sent::Maybe));
    let mut rejections = 0;
    while let Some(Received::Event(event)) = received.try_next() {
        rejections += u32::from(event.kind == EventKind::Rejected(rejection));
    }
    assert_eq!(rejections, 1);
}

/// Requests that may be sent any number of times were reported as "not sent" nevertheless, and what counts
/// requests believed it.
#[tokio::test(start_paused = true)]
async fn a_request_that_may_be_sent_twice_is_not_reported_as_unsent_either() {
    for first in [UNKNOWN, SERVER, throttled(None)] {
        let (result, upstream, handle) = one_call(ladder(2), Replay::Safe, [first, NOT_SENT]).await;
        assert_eq!(rejection_of(result), (Reason::OutcomeUnknown, Sent::Maybe));
        assert_eq!(upstream.calls(), 2);
        let counts = handle.counts();
        assert_eq!((counts.attempts.total(), counts.calls.total()), (2, 1));
    }
}

/// The correction must not touch what is true: nothing left, so the caller may start over.
#[tokio::test(start_paused = true)]
async fn a_call_of_which_nothing_was_sent_is_not_sent_to_the_end() {
    let open = rejected(Reason::CircuitOpen, None);
    let (result, upstream, _) = one_call(ladder(3), Replay::Never, [NOT_SENT, open]).await;
    assert_eq!((result, upstream.calls()), (Err(NOT_SENT), 2));
    let results = [NOT_SENT, NOT_SENT, NOT_SENT];
    let (result, upstream, _) = one_call(ladder(3), Replay::Never, results).await;
    assert_eq!((result, upstream.calls()), (Err(NOT_SENT), 3));
}

/// Rejects readiness once it has been called so often.
#[derive(Clone)]
struct EndsAfter {
    calls: Arc<AtomicUsize>,
    limit: usize,
    with: Option<Failed>,
    first: Failed,
}

impl EndsAfter {
    fn one_call(first: Failed, with: Option<Failed>) -> Self {
        Self {
            calls: Arc::default(),
            limit: 1,
            with,
            first,
        }
    }
}

impl Service<u32> for EndsAfter {
    type Response = u32;
    type Error = Failed;
    type Future = std::future::Ready<Result<u32, Failed>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failed>> {
        if self.calls.load(Ordering::Relaxed) < self.limit {
            return Poll::Ready(Ok(()));
        }
        self.with.map_or(Poll::Pending, |e| Poll::Ready(Err(e)))
    }

    fn call(&mut self, _: u32) -> Self::Future {
        self.calls.fetch_add(1, Ordering::Relaxed);
        std::future::ready(Err(self.first))
    }
}

/// A later service that fails to become ready has sent nothing, but the attempt before it has.
#[tokio::test(start_paused = true)]
async fn a_service_that_fails_to_become_ready_does_not_deny_the_attempt_before_it() {
    let open = rejected(Reason::CircuitOpen, None);
    let fails = |first, with| {
        layer(ladder(3), Replay::SafeWithKey)
            .layer(EndsAfter::one_call(first, Some(with)))
            .oneshot(7)
    };
    let result = fails(timed_out(), open).await;
    assert_eq!(rejection_of(result), (Reason::CircuitOpen, Sent::Maybe));
    assert_eq!(
        fails(SERVER, open).await,
        Err(SERVER),
        "its last real result"
    );
    let result = fails(SERVER, NOT_SENT).await;
    assert_eq!(rejection_of(result), (Reason::OutcomeUnknown, Sent::Maybe));
    assert_eq!(fails(NOT_SENT, open).await, Err(NOT_SENT));
    let safe = layer(ladder(3), Replay::Safe).layer(EndsAfter::one_call(SERVER, Some(NOT_SENT)));
    let result = safe.oneshot(7).await;
    assert_eq!(rejection_of(result), (Reason::OutcomeUnknown, Sent::Maybe));
    assert_eq!(fails(SERVER, UNKNOWN).await, Err(UNKNOWN));
}

/// Without a deadline layer above, a request with a deadline waited forever for a service
/// that never became ready.
#[tokio::test(start_paused = true)]
async fn a_service_that_is_never_ready_is_waited_for_until_the_deadline() {
    let start = Instant::now();
    for first in [SERVER, NOT_SENT, timed_out()] {
        let deadline = Instant::now() + 20 * SECOND;
        let budget = tokens(3);
        let layer = layer(ladder(3), Replay::Safe)
            .describe(ConstMeta(
                RequestMeta::new(Replay::Safe).with_deadline(deadline),
            ))
            .budget(budget.clone());
        let service = layer.layer(EndsAfter::one_call(first, None));
        let result = service.oneshot(7).await;
        if first == timed_out() {
            assert_eq!(
                rejection_of(result),
                (Reason::DeadlineExceeded, Sent::Maybe)
            );
        } else {
            assert_eq!(result, Err(first), "the upstream's last result");
        }
        assert_eq!(Instant::now(), deadline);
        assert_eq!(budget.balance(), 3.0, "no extra attempt was made");
    }
    assert_eq!(Instant::now(), start + 60 * SECOND);
}

/// A layer below rejects for the deadline of the call, and does not know of earlier attempts.
#[tokio::test(start_paused = true)]
async fn a_deadline_found_below_says_after_how_many_attempts() {
    let late = Rejection::new(Reason::DeadlineExceeded, "attempts").with_sent(Sent::Maybe);
    let results = [SERVER, SERVER, Failed::Rejected(late)];
    let (result, ..) = one_call(ladder(5), Replay::Safe, results).await;
    let Err(Failed::Rejected(rejection)) = result else {
        panic!("{result:?}");
    };
    assert_eq!(rejection.name().as_str(), "attempts");
    assert!(
        rejection
            .to_string()
            .contains("has passed (after 3 attempts)"),
        "{rejection}"
    );
    let known = late.with_figure(seawall_core::Figure::Limit(SECOND));
    let (result, ..) = one_call(ladder(5), Replay::Safe, [Failed::Rejected(known)]).await;
    assert_eq!(result, Err(Failed::Rejected(known)));
}
