//! Tokens that are reserved for calls of reserved priority.

use proptest::prelude::*;
use seawall_core::{PartitionKey, Priority, QuotaSignal, Ratio, ServerLimit, Unit};
use seawall_ratelimit::{
    DailyReset, KeyedRateLimitConfig, KeyedRateLimitLayer, Limit, RateLimitConfigBuilder,
    Reservation,
};

use super::*;

const MINUTE: Duration = Duration::from_secs(60);

fn share(share: f64) -> Option<Ratio> {
    Some(Ratio::new(share).expect("a share"))
}

fn order() -> RequestMeta {
    RequestMeta::new(Replay::Never)
}

fn cancel() -> RequestMeta {
    RequestMeta::new(Replay::Safe).with_priority(Priority::HIGH.reserved())
}

/// Cancels are the numbers from 1,000.
fn by_number(n: &u32) -> RequestMeta {
    if *n < 1_000 { order() } else { cancel() }
}

/// Limits of every kind that grant ten at once.
fn kinds() -> Vec<RateLimitConfigBuilder> {
    let builder = RateLimitConfig::builder;
    let bucket = || Limit::bucket(10, SECOND).burst(10);
    let midnight = DailyReset::utc();
    vec![
        builder().limit(bucket()),
        builder().limit(bucket()).limit(Limit::strict(100, SECOND)),
        builder().limit(Limit::strict(10, SECOND)),
        builder().limit(Limit::window(10, SECOND)),
        builder().limit(Limit::daily(10, midnight)),
    ]
}

/// How many calls of a kind are granted one after the other.
fn granted(handle: &RateLimitHandle, meta: &RequestMeta) -> u32 {
    let grants = std::iter::from_fn(|| handle.try_reserve(meta).ok());
    let grants = grants.take(1_000).map(Reservation::commit);
    u32::try_from(grants.count()).expect("at most a thousand")
}

fn handle(config: RateLimitConfigBuilder) -> RateLimitHandle {
    let config = config.build().expect("valid settings");
    RateLimitLayer::new("broker", config).handle()
}

