//! What becomes known after a departure corrects the windows in which it counts, and no others.

use std::time::UNIX_EPOCH;

use seawall_core::{LateUsage, QuotaSignal, ReadQuotaSignals, ServerLimit, TokenCount, Unit};
use seawall_ratelimit::{DailyReset, Limit, Reservation};
use tower::{ServiceBuilder, ServiceExt, service_fn};

use super::*;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);

fn one(limit: impl Into<Limit>) -> RateLimitConfig {
    RateLimitConfig::builder()
        .limit(limit)
        .build()
        .expect("valid")
}

fn handle(limits: impl IntoIterator<Item = Limit>) -> RateLimitHandle {
    let builder = limits
        .into_iter()
        .fold(RateLimitConfig::builder(), RateLimitConfigBuilder::limit);
    RateLimitLayer::new("l", builder.build().expect("valid")).handle()
}

fn tokens(input: u32) -> RequestMeta {
    RequestMeta::new(Replay::Never).with_tokens(TokenCount::new(input, 0))
}

fn weight(cost: u32) -> RequestMeta {
    RequestMeta::new(Replay::Safe).with_cost(cost)
}

fn left(unit: Unit, remaining: u64, resets_in: Duration) -> QuotaSignal {
    let limit = ServerLimit::new(unit).with_remaining(remaining);
    QuotaSignal::Limit(limit.with_resets_in(resets_in))
}

fn take(handle: &RateLimitHandle, meta: &RequestMeta) -> bool {
    handle.try_reserve(meta).map(Reservation::commit).is_ok()
}

/// How many calls of this cost pass, of so many.
fn passing(handle: &RateLimitHandle, calls: u32, meta: &RequestMeta) -> u32 {
    (0..calls).map(|_| u32::from(take(handle, meta))).sum()
}

/// Every kind of limit, with 100,000 tokens of capacity or 10,000 at once.
fn of_tokens() -> [Limit; 4] {
    [
        Limit::bucket(100_000, MINUTE)
            .burst(10_000)
            .with_unit(Unit::Tokens)
            .into(),
        Limit::strict(100_000, MINUTE)
            .with_unit(Unit::Tokens)
            .into(),
        Limit::window(100_000, HOUR).with_unit(Unit::Tokens).into(),
        Limit::daily(100_000, DailyReset::utc())
            .with_unit(Unit::Tokens)
            .into(),
    ]
}

/// Each alone, and beside another limit.
fn alone_and_beside(limit: &Limit) -> [Vec<Limit>; 2] {
    let other = Limit::strict(1_000_000, SECOND).with_unit(Unit::Requests);
    [vec![limit.clone()], vec![limit.clone(), other.into()]]
}

#[tokio::test(start_paused = true)]
async fn a_report_about_a_short_window_does_not_end_one_about_a_long_window() {
    let bucket = Limit::from(Limit::bucket(100, SECOND).burst(100));
    for limits in alone_and_beside(&bucket) {
        let handle = handle(limits);
        // One answer with the headers of a limit per day and of one per second, in either order.
        handle.apply_signal(left(Unit::Cost, 10, HOUR));
        handle.apply_signal(left(Unit::Cost, 9, SECOND));
        advance(2 * SECOND).await;
        assert_eq!(passing(&handle, 100, &weight(1)), 10);
    }
}

#[tokio::test(start_paused = true)]
async fn a_refund_of_what_was_taken_before_does_not_raise_what_the_upstream_reports_is_left() {
    for limit in of_tokens() {
        for limits in alone_and_beside(&limit) {
            let handle = handle(limits);
            let reserved = handle.try_reserve(&tokens(1_000)).unwrap();
            advance(SECOND).await;
            handle.apply_signal(left(Unit::Tokens, 0, 30 * SECOND));
            advance(SECOND).await;
            drop(reserved);
            assert!(!take(&handle, &tokens(900)), "{limit}");
            // It came back: the report is over.
            advance(29 * SECOND).await;
            assert!(take(&handle, &tokens(10_000)), "{limit}");
        }
    }
}

