//! When an extra attempt is made, and when it is not.

use super::*;

/// No timer is armed: there is no runtime here, and one would panic.
#[test]
fn a_call_that_completes_at_once_needs_no_runtime_and_no_clone() {
    let (inner, mock) = mock();
    let layer = HedgeLayer::new("h", after_100_ms(4)).describe(SAFE);
    let mut service = layer.layer(inner);
    let mut ready = PolledFuture::new(service.ready());
    let Poll::Ready(Ok(service)) = ready.poll() else {
        panic!("not ready");
    };
    let mut call = PolledFuture::new(service.call(7));
    assert!(matches!(call.poll(), Poll::Ready(Ok(7))));
    // The service and its template.
    assert_eq!((mock.calls(), mock.instances()), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn a_result_before_the_delay_is_the_only_one() {
    let upstream = Upstream::new([(99 * MS, Ok(1))]);
    let layer = layer(after_100_ms(4));
    let (result, ms) = call(&mut layer.layer(upstream.clone())).await;
    assert_eq!(result, Ok(1));
    assert_about(ms, 99);
    assert_eq!(
        (upstream.calls(), layer.handle().counts().extra.begun),
        (1, 0)
    );
}

#[tokio::test(start_paused = true)]
async fn a_slow_call_is_made_again_after_the_delay_and_not_before() {
    let upstream = Upstream::new([(SECOND, Ok(1)), (20 * MS, Ok(2))]);
    let layer = layer(after_100_ms(1));
    let (result, ms) = call(&mut layer.layer(upstream.clone())).await;
    assert_eq!(result, Ok(2));
    assert_about(ms, 120);
    assert_about(upstream.arrivals()[1], 100);
    let handle = layer.handle();
    assert_eq!(
        (handle.counts().extra.begun, handle.counts().extra.won),
        (1, 1)
    );
    assert_eq!(extra_counts(&handle), [1, 0, 0, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn each_further_attempt_is_a_further_delay_later_up_to_the_most() {
    for extra in 1..=4_u32 {
        let upstream = Upstream::new([(SECOND, Ok(1))]);
        let layer = layer(after_100_ms(extra)).budget(tokens(9));
        let (result, ms) = call(&mut layer.layer(upstream.clone())).await;
        assert_eq!(result, Ok(1));
        assert_about(ms, 1_000);
        let arrivals = upstream.arrivals();
        assert_eq!(arrivals.len(), 1 + extra as usize);
        for (nth, at) in arrivals.iter().enumerate() {
            assert_about(*at, 100 * nth as u128);
        }
        assert_eq!(layer.handle().counts().extra.lost, u64::from(extra));
    }
}

/// A task that was not polled for a while is no reason to send everything at once.
#[tokio::test(start_paused = true)]
async fn attempts_that_are_overdue_are_made_a_delay_apart_too() {
    let upstream = Upstream::new([(60 * SECOND, Ok(1))]);
    let mut service = layer(after_100_ms(4)).layer(upstream.clone());
    let mut call = PolledFuture::new(service.ready().await.unwrap().call(7));
    assert!(call.poll().is_pending());
    advance(350 * MS).await;
    assert!(call.poll().is_pending());
    assert_eq!(upstream.calls(), 2);
    advance(101 * MS).await;
    assert!(call.poll().is_pending());
    assert_eq!(upstream.calls(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_task_that_is_polled_after_the_deadline_begins_no_attempt() {
    let upstream = Upstream::new([(60 * SECOND, Ok(1))]);
    let meta = RequestMeta::new(Replay::Safe).with_deadline(Instant::now() + 300 * MS);
    let layer = layer(after_100_ms(1)).describe(ConstMeta(meta));
    let mut service = layer.layer(upstream.clone());
    let mut call = PolledFuture::new(service.ready().await.unwrap().call(7));
    assert!(call.poll().is_pending());
    advance(350 * MS).await;
    assert!(call.poll().is_pending());
    let handle = layer.handle();
    assert_eq!(
        (
            upstream.calls(),
            handle.counts().extra.begun,
            handle.counts().skipped.deadline
        ),
        (1, 0, 1)
    );
}

#[tokio::test(start_paused = true)]
async fn the_delay_starts_with_the_first_poll() {
    let upstream = Upstream::new([(SECOND, Ok(1)), (20 * MS, Ok(2))]);
    let mut service = layer(after_100_ms(1)).layer(upstream.clone());
    let call = service.ready().await.unwrap().call(7);
    advance(5 * SECOND).await;
    assert_eq!(call.await, Ok(2));
    assert_about(upstream.arrivals()[1], 5_100);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_must_not_be_sent_twice_is_not_copied_and_sent_once() {
    fn copy(_: &u32) -> Option<u32> {
        panic!("copied");
    }
    let upstream = Upstream::new([(SECOND, Ok(1))]);
    let layer = HedgeLayer::new("h", after_100_ms(4))
        .classify(ByError)
        .copy(copy as fn(&u32) -> Option<u32>);
    let (result, _) = call(&mut layer.layer(upstream.clone())).await;
    assert_eq!((result, upstream.calls()), (Ok(1), 1));
    let skips = |handle, cause| counter(&handle, "seawall_hedge_skips_total", cause);
    let skipped = layer.handle().counts().skipped;
    assert_eq!((skipped.not_described, skipped.not_replay_safe), (1, 0));
    assert_eq!(skips(layer.handle(), "not_described"), 1);
    // The same, described.
    let layer = layer.describe(ConstMeta(RequestMeta::non_idempotent()));
    let (result, _) = call(&mut layer.layer(upstream.clone())).await;
    assert_eq!((result, upstream.calls()), (Ok(1), 2));
    let skipped = layer.handle().counts().skipped;
    assert_eq!((skipped.not_described, skipped.not_replay_safe), (1, 1));
    assert_eq!(skips(layer.handle(), "not_replay_safe"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_request_with_a_key_is_hedged() {
    let upstream = Upstream::new([(SECOND, Ok(1)), (20 * MS, Ok(2))]);
    let keyed = ConstMeta(RequestMeta::new(Replay::SafeWithKey));
    let layer = layer(after_100_ms(1)).describe(keyed);
    assert_eq!(call(&mut layer.layer(upstream)).await.0, Ok(2));
}

#[tokio::test(start_paused = true)]
async fn a_request_that_cannot_be_copied_is_sent_once() {
    let upstream = Upstream::new([(SECOND, Ok(1))]);
    let layer = layer(after_100_ms(1)).copy((|_| None) as fn(&u32) -> Option<u32>);
    assert_eq!(call(&mut layer.layer(upstream.clone())).await.0, Ok(1));
    assert_eq!(upstream.calls(), 1);
    assert_eq!(
        counter(&layer.handle(), "seawall_hedge_skips_total", "no_copy"),
        1
    );
}

/// A streamed body can be copied before it is sent, and not any more while it is read.
#[tokio::test(start_paused = true)]
async fn a_copy_that_cannot_be_sent_any_more_costs_no_token() {
    let copies = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&copies);
    let copy =
        move |request: &u32| (count.fetch_add(1, Ordering::Relaxed) == 0).then_some(*request);
    let upstream = Upstream::new([(SECOND, Ok(1))]);
    let budget = tokens(5);
    let layer = layer(after_100_ms(1)).copy(copy).budget(budget.clone());
    assert_eq!(call(&mut layer.layer(upstream.clone())).await.0, Ok(1));
    assert_eq!((upstream.calls(), copies.load(Ordering::Relaxed)), (1, 2));
    assert_eq!(
        (budget.balance(), layer.handle().counts().extra.begun),
        (5.0, 0)
    );
}

#[tokio::test(start_paused = true)]
async fn no_attempt_is_made_at_or_after_the_deadline() {
    for (left, sent) in [(50, 1), (100, 1), (102, 2), (250, 3)] {
        let upstream = Upstream::new([(SECOND, Ok(1))]);
        let deadline = Instant::now() + left * MS;
        let meta = RequestMeta::new(Replay::Safe).with_deadline(deadline);
        let layer = layer(after_100_ms(4)).describe(ConstMeta(meta));
        assert_eq!(call(&mut layer.layer(upstream.clone())).await.0, Ok(1));
        assert_eq!(upstream.calls(), sent, "{left} ms left");
        assert_eq!(layer.handle().counts().skipped.deadline, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_delay_that_never_ends_is_none() {
    let upstream = Upstream::new([(3_600 * SECOND, Ok(1))]);
    let never = HedgeConfig::builder()
        .delay(Duration::MAX)
        .extra_attempts(4);
    let layer = layer(never.build().unwrap());
    assert_eq!(call(&mut layer.layer(upstream.clone())).await.0, Ok(1));
    assert_eq!(upstream.calls(), 1);
}

/// An inner service that is busy uses up the task's budget of progress at every poll, and a timer
/// that asks for it would never end.
#[tokio::test(start_paused = true)]
async fn a_busy_first_attempt_is_hedged_all_the_same() {
    let calls = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&calls);
    let busy = tower::service_fn(move |_: u32| {
        let nth = count.fetch_add(1, Ordering::Relaxed);
        async move {
            std::future::poll_fn(|cx| {
                if nth > 0 {
                    return Poll::Ready(());
                }
                while tokio::task::coop::has_budget_remaining() {
                    let _ = tokio::task::coop::poll_proceed(cx).map(|p| p.made_progress());
                }
                cx.waker().wake_by_ref();
                Poll::Pending
            })
            .await;
            Ok::<_, Failed>(2)
        }
    });
    let mut service = layer(after_100_ms(1)).layer(busy);
    let call = tokio::spawn(service.ready().await.unwrap().call(7));
    tokio::task::yield_now().await;
    advance(101 * MS).await;
    assert_eq!(call.await.unwrap(), Ok(2));
}
