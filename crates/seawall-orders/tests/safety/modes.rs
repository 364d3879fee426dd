//! What passes in which mode, and how it changes.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use seawall_core::{EventKind, EventSource, Events, Figure, Reason, Received, Sent};
use seawall_orders::Operation;
use seawall_orders::protocol::{ModeCause, ModeChange, ModePolicy, TradingMode};
use seawall_orders::safety::{OrderRejection, TradingControl};

use super::{DAY, at, buy, create, switch};

fn policy(clean_queries: u32) -> ModePolicy {
    let policy = ModePolicy::builder().clean_queries(clean_queries);
    policy.build().unwrap()
}

#[test]
fn cancels_pass_in_every_mode() {
    let control = TradingControl::builder().build();
    let order = buy("AAPL", 1, 1);
    let mut reducing = buy("AAPL", 1, 1);
    reducing.reduces = true;
    let passes = |order, operation| {
        let admitted = control.admit(at(0), DAY, order, operation, false);
        admitted.is_ok()
    };
    for (mode, opens, reduces) in [
        (TradingMode::Normal, true, true),
        (TradingMode::ReduceOnly, false, true),
        (TradingMode::CancelOnly, false, false),
        (TradingMode::Halted, false, false),
    ] {
        control.set_mode(Some(mode));
        control.reset();
        assert_eq!(control.mode(), mode);
        for operation in [Operation::Create, Operation::Replace] {
            assert_eq!(passes(&order, operation), opens, "{mode:?} {operation:?}");
            let passed = passes(&reducing, operation);
            assert_eq!(passed, reduces, "{mode:?} {operation:?}");
        }
        assert!(passes(&order, Operation::Cancel), "{mode:?}");
    }
}

#[test]
fn a_circuit_that_opens_is_noticed_by_the_next_order() {
    let (open, is_open) = switch();
    let control = TradingControl::builder().circuit_open(is_open).build();
    let order = buy("AAPL", 1, 1);
    assert!(create(&control, 0, &order).is_ok());
    open.store(true, Ordering::SeqCst);
    let rejected = create(&control, 1, &order).unwrap_err();
    assert_eq!(
        rejected.to_string(),
        "trading mode cancel_only, because of circuit_open; nothing was sent"
    );
    let rejected = rejected.rejection(&EventSource::new("orders", "alpaca"));
    assert_eq!(rejected.reason(), Reason::TradingMode);
    assert_eq!((rejected.sent(), rejected.retry_after()), (Sent::No, None));
    assert_eq!(rejected.pattern(), Some("orders"));
    let words = "trading mode cancel_only, because of circuit_open";
    assert_eq!(rejected.figure(), Some(Figure::Because(words.into())));
}

#[test]
fn the_mode_changes_while_no_order_comes() {
    let (spent, is_spent) = switch();
    let (killed, is_killed) = switch();
    let control = TradingControl::builder()
        .policy(policy(0))
        .limits_spent(is_spent)
        .kill_switch(is_killed)
        .build();
    assert_eq!(control.refresh(), TradingMode::Normal);
    spent.store(true, Ordering::SeqCst);
    assert_eq!(control.mode(), TradingMode::Normal, "nobody has asked");
    assert_eq!(control.refresh(), TradingMode::CancelOnly);
    killed.store(true, Ordering::SeqCst);
    assert_eq!(control.refresh(), TradingMode::Halted);
    assert_eq!(control.snapshot(at(0)).cause, ModeCause::KillSwitch);
    killed.store(false, Ordering::SeqCst);
    spent.store(false, Ordering::SeqCst);
    assert_eq!(control.refresh(), TradingMode::Normal);
}

#[test]
fn a_process_that_starts_with_the_kill_switch_engaged_is_halted_at_once() {
    let (killed, is_killed) = switch();
    killed.store(true, Ordering::SeqCst);
    let control = TradingControl::builder().kill_switch(is_killed).build();
    assert_eq!(control.mode(), TradingMode::Halted);
}

