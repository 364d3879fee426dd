use super::*;
use proptest::prelude::*;

const SECOND: u64 = 1_000_000_000;

/// Takes as soon as it can, `cost` at a time, until the clock is at `end`; returns how much.
fn at_full_load(strict: &mut Strict, end: u64, cost: u64) -> Vec<Run> {
    let (mut now, mut grants) = (0, Vec::new());
    while now < end {
        match strict.wait(Start::now(now), cost) {
            0 => {
                strict.take(now, cost);
                grants.push((now, cost));
            }
            wait => now += wait,
        }
    }
    grants
}

/// The most within any half-open stretch of this length.
fn busiest(grants: &[Run], span: u64) -> u64 {
    let (mut from, mut sum, mut most) = (0, 0, 0);
    for (at, cost) in grants {
        sum += cost;
        while grants[from].0 + span <= *at {
            sum -= grants[from].1;
            from += 1;
        }
        most = most.max(sum);
    }
    most
}

#[test]
fn a_departure_counts_for_exactly_one_period() {
    let mut strict = Strict::new(2, SECOND, 0);
    strict.take(0, 1);
    strict.take(400_000_000, 1);
    assert_eq!(strict.wait(Start::now(400_000_000), 1), 600_000_000);
    assert_eq!(strict.wait(Start::now(999_999_999), 1), 1);
    assert_eq!(strict.wait(Start::now(SECOND), 1), 0);
    assert_eq!(strict.wait(Start::now(SECOND), 2), 400_000_000);
    assert_eq!(strict.used(SECOND), 1);
    assert!((strict.available(Start::now(SECOND)) - 1.0).abs() < 1e-9);
}

#[test]
fn a_margin_makes_the_stretch_longer() {
    let mut strict = Strict::new(1, SECOND, 50_000_000);
    strict.take(0, 1);
    assert_eq!(strict.wait(Start::now(SECOND), 1), 50_000_000);
}

#[test]
fn large_counts_keep_the_bound_and_use_95_percent_at_full_load() {
    for (count, cost) in [(1_025, 1), (6_000, 7), (100_000, 61)] {
        let mut strict = Strict::new(count, 60 * SECOND, 0);
        let end = 20 * 60 * SECOND;
        let grants = at_full_load(&mut strict, end, cost);
        assert!(busiest(&grants, 60 * SECOND) <= u64::from(count));
        let granted: u64 = grants.iter().map(|grant| grant.1).sum();
        let allowed = u64::from(count) * 20;
        assert!(granted * 100 >= allowed * 95, "{granted} of {allowed}");
    }
}

#[test]
fn no_entry_is_allocated_per_departure() {
    for count in [1, 1_024, 1_025, u32::MAX] {
        let mut strict = Strict::new(count, SECOND, 0);
        assert_eq!(strict.heap_bytes(), 0);
        strict.reserve();
        let capacity = strict.log.capacity();
        assert!(capacity >= strict.max_entries && strict.max_entries <= 1_024);
        let mut now = 0;
        for step in 0..5_000 {
            strict.take(now, 1);
            now += step * 1_000;
        }
        assert_eq!(strict.log.capacity(), capacity);
    }
}

#[test]
fn a_debit_over_the_count_is_owed_for_one_period() {
    let mut strict = Strict::new(10, SECOND, 0);
    strict.take(0, 35);
    assert_eq!(strict.wait(Start::now(1), 1), SECOND - 1);
    assert_eq!(strict.used(1), 35);
    assert_eq!(strict.wait(Start::now(SECOND), 10), 0);
}

/// A pause of so long, at whose end the limit starts.
fn pause(until: u64, lasted: u64) -> Pause {
    let mut pause = Pause::NONE;
    pause.extend(until - lasted, until, false);
    pause
}

#[test]
fn after_a_pause_grants_come_evenly() {
    for count in [4, 4_000] {
        let mut strict = Strict::new(count, SECOND, 0);
        strict.take(0, 1);
        let start = |now| Start::new(now, pause(10 * SECOND, 9 * SECOND));
        assert!(strict.wait(start(0), 1) > 10 * SECOND);
        assert_eq!(strict.available(start(10 * SECOND)), 0.0);
        let mut grants = Vec::new();
        let mut now = 0;
        while now < 11 * SECOND {
            match strict.wait(start(now), 1) {
                0 => {
                    strict.take(now, 1);
                    grants.push(now);
                }
                wait => now += wait,
            }
        }
        let half = grants.iter().filter(|at| **at <= 10 * SECOND + SECOND / 2);
        let half = half.count() as u32;
        assert!(
            (count / 2).abs_diff(half) <= count / 100,
            "{half} of {count}"
        );
        assert_eq!(grants.len() as u32, count - 1);
    }
}

#[test]
fn a_short_pause_costs_a_long_limit_little() {
    let mut strict = Strict::new(25, 24 * 3_600 * SECOND, 0);
    strict.take(0, 5);
    let pause = pause(30 * SECOND, 30 * SECOND);
    assert!(strict.wait(Start::new(0, pause), 1) <= 33 * SECOND);
    assert_eq!(strict.available(Start::new(60 * SECOND, pause)), 20.0);
}

