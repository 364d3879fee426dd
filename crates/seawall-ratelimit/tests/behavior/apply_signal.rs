//! What the upstream reports about its limits.

use seawall_core::{QuotaSignal, Scope, ServerLimit, TokenCount, Unit};
use seawall_ratelimit::{DailyReset, Feedback, FeedbackLayer, Limit};

use super::*;

const MINUTE: Duration = Duration::from_secs(60);

fn left(of: u64) -> ServerLimit {
    ServerLimit::new(Unit::Requests).with_remaining(of)
}

#[tokio::test(start_paused = true)]
async fn a_reported_remainder_lowers_and_never_raises_what_is_left() {
    let (_svc, handle, _mock) = subject(10, Duration::ZERO);
    handle.apply_signal(QuotaSignal::Limit(left(4)));
    assert_eq!(handle.tokens(), 4.0);
    handle.apply_signal(QuotaSignal::Limit(left(9)));
    assert_eq!(handle.tokens(), 4.0);
    handle.apply_signal(QuotaSignal::Limit(left(u64::MAX)));
    assert_eq!(handle.tokens(), 4.0);
    // By usage: the count is that of the settings or the reported one.
    let used = ServerLimit::new(Unit::Requests).with_used(8);
    handle.apply_signal(QuotaSignal::Limit(used));
    assert_eq!(handle.tokens(), 2.0);
    handle.apply_signal(QuotaSignal::Limit(used.with_limit(9)));
    assert_eq!(handle.tokens(), 1.0);
    // Reports without effect.
    handle.apply_signal(QuotaSignal::Limit(ServerLimit::new(Unit::Requests)));
    handle.apply_signal(QuotaSignal::Limit(
        ServerLimit::new(Unit::Tokens).with_remaining(0),
    ));
    assert_eq!(handle.tokens(), 1.0);
}

/// Ten per second would flow in; the upstream has three left for the next ten seconds.
#[tokio::test(start_paused = true)]
async fn no_more_than_the_remainder_departs_before_the_reported_reset() {
    let inner = Departures::new();
    let layer = layer(10, MINUTE);
    let svc = layer.layer(inner.clone());
    let handle = layer.handle();
    handle.apply_signal(QuotaSignal::Limit(left(3).with_resets_in(10 * SECOND)));
    let tasks: Vec<_> = (0..6).map(|n| tokio::spawn(svc.clone().call(n))).collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    let times: Vec<_> = inner.log().iter().map(|(_, at)| *at).collect();
    assert_eq!(times[..3], [0, 0, 0]);
    assert!(times[3] == 10_000 && times[5] <= 10_300, "{times:?}");
    // It is over, and the fast path is open again.
    assert_eq!(svc.clone().call(6).await.map(|at| at < 10_400), Ok(true));
}

#[tokio::test(start_paused = true)]
async fn the_reported_limit_is_the_one_that_is_corrected() {
    let config = RateLimitConfig::builder()
        .limit(Limit::strict(10, SECOND))
        .limit(Limit::strict(400, MINUTE))
        .limit(Limit::strict(1_000, MINUTE).with_unit(Unit::Tokens))
        .limit(Limit::strict(50, MINUTE).with_unit(Unit::InputTokens))
        .build()
        .unwrap();
    let handle = RateLimitLayer::new("desk", config).handle();
    let report = |limit: ServerLimit| {
        handle.apply_signal(QuotaSignal::Limit(limit));
        let limits = handle.snapshot().limits;
        let left = limits
            .iter()
            .map(|limit| limit.available)
            .collect::<Vec<_>>();
        handle.refill();
        left
    };
    assert_eq!(
        report(left(3).with_window(MINUTE)),
        [10.0, 3.0, 1_000.0, 50.0]
    );
    assert_eq!(
        report(left(3).with_window(SECOND)),
        [3.0, 400.0, 1_000.0, 50.0]
    );
    // A window that no limit has is that of the longest.
    let hour = left(3).with_window(60 * MINUTE);
    assert_eq!(report(hour), [10.0, 3.0, 1_000.0, 50.0]);
    assert_eq!(report(left(3).with_limit(400)), [10.0, 3.0, 1_000.0, 50.0]);
    // It resets in 40 seconds: that is not a window of one second.
    let soon = left(3).with_resets_in(40 * SECOND);
    assert_eq!(report(soon), [10.0, 3.0, 1_000.0, 50.0]);
    let tokens = ServerLimit::new(Unit::Tokens).with_remaining(7);
    assert_eq!(report(tokens), [10.0, 400.0, 7.0, 50.0]);
}

