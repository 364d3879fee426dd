//! The protocol in every order of events, within bounds: a model check of each class of broker, and
//! of drivers with a planted bug, which it has to find.

mod broker;
mod checked;
mod world;

use std::time::Duration;

use seawall_orders::protocol::{Coverage, Duplicates, Rules};
use stateright::{Checker, Expectation, HasDiscoveries, Model};

use world::{Bug, Faults, Setup};

const NONE: Faults = Faults {
    crashes: 0,
    failed_queries: 0,
    broken_queries: 0,
    unmade_queries: 0,
    slow_queries: 0,
    cancels: 0,
    failed_cancels: 0,
    evidence: 0,
    proxy_repeats: 0,
    inner_repeats: 0,
    not_left: 0,
    drops: 0,
    disk_errors: 0,
    standstills: 0,
};

fn setup(duplicates: Duplicates, coverage: Coverage, faults: Faults, bug: Bug) -> Setup {
    let window = if bug == Bug::ShortWindow { 1 } else { 2 };
    let second = Duration::from_secs(1);
    let rules = Rules::builder(duplicates)
        .coverage(coverage)
        .window(second * window)
        .first_look_up(second)
        .backoff(second)
        .max_backoff(second)
        .look_up_timeout(second * 5)
        .look_ups(2)
        .cancels(2)
        .build()
        .expect("these rules are accepted");
    Setup {
        rules,
        bug,
        faults,
        deadline: 5,
        stack_wait: 1,
        only: None,
    }
}

/// Names the properties that do not hold, and those that are to be reached and are not.
fn violations(setup: Setup) -> Vec<&'static str> {
    let about = format!(
        "{:?}, {:?}, {:?}",
        setup.rules.duplicates(),
        setup.bug,
        setup.faults
    );
    let checker = setup.checker().threads(2);
    let checker = checker
        .finish_when(HasDiscoveries::AnyFailures)
        .spawn_bfs()
        .join();
    let mut violated = Vec::new();
    for property in checker.model().properties() {
        let found = checker.discovery(property.name);
        if found.is_some() != matches!(property.expectation, Expectation::Sometimes) {
            if let Some(path) = found {
                println!("{}: {:?}", property.name, path.into_actions());
            }
            violated.push(property.name);
        }
    }
    let states = checker.unique_state_count();
    println!(
        "{about}: {states} states, {} steps deep",
        checker.max_depth()
    );
    violated
}

/// No sequence of events within these faults breaks an invariant, at a broker of this class.
fn holds(duplicates: Duplicates, faults: &[Faults], stack_wait: u8) {
    for faults in faults {
        let setup = Setup {
            stack_wait,
            ..setup(duplicates, Coverage::OpenThenClosed, *faults, Bug::None)
        };
        assert_eq!(violations(setup), [""; 0], "{duplicates:?}, {faults:?}");
    }
}

const EACH: [Faults; 11] = [
    Faults {
        crashes: 1,
        failed_queries: 1,
        ..NONE
    },
    Faults {
        failed_queries: 2,
        disk_errors: 1,
        drops: 1,
        ..NONE
    },
    Faults {
        proxy_repeats: 1,
        inner_repeats: 1,
        not_left: 1,
        evidence: 1,
        ..NONE
    },
    Faults {
        cancels: 1,
        failed_cancels: 2,
        ..NONE
    },
    Faults {
        evidence: 1,
        crashes: 1,
        ..NONE
    },
    Faults {
        standstills: 2,
        failed_queries: 1,
        ..NONE
    },
    Faults {
        broken_queries: 1,
        failed_queries: 2,
        ..NONE
    },
    Faults {
        broken_queries: 2,
        drops: 1,
        ..NONE
    },
    Faults {
        slow_queries: 2,
        failed_queries: 1,
        ..NONE
    },
    Faults {
        unmade_queries: 3,
        ..NONE
    },
    Faults {
        unmade_queries: 1,
        failed_queries: 1,
        ..NONE
    },
];

#[test]
fn where_the_first_order_is_returned() {
    holds(Duplicates::ReturnFirst, &EACH, 0);
}

#[test]
fn where_duplicates_are_rejected_for_a_time() {
    holds(Duplicates::RejectForATime, &EACH, 0);
}

#[test]
fn where_duplicates_are_rejected_while_the_first_is_open() {
    holds(Duplicates::RejectWhileOpen, &EACH, 0);
}

#[test]
fn where_the_id_is_a_label() {
    holds(Duplicates::Accept, &EACH, 0);
}

#[test]
#[ignore = "takes some minutes: more faults at once than the other tests have"]
fn with_more_faults() {
    let many = [
        Faults {
            crashes: 2,
            failed_queries: 1,
            ..NONE
        },
        Faults {
            crashes: 1,
            failed_queries: 2,
            disk_errors: 1,
            ..NONE
        },
        Faults {
            cancels: 1,
            failed_cancels: 1,
            crashes: 1,
            ..NONE
        },
        Faults {
            cancels: 2,
            failed_cancels: 2,
            ..NONE
        },
        Faults {
            evidence: 2,
            crashes: 1,
            ..NONE
        },
        Faults {
            evidence: 1,
            cancels: 1,
            failed_cancels: 1,
            failed_queries: 1,
            ..NONE
        },
        Faults {
            proxy_repeats: 1,
            inner_repeats: 1,
            drops: 1,
            failed_queries: 1,
            ..NONE
        },
    ];
    for duplicates in [
        Duplicates::ReturnFirst,
        Duplicates::RejectForATime,
        Duplicates::RejectWhileOpen,
        Duplicates::Accept,
    ] {
        holds(duplicates, &many, 1);
    }
}

