//! How far the sum of what calls use that are in flight together departs from what was expected of them.

/// How long a moment is from the next one at which the calls in flight are summed.
const STEP_NS: u64 = 1_000_000_000;
/// How many moments are kept, so how many seconds a call may take to be counted in full.
const MOMENTS: usize = 512;
/// How many moments count: a mean that forgets with this time constant.
const MEMORY: f64 = 300.0;

/// One moment of the past, as far as its calls have ended.
#[derive(Clone, Copy, Debug, Default)]
struct Moment {
    in_flight: u32,
    ended: u32,
    expected: [f64; 2],
    used: [f64; 2],
}

/// A weighted mean and variance that forgets.
#[derive(Clone, Copy, Debug, Default)]
struct Moments {
    weight: f64,
    sum: f64,
    squares: f64,
    samples: u32,
}

impl Moments {
    fn add(&mut self, ratio: f64, weight: f64) {
        let keep = 1.0 - 1.0 / MEMORY;
        self.weight = self.weight * keep + weight;
        self.sum = self.sum * keep + weight * ratio;
        self.squares = self.squares * keep + weight * ratio * ratio;
        self.samples = self.samples.saturating_add(1);
    }

    /// The mean, and so many standard deviations more.
    fn upper(&self, deviations: f64) -> Option<f64> {
        if self.samples < FEW || self.weight <= 0.0 {
            return None;
        }
        let mean = self.sum / self.weight;
        let variance = (self.squares / self.weight - mean * mean).max(0.0);
        // Of few samples the deviation is not known well.
        let unsure = 1.0 + f64::from(FEW) / f64::from(self.samples);
        Some(mean + deviations * unsure * variance.sqrt())
    }
}

/// So many samples are needed, and make the deviation twice as large as it seems.
const FEW: u32 = 10;

/// The sums over calls that were in flight at one moment: what was expected of them, and what they
/// have used.
///
/// Long responses are longer in flight, so the calls in flight use more than their share among all; and
/// what they use may be alike, since callers come with the same task. Both are in the sums of the past.
#[derive(Debug)]
pub(crate) struct InFlight {
    moments: Box<[Moment]>,
    /// The number of the next moment.
    next: u64,
    /// The number of the oldest moment that was not learned from.
    oldest: u64,
    in_flight: u32,
    learned: [Moments; 2],
}

impl InFlight {
    pub(crate) fn new(now_ns: u64) -> Self {
        Self {
            moments: vec![Moment::default(); MOMENTS].into(),
            next: now_ns / STEP_NS + 1,
            oldest: now_ns / STEP_NS + 1,
            in_flight: 0,
            learned: [Moments::default(); 2],
        }
    }

    pub(crate) const fn in_flight(&self) -> u32 {
        self.in_flight
    }

    /// Records which calls were in flight at the moments until now.
    fn advance(&mut self, now_ns: u64) {
        let last = now_ns / STEP_NS;
        let kept = last.saturating_sub(MOMENTS as u64 - 1);
        // Of what is not kept as much is learned as is known: a call that nobody polls any more, or whose
        // body nobody reads, is in flight at every moment, and must not keep the others from being learned.
        while self.oldest < self.next.min(kept) {
            self.learn_oldest();
        }
        self.next = self.next.max(kept);
        while self.next <= last {
            let slot = (self.next % MOMENTS as u64) as usize;
            if let Some(moment) = self.moments.get_mut(slot) {
                *moment = Moment {
                    in_flight: self.in_flight,
                    ..Moment::default()
                };
            }
            self.next += 1;
        }
        self.oldest = self.oldest.max(self.next.saturating_sub(MOMENTS as u64));
    }

    pub(crate) fn departed(&mut self, now_ns: u64) {
        self.advance(now_ns);
        self.in_flight = self.in_flight.saturating_add(1);
    }

    /// A call has ended, of which so much was expected, and which has used so much; zero for what was
    /// not known well enough to be expected.
    pub(crate) fn ended(
        &mut self,
        departed_ns: u64,
        now_ns: u64,
        expected: [f64; 2],
        used: [f64; 2],
    ) {
        self.advance(now_ns);
        self.in_flight = self.in_flight.saturating_sub(1);
        let first = departed_ns / STEP_NS + 1;
        for number in first.max(self.oldest)..self.next {
            let slot = (number % MOMENTS as u64) as usize;
            let Some(moment) = self.moments.get_mut(slot) else {
                continue;
            };
            moment.ended += 1;
            for unit in 0..2 {
                if expected[unit] > 0.0 {
                    moment.expected[unit] += expected[unit];
                    moment.used[unit] += used[unit];
                }
            }
        }
        self.learn();
    }

    /// Learns of the moments whose calls have all ended, in their order: those without a long call
    /// end first, and would make it seem that there are none.
    fn learn(&mut self) {
        while self.oldest < self.next {
            let moment = self.moment(self.oldest);
            if moment.ended < moment.in_flight {
                return;
            }
            self.learn_oldest();
        }
    }

    fn learn_oldest(&mut self) {
        let moment = self.moment(self.oldest);
        for unit in 0..2 {
            let weight = moment.expected[unit];
            if weight > 0.0 {
                self.learned[unit].add(moment.used[unit] / weight, weight);
            }
        }
        self.oldest += 1;
    }

    fn moment(&self, number: u64) -> Moment {
        let slot = (number % MOMENTS as u64) as usize;
        self.moments.get(slot).copied().unwrap_or_default()
    }

