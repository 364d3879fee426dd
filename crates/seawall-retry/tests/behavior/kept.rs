//! The caller gets the upstream's last result, and not that a further attempt was rejected here.

use super::*;

/// A response with a status, and what it was marked with.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Reply {
    status: u16,
    mark: Option<Rejection>,
}

const fn reply(status: u16) -> Reply {
    Reply { status, mark: None }
}

fn by_status(result: Result<&Reply, &Failed>) -> Outcome {
    match result {
        Ok(reply) if reply.status == 429 => Outcome::Throttled {
            retry_after: Some(SECOND),
            scope: Scope::Upstream,
        },
        Ok(reply) if reply.status >= 500 => Outcome::Failure(FailureKind::Server),
        Ok(_) => Outcome::Success,
        Err(Failed::With(outcome)) => *outcome,
        Err(_) => Outcome::Unknown,
    }
}

fn mark(reply: &mut Reply, rejection: Rejection) {
    reply.mark = Some(rejection);
}

/// One call with these results, through a layer that the caller may change.
async fn call<const N: usize>(
    config: RetryConfig,
    results: [Result<Reply, Failed>; N],
) -> (Result<Reply, Failed>, RetryHandle) {
    let layer = RetryLayer::new("r", config)
        .describe(SAFE)
        .classify(by_status as fn(Result<&Reply, &Failed>) -> Outcome)
        .keep(mark as fn(&mut Reply, Rejection));
    let left = Arc::new(Mutex::new(results.into_iter()));
    let service = service_fn(move |_: u32| {
        let next = left.lock().unwrap().next();
        std::future::ready(next.expect("no more attempts than results"))
    });
    let result = layer.layer(service).oneshot(7).await;
    (result, layer.handle())
}

const LIMITS: [Reason; 8] = [
    Reason::RateLimited,
    Reason::Paused,
    Reason::BulkheadFull,
    Reason::QueueTimeout,
    Reason::CircuitOpen,
    Reason::ClientThrottled,
    Reason::QuotaExhausted,
    Reason::DeadlineExceeded,
];

