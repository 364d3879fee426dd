//! Any sequence of operations, with the file opened again in between, against an obvious model.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use proptest::prelude::*;
use seawall_orders::Operation;
use seawall_orders::journal::{Filter, Intent, Journal, JournalError, Mark, MemoryJournal, State};

#[derive(Clone, Debug)]
enum Step {
    Append {
        id: u8,
        sent: bool,
    },
    Mark {
        id: u8,
        state: State,
        attempt: u32,
    },
    Entry {
        id: u8,
    },
    List {
        states: Vec<State>,
        from: u64,
        until: u64,
        limit: usize,
    },
    Prune {
        before: u64,
    },
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    let id = 0_u8..6;
    let states = proptest::sample::select(State::ALL.to_vec());
    prop_oneof![
        4 => (id.clone(), any::<bool>()).prop_map(|(id, sent)| Step::Append { id, sent }),
        12 => (id.clone(), states.clone(), 1_u32..4)
            .prop_map(|(id, state, attempt)| Step::Mark { id, state, attempt }),
        1 => id.prop_map(|id| Step::Entry { id }),
        2 => (proptest::collection::vec(states, 0..4), 0_u64..60, 0_u64..80, 1_usize..5)
            .prop_map(|(states, from, until, limit)| Step::List { states, from, until, limit }),
        1 => (0_u64..60).prop_map(|before| Step::Prune { before }),
        1 => Just(Step::Reopen),
    ]
}

fn moment(second: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(second)
}

fn mark(state: State, at: SystemTime, attempt: u32) -> Option<Mark> {
    Some(match state {
        State::Sent => Mark::sent(at, attempt),
        State::Confirmed => Mark::confirmed(at, format!("b{attempt}"), "figures"),
        State::Absent => Mark::absent(at),
        State::Rejected => Mark::rejected(at, "reason"),
        State::Abandoned => Mark::abandoned(at, "why"),
        State::Exhausted => Mark::exhausted(at, "last"),
        _ => return None,
    })
}

/// One order, as the model knows it.
#[derive(Clone, Debug, PartialEq)]
struct Known {
    id: u8,
    at: u64,
    changed: u64,
    state: State,
    attempts: u32,
    broker_id: String,
}

/// The model: a map in the order of appends.
#[derive(Default)]
struct Model {
    next: u64,
    orders: BTreeMap<u64, Known>,
}

impl Model {
    fn seq(&self, id: u8) -> Option<u64> {
        self.orders
            .iter()
            .find(|(_, known)| known.id == id)
            .map(|(seq, _)| *seq)
    }

    fn append(&mut self, id: u8, sent: bool, now: u64) -> Result<u64, String> {
        if let Some(seq) = self.seq(id) {
            return Err(format!("used {}", self.orders[&seq].state));
        }
        let seq = self.next;
        self.next += 1;
        let known = Known {
            id,
            at: now,
            changed: now,
            state: if sent { State::Sent } else { State::Intent },
            attempts: u32::from(sent),
            broker_id: String::new(),
        };
        self.orders.insert(seq, known);
        Ok(seq)
    }

    fn mark(&mut self, id: u8, to: State, attempt: u32, now: u64) -> Result<State, String> {
        let Some(seq) = self.seq(id) else {
            return Err("unknown".into());
        };
        let known = self.orders.get_mut(&seq).expect("an order");
        let before = known.state;
        if !before.allows(to) {
            return Err(format!("{before} to {to}"));
        }
        if to == State::Sent {
            if attempt != known.attempts + 1 {
                return Err(format!("attempt {}", known.attempts + 1));
            }
            known.attempts = attempt;
        }
        if to == State::Confirmed {
            known.broker_id = format!("b{attempt}");
        }
        known.state = to;
        known.changed = now;
        Ok(before)
    }

    fn prune(&mut self, before: u64) -> u64 {
        let all = self.orders.len();
        self.orders
            .retain(|_, known| known.state.is_open() || known.changed >= before);
        (all - self.orders.len()) as u64
    }
}

fn words(error: JournalError) -> String {
    match error {
        JournalError::UsedId { state, .. } => format!("used {state}"),
        JournalError::UnknownId { .. } => "unknown".into(),
        JournalError::Forbidden { from, to, .. } => format!("{from} to {to}"),
        JournalError::WrongAttempt { expected, .. } => format!("attempt {expected}"),
        other => panic!("{other}"),
    }
}

