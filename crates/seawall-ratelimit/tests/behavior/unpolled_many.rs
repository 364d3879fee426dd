//! Many waiters of which some are not polled any more, real time, and wakers with a will of their own.

use std::sync::atomic::{AtomicUsize, Ordering};

use seawall_ratelimit::{KeyedRateLimitConfig, KeyedRateLimitLayer, Limit};

use super::keyed::MINUTE;
use super::unpolled::{GRACE_MS, limit, stuck};
use super::unpolled_keys::per_key;
use super::*;

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
        assert!(task.await.expect("no panic"));
    }
    let took = Instant::now() - start;
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

/// A bucket holds its burst and no more: what waiters that are not polled have a claim on overflows
/// while they may still come. So each costs at most its share of the burst for 5 ms, and nothing where
/// twice of what flows in meanwhile fits.
#[tokio::test(start_paused = true)]
async fn a_small_burst_loses_what_flows_in_while_waiters_that_are_not_polled_have_it() {
    let waits = |config: RateLimitConfigBuilder| config.max_wait(60 * MINUTE).max_waiting(10_000);
    for (rate, burst) in [
        (2_000, 20),
        (4_000, 40),
        (2_000, 5),
        (4_000, 10),
        (10_000, 10),
    ] {
        let bucket = || waits(RateLimitConfig::builder().rate(rate, SECOND).burst(burst));
        for keyed in [false, true] {
            let (inner, account) = (Departures::new(), limit(bucket()));
            let log = || -> Vec<u32> { inner.log().into_iter().map(|(n, _)| n).collect() };
            let took = if keyed {
                let config = KeyedRateLimitConfig::new(bucket()).expect("valid settings");
                let keys = KeyedRateLimitLayer::within_account("keys", config, &account.handle());
                let keys = keys.describe(|_: &u32| RequestMeta::default());
                a_third_is_stuck(keys.layer(inner.clone()), log).await
            } else {
                a_third_is_stuck(account.layer(inner.clone()), log).await
            };
            let departed = log().len() as u32;
            let ideal = f64::from(departed - burst) / f64::from(rate);
            let fits = burst >= 2 * rate / 1_000 * GRACE_MS as u32;
            let lost = match fits {
                true => 0.0,
                false => f64::from(2_000 - departed) / f64::from(burst) * GRACE_MS as f64 / 1_000.0,
            };
            let most = 1.05 * ideal + lost;
            let took = took.as_secs_f64();
            assert!(
                took < most,
                "{rate} of {burst}, {keyed}: {took} s, not {most} s"
            );
        }
    }
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
        let took = Instant::now() - start;
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
