//! Wakers on their way out of a lock.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::task::Waker;

/// Wakers to be woken, and others to be dropped, once no lock is held any more.
#[must_use = "waiters sleep on unless they are woken"]
#[derive(Debug, Default)]
pub struct Wakers {
    // Usually there is at most one of each: these are kept without an allocation.
    wake: Option<Waker>,
    drop: Option<Waker>,
    more: Option<Box<More>>,
}

#[derive(Debug, Default)]
struct More {
    before: Option<Waker>,
    wake: Vec<Waker>,
    drop: Vec<Waker>,
}

impl Wakers {
    /// None yet.
    pub const fn new() -> Self {
        Self {
            wake: None,
            drop: None,
            more: None,
        }
    }

    fn more(&mut self) -> &mut More {
        self.more.get_or_insert_default()
    }

    /// Adds one to be woken.
    #[inline]
    pub fn add(&mut self, waker: Option<Waker>) {
        match (waker, &self.wake) {
            (None, _) => {}
            (waker, None) => self.wake = waker,
            (Some(waker), Some(_)) => self.more().wake.push(waker),
        }
    }

    /// Adds one to be woken before all others: many runtimes run next what was woken last.
    pub(super) fn add_first(&mut self, waker: Option<Waker>) {
        let Some(waker) = waker else {
            return;
        };
        let more = self.more();
        match more.before {
            None => more.before = Some(waker),
            Some(_) => more.wake.push(waker),
        }
    }

    /// Adds one to be dropped.
    #[inline]
    pub fn discard(&mut self, waker: Option<Waker>) {
        match (waker, &self.drop) {
            (None, _) => {}
            (waker, None) => self.drop = waker,
            (Some(waker), Some(_)) => self.more().drop.push(waker),
        }
    }

    /// How many are to be woken.
    pub fn len(&self) -> usize {
        let more = self.more.as_ref().map_or(0, |more| {
            usize::from(more.before.is_some()) + more.wake.len()
        });
        usize::from(self.wake.is_some()) + more
    }

    /// Whether none is to be woken.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Wakes and drops them, all of them even if some panic; the first panic goes on. No lock may be held: a waker runs code
    /// of the executor.
    #[inline]
    pub fn wake(self) {
        match self.more {
            None => {
                if let Some(waker) = self.wake {
                    waker.wake();
                }
            }
            Some(more) => more.wake(self.wake),
        }
    }
}

impl More {
    #[inline(never)]
    fn wake(self, first: Option<Waker>) {
        let mut panicked = None;
        for waker in self.before.into_iter().chain(first).chain(self.wake) {
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| waker.wake())) {
                panicked.get_or_insert(panic);
            }
        }
        // A second panic would end the process.
        if let Some(panic) = panicked
            && !std::thread::panicking()
        {
            resume_unwind(panic);
        }
    }
}
