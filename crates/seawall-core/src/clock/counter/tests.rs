use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use proptest::prelude::*;
use tokio::time::Instant;

use super::segment::{Follower, REACH_NS, Sample, Segment};
use super::*;
use crate::clock::origin::os_now;
use crate::clock::{Clock, tokio_ns};

const MS: u64 = 1_000_000;

/// A counter that somebody turns, and an operating system's clock beside it.
struct Turned {
    follower: Follower,
    segment: Segment,
    counter: u64,
    os: u64,
    /// The latest reading.
    reading: u64,
}

impl Turned {
    fn new(counter: u64) -> Self {
        Self {
            follower: Follower::default(),
            segment: Segment::default(),
            counter,
            os: 5 * MS,
            reading: 0,
        }
    }

    /// Both clocks run on.
    fn run(&mut self, ns: u64, ticks_per_us: u64) {
        let ticks = u128::from(ns) * u128::from(ticks_per_us) / 1_000;
        self.counter = self.counter.wrapping_add(ticks as u64);
        self.os += ns;
    }

    /// Whether it was by the segment.
    fn read(&mut self, bracket: u64) -> bool {
        let by_segment = self.segment.at(self.counter);
        let reading = by_segment.unwrap_or_else(|| {
            let sample = Sample {
                counter: self.counter,
                ns: self.os,
                bracket,
            };
            let (reading, segment) = self.follower.take(sample);
            self.segment = segment.unwrap_or(self.segment);
            reading
        });
        assert!(reading >= self.reading, "{reading} after {}", self.reading);
        self.reading = reading;
        by_segment.is_some()
    }

    fn error(&self) -> u64 {
        self.reading.abs_diff(self.os)
    }

    /// Until readings follow a segment.
    fn settle(&mut self, ticks_per_us: u64) {
        for _ in 0..4 {
            self.run(MS / 2, ticks_per_us);
            self.read(0);
        }
        assert!(self.read(0), "settled");
    }
}

#[test]
fn a_line_begins_with_the_second_rate_that_agrees() {
    let mut clock = Turned::new(17);
    let mut by_segment = Vec::new();
    for _ in 0..4 {
        by_segment.push(clock.read(0));
        clock.run(MS / 2, 2_600);
    }
    by_segment.push(clock.read(0));
    assert_eq!(by_segment, [false, false, false, true, false]);
    assert_eq!(clock.error(), 0);
}

#[test]
fn a_sample_that_was_interrupted_changes_nothing() {
    let mut clock = Turned::new(0);
    clock.settle(1_000);
    clock.run(MS, 1_000);
    let segment = clock.segment;
    assert!(!clock.read(20_000), "20 us");
    assert_eq!((clock.segment, clock.error()), (segment, 0));
    assert!(!clock.read(9_000));
    assert!(clock.read(0));
}

#[test]
fn the_first_reading_after_an_idle_hour_is_right() {
    let mut clock = Turned::new(u64::MAX - 1_000_000);
    clock.settle(2_600);
    clock.run(3_600_000 * MS, 2_600);
    assert!(!clock.read(0), "a sample");
    assert_eq!(clock.error(), 0);
    assert!(clock.read(0), "the rate agrees");
}

#[test]
fn the_readings_meet_a_clock_that_is_slowed_down() {
    let mut clock = Turned::new(0);
    clock.settle(1_000);
    // Five percent, then right again.
    for ticks_per_us in [1_050, 1_050, 1_000, 1_000, 1_000, 1_000] {
        for _ in 0..100 {
            clock.run(10_000, ticks_per_us);
            clock.read(0);
            assert!(clock.error() < 45_000, "{}", clock.error());
        }
    }
    assert!(clock.error() < 1_000, "{}", clock.error());
}

#[test]
fn a_counter_that_jumps_or_stops_costs_a_few_samples() {
    for jump in [0, 1 << 40, u64::MAX - (1 << 50), 700_000] {
        let mut clock = Turned::new(1 << 51);
        clock.settle(1_000);
        clock.counter = clock.counter.wrapping_add(jump);
        clock.os += MS / 2;
        for _ in 0..2_000 {
            clock.run(1_000, 1_000);
            clock.read(0);
        }
        assert!(clock.error() < 2_000, "{jump}: {}", clock.error());
        clock.read(0);
        assert!(clock.read(0), "{jump}");
    }
}

#[derive(Clone, Debug)]
enum Event {
    /// Both clocks run for some nanoseconds; then it is read, with this bracket in ticks.
    Run(u64, u64),
    /// The rate of the counter against the operating system's clock, in parts per million.
    Slew(i64),
    /// The counter is set.
    Jump(u64),
    /// The operating system's clock goes on, and the counter does not.
    Suspend(u64),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        20 => (0_u64..2 * MS, 0_u64..60_000).prop_map(|(ns, bracket)| Event::Run(ns, bracket)),
        2 => (0_u64..10_000 * MS, 0_u64..100).prop_map(|(ns, bracket)| Event::Run(ns, bracket)),
        1 => (-90_000_i64..90_000).prop_map(Event::Slew),
        1 => any::<u64>().prop_map(Event::Jump),
        1 => (0_u64..100_000 * MS).prop_map(Event::Suspend),
    ]
}

