//! Panics of the inner service, apart from those of its callers.

use std::mem::ManuallyDrop;

struct OnUnwind<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnUnwind<F> {
    #[cold]
    fn drop(&mut self) {
        (self.0)();
    }
}

/// Runs `inner`, and `unwound` if it panics: a panic of a caller, which drops a future while it
/// unwinds, does not pass here.
#[inline(always)]
pub(crate) fn on_unwind<T>(inner: impl FnOnce() -> T, unwound: impl FnMut()) -> T {
    let guard = OnUnwind(unwound);
    let result = inner();
    // It did not: nothing is to be done.
    let _ = ManuallyDrop::new(guard);
    result
}
