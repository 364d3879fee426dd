//! How a response becomes something that can be kept and given to another call.

use std::future::{Future, Ready, ready};
use std::time::Duration;

/// Where what is kept of a response goes, once it is known to be complete.
///
/// A sink that is dropped was never filled: the response broke off, was too long, or nobody read it to its
/// end.
pub trait StoreSink<T>: Send + 'static {
    /// Takes what is kept of a complete response, and what it weighs: bytes, where a store is limited by
    /// them.
    fn put(self, stored: T, weight: u64);

    /// Whether the response to this request has a body, as that to a HEAD has none whatever its head says; `None`,
    /// as unless implemented, where the sink does not know.
    fn has_body(&self) -> Option<bool> {
        None
    }
}

impl<T, F: FnOnce(T, u64) + Send + 'static> StoreSink<T> for F {
    fn put(self, stored: T, weight: u64) {
        self(stored, weight);
    }
}

/// Makes of a response what can be kept, and of that a response again.
///
/// A plain value is kept at once, as a clone of it: [`StoreClone`]. The body of an HTTP response passes
/// through and is kept at its good end alone: `seawall-http` has `StoreBody`.
///
/// ```
/// use std::sync::{Arc, Mutex};
/// use seawall_core::{StoreClone, StoreResponse};
///
/// let kept = Arc::new(Mutex::new(None));
/// let sink = { let kept = Arc::clone(&kept); move |price: f64, _| *kept.lock().unwrap() = Some(price) };
/// assert_eq!(StoreClone::new().store(101.25, sink), 101.25);
/// assert_eq!(*kept.lock().unwrap(), Some(101.25));
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot keep responses of type `{Res}`",
    label = "does not store this service's responses",
    note = "`StoreClone` keeps a clone of a response that is `Clone + Send + Sync + 'static`; `StoreBody` of `seawall-http` keeps an `http::Response<B>`"
)]
pub trait StoreResponse<Res> {
    /// Whether [`store`](Self::store) always fills the sink at once; `false` unless implemented.
    const AT_ONCE: bool = false;

    /// What is kept.
    type Stored: Send + Sync + 'static;
    /// What the caller gets, of the upstream or of what is kept.
    type Response;
    /// Reads a response to its end; see [`drain`](Self::drain).
    type Draining: Future<Output = ()>;

    /// Hands `response` on, and puts what is kept of it into `sink` when it is complete, at once or later.
    fn store<K: StoreSink<Self::Stored>>(&self, response: Res, sink: K) -> Self::Response;

    /// Hands `response` on, and keeps nothing of it.
    fn pass(&self, response: Res) -> Self::Response;

    /// As [`pass`](Self::pass), and drops `guard` once the response is at its end, or is dropped: at once unless
    /// implemented, since a plain value is complete.
    fn pass_guarded<G: Send + 'static>(&self, response: Res, guard: G) -> Self::Response {
        drop(guard);
        self.pass(response)
    }

    /// A response of what is kept, which is as old as `age`; `None` where it is the answer to a call under
    /// way, given to all its callers.
    fn restore(&self, stored: &Self::Stored, age: Option<Duration>) -> Self::Response;

    /// Reads a response to its end that no caller waits for, so that it is kept. It may be dropped at any
    /// time.
    fn drain(&self, response: Self::Response) -> Self::Draining;

    /// When the data of the response was made, as a number that grows with time; `None` unless
    /// implemented. What is kept is not replaced by something older, unless a time that is far too late would hold it:
    /// see the layers.
    fn timestamp(&self, response: &Res) -> Option<u64> {
        let _ = response;
        None
    }
}

/// Keeps clones of responses; each weighs 1, and has no time of its own, unless hooks say so.
///
/// ```
/// use seawall_core::{StoreClone, StoreResponse};
///
/// #[derive(Clone)]
/// struct Quote { price: f64, at_ms: u64 }
///
/// let storer = StoreClone::new()
///     .weigh(|_: &Quote| 16)
///     .timestamp(|quote: &Quote| Some(quote.at_ms));
/// let quote = Quote { price: 101.25, at_ms: 7 };
/// assert_eq!(StoreResponse::timestamp(&storer, &quote), Some(7));
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct StoreClone<W = (), T = ()> {
    weigh: W,
    timestamp: T,
}

impl StoreClone {
    /// Without hooks.
    pub const fn new() -> Self {
        Self {
            weigh: (),
            timestamp: (),
        }
    }
}

impl<W, T> StoreClone<W, T> {
    /// Sets what a response weighs, a `Fn(&Res) -> u64`.
    #[must_use]
    pub fn weigh<W2>(self, weigh: W2) -> StoreClone<W2, T> {
        StoreClone {
            weigh,
            timestamp: self.timestamp,
        }
    }

    /// Sets when the data of a response was made, a `Fn(&Res) -> Option<u64>` whose numbers grow with
    /// time: milliseconds, or the sequence number of a quote.
    #[must_use]
    pub fn timestamp<T2>(self, timestamp: T2) -> StoreClone<W, T2> {
        StoreClone {
            weigh: self.weigh,
            timestamp,
        }
    }
}

/// A hook of [`StoreClone`], or none.
pub trait ReadValue<Res, Out> {
    /// What it says of `value`; `None` where there is no hook.
    fn read(&self, value: &Res) -> Option<Out>;
}

impl<Res, Out> ReadValue<Res, Out> for () {
    #[inline]
    fn read(&self, _: &Res) -> Option<Out> {
        None
    }
}

impl<F: Fn(&Res) -> Out, Res, Out> ReadValue<Res, Out> for F {
    fn read(&self, value: &Res) -> Option<Out> {
        Some(self(value))
    }
}

impl<Res, W, T> StoreResponse<Res> for StoreClone<W, T>
where
    Res: Clone + Send + Sync + 'static,
    W: ReadValue<Res, u64>,
    T: ReadValue<Res, Option<u64>>,
{
    const AT_ONCE: bool = true;

    type Stored = Res;
    type Response = Res;
    type Draining = Ready<()>;

    #[inline]
    fn store<K: StoreSink<Res>>(&self, response: Res, sink: K) -> Res {
        let weight = self.weigh.read(&response).unwrap_or(1);
        sink.put(response.clone(), weight);
        response
    }

    #[inline]
    fn pass(&self, response: Res) -> Res {
        response
    }

    #[inline]
    fn restore(&self, stored: &Res, _: Option<Duration>) -> Res {
        stored.clone()
    }

    fn drain(&self, response: Res) -> Ready<()> {
        drop(response);
        ready(())
    }

    fn timestamp(&self, response: &Res) -> Option<u64> {
        self.timestamp.read(response).flatten()
    }
}
