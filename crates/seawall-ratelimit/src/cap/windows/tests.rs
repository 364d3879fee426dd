use super::*;
use proptest::prelude::*;

const SECOND: u64 = 1_000_000_000;
const MS: u64 = SECOND / 1_000;

fn windows(reports: &[(u64, u64, u64)]) -> Windows {
    let mut windows = Windows::default();
    for (now, left, until) in reports {
        windows.report(*now, *left, *until);
    }
    windows
}

fn left(windows: &Windows, at: u64) -> Option<u64> {
    windows.holding(at).map(|(left, _)| left).min()
}

#[test]
fn each_window_is_kept_until_it_ends() {
    let both = windows(&[(0, 10, 3_600 * SECOND), (0, 9, SECOND)]);
    assert_eq!(left(&both, 0), Some(9));
    assert_eq!(left(&both, SECOND), Some(10));
    assert_eq!(left(&both, 3_600 * SECOND), None);
}

#[test]
fn a_report_of_the_next_window_ends_the_one_before_within_a_second_of_its_end() {
    let early = windows(&[(0, 3, 20 * SECOND), (19 * SECOND + 1, 59, 79 * SECOND)]);
    assert_eq!(left(&early, 19 * SECOND + 1), Some(59));
    // Two seconds are no rounding.
    let other = windows(&[(0, 3, 20 * SECOND), (18 * SECOND, 59, 78 * SECOND)]);
    assert_eq!(left(&other, 18 * SECOND), Some(3));
    // Two windows of one result.
    let both = windows(&[(0, 3, SECOND), (0, 59, 60 * SECOND)]);
    assert_eq!(left(&both, 0), Some(3));
}

#[test]
fn of_one_window_the_tighter_report_holds() {
    let mut windows = windows(&[(0, 50, 60 * SECOND), (SECOND, 20, 60 * SECOND)]);
    windows.report(2 * SECOND, 45, 60 * SECOND + SECOND / 2);
    assert_eq!(left(&windows, 2 * SECOND), Some(20));
    windows.take(5, 2 * SECOND);
    assert_eq!(left(&windows, 2 * SECOND), Some(15));
    // What departed after the tightest one and before the newest.
    windows.give_back(4, SECOND + 1);
    assert_eq!(left(&windows, 2 * SECOND), Some(19));
    windows.give_back(4, SECOND);
    assert_eq!(left(&windows, 2 * SECOND), Some(19), "part of the report");
}

#[test]
fn an_end_that_comes_earlier_does_not_forget_the_first_report() {
    let first = [(0, 1, 1_414 * MS), (164 * MS, 4, 1_172 * MS)];
    let mut windows = windows(&first);
    windows.report(164 * MS, 6, 1_127 * MS);
    windows.report(165 * MS, 8, 900 * MS);
    assert_eq!(left(&windows, 1_413 * MS), Some(1));
    assert_eq!(left(&windows, 1_414 * MS), None);
}

/// By when a limit is full again: the end moves on with every call, and more is left again.
#[test]
fn an_end_that_moves_all_the_time_does_not_keep_the_fewest_that_were_ever_left() {
    for step in [SECOND / 10, SECOND / 2, 3 * SECOND] {
        let mut windows = Windows::default();
        for n in 0..1_000 {
            let now = n * step;
            windows.report(now, 100, now + 30 * SECOND);
            assert!(left(&windows, now) >= Some(50), "{n}: {windows:?}");
            windows.take(1, now);
        }
    }
}

#[test]
fn windows_are_few() {
    let mut many = Windows::default();
    for n in 1..=20 {
        many.report(n, n, n * 1_000 * SECOND);
        assert_eq!(
            left(&many, n),
            Some(n.min(1)).filter(|_| n < 2).or(left(&many, n))
        );
    }
    assert_eq!(many.holding(20).count(), 2 * KEPT);
    assert!(left(&many, 19_999 * SECOND) <= Some(20));
}

/// The end of a window moves on from each report to the next, by rounding and by latency: none is so
/// far from the report that has the fewest that it may be forgotten.
#[test]
fn the_fewest_are_forgotten_once_an_end_is_far_from_theirs_and_not_from_the_first() {
    let mut window = windows(&[
        (0, 50, 60_000 * MS),
        (SECOND, 1, 60_900 * MS),
        (2 * SECOND, 9, 60_950 * MS),
        (3 * SECOND, 9, 61_100 * MS),
    ]);
    assert_eq!(left(&window, 3 * SECOND), Some(1));
    window.report(4 * SECOND, 8, 61_901 * MS);
    assert_eq!(left(&window, 4 * SECOND), Some(8));
}

