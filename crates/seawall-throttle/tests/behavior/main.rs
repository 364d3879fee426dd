//! What a user of the adaptive throttle sees.

use std::cell::Cell;
use std::future::{Future, Ready, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use proptest::prelude::*;
use seawall_core::{
    Command, ConstMeta, Error, EventKind, FailureKind, InstanceHandle, Outcome, Policy, Priority,
    Reason, Received, Registry, Rejection, Replay, RequestMeta, Scope, Sent, Value,
};
use seawall_testkit::alloc;
use seawall_testkit::contract::{BoxError, MockError, PolledFuture, Stage, fail_calls, mock};
use seawall_throttle::{
    AdaptiveThrottle, AdaptiveThrottleConfig, AdaptiveThrottleConfigBuilder,
    AdaptiveThrottleHandle, AdaptiveThrottleLayer, AdaptiveThrottleState, PriorityClass,
    ResponseFuture,
};
use static_assertions::{assert_impl_all, assert_not_impl_any};
use tokio::time::advance;
use tower_layer::Layer;
use tower_service::Service;

const SECOND: Duration = Duration::from_secs(1);
const WINDOW: Duration = Duration::from_secs(120);

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// The same draws in every run.
fn builder() -> AdaptiveThrottleConfigBuilder {
    AdaptiveThrottleConfig::builder().seed(7)
}

fn layer_of(builder: AdaptiveThrottleConfigBuilder) -> AdaptiveThrottleLayer {
    AdaptiveThrottleLayer::new("desk", builder.build().expect("valid settings"))
}

/// Polls ready, which must succeed at once, and calls.
fn call<S: Service<Req>, Req>(service: &mut S, request: Req) -> PolledFuture<S::Future> {
    let cx = &mut Context::from_waker(Waker::noop());
    assert!(matches!(service.poll_ready(cx), Poll::Ready(Ok(()))));
    PolledFuture::new(service.call(request))
}

/// Responds as the request says, and counts the requests.
#[derive(Clone, Default)]
struct Scripted {
    requests: Arc<Mutex<u32>>,
}

impl Scripted {
    fn requests(&self) -> u32 {
        *self.requests.lock().expect("no panic under it")
    }
}

#[derive(Clone, Copy, Debug)]
struct Request {
    result: Result<(), Error<Outcome>>,
    priority: Priority,
}

impl Service<Request> for Scripted {
    type Response = ();
    type Error = Error<Outcome>;
    type Future = Ready<Result<(), Error<Outcome>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        *self.requests.lock().expect("no panic under it") += 1;
        ready(request.result)
    }
}

fn by_content(result: Result<&(), &Error<Outcome>>) -> Outcome {
    match result {
        Ok(()) => Outcome::Success,
        Err(error) => *error.inner().expect("a rejection is never classified"),
    }
}

type ByContent = fn(Result<&(), &Error<Outcome>>) -> Outcome;
type ByRequest = fn(&Request) -> RequestMeta;
type ScriptedThrottle = AdaptiveThrottle<Scripted, Policy<ByContent, ByRequest>>;

fn scripted(
    builder: AdaptiveThrottleConfigBuilder,
) -> (ScriptedThrottle, AdaptiveThrottleHandle, Scripted) {
    let layer = layer_of(builder)
        .classify(by_content as ByContent)
        .describe(
            (|request| RequestMeta::new(Replay::Safe).with_priority(request.priority)) as ByRequest,
        );
    let inner = Scripted::default();
    (layer.layer(inner.clone()), layer.handle(), inner)
}

const BUSY: Outcome = Outcome::Throttled {
    retry_after: None,
    scope: Scope::Upstream,
};

fn request(result: Result<(), Outcome>, priority: Priority) -> Request {
    Request {
        result: result.map_err(Error::Inner),
        priority,
    }
}

/// Sends one request, and returns whether the throttle let it pass.
fn send(service: &mut ScriptedThrottle, request: Request) -> bool {
    let Poll::Ready(result) = call(service, request).poll() else {
        panic!("the result is there at once")
    };
    !matches!(result, Err(Error::Rejected(r)) if r.reason() == Reason::ClientThrottled)
}

/// Sends `count` requests with the same result, and returns how many passed.
fn send_many(
    service: &mut ScriptedThrottle,
    count: u32,
    result: Result<(), Outcome>,
    p: Priority,
) -> u32 {
    let passed = (0..count).filter(|_| send(service, request(result, p)));
    u32::try_from(passed.count()).expect("at most `count`")
}

mod control;
mod ends;
mod formula;
mod overload;
mod priorities;
mod shape;

fn arb_result() -> impl Strategy<Value = Result<(), Outcome>> {
    prop_oneof![
        Just(Ok(())),
        Just(Err(BUSY)),
        Just(Err(Outcome::Ignored)),
        Just(Err(Outcome::Unknown)),
        Just(Err(Outcome::Banned { lasts: None })),
        Just(Err(Outcome::Failure(FailureKind::Server))),
        Just(Err(Outcome::Failure(FailureKind::Overloaded))),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 64,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_probability_is_a_share_within_bounds_and_every_call_is_counted(
        multiplier in 1.0..5.0_f64,
        max in 0.0001..=1.0_f64,
        min in 1_u32..30,
        steps in proptest::collection::vec((arb_result(), any::<u8>(), 0_u64..20_000), 1..300),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            let (mut service, handle, inner) =
                scripted(builder().accept_multiplier(multiplier).max_rejection(max).min_requests(min));
            for (n, (result, priority, gap)) in steps.iter().enumerate() {
                send(&mut service, request(*result, Priority(*priority)));
                advance(ms(*gap)).await;
                for class in handle.snapshot().classes {
                    let p = class.rejection_probability;
                    prop_assert!((0.0..=max).contains(&p), "{}", p);
                    prop_assert!(class.accepts <= class.requests);
                    prop_assert!(class.requests >= u64::from(min) || p == 0.0);
                }
                let counts = handle.counts();
                let passed = counts.accepted + counts.not_accepted;
                prop_assert_eq!(passed + counts.rejected, n as u64 + 1);
                prop_assert_eq!(passed, u64::from(inner.requests()));
            }
            Ok(())
        })?;
    }
}
