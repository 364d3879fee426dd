//! Responses that are carried are kept with what they mean.

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
    fn put(self, stored: T) {
        self.sink.put(StoredOutcome::new(stored, self.outcome));
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
    type Stored = StoredOutcome<R::Stored>;
    type Response = MappedOf<Res, R>;
    type Draining = R::Draining;

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

    /// It holds nothing of the layers below.
    fn restore(&self, stored: &Self::Stored) -> Self::Response {
        let meaning = Classified::new((), stored.outcome, None);
        Self::Response::join(self.0.restore(&stored.stored), meaning.into())
    }

    fn drain(&self, response: Self::Response) -> Self::Draining {
        // What its call holds is given back before its body is read: nobody waits for it.
        let (value, _) = response.split();
        self.0.drain(value)
    }

    fn weight(&self, stored: &Self::Stored) -> u64 {
        self.0.weight(&stored.stored)
    }

    fn timestamp(&self, response: &Res) -> Option<u64> {
        self.0.timestamp(response.value())
    }
}
