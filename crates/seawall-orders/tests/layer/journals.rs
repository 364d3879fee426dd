//! Journals that answer late, fail, or are shared.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, OnceLock, mpsc};
use std::task::{Context, Waker};
use std::time::{Duration, SystemTime};

use seawall_core::{EventKind, Events, InstanceHandle, Reason, Received};
use seawall_orders::journal::{
    Answer, Entry, Filter, Intent, Journal, JournalError, Mark, MemoryJournal, Page, State, Step,
};
use seawall_orders::protocol::{Caps, Duplicates, OrderState, Report, TradingMode};
use seawall_orders::safety::TradingControl;
use seawall_orders::{
    Cancelled, Operation, OrderConfig, OrderError, OrderHandle, OrderLayer, ReceivedNotice,
};

use crate::common::{Body, Client, Desk, Fault, TestBroker, rejection, rules};

const MINUTES: Duration = Duration::from_secs(300);

/// A journal in memory that answers late, or does not work.
#[derive(Debug, Default)]
pub(crate) struct Faulty {
    pub(crate) inner: Arc<MemoryJournal>,
    pub(crate) delay_ms: AtomicU64,
    pub(crate) fails: AtomicBool,
    pub(crate) lists_fail: AtomicU64,
    /// Marks are not taken, which is answered later.
    pub(crate) marks_fail_late: AtomicBool,
    /// How often it was tried.
    pub(crate) prunes: AtomicU64,
}

impl Faulty {
    pub(crate) fn on(inner: Arc<MemoryJournal>) -> Self {
        Self {
            inner,
            ..Self::default()
        }
    }

    fn late<T: Send + 'static>(&self, answer: Answer<T>) -> Answer<T> {
        if self.fails.load(SeqCst) {
            return Answer::ready(Err(JournalError::Closed));
        }
        match self.delay_ms.load(SeqCst) {
            0 => answer,
            ms => Answer::pending(async move {
                tokio::time::sleep(Duration::from_millis(ms)).await;
                answer.await
            }),
        }
    }
}

impl Journal for Faulty {
    fn append(&self, intent: Intent) -> Answer<u64> {
        match self.fails.load(SeqCst) {
            true => Answer::ready(Err(JournalError::Closed)),
            false => self.late(self.inner.append(intent)),
        }
    }

    fn append_sent(&self, intent: Intent) -> Answer<u64> {
        self.inner.append_sent(intent)
    }

    fn mark(&self, id: &str, mark: Mark) -> Answer<State> {
        if self.marks_fail_late.load(SeqCst) {
            return Answer::pending(async {
                tokio::time::sleep(Duration::from_millis(10)).await;
                Err(JournalError::Closed)
            });
        }
        match self.fails.load(SeqCst) {
            true => Answer::ready(Err(JournalError::Closed)),
            false => self.late(self.inner.mark(id, mark)),
        }
    }

    fn entry(&self, id: &str) -> Answer<Option<Entry>> {
        self.late(self.inner.entry(id))
    }

    fn list(&self, filter: &Filter) -> Answer<Page> {
        let fails = |left: u64| left.checked_sub(1);
        match self.lists_fail.fetch_update(SeqCst, SeqCst, fails) {
            Ok(_) => Answer::ready(Err(JournalError::Closed)),
            Err(_) => self.inner.list(filter),
        }
    }

    fn prune(&self, before: SystemTime) -> Answer<u64> {
        self.prunes.fetch_add(1, SeqCst);
        self.late(self.inner.prune(before))
    }
}

fn layer_on(journal: &Arc<Faulty>) -> OrderLayer<Body> {
    let config = OrderConfig::builder()
        .deadline(Duration::from_secs(10))
        .build()
        .unwrap();
    OrderLayer::<Body>::builder("desk", TestBroker::new(rules(Duplicates::RejectWhileOpen)))
        .journal(Arc::clone(journal))
        .config(config)
        .build()
        .unwrap()
}

fn desk_on(journal: &Arc<Faulty>) -> Desk {
    Desk::of(Client::default(), Arc::default(), layer_on(journal))
}

