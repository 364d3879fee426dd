//! Results with what they mean.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::Described;
use crate::{Classify, FailureKind, Outcome, Rejectable, Rejection};

/// A response or an error, with what it means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Classified<T> {
    value: T,
    outcome: Outcome,
    retry_after: Option<Duration>,
}

impl<T> Classified<T> {
    /// This value, which means this; `retry_after` is what
    /// [`Classify::retry_after`] says of it.
    pub const fn new(value: T, outcome: Outcome, retry_after: Option<Duration>) -> Self {
        Self {
            value,
            outcome,
            retry_after,
        }
    }

    /// A response whose meaning is found by [`classify_response`](Self::classify_response).
    pub const fn unclassified(response: T) -> Self {
        Self::new(response, Outcome::Ignored, None)
    }

    /// Asks `classifier` what this response means.
    #[inline]
    pub fn classify_response<C, Err>(&mut self, classifier: &C)
    where
        C: Classify<T, Err>,
    {
        self.outcome = classifier.classify(Ok(&self.value));
        self.retry_after = match self.outcome {
            // Nobody asks.
            Outcome::Success => None,
            _ => classifier.retry_after(Ok(&self.value)),
        };
    }

    /// The response or the error.
    pub const fn value(&self) -> &T {
        &self.value
    }

    /// The response or the error, mutably. What it means stays.
    pub const fn value_mut(&mut self) -> &mut T {
        &mut self.value
    }

    /// Changes what it means; a wait that the upstream asked for is not part of it any more.
    #[inline]
    pub const fn set_outcome(&mut self, outcome: Outcome) {
        self.outcome = outcome;
        self.retry_after = None;
    }

    /// The response or the error by itself.
    #[inline]
    pub fn into_value(self) -> T {
        self.value
    }

    /// What it means.
    pub const fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// How long the upstream asks to stay away, where the outcome does not carry it; see
    /// [`Classify::retry_after`].
    pub const fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// The response or the error, and what it means.
    #[inline]
    pub fn into_parts(self) -> (T, Classified<()>) {
        let meaning = Classified::new((), self.outcome, self.retry_after);
        (self.value, meaning)
    }

    /// Changes the value, which means what it did before.
    #[inline]
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Classified<U> {
        Classified {
            value: change(self.value),
            outcome: self.outcome,
            retry_after: self.retry_after,
        }
    }
}

impl<E: Rejectable> Classified<E> {
    /// An error, with what `classifier` says of it; a rejection means what it
    /// [says](Rejection::outcome).
    #[cold]
    pub fn error<C, Res>(error: E, classifier: &C) -> Self
    where
        C: Classify<Res, E>,
    {
        if error.rejection().is_some() {
            return Self::unclassified_error(error);
        }
        let outcome = classifier.classify(Err(&error));
        let retry_after = classifier.retry_after(Err(&error));
        Self::new(error, outcome, retry_after)
    }

    /// An error that no classifier is asked about, such as one of `poll_ready`: a rejection means
    /// what it [says](Rejection::outcome), anything else is a failure.
    pub fn unclassified_error(error: E) -> Self {
        let rejection = error.rejection();
        let outcome = rejection.map_or(Outcome::Failure(FailureKind::Other), Rejection::outcome);
        Self::new(error, outcome, None)
    }
}

impl<E: From<Rejection>> From<Rejection> for Classified<E> {
    fn from(rejection: Rejection) -> Self {
        let outcome = rejection.outcome();
        Self::new(rejection.into(), outcome, None)
    }
}

impl<E: Rejectable> Rejectable for Classified<E> {
    fn rejection(&self) -> Option<&Rejection> {
        self.value.rejection()
    }

    fn rejection_mut(&mut self) -> Option<&mut Rejection> {
        self.value.rejection_mut()
    }
}

/// A response that carries what it means: [`Classified`], or [`GuardedResponse`](super::GuardedResponse).
pub trait ClassifiedResponse: Sized {
    /// The response.
    type Value;
    /// What it carries.
    type Rest: From<Classified<()>>;

    /// The response.
    fn value(&self) -> &Self::Value;

    /// The response, and what it carries.
    fn split(self) -> (Self::Value, Self::Rest);

    /// Puts a response together again.
    fn join(value: Self::Value, rest: Self::Rest) -> Self;

    /// What a response means that carries `rest`.
    fn meaning(rest: &Self::Rest) -> Classified<()>;
}

impl<T> ClassifiedResponse for Classified<T> {
    type Value = T;
    type Rest = Classified<()>;

    fn value(&self) -> &T {
        &self.value
    }

    fn split(self) -> (T, Classified<()>) {
        self.into_parts()
    }

    fn join(value: T, rest: Classified<()>) -> Self {
        rest.map(|()| value)
    }

    fn meaning(rest: &Classified<()>) -> Classified<()> {
        *rest
    }
}

/// Classifies each result once, for all layers above; see the [module](crate::carry).
#[derive(Clone, Copy, Debug, Default)]
pub struct ClassifyLayer<C> {
    classifier: C,
}

impl<C> ClassifyLayer<C> {
    /// Classifies with `classifier`.
    pub const fn new(classifier: C) -> Self {
        Self { classifier }
    }
}

impl<S, C: Clone> Layer<S> for ClassifyLayer<C> {
    type Service = ClassifyService<S, C>;

