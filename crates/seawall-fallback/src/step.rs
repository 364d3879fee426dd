//! The steps: where answers come from when a call fails.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use seawall_core::{InstanceName, InvalidConfig, NonZeroDuration, Operation, RequestMeta, Span};
use tower_service::Service;

use crate::last_good::Memory;
use crate::step_info::StepInfo;
use crate::{Answer, Covers, FailedCall, LastGood};

/// The answer of a step that takes time.
pub(crate) type Later<Res> = Pin<Box<dyn Future<Output = Option<Answer<Res>>> + Send>>;

type Now<Req, Res> = Box<dyn Fn(&FailedCall, Option<&Req>) -> Option<Answer<Res>> + Send + Sync>;
type Accept<Res> = Box<dyn Fn(&Res) -> bool + Send + Sync>;
type Start<Req, Res> = Box<dyn Fn(FailedCall, Req) -> Later<Res> + Send + Sync>;

/// What a step has its answer from.
pub(crate) enum Source<Req, Res> {
    Now(Now<Req, Res>),
    Later(Start<Req, Res>),
    LastGood(Arc<dyn Memory<Req, Res>>),
}

/// One way to answer a call that has failed.
///
/// The steps of a layer are asked in their order, until one answers. Each has a name, which the mark of its
/// answer has as `source`; the failures that it [`covers`](Self::covers); and the requests that it answers:
/// those that are [`Replay::Safe`](seawall_core::Replay::Safe), and of the operations that it is [made for](Self::also_for).
///
/// ```
/// use seawall_fallback::{FailedCall, Reason, Step, Covers};
///
/// // The safe default of a model's opinion: do nothing.
/// let hold: Step<String, &'static str> = Step::value("hold", "HOLD");
/// // A function of the request and of the failure.
/// let plain: Step<String, String> = Step::function("plain", |failed: &FailedCall, text: &String| {
///     (text.len() < 100).then(|| format!("{text} ({})", failed.reason()))
/// });
/// let plain = plain.covers(Covers::nothing().and_reason(Reason::CircuitOpen));
/// # let _ = (hold, plain);
/// ```
pub struct Step<Req, Res> {
    pub(crate) name: InstanceName,
    pub(crate) kind: &'static str,
    pub(crate) source: Source<Req, Res>,
    covers: Covers,
    only: Option<Vec<Operation>>,
    also: Vec<Operation>,
    pub(crate) timeout: Option<Duration>,
    accept: Option<Accept<Res>>,
    /// Whether it is asked with the request.
    pub(crate) needs_request: bool,
    pub(crate) info: Arc<StepInfo>,
    about: String,
    /// A bound of weight of what is not weighed.
    idle_weight: Option<u64>,
    /// Whether it has an answer to everything.
    is_value: bool,
}

impl<Req, Res> Step<Req, Res> {
    fn new(
        name: InstanceName,
        kind: &'static str,
        source: Source<Req, Res>,
        needs_request: bool,
    ) -> Self {
        Self {
            name,
            kind,
            source,
            covers: Covers::default(),
            only: None,
            also: Vec::new(),
            timeout: None,
            accept: None,
            needs_request,
            info: Arc::new(StepInfo::new(name, kind)),
            about: String::new(),
            idle_weight: None,
            is_value: false,
        }
    }

    /// Answers with clones of `value`: a safe default. No copy of the request is made for it.
    pub fn value(name: impl Into<InstanceName>, value: Res) -> Self
    where
        Res: Clone + Send + Sync + 'static,
    {
        let source = Source::Now(Box::new(move |_, _| Some(Answer::made(value.clone()))));
        let mut step = Self::new(name.into(), "value", source, false);
        step.is_value = true;
        step
    }

    /// Answers with what `make` makes of the failure, for responses that cannot be cloned. No copy of the
    /// request is made for it.
    pub fn value_with<A: Into<Answer<Res>>>(
        name: impl Into<InstanceName>,
        make: impl Fn(&FailedCall) -> Option<A> + Send + Sync + 'static,
    ) -> Self {
        let source = Source::Now(Box::new(move |failed, _| make(failed).map(Into::into)));
        Self::new(name.into(), "value", source, false)
    }

