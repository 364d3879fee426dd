//! A queue that is made when the first call waits.

use std::ops::{Deref, DerefMut};

use seawall_core::Priority;
use seawall_core::queue::Queue;

use crate::costs::{Call, Costs};

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Waiting {
    pub(super) priority: Priority,
    pub(super) costs: Costs,
}

impl Waiting {
    pub(super) const fn call(&self) -> Call<'_> {
        (&self.costs, self.priority)
    }
}

/// It takes one word before the first call waits, since a key has a limiter of its own; and the queue is
/// moved out of its place and back by its pointer.
#[derive(Debug, Default)]
pub(super) struct LazyQueue(Option<Box<Queue<Waiting>>>);

static EMPTY: Queue<Waiting> = Queue::new();

impl LazyQueue {
    pub(super) const fn new() -> Self {
        Self(None)
    }

    /// The bytes of the queue itself.
    pub(super) fn bytes(&self) -> usize {
        self.0.as_deref().map_or(0, size_of_val)
    }
}

impl Deref for LazyQueue {
    type Target = Queue<Waiting>;

    #[inline]
    fn deref(&self) -> &Self::Target {
        self.0.as_deref().unwrap_or(&EMPTY)
    }
}

impl DerefMut for LazyQueue {
    #[inline]
    fn deref_mut(&mut self) -> &mut Self::Target {
        self.0.get_or_insert_default()
    }
}
