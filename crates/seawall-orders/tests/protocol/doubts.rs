//! Unknown outcomes: look-ups, re-sends, exhaustion.

use std::time::Duration;

use seawall_core::Span;
use seawall_orders::protocol::{
    Action, Alert, Answer, Coverage, DoubtCause, Duplicates, Event, IntentState, LookUp, MarkKind,
    NotExecuted, Notice, Operation, OrderState, Query, Reply, Report, Rules, RulesBuilder,
    Settlement, Via,
};

use crate::run::{Run, rules};

const CLASSES: [Duplicates; 4] = [
    Duplicates::ReturnFirst,
    Duplicates::RejectForATime,
    Duplicates::RejectWhileOpen,
    Duplicates::Accept,
];

const LOOKED_UP: Settlement = Settlement::Absent(NotExecuted::LookedUp);

fn found(state: OrderState) -> LookUp {
    LookUp::Found(Report::of(state))
}

#[test]
fn an_order_that_is_found_is_the_answer() {
    for state in [
        OrderState::Open,
        OrderState::PartiallyFilled,
        OrderState::Filled,
    ] {
        let mut run = Run::in_doubt(rules(Duplicates::RejectWhileOpen));
        run.wake();
        run.look_up(found(state));
        assert!(run.answers_with(Settlement::Confirmed(Via::LookUp, state)));
    }
}

#[test]
fn nothing_found_is_believed_after_the_window() {
    let mut run = Run::in_doubt(rules(Duplicates::Accept));
    let mut begun = Vec::new();
    while run.intent.settlement().is_none() {
        run.wake();
        begun.push(run.now.as_secs());
        run.look_up(LookUp::NotFound);
    }
    assert_eq!(run.intent.settlement(), Some(LOOKED_UP));
    assert_eq!(
        begun,
        (1..=10).collect::<Vec<_>>(),
        "the last one begins at the end of it"
    );
}

#[test]
fn a_query_that_began_too_early_is_no_proof() {
    let mut run = Run::in_doubt(rules(Duplicates::Accept));
    run.wake();
    run.now = Duration::from_secs(60);
    run.look_up(LookUp::NotFound);
    assert_eq!(run.intent.state(), IntentState::InDoubt);
    run.wake();
    run.look_up(LookUp::NotFound);
    assert_eq!(run.intent.settlement(), Some(LOOKED_UP));
}

#[test]
fn an_earlier_query_proves_what_it_found_and_nothing_else() {
    let mut run = Run::in_doubt(rules(Duplicates::Accept));
    run.wake();
    let (number, _) = run.query().unwrap();
    // It takes longer than a query may, and another one is begun.
    run.wake();
    run.now = Duration::from_secs(60);
    run.feed(Event::Tick);
    assert_ne!(run.query().map(|(next, _)| next), Some(number));
    run.feed(Event::LookUp {
        number,
        found: LookUp::NotFound,
    });
    assert_eq!(run.intent.state(), IntentState::InDoubt);
    run.feed(Event::LookUp {
        number,
        found: found(OrderState::Filled),
    });
    assert_eq!(run.intent.state(), IntentState::Confirmed);
}

#[test]
fn a_query_that_fails_is_never_not_found() {
    for duplicates in CLASSES {
        let mut run = Run::in_doubt(rules(duplicates).resends(0));
        run.look_up_all(LookUp::Failed);
        assert_eq!(run.intent.state(), IntentState::Exhausted);
        assert!(run.alerts(Alert::Exhausted));
        assert!(run.wrote(MarkKind::Exhausted));
        assert_eq!(run.answers(), Some(Answer::Unknown));
        assert_eq!(run.intent.wake(&run.rules), None);

        // Evidence still settles it; the caller is not answered twice.
        run.observe(OrderState::Filled);
        assert_eq!(run.intent.state(), IntentState::Confirmed);
        assert_eq!(run.answers(), None);
    }
}

