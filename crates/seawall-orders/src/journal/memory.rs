//! A journal that ends with the process.

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use seawall_core::InvalidConfig;

use super::intent::Millis;
use super::kept::Kept;
use super::{Answer, Entry, Filter, Intent, Journal, JournalError, Mark, Page, State};
use crate::records::Records;

/// For how many entries there is room from the start, at most.
const MAX_RESERVED: usize = 14_000;

/// How much a [`MemoryJournal`] keeps.
///
/// ```
/// use seawall_orders::journal::{MemoryJournal, MemoryJournalConfig};
///
/// let config = MemoryJournalConfig::default().max_open(1_000)?.max_ended(0)?;
/// let journal = MemoryJournal::new(config);
/// # let _ = journal;
/// # Ok::<(), seawall_core::InvalidConfig>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryJournalConfig {
    max_open: usize,
    max_ended: usize,
}

impl Default for MemoryJournalConfig {
    /// 100,000 open and 10,000 ended entries.
    fn default() -> Self {
        Self {
            max_open: 100_000,
            max_ended: 10_000,
        }
    }
}

impl MemoryJournalConfig {
    /// The most open entries: one more is rejected with [`JournalError::Full`]. 100,000 by default.
    ///
    /// # Errors
    ///
    /// 0.
    pub fn max_open(mut self, max_open: usize) -> Result<Self, InvalidConfig> {
        if max_open == 0 {
            return Err(InvalidConfig::new("max_open", 0, "at least 1"));
        }
        self.max_open = max_open;
        Ok(self)
    }

    /// The most ended entries: one more takes the place of the one that was appended first, whose id
    /// counts as unused from then on. 10,000 by default; with 0 an id can be used again as soon as
    /// its order has ended.
    ///
    /// # Errors
    ///
    /// None at present.
    pub fn max_ended(mut self, max_ended: usize) -> Result<Self, InvalidConfig> {
        self.max_ended = max_ended;
        Ok(self)
    }
}

/// A journal that ends with the process: bounded, and every answer is there at once.
///
/// It knows after a dropped future or a reset what was sent, and nothing after a crash.
pub struct MemoryJournal {
    config: MemoryJournalConfig,
    entries: Mutex<Entries>,
}

struct Entries {
    next: u64,
    records: Records<Kept>,
    /// The slots of open entries, by their numbers.
    open: BTreeMap<u64, usize>,
    /// The numbers and slots of ended entries, in the order of their numbers: they mostly end in that order.
    ended: VecDeque<(u64, usize)>,
}

impl Default for MemoryJournal {
    fn default() -> Self {
        Self::new(MemoryJournalConfig::default())
    }
}

impl fmt::Debug for MemoryJournal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entries = self.lock();
        f.debug_struct("MemoryJournal")
            .field("open", &entries.open.len())
            .field("ended", &entries.ended.len())
            .finish()
    }
}

impl MemoryJournal {
    /// An empty journal.
    #[must_use]
    pub fn new(config: MemoryJournalConfig) -> Self {
        // So that it does not move all entries to grow while orders are placed; what is not used yet is
        // address space alone.
        let reserved = config.max_ended.saturating_add(1).min(MAX_RESERVED);
        Self {
            config,
            entries: Mutex::new(Entries {
                next: 0,
                records: Records::with_capacity(reserved),
                open: BTreeMap::new(),
                ended: VecDeque::with_capacity(reserved),
            }),
        }
    }

