//! What the services of one `layer()` share: the steps, and what is known of the service.

use std::marker::PhantomData;
use std::sync::Arc;

use seawall_core::striped::{Anchor, Local};
use seawall_core::{Degradation, MarkDegraded};
use tokio::time::Instant;

use crate::answer::FailedCall;
use crate::envelope::Envelope;
use crate::state::{Core, Steps};
use crate::step::Source;
use crate::{Answer, NeverOlder, Step};

pub(crate) struct Rules<X, Req, Res, M, W, V> {
    pub(crate) core: Arc<Core>,
    pub(crate) steps: Arc<Steps<Req, Res>>,
    pub(crate) order: Option<Arc<NeverOlder<Req, Res>>>,
    pub(crate) policy: X,
    pub(crate) mark: M,
    pub(crate) fresh: W,
    pub(crate) envelope: PhantomData<fn() -> V>,
}

pub(crate) type RulesAnchor<X, Req, Res, M, W, V> = Anchor<Rules<X, Req, Res, M, W, V>, ()>;
pub(crate) type RulesLocal<X, Req, Res, M, W, V> = Local<Rules<X, Req, Res, M, W, V>, ()>;

impl<X, Req, Res, M, W, V> Rules<X, Req, Res, M, W, V> {
    /// Whether a copy of a request is wanted that may be answered.
    #[inline]
    pub(crate) fn need_request(&self) -> bool {
        self.steps.need_request || self.order.is_some()
    }

    /// Whether anything is learned from successes.
    #[inline]
    pub(crate) fn learn(&self) -> bool {
        self.steps.learn || self.order.is_some()
    }

    /// What a step has to be known by, that a call of its own layer is found.
    pub(crate) fn id(&self) -> usize {
        Arc::as_ptr(&self.core).addr()
    }

    /// Learns from a success.
    #[cold]
    pub(crate) fn learn_from<T, R>(&self, request: &T, response: &R, began: Instant)
    where
        M: MarkDegraded<Res>,
        V: Envelope<T, R, Request = Req, Response = Res>,
    {
        let (request, response) = (V::request(request), V::response(response));
        if self.mark.degradation(response).is_some() {
            return;
        }
        let order = self.order.as_ref();
        if order.is_some_and(|order| !order.succeeded(request, response, began)) {
            return;
        }
        for step in &self.steps.all {
            if let Source::LastGood(memory) = &step.source {
                memory.learn(request, response, began);
            }
        }
    }

    /// The answer of a step that takes no time.
    pub(crate) fn ask_now<T, R>(
        &self,
        step: &Step<Req, Res>,
        failed: &FailedCall,
        request: Option<&T>,
    ) -> Option<R>
    where
        M: MarkDegraded<Res>,
        V: Envelope<T, R, Request = Req, Response = Res>,
    {
        let asked = request.map(V::request);
        if step.needs_request && asked.is_none() {
            step.info.counters.no_copy.add();
            return None;
        }
        let answer = match &step.source {
            Source::Now(answer) => answer(failed, asked),
            Source::LastGood(memory) => {
                asked.and_then(|request| memory.recall(request, self.core.clock.instant_now()))
            }
            Source::Later(_) => None,
        };
        self.finish(step, failed, request, answer)
    }

    /// The response of what a step has answered, if that is accepted.
    pub(crate) fn finish<T, R>(
        &self,
        step: &Step<Req, Res>,
        failed: &FailedCall,
        request: Option<&T>,
        answer: Option<Answer<Res>>,
    ) -> Option<R>
    where
        M: MarkDegraded<Res>,
        V: Envelope<T, R, Request = Req, Response = Res>,
    {
        let accepted = answer.filter(|answer| step.accepts(&answer.value));
        let Some(Answer { mut value, age }) = accepted else {
            step.info.counters.nothing.add();
            return None;
        };
        if let Some(order) = &self.order
            && !request.is_some_and(|request| order.may_show(V::request(request), &value))
        {
            step.info.counters.older.add();
            return None;
        }
        let mut degradation = Degradation::new(failed.reason(), step.name);
        degradation.age = age;
        self.mark.mark(&mut value, degradation);
        self.core.answered(&step.info, &degradation);
        Some(V::close(value))
    }
}
