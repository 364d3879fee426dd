//! Corrects limits by what results report.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use seawall_core::striped::{Anchor, Local, Shared, Stripes};
use seawall_core::{Describe, LateUsage, Policies, ReadQuotaSignals};
use tower_layer::Layer;
use tower_service::Service;

use crate::costs::{CostFn, MetaCost};
use crate::state::{Departed, LocalState, SharedState};

/// Corrects a rate limit by what results report; made by
/// [`RateLimitLayer::feedback`](crate::RateLimitLayer::feedback), and to be put below it, next to
/// the client.
///
/// A reader finds three kinds of [`QuotaSignal`](seawall_core::QuotaSignal):
///
/// * *the state of a limit* (headers with the remaining count and the reset): what is left here is
///   lowered to that until its reset, and each window is kept by itself. A later report does not raise
///   it before, except in two cases. A reset that comes more than a second after that of the report with
///   the fewest (or a quarter of the time to it, where that is less and resets are not in whole seconds)
///   shows that the upstream reports when its limit is full again: then the last two reports count. And
///   one of the next window may come in the last second. Of more than four windows, the closest become
///   one. The signal goes to the limit that counts the same unit; of several, to the one with the reported
///   window or count, or else to the shortest whose period is not over before the reported window or
///   reset. A unit that no limit counts is [counted](crate::RateLimitCounts::unplaced) as not placed.
/// * *a pause* (a throttle, a ban): nothing is granted before it ends, and then the limit starts
///   carefully, so that waiters do not depart all at once: see
///   [`pause_for`](crate::RateLimitHandle::pause_for).
/// * *the real usage* (tokens of an AI response): the difference to the estimate is taken or given
///   back, at the time of the departure. A response without usage, and a call that is dropped before
///   its response, leave the estimate taken: the upstream has most likely counted them. Where the
///   usage comes later, at the end of a stream, the reader hands on a [`LateUsage`].
///
/// No value of an upstream counts beyond the bounds of the settings:
/// [`max_pause`](crate::RateLimitConfigBuilder::max_pause),
/// [`max_ban`](crate::RateLimitConfigBuilder::max_ban) and
/// [`max_debt`](crate::RateLimitConfigBuilder::max_debt).
///
/// ```
/// use std::time::Duration;
/// use seawall_core::{Error, QuotaSignal, Replay, RequestMeta, TokenCount, Unit, WrapErrorLayer};
/// use seawall_ratelimit::{Limit, RateLimitConfig, RateLimitLayer};
/// use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
///
/// struct Completion { used: u64 }
/// type Failure = Error<std::io::Error>;
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let minute = Duration::from_secs(60);
/// let config = RateLimitConfig::builder()
///     .limit(Limit::bucket(100_000, minute).burst(10_000).with_unit(Unit::Tokens))
///     .build()?;
/// let limit = RateLimitLayer::new("model", config).describe(|prompt: &String| {
///     let input = u32::try_from(prompt.len() / 4).unwrap_or(u32::MAX);
///     RequestMeta::new(Replay::Never).with_tokens(TokenCount::new(input, 4_000))
/// });
/// let tokens = limit.handle();
/// let usage = |result: Result<&Completion, &Failure>, report: &mut dyn FnMut(QuotaSignal)| {
///     if let Ok(completion) = result {
///         report(QuotaSignal::Used { unit: Unit::Tokens, amount: completion.used });
///     }
/// };
/// let mut model = ServiceBuilder::new()
///     .layer(limit.clone())
///     .layer(limit.feedback(usage))
///     .layer(WrapErrorLayer)
///     .service(service_fn(|_prompt: String| async {
///         Ok::<_, std::io::Error>(Completion { used: 700 })
///     }));
///
/// model.ready().await?.call("x".repeat(400)).await?;
/// assert_eq!(tokens.tokens(), 9_300.0);
/// # Ok(())
/// # }
/// ```
pub struct FeedbackLayer<X, F, M = MetaCost> {
    // Only the reference counts of the stripes are wanted: a reader that each call clones would be a
    // count that all threads write.
    reading: Shared<Reading<F>, ()>,
    policy: X,
    cost: M,
}

impl<X, F, M> FeedbackLayer<X, F, M> {
    pub(crate) fn new(state: SharedState, reader: F, policy: X, cost: M) -> Self {
        let reading = Reading { state, reader };
        Self {
            reading: Shared::new(reading, Stripes::auto(), || ()),
            policy,
            cost,
        }
    }
}

impl<X: Clone, F, M: Clone> Clone for FeedbackLayer<X, F, M> {
    fn clone(&self) -> Self {
        Self {
            reading: self.reading.clone(),
            policy: self.policy.clone(),
            cost: self.cost.clone(),
        }
    }
}

