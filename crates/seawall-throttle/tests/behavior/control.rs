//! The handle: reading and changing a throttle from outside.

use super::*;

#[tokio::test(start_paused = true)]
async fn shadow_mode_rejects_nothing_and_emits_what_it_would_have_rejected() {
    let (mut service, handle, inner) = scripted(builder().shadow(true));
    let registry = Registry::new("svc");
    registry.register(handle.clone()).unwrap();
    let mut events = registry.events().subscribe();
    assert_eq!(
        send_many(&mut service, 100, Err(BUSY), Priority::NORMAL),
        100
    );
    let counts = handle.counts();
    assert_eq!((inner.requests(), counts.rejected), (100, 0));
    assert!(counts.shadowed > 50, "{counts:?}");
    let Some(Received::Event(event)) = events.try_next() else {
        panic!("no event")
    };
    assert!(matches!(event.kind, EventKind::Shadowed(r) if r.reason() == Reason::ClientThrottled));
    assert_eq!(handle.rejection_probability(), 0.9);
    assert!(handle.snapshot().shadow);
    handle.set_shadow(false);
    assert!(send_many(&mut service, 100, Err(BUSY), Priority::NORMAL) < 50);
}

#[tokio::test(start_paused = true)]
async fn every_command_is_emitted() {
    let (_service, handle, _) = scripted(builder());
    let registry = Registry::new("svc");
    registry.register(handle.clone()).unwrap();
    let mut events = registry.events().subscribe();
    handle.set_shadow(true);
    handle.set_shadow(false);
    handle.configure(handle.config()).unwrap();
    handle.control(Command::Bypass).unwrap();
    handle.reset();
    let mut commands = Vec::new();
    while let Some(Received::Event(event)) = events.try_next() {
        if let EventKind::Commanded { command } = event.kind {
            commands.push(command);
        }
    }
    assert_eq!(
        commands,
        ["shadow_on", "shadow_off", "configure", "bypass", "reset"]
    );
}

#[tokio::test(start_paused = true)]
async fn bypass_lets_every_call_pass_until_reset() {
    let (mut service, handle, _) = scripted(builder());
    send_many(&mut service, 100, Err(BUSY), Priority::NORMAL);
    handle.control(Command::Bypass).unwrap();
    assert_eq!(
        send_many(&mut service, 100, Err(BUSY), Priority::NORMAL),
        100
    );
    handle.control(Command::Reset).unwrap();
    assert_eq!(handle.rejection_probability(), 0.0);
    assert_eq!(send_many(&mut service, 9, Err(BUSY), Priority::NORMAL), 9);
    assert!(send_many(&mut service, 100, Err(BUSY), Priority::NORMAL) < 50);
    let rejected = handle.control(Command::Block).unwrap_err();
    assert_eq!(rejected.pattern, "throttle");
}

#[tokio::test(start_paused = true)]
async fn configure_applies_to_a_service_in_use() {
    let (mut service, handle, _) = scripted(builder().min_requests(100));
    send_many(&mut service, 40, Ok(()), Priority::NORMAL);
    send_many(&mut service, 60, Err(BUSY), Priority::NORMAL);
    let p = |accept_multiplier: f64| {
        handle
            .configure(
                builder()
                    .accept_multiplier(accept_multiplier)
                    .build()
                    .unwrap(),
            )
            .unwrap();
        handle.rejection_probability()
    };
    assert!((p(1.0) - 60.0 / 101.0).abs() < 1e-9);
    assert!((p(1.5) - 40.0 / 101.0).abs() < 1e-9);
    assert_eq!(p(2.5), 0.0);
    handle
        .configure(
            builder()
                .accept_multiplier(1.0)
                .shadow(true)
                .build()
                .unwrap(),
        )
        .unwrap();
    assert_eq!(
        send_many(&mut service, 100, Err(BUSY), Priority::NORMAL),
        100
    );
    handle.configure(builder().build().unwrap()).unwrap();
    assert_eq!(handle.config(), builder().build().unwrap());
    assert!(send_many(&mut service, 100, Err(BUSY), Priority::NORMAL) < 60);
}

#[tokio::test(start_paused = true)]
async fn the_window_keeps_its_counts_when_its_length_changes() {
    let (mut service, handle, _) = scripted(builder());
    let short = || builder().window(10 * SECOND).build().unwrap();
    advance(2 * WINDOW).await;
    send_many(&mut service, 100, Err(BUSY), Priority::NORMAL);
    handle.configure(short()).unwrap();
    assert_eq!(handle.snapshot().classes[2].requests, 100);
    advance(10 * SECOND).await;
    assert_eq!(handle.snapshot().classes[2].requests, 0);
    send_many(&mut service, 20, Err(BUSY), Priority::NORMAL);
    handle.configure(builder().build().unwrap()).unwrap();
    advance(WINDOW - WINDOW / 16 - 10 * SECOND).await;
    assert_eq!(handle.snapshot().classes[2].requests, 20);
    advance(WINDOW).await;
    assert_eq!(handle.snapshot().classes[2].requests, 0);
}