/// "3" is reported for each of these.
#[test]
fn resets_in_whole_seconds_move_on_within_a_second_and_forget_nothing() {
    let reports = [(57_000, 1), (57_500, 5), (57_900, 6)];
    let reports = reports.map(|(at, left)| (at * MS, left, at * MS + 3 * SECOND));
    assert_eq!(left(&windows(&reports), 57_900 * MS), Some(1));
}

#[test]
fn a_report_of_a_longer_window_does_not_end_a_shorter_one_early() {
    let hour = 3_600 * SECOND;
    let mut both = windows(&[(0, 3, 60 * SECOND), (0, 1_000, hour)]);
    both.report(59_500 * MS, 999, hour);
    assert_eq!(left(&both, 59_500 * MS), Some(3));
    assert_eq!(left(&both, 60 * SECOND), Some(999));
}

/// A report ends at its own reset, and the fewest hold as long as those that they have replaced.
#[test]
fn each_report_holds_until_its_own_reset() {
    let mut window = windows(&[(0, 5, 60_500 * MS), (SECOND, 9, 60_900 * MS)]);
    assert_eq!(left(&window, 60_499 * MS), Some(5));
    assert_eq!(left(&window, 60_500 * MS), Some(9));
    window.report(2 * SECOND, 12, 60_950 * MS);
    assert_eq!(left(&window, 60_800 * MS), Some(5), "also for the second");
    assert_eq!(left(&window, 60_900 * MS), Some(12));
}

/// What was reported, and what has departed since.
#[derive(Default)]
struct Model {
    /// When, how many, and the end.
    reports: Vec<(u64, i64, u64)>,
    departures: Vec<(u64, u64)>,
}

impl Model {
    /// Below zero by what was used beyond.
    fn left(&self, (at, left, _): (u64, i64, u64)) -> i64 {
        let since = self.departures.iter().filter(|(then, _)| *then >= at);
        let used: u64 = since.map(|(_, cost)| cost).sum();
        left.saturating_sub_unsigned(used)
    }

    fn fewest(&self) -> Option<i64> {
        self.reports.iter().map(|report| self.left(*report)).min()
    }
}

proptest! {
    /// Reports of one window come in any order, with resets in whole seconds.
    #[test]
    fn of_one_window_the_fewest_of_all_reports_are_left(
        steps in prop::collection::vec((1_u64..3_000, 0_u64..60, 0_u64..5), 1..60),
    ) {
        let (mut windows, mut model) = (Windows::default(), Model::default());
        let (mut now, end) = (0, 60 * SECOND);
        for (after, remaining, cost) in steps {
            now += after * MS;
            if now >= end {
                break;
            }
            if after % 2 == 0 {
                let until = now + (end - now).next_multiple_of(SECOND);
                windows.report(now, remaining, until);
                model.reports.push((now, remaining as i64, until));
            } else {
                windows.take(cost, now);
                model.departures.push((now, cost));
            }
            let fewest = model.fewest().map(|left| left.max(0) as u64);
            prop_assert_eq!(left(&windows, now), fewest);
        }
    }

    /// The end moves to and fro. What is left is never more than the newest report says, and the
    /// fewest of all hold until an end is more than a second after theirs.
    #[test]
    fn an_end_that_moves_raises_what_is_left_to_the_newest_report_at_most(
        steps in prop::collection::vec((1_u64..500, -900_i64..900, 0_u64..60, 0_u64..5), 1..60),
    ) {
        let (mut windows, mut model) = (Windows::default(), Model::default());
        let (mut now, mut end) = (0, 120 * SECOND);
        for (after, moves, remaining, cost) in steps {
            now += after * MS;
            if after % 2 == 0 {
                end = end.saturating_add_signed(moves * MS as i64);
                windows.report(now, remaining, end);
                model.reports.push((now, remaining as i64, end));
            } else {
                windows.take(cost, now);
                model.departures.push((now, cost));
            }
            let Some(newest) = model.reports.last() else {
                continue;
            };
            let left = left(&windows, now).expect("it holds") as i64;
            prop_assert!(left <= model.left(*newest).max(0));
            let fewest = model.fewest().expect("there is one");
            prop_assert!(left >= fewest.max(0));
            let last = model.reports.iter().map(|(.., end)| *end).max();
            let ends = model.reports.iter().filter(|report| model.left(**report) == fewest);
            if ends.map(|(.., end)| end + SECOND).max() >= last {
                prop_assert_eq!(left, fewest.max(0));
            }
        }
    }
}
