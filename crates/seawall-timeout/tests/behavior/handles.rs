//! Settings that change while calls run, commands, snapshots.

use super::learned::{builder, config, learned, make, near};
use super::*;

#[tokio::test(start_paused = true)]
async fn learned_settings_change_live_and_keep_what_was_learned() {
    let layer = learned();
    let handle = layer.handle();
    let mut service = layer.layer(sleeper());
    make(&mut service, 100, 100 * MS).await;
    assert!(near(handle.timeout().unwrap(), 200 * MS));
    let doubled = config(builder().factor(4.0));
    handle.configure(doubled).unwrap();
    assert_eq!(handle.config(), doubled);
    assert!(
        near(handle.timeout().unwrap(), 400 * MS),
        "{:?}",
        handle.timeout().unwrap()
    );
    // Services that were made before have it, too.
    assert_eq!(make(&mut service, 1, 300 * MS).await, 1);
    handle
        .configure(config(builder().max(5 * SECOND).min(5 * SECOND)))
        .unwrap();
    assert_eq!(handle.timeout().unwrap(), 5 * SECOND);
    // More responses than there are: it warms up again, and the ones known count.
    handle
        .configure(config(builder().warm_up(102).initial(SECOND)))
        .unwrap();
    assert_eq!(handle.snapshot().state, AttemptTimeoutState::WarmingUp);
    assert_eq!(handle.snapshot().samples_missing, 1);
    assert_eq!(handle.timeout().unwrap(), SECOND);
    make(&mut service, 1, 100 * MS).await;
    assert_eq!(handle.snapshot().state, AttemptTimeoutState::Learned);
}

