//! What a request does, as a name for metrics.

use std::fmt;

use crate::InstanceName;

/// What a request does, in one word of the program's own: `"orders.place"`, `"quotes"`. Metrics have it
/// as the label `operation`.
///
/// It is a number of 16 bits, so that a [`RequestMeta`](crate::RequestMeta) does not grow by it. Take operations from code or
/// configuration, never from requests: each name is kept for the life of the process.
///
/// ```
/// use seawall_core::{Operation, RequestMeta};
///
/// let place = RequestMeta::non_idempotent().with_operation(Operation::new("orders.place"));
/// assert_eq!(place.operation.as_str(), "orders.place");
/// assert_eq!(RequestMeta::default().operation.as_str(), "other");
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Operation(u16);

impl Operation {
    /// What has no name of its own.
    pub const OTHER: Self = Self(0);

    /// The operation of that name. [`OTHER`](Self::OTHER) for an empty one, for `"other"`, and in a process that has
    /// more than 65,000 names.
    pub fn new(name: impl Into<InstanceName>) -> Self {
        let name = name.into();
        if name.is_unnamed() || name.as_str() == "other" {
            return Self::OTHER;
        }
        let number = u16::try_from(name.id())
            .ok()
            .and_then(|id| id.checked_add(1));
        number.map_or(Self::OTHER, Self)
    }

    /// Whether it has no name of its own.
    #[inline]
    pub const fn is_other(self) -> bool {
        self.0 == 0
    }

    /// The name.
    pub fn as_str(self) -> &'static str {
        match self.0.checked_sub(1) {
            None => "other",
            Some(id) => InstanceName::from_id(u32::from(id)).as_str(),
        }
    }

    /// Its number, from which [`from_number`](Self::from_number) makes it again; 0 is `OTHER`.
    #[inline]
    pub const fn number(self) -> u16 {
        self.0
    }

    /// The operation of that [number](Self::number).
    pub const fn from_number(number: u16) -> Self {
        Self(number)
    }
}

impl fmt::Debug for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Operation({:?})", self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RequestMeta;

    #[test]
    fn a_description_is_as_small_as_without_it() {
        assert_eq!(std::mem::size_of::<RequestMeta>(), 40);
    }

    #[test]
    fn names_survive_and_what_has_none_is_other() {
        let place = Operation::new("place");
        assert_eq!(Operation::from_number(place.number()), place);
        assert_eq!(place.as_str(), "place");
        for none in ["", "other"] {
            assert!(Operation::new(none).is_other());
        }
    }
}
