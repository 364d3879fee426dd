//! A call that faults hit.

use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use seawall_core::InstanceName;
use tower_service::Service;

use crate::effect::Effect;
use crate::fault::What;
use crate::state::Drawn;
use crate::store::Store;
use crate::{Alteration, FaultHooks, InjectedError, Keeper, MakeFault, ResponseFault, Waiting};

/// How long a response is held back: `None` until the fault ends.
type Wait = (Option<Duration>, Effect);

/// What stands in place of a call, and the fault that does.
type Replacement<Res, Err> = (Result<Res, Err>, Effect);

/// What the faults that were drawn do to a call.
pub(crate) struct Plan<Res, Err, K> {
    replacement: Option<Replacement<Res, Err>>,
    waits: Vec<Wait>,
    lost: Option<Effect>,
    duplicate: Option<Effect>,
    alterations: Vec<Alteration>,
    keeper: Option<Keeper<K>>,
    name: InstanceName,
}

impl<Res, Err, K> Plan<Res, Err, K> {
    /// What is dropped on the way has no effect, and is counted so.
    pub(crate) fn new<Req, Inner, H>(
        drawn: Vec<Drawn>,
        request: &Req,
        hooks: &H,
        store: &Arc<Store<K>>,
        name: InstanceName,
    ) -> Self
    where
        H: MakeFault<Req, Inner, Err, Response = Res> + FaultHooks<Kept = K>,
    {
        let mut plan = Self {
            replacement: None,
            waits: Vec::new(),
            lost: None,
            duplicate: None,
            alterations: Vec::new(),
            keeper: None,
            name,
        };
        for drawn in drawn {
            plan.add(drawn, request, hooks, store);
        }
        plan
    }

    fn add<Req, Inner, H>(&mut self, drawn: Drawn, request: &Req, hooks: &H, store: &Arc<Store<K>>)
    where
        H: MakeFault<Req, Inner, Err, Response = Res> + FaultHooks<Kept = K>,
    {
        if drawn.effect.kind().replaces_call() && self.replacement.is_some() {
            return;
        }
        let active = Arc::clone(drawn.effect.active());
        let index = drawn.index;
        let Drawn {
            effect, mut draws, ..
        } = drawn;
        let name = self.name;
        let alter = |fault, draws, effect| Alteration::new(fault, draws, effect, index, name);
        match active.set.faults()[index].what() {
            What::Delay(delay) => {
                let length = delay.draw(&mut draws);
                if !length.is_zero() {
                    self.waits.push((Some(length), effect));
                }
            }
            What::Hang => self.waits.push((None, effect)),
            What::ErrorBeforeSending | What::RefusedConnection => {
                let error = hooks.error(InjectedError::new(effect.kind(), self.name));
                self.replacement = Some((Err(error), effect));
            }
            What::Status(status) => {
                let response = hooks.respond(request, status);
                self.replacement = response.map(|response| (Ok(response), effect));
            }
            What::StaleResponse => {
                let Some(identity) = hooks.identity(request) else {
                    return;
                };
                match store.get(&active, &identity) {
                    Some(kept) => {
                        let response = hooks.replay(&kept);
                        self.replacement = response.map(|response| (Ok(response), effect));
                    }
                    None => self.keeper = Some(Keeper::new(Arc::clone(store), active, identity)),
                }
            }
            What::LostResponse => self.lost = Some(effect),
            What::DuplicatedRequest => self.duplicate = Some(effect),
            What::TruncatedBody => {
                let altered = alter(ResponseFault::TruncatedBody, draws, effect);
                self.alterations.push(altered);
            }
            What::CorruptedBody => {
                let altered = alter(ResponseFault::CorruptedBody, draws, effect);
                self.alterations.push(altered);
            }
            What::SlowBody(_) => {
                let altered = alter(ResponseFault::SlowBody, draws, effect);
                self.alterations.push(altered);
            }
            What::ClockSkew(skew) => {
                let altered = alter(ResponseFault::ClockSkew(*skew), draws, effect);
                self.alterations.push(altered);
            }
        }
    }

    pub(crate) const fn replaces_call(&self) -> bool {
        self.replacement.is_some()
    }

    pub(crate) const fn duplicates(&self) -> bool {
        self.duplicate.is_some()
    }
}

/// The second copy of a request.
struct Duplicate<S: Service<Req>, Req> {
    service: S,
    request: Option<Req>,
    future: Option<Pin<Box<S::Future>>>,
    effect: Effect,
}

/// Where a call is.
enum Stage<F, Res, Err, Made> {
    First(Pin<Box<F>>),
    /// The second copy is under way; the response to the first was there.
    Second,
    /// The upstream's result is held back.
    Upstream(Result<Res, Err>),
    /// A result that a fault made is held back.
    Made(Result<Made, Err>),
    Done,
}

/// A call that faults hit. It lies in a box, and moves in it: what must not move has a box of its own.
pub(crate) struct FaultedCall<S, Req, H>
where
    S: Service<Req>,
    H: MakeFault<Req, S::Response, S::Error>,
{
    stage: Stage<S::Future, S::Response, S::Error, H::Response>,
    duplicate: Option<Duplicate<S, Req>>,
    made_by: Option<Effect>,
    lost: Option<Effect>,
    /// The next one last.
    waits: Vec<Wait>,
    waiting: Option<Waiting>,
    alterations: Vec<Alteration>,
    keeper: Option<Keeper<H::Kept>>,
    hooks: H,
    name: InstanceName,
}

