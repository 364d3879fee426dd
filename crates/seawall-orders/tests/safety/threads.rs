//! Many threads and one control.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use seawall_orders::protocol::{Caps, TradingMode};
use seawall_orders::safety::TradingControl;

use super::{at, buy, create, switch};

#[test]
fn no_thread_gets_more_than_what_all_may_have() {
    let caps = Caps::builder().orders_per_day(1_000).symbol_per_day(400);
    let control = TradingControl::builder()
        .caps(caps.build().unwrap())
        .build();
    let (admitted, returned) = (AtomicU32::new(0), AtomicU32::new(0));
    thread::scope(|scope| {
        for thread in 0..8 {
            let (control, admitted, returned) = (&control, &admitted, &returned);
            scope.spawn(move || {
                for number in 0..400_u32 {
                    let symbol = ["AAPL", "MSFT", "TSLA", "NVDA"][number as usize % 4];
                    let order = buy(symbol, number, 1);
                    let Ok(admission) = create(control, u64::from(number), &order) else {
                        continue;
                    };
                    if number % 8 == thread {
                        control.give_back(admission);
                        returned.fetch_add(1, Ordering::SeqCst);
                    } else {
                        admitted.fetch_add(1, Ordering::SeqCst);
                    }
                }
            });
        }
    });
    let used = control.snapshot(at(0)).used;
    assert_eq!(used.today, admitted.into_inner());
    assert_eq!(used.today, 1_000, "all that may have left");
    assert!(returned.into_inner() > 0);
    let sum: u32 = used.busiest.iter().map(|symbol| symbol.today).sum();
    assert_eq!(sum, used.today);
}

#[test]
fn a_mode_that_flips_under_load_ends_as_the_conditions_ask() {
    let (open, is_open) = switch();
    let control = TradingControl::builder().circuit_open(is_open).build();
    let seen: Arc<[AtomicU32; 2]> = Arc::default();
    let counts = Arc::clone(&seen);
    control.listen(move |change| {
        let better = usize::from(change.to == TradingMode::Normal);
        counts[better].fetch_add(1, Ordering::SeqCst);
    });
    thread::scope(|scope| {
        for thread in 0..4 {
            let (control, open) = (&control, &open);
            scope.spawn(move || {
                for number in 0..2_000 {
                    match thread {
                        0 => open.store(number % 2 == 0, Ordering::SeqCst),
                        1 => control.queried(true),
                        _ => drop(create(control, number, &buy("AAPL", 1, 1))),
                    }
                }
            });
        }
    });
    open.store(false, Ordering::SeqCst);
    control.refresh();
    for _ in 0..3 {
        control.queried(true);
    }
    assert_eq!(control.mode(), TradingMode::Normal);
    assert!(create(&control, 9_000, &buy("AAPL", 1, 1)).is_ok());
    let [worse, better] = [0, 1].map(|index| seen[index].load(Ordering::SeqCst));
    assert_eq!(worse, better, "every change is reported once");
}
