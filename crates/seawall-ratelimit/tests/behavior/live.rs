//! What is changed while calls go on.

use std::time::{Duration, SystemTime};

use seawall_core::{Command, TokenCount, Unit};
use seawall_ratelimit::{Limit, RateLimitState};

use super::*;

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test(start_paused = true)]
async fn a_new_rate_keeps_what_was_used() {
    let (mut svc, handle, _mock) = subject(10, Duration::ZERO);
    for n in 0..6 {
        assert!(call(&mut svc, n).poll().is_ready());
    }
    let faster = RateLimitConfig::builder().rate(100, SECOND).burst(20);
    handle.configure(faster.build().unwrap()).unwrap();
    // Six are still missing.
    assert_eq!(handle.tokens(), 14.0);
    advance(ms(60)).await;
    assert_eq!(handle.tokens(), 20.0);
    handle.configure(builder(2).build().unwrap()).unwrap();
    assert_eq!(handle.tokens(), 2.0);
    assert_eq!(handle.config().limits()[0].capacity(), 2);
    // Its kind cannot change.
    let strict = RateLimitConfig::builder().limit(Limit::strict(5, SECOND));
    let strict = strict.build().unwrap();
    let unchecked = handle.check(&strict).unwrap_err();
    let error = handle.configure(strict).unwrap_err();
    assert_eq!(unchecked, error);
    assert_eq!(handle.check(&builder(9).build().unwrap()), Ok(()));
    assert_eq!(
        error.to_string(),
        "`limits` is 5 cost per 1s, strict, accepted is as many as before, of the same kinds and \
         units in the same order: bucket of cost"
    );
    assert_eq!(handle.config().limits()[0].capacity(), 2);
}

#[tokio::test(start_paused = true)]
async fn waiters_depart_by_the_new_rate() {
    let inner = Departures::new();
    let layer = layer(1, MINUTE);
    let svc = layer.layer(inner.clone());
    let mut tasks = Vec::new();
    for n in 0..6 {
        tasks.push(tokio::spawn(svc.clone().call(n)));
        tokio::task::yield_now().await;
    }
    tokio::time::sleep(ms(10)).await;
    let at = |rate| {
        let config = RateLimitConfig::builder().rate(rate, SECOND).burst(1);
        config.max_wait(MINUTE).build().unwrap()
    };
    layer.handle().configure(at(100)).unwrap();
    tokio::time::sleep(ms(25)).await;
    layer.handle().configure(at(1)).unwrap();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    let log = inner.log();
    // The ten ms of waiting are a tenth of a token, at any rate.
    assert_eq!(log[..4], [(0, 0), (1, 19), (2, 29), (3, 435)]);
    assert_eq!(log[4].1 - log[3].1, 1_000);
}

#[tokio::test(start_paused = true)]
async fn strict_limits_and_windows_keep_their_departures() {
    let (inner, _mock) = mock();
    let of = |count, per| {
        let config = RateLimitConfig::builder()
            .limit(Limit::strict(count, per))
            .limit(Limit::window(count * 2, per));
        config.build().unwrap()
    };
    let layer = RateLimitLayer::new("live", of(10, SECOND));
    let mut svc = layer.layer(inner);
    for n in 0..4 {
        assert!(call(&mut svc, n).poll().is_ready());
    }
    let handle = layer.handle();
    let left = || {
        handle
            .snapshot()
            .limits
            .iter()
            .map(|l| l.available)
            .collect::<Vec<_>>()
    };
    handle.configure(of(5, SECOND)).unwrap();
    assert_eq!(left()[0], 1.0);
    handle.configure(of(3, SECOND)).unwrap();
    assert_eq!(left()[0], -1.0);
    assert!(matches!(call(&mut svc, 4).poll(), Poll::Ready(Err(_))));
    // What departed in the last second counts for a minute now.
    handle.configure(of(100, MINUTE)).unwrap();
    assert_eq!(left()[0], 96.0);
    advance(MINUTE).await;
    assert_eq!(left()[0], 100.0);
}

