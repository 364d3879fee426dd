//! How long what has failed is left alone, and how it comes back.

use std::sync::{Arc, Mutex};

use seawall_ai::route::{RouteState, Router};
use seawall_core::{EventKind, Events, InstanceHandle, Reason};
use tokio::time::{Instant, advance};

use crate::support::*;

fn state(router: &Routes, name: &str) -> RouteState {
    router.handle().deployment(name).unwrap().state
}

fn provider(router: &Routes, name: &str) -> RouteState {
    router.handle().snapshot().provider(name).unwrap().state
}

#[tokio::test(start_paused = true)]
async fn a_second_cool_down_never_shortens_the_first() {
    let desk = Desk::new();
    let (router, handle) = desk.first_key();
    // Two calls at once: the second response asks for less.
    desk.one.next_after(SECOND, retry_after(429, 60));
    desk.one.next_after(2 * SECOND, retry_after(429, 1));
    let (first, second) = tokio::join!(call(&router), call(&router));
    assert_eq!(
        (first.unwrap().status(), second.unwrap().status()),
        (200.try_into().unwrap(), 200.try_into().unwrap())
    );
    let left = handle.deployment("key-1").unwrap().cools_for.unwrap();
    assert!(left > 58 * SECOND && left <= 60 * SECOND, "{left:?}");
    assert_eq!(
        handle.deployment("key-1").unwrap().reason,
        Some("rate_limit")
    );
    advance(58 * SECOND).await;
    assert_eq!(answer(&router).await, "other");
    advance(2 * SECOND).await;
    assert_eq!(answer(&router).await, "key-1");
}

