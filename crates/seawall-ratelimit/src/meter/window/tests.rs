use super::*;
use proptest::prelude::*;

const SECOND: u64 = 1_000_000_000;
const MINUTE: u64 = 60 * SECOND;

/// The clock starts 10 seconds after a full minute.
fn wall() -> WallClock {
    WallClock::new(0, i128::from(1_000 * MINUTE + 10 * SECOND))
}

fn window(count: u32) -> Window {
    Window::new(count, MINUTE, 0, 0, wall(), 0)
}

#[test]
fn the_count_is_renewed_at_the_full_minute_of_the_wall_clock() {
    let mut window = window(3);
    window.take(0, 3);
    assert_eq!(window.wait(Start::now(0), 1), 50 * SECOND);
    assert_eq!(window.wait(Start::now(50 * SECOND - 1), 1), 1);
    assert_eq!(window.used(50 * SECOND - 1), 3);
    assert_eq!(window.used(50 * SECOND), 0);
    assert_eq!(window.wait(Start::now(50 * SECOND), 3), 0);
    let mut shifted = Window::new(3, MINUTE, 15 * SECOND, 0, wall(), 0);
    shifted.take(0, 3);
    assert_eq!(shifted.wait(Start::now(0), 1), 5 * SECOND);
}

#[test]
fn a_departure_within_the_margin_of_an_edge_counts_in_both_windows() {
    let mut window = Window::new(3, MINUTE, 0, SECOND, wall(), 0);
    window.take(50 * SECOND - 1, 2);
    assert_eq!(window.wait(Start::now(50 * SECOND), 1), 0);
    assert_eq!(window.wait(Start::now(50 * SECOND), 2), MINUTE + SECOND);
}

#[test]
fn a_clock_that_is_set_back_grants_nothing_twice() {
    let mut window = window(3);
    window.take(0, 2);
    let hour_ago = wall().unix_ns(0) - i128::from(60 * MINUTE);
    window.set_wall_clock(0, WallClock::new(0, hour_ago));
    assert_eq!(window.used(0), 2);
    assert_eq!(window.wait(Start::now(0), 1), 0);
    // The running clock carries it to its end, and then the wall clock counts.
    assert_eq!(window.wait(Start::now(0), 2), 50 * SECOND);
    assert_eq!(window.clone().wait(Start::now(50 * SECOND), 3), 0);
    window.take(50 * SECOND, 3);
    assert_eq!(window.wait(Start::now(50 * SECOND), 1), MINUTE);
}

/// However far, and whether it comes back or not.
#[test]
fn a_clock_that_is_set_stops_nothing_for_longer_than_two_windows() {
    let year = 365 * 24 * 60;
    for minutes in [-3 * year, -60, -1, 1, 60, 3 * year] {
        for seconds in [0, 20, 45] {
            let mut window = window(3);
            window.take(0, 3);
            let by = i128::from(minutes) * i128::from(MINUTE) + i128::from(seconds * SECOND);
            window.set_wall_clock(SECOND, WallClock::new(0, wall().unix_ns(0) + by));
            let _ = window.wait(Start::now(SECOND), 1) == 0 && {
                window.take(SECOND, 3);
                true
            };
            window.set_wall_clock(2 * SECOND, wall());
            let wait = window.wait(Start::now(2 * SECOND), 1);
            assert!(
                wait > 0 && wait <= 2 * MINUTE,
                "{minutes} {seconds}: {wait}"
            );
            assert_eq!(window.wait(Start::now(2 * SECOND + wait), 3), 0);
        }
    }
}

#[test]
fn a_clock_that_moves_to_and_fro_grants_one_window_more_at_most() {
    let mut window = window(3);
    let mut granted = 0;
    for at in 0..40 {
        let ahead = wall().unix_ns(0) + i128::from((at % 2) * (at + 1) * 60 * MINUTE);
        let now = at * SECOND;
        window.set_wall_clock(now, WallClock::new(0, ahead));
        while window.wait(Start::now(now), 1) == 0 {
            window.take(now, 1);
            granted += 1;
        }
    }
    assert_eq!(granted, 6);
}

