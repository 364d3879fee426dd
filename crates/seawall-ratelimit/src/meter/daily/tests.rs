use super::*;
use crate::limit::tests_of_files::Folder;
use proptest::prelude::*;

const HOUR: u64 = 3600 * 1_000_000_000;
const DAY: u64 = 24 * HOUR;

/// The clock starts at noon of day 20,000, UTC.
fn wall() -> WallClock {
    WallClock::new(0, i128::from(20_000 * DAY + 12 * HOUR))
}

fn daily(count: u32) -> Daily {
    Daily::new(count, DailyReset::utc(), 0, None, wall(), 0)
}

#[test]
fn the_count_is_renewed_at_the_midnight_of_the_zone() {
    let mut utc = daily(3);
    utc.take(0, 3);
    assert_eq!(
        (utc.wait(Start::now(0), 1), utc.available(0)),
        (12 * HOUR, 0.0)
    );
    assert_eq!(utc.wait(Start::now(0), 7), 12 * HOUR + 2 * DAY);
    assert_eq!(utc.wait(Start::now(12 * HOUR), 3), 0);
    assert_eq!(utc.used(12 * HOUR), 0);
    let india = DailyReset::offset(19_800).unwrap();
    let mut india = Daily::new(3, india, 0, None, wall(), 0);
    india.take(0, 3);
    assert_eq!(india.wait(Start::now(0), 1), 6 * HOUR + HOUR / 2);
    let mut three = Daily::new(
        3,
        DailyReset::utc()
            .after(std::time::Duration::from_secs(3 * 3600))
            .unwrap(),
        0,
        None,
        wall(),
        0,
    );
    three.take(0, 3);
    assert_eq!(three.wait(Start::now(0), 1), 15 * HOUR);
}

#[test]
fn already_used_counts_today_only() {
    let mut daily = Daily::new(10, DailyReset::utc(), 8, None, wall(), 0);
    assert_eq!(
        (daily.wait(Start::now(0), 2), daily.wait(Start::now(0), 3)),
        (0, 12 * HOUR)
    );
    assert_eq!(daily.available(12 * HOUR), 10.0);
}

#[test]
fn a_clock_that_is_set_back_grants_nothing_twice() {
    let mut daily = daily(3);
    daily.take(12 * HOUR, 3);
    daily.set_wall_clock(12 * HOUR, wall_back(2));
    assert_eq!(daily.used(12 * HOUR), 3);
    // The running clock carries the day to its end, and then the wall clock counts.
    assert_eq!(daily.wait(Start::now(12 * HOUR), 1), DAY);
    assert_eq!(daily.wait(Start::now(12 * HOUR), 7), 3 * DAY);
    daily.take(36 * HOUR, 3);
    assert_eq!(daily.wait(Start::now(36 * HOUR), 1), DAY);
}

#[test]
fn a_clock_that_was_far_ahead_for_a_moment_costs_one_day_at_most() {
    for years in [-3, 3] {
        let mut daily = daily(3);
        let far = wall().unix_ns(0) + i128::from(years) * i128::from(365 * DAY);
        daily.set_wall_clock(0, WallClock::new(0, far));
        daily.take(0, 3);
        daily.set_wall_clock(1, wall());
        let wait = daily.wait(Start::now(1), 1);
        assert!(wait > 0 && wait <= DAY, "{wait}");
        daily.take(1 + wait, 3);
        assert_eq!(daily.wait(Start::now(1 + wait), 1), DAY);
    }
}

#[test]
fn a_clock_that_moves_to_and_fro_grants_one_day_more_at_most() {
    let mut daily = daily(3);
    let mut granted = 0;
    for at in 0..11 {
        let ahead = wall().unix_ns(0) + i128::from((at % 2) * (at + 1) * DAY);
        let now = at * HOUR;
        daily.set_wall_clock(now, WallClock::new(0, ahead));
        while daily.wait(Start::now(now), 1) == 0 {
            daily.take(now, 1);
            granted += 1;
        }
    }
    assert_eq!(granted, 6);
}

