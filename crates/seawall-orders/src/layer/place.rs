//! What becomes of one request that is about an order.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::SystemTime;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Body;
use seawall_core::{Classify, FailureKind, Outcome, Reason, Rejectable, Rejection, Sent};
use seawall_http::Departures;
use tokio::time::Instant;
use tower_service::Service;

use super::body::OrderBody;
use super::order::{CancelTurn, Cancelling, Gate, Order, WITHHELD};
use super::shared::{Shared, Start};
use super::template::Template;
use super::tracked::{Mail, Step, Tracked};
use crate::body::{Unread, read};
use crate::broker::{InvalidOrder, OrderReply, OrderRequest};
use crate::journal::{self, JournalError};
use crate::protocol::{
    Answer, CancelReply, CancelStep, DoubtCause, Event, NotExecuted, Operation, OrderState, Reply,
    Rules, Settlement, Via,
};

/// What a call needs beside its request.
pub(super) struct Placing<S, C> {
    pub(super) shared: Arc<Shared>,
    pub(super) service: S,
    pub(super) classifier: C,
}

/// The caller of an order. Dropped before it has its answer, nothing is lost: the order goes on
/// without it.
struct Caller {
    order: Order,
    /// What the journal has not answered yet.
    written: Option<journal::Answer<u64>>,
    answered: bool,
}

impl Drop for Caller {
    fn drop(&mut self) {
        let order = self.order.clone();
        if !self.answered {
            order.feed(Event::Dropped);
        }
        if let Some(written) = self.written.take() {
            let shared = Arc::clone(&order.shared);
            shared.spawn(async move {
                // An entry that is another order's is not this one's to be found by.
                if order.written(written.await).is_err() {
                    order.shared.forget(&order.it);
                }
            });
        }
    }
}

impl Caller {
    /// Waits until the journal has the intent, or for what makes that needless.
    ///
    /// # Errors
    ///
    /// Those that are about the request: the journal has no entry of this order.
    async fn written(&mut self, order: &Order) -> Result<Mail, JournalError> {
        let first = poll_fn(|cx| {
            let answered = match &mut self.written {
                Some(written) => Pin::new(written).poll(cx),
                None => Poll::Pending,
            };
            match answered {
                Poll::Ready(written) => Poll::Ready(Ok(written)),
                Poll::Pending => order.it.poll_mail(cx).map(Err),
            }
        });
        let written = match order.in_time(first).await {
            Ok(written) => written,
            Err(mail) => return Ok(mail),
        };
        self.written = None;
        match order.written(written) {
            Ok(()) => order.feed(Event::Durable),
            Err(error) if is_of_the_request(&error) => return Err(error),
            Err(_) => order.feed(Event::NotDurable),
        }
        Ok(order.mail().await)
    }
}

/// How one copy ended.
struct Ended<E> {
    reply: OrderReply,
    result: Result<Response<Bytes>, E>,
}

/// What came first.
#[allow(clippy::large_enum_variant, reason = "it is moved once")]
enum First<E> {
    Ended(Ended<E>),
    Mail(Mail),
}

impl<S, C> Placing<S, C> {
    /// Places, replaces or cancels an order.
    pub(super) async fn run<B, R>(
        mut self,
        operation: Operation,
        request: Request<B>,
    ) -> Result<Response<OrderBody<R>>, S::Error>
    where
        S: Service<Request<B>, Response = Response<R>>,
        S::Error: Rejectable,
        B: Body<Data = Bytes> + From<Bytes>,
        R: Body<Data = Bytes>,
        C: Classify<Response<Bytes>, S::Error>,
    {
        let shared = Arc::clone(&self.shared);
        let max_body = shared.config().max_body();
        let (head, body) = request.into_parts();
        let body = read(body, max_body).await.map_err(|unread| {
            let why = match unread {
                Unread::TooLong => "its body is longer than is read",
                Unread::Broken(_) => "its body broke off",
            };
            shared.not_admitted(shared.rejection(Reason::InvalidRequest, why))
        })?;
        let mut request = Request::from_parts(head, body);
        let invalid = |error: InvalidOrder| shared.not_admitted(shared.invalid(&error));
        let order = shared.broker.read(operation, &request).map_err(invalid)?;
        let rules = match (shared.broker.rules(operation), operation) {
            (Some(rules), _) => *rules,
            (None, Operation::Create) => Rules::strictest(),
            (None, Operation::Cancel) => return self.cancel(order, request).await,
            (None, Operation::Replace) => return self.pass(request).await,
        };
        let id = match (&order.id, operation) {
            (Some(id), _) => Arc::from(&**id),
            (None, Operation::Create) => {
                let id = shared.broker.new_id();
                shared.broker.write_id(&mut request, &id).map_err(invalid)?;
                Arc::from(id)
            }
            // Where it has none of its own, the journal needs one all the same.
            (None, _) => {
                let id = shared.broker.new_id();
                let _ = shared.broker.write_id(&mut request, &id);
                Arc::from(id)
            }
        };
        self.intend(id, (operation, rules), order, request).await
    }