#[test]
fn a_clock_that_is_a_little_slow_renews_no_window_twice() {
    let mut window = window(3);
    window.take(50 * SECOND, 3);
    let slow = |ms: u64| WallClock::new(0, wall().unix_ns(0) - i128::from(ms * 1_000_000));
    window.set_wall_clock(50 * SECOND, slow(5));
    assert_eq!(window.wait(Start::now(50 * SECOND), 1), MINUTE);
    assert_eq!(window.wait(Start::now(110 * SECOND), 1), 5_000_000);
    assert_eq!(window.wait(Start::now(110 * SECOND + 5_000_000), 3), 0);
}

#[test]
fn refilling_ends_a_window_of_an_earlier_clock() {
    let mut window = window(3);
    window.take(0, 3);
    window.refill(0);
    assert_eq!(window.used(0), 3, "only the upstream renews it");
    window.set_wall_clock(0, WallClock::new(0, 0));
    window.refill(0);
    assert_eq!(window.wait(Start::now(0), 3), 0);
}

#[test]
fn refunds_return_to_the_window_they_were_taken_from_and_to_no_other() {
    let mut window = window(3);
    window.take(0, 3);
    window.give_back(SECOND, 2, 0);
    assert_eq!(window.used(SECOND), 1);
    window.take(50 * SECOND, 3);
    window.give_back(51 * SECOND, 1, SECOND);
    assert_eq!(window.used(51 * SECOND), 3);
    let mut edge = Window::new(3, MINUTE, 0, SECOND, wall(), 0);
    edge.take(50 * SECOND - 1, 3);
    edge.give_back(50 * SECOND - 1, 3, 50 * SECOND - 1);
    assert_eq!(edge.wait(Start::now(50 * SECOND), 3), 0);
}

#[test]
fn a_debit_over_the_count_is_owed_until_the_window_ends() {
    let mut window = window(3);
    window.take(0, u64::MAX);
    window.take(0, u64::MAX);
    assert_eq!(window.wait(Start::now(0), 1), 50 * SECOND);
    assert_eq!(window.wait(Start::now(50 * SECOND), 3), 0);
}

#[test]
fn a_forecast_for_a_later_time_changes_nothing() {
    let mut window = window(3);
    window.take(0, 3);
    let hour = Start::now(0).not_before(60 * MINUTE);
    assert_eq!(window.wait(hour, 3), 60 * MINUTE);
    assert_eq!(window.wait(Start::now(0), 1), 50 * SECOND);
    assert_eq!(window.renewed_at(0), 50 * SECOND);
    assert_eq!(window.used(0), 3);
}

#[test]
fn new_settings_keep_what_was_used() {
    let mut window = window(10);
    window.take(0, 8);
    window.set(0, 5, MINUTE, 0, 0);
    assert_eq!(window.wait(Start::now(0), 1), 50 * SECOND);
    window.set(0, 12, MINUTE, 0, 0);
    assert_eq!(window.available(0), 4.0);
    window.set(0, 12, SECOND, 0, 0);
    assert_eq!(
        (window.available(0), window.wait(Start::now(0), 5)),
        (4.0, SECOND)
    );
    window.set(0, 12, 60 * MINUTE, 0, 0);
    assert_eq!(window.available(0), 4.0);
}

