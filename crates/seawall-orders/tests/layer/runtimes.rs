//! Runtimes that end while the process lives. In real time: a paused clock is its runtime's own.

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use seawall_orders::journal::{Journal, State};
use seawall_orders::protocol::{Duplicates, IntentState, Rules, TradingMode};
use seawall_orders::{OrderHandle, OrderLayer};
use tokio::runtime::{Builder, Runtime};
use tokio::time::Instant;

use crate::common::{Body, Client, Desk, Fault, TestBroker};
use crate::journals::Faulty;

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_time().build().unwrap()
}

fn quick() -> Rules {
    let ms = Duration::from_millis;
    Rules::builder(Duplicates::Accept)
        .window(ms(100))
        .first_look_up(ms(20))
        .backoff(ms(20))
        .max_backoff(ms(50))
        .look_up_timeout(ms(200))
        .look_ups(1_000)
        .build()
        .unwrap()
}

async fn settled(handle: &OrderHandle, id: &str) -> bool {
    let until = Instant::now() + Duration::from_secs(10);
    while Instant::now() < until {
        // Looked at without a method that would take the order up.
        if handle.counts().confirmed >= 1 {
            let order = handle.order(id).await.unwrap();
            return order.state == IntentState::Confirmed;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    false
}

/// A desk with an order in doubt, whose runtime is gone.
fn orphaned() -> Desk {
    let first = runtime();
    let desk = first.block_on(async {
        let desk = Desk::with(Client::default(), Arc::default(), quick());
        desk.handle.started().await;
        desk.client.world().failing_queries = usize::MAX;
        desk.client.fault(Fault::Lost);
        tokio::spawn(desk.place("a"));
        tokio::time::sleep(Duration::from_millis(150)).await;
        assert_eq!(desk.handle.in_doubt().len(), 1);
        desk
    });
    drop(first);
    desk.client.world().failing_queries = 0;
    runtime().block_on(async { tokio::time::sleep(Duration::from_millis(300)).await });
    assert_eq!(desk.handle.in_doubt().len(), 1, "nothing looks it up");
    desk
}

#[test]
fn an_orphaned_order_is_taken_up_by_the_next_order() {
    let desk = orphaned();
    desk.client.fault(Fault::Reject);
    let second = runtime();
    second.block_on(async {
        assert_eq!(desk.place("b").await.unwrap().status(), 422);
        assert!(settled(&desk.handle, "a").await, "it is not looked up");
        assert_eq!(desk.journalled("a").await, Some(State::Confirmed));
    });
    assert_eq!(desk.client.executed("a"), 1);
}

#[test]
fn an_orphaned_order_is_taken_up_by_a_look_at_the_orders() {
    let looks: [fn(&OrderHandle); 4] = [
        |handle| drop(handle.in_doubt()),
        |handle| assert_eq!(handle.snapshot().in_doubt, 1),
        |handle| handle.set_mode(None),
        |handle| handle.reset(),
    ];
    for (number, look) in looks.into_iter().enumerate() {
        let desk = orphaned();
        let second = runtime();
        second.block_on(async {
            look(&desk.handle);
            assert!(settled(&desk.handle, "a").await, "{number}");
        });
    }
    for number in 0..2 {
        let desk = orphaned();
        let second = runtime();
        second.block_on(async {
            match number {
                0 => desk.handle.started().await,
                _ => drop(desk.handle.order("a").await.unwrap()),
            }
            assert!(settled(&desk.handle, "a").await, "{number}");
        });
    }
}

/// Also where it ends again, and where another one lives all the time.
#[test]
fn each_runtime_takes_up_what_the_last_one_left() {
    let desk = orphaned();
    desk.client.world().failing_queries = usize::MAX;
    for _ in 0..3 {
        let next = runtime();
        next.block_on(async {
            let before = desk.client.world().queries;
            let _ = desk.handle.snapshot();
            tokio::time::sleep(Duration::from_millis(300)).await;
            assert!(desk.client.world().queries > before);
        });
    }
    desk.client.world().failing_queries = 0;
    let (last, other) = (runtime(), runtime());
    let _ = other.block_on(async { desk.handle.snapshot() });
    drop(other);
    last.block_on(async {
        let _ = desk.handle.snapshot();
        assert!(settled(&desk.handle, "a").await);
    });
}

/// The mode gets better by queries of a task, which ended with its runtime as well.
#[test]
fn the_trading_mode_gets_better_in_another_runtime() {
    let first = runtime();
    let desk = first.block_on(async {
        let desk = Desk::with(Client::default(), Arc::default(), quick());
        desk.handle.started().await;
        desk.handle.set_mode(Some(TradingMode::Halted));
        desk
    });
    drop(first);
    let second = runtime();
    second.block_on(async {
        desk.handle.set_mode(None);
        let until = Instant::now() + Duration::from_secs(20);
        while desk.handle.control().mode() != TradingMode::Normal {
            assert!(Instant::now() < until, "it stays halted");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
}

/// What the journal answers to an intent is lost with the runtime: what it has is read again.
#[test]
fn an_order_whose_intent_was_being_written_is_marked() {
    let journal = Arc::new(Faulty::default());
    let first = runtime();
    let desk = first.block_on(async {
        let layer = OrderLayer::<Body>::builder("desk", TestBroker::new(quick()))
            .journal(Arc::clone(&journal))
            .build()
            .unwrap();
        let desk = Desk::of(Client::default(), Arc::default(), layer);
        desk.handle.started().await;
        journal.delay_ms.store(60_000, SeqCst);
        tokio::spawn(desk.place("a"));
        tokio::time::sleep(Duration::from_millis(20)).await;
        desk
    });
    drop(first);
    journal.delay_ms.store(0, SeqCst);
    let state = async || {
        let entry = journal.inner.entry("a").await.unwrap();
        entry.unwrap().state()
    };
    let second = runtime();
    second.block_on(async {
        assert_eq!(state().await, State::Intent);
        let _ = desk.handle.snapshot();
        let until = Instant::now() + Duration::from_secs(10);
        while state().await != State::Abandoned && Instant::now() < until {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(state().await, State::Abandoned);
        assert_eq!(desk.handle.orders()[0].number, Some(0));
    });
    assert_eq!(desk.client.executed("a"), 0);
}
