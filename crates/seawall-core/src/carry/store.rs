//! Responses that are carried are kept with what they mean.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use pin_project_lite::pin_project;

use super::{Carried, Classified, ClassifiedResponse, GuardedResponse, Guards, Pooled};
use crate::{Outcome, StoreResponse, StoreSink};

/// A response that carries what it means, with another value in it.
///
/// What is carried, and what it is stored in, stay.
pub trait MapResponse<U>: ClassifiedResponse {
    /// The same of another value.
    type Mapped: ClassifiedResponse<Value = U, Rest = Self::Rest>;
}

impl<T, U> MapResponse<U> for Classified<T> {
    type Mapped = Classified<U>;
}

impl<T, U, G: Guards> MapResponse<U> for GuardedResponse<Classified<T>, G> {
    type Mapped = GuardedResponse<Classified<U>, G>;
}

impl<T: 'static, U: 'static, G: Guards> MapResponse<U>
    for GuardedResponse<Pooled<Classified<T>>, G>
{
    type Mapped = GuardedResponse<Pooled<Classified<U>>, G>;
}

/// What is kept of a response, and what it means.
#[derive(Clone, Copy, Debug)]
pub struct StoredOutcome<T> {
    /// What is kept.
    stored: T,
    outcome: Outcome,
}

impl<T> StoredOutcome<T> {
    /// What is kept, which means this.
    pub const fn new(stored: T, outcome: Outcome) -> Self {
        Self { stored, outcome }
    }

    /// What is kept.
    pub const fn stored(&self) -> &T {
        &self.stored
    }

    /// What it means.
    pub const fn outcome(&self) -> Outcome {
        self.outcome
    }
}

/// Adds the meaning.
struct WithOutcome<K> {
    sink: K,
    outcome: Outcome,
}

impl<T, K: StoreSink<StoredOutcome<T>>> StoreSink<T> for WithOutcome<K> {
    fn put(self, stored: T, weight: u64) {
        self.sink
            .put(StoredOutcome::new(stored, self.outcome), weight);
    }

    fn has_body(&self) -> Option<bool> {
        self.sink.has_body()
    }
}

type MappedOf<Res, R> = <Res as MapResponse<
    <R as StoreResponse<<Res as ClassifiedResponse>::Value>>::Response,
>>::Mapped;

impl<Res, R> StoreResponse<Res> for Carried<R>
where
    Res: MapResponse<<R as StoreResponse<<Res as ClassifiedResponse>::Value>>::Response>,
    R: StoreResponse<Res::Value>,
{
    const AT_ONCE: bool = R::AT_ONCE;

    type Stored = StoredOutcome<R::Stored>;
    type Response = MappedOf<Res, R>;
    type Draining = DrainingCarried<R::Draining, Res::Rest>;

    fn store<K: StoreSink<Self::Stored>>(&self, response: Res, sink: K) -> Self::Response {
        let (value, rest) = response.split();
        let outcome = Res::meaning(&rest).outcome();
        let value = self.0.store(value, WithOutcome { sink, outcome });
        Self::Response::join(value, rest)
    }

    fn pass(&self, response: Res) -> Self::Response {
        let (value, rest) = response.split();
        Self::Response::join(self.0.pass(value), rest)
    }

    fn pass_guarded<G: Send + 'static>(&self, response: Res, guard: G) -> Self::Response {
        let (value, rest) = response.split();
        Self::Response::join(self.0.pass_guarded(value, guard), rest)
    }

    /// It holds nothing of the layers below.
    fn restore(&self, stored: &Self::Stored, age: Option<Duration>) -> Self::Response {
        let meaning = Classified::new((), stored.outcome, None);
        Self::Response::join(self.0.restore(&stored.stored, age), meaning.into())
    }

    fn drain(&self, response: Self::Response) -> Self::Draining {
        let (value, rest) = response.split();
        DrainingCarried {
            draining: self.0.drain(value),
            rest: Some(rest),
        }
    }

    fn timestamp(&self, response: &Res) -> Option<u64> {
        self.0.timestamp(response.value())
    }
}

pin_project! {
    /// Reads a response to its end; what its call held is released then.
    #[derive(Debug)]
    pub struct DrainingCarried<F, R> {
        #[pin]
        draining: F,
        rest: Option<R>,
    }
}

impl<F: Future<Output = ()>, R> Future for DrainingCarried<F, R> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        ready!(this.draining.poll(cx));
        *this.rest = None;
        Poll::Ready(())
    }
}
