//! What an operator sees and commands.

use std::sync::{Arc, Mutex};

use seawall_ai::route::{Deployment, Model, RouteState, Router, RouterState};
use seawall_core::{Command, EventKind, Events, InstanceHandle, Reason, Registry};

use crate::support::*;

#[tokio::test(start_paused = true)]
async fn a_blocked_deployment_is_not_chosen_until_it_is_resumed() {
    let desk = Desk::new();
    let router = desk.router();
    let handle = router.handle();
    assert!(handle.block("key-1") && handle.block("key-2") && !handle.block("key-3"));
    assert_eq!(handle.snapshot().state, RouterState::Degraded);
    assert_eq!(answer(&router).await, "other");
    assert!(handle.block("other"));
    assert_eq!(handle.snapshot().state, RouterState::Exhausted);
    let rejection = rejected(call(&router).await);
    assert_eq!(
        (rejection.reason(), rejection.retry_after()),
        (Reason::NoRoute, None)
    );
    assert!(handle.resume("key-2") && !handle.resume("key-3"));
    assert_eq!(answer(&router).await, "key-2");
    handle.resume_all();
    assert_eq!(handle.snapshot().state, RouterState::Ok);
}

#[tokio::test(start_paused = true)]
async fn the_registry_commands_and_publishes_it() {
    let desk = Desk::new();
    let router = desk.router();
    let registry = Registry::new("assistant");
    registry.register(router.handle()).unwrap();
    let handle = registry.get("router", "desk").unwrap();
    handle.control(Command::Block).unwrap();
    assert_eq!(handle.state(), "paused");
    assert_eq!(rejected(call(&router).await).reason(), Reason::Paused);
    assert!(handle.control(Command::Bypass).is_err());
    handle.control(Command::Reset).unwrap();
    assert_eq!(handle.state(), "ok");
    desk.one.next(status(429));
    desk.two.next(status(429));
    assert_eq!(answer(&router).await, "other");
    assert_eq!(handle.state(), "degraded");
    let snapshot = registry.snapshot();
    let sample = |metric: &str, deployment: &str, outcome: &str| {
        let found = snapshot[0].samples.iter().find(|sample| {
            let has = |label| sample.labels.iter().any(|(_, value)| *value == label);
            sample.metric == metric && has(deployment) && (outcome.is_empty() || has(outcome))
        });
        found.map(|sample| sample.value.clone())
    };
    let attempts =
        |deployment, outcome| sample("seawall_router_attempts_total", deployment, outcome);
    assert_eq!(
        attempts("key-1", "rate_limit"),
        Some(seawall_core::Value::Counter(1))
    );
    assert_eq!(
        attempts("other", "success"),
        Some(seawall_core::Value::Counter(1))
    );
    let available = sample("seawall_router_available", "key-2", "");
    assert_eq!(available, Some(seawall_core::Value::Gauge(0.0)));
    let settings = handle.settings();
    assert!(
        settings.contains(&("max_attempts", "10".into())),
        "{settings:?}"
    );
    assert!(settings.iter().any(|(field, _)| *field == "budget"));
}

#[tokio::test(start_paused = true)]
async fn every_command_is_an_event_and_has_an_inverse() {
    let desk = Desk::new();
    let handle = desk.router().handle();
    let (events, heard) = (Events::default(), Arc::new(Mutex::new(Vec::new())));
    handle.attach(&events);
    let all = Arc::clone(&heard);
    let listener = move |event: &seawall_core::Event| {
        if let EventKind::Commanded { command } = event.kind {
            all.lock()
                .unwrap()
                .push((event.pattern, event.name.to_string(), command));
        }
    };
    events.listen(listener).detach();
    let emitted = |expected: (&'static str, &str, &'static str)| {
        let emitted = std::mem::take(&mut *heard.lock().unwrap());
        assert_eq!(emitted, [(expected.0, expected.1.to_owned(), expected.2)]);
    };
    let seen = || handle.snapshot();
    let untouched = seen();
    handle.block("key-1");
    emitted(("deployment", "key-1", "block"));
    assert_eq!(
        seen().deployment("key-1").unwrap().state,
        RouteState::Blocked
    );
    handle.resume("key-1");
    emitted(("deployment", "key-1", "resume"));
    assert_eq!(seen(), untouched);
    handle.pause_all();
    emitted(("router", "desk", "pause_all"));
    assert_ne!(seen(), untouched);
    handle.resume_all();
    emitted(("router", "desk", "resume_all"));
    assert_eq!(seen(), untouched);
    handle.block("key-1");
    handle.pause_all();
    heard.lock().unwrap().clear();
    handle.reset();
    emitted(("router", "desk", "reset"));
    assert_eq!(seen(), untouched);
    handle.configure(handle.config()).unwrap();
    emitted(("router", "desk", "configure"));
    handle.block("nobody");
    assert!(heard.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn new_settings_hold_from_the_next_call_on_and_cool_downs_stay() {
    let desk = Desk::new();
    let (router, handle) = desk.first_key();
    desk.one.next(retry_after(429, 60));
    assert_eq!(answer(&router).await, "other");
    handle.configure(config(|c| c.max_attempts(1))).unwrap();
    assert_eq!(handle.config().max_attempts(), 1);
    assert_eq!(
        handle.deployment("key-1").unwrap().state,
        RouteState::Cooling
    );
    desk.other.next(status(500));
    assert_eq!(call(&router).await.unwrap().status(), 500);
    handle.reset();
    assert_eq!(
        handle.deployment("key-1").unwrap().state,
        RouteState::Available
    );
    assert_eq!(handle.config().max_attempts(), 1, "settings are no command");
}

#[tokio::test(start_paused = true)]
async fn what_makes_no_router_is_an_error_that_names_it() {
    let desk = Desk::new();
    let wrong = |model: Model<Upstream, Body>| {
        let router = Router::builder("desk", model)
            .fallback(desk.small())
            .build();
        router.map(drop).unwrap_err().to_string()
    };
    let key = |name: &str| Deployment::new(name, "alpha", desk.one.clone());
    for (model, expected) in [
        (
            Model::new("x"),
            "`deployments of x` is none, accepted is at least one",
        ),
        (Model::new(""), "`model` is empty, accepted is a name"),
        (
            Model::new("small").deployment(key("a")),
            "`model` is small, accepted is a name that no other one has",
        ),
        (
            Model::new("x").deployment(key("a")).deployment(key("a")),
            "`deployment` is a, accepted is a name that no other one has",
        ),
        (
            Model::new("x").deployment(key("")),
            "`deployment` is empty, accepted is a name",
        ),
        (
            Model::new("x").deployment(key("a").weight(0)),
            "`weight of a` is 0, accepted is at least 1",
        ),
        (
            Model::new("x").deployment(key("a")).context_window(0),
            "`context_window` is 0, accepted is at least 1",
        ),
        (
            (0..64).fold(Model::new("x"), |model, n| {
                model.deployment(key(&format!("k{n}")))
            }),
            "`deployments` is 65, accepted is at most 64",
        ),
    ] {
        assert_eq!(wrong(model), expected);
    }
    let unnamed = Router::builder("", desk.small()).build();
    assert!(unnamed.is_err());
}