async fn state(journal: &Faulty, id: &str) -> Option<State> {
    let entry = journal.inner.entry(id).await.unwrap();
    entry.map(|entry| entry.state())
}

#[tokio::test(start_paused = true)]
async fn a_late_answer_that_the_id_is_used_leaves_the_other_order_alone() {
    for how in 0..3 {
        let journal = Arc::new(Faulty::default());
        let theirs = Intent::new("a", Operation::Create, SystemTime::now()).account("other");
        journal.append_sent(theirs).await.unwrap();
        let desk = desk_on(&journal);
        desk.handle.started().await;
        journal.delay_ms.store(20_000, SeqCst);
        let mut placing = Box::pin(desk.place("a"));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(placing.as_mut().poll(&mut cx).is_pending());
        match how {
            0 => drop(placing),
            1 => {
                let cancelled = desk.handle.cancel("a", MINUTES).await.unwrap();
                assert_eq!(cancelled, Cancelled::NotSent);
                assert_eq!(rejection(placing.await).reason(), Reason::NotExecuted);
            }
            _ => assert_eq!(rejection(placing.await).reason(), Reason::NotExecuted),
        }
        tokio::time::sleep(MINUTES).await;
        assert_eq!(state(&journal, "a").await, Some(State::Sent), "{how}");
        assert_eq!(desk.client.executed("a"), 0);
        assert!(desk.handle.orders().is_empty(), "it is not ours");
    }
}

#[tokio::test(start_paused = true)]
async fn an_order_that_ended_before_it_was_written_is_marked_when_it_is() {
    let journal = Arc::new(Faulty::default());
    let desk = desk_on(&journal);
    desk.handle.started().await;
    journal.delay_ms.store(2_000, SeqCst);
    let mut placing = Box::pin(desk.place("a"));
    let mut cx = Context::from_waker(Waker::noop());
    assert!(placing.as_mut().poll(&mut cx).is_pending());
    drop(placing);
    assert_eq!(state(&journal, "a").await, Some(State::Intent));
    tokio::time::sleep(MINUTES).await;
    assert_eq!(state(&journal, "a").await, Some(State::Abandoned));
    assert_eq!(desk.client.world().creates, 0);
}

#[tokio::test(start_paused = true)]
async fn the_orders_of_another_account_cannot_be_touched() {
    let journal = Arc::new(Faulty::default());
    let theirs = Intent::new("theirs", Operation::Create, SystemTime::now()).account("other");
    journal.append_sent(theirs).await.unwrap();
    let desk = desk_on(&journal);
    let filled = Report::of(OrderState::Filled);
    let unknown = |result| matches!(result, Err(OrderError::UnknownOrder));
    assert!(unknown(desk.handle.observe("theirs", filled).await));
    assert!(unknown(desk.handle.order("theirs").await.map(drop)));
    assert!(unknown(
        desk.handle.cancel("theirs", MINUTES).await.map(drop)
    ));
    tokio::time::sleep(MINUTES).await;
    assert_eq!(state(&journal, "theirs").await, Some(State::Sent));
}

/// The first number is 0, so 0 cannot say that there is none.
#[tokio::test(start_paused = true)]
async fn an_order_has_a_number_once_the_journal_has_it() {
    let journal = Arc::new(Faulty::default());
    let desk = desk_on(&journal);
    desk.handle.started().await;
    journal.delay_ms.store(2_000, SeqCst);
    let placing = tokio::spawn(desk.place("a"));
    tokio::time::sleep(Duration::from_millis(1_000)).await;
    let number = |desk: &Desk| desk.handle.orders()[0].number;
    assert_eq!(number(&desk), None);
    assert_eq!(desk.handle.by_reference(0), None);
    assert!(placing.await.unwrap().is_ok());
    assert_eq!(number(&desk), Some(0));
    assert_eq!(&*desk.handle.by_reference(0).unwrap().id, "a");

    // Of one that the journal did not take, neither its events nor its notices have one.
    let mut notices = desk.handle.subscribe();
    journal.fails.store(true, SeqCst);
    assert_eq!(
        rejection(desk.place("b").await).reason(),
        Reason::NotExecuted
    );
    let Some(ReceivedNotice::Notice(notice)) = notices.next().await else {
        panic!("no notice")
    };
    assert_eq!((&*notice.id, notice.number), ("b", None));
}

