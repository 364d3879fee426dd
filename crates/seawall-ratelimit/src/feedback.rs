//! What answers say about limits, and what becomes of it.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use pin_project_lite::pin_project;
use seawall_core::striped::{Anchor, Local, Shared};
use seawall_core::{
    DefaultMeta, Describe, InstanceName, PartitionKey, QuotaSignal, ReadQuotaSignals, RequestMeta,
    Unit, ns,
};
use tower_layer::Layer;
use tower_service::Service;

use crate::costs::Costs;
use crate::keyed::Keyed;
use crate::limiter::Limiter;
use crate::observe::{Common, Stripe};
use crate::{CostFn, MetaCost};

/// Corrects a rate limit by what the answers say; made by
/// [`RateLimitLayer::feedback`](crate::RateLimitLayer::feedback), and to be put below it, next to
/// the client.
///
/// What it reads is of three kinds, see [`QuotaSignal`]:
///
/// * *the state of a limit* (headers that tell what is left and until when): what is left here
///   becomes at most that; never more, however much the upstream says is left. It goes to the
///   limit that counts the same unit, and, of several, to the one with the window or the height
///   that was named, or else to the shortest that lasts as long as was said.
/// * *a pause* (a throttle, a ban): nothing is granted before it ends, and what comes then starts
///   from empty, so that those who waited do not depart at once.
/// * *what was really used* (tokens of an AI answer): the difference to the estimate is taken or
///   given back. An answer that says nothing of it, and a call that is dropped before it is
///   answered, leave the estimate taken: the upstream has most likely counted them.
///
/// ```
/// use std::time::Duration;
/// use seawall_core::{Error, WrapErrorLayer, RequestMeta, Replay, QuotaSignal, TokenCount, Unit};
/// use seawall_ratelimit::{Limit, RateLimitConfig, RateLimitLayer};
/// use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
///
/// struct Answer { used: u64 }
/// type Failure = Error<std::io::Error>;
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let minute = Duration::from_secs(60);
/// let config = RateLimitConfig::builder()
///     .limit(Limit::bucket(100_000, minute).burst(10_000).with_unit(Unit::Tokens))
///     .build()?;
/// let limit = RateLimitLayer::new("model", config)
///     .describe(|prompt: &String| {
///         let input = u32::try_from(prompt.len() / 4).unwrap_or(u32::MAX);
///         RequestMeta::new(Replay::Never).with_tokens(TokenCount::new(input, 4_000))
///     });
/// let tokens = limit.handle();
/// let usage = |answer: Result<&Answer, &Failure>, say: &mut dyn FnMut(QuotaSignal)| {
///     if let Ok(answer) = answer {
///         say(QuotaSignal::Spent { unit: Unit::Tokens, amount: answer.used });
///     }
/// };
/// let mut model = ServiceBuilder::new()
///     .layer(limit.clone())
///     .layer(limit.feedback(usage))
///     .layer(WrapErrorLayer)
///     .service(service_fn(|_prompt: String| async { Ok::<_, std::io::Error>(Answer { used: 700 }) }));
///
/// model.ready().await?.call("x".repeat(400)).await?;
/// assert_eq!(tokens.tokens(), 9_300.0);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct FeedbackLayer<F, D = DefaultMeta, P = MetaCost> {
    source: Source,
    feedback: F,
    describe: D,
    price: P,
}

impl<F, D, P> FeedbackLayer<F, D, P> {
    pub(crate) const fn new(source: Source, feedback: F, describe: D, price: P) -> Self {
        Self {
            source,
            feedback,
            describe,
            price,
        }
    }
}

impl<S, F: Clone, D: Clone, P: Clone> Layer<S> for FeedbackLayer<F, D, P> {
    type Service = Feedback<S, F, D, P>;

    fn layer(&self, inner: S) -> Self::Service {
        Feedback {
            inner,
            limits: self.source.anchor(),
            feedback: self.feedback.clone(),
            describe: self.describe.clone(),
            price: self.price.clone(),
        }
    }
}

impl<F, D, P> fmt::Debug for FeedbackLayer<F, D, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FeedbackLayer")
            .field("name", &self.source.name())
            .finish_non_exhaustive()
    }
}

/// A service whose answers correct a rate limit; made by [`FeedbackLayer`].
///
/// It is ready when the inner service is, rejects nothing and changes no answer.
#[derive(Clone)]
pub struct Feedback<S, F, D = DefaultMeta, P = MetaCost> {
    inner: S,
    limits: Limits,
    feedback: F,
    describe: D,
    price: P,
}

impl<S, F, D, P> Feedback<S, F, D, P> {
    /// The service below.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The service below, mutably.
    pub const fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The service below, by value.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, F, D, P, Req> Service<Req> for Feedback<S, F, D, P>
where
    S: Service<Req>,
    F: ReadQuotaSignals<S::Response, S::Error> + Clone,
    D: Describe<Req>,
    P: CostFn<Req>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = FeedbackFuture<S::Future, F>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, req: Req) -> Self::Future {
        let meta = self.describe.describe(&req);
        let departed = self
            .limits
            .departs(&meta, |unit| self.price.price(&req, &meta, unit));
        let feedback = self.feedback.clone();
        FeedbackFuture {
            step: Step::Running {
                inner: self.inner.call(req),
                departed,
                feedback,
            },
        }
    }
}

impl<S: fmt::Debug, F, D, P> fmt::Debug for Feedback<S, F, D, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WithFeedback")
            .field("inner", &self.inner)
            .field("name", &self.limits.name())
            .finish_non_exhaustive()
    }
}

