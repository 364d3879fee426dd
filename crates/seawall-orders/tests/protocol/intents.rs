//! The way of an intent without doubts, and what is not sent.

use std::time::Duration;

use seawall_orders::protocol::{
    Action, Alert, Answer, Duplicates, Event, IntentState, Lifecycle, MarkKind, NotExecuted,
    OrderState, Reply, Report, Rules, Settlement, Verdict, Via,
};

use crate::run::{Run, rules};

fn absent(why: NotExecuted) -> Settlement {
    Settlement::Absent(why)
}

#[test]
fn nothing_passes_before_the_intent_is_durable() {
    let mut run = Run::new(rules(Duplicates::Accept), None);
    let (mark, durable) = (MarkKind::Intended, true);
    assert_eq!(run.out, [Action::Write { mark, durable }]);
    run.feed(Event::Departing);
    assert_eq!(run.out[0], Action::Withhold);
    run.feed(Event::Durable);
    assert_eq!(run.out, [Action::Pass { copy: 1 }]);
    run.feed(Event::Departing);
    let (mark, durable) = (MarkKind::Sent, false);
    assert_eq!(
        run.out,
        [Action::Write { mark, durable }, Action::Send { copy: 1 }]
    );
}

#[test]
fn a_reply_is_the_answer() {
    let mut run = Run::sent(rules(Duplicates::Accept));
    run.feed(Event::Reply(Reply::Accepted(Report::of(OrderState::Open))));
    assert!(run.answers_with(Settlement::Confirmed(Via::Reply, OrderState::Open)));
    assert!(run.wrote(MarkKind::Confirmed));
    assert_eq!(run.intent.wake(&run.rules), None);

    let mut run = Run::sent(rules(Duplicates::Accept));
    run.feed(Event::Reply(Reply::Rejected));
    assert!(run.answers_with(Settlement::Rejected(Via::Reply)));
}

#[test]
fn a_journal_that_cannot_be_written_sends_nothing() {
    let mut run = Run::new(rules(Duplicates::ReturnFirst), None);
    run.feed(Event::NotDurable);
    assert!(run.answers_with(absent(NotExecuted::NotJournalled)));
    run.feed(Event::Departing);
    assert_eq!(run.out, [Action::Withhold]);
}

#[test]
fn what_ends_before_it_leaves_is_not_sent_and_marked_as_abandoned() {
    for (event, why) in [
        (Event::Dropped, NotExecuted::Dropped),
        (Event::Cancel, NotExecuted::Cancelled),
        (Event::Reply(Reply::NotSent), NotExecuted::NotSent),
        (Event::Reply(Reply::Throttled), NotExecuted::Throttled),
        (
            Event::Evidence(Report::of(OrderState::Open)),
            NotExecuted::IdTaken,
        ),
    ] {
        let mut run = Run::new(rules(Duplicates::ReturnFirst), None);
        run.feed(Event::Durable);
        run.feed(event);
        assert_eq!(run.intent.settlement(), Some(absent(why)));
        assert!(run.wrote(MarkKind::Abandoned), "{:?}", run.out);
        assert!(run.out.contains(&Action::Withdraw));
        // A caller that is gone gets no answer.
        assert_eq!(run.answers().is_some(), event != Event::Dropped);
        run.feed(Event::Departing);
        assert_eq!(run.out, [Action::Withhold]);
    }
}

#[test]
fn an_order_waits_in_the_stack_until_its_deadline() {
    let mut run = Run::new(rules(Duplicates::ReturnFirst), Some(5));
    run.feed(Event::Durable);
    assert_eq!(run.intent.wake(&run.rules), Some(Duration::from_secs(5)));
    run.wake();
    assert!(run.answers_with(absent(NotExecuted::Deadline)));

    let mut late = Run::new(rules(Duplicates::ReturnFirst), Some(5));
    late.feed(Event::Durable);
    late.now = Duration::from_secs(5);
    late.feed(Event::Departing);
    assert!(late.out.contains(&Action::Withhold));
    assert!(late.answers_with(absent(NotExecuted::Deadline)));
}

#[test]
fn a_layer_below_cannot_send_a_second_copy() {
    let mut run = Run::sent(rules(Duplicates::Accept));
    run.feed(Event::Departing);
    assert_eq!(run.out[0], Action::Withhold);
    assert!(run.alerts(Alert::UnexpectedDeparture));
    assert_eq!(run.intent.state(), IntentState::Sent);
}

