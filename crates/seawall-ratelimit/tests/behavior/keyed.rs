//! A limit of its own for each key.

use seawall_core::{PartitionKey, QuotaSignal, Scope, ServerLimit, Unit};
use seawall_ratelimit::{
    DailyReset, KeyedRateLimit, KeyedRateLimitConfig, KeyedRateLimitHandle, KeyedRateLimitLayer,
    Limit, QuotaFile, RateLimitState,
};

use super::*;

const MINUTE: Duration = Duration::from_secs(60);

/// The hundreds are the key.
fn by_hundreds(n: &u32) -> RequestMeta {
    RequestMeta::new(Replay::Safe).with_key(PartitionKey(u64::from(n / 100)))
}

type ByHundreds = Policy<ErrorIsFailure, fn(&u32) -> RequestMeta>;

fn with(config: KeyedRateLimitConfig) -> KeyedRateLimitLayer<ByHundreds> {
    let layer = KeyedRateLimitLayer::new("keys", config);
    layer.describe(by_hundreds as fn(&u32) -> RequestMeta)
}

fn per_key(config: RateLimitConfigBuilder) -> KeyedRateLimitLayer<ByHundreds> {
    let config = config.build().expect("valid settings");
    with(KeyedRateLimitConfig::new(config).expect("no file"))
}

