//! What a running stack takes, and that it knows what it knew.

use std::sync::{Arc, Mutex};

use seawall::breaker::CircuitState;
use seawall::config::{Config, SettingChanges, SettingValue};
use seawall::orders::journal::MemoryJournal;
use seawall::trading::OrderStackBuilder;
use seawall::{Command, InstanceHandle, RetryConfig};
use seawall_sim::provider::AiApi;
use serde_json::json;
use tokio::task::JoinHandle;
use tokio::time::{advance, sleep};
use tower::{Layer, Service, ServiceExt, service_fn};

use super::*;

#[tokio::test(start_paused = true)]
async fn circuits_tokens_and_counters_stay() {
    let folder = Folder::new();
    let text = |open_for: u32, burst: u32, waits: u32| {
        format!(
            "[resilience.a]\nretry.enabled = false\n\
             breaker = {{ consecutive_failures = 2, open_for = \"{open_for}s\" }}\n\
             rate_limit = {{ rate = \"60/min\", burst = {burst}, max_waiting = {waits} }}\n"
        )
    };
    let config = folder.load(&text(60, 10, 4));
    let service = stack(&config, "a").layer(service_fn(|_| std::future::ready(answer(503))));
    for _ in 0..2 {
        let response = service.clone().oneshot(get()).await.expect("a response");
        assert_eq!(response.status(), 503);
    }
    let handles = handles(&config, "a");
    let before = handles.snapshot();
    let circuit = before.breaker.clone().expect("there is one");
    assert_eq!(circuit.state, CircuitState::Open);
    assert!((handles.rate_limit.account().expect("one").tokens() - 8.0).abs() < 1e-3);

    assert_eq!(folder.change(&config, &text(90, 20, 5)), ["a"]);
    let after = handles.snapshot();
    let circuit = after.breaker.expect("there is one");
    assert_eq!(circuit.state, CircuitState::Open, "it stays open");
    let tokens = handles.rate_limit.account().expect("one").tokens();
    assert!((tokens - 18.0).abs() < 1e-3, "two are spent: {tokens}");
    assert_eq!(handles.counts(), before.into(), "no counter begins again");
    let settings = handles.settings();
    assert_eq!(settings.breaker.open_for(), 90 * SECOND);
    assert_eq!(settings.rate_limit.max_waiting(), 5);
    assert!(
        service.oneshot(get()).await.is_err(),
        "rejected: it is open"
    );
}

#[test]
fn a_reserved_share_that_is_set_no_longer_goes_back_to_that_of_the_stack() {
    const BASE: &str = "[resilience.b]\nprovider = \"alpaca\"\n";
    let set = |share: &str| format!("{BASE}rate_limit.reserved_share = {share}\n");
    let folder = Folder::new();
    let config = folder.load(&set("0.5"));
    let tenth = Some(0.1);
    let of_orders = {
        let broker = seawall::alpaca().expect("known").broker_table();
        let journal = MemoryJournal::default();
        OrderStackBuilder::new(stack(&config, "b"), broker.expect("of orders"), journal)
    };
    let orders = of_orders.build::<Body>().expect("valid");
    let in_force = || {
        let limits = orders.handles().stack.rate_limit;
        let keyed = limits.config().per_key().reserved_share();
        let account = limits.account().expect("one").config().reserved_share();
        assert_eq!(keyed, account);
        keyed.map(seawall::Ratio::get)
    };
    assert_eq!(in_force(), Some(0.5));
    for (text, share) in [
        (BASE, tenth),
        (&*set("false"), None),
        (BASE, tenth),
        (&*set("0.3"), Some(0.3)),
        (&*set("false"), None),
        (BASE, tenth),
    ] {
        assert_eq!(folder.change(&config, text), ["b"], "{text}");
        assert_eq!(in_force(), share, "{text}");
    }
    // The same by an operator's change.
    let change = |changes: SettingChanges| config.change(&changes).expect("no mistake").changed;
    let key = "rate_limit.reserved_share";
    for (value, share) in [(SettingValue::Number(0.7), Some(0.7)), (false.into(), None)] {
        let set = SettingChanges::new().set("b", key, value);
        assert_eq!(change(set), ["b"]);
        assert_eq!(in_force(), share);
        let shown = config.changed_settings().expect("no mistake");
        assert_eq!((shown.len(), &*shown[0].configured), (1, "default"));
        assert_eq!(change(SettingChanges::new().unset("b", key)), ["b"]);
        assert_eq!(in_force(), tenth);
    }
    // A stack without orders reserves nothing.
    let config = folder.load(&set("0.5"));
    let limits = handles(&config, "b").rate_limit;
    let share = || limits.config().per_key().reserved_share();
    assert!(share().is_some());
    assert_eq!(folder.change(&config, BASE), ["b"]);
    assert_eq!(share(), None);
}

