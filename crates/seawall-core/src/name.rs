//! Interned names of layer instances.

use std::collections::HashMap;
use std::fmt;
use std::sync::{LazyLock, PoisonError, RwLock};

/// The name of one layer instance, as configured: `"alpaca"`, `"polygon.orders"`.
///
/// A name is a number into a table of the process, so it is `Copy`, fits into a
/// [`Rejection`](crate::Rejection) and costs nothing to pass on. Each distinct name is kept for
/// the life of the process; take names from configuration, never from requests.
///
/// ```
/// use seawall_core::InstanceName;
///
/// let name = InstanceName::new("alpaca");
/// assert_eq!(name, InstanceName::new("alpaca"));
/// assert_eq!(name.as_str(), "alpaca");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct InstanceName(u32);

#[derive(Default)]
struct Table {
    ids: HashMap<&'static str, u32>,
    names: Vec<&'static str>,
}

static TABLE: LazyLock<RwLock<Table>> = LazyLock::new(RwLock::default);

impl InstanceName {
    /// Looks the name up, or adds it to the table of the process.
    pub fn new(name: &str) -> Self {
        let known = TABLE
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .ids
            .get(name)
            .copied();
        if let Some(id) = known {
            return Self(id);
        }
        let mut table = TABLE.write().unwrap_or_else(PoisonError::into_inner);
        // Another thread may have added it between the two locks.
        if let Some(id) = table.ids.get(name) {
            return Self(*id);
        }
        let Ok(id) = u32::try_from(table.names.len()) else {
            // 2^32 names do not fit into memory; the last one stands for all that follow.
            return Self(u32::MAX);
        };
        let kept: &'static str = Box::leak(Box::from(name));
        table.names.push(kept);
        table.ids.insert(kept, id);
        Self(id)
    }

    /// The name as text.
    pub fn as_str(self) -> &'static str {
        let table = TABLE.read().unwrap_or_else(PoisonError::into_inner);
        usize::try_from(self.0)
            .ok()
            .and_then(|id| table.names.get(id).copied())
            .unwrap_or("?")
    }

    pub(crate) const fn id(self) -> u32 {
        self.0
    }

    pub(crate) const fn from_id(id: u32) -> Self {
        Self(id)
    }
}

impl From<&str> for InstanceName {
    fn from(name: &str) -> Self {
        Self::new(name)
    }
}

impl From<String> for InstanceName {
    fn from(name: String) -> Self {
        Self::new(&name)
    }
}

impl fmt::Display for InstanceName {
    /// The name; an empty one prints as `unnamed`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.as_str() {
            "" => "unnamed",
            name => name,
        })
    }
}

impl fmt::Debug for InstanceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.as_str())
    }
}

impl PartialOrd for InstanceName {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for InstanceName {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.as_str().cmp(other.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_text_is_the_same_name_on_every_thread() {
        let names: Vec<InstanceName> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        (0..50)
                            .map(|i| InstanceName::new(&format!("n{i}")))
                            .collect()
                    })
                })
                .collect();
            threads
                .into_iter()
                .flat_map(|t| -> Vec<InstanceName> { t.join().unwrap() })
                .collect()
        });
        for (i, name) in names.iter().enumerate() {
            assert_eq!(name.as_str(), format!("n{}", i % 50));
            assert_eq!(*name, names[i % 50]);
        }
    }
}
