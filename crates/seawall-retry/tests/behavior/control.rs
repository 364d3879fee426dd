//! The handle: live settings, switching off, reset, snapshots; and what is not described.

use super::*;

use seawall_core::{Command, InvalidConfig};
use seawall_retry::RetryState;

fn attempts(attempts: u32) -> RetryConfig {
    let backoff = Backoff::constant(SECOND).unwrap();
    let config = RetryConfig::builder().attempts(attempts).backoff(backoff);
    config.build().unwrap()
}

#[tokio::test(start_paused = true)]
async fn new_settings_hold_for_services_that_were_made_before() {
    let upstream = Upstream::new([SERVER; 9]);
    let layer = layer(attempts(1), Replay::Safe).without_budget();
    let handle = layer.handle();
    let mut service = layer.layer(upstream.service());
    let mut clone = service.clone();
    assert!(service.ready().await.unwrap().call(7).await.is_err());
    assert_eq!(upstream.calls(), 1);
    handle.configure(attempts(3)).unwrap();
    assert_eq!(handle.config(), attempts(3));
    assert_eq!(layer.clone().handle().config(), attempts(3));
    for service in [&mut service, &mut clone] {
        assert!(service.ready().await.unwrap().call(7).await.is_err());
    }
    assert_eq!(upstream.calls(), 7);
}

#[tokio::test(start_paused = true)]
async fn new_settings_hold_for_a_call_under_way_from_its_next_decision_on() {
    let upstream = Upstream::new([SERVER; 9]);
    let layer = layer(attempts(9), Replay::Safe).without_budget();
    let mut call = PolledFuture::new(layer.layer(upstream.service()).oneshot(7));
    assert!(call.poll().is_pending());
    // The wait that has begun goes on, and so does the attempt after it.
    layer.handle().configure(attempts(2)).unwrap();
    assert!(call.poll().is_pending());
    sleep(SECOND).await;
    assert_eq!(call.poll(), Poll::Ready(Err(SERVER)));
    assert_eq!(upstream.calls(), 2);
    assert_eq!(layer.handle().counts().give_ups.attempts_exhausted, 1);
}

#[tokio::test(start_paused = true)]
async fn a_timeout_that_is_set_while_an_attempt_is_pending_ends_it() {
    let (inner, mock) = mock();
    let layer = RetryLayer::new("r", attempts(1)).describe(SAFE);
    let mut service = layer.layer(inner);
    mock.hold_responses();
    let mut call = PolledFuture::new(service.ready().await.unwrap().call(7));
    assert!(call.poll().is_pending());
    let timed = RetryConfig::builder().attempts(1).attempt_timeout(SECOND);
    layer.handle().configure(timed.build().unwrap()).unwrap();
    assert!(call.poll().is_pending());
    sleep(SECOND).await;
    let Poll::Ready(Err(error)) = call.poll() else {
        panic!("not timed out")
    };
    let rejection = error.rejection().unwrap();
    assert_eq!(rejection.reason(), Reason::AttemptTimeout);
    // Taken back, it ends nothing any more.
    layer.handle().configure(attempts(1)).unwrap();
    let mut call = PolledFuture::new(service.ready().await.unwrap().call(7));
    assert!(call.poll().is_pending());
    sleep(60 * SECOND).await;
    assert!(call.poll().is_pending());
}

#[tokio::test(start_paused = true)]
async fn new_settings_keep_the_budget_and_the_counters() {
    let upstream = Upstream::new([SERVER; 9]);
    let layer = layer(attempts(2), Replay::Safe).budget(tokens(3));
    let mut service = layer.layer(upstream.service());
    assert!(service.ready().await.unwrap().call(7).await.is_err());
    let (handle, before) = (layer.handle(), layer.handle().counts());
    handle.configure(attempts(9)).unwrap();
    assert_eq!((handle.counts(), before.retries), (before, 1));
    assert!(service.ready().await.unwrap().call(7).await.is_err());
    assert_eq!(handle.budget().unwrap().balance(), 0.0);
    assert_eq!(handle.counts().give_ups.budget_exhausted, 1);
    assert_eq!(handle.snapshot().state, RetryState::BudgetExhausted);
}

