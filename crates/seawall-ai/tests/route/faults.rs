//! Failures of a provider: another key, a moment later the same one, and what is left of a call.

use std::time::Duration;

use http::Response;
use seawall_ai::ErrorTable;
use seawall_ai::route::{Model, RouteState, Router};
use seawall_core::{Budget, BudgetConfig, BudgetHandle, Figure, Outcome, Reason, Rejection, Sent};
use seawall_http::deadline::RequestDeadline;
use tokio::time::Instant;
use tower::ServiceExt;

use crate::support::*;

/// One key of one provider, and nothing else.
fn alone(upstream: &Upstream) -> Routes {
    let model = Model::new("large").deployment(deployment(upstream, "alpha"));
    Router::builder("desk", model)
        .describe(safe())
        .build()
        .unwrap()
}

fn mark(response: &Response<Body>) -> Rejection {
    *response.extensions().get().expect("a mark")
}

#[tokio::test(start_paused = true)]
async fn after_a_fault_another_key_of_the_provider_is_asked_at_once() {
    for fault in [|| status(500), || status(502), reset] {
        let desk = Desk::new();
        let router = desk.router();
        // Whichever comes first has the fault; the other key has none.
        desk.one.next(fault());
        desk.two.next(fault());
        let began = Instant::now();
        assert_eq!(answer(&router).await, "other");
        assert_eq!(desk.calls(), [1, 1, 1]);
        assert_eq!(since(began), Duration::ZERO);
    }
}

