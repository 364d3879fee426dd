//! Priorities, aging and deadlines of waiters.

use seawall_core::Priority;

use seawall_core::PartitionKey;
use seawall_ratelimit::{KeyedRateLimitConfig, KeyedRateLimitLayer, Limit, Reservation};

use super::*;

/// The tens are the priority of a call, from low to high.
fn by_tens(n: &u32) -> RequestMeta {
    let classes = [Priority::LOW, Priority::NORMAL, Priority::HIGH];
    RequestMeta::new(Replay::Safe).with_priority(classes[(n / 10 % 3) as usize])
}

fn one_per_100_ms(priority_aging: Duration) -> RateLimitConfigBuilder {
    builder(1)
        .max_wait(Duration::from_secs(60))
        .priority_aging(priority_aging)
}

async fn departures(priority_aging: Duration, arrivals: &[(u32, u64)]) -> Vec<u32> {
    let inner = Departures::new();
    let config = one_per_100_ms(priority_aging)
        .build()
        .expect("valid settings");
    let layer = RateLimitLayer::new("ranks", config).describe(by_tens as fn(&u32) -> RequestMeta);
    let svc = layer.layer(inner.clone());
    let start = Instant::now();
    let mut tasks = Vec::new();
    for (n, at) in arrivals {
        tokio::time::sleep_until(start + ms(*at)).await;
        tasks.push(tokio::spawn(svc.clone().call(*n)));
        tokio::task::yield_now().await;
    }
    for task in tasks {
        task.await.expect("no panic").expect("it may wait for long");
    }
    inner.log().iter().map(|(n, _)| *n).collect()
}

#[tokio::test(start_paused = true)]
async fn higher_priorities_depart_first_and_equal_ones_in_order() {
    let all = [(0, 0), (1, 1), (11, 2), (2, 3), (21, 4), (12, 5), (22, 6)];
    assert_eq!(
        departures(Duration::from_secs(60), &all).await,
        [0, 21, 22, 11, 12, 1, 2]
    );
}

#[tokio::test(start_paused = true)]
async fn waiting_makes_up_for_priority() {
    // One step is worth 250 ms: 1 is overtaken by calls before 251 ms, and by no other.
    let mut all = vec![(0, 0), (1, 1)];
    all.extend((0..8).map(|n| (10 + n, 2 + 90 * u64::from(n))));
    let order = departures(ms(250), &all).await;
    let mine = order.iter().position(|n| *n == 1).unwrap();
    assert_eq!(&order[..mine], [0, 10, 11, 12]);
}

#[tokio::test(start_paused = true)]
async fn no_waiter_starves_under_a_flood_of_high_priority() {
    let mut all = vec![(0, 0), (1, 1)];
    all.extend((0..40).map(|n| (20 + n % 10, 2 + 95 * u64::from(n))));
    let order = departures(ms(500), &all).await;
    let mine = order.iter().position(|n| *n == 1).unwrap();
    // Two steps are worth a second: ten departures, and one that was first.
    assert!(mine <= 12, "{order:?}");
}

