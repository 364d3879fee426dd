//! Hooks of a service whose requests and results carry what they are: see `seawall_core::carry`.

use std::mem;

use seawall_core::carry::{Carried, Classified, ClassifiedResponse, Described, Storage};
use seawall_core::{Reason, Rejectable, Rejection, RequestMeta, SharedReadings};

use crate::hooks::Hooks;
use crate::{
    AnnotateGiveUp, Attempt, CompletedAttemptMut, PrepareAttempt, RetryDecision, RetryLayer,
    RetryPredicate, Stopped,
};

/// Hooks for requests and results that carry what they are.
type CarriedHooks<R, P, A> = Hooks<Carried<R>, Carried<P>, Carried<A>>;

impl<X, R, P, A> RetryLayer<X, Hooks<R, P, A>> {
    /// The same layer between a [`DescribeLayer`](seawall_core::carry::DescribeLayer) and a
    /// [`ClassifyLayer`](seawall_core::carry::ClassifyLayer): its hooks, which are for the requests
    /// and results of the service itself, see those. A result that a hook exchanges means what the one
    /// before it did.
    #[must_use]
    pub fn carry_hooks(self) -> RetryLayer<X, CarriedHooks<R, P, A>> {
        self.map_hooks(|hooks| Hooks {
            predicate: Carried(hooks.predicate),
            prepare: Carried(hooks.prepare),
            annotate: Carried(hooks.annotate),
        })
    }
}

/// Lets `change` see a result without what it carries.
// The result has to be taken out for that, so something has to be in its place meanwhile.
fn with_plain<C, Err, T>(
    result: &mut Result<C, Classified<Err>>,
    change: impl FnOnce(&mut Result<C::Value, Err>) -> T,
) -> T
where
    C: ClassifiedResponse,
    Err: Rejectable,
{
    let placeholder = Rejection::new(Reason::OutcomeUnknown, "");
    match mem::replace(result, Err(placeholder.into())) {
        Ok(response) => {
            let (response, rest) = response.split();
            let mut plain = Ok(response);
            let changed = change(&mut plain);
            *result = match plain {
                Ok(response) => Ok(C::join(response, rest)),
                Err(error) => Err(C::meaning(&rest).map(|()| error)),
            };
            changed
        }
        Err(error) => {
            let (error, meaning) = error.into_parts();
            let mut plain = Err(error);
            let changed = change(&mut plain);
            *result = match plain {
                Ok(response) => Ok(C::join(response, meaning.into())),
                Err(error) => Err(meaning.map(|()| error)),
            };
            changed
        }
    }
}

impl<R, T, Req, C, Err> RetryPredicate<T, C, Classified<Err>> for Carried<R>
where
    R: RetryPredicate<Req, C::Value, Err>,
    T: Storage<Value = Described<Req>>,
    C: ClassifiedResponse,
    Err: Rejectable,
{
    type State = R::State;
    type Wait = R::Wait;
    const ENABLED: bool = R::ENABLED;

    #[inline]
    fn start(&self, meta: &RequestMeta) -> R::State {
        self.0.start(meta)
    }

    fn decide(
        &self,
        state: &mut R::State,
        attempt: CompletedAttemptMut<'_, T, C, Classified<Err>>,
    ) -> RetryDecision {
        with_plain(attempt.result, |result| {
            let plain = CompletedAttemptMut {
                request: &mut attempt.request.get_mut().request,
                result,
                outcome: attempt.outcome,
                attempt: attempt.attempt,
            };
            self.0.decide(state, plain)
        })
    }

    fn wait(&self, state: &mut R::State) -> Option<R::Wait> {
        self.0.wait(state)
    }
}

impl<P, T, Req, Err> PrepareAttempt<T, Classified<Err>> for Carried<P>
where
    P: PrepareAttempt<Req, Err>,
    T: Storage<Value = Described<Req>>,
    Err: Rejectable,
{
    #[inline]
    fn prepare(&self, described: &mut T, attempt: Attempt) -> Result<(), Classified<Err>> {
        let request = &mut described.get_mut().request;
        let prepared = SharedReadings::apart(|| self.0.prepare(request, attempt));
        prepared.map_err(Classified::unclassified_error)
    }
}

impl<A, C, Err> AnnotateGiveUp<C, Classified<Err>> for Carried<A>
where
    A: AnnotateGiveUp<C::Value, Err>,
    C: ClassifiedResponse,
    Err: Rejectable,
{
    fn annotate_give_up(&self, result: &mut Result<C, Classified<Err>>, stopped: Stopped) {
        with_plain(result, |result| self.0.annotate_give_up(result, stopped));
    }
}
