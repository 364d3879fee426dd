//! Stripes that several values of shared state have in common.

use std::fmt;
use std::sync::Arc;

use super::{Shared, Stripes, thread_index};

/// The stripes of one layer whose services differ in type, and so have a [`Shared`] for each call
/// of `layer()`: all of them count in the same stripes.
///
/// ```
/// use seawall_core::counters::Counter;
/// use seawall_core::striped::StripeSet;
///
/// let calls: StripeSet<Counter> = StripeSet::new();
/// let (one, two) = (calls.share("one"), calls.share("two"));
/// one.here().add();
/// two.here().add();
/// assert_eq!(calls.iter().map(Counter::get).sum::<u64>(), 2);
/// ```
pub struct StripeSet<T> {
    stripes: Stripes,
    all: Box<[Arc<T>]>,
}

impl<T: Default> StripeSet<T> {
    /// As many stripes as [`Stripes::auto`] says.
    pub fn new() -> Self {
        let stripes = Stripes::auto();
        Self {
            stripes,
            all: (0..stripes.get()).map(|_| Arc::default()).collect(),
        }
    }

    /// Shared state with `common` as its common part and these stripes.
    pub fn share<C>(&self, common: C) -> Shared<C, Arc<T>> {
        let mut all = self.all.iter().map(Arc::clone);
        // As many as there are, asked for in order.
        Shared::new(common, self.stripes, || all.next().unwrap_or_default())
    }
}

impl<T> StripeSet<T> {
    /// The stripe of the running thread.
    pub fn here(&self) -> &T {
        &self.all[thread_index() & (self.all.len() - 1)]
    }

    /// Every stripe.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.all.iter().map(|stripe| &**stripe)
    }
}

impl<T: Default> Default for StripeSet<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> fmt::Debug for StripeSet<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StripeSet")
            .field("stripes", &self.stripes)
            .finish_non_exhaustive()
    }
}
