//! How a counter is turned into nanoseconds of the operating system's clock.
//!
//! A counter's rate is known from the last two samples of both clocks. From a sample on, readings
//! follow a straight line for a short time, its reach; then the next sample is due. So an error
//! of the rate has no time to add up, whatever the other clock is corrected by, and after a long
//! idle time the first reading is a sample. Where two measured rates disagree (a suspended
//! machine, a counter that was set), there is no segment until two in a row agree.

/// For how long a segment is good.
///
/// It is the bound of every error as well: a segment never runs ahead of the last sample by more.
pub(super) const REACH_NS: u64 = 800_000;

/// The shortest time that a rate is measured over.
const SPAN_NS: u64 = 400_000;

/// The longest time that taking a sample may last. Longer means that the thread was interrupted.
const BRACKET_NS: u64 = 10_000;

/// How far two rates in a row may be apart, as a part of one: a sixteenth. `adjtimex` and chrony
/// can change the rate of the operating system's clock by up to a tenth at once.
const AGREEING: u64 = 16;

/// Both clocks at about the same moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    /// The counter before the operating system's clock was read.
    pub(super) counter: u64,
    /// Nanoseconds of the operating system's clock.
    pub(super) ns: u64,
    /// By how much the counter had grown after that.
    pub(super) bracket: u64,
}

/// A segment that readings follow from `counter` on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Segment {
    /// The counter at its start.
    pub(super) counter: u64,
    /// The reading at its start.
    pub(super) ns: u64,
    /// Nanoseconds per tick, in units of 2^-32.
    pub(super) rate: u64,
    /// For how many ticks it is good; 0 for no segment, where `ns` is the latest reading.
    pub(super) reach: u64,
}

impl Segment {
    /// The reading at `counter`; `None` beyond its reach.
    #[inline]
    pub(super) fn at(&self, counter: u64) -> Option<u64> {
        let ticks = counter.wrapping_sub(self.counter);
        (ticks < self.reach).then(|| self.after(ticks))
    }

    /// At most [`REACH_NS`] after its start: `reach` is chosen so that nothing overflows.
    #[inline]
    fn after(&self, ticks: u64) -> u64 {
        self.ns + (ticks.wrapping_mul(self.rate) >> 32)
    }

    /// The latest reading that it can have given up to `counter`.
    pub(super) fn latest(&self, counter: u64) -> u64 {
        self.at(counter).unwrap_or_else(|| self.after(self.reach))
    }
}

/// What the samples have shown.
#[derive(Debug, Default)]
pub(super) struct Follower {
    segment: Segment,
    /// The last sample that a rate is measured from.
    last: Option<Sample>,
    /// The last measured rate; 0 where there is none.
    rate: u64,
}

impl Follower {
    /// Takes a sample: the reading at its moment, and the segment from there on when it changes.
    ///
    /// No reading is earlier than one before. Where the segment was ahead of the operating system's
    /// clock, the next one is less steep and meets it at its end.
    pub(super) fn take(&mut self, sample: Sample) -> (u64, Option<Segment>) {
        let reading = sample.ns.max(self.segment.latest(sample.counter));
        let Some(last) = self.last else {
            self.last = Some(sample);
            return (reading, Some(self.hold(&sample, reading)));
        };
        let elapsed = sample.ns.saturating_sub(last.ns);
        if elapsed < SPAN_NS {
            return (reading, None);
        }
        let rate = ratio(elapsed, sample.counter.wrapping_sub(last.counter));
        if scaled(sample.bracket, rate) > BRACKET_NS {
            return (reading, None);
        }
        let agree = rate.abs_diff(self.rate) <= rate / AGREEING;
        (self.last, self.rate) = (Some(sample), rate);
        let segment = if agree {
            self.draw(&sample, reading)
        } else {
            self.hold(&sample, reading)
        };
        (reading, Some(segment))
    }

    /// A segment from `reading` to where the operating system's clock will be at its end.
    fn draw(&mut self, sample: &Sample, reading: u64) -> Segment {
        let lead = reading - sample.ns;
        let reach = reach(self.rate);
        if lead > REACH_NS / 2 || reach == 0 {
            return self.hold(sample, reading);
        }
        let slower = u128::from(self.rate) * u128::from(REACH_NS - lead) / u128::from(REACH_NS);
        self.segment = Segment {
            counter: sample.counter,
            ns: reading,
            rate: u64::try_from(slower).unwrap_or(0),
            reach,
        };
        self.segment
    }

    /// No segment: every reading is the operating system's, and none is before `reading`.
    fn hold(&mut self, sample: &Sample, reading: u64) -> Segment {
        self.segment = Segment {
            counter: sample.counter,
            ns: reading,
            ..Segment::default()
        };
        self.segment
    }
}

/// Nanoseconds per tick in units of 2^-32; 0 where no counter has this rate: those of processors
/// run at a megahertz to some gigahertz.
fn ratio(elapsed: u64, ticks: u64) -> u64 {
    const RATES: std::ops::Range<u128> = (1 << 27)..(1 << 42);
    let rate = (u128::from(elapsed) << 32).checked_div(u128::from(ticks));
    let plausible = rate.filter(|rate| RATES.contains(rate));
    plausible
        .and_then(|rate| u64::try_from(rate).ok())
        .unwrap_or(0)
}

/// Ticks in nanoseconds.
fn scaled(ticks: u64, rate: u64) -> u64 {
    let ns = (u128::from(ticks) * u128::from(rate)) >> 32;
    u64::try_from(ns).unwrap_or(u64::MAX)
}

/// Ticks of [`REACH_NS`]; 0 for a rate of 0.
fn reach(rate: u64) -> u64 {
    (REACH_NS << 32).checked_div(rate).unwrap_or(0)
}