    // Every change is complete before anything that can panic.
    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, intent: Intent, sent: bool) -> Result<u64, JournalError> {
        intent.check()?;
        let mut entries = self.lock();
        let entries = &mut *entries;
        let hash = entries.records.hash(&intent.id);
        if let Some(used) = entries.records.find_hashed(hash, &intent.id) {
            let state = entries.records.get(used).fate.state;
            let id = intent.id;
            return Err(JournalError::UsedId { id, state });
        }
        if entries.open.len() >= self.config.max_open {
            let max_open = self.config.max_open;
            return Err(JournalError::Full { max_open });
        }
        let seq = entries.next;
        entries.next += 1;
        let slot = entries.records.add(hash);
        entries.records.get_mut(slot).begin(seq, intent, sent);
        entries.open.insert(seq, slot);
        Ok(seq)
    }

    fn apply(&self, id: &str, mark: &Mark) -> Result<State, JournalError> {
        let mut entries = self.lock();
        let entries = &mut *entries;
        let Some(slot) = entries.records.find(id) else {
            return Err(JournalError::UnknownId { id: id.into() });
        };
        let kept = entries.records.get_mut(slot);
        let (seq, before) = (kept.seq, kept.fate.state);
        if mark.state.is_open() && !before.is_open() && entries.open.len() >= self.config.max_open {
            let max_open = self.config.max_open;
            return Err(JournalError::Full { max_open });
        }
        kept.fate.apply(id, mark)?;
        match (before.is_open(), mark.state.is_open()) {
            (false, true) => {
                if let Ok(place) = entries.place(seq) {
                    entries.ended.remove(place);
                }
                entries.open.insert(seq, slot);
            }
            (true, false) => {
                entries.open.remove(&seq);
                let place = entries.place(seq).unwrap_or_else(|place| place);
                entries.ended.insert(place, (seq, slot));
                while entries.ended.len() > self.config.max_ended {
                    entries.remove_first_ended();
                }
            }
            _ => {}
        }
        Ok(before)
    }
}

impl Entries {
    /// Where a number is among those of ended entries, or belongs.
    fn place(&self, seq: u64) -> Result<usize, usize> {
        match self.ended.back() {
            Some((last, _)) if *last >= seq => self.ended.binary_search_by_key(&seq, |of| of.0),
            _ => Err(self.ended.len()),
        }
    }

    fn entry(&self, id: &str) -> Option<Entry> {
        let slot = self.records.find(id)?;
        Some(self.records.get(slot).entry())
    }

    fn remove_first_ended(&mut self) {
        if let Some((_, slot)) = self.ended.pop_front() {
            self.records.remove(slot);
        }
    }

    fn page(&self, filter: &Filter) -> Page {
        let start = filter.start();
        let mut open = self.open.range(start..).map(|(seq, slot)| (*seq, *slot));
        let entry = |(_, slot): (u64, usize)| Ok(self.records.get(slot).entry());
        let found: Result<_, Infallible> = if filter.only_open() {
            Page::collect(filter, open.map(entry))
        } else {
            let from = self.ended.partition_point(|(seq, _)| *seq < start);
            let mut ended = self.ended.range(from..).copied();
            let (mut first_open, mut first_ended) = (open.next(), ended.next());
            let in_order = std::iter::from_fn(|| {
                let takes_open = match (first_open, first_ended) {
                    (Some(open), Some(ended)) => open.0 < ended.0,
                    (open, _) => open.is_some(),
                };
                match takes_open {
                    true => std::mem::replace(&mut first_open, open.next()),
                    false => std::mem::replace(&mut first_ended, ended.next()),
                }
            });
            Page::collect(filter, in_order.map(entry))
        };
        match found {
            Ok(page) => page,
            Err(never) => match never {},
        }
    }

    fn prune(&mut self, before: Millis) -> u64 {
        let (records, all) = (&mut self.records, self.ended.len());
        self.ended.retain(|(_, slot)| {
            let stays = records.get(*slot).fate.changed() >= before;
            if !stays {
                records.remove(*slot);
            }
            stays
        });
        (all - self.ended.len()) as u64
    }
}

impl Journal for MemoryJournal {
    fn append(&self, intent: Intent) -> Answer<u64> {
        Answer::ready(self.put(intent, false))
    }

    fn append_sent(&self, intent: Intent) -> Answer<u64> {
        Answer::ready(self.put(intent, true))
    }

    fn mark(&self, id: &str, mark: Mark) -> Answer<State> {
        Answer::ready(self.apply(id, &mark))
    }

    fn entry(&self, id: &str) -> Answer<Option<Entry>> {
        Answer::ready(Ok(self.lock().entry(id)))
    }

    fn list(&self, filter: &Filter) -> Answer<Page> {
        Answer::ready(Ok(self.lock().page(filter)))
    }

    fn prune(&self, before: SystemTime) -> Answer<u64> {
        Answer::ready(Ok(self.lock().prune(Millis::of(before))))
    }
}
