//! What recoveries hold: each instance once, however many of them hold it.

use std::sync::{Arc, Mutex, PoisonError};

use seawall_core::{Command, InstanceHandle, InstanceName, Operated, as_recovery};

/// States of a layer under a command, which a recovery leaves alone.
const COMMANDED: [&str; 6] = [
    "forced_open",
    "forced_closed",
    "paused",
    "draining",
    "blocked",
    "bypassed",
];

/// What all recoveries of the process hold: those of two monitors may hold one layer.
static HOLDS: Mutex<Vec<Hold>> = Mutex::new(Vec::new());

/// Which instance a handle belongs to: its pattern, its name, and its number or that of the monitor.
type Key = (&'static str, InstanceName, usize);

/// An instance that recoveries hold.
struct Hold {
    key: Key,
    /// How many of them.
    holders: usize,
    blocked: Vec<Blocked>,
}

/// A layer that was blocked, and how it was left.
struct Blocked {
    handle: Arc<dyn InstanceHandle>,
    state: &'static str,
    operated: Option<Operated>,
}

impl Blocked {
    /// Blocks a layer, if no command holds that decides what passes it.
    fn new(handle: &Arc<dyn InstanceHandle>) -> Option<Self> {
        if COMMANDED.contains(&handle.state()) {
            return None;
        }
        // Read before, so that a command at the same moment counts as one after it.
        let operated = handle.operated();
        // That both commands are known was checked when the plan was set.
        as_recovery("recovery_hold", || handle.control(Command::Block)).ok()?;
        Some(Self {
            handle: Arc::clone(handle),
            state: handle.state(),
            operated,
        })
    }

    /// Whether no operator has given a command since. Of a handle that does not count them, the state shows
    /// it.
    fn is_as_left(&self) -> bool {
        match self.operated {
            Some(_) => self.handle.operated() == self.operated,
            None => self.handle.state() == self.state,
        }
    }

    fn release(&self) {
        if self.is_as_left() {
            let _ = as_recovery("recovery_release", || self.handle.control(Command::Resume));
        }
    }
}

/// Holds what a plan holds; lets it go when it is dropped, wherever the recovery is stopped.
pub(super) struct Held<'a> {
    handles: &'a [Arc<dyn InstanceHandle>],
    monitor: usize,
    holds: bool,
    /// Those that an operator has taken over since it was first held.
    left_alone: Vec<Key>,
}

impl<'a> Held<'a> {
    /// Holds nothing yet. `monitor` is a number of the monitor.
    pub(super) const fn new(handles: &'a [Arc<dyn InstanceHandle>], monitor: usize) -> Self {
        Self {
            handles,
            monitor,
            holds: false,
            left_alone: Vec::new(),
        }
    }

    pub(super) const fn is_holding(&self) -> bool {
        self.holds
    }

    /// Holds all, if it does not.
    pub(super) fn hold(&mut self) {
        if std::mem::replace(&mut self.holds, true) {
            return;
        }
        let mut holds = HOLDS.lock().unwrap_or_else(PoisonError::into_inner);
        for handle in self.handles {
            let key = self.key(handle);
            let at = holds.iter().position(|hold| hold.key == key);
            let at = at.unwrap_or_else(|| {
                holds.push(Hold {
                    key,
                    holders: 0,
                    blocked: Vec::new(),
                });
                holds.len() - 1
            });
            holds[at].holders += 1;
            if !self.left_alone.contains(&key) {
                holds[at].blocked.extend(Blocked::new(handle));
            }
        }
    }

    /// Lets all go; what others hold as well, the last of them lets go.
    pub(super) fn release(&mut self) {
        if !std::mem::replace(&mut self.holds, false) {
            return;
        }
        let mut holds = HOLDS.lock().unwrap_or_else(PoisonError::into_inner);
        for handle in self.handles {
            let key = self.key(handle);
            let Some(at) = holds.iter().position(|hold| hold.key == key) else {
                continue;
            };
            if !holds[at].blocked.iter().any(Blocked::is_as_left) {
                self.left_alone.push(key);
            }
            holds[at].holders -= 1;
            if holds[at].holders == 0 {
                let hold = holds.swap_remove(at);
                hold.blocked.iter().for_each(Blocked::release);
            }
        }
    }

    fn key(&self, handle: &Arc<dyn InstanceHandle>) -> Key {
        let operated = handle.operated();
        let number = operated.map_or(self.monitor, Operated::instance);
        (handle.pattern(), handle.name(), number)
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.release();
    }
}