proptest! {
    /// Whatever the clocks do: never backwards (checked at each reading), never ahead by more
    /// than a segment's reach, and late by that only as long as it takes to notice a stopped counter.
    #[test]
    fn readings_follow_the_operating_system(
        start in any::<u64>(),
        ticks_per_us in 20_u64..6_000,
        events in prop::collection::vec(event(), 1..300),
    ) {
        let mut clock = Turned::new(start);
        let mut speed = ticks_per_us;
        // When the counter has gone on for long enough for it to be noticed.
        let mut noticed_at = 0;
        for event in events {
            match event {
                Event::Run(ns, bracket) => {
                    clock.run(ns, speed);
                    clock.read(bracket);
                    let ahead = clock.reading.saturating_sub(clock.os);
                    prop_assert!(ahead <= REACH_NS, "{ahead} ahead");
                    if clock.os > noticed_at {
                        let behind = clock.os.saturating_sub(clock.reading);
                        prop_assert!(behind < MS, "{behind} behind");
                    }
                }
                Event::Slew(ppm) => {
                    speed = (ticks_per_us as i64 * (1_000_000 + ppm) / 1_000_000) as u64;
                }
                Event::Jump(by) => {
                    clock.counter = clock.counter.wrapping_add(by);
                    noticed_at = clock.os + MS;
                }
                Event::Suspend(ns) => {
                    clock.os += ns;
                    noticed_at = clock.os + MS;
                }
            }
        }
    }
}

/// The clock that optimized builds read, in this build, too; `None` without a counter.
fn fast() -> Option<Clock> {
    let counter = Counter::get()?;
    Some(Clock {
        start: counter.now(),
        counter: Some(counter),
    })
}

/// The distance of a reading to what two readings of another clock around it enclose.
fn outside(before: u64, reading: u64, after: u64) -> u64 {
    before
        .saturating_sub(reading)
        .max(reading.saturating_sub(after))
}

/// How far the clock has been from the operating system's and tokio's. An interrupted thread
/// makes what the readings around enclose longer, so it does no harm.
fn distance(clock: Clock, steps: u32, pause: impl Fn()) -> u64 {
    let distances = (0..steps).map(|_| {
        pause();
        let before = os_ns();
        let reading = clock.read().ns;
        let after = tokio_ns(Instant::now());
        outside(before, reading, after)
    });
    distances.max().unwrap_or(0)
}

#[test]
fn it_agrees_with_the_operating_system_and_tokio() {
    let Some(clock) = fast() else { return };
    let spun = distance(clock, 1_000_000, || ());
    assert!(spun < MS, "{spun} ns");
    let parked = distance(clock, 60, || {
        std::thread::park_timeout(Duration::from_millis(3));
    });
    assert!(parked < MS, "{parked} ns");
}

#[test]
fn a_reading_becomes_the_instant_of_a_timer() {
    let Some(clock) = fast() else { return };
    let (before, reading, after) = (Instant::now(), clock.now(), Instant::now());
    let instant = clock.instant(reading);
    assert!(instant + Duration::from_millis(1) > before, "not early");
    assert!(instant < after + Duration::from_millis(1), "not late");
    assert_eq!(clock.at(instant), reading);
}

#[test]
fn it_never_goes_backwards_in_a_thread() {
    let Some(clock) = fast() else { return };
    let end = os_now() + Duration::from_millis(300);
    let read = |_: usize| {
        let mut last = 0;
        while os_now() < end {
            for _ in 0..1_000 {
                let now = clock.now();
                assert!(now >= last, "{now} after {last}");
                last = now;
            }
        }
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|i| scope.spawn(move || read(i))).collect();
        threads
            .into_iter()
            .for_each(|thread| thread.join().unwrap());
    });
}

/// A processor reads its counter while it waits for a word of another core: so the bound is
/// how long such a word takes, not zero.
#[test]
fn between_threads_it_goes_backwards_by_microseconds_at_most() {
    let Some(clock) = fast() else { return };
    let end = os_now() + Duration::from_millis(300);
    let latest = AtomicU64::new(0);
    let read = || {
        while os_now() < end {
            for _ in 0..1_000 {
                let seen = latest.load(Ordering::SeqCst);
                let now = clock.now();
                assert!(now + 100_000 > seen, "{} ns back", seen - now);
                latest.fetch_max(now, Ordering::SeqCst);
            }
        }
    };
    std::thread::scope(|scope| {
        let threads = [scope.spawn(read), scope.spawn(read)];
        threads
            .into_iter()
            .for_each(|thread| thread.join().unwrap());
    });
}
