//! Wakers on their way out of a lock.

use std::task::Waker;

/// Wakers to be woken, and others to be dropped, once no lock is held any more.
#[must_use = "waiters sleep on unless they are woken"]
#[derive(Debug, Default)]
pub struct Wakers {
    /// `None` mostly: a call that passes at once has none.
    lists: Option<Lists>,
}

#[derive(Debug, Default)]
struct Lists {
    before: Option<Waker>,
    wake: Few,
    drop: Few,
}

/// Usually one: that is kept without an allocation.
#[derive(Debug, Default)]
struct Few {
    first: Option<Waker>,
    more: Vec<Waker>,
}

impl Few {
    fn push(&mut self, waker: Waker) {
        match self.first {
            None => self.first = Some(waker),
            Some(_) => self.more.push(waker),
        }
    }
}

impl Wakers {
    /// None yet.
    pub const fn new() -> Self {
        Self { lists: None }
    }

    fn lists(&mut self) -> &mut Lists {
        self.lists.get_or_insert_default()
    }

    /// Adds one to be woken.
    pub fn add(&mut self, waker: Option<Waker>) {
        if let Some(waker) = waker {
            self.lists().wake.push(waker);
        }
    }

    /// Adds one to be woken before all others: many runtimes run next what was woken last.
    pub(super) fn add_first(&mut self, waker: Option<Waker>) {
        let Some(waker) = waker else {
            return;
        };
        let lists = self.lists();
        match lists.before {
            None => lists.before = Some(waker),
            Some(_) => lists.wake.push(waker),
        }
    }

    /// Adds one to be dropped.
    pub fn discard(&mut self, waker: Option<Waker>) {
        if let Some(waker) = waker {
            self.lists().drop.push(waker);
        }
    }

    /// How many are to be woken.
    pub fn len(&self) -> usize {
        let one = |waker: &Option<Waker>| usize::from(waker.is_some());
        let of =
            |lists: &Lists| one(&lists.before) + one(&lists.wake.first) + lists.wake.more.len();
        self.lists.as_ref().map_or(0, of)
    }

    /// Whether none is to be woken.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Wakes and drops them, all of them even if one panics. No lock may be held: a waker runs code
    /// of the executor.
    #[inline]
    pub fn wake(self) {
        if let Some(lists) = self.lists {
            lists.wake();
        }
    }
}

impl Lists {
    #[inline(never)]
    fn wake(self) {
        let Few { first, more } = self.wake;
        let before = self.before.into_iter();
        let all = before.chain(first).chain(more);
        Waking(all).run();
    }
}

/// Wakes the rest when one panics.
struct Waking<I: Iterator<Item = Waker>>(I);

impl<I: Iterator<Item = Waker>> Waking<I> {
    fn run(&mut self) {
        self.0.by_ref().for_each(Waker::wake);
    }
}

impl<I: Iterator<Item = Waker>> Drop for Waking<I> {
    fn drop(&mut self) {
        self.run();
    }
}
