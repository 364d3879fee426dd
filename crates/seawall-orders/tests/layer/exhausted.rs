//! Orders whose look-ups are used up.

use std::sync::Arc;
use std::time::Duration;

use seawall_core::{Reason, Span};
use seawall_orders::journal::MemoryJournal;
use seawall_orders::protocol::{Duplicates, IntentState};
use seawall_orders::{OrderConfig, OrderLayer};
use tokio::time::sleep;

use crate::common::{Body, Client, Desk, Fault, TestBroker, rejection, rules};

fn desk(config: OrderConfig) -> Desk {
    let journal = Arc::<MemoryJournal>::default();
    let broker = TestBroker::new(rules(Duplicates::Accept));
    let layer: OrderLayer<Body> = OrderLayer::<Body>::builder("desk", broker)
        .journal(Arc::clone(&journal))
        .config(config)
        .build()
        .unwrap();
    Desk::of(Client::default(), journal, layer)
}

#[tokio::test(start_paused = true)]
async fn an_exhausted_order_is_looked_up_again_by_itself() {
    let every = Duration::from_secs(300);
    for again in [true, false] {
        let builder = OrderConfig::builder().look_up_again_every(every);
        let builder = if again {
            builder
        } else {
            builder.without_looking_up_again()
        };
        let desk = desk(builder.build().unwrap());
        desk.client.world().failing_queries = usize::MAX;
        desk.client.fault(Fault::Lost);
        let unknown = rejection(desk.place("a").await);
        assert_eq!(unknown.reason(), Reason::OutcomeUnknown);
        while desk.handle.in_doubt()[0].state != IntentState::Exhausted {
            sleep(Duration::from_secs(1)).await;
        }
        let (queries, alerts) = (desk.client.world().queries, desk.handle.counts().exhausted);
        assert_eq!(alerts, 1);
        // Nobody asks in between.
        sleep(every - Duration::from_secs(5)).await;
        assert_eq!(desk.client.world().queries, queries);
        // A series that fails as well is an alert again, and not the last one.
        sleep(every).await;
        assert_eq!(desk.handle.in_doubt().len(), 1);
        assert_eq!(desk.client.world().queries > queries, again);
        assert_eq!(desk.handle.counts().exhausted, 1 + u64::from(again));
        desk.client.world().failing_queries = 0;
        sleep(3 * every).await;
        assert_eq!(desk.handle.in_doubt().is_empty(), again);
        assert_eq!(desk.client.executed("a"), 1);
    }
}

#[test]
fn looking_up_again_and_comparing_have_a_least_and_a_longest_interval() {
    let builder = OrderConfig::builder;
    for (every, accepted) in [
        (Duration::from_millis(999), false),
        (Duration::from_secs(1), true),
        (Duration::from_secs(24 * 3_600), true),
        (Duration::from_secs(24 * 3_600 + 1), false),
        (Duration::MAX, false),
    ] {
        for (field, config) in [
            ("look_up_again_every", builder().look_up_again_every(every)),
            ("compare_every", builder().compare_every(every)),
        ] {
            let error = config.build().err().map(|error| error.to_string());
            let words = format!("`{field}` is {}, accepted is from 1s to 24 h", Span(every));
            assert_eq!(error, (!accepted).then_some(words));
        }
    }
}