impl<S, X: Clone, F, M: Clone> Layer<S> for FeedbackLayer<X, F, M> {
    type Service = Feedback<S, X, F, M>;

    fn layer(&self, inner: S) -> Self::Service {
        Feedback {
            inner,
            reading: self.reading.anchor(),
            policy: self.policy.clone(),
            cost: self.cost.clone(),
        }
    }
}

seawall_core::impl_debug!(FeedbackLayer<X, F, M>: |this|
    name = this.reading.common().state.common().events.name(),
);

/// A service whose results correct a rate limit; made by [`FeedbackLayer`].
///
/// It is ready when the inner service is, rejects no call and changes no result.
pub struct Feedback<S, X, F, M = MetaCost> {
    inner: S,
    reading: Anchor<Reading<F>, ()>,
    policy: X,
    cost: M,
}

/// What all calls of a layer share.
struct Reading<F> {
    state: SharedState,
    reader: F,
}

impl<S: Clone, X: Clone, F, M: Clone> Clone for Feedback<S, X, F, M> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            reading: self.reading.clone(),
            policy: self.policy.clone(),
            cost: self.cost.clone(),
        }
    }
}

impl<S, X, F, M, Req> Service<Req> for Feedback<S, X, F, M>
where
    S: Service<Req>,
    X: Policies,
    X::Describer: Describe<Req>,
    F: ReadQuotaSignals<S::Response, S::Error>,
    M: CostFn<Req>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = FeedbackFuture<S::Future, F>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, req: Req) -> Self::Future {
        let meta = self.policy.describer().describe(&req);
        let reading = self.reading.local();
        let cost = |unit| self.cost.cost(&req, &meta, unit);
        let departed = reading.common().state.common().departed(meta.key, cost);
        FeedbackFuture {
            inner: Some(self.inner.call(req)),
            call: Some(Call { reading, departed }),
        }
    }
}

seawall_core::inner_accessors!(Feedback<S, X, F, M>);

seawall_core::impl_debug!(Feedback<S, X, F, M> where [S: std::fmt::Debug]: |this|
    inner = this.inner,
    name = this.reading.common().state.common().events.name(),
);

pin_project! {
    /// The future of a [`Feedback`].
    ///
    /// Dropped before it has completed, it leaves the estimated cost taken.
    ///
    /// # Panics
    ///
    /// When it is polled after it has completed.
    pub struct FeedbackFuture<Fut, F> {
        #[pin]
        inner: Option<Fut>,
        // Beside the inner future and not in one variant with it, which would then be moved.
        call: Option<Call<F>>,
    }
}

/// What a call that has departed needs when its result is there.
struct Call<F> {
    reading: Local<Reading<F>, ()>,
    departed: Departed,
}

impl<F> Call<F> {
    #[inline]
    fn read<Res, Err>(&self, result: &mut Result<Res, Err>)
    where
        F: ReadQuotaSignals<Res, Err>,
    {
        let Reading { state, reader } = self.reading.common();
        let mut now = None;
        let mut apply = |signal| {
            // Only results with signals cost a clock read.
            let common = state.common();
            let now = *now.get_or_insert_with(|| common.clock.now());
            common.apply_signal(state.local().stripe(), now, signal, &self.departed);
        };
        reader.read_signals(result.as_ref(), &mut apply);
        if let Ok(response) = result {
            let late = &mut || late_usage(state.local(), self.departed);
            reader.attach_late_usage(response, late);
        }
    }
}

impl<Fut, F, Res, Err> Future for FeedbackFuture<Fut, F>
where
    Fut: Future<Output = Result<Res, Err>>,
    F: ReadQuotaSignals<Res, Err>,
{
    type Output = Result<Res, Err>;

    // Always: a future that holds others is polled through all of them at every call, and each
    // call that is not inlined costs more than most layers do.
    #[inline(always)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let Some(inner) = this.inner.as_mut().as_pin_mut() else {
            panic!("`FeedbackFuture` polled after it has completed");
        };
        let mut out = inner.poll(cx);
        if let Poll::Ready(result) = &mut out {
            // The inner future is dropped first: what it holds is free before any waiter is woken.
            this.inner.set(None);
            if let Some(call) = this.call.take() {
                call.read(result);
            }
        }
        out
    }
}

fn late_usage(state: LocalState, departed: Departed) -> LateUsage {
    LateUsage::new(move |used| {
        let common = state.common();
        common.correct_usage(state.stripe(), &departed, used);
    })
}

seawall_core::impl_debug!(FeedbackFuture<Fut, F>:);