#[tokio::test(start_paused = true)]
async fn orders_leave_the_share_of_every_kind_of_limit_and_cancels_use_it() {
    for (nth, config) in kinds().into_iter().enumerate() {
        let handle = handle(config.reserved_share(share(0.2)));
        assert_eq!(granted(&handle, &order()), 8, "{nth}");
        assert_eq!(handle.tokens(), 2.0, "{nth}");
        assert!(
            handle.time_to_next(&order()) > Some(Duration::ZERO),
            "{nth}"
        );
        assert_eq!(
            handle.time_to_next(&cancel()),
            Some(Duration::ZERO),
            "{nth}"
        );
        assert_eq!(granted(&handle, &cancel()), 2, "{nth}");
        assert_eq!(
            granted(&handle, &cancel()),
            0,
            "{nth}: no more than the limit"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn at_least_one_is_reserved_and_of_a_limit_of_one_none() {
    let of = |burst| handle(builder(burst).reserved_share(share(0.1)));
    assert_eq!(granted(&of(5), &order()), 4);
    assert_eq!(granted(&of(1), &order()), 1);
    let most = handle(builder(10).reserved_share(share(0.999)));
    assert_eq!(granted(&most, &order()), 1);
}

#[test]
fn a_share_of_nothing_or_of_all_is_an_error() {
    for bad in [0.0, 1.0] {
        let error = builder(5).reserved_share(share(bad)).build().unwrap_err();
        let accepted = "accepted is a share above 0 and below 1, or none";
        assert_eq!(
            error.to_string(),
            format!("`reserved_share` is {bad}, {accepted}")
        );
    }
    let none = builder(5).reserved_share(None).build().unwrap();
    assert_eq!(none.reserved_share(), None);
    assert!(none.is_reserved_share_set());
    assert!(!builder(5).build().unwrap().is_reserved_share_set());
}

#[tokio::test(start_paused = true)]
async fn a_cancel_departs_at_once_while_orders_wait_however_long_they_have() {
    for config in kinds().into_iter().take(4) {
        let inner = Departures::new();
        let config = config
            .reserved_share(share(0.2))
            .max_wait(MINUTE)
            .max_waiting(30);
        let layer = RateLimitLayer::new("broker", config.priority_aging(ms(1)).build().unwrap());
        let handle = layer.handle();
        let svc = layer.describe(by_number).layer(inner.clone());
        // Eight at once, and a queue that is full.
        let orders = (0..38).map(|n| tokio::spawn(svc.clone().call(n)));
        let orders: Vec<_> = orders.collect();
        while handle.snapshot().queue_depth < 30 {
            tokio::task::yield_now().await;
        }
        assert!(svc.clone().call(999).await.is_err(), "the queue is full");
        let mut late = Vec::new();
        for nth in 0..6 {
            let asked = Instant::now();
            late.push(
                svc.clone()
                    .call(1_000 + nth)
                    .await
                    .map(|_| Instant::now() - asked),
            );
            tokio::time::sleep(ms(500)).await;
        }
        assert_eq!(late, vec![Ok(Duration::ZERO); 6]);
        for order in orders {
            order.await.unwrap().unwrap();
        }
        // All of them have departed, the cancels beside the orders, and none above the rate.
        let log = inner.log();
        assert_eq!(log.len(), 38 + 6);
        for (nth, (_, at)) in log.iter().enumerate() {
            let within = log[nth..]
                .iter()
                .take_while(|(_, later)| later - at < 1_000);
            assert!(
                within.count() <= 20,
                "a burst and what the rate grants in a second"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn cancels_that_wait_take_no_places_from_orders() {
    let config = RateLimitConfig::builder().limit(Limit::strict(10, MINUTE));
    let config = config.reserved_share(share(0.2)).max_wait(30 * MINUTE);
    let config = config.max_waiting(3).build().unwrap();
    let layer = RateLimitLayer::new("broker", config);
    let handle = layer.handle();
    assert_eq!(
        (granted(&handle, &cancel()), granted(&handle, &order())),
        (10, 0)
    );
    let svc = layer.describe(by_number).layer(Departures::new());
    let calls = [1_000, 1_001, 1_002, 0, 1, 2].map(|n| tokio::spawn(svc.clone().call(n)));
    while handle.snapshot().queue_depth < calls.len() {
        tokio::task::yield_now().await;
    }
    for further in [3, 1_003] {
        assert!(svc.clone().call(further).await.is_err(), "{further}");
    }
    for call in calls {
        call.await.unwrap().unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn cancels_that_have_used_up_the_share_wait_before_all_orders_and_in_their_order() {
    let inner = Departures::new();
    let config = builder(5).reserved_share(share(0.2)).max_wait(MINUTE);
    let layer = RateLimitLayer::new("broker", config.build().unwrap());
    let svc = layer.describe(by_number).layer(inner.clone());
    let mut calls = Vec::new();
    for n in (0..8).chain(1_000..1_003) {
        calls.push(tokio::spawn(svc.clone().call(n)));
        tokio::task::yield_now().await;
    }
    for call in calls {
        call.await.unwrap().unwrap();
    }
    let order: Vec<_> = inner.log().iter().map(|(n, _)| *n).collect();
    assert_eq!(order, [0, 1, 2, 3, 1_000, 1_001, 1_002, 4, 5, 6, 7]);
    // One per 100 ms; the first order after that of the cancels, which is reserved again.
    let at: Vec<_> = inner.log().iter().map(|(_, at)| *at).collect();
    assert_eq!(at, [0, 0, 0, 0, 0, 100, 200, 400, 500, 600, 700]);
}

#[tokio::test(start_paused = true)]
async fn a_cancel_goes_before_all_orders_also_where_nothing_can_be_reserved() {
    let handle = handle(
        builder(1)
            .reserved_share(share(0.2))
            .max_wait(MINUTE)
            .priority_aging(ms(100)),
    );
    let wait = |meta: RequestMeta| {
        let handle = handle.clone();
        tokio::spawn(async move {
            handle.reserve(&meta).await.unwrap().commit();
            Instant::now()
        })
    };
    assert_eq!(granted(&handle, &order()), 1);
    let begun = Instant::now();
    let orders: Vec<_> = (0..20).map(|_| wait(order())).collect();
    tokio::time::sleep(ms(1_050)).await;
    let cancel = wait(cancel());
    assert_eq!(cancel.await.unwrap() - begun, ms(1_100));
    for (order, nth) in orders.into_iter().zip(1..) {
        let at = if nth <= 10 { nth } else { nth + 1 };
        assert_eq!(order.await.unwrap() - begun, ms(100 * at));
    }
}

#[tokio::test(start_paused = true)]
async fn without_cancels_orders_have_the_whole_rate() {
    for reserved in [None, share(0.3)] {
        let config = builder(10).reserved_share(reserved).max_wait(MINUTE);
        let layer = RateLimitLayer::new("broker", config.build().unwrap());
        let inner = Departures::new();
        let svc = layer.describe(by_number).layer(inner.clone());
        let calls: Vec<_> = (0..110)
            .map(|n| tokio::spawn(svc.clone().call(n)))
            .collect();
        for call in calls {
            call.await.unwrap().unwrap();
        }
        let last = inner.log().last().unwrap().1;
        let first = if reserved.is_some() { 7 } else { 10 };
        assert_eq!(last, (110 - first) * 100);
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_costs_more_than_the_rest_departs_when_the_limit_is_full() {
    let handle = handle(builder(10).reserved_share(share(0.2)).max_wait(MINUTE));
    let dear = order().with_cost(9);
    assert_eq!(handle.time_to_next(&dear), Some(Duration::ZERO));
    assert_eq!(granted(&handle, &order()), 8);
    assert_eq!(handle.time_to_next(&dear), Some(ms(800)));
    let asked = Instant::now();
    handle.reserve(&dear).await.unwrap().commit();
    assert_eq!(Instant::now() - asked, ms(800));
    assert_eq!(handle.tokens(), 1.0);
}

#[tokio::test(start_paused = true)]
async fn what_the_upstream_reports_as_left_is_left_for_cancels() {
    for (nth, config) in kinds().into_iter().enumerate() {
        let handle = handle(config.reserved_share(share(0.2)));
        let left = ServerLimit::new(Unit::Requests).with_remaining(3);
        handle.apply_signal(QuotaSignal::Limit(left.with_resets_in(MINUTE)));
        // Of a limit of a hundred, twenty are reserved.
        let (orders, cancels) = if nth == 1 { (0, 3) } else { (1, 2) };
        assert_eq!(granted(&handle, &order()), orders, "{nth}");
        assert_eq!(granted(&handle, &cancel()), cancels, "{nth}");
    }
}

#[tokio::test(start_paused = true)]
async fn other_settings_keep_the_share_until_it_is_set_to_another_or_none() {
    let layer = layer(10, MINUTE);
    let (handle, inner) = (layer.handle(), Departures::new());
    let svc = layer.describe(by_number).layer(inner.clone());
    let set = |config: RateLimitConfigBuilder| {
        let config = config.max_wait(MINUTE).build().unwrap();
        handle.configure(config).unwrap();
    };
    set(builder(10).reserved_share(share(0.5)));
    set(builder(10));
    assert_eq!(handle.config().reserved_share(), share(0.5));
    let calls: Vec<_> = (0..9).map(|n| tokio::spawn(svc.clone().call(n))).collect();
    tokio::task::yield_now().await;
    tokio::task::yield_now().await;
    assert_eq!((inner.log().len(), handle.snapshot().queue_depth), (5, 4));
    // Those that wait depart at once.
    set(builder(10).reserved_share(None));
    for call in calls {
        call.await.unwrap().unwrap();
    }
    assert!(inner.log().iter().all(|(_, at)| *at == 0));
    assert_eq!(handle.config().reserved_share(), None);
}

/// A layer of keys with that share, within an account or not.
fn keyed(account: Option<&RateLimitHandle>) -> KeyedRateLimitLayer {
    let config = builder(10).reserved_share(share(0.2));
    let named = builder(5);
    let keys = KeyedRateLimitConfig::builder(config).key(PartitionKey(2), named);
    let keys = keys.build().expect("valid settings");
    match account {
        Some(account) => KeyedRateLimitLayer::within_account("keys", keys, account),
        None => KeyedRateLimitLayer::new("keys", keys),
    }
}

fn passing(layer: &KeyedRateLimitLayer, key: u64, meta: RequestMeta, calls: u32) -> usize {
    let meta = meta.with_key(PartitionKey(key));
    let (inner, mock) = mock();
    let mut svc = layer.clone().describe(move |_: &u32| meta).layer(inner);
    for n in 0..calls {
        let _ = call(&mut svc, n).poll();
    }
    mock.requests().len()
}

#[tokio::test(start_paused = true)]
async fn each_key_reserves_its_own_and_the_account_too() {
    let keys = keyed(None);
    assert_eq!(passing(&keys, 1, order(), 20), 8);
    assert_eq!(passing(&keys, 1, cancel(), 20), 2);
    assert_eq!(
        passing(&keys, 2, order(), 20),
        5,
        "a key with settings of its own"
    );
    let account = handle(builder(12).reserved_share(share(0.25)));
    let keys = keyed(Some(&account));
    assert_eq!(passing(&keys, 1, order(), 20), 8);
    assert_eq!(
        passing(&keys, 3, order(), 20),
        1,
        "the account has three reserved"
    );
    assert_eq!(passing(&keys, 3, cancel(), 20), 3);
    assert_eq!(account.tokens(), 0.0);
}

#[tokio::test(start_paused = true)]
async fn keys_in_use_take_a_share_and_keep_it() {
    let layer = KeyedRateLimitLayer::new("keys", KeyedRateLimitConfig::new(builder(10)).unwrap());
    let handle = layer.handle();
    assert_eq!(passing(&layer, 1, order(), 3), 3);
    let with = KeyedRateLimitConfig::new(builder(10).reserved_share(share(0.2))).unwrap();
    handle.configure(with).unwrap();
    handle
        .configure(KeyedRateLimitConfig::new(builder(10)).unwrap())
        .unwrap();
    handle
        .configure_key(PartitionKey(2), builder(10).build().unwrap())
        .unwrap();
    assert_eq!(handle.config().per_key().reserved_share(), share(0.2));
    for (key, left) in [(1, 5), (2, 8), (3, 8)] {
        assert_eq!(passing(&layer, key, order(), 20), left);
        assert_eq!(passing(&layer, key, cancel(), 20), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn in_shadow_mode_nothing_is_held_back() {
    let handle = handle(builder(10).reserved_share(share(0.2)).shadow(true));
    assert_eq!(granted(&handle, &order()), 1_000);
    assert_eq!(handle.counts().shadowed, 992);
}

proptest! {
    /// Against a list of all departures of a strict limit.
    #[test]
    fn no_window_has_more_than_the_limit_and_orders_always_leave_the_share(
        steps in prop::collection::vec((0_u64..400, any::<bool>(), 1_u32..4), 1..150),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let limit = Limit::strict(10, SECOND);
            let handle = handle(RateLimitConfig::builder().limit(limit).reserved_share(share(0.3)));
            let (mut now, mut departures) = (0, Vec::<(u64, u32)>::new());
            for (pause, is_cancel, cost) in steps {
                advance(ms(pause)).await;
                now += pause;
                let used: u32 = departures
                    .iter()
                    .filter(|(at, _)| now - at < 1_000)
                    .map(|(_, cost)| cost)
                    .sum();
                let (meta, most) = if is_cancel { (cancel(), 10) } else { (order(), 7) };
                let granted = handle.try_reserve(&meta.with_cost(cost)).map(Reservation::commit);
                assert_eq!(granted.is_ok(), used + cost <= most, "{used} + {cost}");
                if granted.is_ok() {
                    departures.push((now, cost));
                }
            }
        });
    }
}