#[tokio::test(start_paused = true)]
async fn a_rejected_further_attempt_leaves_the_response_of_the_upstream_marked() {
    for status in [429, 500] {
        for reason in LIMITS {
            let not_sent = rejected(reason, Some(3 * SECOND));
            let (result, handle) = call(ladder(3), [Ok(reply(status)), Err(not_sent)]).await;
            let reply = result.unwrap_or_else(|e| panic!("{reason:?}: {e:?}"));
            assert_eq!(reply.status, status);
            let mark = reply.mark.unwrap();
            assert_eq!((mark.reason(), mark.sent()), (reason, Sent::Maybe));
            assert_eq!(mark.retry_after(), Some(3 * SECOND), "all else stays");
            let counts = handle.counts();
            assert_eq!((counts.attempts.total(), counts.retries), (2, 1));
            assert_eq!(counts.attempts.rejected, 1);
            assert_eq!((counts.calls.total(), counts.calls.rejected), (1, 0));
            assert_eq!(counts.give_ups.rejected, 1);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn it_is_kept_across_any_number_of_rejections() {
    let config = RetryConfig::builder()
        .attempts(5)
        .max_rejection_wait(5 * SECOND);
    let soon = || Err(rejected(Reason::RateLimited, Some(SECOND)));
    let results = [Ok(reply(500)), soon(), soon(), soon(), soon()];
    let (result, handle) = call(config.build().unwrap(), results).await;
    assert_eq!(result.unwrap().status, 500);
    assert_eq!(handle.counts().attempts.total(), 5);
}

#[tokio::test(start_paused = true)]
async fn the_last_response_of_several_is_kept() {
    let not_sent = rejected(Reason::CircuitOpen, None);
    let results = [Ok(reply(429)), Ok(reply(503)), Err(not_sent)];
    let (result, _) = call(ladder(3), results).await;
    assert_eq!(result.unwrap().status, 503);
}

/// Nothing is left of a result once another attempt has left and ended.
#[tokio::test(start_paused = true)]
async fn a_later_result_of_the_upstream_takes_its_place() {
    for last in [Ok(reply(200)), Ok(reply(500)), Err(UNKNOWN), Err(SERVER)] {
        let (result, _) = call(ladder(2), [Ok(reply(503)), last]).await;
        assert_eq!(result, last);
    }
    let timeout = Rejection::new(Reason::AttemptTimeout, "t").with_sent(Sent::Maybe);
    let timeout = Err(Failed::Rejected(timeout));
    let (result, _) = call(ladder(2), [Ok(reply(503)), timeout]).await;
    assert_eq!(result, timeout, "it may have been sent");
}

/// The upstream gave no result, so the rejection is all there is.
#[tokio::test(start_paused = true)]
async fn a_rejection_without_any_response_before_it_is_the_result() {
    let not_sent = Err(rejected(Reason::BulkheadFull, None));
    let (result, _) = call(ladder(3), [not_sent]).await;
    assert_eq!(result, not_sent);
}

/// A connection that could not be made says nothing of the upstream, and must not say "not sent"
/// of a call that was.
#[tokio::test(start_paused = true)]
async fn a_failure_to_connect_leaves_the_response_before_it() {
    let (result, _) = call(ladder(2), [Ok(reply(503)), Err(NOT_SENT)]).await;
    let reply = result.unwrap();
    assert_eq!(reply.status, 503);
    let mark = reply.mark.unwrap();
    assert_eq!(
        (mark.reason(), mark.sent()),
        (Reason::OutcomeUnknown, Sent::Maybe)
    );
}

/// A limit of the retry itself: the response was never lost, and is marked as well.
#[tokio::test(start_paused = true)]
async fn a_response_is_marked_where_budget_or_deadline_end_the_attempts() {
    // Three tenths of a token are left.
    let exhausted = Budget::new(BudgetConfig::new(0.3, 0.0, 1).unwrap());
    assert!(exhausted.withdraw());
    exhausted.deposit();
    let late = ConstMeta(RequestMeta::new(Replay::Safe).with_deadline(Instant::now() + SECOND / 2));
    let plenty = ConstMeta(RequestMeta::new(Replay::Safe));
    for (budget, meta, reason, figure) in [
        (
            exhausted,
            plenty,
            Reason::BudgetExhausted,
            "(after 1 attempt, 0.3 tokens left)",
        ),
        (
            tokens(5),
            late,
            Reason::DeadlineExceeded,
            "(after 1 attempt)",
        ),
    ] {
        let layer = RetryLayer::new("r", ladder(3))
            .describe(meta)
            .classify(by_status as fn(Result<&Reply, &Failed>) -> Outcome)
            .keep(mark as fn(&mut Reply, Rejection))
            .budget(budget);
        let failing = service_fn(|_: u32| std::future::ready(Ok::<_, Failed>(reply(500))));
        let reply = layer.layer(failing).oneshot(7).await.unwrap();
        let mark = reply.mark.unwrap();
        assert_eq!((mark.reason(), mark.sent()), (reason, Sent::Maybe));
        assert_eq!(mark.name().as_str(), "r");
        assert!(mark.to_string().contains(figure), "{mark}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_response_that_was_not_given_up_has_no_mark() {
    for (attempts, replies) in [(1, [500, 0]), (2, [500, 500]), (3, [500, 200])] {
        let results = replies.map(|status| Ok(reply(status)));
        let (result, _) = call(ladder(attempts), results).await;
        assert_eq!(result.unwrap().mark, None);
    }
}

/// Errors are kept by every layer, and the rejection reaches the annotation.
#[tokio::test(start_paused = true)]
async fn the_last_error_of_the_upstream_is_kept_and_the_rejection_is_annotated() {
    let open = rejected(Reason::CircuitOpen, Some(SECOND));
    let noted = Arc::new(Mutex::new(None));
    let note = Arc::clone(&noted);
    let layer = layer(ladder(3), Replay::Safe).annotate_give_up(
        move |_: &mut Result<u32, Failed>, stopped: Stopped| {
            *note.lock().unwrap() = Some(stopped);
        },
    );
    let upstream = Upstream::new([SERVER, open]);
    let result = layer.layer(upstream.service()).oneshot(7).await;
    assert_eq!(result, Err(SERVER));
    let stopped = noted.lock().unwrap().take().unwrap();
    // The circuit rejected the second before it was made.
    assert_eq!(
        (stopped.reason, stopped.attempts),
        (StopReason::Rejected, 1)
    );
    let rejection = stopped.rejection.unwrap();
    assert_eq!(
        (rejection.reason(), rejection.sent()),
        (Reason::CircuitOpen, Sent::Maybe)
    );
}

/// Holds a permit until it is dropped, as the body of a response does.
struct Held(tokio::sync::OwnedSemaphorePermit);

/// The response before must be gone when the next attempt waits for the permit that it held.
#[tokio::test]
async fn a_response_that_holds_a_permit_does_not_block_the_attempt_after_it() {
    let permits = Arc::new(tokio::sync::Semaphore::new(1));
    let single = Arc::clone(&permits);
    let service = service_fn(move |_: u32| {
        let permits = Arc::clone(&single);
        async move {
            let permit = permits.acquire_owned().await;
            Ok::<_, Failed>(Held(permit.unwrap()))
        }
    });
    let config = RetryConfig::builder().attempts(4).backoff(Backoff::NONE);
    let failing = |_: Result<&Held, &Failed>| Outcome::Failure(FailureKind::Server);
    let layer = RetryLayer::new("r", config.build().unwrap())
        .describe(SAFE)
        .classify(failing);
    let handle = layer.handle();
    let call = layer.layer(service).oneshot(7);
    let last = tokio::time::timeout(5 * SECOND, call)
        .await
        .expect("it waits for itself");
    assert_eq!(handle.counts().attempts.total(), 4);
    assert_eq!(permits.available_permits(), 0);
    drop(last.map(|held| held.0));
    assert_eq!(permits.available_permits(), 1);
}

/// A keeper that takes some time: the wait goes on meanwhile, and no attempt is made before it.
#[derive(Clone, Copy)]
struct Slow(Duration);

impl seawall_core::KeepResponse<Reply> for Slow {
    type Keeping = std::pin::Pin<Box<dyn Future<Output = Option<Reply>> + Send + Sync>>;

    fn keep(&self, response: Reply) -> Self::Keeping {
        let Self(time) = *self;
        Box::pin(async move {
            sleep(time).await;
            Some(response)
        })
    }
}

#[tokio::test(start_paused = true)]
async fn the_wait_goes_on_while_a_response_is_kept() {
    for (keeping, expected) in [(SECOND / 2, SECOND), (3 * SECOND, 3 * SECOND)] {
        let layer = RetryLayer::new("r", ladder(2))
            .describe(SAFE)
            .classify(by_status as fn(Result<&Reply, &Failed>) -> Outcome)
            .keep(Slow(keeping));
        let failing = service_fn(|_: u32| std::future::ready(Ok::<_, Failed>(reply(500))));
        let start = Instant::now();
        assert!(layer.layer(failing).oneshot(7).await.is_ok());
        assert_eq!(Instant::now() - start, expected);
    }
}

/// Dropped while it is kept, a call gives back what it has paid.
#[tokio::test(start_paused = true)]
async fn a_call_that_is_dropped_while_a_response_is_kept_pays_nothing() {
    let budget = tokens(5);
    let layer = RetryLayer::new("r", ladder(2))
        .describe(SAFE)
        .classify(by_status as fn(Result<&Reply, &Failed>) -> Outcome)
        .keep(Slow(SECOND))
        .budget(budget.clone());
    let failing = service_fn(|_: u32| std::future::ready(Ok::<_, Failed>(reply(500))));
    let mut call = PolledFuture::new(layer.layer(failing).oneshot(7));
    assert!(call.poll().is_pending());
    assert_eq!(budget.balance(), 4.0);
    drop(call);
    assert_eq!(
        (budget.balance(), layer.handle().counts().calls.total()),
        (5.0, 0)
    );
}

/// A keeper that looks at no deadline does not hold up the call beyond it, and one that does has
/// what it kept returned, in place of a further attempt that has no time left.
#[tokio::test(start_paused = true)]
async fn keeping_ends_with_the_time_of_the_call() {
    let left = SECOND / 10;
    let in_time = left - Duration::from_millis(1);
    for (keeping, status) in [(in_time, Some(500)), (SECOND, None)] {
        let config = RetryConfig::builder()
            .attempts(3)
            .backoff(Backoff::NONE)
            .overall_timeout(left)
            .build()
            .unwrap();
        let layer = RetryLayer::new("r", config)
            .describe(SAFE)
            .classify(by_status as fn(Result<&Reply, &Failed>) -> Outcome)
            .keep(Slow(keeping));
        let failing = service_fn(|_: u32| std::future::ready(Ok::<_, Failed>(reply(500))));
        let start = Instant::now();
        let result = layer.layer(failing).oneshot(7).await;
        assert!(Instant::now() - start <= left);
        assert_eq!(result.as_ref().ok().map(|reply| reply.status), status);
        assert_eq!(result.is_err(), status.is_none());
        assert_eq!(layer.handle().counts().attempts.total(), 1);
        assert_eq!(layer.handle().counts().give_ups.of(StopReason::Deadline), 1);
    }
}

/// What a layer below rejected was not made: the count is that of the upstream.
#[tokio::test(start_paused = true)]
async fn only_attempts_that_were_made_are_counted() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let config = RetryConfig::builder()
        .attempts(4)
        .backoff(Backoff::NONE)
        .max_rejection_wait(5 * SECOND);
    let config = config.build().unwrap();
    let soon = || Err(rejected(Reason::RateLimited, Some(SECOND)));
    let failed = || Ok(reply(500));
    let calls: [(Vec<Result<Reply, Failed>>, u32); 4] = [
        (
            vec![failed(), Err(rejected(Reason::ClientThrottled, None))],
            1,
        ),
        (vec![Err(rejected(Reason::ClientThrottled, None))], 0),
        (vec![soon(), failed(), soon(), failed()], 2),
        (vec![failed(), failed(), failed(), failed()], 4),
    ];
    for (results, made) in calls {
        let annotated = Arc::clone(&seen);
        let layer = RetryLayer::new("r", config.clone())
            .describe(SAFE)
            .classify(by_status as fn(Result<&Reply, &Failed>) -> Outcome)
            .keep(mark as fn(&mut Reply, Rejection))
            .annotate_give_up(move |_: &mut Result<Reply, Failed>, stopped: Stopped| {
                annotated.lock().unwrap().push(stopped.attempts);
            });
        let left = Arc::new(Mutex::new(results.into_iter()));
        let service = service_fn(move |_: u32| {
            let next = left.lock().unwrap().next();
            std::future::ready(next.expect("no more attempts than results"))
        });
        let _ = layer.layer(service).oneshot(7).await;
        assert_eq!(seen.lock().unwrap().pop(), Some(made));
    }
}