    /// Writes the intent, and follows it to its end.
    async fn intend<B, R>(
        &mut self,
        id: Arc<str>,
        (operation, rules): (Operation, Rules),
        request: OrderRequest,
        http: Request<Bytes>,
    ) -> Result<Response<OrderBody<R>>, S::Error>
    where
        S: Service<Request<B>, Response = Response<R>>,
        S::Error: Rejectable,
        B: From<Bytes>,
        R: Body<Data = Bytes>,
        C: Classify<Response<Bytes>, S::Error>,
    {
        let shared = Arc::clone(&self.shared);
        let begun = Instant::now();
        let deadline = shared.config().deadline();
        shared.start_over(begun + deadline).await?;
        let template = Template::new(http);
        let mut caller = shared.begin_order(id, (operation, rules), request, &template, begun)?;
        let order = caller.order.clone();
        let mut kept = None;
        let mut mail = match caller.written(&order).await {
            Ok(mail) => mail,
            Err(error) => {
                // The entry is another order's: nothing may be written to it.
                caller.answered = true;
                shared.forget(&order.it);
                order.take_back();
                return Err(shared.not_admitted(shared.not_appended(&error)).into());
            }
        };
        loop {
            match mail {
                Mail::Answer(answer) => {
                    caller.answered = true;
                    return self.conclude(&order, answer, kept);
                }
                Mail::Step(Step::Withdraw) => mail = order.mail().await,
                Mail::Step(Step::Pass(copy)) => {
                    let first = {
                        let ended = pin!(self.send_copy(&order, template.copy(), copy));
                        order.first(ended).await
                    };
                    match first {
                        First::Mail(next) => mail = next,
                        First::Ended(ended) => {
                            kept = Some(ended.result);
                            order.ended(ended.reply);
                            mail = order.mail().await;
                        }
                    }
                }
            }
        }
    }

    /// Sends one copy through the stack.
    async fn send_copy<B, R>(
        &mut self,
        order: &Order,
        mut request: Request<Bytes>,
        copy: u32,
    ) -> Ended<S::Error>
    where
        S: Service<Request<B>, Response = Response<R>>,
        S::Error: Rejectable,
        B: From<Bytes>,
        R: Body<Data = Bytes>,
        C: Classify<Response<Bytes>, S::Error>,
    {
        let shared = &self.shared;
        if copy > 1 {
            request.extensions_mut().insert(super::marks::Resend(copy));
        }
        if let Err(error) = poll_fn(|cx| self.service.poll_ready(cx)).await {
            return self.failed(order, error);
        }
        if shared.notes_departures {
            Departures::watch(request.extensions_mut(), Arc::new(order.clone()));
        } else if order.departs() == Gate::Withhold {
            let withheld = shared.rejection(Reason::NotExecuted, WITHHELD);
            return self.failed(order, withheld.into());
        }
        let max_body = shared.config().max_body();
        let response = match self.service.call(request.map(B::from)).await {
            Ok(response) => response,
            Err(error) => return self.failed(order, error),
        };
        let (head, body) = response.into_parts();
        match read(body, max_body).await {
            Ok(body) => {
                let response = Response::from_parts(head, body);
                let reply = shared.broker.reply(order.it.operation, &response);
                Ended {
                    reply,
                    result: Ok(response),
                }
            }
            Err(_) => Ended {
                reply: OrderReply::of(Reply::Unknown(DoubtCause::Reset)),
                result: Err(order.unknown().into()),
            },
        }
    }

    /// What an error says of the copy that met it.
    fn failed<E>(&self, order: &Order, error: E) -> Ended<E>
    where
        E: Rejectable,
        C: Classify<Response<Bytes>, E>,
    {
        let reply = match error.rejection() {
            // It may be about a repetition by a layer below, and not about the copy that has left.
            Some(_) if self.shared.notes_departures && order.it.has_left() => {
                Reply::Unknown(DoubtCause::Timeout)
            }
            Some(rejection) if rejection.sent() == Sent::No => Reply::NotSent,
            Some(_) => Reply::Unknown(DoubtCause::Timeout),
            None => match self.classifier.classify(Err(&error)) {
                Outcome::Failure(FailureKind::NotSent) => Reply::NotSent,
                _ => Reply::Unknown(DoubtCause::Reset),
            },
        };
        Ended {
            reply: OrderReply::of(reply),
            result: Err(error),
        }
    }