#[tokio::test(start_paused = true)]
async fn waiters_keep_their_places() {
    let folder = Folder::new();
    let text = |permits: u32, waiting: u32| {
        format!(
            "[resilience.a]\nbulkhead = {{ max_concurrent = {permits}, max_waiting = {waiting}, max_wait = \"60s\" }}\n"
        )
    };
    let config = folder.load(&text(1, 8));
    let arrived = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&arrived);
    let client = service_fn(move |request: Request<Body>| {
        seen.lock()
            .expect("no panic")
            .push(request.uri().path().to_owned());
        async {
            sleep(SECOND).await;
            answer(200)
        }
    });
    let service = stack(&config, "a").layer(client);
    let mut calls = Vec::new();
    for number in 0..5 {
        let request = Request::get(format!("/{number}")).body(Body::default());
        let call = service.clone().oneshot(request.expect("valid"));
        calls.push(tokio::spawn(call));
        sleep(ms(1)).await;
    }
    assert_eq!(*arrived.lock().expect("no panic"), ["/0"]);
    assert_eq!(handles(&config, "a").bulkhead.queue_depth(), 4);
    folder.change(&config, &text(2, 9));
    sleep(ms(1)).await;
    assert_eq!(
        *arrived.lock().expect("no panic"),
        ["/0", "/1"],
        "the first one that waits"
    );
    folder.change(&config, &text(2, 2));
    for call in calls {
        assert!(
            call.await.expect("no panic").is_ok(),
            "a shorter queue drops no waiter"
        );
    }
    assert_eq!(
        *arrived.lock().expect("no panic"),
        ["/0", "/1", "/2", "/3", "/4"]
    );
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_calls_a_second_do_not_notice() {
    const CALLS: u64 = 30_000;
    let folder = Folder::new();
    let text = |number: u64| {
        format!(
            "[resilience.a]\ndeadline = \"{}s\"\nattempt_timeout = \"{}ms\"\n\
             bulkhead = {{ max_concurrent = {}, max_waiting = 1000 }}\n\
             rate_limit = {{ rate = \"{}/s\", burst = 500 }}\n\
             breaker = {{ consecutive_failures = {}, open_for = \"{}s\" }}\n\
             retry = {{ attempts = {}, first_wait = \"{}ms\" }}\n",
            20 + number,
            5_000 + number,
            200 + number,
            20_000 + number,
            5 + number,
            10 + number,
            2 + number % 4,
            100 + number,
        )
    };
    let config = folder.load(&text(0));
    let client = service_fn(|_: Request<Body>| async {
        sleep(ms(5)).await;
        answer(200)
    });
    let service = stack(&config, "a").layer(client);
    let mut calls = Vec::new();
    for tick in 0..CALLS / 10 {
        for _ in 0..10 {
            let call = service.clone().oneshot(get());
            calls.push(tokio::spawn(async move {
                // The permit is free once the body is gone.
                call.await.map(|response| response.status().as_u16())
            }));
        }
        sleep(ms(1)).await;
        if tick % 25 == 0 {
            folder.write(text(tick / 25 + 1));
            config.reload().expect("it is right");
        }
    }
    for call in calls {
        assert_eq!(call.await.expect("no panic").expect("no call is lost"), 200);
    }
    assert_eq!(config.status().generation, CALLS / 250 + 1);
    let counts = handles(&config, "a").counts();
    assert_eq!(counts.bulkhead.success, CALLS, "{counts:?}");
    let breaker = counts.breaker;
    assert_eq!(breaker.success, CALLS);
    assert_eq!(counts.rate_limit.granted, CALLS);
    assert_eq!(counts.rate_limit.rejected + counts.bulkhead.rejected(), 0);
    let last = Config::loader().file(folder.file()).load().expect("right");
    let last = last.service("a").expect("there").settings().clone();
    assert_eq!(handles(&config, "a").settings(), last);
}