fn passes(svc: &mut KeyedRateLimit<Mock, ByHundreds>, n: u32) -> bool {
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
async fn named_keys_have_settings_of_their_own() {
    let (inner, _mock) = mock();
    let limits = |per_key| {
        let strict = RateLimitConfig::builder().limit(Limit::strict(1, MINUTE));
        KeyedRateLimitConfig::builder(builder(per_key).build().unwrap())
            .key(PartitionKey(7), builder(5).build().unwrap())
            .key(PartitionKey(8), strict.build().unwrap())
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
    assert_eq!(handle.configure(all).unwrap_err().field(), "limits");
    let key = limits(2).key(PartitionKey(8), window.clone());
    let error = handle.configure(key.build().unwrap()).unwrap_err();
    assert_eq!(error.field(), "limits");
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
        (Reason::Paused, Some(SECOND))
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

fn within(
    account: RateLimitConfigBuilder,
    endpoint: RateLimitConfigBuilder,
) -> (
    KeyedRateLimitLayer<ByHundreds>,
    RateLimitHandle,
    KeyedRateLimitHandle,
) {
    let account = account.build().expect("valid settings");
    let endpoint = endpoint.build().expect("valid settings");
    let config = KeyedRateLimitConfig::builder(endpoint).account(account);
    let layer = with(config.build().expect("no file"));
    let handle = layer.handle();
    let account = handle.account().expect("it has one");
    (layer, account, handle)
}

#[tokio::test(start_paused = true)]
async fn endpoint_and_account_grant_both_or_neither() {
    let (layer, account, endpoints) = within(builder(3), builder(2));
    let (inner, _mock) = mock();
    let mut svc = layer.layer(inner);
    assert!(passes(&mut svc, 100) && passes(&mut svc, 101));
    // The endpoint has nothing left: the account loses nothing.
    assert!(!passes(&mut svc, 102));
    assert_eq!(account.tokens(), 1.0);
    assert!(passes(&mut svc, 200));
    // The account has nothing left: the endpoint loses nothing.
    let rejected = rejection(call(&mut svc, 201).poll());
    assert_eq!(rejected.retry_after(), Some(ms(100)));
    assert_eq!(
        (account.tokens(), endpoints.tokens(PartitionKey(2))),
        (0.0, 1.0)
    );
    account.pause();
    advance(SECOND).await;
    assert_eq!(
        rejection(call(&mut svc, 300).poll()).reason(),
        Reason::Paused
    );
    assert_eq!(endpoints.tokens(PartitionKey(3)), 2.0);
}

#[tokio::test(start_paused = true)]
async fn within_an_account_the_first_of_each_endpoint_wait_in_order() {
    let inner = Departures::new();
    // The account: one per 100 ms. The endpoints: one per 300 ms.
    let endpoint = RateLimitConfig::builder().rate(10, 3 * SECOND).burst(1);
    let (layer, account, endpoints) =
        within(builder(1).max_wait(MINUTE), endpoint.max_wait(MINUTE));
    let svc = layer.layer(inner.clone());
    let mut tasks = Vec::new();
    for n in [100, 101, 102, 200, 201, 300, 301] {
        tasks.push(tokio::spawn(svc.clone().call(n)));
        tokio::task::yield_now().await;
    }
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    let log = inner.log();
    assert_eq!(log[..3], [(100, 0), (200, 100), (300, 200)]);
    let mut times: Vec<_> = log.iter().map(|(_, at)| *at).collect();
    times.dedup();
    assert_eq!(times.len(), 7, "no two within 100 ms: {log:?}");
    assert!(times.windows(2).all(|two| two[1] - two[0] >= 100));
    for key in 1..4 {
        let mine = log
            .iter()
            .filter(|(n, _)| n / 100 == key)
            .map(|(_, at)| *at);
        let mine: Vec<_> = mine.collect();
        assert!(mine.windows(2).all(|two| two[1] - two[0] >= 300), "{log:?}");
    }
    assert_eq!((account.queue_depth(), endpoints.counts().granted), (0, 7));
    // Dropped calls leave both queues.
    let gone: Vec<_> = (0..5)
        .map(|n| tokio::spawn(svc.clone().call(100 + n)))
        .collect();
    tokio::time::sleep(ms(1)).await;
    assert!(account.queue_depth() + endpoints.queue_depth_of(PartitionKey(1)) > 0);
    for task in &gone {
        task.abort();
    }
    tokio::time::sleep(SECOND).await;
    assert_eq!(
        (
            account.queue_depth(),
            endpoints.queue_depth_of(PartitionKey(1))
        ),
        (0, 0)
    );
    assert_eq!(svc.clone().call(100).await.map(|_| ()), Ok(()));
}

/// The account rejects its own calls at once; calls of an endpoint wait as the endpoint lets them.
#[tokio::test(start_paused = true)]
async fn with_an_account_without_a_queue_that_of_the_endpoint_decides() {
    let inner = Departures::new();
    let (layer, account, _) = within(builder(1), builder(5).max_wait(ms(300)));
    let svc = layer.layer(inner.clone());
    let tasks: Vec<_> = (0..6)
        .map(|n| tokio::spawn(svc.clone().call(100 + n)))
        .collect();
    let mut rejected = 0;
    for task in tasks {
        rejected += u32::from(task.await.unwrap().is_err());
    }
    let times: Vec<_> = inner.log().iter().map(|(_, at)| *at).collect();
    assert_eq!((times, rejected), (vec![0, 100, 200, 300], 2));
    assert_eq!(account.queue_depth(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_reservation_of_a_key_is_given_back_to_both() {
    let (_layer, account, endpoints) = within(builder(3), builder(2));
    let meta = RequestMeta::new(Replay::Safe)
        .with_key(PartitionKey(1))
        .with_cost(2);
    let reserved = endpoints.try_reserve(&meta).unwrap();
    assert_eq!(
        (account.tokens(), endpoints.tokens(PartitionKey(1))),
        (1.0, 0.0)
    );
    drop(reserved);
    assert_eq!(
        (account.tokens(), endpoints.tokens(PartitionKey(1))),
        (3.0, 2.0)
    );
    let reserved = endpoints.reserve(&meta).await.unwrap();
    reserved.correct_usage(Unit::Cost, 1);
    assert_eq!(
        (account.tokens(), endpoints.tokens(PartitionKey(1))),
        (2.0, 1.0)
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
async fn an_account_is_configured_with_the_keys_and_stays() {
    let (layer, account, endpoints) = within(builder(3), builder(2));
    let (inner, _mock) = mock();
    let mut svc = layer.layer(inner);
    assert!(passes(&mut svc, 100));
    let config = |account: Option<u32>| {
        let config = KeyedRateLimitConfig::builder(builder(4).build().unwrap());
        let config = match account {
            Some(burst) => config.account(builder(burst).build().unwrap()),
            None => config,
        };
        config.build().unwrap()
    };
    endpoints.configure(config(Some(6))).unwrap();
    assert_eq!(endpoints.config(), config(Some(6)));
    // What was used stays used, to the sixteenth of a nanosecond.
    assert!((account.tokens() - 5.0).abs() < 1e-6);
    assert!((endpoints.tokens(PartitionKey(1)) - 3.0).abs() < 1e-6);
    assert_eq!(endpoints.tokens(PartitionKey(2)), 4.0);
    let error = endpoints.configure(config(None)).unwrap_err();
    assert_eq!((error.field(), error.value()), ("account", "none"));
    let other = per_key(builder(1)).handle();
    assert!(other.account().is_none());
    assert_eq!(
        other.configure(config(Some(6))).unwrap_err().field(),
        "account"
    );
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
    assert_eq!(handle.snapshot().state, RateLimitState::Ok);
    handle.pause(PartitionKey(2));
    handle.control(Command::Reset).unwrap();
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

#[cfg(feature = "serde")]
#[tokio::test(start_paused = true)]
async fn a_snapshot_of_keys_serializes() {
    let (layer, _account, endpoints) = within(builder(3), builder(2));
    let (inner, _mock) = mock();
    let mut svc = layer.layer(inner);
    assert!(passes(&mut svc, 100));
    endpoints.pause_all_for(3 * SECOND);
    let json = serde_json::to_value(endpoints.snapshot()).unwrap();
    assert_eq!(
        (&json["name"], &json["state"]),
        (&"keys".into(), &"paused".into())
    );
    assert_eq!(json["resumes_in"], 3.0);
    assert_eq!(json["account"][0]["available"], 2.0);
    assert_eq!(json["counts"]["granted"], 1);
}
