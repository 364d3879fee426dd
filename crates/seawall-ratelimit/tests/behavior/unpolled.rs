//! Waiters that nobody polls any more: they cost the others what they claim, for a moment.

use seawall_core::queue::GRACE;
use seawall_ratelimit::RateLimitState;

use super::keyed::MINUTE;
use super::*;

/// After that a waiter has lapsed.
pub(super) const GRACE_MS: u64 = GRACE / 1_000_000;

pub(super) fn limit(config: RateLimitConfigBuilder) -> RateLimitLayer {
    RateLimitLayer::new("desk", config.build().expect("valid settings"))
}

/// A call that waits and is not polled again.
pub(super) fn stuck<S>(service: &S, request: u32) -> PolledFuture<S::Future>
where
    S: Service<u32> + Clone,
{
    let mut waiter = call(&mut service.clone(), request);
    assert!(waiter.poll().is_pending());
    waiter
}

#[tokio::test(start_paused = true)]
async fn a_waiter_that_is_not_polled_delays_no_later_call() {
    let config = RateLimitConfig::builder().rate(100, SECOND).burst(10);
    let layer = limit(config.max_wait(10 * SECOND));
    let inner = Departures::new();
    let svc = layer.layer(inner.clone());
    for n in 0..10 {
        svc.clone().call(n).await.unwrap();
    }
    let mut kept = stuck(&svc, 10);
    tokio::time::sleep(SECOND).await;
    assert_eq!(layer.handle().tokens(), 10.0);
    for n in 11..20 {
        assert_eq!(svc.clone().call(n).await, Ok(1_000));
    }
    // It is late, and has what there is.
    assert_eq!(kept.poll(), Poll::Ready(Ok(1_000)));
    assert_eq!(layer.handle().queue_depth(), 0);
}

/// Before it has lapsed, it costs what it claims.
#[tokio::test(start_paused = true)]
async fn a_waiter_that_is_not_polled_yet_costs_a_new_call_one_token() {
    let (mut svc, handle, mock) = subject(3, SECOND);
    for n in 0..3 {
        assert!(call(&mut svc, n).poll().is_ready());
    }
    let mut late = call(&mut svc, 3);
    assert!(late.poll().is_pending());
    tokio::task::yield_now().await;
    advance(ms(100)).await;
    assert_eq!(late.wakes(), 1);
    let meta = RequestMeta::default();
    assert!(handle.try_reserve(&meta).is_err(), "the token is claimed");
    assert!(call(&mut svc, 4).poll().is_pending());
    assert!(late.poll().is_ready());
    assert_eq!(mock.requests(), [0, 1, 2, 3]);
}

/// With one token at once, and nobody who arrives: the next one waits for the grace, not for
/// `max_wait`.
#[tokio::test(start_paused = true)]
async fn the_next_waiter_departs_after_the_grace() {
    let inner = Departures::new();
    let layer = layer(1, 10 * SECOND);
    let svc = layer.layer(inner.clone());
    svc.clone().call(0).await.unwrap();
    let mut kept = stuck(&svc, 1);
    assert_eq!(svc.clone().call(2).await, Ok(100 + GRACE_MS));
    assert_eq!(layer.handle().queue_depth(), 1);
    // It has kept its rank.
    let next = tokio::spawn(svc.clone().call(3));
    tokio::task::yield_now().await;
    assert!(kept.poll().is_pending());
    advance(ms(100)).await;
    assert!(kept.poll().is_ready());
    assert_eq!(next.await.unwrap(), Ok(300 + GRACE_MS));
}

#[tokio::test(start_paused = true)]
async fn several_in_a_row_delay_the_next_by_the_grace_of_each() {
    let inner = Departures::new();
    let layer = layer(1, 10 * SECOND);
    let svc = layer.layer(inner.clone());
    svc.clone().call(0).await.unwrap();
    let kept: Vec<_> = (1..9).map(|n| stuck(&svc, n)).collect();
    let behind = [9, 10].map(|n| tokio::spawn(svc.clone().call(n)));
    for (task, at) in behind.into_iter().zip([100, 200]) {
        assert_eq!(task.await.unwrap(), Ok(at + 8 * GRACE_MS));
    }
    assert_eq!(inner.log().len(), 3);
    drop(kept);
    assert_eq!(layer.handle().counts().abandoned, 8);
}

/// With tokens for all of them, they lapse at once.
#[tokio::test(start_paused = true)]
async fn several_lapse_together_where_there_are_tokens_for_them() {
    let inner = Departures::new();
    let layer = limit(builder(8).max_wait(10 * SECOND));
    let svc = layer.layer(inner.clone());
    let handle = layer.handle();
    for n in 0..8 {
        svc.clone().call(n).await.unwrap();
    }
    // The first has a timer of its own, and lapses by that.
    let _kept: Vec<_> = (0..9).map(|n| stuck(&svc, n)).collect();
    let behind = tokio::spawn(svc.clone().call(9));
    tokio::task::yield_now().await;
    handle.pause();
    tokio::time::sleep(SECOND).await;
    assert!(!behind.is_finished());
    handle.resume();
    assert_eq!(behind.await.unwrap(), Ok(1_000 + GRACE_MS));
}

