//! Cancels, whatever is known of the order.

use seawall_orders::protocol::{
    Action, Alert, CancelReply, CancelStep, Duplicates, Event, IntentState, LookUp, MarkKind,
    OrderState, Reply, Report,
};

use crate::run::{Run, rules};

const SEND: Action = Action::Cancel(CancelStep::Send);

#[test]
fn an_order_that_waits_is_removed_unsent() {
    let mut run = Run::new(rules(Duplicates::Accept), None);
    run.feed(Event::Durable);
    run.feed(Event::Cancel);
    assert!(run.out.contains(&Action::Cancel(CancelStep::NotSent)));
    assert!(!run.out.contains(&SEND));
    assert_eq!(run.intent.state(), IntentState::Absent);
}

#[test]
fn a_cancel_that_is_ahead_of_its_order_is_sent_again_when_the_order_is_found() {
    let mut run = Run::in_doubt(rules(Duplicates::RejectWhileOpen));
    run.feed(Event::Cancel);
    assert_eq!(run.out, [SEND]);
    run.feed(Event::CancelReply(CancelReply::UnknownOrder));
    assert_eq!(
        run.intent.state(),
        IntentState::InDoubt,
        "that settles nothing"
    );
    run.wake();
    run.look_up(LookUp::Found(Report::of(OrderState::Open)));
    assert!(run.out.contains(&SEND));
    run.feed(Event::CancelReply(CancelReply::Cancelled));
    assert!(run.out.contains(&Action::Cancel(CancelStep::Over)));
    assert_eq!(run.intent.report(), Some(Report::of(OrderState::Cancelled)));
}

#[test]
fn a_cancel_forbids_every_resend() {
    for duplicates in [Duplicates::ReturnFirst, Duplicates::RejectWhileOpen] {
        let mut run = Run::in_doubt(rules(duplicates));
        run.feed(Event::Cancel);
        run.feed(Event::CancelReply(CancelReply::UnknownOrder));
        run.look_up_all(LookUp::NotFound);
        assert_eq!(run.intent.state(), IntentState::Absent);
        assert!(run.out.contains(&Action::Cancel(CancelStep::NotSent)));
    }
    // Also one that waits already.
    let mut run = Run::in_doubt(rules(Duplicates::ReturnFirst));
    run.wake();
    assert!(run.wrote(MarkKind::Resent));
    run.feed(Event::Durable);
    run.feed(Event::Cancel);
    assert!(run.out.contains(&SEND) && run.out.contains(&Action::Withdraw));
    assert_eq!(
        run.intent.state(),
        IntentState::InDoubt,
        "of the first copy"
    );
}

#[test]
fn a_cancel_that_does_its_work_shows_that_the_order_was_there() {
    let mut run = Run::in_doubt(rules(Duplicates::Accept));
    run.feed(Event::Cancel);
    run.feed(Event::CancelReply(CancelReply::Cancelled));
    assert_eq!(run.intent.state(), IntentState::Confirmed);
}

#[test]
fn a_cancel_without_an_outcome_is_sent_again_and_then_an_alert() {
    let mut run = Run::sent(rules(Duplicates::Accept).cancels(3));
    run.feed(Event::Reply(Reply::Accepted(Report::of(OrderState::Open))));
    run.feed(Event::Cancel);
    for _ in 0..2 {
        run.feed(Event::CancelReply(CancelReply::Unknown));
        run.wake();
        assert_eq!(run.out, [SEND]);
    }
    run.feed(Event::CancelReply(CancelReply::Unknown));
    assert!(run.alerts(Alert::CancelUnconfirmed));
    assert_eq!(run.intent.wake(&run.rules), None);
}

#[test]
fn two_cancels_at_once_are_one() {
    let mut run = Run::sent(rules(Duplicates::Accept));
    run.feed(Event::Cancel);
    run.feed(Event::Cancel);
    assert_eq!(run.out, []);
}

#[test]
fn a_cancel_of_an_order_that_is_not_open_is_answered() {
    let mut run = Run::sent(rules(Duplicates::Accept));
    run.feed(Event::Reply(Reply::Accepted(Report::of(
        OrderState::Filled,
    ))));
    run.feed(Event::Cancel);
    assert_eq!(run.out, [Action::Cancel(CancelStep::Over)]);

    let mut run = Run::sent(rules(Duplicates::Accept));
    run.feed(Event::Reply(Reply::Rejected));
    run.feed(Event::Cancel);
    assert_eq!(run.out, [Action::Cancel(CancelStep::NotSent)]);
}

#[test]
fn a_fill_that_is_seen_ends_a_cancel() {
    let mut run = Run::sent(rules(Duplicates::Accept));
    run.feed(Event::Reply(Reply::Accepted(Report::of(OrderState::Open))));
    run.feed(Event::Cancel);
    run.observe(OrderState::Filled);
    assert_eq!(run.out, [Action::Cancel(CancelStep::Over)]);
    run.feed(Event::CancelReply(CancelReply::UnknownOrder));
    assert_eq!(run.out, []);
}