#[test]
fn a_pause_that_is_forgotten_leaves_nothing_behind() {
    let mut strict = Strict::new(4, SECOND, 0);
    strict.take(0, 3);
    let paused = Start::new(0, pause(10 * SECOND, 10 * SECOND));
    assert!(strict.wait(paused, 7) > 10 * SECOND);
    assert_eq!(strict.wait(Start::now(0), 1), 0);
    assert_eq!(strict.wait(Start::now(0), 2), SECOND);
    strict.set(0, 100, SECOND, 0);
    assert_eq!(strict.wait(paused, 1), 10 * SECOND + SECOND / 100);
}

#[test]
fn a_refund_removes_what_was_taken_at_that_time() {
    let mut strict = Strict::new(10, SECOND, 0);
    strict.take(0, 3);
    strict.take(100, 5);
    strict.take(200, 2);
    strict.give_back(300, 4, 100);
    assert_eq!(strict.used(300), 6);
    assert_eq!(strict.wait(Start::now(300), 4), 0);
    assert_eq!(strict.wait(Start::now(300), 7), SECOND - 300);
    assert_eq!(strict.wait(Start::now(300), 8), SECOND - 200);
    // Only what counts can be given back.
    strict.give_back(300, u64::MAX, 100);
    assert_eq!(strict.used(300), 0);
    strict.take(300, 3);
    strict.give_back(5 * SECOND, 3, 0);
    assert_eq!(strict.used(5 * SECOND), 0);
}

#[test]
fn a_smaller_count_waits_for_what_counts_and_a_larger_one_grants_the_difference() {
    let mut strict = Strict::new(10, SECOND, 0);
    strict.take(0, 10);
    strict.set(0, 2, SECOND, 0);
    assert_eq!(
        (strict.capacity(), strict.wait(Start::now(0), 1)),
        (2, SECOND)
    );
    assert_eq!(strict.clone().wait(Start::now(SECOND), 2), 0);
    strict.set(0, 5_000, SECOND, 0);
    assert_eq!(strict.wait(Start::now(0), 4_990), 0);
    assert!(strict.wait(Start::now(0), 4_991) >= SECOND);
    // A longer period makes what counts now count for longer.
    strict.set(0, 10, 60 * SECOND, 0);
    assert!(strict.wait(Start::now(SECOND), 1) >= 59 * SECOND);
}

#[test]
fn extremes_neither_panic_nor_block_later_grants() {
    for count in [1, 1_024, 1_025, u32::MAX] {
        for span in [0, 1, SECOND, u64::MAX] {
            for now in [0, 1, SECOND, u64::MAX - 1, u64::MAX] {
                let mut strict = Strict::new(count, span, span);
                strict.take(now, u64::MAX);
                strict.take(now, u64::MAX);
                let _ = (
                    strict.wait(Start::now(now), u64::MAX),
                    strict.wait(Start::now(0), 1),
                );
                strict.give_back(now, u64::MAX, now);
                strict.give_back(0, u64::MAX, 0);
                assert_eq!(strict.used(now), 0);
                strict.lower_to(now, 0);
                let mut paused = Pause::NONE;
                paused.extend(now, u64::MAX, false);
                let start = Start::new(now, paused);
                assert!(now >= u64::MAX - 1 || strict.wait(start, 1) > 1);
                let _ = (strict.wait(start, u64::MAX), strict.available(start));
                strict.set(now, 1, u64::MAX, 1);
                strict.set(now, u32::MAX, 0, 0);
                let _ = (
                    strict.wait(Start::now(now), 1),
                    strict.available(Start::now(now)),
                    strict.used(now),
                );
            }
        }
    }
}

#[test]
fn a_refund_of_an_expired_departure_changes_nothing() {
    let mut strict = Strict::new(1, 1_000, 0);
    strict.take(0, 1);
    strict.take(1_000, 1);
    strict.give_back(1_001, 1, 0);
    assert_eq!(strict.wait(Start::now(1_001), 1), 999);
}

/// Cancelled calls, debits, and calls in shadow mode come at any rate.
#[test]
fn the_log_never_has_more_than_max_entries() {
    let mut strict = Strict::new(10, 3_600 * SECOND, 0);
    for at in 0..10_000 {
        strict.take(at, 1);
        strict.give_back(at, 1, at);
    }
    assert!(strict.log.is_empty());
    for at in 10_000..20_000 {
        strict.take(at, 1);
    }
    assert_eq!((strict.log.len(), strict.used(20_000)), (10, 10_000));
}

#[test]
fn a_refund_finds_what_was_taken_before_the_log_was_cut_into_slices() {
    let mut strict = Strict::new(1_024, 1_280_000, 0);
    strict.take(5, 1);
    strict.take(9_000, 1_000);
    strict.set(9_000, 1_025, 1_280_000, 0);
    strict.give_back(9_001, 1, 5);
    assert_eq!(strict.used(9_001), 1_000);
    assert!(strict.wait(Start::now(1_280_005), 26) > 0);
}

