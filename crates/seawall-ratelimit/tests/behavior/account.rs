//! Limits of keys within those of an account that others share.

use seawall_core::{Command, PartitionKey, QuotaSignal, Scope, Unit};
use seawall_ratelimit::{
    KeyedRateLimit, KeyedRateLimitConfig, KeyedRateLimitHandle, KeyedRateLimitLayer,
};

use super::keyed::{ByHundreds, MINUTE, by_hundreds, passes};
use super::*;

fn account(config: RateLimitConfigBuilder) -> RateLimitLayer {
    RateLimitLayer::new("account", config.build().expect("valid settings"))
}

fn keys_of(
    name: &'static str,
    endpoint: RateLimitConfigBuilder,
    account: &RateLimitHandle,
) -> KeyedRateLimitLayer<ByHundreds> {
    let config = KeyedRateLimitConfig::new(endpoint).expect("valid settings");
    KeyedRateLimitLayer::within_account(name, config, account)
        .describe(by_hundreds as fn(&u32) -> RequestMeta)
}

fn within(
    account_config: RateLimitConfigBuilder,
    endpoint: RateLimitConfigBuilder,
) -> (
    KeyedRateLimitLayer<ByHundreds>,
    RateLimitHandle,
    KeyedRateLimitHandle,
) {
    let account = account(account_config).handle();
    let layer = keys_of("endpoints", endpoint, &account);
    let endpoints = layer.handle();
    (layer, account, endpoints)
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
    reserved.correct_usage(&[(Unit::Cost, 1)]);
    assert_eq!(
        (account.tokens(), endpoints.tokens(PartitionKey(1))),
        (2.0, 1.0)
    );
}

/// Two layers with keys, and the account's own beside them.
struct Shared {
    account: RateLimitHandle,
    quotes: KeyedRateLimitHandle,
    orders: KeyedRateLimitHandle,
    of_account: RateLimit<Mock>,
    of_quotes: KeyedRateLimit<Mock, ByHundreds>,
    of_orders: KeyedRateLimit<Mock, ByHundreds>,
}

fn shared(config: RateLimitConfigBuilder, endpoint: &RateLimitConfigBuilder) -> Shared {
    let layer = account(config);
    let account = layer.handle();
    let quotes = keys_of("quotes", endpoint.clone(), &account);
    let orders = keys_of("orders", endpoint.clone(), &account);
    Shared {
        of_account: layer.layer(mock().0),
        of_quotes: quotes.layer(mock().0),
        of_orders: orders.layer(mock().0),
        quotes: quotes.handle(),
        orders: orders.handle(),
        account,
    }
}

impl Shared {
    fn granted(&self) -> [u64; 3] {
        [
            self.account.counts().granted,
            self.quotes.counts().granted,
            self.orders.counts().granted,
        ]
    }

    fn reasons(&mut self) -> [Reason; 3] {
        [
            rejection(call(&mut self.of_account, 100).poll()).reason(),
            rejection(call(&mut self.of_quotes, 100).poll()).reason(),
            rejection(call(&mut self.of_orders, 100).poll()).reason(),
        ]
    }

    fn pass(&mut self, n: u32) -> [bool; 3] {
        [
            passes(&mut self.of_account, n),
            passes(&mut self.of_quotes, n),
            passes(&mut self.of_orders, n),
        ]
    }
}

#[tokio::test(start_paused = true)]
async fn two_layers_and_the_account_itself_share_its_limit_and_count_apart() {
    let mut shared = shared(builder(5), &builder(2));
    assert_eq!(shared.pass(100), [true; 3]);
    assert_eq!(shared.account.tokens(), 2.0);
    // The same key of two layers has two limits.
    assert!(passes(&mut shared.of_quotes, 101) && passes(&mut shared.of_orders, 101));
    assert_eq!(shared.reasons(), [Reason::RateLimited; 3]);
    assert!(!passes(&mut shared.of_quotes, 200), "another key");
    assert_eq!(shared.granted(), [1, 2, 2]);
    let rejected = [
        shared.account.counts().rejected,
        shared.quotes.counts().rejected,
        shared.orders.counts().rejected,
    ];
    assert_eq!(rejected, [1, 2, 1]);
    assert_eq!(shared.quotes.tokens(PartitionKey(2)), 2.0);
    // What one does not use another may.
    advance(ms(300)).await;
    assert!((0..3).all(|n| passes(&mut shared.of_account, n)));
    assert_eq!(shared.reasons(), [Reason::RateLimited; 3]);
}

