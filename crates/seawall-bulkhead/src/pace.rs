//! How fast a line moves, and what that says to one who would join it.

/// The mean time between two places that were given back while somebody was in line.
///
/// It is what a forecast needs, places and the time for which they are held in one number, and it
/// costs calls that nobody waits for no clock reading. It is forgotten when the line is empty: a
/// forecast from another time would reject calls, and as those do not join the line, nothing would
/// ever correct it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// `None` when the next place tells of no interval yet.
    last_ns: Option<u64>,
    mean_ns: f64,
    seen: u32,
}

/// Fewer intervals than this say nothing.
const FEWEST: u32 = 4;

impl Pace {
    pub(crate) const fn new() -> Self {
        Self {
            last_ns: None,
            mean_ns: 0.0,
            seen: 0,
        }
    }

    /// The first one joins an empty line.
    pub(crate) const fn begin(&mut self, now_ns: u64) {
        *self = Self::new();
        self.last_ns = Some(now_ns);
    }

    /// The line has stood, or will: it begins with the next place that is given back.
    pub(crate) const fn forget(&mut self) {
        *self = Self::new();
    }

    /// A place was given back.
    pub(crate) fn step(&mut self, now_ns: u64, places: u32) {
        let Some(last_ns) = self.last_ns else {
            self.last_ns = Some(now_ns);
            return;
        };
        let interval = now_ns.saturating_sub(last_ns) as f64;
        self.last_ns = Some(last_ns.max(now_ns));
        self.seen = self.seen.saturating_add(1);
        // Calls that began together end together: one round of all places is one observation.
        let memory = places.max(FEWEST).saturating_mul(4);
        self.mean_ns += (interval - self.mean_ns) / f64::from(self.seen.min(memory));
    }

    /// The number of places has changed.
    pub(crate) fn resized(&mut self, before: u32, after: u32) {
        self.mean_ns *= f64::from(before) / f64::from(after.max(1));
    }

    /// How long the `position`-th in line will wait; `None` when nobody can tell.
    pub(crate) fn forecast(&self, position: u32, places: u32) -> Option<u64> {
        let known = self.seen >= places.max(FEWEST);
        known.then(|| (self.mean_ns * f64::from(position)) as u64)
    }

    /// For how long a place is held, by the pace.
    pub(crate) fn mean_hold(&self, places: u32) -> Option<u64> {
        self.forecast(places, places)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_forecast_before_every_place_was_given_back_once() {
        let mut pace = Pace::new();
        pace.begin(100);
        for n in 1..=7 {
            pace.step(100 + n * 10, 8);
            assert_eq!(pace.forecast(1, 8), None);
        }
        pace.step(180, 8);
        assert_eq!(pace.forecast(5, 8), Some(50));
        assert_eq!(pace.mean_hold(8), Some(80));
        pace.begin(1_000);
        assert_eq!(pace.forecast(1, 8), None, "forgotten with the line");
    }

    #[test]
    fn a_forecast_is_not_misled_by_calls_that_end_together() {
        let mut pace = Pace::new();
        pace.begin(0);
        // 10 places, all of them given back every 100 ns.
        for round in 1..=20_u64 {
            for _ in 0..10 {
                pace.step(round * 100, 10);
            }
            let forecast = pace.forecast(10, 10).expect("ten were seen");
            assert!((80..=110).contains(&forecast), "{round}: {forecast}");
        }
    }

    #[test]
    fn a_forecast_follows_places_and_pace() {
        let mut pace = Pace::new();
        pace.begin(0);
        (1..=8).for_each(|n| pace.step(n * 100, 4));
        assert_eq!(pace.forecast(3, 4), Some(300));
        pace.resized(4, 8);
        assert_eq!(pace.forecast(4, 8), Some(200));
        (1..=400).for_each(|n| pace.step(800 + n * 10, 4));
        let fast = pace.forecast(10, 4).expect("known");
        assert!((95..=105).contains(&fast), "{fast}");
        // A clock that goes back is a clock that stands.
        pace.step(0, 4);
        assert!(pace.forecast(10, 4).expect("known") <= fast);
    }
}