impl<S, Req, H> FaultedCall<S, Req, H>
where
    S: Service<Req>,
    H: MakeFault<Req, S::Response, S::Error>,
{
    /// A call that is not made.
    pub(crate) fn replaced(mut plan: Plan<H::Response, S::Error, H::Kept>, hooks: H) -> Self {
        let (stage, made_by) = match plan.replacement.take() {
            Some((result, effect)) => (Stage::Made(result), Some(effect)),
            None => (Stage::Done, None),
        };
        let mut call = Self::new(plan, stage, None, hooks);
        call.made_by = made_by;
        // They are about the response of the upstream, and there will be none.
        call.alterations.clear();
        (call.lost, call.keeper) = (None, None);
        call
    }

    /// A call that was made; `second` is what sends its request again.
    pub(crate) fn sent(
        mut plan: Plan<H::Response, S::Error, H::Kept>,
        first: S::Future,
        second: Option<(S, Req)>,
        hooks: H,
    ) -> Self {
        let duplicate = second.zip(plan.duplicate.take());
        let duplicate = duplicate.map(|((service, request), effect)| Duplicate {
            service,
            request: Some(request),
            future: None,
            effect,
        });
        Self::new(plan, Stage::First(Box::pin(first)), duplicate, hooks)
    }

    fn new(
        mut plan: Plan<H::Response, S::Error, H::Kept>,
        stage: Stage<S::Future, S::Response, S::Error, H::Response>,
        duplicate: Option<Duplicate<S, Req>>,
        hooks: H,
    ) -> Self {
        plan.waits.reverse();
        Self {
            stage,
            duplicate,
            made_by: None,
            lost: plan.lost,
            waits: plan.waits,
            waiting: None,
            alterations: plan.alterations,
            keeper: plan.keeper,
            hooks,
            name: plan.name,
        }
    }

    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<H::Response, S::Error>> {
        if let Stage::First(first) = &mut self.stage {
            let result = ready!(first.as_mut().poll(cx));
            // What failed already is not sent again, and neither is what the fault's end found under way.
            self.stage = match &self.duplicate {
                // The first response is dropped before the second copy waits for readiness: a permit that it
                // holds may be what that waits for.
                Some(duplicate) if result.is_ok() && !duplicate.effect.active().is_over() => {
                    drop(result);
                    Stage::Second
                }
                _ => Stage::Upstream(result),
            };
        }
        if matches!(self.stage, Stage::Second)
            && let Some(duplicate) = &mut self.duplicate
        {
            let again = ready!(duplicate.poll(cx));
            self.duplicate = None;
            self.stage = Stage::Upstream(again);
        }
        self.lose();
        ready!(self.poll_waits(cx));
        Poll::Ready(self.finish())
    }

    /// Loses a response that is there: what it holds of the layers below goes with it.
    fn lose(&mut self) {
        if let Some(mut lost) = self.lost.take()
            && matches!(self.stage, Stage::Upstream(Ok(_)))
            && !lost.active().is_over()
        {
            lost.happened();
            let error = self.hooks.error(InjectedError::new(lost.kind(), self.name));
            self.stage = Stage::Made(Err(error));
        }
    }

    fn poll_waits(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if let Some(waiting) = &mut self.waiting {
                ready!(Pin::new(waiting).poll(cx));
                self.waiting = None;
            }
            let Some((length, mut effect)) = self.waits.pop() else {
                return Poll::Ready(());
            };
            if !effect.active().is_over() {
                effect.happened();
                self.waiting = Some(Waiting::new(effect.active(), length));
            }
        }
    }

    fn finish(&mut self) -> Result<H::Response, S::Error> {
        let result = match mem::replace(&mut self.stage, Stage::Done) {
            Stage::Made(result) => {
                if let Some(effect) = &mut self.made_by {
                    effect.happened();
                }
                return result;
            }
            Stage::Upstream(result) => result,
            Stage::First(_) | Stage::Second | Stage::Done => {
                panic!("a chaos layer's future was polled after it had completed")
            }
        };
        let response = result?;
        let alterations = mem::take(&mut self.alterations);
        if !alterations.is_empty() {
            return Ok(self.hooks.alter(response, alterations));
        }
        Ok(match self.keeper.take() {
            Some(keeper) => self.hooks.keep(response, keeper),
            None => self.hooks.pass(response),
        })
    }
}

impl<S: Service<Req>, Req> Duplicate<S, Req> {
    /// Ready with what the second copy comes to.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<S::Response, S::Error>> {
        if self.request.is_some() {
            let ready = ready!(self.service.poll_ready(cx));
            // The caller gets what this comes to, an error of readiness as well.
            self.effect.happened();
            ready?;
        }
        if let Some(request) = self.request.take() {
            self.future = Some(Box::pin(self.service.call(request)));
        }
        match &mut self.future {
            Some(future) => future.as_mut().poll(cx),
            None => Poll::Pending,
        }
    }
}
