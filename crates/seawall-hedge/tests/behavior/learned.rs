//! The learned delay.

use super::*;

/// The 90th percentile of ten results or more.
fn p90(warm_up: u32) -> seawall_hedge::HedgeConfigBuilder {
    let quantile = QuantileConfig::new(0.9).and_then(|q| q.with_warm_up(warm_up));
    HedgeConfig::builder().delay_quantile(quantile.unwrap())
}

/// A layer that has seen so many results after 100 ms.
async fn taught(config: HedgeConfig, results: usize) -> Layered {
    let layer = layer(config).budget(tokens(1_000));
    let mut service = layer.layer(Upstream::new([(100 * MS, Ok(1))]));
    for _ in 0..results {
        assert_eq!(call(&mut service).await.0, Ok(1));
    }
    layer
}

fn assert_learned(layer: &Layered, ms: u32) {
    let delay = layer.handle().delay().unwrap();
    let near = ms * MS..=ms * MS * 107 / 100 + 3 * MS;
    assert!(near.contains(&delay), "{delay:?}, expected about {ms} ms");
}

#[tokio::test(start_paused = true)]
async fn there_is_no_hedge_before_enough_is_learned() {
    let layer = taught(p90(10).build().unwrap(), 9).await;
    let handle = layer.handle();
    assert_eq!((handle.state(), handle.delay()), ("warming_up", None));
    let upstream = Upstream::new([(SECOND, Ok(1))]);
    assert_eq!(call(&mut layer.layer(upstream.clone())).await.0, Ok(1));
    assert_eq!(upstream.calls(), 1);
    assert_eq!(handle.state(), "ok");
}

#[tokio::test(start_paused = true)]
async fn the_fixed_delay_applies_until_enough_is_learned() {
    let config = p90(10).initial_delay(300 * MS).build().unwrap();
    let layer = taught(config.clone(), 8).await;
    assert_eq!(layer.handle().state(), "ok");
    let upstream = Upstream::new([(SECOND, Ok(1)), (MS, Ok(2))]);
    assert_eq!(call(&mut layer.layer(upstream.clone())).await.0, Ok(2));
    assert_about(upstream.arrivals()[1], 300);
}

#[tokio::test(start_paused = true)]
async fn the_delay_is_the_quantile_of_the_latencies_within_its_bounds() {
    let slow = || Upstream::new([(SECOND, Ok(1)), (MS, Ok(2))]);
    let layer = taught(p90(10).build().unwrap(), 10).await;
    assert_learned(&layer, 100);
    let upstream = slow();
    assert_eq!(call(&mut layer.layer(upstream.clone())).await.0, Ok(2));
    let at = upstream.arrivals()[1];
    assert!((100..=110).contains(&at), "{at}");
    for (bounded, at) in [
        (p90(10).min_delay(250 * MS), 250),
        (p90(10).max_delay(40 * MS), 40),
    ] {
        let layer = taught(bounded.build().unwrap(), 10).await;
        let upstream = slow();
        assert_eq!(call(&mut layer.layer(upstream.clone())).await.0, Ok(2));
        assert_about(upstream.arrivals()[1], at);
    }
}

#[tokio::test(start_paused = true)]
async fn winners_train_and_losers_train_as_longer_than_they_were_waited_for() {
    let layer = taught(p90(10).build().unwrap(), 10).await;
    // From now on each first attempt hangs, and each second takes 20 ms.
    for _ in 0..20 {
        let upstream = Upstream::new([(SECOND, Ok(1)), (20 * MS, Ok(2))]);
        assert_eq!(call(&mut layer.layer(upstream)).await.0, Ok(2));
    }
    sleep(SECOND).await;
    let quantile_of = |layer: &Layered| {
        let now = Instant::now();
        layer.handle().quantile().unwrap().estimate(now).unwrap()
    };
    // Without the winners the median were 100 ms: 20 of 50 samples say 20 ms, and 10 say 100 ms.
    // The 20 losers were given up after 120 ms: their tail is not forgotten, and the 90th
    // percentile lies beyond the 100 ms that all results suggest.
    let tail = quantile_of(&layer);
    assert!(tail > 115 * MS, "{tail:?}");
    assert!(layer.handle().quantile().unwrap().last_median().unwrap() < 110 * MS);
    // Twenty quick winners count: with a further hundred of them the tail is short.
    let mut service = layer.layer(Upstream::new([(20 * MS, Ok(1))]));
    for _ in 0..1_000 {
        assert_eq!(call(&mut service).await.0, Ok(1));
    }
    let tail = quantile_of(&layer);
    assert!(tail < 25 * MS, "{tail:?}");
}