#[tokio::test(start_paused = true)]
async fn a_pause_rejects_new_calls_and_keeps_the_queue() {
    let inner = Departures::new();
    let layer = layer(1, MINUTE);
    let svc = layer.layer(inner.clone());
    let handle = layer.handle();
    assert_eq!(svc.clone().call(0).await, Ok(0));
    let waits = tokio::spawn(svc.clone().call(1));
    tokio::task::yield_now().await;
    handle.control(Command::Block).unwrap();
    assert_eq!(handle.snapshot().state, RateLimitState::Paused);
    assert_eq!(handle.time_to_next(&RequestMeta::default()), None);
    let rejected = svc.clone().call(2).await.unwrap_err();
    let rejection = rejected.rejection().unwrap();
    assert_eq!(
        (rejection.reason(), rejection.retry_after()),
        (Reason::Paused, None)
    );
    tokio::time::sleep(SECOND).await;
    handle.resume();
    assert_eq!(waits.await.unwrap(), Ok(1_000));
    assert_eq!(svc.clone().call(3).await, Ok(1_100));
    assert_eq!(handle.counts().paused, 1);
}

#[tokio::test(start_paused = true)]
async fn a_drain_serves_the_queue_and_rejects_new_calls() {
    let inner = Departures::new();
    let layer = layer(1, MINUTE);
    let svc = layer.layer(inner.clone());
    let handle = layer.handle();
    assert_eq!(svc.clone().call(0).await, Ok(0));
    let waits = tokio::spawn(svc.clone().call(1));
    tokio::task::yield_now().await;
    handle.drain();
    let rejected = svc.clone().call(2).await.unwrap_err();
    assert_eq!(rejected.rejection().unwrap().reason(), Reason::Draining);
    assert_eq!(waits.await.unwrap(), Ok(100));
    assert_eq!(handle.snapshot().state, RateLimitState::Draining);
    handle.resume();
    assert_eq!(svc.clone().call(3).await, Ok(200));
}

#[tokio::test(start_paused = true)]
async fn in_shadow_mode_every_call_passes_and_rejections_are_emitted() {
    let registry = Registry::new("desk");
    let (inner, mock) = mock();
    let config = builder(2).shadow(true).build().unwrap();
    let layer = RateLimitLayer::new("shadow", config);
    registry.register(layer.handle()).unwrap();
    let mut events = registry.events().subscribe();
    let mut svc = layer.layer(inner);
    for n in 0..5 {
        assert!(matches!(call(&mut svc, n).poll(), Poll::Ready(Ok(_))));
    }
    assert_eq!(mock.requests(), [0, 1, 2, 3, 4]);
    let counts = layer.handle().counts();
    assert_eq!(
        (counts.granted, counts.shadowed, counts.rejected),
        (5, 3, 0)
    );
    let Some(Received::Event(event)) = events.next().await else {
        panic!("no event")
    };
    assert!(matches!(event.kind, EventKind::Shadowed(r) if r.retry_after() == Some(ms(100))));
    layer.handle().set_shadow(false);
    assert!(matches!(call(&mut svc, 5).poll(), Poll::Ready(Err(_))));
    layer.handle().control(Command::Bypass).unwrap();
    assert!(matches!(call(&mut svc, 6).poll(), Poll::Ready(Ok(_))));
}

#[tokio::test(start_paused = true)]
async fn shadow_mode_lets_the_queue_depart() {
    let inner = Departures::new();
    let layer = layer(1, MINUTE);
    let svc = layer.layer(inner.clone());
    let handle = layer.handle();
    let tasks: Vec<_> = (0..4).map(|n| tokio::spawn(svc.clone().call(n))).collect();
    tokio::time::sleep(ms(50)).await;
    assert_eq!(handle.queue_depth(), 3);
    handle.control(Command::Bypass).unwrap();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    let times: Vec<_> = inner.log().iter().map(|(_, at)| *at).collect();
    assert_eq!((times, handle.queue_depth()), (vec![0, 50, 50, 50], 0));
    assert_eq!(handle.counts().granted, 4);
    // They owe their tokens.
    assert!(handle.tokens() < -1.0, "{}", handle.tokens());
}

/// Calls that would wait owe what they would have taken.
#[tokio::test(start_paused = true)]
async fn shadow_mode_counts_calls_that_would_wait_too_long() {
    let (inner, _mock) = mock();
    let config = builder(1).max_wait(ms(300)).shadow(true).build().unwrap();
    let layer = RateLimitLayer::new("shadow", config);
    let mut svc = layer.layer(inner);
    for n in 0..10 {
        assert!(matches!(call(&mut svc, n).poll(), Poll::Ready(Ok(_))));
    }
    // One at once and three that would wait: six would have been rejected.
    assert_eq!(layer.handle().counts().shadowed, 6);
}