    /// Answers with what `answer` makes of the failure and of the request, at once; `None` goes on to the next
    /// step. It must not block.
    pub fn function<A: Into<Answer<Res>>>(
        name: impl Into<InstanceName>,
        answer: impl Fn(&FailedCall, &Req) -> Option<A> + Send + Sync + 'static,
    ) -> Self {
        let source = Source::Now(Box::new(move |failed, request| {
            answer(failed, request?).map(Into::into)
        }));
        Self::new(name.into(), "function", source, true)
    }

    /// Answers with what `answer` makes of the failure and of a copy of the request, in time; `None` goes on
    /// to the next step.
    pub fn async_function<A, Fut>(
        name: impl Into<InstanceName>,
        answer: impl Fn(FailedCall, Req) -> Fut + Send + Sync + 'static,
    ) -> Self
    where
        A: Into<Answer<Res>>,
        Fut: Future<Output = Option<A>> + Send + 'static,
    {
        let start = move |failed, request| -> Later<Res> {
            let made = answer(failed, request);
            Box::pin(async move { made.await.map(Into::into) })
        };
        Self::new(
            name.into(),
            "async_function",
            Source::Later(Box::new(start)),
            true,
        )
    }

    /// Answers with the response of another service: a backup vendor, another model, with a stack of its own.
    /// An error of it goes on to the next step. Which of its responses are failures the layer does not
    /// know: say so by [`accept`](Self::accept).
    pub fn backup<S>(name: impl Into<InstanceName>, service: S) -> Self
    where
        S: Service<Req, Response = Res> + Clone + Send + 'static,
        S::Future: Send,
        Req: Send + 'static,
        Res: 'static,
    {
        // A lock, so that the service need not be shared: it is held while it is cloned.
        let service = Mutex::new(service);
        let start = move |_, request| -> Later<Res> {
            let locked = service.lock().unwrap_or_else(PoisonError::into_inner);
            let mut backup = locked.clone();
            drop(locked);
            Box::pin(async move {
                poll_fn(|cx| backup.poll_ready(cx)).await.ok()?;
                let call = backup.call(request);
                call.await.ok().map(Answer::made)
            })
        };
        Self::new(name.into(), "backup", Source::Later(Box::new(start)), true)
    }

    /// Answers with the last good answer, which the layer learns from successes. It is called `last_good`
    /// unless it is [named](Self::named).
    pub fn last_good(kept: LastGood<Req, Res>) -> Self {
        let (about, idle_weight) = (kept.settings(), kept.idle_weight());
        let source = Source::LastGood(Arc::clone(&kept.memory));
        let mut step = Self::new("last_good".into(), "last_good", source, true);
        step.info = Arc::new(StepInfo::new(step.name, step.kind).with_memory(kept.erased));
        step.about = about;
        step.idle_weight = idle_weight;
        step
    }

    /// Gives it another name.
    #[must_use]
    pub fn named(mut self, name: impl Into<InstanceName>) -> Self {
        self.name = name.into();
        self.info = Arc::new(self.info.named(self.name));
        self
    }

    /// Answers for these failures alone; see [`Covers`] for the default.
    #[must_use]
    pub fn covers(mut self, covers: Covers) -> Self {
        self.covers = covers;
        self
    }

    /// Answers requests of this operation alone, and of others that are named so.
    #[must_use]
    pub fn only_for(mut self, operation: Operation) -> Self {
        self.only.get_or_insert_default().push(operation);
        self
    }

    /// Answers requests of this operation also where they are not [`Replay::Safe`](seawall_core::Replay::Safe).
    ///
    /// A request for something to be *done*, such as an order, must not be answered from elsewhere, and
    /// no step does. Some requests are not safe to send twice only since they cost money, as calls of a model
    /// are: name their operation.
    #[must_use]
    pub fn also_for(mut self, operation: Operation) -> Self {
        self.also.push(operation);
        self
    }

