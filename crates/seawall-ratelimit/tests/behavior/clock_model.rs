//! A wall clock that is set at random moments to random times.

use std::time::{SystemTime, UNIX_EPOCH};

use proptest::prelude::*;
use seawall_ratelimit::{DailyReset, Limit, Reservation};

use super::*;

const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(24 * 3_600);
const COUNT: u64 = 5;
/// Times are counted in sixtieths of a window.
const WINDOW: u64 = 60;

#[derive(Clone, Debug)]
struct Case {
    /// When in a window it begins.
    begin: u64,
    /// So long after the one before, by so much forward.
    jumps: Vec<(u64, i64)>,
    /// How many calls come at each moment.
    demand: Vec<u64>,
}

fn cases() -> impl Strategy<Value = Case> {
    let by = prop_oneof![-200_i64..200, -70_i64..70, -2_i64..3];
    let calls = prop_oneof![3 => Just(0_u64), 1 => Just(1), 1 => Just(3), 1 => Just(9)];
    let jumps = prop::collection::vec((1_u64..150, by), 0..6);
    let demand = prop_oneof![Just(vec![9]), prop::collection::vec(calls, 1..150)];
    let case = (0..WINDOW, jumps, demand);
    case.prop_map(|(begin, jumps, demand)| Case {
        begin,
        jumps,
        demand,
    })
}

fn kinds() -> [(Limit, Duration); 4] {
    let count = COUNT as u32;
    [
        (Limit::daily(count, DailyReset::utc()).into(), DAY),
        (Limit::window(count, HOUR).into(), HOUR),
        (Limit::window(count, HOUR).margin(HOUR / 12).into(), HOUR),
        (Limit::window(count, HOUR).margin(HOUR / 2).into(), HOUR),
    ]
}

fn shifted(time: SystemTime, by: i64, step: Duration) -> SystemTime {
    let length = step * u32::try_from(by.unsigned_abs()).expect("small");
    if by < 0 { time - length } else { time + length }
}

/// When each call departed, and when the clock was set.
async fn run(limit: &Limit, window: Duration, case: &Case) -> (Vec<u64>, Vec<u64>) {
    let config = RateLimitConfig::builder().limit(limit.clone());
    let handle = RateLimitLayer::new("l", config.build().expect("valid")).handle();
    let step = window / WINDOW as u32;
    // After today: the first one is no step back.
    let mut wall = UNIX_EPOCH + 40_000 * DAY + step * case.begin as u32;
    handle.set_wall_clock(wall);
    let mut next_at = 0;
    let mut jumps = Vec::new();
    for (after, by) in &case.jumps {
        next_at += after;
        jumps.push((next_at, *by));
    }
    let (mut granted, mut set) = (Vec::new(), Vec::new());
    for at in 0..next_at + 4 * WINDOW {
        for (_, by) in jumps.iter().filter(|(then, _)| *then == at) {
            wall = shifted(wall, *by, step);
            handle.set_wall_clock(wall);
            set.push(at);
        }
        for _ in 0..case.demand[at as usize % case.demand.len()] {
            let reserved = handle.try_reserve(&RequestMeta::default());
            if reserved.map(Reservation::commit).is_ok() {
                granted.push(at);
            }
        }
        advance(step).await;
        wall += step;
    }
    (granted, set)
}

proptest! {
    /// Each time that the clock is set grants at most one window more: of all that have begun, and in
    /// any stretch of time, within two windows.
    #[test]
    fn each_jump_of_the_clock_grants_one_window_more_at_most(
        kind in 0_usize..4,
        case in cases(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("valid settings");
        let (limit, window) = &kinds()[kind];
        let (granted, set) = runtime.block_on(run(limit, *window, &case));
        for (last, to) in granted.iter().enumerate() {
            let jumps = |from: u64| {
                let counted = set.iter().filter(|at| **at <= *to && **at + 2 * WINDOW > from);
                counted.count() as u64
            };
            let begun = (case.begin + to) / WINDOW + 1;
            let all = COUNT * (begun + jumps(0));
            prop_assert!((last as u64) < all, "{} to {to}: {all}; {set:?} {granted:?}", last + 1);
            for (first, from) in granted[..=last].iter().enumerate() {
                let most = COUNT * ((to - from) / WINDOW + 2 + jumps(*from));
                let sum = (last + 1 - first) as u64;
                prop_assert!(sum <= most, "{sum} from {from} to {to}: {most}; {set:?} {granted:?}");
            }
        }
        // It stops for two windows at most since it was set last, where no margin blocks more.
        if case.demand == [9] && kind < 2 {
            let ends = granted.iter().skip(1).chain([&u64::MAX]);
            let end = case.jumps.iter().map(|(after, _)| after).sum::<u64>() + 4 * WINDOW;
            for (from, to) in granted.iter().zip(ends) {
                let last = set.iter().rev().find(|at| *at < to);
                let stop = to.min(&end) - from.max(last.unwrap_or(&0));
                prop_assert!(stop <= 2 * WINDOW, "from {from} for {stop}; {set:?} {granted:?}");
            }
        }
    }
}
