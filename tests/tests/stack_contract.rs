//! The contract of a layer, law by law, through each whole stack.

use std::time::Duration;

use seawall::{BulkheadConfig, RateLimitConfig, RetryConfig, StackBuilder};
use seawall_testkit::contract::{
    BoxError, Mock, MockHandle, assert_check, checks, fail_calls, occupy,
};
use tower::{Layer, Service};

/// The numbers of a stack, but for a rate that the laws do not run into and one attempt where
/// a law counts attempts.
fn open(builder: StackBuilder) -> StackBuilder {
    let second = Duration::from_secs(1);
    let rate = RateLimitConfig::builder()
        .rate(1_000_000, second)
        .burst(1_000_000);
    builder.rate_limit(rate.build().expect("valid"))
}

fn once() -> RetryConfig {
    RetryConfig::builder().attempts(1).build().expect("valid")
}

fn one_place() -> BulkheadConfig {
    BulkheadConfig::builder()
        .max_concurrent(1)
        .build()
        .expect("valid")
}

async fn trip<S>(subject: &mut S, mock: &MockHandle)
where
    S: Service<u32, Response = u32, Error = BoxError>,
{
    fail_calls(subject, mock, 10).await;
}

macro_rules! stack {
    ($name:ident, $stack:expr) => {
        mod $name {
            use super::*;

            type Subject = <seawall::GenericStack as Layer<Mock>>::Service;

            fn builder() -> StackBuilder {
                open($stack)
            }

            fn subject(inner: Mock) -> Subject {
                builder().build_generic().expect("valid").layer(inner)
            }

            fn narrow(inner: Mock) -> Subject {
                let builder = builder().retry(once()).bulkhead(one_place());
                builder.build_generic().expect("valid").layer(inner)
            }

            fn two(a: Mock, b: Mock) -> (Subject, Subject) {
                let stack = builder().build_generic().expect("valid");
                (stack.layer(a), stack.clone().layer(b))
            }

            fn two_narrow(a: Mock, b: Mock) -> (Subject, Subject) {
                let builder = builder().retry(once()).bulkhead(one_place());
                let stack = builder.build_generic().expect("valid");
                (stack.layer(a), stack.clone().layer(b))
            }

            seawall_testkit::contract_tests! { subject =>
                calls_the_ready_instance,
                one_request_needs_one_reservation,
                reserves_once_when_polled_again,
                call_does_not_poll_readiness,
                spawns_no_task,
                asks_again_before_claiming_ready,
                passes_errors_through,
                finished_future_has_dropped_the_inner_future,
                pending_has_registered_the_waker,
                dropped_service_releases_its_reservation,
                dropped_future_releases_everything,
                clone_resets_readiness,
                finished_future_holds_nothing,
                idle_ready_clone_blocks_nobody,
                survives_a_panic,
            }

            mod with_one_place {
                use super::*;

                seawall_testkit::contract_tests! { narrow =>
                    dropped_future_releases_everything,
                    finished_future_holds_nothing,
                    idle_ready_clone_blocks_nobody,
                    survives_a_panic,
                    rejected_clone_keeps_no_place,
                }

                #[tokio::test(start_paused = true)]
                async fn a_full_bulkhead_rejects_in_call() {
                    assert_check(checks::rejects_in_call(narrow, occupy).await);
                }

                #[tokio::test(start_paused = true)]
                async fn the_place_is_shared() {
                    assert_check(checks::two_services_of_one_layer_share(two_narrow, occupy).await);
                }

                #[tokio::test(start_paused = true)]
                async fn a_dead_service_starves_no_sibling() {
                    let law = checks::keeps_no_permit_while_inner_is_not_ready(two_narrow);
                    assert_check(law.await);
                }
            }

            #[tokio::test(start_paused = true)]
            async fn an_open_circuit_rejects_in_call() {
                let saturate = async |s: &mut _, m: &_| trip(s, m).await;
                assert_check(checks::rejects_in_call(subject, saturate).await);
            }

            #[tokio::test(start_paused = true)]
            async fn an_open_circuit_does_not_ask_the_inner_service() {
                let saturate = async |s: &mut _, m: &_| trip(s, m).await;
                let law = checks::rejects_without_asking_the_inner_service(subject, saturate);
                assert_check(law.await);
            }

            #[tokio::test(start_paused = true)]
            async fn a_task_that_waits_for_readiness_is_woken_and_rejected() {
                let saturate = async |s: &mut _, m: &_| trip(s, m).await;
                assert_check(checks::parked_task_is_woken_by_the_gate(two, saturate).await);
            }

            #[tokio::test(start_paused = true)]
            async fn services_of_one_stack_share_the_circuit() {
                let saturate = async |s: &mut _, m: &_| trip(s, m).await;
                assert_check(checks::two_services_of_one_layer_share(two, saturate).await);
            }
        }
    };
}

stack!(broker, seawall::broker("broker"));
stack!(order_execution, seawall::order_execution("orders"));
stack!(market_data, seawall::market_data("data"));
stack!(ai_api, seawall::ai_api("ai"));
