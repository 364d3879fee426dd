//! How long a circuit stays open. Times are nanoseconds; everything saturates.

/// Start, growth, jitter and decay of the open time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Opening {
    pub(crate) start: u64,
    /// 1 without growth.
    pub(crate) factor: f64,
    pub(crate) cap: u64,
    pub(crate) jitter: f64,
    /// How long a circuit must be closed for one step of the growth to be taken back.
    pub(crate) decay: u64,
}

impl Opening {
    /// The open time after `streak` openings in a row, without jitter.
    pub(crate) fn plain(&self, streak: u32) -> u64 {
        if streak == 0 || self.factor <= 1.0 {
            return self.start.min(self.cap);
        }
        let times = self.factor.powi(i32::try_from(streak).unwrap_or(i32::MAX));
        // The cast saturates, and infinity lands on the cap too. Rounding never shortens.
        let grown = (self.start as f64 * times) as u64;
        grown.max(self.start).min(self.cap)
    }

    /// Adds the jitter for a draw from `[0, 1)`. It only adds, and after the cap, so that
    /// circuits neither come early nor pile up on the cap.
    pub(crate) fn jittered(&self, time: u64, draw: f64) -> u64 {
        // Written so that NaN becomes 0.
        let draw = if draw > 0.0 { draw.min(1.0) } else { 0.0 };
        time.saturating_add((time as f64 * (self.jitter * draw)) as u64)
    }

    /// The openings in a row that are left after the circuit was closed for so long.
    pub(crate) fn decayed(&self, streak: u32, closed_for: u64) -> u32 {
        let steps = closed_for / self.decay.max(1);
        streak.saturating_sub(u32::try_from(steps).unwrap_or(u32::MAX))
    }
}

#[cfg(all(test, not(seawall_loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const OPENING: Opening = Opening {
        start: 10,
        factor: 2.0,
        cap: 70,
        jitter: 0.5,
        decay: 100,
    };

    #[test]
    fn it_grows_by_the_factor_up_to_the_cap() {
        let times: Vec<u64> = (0..5).map(|k| OPENING.plain(k)).collect();
        assert_eq!(times, [10, 20, 40, 70, 70]);
        assert_eq!(OPENING.plain(u32::MAX), 70);
        let fixed = Opening {
            factor: 1.0,
            cap: 10,
            ..OPENING
        };
        assert_eq!(fixed.plain(9), 10);
    }

    #[test]
    fn jitter_is_drawn_after_the_cap_and_only_adds() {
        assert_eq!(OPENING.jittered(70, 0.0), 70);
        assert_eq!(OPENING.jittered(70, 1.0), 105);
        assert_eq!(OPENING.jittered(70, f64::NAN), 70);
        assert_eq!(OPENING.jittered(u64::MAX, 1.0), u64::MAX);
    }

    #[test]
    fn each_period_spent_closed_takes_one_step_back() {
        assert_eq!(OPENING.decayed(3, 99), 3);
        assert_eq!(OPENING.decayed(3, 100), 2);
        assert_eq!(OPENING.decayed(3, 299), 1);
        assert_eq!(OPENING.decayed(3, u64::MAX), 0);
    }

    proptest! {
        #[test]
        fn no_draw_shortens_and_no_extreme_panics(
            start in 1_u64.., cap in any::<u64>(), factor in 1.0_f64..1e300,
            jitter in 0.0_f64..=1.0, streak in any::<u32>(), draw in 0.0_f64..1.0,
        ) {
            let cap = cap.max(start);
            let opening = Opening { start, factor, cap, jitter, decay: 1 };
            let plain = opening.plain(streak);
            prop_assert!(plain >= start && plain <= cap);
            prop_assert!(opening.plain(streak.saturating_add(1)) >= plain);
            prop_assert!(opening.jittered(plain, draw) >= plain);
        }
    }
}
