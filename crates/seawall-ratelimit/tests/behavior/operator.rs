//! Each command of an operator does what it says for every kind of limit and every key, ends with its
//! inverse, and is emitted.

use seawall_core::{Command, PartitionKey, QuotaSignal, Scope, ServerLimit, Unit};
use seawall_ratelimit::{
    DailyReset, KeyedRateLimitConfig, KeyedRateLimitHandle, KeyedRateLimitLayer, Limit,
    RateLimitState,
};
use tower::ServiceBuilder;

use super::*;

const MINUTE: Duration = Duration::from_secs(60);
pub(super) const HOUR: Duration = Duration::from_secs(3_600);

pub(super) fn of(limits: &[Limit]) -> RateLimitConfigBuilder {
    let builder = RateLimitConfig::builder();
    limits
        .iter()
        .fold(builder, |builder, limit| builder.limit(limit.clone()))
}

/// A configuration of each kind of limit, and of two at once.
pub(super) fn every_kind() -> Vec<Vec<Limit>> {
    let bucket = |count, per, burst| Limit::from(Limit::bucket(count, per).burst(burst));
    vec![
        vec![bucket(10, SECOND, 5)],
        vec![Limit::strict(5, SECOND).into()],
        vec![Limit::strict(5_000, SECOND).into()],
        vec![Limit::window(5, SECOND).into()],
        vec![Limit::daily(5_000, DailyReset::utc()).into()],
        vec![bucket(10, SECOND, 5), bucket(100, MINUTE, 50)],
    ]
}

fn one(limits: &[Limit]) -> (RateLimitHandle, RateLimit<Mock>, MockHandle) {
    let layer = RateLimitLayer::new("desk", of(limits).build().expect("valid settings"));
    let (inner, mock) = mock();
    (layer.handle(), layer.layer(inner), mock)
}

pub(super) fn left(unit: Unit, remaining: u64, resets_in: Duration) -> QuotaSignal {
    let limit = ServerLimit::new(unit).with_remaining(remaining);
    QuotaSignal::Limit(limit.with_resets_in(resets_in))
}

pub(super) fn throttle(lasts: Duration) -> QuotaSignal {
    QuotaSignal::Pause {
        lasts: Some(lasts),
        scope: Scope::Upstream,
    }
}

fn is_ok<S>(svc: &mut S, request: u32) -> bool
where
    S: Service<u32>,
{
    matches!(call(svc, request).poll(), Poll::Ready(Ok(_)))
}

/// What is left of each limit.
fn available(handle: &RateLimitHandle) -> Vec<f64> {
    let limits = handle.snapshot().limits;
    limits.iter().map(|limit| limit.available).collect()
}

