//! What one reading finds.

use std::time::Duration;

use seawall_orders::lists::{
    ListError, ListErrorKind, ListName, ListsConfig, OwnEntry, OwnPositions, OwnView,
    OwnedDifference, Reading, compare, compare_positions,
};
use seawall_orders::protocol::{Decimal, OrderState};
use tokio::time::Instant;

use super::broker::{Event, Fake, Fault, figures};

const LONG: Duration = Duration::from_secs(600);

fn all_lists() -> Fake {
    Fake {
        has_closed: true,
        has_fills: true,
        has_positions: true,
        ..Fake::default()
    }
}

fn own(id: &str, state: OrderState, quantity: u32, filled: u32) -> OwnEntry {
    OwnEntry::new(id, figures(state, quantity, filled), LONG).confirmed_for(LONG)
}

async fn read(fake: &Fake, own: Vec<OwnEntry>) -> Result<Reading, ListError> {
    let config = ListsConfig::builder().build().unwrap();
    compare(fake, &fake.client(), None, config, || OwnView::of(own)).await
}

async fn positions(fake: &Fake) -> Result<Option<Reading>, ListError> {
    let own = OwnPositions::from_fn(|| [("AAPL", Decimal::ZERO)]);
    compare_positions(fake, &fake.client(), None, ListsConfig::default(), &own).await
}

async fn words(fake: &Fake, own: Vec<OwnEntry>) -> Vec<String> {
    let reading = read(fake, own).await.unwrap();
    reading
        .differences
        .iter()
        .map(ToString::to_string)
        .collect()
}

