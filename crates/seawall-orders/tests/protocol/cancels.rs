//! Cancels, whatever is known of the order.

use std::time::Duration;

use seawall_orders::protocol::{
    Action, Alert, CancelReply, CancelStep, Coverage, Duplicates, Event, IntentState, LookUp,
    MarkKind, OrderState, Query, Reply, Report, Verdict,
};

use crate::run::{Run, rules};

const SEND: Action = Action::Cancel(CancelStep::Send);
const OVER: Action = Action::Cancel(CancelStep::Over);
const SECOND: Duration = Duration::from_secs(1);

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
    assert!(run.query().is_some(), "it may be cancelled by now");
    run.look_up(LookUp::Failed);
    // It goes on, and so many more without an outcome are an alert again.
    for sends in 1..=6 {
        run.wake();
        assert_eq!(run.out, [SEND]);
        run.feed(Event::CancelReply(CancelReply::Unknown));
        assert_eq!(run.alerts(Alert::CancelUnconfirmed), sends % 3 == 0);
        run.look_up(LookUp::Found(Report::of(OrderState::Open)));
        assert_eq!(run.out, [], "not at once");
    }
    run.wake();
    run.feed(Event::CancelReply(CancelReply::Cancelled));
    assert!(run.out.contains(&OVER));
    assert_eq!(run.intent.wake(&run.rules), None);
}

#[test]
fn a_cancel_that_is_not_made_does_not_count() {
    let mut run = Run::sent(rules(Duplicates::Accept).cancels(2).max_backoff(4 * SECOND));
    run.feed(Event::Reply(Reply::Accepted(Report::of(OrderState::Open))));
    run.feed(Event::Cancel);
    let mut waits = Vec::new();
    for _ in 0..20 {
        run.feed(Event::CancelReply(CancelReply::NotMade));
        assert_eq!(run.out, []);
        let before = run.now;
        run.wake();
        assert_eq!(run.out, [SEND]);
        waits.push((run.now - before).as_secs());
    }
    assert_eq!(waits[..4], [1, 2, 4, 4]);
    run.feed(Event::CancelReply(CancelReply::Unknown));
    assert_eq!(run.out, []);
    run.wake();
    run.feed(Event::CancelReply(CancelReply::Unknown));
    assert!(run.alerts(Alert::CancelUnconfirmed));
}

#[test]
fn a_cancel_that_is_not_made_does_not_wait_until_its_order_is_found() {
    for exhausted in [false, true] {
        let mut run = Run::in_doubt(rules(Duplicates::Accept).cancels(1));
        if exhausted {
            run.look_up_all(LookUp::Failed);
            assert_eq!(run.intent.state(), IntentState::Exhausted);
            assert_eq!(run.intent.wake(&run.rules), None);
        }
        run.feed(Event::Cancel);
        run.feed(Event::CancelReply(CancelReply::NotMade));
        assert_eq!(run.out, []);
        run.wake();
        while !run.out.contains(&SEND) {
            run.look_up(LookUp::Failed);
            run.wake();
        }
        // One that has left does.
        run.feed(Event::CancelReply(CancelReply::Unknown));
        assert!(!run.alerts(Alert::CancelUnconfirmed));
        assert_eq!(run.intent.wake(&run.rules).is_none(), exhausted);
    }
}

#[test]
fn an_order_that_is_not_open_is_looked_up_for_its_cancel() {
    let coverage = Coverage::OpenThenClosed;
    let mut run = Run::sent(rules(Duplicates::Accept).coverage(coverage));
    run.feed(Event::Reply(Reply::Accepted(Report::of(OrderState::Open))));
    run.feed(Event::Cancel);
    run.feed(Event::CancelReply(CancelReply::UnknownOrder));
    assert_eq!(run.query().map(|(_, query)| query), Some(Query::Open));
    run.look_up(LookUp::NotFound);
    assert_eq!(run.query().map(|(_, query)| query), Some(Query::Closed));
    let query = run.query();
    // Once, while it is under way.
    run.wake();
    run.feed(Event::CancelReply(CancelReply::UnknownOrder));
    assert_eq!(run.query(), None);
    let (number, _) = query.unwrap();
    let found = LookUp::Found(Report::of(OrderState::Filled));
    run.feed(Event::LookUp { number, found });
    assert_eq!(run.out, [OVER]);
    assert_eq!(run.intent.report(), Some(Report::of(OrderState::Filled)));
    assert_eq!(run.intent.wake(&run.rules), None);
}

#[test]
fn an_order_that_was_rejected_after_all_is_not_open() {
    let report = |order, state| Report { order, state };
    let open = report(Some(1), OrderState::Open);
    let rejected = |order| report(order, OrderState::Rejected);
    for (by_look_up, order, ends) in [
        (true, Some(1), true),
        (true, None, true),
        (true, Some(2), false),
        (false, Some(1), true),
        // A duplicate of the request, which a stream reports as well.
        (false, None, false),
        (false, Some(2), false),
    ] {
        let mut run = Run::sent(rules(Duplicates::Accept));
        run.feed(Event::Reply(Reply::Accepted(open)));
        run.feed(Event::Cancel);
        run.feed(Event::CancelReply(CancelReply::UnknownOrder));
        if by_look_up {
            run.look_up(LookUp::Found(rejected(order)));
        } else {
            run.feed(Event::Evidence(rejected(order)));
        }
        assert_eq!(run.out == [OVER], ends, "{order:?} {by_look_up}");
        assert_eq!(run.intent.state(), IntentState::Confirmed);
    }
}

#[test]
fn a_cancel_of_an_order_that_a_person_has_abandoned_has_an_end() {
    for reply in [CancelReply::Unknown, CancelReply::NotMade] {
        let mut run = Run::in_doubt(rules(Duplicates::Accept).cancels(2));
        run.feed(Event::Resolve(Verdict::Abandon));
        run.feed(Event::Cancel);
        run.feed(Event::CancelReply(reply));
        run.wake();
        run.feed(Event::CancelReply(reply));
        assert!(run.alerts(Alert::CancelUnconfirmed));
        let end = Action::Cancel(CancelStep::Unconfirmed);
        assert!(run.out.contains(&end));
        assert_eq!(run.intent.wake(&run.rules), None);
    }
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
