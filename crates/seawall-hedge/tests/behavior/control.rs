//! The handle: live settings, switching off, reset, snapshots; and what is not described.

use super::*;

use seawall_hedge::HedgeState;

fn learned(warm_up: u32) -> HedgeConfig {
    let quantile = QuantileConfig::new(0.9).unwrap();
    let quantile = quantile.with_warm_up(warm_up).unwrap();
    let config = HedgeConfig::builder().delay_quantile(quantile);
    config.build().unwrap()
}

#[tokio::test(start_paused = true)]
async fn new_settings_hold_for_services_that_were_made_before() {
    let layer = layer(after_100_ms(1)).without_budget();
    let upstream = Upstream::new([(60 * SECOND, Ok(1)), (MS, Ok(2))]);
    let mut service = layer.layer(upstream.clone());
    let delay = HedgeConfig::builder().delay(300 * MS).build().unwrap();
    layer.handle().configure(delay.clone()).unwrap();
    assert_eq!(layer.clone().handle().config(), delay);
    let (result, ms) = call(&mut service).await;
    assert_eq!(result, Ok(2));
    assert_about(ms, 301);
}

#[tokio::test(start_paused = true)]
async fn a_call_under_way_keeps_its_delay_and_not_its_number_of_attempts() {
    let layer = layer(after_100_ms(4)).without_budget();
    let upstream = Upstream::new([(SECOND, Ok(1))]);
    let mut service = layer.layer(upstream.clone());
    let mut call = PolledFuture::new(service.ready().await.unwrap().call(7));
    assert!(call.poll().is_pending());
    let later = HedgeConfig::builder().delay(60 * SECOND).extra_attempts(2);
    layer.handle().configure(later.build().unwrap()).unwrap();
    for _ in 0..5 {
        sleep(101 * MS).await;
        assert!(call.poll().is_pending());
    }
    assert_eq!(upstream.calls(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_delay_can_be_learned_from_now_on_and_be_fixed_again_without_loss() {
    let layer = layer(after_100_ms(1));
    let handle = layer.handle();
    let mut service = layer.layer(Upstream::new([(20 * MS, Ok(1))]));
    assert!(handle.quantile().is_none());
    handle.configure(learned(3)).unwrap();
    assert_eq!(handle.snapshot().state, HedgeState::WarmingUp);
    for _ in 0..3 {
        assert_eq!(call(&mut service).await.0, Ok(1));
    }
    let known = handle.delay().unwrap();
    assert!((20..=24).contains(&known.as_millis()), "{known:?}");
    handle.configure(after_100_ms(1)).unwrap();
    assert_eq!(handle.delay(), Some(100 * MS));
    handle.configure(learned(3)).unwrap();
    assert_eq!(handle.delay(), Some(known), "the latencies are kept");
    // Another quantile of the same latencies.
    handle.configure(learned(4)).unwrap();
    assert_eq!(handle.delay(), None, "one sample is missing");
    assert_eq!(handle.quantile().unwrap().samples_missing(), 1);
}

#[tokio::test(start_paused = true)]
async fn hedging_can_be_switched_off_and_on_again() {
    let layer = layer(after_100_ms(2)).without_budget();
    let registry = Registry::new("svc");
    registry.register(layer.handle()).unwrap();
    let handle = registry.get("hedge", "hedge").unwrap();
    let upstream = Upstream::new([(SECOND, Ok(1))]);
    let mut service = layer.layer(upstream.clone());
    // One that waits for its delay, and one that has an extra attempt.
    let mut waiting = PolledFuture::new(service.ready().await.unwrap().call(7));
    let mut racing = PolledFuture::new(service.ready().await.unwrap().call(7));
    assert!(racing.poll().is_pending());
    sleep(90 * MS).await;
    assert!(waiting.poll().is_pending());
    sleep(20 * MS).await;
    assert!(racing.poll().is_pending());
    assert_eq!(upstream.calls(), 3);
    handle.control(Command::Bypass).unwrap();
    assert_eq!(handle.state(), "bypassed");
    sleep(300 * MS).await;
    assert!(waiting.poll().is_pending() && racing.poll().is_pending());
    assert_eq!(call(&mut service).await.0, Ok(1));
    assert_eq!(upstream.calls(), 4, "no further extra attempt");
    assert_eq!(racing.poll(), Poll::Ready(Ok(1)));
    handle.control(Command::Reset).unwrap();
    assert_eq!(handle.state(), "ok");
    assert_eq!(call(&mut service).await.0, Ok(1));
    assert_eq!(upstream.calls(), 7);
    assert!(handle.control(Command::Block).is_err());
}

#[tokio::test(start_paused = true)]
async fn a_reset_forgets_the_latencies_and_keeps_what_was_counted_and_spent() {
    let layer = layer(learned(1)).budget(tokens(3));
    let upstream = Upstream::new([(10 * MS, Ok(1)), (SECOND, Ok(1)), (MS, Ok(2))]);
    let mut service = layer.layer(upstream);
    for result in [Ok(1), Ok(2)] {
        assert_eq!(call(&mut service).await.0, result);
    }
    let handle = layer.handle();
    let before = handle.snapshot();
    assert_eq!(before.counts.extra.won, 1);
    handle.reset();
    let after = handle.snapshot();
    assert_eq!((after.delay, after.state), (None, HedgeState::WarmingUp));
    assert_eq!(after.counts, before.counts);
    assert_eq!(after.budget_balance, before.budget_balance);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_not_polled_any_more_keeps_nothing_from_new_settings() {
    let budget = tokens(3);
    let layer = layer(after_100_ms(2)).budget(budget.clone());
    let upstream = Upstream::new([(SECOND, Ok(1))]);
    let mut service = layer.layer(upstream.clone());
    let unpolled = service.ready().await.unwrap().call(7);
    let mut racing = PolledFuture::new(service.ready().await.unwrap().call(7));
    assert!(racing.poll().is_pending());
    sleep(101 * MS).await;
    assert!(racing.poll().is_pending());
    layer.handle().configure(learned(1)).unwrap();
    layer.handle().reset();
    drop((unpolled, racing));
    assert_eq!((upstream.open(), budget.balance()), (0, 2.0));
    assert_eq!(layer.handle().counts().extra.abandoned, 1);
}

#[cfg(feature = "serde")]
#[tokio::test(start_paused = true)]
async fn a_snapshot_can_be_serialized() {
    let layer = layer(after_100_ms(1)).budget(tokens(2));
    let upstream = Upstream::new([(SECOND, Ok(1)), (MS, Ok(2))]);
    assert_eq!(call(&mut layer.layer(upstream)).await.0, Ok(2));
    let json = serde_json::to_value(layer.handle().snapshot()).unwrap();
    let (name, state) = (&json["name"], &json["state"]);
    assert_eq!((name, state), (&"hedge".into(), &"ok".into()));
    assert_eq!(json["counts"]["extra"]["won"], 1);
    assert_eq!(json["counts"]["calls"]["success"], 1);
    assert_eq!(json["counts"]["skipped"]["not_replay_safe"], 0);
    assert_eq!(
        (&json["delay"], &json["budget_balance"]),
        (&0.1.into(), &1.0.into())
    );
}

#[cfg(feature = "tracing")]
mod warning {
    use super::*;
    use tracing::span::{Attributes, Id, Record};
    use tracing::{Event, Level, Metadata, Subscriber, subscriber};

    /// Counts warnings.
    struct Warnings(Arc<AtomicUsize>);

    impl Subscriber for Warnings {
        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            *metadata.level() == Level::WARN
        }
        fn new_span(&self, _: &Attributes<'_>) -> Id {
            Id::from_u64(1)
        }
        fn record(&self, _: &Id, _: &Record<'_>) {}
        fn record_follows_from(&self, _: &Id, _: &Id) {}
        fn event(&self, _: &Event<'_>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
        fn enter(&self, _: &Id) {}
        fn exit(&self, _: &Id) {}
    }

    #[tokio::test(start_paused = true)]
    async fn an_undescribed_request_is_warned_of_once_per_layer() {
        let warnings = Arc::new(AtomicUsize::new(0));
        let _subscribed = subscriber::set_default(Warnings(Arc::clone(&warnings)));
        for layers in 1..=2 {
            let layer = HedgeLayer::new("h", after_100_ms(1)).classify(ByError);
            for _ in 0..3 {
                let upstream = Upstream::new([(MS, Ok(1))]);
                assert_eq!(call(&mut layer.clone().layer(upstream)).await.0, Ok(1));
            }
            assert_eq!(warnings.load(Ordering::Relaxed), layers);
            assert_eq!(layer.handle().counts().skipped.not_described, 3);
        }
    }
}