#[tokio::test(start_paused = true)]
async fn retries_can_be_switched_off_and_on_again() {
    let upstream = Upstream::new([SERVER; 9]);
    let layer = layer(attempts(3), Replay::Safe).without_budget();
    let registry = Registry::new("svc");
    registry.register(layer.handle()).unwrap();
    let handle = registry.get("retry", "r").unwrap();
    let mut waiting = PolledFuture::new(layer.layer(upstream.service()).oneshot(7));
    assert!(waiting.poll().is_pending());
    handle.control(Command::Bypass).unwrap();
    assert_eq!(handle.state(), "bypassed");
    // A new call has one attempt. One that waits makes the attempt that it waits for.
    let mut service = layer.layer(upstream.service());
    assert!(service.ready().await.unwrap().call(7).await.is_err());
    assert_eq!(upstream.calls(), 2);
    sleep(SECOND).await;
    assert_eq!(waiting.poll(), Poll::Ready(Err(SERVER)));
    assert_eq!(upstream.calls(), 3);
    assert_eq!(layer.handle().counts().give_ups.bypassed, 2);
    // Settings can change meanwhile, and hold after it.
    layer.handle().configure(attempts(2)).unwrap();
    assert_eq!(handle.state(), "bypassed");
    handle.control(Command::Reset).unwrap();
    assert_eq!(handle.state(), "ok");
    assert!(service.ready().await.unwrap().call(7).await.is_err());
    assert_eq!(upstream.calls(), 5);
    assert!(handle.control(Command::Block).is_err());
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_not_polled_any_more_holds_nothing_that_new_settings_need() {
    let upstream = Upstream::new([SERVER; 9]);
    let budget = tokens(5);
    let layer = layer(attempts(3), Replay::Safe).budget(budget.clone());
    let mut service = layer.layer(upstream.service());
    let unpolled = service.ready().await.unwrap().call(7);
    let mut waiting = PolledFuture::new(service.ready().await.unwrap().call(7));
    assert!(waiting.poll().is_pending());
    assert_eq!(budget.balance(), 4.0);
    layer.handle().bypass();
    layer.handle().configure(attempts(2)).unwrap();
    layer.handle().reset();
    assert!(service.ready().await.unwrap().call(7).await.is_err());
    drop((unpolled, waiting));
    // The call that was made has paid for its second attempt.
    assert_eq!((budget.balance(), budget.refunded()), (4.0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_reset_forgets_the_sending_rate_and_keeps_what_was_counted_and_spent() {
    let rate = AdaptiveRate::new();
    let upstream = Upstream::new([throttled(None)]);
    let budget = tokens(5);
    let layer = layer(attempts(2), Replay::Safe);
    let layer = layer.adaptive_rate(rate.clone()).budget(budget.clone());
    let call = layer.layer(upstream.service()).oneshot(7);
    assert_eq!(call.await, Ok(7));
    assert!(rate.is_enabled());
    let handle = layer.handle();
    assert!(handle.snapshot().sending_rate.is_some());
    handle.reset();
    assert!(!rate.is_enabled());
    assert_eq!(handle.snapshot().sending_rate, None);
    assert_eq!((handle.counts().retries, budget.balance()), (1, 4.5));
}

#[tokio::test(start_paused = true)]
async fn an_undescribed_request_is_counted_apart_from_one_that_must_not_be_sent_twice() {
    let reasons = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&reasons);
    let upstream = Upstream::new([SERVER; 9]);
    let layer = RetryLayer::new("r", attempts(3)).classify(ByError);
    let layer = layer.annotate_give_up(move |_: &mut Result<u32, Failed>, stopped: Stopped| {
        seen.lock()
            .unwrap()
            .push((stopped.reason, stopped.attempts));
    });
    let call = layer.layer(upstream.service()).oneshot(7);
    assert_eq!(call.await, Err(SERVER));
    let described = layer
        .clone()
        .describe(ConstMeta(RequestMeta::non_idempotent()));
    let call = described.layer(upstream.service()).oneshot(7);
    assert_eq!(call.await, Err(SERVER));
    let expected = [
        (StopReason::NotDescribed, 1),
        (StopReason::NotReplaySafe, 1),
    ];
    assert_eq!(*reasons.lock().unwrap(), expected);
    let give_ups = layer.handle().counts().give_ups;
    assert_eq!((give_ups.not_described, give_ups.not_replay_safe), (1, 1));
    // With a describer that allows it, or where retries were not wanted, there is no such count.
    let call = layer.clone().assume_idempotent();
    assert_eq!(call.layer(upstream.service()).oneshot(7).await, Err(SERVER));
    layer.handle().configure(attempts(1)).unwrap();
    let call = layer.layer(upstream.service()).oneshot(7);
    assert_eq!(call.await, Err(SERVER));
    assert_eq!(layer.handle().counts().give_ups.not_described, 1);
}

#[test]
fn a_setting_without_effect_is_rejected_by_name() {
    let rejected = |config: Result<RetryConfig, InvalidConfig>| config.unwrap_err();
    let builder = RetryConfig::builder().retry_throttled(false);
    let rejected = rejected(builder.throttled_backoff(Backoff::NONE).build());
    assert_eq!(rejected.field(), "throttled_backoff");
    assert_eq!(rejected.accepted(), "none where `retry_throttled` is off");
}

#[cfg(feature = "serde")]
#[tokio::test(start_paused = true)]
async fn a_snapshot_can_be_serialized() {
    let upstream = Upstream::new([SERVER]);
    let layer = layer(attempts(2), Replay::Safe).budget(tokens(2));
    let call = layer.layer(upstream.service()).oneshot(7);
    assert_eq!(call.await, Ok(7));
    let json = serde_json::to_value(layer.handle().snapshot()).unwrap();
    assert_eq!((&json["name"], &json["state"]), (&"r".into(), &"ok".into()));
    assert_eq!(json["counts"]["attempts"]["failure"], 1);
    assert_eq!(json["counts"]["calls"]["success"], 1);
    assert_eq!(json["counts"]["retries"], 1);
    assert_eq!(json["counts"]["give_ups"]["not_described"], 0);
    assert_eq!(json["budget_balance"], 1.5);
    assert_eq!(json["sending_rate"], serde_json::Value::Null);
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
            let layer = RetryLayer::new("r", attempts(3)).classify(ByError);
            let upstream = Upstream::new([SERVER; 3]);
            for _ in 0..3 {
                let call = layer.clone().layer(upstream.service()).oneshot(7);
                assert_eq!(call.await, Err(SERVER));
            }
            assert_eq!(warnings.load(Ordering::Relaxed), layers);
        }
    }
}
