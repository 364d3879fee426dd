//! The layer keeps Tower's contract.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use seawall_core::{AnyAge, ConstMeta, ErrorIsFailure, NoMark, Outcome, Policy, RequestMeta};
use seawall_fallback::{
    Covers, Fallback, FallbackConfig, FallbackLayer, LastGood, LastGoodConfig, Plain, Step,
};
use seawall_testkit::contract::{Mock, MockError, MockHandle, assert_check, checks};
use tower::{Layer as _, Service as _, ServiceExt as _};

type Safe = Policy<ErrorIsFailure, ConstMeta>;
type Subject = Fallback<Mock, Safe, u32, u32, NoMark, AnyAge, Plain>;

/// No failure of the mock is such.
fn never() -> Covers {
    Covers::nothing().and_outcome(Outcome::Banned { lasts: None })
}

fn with(steps: impl IntoIterator<Item = Step<u32, u32>>, inner: Mock) -> Subject {
    let layer = FallbackLayer::new("contract", FallbackConfig::default(), steps);
    layer
        .unwrap_or_else(|invalid| panic!("{invalid}"))
        .assume_idempotent()
        .layer(inner)
}

fn not_covered(inner: Mock) -> Subject {
    with([Step::value("value", 1).covers(never())], inner)
}

mod a_layer_that_does_not_answer {
    seawall_testkit::contract_tests! { super::not_covered => all }
}

/// Each step is asked when a call fails, and none has an answer.
fn silent(inner: Mock) -> Subject {
    let kept = LastGood::new(LastGoodConfig::default(), |_: &u32| None::<u32>);
    let steps = [
        Step::function("function", |_, _: &u32| None::<u32>),
        Step::last_good(kept),
        Step::async_function("async", |_, _: u32| async {
            tokio::time::sleep(Duration::from_nanos(1)).await;
            None::<u32>
        }),
    ];
    with(steps, inner)
}

mod a_layer_whose_steps_have_no_answer {
    seawall_testkit::contract_tests! { super::silent => all }
}

fn bypassed(inner: Mock) -> Subject {
    let value = [Step::value("value", 1)];
    let layer = FallbackLayer::new("contract", FallbackConfig::default(), value);
    let layer = layer
        .unwrap_or_else(|invalid| panic!("{invalid}"))
        .assume_idempotent();
    layer.handle().bypass();
    layer.layer(inner)
}

mod while_bypassed {
    seawall_testkit::contract_tests! { super::bypassed => all }
}

type ByRequest = Policy<ErrorIsFailure, fn(&u32) -> RequestMeta>;
type ReadOnly = Fallback<Mock, ByRequest, u32, u32, NoMark, AnyAge, Plain>;

/// Request 1, which the checks of rejections send, changes something; any other only reads.
fn read_only(inner: Mock) -> ReadOnly {
    fn describe(request: &u32) -> RequestMeta {
        match request {
            1 => RequestMeta::non_idempotent(),
            _ => RequestMeta::idempotent(),
        }
    }
    let value = [Step::value("value", 1)];
    let layer = FallbackLayer::new("contract", FallbackConfig::default(), value);
    let layer = layer.unwrap_or_else(|invalid| panic!("{invalid}"));
    layer.handle().set_read_only(true);
    layer
        .describe(describe as fn(&u32) -> RequestMeta)
        .layer(inner)
}

async fn read_one(service: &mut ReadOnly, _: &MockHandle) {
    let read = service.ready().await.expect("ready").call(2).await;
    assert_eq!(read.expect("answered"), 2);
}

#[tokio::test(start_paused = true)]
async fn rejects_in_call() {
    let first = async |service: &mut ReadOnly, mock: &MockHandle| read_one(service, mock).await;
    assert_check(checks::rejects_in_call(read_only, first).await);
}

#[tokio::test(start_paused = true)]
async fn a_ready_instance_whose_call_is_rejected_holds_nothing() {
    let (inner, mock) = seawall_testkit::contract::mock();
    mock.set_capacity(1);
    let mut service = read_only(inner);
    let rejected = service.ready().await.expect("ready").call(1).await;
    assert!(rejected.is_err());
    assert_eq!(mock.reserved(), 0);
    read_one(&mut service.clone(), &mock).await;
}

#[tokio::test(start_paused = true)]
async fn an_instance_whose_call_is_a_loop_holds_nothing() {
    let (inner, mock) = seawall_testkit::contract::mock();
    mock.set_capacity(1);
    mock.script([Err(MockError::Failed(1))]);
    let own = Arc::new(OnceLock::<Subject>::new());
    let reserved = Arc::new(OnceLock::new());
    let (found, seen, below) = (Arc::clone(&own), Arc::clone(&reserved), mock.clone());
    let itself = Step::async_function("itself", move |_, request: u32| {
        let mut service = found.get().expect("it is made").clone();
        let (seen, below) = (Arc::clone(&seen), below.clone());
        async move {
            let looped = service.ready().await.expect("ready").call(request).await;
            let _ = seen.set(below.reserved());
            looped.ok()
        }
    });
    let mut service = with([itself], inner);
    assert!(own.set(service.clone()).is_ok());
    assert!(service.ready().await.expect("ready").call(1).await.is_err());
    assert_eq!(reserved.get(), Some(&0));
}