#[test]
fn a_person_can_ask_for_further_look_ups() {
    let mut run = Run::in_doubt(rules(Duplicates::Accept));
    run.look_up_all(LookUp::Failed);
    run.feed(Event::LookUpAgain);
    run.look_up(LookUp::NotFound);
    assert_eq!(run.intent.settlement(), Some(LOOKED_UP));
}

#[test]
fn each_query_of_the_coverage_must_find_nothing() {
    let mut run = Run::in_doubt(rules(Duplicates::Accept).coverage(Coverage::OpenClosedFills));
    run.now = Duration::from_secs(10);
    run.feed(Event::Tick);
    for query in [Query::Open, Query::Closed, Query::Fills] {
        assert_eq!(run.query().map(|(_, query)| query), Some(query));
        assert_eq!(run.intent.settlement(), None);
        run.look_up(LookUp::NotFound);
    }
    assert_eq!(run.intent.settlement(), Some(LOOKED_UP));
}

#[test]
fn the_same_request_is_sent_again_where_the_broker_knows_the_id() {
    for duplicates in [Duplicates::ReturnFirst, Duplicates::RejectForATime] {
        let mut run = Run::in_doubt(rules(duplicates));
        run.wake();
        let (mark, durable) = (MarkKind::Resent, true);
        assert_eq!(run.out[0], Action::Write { mark, durable });
        run.feed(Event::Durable);
        assert_eq!(run.out, [Action::Pass { copy: 2 }]);
        run.feed(Event::Departing);
        assert_eq!(run.out, [Action::Send { copy: 2 }]);
        run.feed(Event::Reply(Reply::Accepted(Report::of(
            OrderState::Filled,
        ))));
        assert!(run.answers_with(Settlement::Confirmed(Via::Reply, OrderState::Filled)));
    }
}

#[test]
fn it_is_sent_again_only_when_absent_where_ids_are_checked_among_open_orders() {
    let mut run = Run::in_doubt(rules(Duplicates::RejectWhileOpen));
    run.look_up_all(LookUp::NotFound);
    assert_eq!(run.now, Duration::from_secs(10));
    assert!(run.wrote(MarkKind::Resent));
    run.feed(Event::Durable);
    run.feed(Event::Departing);
    // No other copy can exist, so that its rejection is final.
    run.feed(Event::Reply(Reply::Rejected));
    assert!(run.answers_with(Settlement::Rejected(Via::Reply)));
}

#[test]
fn a_rejected_second_copy_says_nothing_of_the_first() {
    let mut run = Run::in_doubt(rules(Duplicates::ReturnFirst));
    run.wake();
    run.feed(Event::Durable);
    run.feed(Event::Departing);
    run.feed(Event::Reply(Reply::Rejected));
    assert_eq!(run.intent.state(), IntentState::InDoubt);
    // Nor does a report of a rejection, which may be that of the second one.
    run.observe(OrderState::Rejected);
    assert_eq!(run.intent.state(), IntentState::InDoubt);
    run.wake();
    run.look_up(found(OrderState::Rejected));
    assert_eq!(run.intent.state(), IntentState::InDoubt);
    run.look_up_all(found(OrderState::Rejected));
    assert!(
        run.answers_with(Settlement::Rejected(Via::LookUp)),
        "after the window"
    );
}

#[test]
fn a_late_report_of_a_rejection_may_be_that_of_an_absent_copy() {
    let mut run = Run::in_doubt(rules(Duplicates::RejectWhileOpen));
    run.look_up_all(LookUp::NotFound);
    run.feed(Event::Durable);
    run.feed(Event::Departing);
    run.observe(OrderState::Rejected);
    assert_eq!(run.intent.state(), IntentState::Sent, "its call goes on");
    run.feed(Event::Reply(Reply::Accepted(Report::of(OrderState::Open))));
    assert_eq!(run.intent.state(), IntentState::Confirmed);
}

#[test]
fn a_reported_rejection_of_the_only_copy_is_final() {
    let mut run = Run::in_doubt(rules(Duplicates::ReturnFirst));
    run.observe(OrderState::Rejected);
    assert!(run.answers_with(Settlement::Rejected(Via::Evidence)));
}