    /// What the caller gets.
    fn conclude<R, E: From<Rejection>>(
        &self,
        order: &Order,
        answer: Answer,
        kept: Option<Result<Response<Bytes>, E>>,
    ) -> Result<Response<OrderBody<R>>, E> {
        let Answer::Settled(settlement) = answer else {
            self.shared.counters.unknown.add();
            return Err(order.unknown().into());
        };
        let by_reply = matches!(
            settlement,
            Settlement::Confirmed(Via::Reply, _)
                | Settlement::Rejected(Via::Reply)
                | Settlement::Absent(NotExecuted::NotSent | NotExecuted::Throttled)
        );
        if by_reply && let Some(result) = kept {
            return result.map(|response| response.map(OrderBody::read));
        }
        match settlement {
            Settlement::Confirmed(via, state) => Ok(order.response(via, state)),
            Settlement::Rejected(via) => {
                let mut response = order.response(via, OrderState::Rejected);
                *response.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
                Ok(response)
            }
            Settlement::Absent(why) => {
                let sent = match order.it.copies() {
                    0 => Sent::No,
                    _ => Sent::Maybe,
                };
                let rejection = self.shared.rejection(Reason::NotExecuted, text_of(why));
                Err(rejection.with_sent(sent).into())
            }
            Settlement::Abandoned => Err(order.unknown().into()),
        }
    }

    /// Lets a request pass that may be repeated.
    async fn pass<B, R>(&mut self, http: Request<Bytes>) -> Result<Response<OrderBody<R>>, S::Error>
    where
        S: Service<Request<B>, Response = Response<R>>,
        B: From<Bytes>,
        R: Body<Data = Bytes>,
    {
        poll_fn(|cx| self.service.poll_ready(cx)).await?;
        let response = self.service.call(http.map(B::from)).await?;
        Ok(response.map(OrderBody::passed))
    }

    /// A cancel is an event of its order, which is not sent again then.
    async fn cancel<B, R>(
        &mut self,
        request: OrderRequest,
        http: Request<Bytes>,
    ) -> Result<Response<OrderBody<R>>, S::Error>
    where
        S: Service<Request<B>, Response = Response<R>>,
        B: From<Bytes>,
        R: Body<Data = Bytes>,
    {
        let target = request.target.as_ref();
        let Some(it) = target.and_then(|target| self.shared.find_target(target)) else {
            return self.pass(http).await;
        };
        let shared = Arc::clone(&self.shared);
        let order = Order { shared, it };
        if let CancelTurn::Over(step) = order.cancel_by_caller() {
            return Ok(order.cancelled(step));
        }
        let mut cancelling = Cancelling::new(order);
        poll_fn(|cx| self.service.poll_ready(cx)).await?;
        let response = self.service.call(http.map(B::from)).await?;
        let (head, body) = response.into_parts();
        let Ok(body) = read(body, self.shared.config().max_body()).await else {
            cancelling.replied(CancelReply::Unknown);
            // What became of it is looked up; the response has no body to give.
            return Ok(cancelling.order.cancelled(CancelStep::Send));
        };
        let response = Response::from_parts(head, body);
        let reply = cancelling.order.cancel_reply(&response);
        cancelling.replied(reply);
        Ok(response.map(OrderBody::read))
    }
}

const USED_ID: &str = "its client order id was used before";

/// An error that says something of the request, not of the store.
const fn is_of_the_request(error: &JournalError) -> bool {
    matches!(
        error,
        JournalError::UsedId { .. } | JournalError::Invalid(_) | JournalError::Full { .. }
    )
}

/// Why it was not executed, in words.
const fn text_of(why: NotExecuted) -> &'static str {
    match why {
        NotExecuted::Cancelled => "cancelled before it was sent",
        NotExecuted::Dropped => "its caller is gone",
        NotExecuted::Deadline => "its deadline passed before it was sent",
        NotExecuted::NotJournalled => "it could not be written to the journal",
        NotExecuted::HeldBack => "new orders were stopped before it was sent",
        NotExecuted::NotSent => "it could not be sent",
        NotExecuted::Throttled => "the broker throttled it",
        NotExecuted::LookedUp => "the broker does not have it",
        NotExecuted::IdTaken => "the broker has another order of its id",
        NotExecuted::Person => "a person decided so",
        NotExecuted::Journal => "the journal says so",
    }
}

impl Shared {
    pub(super) fn not_admitted(&self, rejection: Rejection) -> Rejection {
        self.counters.not_admitted.add();
        self.events
            .emit(|| seawall_core::EventKind::Rejected(rejection));
        rejection
    }

