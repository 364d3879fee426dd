//! The wakers of those that wait until every permit is available.

use std::task::Waker;

#[derive(Debug)]
pub(crate) struct IdleWaiters {
    last_id: u64,
    wakers: Vec<(u64, Waker)>,
}

impl IdleWaiters {
    pub(crate) const fn new() -> Self {
        Self {
            last_id: 0,
            wakers: Vec::new(),
        }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.wakers.is_empty()
    }

    /// Registers a waker, with a new id the first time. Hands back the one that it replaces.
    pub(crate) fn register(&mut self, id: &mut Option<u64>, waker: Waker) -> Option<Waker> {
        let old = self.remove(*id);
        let id = *id.get_or_insert_with(|| {
            self.last_id += 1;
            self.last_id
        });
        self.wakers.push((id, waker));
        old
    }

    pub(crate) fn remove(&mut self, id: Option<u64>) -> Option<Waker> {
        let at = self.wakers.iter().position(|(of, _)| Some(*of) == id)?;
        Some(self.wakers.swap_remove(at).1)
    }

    pub(crate) fn take_all(&mut self) -> Vec<Waker> {
        let all = std::mem::take(&mut self.wakers);
        all.into_iter().map(|(_, waker)| waker).collect()
    }
}
