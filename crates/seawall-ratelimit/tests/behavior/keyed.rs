//! A limit of its own for each key.

use seawall_core::{PartitionKey, QuotaSignal, Scope, ServerLimit, Unit};
use seawall_ratelimit::{
    DailyReset, KeyedRateLimitConfig, KeyedRateLimitLayer, Limit, QuotaFile, RateLimitState,
};

use super::*;

pub(super) const MINUTE: Duration = Duration::from_secs(60);

/// The hundreds are the key.
pub(super) fn by_hundreds(n: &u32) -> RequestMeta {
    RequestMeta::new(Replay::Safe).with_key(PartitionKey(u64::from(n / 100)))
}

pub(super) type ByHundreds = Policy<ErrorIsFailure, fn(&u32) -> RequestMeta>;

fn with(config: KeyedRateLimitConfig) -> KeyedRateLimitLayer<ByHundreds> {
    let layer = KeyedRateLimitLayer::new("keys", config);
    layer.describe(by_hundreds as fn(&u32) -> RequestMeta)
}

fn per_key(config: RateLimitConfigBuilder) -> KeyedRateLimitLayer<ByHundreds> {
    with(KeyedRateLimitConfig::new(config).expect("valid settings"))
}

pub(super) fn passes<S>(svc: &mut S, n: u32) -> bool
where
    S: Service<u32, Error = BoxError, Response: std::fmt::Debug>,
{
    let mut call = call(svc, n);
    let result = call.poll();
    assert!(result.is_ready());
    matches!(result, Poll::Ready(Ok(_)))
}

#[tokio::test(start_paused = true)]
async fn keys_do_not_share_their_tokens() {
    let (inner, mock) = mock();
    let layer = per_key(builder(2));
    let mut svc = layer.layer(inner);
    assert!(passes(&mut svc, 100) && passes(&mut svc, 101));
    let rejected = rejection(call(&mut svc, 102).poll());
    assert_eq!(rejected.retry_after(), Some(ms(100)));
    assert!(passes(&mut svc, 200) && passes(&mut svc, 300));
    assert_eq!(mock.requests(), [100, 101, 200, 300]);
    let handle = layer.handle();
    assert_eq!(
        (handle.keys_kept(), handle.tokens(PartitionKey(2))),
        (3, 1.0)
    );
    let counts = handle.counts();
    assert_eq!((counts.granted, counts.rejected), (4, 1));
}

#[tokio::test(start_paused = true)]
async fn keys_that_are_named_before_their_first_call_begin_with_their_own_settings() {
    let (inner, _mock) = mock();
    let three = || builder(3).build().unwrap();
    let layer = with(KeyedRateLimitConfig::new(builder(1).build().unwrap()).unwrap());
    let (handle, mut svc) = (layer.handle(), layer.layer(inner));
    // Some of the tables have room for more keys then.
    assert!((1_000..1_300).all(|key| passes(&mut svc, 100 * key)));
    for key in 1..=64 {
        handle.configure_key(PartitionKey(key), three()).unwrap();
    }
    let mut config = KeyedRateLimitConfig::builder(builder(1));
    for key in 1..=128 {
        config = config.key(PartitionKey(key), builder(3));
    }
    let mut three_pass = |key: u32| {
        let call = 100 * key;
        (call..call + 3).all(|call| passes(&mut svc, call)) && !passes(&mut svc, call + 3)
    };
    assert!((1..=64).all(&mut three_pass), "one by one");
    handle.configure(config.build().unwrap()).unwrap();
    assert!((65..=128).all(&mut three_pass), "all at once");
}

