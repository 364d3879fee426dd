//! Calls that are dropped, never polled, or polled no more.

use std::time::Duration;

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Waker};

use http::Response;
use seawall_ai::route::Router;
use seawall_core::Reason;
use tokio::time::sleep;
use tower::Service;

use crate::support::*;

/// Nothing is under way, and every call is in one of the counts.
fn assert_idle(router: &Routes, calls: u64) {
    let snapshot = router.handle().snapshot();
    for deployment in &snapshot.deployments {
        assert_eq!(deployment.in_flight, 0, "{deployment:?}");
        let counts = deployment.counts;
        let ended: u64 = counts.by_label().iter().map(|(_, count)| count).sum();
        assert_eq!(counts.picks, ended, "{counts:?}");
    }
    let counts = snapshot.counts;
    let ended = counts.success
        + counts.failure
        + counts.rejected_below
        + counts.abandoned
        + counts.rejected;
    assert_eq!(ended, calls, "{counts:?}");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_never_polled_chooses_nothing() {
    let desk = Desk::new();
    let mut router = desk.router();
    let future = router.call(request());
    let other = router.call(request());
    assert_eq!(answer(&router).await.len(), 5);
    assert_eq!(desk.calls().iter().sum::<usize>(), 1);
    drop((future, other));
    assert_idle(&router, 3);
    assert_eq!(router.handle().counts().abandoned, 2);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_dropped_at_any_moment_leaves_nothing_behind() {
    // 0: calling, 1: reading an error, 2: waiting, 3: in a trial
    for moment in 0..4 {
        let desk = Desk::new();
        let router = Router::builder("desk", desk.small())
            .describe(safe())
            .build()
            .unwrap();
        let mut calls = 1;
        match moment {
            0 => desk.other.takes(10 * SECOND),
            1 => {
                desk.other.next_after(10 * SECOND, status(429));
            }
            2 => {
                desk.other.next(retry_after(429, 20));
            }
            _ => {
                desk.other.next(status(529));
                let overloaded = router.clone();
                let handle = tokio::spawn(async move { call(&overloaded).await });
                sleep(SECOND).await;
                handle.abort();
                let _ = handle.await;
                sleep(6 * SECOND).await;
                desk.other.takes(10 * SECOND);
                calls += 1;
            }
        }
        let dropped = router.clone();
        let dropped = tokio::spawn(async move { call(&dropped).await });
        sleep(SECOND).await;
        assert!(!dropped.is_finished(), "{moment}");
        dropped.abort();
        let _ = dropped.await;
        assert_idle(&router, calls);
        assert_eq!(desk.other.in_flight(), 0, "{moment}");
        // The next call is served.
        desk.other.takes(Duration::ZERO);
        router.handle().reset();
        assert_eq!(answer(&router).await, "other", "{moment}");
        assert_idle(&router, calls + 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_polled_no_more_holds_nobody_up() {
    let desk = Desk::new();
    let mut router = desk.router();
    for upstream in [&desk.one, &desk.two, &desk.other] {
        upstream.takes(10 * SECOND);
    }
    let mut stalled = pin!(router.clone().call(request()));
    let cx = &mut Context::from_waker(Waker::noop());
    assert!(stalled.as_mut().poll(cx).is_pending());
    for _ in 0..4 {
        answer(&router).await;
    }
    let mut unpolled = Box::pin(router.call(request()));
    assert!(unpolled.as_mut().poll(cx).is_pending());
    drop(unpolled);
    assert_eq!(router.handle().counts().success, 4);
}

#[tokio::test(start_paused = true)]
async fn a_budget_gets_back_what_a_dropped_call_has_not_spent() {
    let desk = Desk::new();
    let budget = seawall_core::Budget::new(seawall_core::BudgetConfig::new(0.0, 0.0, 1).unwrap());
    let router = Router::builder("desk", desk.small())
        .describe(safe())
        .budget(seawall_core::BudgetHandle::filled(budget.clone()))
        .build()
        .unwrap();
    desk.other.next(retry_after(503, 20));
    let dropped = router.clone();
    let dropped = tokio::spawn(async move { call(&dropped).await });
    sleep(SECOND).await;
    assert_eq!(budget.balance(), 0.0, "paid for before the wait");
    dropped.abort();
    let _ = dropped.await;
    assert_eq!(budget.balance(), 1.0);
}

#[tokio::test(start_paused = true)]
async fn attempts_are_never_more_than_the_budget_pays_for() {
    let desk = Desk::new();
    let budget = seawall_core::Budget::new(seawall_core::BudgetConfig::new(0.0, 0.0, 7).unwrap());
    let router = desk
        .builder()
        .budget(seawall_core::BudgetHandle::filled(budget))
        .build()
        .unwrap();
    for upstream in [&desk.one, &desk.two, &desk.other] {
        for _ in 0..200 {
            upstream.next_after(SECOND / 100, status(500));
        }
    }
    let calls: Vec<_> = (0..50)
        .map(|_| {
            let router = router.clone();
            tokio::spawn(async move { call(&router).await })
        })
        .collect();
    for one in calls {
        match one.await.unwrap() {
            Ok(response) => assert_eq!(response.status(), 500),
            Err(error) => {
                let rejection = seawall_core::Rejectable::rejection(&error).unwrap();
                assert_eq!(rejection.reason(), Reason::NoRoute);
            }
        }
    }
    let sent = desk.calls().iter().sum::<usize>();
    assert!(sent <= 50 + 7, "{sent}");
    assert_idle(&router, 50);
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_a_deployment_is_that_of_one_call() {
    #[derive(Clone)]
    struct Panics;
    impl Service<http::Request<Body>> for Panics {
        type Response = Response<Body>;
        type Error = Failure;
        type Future = std::future::Ready<Reply>;
        fn poll_ready(&mut self, _: &mut Context<'_>) -> std::task::Poll<Result<(), Failure>> {
            std::task::Poll::Ready(Ok(()))
        }
        fn call(&mut self, request: http::Request<Body>) -> Self::Future {
            assert!(request.uri().path() != "/panic", "out of order");
            std::future::ready(Ok(Response::new(Body::default())))
        }
    }
    let key = seawall_ai::route::Deployment::<_, Body>::new("key-1", "alpha", Panics);
    let model = seawall_ai::route::Model::new("large").deployment(key);
    let router = Router::builder("desk", model)
        .describe(safe())
        .build()
        .unwrap();
    let mut panics = router.clone();
    let request = http::Request::get("/panic").body(Body::default()).unwrap();
    let panicked = tokio::spawn(async move { panics.call(request).await });
    assert!(panicked.await.unwrap_err().is_panic());
    let plain = http::Request::get("/").body(Body::default()).unwrap();
    assert!(router.clone().call(plain).await.is_ok());
    let snapshot = router.handle().snapshot();
    assert_eq!(snapshot.deployments[0].in_flight, 0);
    assert_eq!((snapshot.counts.success, snapshot.counts.abandoned), (1, 1));
}
