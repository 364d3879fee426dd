//! Which deployment is chosen.

use std::sync::atomic::{AtomicU32, Ordering};

use std::time::Duration;

use seawall_ai::route::{Available, Headroom, Model, Router};
use seawall_core::{PartitionKey, RequestMeta};
use seawall_testkit::alloc;

use crate::support::*;

const MINUTE: Duration = Duration::from_secs(60);

async fn calls(router: &Routes, count: usize) {
    for _ in 0..count {
        answer(router).await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_model_comes_first_and_its_keys_share_the_calls() {
    let desk = Desk::new();
    let router = desk.router();
    calls(&router, 400).await;
    let [one, two, other] = desk.calls();
    assert_eq!((one + two, other), (400, 0));
    assert!(one > 120 && two > 120, "{one}, {two}");
}

static LEFT: [AtomicU32; 2] = [AtomicU32::new(0), AtomicU32::new(0)];

#[tokio::test(start_paused = true)]
async fn the_key_with_the_most_left_is_chosen() {
    fn left<const N: usize>(_: &RequestMeta) -> Available {
        Available::of_share(f64::from(LEFT[N].load(Ordering::Relaxed)) / 100.0)
    }
    let desk = Desk::new();
    let model = Model::new("large")
        .deployment(deployment(&desk.one, "alpha").headroom(left::<0>))
        .deployment(deployment(&desk.two, "alpha").headroom(left::<1>));
    let router = Router::builder("desk", model)
        .describe(safe())
        .build()
        .unwrap();
    let mut before = [0, 0];
    for (shares, expected) in [
        ([90, 40], Some(0)),
        ([10, 70], Some(1)),
        // Within an eighth of each other: by latency and by chance.
        ([62, 52], None),
        ([0, 1], Some(1)),
    ] {
        for (left, share) in LEFT.iter().zip(shares) {
            left.store(share, Ordering::Relaxed);
        }
        calls(&router, 60).await;
        let now = [desk.one.calls(), desk.two.calls()];
        let got = [now[0] - before[0], now[1] - before[1]];
        match expected {
            Some(index) => assert_eq!(got[index], 60, "{shares:?}"),
            None => assert!(got[0] > 10 && got[1] > 10, "{shares:?}: {got:?}"),
        }
        before = now;
    }
}

#[tokio::test(start_paused = true)]
async fn of_equal_keys_the_quicker_one_is_chosen() {
    let desk = Desk::new();
    let router = desk.router();
    desk.one.takes(4 * SECOND);
    desk.two.takes(SECOND);
    calls(&router, 40).await;
    // Each once to learn; with two of them, both are always drawn.
    assert_eq!(desk.calls(), [1, 39, 0]);
    let handle = router.handle();
    assert_eq!(
        handle.deployment("key-1").unwrap().latency,
        Some(4 * SECOND)
    );
    // Calls under way count, too: the quick one is not given everything.
    let all: Vec<_> = (0..10)
        .map(|_| {
            let router = router.clone();
            tokio::spawn(async move { answer(&router).await })
        })
        .collect();
    for one in all {
        one.await.unwrap();
    }
    assert!(desk.one.calls() >= 3, "{:?}", desk.calls());
}

#[tokio::test(start_paused = true)]
async fn a_weight_is_a_share() {
    let desk = Desk::new();
    let third = Upstream::new("key-3");
    let model = Model::new("large")
        .deployment(deployment(&desk.one, "alpha").weight(8))
        .deployment(deployment(&desk.two, "alpha"))
        .deployment(deployment(&third, "alpha"));
    let router = Router::builder("desk", model)
        .describe(safe())
        .build()
        .unwrap();
    calls(&router, 300).await;
    assert!(
        desk.one.calls() > desk.two.calls() + third.calls(),
        "{:?}",
        desk.calls()
    );
    assert!(desk.two.calls() > 5 && third.calls() > 5);
}

/// Half of the limits of `m-1` is left, and nothing of those of other models.
struct OneModel;

impl Headroom for OneModel {
    fn available(&self, meta: &RequestMeta) -> Available {
        match meta.key == PartitionKey::of("m-1") {
            true => Available::of_share(0.5),
            false => Available::after(MINUTE),
        }
    }

    fn key_of(&self, model: &str) -> Option<PartitionKey> {
        Some(PartitionKey::of(model))
    }
}

#[tokio::test(start_paused = true)]
async fn limits_of_each_model_are_asked_for_the_model_of_the_request() {
    let desk = Desk::new();
    let all = |_: &RequestMeta| Available::of_share(0.3);
    let by_request = deployment(&desk.one, "alpha")
        .headroom(OneModel)
        .read_model();
    let model = Model::new("large")
        .deployment(by_request)
        .deployment(deployment(&desk.two, "alpha").headroom(all));
    let router = Router::builder("desk", model).describe(safe());
    let router = router.build().unwrap();
    let ask = async |model: &str| {
        let body = Body::from(format!(r#"{{"model": "{model}"}}"#));
        let request = http::Request::new(body);
        tower::ServiceExt::oneshot(router.clone(), request)
            .await
            .unwrap();
    };
    for _ in 0..20 {
        ask("m-1").await;
    }
    assert_eq!([desk.one.calls(), desk.two.calls()], [20, 0]);
    for _ in 0..20 {
        ask("m-2").await;
    }
    assert_eq!([desk.one.calls(), desk.two.calls()], [20, 20]);

    // A deployment that names its model is asked for that.
    let desk = Desk::new();
    let named = deployment(&desk.one, "alpha")
        .model("m-1")
        .headroom(OneModel);
    let model = Model::new("large")
        .deployment(named)
        .deployment(deployment(&desk.two, "alpha").headroom(all));
    let router = Router::builder("desk", model).describe(safe());
    let router = router.build().unwrap();
    calls(&router, 20).await;
    assert_eq!([desk.one.calls(), desk.two.calls()], [20, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_succeeds_allocates_nothing_of_its_own() {
    #[derive(Clone)]
    struct Plain;
    impl tower::Service<http::Request<Body>> for Plain {
        type Response = http::Response<Body>;
        type Error = Failure;
        type Future = std::future::Ready<Reply>;
        fn poll_ready(
            &mut self,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Result<(), Failure>> {
            std::task::Poll::Ready(Ok(()))
        }
        fn call(&mut self, _: http::Request<Body>) -> Self::Future {
            std::future::ready(Ok(http::Response::new(Body::default())))
        }
    }
    let left = |_: &RequestMeta| Available::of_share(0.5);
    let key = |name: &str| {
        seawall_ai::route::Deployment::<_, Body>::new(name, "alpha", Plain).headroom(left)
    };
    let model = Model::new("large")
        .deployment(key("1"))
        .deployment(key("2").headroom(OneModel).read_model());
    let mut router = Router::builder("desk", model)
        .describe(safe())
        .build()
        .unwrap();
    let mut one = || {
        let request = http::Request::new(Body::from(r#"{"model": "m-1"}"#));
        let mut future = std::pin::pin!(tower::Service::call(&mut router, request));
        let cx = &mut std::task::Context::from_waker(std::task::Waker::noop());
        assert!(future.as_mut().poll(cx).is_ready());
    };
    one();
    assert_eq!(alloc::count(one).allocations, 0);
}