#[tokio::test(start_paused = true)]
async fn layers_are_switched_off_and_on() {
    let folder = Folder::new();
    let on = "[resilience.a]\nkind = \"broker\"\n";
    let off = "[resilience.a]\nkind = \"broker\"\ndeadline = false\nattempt_timeout = false\n\
        retry.enabled = false\nbulkhead.enabled = false\nrate_limit.enabled = false\n\
        breaker.enabled = false\nbody_timeout.enabled = false\n";
    let config = folder.load(on);
    let handles = handles(&config, "a");
    // Bulkhead and rate limit have no word for it.
    let states = || {
        let all: [&dyn InstanceHandle; 5] = [
            &handles.deadline,
            &handles.attempt_timeout,
            &handles.retry,
            &handles.breaker,
            &handles.protocol.body_timeout,
        ];
        all.map(InstanceHandle::state)
    };
    let before = states();
    folder.change(&config, off);
    for (before, during) in before.iter().zip(states()) {
        assert_ne!(*before, during);
    }
    folder.change(&config, on);
    assert_eq!(states(), before);
}

#[tokio::test(start_paused = true)]
async fn a_layer_that_is_on_again_knows_what_it_knew() {
    let folder = Folder::new();
    let text = |on: bool| {
        format!(
            "[resilience.a]\nrate_limit = {{ rate = \"1/h\", burst = 5, max_wait = \"0s\", enabled = {on} }}\n"
        )
    };
    let config = folder.load(&text(true));
    let service = stack(&config, "a").layer(service_fn(|_| std::future::ready(answer(200))));
    let call = || service.clone().oneshot(get());
    for _ in 0..5 {
        assert!(call().await.is_ok());
    }
    assert!(call().await.is_err(), "all tokens are spent");
    folder.change(&config, &text(false));
    assert!(call().await.is_ok(), "off");
    folder.change(&config, &text(true));
    assert!(call().await.is_err(), "they are spent still");
}

#[tokio::test(start_paused = true)]
async fn a_bulkhead_that_is_off_counts_its_calls_all_the_same() {
    let folder = Folder::new();
    let text = |on: bool| {
        format!(
            "[resilience.a]\nretry.enabled = false\n\
             bulkhead = {{ max_concurrent = 1, max_waiting = 0, enabled = {on} }}\n"
        )
    };
    let config = folder.load(&text(true));
    let client = service_fn(|_: Request<Body>| async {
        sleep(SECOND).await;
        answer(200)
    });
    let service = stack(&config, "a").layer(client);
    let call = || {
        let call = service.clone().oneshot(get());
        tokio::spawn(async { call.await.is_ok() })
    };
    let passes = |call: JoinHandle<bool>| async { call.await.expect("no panic") };
    let first = call();
    sleep(ms(1)).await;
    assert!(!passes(call()).await, "there is one permit");
    folder.change(&config, &text(false));
    let second = call();
    sleep(ms(1)).await;
    folder.change(&config, &text(true));
    assert_eq!(handles(&config, "a").bulkhead.in_flight(), 2);
    assert!(!passes(call()).await, "both are under way");
    assert!(passes(first).await && passes(second).await);
    assert!(passes(call()).await);
}

