//! The contract of a layer, for each complete stack.

use std::time::Duration;

use seawall::{BulkheadConfig, Policy, RateLimitConfig, RetryConfig, StackBuilder};
use seawall_testkit::contract::{BoxError, Mock, MockHandle, fail_calls, hold_call};
use tower::{Layer, Service};

/// The settings of a stack, but with a rate that no check reaches.
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

fn one_permit() -> BulkheadConfig {
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

            type Subject = <seawall::ClientStack as Layer<Mock>>::Service;

            fn builder() -> StackBuilder {
                open($stack)
            }

            fn subject(inner: Mock) -> Subject {
                builder()
                    .build_generic(Policy::new())
                    .expect("valid")
                    .layer(inner)
            }

            fn narrow(inner: Mock) -> Subject {
                let builder = builder().retry(once()).bulkhead(one_permit());
                builder
                    .build_generic(Policy::new())
                    .expect("valid")
                    .layer(inner)
            }

            fn two(a: Mock, b: Mock) -> (Subject, Subject) {
                let stack = builder().build_generic(Policy::new()).expect("valid");
                (stack.layer(a), stack.clone().layer(b))
            }

            fn two_narrow(a: Mock, b: Mock) -> (Subject, Subject) {
                let builder = builder().retry(once()).bulkhead(one_permit());
                let stack = builder.build_generic(Policy::new()).expect("valid");
                (stack.layer(a), stack.clone().layer(b))
            }

            seawall_testkit::contract_tests! { subject => all }

            mod with_one_permit {
                use super::*;

                seawall_testkit::contract_tests! { narrow =>
                    dropped_future_releases_everything,
                    finished_future_holds_nothing,
                    idle_ready_clone_blocks_no_other,
                    survives_a_panic,
                    rejected_clone_leaves_the_queue,
                }
                seawall_testkit::contract_tests! { two_narrow =>
                    keeps_no_permit_while_inner_is_not_ready
                }
                seawall_testkit::contract_tests! { narrow, hold_call => rejects_in_call }
                seawall_testkit::contract_tests! { two_narrow, hold_call =>
                    services_of_one_layer_share_state
                }
            }

            seawall_testkit::contract_tests! { subject, trip =>
                rejects_in_call, rejects_without_polling_inner
            }
            seawall_testkit::contract_tests! { two, trip =>
                parked_task_is_woken_by_the_gate, services_of_one_layer_share_state
            }
        }
    };
}

stack!(broker, seawall::broker("broker"));
stack!(order_execution, seawall::order_execution("orders"));
stack!(market_data, seawall::market_data("data"));
stack!(ai_api, seawall::ai_api("ai"));
stack!(ai_agents, seawall::ai_agents("agents"));
stack!(news, seawall::news("news"));
stack!(database, seawall::database("database"));
stack!(api_client, seawall::api_client("api"));

/// A stack with every optional layer.
mod with_options {
    use super::*;
    use seawall::{
        AdaptiveBulkheadLayer, AdaptiveConfig, AdaptiveThrottleConfig, AdaptiveThrottleLayer,
        BreakerLayer, HealthConfig, HealthLayer, HedgeConfig, HedgeLayer, NoPropagation,
        RateLimitLayer, RetryLayer, Slots, StackService,
    };

    type Options = Slots<
        RetryLayer,
        HedgeLayer,
        AdaptiveThrottleLayer,
        AdaptiveBulkheadLayer,
        RateLimitLayer,
        BreakerLayer,
        HealthLayer,
    >;
    type Subject = StackService<Mock, Policy, NoPropagation, Options>;

    fn subject(inner: Mock) -> Subject {
        let hedge = HedgeConfig::builder().delay(Duration::from_secs(1));
        open(seawall::broker("options"))
            .build_generic(Policy::new())
            .expect("valid")
            .hedge(hedge.build().expect("valid"))
            .throttle(AdaptiveThrottleConfig::default())
            .adaptive_concurrency(AdaptiveConfig::default())
            .health(HealthConfig::default())
            .layer(inner)
    }

    seawall_testkit::contract_tests! { subject => all }
}