#[tokio::test(start_paused = true)]
async fn waiters_of_all_who_share_an_account_depart_in_one_order() {
    let inner = Departures::new();
    let wait = |burst| builder(burst).max_wait(MINUTE);
    let layer = account(wait(1));
    let quotes = keys_of("quotes", wait(9), &layer.handle());
    let orders = keys_of("orders", wait(9), &layer.handle());
    let mut tasks = Vec::new();
    for n in [1, 2] {
        tasks.push(tokio::spawn(quotes.layer(inner.clone()).call(100 + n)));
        tokio::task::yield_now().await;
        tasks.push(tokio::spawn(layer.layer(inner.clone()).call(n)));
        tokio::task::yield_now().await;
        tasks.push(tokio::spawn(orders.layer(inner.clone()).call(200 + n)));
        tokio::task::yield_now().await;
    }
    // All for which their keys have tokens wait in the queue of the account.
    assert_eq!(layer.handle().queue_depth(), 5);
    let of_keys = (quotes.handle().queue_depth(), orders.handle().queue_depth());
    assert_eq!(of_keys, (1, 2));
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    let log = inner.log();
    let order = [101, 1, 201, 102, 2, 202];
    let times = [0, 100, 200, 300, 400, 500];
    assert_eq!(log, order.into_iter().zip(times).collect::<Vec<_>>());
    assert_eq!(layer.handle().queue_depth(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_pause_of_the_account_holds_for_all_who_share_it() {
    let mut shared = shared(builder(9), &builder(9));
    shared.account.pause();
    assert_eq!(shared.reasons(), [Reason::Paused; 3]);
    shared.quotes.reset();
    assert_eq!(shared.reasons(), [Reason::Paused; 3], "not of the keys");
    shared.account.resume();
    assert_eq!(shared.pass(100), [true; 3]);
    shared.account.drain();
    assert_eq!(shared.reasons(), [Reason::Draining; 3]);
    shared.account.reset();
    // What the upstream reports about the account in a response to one, holds for all.
    let pause = QuotaSignal::Pause {
        lasts: Some(SECOND),
        scope: Scope::Upstream,
    };
    shared.quotes.apply_signal(PartitionKey(1), pause);
    assert_eq!(shared.account.state(), "paused");
    assert_eq!(shared.pass(200), [false; 3]);
    advance(2 * SECOND).await;
    assert_eq!(shared.pass(100), [true; 3]);
    // A pause of the keys of one layer is its own.
    shared.quotes.pause_all();
    assert_eq!(shared.pass(100), [true, false, true]);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_waits_for_its_key_is_rejected_while_the_account_drains() {
    let (layer, account, endpoints) = within(builder(9), builder(1).max_wait(MINUTE));
    let mut svc = layer.layer(mock().0);
    assert!(passes(&mut svc, 100));
    account.drain();
    let rejected = rejection(call(&mut svc, 100).poll());
    assert_eq!(rejected.reason(), Reason::Draining);
    assert_eq!(endpoints.queue_depth(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_account_in_shadow_mode_rejects_nothing_and_the_keys_do() {
    let mut shared = shared(builder(1).shadow(true), &builder(2));
    assert_eq!(shared.pass(100), [true; 3]);
    assert_eq!(shared.pass(100), [true; 3]);
    assert_eq!(shared.pass(100), [true, false, false], "of the keys");
    let shadowed = [
        shared.account.counts().shadowed,
        shared.quotes.counts().shadowed,
        shared.orders.counts().shadowed,
    ];
    assert_eq!((shared.granted(), shadowed), ([3, 2, 2], [2, 2, 2]));
    shared.account.set_shadow(false);
    assert!(!passes(&mut shared.of_quotes, 200));
}

/// Calls wait for their keys alone, and what they take is seen in the forecast of the account.
#[tokio::test(start_paused = true)]
async fn an_account_in_shadow_mode_lets_no_call_wait() {
    let account = RateLimitConfig::builder().rate(1, SECOND).burst(1);
    let (layer, account, endpoints) = within(account.shadow(true), builder(1).max_wait(MINUTE));
    let inner = Departures::new();
    let svc = layer.layer(inner.clone());
    let tasks: Vec<_> = (0..4)
        .map(|n| tokio::spawn(svc.clone().call(100 + n)))
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    let times: Vec<_> = inner.log().iter().map(|(_, at)| *at).collect();
    assert_eq!(times, [0, 100, 200, 300]);
    assert_eq!((account.queue_depth(), endpoints.queue_depth()), (0, 0));
    assert!(account.tokens() < -2.0, "{}", account.tokens());
}

#[tokio::test(start_paused = true)]
async fn keys_in_shadow_mode_do_not_exceed_the_account() {
    let (layer, account, endpoints) = within(builder(3), builder(1).shadow(true));
    let mut svc = layer.layer(mock().0);
    assert!((0..3).all(|_| passes(&mut svc, 100)));
    assert_eq!(account.tokens(), 0.0);
    let rejected = rejection(call(&mut svc, 100).poll());
    assert_eq!(rejected.retry_after(), Some(ms(100)));
    let counts = endpoints.counts();
    assert_eq!(
        (counts.granted, counts.shadowed, counts.rejected),
        (3, 2, 1)
    );
}

#[tokio::test(start_paused = true)]
async fn keys_in_shadow_mode_wait_for_the_account_alone() {
    let endpoint = RateLimitConfig::builder().rate(1, MINUTE).burst(1);
    let endpoint = endpoint.max_wait(SECOND).shadow(true);
    let (layer, account, endpoints) = within(builder(1), endpoint);
    let inner = Departures::new();
    let svc = layer.layer(inner.clone());
    let tasks: Vec<_> = (0..4)
        .map(|n| tokio::spawn(svc.clone().call(100 + n)))
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    let times: Vec<_> = inner.log().iter().map(|(_, at)| *at).collect();
    assert_eq!(times, [0, 100, 200, 300]);
    assert_eq!((account.queue_depth(), endpoints.queue_depth()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn the_account_and_the_keys_are_configured_apart() {
    let mut shared = shared(builder(3), &builder(2));
    assert_eq!(shared.pass(100), [true; 3]);
    let account = builder(6).build().unwrap();
    shared.account.configure(account.clone()).unwrap();
    let keys = KeyedRateLimitConfig::new(builder(4)).unwrap();
    shared.quotes.configure(keys.clone()).unwrap();
    assert_eq!(shared.quotes.config(), keys);
    let of_orders = shared.orders.account().expect("it has one");
    assert_eq!(
        (of_orders.config(), of_orders.name().as_str()),
        (account, "account")
    );
    // What was used stays used, to the sixteenth of a nanosecond.
    assert!((shared.account.tokens() - 3.0).abs() < 1e-6);
    assert!((shared.quotes.tokens(PartitionKey(1)) - 3.0).abs() < 1e-6);
    assert_eq!(shared.orders.tokens(PartitionKey(1)), 1.0);
    let alone = KeyedRateLimitLayer::new("alone", keys).handle();
    assert!(alone.account().is_none());
}

#[tokio::test(start_paused = true)]
async fn each_of_them_is_an_instance_of_the_registry() {
    let mut shared = shared(builder(5), &builder(2));
    let registry = Registry::new("desk");
    registry.register(shared.account.clone()).unwrap();
    registry.register(shared.quotes.clone()).unwrap();
    registry.register(shared.orders.clone()).unwrap();
    assert_eq!(shared.pass(100), [true; 3]);
    let all = registry.snapshot();
    for name in ["account", "quotes", "orders"] {
        let one = all.iter().find(|one| one.name.as_str() == name).unwrap();
        let sample = |labels: &[_], metric| {
            let mut samples = one.samples.iter();
            samples.any(|s| s.metric == metric && labels.iter().all(|l| s.labels.contains(l)))
        };
        assert!(sample(&[("outcome", "granted")], "seawall_calls_total"));
        let tokens = sample(&[], "seawall_ratelimit_tokens_available");
        assert_eq!(tokens, name == "account");
        let account = one.settings.iter().find(|(field, _)| *field == "account");
        let account = account.map(|(_, value)| value.as_str());
        assert_eq!(account, (name != "account").then_some("account"));
    }
    let account = registry.get("ratelimit", "account").expect("registered");
    account.control(Command::Block).unwrap();
    assert_eq!(shared.reasons(), [Reason::Paused; 3]);
}

#[test]
fn threads_that_share_an_account_are_granted_its_burst() {
    let slow = |burst| RateLimitConfig::builder().rate(1, 60 * MINUTE).burst(burst);
    let layer = account(slow(1_000));
    let quotes = keys_of("quotes", slow(100), &layer.handle());
    let orders = keys_of("orders", slow(100), &layer.handle());
    let granted = |mut svc: Box<dyn FnMut(u32) -> bool + Send>| {
        move || (0..4_000_u32).filter(|n| svc(n % 40 * 100)).count()
    };
    let keyed = |layer: &KeyedRateLimitLayer<ByHundreds>| -> Box<dyn FnMut(u32) -> bool + Send> {
        let mut svc = layer.layer(Echo);
        Box::new(move |n| matches!(PolledFuture::new(svc.call(n)).poll(), Poll::Ready(Ok(_))))
    };
    let mut plain = layer.layer(Echo);
    let plain =
        Box::new(move |n| matches!(PolledFuture::new(plain.call(n)).poll(), Poll::Ready(Ok(_))));
    let all: usize = std::thread::scope(|scope| {
        let threads = [
            scope.spawn(granted(keyed(&quotes))),
            scope.spawn(granted(keyed(&orders))),
            scope.spawn(granted(plain)),
        ];
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .sum()
    });
    assert_eq!(all, 1_000);
    assert_eq!(layer.handle().tokens().floor(), 0.0);
}

#[cfg(feature = "serde")]
#[tokio::test(start_paused = true)]
async fn a_snapshot_of_keys_has_what_is_left_of_the_account() {
    let (layer, _account, endpoints) = within(builder(3), builder(2));
    let mut svc = layer.layer(mock().0);
    assert!(passes(&mut svc, 100));
    endpoints.pause_all_for(3 * SECOND);
    let json = serde_json::to_value(endpoints.snapshot()).unwrap();
    assert_eq!(
        (&json["name"], &json["state"]),
        (&"endpoints".into(), &"paused".into())
    );
    assert_eq!(json["resumes_in"], 3.0);
    assert_eq!(json["account"][0]["available"], 2.0);
    assert_eq!(json["counts"]["granted"], 1);
}
