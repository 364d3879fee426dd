//! Shared state whose hot words lie on a cache line of the running thread.
//!
//! One reference count or one counter that every call writes holds two threads to less than the
//! speed of one. Here shared state has a few *stripes*, and every stripe has a *handle* with a
//! reference count of its own; a call takes the handle of the thread it runs on. A layer keeps
//! [`Shared`], its services an [`Anchor`], and its futures and admissions a [`Local`].

use std::cell::Cell;
use std::fmt;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};

mod set;

pub use set::StripeSet;

/// How many stripes shared state has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stripes(NonZeroUsize);

impl Stripes {
    /// One stripe: the least memory, for state that one thread uses or that exists per key.
    pub const ONE: Self = Self(NonZeroUsize::MIN);

    /// Twice the cores of the machine, rounded up to a power of two, from 4 to 16. Twice, since
    /// threads are dealt out in the order in which they come, and two busy ones may meet.
    pub fn auto() -> Self {
        static CORES: OnceLock<usize> = OnceLock::new();
        let cores = *CORES
            .get_or_init(|| std::thread::available_parallelism().map_or(2, NonZeroUsize::get));
        Self::new((2 * cores).clamp(4, 16))
    }

    /// `stripes`, rounded up to a power of two, from 1 to 64.
    pub fn new(stripes: usize) -> Self {
        let stripes = stripes.clamp(1, 64).next_power_of_two();
        Self(NonZeroUsize::new(stripes).unwrap_or(NonZeroUsize::MIN))
    }

    /// The number of stripes, a power of two.
    pub const fn get(self) -> usize {
        self.0.get()
    }
}

impl Default for Stripes {
    fn default() -> Self {
        Self::auto()
    }
}

/// A number for the running thread, dealt out in the order in which threads first ask.
#[inline]
pub fn thread_index() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static INDEX: Cell<usize> = const { Cell::new(usize::MAX) };
    }
    // While the thread's locals are being destroyed, any stripe will do, but none is its own.
    INDEX
        .try_with(|index| {
            let known = index.get();
            if known != usize::MAX {
                return known;
            }
            let dealt = NEXT.fetch_add(1, Ordering::Relaxed);
            index.set(dealt);
            dealt
        })
        .unwrap_or(usize::MAX)
}

/// A cache line (and the one that the prefetcher fetches with it) for one stripe.
#[repr(align(128))]
struct CacheLine<T>(T);

struct Body<C, T> {
    common: C,
    stripes: Box<[CacheLine<T>]>,
    /// Weak, since each handle keeps the body alive.
    siblings: OnceLock<Siblings<C, T>>,
}

/// What a reference count belongs to. The alignment puts the count on a cache line of its own, and
/// what is read beside it on the next, which the prefetcher fetches with it.
#[repr(align(64))]
struct Handle<C, T> {
    body: Arc<Body<C, T>>,
    index: usize,
    /// The number of stripes less one, kept here so that choosing a handle reads no other line.
    mask: usize,
}

type Siblings<C, T> = Box<[Weak<Handle<C, T>>]>;
type Handles<C, T> = Arc<[Arc<Handle<C, T>>]>;

/// Shared state, kept by a layer: a common part `C` and stripes of `T`. Clones share.
///
/// As long as one `Shared` lives, every call finds the handle of its thread.
///
/// ```
/// use std::sync::atomic::{AtomicU64, Ordering};
/// use seawall_core::striped::{Shared, Stripes};
///
/// let calls: Shared<&str, AtomicU64> = Shared::new("common", Stripes::auto(), AtomicU64::default);
/// std::thread::scope(|scope| {
///     for _ in 0..4 {
///         scope.spawn(|| calls.here().fetch_add(1, Ordering::Relaxed));
///     }
/// });
/// let sum: u64 = calls.stripes().map(|c| c.load(Ordering::Relaxed)).sum();
/// assert_eq!(sum, 4);
/// ```
pub struct Shared<C, T> {
    handles: Handles<C, T>,
}

