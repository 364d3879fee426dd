//! Calls wait for the first deployment to come back, if there is time.

use std::time::Duration;

use seawall_ai::route::{Available, Model, Router};
use seawall_core::{Reason, RequestMeta};
use seawall_http::deadline::RequestDeadline;
use tokio::time::{Instant, timeout};
use tower::ServiceExt;

use crate::support::*;

fn all_limited(desk: &Desk, seconds: [u32; 3]) {
    let all = [&desk.one, &desk.two, &desk.other];
    for (upstream, seconds) in all.into_iter().zip(seconds) {
        upstream.next(retry_after(429, seconds));
    }
}

#[tokio::test(start_paused = true)]
async fn when_all_cool_down_the_first_to_come_back_is_waited_for() {
    let desk = Desk::new();
    let router = desk.router();
    all_limited(&desk, [20, 9, 12]);
    let began = Instant::now();
    assert_eq!(answer(&router).await, "key-2");
    let waited = since(began);
    assert!(waited >= 9 * SECOND && waited < 10 * SECOND, "{waited:?}");
    assert_eq!(desk.calls(), [1, 2, 1]);
    let counts = router.handle().counts();
    assert_eq!((counts.waits, counts.success, counts.rerouted), (1, 1, 3));
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_longer_than_the_deadline_or_the_settings_allow() {
    let desk = Desk::new();
    let router = desk.router();
    all_limited(&desk, [20, 9, 12]);
    let began = Instant::now();
    let mut hasty = request();
    hasty
        .extensions_mut()
        .insert(RequestDeadline(Instant::now() + 5 * SECOND));
    // The provider's own answer, with until when nothing is to be had.
    let reply = router.clone().oneshot(hasty.clone()).await.unwrap();
    assert_eq!(
        (reply.status().as_u16(), since(began)),
        (429, Duration::ZERO)
    );
    let mark = reply.extensions().get::<seawall_core::Rejection>().unwrap();
    assert_eq!(mark.reason(), Reason::NoRoute);
    let wait = mark.retry_after().unwrap();
    assert!(
        wait > 8 * SECOND && wait <= 9 * SECOND + SECOND / 100,
        "{wait:?}"
    );

    // Without an answer, the rejection that shows it.
    let rejection = rejected(router.clone().oneshot(hasty).await);
    assert_eq!(rejection.reason(), Reason::NoRoute);
    let shown = rejection.to_string();
    assert!(
        shown.starts_with(
            "router `desk`: no route is available (the rate limit is reached); retry in 9"
        ),
        "{shown}"
    );
    assert!(shown.ends_with("nothing was sent"), "{shown}");

    router
        .handle()
        .configure(config(|c| c.max_wait(2 * SECOND)))
        .unwrap();
    assert_eq!(rejected(call(&router).await).reason(), Reason::NoRoute);
    assert_eq!((since(began), desk.calls()), (Duration::ZERO, [1, 1, 1]));
    assert_eq!(router.handle().counts().rejected, 2);
}

#[tokio::test(start_paused = true)]
async fn waiters_go_on_when_an_operator_resumes() {
    let desk = Desk::new();
    let router = desk.router();
    let handle = router.handle();
    all_limited(&desk, [20, 20, 20]);
    for command in ["resume", "reset", "resume_all"] {
        let waiting = router.clone();
        let waiting = tokio::spawn(async move { answer(&waiting).await });
        tokio::time::sleep(SECOND).await;
        assert!(!waiting.is_finished(), "{command}");
        match command {
            "resume" => assert!(handle.resume("key-2")),
            "reset" => handle.reset(),
            _ => handle.resume_all(),
        }
        let answered = timeout(SECOND, waiting).await.unwrap().unwrap();
        assert!(answered.starts_with("key") || answered == "other");
        handle.reset();
        all_limited(&desk, [20, 20, 20]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_pause_rejects_those_that_wait() {
    let desk = Desk::new();
    let router = desk.router();
    all_limited(&desk, [20, 20, 20]);
    // Its answer is kept.
    let first = router.clone();
    let first = tokio::spawn(async move { call(&first).await });
    tokio::time::sleep(SECOND).await;
    let second = router.clone();
    let second = tokio::spawn(async move { call(&second).await });
    tokio::time::sleep(SECOND).await;
    let paused_at = Instant::now();
    router.handle().pause_all();
    assert_eq!(first.await.unwrap().unwrap().status(), 429);
    assert_eq!(rejected(second.await.unwrap()).reason(), Reason::Paused);
    assert_eq!(since(paused_at), Duration::ZERO, "at once");
    assert_eq!(rejected(call(&router).await).reason(), Reason::Paused);
    router.handle().resume_all();
    assert_eq!(call(&router).await.unwrap().status(), 200);
}

#[tokio::test(start_paused = true)]
async fn a_deployment_whose_limits_are_used_up_is_waited_for() {
    let desk = Desk::new();
    let begin = Instant::now();
    let model = Model::new("large").deployment(deployment(&desk.one, "alpha").headroom(
        move |_: &RequestMeta| match (3 * SECOND).checked_sub(since(begin)) {
            Some(wait) if !wait.is_zero() => Available::after(wait),
            _ => Available::FULL,
        },
    ));
    let router = Router::builder("desk", model)
        .describe(safe())
        .build()
        .unwrap();
    assert_eq!(answer(&router).await, "key-1");
    assert_eq!(since(begin), 3 * SECOND);

    let never = |_: &RequestMeta| Available::NEVER;
    let model = Model::new("large").deployment(deployment(&desk.one, "alpha").headroom(never));
    let router = Router::builder("desk", model)
        .describe(safe())
        .build()
        .unwrap();
    let rejection = rejected(call(&router).await);
    assert_eq!(
        (rejection.reason(), rejection.retry_after()),
        (Reason::NoRoute, None)
    );
}

#[tokio::test(start_paused = true)]
async fn a_rejection_below_that_names_a_time_is_waited_for() {
    let desk = Desk::new();
    let router = desk.router();
    let later = |seconds| {
        let rejection = rejection(Reason::RateLimited).with_retry_after(seconds * SECOND);
        Err(rejection.into())
    };
    desk.one.next(later(8));
    desk.two.next(later(4));
    desk.other.next(Err(rejection(Reason::BulkheadFull).into()));
    let began = Instant::now();
    assert_eq!(answer(&router).await, "key-2");
    assert_eq!(since(began), 4 * SECOND);
    assert_eq!(desk.calls(), [1, 2, 1]);

    // Too far away: the rejection that the caller can act on.
    let router = desk
        .builder()
        .config(config(|c| c.max_wait(SECOND)))
        .build()
        .unwrap();
    desk.one.next(later(8));
    desk.two.next(later(4));
    desk.other.next(Err(rejection(Reason::BulkheadFull).into()));
    let rejection = rejected(call(&router).await);
    assert_eq!(
        (rejection.reason(), rejection.retry_after()),
        (Reason::NoRoute, Some(4 * SECOND))
    );
}

#[tokio::test(start_paused = true)]
async fn an_overloaded_provider_without_an_alternative_is_waited_for() {
    let desk = Desk::new();
    let router = Router::builder("desk", desk.small())
        .describe(safe())
        .build()
        .unwrap();
    desk.other.next(retry_after(529, 3));
    let began = Instant::now();
    assert_eq!(answer(&router).await, "other");
    assert!(since(began) >= 3 * SECOND && since(began) < 4 * SECOND);

    // A time-out is not tried again on the same route.
    desk.other.next(status(504));
    assert_eq!(call(&router).await.unwrap().status(), 504);
    assert_eq!(desk.other.calls(), 3);
}