#[tokio::test(start_paused = true)]
async fn waits_that_a_provider_asks_for_are_bounded() {
    for (code, asked, least, most) in [
        (429, 4_000_000_000, 86_399, 86_400),
        (503, 4_000_000_000, 59, 60),
        (429, 0, 4, 5),
        (402, 1, 599, 600),
    ] {
        let desk = Desk::new();
        let (router, handle) = desk.first_key();
        desk.one.next(retry_after(code, asked));
        assert_eq!(answer(&router).await, "other");
        let snapshot = handle.snapshot();
        let own = snapshot.deployment("key-1").unwrap().cools_for;
        let left = own
            .or(snapshot.provider("alpha").unwrap().cools_for)
            .unwrap();
        assert!(
            left > least * SECOND && left <= most * SECOND,
            "{code}: {left:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn an_overloaded_provider_is_not_asked_key_by_key() {
    let desk = Desk::new();
    let router = desk.router();
    for key in [&desk.one, &desk.two] {
        key.next(status(529)).next(status(529));
    }
    for _ in 0..10 {
        assert_eq!(answer(&router).await, "other");
    }
    assert_eq!(desk.one.calls() + desk.two.calls(), 1);
    assert_eq!(provider(&router, "alpha"), RouteState::Cooling);
    assert_eq!(
        state(&router, "key-1"),
        RouteState::Available,
        "the key is not to blame"
    );
}

#[tokio::test(start_paused = true)]
async fn single_failures_send_nobody_else_elsewhere() {
    let desk = Desk::new();
    let (router, _) = desk.first_key();
    for failures in 1..=3 {
        desk.one.next(status(500));
        assert_eq!(answer(&router).await, "other");
        let expected = if failures < 3 {
            RouteState::Available
        } else {
            RouteState::Cooling
        };
        assert_eq!(provider(&router, "alpha"), expected, "{failures}");
    }
    // A success between them begins the count again.
    router.handle().reset();
    router.handle().block("key-2");
    for reply in [500, 500, 200, 500, 500, 400, 500, 500] {
        desk.one.next(status(reply));
        let _ = call(&router).await;
    }
    assert_eq!(provider(&router, "alpha"), RouteState::Available);
}

#[tokio::test(start_paused = true)]
async fn one_call_tries_a_provider_that_was_overloaded() {
    let desk = Desk::new();
    let router = desk.router();
    let overloaded = || status(529);
    desk.one.next(overloaded());
    desk.two.next(overloaded());
    assert_eq!(answer(&router).await, "other");
    // Its script of the other key is for the trial.
    advance(6 * SECOND).await;
    assert_eq!(provider(&router, "alpha"), RouteState::Recovering);
    for key in [&desk.one, &desk.two] {
        key.takes(SECOND);
    }
    let before = desk.one.calls() + desk.two.calls();
    let calls = (0..50).map(|_| {
        let router = router.clone();
        tokio::spawn(async move { answer(&router).await })
    });
    let calls: Vec<_> = calls.collect();
    tokio::task::yield_now().await;
    tokio::time::sleep(SECOND / 2).await;
    assert_eq!(desk.one.calls() + desk.two.calls() - before, 1);
    for call in calls {
        call.await.unwrap();
    }
    assert!(desk.one.peak() <= 1 && desk.two.peak() <= 1);
}

#[tokio::test(start_paused = true)]
async fn after_a_trial_that_succeeds_all_pass_and_after_one_that_fails_none() {
    let desk = Desk::new();
    let (router, handle) = desk.first_key();
    desk.one.next(status(529)).next(status(500));
    assert_eq!(answer(&router).await, "other");
    advance(6 * SECOND).await;
    // A failed trial is enough, whatever kind of failure it is.
    assert_eq!(answer(&router).await, "other");
    assert_eq!(provider(&router, "alpha"), RouteState::Cooling);
    advance(6 * SECOND).await;
    assert_eq!(answer(&router).await, "key-1");
    assert_eq!(provider(&router, "alpha"), RouteState::Available);
    assert_eq!(handle.deployment("key-1").unwrap().counts.picks, 3);
}

#[tokio::test(start_paused = true)]
async fn a_trial_shows_that_a_provider_is_alive_by_any_answer() {
    let desk = Desk::new();
    let (router, _) = desk.first_key();
    desk.one.next(status(529)).next(status(400));
    assert_eq!(answer(&router).await, "other");
    advance(6 * SECOND).await;
    assert_eq!(call(&router).await.unwrap().status(), 400);
    assert_eq!(provider(&router, "alpha"), RouteState::Available);
}

#[tokio::test(start_paused = true)]
async fn a_key_that_was_rejected_is_tried_by_one_call_until_that_shows_something() {
    let desk = Desk::new();
    let (router, _) = desk.first_key();
    desk.one.next(status(401));
    assert_eq!(answer(&router).await, "other");
    advance(599 * SECOND).await;
    assert_eq!(state(&router, "key-1"), RouteState::Cooling);
    advance(2 * SECOND).await;
    assert_eq!(state(&router, "key-1"), RouteState::Recovering);
    // A failure of the provider shows nothing of the key, a rejected key all.
    for (reply, expected) in [
        (status(500), RouteState::Recovering),
        (
            Err(rejection(Reason::BulkheadFull).into()),
            RouteState::Recovering,
        ),
        (status(401), RouteState::Cooling),
    ] {
        desk.one.next(reply);
        assert_eq!(answer(&router).await, "other");
        assert_eq!(state(&router, "key-1"), expected);
    }
    advance(601 * SECOND).await;
    // One call at a time.
    desk.one.takes(SECOND);
    let (one, two) = tokio::join!(answer(&router), answer(&router));
    assert_eq!([one.as_str(), two.as_str()], ["key-1", "other"]);
    assert_eq!(state(&router, "key-1"), RouteState::Available);
}

#[tokio::test(start_paused = true)]
async fn a_trial_that_is_dropped_or_not_polled_is_made_by_another_call() {
    let desk = Desk::new();
    let (router, _) = desk.first_key();
    router.handle().block("other");
    desk.one.next(status(529));
    assert_eq!(call(&router).await.unwrap().status(), 200, "after a wait");
    desk.one.next(status(529));
    let desk_two = router.clone();
    let overloaded = tokio::spawn(async move { call(&desk_two).await.unwrap().status() });
    tokio::time::sleep(6 * SECOND).await;
    assert_eq!(overloaded.await.unwrap(), 200);

    // Overloaded again; the trial hangs.
    desk.one
        .next(status(529))
        .next_after(3_600 * SECOND, status(200));
    let hung = router.clone();
    let hung = tokio::spawn(async move { call(&hung).await });
    tokio::time::sleep(6 * SECOND).await;
    assert_eq!(desk.one.in_flight(), 1);
    let began = Instant::now();
    let patient = router.clone();
    let patient = tokio::spawn(async move { answer(&patient).await });
    tokio::time::sleep(SECOND).await;
    hung.abort();
    assert_eq!(patient.await.unwrap(), "key-1");
    assert!(since(began) < 2 * SECOND, "{:?}", since(began));
}

#[tokio::test(start_paused = true)]
async fn a_trial_that_takes_too_long_is_not_waited_for() {
    let desk = Desk::new();
    let router = Router::builder("desk", desk.small())
        .describe(safe())
        .config(config(|c| c.trial_timeout(10 * SECOND)))
        .build()
        .unwrap();
    desk.other
        .next(status(529))
        .next_after(3_600 * SECOND, status(200));
    let hung = router.clone();
    let hung = tokio::spawn(async move { call(&hung).await });
    tokio::time::sleep(6 * SECOND).await;
    assert_eq!(desk.other.in_flight(), 1);
    let began = Instant::now();
    assert_eq!(answer(&router).await, "other");
    let waited = since(began);
    assert!(waited > 8 * SECOND && waited < 11 * SECOND, "{waited:?}");
    hung.abort();
}

#[tokio::test(start_paused = true)]
async fn a_late_failure_does_not_cool_what_has_recovered() {
    let desk = Desk::new();
    let (router, handle) = desk.first_key();
    desk.one.next_after(30 * SECOND, status(529));
    desk.one.next(status(529));
    let slow = router.clone();
    let slow = tokio::spawn(async move { call(&slow).await });
    tokio::time::sleep(SECOND).await;
    assert_eq!(answer(&router).await, "other");
    tokio::time::sleep(6 * SECOND).await;
    assert_eq!(answer(&router).await, "key-1");
    slow.await.unwrap().unwrap();
    assert_eq!(
        handle.snapshot().provider("alpha").unwrap().state,
        RouteState::Available
    );
}

#[tokio::test(start_paused = true)]
async fn cool_downs_are_events() {
    let desk = Desk::new();
    let (router, handle) = desk.first_key();
    let (events, heard) = (Events::default(), Arc::new(Mutex::new(Vec::new())));
    handle.attach(&events);
    let all = Arc::clone(&heard);
    let listener = move |event: &seawall_core::Event| {
        if let EventKind::Transition { from, to, reason } = event.kind {
            let shown = format!("{} {} {from} {to} {reason}", event.pattern, event.name);
            all.lock().unwrap().push(shown);
        }
    };
    events.listen(listener).detach();
    handle.configure(config(|c| c.max_wait(SECOND))).unwrap();
    desk.one.next(retry_after(429, 5));
    desk.other.next(retry_after(503, 30));
    assert_eq!(call(&router).await.unwrap().status(), 503);
    let rejection = rejected(call(&router).await);
    assert_eq!(rejection.reason(), Reason::NoRoute);
    advance(5 * SECOND).await;
    assert_eq!(answer(&router).await, "key-1");
    advance(30 * SECOND).await;
    handle.block("key-1");
    assert_eq!(answer(&router).await, "other");
    assert_eq!(
        *heard.lock().unwrap(),
        [
            "deployment key-1 available cooling rate_limit",
            "provider beta available cooling overload",
            "router desk ok exhausted no_route",
            "deployment key-1 cooling available cool_down_over",
            "router desk exhausted ok recovered",
            "provider beta cooling available trial_succeeded",
        ]
    );
}