/// One answer with what is left after the call, and what the call has used: as `HttpFeedback`
/// reports it.
#[tokio::test(start_paused = true)]
async fn the_usage_of_a_result_does_not_undo_what_it_reports_is_left() {
    for limit in of_tokens() {
        for resets_in in [None, Some(30 * SECOND)] {
            for limits in alone_and_beside(&limit) {
                for (reported, expected) in [(5_000, 5_000.0), (6_500, 6_500.0)] {
                    let config = limits
                        .iter()
                        .cloned()
                        .fold(RateLimitConfig::builder(), RateLimitConfigBuilder::limit);
                    let layer = RateLimitLayer::new("model", config.build().unwrap())
                        .describe(|_: &u32| tokens(4_000));
                    let handle = layer.handle();
                    let reads =
                        move |_: Result<&u32, &Error<()>>, report: &mut dyn FnMut(QuotaSignal)| {
                            let mut limit = ServerLimit::new(Unit::Tokens).with_remaining(reported);
                            limit.resets_in = resets_in;
                            report(QuotaSignal::Limit(limit));
                            report(QuotaSignal::Used {
                                unit: Unit::Tokens,
                                amount: 300,
                            });
                        };
                    let service = ServiceBuilder::new()
                        .layer(&layer)
                        .layer(layer.feedback(reads))
                        .service(service_fn(|n: u32| async move {
                            tokio::time::sleep(ms(1)).await;
                            Ok::<_, Error<()>>(n)
                        }));
                    service.oneshot(1).await.unwrap();
                    let left = handle.snapshot().limits[0].available;
                    assert!(
                        (left - expected).abs() < 10.0,
                        "{limit} {resets_in:?}: {left}"
                    );
                }
            }
        }
    }
}

/// Headers have resets in whole seconds, rounded up: the first answers of a new window come while the
/// old one is thought to last.
#[tokio::test(start_paused = true)]
async fn what_is_left_of_an_old_window_is_not_taken_for_that_of_the_new_one() {
    for limit in [
        Limit::from(Limit::bucket(600, MINUTE).burst(60)),
        Limit::strict(60, MINUTE).into(),
        Limit::window(60, MINUTE).into(),
        Limit::daily(60, DailyReset::utc()).into(),
    ] {
        let handle = handle([limit.clone()]);
        // At the begin of a window of the wall clock, for the ones that count by it.
        handle.set_wall_clock(UNIX_EPOCH + Duration::from_secs(1_900_000_040));
        handle.apply_signal(left(Unit::Cost, 3, 20 * SECOND));
        assert_eq!(passing(&handle, 60, &weight(1)), 3, "{limit}");
        advance(ms(19_500)).await;
        // The window of the provider has begun half a second ago.
        handle.apply_signal(left(Unit::Cost, 55, MINUTE));
        let passed = passing(&handle, 60, &weight(1));
        assert_eq!(passed, 55, "{limit}");
    }
}

