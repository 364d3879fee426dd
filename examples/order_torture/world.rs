//! The brokers, and what goes wrong with them.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write;
use std::time::Duration;

use seawall_sim::incident::Incidents;
use seawall_sim::provider::{Broker, Duplicates, Fills, Handle};
use tokio::time::sleep;

use crate::plan::{Class, Plan};
use crate::trace::Stories;

/// How long an executed order may be missing in queries.
pub(crate) const VISIBLE_WITHIN: Duration = Duration::from_millis(60);
/// How long after its response was lost an order may be executed.
pub(crate) const EXECUTED_WITHIN: Duration = Duration::from_millis(120);
/// For how long an order is valid after it has left: a broker that comes to it later, since its machine
/// was busy with other things, does not execute it.
pub(crate) const VALID_FOR: Duration = Duration::from_millis(720);
/// For how long the brokers that reject a known id do so.
pub(crate) const REJECTED_FOR: Duration = Duration::from_secs(5);

/// What may happen to a request: route, probability, and the lines of the fault.
const FAULTS: [(&str, f64, &str); 30] = [
    // Executed, and the caller does not learn it.
    ("orders.create", 0.04, "\"reset_after_execute\""),
    ("orders.create", 0.03, "\"stall\"\nexecute = true"),
    (
        "orders.create",
        0.02,
        "\"status\"\ncode = 504\nexecute = true",
    ),
    (
        "orders.create",
        0.01,
        "\"status\"\ncode = 502\nexecute = true",
    ),
    (
        "orders.create",
        0.01,
        "\"status\"\ncode = 500\nexecute = true",
    ),
    ("orders.create", 0.01, "\"reset_during_body\""),
    ("orders.create", 0.01, "\"truncate_body\""),
    // Not executed, and it looks the same.
    ("orders.create", 0.03, "\"reset_before_read\""),
    ("orders.create", 0.02, "\"stall\""),
    ("orders.create", 0.01, "\"status\"\ncode = 504"),
    ("orders.create", 0.01, "\"status\"\ncode = 502"),
    ("orders.create", 0.01, "\"status\"\ncode = 500"),
    ("orders.create", 0.02, "\"throttle\""),
    // Executed when the caller has given up.
    ("orders.create", 0.02, "\"execute_late\"\nLATE"),
    (
        "orders.create",
        0.02,
        "\"execute_late\"\nresponse = \"reset\"\nLATE",
    ),
    (
        "orders.create",
        0.02,
        "\"execute_late\"\nresponse = \"status\"\nLATE",
    ),
    // The same of an order that replaces another one.
    ("orders.replace", 0.06, "\"reset_after_execute\""),
    ("orders.replace", 0.05, "\"stall\"\nexecute = true"),
    (
        "orders.replace",
        0.04,
        "\"status\"\ncode = 504\nexecute = true",
    ),
    ("orders.replace", 0.05, "\"reset_before_read\""),
    ("orders.replace", 0.03, "\"status\"\ncode = 502"),
    (
        "orders.replace",
        0.04,
        "\"execute_late\"\nresponse = \"reset\"\nLATE",
    ),
    // Queries fail as well, which means nothing.
    ("orders.query", 0.04, "\"status\"\ncode = 500"),
    ("orders.query", 0.02, "\"stall\""),
    ("orders.query", 0.02, "\"reset_before_read\""),
    ("orders.query", 0.01, "\"truncate_body\""),
    // A cancel that was carried out, or was not.
    ("orders.cancel", 0.08, "\"reset_after_execute\""),
    ("orders.cancel", 0.04, "\"stall\"\nexecute = true"),
    ("orders.cancel", 0.04, "\"status\"\ncode = 504"),
    (
        "orders.create",
        0.10,
        "\"latency\"\ndistribution = \"uniform\"\nmin = \"0s\"\nmax = \"20ms\"",
    ),
];

/// The broker is gone for so long, every so often.
const OUTAGE: Duration = Duration::from_millis(150);
const OUTAGE_EVERY: Duration = Duration::from_secs(6);
/// No run is longer.
const LONGEST: Duration = Duration::from_secs(3_600);

