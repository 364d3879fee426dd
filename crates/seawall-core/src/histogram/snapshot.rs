//! What a histogram held at one moment.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::layout::{BUCKETS, lower, upper};
use super::stripe::HistogramStripe;

/// Edges of buckets in nanoseconds: three octaves from 131 us on, two edges per octave from 1 ms to
/// 17 s, three octaves more.
const EDGES: [u64; 35] = {
    let mut edges = [0; 35];
    let (mut index, mut power) = (0, 17);
    while index < edges.len() {
        edges[index] = 1 << power;
        index += 1;
        if power >= 20 && power < 34 {
            edges[index] = 3 << (power - 1);
            index += 1;
        }
        power += 1;
    }
    edges
};

/// Upper bounds in seconds for the buckets of exporters that want few of them. Each is an edge of
/// a bucket of [`Histogram`](crate::Histogram), so such an exporter counts what we count: no sample is put into the wrong
/// one of its buckets by being published as one of ours.
///
/// For `metrics-exporter-prometheus` that is
/// `builder.set_buckets_for_metric(Matcher::Suffix("_duration_seconds".into()), &HISTOGRAM_BOUNDS)`.
/// A sample that is exactly on a bound counts for the bucket above it.
pub const HISTOGRAM_BOUNDS: [f64; 35] = {
    let mut bounds = [0.0; 35];
    let mut index = 0;
    while index < bounds.len() {
        bounds[index] = EDGES[index] as f64 / 1e9;
        index += 1;
    }
    bounds
};

/// What a [`Histogram`](crate::Histogram) held at one moment. Clones share the memory, which is that of the buckets with
/// a sample: some hundred bytes mostly, at most 7.4 kB.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HistogramSnapshot {
    /// Those with samples, in order.
    buckets: Arc<[(u16, u64)]>,
    count: u64,
    sum_ns: u64,
    max_ns: u64,
}

