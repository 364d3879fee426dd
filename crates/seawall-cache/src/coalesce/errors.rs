//! How an error is given to several callers.

use seawall_core::SharedReadings;
use seawall_core::carry::{Carried, Classified};

/// Copies the error of a call for the callers that wait for it.
///
/// Closures and `fn` pointers `Fn(&Err) -> Option<Err>` do so, as [`CloneError`] and [`NoErrorCopies`].
/// Rejections of the layers below need none.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot copy errors of type `{Err}`",
    label = "does not copy this service's errors",
    note = "`CloneError` copies what is `Clone`, `NoErrorCopies` nothing; otherwise use a `fn(&Error) -> Option<Error>`"
)]
pub trait CopyError<Err> {
    /// A copy of `error`; of `None` the next waiter makes the call again.
    fn copy(&self, error: &Err) -> Option<Err>;
}

#[diagnostic::do_not_recommend]
impl<F: Fn(&Err) -> Option<Err>, Err> CopyError<Err> for F {
    fn copy(&self, error: &Err) -> Option<Err> {
        self(error)
    }
}

/// Copies errors that are `Clone`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CloneError;

impl<Err: Clone> CopyError<Err> for CloneError {
    fn copy(&self, error: &Err) -> Option<Err> {
        Some(error.clone())
    }
}

/// Copies no error: the default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NoErrorCopies;

impl<Err> CopyError<Err> for NoErrorCopies {
    fn copy(&self, _: &Err) -> Option<Err> {
        None
    }
}

/// The copy means what the error does.
impl<Err, C: CopyError<Err>> CopyError<Classified<Err>> for Carried<C> {
    fn copy(&self, error: &Classified<Err>) -> Option<Classified<Err>> {
        let copied = SharedReadings::apart(|| self.0.copy(error.value()));
        copied.map(|copy| Classified::new(copy, error.outcome(), error.retry_after()))
    }
}
