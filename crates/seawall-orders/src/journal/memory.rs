//! A journal that ends with the process.

use std::collections::{BTreeMap, BTreeSet, HashMap, hash_map};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use seawall_core::InvalidConfig;

use super::intent::Millis;
use super::{Answer, Entry, Filter, Intent, Journal, JournalError, Mark, Page, State};

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

#[derive(Default)]
struct Entries {
    next: u64,
    /// By their ids, by which they are marked: a tree of entries would move them as others go.
    entries: HashMap<Arc<str>, Entry>,
    ids: BTreeMap<u64, Arc<str>>,
    open: BTreeSet<u64>,
    ended: BTreeSet<u64>,
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
        let entries = HashMap::with_capacity(config.max_ended.min(MAX_RESERVED));
        Self {
            config,
            entries: Mutex::new(Entries {
                entries,
                ..Entries::default()
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
        let free = match entries.entries.entry(Arc::clone(&intent.id)) {
            hash_map::Entry::Vacant(free) => free,
            hash_map::Entry::Occupied(used) => {
                let (id, state) = (intent.id, used.get().state);
                return Err(JournalError::UsedId { id, state });
            }
        };
        if entries.open.len() >= self.config.max_open {
            let max_open = self.config.max_open;
            return Err(JournalError::Full { max_open });
        }
        let seq = entries.next;
        entries.next += 1;
        entries.ids.insert(seq, Arc::clone(&intent.id));
        entries.open.insert(seq);
        free.insert(Entry::new(seq, intent, sent));
        Ok(seq)
    }

    fn apply(&self, id: &str, mark: &Mark) -> Result<State, JournalError> {
        let mut entries = self.lock();
        let entries = &mut *entries;
        let Some(entry) = entries.entries.get_mut(id) else {
            return Err(JournalError::UnknownId { id: id.into() });
        };
        let (seq, before) = (entry.seq, entry.state);
        if mark.state.is_open() && !before.is_open() && entries.open.len() >= self.config.max_open {
            let max_open = self.config.max_open;
            return Err(JournalError::Full { max_open });
        }
        entry.apply(mark)?;
        if before.is_open() != mark.state.is_open() {
            if mark.state.is_open() {
                entries.ended.remove(&seq);
                entries.open.insert(seq);
            } else {
                entries.open.remove(&seq);
                entries.ended.insert(seq);
                while entries.ended.len() > self.config.max_ended {
                    entries.remove_first_ended();
                }
            }
        }
        Ok(before)
    }
}

impl Entries {
    fn of(&self, id: &str) -> Option<&Entry> {
        self.entries.get(id)
    }

    fn at(&self, seq: u64) -> Option<&Entry> {
        self.ids.get(&seq).and_then(|id| self.entries.get(id))
    }

    fn remove_first_ended(&mut self) {
        if let Some(seq) = self.ended.pop_first() {
            self.forget(seq);
        }
    }

    fn forget(&mut self, seq: u64) {
        if let Some(id) = self.ids.remove(&seq) {
            self.entries.remove(&id);
        }
    }

    fn page(&self, filter: &Filter) -> Page {
        let start = filter.start()..;
        let found = if filter.only_open() {
            let open = self.open.range(start).filter_map(|seq| self.at(*seq));
            Page::collect(filter, open.cloned().map(Ok::<_, std::convert::Infallible>))
        } else {
            let all = self
                .ids
                .range(start)
                .filter_map(|(_, id)| self.entries.get(id));
            Page::collect(filter, all.cloned().map(Ok))
        };
        match found {
            Ok(page) => page,
            Err(never) => match never {},
        }
    }

    fn prune(&mut self, before: Millis) -> u64 {
        let old: Vec<u64> = (self.ended.iter().copied())
            .filter(|seq| self.at(*seq).is_none_or(|e| e.changed() < before))
            .collect();
        for seq in &old {
            self.ended.remove(seq);
            self.forget(*seq);
        }
        old.len() as u64
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
        Answer::ready(Ok(self.lock().of(id).cloned()))
    }

    fn list(&self, filter: &Filter) -> Answer<Page> {
        Answer::ready(Ok(self.lock().page(filter)))
    }

    fn prune(&self, before: SystemTime) -> Answer<u64> {
        Answer::ready(Ok(self.lock().prune(Millis::of(before))))
    }
}
