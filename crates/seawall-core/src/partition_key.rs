//! What a request belongs to.

use std::hash::{DefaultHasher, Hash, Hasher};

/// What a request belongs to where state is kept per key: an endpoint, an account, a symbol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct PartitionKey(pub u64);

impl PartitionKey {
    /// The key of `value`: its hash, the same in every run.
    pub fn of(value: &(impl Hash + ?Sized)) -> Self {
        let mut hasher = DefaultHasher::new();
        value.hash(&mut hasher);
        Self(hasher.finish())
    }
}
