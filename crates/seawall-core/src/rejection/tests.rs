use super::*;
use proptest::prelude::*;
use proptest::{collection, sample};

#[test]
fn a_rejection_is_two_words_and_has_a_niche() {
    assert_eq!(size_of::<Rejection>(), 16);
    assert_eq!(size_of::<Option<Rejection>>(), 16);
}

#[test]
fn everything_that_was_put_in_comes_out() {
    for reason in Reason::ALL {
        for sent in [Sent::No, Sent::Maybe] {
            for wait in [Duration::ZERO, Duration::from_nanos(1), Duration::MAX] {
                let rejected = Rejection::new(reason, "a name")
                    .with_cause(CircuitCause::Rule("a rule".into()))
                    .with_sent(sent)
                    .with_cause(CircuitCause::ConsecutiveFailures(u16::MAX))
                    .with_retry_after(wait);
                assert_eq!(rejected.reason(), reason);
                assert_eq!(
                    rejected.cause(),
                    Some(CircuitCause::ConsecutiveFailures(u16::MAX))
                );
                assert_eq!(rejected.sent(), sent);
                assert_eq!(rejected.name().as_str(), "a name");
                let back = rejected.retry_after().unwrap();
                assert_eq!(back, wait.min(Duration::from_nanos(u64::MAX - 1)));
            }
        }
    }
    let bits = CircuitCause::Rule("a rule".into()).to_bits();
    let kept = Rejection::new(Reason::CircuitOpen, "x").with_cause_bits(bits);
    assert_eq!(kept.cause(), Some(CircuitCause::Rule("a rule".into())));
    let costly = Rejection::new(Reason::TooExpensive, "x").with_cost(u32::MAX, 7);
    assert_eq!(costly.cost_and_capacity(), Some((u32::MAX, 7)));
    assert_eq!((costly.retry_after(), costly.cause()), (None, None));
    let later = costly.with_retry_after(Duration::from_secs(1));
    assert_eq!(later.cost_and_capacity(), None);
    assert_eq!(later.retry_after(), Some(Duration::from_secs(1)));
    let plain = Rejection::new(Reason::NotReady, "x");
    assert_eq!((plain.retry_after(), plain.cause()), (None, None));
}

#[test]
fn the_text_names_pattern_instance_reason_wait_and_whether_it_was_sent() {
    let open = Rejection::new(Reason::CircuitOpen, "alpaca")
        .with_cause(CircuitCause::FailureRate { percent: 62 })
        .with_retry_after(Duration::from_millis(11_020));
    assert_eq!(
        open.to_string(),
        "circuit breaker `alpaca`: the circuit is open (62% of the calls failed); \
         retry in 12 s; nothing was sent"
    );
    let late = Rejection::new(Reason::DeadlineExceeded, "orders").with_sent(Sent::Maybe);
    assert_eq!(
        late.to_string(),
        "deadline `orders`: the deadline of the call has passed; \
         the request may have been sent"
    );
    let queued = late.with_pattern("bulkhead");
    assert!(queued.to_string().starts_with("bulkhead `orders`: "));
    assert_eq!((queued.pattern(), late.pattern()), (Some("bulkhead"), None));
    assert_eq!(queued.with_pattern("no such"), late);
}