#[test]
fn extremes_do_not_panic() {
    let walls = [i128::MIN, -1, 0, i128::MAX].map(|unix| WallClock::new(u64::MAX, unix));
    for wall in walls.into_iter().chain([wall()]) {
        for (count, per) in [(1, 0), (u32::MAX, 1), (1, u64::MAX), (u32::MAX, u64::MAX)] {
            for now in [0, 1, u64::MAX - 1, u64::MAX] {
                let mut window = Window::new(count, per, u64::MAX, u64::MAX, wall, now);
                window.take(now, u64::MAX);
                let _ = (
                    window.wait(Start::now(now), 1),
                    window.wait(Start::now(now), u64::MAX),
                );
                window.give_back(now, u64::MAX, now);
                let _ = window.renewed_at(now);
                window.set_wall_clock(now, WallClock::new(0, i128::MAX));
                window.set(now, 1, 1, 0, 1);
                let _ = window.wait(Start::now(now).not_before(u64::MAX - 1), 1);
                let _ = (
                    window.wait(Start::now(now), u64::MAX),
                    window.available(now),
                    window.used(now),
                );
            }
        }
    }
}

#[test]
fn setting_the_clock_makes_no_refund_count_for_this_window() {
    let mut window = window(3);
    window.take(0, 3);
    let forward = wall().unix_ns(0) + i128::from(MINUTE);
    window.set_wall_clock(1, WallClock::new(0, forward));
    window.take(1, 3);
    window.give_back(2, 3, 0);
    assert_eq!(window.used(2), 3);
}

#[test]
fn new_settings_neither_go_back_in_time_nor_forget_the_margin() {
    let mut back = window(3);
    back.take(0, 3);
    back.set_wall_clock(
        0,
        WallClock::new(0, wall().unix_ns(0) - i128::from(11 * SECOND)),
    );
    back.set(0, 3, MINUTE, 0, 0);
    assert_eq!(back.wait(Start::now(2 * SECOND), 1), 48 * SECOND);
    let mut edge = Window::new(3, MINUTE, 0, SECOND, wall(), 0);
    edge.take(50 * SECOND - 1, 3);
    edge.set(50 * SECOND - 1, 3, MINUTE, 0, SECOND);
    assert!(edge.wait(Start::now(52 * SECOND), 1) > 0);
}

#[test]
fn reading_the_clock_again_within_a_window_begins_no_new_one() {
    let mut window = Window::new(3, MINUTE, 0, SECOND, wall(), 0);
    window.take(49 * SECOND - 1, 3);
    let now = 80 * SECOND;
    window.set_wall_clock(now, WallClock::new(now, wall().unix_ns(now)));
    assert_eq!(window.wait(Start::now(now), 1), 0);
}

fn limits() -> impl Strategy<Value = (u32, u64, u64, u64)> {
    (1_u32..9, 1_u64..300, 0_u64..300, 0_u64..400)
        .prop_map(|(count, per, offset, margin)| (count, per, offset % per, margin % (per + 1)))
}

/// A window of these limits after these gaps and costs, with the time now.
fn used(
    (count, per, offset, margin): (u32, u64, u64, u64),
    before: &[(u64, u64)],
) -> (Window, u64) {
    let mut window = Window::new(count, per, offset, margin, WallClock::new(0, 5), 0);
    let mut now = 0;
    for (gap, cost) in before {
        now += gap;
        window.take(now, *cost);
    }
    (window, now)
}