#[tokio::test(start_paused = true)]
async fn named_keys_have_settings_of_their_own() {
    let (inner, _mock) = mock();
    let limits = |per_key| {
        let strict = RateLimitConfig::builder().limit(Limit::strict(1, MINUTE));
        KeyedRateLimitConfig::builder(builder(per_key))
            .key(PartitionKey(7), builder(5))
            .key(PartitionKey(8), strict)
    };
    let layer = with(limits(1).build().unwrap());
    let mut svc = layer.layer(inner);
    assert!((0..5).all(|n| passes(&mut svc, 700 + n)) && !passes(&mut svc, 705));
    assert!(passes(&mut svc, 800) && !passes(&mut svc, 801));
    advance(SECOND).await;
    assert!(!passes(&mut svc, 802), "strict");
    assert!(passes(&mut svc, 100) && !passes(&mut svc, 101));
    // Raised while it is in use: what was used stays used.
    let handle = layer.handle();
    handle
        .configure_key(PartitionKey(1), builder(3).build().unwrap())
        .unwrap();
    // A change of the settings costs the sixteenth of a nanosecond.
    assert!((handle.tokens(PartitionKey(1)) - 2.0).abs() < 1e-6);
    let one = handle.config().of_key(PartitionKey(1)).clone();
    let two = limits(2).key(PartitionKey(1), one).build().unwrap();
    handle.configure(two.clone()).unwrap();
    assert_eq!(handle.config(), two);
    assert_eq!(handle.tokens(PartitionKey(9)), 2.0);
    assert!((handle.tokens(PartitionKey(1)) - 2.0).abs() < 1e-6);
    let window = RateLimitConfig::builder().limit(Limit::window(1, MINUTE));
    let window = window.build().unwrap();
    let all = KeyedRateLimitConfig::new(window.clone()).unwrap();
    assert_eq!(handle.check(&all).unwrap_err().field(), "limits");
    assert_eq!(handle.configure(all).unwrap_err().field(), "limits");
    let key = limits(2).key(PartitionKey(8), window.clone());
    let key = key.build().unwrap();
    assert_eq!(handle.check(&key).unwrap_err().field(), "limits");
    let error = handle.configure(key).unwrap_err();
    assert_eq!(error.field(), "limits");
    assert_eq!(handle.check(&limits(7).build().unwrap()), Ok(()));
    assert!(handle.configure_key(PartitionKey(8), window).is_err());
    assert_eq!(handle.config(), two, "unchanged by errors");
}

#[tokio::test(start_paused = true)]
async fn each_key_has_its_own_queue() {
    let inner = Departures::new();
    let layer = per_key(builder(1).max_wait(MINUTE));
    let svc = layer.layer(inner.clone());
    let mut tasks = Vec::new();
    for n in [100, 101, 102, 200, 201] {
        tasks.push(tokio::spawn(svc.clone().call(n)));
        tokio::task::yield_now().await;
    }
    let handle = layer.handle();
    assert_eq!(
        (
            handle.queue_depth_of(PartitionKey(1)),
            handle.queue_depth_of(PartitionKey(2))
        ),
        (2, 1)
    );
    assert_eq!(handle.state(), "queueing");
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    let log = inner.log();
    assert_eq!(log[..2], [(100, 0), (200, 0)]);
    assert_eq!(log[2..4].iter().map(|(_, at)| *at).max(), Some(100));
    assert_eq!(log[4], (102, 200));
}

#[tokio::test(start_paused = true)]
async fn an_idle_key_is_evicted_and_none_too_early() {
    let (inner, _mock) = mock();
    let layer = per_key(builder(2).max_wait(MINUTE));
    let handle = layer.handle();
    let mut svc = layer.layer(inner);
    for key in 0..1_000 {
        assert!(passes(&mut svc, key * 100));
    }
    assert_eq!((handle.keys_kept(), handle.evicted()), (1_000, 0));
    handle.evict_idle();
    assert_eq!(handle.keys_kept(), 1_000, "a token of each is missing");
    advance(ms(50)).await;
    assert!(passes(&mut svc, 100));
    advance(ms(50)).await;
    handle.evict_idle();
    assert_eq!((handle.keys_kept(), handle.evicted()), (1, 999));
    assert_eq!(handle.tokens(PartitionKey(1)), 1.0);
    // As new keys come, idle ones are evicted.
    for round in 0..20 {
        advance(SECOND).await;
        for key in 0..1_000 {
            assert!(passes(&mut svc, 1_000_000 + round * 200_000 + key * 100));
        }
    }
    assert!(handle.keys_kept() < 4_000, "{}", handle.keys_kept());
}

