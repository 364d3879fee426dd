//! What happened to each order, in a file that outlives the processes that are killed: of an order that
//! is not as it was reported, its story is printed.

use std::collections::BTreeMap;
use std::fmt::{Arguments, Write as _};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use seawall_sim::provider::Order;

/// In place of the client order id, of what is about no single order.
pub(crate) const EVERY: &str = "-";
/// The same, of queries for lists.
pub(crate) const LISTS: &str = "lists";

/// A file that several processes append to.
#[derive(Debug)]
pub(crate) struct Trace {
    file: File,
}

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Moment {
    /// On the wall clock, which all processes of the machine share.
    at: Duration,
    who: String,
    what: String,
}

/// The stories of some orders.
#[derive(Debug)]
pub(crate) struct Stories {
    moments: BTreeMap<String, Vec<Moment>>,
}

/// The time since 1970, to the microsecond.
fn wall() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}

impl Trace {
    /// The one of a run.
    pub(crate) fn open(directory: &Path) -> io::Result<Self> {
        let path = directory.join("trace");
        let mut options = OpenOptions::new();
        let file = options.create(true).read(true).append(true).open(path)?;
        Ok(Self { file })
    }

    /// Notes what happens now to an order. One write, so that lines of two processes do not mix.
    pub(crate) fn note(&self, id: &str, what: Arguments<'_>) {
        let (at, who) = (wall().as_micros(), std::process::id());
        let line = format!("{at} {who} {id} {what}\n");
        // A line that is missing breaks no order.
        let _ = (&self.file).write_all(line.as_bytes());
    }

    /// What is in it of these orders, and of none in particular.
    pub(crate) fn read(directory: &Path, ids: &[String]) -> io::Result<Stories> {
        let mut text = String::new();
        Self::open(directory)?.file.read_to_string(&mut text)?;
        let mut moments = BTreeMap::<_, Vec<_>>::new();
        for line in text.lines() {
            if let Some((id, moment)) = Moment::read(line)
                && (id == EVERY || id == LISTS || ids.iter().any(|of| of == id))
            {
                moments.entry(id.to_owned()).or_default().push(moment);
            }
        }
        Ok(Stories { moments })
    }
}

impl Moment {
    fn read(line: &str) -> Option<(&str, Self)> {
        let mut words = line.splitn(4, ' ');
        let at = Duration::from_micros(words.next()?.parse().ok()?);
        let (who, id) = (words.next()?.to_owned(), words.next()?);
        let what = words.next()?.to_owned();
        Some((id, Self { at, who, what }))
    }
}

impl Stories {
    /// Adds what a broker did, whose incident clock is at `elapsed` now.
    pub(crate) fn add_executions(&mut self, orders: &[Order], elapsed: Duration) {
        let start = wall().saturating_sub(elapsed);
        for order in orders {
            let Some(moments) = self.moments.get_mut(&order.client_order_id) else {
                continue;
            };
            let mut add = |at: Duration, what: &str| {
                let (at, who) = (start + at, "broker".to_owned());
                let what = what.to_owned();
                moments.push(Moment { at, who, what });
            };
            add(order.arrived, "the request of an order is read");
            add(order.at, "that order is executed");
        }
    }

    /// One line for each moment of an order, and for those of no order in its time; with the queries
    /// for `lists`, if it is looked up in them.
    pub(crate) fn of(&self, id: &str, lists: bool) -> String {
        let mut moments = self.moments.get(id).cloned().unwrap_or_default();
        moments.sort();
        let (first, last) = match (moments.first(), moments.last()) {
            (Some(first), Some(last)) => (first.at, last.at),
            _ => return "  nothing is known of it\n".to_owned(),
        };
        let lists = self.moments.get(LISTS).filter(|_| lists);
        let others = self.moments.get(EVERY).into_iter().chain(lists).flatten();
        moments.extend(
            others
                .filter(|moment| (first..=last).contains(&moment.at))
                .cloned(),
        );
        moments.sort();
        let mut text = String::new();
        for Moment { at, who, what } in moments {
            let at = (at - first).as_secs_f64() * 1e3;
            // Writing to a string does not fail.
            let _ = writeln!(text, "  {at:>10.1} ms  {who:<8} {what}");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_story_has_the_moments_of_its_order_and_those_of_no_order_meanwhile() {
        let at = |ms| Duration::from_millis(ms);
        let moment = |ms, who: &str, what: &str| Moment {
            at: at(ms),
            who: who.to_owned(),
            what: what.to_owned(),
        };
        let of = [
            moment(9, "7", "reported as absent"),
            moment(2, "8", "asked"),
        ];
        let every = [moment(1, "8", "begins"), moment(5, "8", "killed")];
        let stories = Stories {
            moments: BTreeMap::from([
                ("o-1".to_owned(), of.to_vec()),
                (EVERY.to_owned(), every.to_vec()),
                (LISTS.to_owned(), vec![moment(6, "8", "GET")]),
            ]),
        };
        assert_eq!(stories.of("o-1", true).lines().count(), 4);
        let text = stories.of("o-1", false);
        let lines: Vec<_> = text.lines().map(str::trim_start).collect();
        assert_eq!(
            lines,
            [
                "0.0 ms  8        asked",
                "3.0 ms  8        killed",
                "7.0 ms  7        reported as absent",
            ]
        );
        assert!(stories.of("o-2", true).contains("nothing"));
    }

    #[test]
    fn a_line_is_read_as_it_is_written() {
        let (id, moment) = Moment::read("1500 42 o-1 POST /v2/orders: 200").expect("a line");
        assert_eq!((id, &*moment.who), ("o-1", "42"));
        assert_eq!(moment.at, Duration::from_micros(1_500));
        assert_eq!(moment.what, "POST /v2/orders: 200");
        assert_eq!(Moment::read("1500 42 o-1"), None);
    }
}