/// Set forward by a day and 11 hours, the next midnight is an hour away, and not twelve.
#[test]
fn a_day_that_a_jump_begins_does_not_end_before_the_one_that_was_left() {
    let mut ahead = daily(3);
    ahead.take(0, 3);
    let by = |hours: u64| WallClock::new(0, wall().unix_ns(0) + i128::from(hours * HOUR));
    ahead.set_wall_clock(0, by(35));
    ahead.take(0, 3);
    assert_eq!(ahead.wait(Start::now(0), 1), 25 * HOUR);
    // Read again.
    ahead.set_wall_clock(HOUR / 2, by(35));
    assert_eq!(ahead.wait(Start::now(HOUR / 2), 1), 24 * HOUR + HOUR / 2);
    // A machine that was asleep over midnight does not lose the next day.
    let mut asleep = daily(3);
    asleep.take(0, 3);
    asleep.set_wall_clock(0, by(20));
    asleep.take(0, 3);
    assert_eq!(asleep.wait(Start::now(0), 1), 16 * HOUR);
}

#[test]
fn refilling_ends_a_day_of_an_earlier_clock() {
    let mut daily = daily(3);
    daily.take(0, 3);
    daily.refill(0);
    assert_eq!(daily.used(0), 3, "only the upstream renews it");
    daily.set_wall_clock(0, wall_back(700));
    daily.refill(0);
    assert_eq!(daily.used(0), 0);
}

/// A wall clock that is some days behind.
fn wall_back(days: u64) -> WallClock {
    WallClock::new(0, wall().unix_ns(0) - i128::from(days * DAY))
}

#[test]
fn refunds_return_to_the_day_they_were_taken_on_and_to_no_other() {
    let mut daily = daily(3);
    daily.take(0, 3);
    daily.give_back(1, 2, 0);
    assert_eq!(daily.used(1), 1);
    daily.take(12 * HOUR, 3);
    daily.give_back(13 * HOUR, 1, 0);
    assert_eq!(daily.used(13 * HOUR), 3);
}

#[test]
fn a_forecast_for_a_later_time_changes_nothing() {
    let mut daily = daily(3);
    daily.take(0, 3);
    let later = Start::now(0).not_before(40 * HOUR);
    assert_eq!(daily.wait(later, 3), 40 * HOUR);
    assert_eq!(daily.wait(later, 4), 60 * HOUR);
    assert_eq!(
        (daily.wait(Start::now(0), 1), daily.renewed_at(0)),
        (12 * HOUR, 12 * HOUR)
    );
    assert_eq!(daily.used(0), 3);
}

#[test]
fn new_settings_keep_what_was_used_today() {
    let mut daily = daily(10);
    daily.take(0, 8);
    daily.set(0, 5, DailyReset::utc());
    assert_eq!(daily.wait(Start::now(0), 1), 12 * HOUR);
    daily.set(0, 12, DailyReset::offset(3_600).unwrap());
    assert_eq!(
        (daily.available(0), daily.wait(Start::now(0), 5)),
        (4.0, 11 * HOUR)
    );
}

#[test]
fn a_quota_survives_a_restart_and_a_crash() {
    let folder = Folder::new();
    let open = || QuotaFile::open(folder.file()).unwrap();
    let start = |spent, wall| Daily::new(200, DailyReset::utc(), spent, Some(open()), wall, 0);
    let mut daily = start(0, wall());
    daily.take(0, 7);
    drop(daily);
    let mut daily = start(5, wall());
    assert_eq!(daily.used(0), 7);
    daily.take(0, 1);
    // A crash loses the rest of a lease of two.
    let crashed = std::fs::read(folder.file()).unwrap();
    drop(daily);
    std::fs::write(folder.file(), crashed).unwrap();
    assert_eq!(start(0, wall()).used(0), 9);
    assert_eq!(start(20, wall()).used(0), 20);
    assert_eq!(start(0, wall()).used(12 * HOUR), 0);
    // The file is of a later day than the clock shows.
    let mut back = start(0, wall_back(3));
    assert_eq!((back.used(0), back.wait(Start::now(0), 180)), (20, 0));
    back.take(0, 180);
    assert_eq!(back.wait(Start::now(0), 1), 12 * HOUR);
    // It is put right: what was used of that day is known.
    let mut right = back.clone();
    right.set_wall_clock(0, wall());
    assert_eq!(
        (right.used(0), right.wait(Start::now(0), 1)),
        (200, 12 * HOUR)
    );
    assert_eq!(back.used(12 * HOUR), 0);
    back.take(12 * HOUR, 1);
    drop((back, right));
    assert_eq!(start(0, wall_back(2)).used(0), 1);
}

