//! Trading modes.

use seawall_orders::protocol::{
    Conditions, ModeCause, ModeChange, ModePolicy, ModeRequest, TradingMode, TradingModes,
};

fn modes(now: Conditions) -> TradingModes {
    let policy = ModePolicy::builder().build();
    TradingModes::new(policy.expect("the defaults are accepted"), now)
}

#[test]
fn the_most_severe_condition_decides() {
    let fine = Conditions::default();
    for (now, mode, cause) in [
        (fine, TradingMode::Normal, ModeCause::Fine),
        (fine.in_doubt(4), TradingMode::Normal, ModeCause::Fine),
        (
            fine.in_doubt(5),
            TradingMode::ReduceOnly,
            ModeCause::InDoubt,
        ),
        (
            fine.in_doubt(20),
            TradingMode::CancelOnly,
            ModeCause::InDoubt,
        ),
        (
            fine.exhausted(1),
            TradingMode::ReduceOnly,
            ModeCause::Exhausted,
        ),
        (
            fine.exhausted(1).circuit_open(true),
            TradingMode::CancelOnly,
            ModeCause::CircuitOpen,
        ),
        (
            fine.limits_spent(true),
            TradingMode::CancelOnly,
            ModeCause::LimitsSpent,
        ),
        (
            fine.starting(1),
            TradingMode::CancelOnly,
            ModeCause::Starting,
        ),
        (
            fine.journal_failed(true).starting(1),
            TradingMode::Halted,
            ModeCause::Journal,
        ),
        (
            fine.kill_switch(true).journal_failed(true),
            TradingMode::Halted,
            ModeCause::KillSwitch,
        ),
        (
            fine.manual(TradingMode::ReduceOnly),
            TradingMode::ReduceOnly,
            ModeCause::Manual,
        ),
        (
            fine.manual(TradingMode::Normal).starting(1),
            TradingMode::CancelOnly,
            ModeCause::Starting,
        ),
    ] {
        let modes = modes(now);
        assert_eq!((modes.mode(), modes.cause()), (mode, cause), "{now:?}");
    }
}

#[test]
fn cancels_and_queries_pass_in_every_mode() {
    for (mode, open, reduce) in [
        (TradingMode::Normal, true, true),
        (TradingMode::ReduceOnly, false, true),
        (TradingMode::CancelOnly, false, false),
        (TradingMode::Halted, false, false),
    ] {
        let modes = modes(Conditions::default().manual(mode));
        assert_eq!(modes.admit(ModeRequest::Open).is_ok(), open);
        assert_eq!(modes.admit(ModeRequest::Reduce).is_ok(), reduce);
        assert!(modes.admit(ModeRequest::Cancel).is_ok());
        assert!(modes.admit(ModeRequest::Query).is_ok());
        if let Err(rejected) = modes.admit(ModeRequest::Open) {
            assert_eq!((rejected.mode, rejected.cause), (mode, ModeCause::Manual));
        }
    }
}

#[test]
fn it_gets_worse_at_once_and_better_after_clean_queries() {
    let fine = Conditions::default();
    let mut modes = modes(fine);
    let worse = modes.update(fine.circuit_open(true));
    let (from, to) = (TradingMode::Normal, TradingMode::CancelOnly);
    let cause = ModeCause::CircuitOpen;
    assert_eq!(worse, Some(ModeChange { from, to, cause }));

    // Queries that succeed while it is bad do not count.
    for _ in 0..5 {
        assert_eq!(modes.queried(true), None);
    }
    assert_eq!(modes.update(fine), None);
    assert_eq!(modes.queried(true), None);
    assert_eq!(modes.queried(true), None);
    assert_eq!(modes.queried(false), None, "one that fails begins again");
    assert_eq!(modes.queried(true), None);
    assert_eq!(modes.queried(true), None);
    let cause = ModeCause::Fine;
    let (from, to) = (to, from);
    assert_eq!(modes.queried(true), Some(ModeChange { from, to, cause }));
}

#[test]
fn what_was_validated_of_a_better_state_is_forgotten() {
    let fine = Conditions::default();
    let mut modes = modes(fine.circuit_open(true));
    modes.update(fine);
    modes.queried(true);
    modes.queried(true);
    modes.update(fine.in_doubt(5));
    assert_eq!(modes.queried(true), None);
    assert_eq!(modes.mode(), TradingMode::CancelOnly);
    modes.queried(true);
    modes.queried(true);
    assert_eq!(modes.mode(), TradingMode::ReduceOnly);
}

#[test]
fn a_policy_that_contradicts_itself_is_an_error() {
    let none = ModePolicy::builder().reduce_from(0).build().unwrap_err();
    assert_eq!(none.field(), "reduce_from");
    let reversed = ModePolicy::builder()
        .reduce_from(9)
        .cancel_from(8)
        .build()
        .unwrap_err();
    assert_eq!(
        reversed.to_string(),
        "`cancel_from` is 8, accepted is from 9, which is `reduce_from`"
    );
}

#[test]
fn a_person_that_has_looked_need_not_wait_for_queries() {
    let mut modes = modes(Conditions::default().circuit_open(true));
    let fine = Conditions::default();
    assert_eq!(modes.update(fine), None);
    assert!(modes.is_validating());
    assert_eq!(
        (modes.mode(), modes.target()),
        (TradingMode::CancelOnly, TradingMode::Normal)
    );
    let change = ModeChange {
        from: TradingMode::CancelOnly,
        to: TradingMode::Normal,
        cause: ModeCause::Fine,
    };
    assert_eq!(modes.reset(fine), Some(change));
    assert_eq!(modes.reset(fine), None);
    assert!(!modes.is_validating());
}

#[test]
fn another_policy_keeps_what_was_validated() {
    let mut modes = modes(Conditions::default().circuit_open(true));
    let fine = Conditions::default();
    modes.update(fine);
    modes.queried(true);
    let fewer = ModePolicy::builder().clean_queries(1).build().unwrap();
    let change = modes.set_policy(fewer, fine).unwrap();
    assert_eq!(change.to, TradingMode::Normal);
    let halts = ModePolicy::builder().on_circuit_open(TradingMode::Halted);
    assert_eq!(modes.set_policy(halts.build().unwrap(), fine), None);
    let change = modes.update(fine.circuit_open(true)).unwrap();
    assert_eq!(change.to, TradingMode::Halted);
}
