//! Asking the steps from the first on that takes time.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use seawall_core::{
    CopyRequest, KeepResponse, MarkDegraded, Policies, Reason, Rejectable, Sent, deadline,
};
use tokio::time::timeout_at;

use crate::Step;
use crate::answer::{Answer, FailedCall};
use crate::depth;
use crate::envelope::Envelope;
use crate::rules::{Rules, RulesLocal};
use crate::step::Source;

/// What a caller gets whose call no step answers.
enum Original<R, E> {
    Error(E),
    /// A response that may hold what its call holds.
    Response(R),
    /// What was kept of one.
    Kept(Option<R>),
}

/// Asks the steps from the one of that number on, and gives the original result where none answers.
pub(crate) async fn answer<X, Req, Res, M, W, V, T, R, E>(
    local: RulesLocal<X, Req, Res, M, W, V>,
    failed: FailedCall,
    result: Result<R, E>,
    mut kept: Option<T>,
    first: usize,
) -> Result<R, E>
where
    X: Policies<Copier: CopyRequest<T>, Keeper: KeepResponse<R>>,
    M: MarkDegraded<Res>,
    V: Envelope<T, R, Request = Req, Response = Res>,
    E: Rejectable,
{
    let rules = local.common();
    let mut original = match result {
        Ok(response) => Original::Response(response),
        Err(error) => Original::Error(error),
    };
    for step in rules.steps.all.iter().skip(first) {
        if !step.answers(&failed) {
            continue;
        }
        if !step.takes_time() {
            if let Some(answer) = rules.ask_now(step, &failed, kept.as_ref()) {
                return Ok(answer);
            }
            continue;
        }
        if let Original::Response(response) = original {
            // A permit that the failed call holds would be missing while the step runs, and a backup that
            // shares it would wait for it forever.
            let until = failed.meta().deadline;
            let keeping = rules.policy.keeper().keep_until(response, until);
            original = Original::Kept(keeping.await);
        }
        let answer = ask(rules, step, &failed, &mut kept).await;
        if let Some(answer) = answer
            && let Some(response) = rules.finish(step, &failed, kept.as_ref(), answer)
        {
            return Ok(response);
        }
    }
    rules.core.counters.unanswered.add();
    match original {
        Original::Error(error) => Err(error),
        Original::Response(response) | Original::Kept(Some(response)) => Ok(response),
        Original::Kept(None) => {
            let none = rules.core.source.rejection(Reason::NoRoute);
            Err(none.with_sent(Sent::Maybe).into())
        }
    }
}

/// The answer of a step that takes time; `None` where it was not asked, or was too late.
async fn ask<X, Req, Res, M, W, V, T, R>(
    rules: &Rules<X, Req, Res, M, W, V>,
    step: &Step<Req, Res>,
    failed: &FailedCall,
    kept: &mut Option<T>,
) -> Option<Option<Answer<Res>>>
where
    X: Policies<Copier: CopyRequest<T>>,
    V: Envelope<T, R, Request = Req, Response = Res>,
{
    let Source::Later(start) = &step.source else {
        return None;
    };
    let counters = &step.info.counters;
    let config = rules.core.config();
    let limit = step.timeout.unwrap_or_else(|| config.step_timeout());
    let now = rules.core.clock.instant_now();
    let own = deadline(now, limit);
    let until = failed.meta().deadline.map_or(own, |until| until.min(own));
    if until <= now {
        counters.timed_out.add();
        return None;
    }
    let Some(permit) = rules.core.permit(config.max_running()) else {
        counters.full.add();
        return None;
    };
    let copy = kept
        .as_ref()
        .and_then(|kept| rules.policy.copier().copy(kept));
    // The last copy, unless its key is asked for.
    let copy = match copy {
        None if rules.order.is_none() => kept.take(),
        copy => copy,
    };
    let Some(request) = copy else {
        counters.no_copy.add();
        return None;
    };
    let layer = rules.id();
    let future = depth::within(layer, || start(*failed, V::open(request)));
    let answer = timeout_at(until, Within { future, layer }).await;
    drop(permit);
    if answer.is_err() {
        counters.timed_out.add();
    }
    answer.ok()
}

pin_project! {
    /// A step's future, which knows of its layer.
    struct Within<F> {
        #[pin]
        future: F,
        layer: usize,
    }
}

impl<F: Future> Future for Within<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        depth::within(*this.layer, || this.future.poll(cx))
    }
}