    /// Sets how long it may take, in place of the layer's [`step_timeout`](crate::FallbackConfig::step_timeout).
    #[must_use]
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Takes only those answers of it that `accept` accepts; others go on to the next step. For a backup over
    /// HTTP: `|response| response.status().is_success()`.
    #[must_use]
    pub fn accept(mut self, accept: impl Fn(&Res) -> bool + Send + Sync + 'static) -> Self {
        self.accept = Some(Box::new(accept));
        self
    }

    /// Its name.
    pub const fn name(&self) -> InstanceName {
        self.name
    }

    /// Whether it may answer a request that is this, whatever the failure.
    pub(crate) fn may_answer(&self, meta: &RequestMeta) -> bool {
        let is_safe = meta.replay.is_read();
        let is_for = |operations: &Vec<Operation>| operations.contains(&meta.operation);
        (is_safe || is_for(&self.also)) && self.only.as_ref().is_none_or(is_for)
    }

    /// Whether it answers every request that is safe.
    pub(crate) const fn answers_all_safe(&self) -> bool {
        self.only.is_none()
    }

    /// Whether it answers every failure of every request that any step could: a value that is not chosen by anything.
    pub(crate) fn answers_everything(&self) -> bool {
        self.is_value
            && self.accept.is_none()
            && self.only.is_none()
            && self.covers == Covers::default()
    }

    /// The operations for which it also answers what is not safe.
    pub(crate) fn also(&self) -> &[Operation] {
        &self.also
    }

    pub(crate) const fn covers_failure(&self, failed: &FailedCall) -> bool {
        self.covers.covers(&failed.outcome(), failed.rejection())
    }

    pub(crate) fn answers(&self, failed: &FailedCall) -> bool {
        self.covers_failure(failed) && self.may_answer(failed.meta())
    }

    pub(crate) fn accepts(&self, answer: &Res) -> bool {
        self.accept.as_ref().is_none_or(|accept| accept(answer))
    }

    pub(crate) const fn takes_time(&self) -> bool {
        matches!(self.source, Source::Later(_))
    }

    pub(crate) fn check(&self) -> Result<(), InvalidConfig> {
        self.covers.check()?;
        if self.name.is_unnamed() {
            return Err(InvalidConfig::new("step", "\"\"", "a name"));
        }
        if let Some(weight) = self.idle_weight {
            let accepted =
                "none for `LastGood::new`, which weighs nothing: `LastGood::weighed` does";
            return Err(InvalidConfig::new("max_weight", weight, accepted));
        }
        if let Some(timeout) = self.timeout {
            NonZeroDuration::check("timeout", timeout)?;
            if !self.takes_time() {
                let accepted = "none for a step that takes no time";
                return Err(InvalidConfig::new("timeout", Span(timeout), accepted));
            }
        }
        let others = |operation: &&Operation| operation.is_other();
        if self.also.iter().find(others).is_some() {
            let accepted = "an operation with a name";
            return Err(InvalidConfig::new("also_for", "other", accepted));
        }
        let is_left_out = |one: &&Operation| {
            let only = self.only.as_ref();
            only.is_some_and(|only| !only.contains(one))
        };
        if let Some(left_out) = self.also.iter().find(is_left_out) {
            let accepted = "an operation that `only_for` names, too";
            return Err(InvalidConfig::new("also_for", left_out.as_str(), accepted));
        }
        Ok(())
    }

    pub(crate) fn about(&self) -> String {
        let mut about = self.kind.to_owned();
        if !self.about.is_empty() {
            about = format!("{about}, {}", self.about);
        }
        if let Some(timeout) = self.timeout {
            about = format!("{about}, at most {}", Span(timeout));
        }
        about
    }
}

seawall_core::impl_debug!(Step<Req, Res>: |this|
    name = this.name,
    kind = this.kind,
    covers = this.covers,
);
