//! Wakers on their way out of a lock.

use std::task::Waker;

/// Wakers to be woken, and others to be dropped, once no lock is held any more.
#[must_use = "waiters sleep on unless they are woken"]
#[derive(Debug, Default)]
pub struct Wakers {
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
    fn push(&mut self, waker: Option<Waker>) {
        match waker {
            None => {}
            Some(waker) if self.first.is_none() => self.first = Some(waker),
            Some(waker) => self.more.push(waker),
        }
    }
}

impl Wakers {
    /// None yet.
    pub const fn new() -> Self {
        const NONE: Few = Few {
            first: None,
            more: Vec::new(),
        };
        Self {
            before: None,
            wake: NONE,
            drop: NONE,
        }
    }

    /// Adds one to be woken.
    pub fn add(&mut self, waker: Option<Waker>) {
        self.wake.push(waker);
    }

    /// Adds one to be woken before all others: many runtimes run next what was woken last.
    pub(super) fn add_first(&mut self, waker: Option<Waker>) {
        match (&self.before, waker) {
            (_, None) => {}
            (None, waker) => self.before = waker,
            (Some(_), waker) => self.wake.push(waker),
        }
    }

    /// Adds one to be dropped.
    pub fn discard(&mut self, waker: Option<Waker>) {
        self.drop.push(waker);
    }

    /// How many are to be woken.
    pub fn len(&self) -> usize {
        let one = |waker: &Option<Waker>| usize::from(waker.is_some());
        one(&self.before) + one(&self.wake.first) + self.wake.more.len()
    }

    /// Whether none is to be woken.
    pub fn is_empty(&self) -> bool {
        self.before.is_none() && self.wake.first.is_none()
    }

    /// Wakes and drops them, all of them even if one panics. No lock may be held: a waker runs code
    /// of the executor.
    #[inline]
    pub fn wake(self) {
        // Mostly so: calls that pass at once wake nobody.
        if !self.is_empty() {
            self.wake_all();
        }
    }

    #[cold]
    fn wake_all(self) {
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