#[tokio::test(start_paused = true)]
async fn a_high_priority_call_is_not_rejected_for_waiters_it_would_overtake() {
    let inner = Departures::new();
    let config = builder(1)
        .max_wait(ms(500))
        .build()
        .expect("valid settings");
    let layer = RateLimitLayer::new("ranks", config).describe(by_tens as fn(&u32) -> RequestMeta);
    let svc = layer.layer(inner.clone());
    let mut tasks = Vec::new();
    for n in [0, 1, 2, 3, 4, 5] {
        tasks.push(tokio::spawn(svc.clone().call(n)));
        tokio::task::yield_now().await;
    }
    let usual = svc.clone().call(6).await.unwrap_err();
    let wait = usual.rejection().unwrap().retry_after();
    assert_eq!(wait, Some(ms(600)));
    assert_eq!(svc.clone().call(20).await, Ok(100));
    for task in tasks {
        // The last of the others is rejected at the end of its half second.
        let _ = task.await.unwrap();
    }
    assert_eq!(inner.log().len(), 6);
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_tokens_come_after_its_deadline_is_rejected_at_once() {
    let start = Instant::now();
    let inner = Departures::new();
    let config = one_per_100_ms(SECOND).build().expect("valid settings");
    let by = move |n: &u32| RequestMeta::new(Replay::Safe).with_deadline(start + ms((*n).into()));
    let layer = RateLimitLayer::new("deadline", config).describe(by);
    let svc = layer.layer(inner.clone());
    assert_eq!(svc.clone().call(5_000).await, Ok(0));
    let rejected = svc.clone().call(99).await.unwrap_err();
    let rejection = rejected.rejection().unwrap();
    assert_eq!(rejection.retry_after(), Some(ms(100)));
    assert_eq!(Instant::now(), start);
    assert_eq!(svc.clone().call(100).await, Ok(100));
    let rejected = svc.clone().call(50).await.unwrap_err();
    assert_eq!(
        rejected.rejection().unwrap().reason(),
        Reason::DeadlineExceeded
    );
}

/// Limits of a layer: one bucket, several, and a strict one.
fn kinds() -> [RateLimitConfigBuilder; 3] {
    let builder = RateLimitConfig::builder;
    let bucket = || Limit::bucket(10, SECOND).burst(5);
    [
        builder().limit(bucket()),
        builder().limit(bucket()).limit(Limit::strict(100, SECOND)),
        builder().limit(Limit::strict(5, SECOND)),
    ]
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_deadline_has_passed_takes_nothing() {
    advance(SECOND).await;
    for late in [ms(0), ms(5), 5 * SECOND] {
        let meta = RequestMeta::new(Replay::Safe).with_deadline(Instant::now() - late);
        for (nth, config) in kinds().into_iter().enumerate() {
            for max_wait in [ms(0), SECOND] {
                let config = config.clone().max_wait(max_wait).build().unwrap();
                let inner = Departures::new();
                let layer = RateLimitLayer::new("l", config).describe(move |_: &u32| meta);
                let handle = layer.handle();
                let rejected = layer.layer(inner.clone()).call(1).await.unwrap_err();
                let rejection = *rejected.rejection().unwrap();
                assert_eq!(rejection.reason(), Reason::DeadlineExceeded, "{nth}");
                assert_eq!(rejection.retry_after(), None);
                let reserved = handle.try_reserve(&meta).map(Reservation::commit);
                assert_eq!(reserved.unwrap_err().reason(), Reason::DeadlineExceeded);
                assert_eq!(handle.time_to_next(&meta), None);
                assert_eq!((handle.tokens(), inner.log().len()), (5.0, 0), "{nth}");
                let counts = handle.counts();
                assert_eq!((counts.deadline_exceeded, counts.granted), (2, 0));
                assert_eq!(counts.rejection_rate(), 1.0);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn in_shadow_mode_a_call_whose_deadline_has_passed_is_counted_and_takes_nothing() {
    advance(SECOND).await;
    let meta = RequestMeta::new(Replay::Safe).with_deadline(Instant::now() - ms(1));
    for config in kinds() {
        let config = config.shadow(true).build().unwrap();
        let inner = Departures::new();
        let layer = RateLimitLayer::new("l", config).describe(move |_: &u32| meta);
        let handle = layer.handle();
        let svc = layer.layer(inner.clone());
        assert!(svc.clone().call(1).await.is_ok());
        let counts = handle.counts();
        assert_eq!((counts.shadowed, counts.granted), (1, 1));
        assert_eq!(counts.deadline_exceeded, 0);
        assert_eq!((handle.tokens(), inner.log().len()), (5.0, 1));
        // The operator's pause holds in shadow mode.
        handle.pause();
        let rejected = svc.clone().call(1).await.unwrap_err();
        assert_eq!(rejected.rejection().unwrap().reason(), Reason::Paused);
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_of_a_key_whose_deadline_has_passed_takes_nothing_of_key_and_account() {
    advance(SECOND).await;
    let key = PartitionKey::of(&7);
    let late = RequestMeta::new(Replay::Safe)
        .with_key(key)
        .with_deadline(Instant::now() - ms(1));
    for within in [false, true] {
        for config in kinds() {
            let account = RateLimitLayer::new("account", kinds()[0].clone().build().unwrap());
            let keys = KeyedRateLimitConfig::new(config.build().unwrap()).unwrap();
            let layer = if within {
                KeyedRateLimitLayer::within_account("keys", keys, &account.handle())
            } else {
                KeyedRateLimitLayer::new("keys", keys)
            };
            let layer = layer.describe(move |_: &u32| late);
            let inner = Departures::new();
            let rejected = layer.layer(inner.clone()).call(1).await.unwrap_err();
            assert_eq!(
                rejected.rejection().unwrap().reason(),
                Reason::DeadlineExceeded
            );
            assert_eq!(layer.handle().counts().deadline_exceeded, 1);
            assert_eq!(inner.log().len(), 0);
            let left = (layer.handle().tokens(key), account.handle().tokens());
            assert_eq!(left, (5.0, 5.0));
        }
    }
}

/// As many as a large desk may have, in one queue.
#[tokio::test(start_paused = true)]
async fn a_hundred_thousand_wait_and_depart_in_order() {
    const CALLS: u32 = 100_000;
    let inner = Departures::new();
    let config = RateLimitConfig::builder()
        .rate(1_000_000, SECOND)
        .burst(1_000)
        .max_wait(Duration::from_secs(3_600))
        .max_waiting(CALLS)
        .build()
        .expect("valid settings");
    let layer = RateLimitLayer::new("many", config);
    let svc = layer.layer(inner.clone());
    let polls = Arc::new(std::sync::atomic::AtomicU64::new(0));
    let mut tasks = Vec::new();
    for n in 0..CALLS {
        let (mut svc, polls) = (svc.clone(), Arc::clone(&polls));
        tasks.push(tokio::spawn(async move {
            let mut future = std::pin::pin!(svc.call(n));
            std::future::poll_fn(|cx| {
                polls.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                future.as_mut().poll(cx)
            })
            .await
        }));
    }
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    let order = inner.log();
    assert_eq!(order.len(), CALLS as usize);
    assert!(order.iter().map(|(n, _)| *n).eq(0..CALLS));
    let polls = polls.load(std::sync::atomic::Ordering::Relaxed);
    assert!(polls <= 3 * u64::from(CALLS), "{polls}");
}