/// Where a lock is held while listeners run, this one waits for itself.
#[test]
fn a_listener_may_look_at_the_orders_when_the_journal_fails() {
    let (over, is_over) = mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let journal = Arc::new(Faulty::default());
            let control = TradingControl::builder().build();
            let handle = Arc::new(OnceLock::<OrderHandle>::new());
            let looks = Arc::clone(&handle);
            control.listen(move |_| {
                let _ = looks.get().map(OrderHandle::orders);
            });
            let layer = OrderLayer::<Body>::builder(
                "desk",
                TestBroker::new(rules(Duplicates::RejectWhileOpen)),
            )
            .journal(Arc::clone(&journal))
            .control(control)
            .build()
            .unwrap();
            let desk = Desk::of(Client::default(), Arc::default(), layer);
            let _ = handle.set(desk.handle.clone());
            desk.client.fault(Fault::Stall(1));
            let placing = tokio::spawn(desk.place("a"));
            tokio::time::sleep(Duration::from_secs(2)).await;
            journal.fails.store(true, SeqCst);
            let filled = Report::of(OrderState::Filled);
            desk.handle.observe("a", filled).await.unwrap();
            assert_eq!(placing.await.unwrap().unwrap().status(), 200);
            assert_eq!(desk.handle.snapshot().mode, TradingMode::Halted);
        });
        let _ = over.send(());
    });
    let waited = is_over.recv_timeout(Duration::from_secs(20));
    assert!(waited.is_ok(), "it hangs or has failed");
}

#[tokio::test(start_paused = true)]
async fn a_journal_that_fails_halts_trading_until_it_works_again() {
    let journal = Arc::new(Faulty::default());
    let desk = desk_on(&journal);
    desk.handle.started().await;
    journal.fails.store(true, SeqCst);
    let rejected = rejection(desk.place("a").await);
    assert_eq!(rejected.reason(), Reason::NotExecuted);
    assert_eq!(
        rejection(desk.place("b").await).reason(),
        Reason::TradingMode
    );
    journal.fails.store(false, SeqCst);
    tokio::time::sleep(MINUTES).await;
    assert!(desk.place("c").await.is_ok());
    assert_eq!(desk.client.world().creates, 1);
}

