//! What the upstream says of its limits.

use seawall_core::{QuotaSignal, Scope, ServerLimit, TokenCount, Unit};
use seawall_ratelimit::{Feedback, FeedbackLayer, Limit};

use super::*;

const MINUTE: Duration = Duration::from_secs(60);

fn left(of: u64) -> ServerLimit {
    ServerLimit::new(Unit::Requests).with_remaining(of)
}

#[tokio::test(start_paused = true)]
async fn what_is_left_is_taken_for_true_if_it_is_less_and_never_if_it_is_more() {
    let (_svc, handle, _mock) = subject(10, Duration::ZERO);
    handle.apply_signal(QuotaSignal::Limit(left(4)));
    assert_eq!(handle.tokens(), 4.0);
    handle.apply_signal(QuotaSignal::Limit(left(9)));
    assert_eq!(handle.tokens(), 4.0);
    handle.apply_signal(QuotaSignal::Limit(left(u64::MAX)));
    assert_eq!(handle.tokens(), 4.0);
    // Of what is used, the height being that of the settings or the one that is said.
    let used = ServerLimit::new(Unit::Requests).with_used(8);
    handle.apply_signal(QuotaSignal::Limit(used));
    assert_eq!(handle.tokens(), 2.0);
    handle.apply_signal(QuotaSignal::Limit(used.with_limit(9)));
    assert_eq!(handle.tokens(), 1.0);
    // Nothing of use.
    handle.apply_signal(QuotaSignal::Limit(ServerLimit::new(Unit::Requests)));
    handle.apply_signal(QuotaSignal::Limit(
        ServerLimit::new(Unit::Tokens).with_remaining(0),
    ));
    assert_eq!(handle.tokens(), 1.0);
}

/// Ten per second would flow in; the upstream has three left for the next ten seconds.
#[tokio::test(start_paused = true)]
async fn no_more_than_what_is_left_departs_before_the_upstreams_window_ends() {
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
    // It is over, and the short way is open again.
    assert_eq!(svc.clone().call(6).await.map(|at| at < 10_400), Ok(true));
}

#[tokio::test(start_paused = true)]
async fn the_limit_that_is_meant_is_the_one_that_is_corrected() {
    let config = RateLimitConfig::builder()
        .limit(Limit::strict(10, SECOND))
        .limit(Limit::strict(400, MINUTE))
        .limit(Limit::strict(1_000, MINUTE).with_unit(Unit::Tokens))
        .limit(Limit::strict(50, MINUTE).with_unit(Unit::InputTokens))
        .build()
        .unwrap();
    let handle = RateLimitLayer::new("desk", config).handle();
    let say = |limit: ServerLimit| {
        handle.apply_signal(QuotaSignal::Limit(limit));
        let limits = handle.snapshot().limits;
        let left = limits
            .iter()
            .map(|limit| limit.available)
            .collect::<Vec<_>>();
        handle.refill();
        left
    };
    assert_eq!(say(left(3).with_window(MINUTE)), [10.0, 3.0, 1_000.0, 50.0]);
    assert_eq!(
        say(left(3).with_window(SECOND)),
        [3.0, 400.0, 1_000.0, 50.0]
    );
    // A window that is none of ours says nothing of ours.
    let hour = left(3).with_window(60 * MINUTE);
    assert_eq!(say(hour), [10.0, 400.0, 1_000.0, 50.0]);
    assert_eq!(say(left(3).with_limit(400)), [10.0, 3.0, 1_000.0, 50.0]);
    // It ends in 40 seconds: that is no window of one second.
    let soon = left(3).with_resets_in(40 * SECOND);
    assert_eq!(say(soon), [10.0, 3.0, 1_000.0, 50.0]);
    let tokens = ServerLimit::new(Unit::Tokens).with_remaining(7);
    assert_eq!(say(tokens), [10.0, 400.0, 7.0, 50.0]);
}

#[tokio::test(start_paused = true)]
async fn a_throttle_pauses_and_what_comes_after_does_not_come_at_once() {
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
async fn a_call_that_may_not_wait_for_the_end_of_a_pause_hears_when_it_is() {
    let (mut svc, handle, _mock) = subject(5, Duration::ZERO);
    handle.pause_for(3 * SECOND);
    let rejected = rejection(call(&mut svc, 0).poll());
    // The bucket starts from empty.
    assert_eq!(rejected.retry_after(), Some(3 * SECOND + ms(100)));
    advance(SECOND).await;
    // A shorter one does not shorten it, and one without a length is that of the settings.
    handle.apply_signal(QuotaSignal::Pause {
        lasts: None,
        scope: Scope::Account,
    });
    assert_eq!(handle.snapshot().resumes_in, Some(2 * SECOND));
    advance(2 * SECOND + ms(100)).await;
    assert!(matches!(call(&mut svc, 1).poll(), Poll::Ready(Ok(_))));
    assert_eq!(handle.counts().rejected + handle.counts().paused, 1);
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

    /// Uses as many tokens as are asked for, and fails when that is none.
    fn call(&mut self, tokens: u32) -> Self::Future {
        ready(match tokens {
            0 => Err(Error::Inner(())),
            tokens => Ok(tokens.into()),
        })
    }
}

type Reader = fn(Result<&u64, &Error<()>>, &mut dyn FnMut(QuotaSignal));

fn usage(answer: Result<&u64, &Error<()>>, say: &mut dyn FnMut(QuotaSignal)) {
    match answer {
        Ok(tokens) => say(QuotaSignal::Used {
            unit: Unit::Tokens,
            amount: *tokens,
        }),
        Err(_failed) => say(QuotaSignal::Pause {
            lasts: Some(SECOND),
            scope: Scope::Upstream,
        }),
    }
}

#[tokio::test(start_paused = true)]
async fn answers_settle_what_was_estimated() {
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
    // Dropped before it is answered: what was estimated stays taken.
    drop(svc.call(1));
    assert_eq!(tokens.tokens(), 150.0);
    advance(SECOND).await;
    assert_eq!(svc.call(0).await, Err(Error::Inner(())));
    let rejected = svc.call(1).await.unwrap_err();
    let wait = rejected.rejection().unwrap().retry_after().unwrap();
    // The pause, and then the time for 300 tokens.
    assert_eq!(wait, SECOND + ms(300));
    // At the end of a stream.
    advance(wait).await;
    tokens.correct_usage(Unit::Tokens, 300, 100);
    assert_eq!(tokens.tokens(), 500.0);
}

#[test]
fn the_feedback_of_an_answer_allocates_nothing() {
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
        let answer = std::pin::pin!(svc.call(n)).poll(cx);
        assert!(matches!(answer, Poll::Ready(Ok(_))));
    };
    round(1);
    assert_eq!(
        alloc::count(|| (1..500).for_each(&mut round)).allocations,
        0
    );
}

#[tokio::test(start_paused = true)]
async fn an_answered_feedback_future_holds_nothing() {
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
    let mut answer = PolledFuture::new(svc.call(1));
    assert_eq!(Rc::strong_count(&held), 3);
    assert!(answer.poll().is_ready());
    assert_eq!(Rc::strong_count(&held), 2);
}