#[derive(Clone, Debug)]
enum Step {
    Pass(u64),
    Back(u64),
    Try(u64),
    Refund(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0_u64..400).prop_map(Step::Pass),
        1 => (0_u64..400).prop_map(Step::Back),
        8 => (0_u64..5).prop_map(Step::Try),
        2 => (0_usize..8).prop_map(Step::Refund),
    ];
    prop::collection::vec(step, 1..150)
}

proptest! {
    /// The definition, with a list of all departures.
    #[test]
    fn grants_follow_the_definition(
        count in 1_u32..12,
        span in 1_u64..2_000,
        arrivals in prop::collection::vec((0_u64..400, 1_u64..5), 1..150),
    ) {
        let mut strict = Strict::new(count, span, 0);
        let mut grants: Vec<Run> = Vec::new();
        let mut now = 0;
        for (gap, cost) in arrivals {
            now += gap;
            let counts = |at: u64| -> u64 {
                grants.iter().filter(|grant| grant.0 + span > at).map(|grant| grant.1).sum()
            };
            prop_assert_eq!(strict.used(now), counts(now));
            if cost > u64::from(count) {
                continue;
            }
            let first = (now..).find(|at| counts(*at) + cost <= u64::from(count));
            prop_assert_eq!(Some(now + strict.wait(Start::now(now), cost)), first);
            if first == Some(now) {
                strict.take(now, cost);
                grants.push((now, cost));
            }
        }
    }

    /// Whatever happens, and whether the clock goes back or not.
    #[test]
    fn no_stretch_sees_more_than_the_count(
        count in prop_oneof![1_u32..12, Just(EXACT + 1)],
        span in 1_u64..2_000,
        unit in prop_oneof![Just(1_u64), Just(100)],
        steps in steps(),
    ) {
        let mut strict = Strict::new(count, span, 0);
        let mut grants: Vec<Run> = Vec::new();
        let (mut now, mut seen) = (0_u64, 0);
        for step in steps {
            match step {
                Step::Pass(by) => now += by,
                Step::Back(by) => now = now.saturating_sub(by),
                Step::Try(cost) => {
                    let cost = cost * unit;
                    if cost > 0 && cost <= u64::from(count) && strict.wait(Start::now(now), cost) == 0 {
                        strict.take(now, cost);
                        grants.push((seen.max(now), cost));
                    }
                }
                Step::Refund(nth) => {
                    if let Some(at) = grants.len().checked_sub(nth + 1) {
                        let (taken_at, cost) = grants.remove(at);
                        strict.give_back(now, cost, taken_at);
                    }
                }
            }
            // Only the limit's own readings move its time.
            let before = seen;
            seen = strict.latest;
            prop_assert!(seen >= before);
        }
        prop_assert!(busiest(&grants, span) <= u64::from(count));
        prop_assert!(strict.log.len() <= strict.max_entries);
    }

    #[test]
    fn a_wait_names_the_first_instant_that_grants(
        count in prop_oneof![1_u32..12, Just(EXACT + 1)],
        span in 1_u64..2_000,
        before in prop::collection::vec((0_u64..400, 1_u64..500), 0..50),
        cost in 1_u64..800,
        paused in prop::option::of((0_u64..2_500, 1_u64..2_500)),
    ) {
        let mut strict = Strict::new(count, span, 0);
        let mut now = 0;
        for (gap, cost) in before {
            now += gap;
            strict.take(now, cost);
        }
        let mut pause = Pause::NONE;
        if let Some((after, lasted)) = paused {
            pause.extend((now + after).saturating_sub(lasted), now + after, false);
        }
        let start = |at| Start::new(at, pause);
        let cost = cost.min(count.into());
        let wait = strict.wait(start(now), cost);
        if wait > 0 {
            prop_assert!(strict.clone().wait(start(now + wait - 1), cost) > 0);
        }
        prop_assert_eq!(strict.wait(start(now + wait), cost), 0);
    }

    #[test]
    fn sums_of_ones_are_granted_at_the_forecast_time(
        count in prop_oneof![1_u32..6, Just(EXACT + 1)],
        span in 1_u64..2_000,
        before in prop::collection::vec((0_u64..400, 1_u64..600), 0..20),
        sum in 1_u64..3_000,
        paused in prop::option::of(0_u64..3_000),
    ) {
        let mut strict = Strict::new(count, span, 0);
        let mut now = 0;
        for (gap, cost) in before {
            now += gap;
            strict.take(now, cost);
        }
        let mut pause = Pause::NONE;
        if let Some(after) = paused {
            pause.extend(now, now + after, false);
        }
        let start = |at| Start::new(at, pause);
        let forecast = strict.wait(start(now), sum);
        let mut then = now;
        for _ in 0..sum {
            then += strict.wait(start(then), 1);
            prop_assert_eq!(strict.wait(start(then), 1), 0);
            strict.take(then, 1);
        }
        prop_assert_eq!(then - now, forecast);
    }
}
