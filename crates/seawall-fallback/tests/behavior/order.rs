//! No answer is older than one that was returned before.

use super::*;
use proptest::prelude::*;

fn order(max_keys: usize) -> NeverOlder<Ask, Res> {
    let by_time = |answer: &Res| Some(answer.value().at);
    NeverOlder::new(max_keys, |ask: &Ask| Some(ask.symbol), by_time).unwrap()
}

#[tokio::test(start_paused = true)]
async fn an_older_answer_of_a_backup_is_passed_over() {
    let vendor = Upstream::new([Ok(Price::from("vendor2", 4)), Ok(Price::from("vendor2", 6))]);
    let steps = [Step::backup("vendor2", vendor), last_good(60 * SECOND)];
    let layer = layer(steps).never_older(order(10));
    let upstream = Upstream::new([Ok(Price::at(5)), Err(DOWN)]);
    let mut service = layer.layer(upstream.clone());
    let mut at = async || {
        let answer = call(&mut service, Ask::of("SPY")).await;
        answer.map(|answer| answer.value().at)
    };
    assert_eq!(at().await, Ok(5));
    assert_eq!(at().await, Ok(5), "the last good one, since 4 is older");
    assert_eq!(at().await, Ok(6));
    upstream.set(Ok(Price::at(5)));
    assert_eq!(at().await, Ok(5), "the upstream itself is always right");
    assert_eq!(step(&layer.handle(), "vendor2").older, 1);
    assert_eq!(layer.handle().counts().answered, 2);
}

#[tokio::test(start_paused = true)]
async fn the_latest_success_is_the_last_good_one() {
    let layer = layer([last_good(60 * SECOND)]).never_older(order(10));
    let upstream = Upstream::new([Ok(Price::at(5)), Ok(Price::at(3)), Err(DOWN)]);
    let mut service = layer.layer(upstream);
    for at in [5, 3, 3] {
        let answer = call(&mut service, Ask::of("SPY")).await.unwrap();
        assert_eq!(answer.value().at, at);
    }
}

#[tokio::test(start_paused = true)]
async fn a_time_far_in_the_future_is_not_the_last_good_one_for_longer_than_a_success() {
    let layer = layer([last_good(60 * SECOND)]).never_older(order(10));
    let upstream = Upstream::down();
    let mut service = layer.layer(upstream.clone());
    for at in [i64::MAX, 12, 13, 14] {
        for result in [Ok(Price::at(at)), Err(DOWN)] {
            upstream.set(result);
            let answer = call(&mut service, Ask::of("SPY")).await.unwrap();
            assert_eq!(answer.value().at, at);
            advance(MS).await;
        }
    }
    assert_eq!(layer.handle().counts().answered, 4);
}