/// One limit here, two windows there, both in each answer.
#[tokio::test(start_paused = true)]
async fn what_is_left_of_a_second_does_not_last_for_the_hour_that_another_report_names() {
    for limit in [
        Limit::from(Limit::bucket(10, SECOND).burst(10)),
        Limit::daily(50_000, DailyReset::utc()).into(),
        Limit::window(50_000, HOUR).into(),
        Limit::strict(50_000, HOUR).into(),
    ] {
        let handle = handle([limit.clone()]);
        let mut passed = 0;
        for _ in 0..600 {
            if take(&handle, &weight(1)) {
                passed += 1;
                handle.apply_signal(left(Unit::Cost, 5, SECOND));
                handle.apply_signal(left(Unit::Cost, 3_000, HOUR));
            }
            advance(SECOND / 2).await;
        }
        assert!(passed >= 500, "{limit}: {passed}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_call_used_beyond_its_estimate_counts_against_what_is_reported_as_left() {
    for limit in of_tokens() {
        for limits in alone_and_beside(&limit) {
            let handle = handle(limits);
            handle.apply_signal(left(Unit::Tokens, 1_000, 50 * SECOND));
            advance(ms(1)).await;
            let reserved = handle.try_reserve(&tokens(100)).unwrap();
            reserved.correct_usage(&[(Unit::Tokens, 900)]);
            advance(20 * SECOND).await;
            assert_eq!(passing(&handle, 10, &tokens(100)), 1, "{limit}");
        }
    }
}

/// In real time: what was taken at one reading is given back at a later one.
#[tokio::test]
async fn what_was_not_used_of_a_strict_limit_comes_back_in_real_time() {
    // By the answer of a call: it was estimated to weigh 50, and weighed 10.
    let layer =
        RateLimitLayer::new("l", one(Limit::strict(100, MINUTE))).describe(|_: &u32| weight(50));
    let by_answer = layer.handle();
    let usage = |_: Result<&u32, &Error<()>>, report: &mut dyn FnMut(QuotaSignal)| {
        report(QuotaSignal::Used {
            unit: Unit::Cost,
            amount: 10,
        });
    };
    let service = ServiceBuilder::new()
        .layer(&layer)
        .layer(layer.feedback(usage))
        .service(service_fn(|n: u32| async move { Ok::<_, Error<()>>(n) }));
    service.oneshot(1).await.unwrap();
    assert_eq!(by_answer.tokens(), 90.0);

    // By a reservation that had to wait, and was dropped.
    let config = RateLimitConfig::builder()
        .limit(Limit::strict(100, SECOND / 2))
        .max_wait(5 * SECOND);
    let by_drop = RateLimitLayer::new("l", config.build().unwrap()).handle();
    by_drop.reserve(&weight(100)).await.unwrap().commit();
    let reserved = by_drop.reserve(&weight(100)).await.unwrap();
    drop(reserved);
    assert_eq!(by_drop.tokens(), 100.0);
}

/// The same above 1,024, where the log has slices.
#[tokio::test]
async fn what_was_not_used_of_a_large_strict_limit_comes_back_in_real_time() {
    let layer = RateLimitLayer::new(
        "l",
        one(Limit::strict(100_000, MINUTE).with_unit(Unit::Tokens)),
    )
    .describe(|_: &u32| tokens(4_000));
    let handle = layer.handle();
    let usage = |_: Result<&u32, &Error<()>>, report: &mut dyn FnMut(QuotaSignal)| {
        report(QuotaSignal::Used {
            unit: Unit::Tokens,
            amount: 10,
        });
    };
    let mut service = ServiceBuilder::new()
        .layer(&layer)
        .layer(layer.feedback(usage))
        .service(service_fn(|n: u32| async move { Ok::<_, Error<()>>(n) }));
    for _ in 0..30 {
        service.ready().await.unwrap().call(1).await.unwrap();
    }
    assert_eq!(handle.tokens(), 99_700.0);
}

#[tokio::test(start_paused = true)]
async fn what_a_long_answer_did_not_use_comes_back_to_every_kind_of_limit() {
    for limit in [
        Limit::from(Limit::bucket(10_000, HOUR).burst(10_000)),
        Limit::window(10_000, 24 * HOUR).into(),
        Limit::strict(1_000, MINUTE).into(),
        Limit::strict(400_000, MINUTE).into(),
        Limit::daily(10_000, DailyReset::utc()).into(),
    ] {
        let handle = handle([limit.clone()]);
        handle.set_wall_clock(UNIX_EPOCH + 12 * HOUR);
        let all = handle.tokens();
        let reserved = handle.try_reserve(&weight(1_000)).unwrap();
        advance(5 * SECOND).await;
        reserved.correct_usage(&[(Unit::Cost, 300)]);
        assert!(
            handle.tokens() >= all - 300.0,
            "{limit}: {}",
            handle.tokens()
        );
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_taken_of_one_window_is_not_given_back_to_the_next() {
    for limit in [
        Limit::from(Limit::window(1_000, MINUTE)),
        Limit::daily(1_000, DailyReset::utc()).into(),
        Limit::strict(1_000, SECOND).into(),
    ] {
        for used in [100, 0, 950] {
            let handle = handle([limit.clone()]);
            // 23:59:59 UTC.
            handle.set_wall_clock(UNIX_EPOCH + Duration::from_secs(22_000 * 86_400 - 1));
            let stream = handle.try_reserve(&weight(900)).unwrap();
            advance(2 * SECOND).await;
            assert_eq!(passing(&handle, 20, &weight(100)), 10, "{limit}");
            // The stream that began before the edge ends.
            stream.correct_usage(&[(Unit::Cost, used)]);
            assert_eq!(handle.tokens(), 0.0, "{limit}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_correction_covers_all_units_at_once() {
    let handle = handle([
        Limit::from(Limit::strict(10_000, MINUTE).with_unit(Unit::InputTokens)),
        Limit::strict(10_000, MINUTE)
            .with_unit(Unit::OutputTokens)
            .into(),
        Limit::bucket(10_000, HOUR)
            .burst(10_000)
            .with_unit(Unit::Tokens)
            .into(),
        Limit::strict(10, MINUTE).with_unit(Unit::Requests).into(),
    ]);
    let estimate = RequestMeta::new(Replay::Never).with_tokens(TokenCount::new(1_000, 4_000));
    let reserved = handle.try_reserve(&estimate).unwrap();
    advance(10 * SECOND).await;
    reserved.correct_usage(&[
        (Unit::InputTokens, 1_100),
        (Unit::OutputTokens, 400),
        (Unit::Tokens, 1_500),
    ]);
    let left = || {
        handle
            .snapshot()
            .limits
            .iter()
            .map(|l| l.available.round())
            .collect::<Vec<_>>()
    };
    assert_eq!(left(), [8_900.0, 9_600.0, 8_500.0, 9.0]);
    // All of it counts as of the departure.
    advance(50 * SECOND).await;
    assert_eq!(left()[..2], [10_000.0, 10_000.0]);
}

/// Reads nothing, and hands the late usage on.
#[derive(Clone, Default)]
struct Late(Arc<Mutex<Option<LateUsage>>>);

impl ReadQuotaSignals<u32, Error<()>> for Late {
    fn read_signals(&self, _: Result<&u32, &Error<()>>, _: &mut dyn FnMut(QuotaSignal)) {}

    fn attach_late_usage(&self, _: &mut u32, late: &mut dyn FnMut() -> LateUsage) {
        *self.0.lock().expect("valid") = Some(late());
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_corrects_its_estimate_once_and_at_the_time_of_its_departure() {
    let layer = RateLimitLayer::new(
        "model",
        one(Limit::strict(10_000, MINUTE).with_unit(Unit::Tokens)),
    )
    .describe(|_: &u32| tokens(4_000));
    let (handle, late) = (layer.handle(), Late::default());
    let service = ServiceBuilder::new()
        .layer(&layer)
        .layer(layer.feedback(late.clone()))
        .service(service_fn(|n: u32| async move { Ok::<_, Error<()>>(n) }));
    service.oneshot(1).await.unwrap();
    let late = late.0.lock().unwrap().take().unwrap();
    advance(30 * SECOND).await;
    late.correct(&[(Unit::Tokens, 700)]);
    late.clone().correct(&[(Unit::Tokens, 0)]);
    assert_eq!(handle.tokens(), 9_300.0);
    advance(30 * SECOND).await;
    assert_eq!(handle.tokens(), 10_000.0);
}

#[tokio::test(start_paused = true)]
async fn what_a_key_used_corrects_the_key_and_the_account() {
    use seawall_core::PartitionKey;
    use seawall_ratelimit::{KeyedRateLimitConfig, KeyedRateLimitLayer};

    for within in [false, true] {
        let account = RateLimitLayer::new(
            "account",
            one(Limit::strict(20_000, MINUTE).with_unit(Unit::Tokens)),
        );
        let key = Limit::bucket(10_000, HOUR)
            .burst(10_000)
            .with_unit(Unit::Tokens);
        let config = KeyedRateLimitConfig::new(one(key)).unwrap();
        let layer = if within {
            KeyedRateLimitLayer::within_account("keys", config, &account.handle())
        } else {
            KeyedRateLimitLayer::new("keys", config)
        };
        let layer = layer.describe(|key: &u32| tokens(4_000).with_key(PartitionKey::of(key)));
        let (keys, late) = (layer.handle(), Late::default());
        let service = ServiceBuilder::new()
            .layer(&layer)
            .layer(layer.feedback(late.clone()))
            .service(service_fn(|n: u32| async move { Ok::<_, Error<()>>(n) }));
        service.oneshot(7).await.unwrap();
        assert_eq!(keys.tokens(PartitionKey::of(&7)), 6_000.0);
        let late = late.0.lock().unwrap().take().unwrap();
        late.correct(&[(Unit::Tokens, 700)]);
        assert_eq!(keys.tokens(PartitionKey::of(&7)), 9_300.0);
        let of_account = if within { 19_300.0 } else { 20_000.0 };
        assert_eq!(account.handle().tokens(), of_account);
        // More than was estimated, of a key that is not kept any more.
        advance(2 * HOUR).await;
        keys.evict_idle();
        assert_eq!(keys.keys_kept(), 0);
        keys.apply_signal(
            PartitionKey::of(&7),
            QuotaSignal::Used {
                unit: Unit::Tokens,
                amount: 10_100,
            },
        );
        assert_eq!(keys.tokens(PartitionKey::of(&7)), -100.0);
    }
}

/// What a bucket of 20 per second lets pass at one moment, when what was taken before comes back then.
async fn passing_with_late_refunds(limits: &[Limit], reserved: u32, used: Option<u64>) -> u32 {
    let handle = handle(limits.iter().cloned());
    let mut held = Vec::new();
    for _ in 0..reserved {
        held.push(handle.try_reserve(&weight(20)).expect("granted"));
        advance(SECOND).await;
    }
    let mut passed = passing(&handle, 100, &weight(1));
    for reserved in held {
        match used {
            Some(used) => reserved.correct_usage(&[(Unit::Cost, used)]),
            None => drop(reserved),
        }
        passed += passing(&handle, 100, &weight(1));
    }
    passed
}

#[tokio::test(start_paused = true)]
async fn what_has_flowed_into_a_bucket_since_is_not_given_back_once_more() {
    let bucket = Limit::from(Limit::bucket(20, SECOND).burst(20));
    for limits in alone_and_beside(&bucket) {
        for (reserved, used) in [(1, None), (1, Some(1)), (10, None), (10, Some(0))] {
            let passed = passing_with_late_refunds(&limits, reserved, used).await;
            assert_eq!(passed, 20, "{limits:?} {reserved} {used:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_gives_back_what_has_not_flowed_in_since_also_when_it_was_evicted() {
    use seawall_core::PartitionKey;
    use seawall_ratelimit::{KeyedRateLimitConfig, KeyedRateLimitLayer};

    let of_key = |cost| weight(cost).with_key(PartitionKey::of(&1));
    for used in [None, Some(0), Some(1)] {
        let config = KeyedRateLimitConfig::new(one(Limit::bucket(10, SECOND).burst(5))).unwrap();
        let keys = KeyedRateLimitLayer::new("keys", config).handle();
        let take = || {
            keys.try_reserve(&of_key(1))
                .map(Reservation::commit)
                .is_ok()
        };
        let late = keys.try_reserve(&of_key(5)).unwrap();
        advance(MINUTE).await;
        keys.evict_idle();
        let before = (0..20).filter(|_| take()).count();
        match used {
            Some(used) => late.correct_usage(&[(Unit::Cost, used)]),
            None => drop(late),
        }
        assert_eq!((before, (0..20).filter(|_| take()).count()), (5, 0));
        // A fifth of a second later two of five have flowed in, and three come back.
        advance(MINUTE).await;
        drop(keys.try_reserve(&of_key(5)).unwrap());
        let soon = keys.try_reserve(&of_key(5)).unwrap();
        advance(SECOND / 5).await;
        drop(soon);
        assert_eq!((0..20).filter(|_| take()).count(), 5);
    }
}

#[tokio::test(start_paused = true)]
async fn a_long_answer_gives_a_bucket_nothing_back_that_has_flowed_in_meanwhile() {
    let bucket = Limit::bucket(1_000, MINUTE)
        .burst(100)
        .with_unit(Unit::Tokens);
    let layer = RateLimitLayer::new("model", one(bucket)).describe(|_: &u32| tokens(100));
    let handle = layer.handle();
    let reads = |_: Result<&u32, &Error<()>>, report: &mut dyn FnMut(QuotaSignal)| {
        report(QuotaSignal::Used {
            unit: Unit::Tokens,
            amount: 1,
        });
    };
    let service = ServiceBuilder::new()
        .layer(&layer)
        .layer(layer.feedback(reads))
        .service(service_fn(|n: u32| async move {
            tokio::time::sleep(30 * SECOND).await;
            Ok::<_, Error<()>>(n)
        }));
    let answer = tokio::spawn(service.oneshot(1));
    tokio::time::sleep(30 * SECOND - ms(1)).await;
    assert!(take(&handle, &tokens(100)));
    answer.await.unwrap().unwrap();
    assert_eq!(passing(&handle, 10, &tokens(1)), 0);
}
