//! The layer keeps Tower's contract.
#![allow(
    clippy::unwrap_used,
    reason = "a test shows what is wrong by panicking there"
)]

use std::time::Duration;

use seawall_core::{Backoff, ConstMeta, ErrorIsFailure, Policy, Replay, RequestMeta};
use seawall_retry::{Retry, RetryConfig, RetryLayer};
use seawall_testkit::contract::{Mock, assert_check, checks};
use tower::Layer as _;

/// Undescribed requests are not sent twice.
fn subject(inner: Mock) -> Retry<Mock> {
    RetryLayer::new("contract", RetryConfig::default()).layer(inner)
}

seawall_testkit::contract_tests! { subject => all }

type Again = Retry<Mock, Policy<ErrorIsFailure, ConstMeta>>;

fn again(backoff: Backoff) -> impl Fn(Mock) -> Again {
    let config = RetryConfig::builder().backoff(backoff).build().unwrap();
    move |inner| {
        RetryLayer::new("contract", config.clone())
            .describe(ConstMeta(RequestMeta::new(Replay::Safe)))
            .layer(inner)
    }
}

#[tokio::test(start_paused = true)]
async fn every_attempt_polls_readiness() {
    let second = Duration::from_secs(1);
    assert_check(checks::every_attempt_polls_readiness(again(Backoff::NONE)).await);
    let pause = Backoff::constant(second).unwrap();
    assert_check(checks::every_attempt_polls_readiness(again(pause)).await);
}

#[tokio::test(start_paused = true)]
async fn holds_nothing_during_backoff() {
    let pause = Backoff::constant(Duration::from_secs(1)).unwrap();
    assert_check(checks::holds_nothing_during_backoff(again(pause)).await);
}

mod a_layer_that_tries_again {
    fn subject(inner: super::Mock) -> super::Again {
        super::again(super::Backoff::NONE)(inner)
    }

    seawall_testkit::contract_tests! { subject =>
        calls_the_ready_instance, one_request_needs_one_reservation,
        dropped_service_releases_its_reservation, dropped_future_releases_everything,
        clone_resets_readiness, polls_inner_again_before_ready, finished_future_holds_nothing,
        idle_ready_clone_blocks_no_other, survives_a_panic
    }
}

mod a_layer_with_everything_on {
    use super::*;
    use seawall_retry::{AdaptiveRate, Attempt, CompletedAttempt, Hooks, RetryDecision, Stopped};
    use tower::BoxError;

    type RetryPredicate = fn(CompletedAttempt<'_, u32, u32, BoxError>) -> RetryDecision;
    type PrepareAttempt = fn(&mut u32, Attempt) -> Result<(), BoxError>;
    type AnnotateGiveUp = fn(&mut Result<u32, BoxError>, Stopped);
    type Full = Retry<
        Mock,
        Policy<ErrorIsFailure, ConstMeta>,
        Hooks<RetryPredicate, PrepareAttempt, AnnotateGiveUp>,
    >;

    fn subject(inner: Mock) -> Full {
        let config = RetryConfig::builder()
            .attempt_timeout(Duration::from_secs(30))
            .overall_timeout(Duration::from_secs(60))
            .build()
            .unwrap();
        RetryLayer::new("contract", config)
            .describe(ConstMeta(RequestMeta::new(Replay::Never)))
            .adaptive_rate(AdaptiveRate::new())
            .retry_if((|_| RetryDecision::Default) as RetryPredicate)
            .prepare((|_, _| Ok(())) as PrepareAttempt)
            .annotate_give_up((|_, _| {}) as AnnotateGiveUp)
            .layer(inner)
    }

    seawall_testkit::contract_tests! { subject => all }
}
