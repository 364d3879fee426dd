//! Delays from an iterator of the user's.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// The delays of one call.
pub(super) type Walked = Box<dyn Iterator<Item = Duration> + Send + Sync>;

/// What makes an iterator for each call.
#[derive(Clone)]
pub(super) struct Maker(Arc<dyn Fn() -> Walked + Send + Sync>);

impl Maker {
    pub(super) fn new<F, I>(delays: F) -> Self
    where
        F: Fn() -> I + Send + Sync + 'static,
        I: IntoIterator<Item = Duration>,
        I::IntoIter: Send + Sync + 'static,
    {
        Self(Arc::new(move || Box::new(delays().into_iter())))
    }

    pub(super) fn make(&self) -> Walked {
        (self.0)()
    }
}

impl PartialEq for Maker {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl fmt::Debug for Maker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("..")
    }
}