    /// By how much what is expected of a call must be multiplied.
    pub(crate) fn factors(&self, deviations: f64) -> [Option<f64>; 2] {
        self.learned.map(|learned| learned.upper(deviations))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: u64 = STEP_NS;

    /// The ratios and weights of the seconds whose calls have all ended, from a list of all calls.
    fn model(calls: &[(u64, u64, f64, f64)], now: u64) -> Moments {
        let mut learned = Moments::default();
        for number in 1..=now / SECOND {
            let at = number * SECOND;
            let here: Vec<_> = calls.iter().filter(|c| c.0 < at && at <= c.1).collect();
            if here.iter().any(|call| call.1 > now) {
                break;
            }
            let expected: f64 = here.iter().map(|call| call.2).sum();
            let used: f64 = here.iter().map(|call| call.3).sum();
            if expected > 0.0 {
                learned.add(used / expected, expected);
            }
        }
        learned
    }

    /// One that has departed and is not polled any more, or whose stream nobody reads, holds up what is
    /// learned for as long as is kept, and no longer.
    #[test]
    fn a_call_that_never_ends_is_forgotten() {
        let others = |in_flight: &mut InFlight, seconds: std::ops::Range<u64>| {
            for second in seconds {
                let at = second * SECOND - 1;
                in_flight.departed(at);
                in_flight.ended(at, at + 2, [10.0, 10.0], [20.0, 5.0]);
            }
        };
        let learned = |in_flight: &InFlight| {
            let factors = in_flight.factors(0.0);
            factors.map(|factor| factor.map(|factor| (factor * 1e6).round() / 1e6))
        };
        let kept = MOMENTS as u64;
        let mut in_flight = InFlight::new(0);
        in_flight.departed(1);
        others(&mut in_flight, 1..kept);
        assert_eq!(learned(&in_flight), [None; 2], "it may be the longest");
        others(&mut in_flight, kept..kept + 20);
        assert_eq!(learned(&in_flight), [Some(2.0), Some(0.5)]);
        in_flight.ended(1, (kept + 20) * SECOND, [0.0; 2], [0.0; 2]);
        assert_eq!(learned(&in_flight), [Some(2.0), Some(0.5)]);

        // After a pause that is longer than what is kept, too.
        let mut paused = InFlight::new(0);
        paused.departed(1);
        others(&mut paused, 1..20);
        assert_eq!(learned(&paused), [None; 2]);
        paused.departed(10 * kept * SECOND);
        assert_eq!(learned(&paused), [Some(2.0), Some(0.5)]);
    }

    proptest! {
        #[test]
        fn sums_are_those_of_a_list_of_all_calls(
            calls in prop::collection::vec((0_u64..60_000, 1_u64..30_000, 1.0..100.0, 0.0..300.0), 1..60),
        ) {
            // Times that are no full seconds.
            let calls: Vec<_> = calls
                .into_iter()
                .map(|(at, lasts, expected, used): (u64, u64, f64, f64)| {
                    let at = at * 1_000_000 + 1;
                    (at, at + lasts * 1_000_000 + 1, expected, used)
                })
                .collect();
            let mut events: Vec<_> = calls
                .iter()
                .flat_map(|call| [(call.0, None), (call.1, Some(*call))])
                .collect();
            events.sort_by_key(|event| event.0);
            let mut in_flight = InFlight::new(0);
            let mut now = 0;
            for (at, ended) in events {
                now = at;
                match ended {
                    None => in_flight.departed(at),
                    Some((from, _, expected, used)) => {
                        in_flight.ended(from, at, [expected, 0.0], [used, 0.0]);
                    }
                }
            }
            prop_assert_eq!(in_flight.in_flight(), 0);
            let expected = model(&calls, now);
            let learned = in_flight.learned[0];
            prop_assert_eq!(learned.samples, expected.samples);
            prop_assert!((learned.sum - expected.sum).abs() < 1e-6);
            prop_assert!((learned.squares - expected.squares).abs() < 1e-6);
            prop_assert_eq!(in_flight.learned[1].samples, 0);
        }

        #[test]
        fn no_order_of_calls_and_no_clock_makes_it_panic(
            steps in prop::collection::vec((any::<bool>(), 0_u64..u64::MAX), 0..40),
        ) {
            let mut in_flight = InFlight::new(0);
            for (departs, at) in steps {
                if departs {
                    in_flight.departed(at);
                } else {
                    in_flight.ended(at / 2, at, [1.0; 2], [f64::MAX; 2]);
                }
            }
            let _ = in_flight.factors(2.0);
        }
    }

    #[test]
    fn alike_calls_need_more_than_calls_that_differ() {
        let mut factors = [0.0; 2];
        for (factor, alike) in factors.iter_mut().zip([false, true]) {
            let mut in_flight = InFlight::new(0);
            for second in 1..300_u64 {
                let at = second * SECOND - 1;
                for _ in 0..10 {
                    in_flight.departed(at);
                }
                for call in 0..10 {
                    let turn = if alike { second } else { second + call };
                    let used = if turn.is_multiple_of(2) { 5.0 } else { 15.0 };
                    in_flight.ended(at, at + 2, [10.0; 2], [used; 2]);
                }
            }
            *factor = in_flight.factors(1.0)[1].unwrap();
        }
        let [differ, alike] = factors;
        assert!((differ - 1.0).abs() < 0.01, "{differ}");
        assert!((1.5..1.6).contains(&alike), "{alike}");
    }
}
