//! What the map must know of its entries to evict one.

/// What the map keeps by key. Called under the lock of a shard: it runs no code of the user, and
/// takes no lock under which a shard could be locked.
pub(crate) trait Evict {
    /// What remains of all evicted entries, and what the present ones are summed up in.
    type Totals: Default;

    /// What would be lost with this entry, which nothing else holds.
    fn rest(&mut self) -> Rest;

    /// Adds this entry's part to `totals`, or, if it is evicted, what must outlive it.
    fn add_to(&self, totals: &mut Self::Totals, evicted: bool);
}

/// What would be lost with an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rest {
    /// It must not be evicted.
    Stays,
    /// It remembers something that would be missed if its key came back soon.
    Remembers,
    /// Nothing: the next one would be the same.
    Idle,
}
