//! What a request or a response is stored in while it passes through the layers.

use std::any::{Any, TypeId};
use std::cell::RefCell;
use std::fmt;

use super::{Classified, Described};

/// What a request or a response is stored in: itself, or a [`Pooled`] box.
pub trait Storage: Sized {
    /// What is in it.
    type Value;

    /// Stores `value`.
    fn put(value: Self::Value) -> Self;

    /// What is in it.
    fn get(&self) -> &Self::Value;

    /// What is in it, mutably.
    fn get_mut(&mut self) -> &mut Self::Value;

    /// Takes it out.
    fn take(self) -> Self::Value {
        self.take_for(|value| value)
    }

    /// Takes it out for `then`, which moves it once less than what [`take`](Self::take) returns.
    fn take_for<U>(self, then: impl FnOnce(Self::Value) -> U) -> U;
}

/// Implements [`Storage`] for what travels in itself.
macro_rules! itself {
    ($($Type:ident),*) => {$(
        impl<T> Storage for $Type<T> {
            type Value = Self;

            #[inline]
            fn put(value: Self) -> Self {
                value
            }

            #[inline]
            fn get(&self) -> &Self {
                self
            }

            #[inline]
            fn get_mut(&mut self) -> &mut Self {
                self
            }

            #[inline]
            fn take_for<U>(self, then: impl FnOnce(Self) -> U) -> U {
                then(self)
            }
        }
    )*};
}
itself!(Described, Classified);

/// A value in memory that is used again.
///
/// An HTTP request has about 300 bytes, and so has a response with its body; a stack hands each on
/// some ten times, and every move costs as much as a layer does. A pooled value is moved as one
/// pointer. What is empty again waits in a pool of its thread, so that a call allocates nothing: 64
/// of a type at most, and what is more is freed.
// `None` inside once it is empty, `None` outside once it is given back.
pub struct Pooled<T: 'static>(Option<Box<Option<T>>>);

const FULL: &str = "it is full until it is consumed";

impl<T> Storage for Pooled<T> {
    type Value = T;

    #[inline]
    fn put(value: T) -> Self {
        let mut slot = pool::take();
        // It always is, and is asked all the same: where something might have to be dropped first,
        // the value is put somewhere else meanwhile, and moved twice.
        if slot.is_none() {
            *slot = Some(value);
        }
        Self(Some(slot))
    }

    #[inline]
    fn get(&self) -> &T {
        let value = self.0.as_ref().and_then(|slot| slot.as_ref().as_ref());
        value.expect(FULL)
    }

    #[inline]
    fn get_mut(&mut self) -> &mut T {
        let value = self.0.as_mut().and_then(|slot| slot.as_mut().as_mut());
        value.expect(FULL)
    }

    #[inline(always)]
    fn take_for<U>(mut self, then: impl FnOnce(T) -> U) -> U {
        let mut slot = self.0.take().expect(FULL);
        // Out of the box by itself: `Option::take` and `expect` would each move it once more.
        let Some(value) = *slot else { panic!("{FULL}") };
        *slot = None;
        pool::give(slot);
        then(value)
    }
}

impl<T> Drop for Pooled<T> {
    #[inline]
    fn drop(&mut self) {
        if let Some(mut slot) = self.0.take() {
            // Before the pool is borrowed: that runs code of the caller's.
            *slot = None;
            pool::give(slot);
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for Pooled<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get().fmt(f)
    }
}

/// The empty boxes of each thread.
mod pool {
    use super::{Any, RefCell, TypeId};

    /// How many boxes of a type a thread keeps.
    pub(super) const MOST: usize = 64;

    thread_local! {
        // For each type its boxes, a `Boxes<T>`. A program has few types of requests and
        // responses: they are searched from the first on.
        static POOL: RefCell<Vec<(TypeId, Box<dyn Any>)>> = const { RefCell::new(Vec::new()) };
    }

    type Boxes<T> = Vec<Box<Option<T>>>;

    /// The boxes of a type, if there were any before.
    #[inline]
    fn of<T: 'static>(pool: &mut Vec<(TypeId, Box<dyn Any>)>) -> Option<&mut Boxes<T>> {
        let id = TypeId::of::<T>();
        let known = pool.iter_mut().find(|(of, _)| *of == id);
        known.and_then(|(_, boxes)| boxes.downcast_mut())
    }

    /// An empty box.
    #[inline]
    pub(super) fn take<T: 'static>() -> Box<Option<T>> {
        let taken = POOL.try_with(|pool| of(&mut pool.borrow_mut())?.pop());
        taken.ok().flatten().unwrap_or_default()
    }

    #[cfg(test)]
    pub(super) fn len<T: 'static>() -> usize {
        POOL.with(|pool| of::<T>(&mut pool.borrow_mut()).map_or(0, |boxes| boxes.len()))
    }

    #[inline]
    pub(super) fn give<T: 'static>(slot: Box<Option<T>>) {
        // Where the thread ends, the box is freed.
        let _ = POOL.try_with(|pool| {
            let mut pool = pool.borrow_mut();
            match of::<T>(&mut pool) {
                Some(boxes) if boxes.len() < MOST => boxes.push(slot),
                Some(_) => {}
                None => pool.push((TypeId::of::<T>(), first(slot))),
            }
        });
    }

    #[cold]
    fn first<T: 'static>(slot: Box<Option<T>>) -> Box<dyn Any> {
        Box::new(Boxes::from([slot]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::rc::Rc;

    #[test]
    fn a_place_is_used_again_and_only_for_its_type() {
        let first = Pooled::put([7_u64; 4]);
        let at: *const [u64; 4] = first.get();
        assert_eq!(first.take(), [7; 4]);
        let other = Pooled::put([7_u32; 8]);
        let again = Pooled::put([8_u64; 4]);
        assert_eq!(std::ptr::from_ref(again.get()), at);
        assert_eq!((other.take(), again.take()), ([7; 8], [8; 4]));
    }

    #[test]
    fn values_are_dropped_with_their_place_and_a_thread_keeps_a_bounded_number_of_places() {
        let value = Rc::new(());
        let boxes: Vec<_> = (0..3 * pool::MOST)
            .map(|_| Pooled::put(Rc::clone(&value)))
            .collect();
        drop(boxes);
        assert_eq!(Rc::strong_count(&value), 1, "no box keeps a value");
        assert_eq!(pool::len::<Rc<()>>(), pool::MOST);
    }

    /// Has a slot itself, and is dropped by one.
    struct Nested(Option<Pooled<u8>>);

    impl Drop for Nested {
        fn drop(&mut self) {
            let inner = self.0.take().map_or(0, Storage::take);
            assert_eq!(Pooled::put(inner + 1).take(), 8);
        }
    }

    #[test]
    fn values_may_use_the_pool_when_they_are_dropped_also_while_a_thread_ends() {
        thread_local! {
            static LATE: RefCell<Option<Pooled<Nested>>> = const { RefCell::new(None) };
        }
        drop(Pooled::put(Nested(Some(Pooled::put(7)))));
        let thread = std::thread::spawn(|| {
            LATE.with(|late| *late.borrow_mut() = Some(Pooled::put(Nested(Some(Pooled::put(7))))));
        });
        thread.join().expect("nothing panics");
    }
}
