//! Several limits at once, of every kind.

use seawall_core::{TokenCount, Unit};
use seawall_ratelimit::{CostFn, DailyReset, Limit, MetaCost, QuotaFile};

use super::*;

const MINUTE: Duration = Duration::from_secs(60);

fn several(
    limits: impl IntoIterator<Item = impl Into<Limit>>,
    max_wait: Duration,
) -> RateLimitLayer {
    let builder = RateLimitConfig::builder().max_wait(max_wait);
    let builder = limits
        .into_iter()
        .fold(builder, RateLimitConfigBuilder::limit);
    RateLimitLayer::new("several", builder.build().expect("valid settings"))
}

fn available(handle: &RateLimitHandle) -> Vec<f64> {
    let limits = handle.snapshot().limits;
    limits.iter().map(|limit| limit.available).collect()
}

#[tokio::test(start_paused = true)]
async fn a_call_rejected_by_one_limit_takes_from_none() {
    let (inner, mock) = mock();
    let layer = several(
        [Limit::strict(2, SECOND), Limit::strict(3, MINUTE)],
        Duration::ZERO,
    );
    let mut svc = layer.layer(inner);
    for n in 0..2 {
        assert!(call(&mut svc, n).poll().is_ready());
    }
    for n in 2..9 {
        let rejected = rejection(call(&mut svc, n).poll());
        assert_eq!(rejected.retry_after(), Some(SECOND));
    }
    assert_eq!(available(&layer.handle()), [0.0, 1.0]);
    advance(SECOND).await;
    assert!(call(&mut svc, 9).poll().is_ready());
    // Now it is the minute that has nothing left.
    let rejected = rejection(call(&mut svc, 10).poll());
    assert_eq!(rejected.retry_after(), Some(MINUTE - SECOND));
    assert_eq!(available(&layer.handle()), [1.0, 0.0]);
    assert_eq!(mock.requests(), [0, 1, 9]);
}

#[tokio::test(start_paused = true)]
async fn each_limit_counts_its_own_unit() {
    let (inner, _mock) = mock();
    let layer = several(
        [
            Limit::from(Limit::strict(3, MINUTE).with_unit(Unit::Requests)),
            Limit::from(Limit::strict(100, MINUTE)),
            Limit::from(Limit::bucket(60, MINUTE).burst(30).with_unit(Unit::Tokens)),
            Limit::from(Limit::strict(1, MINUTE).with_unit(Unit::Other("orders"))),
        ],
        Duration::ZERO,
    )
    .describe(|n: &u32| {
        let meta = RequestMeta::new(Replay::Safe).with_cost(*n);
        meta.with_tokens(TokenCount::new(5, *n))
    })
    .cost(|n: &u32, meta: &RequestMeta, unit: Unit| match unit {
        Unit::Other("orders") => u32::from(*n == 7),
        other => MetaCost.cost(n, meta, other),
    });
    let mut svc = layer.layer(inner);
    assert!(matches!(call(&mut svc, 7).poll(), Poll::Ready(Ok(_))));
    assert_eq!(available(&layer.handle()), [2.0, 93.0, 18.0, 0.0]);
    // A second order is one too many, and takes nothing elsewhere.
    assert_eq!(
        rejection(call(&mut svc, 7).poll()).retry_after(),
        Some(MINUTE)
    );
    assert!(matches!(call(&mut svc, 8).poll(), Poll::Ready(Ok(_))));
    assert_eq!(available(&layer.handle()), [1.0, 85.0, 5.0, 0.0]);
    // 5 + 26 tokens are never granted: the bucket holds 30.
    let never = rejection(call(&mut svc, 26).poll());
    assert_eq!(never.reason(), Reason::TooExpensive);
}

#[tokio::test(start_paused = true)]
async fn waiters_of_a_strict_limit_depart_in_order() {
    let inner = Departures::new();
    let layer = several([Limit::strict(2, SECOND)], MINUTE);
    let svc = layer.layer(inner.clone());
    let mut tasks = Vec::new();
    for n in 0..5 {
        tasks.push(tokio::spawn(svc.clone().call(n)));
        tokio::task::yield_now().await;
        if n == 0 {
            tokio::time::sleep(ms(300)).await;
        }
    }
    assert_eq!(layer.handle().queue_depth(), 3);
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    assert_eq!(
        inner.log(),
        [(0, 0), (1, 300), (2, 1_000), (3, 1_300), (4, 2_000)]
    );
}

#[tokio::test(start_paused = true)]
async fn a_used_up_day_is_an_exhausted_quota() {
    let (inner, _mock) = mock();
    let layer = several(
        [
            Limit::from(Limit::strict(5, MINUTE)),
            Limit::from(Limit::daily(25, DailyReset::utc()).already_used(24)),
        ],
        Duration::ZERO,
    );
    let mut svc = layer.layer(inner);
    assert!(call(&mut svc, 0).poll().is_ready());
    let rejected = rejection(call(&mut svc, 1).poll());
    assert_eq!(rejected.reason(), Reason::QuotaExhausted);
    let renews = rejected.retry_after().expect("the day ends");
    assert!(renews <= Duration::from_secs(24 * 3600));
    assert_eq!(layer.handle().counts().quota_exhausted, 1);
    advance(renews).await;
    assert!(matches!(call(&mut svc, 2).poll(), Poll::Ready(Ok(_))));
    assert_eq!(available(&layer.handle()), [4.0, 24.0]);
}