/// What a rejection can have; the last of those in the second word counts.
#[derive(Clone, Copy, Debug)]
enum Part {
    Cost(u32, u32),
    Reference(u64),
    Wait(u64),
    Cause(CircuitCause),
    Sent(Sent),
    Pattern(&'static str),
}

fn parts() -> impl Strategy<Value = Part> {
    let pattern = sample::select(&PATTERNS[..]);
    prop_oneof![
        any::<(u32, u32)>().prop_map(|(cost, capacity)| Part::Cost(cost, capacity)),
        any::<u64>().prop_map(Part::Reference),
        (0..u64::MAX).prop_map(Part::Wait),
        any::<u8>().prop_map(|percent| Part::Cause(CircuitCause::FailureRate { percent })),
        any::<bool>().prop_map(|no| Part::Sent(if no { Sent::No } else { Sent::Maybe })),
        pattern.prop_map(|(id, _)| Part::Pattern(id)),
    ]
}

proptest! {
    #[test]
    fn the_last_value_of_each_kind_is_read_in_any_order(
        reason in sample::select(&Reason::ALL[..]),
        parts in collection::vec(parts(), 0..8),
    ) {
        let mut rejected = Rejection::new(reason, "a name");
        let (mut cost, mut reference, mut wait, mut cause) = (None, None, None, None);
        let (mut sent, mut pattern) = (Sent::No, None);
        for part in parts {
            // A cost and a reference stand in place of each other, of a wait and of a cause.
            match part {
                Part::Cost(of, most) => {
                    rejected = rejected.with_cost(of, most);
                    (cost, reference, wait, cause) = (Some((of, most)), None, None, None);
                }
                Part::Reference(number) => {
                    rejected = rejected.with_reference(number);
                    (cost, reference, wait, cause) = (None, Some(number), None, None);
                }
                Part::Wait(ns) => {
                    rejected = rejected.with_retry_after_ns(ns);
                    (cost, reference, wait) = (None, None, Some(Duration::from_nanos(ns)));
                }
                Part::Cause(why) => {
                    rejected = rejected.with_cause(why);
                    (cost, reference, cause) = (None, None, Some(why));
                }
                Part::Sent(whether) => {
                    rejected = rejected.with_sent(whether);
                    sent = whether;
                }
                Part::Pattern(id) => {
                    rejected = rejected.with_pattern(id);
                    pattern = Some(id);
                }
            }
        }
        prop_assert_eq!(rejected.cost_and_capacity(), cost);
        prop_assert_eq!(rejected.reference(), reference);
        prop_assert_eq!(rejected.retry_after(), wait);
        prop_assert_eq!(rejected.cause(), cause);
        prop_assert_eq!((rejected.sent(), rejected.pattern()), (sent, pattern));
        prop_assert_eq!((rejected.reason(), rejected.name().as_str()), (reason, "a name"));
    }
}

#[test]
fn no_cause_and_no_figure_is_read_as_a_cost_or_a_reference() {
    let causes = [
        CircuitCause::RampCompleted.to_bits(),
        CircuitCause::Rule("a rule".into()).to_bits(),
        crate::Figure::Because("of words".into()).to_bits(),
        crate::Figure::Attempts(0).to_bits(),
        0,
    ];
    for bits in causes {
        let rejected = Rejection::new(Reason::OutcomeUnknown, "x").with_reference(u64::MAX);
        let rejected = rejected.with_cause_bits(bits);
        let read = (rejected.reference(), rejected.cost_and_capacity());
        assert_eq!(
            (read, rejected.retry_after()),
            ((None, None), None),
            "{bits}"
        );
    }
}

#[test]
fn the_text_has_the_number_of_what_it_is_about() {
    let absent = Rejection::new(Reason::NotExecuted, "alpaca")
        .with_sent(Sent::Maybe)
        .with_reference(0);
    assert_eq!(
        absent.to_string(),
        "order safety `alpaca`: the request was not executed (number 0); \
         the request may have been sent"
    );
    assert!(
        format!("{absent:?}").contains("reference: Some(0)"),
        "{absent:?}"
    );
}

#[test]
fn every_pattern_survives_packing() {
    for (pattern, _) in PATTERNS {
        let rejected = Rejection::new(Reason::Paused, "x").with_pattern(pattern);
        assert_eq!(rejected.pattern(), Some(pattern));
        assert_eq!(
            (rejected.reason(), rejected.name().as_str()),
            (Reason::Paused, "x")
        );
    }
}

#[test]
fn only_attempts_say_something_about_the_upstream() {
    for reason in Reason::ALL {
        let says = Rejection::new(reason, "x").outcome();
        let attempt = matches!(
            reason,
            Reason::AttemptTimeout | Reason::OutcomeUnknown | Reason::BodyTimeout
        );
        assert_eq!(says == Outcome::Unknown, attempt, "{reason:?}");
    }
}