impl<C, T> Shared<C, T> {
    /// Shared state of the given parts; `stripe` makes one stripe at a time.
    pub fn new(common: C, stripes: Stripes, mut stripe: impl FnMut() -> T) -> Self {
        let body = Arc::new(Body {
            common,
            stripes: (0..stripes.get()).map(|_| CacheLine(stripe())).collect(),
            siblings: OnceLock::new(),
        });
        let handles: Handles<C, T> = (0..stripes.get())
            .map(|index| {
                Arc::new(Handle {
                    body: Arc::clone(&body),
                    index,
                    mask: stripes.get() - 1,
                })
            })
            .collect();
        // Empty until here: the body has just been made.
        let _ = body
            .siblings
            .set(handles.iter().map(Arc::downgrade).collect());
        Self { handles }
    }

    /// The common part.
    #[inline]
    pub fn common(&self) -> &C {
        &self.body().common
    }

    /// The stripe of the running thread.
    #[inline]
    pub fn here(&self) -> &T {
        self.body().here()
    }

    /// Every stripe.
    pub fn stripes(&self) -> impl Iterator<Item = &T> {
        self.body().stripes.iter().map(|line| &line.0)
    }

    /// A handle of the running thread, for a future.
    #[inline]
    pub fn local(&self) -> Local<C, T> {
        let index = thread_index() & (self.handles.len() - 1);
        Local {
            handle: Arc::clone(&self.handles[index]),
        }
    }

    /// An anchor for the first service of a layer: it keeps every handle alive.
    pub fn anchor(&self) -> Anchor<C, T> {
        Anchor {
            local: self.local(),
            root: Some(self.clone()),
        }
    }

    /// Whether two values share their state.
    pub fn shares_with(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.handles, &other.handles)
    }

    fn body(&self) -> &Body<C, T> {
        // There is at least one stripe.
        &self.handles[0].body
    }
}

impl<C, T> Body<C, T> {
    #[inline]
    fn here(&self) -> &T {
        &self.stripes[thread_index() & (self.stripes.len() - 1)].0
    }
}

impl<C, T> Clone for Shared<C, T> {
    fn clone(&self) -> Self {
        Self {
            handles: Arc::clone(&self.handles),
        }
    }
}

/// Shared state, held by a future or an admission: one reference count of one thread.
pub struct Local<C, T> {
    handle: Arc<Handle<C, T>>,
}

impl<C, T> Local<C, T> {
    /// The common part.
    #[inline(always)]
    pub fn common(&self) -> &C {
        &self.handle.body.common
    }

    /// The stripe of this handle: that of the thread which made it, wherever it is now.
    #[inline(always)]
    pub fn stripe(&self) -> &T {
        &self.handle.body.stripes[self.handle.index].0
    }

    /// Whether the running thread has the stripe of this handle alone, as
    /// [`Anchor::here_alone`] says of its own.
    #[inline(always)]
    pub fn is_here_alone(&self) -> bool {
        thread_index() == self.handle.index
    }

    /// Every stripe.
    pub fn stripes(&self) -> impl Iterator<Item = &T> {
        self.handle.body.stripes.iter().map(|line| &line.0)
    }

    /// A handle of the running thread.
    ///
    /// When every [`Shared`] is gone and the thread's handle with it, this handle serves: still
    /// correct, only no longer on a line of its own.
    #[inline]
    pub fn local(&self) -> Self {
        let index = thread_index() & self.handle.mask;
        if index == self.handle.index {
            return Self {
                handle: Arc::clone(&self.handle),
            };
        }
        self.sibling(index)
    }

    /// The same handle once more, whichever thread asks. It does nothing that could panic, so that
    /// a future which is put together with it can be built where it stays.
    #[inline]
    #[must_use]
    pub fn again(&self) -> Self {
        Self {
            handle: Arc::clone(&self.handle),
        }
    }

    /// Shared state again: it keeps alive every handle that is alive now.
    pub fn shared(&self) -> Shared<C, T> {
        let handles = (0..=self.handle.mask).map(|index| self.sibling(index).handle);
        Shared {
            handles: handles.collect(),
        }
    }

    fn sibling(&self, index: usize) -> Self {
        let siblings = self.handle.body.siblings.get();
        let sibling = siblings.and_then(|all| all[index].upgrade());
        Self {
            handle: sibling.unwrap_or_else(|| Arc::clone(&self.handle)),
        }
    }
}

impl<C, T> Clone for Local<C, T> {
    /// A handle of the running thread, not of the thread which made this one.
    fn clone(&self) -> Self {
        self.local()
    }
}