#[tokio::test(start_paused = true)]
async fn a_key_with_a_waiter_stays_and_is_small_again_afterwards() {
    let (inner, _mock) = mock();
    let layer = per_key(builder(1).max_wait(MINUTE));
    let handle = layer.handle();
    let mut svc = layer.layer(inner);
    assert!(passes(&mut svc, 100));
    let mut waits = call(&mut svc, 101);
    assert!(waits.poll().is_pending());
    let large = handle.bytes();
    handle.evict_idle();
    assert_eq!(handle.keys_kept(), 1);
    advance(ms(100)).await;
    assert!(waits.poll().is_ready());
    drop(waits);
    handle.evict_idle();
    assert_eq!(
        (handle.keys_kept(), handle.tokens(PartitionKey(1))),
        (1, 0.0)
    );
    assert!(handle.bytes() < large);
    advance(ms(100)).await;
    handle.evict_idle();
    assert_eq!(handle.keys_kept(), 0);
}

#[tokio::test(start_paused = true)]
async fn one_key_or_all_of_them_can_be_paused() {
    let (inner, _mock) = mock();
    let layer = per_key(builder(5));
    let handle = layer.handle();
    let mut svc = layer.layer(inner);
    handle.pause(PartitionKey(1));
    assert_eq!(
        rejection(call(&mut svc, 100).poll()).reason(),
        Reason::Paused
    );
    assert!(passes(&mut svc, 200));
    handle.resume(PartitionKey(1));
    assert!(passes(&mut svc, 100));
    let throttle = |scope| QuotaSignal::Pause {
        lasts: Some(SECOND),
        scope,
    };
    handle.apply_signal(PartitionKey(1), throttle(Scope::Endpoint));
    assert!(!passes(&mut svc, 100) && passes(&mut svc, 200));
    handle.apply_signal(PartitionKey(1), throttle(Scope::Upstream));
    let rejected = rejection(call(&mut svc, 200).poll());
    assert_eq!(
        (rejected.reason(), rejected.retry_after()),
        // The key starts empty.
        (Reason::Paused, Some(SECOND + ms(100)))
    );
    advance(2 * SECOND).await;
    assert!(passes(&mut svc, 100) && passes(&mut svc, 200));
    let one = ServerLimit::new(Unit::Requests).with_remaining(1);
    handle.apply_signal(PartitionKey(3), QuotaSignal::Limit(one));
    assert_eq!(
        (
            handle.tokens(PartitionKey(3)),
            handle.tokens(PartitionKey(4))
        ),
        (1.0, 5.0)
    );
}

#[test]
fn a_known_key_allocates_nothing_and_takes_less_than_64_bytes() {
    const KEYS: u32 = 100_000;
    let config = RateLimitConfig::builder()
        .rate(1, 24 * 60 * MINUTE)
        .burst(300);
    let layer = per_key(config);
    let mut svc = layer.layer(Echo);
    let cx = &mut Context::from_waker(Waker::noop());
    let mut round = |n: u32| {
        let result = std::pin::pin!(svc.call(n * 100)).poll(cx);
        assert!(matches!(result, Poll::Ready(Ok(_))));
    };
    (0..KEYS).for_each(&mut round);
    assert_eq!(
        alloc::count(|| (0..KEYS).for_each(&mut round)).allocations,
        0
    );
    let per_key = layer.handle().bytes() as f64 / f64::from(KEYS);
    assert!(per_key < 64.0, "{per_key}");
}

#[test]
fn a_quota_file_is_an_error() {
    let path = format!("seawall-test-keyed-{}.quota", std::process::id());
    let path = std::env::temp_dir().join(path);
    let file = QuotaFile::open(&path).unwrap();
    std::fs::remove_file(path).unwrap();
    let limit = Limit::daily(5, DailyReset::utc()).persist_in(file);
    let config = RateLimitConfig::builder().limit(limit).build().unwrap();
    let error = KeyedRateLimitConfig::new(config.clone()).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("`persist_in` is a quota file")
    );
    let handle = per_key(builder(1)).handle();
    assert!(handle.configure_key(PartitionKey(1), config).is_err());
}

/// Threads that use the same new keys at the same time find one limit for each key.
#[test]
fn threads_together_are_granted_the_burst_of_each_key() {
    let layer = per_key(RateLimitConfig::builder().rate(1, 60 * MINUTE).burst(10));
    let granted: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let mut svc = layer.layer(Echo);
                scope.spawn(move || {
                    (0..2_000_u32)
                        .filter(|n| {
                            let mut call = PolledFuture::new(svc.call(n % 100 * 100));
                            matches!(call.poll(), Poll::Ready(Ok(_)))
                        })
                        .count()
                })
            })
            .collect();
        threads.into_iter().map(|t| t.join().unwrap()).sum()
    });
    assert_eq!(granted, 1_000);
    assert_eq!(layer.handle().keys_kept(), 100);
}

