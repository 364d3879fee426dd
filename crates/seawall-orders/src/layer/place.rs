//! What becomes of one request that is about an order.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Body;
use seawall_core::{Classify, FailureKind, Outcome, Reason, Rejectable, Rejection, Sent};
use seawall_http::Departures;
use tokio::time::{Sleep, sleep, sleep_until};
use tower_service::Service;

use super::body::OrderBody;
use super::look_up::cancel_ended;
use super::order::{CancelTurn, Cancelling, Gate, Order, WITHHELD};
use super::prepare::{Caller, Prepared};
use super::shared::Shared;
use super::template::Template;
use super::tracked::{Mail, Step};
use crate::body::read;
use crate::broker::{OrderReply, Target};
use crate::protocol::{
    Answer, CancelReply, CancelStep, DoubtCause, Event, NotExecuted, Operation, OrderState, Reply,
    Settlement, Via,
};

/// What a call needs beside its request.
pub(super) struct Placing<S, C> {
    pub(super) shared: Arc<Shared>,
    pub(super) service: S,
    pub(super) classifier: C,
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
    ///
    /// Each step is a future of its own, so that none keeps what the ones before it needed.
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
        let shared = &self.shared;
        let mut prepared = {
            let (head, body) = request.into_parts();
            let body = match read(body, shared.max_body).await {
                Ok(body) => body,
                Err(unread) => return Err(shared.not_read(&unread).into()),
            };
            let request = Request::from_parts(head, body);
            let mut now = shared.now();
            let until = now.saturating_add(shared.deadline());
            if !shared.is_started() {
                let wait = shared.wait_to_start(operation, &request, until);
                // Rare, and large.
                Box::pin(wait).await?;
                now = shared.now();
            }
            match shared.prepare(operation, request, (now, until)) {
                Ok(prepared) => prepared,
                Err(rejection) => return Err(rejection.into()),
            }
        };
        let (result, place) = match &mut prepared {
            Prepared::Order(caller, template) => {
                let result = self.follow(caller, template).await;
                (result, caller.order.it.place)
            }
            Prepared::Over(order, step) => (Ok(order.cancelled(*step)), order.it.place),
            // Large as well, and no order waits for them.
            Prepared::Cancel(target, http) => {
                let (target, http) = (target.take(), std::mem::take(http));
                return Box::pin(self.cancel(target, http)).await;
            }
            Prepared::Pass(http) => {
                let http = std::mem::take(http);
                return Box::pin(self.pass(http)).await;
            }
        };
        drop(prepared);
        // Nobody uses it any more, if it is settled.
        self.shared.rest(place);
        result
    }

    /// Follows an order to its end.
    async fn follow<B, R>(
        &mut self,
        caller: &mut Caller,
        template: &mut Template,
    ) -> Result<Response<OrderBody<R>>, S::Error>
    where
        S: Service<Request<B>, Response = Response<R>>,
        S::Error: Rejectable,
        B: From<Bytes>,
        R: Body<Data = Bytes>,
        C: Classify<Response<Bytes>, S::Error>,
    {
        let mut kept = None;
        let mut mail = match caller.written().await {
            Ok(mail) => mail,
            Err(error) => {
                // The entry is another order's: nothing may be written to it.
                caller.answered = true;
                self.shared.forget(&caller.order.it);
                self.shared.give_back(caller.order.it.take_admission());
                caller.order.reply_to_target(CancelReply::NotMade);
                let rejection = self.shared.not_appended(&error);
                return Err(self.shared.not_admitted(rejection).into());
            }
        };
        let order = &caller.order;
        let answer = loop {
            match mail {
                Mail::Answer(answer) => break answer,
                Mail::Step(Step::Withdraw) => mail = order.mail().await,
                Mail::Step(Step::Pass(copy)) => {
                    let next = {
                        let ended = pin!(self.send_copy(order, template, copy));
                        let first = order.first(ended).await;
                        order.took(first, &mut kept)
                    };
                    mail = match next {
                        Some(mail) => mail,
                        None => order.mail().await,
                    };
                }
            }
        };
        caller.answered = true;
        self.conclude(&caller.order, answer, kept)
    }

    /// Sends one copy through the stack.
    async fn send_copy<B, R>(
        &mut self,
        order: &Order,
        template: &mut Template,
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
        if let Err(error) = poll_fn(|cx| self.service.poll_ready(cx)).await {
            return self.failed(order, error);
        }
        if !shared.notes_departures && order.departs() == Gate::Withhold {
            let withheld = shared.rejection(Reason::NotExecuted, WITHHELD);
            return self.failed(order, withheld.into());
        }
        let max_body = shared.max_body;
        let call = match order.copy(template, copy) {
            // Made in the same step in which it is handed on: nothing keeps it.
            Some(copy) => self.service.call(copy.map(B::from)),
            None => {
                let not_sent = shared.rejection(Reason::NotExecuted, WITHHELD);
                return self.failed(order, not_sent.into());
            }
        };
        let response = match call.await {
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
        target: Option<Target>,
        http: Request<Bytes>,
    ) -> Result<Response<OrderBody<R>>, S::Error>
    where
        S: Service<Request<B>, Response = Response<R>>,
        S::Error: Rejectable,
        B: From<Bytes>,
        R: Body<Data = Bytes>,
    {
        let target = self
            .shared
            .target_of_cancel(Operation::Cancel, target.as_ref());
        let Some(order) = target else {
            return self.pass(http).await;
        };
        if let CancelTurn::Over(step) = order.cancel_by_caller() {
            let response = order.cancelled(step);
            order.rest();
            return Ok(response);
        }
        let mut cancelling = Cancelling::new(order);
        poll_fn(|cx| self.service.poll_ready(cx)).await?;
        cancelling.leaves();
        let response = match self.service.call(http.map(B::from)).await {
            Ok(response) => response,
            Err(error) => {
                cancelling.replied(cancel_ended(error.rejection()));
                cancelling.rest();
                return Err(error);
            }
        };
        let (head, body) = response.into_parts();
        let Ok(body) = read(body, self.shared.max_body).await else {
            cancelling.replied(CancelReply::Unknown);
            // What became of it is looked up; the response has no body to give.
            let response = cancelling.order.cancelled(CancelStep::Send);
            cancelling.rest();
            return Ok(response);
        };
        let response = Response::from_parts(head, body);
        let reply = cancelling.order.cancel_reply(&response);
        cancelling.replied(reply);
        cancelling.rest();
        Ok(response.map(OrderBody::read))
    }
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

impl Order {
    /// Waits for what the caller has to do, and looks after the deadline meanwhile.
    pub(super) async fn mail(&self) -> Mail {
        if let Some(mail) = self.it.take_mail() {
            return mail;
        }
        self.in_time(poll_fn(|cx| self.it.poll_mail(cx))).await
    }

    /// Takes what came first: gives what the caller has to do next, where that is known, and keeps what
    /// the copy ended with.
    fn took<E>(
        &self,
        first: First<E>,
        kept: &mut Option<Result<Response<Bytes>, E>>,
    ) -> Option<Mail> {
        match first {
            First::Mail(mail) => Some(mail),
            First::Ended(ended) => {
                *kept = Some(ended.result);
                self.ended(ended.reply);
                self.it.take_mail()
            }
        }
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
    pub(super) async fn in_time<T>(&self, future: impl Future<Output = T>) -> T {
        let mut future = pin!(future);
        // What is there at once needs no timer.
        let mut timer = pin!(None::<Sleep>);
        let first = poll_fn(|cx| {
            if let Poll::Ready(done) = future.as_mut().poll(cx) {
                return Poll::Ready(Some(done));
            }
            let Some(deadline) = self.it.deadline else {
                return Poll::Pending;
            };
            loop {
                let Some(waits) = timer.as_mut().as_pin_mut() else {
                    timer.set(Some(sleep_until(self.shared.instant(deadline))));
                    continue;
                };
                ready!(waits.poll(cx));
                if self.shared.now() >= deadline {
                    return Poll::Ready(None);
                }
                // The timer's clock is ahead of ours.
                timer.set(Some(sleep(Duration::from_millis(1))));
            }
        });
        if let Some(done) = first.await {
            return done;
        }
        self.feed(Event::Tick);
        future.await
    }

    /// The request of one copy. The last one that the rules allow is the request itself.
    fn copy(&self, template: &mut Template, copy: u32) -> Option<Request<Bytes>> {
        let mut request = template.copy(copy > self.it.rules.resends())?;
        if copy > 1 {
            request.extensions_mut().insert(super::marks::Resend(copy));
        }
        if self.shared.notes_departures {
            Departures::watch(request.extensions_mut(), Arc::new(self.clone()));
        }
        Some(request)
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
}
