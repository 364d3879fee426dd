//! The queue with permits that waiters take without it.

use std::task::Waker;

use super::state::MANY_CLAIMS;
use super::*;

/// Permits that are handed over: a waiter takes its own without the queue.
#[derive(Debug, Default)]
struct HandedOver {
    free: usize,
    handed: Vec<WaiterId>,
}

impl HandedOver {
    fn take(&mut self, id: WaiterId) -> bool {
        let before = self.handed.len();
        self.handed.retain(|handed| *handed != id);
        self.handed.len() < before
    }
}

impl Supply<u32> for HandedOver {
    fn claim_next(&mut self, _: u64, next: Next<'_, u32>) -> Result<WaiterId, u64> {
        self.free = self.free.checked_sub(1).ok_or(u64::MAX)?;
        self.handed.push(next.id);
        Ok(next.id)
    }

    fn unclaim(&mut self, id: WaiterId, _: &u32) -> bool {
        let taken_back = self.take(id);
        self.free += usize::from(taken_back);
        taken_back
    }

    fn is_taken(&self, id: WaiterId) -> bool {
        !self.handed.contains(&id)
    }

    fn enter(&mut self, _: WaiterId, _: &u32) {}

    fn exit(&mut self, _: WaiterId, _: &u32) {}
}

struct HandingOver {
    queue: Queue<u32>,
    permits: HandedOver,
    wakers: Wakers,
}

impl HandingOver {
    fn new() -> Self {
        Self {
            queue: Queue::new(),
            permits: HandedOver::default(),
            wakers: Wakers::new(),
        }
    }

    fn join(&mut self, deadline_ns: u64) -> WaiterId {
        let id = self.queue.join(0, 0, deadline_ns, &mut self.permits);
        let waker = Waker::noop().clone();
        (self.queue).turn(id, 0, waker, &mut self.permits, &mut self.wakers);
        id
    }

    fn release(&mut self, now_ns: u64) {
        self.permits.free += 1;
        self.dispatch(now_ns);
    }

    fn dispatch(&mut self, now_ns: u64) {
        (self.queue).dispatch(now_ns, &mut self.permits, &mut self.wakers);
    }
}

#[test]
fn a_waiter_that_took_what_it_was_handed_has_left() {
    let mut subject = HandingOver::new();
    let [first, second, third] = [(); 3].map(|()| subject.join(u64::MAX));
    subject.release(0);
    subject.release(0);
    assert_eq!(subject.permits.handed, [first, second]);
    // Behind one that does not come.
    assert!(subject.permits.take(second));
    (subject.queue).forget_all_taken(&mut subject.permits, &mut subject.wakers);
    assert_eq!((subject.queue.len(), subject.queue.claims()), (2, 1));
    assert!(!(subject.queue).leave(second, 0, &mut subject.permits, &mut subject.wakers));
    // The first lapses, and the third has it.
    subject.dispatch(GRACE);
    assert_eq!(subject.permits.handed, [third]);
    assert!(subject.permits.take(third));
    subject.dispatch(GRACE);
    assert_eq!((subject.queue.len(), subject.queue.active()), (0, 0));
}

#[test]
fn one_that_took_it_neither_lapses_nor_expires() {
    let mut subject = HandingOver::new();
    let [first, second] = [2 * GRACE, u64::MAX].map(|deadline| subject.join(deadline));
    subject.release(0);
    subject.release(0);
    assert!(subject.permits.take(second) && subject.permits.take(first));
    subject.dispatch(4 * GRACE);
    assert_eq!((subject.queue.len(), subject.permits.free), (0, 0));
    assert_eq!(subject.queue.next_check_ns(), u64::MAX);
}

#[test]
fn those_that_left_behind_one_that_does_not_come_are_few() {
    let mut subject = HandingOver::new();
    let stuck = subject.join(u64::MAX);
    subject.release(0);
    for _ in 0..10_000 {
        let next = subject.join(u64::MAX);
        subject.release(0);
        assert!(subject.permits.take(next));
        assert!(
            subject.queue.len() <= MANY_CLAIMS,
            "{}",
            subject.queue.len()
        );
    }
    assert_eq!(subject.permits.handed, [stuck]);
}

#[test]
fn claims_that_are_taken_back_go_in_order_again() {
    let mut subject = HandingOver::new();
    let ids = [(); 3].map(|()| subject.join(u64::MAX));
    (0..3).for_each(|_| subject.release(0));
    assert!(subject.permits.take(ids[1]));
    // There is one permit less.
    (subject.queue).take_back_claims(&mut subject.permits, &mut subject.wakers);
    assert_eq!((subject.permits.free, subject.queue.len()), (2, 2));
    subject.permits.free -= 1;
    subject.dispatch(0);
    assert_eq!(subject.permits.handed, [ids[0]]);
}

/// While waiters are notified and come, the watchdog looks once per grace, and nobody wakes it.
#[tokio::test]
async fn a_watchdog_is_not_woken_by_each_waiter_that_comes() {
    let mut subject = HandingOver::new();
    subject.join(u64::MAX);
    let mut wakers = Wakers::new();
    let generation = subject.queue.start_watchdog(0, &mut wakers);
    let generation = generation.expect("none runs");
    let mut look = |subject: &mut HandingOver, now_ns| {
        let waker = Waker::noop().clone();
        let (queue, permits) = (&mut subject.queue, &mut subject.permits);
        queue.watch(generation, now_ns, waker, permits, &mut wakers)
    };
    let quiet = look(&mut subject, 0).expect("one waits");
    assert!(quiet > 2 * GRACE);
    for now_ns in [1, GRACE + 1, 2 * GRACE + 1] {
        let next = subject.join(u64::MAX);
        subject.release(now_ns);
        let first = subject.permits.handed[0];
        assert!(subject.permits.take(first) && next != first);
        assert_eq!(look(&mut subject, now_ns), Some(now_ns + GRACE));
        let woken = subject.wakers.len();
        subject.join(u64::MAX);
        subject.release(now_ns + 1);
        let first = subject.permits.handed[0];
        assert!(subject.permits.take(first));
        // The waiter alone.
        assert_eq!(subject.wakers.len(), woken + 1);
    }
    assert!(look(&mut subject, 3 * GRACE + 1).is_some());
    assert_eq!(look(&mut subject, 4 * GRACE), Some(4 * GRACE + quiet));
}
