//! What an upstream reports is applied within bounds, and what is cut is counted and emitted.

use std::time::Duration;

use seawall_core::{PartitionKey, QuotaSignal, Scope, ServerLimit, TokenCount, Unit};
use seawall_ratelimit::{KeyedRateLimitConfig, KeyedRateLimitLayer, Limit};

use super::operator::{HOUR, every_kind, left, of, throttle};
use super::*;

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 3_600);

fn one(limits: &[Limit]) -> RateLimitHandle {
    RateLimitLayer::new("desk", of(limits).build().expect("valid settings")).handle()
}

fn ban(lasts: Duration) -> QuotaSignal {
    QuotaSignal::Ban {
        lasts: Some(lasts),
        scope: Scope::Upstream,
    }
}

fn tokens(input: u32) -> RequestMeta {
    RequestMeta::new(Replay::Never).with_tokens(TokenCount::new(input, 0))
}

#[tokio::test(start_paused = true)]
async fn an_absurd_pause_is_cut_to_a_quarter_of_an_hour_and_a_ban_to_a_day() {
    for limits in every_kind() {
        for (signal, longest) in [
            (throttle(Duration::MAX), 15 * MINUTE),
            (throttle(Duration::from_secs(1_764_393_600)), 15 * MINUTE),
            (ban(Duration::MAX), DAY),
            (ban(Duration::from_secs(1_764_393_600)), DAY),
        ] {
            let handle = one(&limits);
            handle.apply_signal(signal);
            assert_eq!(handle.snapshot().resumes_in, Some(longest), "{limits:?}");
            assert_eq!(handle.counts().bounded, 1);
            advance(longest + DAY).await;
            assert!(handle.try_reserve(&RequestMeta::default()).is_ok());
        }
        let handle = one(&limits);
        handle.apply_signal(throttle(15 * MINUTE));
        handle.apply_signal(ban(DAY));
        assert_eq!(handle.counts().bounded, 0, "within the bounds");
        // What an operator commands has none.
        handle.pause_for(1_000 * DAY);
        assert_eq!(handle.snapshot().resumes_in, Some(1_000 * DAY));
    }
}

#[tokio::test(start_paused = true)]
async fn the_bounds_are_settings() {
    let config = builder(5)
        .max_pause(MINUTE)
        .max_ban(HOUR)
        .max_debt(1)
        .build()
        .unwrap();
    assert_eq!((config.max_pause(), config.max_ban()), (MINUTE, HOUR));
    assert_eq!(config.max_debt(), 1);
    let layer = RateLimitLayer::new("desk", config.clone());
    let handle = layer.handle();
    handle.apply_signal(throttle(HOUR));
    assert_eq!(handle.snapshot().resumes_in, Some(MINUTE));
    handle.apply_signal(ban(DAY));
    assert_eq!(handle.snapshot().resumes_in, Some(HOUR));
    handle.resume();
    handle.apply_signal(left(Unit::Requests, 0, DAY));
    assert_eq!(handle.time_to_next(&RequestMeta::default()), Some(HOUR));
    assert_eq!(handle.counts().bounded, 3);
    let settings = handle.settings();
    let of = |name: &str| settings.iter().find(|(field, _)| *field == name);
    for (name, value) in [
        ("max_pause", "60s"),
        ("max_ban", "3600s"),
        ("max_debt", "1"),
    ] {
        assert_eq!(of(name).map(|(_, v)| v.as_str()), Some(value));
    }
    // Of keys, too: of the key, and of all of them.
    let keys = KeyedRateLimitConfig::new(config).unwrap();
    let keys = KeyedRateLimitLayer::new("keys", keys).handle();
    keys.apply_signal(PartitionKey(1), throttle(HOUR));
    assert_eq!(keys.snapshot().resumes_in, Some(MINUTE));
    assert_eq!(keys.counts().bounded, 1);
}

#[test]
fn invalid_bounds_are_errors_that_name_the_field() {
    let error = |builder: RateLimitConfigBuilder| builder.build().unwrap_err().to_string();
    assert_eq!(
        error(builder(5).max_pause(Duration::ZERO)),
        "`max_pause` is 0ns, accepted is longer than zero"
    );
    assert_eq!(
        error(builder(5).max_ban(Duration::ZERO)),
        "`max_ban` is 0ns, accepted is longer than zero"
    );
    assert_eq!(
        error(builder(5).default_pause(HOUR)),
        "`default_pause` is 3600s, accepted is at most `max_pause`, 900s"
    );
    for debt in [0, 1_001] {
        assert_eq!(
            error(builder(5).max_debt(debt)),
            format!("`max_debt` is {debt}, accepted is a whole number from 1 to 1000")
        );
    }
}