#[tokio::test(start_paused = true)]
async fn a_success_that_comes_late_is_not_the_last_good_one() {
    for late_at in [3, 5, i64::MAX] {
        let layer = layer([last_good(60 * SECOND)]).never_older(order(10));
        let upstream = Upstream::new([Ok(Price::at(late_at)), Ok(Price::at(5)), Err(DOWN)]);
        let mut service = layer.layer(upstream.clone().slow(SECOND));
        let mut late = Box::pin(service.call(Ask::of("SPY")));
        advance(MS).await;
        let at = |answer: Result<Res, Failed>| answer.map(|answer| answer.value().at);
        assert_eq!(at(call(&mut service, Ask::of("SPY")).await), Ok(5));
        assert_eq!(at(late.as_mut().await), Ok(late_at));
        // 5 is what is kept, and is older than what was returned where that is far too late.
        let expected = if late_at <= 5 { Ok(5) } else { Err(DOWN) };
        assert_eq!(at(call(&mut service, Ask::of("SPY")).await), expected);
        upstream.set(Ok(Price::at(6)));
        assert_eq!(at(call(&mut service, Ask::of("SPY")).await), Ok(6));
        upstream.set(Err(DOWN));
        assert_eq!(at(call(&mut service, Ask::of("SPY")).await), Ok(6));
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_was_under_way_at_a_reset_is_not_the_last_good_one() {
    let layer = layer([last_good(60 * SECOND)]).never_older(order(10));
    let upstream = Upstream::new([Ok(Price::at(i64::MAX)), Err(DOWN)]);
    let mut service = layer.layer(upstream.clone().slow(SECOND));
    let mut late = Box::pin(service.call(Ask::of("SPY")));
    advance(MS).await;
    layer.handle().reset();
    advance(MS).await;
    assert_eq!(late.as_mut().await.unwrap().value().at, i64::MAX);
    assert_eq!(call(&mut service, Ask::of("SPY")).await.unwrap_err(), DOWN);
    for result in [Ok(Price::at(5)), Err(DOWN)] {
        upstream.set(result);
        let answer = call(&mut service, Ask::of("SPY")).await.unwrap();
        assert_eq!(answer.value().at, 5);
    }
}

#[tokio::test(start_paused = true)]
async fn a_time_far_in_the_future_stands_until_the_next_success() {
    let vendor = Upstream::new([Ok(Price::from("vendor2", 7))]);
    let steps = [
        Step::backup("vendor2", vendor.clone()),
        last_good(60 * SECOND),
    ];
    let layer = layer(steps).never_older(order(10));
    let upstream = Upstream::new([Ok(Price::at(i64::MAX)), Ok(Price::at(5)), Err(DOWN)]);
    let mut service = layer.layer(upstream.clone());
    let mut at = async || {
        let answer = call(&mut service, Ask::of("SPY")).await;
        answer.map(|answer| answer.value().at)
    };
    assert_eq!(at().await, Ok(i64::MAX));
    assert_eq!(at().await, Ok(5));
    assert_eq!(at().await, Ok(7));
    // That of a step as well.
    vendor.set(Ok(Price::from("vendor2", i64::MAX)));
    assert_eq!(at().await, Ok(i64::MAX));
    upstream.set(Ok(Price::at(8)));
    assert_eq!(at().await, Ok(8));
    assert_eq!(at().await, Ok(8));
    upstream.set(Err(DOWN));
    vendor.set(Err(DOWN));
    assert_eq!(at().await, Ok(8), "it is learned again");
}

#[tokio::test(start_paused = true)]
async fn a_success_that_comes_late_does_not_set_the_time_back() {
    let vendor = Upstream::new([Ok(Price::from("vendor2", 4))]);
    let layer = layer([Step::backup("vendor2", vendor)]).never_older(order(10));
    let slow = Upstream::new([Ok(Price::at(3)), Ok(Price::at(5)), Err(DOWN)]);
    let mut service = layer.layer(slow.slow(SECOND));
    let mut late = Box::pin(service.call(Ask::of("SPY")));
    advance(MS).await;
    assert_eq!(
        call(&mut service, Ask::of("SPY")).await.unwrap().value().at,
        5
    );
    assert_eq!(late.as_mut().await.unwrap().value().at, 3);
    assert_eq!(call(&mut service, Ask::of("SPY")).await.unwrap_err(), DOWN);
}

/// What happens to a key: the upstream answers with a time, or fails while two backups have one.
#[derive(Clone, Copy, Debug)]
enum Happens {
    Good(i64),
    Failed(Option<i64>, Option<i64>),
}

fn happens() -> impl Strategy<Value = (usize, Happens)> {
    let backup = || prop::option::of(0_i64..8);
    let what = prop_oneof![
        (0_i64..8).prop_map(Happens::Good),
        (backup(), backup()).prop_map(|(one, two)| Happens::Failed(one, two)),
    ];
    (0_usize..2, what)
}

fn backup_of(at: Option<i64>) -> Result<Price, Failed> {
    at.map(|at| Price::from("backup", at)).ok_or(DOWN)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn degraded_answers_never_go_back(script in prop::collection::vec(happens(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let (one, two, upstream) = (Upstream::down(), Upstream::down(), Upstream::down());
            let steps = [Step::backup("one", one.clone()), Step::backup("two", two.clone()), last_good(60 * SECOND)];
            let mut service = layer(steps).never_older(order(10)).layer(upstream.clone());
            // The model: of each key the time that was returned last, and the last good one.
            let (mut newest, mut good) = ([None; 2], [None; 2]);
            for (key, what) in script {
                let (result, expected) = match what {
                    Happens::Good(at) => {
                        upstream.set(Ok(Price::at(at)));
                        good[key] = Some(at);
                        (call(&mut service, Ask::of(["A", "B"][key])).await, Some(at))
                    }
                    Happens::Failed(first, second) => {
                        upstream.set(Err(DOWN));
                        one.set(backup_of(first));
                        two.set(backup_of(second));
                        let candidates = [first, second, good[key]].into_iter().flatten();
                        let expected = { candidates }.find(|at| newest[key] <= Some(*at));
                        (call(&mut service, Ask::of(["A", "B"][key])).await, expected)
                    }
                };
                let at = result.map(|answer| answer.value().at);
                prop_assert_eq!(at, expected.ok_or(DOWN));
                newest[key] = expected.or(newest[key]);
            }
            Ok(())
        })?;
    }
}