#[tokio::test(start_paused = true)]
async fn a_seed_makes_the_draws_the_same_in_every_run() {
    let draws = |seed| {
        let (mut service, ..) = scripted(builder().seed(seed));
        let draw = |_| send(&mut service, request(Err(BUSY), Priority::NORMAL));
        (0..200).map(draw).collect::<Vec<_>>()
    };
    assert_eq!(draws(1), draws(1));
    assert_ne!(draws(1), draws(2));
    // On another thread as well.
    let there = std::thread::spawn(move || draws(1)).join().unwrap();
    assert_eq!(draws_here(), there);

    fn draws_here() -> Vec<bool> {
        let (mut service, ..) = scripted(builder().seed(1));
        let draw = |_| send(&mut service, request(Err(BUSY), Priority::NORMAL));
        (0..200).map(draw).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn a_registry_reads_state_samples_and_settings() {
    let (mut service, handle, _) = scripted(builder());
    let registry = Registry::new("svc");
    registry.register(handle.clone()).unwrap();
    let mut events = registry.events().subscribe();
    assert_eq!(registry.snapshot()[0].state, "ok");
    send_many(&mut service, 5, Ok(()), Priority::HIGH);
    send_many(&mut service, 100, Err(BUSY), Priority::NORMAL);
    let snapshot = registry.snapshot().remove(0);
    assert_eq!(
        (snapshot.pattern, snapshot.state),
        ("throttle", "throttling")
    );
    let value = |metric: &str, labels: &[(&str, &str)]| {
        let found = snapshot.samples.iter();
        let mut found = found.filter(|s| s.metric == metric && s.labels == labels);
        found.next().expect("a sample").value.clone()
    };
    let counts = handle.counts();
    let calls = |outcome| {
        let labels = [("layer", "throttle"), ("outcome", outcome)];
        value("seawall_calls_total", &labels)
    };
    assert_eq!(calls("accepted"), Value::Counter(5));
    assert_eq!(calls("not_accepted"), Value::Counter(counts.not_accepted));
    let labels = [("layer", "throttle"), ("reason", "client_throttled")];
    assert_eq!(
        value("seawall_rejections_total", &labels),
        Value::Counter(counts.rejected)
    );
    let probability = |class| {
        let metric = "seawall_throttle_rejection_ratio";
        value(metric, &[("priority", class)])
    };
    assert_eq!(probability("normal"), Value::Gauge(0.9));
    assert_eq!(probability("high"), Value::Gauge(0.0));
    let Some(Received::Event(event)) = events.try_next() else {
        panic!("no event of the rejection")
    };
    assert!(matches!(event.kind, EventKind::Rejected(r) if r.sent() == Sent::No));
    assert!(
        snapshot
            .settings
            .contains(&("accept_multiplier", "2".to_owned()))
    );
}

#[test]
fn invalid_settings_are_errors_that_name_the_field() {
    let field =
        |builder: AdaptiveThrottleConfigBuilder| builder.build().unwrap_err().field().to_owned();
    for multiplier in [0.99, 0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert_eq!(
            field(builder().accept_multiplier(multiplier)),
            "accept_multiplier"
        );
    }
    for factor in [0.5, 101.0, f64::NAN] {
        assert_eq!(field(builder().priority_factor(factor)), "priority_factor");
    }
    for share in [-0.1, 0.0, 1e-5, 1.1, f64::NAN] {
        assert_eq!(field(builder().max_rejection(share)), "max_rejection");
    }
    for all in [Priority(0), Priority(63)] {
        assert_eq!(field(builder().exempt_from(all)), "exempt_from");
    }
    assert!(builder().exempt_from(Priority::LOW).build().is_ok());
    assert_eq!(field(builder().window(Duration::ZERO)), "window");
    assert_eq!(field(builder().min_requests(0)), "min_requests");
    let default = AdaptiveThrottleConfig::builder().build().unwrap();
    assert_eq!(default, AdaptiveThrottleConfig::default());
    assert_eq!(default.accept_multiplier(), 2.0);
    assert_eq!(default.window(), WINDOW);
    assert_eq!(default.max_rejection(), 0.9);
    assert_eq!(default.min_requests(), 10);
    let huge = builder()
        .accept_multiplier(f64::MAX)
        .priority_factor(100.0)
        .build()
        .unwrap();
    assert_eq!(huge.accept_multiplier_of(PriorityClass::High), f64::MAX);
}

#[tokio::test(start_paused = true)]
async fn reset_ends_the_operators_shadow_mode_and_keeps_the_configured_one() {
    let (mut service, handle, _) = scripted(builder());
    send_many(&mut service, 100, Err(BUSY), Priority::NORMAL);
    let counts = handle.counts();
    handle.set_shadow(true);
    handle.reset();
    let snapshot = handle.snapshot();
    assert!(!snapshot.shadow);
    assert_eq!(snapshot.state, AdaptiveThrottleState::Ok);
    assert_eq!(snapshot.name.as_str(), "desk");
    assert_eq!(snapshot.counts, counts);
    handle
        .configure(builder().shadow(true).build().unwrap())
        .unwrap();
    handle.set_shadow(false);
    handle.reset();
    assert!(handle.snapshot().shadow);
}

#[test]
fn configure_rejects_another_seed_and_keeps_that_of_the_layer() {
    let (_, handle, _) = scripted(builder());
    let other = builder().seed(8).accept_multiplier(3.0).build().unwrap();
    assert_eq!(handle.configure(other).unwrap_err().field(), "seed");
    assert_eq!(handle.config().accept_multiplier(), 2.0);
    let unseeded = AdaptiveThrottleConfig::builder().accept_multiplier(3.0);
    handle.configure(unseeded.build().unwrap()).unwrap();
    assert_eq!(handle.config().seed(), Some(7));
    assert_eq!(handle.config().accept_multiplier(), 3.0);
}

#[cfg(feature = "serde")]
#[tokio::test(start_paused = true)]
async fn a_snapshot_serializes() {
    let (mut service, handle, _) = scripted(builder());
    send_many(&mut service, 5, Ok(()), Priority::HIGH);
    let json = serde_json::to_value(handle.snapshot()).unwrap();
    assert_eq!(json["name"], "desk");
    assert_eq!(json["state"], handle.snapshot().state.as_str());
    assert_eq!(json["counts"]["accepted"], 5);
    assert_eq!(json["classes"][3]["class"], "high");
    assert_eq!(json["classes"][3]["accepts"], 5);
}
