//! Waiters that nobody polls any more: they cost the others what they claim, for a moment.

use std::sync::atomic::{AtomicUsize, Ordering};

use seawall_core::PartitionKey;
use seawall_core::queue::GRACE;
use seawall_ratelimit::{KeyedRateLimitConfig, KeyedRateLimitLayer, Limit, RateLimitState};

use super::keyed::{ByHundreds, MINUTE, by_hundreds, passes};
use super::*;

/// After that a waiter has lapsed.
const GRACE_MS: u64 = GRACE / 1_000_000;

fn limit(config: RateLimitConfigBuilder) -> RateLimitLayer {
    RateLimitLayer::new("desk", config.build().expect("valid settings"))
}

/// A call that waits and is not polled again.
fn stuck<S: Service<u32>>(service: &S, request: u32) -> PolledFuture<S::Future>
where
    S: Clone,
    S::Future: Future,
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

type Keyed = KeyedRateLimitLayer<ByHundreds>;

fn per_key(config: RateLimitConfigBuilder, account: Option<&RateLimitLayer>) -> Keyed {
    let config = KeyedRateLimitConfig::new(config).expect("valid settings");
    let layer = match account {
        Some(account) => KeyedRateLimitLayer::within_account("keys", config, &account.handle()),
        None => KeyedRateLimitLayer::new("keys", config),
    };
    layer.describe(by_hundreds as fn(&u32) -> RequestMeta)
}

#[tokio::test(start_paused = true)]
async fn in_the_queue_of_a_key_it_delays_that_key_by_the_grace_and_no_other() {
    for account in [None, Some(limit(builder(1_000).max_wait(MINUTE)))] {
        let layer = per_key(builder(1).max_wait(MINUTE), account.as_ref());
        let inner = Departures::new();
        let svc = layer.layer(inner.clone());
        for n in [100, 200] {
            svc.clone().call(n).await.unwrap();
        }
        let kept = stuck(&svc, 101);
        let same = tokio::spawn(svc.clone().call(102));
        let other = tokio::spawn(svc.clone().call(201));
        assert_eq!(other.await.unwrap(), Ok(100));
        assert_eq!(same.await.unwrap(), Ok(100 + GRACE_MS));
        let handle = layer.handle();
        assert_eq!(handle.queue_depth_of(PartitionKey(1)), 1);
        drop(kept);
        assert_eq!(handle.queue_depth(), 0);
    }
}

