//! The queue against a supply of permits.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Wake, Waker};

use proptest::prelude::*;

use super::state::LATE_VOTES;
use super::*;
use crate::Priority;

/// So many permits are free.
#[derive(Debug, Default)]
struct Permits {
    free: usize,
    waiting: i64,
    claims: i64,
}

impl Supply<u32> for Permits {
    fn claim_next(&mut self, _: u64, next: Next<'_, u32>) -> Result<WaiterId, u64> {
        assert_eq!(next.claims as i64, self.claims);
        if self.free <= next.claims {
            return Err(u64::MAX);
        }
        self.waiting -= 1;
        self.claims += 1;
        Ok(next.id)
    }

    fn unclaim(&mut self, _: WaiterId, _: &u32) -> bool {
        self.claims -= 1;
        true
    }

    fn enter(&mut self, _: WaiterId, _: &u32) {
        self.waiting += 1;
    }

    fn exit(&mut self, _: WaiterId, _: &u32) {
        self.waiting -= 1;
    }
}

#[derive(Default)]
struct Counting(AtomicU32);

impl Wake for Counting {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

struct Subject {
    queue: Queue<u32>,
    permits: Permits,
    now: u64,
}

struct Call {
    id: WaiterId,
    wakes: Arc<Counting>,
}

impl Call {
    fn wakes(&self) -> u32 {
        self.wakes.0.load(Ordering::Relaxed)
    }

    fn waker(&self) -> Waker {
        Arc::clone(&self.wakes).into()
    }
}

impl Subject {
    fn new(free: usize) -> Self {
        Self {
            queue: Queue::new(),
            permits: Permits {
                free,
                ..Permits::default()
            },
            now: 0,
        }
    }

    fn change<R>(
        &mut self,
        change: impl FnOnce(&mut Queue<u32>, u64, &mut Permits, &mut Wakers) -> R,
    ) -> R {
        let mut wakers = Wakers::new();
        let out = change(&mut self.queue, self.now, &mut self.permits, &mut wakers);
        wakers.wake();
        out
    }

    fn join(&mut self, rank: i64, deadline_ns: u64) -> Call {
        let id = self.queue.join(rank, 0, deadline_ns, &mut self.permits);
        let wakes = Arc::default();
        let call = Call { id, wakes };
        self.poll(&call);
        call
    }

    fn poll(&mut self, call: &Call) -> Standing {
        self.change(|queue, now, permits, wakers| {
            queue.turn(call.id, now, call.waker(), permits, wakers)
        })
    }

    fn take(&mut self, call: &Call) -> bool {
        let taking = self.change(|queue, now, permits, wakers| {
            queue.take(
                call.id,
                now,
                call.waker(),
                permits,
                wakers,
                |permits, _, _| {
                    if permits.free == 0 {
                        return Taking::Missing;
                    }
                    permits.free -= 1;
                    Taking::Taken
                },
            )
        });
        taking == Taking::Taken
    }

    /// Polls, and takes if its turn has come.
    fn come(&mut self, call: &Call) -> bool {
        self.poll(call) != Standing::Wait && self.take(call)
    }

    fn release(&mut self) {
        self.permits.free += 1;
        self.dispatch();
    }

    fn dispatch(&mut self) {
        self.change(Queue::dispatch);
    }

    fn leave(&mut self, call: &Call) -> bool {
        self.change(|queue, now, permits, wakers| queue.leave(call.id, now, permits, wakers))
    }

    fn skip(&mut self, call: &Call) {
        self.change(|queue, now, permits, wakers| queue.skip(call.id, now, permits, wakers));
    }
}

#[test]
fn as_many_are_notified_as_there_are_permits_and_each_may_take() {
    let mut subject = Subject::new(0);
    let calls = [0; 4].map(|rank| subject.join(rank, u64::MAX));
    subject.release();
    subject.release();
    assert_eq!(calls.each_ref().map(Call::wakes), [1, 1, 0, 0]);
    // The first is not polled: that costs one permit.
    assert!(subject.come(&calls[1]));
    assert!(!subject.come(&calls[2]));
    subject.release();
    assert_eq!(calls.each_ref().map(Call::wakes), [1, 1, 1, 0]);
    assert!(subject.come(&calls[2]) && subject.come(&calls[0]));
    assert!(!subject.come(&calls[3]));
    assert_eq!((subject.queue.len(), subject.permits.free), (1, 0));
}

#[test]
fn a_waiter_that_does_not_come_lapses_and_keeps_its_rank() {
    let mut subject = Subject::new(0);
    let stuck = subject.join(0, u64::MAX);
    let behind = subject.join(0, u64::MAX);
    subject.release();
    subject.now = GRACE - 1;
    subject.dispatch();
    assert_eq!((stuck.wakes(), behind.wakes()), (1, 0));
    subject.now = GRACE;
    subject.dispatch();
    assert_eq!((stuck.wakes(), behind.wakes()), (1, 1));
    assert!(subject.come(&behind));
    let later = subject.join(0, u64::MAX);
    assert!(!subject.come(&stuck));
    subject.release();
    assert_eq!((stuck.wakes(), later.wakes()), (2, 0));
    assert!(subject.come(&stuck));
}

/// One permit that will be free at a known time, as tokens are.
struct FreeAt(u64);

impl Supply<u32> for FreeAt {
    fn claim_next(&mut self, now_ns: u64, next: Next<'_, u32>) -> Result<WaiterId, u64> {
        match next.claims {
            0 if now_ns >= self.0 => Ok(next.id),
            0 => Err(self.0),
            _ => Err(u64::MAX),
        }
    }

