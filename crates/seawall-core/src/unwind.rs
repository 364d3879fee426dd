//! Panics of the inner service, apart from those of its callers.

use std::mem::ManuallyDrop;

struct OnUnwind<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnUnwind<F> {
    #[cold]
    fn drop(&mut self) {
        (self.0)();
    }
}

/// Runs `inner`, and `unwound` if it panics; the panic goes on.
///
/// A panic of a caller, which drops a future while it unwinds, does not pass here.
///
/// ```
/// use std::panic::{AssertUnwindSafe, catch_unwind};
/// use seawall_core::on_unwind;
///
/// let mut panicked = 0;
/// assert_eq!(on_unwind(|| 1, || panicked += 1), 1);
/// let inner = || -> u32 { panic!("out of order") };
/// let result = catch_unwind(AssertUnwindSafe(|| on_unwind(inner, || panicked += 1)));
/// assert!(result.is_err());
/// assert_eq!(panicked, 1);
/// ```
#[inline(always)]
pub fn on_unwind<T>(inner: impl FnOnce() -> T, unwound: impl FnMut()) -> T {
    let guard = OnUnwind(unwound);
    let result = inner();
    // It did not: nothing is to be done.
    let _ = ManuallyDrop::new(guard);
    result
}