#[tokio::test(start_paused = true)]
async fn after_a_throttle_calls_do_not_depart_all_at_once() {
    let inner = Departures::new();
    let layer = layer(5, MINUTE);
    let svc = layer.layer(inner.clone());
    let handle = layer.handle();
    handle.apply_signal(QuotaSignal::Pause {
        lasts: Some(3 * SECOND),
        scope: Scope::Upstream,
    });
    assert_eq!(handle.snapshot().resumes_in, Some(3 * SECOND));
    let tasks: Vec<_> = (0..3).map(|n| tokio::spawn(svc.clone().call(n))).collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    let times: Vec<_> = inner.log().iter().map(|(_, at)| *at).collect();
    assert_eq!(times, [3_100, 3_200, 3_300]);
}

#[tokio::test(start_paused = true)]
async fn a_call_rejected_in_a_pause_gets_the_time_of_its_end() {
    let (mut svc, handle, _mock) = subject(5, Duration::ZERO);
    handle.pause_for(3 * SECOND);
    let rejected = rejection(call(&mut svc, 0).poll());
    // The bucket starts empty.
    assert_eq!(
        (rejected.reason(), rejected.retry_after()),
        (Reason::Paused, Some(3 * SECOND + ms(100)))
    );
    advance(SECOND).await;
    // A shorter one does not shorten it, and one without a length is that of the settings.
    handle.apply_signal(QuotaSignal::Pause {
        lasts: None,
        scope: Scope::Account,
    });
    assert_eq!(handle.snapshot().resumes_in, Some(2 * SECOND));
    advance(2 * SECOND + ms(100)).await;
    assert!(matches!(call(&mut svc, 1).poll(), Poll::Ready(Ok(_))));
    assert_eq!((handle.counts().rejected, handle.counts().paused), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn the_reason_is_the_longer_part_of_the_wait() {
    const HOUR: Duration = Duration::from_secs(3_600);
    let throttle = |lasts| QuotaSignal::Ban {
        lasts: Some(lasts),
        scope: Scope::Upstream,
    };
    let day = DailyReset::utc();
    let limits: [(Limit, Reason); 4] = [
        (Limit::bucket(1, HOUR).burst(1).into(), Reason::RateLimited),
        (Limit::strict(1, HOUR).into(), Reason::QuotaExhausted),
        (Limit::window(1, HOUR).into(), Reason::QuotaExhausted),
        (Limit::daily(1, day).into(), Reason::QuotaExhausted),
    ];
    for (limit, used_up) in limits {
        let config = RateLimitConfig::builder().limit(limit.clone());
        let layer = RateLimitLayer::new("desk", config.build().unwrap());
        let (handle, mut svc) = (layer.handle(), layer.layer(mock().0));
        handle.set_wall_clock(std::time::UNIX_EPOCH);
        handle.apply_signal(throttle(24 * HOUR));
        let rejected = rejection(call(&mut svc, 0).poll());
        assert_eq!(rejected.reason(), Reason::Paused, "{limit:?}");
        assert!(rejected.retry_after() >= Some(24 * HOUR), "{limit:?}");
        // A short pause beside a limit that is used up for long.
        handle.refill();
        assert!(matches!(call(&mut svc, 1).poll(), Poll::Ready(Ok(_))));
        handle.apply_signal(throttle(SECOND));
        let rejected = rejection(call(&mut svc, 2).poll());
        assert_eq!(rejected.reason(), used_up, "{limit:?}");
        let counts = handle.counts();
        let others = counts.rejected + counts.quota_exhausted;
        assert_eq!((counts.paused, others), (1, 1));
    }
}

#[derive(Clone)]
struct Model;

impl Service<u32> for Model {
    type Response = u64;
    type Error = Error<()>;
    type Future = Ready<Result<u64, Error<()>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error<()>>> {
        Poll::Ready(Ok(()))
    }

    /// Uses as many tokens as requested, and fails when that is none.
    fn call(&mut self, tokens: u32) -> Self::Future {
        ready(match tokens {
            0 => Err(Error::Inner(())),
            tokens => Ok(tokens.into()),
        })
    }
}

type Reader = fn(Result<&u64, &Error<()>>, &mut dyn FnMut(QuotaSignal));

fn usage(result: Result<&u64, &Error<()>>, report: &mut dyn FnMut(QuotaSignal)) {
    match result {
        Ok(tokens) => report(QuotaSignal::Used {
            unit: Unit::Tokens,
            amount: *tokens,
        }),
        Err(_failed) => report(QuotaSignal::Pause {
            lasts: Some(SECOND),
            scope: Scope::Upstream,
        }),
    }
}

#[tokio::test(start_paused = true)]
async fn responses_correct_the_estimate() {
    let config = RateLimitConfig::builder()
        .limit(
            Limit::bucket(60_000, MINUTE)
                .burst(1_000)
                .with_unit(Unit::Tokens),
        )
        .build()
        .unwrap();
    fn estimate(_: &u32) -> RequestMeta {
        RequestMeta::new(Replay::Never).with_tokens(TokenCount::new(100, 200))
    }
    let layer = RateLimitLayer::new("model", config).describe(estimate as fn(&u32) -> RequestMeta);
    let feedback: FeedbackLayer<_, Reader> = layer.feedback(usage as Reader);
    let mut svc = layer.layer(feedback.layer(Model));
    let tokens = layer.handle();
    assert_eq!(svc.call(50).await, Ok(50));
    assert_eq!(tokens.tokens(), 950.0);
    assert_eq!(svc.call(500).await, Ok(500));
    assert_eq!(tokens.tokens(), 450.0);
    // Dropped before its response: the estimate stays taken.
    drop(svc.call(1));
    assert_eq!(tokens.tokens(), 150.0);
    advance(SECOND).await;
    assert_eq!(svc.call(0).await, Err(Error::Inner(())));
    let rejected = svc.call(1).await.unwrap_err();
    let wait = rejected.rejection().unwrap().retry_after().unwrap();
    // The pause, and then the time for 300 tokens.
    assert_eq!(wait, SECOND + ms(300));
    advance(2 * SECOND).await;
    assert_eq!(svc.call(300).await, Ok(300));
}

#[test]
fn feedback_allocates_nothing() {
    let config = RateLimitConfig::builder()
        .limit(
            Limit::bucket(1_000_000, MINUTE)
                .burst(1_000_000)
                .with_unit(Unit::Tokens),
        )
        .build()
        .unwrap();
    let layer = RateLimitLayer::new("model", config);
    let mut svc: RateLimit<Feedback<Model, Policy, Reader>> =
        layer.layer(layer.feedback(usage as Reader).layer(Model));
    let cx = &mut Context::from_waker(Waker::noop());
    let mut round = |n| {
        let result = std::pin::pin!(svc.call(n)).poll(cx);
        assert!(matches!(result, Poll::Ready(Ok(_))));
    };
    round(1);
    assert_eq!(
        alloc::count(|| (1..500).for_each(&mut round)).allocations,
        0
    );
}

#[tokio::test(start_paused = true)]
async fn a_completed_feedback_future_holds_nothing() {
    let held = Rc::new(());
    let inner = tower::service_fn({
        let held = Rc::clone(&held);
        move |n: u32| {
            let held = Rc::clone(&held);
            async move {
                let _held = &held;
                Ok::<u64, Error<()>>(n.into())
            }
        }
    });
    let layer = layer(5, Duration::ZERO);
    let mut svc = layer.feedback(usage as Reader).layer(inner);
    let mut future = PolledFuture::new(svc.call(1));
    assert_eq!(Rc::strong_count(&held), 3);
    assert!(future.poll().is_ready());
    assert_eq!(Rc::strong_count(&held), 2);
}

#[tokio::test(start_paused = true)]
async fn a_third_report_does_not_raise_what_the_first_has_left() {
    for limit in [
        Limit::from(Limit::strict(10, SECOND)),
        Limit::bucket(10, SECOND).burst(10).into(),
        Limit::window(10, 3_600 * SECOND).into(),
    ] {
        let config = RateLimitConfig::builder().limit(limit.clone());
        let handle = RateLimitLayer::new("l", config.build().expect("valid")).handle();
        let report = |remaining, resets_in| {
            let limit = ServerLimit::new(Unit::Cost).with_remaining(remaining);
            handle.apply_signal(QuotaSignal::Limit(limit.with_resets_in(ms(resets_in))));
        };
        report(1, 1_414);
        advance(ms(164)).await;
        for (remaining, resets_in) in [(4, 1_008), (6, 963), (8, 700)] {
            report(remaining, resets_in);
            assert_eq!(handle.tokens(), 1.0, "{limit} {remaining}");
        }
        advance(ms(1_249)).await;
        assert_eq!(handle.tokens(), 1.0, "{limit}");
        advance(ms(1)).await;
        assert!(handle.tokens() > 8.0, "{limit}");
    }
}
