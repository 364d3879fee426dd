//! The future: the call is polled in place, and steps that take time in a box.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use seawall_core::{
    Classify, CopyRequest, Describe, KeepResponse, MarkDegraded, Misconfiguration, Operation,
    Outcome, Policies, Rejectable, Rejection, Replay, RequestMeta, classify_result,
};
use tokio::time::Instant;

use crate::answer::FailedCall;
use crate::answering;
use crate::envelope::Envelope;
use crate::rules::RulesLocal;

/// Whether a call may be answered from elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum May {
    Answer,
    WantsFresh,
    NotAnswerable,
    Bypassed,
}

/// What a call needs when it is over.
pub(crate) struct Call<T, X, Req, Res, M, W, V> {
    pub(crate) rules: RulesLocal<X, Req, Res, M, W, V>,
    pub(crate) kept: Option<T>,
    pub(crate) began: Option<Instant>,
    pub(crate) replay: Replay,
    pub(crate) operation: Operation,
    pub(crate) deadline: Option<Instant>,
    pub(crate) may: May,
}

pin_project! {
    /// The response of a [`Fallback`](crate::Fallback).
    ///
    /// When it completes it has dropped the inner future and what was kept of the request. A step that takes
    /// time is polled by it, and dropped with it; it is not begun before the failed call holds nothing any more.
    ///
    /// # Panics
    ///
    /// When it is polled after it has completed, and when a step that takes time is begun outside of a Tokio
    /// runtime with time enabled.
    pub struct FallbackFuture<F, T, R, E, X, Req, Res, M, W, V> {
        #[pin]
        pub(crate) stage: Stage<F, R, E>,
        pub(crate) call: Option<Call<T, X, Req, Res, M, W, V>>,
    }
}

pin_project! {
    #[project = StageProj]
    pub(crate) enum Stage<F, R, E> {
        Calling {
            #[pin]
            inner: F,
        },
        Answering {
            steps: Answering<R, E>,
        },
        Rejected {
            rejection: Rejection,
        },
        Done,
    }
}

type Answering<R, E> = Pin<Box<dyn Future<Output = Result<R, E>> + Send>>;

impl<F, T, R, E, X, Req, Res, M, W, V> FallbackFuture<F, T, R, E, X, Req, Res, M, W, V> {
    #[cold]
    pub(crate) const fn rejected(rejection: Rejection) -> Self {
        Self {
            stage: Stage::Rejected { rejection },
            call: None,
        }
    }
}

impl<F, T, R, E, X, Req, Res, M, W, V> Future for FallbackFuture<F, T, R, E, X, Req, Res, M, W, V>
where
    F: Future<Output = Result<R, E>>,
    R: Send + 'static,
    E: Rejectable + Send + 'static,
    X: Policies + Send + Sync + 'static,
    X::Classifier: Classify<R, E>,
    X::Describer: Describe<T>,
    X::Copier: CopyRequest<T>,
    X::Keeper: KeepResponse<R, Keeping: Send>,
    M: MarkDegraded<Res> + Send + Sync + 'static,
    W: Send + Sync + 'static,
    V: Envelope<T, R, Request = Req, Response = Res> + 'static,
    T: Send + 'static,
    Req: 'static,
    Res: 'static,
{
    type Output = Result<R, E>;

    // Always: a future that holds others is polled through all of them at every call, and each
    // call that is not inlined costs more than most layers do.
    #[inline(always)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        match this.stage.as_mut().project() {
            StageProj::Calling { inner } => {
                let result = ready!(inner.poll(cx));
                this.stage.set(Stage::Done);
                // Read in place: what is moved out of here costs more than the rest.
                let Some(call) = this.call.as_ref() else {
                    return Poll::Ready(result);
                };
                let outcome = call.outcome(&result);
                if outcome == Outcome::Success {
                    call.learn_from(&result);
                    *this.call = None;
                    return Poll::Ready(result);
                }
                let Some(call) = this.call.take() else {
                    return Poll::Ready(result);
                };
                let mut steps = match call.failed(result, outcome) {
                    Ok(result) => return Poll::Ready(result),
                    Err(steps) => steps,
                };
                let out = steps.as_mut().poll(cx);
                if out.is_pending() {
                    this.stage.set(Stage::Answering { steps });
                }
                out
            }
            StageProj::Answering { steps } => {
                let result = ready!(steps.as_mut().poll(cx));
                this.stage.set(Stage::Done);
                Poll::Ready(result)
            }
            StageProj::Rejected { rejection } => {
                let rejection = *rejection;
                this.stage.set(Stage::Done);
                Poll::Ready(Err(rejection.into()))
            }
            StageProj::Done => panic!("a fallback's future was polled after it had completed"),
        }
    }
}