#[tokio::test(start_paused = true)]
async fn a_quota_survives_in_its_file() {
    let name = format!("seawall-test-{}.quota", std::process::id());
    let path = std::env::temp_dir().join(name);
    let _ = std::fs::remove_file(&path);
    let with_file = || {
        let file = QuotaFile::open(&path).expect("a file of this kind, or none");
        let quota = Limit::daily(25, DailyReset::utc()).persist_in(file);
        several([quota], Duration::ZERO)
    };
    let before = with_file();
    let mut svc = before.layer(mock().0);
    for n in 0..7 {
        assert!(call(&mut svc, n).poll().is_ready());
    }
    // As a process that was killed leaves it.
    let killed = path.with_extension("killed");
    std::fs::copy(&path, &killed).expect("it was written");
    let file = QuotaFile::open(&killed).expect("a file of this kind");
    let quota = Limit::daily(25, DailyReset::utc()).persist_in(file);
    assert_eq!(several([quota], Duration::ZERO).handle().tokens(), 18.0);
    std::fs::remove_file(killed).expect("it is there");
    drop((svc, before));
    let after = with_file();
    assert_eq!(after.handle().tokens(), 18.0);
    drop(after);
    std::fs::remove_file(path).expect("it was written");
}

#[tokio::test(start_paused = true)]
async fn a_free_call_passes_whatever_is_used_up() {
    let (inner, mock) = mock();
    let layer = several(
        [Limit::strict(1, SECOND), Limit::strict(1, MINUTE)],
        Duration::ZERO,
    )
    .describe(|n: &u32| RequestMeta::new(Replay::Safe).with_cost(*n));
    let mut svc = layer.layer(inner);
    assert!(call(&mut svc, 1).poll().is_ready());
    assert!(matches!(call(&mut svc, 0).poll(), Poll::Ready(Ok(_))));
    assert!(matches!(call(&mut svc, 1).poll(), Poll::Ready(Err(_))));
    assert_eq!(mock.requests(), [1, 0]);
}

#[test]
fn several_limits_allocate_nothing_while_they_grant() {
    let layer = several(
        [
            Limit::from(Limit::strict(1_000_000, SECOND)),
            Limit::from(Limit::strict(1_000, Duration::from_nanos(1))),
            Limit::from(Limit::bucket(1_000_000, SECOND).burst(1_000_000)),
            Limit::from(Limit::window(1_000_000_000, MINUTE)),
            Limit::from(Limit::daily(1_000_000_000, DailyReset::utc())),
        ],
        Duration::ZERO,
    );
    let mut svc = layer.layer(Echo);
    let cx = &mut Context::from_waker(Waker::noop());
    let mut round = |n| {
        assert!(svc.poll_ready(cx).is_ready());
        let result = std::pin::pin!(svc.call(n)).poll(cx);
        assert!(matches!(result, Poll::Ready(Ok(_))));
    };
    round(0);
    let allocated = alloc::count(|| (1..500).for_each(&mut round));
    assert_eq!(allocated.allocations, 0);
}

#[test]
fn invalid_limits_are_errors_that_name_the_field() {
    fn build(limit: impl Into<Limit>) -> String {
        let built = RateLimitConfig::builder().limit(limit).build();
        built.expect_err("invalid").to_string()
    }
    assert_eq!(
        build(Limit::strict(0, SECOND)),
        "`rate` is 0, accepted is a whole number from 1"
    );
    assert_eq!(
        build(Limit::strict(1, Duration::ZERO)),
        "`period` is 0ns, accepted is longer than zero and at most 366 days"
    );
    assert_eq!(
        build(Limit::strict(1, SECOND).margin(MINUTE)),
        "`margin` is 60s, accepted is at most 1s"
    );
    assert_eq!(
        build(Limit::window(1, MINUTE).margin(MINUTE)),
        "`margin` is 60s, accepted is at most 30s"
    );
    assert_eq!(
        build(Limit::window(1, MINUTE).offset(MINUTE)),
        "`offset` is 60s, accepted is shorter than the window, 60s"
    );
    assert!(build(Limit::bucket(u32::MAX, Duration::from_nanos(5))).starts_with("`rate` is"));
    assert!(build(Limit::bucket(1, Duration::from_secs(1 << 40))).starts_with("`period` is"));
    assert!(build(Limit::bucket(1, MINUTE).burst(u32::MAX)).starts_with("`burst` is"));
    let all = seawall_core::Ratio::ONE;
    assert!(build(Limit::quota(5, SECOND).utilization(all)).starts_with("`utilization` is 1"));
    let with_burst = Limit::quota(5, SECOND).utilization(all).burst(3);
    assert!(build(with_burst).starts_with("`utilization` is 1"));
    let many = (0..9).fold(RateLimitConfig::builder(), |b, _| {
        b.limit(Limit::strict(1, SECOND))
    });
    assert_eq!(
        many.build().unwrap_err().to_string(),
        "`limits` is 9, accepted is at most 8"
    );
    let lonely = RateLimitConfig::builder()
        .burst(3)
        .limit(Limit::strict(1, SECOND));
    assert!(
        lonely
            .build()
            .unwrap_err()
            .to_string()
            .contains("a burst of `rate`")
    );
}

proptest::proptest! {
    /// Rate and burst together stay within the quota, in any period.
    #[test]
    fn a_bucket_at_a_utilization_never_exceeds_the_quota(count in 1_u32..2_000, share in 0.01_f64..0.999) {
        let quota = Limit::quota(count, MINUTE);
        let safe = quota.utilization(seawall_core::Ratio::new(share).unwrap());
        if let Ok(config) = RateLimitConfig::builder().limit(safe).build() {
            let limit = &config.limits()[0];
            let flows = f64::from(limit.count()) * 60.0 / limit.period().as_secs_f64();
            proptest::prop_assert!(f64::from(limit.capacity()) + flows.floor() <= f64::from(count) + 1e-6);
            proptest::prop_assert!(flows <= f64::from(count) * share + 1e-3);
        }
    }
}