#[test]
fn it_returns_by_itself_after_clean_queries() {
    let control = TradingControl::builder().policy(policy(2)).build();
    control.set_starting(2);
    control.queried(true);
    control.queried(true);
    assert_eq!(control.mode(), TradingMode::CancelOnly, "still reconciling");
    control.set_starting(0);
    assert!(control.is_validating());
    control.queried(true);
    control.queried(false);
    control.queried(true);
    assert_eq!(control.mode(), TradingMode::CancelOnly);
    control.queried(true);
    assert_eq!(control.mode(), TradingMode::Normal);
    assert!(!control.is_validating());
}

#[test]
fn what_the_layer_counts_has_its_mode() {
    let control = TradingControl::builder().policy(policy(0)).build();
    let mode = || (control.mode(), control.snapshot(at(0)).cause);
    control.set_in_doubt(5);
    assert_eq!(mode(), (TradingMode::ReduceOnly, ModeCause::InDoubt));
    control.set_in_doubt(4);
    assert_eq!(mode(), (TradingMode::Normal, ModeCause::Fine));
    control.set_exhausted(1);
    assert_eq!(mode(), (TradingMode::ReduceOnly, ModeCause::Exhausted));
    control.set_journal_failed(true);
    assert_eq!(mode(), (TradingMode::Halted, ModeCause::Journal));
    control.set_journal_failed(false);
    control.set_exhausted(0);
    control.set_mode(Some(TradingMode::CancelOnly));
    assert_eq!(mode(), (TradingMode::CancelOnly, ModeCause::Manual));
    control.set_mode(None);
    assert_eq!(mode(), (TradingMode::Normal, ModeCause::Fine));
}

#[test]
fn changes_are_emitted_outside_of_the_lock() {
    let control = TradingControl::builder().policy(policy(1)).build();
    let events = Events::new(16);
    let mut subscription = events.subscribe();
    let source = EventSource::new("orders", "alpaca");
    source.attach(&events);
    let seen: Arc<Mutex<Vec<(ModeChange, TradingMode)>>> = Arc::default();
    let (inside, log) = (Arc::downgrade(&control), Arc::clone(&seen));
    assert!(control.listen(move |change| {
        // A listener may ask, which takes the lock.
        let mode = inside.upgrade().unwrap().mode();
        log.lock().unwrap().push((change, mode));
        source.emit(|| change.into());
    }));
    assert!(!control.listen(|_| {}), "there is one");

    control.set_in_doubt(7);
    control.set_in_doubt(8);
    control.set_in_doubt(0);
    control.queried(true);
    let expected = [
        (
            TradingMode::Normal,
            TradingMode::ReduceOnly,
            ModeCause::InDoubt,
        ),
        (
            TradingMode::ReduceOnly,
            TradingMode::Normal,
            ModeCause::Fine,
        ),
    ];
    let expected = expected.map(|(from, to, cause)| (ModeChange { from, to, cause }, to));
    assert_eq!(*seen.lock().unwrap(), expected);
    let Some(Received::Event(event)) = subscription.try_next() else {
        panic!("no event");
    };
    let transition = EventKind::Transition {
        from: "normal",
        to: "reduce_only",
        reason: "in_doubt",
    };
    assert_eq!(event.kind, transition);
}

#[test]
fn a_hook_says_what_reduces() {
    let control = TradingControl::builder()
        .reduces(|order| order.symbol.as_deref() == Some("HELD"))
        .build();
    control.set_mode(Some(TradingMode::ReduceOnly));
    assert!(create(&control, 0, &buy("HELD", 1, 1)).is_ok());
    let mut order = buy("AAPL", 1, 1);
    order.reduces = true;
    let rejected = create(&control, 0, &order).unwrap_err();
    assert!(matches!(rejected, OrderRejection::Mode(_)));
}