/// It waits for the account, and has a claim on the only token of its key.
#[tokio::test(start_paused = true)]
async fn in_the_queue_of_the_account_it_keeps_neither_the_token_of_its_key_nor_that_of_others() {
    let account = limit(builder(1).max_wait(MINUTE));
    let layer = per_key(
        RateLimitConfig::builder()
            .rate(1, MINUTE)
            .burst(1)
            .max_wait(MINUTE),
        Some(&account),
    );
    let inner = Departures::new();
    let svc = layer.layer(inner.clone());
    let of_account = account.layer(inner.clone());
    of_account.clone().call(0).await.unwrap();
    let mut kept = stuck(&svc, 100);
    assert_eq!(account.handle().queue_depth(), 1);
    let mut behind = Vec::new();
    for n in [101, 200, 300] {
        behind.push(tokio::spawn(svc.clone().call(n)));
        tokio::task::yield_now().await;
    }
    behind.push(tokio::spawn(of_account.clone().call(1)));
    for task in behind {
        task.await.unwrap().unwrap();
    }
    // The account's next token is for the next in its queue, and the key's for the next of the key.
    let log = inner.log();
    let mut order: Vec<_> = log.iter().map(|(n, _)| *n).collect();
    let times: Vec<_> = log.iter().map(|(_, at)| *at).collect();
    assert_eq!(times, [0, 105, 205, 305, 405]);
    assert_eq!(order[..3], [0, 200, 300], "{log:?}");
    order.sort_unstable();
    assert_eq!(order, [0, 1, 101, 200, 300]);
    // Its key has nothing left; it waits on, and leaves nothing behind.
    assert!(kept.poll().is_pending());
    assert_eq!(account.handle().queue_depth(), 0);
    assert_eq!(layer.handle().queue_depth(), 1);
    drop(kept);
    assert_eq!(layer.handle().queue_depth(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_reservation_that_is_not_polled_delays_no_other() {
    let account = limit(builder(1).max_wait(MINUTE));
    let keys = per_key(builder(1).max_wait(MINUTE), Some(&account)).handle();
    let (plain, of_key) = (
        account.handle(),
        RequestMeta::default().with_key(PartitionKey(7)),
    );
    let one = RequestMeta::default();
    plain.try_reserve(&one).unwrap().commit();
    let start = Instant::now();
    let mut kept = PolledFuture::new(plain.reserve(&one));
    let mut kept_of_key = PolledFuture::new(keys.reserve(&of_key));
    assert!(kept.poll().is_pending() && kept_of_key.poll().is_pending());
    plain.reserve(&one).await.unwrap().commit();
    assert_eq!(start.elapsed(), ms(100 + 2 * GRACE_MS));
    keys.reserve(&of_key).await.unwrap().commit();
    assert_eq!(start.elapsed(), ms(200 + 2 * GRACE_MS));
    tokio::time::sleep(ms(100)).await;
    plain.try_reserve(&one).unwrap().commit();
    drop((kept, kept_of_key));
    assert_eq!((plain.queue_depth(), keys.queue_depth()), (0, 0));
}

/// Runs `CALLS` calls, every third of which is not polled after its first poll, and some of which
/// never. Returns how long the others took.
async fn a_third_is_stuck<S>(svc: S, log: impl Fn() -> Vec<u32>) -> Duration
where
    S: Service<u32, Future: Send + 'static> + Clone,
{
    const CALLS: u32 = 2_000;
    let mut random = 1_u32;
    let mut next = move || {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        random >> 16
    };
    let (mut kept, mut tasks, mut polled) = (Vec::new(), Vec::new(), Vec::new());
    let start = Instant::now();
    for n in 0..CALLS {
        let future = svc.clone().call(n);
        if next() % 3 == 0 {
            let mut future = PolledFuture::new(future);
            if next() % 3 > 0 {
                let _ = future.poll();
            }
            kept.push(future);
        } else {
            polled.push(n);
            tasks.push(tokio::spawn(async move { future.await.is_ok() }));
            tokio::task::yield_now().await;
        }
    }
    for task in tasks {
        assert!(task.await.unwrap());
    }
    let took = start.elapsed();
    let departed = log();
    let in_order: Vec<_> = departed
        .into_iter()
        .filter(|n| polled.binary_search(n).is_ok())
        .collect();
    assert!(in_order.len() >= polled.len());
    assert_eq!(in_order, polled);
    took
}

/// Within five percent of what the limit allows to those that are polled.
#[tokio::test(start_paused = true)]
async fn where_a_third_is_not_polled_the_others_depart_at_the_rate_and_in_order() {
    let waits = |config: RateLimitConfigBuilder| config.max_wait(60 * MINUTE).max_waiting(10_000);
    for (rate, burst) in [(100, 10), (1_000, 10), (1_000, 100)] {
        let bucket = || RateLimitConfig::builder().rate(rate, SECOND).burst(burst);
        let inner = Departures::new();
        let log = || -> Vec<u32> { inner.log().into_iter().map(|(n, _)| n).collect() };
        let layer = limit(waits(bucket()));
        let took = a_third_is_stuck(layer.layer(inner.clone()), log).await;
        let (departed, handle) = (log().len() as f64, layer.handle());
        let ideal = (departed - f64::from(burst)) / f64::from(rate);
        let over = took.as_secs_f64() / ideal;
        assert!(over < 1.05, "{rate} of {burst}: {over}");
        assert!(handle.counts().granted > 1_200);
        // Per key within an account as well.
        let account = limit(waits(bucket()));
        let one_key = |_: &u32| RequestMeta::default();
        let config = KeyedRateLimitConfig::new(waits(bucket())).expect("valid settings");
        let keys = KeyedRateLimitLayer::within_account("keys", config, &account.handle());
        let inner = Departures::new();
        let log = || -> Vec<u32> { inner.log().into_iter().map(|(n, _)| n).collect() };
        let svc = keys.describe(one_key).layer(inner.clone());
        let over = a_third_is_stuck(svc, log).await.as_secs_f64() / ideal;
        assert!(over < 1.05, "{rate} of {burst} per key: {over}");
    }
    // Several limits at once.
    let strict = RateLimitConfig::builder()
        .limit(Limit::strict(100, SECOND))
        .limit(Limit::bucket(6_000, MINUTE).burst(100));
    let inner = Departures::new();
    let log = || -> Vec<u32> { inner.log().into_iter().map(|(n, _)| n).collect() };
    let layer = limit(waits(strict));
    let took = a_third_is_stuck(layer.layer(inner.clone()), log).await;
    let ideal = (log().len() as f64 - 100.0) / 100.0;
    assert!(took.as_secs_f64() < 1.05 * ideal, "{took:?}, not {ideal} s");
}

/// A paused clock moves only when everybody sleeps; here time passes beside the calls.
#[test]
fn in_real_time_the_next_waiters_depart_after_the_grace() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build()
        .expect("valid settings");
    runtime.block_on(async {
        let config = RateLimitConfig::builder().rate(50, SECOND).burst(1);
        let account = limit(config.clone().max_wait(MINUTE));
        let keys = per_key(config.max_wait(MINUTE), Some(&account));
        let (plain, keyed) = (account.layer(Echo), keys.layer(Echo));
        plain.clone().call(0).await.unwrap();
        let _kept = [stuck(&plain, 1), stuck(&plain, 2)];
        let _kept_of_key = [stuck(&keyed, 100), stuck(&keyed, 200)];
        let start = Instant::now();
        let mut tasks: Vec<_> = (3..6)
            .map(|n| tokio::spawn(plain.clone().call(n)))
            .collect();
        tasks.extend((101..103).map(|n| tokio::spawn(keyed.clone().call(n))));
        for task in tasks {
            task.await.unwrap().unwrap();
        }
        let took = start.elapsed();
        assert!(took >= ms(80), "{took:?}: five tokens of 20 ms each");
        assert!(took < 10 * SECOND, "{took:?}");
    });
}

/// A waker runs code of the executor when it is woken and when it is dropped: that may use the same
/// limit.
#[derive(Clone)]
struct Reentrant {
    handle: RateLimitHandle,
    runs: Arc<AtomicUsize>,
}

impl Reentrant {
    fn run(&self) {
        let _ = self.handle.try_reserve(&RequestMeta::default());
        self.handle.queue_depth();
        self.handle.resume();
        self.runs.fetch_add(1, Ordering::Relaxed);
    }
}

impl std::task::Wake for Reentrant {
    fn wake(self: Arc<Self>) {
        self.run();
    }
}

impl Drop for Reentrant {
    fn drop(&mut self) {
        self.run();
    }
}

#[tokio::test(start_paused = true)]
async fn a_waker_may_use_the_limit_when_it_is_woken_and_dropped() {
    let account = limit(builder(1).max_wait(SECOND));
    let keys = per_key(builder(1).max_wait(SECOND), Some(&account));
    let (handle, runs) = (account.handle(), Arc::new(AtomicUsize::new(0)));
    let waker = || {
        Waker::from(Arc::new(Reentrant {
            handle: handle.clone(),
            runs: Arc::clone(&runs),
        }))
    };
    type Call = Pin<Box<dyn Future<Output = Result<u32, Error<()>>>>>;
    let plain = (0..4).map(|n| -> Call { Box::pin(account.layer(Echo).call(n)) });
    let of_keys = (100..103).map(|n| -> Call { Box::pin(keys.layer(Echo).call(n)) });
    let mut calls: Vec<_> = plain.chain(of_keys).collect();
    for _ in 0..6 {
        // A waker of its own at each poll: the one before is replaced.
        calls.retain_mut(|call| {
            let poll = call.as_mut().poll(&mut Context::from_waker(&waker()));
            poll.is_pending()
        });
        advance(ms(30)).await;
        handle.pause();
        handle.resume();
        calls.pop();
    }
    advance(2 * SECOND).await;
    assert_eq!(handle.queue_depth(), 0);
    drop(calls);
    assert!(runs.load(Ordering::Relaxed) > 20);
}

#[tokio::test(start_paused = true)]
async fn keys_with_such_waiters_pass_beside_them() {
    let layer = per_key(builder(2).max_wait(SECOND), None);
    let (inner, _mock) = mock();
    let mut svc = layer.layer(inner);
    assert!(passes(&mut svc, 100) && passes(&mut svc, 101));
    let kept = stuck(&svc, 102);
    advance(2 * SECOND).await;
    assert_eq!(layer.handle().queue_depth(), 0);
    assert!(passes(&mut svc, 103));
    drop(kept);
    advance(2 * SECOND).await;
    layer.handle().evict_idle();
    assert_eq!(layer.handle().keys_kept(), 0);
}