#[tokio::test(start_paused = true)]
async fn both_sides_have_their_figures() {
    let fake = all_lists();
    fake.place("same", figures(OrderState::Open, 10, 0));
    fake.place("filled", figures(OrderState::Filled, 10, 10));
    fake.place(None, figures(OrderState::Open, 7, 0));
    fake.place("theirs", figures(OrderState::PartiallyFilled, 5, 2));
    fake.place("done", figures(OrderState::Cancelled, 4, 1));
    let ours = vec![
        own("same", OrderState::Open, 10, 0),
        own("filled", OrderState::Open, 10, 0),
        own("lost", OrderState::Open, 3, 0),
        own("done", OrderState::Cancelled, 4, 1),
    ];
    assert_eq!(
        words(&fake, ours).await,
        [
            "we know open, 0 of 10 filled, the broker has order `b1` with the client order id \
             `filled`, AAPL, buy, filled, 10 of 10 filled",
            "the broker does not know `lost`: open, 0 of 3 filled",
            "the broker has what we do not know: order `b2`, AAPL, buy, open, 0 of 7 filled",
            "the broker has what we do not know: order `b3` with the client order id `theirs`, AAPL, \
             buy, partially_filled, 2 of 5 filled",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_listed_of_an_order_in_doubt_is_evidence_and_no_difference() {
    let fake = all_lists();
    for id in ["doubted", "rejected", "sent"] {
        fake.place(id, figures(OrderState::Open, 10, 0));
    }
    fake.place(None, figures(OrderState::Open, 7, 0));
    let in_doubt = |id: &str| OwnEntry::new(id, figures(OrderState::Open, 0, 0), LONG);
    let ours = vec![
        in_doubt("doubted").listed_is_evidence(),
        in_doubt("rejected").listed_is_evidence(),
        in_doubt("gone").listed_is_evidence(),
        in_doubt("sent"),
    ];
    let reading = read(&fake, ours).await.unwrap();
    let evidence = reading.evidence.iter();
    let ids: Vec<_> = evidence.map(|listed| listed.id.as_deref()).collect();
    assert_eq!(ids, [Some("doubted"), Some("rejected")]);
    assert_eq!(reading.differences.len(), 1, "the one without an id");
}

#[tokio::test(start_paused = true)]
async fn positions_are_compared_where_we_keep_them() {
    let fake = all_lists();
    fake.state.lock().unwrap().positions = vec![("AAPL", 100), ("MSFT", -5), ("TSLA", 1)];
    let config = ListsConfig::builder().build().unwrap();
    let positions: Vec<(&str, Decimal)> = vec![("AAPL", Decimal::from(90)), ("TSLA", 1.into())];
    let own = OwnPositions::from_fn(move || positions.clone());
    let client = fake.client();
    let reading = compare_positions(&fake, &client, None, config, &own).await;
    let reading = reading.unwrap().unwrap();
    assert_eq!(reading.listed, 3);
    let words: Vec<_> = reading
        .differences
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        words,
        [
            "AAPL: we have 90, the broker has 100",
            "MSFT: we have 0, the broker has -5"
        ]
    );
    let own = own.without(["MSFT"]).without(["AAPL".to_owned()]);
    let reading = compare_positions(&fake, &client, None, config, &own).await;
    assert_eq!(reading.unwrap().unwrap().differences, []);

    let none = Fake::default();
    let reading = compare_positions(&none, &client, None, config, &own).await;
    assert_eq!(reading, Ok(None), "it has no list of positions");
    let orders = read(&fake, Vec::new()).await.unwrap();
    assert_eq!(orders.differences, [], "those are of orders");
}

#[tokio::test(start_paused = true)]
async fn without_our_own_positions_nothing_is_known_of_them() {
    type Held = Vec<(&'static str, Decimal)>;
    let fake = all_lists();
    fake.state.lock().unwrap().positions = vec![("AAPL", 100)];
    let config = ListsConfig::builder().build().unwrap();
    let client = fake.client();
    let fails = OwnPositions::from_async_fn(|| async { Err::<Held, _>("no database".into()) });
    let hangs = OwnPositions::from_async_fn(std::future::pending::<Result<Held, _>>);
    let panics = OwnPositions::from_fn(|| -> Held { panic!("a bug") });
    let panics_later = OwnPositions::from_async_fn(|| async {
        tokio::time::sleep(Duration::from_millis(1)).await;
        if true {
            panic!("a bug, {}", "later")
        }
        Ok(Held::new())
    });
    for (own, words) in [
        (fails, "no database"),
        (hangs, "it did not come in time"),
        (panics, "it panicked: a bug"),
        (panics_later, "it panicked: a bug, later"),
    ] {
        let reading = compare_positions(&fake, &client, None, config, &own).await;
        let error = reading.unwrap_err();
        assert_eq!(error.list, ListName::Positions);
        assert_eq!(error.kind, ListErrorKind::Own(words.into()));
        let begins = "the broker's list `positions`: our own view is missing: ";
        assert_eq!(error.to_string(), format!("{begins}{words}"));
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_young_or_in_doubt_is_known_and_not_expected() {
    let fake = all_lists();
    fake.place("doubt", figures(OrderState::Open, 1, 0));
    let one = figures(OrderState::Open, 1, 0);
    let young = |id, age| OwnEntry::new(id, one, age).confirmed_for(age);
    let window = Duration::from_secs(15);
    let ours = vec![
        OwnEntry::new("doubt", one, LONG),
        OwnEntry::new("nowhere", one, LONG),
        young("new", window),
        own("refused", OrderState::Rejected, 1, 0),
        // Older than what the list of closed orders covers.
        OwnEntry::new("old", figures(OrderState::Filled, 1, 1), LONG * 1_000).confirmed_for(LONG),
    ];
    assert_eq!(words(&fake, ours).await, [""; 0]);
    // The reading itself took three requests of 100 ms: what is a little older is not expected either.
    let reading_takes = Duration::from_millis(300);
    assert_eq!(
        words(&fake, vec![young("new", window + reading_takes)])
            .await
            .len(),
        1
    );
    let later = young("new", window + reading_takes + Duration::from_millis(1));
    assert_eq!(words(&fake, vec![later]).await.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn without_a_list_of_closed_orders_nothing_is_called_unknown() {
    let fake = Fake {
        has_fills: true,
        ..Fake::default()
    };
    fake.place("partly", figures(OrderState::Cancelled, 5, 2));
    fake.place("filled", figures(OrderState::Filled, 5, 5));
    let ours = vec![
        own("gone", OrderState::Open, 3, 0),
        own("partly", OrderState::PartiallyFilled, 5, 2),
        own("cancelled", OrderState::Cancelled, 3, 0),
        own("filled", OrderState::Filled, 5, 5),
        own("unfilled", OrderState::Filled, 5, 5),
    ];
    assert_eq!(
        words(&fake, ours).await,
        [
            "`gone` is not open at the broker: open, 0 of 3 filled",
            "`partly` is not open at the broker: partially_filled, 2 of 5 filled",
            "the broker does not know `unfilled`: filled, 5 of 5 filled",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn several_orders_of_one_id_that_work() {
    let fake = all_lists();
    for _ in 0..3 {
        fake.place("twice", figures(OrderState::Open, 1, 0));
    }
    let ours = vec![own("twice", OrderState::Open, 1, 0)];
    let reading = read(&fake, ours).await.unwrap();
    let several = OwnedDifference::Several {
        id: "twice".into(),
        live: 3,
    };
    assert_eq!(reading.differences, [several]);
    assert_eq!(reading.listed, 3);
}

#[tokio::test(start_paused = true)]
async fn an_order_that_moves_while_lists_are_read_is_no_difference() {
    // Filled between the list of open orders and the one of closed ones, and between two pages.
    for after in 0..4 {
        let fake = all_lists();
        for id in ["a", "b", "c", "d", "e"] {
            fake.place(id, figures(OrderState::Open, 1, 0));
        }
        fake.state.lock().unwrap().events = vec![(after, Event::Fill("a"))];
        let ours = || ["a", "b", "c", "d", "e"].map(|id| own(id, OrderState::Open, 1, 0));
        let reading = read(&fake, ours().into()).await.unwrap();
        // At most one order was pushed over the edge of a page, and is in the next reading.
        let unknown = |of: &&OwnedDifference| of.as_str() == "unknown_to_broker";
        let missing = reading.differences.iter().filter(unknown).count();
        assert!(missing <= 1, "{after}: {:?}", reading.differences);
        let mut ours: Vec<_> = ours().into();
        ours[0] = own("a", OrderState::Filled, 1, 1);
        assert_eq!(words(&fake, ours).await, [""; 0], "{after}");
    }
    // An order that is placed moves one to the next page, where it is read again.
    let fake = all_lists();
    for id in ["a", "b", "c"] {
        fake.place(id, figures(OrderState::Open, 1, 0));
    }
    fake.state.lock().unwrap().events = vec![(0, Event::Place)];
    let ours = ["a", "b", "c"].map(|id| own(id, OrderState::Open, 1, 0));
    let reading = read(&fake, ours.into()).await.unwrap();
    assert_eq!((reading.differences, reading.listed), (vec![], 3));
}

#[tokio::test(start_paused = true)]
async fn what_was_sent_while_lists_are_read_is_known() {
    let fake = all_lists();
    fake.place("a", figures(OrderState::Open, 1, 0));
    let config = ListsConfig::builder().build().unwrap();
    let began = Instant::now();
    let view = || {
        assert!(Instant::now() > began, "taken after the lists");
        OwnView::of(vec![own("a", OrderState::Open, 1, 0)])
    };
    let reading = compare(&fake, &fake.client(), None, config, view)
        .await
        .unwrap();
    assert_eq!(reading.differences, []);
    assert_eq!(reading.began, began);
}

#[tokio::test(start_paused = true)]
async fn a_list_that_is_not_read_to_its_end_is_an_error() {
    for (request, list) in [
        (0, ListName::Open),
        (1, ListName::Open),
        (2, ListName::Closed),
        (3, ListName::Fills),
        (0, ListName::Positions),
    ] {
        for (fault, words) in [
            (Fault::NoConnection, "a request failed: connection refused"),
            (Fault::Stalls, "a response did not come in time"),
            (
                Fault::Unreadable,
                "a response cannot be read: it is a page for people",
            ),
        ] {
            let fake = all_lists();
            for _ in 0..3 {
                fake.place(None, figures(OrderState::Open, 1, 0));
            }
            fake.state.lock().unwrap().faults = vec![(request, fault)];
            let error = match list {
                ListName::Positions => positions(&fake).await.unwrap_err(),
                _ => read(&fake, Vec::new()).await.unwrap_err(),
            };
            let list = list.as_str();
            assert_eq!(
                error.to_string(),
                format!("the broker's list `{list}`: {words}")
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn lists_have_an_end() {
    let fake = all_lists();
    for _ in 0..5 {
        fake.place(None, figures(OrderState::Open, 1, 0));
    }
    let config = ListsConfig::builder().max_pages(2).build().unwrap();
    let client = fake.client();
    let read = compare(&fake, &client, None, config, OwnView::default);
    let error = read.await.unwrap_err();
    assert_eq!(error.kind, ListErrorKind::TooLong { pages: 2 });
    assert_eq!(fake.state.lock().unwrap().requests, 2);

    let none = Fake {
        has_no_open: true,
        ..all_lists()
    };
    let read = compare(&none, &client, None, config, OwnView::default);
    assert_eq!(read.await.unwrap_err().kind, ListErrorKind::Missing);
}

#[tokio::test(start_paused = true)]
async fn a_reading_that_is_dropped_stops() {
    let fake = all_lists();
    for _ in 0..9 {
        fake.place(None, figures(OrderState::Open, 1, 0));
    }
    let client = fake.client();
    let config = ListsConfig::builder().build().unwrap();
    let read = compare(&fake, &client, None, config, OwnView::default);
    let some = Duration::from_millis(250);
    assert!(tokio::time::timeout(some, read).await.is_err());
    tokio::time::sleep(LONG).await;
    assert_eq!(fake.state.lock().unwrap().requests, 3);
    drop(compare(&fake, &client, None, config, OwnView::default));
    assert_eq!(fake.state.lock().unwrap().requests, 3, "never polled");
}

#[tokio::test(start_paused = true)]
async fn lists_of_the_past_can_be_left_out() {
    let fake = all_lists();
    fake.place(None, figures(OrderState::Filled, 1, 1));
    let config = ListsConfig::builder().closed(false).build().unwrap();
    let client = fake.client();
    let view = || OwnView::of(vec![own("gone", OrderState::Open, 1, 0)]);
    let reading = compare(&fake, &client, None, config, view).await.unwrap();
    assert_eq!(reading.differences[0].as_str(), "not_open");
    assert_eq!((reading.differences.len(), reading.listed), (1, 0));
}
