//! What is given to the waiters.

use std::sync::Arc;

use seawall_core::{Degradation, Rejection, StoreSink};

use crate::calls::Lead;

/// What the waiters of a call get.
pub(crate) enum Answer<V, E> {
    /// Its response, and how that is degraded.
    Response(Arc<(V, Option<Degradation>)>),
    /// It was rejected.
    Rejected(Rejection),
    /// It has failed.
    Failed(Arc<E>),
    /// Its response may not be given to others.
    Alone,
}

impl<V, E> Clone for Answer<V, E> {
    fn clone(&self) -> Self {
        match self {
            Self::Response(response) => Self::Response(Arc::clone(response)),
            Self::Rejected(rejection) => Self::Rejected(*rejection),
            Self::Failed(error) => Self::Failed(Arc::clone(error)),
            Self::Alone => Self::Alone,
        }
    }
}

/// Gives a response to the waiters once it is complete. Dropped before, the next one makes the call.
pub(crate) struct Share<K, V, E> {
    pub(crate) lead: Lead<K, Answer<V, E>>,
    pub(crate) degradation: Option<Degradation>,
    /// Whether the response has a body, where that is known.
    pub(crate) has_body: Option<bool>,
}

impl<K, V, E> StoreSink<V> for Share<K, V, E>
where
    K: Send + 'static,
    V: Send + Sync + 'static,
    E: Send + Sync + 'static,
{
    fn put(mut self, stored: V, _: u64) {
        if !self.lead.end_alone() {
            let response = Arc::new((stored, self.degradation));
            self.lead.answer(Answer::Response(response));
        }
    }

    fn has_body(&self) -> Option<bool> {
        self.has_body
    }
}
