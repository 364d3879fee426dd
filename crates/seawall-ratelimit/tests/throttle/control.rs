//! What is read and changed from outside.

use super::*;

#[tokio::test(start_paused = true)]
async fn one_that_only_watches_rejects_nothing_and_tells_what_it_would_have() {
    let (mut service, handle, inner) = obeying(builder().shadow(true));
    let registry = Registry::new("svc");
    registry.register(handle.clone()).unwrap();
    let mut events = registry.events().subscribe();
    assert_eq!(
        send_many(&mut service, 100, Err(BUSY), Priority::NORMAL),
        100
    );
    let counts = handle.counts();
    assert_eq!((inner.came(), counts.rejected), (100, 0));
    assert!(counts.shadowed > 50, "{counts:?}");
    let Some(Received::Event(event)) = events.try_next() else {
        panic!("nothing was told")
    };
    assert!(matches!(event.kind, EventKind::Shadowed(r) if r.reason() == Reason::ClientThrottled));
    assert_eq!(handle.rejection_probability(), 0.9);
    assert!(handle.snapshot().shadow);
    handle.set_shadow(false);
    assert!(send_many(&mut service, 100, Err(BUSY), Priority::NORMAL) < 50);
}

#[tokio::test(start_paused = true)]
async fn an_operator_lets_everything_pass_and_puts_the_rules_back() {
    let (mut service, handle, _) = obeying(builder());
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
async fn settings_change_while_it_works() {
    let (mut service, handle, _) = obeying(builder().min_requests(100));
    send_many(&mut service, 40, Ok(()), Priority::NORMAL);
    send_many(&mut service, 60, Err(BUSY), Priority::NORMAL);
    let p = |accept_multiplier: f64| {
        handle.set_config(
            builder()
                .accept_multiplier(accept_multiplier)
                .build()
                .unwrap(),
        );
        handle.rejection_probability()
    };
    assert!((p(1.0) - 60.0 / 101.0).abs() < 1e-9);
    assert!((p(1.5) - 40.0 / 101.0).abs() < 1e-9);
    assert_eq!(p(2.5), 0.0);
    handle.set_config(
        builder()
            .accept_multiplier(1.0)
            .shadow(true)
            .build()
            .unwrap(),
    );
    assert_eq!(
        send_many(&mut service, 100, Err(BUSY), Priority::NORMAL),
        100
    );
    handle.set_config(builder().build().unwrap());
    assert_eq!(handle.config(), builder().build().unwrap());
    assert!(send_many(&mut service, 100, Err(BUSY), Priority::NORMAL) < 60);
}

#[tokio::test(start_paused = true)]
async fn what_was_counted_stays_when_the_window_changes() {
    let (mut service, handle, _) = obeying(builder());
    let short = || builder().window(10 * SECOND).build().unwrap();
    advance(2 * WINDOW).await;
    send_many(&mut service, 100, Err(BUSY), Priority::NORMAL);
    handle.set_config(short());
    assert_eq!(handle.snapshot().classes[2].requests, 100);
    advance(10 * SECOND).await;
    assert_eq!(handle.snapshot().classes[2].requests, 0);
    send_many(&mut service, 20, Err(BUSY), Priority::NORMAL);
    handle.set_config(builder().build().unwrap());
    advance(WINDOW - WINDOW / 16 - 10 * SECOND).await;
    assert_eq!(handle.snapshot().classes[2].requests, 20);
    advance(WINDOW).await;
    assert_eq!(handle.snapshot().classes[2].requests, 0);
}

#[tokio::test(start_paused = true)]
async fn a_seed_makes_the_draws_the_same_in_every_run() {
    let draws = |seed| {
        let (mut service, ..) = obeying(builder().seed(seed));
        let draw = |_| send(&mut service, ask(Err(BUSY), Priority::NORMAL));
        (0..200).map(draw).collect::<Vec<_>>()
    };
    assert_eq!(draws(1), draws(1));
    assert_ne!(draws(1), draws(2));
    // On another thread, too.
    let there = std::thread::spawn(move || draws(1)).join().unwrap();
    assert_eq!(draws_here(), there);

    fn draws_here() -> Vec<bool> {
        let (mut service, ..) = obeying(builder().seed(1));
        let draw = |_| send(&mut service, ask(Err(BUSY), Priority::NORMAL));
        (0..200).map(draw).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn a_registry_reads_what_the_throttle_does() {
    let (mut service, handle, _) = obeying(builder());
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
        found.next().expect("a sample").value
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
        let metric = "seawall_throttle_rejection_probability";
        value(metric, &[("priority", class)])
    };
    assert_eq!(probability("normal"), Value::Gauge(0.9));
    assert_eq!(probability("high"), Value::Gauge(0.0));
    let Some(Received::Event(event)) = events.try_next() else {
        panic!("the rejection was not told")
    };
    assert!(matches!(event.kind, EventKind::Rejected(r) if r.sent() == Sent::No));
    assert!(snapshot.settings.contains(&("k", "2".to_owned())));
}

#[test]
fn impossible_settings_are_rejected_by_name() {
    let field =
        |builder: AdaptiveThrottleConfigBuilder| builder.build().unwrap_err().field().to_owned();
    for k in [0.99, 0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert_eq!(field(builder().accept_multiplier(k)), "k");
    }
    for factor in [0.5, 101.0, f64::NAN] {
        assert_eq!(field(builder().priority_factor(factor)), "priority_factor");
    }
    for share in [-0.1, 1.1, f64::NAN] {
        assert_eq!(field(builder().max_rejection(share)), "max_rejection");
    }
    assert_eq!(field(builder().window(Duration::ZERO)), "window");
    assert_eq!(field(builder().min_requests(0)), "min_requests");
    let default = AdaptiveThrottleConfig::builder().build().unwrap();
    assert_eq!(default, AdaptiveThrottleConfig::default());
    assert_eq!(default.accept_multiplier(), 2.0);
    assert_eq!(default.window().get(), WINDOW);
    assert_eq!(default.max_rejection().get(), 0.9);
    assert_eq!(default.min_requests().get(), 10);
    let huge = builder()
        .accept_multiplier(f64::MAX)
        .priority_factor(100.0)
        .build()
        .unwrap();
    assert_eq!(huge.accept_multiplier_of(PriorityClass::High), f64::MAX);
}
