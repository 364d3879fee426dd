use super::layout::bucket;
use super::*;
use proptest::prelude::*;

const HOUR_NS: u64 = 3_600_000_000_000;

fn recorded(samples: &[u64]) -> HistogramSnapshot {
    let histogram = Histogram::new();
    samples.iter().for_each(|ns| histogram.record_ns(*ns));
    histogram.snapshot()
}

/// From nanoseconds to more than an hour, each magnitude as likely as the next.
fn durations() -> impl Strategy<Value = Vec<u64>> {
    let one = (0_u32..42, any::<u64>()).prop_map(|(bits, ns)| ns >> (63 - bits));
    proptest::collection::vec(one, 1..300)
}

proptest! {
    #[test]
    fn quantiles_are_those_of_hdrhistogram_within_a_sixteenth(
        samples in durations(),
        quantile in 0.0..=1.0_f64,
    ) {
        let mut hdr = hdrhistogram::Histogram::<u64>::new_with_bounds(1, 2 * HOUR_NS, 3).unwrap();
        for ns in &samples {
            hdr.record((*ns).max(1)).unwrap();
        }
        let ours = recorded(&samples);
        prop_assert_eq!(ours.count(), hdr.len());
        prop_assert_eq!(ours.max().as_nanos() as u64, *samples.iter().max().unwrap());
        prop_assert_eq!(ours.sum().as_nanos() as u64, samples.iter().sum::<u64>());
        let (at, theirs) = (ours.quantile(quantile).unwrap().as_nanos() as f64, hdr.value_at_quantile(quantile) as f64);
        // Theirs is within a thousandth.
        prop_assert!(at >= theirs * 0.999 - 1.0, "{at} {theirs}");
        prop_assert!(at <= theirs * 1.001 * 17.0 / 16.0 + 1_025.0, "{at} {theirs}");
    }

    #[test]
    fn a_quantile_bounds_the_samples(samples in durations(), quantile in 0.0..=1.0_f64) {
        let mut sorted = samples.clone();
        sorted.sort_unstable();
        let rank = ((quantile * sorted.len() as f64).ceil() as usize).max(1);
        let exact = sorted[rank - 1];
        let at = recorded(&samples).quantile(quantile).unwrap().as_nanos() as u64;
        prop_assert!(at >= exact && at <= exact + exact / 16 + 1_024, "{exact} {at}");
    }

    #[test]
    fn parts_merge_to_the_whole_and_what_is_later_is_what_was_added(
        first in durations(),
        second in durations(),
    ) {
        let histogram = Histogram::new();
        first.iter().for_each(|ns| histogram.record_ns(*ns));
        let earlier = histogram.snapshot();
        second.iter().for_each(|ns| histogram.record_ns(*ns));
        let whole = histogram.snapshot();
        let later = recorded(&second);
        prop_assert_eq!(&earlier.merge(&later), &whole);
        let since = whole.since(&earlier);
        prop_assert_eq!(since.buckets().collect::<Vec<_>>(), later.buckets().collect::<Vec<_>>());
        prop_assert_eq!((since.count(), since.sum()), (later.count(), later.sum()));
        prop_assert!(since.max() >= later.max());
        prop_assert_eq!(&earlier.since(&whole).count(), &earlier.count(), "it is not earlier");
        prop_assert!(whole.since(&whole).is_empty());
    }

    #[test]
    fn exporters_count_by_the_middle_of_a_bucket_what_we_count(samples in durations()) {
        let snapshot = recorded(&samples);
        let cumulative = snapshot.cumulative();
        for (bound, below) in HISTOGRAM_BOUNDS.iter().zip(cumulative) {
            let theirs: u64 = snapshot.values().filter(|(value, _)| value <= bound).map(|(_, n)| n).sum();
            prop_assert_eq!(theirs, below);
            let edge = (bound * 1e9).round() as u64;
            let exact = samples.iter().filter(|ns| **ns < edge).count();
            prop_assert_eq!(below, exact as u64);
        }
    }
}

#[test]
fn threads_lose_no_sample_also_where_they_share_a_stripe() {
    // More threads than stripes have been dealt out after this.
    std::thread::scope(|scope| {
        (0..70).for_each(|_| drop(scope.spawn(thread_index)));
    });
    let histogram = Histogram::new();
    std::thread::scope(|scope| {
        for thread in 1..=8_u64 {
            let histogram = &histogram;
            scope.spawn(move || (0..10_000).for_each(|_| histogram.record_ns(thread * 1_000_000)));
        }
    });
    let snapshot = histogram.snapshot();
    assert_eq!(snapshot.count(), 80_000);
    assert_eq!(snapshot.sum(), Duration::from_secs(360));
    assert_eq!(snapshot.max(), Duration::from_millis(8));
    let alone = HistogramStripe::default();
    std::thread::scope(|scope| {
        scope.spawn(|| (0..10_000).for_each(|_| alone.record_here(5_000, true)));
        for _ in 0..3 {
            scope.spawn(|| (0..10_000).for_each(|_| alone.record_here(7_000, false)));
        }
    });
    let snapshot = HistogramSnapshot::of([&alone]);
    assert_eq!(
        (snapshot.count(), snapshot.sum()),
        (40_000, Duration::from_millis(260))
    );
}

#[test]
fn the_first_and_the_last_bucket_take_the_rest() {
    let snapshot = recorded(&[0, 1, 1_023, 2 * HOUR_NS, u64::MAX]);
    assert_eq!(snapshot.quantile(0.0), Some(Duration::from_nanos(1_024)));
    assert_eq!(snapshot.quantile(1.0), Some(Duration::from_nanos(u64::MAX)));
    assert_eq!(snapshot.quantile(f64::NAN), snapshot.quantile(0.0));
    assert_eq!(snapshot.quantile(9.0), snapshot.quantile(1.0));
    assert_eq!(*snapshot.cumulative().last().unwrap(), 3);
}

#[test]
fn without_a_sample_there_is_nothing() {
    let none = Histogram::new().snapshot();
    assert!(none.is_empty());
    assert_eq!((none.quantile(0.5), none.mean()), (None, None));
    assert_eq!((none.sum(), none.max()), (Duration::ZERO, Duration::ZERO));
    assert_eq!(none, HistogramSnapshot::default());
}

#[test]
fn bounds_are_edges_of_buckets() {
    for bound in HISTOGRAM_BOUNDS {
        let edge = (bound * 1e9) as u64;
        assert_eq!(layout::upper(bucket(edge) - 1), edge, "{bound}");
    }
    assert!(HISTOGRAM_BOUNDS.is_sorted());
    assert!((0.000_1..0.000_2).contains(&HISTOGRAM_BOUNDS[0]));
    assert!((130.0..140.0).contains(&HISTOGRAM_BOUNDS[34]));
}
