//! Which futures are built where they stay.

/// Whether a future is too large to be moved without a cost: more than a cache line.
///
/// A layer's future holds that of the service below. Is that small, the layer's `call` is best
/// inlined, and the future moved in registers. Is it large, it should be written once: by a function
/// that is not inlined, in which the call of the service below and the making of the future are all
/// there is to do, and nothing is to be dropped should that call panic.
#[inline(always)]
#[must_use]
pub const fn is_large<F>() -> bool {
    size_of::<F>() > 64
}