    /// The rejection of a request that breaks a rule.
    fn invalid(&self, error: &InvalidOrder) -> Rejection {
        self.rejection(Reason::InvalidRequest, &error.words())
    }

    fn not_appended(&self, error: &JournalError) -> Rejection {
        match error {
            JournalError::UsedId { .. } => self.rejection(Reason::InvalidRequest, USED_ID),
            JournalError::Full { .. } => self.rejection(
                Reason::TradingMode,
                "as many orders are open as the journal takes",
            ),
            _ => self.rejection(Reason::InvalidRequest, "the journal does not take it"),
        }
    }

    /// Admits an order, and hands its intent to the journal.
    fn begin_order(
        self: &Arc<Self>,
        id: Arc<str>,
        (operation, rules): (Operation, Rules),
        request: OrderRequest,
        template: &Template,
        begun: Instant,
    ) -> Result<Caller, Rejection> {
        let admission = self.admit(&request, operation, template.is_intended_again())?;
        let at = SystemTime::now();
        let intent = journal::Intent::new(Arc::clone(&id), operation, at)
            .account(Arc::clone(&self.account))
            .run(Arc::clone(&self.run))
            .request(template.saved());
        let waited = Instant::now().saturating_duration_since(begun);
        let until = self.now() + self.config().deadline().saturating_sub(waited);
        let order = Order {
            shared: Arc::clone(self),
            it: Arc::new(Tracked::new(
                id,
                (operation, rules),
                request,
                template.origin(),
                Some(admission),
                Some(until),
                at,
            )),
        };
        if !self.add(&order.it) {
            order.take_back();
            let used = self.rejection(Reason::InvalidRequest, USED_ID);
            return Err(self.not_admitted(used));
        }
        // From here on the order goes on, whatever becomes of its caller.
        let mut caller = Caller {
            order,
            written: None,
            answered: false,
        };
        caller.written = Some(self.journal.append(intent));
        Ok(caller)
    }

    fn admit(
        &self,
        request: &OrderRequest,
        operation: Operation,
        intended_again: bool,
    ) -> Result<crate::safety::Admission, Rejection> {
        let day = self.control.wall_day(SystemTime::now());
        let admitted = self
            .control
            .admit(self.now(), day, request, operation, intended_again);
        admitted.map_err(|rejected| self.not_admitted(rejected.rejection(&self.events)))
    }

    /// Waits until every order of an earlier process is settled or exhausted.
    async fn start_over(self: &Arc<Self>, until: Instant) -> Result<(), Rejection> {
        if *self.started.borrow() == Start::Over {
            return Ok(());
        }
        self.begin();
        let mut started = self.started.subscribe();
        let over = started.wait_for(|start| *start == Start::Over);
        match tokio::time::timeout_at(until, over).await {
            Ok(_) => Ok(()),
            Err(_) => Err(self.not_admitted(self.rejection(
                Reason::TradingMode,
                "orders of an earlier process are in doubt",
            ))),
        }
    }
}

impl Order {
    /// Waits for what the caller has to do, and looks after the deadline meanwhile.
    async fn mail(&self) -> Mail {
        self.in_time(poll_fn(|cx| self.it.poll_mail(cx))).await
    }

    async fn first<E>(&self, mut ended: Pin<&mut impl Future<Output = Ended<E>>>) -> First<E> {
        // What became known of the order goes first: a copy that ended as well is not its last word.
        let first = poll_fn(|cx| match self.it.poll_mail(cx) {
            Poll::Ready(mail) => Poll::Ready(First::Mail(mail)),
            Poll::Pending => ended.as_mut().poll(cx).map(First::Ended),
        });
        self.in_time(first).await
    }

    /// Runs `future`, and ticks when the deadline passes; its mail says what follows.
    async fn in_time<T>(&self, future: impl Future<Output = T>) -> T {
        let mut future = pin!(future);
        let Some(deadline) = self.it.deadline else {
            return future.await;
        };
        let at = self.shared.instant(deadline);
        if let Ok(done) = tokio::time::timeout_at(at, future.as_mut()).await {
            return done;
        }
        self.feed(Event::Tick);
        future.await
    }

    /// A copy has ended.
    fn ended(&self, reply: OrderReply) {
        let mut end = reply.reply;
        if let Some(found) = reply.order {
            let report = self.it.learn(found);
            if let Reply::Accepted(_) = end {
                end = Reply::Accepted(report);
            }
        }
        self.feed(Event::Reply(end));
    }

    /// Takes back what was counted for an order that goes no further.
    pub(super) fn take_back(&self) {
        if let Some(admission) = self.it.take_admission() {
            self.shared.control.give_back(admission);
        }
    }
}