#[tokio::test(start_paused = true)]
async fn an_absurd_usage_is_owed_for_a_few_periods() {
    for limit in [
        Limit::bucket(100_000, MINUTE)
            .burst(10_000)
            .with_unit(Unit::Tokens)
            .into(),
        Limit::from(Limit::strict(100_000, MINUTE).with_unit(Unit::Tokens)),
        Limit::window(100_000, MINUTE)
            .with_unit(Unit::Tokens)
            .into(),
    ] {
        for times in [1, 3] {
            let handle = one(std::slice::from_ref(&limit));
            for _ in 0..times {
                handle.apply_signal(QuotaSignal::Used {
                    unit: Unit::Tokens,
                    amount: u64::MAX,
                });
            }
            assert_eq!(handle.counts().bounded, times, "{limit}");
            assert!(handle.try_reserve(&tokens(1)).is_err());
            let wait = handle.time_to_next(&tokens(1)).unwrap();
            assert!(wait <= 3 * MINUTE + ms(1), "{limit}: {wait:?}");
            advance(wait).await;
            assert!(handle.try_reserve(&tokens(1)).is_ok(), "{limit}");
            // A correct one is not cut.
            handle.apply_signal(QuotaSignal::Used {
                unit: Unit::Tokens,
                amount: 90_000,
            });
            assert_eq!(handle.counts().bounded, times);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_absurd_usage_of_a_key_is_owed_for_a_few_periods() {
    let keys = KeyedRateLimitConfig::new(builder(5)).unwrap();
    let keys = KeyedRateLimitLayer::new("keys", keys).handle();
    let used = QuotaSignal::Used {
        unit: Unit::Cost,
        amount: u64::MAX,
    };
    for _ in 0..3 {
        keys.apply_signal(PartitionKey(1), used);
    }
    assert_eq!(keys.counts().bounded, 3);
    assert!(keys.tokens(PartitionKey(1)) >= -30.0);
    advance(3 * SECOND + ms(600)).await;
    assert_eq!(keys.tokens(PartitionKey(1)), 5.0);
}

/// A debt, a new rate, and a refill.
#[tokio::test(start_paused = true)]
async fn a_bucket_in_absurd_debt_can_be_refilled_after_its_rate_was_changed() {
    let bucket = |rate| builder(5).rate(rate, SECOND).build().unwrap();
    for (before, after) in [(10, 5), (5, 10), (10, 10)] {
        let handle = RateLimitLayer::new("desk", bucket(before)).handle();
        handle.apply_signal(QuotaSignal::Used {
            unit: Unit::Cost,
            amount: u64::MAX,
        });
        handle.configure(bucket(after)).unwrap();
        handle.refill();
        assert!(handle.try_reserve(&RequestMeta::default()).is_ok());
    }
}

#[tokio::test(start_paused = true)]
async fn hostile_reports_panic_nowhere_and_are_forgotten() {
    let numbers = [None, Some(0), Some(1), Some(u64::MAX)];
    let times = [
        None,
        Some(Duration::ZERO),
        Some(Duration::from_nanos(1)),
        Some(SECOND),
        Some(Duration::MAX),
    ];
    for limits in every_kind() {
        let handle = one(&limits);
        for unit in [Unit::Requests, Unit::Cost, Unit::Tokens, Unit::Other("x")] {
            for remaining in numbers {
                for limit in numbers {
                    for used in numbers {
                        for resets_in in times {
                            for window in times {
                                let mut report = ServerLimit::new(unit);
                                (report.remaining, report.limit, report.used) =
                                    (remaining, limit, used);
                                (report.resets_in, report.window) = (resets_in, window);
                                handle.apply_signal(QuotaSignal::Limit(report));
                            }
                        }
                    }
                }
            }
        }
        for time in times {
            for signal in [
                QuotaSignal::Pause {
                    lasts: time,
                    scope: Scope::Account,
                },
                QuotaSignal::Ban {
                    lasts: time,
                    scope: Scope::Account,
                },
            ] {
                handle.apply_signal(signal);
            }
        }
        let _ = (
            handle.snapshot(),
            handle.tokens(),
            handle.time_to_next(&RequestMeta::default()),
        );
        handle.refill();
        advance(DAY).await;
        assert!(
            handle.try_reserve(&RequestMeta::default()).is_ok(),
            "{limits:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_cut_is_emitted() {
    let events = Events::new(16);
    let mut seen = events.subscribe();
    let handle = one(&[Limit::bucket(10, SECOND).burst(5).into()]);
    handle.attach(&events);
    handle.apply_signal(throttle(HOUR));
    handle.apply_signal(ban(7 * DAY));
    handle.apply_signal(left(Unit::Cost, 1, 7 * DAY));
    handle.apply_signal(QuotaSignal::Used {
        unit: Unit::Cost,
        amount: 1_000,
    });
    let mut cut = Vec::new();
    let mut throttled = Vec::new();
    while let Some(Received::Event(event)) = seen.try_next() {
        if let EventKind::Throttled { wait } = event.kind {
            throttled.push(wait);
        }
        if let EventKind::Bounded {
            what,
            reported,
            applied,
        } = event.kind
        {
            cut.push((what, reported, applied));
        }
    }
    let day = 24 * 3_600_000;
    assert_eq!(
        cut,
        [
            ("pause_ms", 3_600_000, 900_000),
            ("ban_ms", 7 * day, day),
            ("reset_ms", 7 * day, day),
            ("usage", 1_000, 30),
        ]
    );
    assert_eq!(throttled, [HOUR / 4, DAY], "what is applied");
}

// ---- What a report applies to

#[tokio::test(start_paused = true)]
async fn a_report_of_a_window_reaches_the_only_limit_of_that_unit() {
    let share = seawall_core::Ratio::new(0.8).unwrap();
    for limit in [
        Limit::from(Limit::quota(1_200, MINUTE).utilization(share)),
        // 20 per second for the 1,200 per minute of the provider.
        Limit::bucket(20, SECOND).burst(20).into(),
        Limit::strict(20, SECOND).into(),
        Limit::window(100, 5 * SECOND).into(),
    ] {
        let handle = one(std::slice::from_ref(&limit));
        // As `X-MBX-USED-WEIGHT-1M: 1200` of a limit of 1,200, or `RateLimit-Policy: 1200;w=60`.
        let report = ServerLimit::new(Unit::Cost)
            .with_window(MINUTE)
            .with_limit(1_200);
        let report = report.with_remaining(0).with_resets_in(30 * SECOND);
        handle.apply_signal(QuotaSignal::Limit(report));
        let rejected = handle.try_reserve(&RequestMeta::default()).unwrap_err();
        assert_eq!(
            rejected.retry_after(),
            Some(30 * SECOND),
            "{limit}: not cut to its own window"
        );
        assert_eq!(handle.counts().unplaced, 0);
    }
}

/// By usage alone, the count is what the limit lets depart in the reported window.
#[tokio::test(start_paused = true)]
async fn usage_of_a_window_is_measured_by_what_the_limit_grants_in_it() {
    let share = seawall_core::Ratio::new(0.8).unwrap();
    for (limit, most) in [
        (
            Limit::from(Limit::quota(1_200, MINUTE).utilization(share)),
            1_200,
        ),
        (Limit::strict(20, SECOND).into(), 1_200),
        (Limit::strict(1_200, MINUTE).into(), 1_200),
    ] {
        let used = |used| {
            let report = ServerLimit::new(Unit::Cost)
                .with_window(MINUTE)
                .with_used(used);
            QuotaSignal::Limit(report)
        };
        let handle = one(std::slice::from_ref(&limit));
        handle.apply_signal(used(most - 3));
        assert_eq!(handle.tokens(), 3.0, "{limit}");
        handle.apply_signal(used(most));
        assert_eq!(handle.tokens(), 0.0, "{limit}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_no_limit_counts_is_counted_as_not_placed() {
    let handle = one(&[Limit::bucket(10, SECOND).burst(5).into()]);
    handle.apply_signal(left(Unit::Tokens, 0, HOUR));
    handle.apply_signal(QuotaSignal::Limit(ServerLimit::new(Unit::Cost)));
    assert_eq!((handle.counts().unplaced, handle.tokens()), (2, 5.0));
    // A key that does not count the unit: the account may.
    let account = of(&[Limit::strict(100, MINUTE).with_unit(Unit::Tokens).into()]);
    let account = RateLimitLayer::new("account", account.build().unwrap()).handle();
    let keys = KeyedRateLimitConfig::new(builder(5)).unwrap();
    let keys = KeyedRateLimitLayer::within_account("keys", keys, &account).handle();
    keys.apply_signal(PartitionKey(1), left(Unit::Tokens, 7, HOUR));
    assert_eq!((account.tokens(), keys.counts().unplaced), (7.0, 0));
    keys.apply_signal(PartitionKey(1), left(Unit::Other("orders"), 7, HOUR));
    assert_eq!(keys.counts().unplaced, 1);
}

#[tokio::test(start_paused = true)]
async fn a_report_of_a_short_window_does_not_end_one_of_a_long_window() {
    let second = Limit::from(Limit::bucket(100, SECOND).burst(100));
    let tokens = Limit::from(Limit::strict(1_000_000, SECOND).with_unit(Unit::Tokens));
    for limits in [vec![second.clone()], vec![second, tokens]] {
        let handle = one(&limits);
        // One response with the headers of a limit per hour and of one per second.
        handle.apply_signal(left(Unit::Requests, 10, HOUR));
        handle.apply_signal(left(Unit::Requests, 9, SECOND));
        advance(2 * SECOND).await;
        let reserve = |_: &u32| match handle.try_reserve(&RequestMeta::default()) {
            Ok(reserved) => {
                reserved.commit();
                true
            }
            Err(_) => false,
        };
        assert_eq!((0..100).filter(reserve).count(), 10, "{limits:?}");
    }
}

/// Headers have resets in whole seconds, rounded up: the first responses of a new window come while
/// the old one is thought to last.
#[tokio::test(start_paused = true)]
async fn the_few_of_an_old_window_are_not_taken_for_those_of_the_new_one() {
    for limit in [
        Limit::from(Limit::bucket(60, MINUTE).burst(60)),
        Limit::strict(60, MINUTE).into(),
        Limit::window(60, MINUTE).into(),
    ] {
        let handle = one(std::slice::from_ref(&limit));
        handle.set_wall_clock(std::time::UNIX_EPOCH + Duration::from_secs(1_900_000_020));
        handle.apply_signal(left(Unit::Requests, 3, 20 * SECOND));
        advance(ms(19_500)).await;
        // The window of the provider began half a second ago.
        handle.apply_signal(left(Unit::Requests, 59, MINUTE));
        advance(SECOND).await;
        let reserve = |_: &u32| match handle.try_reserve(&RequestMeta::default()) {
            Ok(reserved) => {
                reserved.commit();
                true
            }
            Err(_) => false,
        };
        let passed = (0..60).filter(reserve).count();
        assert!(
            (20..=59).contains(&passed),
            "{limit}: {passed} of the 59 that were left"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn the_few_of_a_second_do_not_last_for_the_hour_that_another_report_names() {
    for limit in [
        Limit::from(Limit::bucket(10, SECOND).burst(10)),
        Limit::daily(50_000, seawall_ratelimit::DailyReset::utc()).into(),
    ] {
        let handle = one(std::slice::from_ref(&limit));
        let mut passed = 0;
        for _ in 0..600 {
            if let Ok(reserved) = handle.try_reserve(&RequestMeta::default()) {
                reserved.commit();
                passed += 1;
                handle.apply_signal(left(Unit::Requests, 5, SECOND));
                handle.apply_signal(left(Unit::Requests, 3_000, HOUR));
            }
            advance(SECOND / 2).await;
        }
        assert!(passed >= 100, "{limit}: {passed} in five minutes");
    }
}

#[test]
fn pauses_that_were_not_set_are_those_of_another_configuration() {
    let (minute, hour) = (Duration::from_secs(60), Duration::from_secs(3_600));
    let unset = RateLimitConfig::builder().build().unwrap();
    let set = RateLimitConfig::builder()
        .default_pause(Duration::from_secs(1))
        .max_pause(15 * minute)
        .max_ban(24 * hour)
        .build()
        .unwrap();
    assert_eq!(unset, set, "a default is equal to the same value");
    let base = RateLimitConfig::builder()
        .rate(1, minute)
        .default_pause(hour)
        .max_pause(2 * hour)
        .max_ban(72 * hour)
        .build()
        .unwrap();
    let pauses = |config: RateLimitConfig| {
        let config = config.with_pauses_of(&base);
        (config.default_pause(), config.max_pause(), config.max_ban())
    };
    assert_eq!(pauses(unset.clone()), (hour, 2 * hour, 72 * hour));
    assert_eq!(
        pauses(set.clone()),
        (Duration::from_secs(1), 15 * minute, 24 * hour)
    );
    assert_ne!(unset.clone().with_pauses_of(&base), unset);
    assert_eq!(unset.clone().with_pauses_of(&base).limits(), unset.limits());
    // Neither bound contradicts the other.
    let short = RateLimitConfig::builder()
        .max_pause(minute)
        .build()
        .unwrap();
    assert_eq!(pauses(short), (minute, minute, 72 * hour));
    let long = RateLimitConfig::builder()
        .default_pause(3 * hour)
        .max_pause(3 * hour)
        .build()
        .unwrap();
    let low = RateLimitConfig::builder()
        .max_pause(minute)
        .build()
        .unwrap();
    let ten = RateLimitConfig::builder()
        .default_pause(10 * minute)
        .build()
        .unwrap();
    assert_eq!(ten.with_pauses_of(&low).max_pause(), 10 * minute);
    assert_eq!(pauses(long), (3 * hour, 3 * hour, 72 * hour));
}