#[tokio::test(start_paused = true)]
async fn a_sole_key_is_asked_again_after_a_moment() {
    for fault in [|| status(500), || status(502), reset] {
        let one = Upstream::new("key-1");
        one.next(fault()).next(fault());
        let router = alone(&one);
        let began = Instant::now();
        assert_eq!(answer(&router).await, "key-1");
        assert_eq!(one.calls(), 3);
        assert!(since(began) <= SECOND * 3 / 2, "{:?}", since(began));
    }
    // Three faults are enough, and one that must not be retried is.
    let one = Upstream::new("key-1");
    for _ in 0..4 {
        one.next(status(500));
    }
    let reply = call(&alone(&one)).await.unwrap();
    assert_eq!((reply.status().as_u16(), one.calls()), (500, 3));
    let why = Figure::Because("the provider failed".into());
    assert_eq!(mark(&reply).reason(), Reason::NoRoute);
    assert_eq!(mark(&reply).figure(), Some(why));

    let one = Upstream::new("key-1");
    let mut never = status(500).unwrap();
    let no = "false".parse().unwrap();
    never.headers_mut().insert("x-should-retry", no);
    one.next(Ok(never));
    assert_eq!(call(&alone(&one)).await.unwrap().status(), 500);
    assert_eq!(one.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_time_that_a_fault_asks_for_is_waited() {
    let one = Upstream::new("key-1");
    one.next(retry_after(500, 4));
    let router = alone(&one);
    let began = Instant::now();
    assert_eq!(answer(&router).await, "key-1");
    assert_eq!(since(began), 4 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_silent_or_overloaded_provider_is_not_asked_again() {
    for reply in [status(504), status(408)] {
        let desk = Desk::new();
        let router = desk.router();
        for key in [&desk.one, &desk.two] {
            key.next(reply_like(&reply));
        }
        assert_eq!(answer(&router).await, "other");
        assert_eq!(desk.one.calls() + desk.two.calls(), 1);
    }
}

fn reply_like(reply: &Reply) -> Reply {
    status(reply.as_ref().unwrap().status().as_u16())
}

#[tokio::test(start_paused = true)]
async fn two_regions_are_two_providers() {
    let desk = Desk::new();
    let model = Model::new("large")
        .deployment(deployment(&desk.one, "azure").provider("azure-east"))
        .deployment(deployment(&desk.two, "azure").provider("azure-west"));
    let router = Router::builder("desk", model)
        .describe(safe())
        .build()
        .unwrap();
    for key in [&desk.one, &desk.two] {
        key.next(retry_after(529, 20));
    }
    let _ = call(&router).await.unwrap();
    assert!(desk.one.calls() > 0 && desk.two.calls() > 0);
    assert!(router.handle().snapshot().provider("azure-east").is_some());
    assert!(router.handle().snapshot().provider("azure").is_none());
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_was_turned_away_costs_no_budget() {
    for (reply, costs) in [
        (status(401), false),
        (retry_after(429, 60), false),
        (status(529), false),
        (status(500), true),
        (status(503), true),
        (reset(), true),
    ] {
        let desk = Desk::new();
        let budget = Budget::new(BudgetConfig::new(0.0, 0.0, 1).unwrap());
        let router = desk
            .builder()
            .budget(BudgetHandle::filled(budget.clone()))
            .build()
            .unwrap();
        router.handle().block("key-2");
        let shown = format!("{reply:?}");
        desk.one.next(reply);
        assert_eq!(answer(&router).await, "other");
        assert_eq!(budget.granted(), u64::from(costs), "{shown}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_burst_over_a_wrong_key_reaches_the_other_one() {
    let desk = Desk::new();
    let router = desk.router();
    router.handle().block("other");
    for _ in 0..300 {
        desk.one.next_after(SECOND, status(401));
    }
    desk.two.takes(SECOND);
    let calls: Vec<_> = (0..300)
        .map(|_| {
            let router = router.clone();
            tokio::spawn(async move { answer(&router).await })
        })
        .collect();
    for call in calls {
        assert_eq!(call.await.unwrap(), "key-2");
    }
    assert_eq!(router.handle().counts().budget_exhausted, 0);
}

#[tokio::test(start_paused = true)]
async fn an_error_in_a_success_is_one() {
    let hidden = |outcome: Outcome| {
        let mut response = text(200, r#"{"error":{"message":"hidden"}}"#).unwrap();
        response.extensions_mut().insert(outcome);
        Ok(response)
    };
    let table = |upstream: &Upstream, provider| {
        deployment(upstream, provider).classify(ErrorTable::openai())
    };
    for (outcome, cools) in [
        (Outcome::QuotaExhausted { renews_in: None }, true),
        (
            Outcome::Throttled {
                retry_after: Some(7 * SECOND),
                scope: seawall_core::Scope::Account,
            },
            true,
        ),
        (
            Outcome::Failure(seawall_core::FailureKind::Overloaded),
            false,
        ),
        (Outcome::Failure(seawall_core::FailureKind::Server), false),
    ] {
        let desk = Desk::new();
        let model = Model::new("large").deployment(table(&desk.one, "alpha"));
        let router = Router::builder("desk", model)
            .fallback(desk.small())
            .describe(safe())
            .build()
            .unwrap();
        desk.one.next(hidden(outcome));
        assert_eq!(answer(&router).await, "other", "{outcome:?}");
        let one = router.handle().deployment("key-1").unwrap();
        assert_eq!(one.state == RouteState::Cooling, cools, "{outcome:?}");
        assert_eq!(one.counts.success, 0);
        if let Some(asked) = outcome.retry_after() {
            assert!(one.cools_for.unwrap() > asked - SECOND);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_stood_in_the_way_of_another_attempt_is_marked() {
    // Attempts used up.
    let desk = Desk::new();
    let (router, handle) = desk.first_key();
    handle.configure(config(|c| c.max_attempts(1))).unwrap();
    desk.one.next(status(500));
    let reply = call(&router).await.unwrap();
    assert_eq!(mark(&reply).reason(), Reason::NoRoute);
    assert_eq!(mark(&reply).figure(), Some(Figure::Attempts(1)));
    assert_eq!(mark(&reply).sent(), Sent::Maybe);

    // Not safe to send twice.
    let desk = Desk::new();
    let router = desk.builder().describe(once()).build().unwrap();
    router.handle().block("key-2");
    desk.one.next(status(500));
    let reply = call(&router).await.unwrap();
    assert_eq!(mark(&reply).reason(), Reason::OutcomeUnknown);

    // Nothing left.
    let one = Upstream::new("key-1");
    one.next(status(504));
    let reply = call(&alone(&one)).await.unwrap();
    let why = Figure::Because("the connection failed or timed out".into());
    assert_eq!(mark(&reply).reason(), Reason::NoRoute);
    assert_eq!(mark(&reply).figure(), Some(why));

    // No time left.
    let one = Upstream::new("key-1");
    one.next_after(2 * SECOND, status(500));
    let mut hasty = request();
    let deadline = RequestDeadline(Instant::now() + SECOND);
    hasty.extensions_mut().insert(deadline);
    let reply = alone(&one).oneshot(hasty).await.unwrap();
    assert_eq!(mark(&reply).reason(), Reason::DeadlineExceeded);

    // Nothing stood in the way of what is the caller's.
    let one = Upstream::new("key-1");
    one.next(status(400));
    let reply = call(&alone(&one)).await.unwrap();
    assert!(reply.extensions().get::<Rejection>().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_call_without_a_route_shows_why() {
    let shown = |reply: Reply| rejected(reply).to_string();
    let desk = Desk::new();
    let router = desk.router();
    let handle = router.handle();
    handle
        .configure(config(|c| c.max_wait(2 * SECOND)))
        .unwrap();
    for name in ["key-1", "key-2", "other"] {
        handle.block(name);
    }
    assert_eq!(
        shown(call(&router).await),
        "router `desk`: no route is available (blocked by an operator); nothing was sent"
    );
    handle.resume_all();
    desk.one.next(status(401));
    desk.two.next(status(402));
    desk.other.next(retry_after(529, 30));
    assert_eq!(call(&router).await.unwrap().status(), 529);
    assert_eq!(
        shown(call(&router).await),
        "router `desk`: no route is available (the provider is overloaded); retry in 30 s; \
         nothing was sent"
    );
    handle.resume_all();
    let later = || {
        let rejection = rejection(Reason::RateLimited).with_retry_after(8 * SECOND);
        Err(rejection.into())
    };
    for upstream in [&desk.one, &desk.two, &desk.other] {
        upstream.next(later());
    }
    assert_eq!(
        shown(call(&router).await),
        "router `desk`: no route is available (the rate is used up); retry in 8 s; \
         nothing was sent"
    );
}
