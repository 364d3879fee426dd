//! What follows each class of error.

use std::time::Duration;

use http::response::Parts;
use seawall_ai::ErrorClass;
use seawall_ai::route::{
    ClassifyResponse, Model, RouteOutcome, RouteRecorder, RouteState, Router, StatusClasses,
};
use seawall_core::{Budget, BudgetConfig, BudgetHandle, Error, Reason, Sent};
use seawall_http::deadline::RequestDeadline;
use tokio::time::Instant;
use tower::ServiceExt;

use crate::support::*;

fn by_body(head: &Parts, body: &[u8]) -> Option<ErrorClass> {
    let class = ErrorClass::ALL
        .into_iter()
        .find(|class| body == class.as_str().as_bytes());
    class.or_else(|| StatusClasses.class_of(head, body))
}

/// Routes of which both keys report errors by the word of their class.
fn by_class(desk: &Desk, window: [Option<u64>; 2]) -> Routes {
    let large = Model::new("large")
        .deployment(deployment(&desk.one, "alpha").classify(by_body))
        .deployment(deployment(&desk.two, "alpha").classify(by_body));
    let windows = |model: Model<_, _>, window: Option<u64>| match window {
        Some(window) => model.context_window(window),
        None => model,
    };
    Router::builder("desk", windows(large, window[0]))
        .fallback(windows(desk.small(), window[1]))
        .describe(safe())
        .build()
        .unwrap()
}

