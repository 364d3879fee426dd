//! The connector: a place at `call`, or a place in the line.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use seawall_core::{DefaultMeta, Describe, Reason, Rejectable};
use tower_service::Service;

use super::gate::Taken;
use super::room::{Place, Room};
use super::{ConnectFuture, Limited};

/// A connector that has a bounded number of connections open; made by
/// [`ConnectionLimitLayer`](super::ConnectionLimitLayer).
///
/// An instance holds no place, ready or not.
#[derive(Clone)]
pub struct ConnectionLimit<S, D = DefaultMeta> {
    inner: S,
    room: Arc<Room>,
    describe: D,
}

impl<S, D> ConnectionLimit<S, D> {
    pub(crate) const fn new(inner: S, room: Arc<Room>, describe: D) -> Self {
        Self {
            inner,
            room,
            describe,
        }
    }

    /// The connector below.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The connector below, mutably.
    pub const fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The connector below, by value.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, D, Target> Service<Target> for ConnectionLimit<S, D>
where
    S: Service<Target> + Clone,
    S::Error: Rejectable,
    D: Describe<Target>,
{
    type Response = Limited<S::Response>;
    type Error = S::Error;
    type Future = ConnectFuture<S, Target>;

    // The connector alone: a place that was taken here could be held for ever by an instance that
    // is never called.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, target: Target) -> Self::Future {
        let key = self.describe.describe(&target).key;
        let room = Arc::clone(&self.room);
        match room.gate.try_take(key) {
            Ok(()) => {
                // Before the inner call: if that panics, the place goes back.
                let place = Place::in_flight(Arc::clone(&room), key);
                ConnectFuture::connecting(self.inner.call(target), place, room)
            }
            // What the ready instance has reserved below is given up, or callers whose idle
            // instances keep the last reservations would wait for each other.
            Err(Taken::Full) => {
                self.inner = self.inner.clone(); // clone: gives the reservation up
                ConnectFuture::rejected(room.reject(Reason::BulkheadFull))
            }
            Err(Taken::Wait) => {
                let waiting = self.inner.clone(); // clone: waits, polled ready later
                self.inner = waiting.clone();
                ConnectFuture::waiting(waiting, target, room, key)
            }
        }
    }
}

impl<S: fmt::Debug, D> fmt::Debug for ConnectionLimit<S, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectionLimit")
            .field("inner", &self.inner)
            .field("name", &self.room.observer.name())
            .finish_non_exhaustive()
    }
}