    fn unclaim(&mut self, _: WaiterId, _: &u32) -> bool {
        true
    }

    fn enter(&mut self, _: WaiterId, _: &u32) {}

    fn exit(&mut self, _: WaiterId, _: &u32) {}
}

#[tokio::test]
async fn a_first_waiter_that_does_not_set_its_timer_lapses_when_it_should_have_come() {
    const DUE: u64 = 100_000_000;
    let (mut queue, mut supply) = (Queue::new(), FreeAt(DUE));
    let wakes = [(); 4].map(|()| Arc::<Counting>::default());
    let waker = |at: usize| Waker::from(Arc::clone(&wakes[at]));
    let woken = || {
        wakes
            .each_ref()
            .map(|wakes| wakes.0.load(Ordering::Relaxed))
    };
    let mut wakers = Wakers::new();
    let ids = [0, 1, 2].map(|at| {
        let id = queue.join(0, 0, u64::MAX, &mut supply);
        queue.turn(id, 0, waker(at), &mut supply, &mut wakers);
        id
    });
    queue.leave(ids[0], 0, &mut supply, &mut wakers);
    wakers.wake();
    assert_eq!(woken(), [0, 1, 0, 0], "the second is the first now");
    assert_eq!(queue.next_check_ns(), DUE + GRACE);
    let mut wakers = Wakers::new();
    let generation = queue.start_watchdog(0, &mut wakers).expect("none runs");
    let look = queue.watch(generation, 0, waker(3), &mut supply, &mut wakers);
    assert_eq!(look, Some(DUE + GRACE));
    // A timer for an earlier time makes the watchdog look earlier.
    queue.set_due(ids[1], DUE - 1, &mut wakers);
    wakers.wake();
    assert_eq!(woken(), [0, 1, 0, 1]);
    let mut wakers = Wakers::new();
    queue.dispatch(DUE + GRACE, &mut supply, &mut wakers);
    wakers.wake();
    assert_eq!(woken(), [0, 1, 1, 1], "the third has the claim");
}

#[test]
fn a_waiter_that_is_polled_late_does_not_lapse_in_its_own_poll() {
    let mut subject = Subject::new(0);
    let slow = subject.join(0, u64::MAX);
    let behind = subject.join(0, u64::MAX);
    subject.release();
    subject.now = 2 * GRACE;
    assert_eq!(subject.poll(&slow), Standing::Go);
    subject.now = 4 * GRACE;
    assert!(subject.take(&slow));
    assert_eq!(behind.wakes(), 0);
}

/// One waiter that comes late is slow; when most come late, the runtime is.
#[test]
fn the_grace_is_longer_while_most_waiters_come_late() {
    let mut subject = Subject::new(0);
    let late = |subject: &mut Subject, after: u64| {
        let slow = subject.join(0, u64::MAX);
        subject.release();
        subject.now += after;
        subject.dispatch();
        let has_lapsed = subject.queue.claims() == 0;
        assert!(subject.come(&slow));
        has_lapsed
    };
    // Keeps the queue from being empty.
    let kept = subject.join(i64::MAX, u64::MAX);
    subject.skip(&kept);
    for _ in 0..LATE_VOTES {
        assert!(late(&mut subject, GRACE));
    }
    assert!(!late(&mut subject, 2 * GRACE - 1), "twice as long");
    for _ in 0..LATE_VOTES {
        late(&mut subject, 0);
    }
    assert!(late(&mut subject, GRACE), "most came in time");
}

#[test]
fn an_expired_waiter_counts_no_longer_and_takes_what_is_free() {
    let mut subject = Subject::new(0);
    let gone = subject.join(0, 10);
    let behind = subject.join(0, 1_000);
    subject.now = 10;
    subject.dispatch();
    assert_eq!((subject.queue.len(), subject.queue.active()), (1, 1));
    subject.release();
    assert_eq!((gone.wakes(), behind.wakes()), (0, 1));
    assert_eq!(subject.poll(&gone), Standing::Expired);
    assert!(subject.take(&gone), "ahead of the claim of another");
    assert!(!subject.come(&behind));
    subject.release();
    assert_eq!(behind.wakes(), 2);
    subject.now = 1_000;
    assert!(subject.come(&behind));
    assert!(subject.queue.is_empty() && !subject.leave(&behind));
}

#[test]
fn a_lapsed_waiter_without_a_deadline_does_not_count() {
    let mut subject = Subject::new(0);
    let stuck = subject.join(0, u64::MAX);
    subject.release();
    assert_eq!(subject.queue.len(), 1);
    subject.now = GRACE;
    subject.dispatch();
    assert!(subject.queue.is_empty());
    assert!(subject.come(&stuck));
}

#[test]
fn a_skipped_waiter_is_passed_and_counted() {
    let mut subject = Subject::new(1);
    let [first, second] = [0; 2].map(|rank| subject.join(rank, u64::MAX));
    assert_eq!(subject.poll(&first), Standing::Go);
    subject.skip(&first);
    assert!(subject.queue.is_skipped(first.id));
    assert_eq!((subject.queue.len(), second.wakes()), (2, 1));
    assert!(subject.come(&second));
    // Its service is ready, but the permit is gone.
    assert!(!subject.come(&first));
    subject.release();
    assert_eq!(first.wakes(), 1);
    assert!(subject.come(&first));
}

#[test]
fn a_lower_rank_goes_first() {
    let mut subject = Subject::new(0);
    let usual = subject.join(rank(0, Priority::NORMAL, 1), u64::MAX);
    let urgent = subject.join(rank(9, Priority::HIGH, 1), u64::MAX);
    subject.release();
    assert_eq!((usual.wakes(), urgent.wakes()), (0, 1));
    assert!(subject.come(&urgent) && !subject.come(&usual));
    assert_eq!(rank(u64::MAX, Priority::LOW, u64::MAX), i64::MAX);
}

#[tokio::test]
async fn the_watchdog_is_woken_for_a_notification_and_one_that_is_overdue_is_replaced() {
    let mut subject = Subject::new(0);
    let looks = Arc::<Counting>::default();
    let look = |subject: &mut Subject, generation| {
        let waker = Arc::clone(&looks).into();
        subject.change(|queue, now, permits, wakers| {
            queue.watch(generation, now, waker, permits, wakers)
        })
    };
    let stuck = subject.join(0, 3_000_000_000);
    let start = |subject: &mut Subject| {
        subject.change(|queue, now, _, wakers| queue.start_watchdog(now, wakers))
    };
    let first = start(&mut subject).expect("none runs");
    assert_eq!(start(&mut subject), None);
    assert_eq!(look(&mut subject, first), Some(1_000_000_000));
    subject.release();
    assert_eq!(looks.0.load(Ordering::Relaxed), 1);
    assert_eq!(look(&mut subject, first), Some(GRACE));
    assert!(subject.come(&stuck));
    assert_eq!(look(&mut subject, first), None, "nobody waits");

    let stuck = subject.join(0, u64::MAX);
    let second = start(&mut subject).expect("it has ended");
    look(&mut subject, second);
    subject.now = 2_000_000_000;
    let wakes = looks.0.load(Ordering::Relaxed);
    let third = start(&mut subject).expect("the second is overdue");
    assert_eq!(looks.0.load(Ordering::Relaxed), wakes + 1, "it ends now");
    assert_eq!(look(&mut subject, second), None);
    assert!(look(&mut subject, third).is_some());
    let wakes = stuck.wakes();
    subject.change(|queue, _, _, wakers| queue.watch_ended(third, wakers));
    assert_eq!(stuck.wakes(), wakes + 1, "it starts another");
}

#[test]
fn a_waiter_whose_deadline_is_far_is_woken_in_time_to_set_a_timer() {
    const SECOND: u64 = 1_000_000_000;
    let mut subject = Subject::new(0);
    let [far, near, gone] = [10, 2, 10].map(|seconds| subject.join(0, seconds * SECOND));
    subject.leave(&gone);
    let look = |subject: &mut Subject, at| {
        subject.now = at;
        subject.change(|queue, now, _, wakers| queue.wake_untimed(now, wakers));
    };
    look(&mut subject, 0);
    look(&mut subject, 8 * SECOND - 1);
    assert_eq!([&far, &near, &gone].map(Call::wakes), [0; 3]);
    look(&mut subject, 8 * SECOND);
    look(&mut subject, 9 * SECOND);
    assert_eq!([&far, &near, &gone].map(Call::wakes), [1, 0, 0]);
    // Polled with a reading of the clock from before that, it would not set one.
    subject.now = 7 * SECOND;
    subject.poll(&far);
    look(&mut subject, 9 * SECOND);
    assert_eq!(far.wakes(), 2);
    subject.leave(&far);
    subject.leave(&near);
    assert_eq!(subject.queue.deadlines.first(), None);
}

proptest! {
    /// Random waiters, some of which are never polled: no permit is granted twice, none stays free
    /// beside a live waiter for longer than the grace, and nothing is left behind.
    #[test]
    fn no_live_waiter_sleeps_beside_a_free_permit(
        steps in prop::collection::vec((0_u8..8, 0_usize..16, 0_u64..3), 1..200),
    ) {
        let mut subject = Subject::new(2);
        let mut held = 0;
        let mut calls: Vec<(Call, bool, u32)> = Vec::new();
        for (step, which, time) in steps {
            subject.now += time * 1_700_000;
            let at = which.checked_rem(calls.len());
            match (step, at) {
                (0 | 1, _) | (_, None) => {
                    let deadline = subject.now + 1_000_000 * (1 + which as u64);
                    let stuck = which % 3 == 0;
                    let call = subject.join((which % 2) as i64, deadline);
                    calls.push((call, stuck, 0));
                }
                (2, Some(at)) => {
                    let (call, ..) = calls.remove(at);
                    prop_assert!(subject.leave(&call));
                }
                (3, Some(at)) => subject.skip(&calls[at].0),
                (4, _) if held > 0 => {
                    held -= 1;
                    subject.release();
                }
                (_, Some(at)) if !calls[at].1 => {
                    if subject.come(&calls[at].0) {
                        calls.remove(at);
                        held += 1;
                    }
                }
                _ => subject.dispatch(),
            }
            // Every live waiter that was woken is polled.
            while let Some(at) = calls.iter().position(|(call, stuck, seen)| !stuck && call.wakes() > *seen) {
                calls[at].2 = calls[at].0.wakes();
                if subject.come(&calls[at].0) {
                    calls.remove(at);
                    held += 1;
                }
            }
            prop_assert_eq!(subject.permits.free + held, 2);
            let queue = &subject.queue;
            prop_assert_eq!(subject.permits.claims as usize, queue.claims());
            prop_assert_eq!(subject.permits.waiting as usize, queue.active() - queue.claims());
            prop_assert!(queue.claims() >= subject.permits.free.min(queue.active()));
        }
        for (call, ..) in calls {
            prop_assert!(subject.leave(&call));
        }
        prop_assert!(subject.queue.is_empty());
        prop_assert_eq!((subject.permits.waiting, subject.permits.claims), (0, 0));
        prop_assert!(subject.queue.next_check_ns() == u64::MAX);
    }
}

/// A waker that is dropped runs code of the executor, as one that is woken does.
#[tokio::test]
async fn no_waker_is_dropped_under_the_lock() {
    let alive = Arc::<Counting>::default();
    let waker = || Waker::from(Arc::clone(&alive));
    let mut queue = Queue::new();
    let mut supply = Permits::default();
    let mut wakers = Wakers::new();
    let id = queue.join(0, 0, u64::MAX, &mut supply);
    queue.turn(id, 0, waker(), &mut supply, &mut wakers);
    queue.on_lapse(id, waker(), &mut wakers);
    queue.on_lapse(id, waker(), &mut wakers);
    let first = queue.start_watchdog(0, &mut wakers).expect("none runs");
    queue.watch(first, 0, waker(), &mut supply, &mut wakers);
    let late = 2_000_000_000;
    let second = queue
        .start_watchdog(late, &mut wakers)
        .expect("the first is overdue");
    queue.watch(first, late, waker(), &mut supply, &mut wakers);
    queue.watch(second, late, waker(), &mut supply, &mut wakers);
    queue.leave(id, late, &mut supply, &mut wakers);
    queue.on_lapse(id, waker(), &mut wakers);
    queue.watch_ended(second, &mut wakers);
    assert_eq!(Arc::strong_count(&alive), 8, "all seven are handed out");
    wakers.wake();
    assert_eq!(Arc::strong_count(&alive), 1);
}