    fn layer(&self, inner: S) -> Self::Service {
        let classifier = self.classifier.clone();
        ClassifyService { inner, classifier }
    }
}

/// A service whose results are classified for the layers above; made by [`ClassifyLayer`].
#[derive(Clone, Copy, Debug)]
pub struct ClassifyService<S, C> {
    inner: S,
    classifier: C,
}

crate::inner_accessors!(ClassifyService<S, C>);

impl<S, C, Req> Service<Described<Req>> for ClassifyService<S, C>
where
    S: Service<Req>,
    S::Error: Rejectable,
    C: Classify<S::Response, S::Error> + Clone,
{
    type Response = Classified<S::Response>;
    type Error = Classified<S::Error>;
    type Future = ClassifyFuture<S::Future, C>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner
            .poll_ready(cx)
            .map_err(Classified::unclassified_error)
    }

    #[inline]
    fn call(&mut self, described: Described<Req>) -> Self::Future {
        ClassifyFuture {
            classifier: self.classifier.clone(),
            inner: self.inner.call(described.request),
        }
    }
}

pin_project! {
    /// The response of a [`ClassifyService`].
    #[derive(Debug)]
    pub struct ClassifyFuture<F, C> {
        #[pin]
        inner: F,
        classifier: C,
    }
}

impl<F, C, Res, Err> Future for ClassifyFuture<F, C>
where
    F: Future<Output = Result<Res, Err>>,
    C: Classify<Res, Err>,
    Err: Rejectable,
{
    type Output = Result<Classified<Res>, Classified<Err>>;

    // Always: a future that holds others is polled through all of them at every call, and each
    // call that is not inlined costs more than most layers do.
    #[inline(always)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        Poll::Ready(match ready!(this.inner.poll(cx)) {
            Ok(response) => {
                let mut response = Classified::unclassified(response);
                response.classify_response(this.classifier);
                Ok(response)
            }
            Err(error) => Err(Classified::error(error, this.classifier)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::carry::DescribeLayer;
    use crate::{Error, Reason, RequestMeta};
    use std::cell::Cell;
    use std::future::{Ready, poll_fn, ready};

    type Failure = Error<&'static str>;

    /// Fails in `poll_ready` or in `call`.
    struct Down {
        unready: Option<Failure>,
        failure: Failure,
    }

    impl Service<u32> for Down {
        type Response = u32;
        type Error = Failure;
        type Future = Ready<Result<u32, Failure>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failure>> {
            Poll::Ready(self.unready.take().map_or(Ok(()), Err))
        }

        fn call(&mut self, _: u32) -> Self::Future {
            ready(Err(self.failure))
        }
    }

    struct Judge<'a>(&'a Cell<u32>);

    impl Classify<u32, Failure> for &Judge<'_> {
        fn classify(&self, _: Result<&u32, &Failure>) -> Outcome {
            self.0.set(self.0.get() + 1);
            Outcome::Failure(FailureKind::Overloaded)
        }

        fn retry_after(&self, _: Result<&u32, &Failure>) -> Option<Duration> {
            Some(Duration::from_secs(7))
        }
    }

    #[tokio::test]
    async fn errors_carry_what_the_classifier_says_and_rejections_what_they_say() {
        let asked = Cell::new(0);
        let judge = Judge(&asked);
        let rejected: Failure = Rejection::new(Reason::AttemptTimeout, "x").into();
        let call = async |failure| {
            let unready = None;
            let mut service = ClassifyLayer::new(&judge).layer(Down { unready, failure });
            let meta = RequestMeta::default();
            service
                .call(Described { request: 1, meta })
                .await
                .unwrap_err()
        };
        let down = call(Error::Inner("down")).await;
        let overloaded = Outcome::Failure(FailureKind::Overloaded);
        let wait = Some(Duration::from_secs(7));
        assert_eq!(
            down,
            Classified::new(Error::Inner("down"), overloaded, wait)
        );
        assert_eq!(asked.get(), 1);
        let rejected = call(rejected).await;
        assert_eq!(
            (rejected.outcome(), rejected.retry_after()),
            (Outcome::Unknown, None)
        );
        assert_eq!(
            rejected.rejection().map(Rejection::reason),
            Some(Reason::AttemptTimeout)
        );
        assert_eq!(asked.get(), 1, "nobody is asked about a rejection");
    }

    #[tokio::test]
    async fn readiness_passes_its_error_through_and_asks_nobody() {
        let asked = Cell::new(0);
        let judge = Judge(&asked);
        let unready = Some(Error::Inner("gone"));
        let failure = Error::Inner("down");
        let inner = ClassifyLayer::new(&judge).layer(Down { unready, failure });
        let mut service = DescribeLayer::new(crate::DefaultMeta).layer(inner);
        let gone = poll_fn(|cx| Service::<u32>::poll_ready(&mut service, cx)).await;
        assert_eq!(gone, Err(Error::Inner("gone")));
        assert_eq!(asked.get(), 0);
        assert_eq!(service.call(1).await, Err(Error::Inner("down")));
        let unclassified_error = Classified::unclassified_error(Error::Inner("gone"));
        assert_eq!(
            unclassified_error.outcome(),
            Outcome::Failure(FailureKind::Other)
        );
    }
}