/// The deployments that answered after the first key that was chosen reported `class`: whether it was
/// the other key, the other model, or nothing but the error.
async fn after(class: ErrorClass) -> &'static str {
    let desk = Desk::new();
    let router = by_class(&desk, [None, None]);
    desk.one.next(text(400, class.as_str()));
    desk.two.next(text(400, class.as_str()));
    let reply = call(&router).await.unwrap();
    let status = reply.status();
    match (desk.one.calls() + desk.two.calls(), desk.other.calls()) {
        (1, 0) => {
            assert_eq!(status, 400);
            assert_eq!(body(reply).await, class.as_str());
            "the error"
        }
        (2, 1) => {
            assert_eq!(tried(&reply).len(), 3);
            assert_eq!(
                (status.as_u16(), body(reply).await.as_str()),
                (200, "other")
            );
            "the other key, and the other model"
        }
        (1, 1) => {
            assert_eq!(
                (status.as_u16(), body(reply).await.as_str()),
                (200, "other")
            );
            "the other model"
        }
        calls => panic!("{class:?}: {calls:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn each_class_goes_its_way() {
    for class in ErrorClass::ALL {
        let expected = match class {
            ErrorClass::Credential
            | ErrorClass::QuotaExhausted
            | ErrorClass::ModelUnavailable
            | ErrorClass::RateLimit
            | ErrorClass::Server => "the other key, and the other model",
            // A response of this class is a time-out.
            ErrorClass::Overload | ErrorClass::Network => "the other model",
            // The prompt is too long, refused or wrong.
            _ => "the error",
        };
        assert_eq!(after(class).await, expected, "{class:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_forbidden_prompt_is_neither_sent_to_every_key_nor_held_against_them() {
    use seawall_ai::ErrorTable;
    const FIREWALL: &str = "<html>Attention Required!</html>";
    const MODERATION: &str = r#"{"error":{"code":403,"message":"the model requires moderation. Your input was flagged"}}"#;
    for body in [FIREWALL, MODERATION] {
        for by_table in [true, false] {
            let desk = Desk::new();
            let key = |upstream: &Upstream| match by_table {
                true => deployment(upstream, "alpha").classify(ErrorTable::compatible()),
                false => deployment(upstream, "alpha"),
            };
            let large = Model::new("large")
                .deployment(key(&desk.one))
                .deployment(key(&desk.two));
            let router = Router::builder("desk", large)
                .fallback(desk.small())
                .describe(safe())
                .build()
                .unwrap();
            for key in [&desk.one, &desk.two] {
                key.next(text(403, body));
            }
            assert_eq!(call(&router).await.unwrap().status(), 403);
            assert_eq!(desk.calls().iter().sum::<usize>(), 1, "{body}");
            for deployment in router.handle().snapshot().deployments {
                assert_eq!(deployment.state, RouteState::Available, "{body}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_prompt_that_is_too_long_goes_to_a_model_that_reads_more() {
    for (windows, answered) in [
        ([Some(8), Some(16)], true),
        ([Some(16), Some(16)], false),
        ([Some(16), Some(8)], false),
        ([None, Some(16)], false),
        ([Some(8), None], false),
    ] {
        let desk = Desk::new();
        let router = by_class(&desk, windows);
        for key in [&desk.one, &desk.two] {
            key.next(text(400, "context_length"));
        }
        let reply = call(&router).await.unwrap();
        assert_eq!(reply.status() == 200, answered, "{windows:?}");
        let keys = desk.one.calls() + desk.two.calls();
        assert_eq!(keys, 1, "not again to a model that reads as little");
    }
}

#[tokio::test(start_paused = true)]
async fn a_rate_limited_key_is_passed_over_without_a_wait() {
    let desk = Desk::new();
    let (router, handle) = desk.first_key();
    desk.one.next(retry_after(429, 7));
    handle.resume("key-2");
    desk.two.takes(SECOND);
    let began = Instant::now();
    // Whichever key comes first.
    assert_eq!(call(&router).await.unwrap().status(), 200);
    assert!(since(began) <= SECOND);
    for _ in 0..10 {
        assert_eq!(
            answer(&router).await,
            if desk.one.calls() == 0 {
                "key-1"
            } else {
                "key-2"
            }
        );
        if desk.one.calls() == 1 {
            break;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_last_answer_of_a_provider_is_what_the_caller_gets() {
    let twice = || config(|c| c.max_attempts(2));
    let desk = Desk::new();
    let (router, handle) = desk.first_key();
    handle.configure(twice()).unwrap();
    desk.one.next(text(500, "out of order"));
    desk.other.next(text(502, "too much"));
    let reply = call(&router).await.unwrap();
    assert_eq!(tried(&reply), ["key-1", "other"]);
    assert_eq!(
        (reply.status().as_u16(), body(reply).await.as_str()),
        (502, "too much")
    );
    let counts = router.handle().counts();
    assert_eq!((counts.failure, counts.rerouted, counts.success), (1, 1, 0));

    // A rejection after it says less.
    let desk = Desk::new();
    let (router, _) = desk.first_key();
    for _ in 0..3 {
        desk.one.next(text(500, "out of order"));
    }
    desk.other.next(Err(rejection(Reason::CircuitOpen).into()));
    let reply = call(&router).await.unwrap();
    assert_eq!(
        (reply.status().as_u16(), body(reply).await.as_str()),
        (500, "out of order")
    );

    // An error after it is the last answer.
    let desk = Desk::new();
    let (router, handle) = desk.first_key();
    handle.configure(twice()).unwrap();
    desk.one.next(text(500, "out of order"));
    desk.other.next(reset());
    assert!(matches!(call(&router).await, Err(Error::Inner(_))));
}

#[tokio::test(start_paused = true)]
async fn what_may_have_been_executed_is_not_sent_twice() {
    let late = || {
        let late = rejection(Reason::AttemptTimeout).with_sent(Sent::Maybe);
        Err(late.into())
    };
    for (first, moves) in [
        (status(500), false),
        (status(503), false),
        (status(504), false),
        (reset(), false),
        (late(), false),
        (status(529), true),
        (status(429), true),
        (status(401), true),
        (Err(rejection(Reason::CircuitOpen).into()), true),
        (Err(rejection(Reason::RateLimited).into()), true),
    ] {
        let shown = format!("{first:?}");
        let desk = Desk::new();
        let router = desk.builder().describe(once()).build().unwrap();
        router.handle().block("key-2");
        desk.one.next(first);
        let reply = call(&router).await;
        let calls = usize::from(moves);
        assert_eq!(desk.calls(), [1, 0, calls], "{shown}");
        assert_eq!(
            reply.is_ok_and(|reply| reply.status() == 200),
            moves,
            "{shown}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_describer_a_post_is_not_sent_twice() {
    let desk = Desk::new();
    let router = Router::builder("desk", desk.small())
        .fallback(Model::new("large").deployment(deployment(&desk.one, "alpha")))
        .build()
        .unwrap();
    desk.other.next(status(500));
    let reply = router.clone().oneshot(request()).await.unwrap();
    assert_eq!((reply.status().as_u16(), desk.calls()), (500, [0, 0, 1]));
    let mut allowed = request();
    allowed.extensions_mut().insert(seawall_core::Replay::Safe);
    desk.other.next(status(500));
    let reply = router.oneshot(allowed).await.unwrap();
    assert_eq!((reply.status().as_u16(), desk.calls()), (200, [1, 0, 2]));
}

#[tokio::test(start_paused = true)]
async fn a_silent_provider_is_left_after_its_first_timeout() {
    let desk = Desk::new();
    let router = desk.router();
    for key in [&desk.one, &desk.two] {
        let late = rejection(Reason::AttemptTimeout).with_sent(Sent::Maybe);
        key.next_after(10 * SECOND, Err(late.into()));
    }
    let began = Instant::now();
    assert_eq!(answer(&router).await, "other");
    assert_eq!(since(began), 10 * SECOND);
    assert_eq!(desk.one.calls() + desk.two.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn attempts_are_bounded_by_count_budget_and_deadline() {
    let all_limited = |desk: &Desk| {
        for upstream in [&desk.one, &desk.two, &desk.other] {
            upstream.next(retry_after(429, 3_600));
        }
    };
    let desk = Desk::new();
    let router = desk
        .builder()
        .config(config(|c| c.max_attempts(2)))
        .build()
        .unwrap();
    all_limited(&desk);
    assert_eq!(call(&router).await.unwrap().status(), 429);
    assert_eq!(desk.calls().iter().sum::<usize>(), 2);

    let desk = Desk::new();
    let budget = Budget::new(BudgetConfig::new(0.5, 0.0, 1).unwrap());
    let router = desk
        .builder()
        .budget(BudgetHandle::filled(budget))
        .build()
        .unwrap();
    for upstream in [&desk.one, &desk.two, &desk.other] {
        upstream.next(status(500));
    }
    let reply = call(&router).await.unwrap();
    let mark = reply.extensions().get::<seawall_core::Rejection>().unwrap();
    assert_eq!(mark.reason(), Reason::BudgetExhausted);
    assert_eq!(desk.calls().iter().sum::<usize>(), 2);
    assert_eq!(router.handle().counts().budget_exhausted, 1);

    let desk = Desk::new();
    let router = desk.router();
    for upstream in [&desk.one, &desk.two, &desk.other] {
        upstream.next_after(2 * SECOND, status(500));
    }
    let mut hasty = request();
    hasty
        .extensions_mut()
        .insert(RequestDeadline(Instant::now() + SECOND));
    assert_eq!(router.oneshot(hasty).await.unwrap().status(), 500);
    assert_eq!(desk.calls().iter().sum::<usize>(), 1, "no time is left");
}

#[tokio::test(start_paused = true)]
async fn what_was_not_sent_costs_no_budget_and_no_attempt() {
    let desk = Desk::new();
    let budget = Budget::new(BudgetConfig::new(0.0, 0.0, 1).unwrap());
    let router = desk
        .builder()
        .budget(BudgetHandle::filled(budget.clone()))
        .config(config(|c| c.max_attempts(1)))
        .build()
        .unwrap();
    for key in [&desk.one, &desk.two] {
        key.next(Err(rejection(Reason::BulkheadFull).into()));
    }
    assert_eq!(answer(&router).await, "other");
    assert_eq!(budget.balance(), 1.0);
    let counts = router.handle().snapshot().deployments[0].counts;
    assert_eq!((counts.picks, counts.rejected_below), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn what_has_paid_for_an_attempt_that_was_not_sent_is_given_back() {
    let desk = Desk::new();
    let budget = Budget::new(BudgetConfig::new(0.0, 0.0, 1).unwrap());
    let router = desk
        .builder()
        .budget(BudgetHandle::filled(budget.clone()))
        .config(config(|c| c.max_wait(Duration::ZERO)))
        .build()
        .unwrap();
    router.handle().block("key-2");
    desk.one.next(status(500));
    desk.other.next(Err(rejection(Reason::BulkheadFull).into()));
    assert_eq!(call(&router).await.unwrap().status(), 500);
    assert_eq!((budget.balance(), budget.granted()), (1.0, 1));
    desk.one.next(status(500));
    assert_eq!(answer(&router).await, "other");
    assert_eq!(budget.balance(), 0.0, "this one was sent");
}

#[tokio::test(start_paused = true)]
async fn a_response_that_a_layer_below_has_classified_needs_no_body() {
    let desk = Desk::new();
    let (router, _) = desk.first_key();
    let mut failed = text(200, "data: {\"error\":\"overloaded\"}\n\n").unwrap();
    failed.extensions_mut().insert(ErrorClass::Overload);
    let type_ = "text/event-stream".parse().unwrap();
    failed.headers_mut().insert("content-type", type_);
    let again = failed.clone();
    desk.one.next(Ok(failed));
    let reply = call(&router).await.unwrap();
    assert_eq!(tried(&reply), ["key-1", "other"]);

    // With no other way, its body is the caller's.
    let router = Router::builder("desk", desk.small())
        .describe(safe())
        .build()
        .unwrap();
    desk.other.next(Ok(again));
    router
        .handle()
        .configure(config(|c| c.max_attempts(1)))
        .unwrap();
    assert!(
        body(call(&router).await.unwrap())
            .await
            .contains("overloaded")
    );
}

#[tokio::test(start_paused = true)]
async fn what_was_tried_is_recorded_also_for_errors() {
    let desk = Desk::new();
    let (router, handle) = desk.first_key();
    handle.configure(config(|c| c.max_attempts(2))).unwrap();
    desk.one.next_after(SECOND, status(500));
    desk.other.next(reset());
    let recorder = RouteRecorder::new();
    let mut watched = request();
    watched.extensions_mut().insert(recorder.clone());
    assert!(router.clone().oneshot(watched).await.is_err());
    let trace = recorder.trace();
    let [first, second] = trace.attempts() else {
        panic!("{trace:?}")
    };
    assert_eq!(
        (
            first.deployment.as_str(),
            first.model.as_str(),
            first.provider.as_str()
        ),
        ("key-1", "large", "alpha")
    );
    assert_eq!(first.outcome, RouteOutcome::Failed(ErrorClass::Server));
    assert_eq!(
        (first.began, first.took, second.began),
        (Duration::ZERO, SECOND, SECOND)
    );
    assert_eq!(second.outcome, RouteOutcome::Failed(ErrorClass::Network));

    // A response has it where there is something to show, or where that is asked for.
    assert!(tried(&call(&router).await.unwrap()).is_empty());
    router
        .handle()
        .configure(config(|c| c.always_trace(true)))
        .unwrap();
    assert_eq!(tried(&call(&router).await.unwrap()).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn each_deployment_gets_the_request_as_it_wants_it() {
    let desk = Desk::new();
    let model =
        Model::new("large").deployment(deployment(&desk.one, "alpha").model("large-east").prepare(
            |request| {
                request
                    .headers_mut()
                    .insert("api-key", "one".parse().unwrap());
            },
        ));
    let router = Router::builder("desk", model)
        .fallback(desk.small())
        .describe(safe())
        .build()
        .unwrap();
    desk.one.next(status(500));
    assert_eq!(answer(&router).await, "other");
    let sent = desk.one.last_request();
    assert_eq!(sent.headers()["api-key"], "one");
    let data = http_body_util::BodyExt::collect(sent.into_body())
        .await
        .unwrap()
        .to_bytes();
    assert_eq!(data, r#"{"model":"large-east"}"#);
    let sent = desk.other.last_request();
    assert!(
        !sent.headers().contains_key("api-key"),
        "a secret of another deployment"
    );
    assert_eq!(desk.one.calls(), 1);
    assert_eq!(
        router.handle().deployment("key-1").unwrap().state,
        RouteState::Available
    );
}

#[tokio::test(start_paused = true)]
async fn a_response_that_is_no_error_is_passed_on_unread() {
    use seawall_core::Outcome;
    let desk = Desk::new();
    let router = Router::builder("desk", desk.small())
        .describe(safe())
        .build()
        .unwrap();
    for (outcome, moves) in [
        (Outcome::Ignored, false),
        (Outcome::QuotaExhausted { renews_in: None }, true),
    ] {
        let mut found = text(200, "data: {}").unwrap();
        found.extensions_mut().insert(outcome);
        let type_ = "text/event-stream".parse().unwrap();
        found.headers_mut().insert("content-type", type_);
        desk.other.next(Ok(found));
        let reply = call(&router).await.unwrap();
        let counts = router.handle().deployment("other").unwrap().counts;
        assert_eq!(counts.quota_exhausted == 1, moves);
        // There is no other deployment: either way it is the caller's.
        assert_eq!(body(reply).await, "data: {}", "{outcome:?}");
    }
}
