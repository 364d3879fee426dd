//! Counting allocations, so that a test can assert that a hot path has none.
//!
//! A layer that allocates once per request costs little in a benchmark and much in a fleet, and the
//! change that adds the allocation is easily missed. [`count`] makes it a test:
//!
//! ```
//! use seawall_testkit::alloc;
//!
//! assert_eq!(alloc::count(|| 1 + 1).allocations, 0);
//! assert_eq!(alloc::count(|| drop(std::hint::black_box(Box::new(7_u64)))).bytes, 8);
//! ```
//!
//! # How it works
//!
//! The feature `alloc` links the crate `allocation-counter`, which installs itself as the global
//! allocator of the program and counts per thread. A program can have one global allocator: do not
//! turn the feature on beside another, nor outside tests. Warm up before counting, since the first
//! use of a thread local or of a lazily made value allocates.

/// What a closure allocated on its own thread.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Counts {
    /// How often memory was requested; a growing buffer counts each time it moves.
    pub allocations: u64,
    /// How many bytes were requested in total, including freed ones.
    pub bytes: u64,
    /// How many allocations are left over: made and not freed by the closure; negative if it freed
    /// what was allocated before. The value that the closure returns counts as left over.
    pub left: i64,
    /// How many bytes are left over, counted in the same way.
    pub bytes_left: i64,
}

/// Runs `run` once, and counts what it allocates on this thread.
///
/// The result of `run` is dropped after the counting. Other threads, such as the workers of a
/// runtime, are not counted. Calls can be nested; the outer one counts what the inner does. A panic
/// of `run` leaves later counts on this thread correct, but costs one of 64 levels of
/// nesting.
///
/// ```
/// let counts = seawall_testkit::alloc::count(|| vec![0_u8; 100]);
/// assert_eq!((counts.allocations, counts.bytes, counts.left), (1, 100, 1));
/// ```
pub fn count<T>(run: impl FnOnce() -> T) -> Counts {
    let mut result = None;
    let info = allocation_counter::measure(|| result = Some(run()));
    drop(result);
    Counts {
        allocations: info.count_total,
        bytes: info.bytes_total,
        left: info.count_current,
        bytes_left: info.bytes_current,
    }
}