/// Shared state, held by a service.
///
/// The service that a layer made keeps every handle alive; its clones hold the one of the thread
/// on which they were cloned, so that cloning a service per request scales too.
pub struct Anchor<C, T> {
    local: Local<C, T>,
    root: Option<Shared<C, T>>,
}

impl<C, T> Anchor<C, T> {
    /// The common part.
    #[inline]
    pub fn common(&self) -> &C {
        self.local.common()
    }

    /// The stripe of the running thread.
    #[inline]
    pub fn here(&self) -> &T {
        self.local.handle.body.here()
    }

    /// The stripe of the running thread, and whether no other thread has the same one: so many
    /// threads as there are stripes have one of their own, those that have asked first.
    #[inline]
    pub fn here_alone(&self) -> (&T, bool) {
        let (thread, stripes) = (thread_index(), &self.local.handle.body.stripes);
        (
            &stripes[thread & (stripes.len() - 1)].0,
            thread < stripes.len(),
        )
    }

    /// A handle of the running thread, for a future.
    #[inline]
    pub fn local(&self) -> Local<C, T> {
        self.local.local()
    }

    /// The handle of the running thread, to which the anchor moves. A service that stays on one
    /// thread finds its handle at once from the second call on, wherever it was cloned.
    #[inline]
    pub fn follow(&mut self) -> &Local<C, T> {
        if thread_index() & self.local.handle.mask != self.local.handle.index {
            self.migrate();
        }
        &self.local
    }

    #[cold]
    #[inline(never)]
    fn migrate(&mut self) {
        self.local = self.local.local();
    }

    /// Every stripe.
    pub fn stripes(&self) -> impl Iterator<Item = &T> {
        self.local.stripes()
    }
}

impl<C, T> Clone for Anchor<C, T> {
    fn clone(&self) -> Self {
        Self {
            local: self.local.local(),
            root: None,
        }
    }
}

impl<C: fmt::Debug, T> fmt::Debug for Shared<C, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Shared").field(self.common()).finish()
    }
}

impl<C: fmt::Debug, T> fmt::Debug for Local<C, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Local").field(self.common()).finish()
    }
}

impl<C: fmt::Debug, T> fmt::Debug for Anchor<C, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Anchor")
            .field("common", self.common())
            .field("root", &self.root.is_some())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU64;

    type Calls = Shared<AtomicU64, AtomicU64>;

    fn calls(stripes: Stripes) -> Calls {
        Shared::new(AtomicU64::new(0), stripes, AtomicU64::default)
    }

    #[test]
    fn threads_use_stripes_of_their_own_and_lose_nothing() {
        let shared = calls(Stripes::new(64));
        let template = shared.anchor();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..1_000 {
                        let service = template.clone();
                        service.local().stripe().fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        });
        let counts: Vec<u64> = shared
            .stripes()
            .map(|c| c.load(Ordering::Relaxed))
            .collect();
        assert_eq!(counts.iter().sum::<u64>(), 4_000);
        assert!(counts.iter().filter(|n| **n > 0).count() >= 2, "{counts:?}");
    }

    #[test]
    fn clones_still_work_when_the_layer_and_the_first_service_are_gone() {
        let shared = calls(Stripes::new(8));
        let first = shared.anchor();
        let clone = first.clone();
        drop((shared, first));
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let again = clone.clone();
                    again.local().common().fetch_add(1, Ordering::Relaxed);
                });
            }
        });
        assert_eq!(clone.common().load(Ordering::Relaxed), 8);
    }

    #[test]
    fn nothing_leaks_when_the_last_handle_is_dropped() {
        let witness = Arc::new(());
        let shared: Shared<Arc<()>, Arc<()>> =
            Shared::new(Arc::clone(&witness), Stripes::new(4), || {
                Arc::clone(&witness)
            });
        let (anchor, local) = (shared.anchor(), shared.local());
        assert_eq!(Arc::strong_count(&witness), 6);
        drop(shared);
        drop(anchor);
        assert_eq!(Arc::strong_count(&witness), 6);
        drop(local);
        assert_eq!(Arc::strong_count(&witness), 1);
    }

    #[test]
    fn stripes_are_a_power_of_two_within_bounds() {
        assert_eq!(Stripes::new(0).get(), 1);
        assert_eq!(Stripes::new(5).get(), 8);
        assert_eq!(Stripes::new(usize::MAX).get(), 64);
        assert!((4..=16).contains(&Stripes::auto().get()));
    }
}