/// The limits that are corrected.
#[derive(Clone)]
pub(crate) enum Source {
    Whole(Shared<Common, Stripe>),
    Keyed(Shared<Keyed, Stripe>),
}

impl Source {
    fn anchor(&self) -> Limits {
        match self {
            Self::Whole(shared) => Limits::Whole(shared.anchor()),
            Self::Keyed(shared) => Limits::Keyed(shared.anchor()),
        }
    }

    fn name(&self) -> InstanceName {
        match self {
            Self::Whole(shared) => shared.common().observer.name(),
            Self::Keyed(shared) => shared.common().observer.name(),
        }
    }
}

/// [`Source`], for a service that is cloned at every call.
#[derive(Clone)]
enum Limits {
    Whole(Anchor<Common, Stripe>),
    Keyed(Anchor<Keyed, Stripe>),
}

impl Limits {
    fn name(&self) -> InstanceName {
        match self {
            Self::Whole(state) => state.common().observer.name(),
            Self::Keyed(state) => state.common().observer.name(),
        }
    }

    fn departs(&self, meta: &RequestMeta, mut price: impl FnMut(Unit) -> u32) -> Departed {
        let mut costs = |limiter: &Limiter| Costs::of(limiter.units(), &mut price);
        match self {
            Self::Whole(state) => Departed {
                taken: Taken {
                    own: costs(&state.common().limiter),
                    above: Costs::default(),
                    at: state.common().clock.now(),
                },
                from: Origin::Whole(state.local()),
            },
            Self::Keyed(state) => {
                let keyed = state.common();
                let above = keyed.above().map_or(Costs::default(), &mut costs);
                Departed {
                    taken: Taken {
                        own: Costs::of(&keyed.units_of(meta.key), price),
                        above,
                        at: keyed.clock.now(),
                    },
                    from: Origin::Keyed(state.local(), meta.key),
                }
            }
        }
    }
}

/// A call under way.
struct Departed {
    taken: Taken,
    from: Origin,
}

/// What a call was taken to cost, and when.
pub(crate) struct Taken {
    pub(crate) own: Costs,
    /// Of the limit that all keys share.
    pub(crate) above: Costs,
    pub(crate) at: u64,
}

/// Whose tokens those were.
enum Origin {
    Whole(Local<Common, Stripe>),
    Keyed(Local<Keyed, Stripe>, PartitionKey),
}

impl Departed {
    fn now(&self) -> u64 {
        match &self.from {
            Origin::Whole(state) => state.common().clock.now(),
            Origin::Keyed(state, _) => state.common().clock.now(),
        }
    }

    fn obey(&self, now_ns: u64, said: QuotaSignal) {
        match &self.from {
            Origin::Whole(state) => {
                let Taken { own, at, .. } = &self.taken;
                obey(&state.common().limiter, now_ns, said, Some(own), *at);
            }
            Origin::Keyed(state, key) => {
                state.common().obey(*key, now_ns, said, Some(&self.taken));
            }
        }
    }
}

pin_project! {
    /// The answer of a [`Feedback`].
    ///
    /// Dropped before it has answered, it leaves what the call was taken to cost as it is.
    ///
    /// # Panics
    ///
    /// When it is polled after it has answered.
    pub struct FeedbackFuture<Fut, F> {
        #[pin]
        step: Step<Fut, F>,
    }
}

pin_project! {
    #[project = StepProj]
    #[project_replace = StepDone]
    enum Step<Fut, F> {
        Running { #[pin] inner: Fut, departed: Departed, feedback: F },
        Done,
    }
}

impl<Fut, F, Res, Err> Future for FeedbackFuture<Fut, F>
where
    Fut: Future<Output = Result<Res, Err>>,
    F: ReadQuotaSignals<Res, Err>,
{
    type Output = Result<Res, Err>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut step = self.project().step;
        let StepProj::Running { inner, .. } = step.as_mut().project() else {
            panic!("`FeedbackFuture` polled after it has answered");
        };
        let answer = ready!(inner.poll(cx));
        // The inner future goes first: what it holds is free before anybody is called.
        if let StepDone::Running {
            departed, feedback, ..
        } = step.project_replace(Step::Done)
        {
            let mut now = None;
            let mut obey = |said| {
                // Only answers that say something cost a clock read.
                let now = *now.get_or_insert_with(|| departed.now());
                departed.obey(now, said);
            };
            feedback.feedback(answer.as_ref(), &mut obey);
        }
        Poll::Ready(answer)
    }
}

/// Does what was said; `taken` is what the call was taken to cost, nothing where there was none.
pub(crate) fn obey(
    limiter: &Limiter,
    now_ns: u64,
    said: QuotaSignal,
    taken: Option<&Costs>,
    taken_at: u64,
) {
    match said {
        QuotaSignal::Limit(said) => limiter.apply_signal(now_ns, &said),
        QuotaSignal::Pause { lasts, .. } => {
            let lasts = lasts.unwrap_or_else(|| limiter.config().default_pause());
            if lasts > Duration::ZERO {
                limiter.hush(now_ns, ns(lasts));
            }
        }
        QuotaSignal::Spent { unit, amount } => {
            let mut units = limiter.units().iter();
            if let Some(index) = units.position(|counted| *counted == unit) {
                let taken = taken.map_or(0, |taken| taken.get(index).into());
                limiter.settle(now_ns, unit, taken, amount, taken_at);
            }
        }
        _ => {}
    }
}

impl<Fut, F> fmt::Debug for FeedbackFuture<Fut, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FeedbackFuture").finish_non_exhaustive()
    }
}