#[test]
fn an_order_that_the_broker_calls_a_duplicate_is_never_absent() {
    for duplicates in CLASSES {
        let mut run = Run::sent(rules(duplicates));
        run.feed(Event::Reply(Reply::Duplicate));
        run.look_up_all(LookUp::NotFound);
        assert_eq!(run.intent.state(), IntentState::Exhausted, "{duplicates:?}");
    }
}

#[test]
fn it_is_not_sent_again_without_need() {
    // A label, a replacement, no caller, no time, a journal that fails.
    let mut run = Run::in_doubt(rules(Duplicates::Accept));
    run.look_up_all(LookUp::NotFound);
    assert_eq!(run.intent.settlement(), Some(LOOKED_UP));

    let replace = rules(Duplicates::RejectWhileOpen).operation(Operation::Replace);
    let mut run = Run::in_doubt(replace);
    run.look_up_all(LookUp::NotFound);
    assert_eq!(run.intent.settlement(), Some(LOOKED_UP));

    for duplicates in CLASSES {
        let mut run = Run::sent(rules(duplicates));
        run.feed(Event::Dropped);
        let notice = Notice::InDoubt(DoubtCause::Dropped);
        assert_eq!(run.out, [Action::Notify(notice)]);
        run.look_up_all(LookUp::NotFound);
        assert_eq!(run.intent.settlement(), Some(LOOKED_UP), "{duplicates:?}");
        assert_eq!(run.answers(), None);

        let mut run = Run::new(rules(duplicates), Some(1));
        run.feed(Event::Durable);
        run.feed(Event::Departing);
        run.wake();
        assert_eq!(run.answers(), Some(Answer::Unknown), "at its deadline");
        run.look_up_all(LookUp::NotFound);
        assert_eq!(run.intent.settlement(), Some(LOOKED_UP), "{duplicates:?}");
    }

    let mut run = Run::in_doubt(rules(Duplicates::RejectWhileOpen));
    run.look_up_all(LookUp::NotFound);
    run.feed(Event::NotDurable);
    assert!(run.answers_with(Settlement::Absent(NotExecuted::NotJournalled)));
}

#[test]
fn it_is_not_sent_again_after_the_broker_may_have_forgotten_the_id() {
    let forgets = rules(Duplicates::RejectForATime).resend_within(Duration::from_secs(5));
    let mut run = Run::sent(forgets);
    run.now = Duration::from_secs(5);
    run.lose();
    run.wake();
    assert!(run.query().is_some(), "{:?}", run.out);
}

#[test]
fn a_resend_that_did_not_leave_leaves_the_first_in_doubt() {
    let mut run = Run::in_doubt(rules(Duplicates::ReturnFirst));
    run.wake();
    run.feed(Event::Durable);
    run.feed(Event::Reply(Reply::NotSent));
    assert_eq!(run.intent.state(), IntentState::InDoubt);
    run.look_up_all(found(OrderState::Filled));
    assert_eq!(run.intent.state(), IntentState::Confirmed);
}

#[test]
fn evidence_stops_a_resend_that_waits() {
    let mut run = Run::in_doubt(rules(Duplicates::ReturnFirst));
    run.wake();
    run.feed(Event::Durable);
    run.observe(OrderState::Filled);
    assert!(run.out.contains(&Action::Withdraw));
    assert!(run.answers_with(Settlement::Confirmed(Via::Evidence, OrderState::Filled)));
    run.feed(Event::Departing);
    assert_eq!(run.out, [Action::Withhold]);
}

#[test]
fn several_orders_of_one_id_are_an_alert_at_once() {
    let mut run = Run::in_doubt(rules(Duplicates::Accept));
    run.wake();
    run.look_up(LookUp::Several(OrderState::Open));
    assert!(run.alerts(Alert::SeveralOrders));
    assert_eq!(run.intent.state(), IntentState::Confirmed);
}

