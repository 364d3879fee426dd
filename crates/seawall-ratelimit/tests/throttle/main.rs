//! What the adaptive throttle promises: the laws of every layer, and its own.

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
    Command, ConstMeta, Error, EventKind, FailureKind, InstanceHandle, Outcome, Priority, Reason,
    Received, Registry, Rejectable, Rejection, Replay, RequestMeta, Scope, Sent, Value,
};
use seawall_ratelimit::{
    AdaptiveThrottle, AdaptiveThrottleConfig, AdaptiveThrottleConfigBuilder,
    AdaptiveThrottleFuture, AdaptiveThrottleHandle, AdaptiveThrottleLayer, PriorityClass,
};
use seawall_testkit::alloc;
use seawall_testkit::contract::{
    BoxError, Mock, MockError, MockHandle, Probe, Stage, assert_check, checks, fail_calls, mock,
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
fn call<S: Service<Req>, Req>(service: &mut S, request: Req) -> Probe<S::Future> {
    let cx = &mut Context::from_waker(Waker::noop());
    assert!(matches!(service.poll_ready(cx), Poll::Ready(Ok(()))));
    Probe::new(service.call(request))
}

/// Does what the request says, and counts how many came.
#[derive(Clone, Default)]
struct Obeys {
    came: Arc<Mutex<u32>>,
}

impl Obeys {
    fn came(&self) -> u32 {
        *self.came.lock().expect("no panic under it")
    }
}

#[derive(Clone, Copy, Debug)]
struct Ask {
    answer: Result<(), Error<Outcome>>,
    priority: Priority,
}

impl Service<Ask> for Obeys {
    type Response = ();
    type Error = Error<Outcome>;
    type Future = Ready<Result<(), Error<Outcome>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, ask: Ask) -> Self::Future {
        *self.came.lock().expect("no panic under it") += 1;
        ready(ask.answer)
    }
}

fn by_word(answer: Result<&(), &Error<Outcome>>) -> Outcome {
    match answer {
        Ok(()) => Outcome::Success,
        Err(error) => *error.inner().expect("never asked about a rejection"),
    }
}

type ByWord = fn(Result<&(), &Error<Outcome>>) -> Outcome;
type ByAsk = fn(&Ask) -> RequestMeta;
type Obeying = AdaptiveThrottle<Obeys, ByWord, ByAsk>;

fn obeying(builder: AdaptiveThrottleConfigBuilder) -> (Obeying, AdaptiveThrottleHandle, Obeys) {
    let layer = layer_of(builder)
        .classify(by_word as ByWord)
        .describe((|ask| RequestMeta::new(Replay::Safe).with_priority(ask.priority)) as ByAsk);
    let inner = Obeys::default();
    (layer.layer(inner.clone()), layer.handle(), inner)
}

const BUSY: Outcome = Outcome::Throttled {
    retry_after: None,
    scope: Scope::Upstream,
};

fn ask(answer: Result<(), Outcome>, priority: Priority) -> Ask {
    Ask {
        answer: answer.map_err(Error::Inner),
        priority,
    }
}

/// Sends one request, and tells whether the throttle let it pass.
fn send(service: &mut Obeying, ask: Ask) -> bool {
    let answer = call(service, ask).poll();
    let Poll::Ready(answer) = answer else {
        panic!("the answer is there at once")
    };
    !matches!(answer, Err(Error::Rejected(r)) if r.reason() == Reason::ClientThrottled)
}

/// Sends `count` requests that are all answered alike, and tells how many passed.
fn send_many(service: &mut Obeying, count: u32, answer: Result<(), Outcome>, p: Priority) -> u32 {
    let passed = (0..count).filter(|_| send(service, ask(answer, p)));
    u32::try_from(passed.count()).expect("at most `count`")
}

mod contract;
mod control;
mod ends;
mod formula;
mod overload;
mod priorities;
mod shape;

fn arb_answer() -> impl Strategy<Value = Result<(), Outcome>> {
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
        k in 1.0..5.0_f64,
        most in 0.0..=1.0_f64,
        least in 1_u32..30,
        steps in proptest::collection::vec((arb_answer(), any::<u8>(), 0_u64..20_000), 1..300),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            let (mut service, handle, inner) =
                obeying(builder().accept_multiplier(k).max_rejection(most).min_requests(least));
            for (n, (answer, priority, gap)) in steps.iter().enumerate() {
                send(&mut service, ask(*answer, Priority(*priority)));
                advance(ms(*gap)).await;
                for class in handle.snapshot().classes {
                    let p = class.rejection_probability;
                    prop_assert!((0.0..=most).contains(&p), "{}", p);
                    prop_assert!(class.accepts <= class.requests);
                    prop_assert!(class.requests >= u64::from(least) || p == 0.0);
                }
                let counts = handle.counts();
                let passed = counts.accepted + counts.not_accepted;
                prop_assert_eq!(passed + counts.rejected, n as u64 + 1);
                prop_assert_eq!(passed, u64::from(inner.came()));
            }
            Ok(())
        })?;
    }
}
