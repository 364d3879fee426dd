//! Events in any order, also those that no driver gives.

use std::time::Duration;

use proptest::prelude::*;
use seawall_orders::protocol::{
    Action, CancelReply, DoubtCause, Duplicates, Event, IntentState, LookUp, MarkKind, OrderState,
    Reply, Report, Rules, Verdict,
};

use crate::run::Run;

fn states() -> impl Strategy<Value = OrderState> {
    prop_oneof![
        Just(OrderState::Open),
        Just(OrderState::Filled),
        Just(OrderState::Cancelled),
        Just(OrderState::Rejected),
    ]
}

fn events() -> impl Strategy<Value = Event> {
    let report = || {
        let order = proptest::option::of(0..2_u64);
        (order, states()).prop_map(|(order, state)| Report { order, state })
    };
    let look_up = prop_oneof![
        report().prop_map(LookUp::Found),
        report().prop_map(LookUp::Shown),
        Just(LookUp::NotMade),
        Just(LookUp::NotFound),
        Just(LookUp::NotFound),
        Just(LookUp::Failed),
        states().prop_map(LookUp::Several),
    ];
    prop_oneof![
        4 => Just(Event::Durable),
        1 => Just(Event::NotDurable),
        4 => Just(Event::Departing),
        1 => report().prop_map(|report| Event::Reply(Reply::Accepted(report))),
        1 => Just(Event::Reply(Reply::Rejected)),
        1 => Just(Event::Reply(Reply::Duplicate)),
        1 => Just(Event::Reply(Reply::Throttled)),
        1 => Just(Event::Reply(Reply::NotSent)),
        4 => Just(Event::Reply(Reply::Unknown(DoubtCause::Reset))),
        1 => Just(Event::Dropped),
        6 => (1..6_u32, look_up).prop_map(|(number, found)| Event::LookUp { number, found }),
        1 => (1..6_u32).prop_map(|number| Event::LookUpGoesOn { number }),
        1 => report().prop_map(Event::Evidence),
        1 => Just(Event::Cancel),
        1 => Just(Event::CancelReply(CancelReply::Cancelled)),
        1 => Just(Event::CancelReply(CancelReply::UnknownOrder)),
        1 => Just(Event::CancelReply(CancelReply::NotMade)),
        1 => Just(Event::Resolve(Verdict::NotExecuted)),
        1 => Just(Event::LookUpAgain),
        1 => Just(Event::StoodStill),
        8 => Just(Event::Tick),
    ]
}

fn classes() -> impl Strategy<Value = Duplicates> {
    prop_oneof![
        Just(Duplicates::ReturnFirst),
        Just(Duplicates::RejectForATime),
        Just(Duplicates::RejectWhileOpen),
        Just(Duplicates::Accept),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Each copy that leaves was written durably before, has passed once, and asks once; there is
    /// one answer; an outcome is never unknown again.
    #[test]
    fn keep_what_is_promised(
        duplicates in classes(),
        steps in proptest::collection::vec((0..4_u64, events()), 0..60),
    ) {
        let mut run = Run::new(Rules::builder(duplicates).look_ups(3), Some(30));
        let (mut written, mut passed, mut sent, mut answers) = (1, 0, 0, 0);
        let mut durable = false;
        let mut settled = false;
        for (seconds, event) in steps {
            run.now += Duration::from_secs(seconds);
            let before = run.intent.state();
            run.feed(event);
            durable |= event == Event::Durable;
            for action in &run.out {
                match action {
                    Action::Write { mark: MarkKind::Resent, durable } => {
                        prop_assert!(*durable);
                        written += 1;
                    }
                    Action::Pass { copy } => {
                        passed += 1;
                        prop_assert!(durable);
                        prop_assert_eq!(*copy, sent + 1);
                    }
                    Action::Send { copy } => {
                        sent += 1;
                        prop_assert_eq!(event, Event::Departing);
                        prop_assert_eq!(before, IntentState::Waiting);
                        prop_assert_eq!(*copy, sent);
                    }
                    Action::Answer(_) => answers += 1,
                    _ => {}
                }
            }
            prop_assert!(sent <= passed && passed <= written);
            prop_assert!(sent <= 1 + run.rules.resends());
            prop_assert!(answers <= 1);
            prop_assert!(!settled || run.intent.settlement().is_some());
            settled |= run.intent.settlement().is_some();
if event == Event::Tick {
                // What was due is done: a driver that waits until the next time does not spin.
                prop_assert!(run.intent.wake(&run.rules).is_none_or(|due| due > run.now));
            }
        }
    }
}