/// Learned from, they would make everybody hedge at once when the upstream is failing.
#[tokio::test(start_paused = true)]
async fn quick_failures_and_local_rejections_teach_nothing() {
    let layer = taught(p90(10).build().unwrap(), 10).await;
    for bad in [SERVER, NOT_SENT, rejected(Reason::RateLimited, Sent::No)] {
        let mut service = layer.layer(Upstream::new([(MS, Err(bad))]));
        for _ in 0..100 {
            assert_eq!(call(&mut service).await.0, Err(bad));
        }
    }
    sleep(SECOND).await;
    layer.handle().quantile().unwrap().estimate(Instant::now());
    assert_learned(&layer, 100);
}

#[tokio::test(start_paused = true)]
async fn timeouts_train_as_longer_than_they_were_waited_for() {
    let late = Failed::With(Outcome::Failure(FailureKind::Timeout));
    let cut = rejected(Reason::AttemptTimeout, Sent::Maybe);
    for bad in [late, cut, Failed::With(Outcome::Unknown)] {
        let unhedged = p90(10).min_delay(3_600 * SECOND).build().unwrap();
        let layer = taught(unhedged, 10).await;
        let mut service = layer.layer(Upstream::new([(400 * MS, Err(bad))]));
        for _ in 0..10 {
            assert_eq!(call(&mut service).await.0, Err(bad));
        }
        sleep(SECOND).await;
        let handle = layer.handle();
        let tail = handle.quantile().unwrap().estimate(Instant::now()).unwrap();
        assert!(tail >= 400 * MS, "{tail:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_dropped_teaches_how_long_it_was_waited_for() {
    let unhedged = p90(10).min_delay(3_600 * SECOND).build().unwrap();
    let layer = taught(unhedged, 10).await;
    let mut service = layer.layer(Upstream::new([(3_600 * SECOND, Ok(1))]));
    for _ in 0..10 {
        let call = service.ready().await.unwrap().call(7);
        assert!(tokio::time::timeout(400 * MS, call).await.is_err());
    }
    sleep(SECOND).await;
    let handle = layer.handle();
    let estimate = || handle.quantile().unwrap().estimate(Instant::now()).unwrap();
    assert!(estimate() >= 400 * MS, "{:?}", estimate());
    // Never polled, it was not waited for.
    handle.control(Command::Reset).unwrap();
    for _ in 0..10 {
        drop(service.ready().await.unwrap().call(7));
    }
    assert_eq!(handle.quantile().unwrap().samples_missing(), 10);
}

#[tokio::test(start_paused = true)]
async fn requests_that_are_not_hedged_train_too() {
    let layer = taught(p90(10).build().unwrap(), 0).await;
    let orders = layer
        .clone()
        .describe(ConstMeta(RequestMeta::new(Replay::Never)));
    let mut service = orders.layer(Upstream::new([(100 * MS, Ok(1))]));
    for _ in 0..10 {
        assert_eq!(call(&mut service).await.0, Ok(1));
    }
    assert_learned(&layer, 100);
}

#[tokio::test(start_paused = true)]
async fn no_attempt_is_made_that_would_typically_complete_after_the_deadline() {
    for (left, sent) in [(150, 1), (200, 1), (230, 2)] {
        let layer = taught(p90(10).build().unwrap(), 10).await;
        let upstream = Upstream::new([(SECOND, Ok(1))]);
        let deadline = Instant::now() + left * MS;
        let meta = RequestMeta::new(Replay::Safe).with_deadline(deadline);
        let layer = layer.describe(ConstMeta(meta));
        assert_eq!(call(&mut layer.layer(upstream.clone())).await.0, Ok(1));
        assert_eq!(upstream.calls(), sent, "{left} ms left");
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_learned_fades_when_nothing_is_called() {
    let layer = taught(p90(10).build().unwrap(), 10).await;
    sleep(120 * SECOND).await;
    let upstream = Upstream::new([(SECOND, Ok(1))]);
    assert_eq!(call(&mut layer.layer(upstream.clone())).await.0, Ok(1));
    assert_eq!(upstream.calls(), 1);
    assert_eq!(layer.handle().state(), "warming_up");
}

#[tokio::test(start_paused = true)]
async fn a_reset_forgets_what_was_learned() {
    let layer = taught(p90(10).build().unwrap(), 10).await;
    layer.handle().control(Command::Reset).unwrap();
    assert_eq!(layer.handle().delay(), None);
    assert!(layer.handle().control(Command::Block).is_err());
}

/// Latencies between 10 and 30 ms, and one in ten of two seconds: a delay at the 85th percentile
/// brings nearly every call below a tenth of a second, at the price of a fifth more requests at
/// most.
#[tokio::test(start_paused = true)]
async fn a_learned_delay_cuts_the_tail_at_a_bounded_price() {
    let mut state = 7_u64;
    let mut draw = move |below: u64| {
        // Knuth's MMIX generator.
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let script: Vec<_> = (0..4_000)
        .map(|_| match draw(10) {
            0 => (2 * SECOND, Ok(1)),
            _ => (Duration::from_millis(10 + draw(20)), Ok(1)),
        })
        .collect();
    let upstream = Upstream::new(script);
    let p85 = QuantileConfig::new(0.85).unwrap();
    let config = HedgeConfig::builder().delay_quantile(p85).build().unwrap();
    let layer = layer(config);
    let mut service = layer.layer(upstream.clone());
    for _ in 0..200 {
        assert_eq!(call(&mut service).await.0, Ok(1));
    }
    let (before, mut slow) = (upstream.calls(), 0);
    for _ in 0..2_000 {
        let (result, ms) = call(&mut service).await;
        assert_eq!(result, Ok(1));
        slow += u32::from(ms > 100);
    }
    let extra = upstream.calls() - before - 2_000;
    assert!(slow < 60, "{slow} of 2,000 were slow");
    assert!(extra < 400, "{extra} extra requests");
}

/// How many samples one call gives.
#[tokio::test(start_paused = true)]
async fn each_attempt_that_was_sent_teaches_once_and_a_failure_never() {
    let late = Failed::With(Outcome::Failure(FailureKind::Timeout));
    let unsent = rejected(Reason::RateLimited, Sent::No);
    let (quick, slow) = ((MS, Ok(1)), (SECOND, Ok(1)));
    for (script, samples) in [
        ([quick, quick], 1),
        // The extra attempt wins, then the first.
        ([slow, quick], 2),
        ([slow, (9 * SECOND, Ok(2))], 2),
        // One fails, then both.
        ([slow, (MS, Err(SERVER))], 1),
        ([slow, (MS, Err(unsent))], 1),
        ([(150 * MS, Err(SERVER)), slow], 1),
        ([(150 * MS, Err(SERVER)), (SECOND, Err(SERVER))], 0),
        ([(150 * MS, Err(late)), (SECOND, Err(late))], 2),
        ([(MS, Err(SERVER)), quick], 0),
        ([(MS, Err(late)), quick], 1),
    ] {
        let config = p90(100).initial_delay(100 * MS).build().unwrap();
        let layer = layer(config);
        let result = call(&mut layer.layer(Upstream::new(script))).await.0;
        let missing = layer.handle().quantile().unwrap().samples_missing();
        assert_eq!(100 - missing, samples, "{script:?} gave {result:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_dropped_in_a_race_trains_once_for_each_attempt_without_a_result() {
    for (first, samples) in [(9 * SECOND, 2), (150 * MS, 1)] {
        let config = p90(100).initial_delay(100 * MS).build().unwrap();
        let layer = layer(config);
        let upstream = Upstream::new([(first, Err(SERVER)), (9 * SECOND, Ok(2))]);
        let mut service = layer.layer(upstream.clone());
        let call = service.ready().await.unwrap().call(7);
        assert!(tokio::time::timeout(200 * MS, call).await.is_err());
        assert_eq!((upstream.calls(), upstream.open()), (2, 0));
        let missing = layer.handle().quantile().unwrap().samples_missing();
        assert_eq!(100 - missing, samples);
    }
}

#[tokio::test(start_paused = true)]
async fn requests_are_not_copied_before_there_is_a_delay() {
    fn copy(_: &u32) -> Option<u32> {
        panic!("copied");
    }
    let layer = layer(p90(3).build().unwrap()).copy(copy as fn(&u32) -> Option<u32>);
    let mut service = layer.layer(Upstream::new([(MS, Ok(1))]));
    for _ in 0..3 {
        assert_eq!(call(&mut service).await.0, Ok(1));
    }
    // It is known now.
    let call = catch_unwind(AssertUnwindSafe(|| service.call(7)));
    assert!(call.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_panic_below_teaches_nothing() {
    let layer = layer(p90(1).build().unwrap());
    let mut service = layer.layer(tower::service_fn(|_: u32| async {
        sleep(5 * MS).await;
        panic!("below");
        #[allow(unreachable_code, reason = "names the output of the future")]
        Ok::<u32, Failed>(1)
    }));
    let call = tokio::spawn(service.ready().await.unwrap().call(7));
    assert!(call.await.unwrap_err().is_panic());
    assert_eq!(layer.handle().quantile().unwrap().samples_missing(), 1);
}
