//! What keys cost: they are evicted after a rest, and what they take is reported.

use seawall_core::{PartitionKey, QuotaSignal, Scope, ServerLimit, TokenCount, Unit};
use seawall_ratelimit::{
    DailyReset, KeyedRateLimitConfig, KeyedRateLimitHandle, KeyedRateLimitLayer, Limit,
};
use tower::{ServiceBuilder, service_fn};

use super::*;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);

fn one(limit: impl Into<Limit>) -> RateLimitConfig {
    RateLimitConfig::builder()
        .limit(limit)
        .build()
        .expect("valid")
}

fn keyed(config: RateLimitConfig) -> KeyedRateLimitLayer {
    KeyedRateLimitLayer::new("k", KeyedRateLimitConfig::new(config).expect("valid"))
}

fn every_kind() -> [Limit; 4] {
    [
        Limit::bucket(10, SECOND).burst(5).into(),
        Limit::strict(5, SECOND).into(),
        Limit::window(5, SECOND).into(),
        Limit::daily(5, DailyReset::utc()).into(),
    ]
}

#[tokio::test(start_paused = true)]
async fn keys_that_the_upstream_has_reported_something_about_are_evicted_after_a_rest() {
    let report = ServerLimit::new(Unit::Requests).with_remaining(3);
    let signals = [
        QuotaSignal::Limit(report.with_resets_in(10 * SECOND)),
        QuotaSignal::Limit(report),
        QuotaSignal::Pause {
            lasts: Some(SECOND),
            scope: Scope::Endpoint,
        },
        QuotaSignal::Used {
            unit: Unit::Cost,
            amount: 2,
        },
    ];
    for signal in signals {
        for limit in every_kind() {
            let handle = keyed(one(limit.clone())).handle();
            for key in 0..100 {
                handle.apply_signal(PartitionKey(key), signal);
            }
            assert!(handle.keys_kept() > 0);
            advance(25 * HOUR).await;
            handle.evict_idle();
            assert_eq!(handle.keys_kept(), 0, "{limit} after {signal:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn keys_that_were_paused_for_a_time_are_evicted_after_a_rest() {
    for limit in every_kind() {
        let handle = keyed(one(limit.clone())).handle();
        for key in 0..100 {
            handle.pause_for(PartitionKey(key), SECOND);
        }
        handle.evict_idle();
        assert_eq!(handle.keys_kept(), 100);
        advance(25 * HOUR).await;
        handle.evict_idle();
        assert_eq!(handle.keys_kept(), 0, "{limit}");
        // One that is paused until it is resumed is kept.
        handle.pause(PartitionKey(1));
        advance(25 * HOUR).await;
        handle.evict_idle();
        assert_eq!(handle.keys_kept(), 1);
        handle.resume(PartitionKey(1));
        handle.evict_idle();
        assert_eq!(handle.keys_kept(), 0, "{limit}");
    }
}

/// Also by themselves, as new ones come.
#[tokio::test(start_paused = true)]
async fn keys_with_old_reports_make_room_for_new_ones() {
    let handle = keyed(one(Limit::strict(5, SECOND))).handle();
    let report = ServerLimit::new(Unit::Requests).with_remaining(3);
    for key in 0..30_000 {
        let signal = QuotaSignal::Limit(report.with_resets_in(ms(10)));
        handle.apply_signal(PartitionKey::of(&key), signal);
        if key % 100 == 0 {
            advance(ms(10)).await;
        }
    }
    assert!(handle.keys_kept() < 3_000, "{}", handle.keys_kept());
}

fn take(handle: &KeyedRateLimitHandle, key: u64, meta: &RequestMeta) {
    let meta = meta.with_key(PartitionKey(key));
    handle.try_reserve(&meta).expect("valid").commit();
}

#[tokio::test(start_paused = true)]
async fn what_keys_take_is_reported_within_a_factor_of_two() {
    let several = RateLimitConfig::builder()
        .limit(Limit::strict(100_000, MINUTE))
        .limit(Limit::strict(500, MINUTE).with_unit(Unit::Requests))
        .limit(Limit::bucket(10, SECOND).burst(10));
    let configs = every_kind().map(one).into_iter().chain([
        one(Limit::bucket(1_000, SECOND).burst(10)),
        one(Limit::strict(1_000, SECOND)),
        one(Limit::strict(100_000, SECOND)),
        several.build().unwrap(),
    ]);
    for config in configs {
        for calls in [1, 4] {
            let mut reported = 0;
            let mut handle = None;
            let really = alloc::count(|| {
                let keys = keyed(config.clone()).handle();
                for key in 0..2_000 {
                    for _ in 0..calls {
                        take(&keys, key, &RequestMeta::default());
                    }
                }
                reported = keys.bytes() as i64;
                handle = Some(keys);
            });
            let really = really.bytes_left;
            let within = reported / 2..=reported * 2;
            assert!(
                within.contains(&really),
                "{config:?}: {reported} of {really}"
            );
            drop(handle);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_strict_limit_of_a_key_takes_as_much_as_it_has_departures() {
    let handle = keyed(one(Limit::strict(1_000, MINUTE))).handle();
    for key in 0..100 {
        take(&handle, key, &RequestMeta::default());
    }
    let few = handle.bytes();
    assert!(few < 2_000 * 100, "{few}");
    for key in 0..100 {
        for _ in 0..999 {
            take(&handle, key, &RequestMeta::default());
            if key == 0 {
                advance(Duration::from_nanos(1)).await;
            }
        }
    }
    assert!(handle.bytes() > few);
    advance(2 * MINUTE).await;
    handle.evict_idle();
    assert!(handle.bytes() < few);
}

fn tokens(input: u32) -> RequestMeta {
    RequestMeta::new(Replay::Never).with_tokens(TokenCount::new(input, 0))
}

#[tokio::test(start_paused = true)]
async fn feedback_per_key_allocates_nothing() {
    let limits = [
        Limit::from(
            Limit::bucket(1_000_000, SECOND)
                .burst(1_000_000)
                .with_unit(Unit::Tokens),
        ),
        Limit::strict(1_000_000, SECOND)
            .with_unit(Unit::Tokens)
            .into(),
    ];
    let usage = |_: Result<&u32, &Error<()>>, report: &mut dyn FnMut(QuotaSignal)| {
        report(QuotaSignal::Used {
            unit: Unit::Tokens,
            amount: 3,
        });
        let limit = ServerLimit::new(Unit::Tokens).with_remaining(10_000_000);
        report(QuotaSignal::Limit(limit.with_resets_in(MINUTE)));
    };
    for limit in limits {
        let layer = keyed(one(limit)).describe(|_: &u32| tokens(10));
        let mut service = ServiceBuilder::new()
            .layer(&layer)
            .layer(layer.feedback(usage))
            .service(service_fn(|n: u32| {
                std::future::ready(Ok::<_, Error<()>>(n))
            }));
        let cx = &mut Context::from_waker(Waker::noop());
        let mut round = |n| {
            let result = std::pin::pin!(service.call(n)).poll(cx);
            assert!(matches!(result, Poll::Ready(Ok(_))));
        };
        (0..3_000).for_each(&mut round);
        let counts = alloc::count(|| (0..1_000).for_each(&mut round));
        assert_eq!(counts.allocations, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn usage_of_a_key_needs_no_limiter_where_a_word_is_enough() {
    let handle = keyed(one(Limit::bucket(10, SECOND).burst(10))).handle();
    let used = |amount| QuotaSignal::Used {
        unit: Unit::Cost,
        amount,
    };
    let empty = handle.bytes();
    for key in 0..1_000 {
        handle.apply_signal(PartitionKey(key), used(4));
    }
    assert_eq!(handle.tokens(PartitionKey(7)), 6.0);
    assert!(handle.bytes() - empty < 100 * 1_000, "{}", handle.bytes());
    // Of a unit that is not counted, and nothing: no key is made for that.
    handle.apply_signal(PartitionKey(5_000), used(0));
    let tokens = QuotaSignal::Used {
        unit: Unit::Tokens,
        amount: 7,
    };
    handle.apply_signal(PartitionKey(5_001), tokens);
    assert_eq!(handle.keys_kept(), 1_000);
}

#[tokio::test(start_paused = true)]
async fn a_key_with_reservations_takes_a_word_again_and_one_of_another_limit_a_kibibyte() {
    let hourly: [(Limit, usize); 4] = [
        (Limit::bucket(1, HOUR).burst(3).into(), 60),
        (Limit::window(3, HOUR).into(), 1_300),
        (Limit::strict(3, HOUR).into(), 1_300),
        (Limit::strict(100_000, HOUR).into(), 1_300),
    ];
    for (limit, most) in hourly {
        for corrected in [false, true] {
            let handle = keyed(one(limit.clone())).handle();
            for key in 0..10_000 {
                let meta = RequestMeta::default().with_key(PartitionKey(key));
                let reserved = handle.try_reserve(&meta).unwrap();
                if corrected {
                    reserved.correct_usage(&[(Unit::Cost, 2)]);
                } else {
                    reserved.commit();
                }
            }
            assert!(handle.bytes() / handle.keys_kept() <= 1_300, "{limit}");
            handle.evict_idle();
            assert_eq!(handle.keys_kept(), 10_000);
            let bytes = handle.bytes() / handle.keys_kept();
            assert!(bytes <= most, "{limit} {corrected}: {bytes}");
        }
    }
}
