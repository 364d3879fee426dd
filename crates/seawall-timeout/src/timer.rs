//! A timer in memory that is used again.

use std::cell::RefCell;
use std::pin::Pin;

use tokio::time::{Instant, Sleep, sleep_until};

/// A timer that is armed only when it is needed. Tokio's has about a hundred bytes, which would lie
/// in the future of every call and of every layer around it, and must not be moved once it is polled:
/// so it is pinned in a box, and boxes that are empty again wait in a pool of their thread.
#[derive(Debug)]
pub(crate) struct Timer(Option<Slot>);

type Slot = Pin<Box<Option<Sleep>>>;

/// How many boxes a thread keeps; what is more is freed.
const MOST: usize = 64;

thread_local! {
    static POOL: RefCell<Vec<Slot>> = const { RefCell::new(Vec::new()) };
}

impl Timer {
    /// Not armed.
    pub(crate) const NONE: Self = Self(None);

    /// A box alone is not enough: outside of a runtime no timer can be made.
    pub(crate) fn is_armed(&self) -> bool {
        self.0.as_ref().is_some_and(|slot| slot.is_some())
    }

    /// The timer, made for some time if it is not armed.
    #[inline]
    pub(crate) fn get_or_arm(&mut self, some_time: impl FnOnce() -> Instant) -> Pin<&mut Sleep> {
        let slot = self.0.get_or_insert_with(take);
        if slot.is_none() {
            slot.set(Some(sleep_until(some_time())));
        }
        slot.as_mut().as_pin_mut().expect("it was made just now")
    }

    /// Ends it.
    #[inline]
    pub(crate) fn disarm(&mut self) {
        if let Some(slot) = self.0.take() {
            give(slot);
        }
    }
}

impl Drop for Timer {
    #[inline]
    fn drop(&mut self) {
        self.disarm();
    }
}

#[inline(never)]
fn take() -> Slot {
    // Without a pool, while its thread ends, boxes are made and freed.
    let known = POOL.try_with(|pool| pool.borrow_mut().pop());
    known.ok().flatten().unwrap_or_else(|| Box::pin(None))
}

#[inline(never)]
fn give(mut slot: Slot) {
    slot.set(None);
    let _ = POOL.try_with(|pool| {
        let mut pool = pool.borrow_mut();
        if pool.len() < MOST {
            pool.push(slot);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn a_box_is_used_again_and_its_timer_is_not() {
        let soon = Instant::now() + Duration::from_secs(1);
        let mut timer = Timer::NONE;
        assert!(!timer.is_armed());
        let at: *const Sleep = &raw const *timer.get_or_arm(|| soon);
        assert_eq!(timer.get_or_arm(|| unreachable!("armed")).deadline(), soon);
        timer.disarm();
        assert!(!timer.is_armed());

        let later = soon + Duration::from_secs(1);
        let mut again = Timer::NONE;
        let sleep = again.get_or_arm(|| later);
        assert_eq!(&raw const *sleep, at);
        let mut sleep = sleep;
        poll_fn(|cx| sleep.as_mut().poll(cx)).await;
        assert_eq!(Instant::now(), later);
    }

    #[test]
    fn a_timer_that_could_not_be_made_is_not_armed() {
        let mut timer = Timer::NONE;
        let arm = || {
            timer.get_or_arm(Instant::now);
        };
        // Outside of a runtime.
        catch_unwind(AssertUnwindSafe(arm)).expect_err("no runtime");
        assert!(!timer.is_armed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_thread_keeps_a_bounded_number_of_boxes() {
        let at = Instant::now();
        let mut timers: Vec<_> = (0..3 * MOST).map(|_| Timer::NONE).collect();
        for timer in &mut timers {
            timer.get_or_arm(|| at);
        }
        drop(timers);
        assert_eq!(POOL.with(|pool| pool.borrow().len()), MOST);
    }
}
