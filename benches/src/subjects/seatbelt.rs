//! seatbelt 0.11 as Tower services.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use seatbelt::breaker::Breaker;
use seatbelt::chaos::injection::Injection;
use seatbelt::fallback::Fallback;
use seatbelt::hedging::Hedging;
use seatbelt::retry::Retry;
use seatbelt::timeout::Timeout;
use seatbelt::{RecoveryInfo, ResilienceContext};
use tower_layer::Layer;

use super::{HOUR, LONG, Subject};
use crate::leaf::{CallResult, Down, FAIL, Late, Leaf, LeafError, call_once};

type Scope = ResilienceContext<u64, CallResult>;

pub(super) fn subjects() -> Vec<Subject> {
    vec![
        // Its only window is one of time.
        Subject::service("seatbelt/breaker/closed-time", || breaker(&scope(), Leaf)),
        Subject::service_cloned("seatbelt/breaker/closed-time-cloned", || {
            breaker(&scope(), Leaf)
        }),
        Subject::service("seatbelt/breaker/refused", open_breaker).rejecting(),
        Subject::service("seatbelt/timeout/ready", || timeout(&scope(), Leaf)),
        Subject::service("seatbelt/timeout/pending", || timeout(&scope(), Late)),
        Subject::service("seatbelt/retry/plain", || retry(&scope(), Leaf)),
        Subject::service("seatbelt/hedge/not-fired", || {
            Hedging::layer("hedge", &scope())
                .clone_input()
                .recovery_with(|result: &CallResult, _| recovery(result))
                .hedging_delay(Duration::from_millis(100))
                .layer(Leaf)
        }),
        Subject::service("seatbelt/fallback/not-used", || fallback(Leaf)),
        Subject::service("seatbelt/fallback/answered", || fallback(Down)),
        // A switch that the program can turn on at any time.
        Subject::service("seatbelt/chaos/off", || {
            static ON: AtomicBool = AtomicBool::new(false);
            Injection::layer("chaos", &scope())
                .rate(0.1)
                .output_error(LeafError)
                .enable_if(|_| ON.load(Ordering::Relaxed))
                .layer(Leaf)
        }),
        // It has neither a rate limit nor a bulkhead.
        Subject::service("seatbelt/stack/three", || {
            let scope = scope();
            retry(&scope, breaker(&scope, timeout(&scope, Leaf)))
        }),
    ]
}

fn scope() -> Scope {
    ResilienceContext::new(tick::Clock::new_tokio())
}

fn recovery(result: &CallResult) -> RecoveryInfo {
    match result {
        Ok(_) => RecoveryInfo::never(),
        Err(_) => RecoveryInfo::retry(),
    }
}

fn breaker<S>(scope: &Scope, inner: S) -> Breaker<u64, CallResult, S> {
    Breaker::layer("breaker", scope)
        .recovery_with(|result: &CallResult, _| recovery(result))
        .rejected_input_error(|_, _| LeafError)
        .layer(inner)
}

fn open_breaker() -> Breaker<u64, CallResult, Leaf> {
    let mut service = Breaker::layer("breaker", &scope())
        .recovery_with(|result: &CallResult, _| recovery(result))
        .rejected_input_error(|_, _| LeafError)
        .min_throughput(1)
        .break_duration(HOUR)
        .layer(Leaf);
    for _ in 0..1_000 {
        call_once(&mut service, FAIL).expect_err("the leaf fails, then the breaker is open");
    }
    service
}

fn timeout<S>(scope: &Scope, inner: S) -> Timeout<u64, CallResult, S> {
    Timeout::layer("timeout", scope)
        .timeout(LONG)
        .timeout_error(|_| LeafError)
        .layer(inner)
}

fn fallback<S>(inner: S) -> Fallback<u64, CallResult, S> {
    Fallback::layer("fallback", &scope())
        .should_fallback(|result: &CallResult| result.is_err())
        .fallback_output(Ok(1))
        .layer(inner)
}

fn retry<S>(scope: &Scope, inner: S) -> Retry<u64, CallResult, S> {
    Retry::layer("retry", scope)
        .clone_input()
        .recovery_with(|result: &CallResult, _| recovery(result))
        .layer(inner)
}
