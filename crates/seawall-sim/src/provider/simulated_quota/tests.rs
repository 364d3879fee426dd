use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn limit(count: u32) -> Limit {
    Limit::new(count, SECOND).expect("valid")
}

async fn ask(api: &mut SimulatedQuota, weight: u32) -> bool {
    api.call(Usage::weight(weight)).await.is_ok()
}

#[tokio::test(start_paused = true)]
async fn a_sliding_counter_is_exact_at_its_border() {
    let mut api = SimulatedQuota::new().limit(Measure::Requests, limit(1), Counting::Sliding);
    assert!(ask(&mut api, 1).await);
    tokio::time::advance(SECOND - Duration::from_nanos(1)).await;
    assert!(!ask(&mut api, 1).await);
    tokio::time::advance(Duration::from_nanos(1)).await;
    assert!(ask(&mut api, 1).await);
    assert!(!ask(&mut api, 1).await);
}

#[tokio::test(start_paused = true)]
async fn each_limit_counts_in_its_way_and_none_charges_a_rejected_request() {
    let mut api = SimulatedQuota::new()
        .limit(Measure::Weight, limit(4), Counting::Fixed)
        .limit(Measure::Weight, limit(4), Counting::Sliding)
        .limit(Measure::Weight, limit(4), Counting::Bucket);
    tokio::time::advance(SECOND * 3 / 4).await;
    assert!(ask(&mut api, 4).await);
    tokio::time::advance(SECOND / 4).await;
    // A new window of the fixed counter, a quarter of a second for the bucket.
    assert!(!ask(&mut api, 2).await);
    tokio::time::advance(SECOND / 4).await;
    assert!(!ask(&mut api, 2).await);
    let stats = api.stats();
    assert_eq!((stats.accepted, stats.rejected), (1, 2));
    let limits = stats.limits.iter();
    let counts: Vec<_> = limits.map(|l| (l.used, l.violations)).collect();
    assert_eq!(counts, [(4, 0), (4, 2), (4, 1)]);
}

#[tokio::test(start_paused = true)]
async fn a_rejection_names_the_limit_that_allows_it_last_and_when() {
    let mut api = SimulatedQuota::new()
        .limit(Measure::Requests, limit(2), Counting::Sliding)
        .limit(Measure::OutputTokens, limit(100), Counting::Bucket)
        .limit(Measure::InputTokens, limit(100), Counting::Fixed)
        .limit(Measure::Tokens, limit(400), Counting::Fixed);
    assert_eq!(api.call(Usage::tokens(10, 90)).await, Ok(()));
    let rejected = api.call(Usage::tokens(95, 90)).await.expect_err("too much");
    assert_eq!((rejected.limit(), rejected.wait()), (2, SECOND));
    let rejected = api.call(Usage::tokens(0, 60)).await.expect_err("too much");
    assert_eq!((rejected.limit(), rejected.wait()), (1, SECOND / 2));
    assert_eq!(
        rejected.to_string(),
        "limit 1 is exceeded; it allows the request in 500ms"
    );
}