#[tokio::test(start_paused = true)]
async fn a_call_under_way_keeps_its_limit_when_the_settings_change() {
    let attempts = attempt_layer(SECOND);
    let deadline = deadline_layer(SECOND);
    let mut attempt = PolledFuture::new(attempts.layer(sleeper()).oneshot(2 * SECOND));
    let mut overall = PolledFuture::new(deadline.layer(sleeper()).oneshot(2 * SECOND));
    assert!(attempt.poll().is_pending() && overall.poll().is_pending());
    let longer = AttemptTimeoutConfig::fixed(3 * SECOND).unwrap();
    attempts.handle().configure(longer).unwrap();
    let longer = DeadlineConfig::new(3 * SECOND).unwrap();
    deadline.handle().configure(longer).unwrap();
    advance(SECOND).await;
    assert!(matches!(attempt.poll(), Poll::Ready(Err(_))));
    assert!(matches!(overall.poll(), Poll::Ready(Err(_))));
    // The next ones have the new one.
    assert!(attempts.layer(sleeper()).oneshot(2 * SECOND).await.is_ok());
    assert!(deadline.layer(sleeper()).oneshot(2 * SECOND).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_not_polled_any_more_keeps_no_later_call_waiting() {
    let layer = learned();
    let mut service = layer.layer(sleeper());
    let mut abandoned = PolledFuture::new(service.ready().await.unwrap().call(SECOND));
    assert!(abandoned.poll().is_pending());
    make(&mut service, 20, 100 * MS).await;
    layer
        .handle()
        .configure(config(builder().factor(3.0)))
        .unwrap();
    assert!(near(layer.handle().timeout().unwrap(), 300 * MS));
    // It has had the initial timeout, and counts as what it lasted when it is dropped at last.
    layer.handle().reset();
    advance(6 * SECOND).await;
    drop(abandoned);
    assert_eq!(layer.handle().snapshot().samples_missing, 19);
}

#[tokio::test(start_paused = true)]
async fn bypassed_attempts_have_no_limit_until_a_reset() {
    let passed = Instant::now();
    let layer = attempt_layer(SECOND)
        .describe(move |_: &Duration| RequestMeta::default().with_deadline(passed))
        .per_request(|_: &Duration| Some(MS));
    let handle = layer.handle();
    let mut service = layer.layer(sleeper());
    assert!(
        make(&mut service, 1, MS).await == 0,
        "its deadline has passed"
    );
    handle.control(Command::Bypass).unwrap();
    let snapshot = handle.snapshot();
    assert_eq!(snapshot.state, AttemptTimeoutState::Bypassed);
    assert_eq!((snapshot.timeout, handle.timeout()), (None, None));
    assert_eq!(make(&mut service, 1, 100 * SECOND).await, 1);
    // New settings do not end it.
    let longer = AttemptTimeoutConfig::fixed(2 * SECOND).unwrap();
    handle.configure(longer).unwrap();
    assert_eq!(make(&mut service, 1, 100 * SECOND).await, 1);
    handle.control(Command::Reset).unwrap();
    assert_eq!(
        (handle.config(), handle.timeout().unwrap()),
        (longer, 2 * SECOND)
    );
    assert_eq!(handle.snapshot().state, AttemptTimeoutState::Fixed);
    assert_eq!(make(&mut service, 1, MS).await, 0);
    assert_eq!(handle.counts().expired_on_arrival, 2, "counts stay");
    assert!(handle.control(Command::Block).is_err());
}

#[tokio::test(start_paused = true)]
async fn a_bypassed_layer_learns_nothing_and_a_reset_forgets_what_was_learned() {
    let layer = learned();
    let handle = layer.handle();
    let mut service = layer.layer(sleeper());
    handle.bypass();
    make(&mut service, 100, 100 * MS).await;
    handle.reset();
    assert_eq!(handle.snapshot().samples_missing, 20);
    make(&mut service, 100, 100 * MS).await;
    assert_eq!(handle.snapshot().state, AttemptTimeoutState::Learned);
    handle.control(Command::Reset).unwrap();
    assert_eq!(handle.snapshot().state, AttemptTimeoutState::WarmingUp);
    assert_eq!(
        (handle.timeout().unwrap(), handle.snapshot().estimate),
        (5 * SECOND, None)
    );
}

#[tokio::test(start_paused = true)]
async fn a_bypassed_deadline_covers_neither_calls_nor_readiness() {
    let (inner, mock) = mock();
    let written = Arc::new(AtomicUsize::new(0));
    let note = Arc::clone(&written);
    let layer = deadline_layer(SECOND).propagate(move |_: &mut u32, _: Instant| {
        note.fetch_add(1, Ordering::Relaxed);
    });
    let handle = layer.handle();
    let mut service = layer.layer(inner);
    handle.control(Command::Bypass).unwrap();
    assert_eq!(handle.snapshot().state, DeadlineState::Bypassed);
    mock.set_pending();
    let mut ready = PolledFuture::new(service.ready());
    assert!(ready.poll().is_pending());
    advance(3600 * SECOND).await;
    assert!(ready.poll().is_pending());
    mock.set_ready();
    assert!(ready.poll().is_ready());
    drop(ready);
    assert_eq!(service.call(1).await.unwrap(), 1);
    assert_eq!(written.load(Ordering::Relaxed), 0);
    handle.control(Command::Reset).unwrap();
    assert_eq!(handle.snapshot().state, DeadlineState::Active);
    mock.hold_responses();
    let start = Instant::now();
    let result = service.ready().await.unwrap().call(2).await;
    assert_eq!(rejection(result), (Reason::DeadlineExceeded, Sent::Maybe));
    assert_eq!(Instant::now(), start + SECOND);
    assert_eq!(written.load(Ordering::Relaxed), 1);
    assert!(handle.control(Command::Block).is_err());
}

#[test]
fn settings_of_a_learned_timeout_are_published_by_name() {
    let handle = learned().handle();
    handle.configure(config(builder().initial(SECOND))).unwrap();
    assert_eq!(handle.timeout().unwrap(), SECOND);
    let settings = handle.settings();
    assert_eq!(settings[0], ("initial", "1s".to_owned()));
    assert_eq!(settings[4], ("factor", "2".to_owned()));
    let gauges = |handle: &AttemptTimeoutHandle<Learned>| {
        let mut gauges = Vec::new();
        handle.samples(&mut seawall_core::Samples::new(&mut |sample| {
            if sample.metric == "seawall_timeout_learned_seconds" {
                gauges.push(sample.value);
            }
        }));
        gauges
    };
    assert_eq!(gauges(&handle), [Value::Gauge(1.0)]);
    handle.bypass();
    assert_eq!(gauges(&handle), []);
    let rejected = builder().initial(11 * SECOND).build().unwrap_err();
    assert_eq!(
        rejected.to_string(),
        "`initial` is 11s, accepted is 10ms to 10s"
    );
}

#[tokio::test(start_paused = true)]
async fn snapshots_have_name_state_and_counts() {
    let layer = attempt_layer(SECOND);
    let mut service = layer.layer(sleeper());
    make(&mut service, 2, 2 * SECOND).await;
    let snapshot = layer.handle().snapshot();
    assert_eq!(snapshot.name.as_str(), "a");
    assert_eq!(snapshot.state.as_str(), "fixed");
    assert_eq!(
        (snapshot.timeout, snapshot.counts.timed_out),
        (Some(SECOND), 2)
    );
    let layer = deadline_layer(SECOND);
    let _ = layer.layer(sleeper()).oneshot(2 * SECOND).await;
    let snapshot = layer.handle().snapshot();
    assert_eq!(snapshot.name.as_str(), "d");
    assert_eq!(snapshot.state.as_str(), "active");
    assert_eq!(
        (snapshot.timeout, snapshot.counts.total()),
        (Some(SECOND), 1)
    );
}

#[cfg(feature = "serde")]
#[test]
fn snapshots_are_serialized_with_durations_in_seconds() {
    assert_eq!(
        serde_json::to_string(&learned().handle().snapshot()).unwrap(),
        r#"{"name":"l","state":"warming_up","timeout":5.0,"estimate":null,"samples_missing":20,"counts":{"timed_out":0,"deadline_exceeded":0,"expired_on_arrival":0}}"#
    );
    assert_eq!(
        serde_json::to_string(&deadline_layer(SECOND / 2).handle().snapshot()).unwrap(),
        r#"{"name":"d","state":"active","timeout":0.5,"counts":{"deadline_exceeded":0,"expired_on_arrival":0,"readiness_timeouts":0}}"#
    );
}