impl<T, X, Req, Res, M, W, V> Call<T, X, Req, Res, M, W, V> {
    /// What a result means.
    #[inline(always)]
    fn outcome<R, E>(&self, result: &Result<R, E>) -> Outcome
    where
        E: Rejectable,
        X: Policies<Classifier: Classify<R, E>>,
    {
        classify_result(self.rules.common().policy.classifier(), result)
    }

    /// Learns from a success, where anything does.
    #[inline(always)]
    fn learn_from<R, E>(&self, result: &Result<R, E>)
    where
        M: MarkDegraded<Res>,
        V: Envelope<T, R, Request = Req, Response = Res>,
    {
        if let (Some(began), Some(kept), Ok(response)) = (self.began, &self.kept, result) {
            self.rules.common().learn_from(kept, response, began);
        }
    }

    /// The result of a call that was no success: the answer of a step that takes no time, the original
    /// one, or the steps that are to be polled.
    #[cold]
    fn failed<R, E>(
        self,
        result: Result<R, E>,
        outcome: Outcome,
    ) -> Result<Result<R, E>, Answering<R, E>>
    where
        R: Send + 'static,
        E: Rejectable + Send + 'static,
        X: Policies + Send + Sync + 'static,
        X::Describer: Describe<T>,
        X::Copier: CopyRequest<T>,
        X::Keeper: KeepResponse<R, Keeping: Send>,
        M: MarkDegraded<Res> + Send + Sync + 'static,
        W: Send + Sync + 'static,
        V: Envelope<T, R, Request = Req, Response = Res> + 'static,
        T: Send + 'static,
        Req: 'static,
        Res: 'static,
    {
        if self.may == May::Bypassed {
            return Ok(result);
        }
        let rules = self.rules.common();
        let counters = &rules.core.counters;
        let rejection = result.as_ref().err().and_then(Rejectable::rejection);
        let mut meta = RequestMeta::new(self.replay).with_operation(self.operation);
        meta.deadline = self.deadline;
        let failed = FailedCall::new(outcome, rejection.copied(), meta);
        let steps = &rules.steps.all;
        if !steps.iter().any(|step| step.covers_failure(&failed)) {
            // What was answered below, or is the caller's own mistake.
            if outcome != Outcome::Degraded {
                counters.not_covered.add();
            }
            return Ok(result);
        }
        match self.may {
            May::Answer => {}
            May::WantsFresh => {
                counters.wants_fresh.add();
                return Ok(result);
            }
            May::NotAnswerable | May::Bypassed => {
                counters.not_answerable.add();
                if X::Describer::IS_DEFAULT {
                    rules
                        .core
                        .source
                        .misconfigure(Misconfiguration::Undescribed);
                }
                return Ok(result);
            }
        }
        for (index, step) in steps.iter().enumerate() {
            if !step.answers(&failed) {
                continue;
            }
            if step.takes_time() {
                let answer = answering::answer(self.rules, failed, result, self.kept, index);
                return Err(Box::pin(answer));
            }
            if let Some(answer) = rules.ask_now(step, &failed, self.kept.as_ref()) {
                // The original one is dropped before the caller has its answer, with all that it holds.
                drop(result);
                return Ok(Ok(answer));
            }
        }
        counters.unanswered.add();
        Ok(result)
    }
}

seawall_core::impl_debug!(FallbackFuture<F, T, R, E, X, Req, Res, M, W, V>: |this|
    stage = this.stage.name());

impl<F, R, E> Stage<F, R, E> {
    const fn name(&self) -> &'static str {
        match self {
            Self::Calling { .. } => "calling",
            Self::Answering { .. } => "answering",
            Self::Rejected { .. } => "rejected",
            Self::Done => "done",
        }
    }
}