async fn listed(journal: &dyn Journal, filter: Filter) -> Vec<(u64, Known)> {
    let mut all = Vec::new();
    let mut next = filter.clone();
    loop {
        let page = journal.list(&next).await.expect("a page");
        for entry in page.entries {
            let seconds =
                |at: SystemTime| at.duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
            assert_eq!(entry.intent().saved_request().method(), b"POST");
            assert_eq!(entry.steps().last().expect("a step").state(), entry.state());
            let known = Known {
                id: entry.intent().id().parse().expect("a number"),
                at: seconds(entry.intent().at()),
                changed: seconds(entry.changed_at()),
                state: entry.state(),
                attempts: entry.attempts(),
                broker_id: String::from_utf8(entry.broker_id().to_vec()).expect("a text"),
            };
            all.push((entry.seq(), known));
        }
        match page.next {
            Some(seq) => next = filter.clone().after(seq),
            None => return all,
        }
    }
}

/// Runs the steps on one journal; `reopen` closes it and opens it again.
async fn check<F, R>(mut journal: Box<dyn Journal>, steps: &[Step], mut reopen: F)
where
    F: FnMut(Box<dyn Journal>) -> R,
    R: Future<Output = Box<dyn Journal>>,
{
    let mut model = Model::default();
    for (now, step) in (0_u64..).zip(steps) {
        match step.clone() {
            Step::Append { id, sent } => {
                let request = seawall_orders::journal::SavedRequest::new("POST", "/orders");
                let intent =
                    Intent::new(id.to_string(), Operation::Create, moment(now)).request(request);
                let answer = match sent {
                    true => journal.append_sent(intent),
                    false => journal.append(intent),
                };
                assert_eq!(answer.await.map_err(words), model.append(id, sent, now));
            }
            Step::Mark { id, state, attempt } => {
                let Some(mark) = mark(state, moment(now), attempt) else {
                    continue;
                };
                let answer = journal.mark(&id.to_string(), mark).await.map_err(words);
                assert_eq!(answer, model.mark(id, state, attempt, now));
            }
            Step::Entry { id } => {
                let entry = journal.entry(&id.to_string()).await.expect("read");
                assert_eq!(entry.map(|entry| entry.seq()), model.seq(id));
            }
            Step::List {
                states,
                from,
                until,
                limit,
            } => {
                let filter = Filter::all().states(states.clone());
                let filter = filter.from(moment(from)).until(moment(until)).limit(limit);
                let expected = (model.orders.iter())
                    .filter(|(_, k)| states.contains(&k.state) && (from..until).contains(&k.at))
                    .map(|(seq, known)| (*seq, known.clone()));
                assert_eq!(
                    listed(&*journal, filter).await,
                    expected.collect::<Vec<_>>()
                );
            }
            Step::Prune { before } => {
                let pruned = journal.prune(moment(before)).await.expect("pruned");
                assert_eq!(pruned, model.prune(before));
            }
            Step::Reopen => journal = reopen(journal).await,
        }
    }
    let all: Vec<_> = model.orders.clone().into_iter().collect();
    assert_eq!(listed(&*journal, Filter::all()).await, all);
    let open = all.into_iter().filter(|(_, known)| known.state.is_open());
    assert_eq!(
        listed(&*journal, Filter::open()).await,
        open.collect::<Vec<_>>()
    );
}

fn run(future: impl Future<Output = ()>) {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.build().expect("a runtime").block_on(future);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn in_memory(steps in proptest::collection::vec(step(), 1..80)) {
        let journal = Box::new(MemoryJournal::default());
        run(check(journal, &steps, std::future::ready));
    }
}

#[cfg(feature = "durable")]
proptest! {
    // A sync for each operation: few cases, and those long.
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn on_disk(steps in proptest::collection::vec(step(), 20..80)) {
        let folder = crate::common::Folder::new();
        // By the model's calendar everything is old, and nothing is to be removed.
        let config = seawall_orders::journal::durable::DurableConfig::default()
            .retention(Duration::from_secs(200 * 365 * 24 * 3600))
            .unwrap();
        let open = async || {
            use seawall_orders::journal::durable::DurableJournal;
            let journal = DurableJournal::open(folder.file(), config).await.unwrap();
            Box::new(journal) as Box<dyn Journal>
        };
        run(async {
            let journal = open().await;
            check(journal, &steps, async |journal| {
                drop(journal);
                // Without an answer: the writer may need a moment to unlock the file.
                loop {
                    use seawall_orders::journal::durable::DurableJournal;
                    match DurableJournal::open(folder.file(), config).await {
                        Ok(journal) => return Box::new(journal) as Box<dyn Journal>,
                        Err(JournalError::InUse { .. }) => tokio::task::yield_now().await,
                        Err(error) => panic!("{error}"),
                    }
                }
            })
            .await;
        });
    }
}