#[tokio::test(start_paused = true)]
async fn shadow_mode_comes_and_goes_with_the_file() {
    let folder = Folder::new();
    let text = |shadow: bool| {
        format!(
            "[resilience.a]\nretry.enabled = false\n\
             [resilience.a.breaker]\nconsecutive_failures = 1\nshadow = {shadow}\n\
             [resilience.a.bulkhead]\nshadow = {shadow}\n\
             [resilience.a.rate_limit]\nshadow = {shadow}\n"
        )
    };
    let config = folder.load(&text(false));
    let service = stack(&config, "a").layer(service_fn(|_| std::future::ready(answer(503))));
    let call = || service.clone().oneshot(get());
    assert!(call().await.is_ok());
    assert!(call().await.is_err(), "the circuit is open");
    folder.change(&config, &text(true));
    assert!(call().await.is_ok(), "it would be rejected");
    let settings = handles(&config, "a").settings();
    let shadows = [
        settings.breaker.shadow(),
        settings.bulkhead.shadow(),
        settings.rate_limit.shadow(),
    ];
    assert_eq!(shadows, [true; 3]);
    let counts = handles(&config, "a").counts().breaker;
    assert_eq!(counts.shadowed, 1);
    folder.change(&config, &text(false));
    assert!(call().await.is_err(), "the circuit is open, as it was");
}

#[tokio::test(start_paused = true)]
async fn a_command_of_an_operator_holds_until_the_file_changes_that_layer() {
    let folder = Folder::new();
    let text = |open_for: u32, attempts: u32| {
        format!("[resilience.a]\nbreaker.open_for = \"{open_for}s\"\nretry.attempts = {attempts}\n")
    };
    let config = folder.load(&text(30, 2));
    let handles = handles(&config, "a");
    handles.breaker.set_shadow(true);
    handles.bulkhead.pause();
    folder.change(&config, &text(30, 3));
    assert!(
        handles.breaker.snapshot().shadow,
        "the file says nothing new of the breaker"
    );
    assert_eq!(handles.settings().retry.attempts(), 3);
    folder.change(&config, &text(31, 3));
    assert!(!handles.breaker.snapshot().shadow, "now it does");
    assert_eq!(handles.bulkhead.state(), "paused");
    // The other way: what an operator has configured is the last word until then.
    let one = RetryConfig::builder().attempts(1).build().expect("valid");
    handles.retry.configure(one).expect("accepted");
    folder.change(&config, &text(32, 3));
    assert_eq!(handles.settings().retry.attempts(), 1);
    handles
        .breaker
        .control(Command::Block)
        .expect("a command of it");
    folder.change(&config, &text(33, 3));
    assert_eq!(handles.breaker.snapshot().state, CircuitState::ForcedOpen);
}

