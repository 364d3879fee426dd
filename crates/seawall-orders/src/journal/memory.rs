//! A journal that ends with the process.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use seawall_core::InvalidConfig;

use super::intent::Millis;
use super::{Answer, Entry, Filter, Intent, Journal, JournalError, Mark, Page, State};

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
    ids: HashMap<Arc<str>, u64>,
    all: BTreeMap<u64, Entry>,
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
        Self {
            config,
            entries: Mutex::default(),
        }
    }

    // Every change is complete before anything that can panic.
    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, intent: Intent, sent: bool) -> Result<u64, JournalError> {
        intent.check()?;
        let mut entries = self.lock();
        if let Some(used) = entries.of(&intent.id) {
            let (id, state) = (intent.id, used.state);
            return Err(JournalError::UsedId { id, state });
        }
        if entries.open.len() >= self.config.max_open {
            let max_open = self.config.max_open;
            return Err(JournalError::Full { max_open });
        }
        let seq = entries.next;
        entries.next += 1;
        entries.ids.insert(Arc::clone(&intent.id), seq);
        entries.open.insert(seq);
        entries.all.insert(seq, Entry::new(seq, intent, sent));
        Ok(seq)
    }

    fn apply(&self, id: &str, mark: &Mark) -> Result<State, JournalError> {
        let mut entries = self.lock();
        let entries = &mut *entries;
        let entry = entries.ids.get(id).and_then(|seq| entries.all.get_mut(seq));
        let Some(entry) = entry else {
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
        self.ids.get(id).and_then(|seq| self.all.get(seq))
    }

    fn remove_first_ended(&mut self) {
        if let Some(seq) = self.ended.pop_first() {
            self.forget(seq);
        }
    }

    fn forget(&mut self, seq: u64) {
        if let Some(entry) = self.all.remove(&seq) {
            self.ids.remove(&entry.intent.id);
        }
    }

    fn page(&self, filter: &Filter) -> Page {
        let start = filter.start()..;
        let found = if filter.only_open() {
            let open = self.open.range(start).filter_map(|seq| self.all.get(seq));
            Page::collect(filter, open.cloned().map(Ok::<_, std::convert::Infallible>))
        } else {
            let all = self.all.range(start).map(|(_, entry)| Ok(entry.clone()));
            Page::collect(filter, all)
        };
        match found {
            Ok(page) => page,
            Err(never) => match never {},
        }
    }

    fn prune(&mut self, before: Millis) -> u64 {
        let old: Vec<u64> = (self.ended.iter().copied())
            .filter(|seq| self.all.get(seq).is_none_or(|e| e.changed() < before))
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
