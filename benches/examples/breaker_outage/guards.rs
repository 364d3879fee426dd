//! The breakers, each with a rule of its own and otherwise the same settings: judged from 10
//! calls on, over the last 20 calls or 2 s, half of them; open for 1 s; closed after 2 probes.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use recloser::{AsyncRecloser, Recloser};
use seatbelt::{RecoveryInfo, ResilienceContext};
use seawall_breaker::{BreakerConfig, BreakerConfigBuilder, BreakerLayer};
use tower::{Service, ServiceExt};
use tower_layer::Layer;
use tower_resilience::circuitbreaker::{
    CircuitBreakerError, CircuitBreakerLayer, SlidingWindowType,
};

use crate::BoxError;
use crate::client::{Fail, Vendor, judge};

const SHARE: f64 = 0.5;
const CALLS: u32 = 20;
const MIN_CALLS: u32 = 10;
const TIME: Duration = Duration::from_secs(2);
const OPEN: Duration = Duration::from_secs(1);
const SLOW: Duration = Duration::from_millis(200);
const IN_A_ROW: u32 = 5;
const PROBES: u32 = 2;

/// The result of a call for its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CallResult {
    Succeeded,
    Failed,
    Rejected,
}

/// Makes one call.
pub(crate) type Call = Box<dyn Fn() -> Pin<Box<dyn Future<Output = CallResult> + Send>> + Send>;

/// One breaker with one rule.
pub(crate) struct Guard {
    pub(crate) library: &'static str,
    pub(crate) rule: &'static str,
    pub(crate) make: fn(Vendor) -> Result<Call, BoxError>,
}

const fn guard(
    library: &'static str,
    rule: &'static str,
    make: fn(Vendor) -> Result<Call, BoxError>,
) -> Guard {
    Guard {
        library,
        rule,
        make,
    }
}

