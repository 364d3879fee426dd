use super::*;
use crate::provider::{Counting, Limit};

const SECOND: Duration = Duration::from_secs(1);

fn granted(counting: Counting, offsets_ms: &[u64]) -> Vec<bool> {
    let start = Instant::now();
    let limit = Limit::new(2, SECOND).expect("valid");
    let mut limiter = Limiter {
        meters: vec![Meter::new(Kind::Requests, limit, counting, start)],
    };
    let at = |ms: &u64| start + Duration::from_millis(*ms);
    offsets_ms
        .iter()
        .map(|ms| limiter.admit(Cost::default(), at(ms)).is_ok())
        .collect()
}

#[test]
fn fixed_windows_allow_a_burst_over_their_border() {
    let offsets = [800, 900, 950, 1_000, 1_100, 1_200];
    assert_eq!(
        granted(Counting::Fixed, &offsets),
        [true, true, false, true, true, false]
    );
}

#[test]
fn sliding_windows_allow_no_burst_over_any_border() {
    let offsets = [800, 900, 1_000, 1_799, 1_800, 1_899, 1_900];
    assert_eq!(
        granted(Counting::Sliding, &offsets),
        [true, true, false, false, true, false, true]
    );
}

#[test]
fn buckets_refill_continuously() {
    let offsets = [0, 0, 0, 499, 500, 1_000, 1_001];
    assert_eq!(
        granted(Counting::Bucket, &offsets),
        [true, true, false, false, true, true, false]
    );
}

#[test]
fn a_rejected_request_is_not_charged_and_gets_the_wait() {
    let start = Instant::now();
    let requests = Limit::new(10, SECOND).expect("valid");
    let tokens = Limit::new(100, SECOND).expect("valid");
    let mut limiter = Limiter {
        meters: vec![
            Meter::new(Kind::Requests, requests, Counting::Bucket, start),
            Meter::new(Kind::Tokens, tokens, Counting::Bucket, start),
        ],
    };
    let cost = Cost {
        input: 40,
        output: 40,
    };
    assert_eq!(limiter.admit(cost, start), Ok(()));
    let rejected = limiter.admit(cost, start).expect_err("20 tokens are left");
    assert_eq!(rejected.kind, Kind::Tokens);
    assert_eq!(rejected.wait, Duration::from_millis(600));
    assert_eq!(
        limiter.meter(Kind::Requests).map(|m| m.remaining(start)),
        Some(9)
    );
}

#[test]
fn bans_come_after_the_violations_and_are_prolonged_only_on_demand() {
    let policy = BanPolicy::new(2, SECOND, SECOND, 403).expect("valid");
    for (policy, still) in [
        (policy, None),
        (policy.prolonged_by_requests(true), Some(403)),
    ] {
        let (start, mut bans) = (Instant::now(), Bans::default());
        assert!(!bans.violation(Some(&policy), start));
        assert!(bans.violation(Some(&policy), start + SECOND / 2));
        assert_eq!(bans.status(Some(&policy), start + SECOND), Some(403));
        assert_eq!(bans.status(Some(&policy), start + SECOND * 19 / 10), still);
    }
    let mut bans = Bans::default();
    let start = Instant::now();
    assert!(!bans.violation(Some(&policy), start));
    assert!(
        !bans.violation(Some(&policy), start + SECOND),
        "the first one is forgotten"
    );
}