#[test]
fn the_window_begins_again_where_the_process_stood_still() {
    let mut run = Run::in_doubt(rules(Duplicates::Accept));
    run.now = Duration::from_secs(3_600);
    run.feed(Event::StoodStill);
    // Noticed twice, it is one standstill.
    run.now += Duration::from_millis(5);
    run.feed(Event::StoodStill);
    run.feed(Event::Tick);
    run.look_up(LookUp::NotFound);
    while run.intent.settlement().is_none() {
        run.wake();
        run.look_up(LookUp::NotFound);
    }
    assert_eq!(run.intent.settlement(), Some(LOOKED_UP));
    assert_eq!(run.now, Duration::from_secs(3_610));
}

#[test]
fn a_process_that_always_stands_still_settles_its_orders_nevertheless() {
    let mut run = Run::in_doubt(rules(Duplicates::Accept));
    let mut standstills = 0;
    while run.intent.settlement().is_none() {
        run.now = run.intent.wake(&run.rules).unwrap() + Duration::from_secs(20);
        standstills += 1;
        run.feed(Event::StoodStill);
        run.feed(Event::Tick);
        run.look_up(LookUp::NotFound);
        assert!(standstills < 10);
    }
    assert!(standstills > 3);
}

#[test]
fn queries_that_are_not_made_come_ever_later_and_do_not_count() {
    let rules = rules(Duplicates::Accept).max_backoff(Duration::from_secs(30));
    let mut run = Run::in_doubt(rules);
    let mut waits = Vec::new();
    for _ in 0..100 {
        let before = run.now;
        run.wake();
        run.look_up(LookUp::NotMade);
        waits.push((run.now - before).as_secs());
    }
    assert_eq!(waits[..8], [1, 1, 2, 4, 8, 16, 30, 30]);
    assert_eq!(run.intent.state(), IntentState::InDoubt);
    // One that is made begins from where the look-ups are.
    run.wake();
    run.look_up(LookUp::Failed);
    let before = run.now;
    run.wake();
    assert_eq!((run.now - before).as_secs(), 1);
    run.look_up(LookUp::Failed);
    run.wake();
    run.look_up(LookUp::Failed);
    assert_eq!(run.intent.state(), IntentState::Exhausted, "of three");
}

#[test]
fn each_time_has_a_bound() {
    type Set = fn(RulesBuilder, Duration) -> RulesBuilder;
    let times: [(&str, u64, Set); 5] = [
        ("window", 1, RulesBuilder::window),
        ("first_look_up", 24, RulesBuilder::first_look_up),
        ("backoff", 24, |rules, time| {
            rules.backoff(time).max_backoff(time)
        }),
        ("max_backoff", 24, RulesBuilder::max_backoff),
        ("look_up_timeout", 1, RulesBuilder::look_up_timeout),
    ];
    for (field, hours, set) in times {
        let most = Duration::from_secs(hours * 3_600);
        let built = |time| set(Rules::builder(Duplicates::Accept), time).build();
        assert!(built(most).is_ok(), "{field}");
        for time in [
            Duration::ZERO,
            most + Duration::from_nanos(1),
            Duration::MAX,
        ] {
            let error = built(time).unwrap_err().to_string();
            let accepted = format!("a time above 0s, up to {hours} h");
            assert_eq!(
                error,
                format!("`{field}` is {}, accepted is {accepted}", Span(time))
            );
        }
    }
}

#[test]
fn a_standstill_without_a_doubt_changes_nothing() {
    let mut run = Run::sent(rules(Duplicates::Accept));
    let before = run.intent.clone();
    run.now = Duration::from_secs(3_600);
    run.feed(Event::StoodStill);
    assert_eq!((run.intent, run.out), (before, Vec::new()));
}

#[test]
fn an_exhausted_order_waits_after_a_standstill_as_well() {
    let mut run = Run::in_doubt(rules(Duplicates::Accept));
    run.look_up_all(LookUp::Failed);
    assert_eq!(run.intent.state(), IntentState::Exhausted);
    run.now = Duration::from_secs(3_600);
    run.feed(Event::StoodStill);
    run.feed(Event::LookUpAgain);
    run.look_up(LookUp::NotFound);
    assert_eq!(run.intent.state(), IntentState::InDoubt, "too early");
}