fn incidents(seed: u64) -> Result<Incidents, Box<dyn Error>> {
    let mut text = String::new();
    let late = format!(
        "distribution = \"uniform\"\nmin = \"0s\"\nmax = \"{}ms\"",
        EXECUTED_WITHIN.as_millis()
    );
    for (route, probability, fault) in FAULTS {
        let fault = fault.replace("LATE", &late);
        writeln!(
            text,
            "[[incident]]\nprovider = \"broker\"\nroute = \"{route}\"\nfrom = \"0s\"\nto = \"{}s\"\n\
             probability = {probability}\nfault = {fault}",
            LONGEST.as_secs()
        )?;
    }
    for number in 1..20 {
        let from = (OUTAGE_EVERY * number).as_secs();
        let length = OUTAGE.as_millis();
        writeln!(
            text,
            "[[incident]]\nprovider = \"broker\"\nfrom = \"{from}s\"\nfor = \"{length}ms\"\n\
             fault = \"outage\""
        )?;
    }
    Ok(Incidents::from_toml(&text)?.with_seed(seed))
}

/// One broker for each class that has orders.
#[derive(Debug)]
pub(crate) struct World {
    brokers: BTreeMap<Class, Handle>,
}

impl World {
    pub(crate) async fn start(plan: Plan) -> Result<Self, Box<dyn Error>> {
        let mut brokers = BTreeMap::new();
        for (number, class) in (0_u64..).zip(Class::ALL) {
            if plan.class.is_some_and(|only| only != class) {
                continue;
            }
            let duplicates = match class {
                Class::ReturnFirst => Duplicates::ReturnFirst,
                Class::RejectForATime => Duplicates::RejectFor(REJECTED_FOR),
                Class::RejectWhileOpen => Duplicates::RejectWhileOpen,
                Class::Accept | Class::ListsOnly => Duplicates::Accept,
            };
            let broker = Broker::alpaca()
                .unlimited()
                .incidents(incidents(plan.seed.wrapping_mul(8).wrapping_add(number))?)
                .duplicates(duplicates)
                .fills(Fills::new(Duration::from_millis(40), 3)?.resting(0.4)?)
                .visible_within(VISIBLE_WITHIN)
                .cancels_within(Duration::from_millis(15));
            brokers.insert(class, broker.start().await?);
        }
        Ok(Self { brokers })
    }

    pub(crate) fn urls(&self) -> BTreeMap<Class, String> {
        let urls = self.brokers.iter();
        urls.map(|(class, broker)| (*class, broker.base_url()))
            .collect()
    }

    /// How often each order was executed, by client order id.
    pub(crate) fn executions(&self) -> BTreeMap<String, usize> {
        let brokers = self.brokers.values();
        brokers.flat_map(Handle::executions_by_id).collect()
    }

    /// How many orders the brokers did not execute since they came to them too late.
    pub(crate) fn out_of_date(&self) -> u64 {
        let brokers = self.brokers.values();
        brokers.map(|broker| broker.stats().out_of_date).sum()
    }

    /// Adds what the brokers executed to the stories of orders.
    pub(crate) fn add_executions(&self, stories: &mut Stories) {
        for broker in self.brokers.values() {
            let elapsed = broker.elapsed().unwrap_or_default();
            stories.add_executions(&broker.orders(), elapsed);
        }
    }

    /// Waits until nothing has been executed for a while: orders whose callers have given up are
    /// executed all the same.
    pub(crate) async fn wait_until_idle(&self) {
        let executed = || -> u64 {
            let brokers = self.brokers.values();
            brokers.map(|broker| broker.stats().executed).sum()
        };
        let mut before = executed();
        for _ in 0..20 {
            sleep(3 * EXECUTED_WITHIN).await;
            let now = executed();
            if now == before {
                return;
            }
            before = now;
        }
    }

    pub(crate) async fn shutdown(self) {
        for broker in self.brokers.into_values() {
            broker.shutdown().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_is_valid_and_leaves_most_orders_alone() {
        let incidents = incidents(1).expect("valid");
        assert_eq!(incidents.seed(), 1);
        let creates = FAULTS
            .iter()
            .filter(|(route, ..)| *route == "orders.create");
        let sum: f64 = creates.map(|(_, probability, _)| probability).sum();
        assert!((0.2..0.5).contains(&sum), "{sum}");
    }
}
