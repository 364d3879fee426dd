//! Both layers keep Tower's contract.
#![allow(
    clippy::unwrap_used,
    reason = "a test tells what is wrong by panicking there"
)]

use std::time::Duration;

use seawall_core::{DefaultMeta, RequestMeta};
use seawall_testkit::contract::{Mock, MockHandle, assert_check, checks};
use seawall_timeout::{
    AttemptTimeout, AttemptTimeoutLayer, Deadline, DeadlineLayer, Learned, LearnedConfig,
    NoOverride, NoPropagation,
};
use tokio::time::Instant;
use tower::{Layer as _, Service as _, ServiceExt as _};

// Longer than the laws' patience, so that no law is cut short.
const LONG: Duration = Duration::from_secs(10 * 3600);

fn attempt(inner: Mock) -> AttemptTimeout<Mock, DefaultMeta> {
    AttemptTimeoutLayer::new("contract", LONG)
        .unwrap()
        .layer(inner)
}

fn deadline(inner: Mock) -> Deadline<Mock, NoPropagation> {
    DeadlineLayer::new("contract", LONG).unwrap().layer(inner)
}

mod attempt_timeout {
    seawall_testkit::contract_tests! { super::attempt => all }
}

fn learned(inner: Mock) -> AttemptTimeout<Mock, DefaultMeta, NoOverride, Learned> {
    let long = LearnedConfig::builder().min(LONG).max(LONG);
    AttemptTimeoutLayer::learned("contract", long.build().unwrap()).layer(inner)
}

mod learned_timeout {
    seawall_testkit::contract_tests! { super::learned => all }
}

mod overall_deadline {
    seawall_testkit::contract_tests! { super::deadline => all }
}

type Late = AttemptTimeout<Mock, fn(&u32) -> RequestMeta>;

/// Request 1, which the laws of rejection send, comes too late; any other has time.
fn one_is_late(inner: Mock) -> Late {
    fn describe(request: &u32) -> RequestMeta {
        let passed = Instant::now();
        match request {
            1 => RequestMeta::default().with_deadline(passed),
            _ => RequestMeta::default(),
        }
    }
    AttemptTimeoutLayer::new("late", LONG)
        .unwrap()
        .describe(describe as fn(&u32) -> RequestMeta)
        .layer(inner)
}

async fn answer_one(service: &mut Late, _: &MockHandle) {
    assert_eq!(service.ready().await.unwrap().call(2).await.unwrap(), 2);
}

#[tokio::test(start_paused = true)]
async fn rejects_in_call() {
    let first = async |service: &mut Late, mock: &MockHandle| answer_one(service, mock).await;
    assert_check(checks::rejects_in_call(one_is_late, first).await);
}