/// Nobody looks at the timers of waiters that are not polled; their waits end all the same.
#[tokio::test(start_paused = true)]
async fn a_queue_of_those_whose_wait_is_over_is_not_full() {
    let config = RateLimitConfig::builder().rate(100, SECOND).burst(10);
    let layer = limit(config.max_wait(SECOND).max_waiting(5));
    let (inner, mock) = mock();
    let mut svc = layer.layer(inner);
    for n in 0..10 {
        assert!(call(&mut svc, n).poll().is_ready());
    }
    let mut kept: Vec<_> = (0..5).map(|_| stuck(&svc, 10)).collect();
    let handle = layer.handle();
    let full = rejection(call(&mut svc, 11).poll());
    assert_eq!(
        (full.reason(), handle.queue_depth()),
        (Reason::RateLimited, 5)
    );
    advance(3_600 * SECOND).await;
    assert_eq!(handle.queue_depth(), 0);
    assert_eq!(handle.snapshot().state, RateLimitState::Ok);
    for n in 20..30 {
        assert!(call(&mut svc, n).poll().is_ready(), "{n}");
    }
    let mut waits = call(&mut svc, 30);
    assert!(waits.poll().is_pending());
    assert_eq!(handle.queue_depth(), 1);
    // They are rejected when they are polled, or take what there is.
    assert_eq!(
        rejection(kept.remove(0).poll()).reason(),
        Reason::RateLimited
    );
    advance(ms(20)).await;
    assert!(kept.remove(0).poll().is_ready() && waits.poll().is_ready());
    assert_eq!(mock.calls(), 22);
}

#[tokio::test(start_paused = true)]
async fn a_drain_ends_although_nobody_polls_those_that_wait() {
    let layer = layer(1, SECOND);
    let inner = Departures::new();
    let svc = layer.layer(inner.clone());
    let handle = layer.handle();
    svc.clone().call(0).await.unwrap();
    let _kept = [stuck(&svc, 1), stuck(&svc, 2)];
    let live = tokio::spawn(svc.clone().call(3));
    tokio::task::yield_now().await;
    handle.drain();
    assert_eq!(handle.queue_depth(), 3);
    assert!(svc.clone().call(4).await.is_err());
    assert_eq!(live.await.unwrap(), Ok(100 + 2 * GRACE_MS), "it is served");
    assert_eq!(handle.queue_depth(), 2);
    tokio::time::sleep(SECOND).await;
    assert_eq!(handle.queue_depth(), 0);
    handle.resume();
    assert_eq!(svc.clone().call(5).await.map(|_| ()), Ok(()));
}

/// `resume` and shadow mode let all go at once, those that are not polled too.
#[tokio::test(start_paused = true)]
async fn shadow_mode_lets_every_waiter_go() {
    let layer = layer(1, MINUTE);
    let inner = Departures::new();
    let svc = layer.layer(inner.clone());
    svc.clone().call(0).await.unwrap();
    let _kept = stuck(&svc, 1);
    let live: Vec<_> = (2..6).map(|n| tokio::spawn(svc.clone().call(n))).collect();
    tokio::time::sleep(ms(10)).await;
    layer.handle().set_shadow(true);
    for task in live {
        assert_eq!(task.await.unwrap(), Ok(10));
    }
}

/// A waiter that costs more than the new settings can ever grant.
#[tokio::test(start_paused = true)]
async fn a_waiter_that_no_longer_fits_is_rejected_and_delays_no_other() {
    let by_number = |n: &u32| RequestMeta::new(Replay::Safe).with_cost(*n);
    for polled in [true, false] {
        let layer = limit(builder(5).max_wait(MINUTE)).describe(by_number);
        let inner = Departures::new();
        let svc = layer.layer(inner.clone());
        svc.clone().call(5).await.unwrap();
        let mut large = stuck(&svc, 4);
        let behind = tokio::spawn(svc.clone().call(1));
        tokio::task::yield_now().await;
        layer
            .handle()
            .configure(builder(2).max_wait(MINUTE).build().unwrap())
            .unwrap();
        assert_eq!(large.wakes(), 1);
        if polled {
            let Poll::Ready(Err(error)) = large.poll() else {
                panic!("it waits on")
            };
            let rejection = error.rejection().expect("of the limit");
            assert_eq!(rejection.reason(), Reason::TooExpensive);
        }
        // Five are missing in a bucket of two.
        let at = behind.await.unwrap().unwrap();
        assert!((400..=401).contains(&at), "{at}");
    }
}
