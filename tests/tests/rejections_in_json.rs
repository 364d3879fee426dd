//! What programs read of a rejection.

use std::time::Duration;

use seawall::{Reason, Rejection, Sent};
use serde_json::json;

#[test]
fn a_rejection_says_in_json_what_it_says_in_words() {
    let rejection = Rejection::new(Reason::CircuitOpen, "orders")
        .with_pattern("breaker")
        .with_retry_after(Duration::from_millis(1_500));
    let written = serde_json::to_value(rejection).expect("plain values");
    let expected = json!({
        "pattern": "breaker",
        "name": "orders",
        "reason": "circuit_open",
        "message": rejection.to_string(),
        "retry_after_seconds": 1.5,
        "may_have_been_sent": false,
        "advice": "the upstream is failing: answer without it, and come back later",
        "reference": null,
    });
    assert_eq!(written, expected);
    assert_eq!(
        rejection.to_string(),
        "circuit breaker `orders`: the circuit is open; retry in 1500 ms; nothing was sent"
    );

    let late = Rejection::new(Reason::AttemptTimeout, "orders").with_sent(Sent::Maybe);
    let written = serde_json::to_value(late).expect("plain values");
    assert_eq!(written["may_have_been_sent"], json!(true));
    assert_eq!(written["retry_after_seconds"], json!(null));
    assert_eq!(written["pattern"], json!(null), "none was named");

    let unknown = Rejection::new(Reason::OutcomeUnknown, "orders")
        .with_pattern("orders")
        .with_reference(u64::MAX);
    let written = serde_json::to_value(unknown).expect("plain values");
    assert_eq!(written["reference"], json!(u64::MAX));
    assert_eq!(written["retry_after_seconds"], json!(null));
}

#[test]
fn every_reason_has_advice_of_its_own() {
    let mut all: Vec<_> = Reason::ALL.iter().map(|reason| reason.advice()).collect();
    assert!(all.iter().all(|advice| advice.len() > 10));
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), Reason::ALL.len());
}