/// Every mark is lost, at once or later; the order of the entry's steps is that of the events.
#[tokio::test(start_paused = true)]
async fn lost_marks_are_written_in_their_order_when_the_journal_works() {
    for late in [false, true] {
        let journal = Arc::new(Faulty::default());
        let desk = desk_on(&journal);
        desk.handle.started().await;
        let events = Events::new(64);
        desk.handle.attach(&events);
        let mut events = events.subscribe();
        let fails = match late {
            true => &journal.marks_fail_late,
            false => &journal.fails,
        };
        // From after the intents.
        journal.delay_ms.store(1_000, SeqCst);
        let placed = ["a", "b", "c"].map(|id| tokio::spawn(desk.place(id)));
        tokio::time::sleep(Duration::from_millis(500)).await;
        fails.store(true, SeqCst);
        journal.delay_ms.store(0, SeqCst);
        for placed in placed {
            assert_eq!(placed.await.unwrap().unwrap().status(), 200);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(desk.handle.snapshot().unwritten_marks, 6, "late: {late}");
        assert_eq!(state(&journal, "a").await, Some(State::Intent));
        assert_eq!(desk.handle.snapshot().mode, TradingMode::Halted);

        // It is tried again with longer and longer waits.
        journal.fails.store(true, SeqCst);
        let before = journal.prunes.load(SeqCst);
        tokio::time::sleep(MINUTES).await;
        let tried = journal.prunes.load(SeqCst) - before;
        assert!((8..=16).contains(&tried), "{tried}");
        assert_eq!(desk.handle.snapshot().unwritten_marks, 6);
        assert_eq!(desk.handle.snapshot().mode, TradingMode::Halted);

        journal.fails.store(false, SeqCst);
        fails.store(false, SeqCst);
        tokio::time::sleep(MINUTES).await;
        for id in ["a", "b", "c"] {
            let entry = journal.inner.entry(id).await.unwrap().unwrap();
            let steps: Vec<_> = entry.steps().iter().map(Step::state).collect();
            assert_eq!(steps, [State::Intent, State::Sent, State::Confirmed]);
            assert!(!entry.broker_id().is_empty());
            let times: Vec<_> = entry.steps().iter().map(Step::at).collect();
            assert!(times.is_sorted(), "{times:?}");
        }
        let snapshot = desk.handle.snapshot();
        assert_eq!(
            (snapshot.unwritten_marks, snapshot.mode),
            (0, TradingMode::Normal)
        );
        let recovered = std::iter::from_fn(|| events.try_next()).filter(|received| {
            matches!(received, Received::Event(event)
                if matches!(event.kind, EventKind::JournalRecovered { marks: 6 }))
        });
        assert_eq!(recovered.count(), 1);
        assert!(desk.place("d").await.is_ok());
    }
}

#[tokio::test(start_paused = true)]
async fn a_journal_that_cannot_be_read_at_first_is_counted_once() {
    let journal = Arc::new(Faulty::default());
    for id in ["a", "b"] {
        let body = format!(r#"{{"symbol":"AAPL","qty":1,"client_order_id":"{id}"}}"#);
        let request = seawall_orders::journal::SavedRequest::new("POST", "http://broker/orders");
        let intent = Intent::new(id, Operation::Create, SystemTime::now())
            .account("test")
            .request(request.body(body));
        journal.append_sent(intent).await.unwrap();
        let filled = Mark::confirmed(SystemTime::now(), id, "");
        journal.mark(id, filled).await.unwrap();
    }
    journal.lists_fail.store(3, SeqCst);
    let caps = Caps::builder().orders_per_day(3).build().unwrap();
    let layer =
        OrderLayer::<Body>::builder("desk", TestBroker::new(rules(Duplicates::RejectWhileOpen)))
            .journal(Arc::clone(&journal))
            .control(TradingControl::builder().caps(caps).build())
            .build()
            .unwrap();
    let desk = Desk::of(Client::default(), Arc::default(), layer);
    desk.handle.started().await;
    tokio::time::sleep(MINUTES).await;
    assert!(desk.place("c").await.is_ok(), "two of three were used");
    assert_eq!(rejection(desk.place("d").await).reason(), Reason::Guarded);
}

/// The layer, its tasks and its orders are gone when the last use of it is.
#[tokio::test(start_paused = true)]
async fn nothing_is_left_of_a_layer() {
    for failing in [false, true] {
        let journal = Arc::new(Faulty::default());
        let desk = desk_on(&journal);
        let client = desk.client.clone();
        if failing {
            journal.lists_fail.store(u64::MAX, SeqCst);
            journal.fails.store(true, SeqCst);
            assert!(desk.place("a").await.is_err());
        } else {
            for fault in [Fault::Lost, Fault::Stall(500), Fault::Dropped] {
                desk.client.fault(fault);
            }
            for id in ["a", "b", "c", "d"] {
                let mut placing = Box::pin(desk.place(id));
                let mut cx = Context::from_waker(Waker::noop());
                for _ in 0..3 {
                    if placing.as_mut().poll(&mut cx).is_ready() {
                        break;
                    }
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            }
        }
        drop(desk);
        tokio::time::sleep(MINUTES).await;
        assert_eq!(Arc::strong_count(&journal), 1, "failing: {failing}");
        assert_eq!(Arc::strong_count(&client.0), 1, "failing: {failing}");
    }
}