#[tokio::test(start_paused = true)]
async fn a_call_under_way_keeps_its_deadline() {
    let folder = Folder::new();
    let text = |deadline: &str| {
        format!(
            "[resilience.a]\ndeadline = \"{deadline}\"\nattempt_timeout = \"900ms\"\nretry.enabled = false\n"
        )
    };
    let config = folder.load(&text("10s"));
    let client = service_fn(|_: Request<Body>| async {
        sleep(ms(800)).await;
        answer(200)
    });
    let mut service = stack(&config, "a").layer(client);
    let call = tokio::spawn(service.ready().await.expect("ready").call(get()));
    advance(ms(10)).await;
    folder.change(&config, &text("1s"));
    assert!(call.await.expect("no panic").is_ok());
    assert_eq!(handles(&config, "a").settings().deadline.timeout(), SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_share_and_a_tier_reach_the_limits_of_classes() {
    let folder = Folder::new();
    let text =
        |share: f64| format!("[resilience.a]\nprovider = \"kraken\"\nutilization = {share}\n");
    let config = folder.load(&text(0.8));
    let before = handles(&config, "a").rate_limit.config();
    folder.change(&config, &text(0.4));
    let after = handles(&config, "a").rate_limit.config();
    assert_ne!(before, after);
    let fresh = Folder::new();
    let fresh = handles(&fresh.load(&text(0.4)), "a");
    assert_eq!(after, fresh.rate_limit.config());
    assert_eq!(handles(&config, "a").settings(), fresh.settings());
}

#[test]
fn a_client_of_models_is_changed_with_its_file() {
    let folder = Folder::new();
    let text = "[resilience.assistant]\nprovider = \"openai\"\n";
    let config = folder.load(text);
    let client = config.model_client("assistant").expect("it is there");
    let client = client.build().expect("valid");
    let handles = client.stack().handles();
    handles.stack.breaker.force_open();
    folder.change(&config, &format!("{text}bulkhead.max_concurrent = 3\n"));
    assert_eq!(handles.stack.bulkhead.config().max_concurrent(), 3);
    assert_eq!(handles.stack.breaker.state(), CircuitState::ForcedOpen);
    let first = handles.streams.config().first_content();
    assert_eq!(
        first, None,
        "the attempt timeout bounds it, which is changed"
    );
}

/// The limits of all models that are in use, and of those that come, are changed; what is spent stays.
#[tokio::test]
async fn limits_of_models_are_changed_with_their_file() {
    let api = AiApi::open_ai().unlimited().completion_tokens(400);
    let api = api.start().await.expect("a socket");
    let folder = Folder::new();
    let text = |more: &str| {
        format!(
            "[resilience.assistant]\nprovider = \"openai\"\n\
             rate_limit = {{ rate = \"600/min\", burst = 20, tokens = \"{more} }}\n"
        )
    };
    let config = folder.load(&text("50000/h\""));
    let client = config.model_client("assistant").expect("it is there");
    let client = client.base_url(api.base_url()).build().expect("valid");
    let handles = client.stack().handles();
    let ask = async |model: &str| {
        let ask = json!({"model": model, "max_tokens": 400,
            "messages": [{"role": "user", "content": "four".repeat(100)}]});
        let call = client.post("/v1/chat/completions").json(&ask).send();
        call.await
            .expect("a response")
            .text()
            .await
            .expect("a body");
    };
    let left = |model: &str| {
        let key = handles.key_of(model).expect("it has one");
        let limits = handles.stack.rate_limit.limits_of(key);
        limits.last().expect("of tokens").available
    };
    ask("m-large").await;
    ask("m-large").await;
    ask("m-small").await;
    assert_eq!((left("m-large"), left("m-small")), (49_000.0, 49_500.0));
    assert_eq!(left("m-new"), 50_000.0);

    assert_eq!(folder.change(&config, &text("20000/h\"")), ["assistant"]);
    assert_eq!((left("m-large"), left("m-small")), (19_000.0, 19_500.0));
    assert_eq!(left("m-new"), 20_000.0);
    let limits = handles.stack.settings().rate_limit.limits().to_vec();
    assert!(limits.iter().any(|limit| limit.count() == 20_000));
    assert_eq!(handles.stack.counts().rate_limit.granted, 3);

    // Switched off and on again.
    folder.change(&config, &text("20000/h\", enabled = false"));
    let state = || handles.stack.snapshot().rate_limit.state;
    assert_eq!(state(), seawall::ratelimit::RateLimitState::Bypassed);
    folder.change(&config, &text("20000/h\", shadow = true"));
    assert_eq!(state(), seawall::ratelimit::RateLimitState::Ok);
    assert!(handles.stack.snapshot().rate_limit.shadow);
    assert_eq!(left("m-large"), 19_000.0);
    // A limit more is one of another kind.
    let error = folder.wrong(&config, &text("20000/h\", input_tokens = \"9/h\""));
    assert_eq!(error.reason(), "new_stack");
    api.shutdown().await;
}
