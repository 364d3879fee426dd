//! Both layers keep Tower's contract.
#![allow(
    clippy::unwrap_used,
    reason = "a test shows what is wrong by panicking there"
)]

use std::time::Duration;

use seawall_core::{ErrorIsFailure, Policy, RequestMeta};
use seawall_testkit::contract::{Mock, MockHandle, assert_check, checks};
use seawall_timeout::{
    AttemptTimeout, AttemptTimeoutConfig, AttemptTimeoutLayer, Deadline, DeadlineConfig,
    DeadlineLayer, Learned, LearnedConfig, NoOverride,
};
use tokio::time::Instant;
use tower::{Layer as _, Service as _, ServiceExt as _};

// Longer than any check waits, so that none times out.
const LONG: Duration = Duration::from_secs(10 * 3600);

fn long() -> AttemptTimeoutConfig {
    AttemptTimeoutConfig::fixed(LONG).unwrap()
}

fn attempt(inner: Mock) -> AttemptTimeout<Mock> {
    AttemptTimeoutLayer::new("contract", long()).layer(inner)
}

fn deadline(inner: Mock) -> Deadline<Mock> {
    DeadlineLayer::new("contract", DeadlineConfig::new(LONG).unwrap()).layer(inner)
}

fn bypassed(inner: Mock) -> Deadline<AttemptTimeout<Mock>> {
    let attempt = AttemptTimeoutLayer::new("contract", long());
    let deadline = DeadlineLayer::new("contract", DeadlineConfig::new(LONG).unwrap());
    attempt.handle().bypass();
    deadline.handle().bypass();
    deadline.layer(attempt.layer(inner))
}

mod attempt_timeout {
    seawall_testkit::contract_tests! { super::attempt => all }
}

fn learned(inner: Mock) -> AttemptTimeout<Mock, Policy, NoOverride, Learned> {
    let long = LearnedConfig::builder().min(LONG).max(LONG);
    let config = AttemptTimeoutConfig::learned(long.build().unwrap());
    AttemptTimeoutLayer::new("contract", config).layer(inner)
}

mod learned_timeout {
    seawall_testkit::contract_tests! { super::learned => all }
}

mod overall_deadline {
    seawall_testkit::contract_tests! { super::deadline => all }
}

mod while_bypassed {
    seawall_testkit::contract_tests! { super::bypassed => all }
}

type ByRequest = Policy<ErrorIsFailure, fn(&u32) -> RequestMeta>;
type Late = AttemptTimeout<Mock, ByRequest>;

/// Request 1, which the checks of rejections send, comes too late; any other has time.
fn one_is_late(inner: Mock) -> Late {
    fn describe(request: &u32) -> RequestMeta {
        let passed = Instant::now();
        match request {
            1 => RequestMeta::default().with_deadline(passed),
            _ => RequestMeta::default(),
        }
    }
    AttemptTimeoutLayer::new("late", long())
        .describe(describe as fn(&u32) -> RequestMeta)
        .layer(inner)
}

async fn respond_to_one(service: &mut Late, _: &MockHandle) {
    assert_eq!(service.ready().await.unwrap().call(2).await.unwrap(), 2);
}

#[tokio::test(start_paused = true)]
async fn rejects_in_call() {
    let first = async |service: &mut Late, mock: &MockHandle| respond_to_one(service, mock).await;
    assert_check(checks::rejects_in_call(one_is_late, first).await);
}