pub(crate) const GUARDS: [Guard; 11] = [
    guard("no breaker", "every call goes", |vendor| {
        Ok(Box::new(move || {
            let response = vendor.clone().quote();
            Box::pin(async move { result_of(response.await) })
        }))
    }),
    guard("seawall", "5 failures in a row", |vendor| {
        ours(vendor, |b| b.consecutive_failures(IN_A_ROW))
    }),
    guard("seawall", "failure rate of calls", |vendor| {
        ours(vendor, |b| {
            b.failure_rate(SHARE, CALLS).min_calls(MIN_CALLS)
        })
    }),
    guard("seawall", "failure rate over time", |vendor| {
        ours(vendor, |b| {
            b.failure_rate_over(SHARE, TIME).min_calls(MIN_CALLS)
        })
    }),
    guard("seawall", "slow calls, of calls", |vendor| {
        ours(vendor, |b| {
            b.slow_after(SLOW)
                .slow_rate(SHARE, CALLS)
                .min_calls(MIN_CALLS)
        })
    }),
    guard("seawall", "slow calls over time", |vendor| {
        ours(vendor, |b| {
            b.slow_after(SLOW)
                .slow_rate_over(SHARE, TIME)
                .min_calls(MIN_CALLS)
        })
    }),
    guard("tower-resilience", "5 failures in a row", |vendor| {
        Ok(theirs(
            CircuitBreakerLayer::builder()
                .consecutive_failures(IN_A_ROW as usize)
                .wait_duration_in_open(OPEN)
                .permitted_calls_in_half_open(PROBES as usize)
                .build()?
                .layer(vendor),
        ))
    }),
    guard("tower-resilience", "failure rate of calls", |vendor| {
        Ok(theirs(
            CircuitBreakerLayer::builder()
                .failure_rate_threshold(SHARE)
                .sliding_window_size(CALLS as usize)
                .minimum_number_of_calls(MIN_CALLS as usize)
                .wait_duration_in_open(OPEN)
                .permitted_calls_in_half_open(PROBES as usize)
                .build()?
                .layer(vendor),
        ))
    }),
    guard("tower-resilience", "slow calls over time", |vendor| {
        Ok(theirs(
            CircuitBreakerLayer::builder()
                .sliding_window_type(SlidingWindowType::TimeBased)
                .sliding_window_duration(TIME)
                .slow_call_duration_threshold(SLOW)
                .slow_call_rate_threshold(SHARE)
                .failure_rate_threshold(SHARE)
                .minimum_number_of_calls(MIN_CALLS as usize)
                .wait_duration_in_open(OPEN)
                .permitted_calls_in_half_open(PROBES as usize)
                .build()?
                .layer(vendor),
        ))
    }),
    guard("seatbelt", "failure rate over time", |vendor| {
        let context = ResilienceContext::<(), Result<(), Fail>>::new(tick::Clock::new_tokio());
        let breaker = seatbelt::breaker::Breaker::layer("vendor", &context)
            .recovery_with(|result: &Result<(), Fail>, _| match result {
                Ok(()) => RecoveryInfo::never(),
                Err(_) => RecoveryInfo::retry(),
            })
            // Its way to reject is an error of the caller's making.
            .rejected_input_error(|(), _| {
                Fail::from(seawall_core::Rejection::new(
                    seawall_core::Reason::CircuitOpen,
                    "seatbelt",
                ))
            })
            .failure_threshold(0.5)
            .min_throughput(MIN_CALLS)
            .sampling_duration(TIME)
            .break_duration(OPEN)
            .layer(vendor);
        Ok(service(breaker, result_of))
    }),
    guard("recloser", "failure rate of calls", |vendor| {
        let breaker = Recloser::custom()
            .error_rate(0.5)
            .closed_len(CALLS as usize)
            .half_open_len(PROBES as usize)
            .open_wait(OPEN)
            .build();
        let breaker = Arc::new(AsyncRecloser::from(breaker));
        Ok(Box::new(move || {
            let (breaker, call) = (Arc::clone(&breaker), vendor.clone().quote());
            Box::pin(async move {
                match breaker.call(call).await {
                    Ok(()) => CallResult::Succeeded,
                    Err(recloser::Error::Rejected) => CallResult::Rejected,
                    Err(recloser::Error::Inner(_)) => CallResult::Failed,
                }
            })
        }))
    }),
];

fn result_of(result: Result<(), Fail>) -> CallResult {
    match result {
        Ok(()) => CallResult::Succeeded,
        Err(Fail::Rejected(_)) => CallResult::Rejected,
        Err(_) => CallResult::Failed,
    }
}

fn ours(
    vendor: Vendor,
    rule: fn(BreakerConfigBuilder) -> BreakerConfigBuilder,
) -> Result<Call, BoxError> {
    let config = rule(BreakerConfig::builder())
        .open_for(OPEN)
        .probes(PROBES)
        .successes_to_close(PROBES)
        .build()?;
    let breaker = BreakerLayer::new("vendor", config).classify(judge);
    Ok(service(breaker.layer(vendor), result_of))
}

fn theirs<S>(breaker: S) -> Call
where
    S: Service<(), Response = (), Error = CircuitBreakerError<Fail>> + Clone + Send + 'static,
    S::Future: Send,
{
    service(breaker, |result| match result {
        Ok(()) => CallResult::Succeeded,
        Err(CircuitBreakerError::OpenCircuit) => CallResult::Rejected,
        Err(CircuitBreakerError::Inner(_)) => CallResult::Failed,
    })
}

/// Calls a clone of a service each time, as servers do it.
fn service<S>(service: S, result_of: fn(Result<(), S::Error>) -> CallResult) -> Call
where
    S: Service<(), Response = ()> + Clone + Send + 'static,
    S::Error: Send,
    S::Future: Send,
{
    Box::new(move || {
        let service = service.clone();
        Box::pin(async move { result_of(service.oneshot(()).await) })
    })
}