#[tokio::test(start_paused = true)]
async fn a_reservation_is_corrected_committed_or_given_back() {
    let config = RateLimitConfig::builder()
        .limit(
            Limit::bucket(1_000, MINUTE)
                .burst(100)
                .with_unit(Unit::Tokens),
        )
        .limit(Limit::strict(3, MINUTE).with_unit(Unit::Requests))
        .build()
        .unwrap();
    let handle = RateLimitLayer::new("model", config).handle();
    let left = || {
        handle
            .snapshot()
            .limits
            .iter()
            .map(|l| l.available)
            .collect::<Vec<_>>()
    };
    let estimate = |tokens| RequestMeta::new(Replay::Never).with_tokens(TokenCount::new(tokens, 0));
    drop(handle.try_reserve(&estimate(60)).unwrap());
    assert_eq!(left(), [100.0, 3.0]);
    handle
        .try_reserve(&estimate(60))
        .unwrap()
        .correct_usage(&[(Unit::Tokens, 10)]);
    assert_eq!(left(), [90.0, 2.0]);
    handle.try_reserve(&estimate(60)).unwrap().commit();
    assert_eq!(left(), [30.0, 1.0]);
    // More than was estimated is owed.
    handle
        .try_reserve(&estimate(20))
        .unwrap()
        .correct_usage(&[(Unit::Tokens, 90)]);
    assert_eq!(left(), [-60.0, 0.0]);
    let rejected = handle.try_reserve(&estimate(20)).unwrap_err();
    assert_eq!(rejected.reason(), Reason::RateLimited);
    assert_eq!(rejected.retry_after(), Some(MINUTE));
    let counts = handle.counts();
    assert_eq!((counts.granted, counts.rejected), (4, 1));
}

#[tokio::test(start_paused = true)]
async fn reservations_and_calls_wait_in_one_queue() {
    let inner = Departures::new();
    let layer = layer(1, MINUTE);
    let svc = layer.layer(inner.clone());
    assert_eq!(svc.clone().call(0).await, Ok(0));
    let handle = layer.handle();
    let reserved = tokio::spawn(async move {
        let reserved = handle.reserve(&RequestMeta::default()).await.unwrap();
        reserved.commit();
        Instant::now()
    });
    tokio::task::yield_now().await;
    let behind = tokio::spawn(svc.clone().call(1));
    assert_eq!(reserved.await.unwrap(), inner.start + ms(100));
    assert_eq!(behind.await.unwrap(), Ok(200));
    // One that is dropped while it waits leaves the queue.
    let handle = layer.handle();
    let gone = tokio::spawn(async move { handle.reserve(&RequestMeta::default()).await.map(drop) });
    tokio::task::yield_now().await;
    assert_eq!(layer.handle().queue_depth(), 1);
    gone.abort();
    assert!(gone.await.is_err());
    assert_eq!(layer.handle().queue_depth(), 0);
    assert_eq!(layer.handle().counts().abandoned, 1);
}

#[tokio::test(start_paused = true)]
async fn a_refund_wakes_waiters() {
    let inner = Departures::new();
    let layer = layer(5, MINUTE);
    let svc = layer.layer(inner.clone());
    let handle = layer.handle();
    let five = RequestMeta::new(Replay::Safe).with_cost(5);
    let reserved = handle.try_reserve(&five).unwrap();
    let waits = tokio::spawn(svc.clone().call(0));
    tokio::task::yield_now().await;
    tokio::time::sleep(ms(20)).await;
    drop(reserved);
    assert_eq!(waits.await.unwrap(), Ok(20));
}

#[tokio::test(start_paused = true)]
async fn setting_the_wall_clock_moves_windows_and_gives_nothing_back() {
    let config = RateLimitConfig::builder()
        .limit(Limit::window(2, MINUTE))
        .build()
        .unwrap();
    let layer = RateLimitLayer::new("wall", config);
    let handle = layer.handle();
    let at = |s: u64| SystemTime::UNIX_EPOCH + Duration::from_secs(6_000_000_000 + s);
    handle.set_wall_clock(at(50));
    let (inner, _mock) = mock();
    let mut svc = layer.layer(inner);
    for n in 0..2 {
        assert!(call(&mut svc, n).poll().is_ready());
    }
    let wait = |svc: &mut RateLimit<Mock>| rejection(call(svc, 9).poll()).retry_after();
    assert_eq!(wait(&mut svc), Some(Duration::from_secs(10)));
    handle.set_wall_clock(at(30));
    assert_eq!(wait(&mut svc), Some(Duration::from_secs(30)));
    handle.set_wall_clock(at(60));
    assert!(call(&mut svc, 2).poll().is_ready());
    handle.set_wall_clock(at(0));
    assert_eq!(handle.tokens(), 1.0);
}

