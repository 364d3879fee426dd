//! How a response is marked as degraded.

use std::time::Duration;

use super::{Degradation, Degraded};
use crate::carry::{Carried, Classified, GuardedResponse, Guards, Storage};
use crate::{Classify, Outcome};

/// Writes into a response that it is degraded, and reads it back.
///
/// Whatever answers in place of an upstream marks what it returns: a fallback, a cache that serves what is
/// stale. It is read where a degraded answer must not pass for a good one: by what keeps good answers, and by
/// an outer layer of the same kind.
///
/// [`MarkInValue`] marks a [`Degraded`], `seawall-http` has `HttpMark`, and [`NoMark`] marks nothing.
/// Closures and `fn` pointers `Fn(&mut Res, Degradation)` are marks that cannot be read back; what they mark
/// passes for a good answer further out.
///
/// ```
/// use seawall_core::{Degradation, MarkDegraded};
///
/// #[derive(Default)]
/// struct Opinion { action: &'static str, degraded: Option<Degradation> }
///
/// struct InOpinion;
///
/// impl MarkDegraded<Opinion> for InOpinion {
///     fn mark(&self, opinion: &mut Opinion, degradation: Degradation) {
///         // An older mark stays.
///         opinion.degraded.get_or_insert(degradation);
///     }
///
///     fn degradation(&self, opinion: &Opinion) -> Option<Degradation> {
///         opinion.degraded
///     }
/// }
/// let mut hold = Opinion { action: "HOLD", ..Opinion::default() };
/// InOpinion.mark(&mut hold, Degradation::new("overloaded", "hold"));
/// assert_eq!(InOpinion.degradation(&hold).map(|d| d.source.as_str()), Some("hold"));
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot mark responses of type `{Res}` as degraded",
    label = "not a mark of this service's responses",
    note = "`MarkInValue` marks a `seawall_core::Degraded<T>`, `HttpMark` of `seawall-http` an `http::Response<B>`; for others use a `fn(&mut Response, Degradation)` or a type that implements `MarkDegraded`, or `NoMark`"
)]
pub trait MarkDegraded<Res> {
    /// Marks `response`. One that is marked already keeps its mark, which is closer to its source.
    fn mark(&self, response: &mut Res, degradation: Degradation);

    /// How `response` is marked; `None` unless implemented.
    fn degradation(&self, response: &Res) -> Option<Degradation> {
        let _ = response;
        None
    }
}

#[diagnostic::do_not_recommend]
impl<F, Res> MarkDegraded<Res> for F
where
    F: Fn(&mut Res, Degradation),
{
    fn mark(&self, response: &mut Res, degradation: Degradation) {
        self(response, degradation);
    }
}

/// Marks nothing: for responses that have no place for it, or where the steps mark by themselves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NoMark;

impl<Res> MarkDegraded<Res> for NoMark {
    #[inline]
    fn mark(&self, _: &mut Res, _: Degradation) {}
}

/// Marks a [`Degraded`] in itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MarkInValue;

impl<T> MarkDegraded<Degraded<T>> for MarkInValue {
    fn mark(&self, response: &mut Degraded<T>, degradation: Degradation) {
        response.mark(degradation);
    }

    #[inline]
    fn degradation(&self, response: &Degraded<T>) -> Option<Degradation> {
        response.degradation()
    }
}

impl<M: MarkDegraded<Res>, Res> MarkDegraded<Classified<Res>> for Carried<M> {
    /// Its outcome is [`Outcome::Degraded`] from then on.
    fn mark(&self, response: &mut Classified<Res>, degradation: Degradation) {
        self.0.mark(response.value_mut(), degradation);
        response.set_outcome(Outcome::Degraded);
    }

    #[inline]
    fn degradation(&self, response: &Classified<Res>) -> Option<Degradation> {
        self.0.degradation(response.value())
    }
}

impl<M, P, G, Res> MarkDegraded<GuardedResponse<P, G>> for Carried<M>
where
    M: MarkDegraded<Res>,
    P: Storage<Value = Classified<Res>>,
    G: Guards,
{
    /// Its outcome is [`Outcome::Degraded`] from then on.
    fn mark(&self, response: &mut GuardedResponse<P, G>, degradation: Degradation) {
        self.mark(response.get_mut(), degradation);
    }

    #[inline]
    fn degradation(&self, response: &GuardedResponse<P, G>) -> Option<Degradation> {
        self.degradation(response.get())
    }
}

/// A classifier for what stands outside of a layer that gives degraded answers: a response that is marked
/// means [`Outcome::Degraded`], anything else what the classifier of the service says.
///
/// Where results are [carried](crate::carry), and for an `HttpClassifier`, it is not needed.
///
/// ```
/// use seawall_core::{
///     Classify, ClassifyMarked, Degradation, Degraded, ErrorIsFailure, MarkInValue, Outcome,
/// };
///
/// let classifier = ClassifyMarked::new(MarkInValue, ErrorIsFailure);
/// let of = |price: Degraded<f64>| classifier.classify(Ok::<_, &()>(&price));
/// assert_eq!(of(Degraded::fresh(101.0)), Outcome::Success);
/// let last_good = Degradation::new("timeout", "last_good");
/// assert_eq!(of(Degraded::marked(101.0, last_good)), Outcome::Degraded);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct ClassifyMarked<M, C> {
    mark: M,
    classifier: C,
}

impl<M, C> ClassifyMarked<M, C> {
    /// Reads marks by `mark`, and asks `classifier` where there is none.
    pub const fn new(mark: M, classifier: C) -> Self {
        Self { mark, classifier }
    }
}

impl<M, C, Res, Err> Classify<Res, Err> for ClassifyMarked<M, C>
where
    M: MarkDegraded<Res>,
    C: Classify<Res, Err>,
{
    fn classify(&self, result: Result<&Res, &Err>) -> Outcome {
        match result {
            Ok(response) if self.mark.degradation(response).is_some() => Outcome::Degraded,
            result => self.classifier.classify(result),
        }
    }

    fn retry_after(&self, result: Result<&Res, &Err>) -> Option<Duration> {
        match result {
            Ok(response) if self.mark.degradation(response).is_some() => None,
            result => self.classifier.retry_after(result),
        }
    }
}