#[tokio::test(start_paused = true)]
async fn resuming_ends_a_pause_for_a_time_of_every_kind_of_limit() {
    for limits in every_kind() {
        for by_upstream in [false, true] {
            let (handle, mut svc, _mock) = one(&limits);
            assert!(is_ok(&mut svc, 0));
            let before = available(&handle);
            if by_upstream {
                handle.apply_signal(throttle(10 * MINUTE));
            } else {
                handle.pause_for(HOUR);
            }
            assert!(!is_ok(&mut svc, 1), "{limits:?}");
            handle.resume();
            assert_eq!(
                available(&handle),
                before,
                "{limits:?}: as if nothing had been"
            );
            assert!(is_ok(&mut svc, 2), "{limits:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn resuming_forgets_what_the_upstream_has_reported_of_every_kind_of_limit() {
    for limits in every_kind() {
        for resets_in in [None, Some(MINUTE), Some(HOUR)] {
            if resets_in.is_none() && limits[0].kind() == "strict" {
                // It counts as used, for one period.
                continue;
            }
            let (handle, mut svc, _mock) = one(&limits);
            let before = available(&handle);
            let mut limit = ServerLimit::new(Unit::Requests).with_remaining(0);
            limit.resets_in = resets_in;
            handle.apply_signal(QuotaSignal::Limit(limit));
            assert!(!is_ok(&mut svc, 0), "{limits:?}, {resets_in:?}");
            handle.resume();
            assert_eq!(available(&handle), before, "{limits:?}, {resets_in:?}");
            assert!(is_ok(&mut svc, 1), "{limits:?}, {resets_in:?}");
        }
    }
}

/// A forecast during a pause must not move the clock of a limit to its end.
#[tokio::test(start_paused = true)]
async fn asking_during_a_pause_changes_nothing() {
    for limits in every_kind() {
        let (handle, mut svc, _mock) = one(&limits);
        handle.set_wall_clock(std::time::UNIX_EPOCH + 600_010 * HOUR);
        while is_ok(&mut svc, 0) {}
        handle.pause_for(100 * HOUR);
        for n in 0..3 {
            assert!(!is_ok(&mut svc, n));
            assert!(handle.time_to_next(&RequestMeta::default()) >= Some(100 * HOUR));
        }
        handle.resume();
        assert!(!is_ok(&mut svc, 1), "{limits:?}: used up as before");
        assert!(handle.time_to_next(&RequestMeta::default()) <= Some(24 * HOUR));
    }
}

#[tokio::test(start_paused = true)]
async fn a_pause_of_a_minute_stays_one_when_the_rate_is_changed_meanwhile() {
    for (before, after) in [(10, 2), (2, 10)] {
        let bucket = |rate| vec![Limit::from(Limit::bucket(rate, SECOND).burst(2))];
        let (handle, mut svc, _mock) = one(&bucket(before));
        handle.pause_for(MINUTE);
        handle
            .configure(of(&bucket(after)).build().unwrap())
            .unwrap();
        let start = Instant::now();
        while !is_ok(&mut svc, 0) {
            advance(ms(100)).await;
            assert!((Instant::now() - start) < 20 * MINUTE);
        }
        let first = Instant::now() - start;
        assert!(
            first >= MINUTE && first <= MINUTE + 2 * SECOND,
            "{before}/s to {after}/s: {first:?}"
        );
    }
}

/// However long it was, what departs afterwards is what the limits allow; and after a pause that ends
/// by itself, it comes evenly.
#[tokio::test(start_paused = true)]
async fn after_a_pause_nothing_bursts() {
    for (limits, most_in_a_tenth) in [
        (vec![Limit::from(Limit::bucket(10, SECOND).burst(5))], 1),
        (vec![Limit::from(Limit::strict(10, SECOND))], 1),
        (
            vec![
                Limit::bucket(10, SECOND).burst(5).into(),
                Limit::strict(10, SECOND).into(),
            ],
            1,
        ),
        (vec![Limit::from(Limit::window(10, SECOND))], 10),
    ] {
        let (handle, mut svc, _mock) = one(&limits);
        handle.pause_for(30 * SECOND);
        advance(30 * SECOND).await;
        for tenth in 0..10 {
            let passed = (0..20).filter(|n| is_ok(&mut svc, *n)).count();
            assert!(
                passed <= most_in_a_tenth,
                "{limits:?}: {passed} in the tenth {tenth}"
            );
            advance(ms(100)).await;
        }
        // Resumed by hand, what has come back meanwhile is there.
        handle.refill();
        handle.pause_for(30 * SECOND);
        advance(10 * SECOND).await;
        handle.resume();
        let passed = (0..20).filter(|n| is_ok(&mut svc, *n)).count() as u32;
        let capacities = limits.iter().map(Limit::capacity);
        assert_eq!(Some(passed), capacities.min(), "{limits:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_drain_ends_with_resume_and_holds_in_shadow_mode() {
    for limits in every_kind() {
        let (handle, mut svc, _mock) = one(&limits);
        handle.drain();
        handle.set_shadow(true);
        let rejected = rejection(call(&mut svc, 0).poll());
        assert_eq!(rejected.reason(), Reason::Draining, "{limits:?}");
        assert_eq!(handle.time_to_next(&RequestMeta::default()), None);
        handle.resume();
        handle.set_shadow(false);
        assert!(is_ok(&mut svc, 1), "{limits:?}");
        handle.pause();
        handle.set_shadow(true);
        let rejected = rejection(call(&mut svc, 0).poll());
        assert_eq!(rejected.reason(), Reason::Paused, "{limits:?}");
        handle.reset();
        assert!(is_ok(&mut svc, 2) && !handle.snapshot().shadow);
    }
}

/// Whatever waits passes, whether the first of the queue is polled or not.
#[tokio::test(start_paused = true)]
async fn queued_calls_pass_when_shadow_mode_is_turned_on() {
    type TurnOn = fn(&RateLimitHandle);
    let ways: [TurnOn; 3] = [
        |handle| handle.set_shadow(true),
        |handle| handle.control(Command::Bypass).expect("known"),
        |handle| {
            let shadow = RateLimitConfigBuilder::from(handle.config()).shadow(true);
            handle
                .configure(shadow.build().expect("valid"))
                .expect("of the same shape");
        },
    ];
    for turn_on in ways {
        for limit in [
            Limit::from(Limit::bucket(1, HOUR).burst(1)),
            Limit::strict(1, HOUR).into(),
            Limit::window(1, HOUR).into(),
        ] {
            let config = of(std::slice::from_ref(&limit))
                .max_wait(10 * HOUR)
                .build()
                .unwrap();
            let layer = RateLimitLayer::new("desk", config);
            let (inner, mock) = mock();
            let (handle, mut svc) = (layer.handle(), layer.layer(inner));
            assert!(is_ok(&mut svc, 0));
            let mut queued: Vec<_> = (1..5).map(|n| call(&mut svc, n)).collect();
            assert!(queued.iter_mut().all(|call| call.poll().is_pending()));
            turn_on(&handle);
            // All but the first are polled.
            for call in &mut queued[1..] {
                assert_eq!(call.wakes(), 1, "{limit}");
                assert!(call.poll().is_ready(), "{limit}");
            }
            assert_eq!((mock.calls(), handle.queue_depth()), (4, 1));
            assert!(queued[0].poll().is_ready());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_waiter_that_a_shrunk_limit_can_never_grant_is_rejected_and_holds_up_nobody() {
    let kinds: [fn(u32) -> Limit; 3] = [
        |n| Limit::bucket(10, SECOND).burst(n).into(),
        |n| Limit::strict(n, SECOND).into(),
        |n| Limit::window(n, SECOND).into(),
    ];
    for limit in kinds {
        let config = |n| of(&[limit(n)]).max_wait(MINUTE).build().unwrap();
        let layer = RateLimitLayer::new("desk", config(10));
        let layer = layer.describe(|cost: &u32| RequestMeta::new(Replay::Safe).with_cost(*cost));
        let handle = layer.handle();
        let svc = layer.layer(Departures::new());
        svc.clone().call(10).await.unwrap();
        let large = tokio::spawn(svc.clone().call(10));
        tokio::task::yield_now().await;
        let small = tokio::spawn(svc.clone().call(1));
        tokio::task::yield_now().await;
        handle.configure(config(5)).unwrap();
        let start = Instant::now();
        let rejected = large.await.unwrap().unwrap_err();
        assert_eq!(rejected.rejection().unwrap().reason(), Reason::TooExpensive);
        assert_eq!(
            ((Instant::now() - start), handle.counts().too_expensive),
            (Duration::ZERO, 1)
        );
        small.await.unwrap().unwrap();
        assert!(
            (Instant::now() - start) <= SECOND + ms(1),
            "{:?}",
            (Instant::now() - start)
        );
    }
}

// ---- All keys

fn keyed(
    per_key: RateLimitConfigBuilder,
) -> (
    KeyedRateLimitHandle,
    KeyedRateLimitLayer<
        impl seawall_core::Policies<Describer: seawall_core::Describe<u32> + Clone> + Clone,
    >,
) {
    let config = KeyedRateLimitConfig::new(per_key).expect("valid settings");
    let layer = KeyedRateLimitLayer::new("keys", config);
    let handle = layer.handle();
    let by_key = |key: &u32| RequestMeta::new(Replay::Safe).with_key(PartitionKey::of(key));
    (handle, layer.describe(by_key))
}

#[tokio::test(start_paused = true)]
async fn nothing_is_reserved_while_all_keys_are_paused() {
    for max_wait in [Duration::ZERO, SECOND] {
        let (handle, _) = keyed(builder(5).max_wait(max_wait));
        handle.pause_all_for(MINUTE);
        let rejected = handle.try_reserve(&RequestMeta::default()).unwrap_err();
        assert_eq!(rejected.reason(), Reason::Paused);
        assert_eq!(rejected.retry_after(), Some(MINUTE + ms(100)));
        assert_eq!(
            handle.time_to_next(&RequestMeta::default()),
            Some(MINUTE + ms(100))
        );
        handle.pause_all();
        let rejected = handle.try_reserve(&RequestMeta::default()).unwrap_err();
        assert_eq!(
            (rejected.reason(), rejected.retry_after()),
            (Reason::Paused, None)
        );
        handle.resume_all();
        assert!(handle.try_reserve(&RequestMeta::default()).is_ok());
    }
}

#[tokio::test(start_paused = true)]
async fn a_pause_of_all_keys_can_be_ended() {
    type End = fn(&KeyedRateLimitHandle);
    let ends: [(End, RateLimitState); 3] = [
        (KeyedRateLimitHandle::resume_all, RateLimitState::Ok),
        (KeyedRateLimitHandle::reset, RateLimitState::Ok),
        (
            |handle| handle.control(Command::Bypass).expect("known"),
            RateLimitState::Bypassed,
        ),
    ];
    for (end, state) in ends {
        for lasts in [None, Some(SECOND), Some(Duration::MAX)] {
            let (handle, layer) = keyed(builder(5));
            let mut svc = layer.layer(mock().0);
            assert!(is_ok(&mut svc, 1));
            match lasts {
                Some(lasts) => handle.pause_all_for(lasts),
                None => handle.pause_all(),
            }
            assert!(!is_ok(&mut svc, 1) && !is_ok(&mut svc, 2));
            assert_eq!(handle.snapshot().state, RateLimitState::Paused);
            // Of one key: that of all stays.
            handle.resume(PartitionKey::of(&1_u32));
            assert!(!is_ok(&mut svc, 1));
            end(&handle);
            assert!(is_ok(&mut svc, 1) && is_ok(&mut svc, 2));
            assert_eq!(handle.snapshot().state, state);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn keys_that_are_rejected_in_a_pause_are_not_kept() {
    let (handle, layer) = keyed(builder(5).max_wait(SECOND));
    let mut svc = layer.layer(mock().0);
    handle.apply_signal(PartitionKey(0), throttle(MINUTE));
    for key in 0..1_000 {
        let rejected = rejection(call(&mut svc, key).poll());
        assert_eq!(rejected.retry_after(), Some(MINUTE + ms(100)));
    }
    assert_eq!(handle.keys_kept(), 0);
    // Each of them starts carefully.
    advance(MINUTE).await;
    assert!(!is_ok(&mut svc, 1));
    advance(ms(100)).await;
    assert!(is_ok(&mut svc, 1) && is_ok(&mut svc, 2));
    assert_eq!(handle.tokens(PartitionKey::of(&2_u32)), 0.0);
    advance(MINUTE).await;
    assert_eq!(handle.tokens(PartitionKey::of(&2_u32)), 5.0);
}

#[tokio::test(start_paused = true)]
async fn calls_that_are_queued_stay_there_while_the_upstream_bans() {
    let inner = Departures::new();
    let config = KeyedRateLimitConfig::new(builder(1).max_wait(10 * SECOND)).unwrap();
    let layer = KeyedRateLimitLayer::new("keys", config);
    let (handle, svc) = (layer.handle(), layer.layer(inner.clone()));
    let tasks: Vec<_> = (0..20).map(|n| tokio::spawn(svc.clone().call(n))).collect();
    tokio::time::sleep(ms(50)).await;
    assert_eq!(handle.queue_depth(), 19);
    handle.apply_signal(PartitionKey::default(), throttle(5 * SECOND));
    tokio::time::sleep(4 * SECOND).await;
    assert_eq!(inner.log().len(), 1, "during the ban");
    let mut passed = 0;
    for task in tasks {
        match task.await.unwrap() {
            Ok(_) => passed += 1,
            Err(error) => assert_eq!(error.rejection().unwrap().reason(), Reason::RateLimited),
        }
    }
    // In time for their `max_wait`, at the rate.
    assert_eq!(passed, 20);
    assert!(inner.log()[1].1 >= 5_150, "{:?}", inner.log());
    // A longer ban outlasts them.
    let tasks: Vec<_> = (0..9).map(|n| tokio::spawn(svc.clone().call(n))).collect();
    tokio::time::sleep(ms(10)).await;
    handle.apply_signal(PartitionKey::default(), throttle(MINUTE));
    for task in tasks {
        let rejected = task.await.unwrap();
        if let Err(error) = rejected {
            assert_eq!(error.rejection().unwrap().reason(), Reason::Paused);
        }
    }
    assert!(inner.log().len() <= 21);
}

#[tokio::test(start_paused = true)]
async fn resuming_all_keys_wakes_those_that_are_queued() {
    let inner = Departures::new();
    let config = KeyedRateLimitConfig::new(builder(1).max_wait(HOUR)).unwrap();
    let layer = KeyedRateLimitLayer::new("keys", config);
    let (handle, svc) = (layer.handle(), layer.layer(inner.clone()));
    handle.pause_all_for(30 * MINUTE);
    let task = tokio::spawn(svc.clone().call(0));
    tokio::time::sleep(SECOND).await;
    assert_eq!(handle.queue_depth(), 1);
    handle.resume_all();
    task.await.unwrap().unwrap();
    assert_eq!(inner.log(), [(0, 1_000)]);
}

#[tokio::test(start_paused = true)]
async fn a_drain_of_all_keys_serves_the_queue_and_ends_with_resume() {
    let config = KeyedRateLimitConfig::new(builder(1).max_wait(MINUTE)).unwrap();
    let layer = KeyedRateLimitLayer::new("keys", config);
    let inner = Departures::new();
    let (handle, svc) = (layer.handle(), layer.layer(inner.clone()));
    svc.clone().call(0).await.unwrap();
    let queued = tokio::spawn(svc.clone().call(1));
    tokio::task::yield_now().await;
    handle.drain_all();
    assert_eq!(handle.snapshot().state, RateLimitState::Draining);
    let rejected = svc.clone().call(2).await.unwrap_err();
    assert_eq!(rejected.rejection().unwrap().reason(), Reason::Draining);
    let meta = RequestMeta::default().with_key(PartitionKey(9));
    let rejected = handle.try_reserve(&meta).unwrap_err();
    assert_eq!(rejected.reason(), Reason::Draining);
    queued.await.unwrap().unwrap();
    handle.resume_all();
    svc.clone().call(3).await.unwrap();
    assert_eq!(inner.log(), [(0, 0), (1, 100), (3, 200)]);
}

/// On the real clock, too.
#[tokio::test]
async fn a_pause_ends_by_itself_and_by_hand_in_real_time() {
    for by_hand in [false, true] {
        let config = builder(5).max_wait(2 * MINUTE).build().unwrap();
        let layer = RateLimitLayer::new("desk", config);
        let svc = layer.layer(Departures::new());
        let handle = layer.handle();
        let start = Instant::now();
        handle.pause_for(if by_hand { MINUTE } else { ms(300) });
        let waits = tokio::spawn(svc.clone().call(0));
        tokio::time::sleep(ms(20)).await;
        if by_hand {
            handle.resume();
        }
        waits.await.unwrap().unwrap();
        let passed = Instant::now() - start;
        if by_hand {
            assert!(passed < MINUTE / 2, "{passed:?}");
        } else {
            // Two of the five are left.
            assert!(passed >= ms(300), "{passed:?}");
        }
    }
}

// ---- Events

#[tokio::test(start_paused = true)]
async fn every_command_is_emitted() {
    let events = Events::new(64);
    let mut seen = events.subscribe();
    let mut commands = || {
        let mut all = Vec::new();
        while let Some(Received::Event(event)) = seen.try_next() {
            match event.kind {
                EventKind::Commanded { command } => all.push(command),
                other => panic!("{other:?}"),
            }
        }
        all
    };
    let handle = layer(5, Duration::ZERO).handle();
    handle.attach(&events);
    handle.pause();
    handle.pause_for(SECOND);
    handle.drain();
    handle.resume();
    handle.refill();
    handle.reset();
    handle.set_shadow(true);
    handle.set_shadow(false);
    handle.configure(builder(3).build().unwrap()).unwrap();
    handle.control(Command::Bypass).unwrap();
    handle.control(Command::Block).unwrap();
    assert_eq!(
        commands(),
        [
            "pause",
            "pause_for",
            "drain",
            "resume",
            "refill",
            "reset",
            "shadow_on",
            "shadow_off",
            "configure",
            "bypass",
            "pause"
        ]
    );
    let (handle, _) = keyed(builder(5));
    handle.attach(&events);
    handle.pause(PartitionKey(1));
    handle.pause_for(PartitionKey(1), SECOND);
    handle.resume(PartitionKey(1));
    handle.pause_all();
    handle.pause_all_for(SECOND);
    handle.drain_all();
    handle.resume_all();
    handle.refill(PartitionKey(1));
    handle.reset();
    handle.configure(handle.config()).unwrap();
    handle
        .configure_key(PartitionKey(2), builder(2).build().unwrap())
        .unwrap();
    handle.control(Command::Bypass).unwrap();
    assert_eq!(
        commands(),
        [
            "pause",
            "pause_for",
            "resume",
            "pause_all",
            "pause_all_for",
            "drain_all",
            "resume_all",
            "refill",
            "reset",
            "configure",
            "configure_key",
            "bypass"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_pause_of_an_account_and_of_its_keys_end_apart() {
    let account = RateLimitLayer::new("account", builder(5).build().unwrap()).handle();
    let config = KeyedRateLimitConfig::new(builder(5)).unwrap();
    let layer = KeyedRateLimitLayer::within_account("keys", config, &account);
    let keys = layer.handle();
    let mut svc = ServiceBuilder::new().layer(layer).service(mock().0);
    account.pause_for(MINUTE);
    keys.pause_all_for(2 * MINUTE);
    let rejected = rejection(call(&mut svc, 0).poll());
    assert_eq!(rejected.retry_after(), Some(2 * MINUTE + ms(100)));
    keys.resume_all();
    let rejected = rejection(call(&mut svc, 0).poll());
    assert_eq!(rejected.retry_after(), Some(MINUTE + ms(100)));
    assert_eq!(
        keys.time_to_next(&RequestMeta::default()),
        Some(MINUTE + ms(100))
    );
    account.resume();
    assert!(is_ok(&mut svc, 1));
}