proptest! {
    /// For every clock of the upstream that differs by at most the margin.
    #[test]
    fn no_window_of_the_upstream_sees_more_than_the_count(
        (count, per, offset, margin) in limits(),
        arrivals in prop::collection::vec((0_u64..200, 1_u64..6, any::<bool>()), 1..150),
    ) {
        let wall = WallClock::new(0, 1_000_000_007);
        let mut window = Window::new(count, per, offset, margin, wall, 0);
        let mut grants: Vec<(u64, u64)> = Vec::new();
        let mut now = 0;
        for (gap, cost, refund) in arrivals {
            now += gap;
            if cost <= u64::from(count) && window.wait(Start::now(now), cost) == 0 {
                window.take(now, cost);
                grants.push((now, cost));
            }
            if refund && let Some((taken_at, cost)) = grants.pop() {
                window.give_back(now, cost, taken_at);
            }
        }
        let margin = i128::from(margin);
        for skew in [-margin, -margin / 2, 0, margin / 2, margin] {
            let mut seen = std::collections::HashMap::new();
            for (at, cost) in &grants {
                let theirs = wall.unix_ns(*at) + skew - i128::from(offset);
                let sum = seen.entry(theirs.div_euclid(per.into())).or_insert(0);
                *sum += cost;
                prop_assert!(*sum <= u64::from(count));
            }
        }
    }

    #[test]
    fn a_wait_names_the_first_instant_that_grants(
        limits in limits(),
        before in prop::collection::vec((0_u64..200, 1_u64..9), 0..20),
        cost in 1_u64..9,
        later in 0_u64..500,
    ) {
        let (mut window, now) = used(limits, &before);
        let cost = cost.min(limits.0.into());
        let start = Start::now(now).not_before(now + later);
        let wait = window.wait(start, cost);
        prop_assert!(wait >= later);
        for at in now + later..now + wait {
            prop_assert!(window.clone().wait(Start::now(at), cost) > 0);
        }
        prop_assert_eq!(window.wait(Start::now(now + wait), cost), 0);
        window.take(now + wait, cost);
    }

    #[test]
    fn sums_of_ones_over_the_count_are_granted_at_the_forecast_time(
        limits in limits(),
        before in prop::collection::vec((0_u64..200, 1_u64..9), 0..10),
        more in 1_u64..300,
        later in 0_u64..500,
    ) {
        let (mut window, now) = used(limits, &before);
        let sum = u64::from(limits.0) + more;
        let forecast = window.wait(Start::now(now).not_before(now + later), sum);
        let mut then = now + later;
        for _ in 0..sum {
            then += window.wait(Start::now(then), 1);
            prop_assert_eq!(window.wait(Start::now(then), 1), 0);
            window.take(then, 1);
        }
        prop_assert_eq!(then - now, forecast);
    }
}

/// The clock steps to the last second of the next window: what follows that second is no third window.
#[test]
fn a_window_that_a_jump_begins_lasts_its_full_length_and_to_the_next_edge() {
    let second = i128::from(SECOND);
    for (margin, again) in [(0, false), (0, true), (5 * SECOND, false)] {
        let mut window = Window::new(5, MINUTE, 0, margin, WallClock::new(0, 0), 0);
        let mut granted = Vec::new();
        for at in (10..600).map(|at| at * SECOND) {
            if at == 20 * SECOND {
                window.set_wall_clock(at, WallClock::new(at, 119 * second));
            }
            // A small difference that is followed.
            if again && at == 21 * SECOND {
                window.set_wall_clock(at, WallClock::new(at, 120 * second + 1_000));
            }
            while window.wait(Start::now(at), 1) == 0 {
                window.take(at, 1);
                granted.push(at / SECOND);
            }
        }
        let in_true_window = |n: u64| granted.iter().filter(|at| **at / 60 == n).count();
        let per_window: Vec<_> = (0..10).map(in_true_window).collect();
        assert!(per_window[0] <= 10, "{per_window:?}");
        assert!(per_window[1..].iter().all(|n| *n <= 5), "{per_window:?}");
        let stops = granted.windows(2).map(|pair| pair[1] - pair[0]);
        assert!(stops.max() <= Some(120), "{granted:?}");
    }
}

#[test]
fn a_clock_that_is_set_right_in_the_window_of_a_jump_stops_it_for_two_windows_at_most() {
    let second = i128::from(SECOND);
    let mut window = Window::new(5, MINUTE, 0, 0, WallClock::new(0, 0), 0);
    let (mut last, mut longest) = (0, 0);
    for at in (1..600).map(|at| at * SECOND) {
        match at / SECOND {
            51 => window.set_wall_clock(at, WallClock::new(at, (51 + 91) * second)),
            140 => window.set_wall_clock(at, WallClock::new(at, 140 * second)),
            _ => {}
        }
        while window.wait(Start::now(at), 1) == 0 {
            window.take(at, 1);
            longest = longest.max(at - last);
            last = at;
        }
    }
    assert!(longest <= 2 * MINUTE, "{longest}");
}