#[tokio::test(start_paused = true)]
async fn reset_ends_commands_and_signals_and_keeps_usage_and_counts() {
    let (mut svc, handle, _mock) = subject(3, Duration::ZERO);
    assert!(call(&mut svc, 0).poll().is_ready());
    handle.pause();
    handle.set_shadow(true);
    handle.drain();
    handle.reset();
    assert!(!handle.snapshot().shadow);
    assert_eq!(handle.snapshot().state, RateLimitState::Ok);
    assert_eq!((handle.tokens(), handle.counts().granted), (2.0, 1));
    let shadow = builder(3).shadow(true).build().unwrap();
    handle.configure(shadow.clone()).unwrap();
    assert_eq!(handle.config(), shadow);
    handle.set_shadow(false);
    handle.reset();
    assert!(handle.snapshot().shadow, "as configured");
}

/// A waiter that is kept and not polled any more must not keep a change of the settings, or the
/// waiters behind it, from taking effect.
#[tokio::test(start_paused = true)]
async fn configure_reaches_waiters_behind_one_that_is_not_polled_any_more() {
    let (mut svc, handle, _mock) = subject(1, MINUTE);
    let _granted = call(&mut svc, 0);
    let mut kept = call(&mut svc, 1);
    let mut behind = call(&mut svc, 2);
    assert!(kept.poll().is_pending() && behind.poll().is_pending());
    let faster = RateLimitConfig::builder().rate(1_000, SECOND).burst(10);
    handle
        .configure(faster.max_wait(MINUTE).build().unwrap())
        .unwrap();
    assert!(
        kept.wakes() > 0 && behind.wakes() > 0,
        "both are asked again"
    );
    advance(ms(5)).await;
    drop(kept);
    assert!(behind.poll().is_ready());
    assert_eq!(handle.queue_depth(), 0);
    assert_eq!(handle.counts().abandoned, 1);
}

#[cfg(feature = "serde")]
#[tokio::test(start_paused = true)]
async fn a_snapshot_serializes() {
    let (mut svc, handle, _mock) = subject(3, Duration::ZERO);
    assert!(call(&mut svc, 0).poll().is_ready());
    let json = serde_json::to_value(handle.snapshot()).unwrap();
    assert_eq!(
        (&json["name"], &json["state"]),
        (&"desk".into(), &"ok".into())
    );
    assert_eq!(json["limits"][0]["limit"]["kind"], "bucket");
    assert_eq!(json["limits"][0]["limit"]["period"], 1.0);
    assert_eq!(json["limits"][0]["available"], 2.0);
    assert_eq!(json["counts"]["granted"], 1);
    assert_eq!(json["time_to_next"], 0.0);
    assert!(json["resumes_in"].is_null());
}

#[tokio::test(start_paused = true)]
async fn resume_forgets_reports_about_each_of_several_limits() {
    use seawall_core::{QuotaSignal, ServerLimit};

    let config = RateLimitConfig::builder()
        .limit(Limit::bucket(600, MINUTE).burst(10))
        .limit(Limit::window(100, MINUTE).with_unit(Unit::Requests))
        .build()
        .unwrap();
    let handle = RateLimitLayer::new("resumed", config).handle();
    let available = || {
        let limits = handle.snapshot().limits;
        limits.iter().map(|l| l.available).collect::<Vec<_>>()
    };
    for unit in [Unit::Cost, Unit::Requests] {
        let reported = ServerLimit::new(unit).with_remaining(0);
        let reported = reported.with_resets_in(MINUTE / 2);
        handle.apply_signal(QuotaSignal::Limit(reported));
    }
    advance(2 * SECOND).await;
    assert_eq!(available(), [0.0, 0.0], "until the reported reset");
    handle.resume();
    assert_eq!(available(), [10.0, 100.0]);
}