#[test]
fn setting_the_clock_makes_no_refund_count_for_today() {
    let mut daily = daily(3);
    daily.take(0, 3);
    daily.set_wall_clock(1, WallClock::new(0, wall().unix_ns(0) + i128::from(DAY)));
    daily.take(1, 3);
    daily.give_back(2, 3, 0);
    assert_eq!(daily.used(2), 3);
}

#[test]
fn extremes_do_not_panic() {
    for unix in [i128::MIN, -1, 0, i128::MAX] {
        for now in [0, 1, u64::MAX - 1, u64::MAX] {
            let reset = DailyReset::offset(86_399).unwrap();
            let wall = WallClock::new(u64::MAX, unix);
            let mut daily = Daily::new(u32::MAX, reset, u32::MAX, None, wall, now);
            daily.take(now, u64::MAX);
            let _ = (
                daily.wait(Start::now(now), 1),
                daily.wait(Start::now(now), u64::MAX),
            );
            daily.give_back(now, u64::MAX, now);
            let _ = daily.renewed_at(now);
            daily.set_wall_clock(now, WallClock::new(0, i128::MAX));
            daily.set(now, 0, DailyReset::utc());
            let _ = daily.wait(Start::now(now).not_before(u64::MAX - 1), 1);
            let _ = (
                daily.wait(Start::now(now), 1),
                daily.available(now),
                daily.used(now),
            );
        }
    }
}

#[allow(unused_mut, reason = "zones of the database are a feature")]
fn resets() -> Vec<DailyReset> {
    let mut all = vec![DailyReset::utc(), DailyReset::offset(-12_600).unwrap()];
    #[cfg(feature = "timezone")]
    all.push(
        DailyReset::zone("America/New_York")
            .unwrap()
            .after(std::time::Duration::from_secs(9_000))
            .unwrap(),
    );
    all
}

proptest! {
    #[test]
    fn no_day_sees_more_than_the_count_and_waits_are_exact(
        count in 1_u32..9,
        reset in 0..resets().len(),
        start in 20_510_u64..20_530,
        arrivals in prop::collection::vec((0_u64..9 * HOUR, 1_u64..9), 1..100),
    ) {
        let reset = &resets()[reset];
        let wall = WallClock::new(0, i128::from(start * DAY));
        let mut daily = Daily::new(count, reset.clone(), 0, None, wall, 0);
        let mut seen = std::collections::HashMap::new();
        let mut now = 0;
        for (gap, cost) in arrivals {
            now += gap;
            let cost = cost.min(count.into());
            let wait = daily.wait(Start::now(now), cost);
            if wait > 0 {
                prop_assert!(daily.clone().wait(Start::now(now + wait - 1), cost) > 0);
            }
            prop_assert_eq!(daily.clone().wait(Start::now(now + wait), cost), 0);
            if wait == 0 {
                daily.take(now, cost);
                let sum = seen.entry(reset.day(wall.unix_ns(now))).or_insert(0);
                *sum += cost;
                prop_assert!(*sum <= u64::from(count));
            }
        }
    }

    #[test]
    fn sums_of_ones_over_the_count_are_granted_at_the_forecast_time(
        count in 1_u32..9,
        reset in 0..resets().len(),
        taken in 0_u64..20,
        more in 1_u64..60,
        later in 0_u64..40 * HOUR,
    ) {
        let sum = u64::from(count) + more;
        let wall = WallClock::new(0, i128::from(20_518 * DAY));
        let mut daily = Daily::new(count, resets()[reset].clone(), 0, None, wall, 0);
        daily.take(0, taken);
        let forecast = daily.wait(Start::now(0).not_before(later), sum);
        let mut then = later;
        for _ in 0..sum {
            then += daily.wait(Start::now(then), 1);
            daily.take(then, 1);
        }
        prop_assert_eq!(then, forecast);
    }
}