#[tokio::test(start_paused = true)]
async fn block_bypass_and_reset_apply_to_all_keys() {
    use seawall_core::Command;

    let layer = per_key(builder(1));
    let (inner, _mock) = mock();
    let mut svc = layer.layer(inner);
    let handle = layer.handle();
    handle.control(Command::Block).unwrap();
    let rejected = rejection(call(&mut svc, 100).poll());
    assert_eq!(
        (rejected.reason(), rejected.retry_after()),
        (Reason::Paused, None)
    );
    assert_eq!(handle.snapshot().state, RateLimitState::Paused);
    handle.control(Command::Bypass).unwrap();
    assert!((0..3).all(|n| passes(&mut svc, 100 + n)));
    let counts = handle.counts();
    assert_eq!((counts.granted, counts.shadowed), (3, 2));
    assert_eq!(handle.snapshot().state, RateLimitState::Bypassed);
    handle.pause(PartitionKey(2));
    handle.control(Command::Reset).unwrap();
    assert_eq!(handle.snapshot().state, RateLimitState::Ok);
    assert!(!passes(&mut svc, 103), "used up");
    assert!(passes(&mut svc, 200), "its pause is over");
    assert_eq!(handle.counts().granted, 4, "counts stay");
}

#[tokio::test(start_paused = true)]
async fn a_bypass_lets_calls_pass_that_would_wait() {
    let layer = per_key(builder(1).max_wait(MINUTE));
    let (inner, _mock) = mock();
    let mut svc = layer.layer(inner);
    seawall_core::InstanceHandle::control(&layer.handle(), seawall_core::Command::Bypass).unwrap();
    assert!((0..3).all(|n| passes(&mut svc, 100 + n)));
    assert_eq!(layer.handle().queue_depth(), 0);
}

/// What is left of a key, whatever its limits are kept in, and what all keys are together.
#[tokio::test(start_paused = true)]
async fn a_key_shows_its_limits_and_all_keys_together_have_none() {
    let (one, other) = (PartitionKey(1), PartitionKey(2));
    let tokens = || Limit::strict(10, MINUTE).with_unit(Unit::Tokens);
    for (limits, count) in [(builder(4), 1), (builder(4).limit(tokens()), 2)] {
        let (inner, _mock) = mock();
        let layer = per_key(limits.max_wait(ms(0)));
        let mut svc = layer.layer(inner);
        let handle = layer.handle();
        assert!(passes(&mut svc, 100));
        let left = |key| -> Vec<f64> {
            let limits = handle.limits_of(key);
            limits.iter().map(|limit| limit.available).collect()
        };
        assert_eq!(left(one)[0], 3.0);
        assert_eq!(left(other)[0], 4.0);
        assert_eq!((left(one).len(), left(other).len()), (count, count));
        assert_eq!(handle.share_left(one), 0.75);
        assert_eq!(handle.share_left(other), 1.0);
        assert_eq!(
            handle.keys_kept(),
            1,
            "nothing is kept of a key that is read"
        );

        handle.pause_all_for(MINUTE);
        assert!(!passes(&mut svc, 100));
        let total = handle.total();
        assert!(total.limits.is_empty() && total.time_to_next.is_none());
        assert_eq!(total.state, RateLimitState::Paused);
        assert_eq!(total.resumes_in, Some(MINUTE));
        assert_eq!(total.counts, handle.counts());
        assert_eq!((total.counts.granted, total.counts.paused), (1, 1));
    }
    // With an account it is that.
    let account = RateLimitLayer::new("account", builder(9).build().expect("valid")).handle();
    let keys = KeyedRateLimitConfig::new(builder(4)).expect("valid");
    let keys = KeyedRateLimitLayer::within_account("keys", keys, &account).handle();
    assert_eq!(keys.total(), account.snapshot());
    let shadow = KeyedRateLimitConfig::new(builder(4).shadow(true)).expect("valid");
    let shadow = KeyedRateLimitLayer::new("shadow", shadow).handle();
    assert!(shadow.total().shadow);
    assert_eq!(shadow.share_left(one), 1.0);
}