impl HistogramSnapshot {
    /// The sum of these stripes.
    pub fn of<'a>(stripes: impl IntoIterator<Item = &'a HistogramStripe>) -> Self {
        let mut counts = [0_u64; BUCKETS];
        let (mut sum_ns, mut max_ns) = (0_u64, 0);
        for table in stripes.into_iter().flat_map(HistogramStripe::tables) {
            for (sum, count) in counts.iter_mut().zip(&table.counts) {
                *sum = sum.wrapping_add(count.load(Ordering::Relaxed));
            }
            sum_ns = sum_ns.wrapping_add(table.sum_ns.load(Ordering::Relaxed));
            max_ns = max_ns.max(table.max_ns.load(Ordering::Relaxed));
        }
        Self::new(&counts, sum_ns, max_ns)
    }

    fn new(counts: &[u64; BUCKETS], sum_ns: u64, max_ns: u64) -> Self {
        // There are 464 buckets.
        let buckets = counts.iter().enumerate().map(|(i, n)| (i as u16, *n));
        Self {
            buckets: buckets.filter(|(_, count)| *count > 0).collect(),
            count: counts.iter().fold(0, |sum, n| sum.wrapping_add(*n)),
            sum_ns,
            max_ns,
        }
    }

    fn counts(&self) -> [u64; BUCKETS] {
        let mut counts = [0; BUCKETS];
        for (index, count) in self.buckets.iter() {
            counts[usize::from(*index)] = *count;
        }
        counts
    }

    /// How many samples there are.
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// Whether there is no sample.
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The sum of all samples.
    pub const fn sum(&self) -> Duration {
        Duration::from_nanos(self.sum_ns)
    }

    /// The longest sample; zero without one.
    pub const fn max(&self) -> Duration {
        Duration::from_nanos(self.max_ns)
    }

    /// The mean of the samples; `None` without one.
    pub const fn mean(&self) -> Option<Duration> {
        match self.sum_ns.checked_div(self.count) {
            None => None,
            Some(mean) => Some(Duration::from_nanos(mean)),
        }
    }

    /// What a share `quantile` of the samples does not exceed: never below that, above it by at
    /// most a sixteenth and 1.024 us, and never above the maximum. A share below 0 or that is no
    /// number is 0, one above 1 is 1. `None` without a sample.
    pub fn quantile(&self, quantile: f64) -> Option<Duration> {
        // What is no number stays none, and `as` makes 0 of it.
        let rank = (quantile.clamp(0.0, 1.0) * self.count as f64).ceil() as u64;
        let rank = rank.clamp(1, self.count.max(1));
        let mut below = 0_u64;
        for (index, count) in self.buckets.iter() {
            below = below.saturating_add(*count);
            if below >= rank {
                return Some(Duration::from_nanos(self.upper_ns(usize::from(*index))));
            }
        }
        None
    }

    /// The end of a bucket; that of the last one is the longest sample.
    fn upper_ns(&self, index: usize) -> u64 {
        if index + 1 == BUCKETS {
            return self.max_ns;
        }
        upper(index).min(self.max_ns)
    }

    /// The buckets with samples, from the shortest on: from, to (exclusive) and how many.
    pub fn buckets(&self) -> impl Iterator<Item = (Duration, Duration, u64)> {
        self.buckets.iter().map(|(index, count)| {
            let index = usize::from(*index);
            let [from, to] = [lower(index), upper(index)].map(Duration::from_nanos);
            (from, to, *count)
        })
    }

    /// How many samples are shorter than each of [`HISTOGRAM_BOUNDS`], as Prometheus' buckets count;
    /// those beyond the last one are the rest of [`count`](Self::count).
    pub fn cumulative(&self) -> [u64; HISTOGRAM_BOUNDS.len()] {
        let mut buckets = self.buckets.iter().peekable();
        let mut below = 0_u64;
        EDGES.map(|edge| {
            while let Some((_, count)) =
                buckets.next_if(|(index, _)| upper(usize::from(*index)) <= edge)
            {
                below = below.wrapping_add(*count);
            }
            below
        })
    }

    /// The samples of both.
    #[must_use]
    pub fn merge(&self, other: &Self) -> Self {
        let mut counts = self.counts();
        for (index, count) in other.buckets.iter() {
            let sum = &mut counts[usize::from(*index)];
            *sum = sum.wrapping_add(*count);
        }
        let sum_ns = self.sum_ns.wrapping_add(other.sum_ns);
        Self::new(&counts, sum_ns, self.max_ns.max(other.max_ns))
    }

    /// The samples that were recorded after `earlier`, a snapshot of the same histogram. All of
    /// them where it cannot be one, since it has samples that this one lacks. The maximum is
    /// that of their buckets, and so may be longer by a sixteenth.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let mut counts = self.counts();
        for (index, before) in earlier.buckets.iter() {
            let count = &mut counts[usize::from(*index)];
            match count.checked_sub(*before) {
                Some(later) => *count = later,
                None => return self.clone(),
            }
        }
        let last = counts.iter().rposition(|count| *count > 0);
        let max_ns = last.map_or(0, |index| self.upper_ns(index));
        // Sums are read after the counts, so that of the earlier one may have had a sample more.
        let sum_ns = self.sum_ns.saturating_sub(earlier.sum_ns);
        Self::new(&counts, sum_ns, max_ns)
    }

    /// Each bucket with samples as one value in seconds, the middle of it, and how many samples it
    /// has. The middle is within a thirty-second of each of them from 16 us on, and lies between the same
    /// two of [`HISTOGRAM_BOUNDS`].
    pub fn values(&self) -> impl Iterator<Item = (f64, u64)> {
        self.buckets().map(|(from, to, count)| {
            let middle = (from.as_nanos() + to.as_nanos()) as f64 / 2.0;
            (middle / 1e9, count)
        })
    }
}

/// Count, sum, mean and maximum, quantiles in seconds.
#[cfg(feature = "serde")]
impl serde::Serialize for HistogramSnapshot {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;
        let seconds = |duration: Option<Duration>| duration.map(|d| d.as_secs_f64());
        let mut map = serializer.serialize_struct("HistogramSnapshot", 8)?;
        map.serialize_field("count", &self.count)?;
        map.serialize_field("sum_seconds", &self.sum().as_secs_f64())?;
        map.serialize_field("mean_seconds", &seconds(self.mean()))?;
        map.serialize_field("max_seconds", &self.max().as_secs_f64())?;
        for (name, quantile) in [
            ("p50_seconds", 0.5),
            ("p95_seconds", 0.95),
            ("p99_seconds", 0.99),
            ("p999_seconds", 0.999),
        ] {
            map.serialize_field(name, &seconds(self.quantile(quantile)))?;
        }
        map.end()
    }
}