#[test]
fn a_throttle_means_nothing_unless_the_provider_says_so() {
    let mut run = Run::sent(rules(Duplicates::Accept));
    run.feed(Event::Reply(Reply::Throttled));
    assert_eq!(run.intent.state(), IntentState::InDoubt);

    let mut run = Run::sent(rules(Duplicates::Accept).throttle_rejects(true));
    run.feed(Event::Reply(Reply::Throttled));
    assert!(run.answers_with(absent(NotExecuted::Throttled)));
}

#[test]
fn an_order_that_is_seen_after_all_is_an_alert() {
    let mut run = Run::sent(rules(Duplicates::Accept));
    run.feed(Event::Reply(Reply::Rejected));
    run.observe(OrderState::Filled);
    let rejected = Settlement::Rejected(Via::Reply);
    assert!(run.alerts(Alert::Contradiction(rejected)));
    assert!(run.wrote(MarkKind::Confirmed));
    assert_eq!(run.intent.state(), IntentState::Confirmed);
    assert_eq!(run.answers(), None, "the caller has its answer");
}

#[test]
fn two_orders_of_one_id_are_an_alert() {
    let report = |order, state| {
        Event::Evidence(Report {
            order: Some(order),
            state,
        })
    };
    let mut run = Run::sent(rules(Duplicates::Accept));
    run.feed(report(1, OrderState::Open));
    run.feed(report(1, OrderState::PartiallyFilled));
    assert!(!run.alerts(Alert::SeveralOrders));
    run.feed(report(2, OrderState::Open));
    assert!(run.alerts(Alert::SeveralOrders));

    // Where a broker replaces an order by another one, the first is cancelled before.
    let mut run = Run::sent(rules(Duplicates::Accept));
    run.feed(report(1, OrderState::Cancelled));
    run.feed(report(2, OrderState::Open));
    assert!(!run.alerts(Alert::SeveralOrders));
}

#[test]
fn a_start_looks_up_what_is_not_settled() {
    let rules = Rules::builder(Duplicates::ReturnFirst).build().unwrap();
    for (mark, state) in [
        (MarkKind::Intended, IntentState::InDoubt),
        (MarkKind::Sent, IntentState::InDoubt),
        (MarkKind::Resent, IntentState::InDoubt),
        (MarkKind::Exhausted, IntentState::InDoubt),
        (MarkKind::Confirmed, IntentState::Confirmed),
        (MarkKind::Rejected, IntentState::Rejected),
        (MarkKind::Absent, IntentState::Absent),
        (MarkKind::Abandoned, IntentState::Abandoned),
    ] {
        let now = Duration::from_secs(7);
        let intent = Lifecycle::restore(&rules, mark, 1, now, &mut Vec::new());
        assert_eq!(intent.state(), state);
        let due = (state == IntentState::InDoubt).then_some(now);
        assert_eq!(
            intent.wake(&rules),
            due,
            "at once, and nothing of what is settled"
        );
        assert_eq!(mark.is_settled(), due.is_none());
    }
}

#[test]
fn a_person_decides() {
    for (verdict, settlement) in [
        (
            Verdict::Executed(OrderState::Filled),
            Settlement::Confirmed(Via::Person, OrderState::Filled),
        ),
        (Verdict::NotExecuted, absent(NotExecuted::Person)),
        (Verdict::Abandon, Settlement::Abandoned),
    ] {
        let mut run = Run::in_doubt(rules(Duplicates::Accept));
        run.feed(Event::Resolve(verdict));
        assert!(run.answers_with(settlement));
        run.feed(Event::Resolve(Verdict::Abandon));
        assert_eq!(run.out, [], "it is decided");
    }
}

#[test]
fn a_reply_to_a_copy_that_did_not_ask_is_an_alert_and_no_loss() {
    let mut run = Run::new(rules(Duplicates::Accept), None);
    run.feed(Event::Durable);
    run.feed(Event::Reply(Reply::Accepted(Report::of(
        OrderState::Filled,
    ))));
    assert!(run.alerts(Alert::UnexpectedDeparture));
    assert!(run.wrote(MarkKind::Sent));
    assert!(run.answers_with(Settlement::Confirmed(Via::Reply, OrderState::Filled)));
    assert_ne!(run.answers(), Some(Answer::Unknown));
}