const TWICE: &str = "executed at most once";
const WRONG_NO: &str = "not executed means not executed";
const LOST: &str = "every intent ends";

/// The checker finds that the property is violated with this bug, at a broker of this class.
fn finds(bug: Bug, duplicates: Duplicates, faults: Faults, property: &'static str) {
    let planted = |bug| Setup {
        stack_wait: 3,
        only: Some(property),
        ..setup(duplicates, Coverage::OpenThenClosed, faults, bug)
    };
    assert_eq!(
        violations(planted(bug)),
        [property],
        "{bug:?}, {duplicates:?}"
    );
}

#[test]
fn finds_an_order_that_leaves_before_it_is_in_the_journal() {
    let faults = Faults { crashes: 1, ..NONE };
    finds(
        Bug::JournalAfterSend,
        Duplicates::RejectWhileOpen,
        faults,
        LOST,
    );
    let early = "nothing leaves before the journal";
    finds(Bug::JournalAfterSend, Duplicates::ReturnFirst, NONE, early);
}

#[test]
fn finds_a_resend_before_the_end_of_the_window() {
    finds(Bug::ShortWindow, Duplicates::RejectWhileOpen, NONE, TWICE);
    finds(Bug::ShortWindow, Duplicates::Accept, NONE, WRONG_NO);
}

#[test]
fn finds_a_failed_query_taken_for_an_absent_order() {
    let faults = Faults {
        failed_queries: 2,
        ..NONE
    };
    finds(
        Bug::FailedIsNotFound,
        Duplicates::RejectWhileOpen,
        faults,
        TWICE,
    );
    finds(
        Bug::FailedIsNotFound,
        Duplicates::RejectForATime,
        faults,
        WRONG_NO,
    );
}

#[test]
fn finds_a_duplicate_taken_for_a_rejection() {
    let faults = Faults {
        proxy_repeats: 1,
        ..NONE
    };
    finds(
        Bug::DuplicateIsRejection,
        Duplicates::RejectForATime,
        faults,
        WRONG_NO,
    );
    finds(
        Bug::DuplicateIsRejection,
        Duplicates::RejectWhileOpen,
        faults,
        WRONG_NO,
    );
}

#[test]
fn finds_that_only_open_orders_are_queried() {
    finds(
        Bug::OpenOrdersOnly,
        Duplicates::RejectWhileOpen,
        NONE,
        TWICE,
    );
    finds(Bug::OpenOrdersOnly, Duplicates::Accept, NONE, WRONG_NO);
}

#[test]
fn finds_two_processes_with_one_journal() {
    finds(Bug::NoLock, Duplicates::RejectWhileOpen, NONE, WRONG_NO);
}

#[test]
fn finds_a_layer_below_that_sends_again() {
    let faults = Faults {
        inner_repeats: 1,
        ..NONE
    };
    finds(
        Bug::HiddenRepeat,
        Duplicates::RejectWhileOpen,
        faults,
        TWICE,
    );
    finds(Bug::HiddenRepeat, Duplicates::Accept, faults, TWICE);
}

#[test]
fn finds_exhausted_taken_for_a_rejection() {
    let faults = Faults {
        failed_queries: 2,
        ..NONE
    };
    finds(
        Bug::ExhaustedIsRejection,
        Duplicates::Accept,
        faults,
        WRONG_NO,
    );
}

#[test]
fn finds_a_start_that_trusts_a_missing_mark() {
    let faults = Faults { crashes: 1, ..NONE };
    finds(
        Bug::UnmarkedIsUnsent,
        Duplicates::ReturnFirst,
        faults,
        WRONG_NO,
    );
}

#[test]
fn finds_a_timeout_taken_for_not_sent() {
    finds(
        Bug::TimeoutIsNotSent,
        Duplicates::ReturnFirst,
        NONE,
        WRONG_NO,
    );
}

#[test]
fn finds_that_what_is_not_made_counts() {
    let faults = Faults {
        unmade_queries: 2,
        ..NONE
    };
    let property = "what is not made does not count";
    finds(Bug::UnmadeCounts, Duplicates::Accept, faults, property);
}

#[test]
fn finds_that_what_was_shown_is_forgotten() {
    let faults = Faults {
        broken_queries: 1,
        failed_queries: 1,
        ..NONE
    };
    let confirmed = "what was shown is confirmed";
    for class in [Duplicates::RejectWhileOpen, Duplicates::Accept] {
        finds(Bug::ShownIsForgotten, class, faults, confirmed);
    }
}

#[test]
fn finds_a_standstill_that_is_not_noticed() {
    let faults = Faults {
        standstills: 1,
        ..NONE
    };
    let bug = Bug::UnnoticedStandstill;
    finds(bug, Duplicates::RejectWhileOpen, faults, TWICE);
    finds(bug, Duplicates::Accept, faults, WRONG_NO);
}
