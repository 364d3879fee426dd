//! What a queue hands out.

use super::WaiterId;

/// What waiters wait for, as their [`Queue`](super::Queue) sees it: permits, tokens.
///
/// A waiter that is notified has a *claim*: what it needs is set aside for it until it takes that,
/// lapses or leaves. `T` is what must be known of a waiter.
pub trait Supply<T> {
    /// Sets aside what the next waiter needs beside all claims: returns its id. A supply that
    /// does not choose [`Next::id`] keeps track of all waiters by [`enter`](Self::enter),
    /// [`exit`](Self::exit) and this.
    ///
    /// # Errors
    ///
    /// When there will be something for it without any further operation, in nanoseconds of the
    /// clock: the waiter is woken to set its own timer. `u64::MAX` when an operation must come first.
    fn claim_next(&mut self, now_ns: u64, next: Next<'_, T>) -> Result<WaiterId, u64>;

    /// A waiter has no claim any more: it took what it claimed, or did not come. `false` when it took that
    /// without the lock of the queue: it has left.
    fn unclaim(&mut self, id: WaiterId, item: &T) -> bool;

    /// A waiter that was notified is polled, and has asked for its turn: it does not lapse before the end
    /// of that poll. From now on it takes what it claims under the lock of the queue.
    fn answered(&mut self, _id: WaiterId) {}

    /// Whether a waiter that was notified has taken what it claims without the lock of the queue. After
    /// that it must not do anything else with its id.
    fn is_taken(&self, _id: WaiterId) -> bool {
        false
    }

    /// Whether a waiter whose wait is over may still have something. A drain may have ended: such a
    /// waiter does not count.
    fn serves_expired(&self) -> bool {
        true
    }

    /// A waiter begins to wait for its turn: it has joined, or has come back.
    fn enter(&mut self, id: WaiterId, item: &T);

    /// A waiter without a claim stops waiting for its turn.
    fn exit(&mut self, id: WaiterId, item: &T);

    /// A waiter [counts](super::Queue::len) from now on.
    fn counted(&mut self, _item: &T) {}

    /// A waiter does not count any more.
    fn uncounted(&mut self, _item: &T) {}
}

/// The first of the waiters that have no claim.
#[non_exhaustive]
#[derive(Debug)]
pub struct Next<'a, T> {
    /// Its id.
    pub id: WaiterId,
    /// What it brought with it.
    pub item: &'a T,
    /// How many claims there are already.
    pub claims: usize,
}
