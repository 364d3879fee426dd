//! Responses of attempts that have lost or failed: read, and returned where the first was not sent.

use super::*;
use std::future::poll_fn;
use tokio::time::sleep_until;
use tower::service_fn;

/// A response, and what is noted of it.
#[derive(Clone, Debug)]
struct Reply {
    status: u16,
    mark: Option<Rejection>,
    notes: Arc<Notes>,
}

/// What happened to the responses of a test.
#[derive(Debug, Default)]
struct Notes {
    /// Statuses whose reading has begun, and those that were read to their end.
    begun: Mutex<Vec<u16>>,
    ended: Mutex<Vec<u16>>,
}

fn by_status(result: Result<&Reply, &Failed>) -> Outcome {
    match result {
        Ok(reply) if reply.status >= 500 => Outcome::Failure(FailureKind::Server),
        Ok(_) => Outcome::Success,
        Err(Failed::With(outcome)) => *outcome,
        Err(_) => Outcome::Unknown,
    }
}

/// Takes so long to read a response; with zero it is there at the first poll.
#[derive(Clone, Copy)]
struct Reads(Duration);

impl seawall_core::KeepResponse<Reply> for Reads {
    type Keeping = std::pin::Pin<Box<dyn Future<Output = Option<Reply>> + Send>>;

    fn keep(&self, response: Reply) -> Self::Keeping {
        self.keep_until(response, None)
    }

    /// Returns a response that is not read to its end a millisecond before the deadline.
    fn keep_until(&self, response: Reply, deadline: Option<Instant>) -> Self::Keeping {
        let Self(time) = *self;
        let end = Instant::now() + time;
        let until = deadline.map_or(end, |at| end.min(at - MS));
        Box::pin(async move {
            let (notes, status) = (Arc::clone(&response.notes), response.status);
            notes.begun.lock().unwrap().push(status);
            if !time.is_zero() {
                sleep_until(until).await;
            }
            if until == end {
                notes.ended.lock().unwrap().push(status);
            }
            Some(response)
        })
    }

    fn mark(&self, response: &mut Reply, rejection: Rejection) {
        response.mark = Some(rejection);
    }
}

/// One call, its attempts with these statuses or errors after these times.
async fn call<const N: usize>(
    reads: Duration,
    script: [(Duration, Result<u16, Failed>); N],
) -> (Result<Reply, Failed>, Duration, Arc<Notes>) {
    call_as(RequestMeta::new(Replay::Safe), reads, script).await
}

async fn call_as<const N: usize>(
    meta: RequestMeta,
    reads: Duration,
    script: [(Duration, Result<u16, Failed>); N],
) -> (Result<Reply, Failed>, Duration, Arc<Notes>) {
    let notes = Arc::new(Notes::default());
    let (noted, nth) = (Arc::clone(&notes), Arc::new(AtomicUsize::new(0)));
    let service = service_fn(move |_: u32| {
        let (wait, result) = script[nth.fetch_add(1, Ordering::Relaxed)];
        let notes = Arc::clone(&noted);
        async move {
            sleep(wait).await;
            let mark = None;
            result.map(|status| Reply {
                status,
                mark,
                notes,
            })
        }
    });
    let layer = HedgeLayer::new("hedge", after_100_ms(1))
        .classify(by_status as fn(Result<&Reply, &Failed>) -> Outcome)
        .describe(ConstMeta(meta))
        .keep(Reads(reads));
    let start = Instant::now();
    let result = layer.layer(service).oneshot(7).await;
    (result, Instant::now() - start, notes)
}

/// The first attempt stood in a queue below and was rejected there; the second one has an answer.
#[tokio::test(start_paused = true)]
async fn a_rejected_first_attempt_leaves_the_answer_to_the_extra_one_marked() {
    for reads in [Duration::ZERO, 30 * MS, SECOND] {
        let queued = rejected(Reason::QueueTimeout, Sent::No);
        let script = [(500 * MS, Err(queued)), (10 * MS, Ok(503))];
        let (result, took, _) = call(reads, script).await;
        let reply = result.unwrap();
        assert_eq!(reply.status, 503);
        let mark = reply.mark.unwrap();
        assert_eq!(
            (mark.reason(), mark.sent()),
            (Reason::QueueTimeout, Sent::Maybe)
        );
        // It is read while the first attempt is waited for, and to its end.
        assert_about(took.as_millis(), if reads == SECOND { 1_110 } else { 500 });
    }
    let script = [(500 * MS, Err(NOT_SENT)), (10 * MS, Ok(503))];
    let (result, ..) = call(Duration::ZERO, script).await;
    assert_eq!(
        result.unwrap().mark.unwrap().reason(),
        Reason::OutcomeUnknown
    );
}

/// The first attempt is rejected while the answer of the extra one is read: the caller has it before
/// the deadline, as far as it was read.
#[tokio::test(start_paused = true)]
async fn an_answer_that_is_read_beyond_the_deadline_is_returned_before_it() {
    let queued = rejected(Reason::QueueTimeout, Sent::No);
    for (deadline, took_ms, ended) in [(800, 799, vec![]), (2_000, 1_110, vec![503])] {
        let meta = RequestMeta::new(Replay::Safe).with_deadline(Instant::now() + deadline * MS);
        let script = [(500 * MS, Err(queued)), (10 * MS, Ok(503))];
        let (result, took, notes) = call_as(meta, SECOND, script).await;
        let reply = result.unwrap();
        assert_eq!(reply.status, 503);
        assert_eq!(reply.mark.unwrap().reason(), Reason::QueueTimeout);
        assert_about(took.as_millis(), took_ms);
        assert!(took < deadline * MS, "{took:?}");
        assert_eq!(*notes.ended.lock().unwrap(), ended);
    }
}

/// A failed response of an extra attempt is read while the first is waited for; its connection was
/// closed.
#[tokio::test(start_paused = true)]
async fn a_failed_extra_response_is_read_while_the_race_goes_on() {
    let script = [(500 * MS, Ok(200)), (10 * MS, Ok(503))];
    let (result, took, notes) = call(30 * MS, script).await;
    assert_eq!(result.unwrap().status, 200);
    assert_about(took.as_millis(), 500);
    assert_eq!(*notes.ended.lock().unwrap(), [503]);
}

/// A failed first response that has lost is read as far as it is there, and nobody waits for more.
#[tokio::test(start_paused = true)]
async fn a_failed_first_response_that_lost_is_read_as_far_as_it_is_there() {
    for (reads, ended) in [(Duration::ZERO, vec![503]), (30 * MS, vec![])] {
        let script = [(150 * MS, Ok(503)), (300 * MS, Ok(200))];
        let (result, took, notes) = call(reads, script).await;
        assert_eq!(result.unwrap().status, 200);
        assert_about(took.as_millis(), 400);
        assert_eq!(*notes.begun.lock().unwrap(), [503]);
        assert_eq!(*notes.ended.lock().unwrap(), ended);
    }
}

/// When all fail, the first one's response is the result as it is: unread and without a mark.
#[tokio::test(start_paused = true)]
async fn the_first_response_is_returned_as_it_is_when_all_fail() {
    let script = [(500 * MS, Ok(500)), (10 * MS, Ok(503))];
    let (result, took, notes) = call(30 * MS, script).await;
    let reply = result.unwrap();
    assert_eq!((reply.status, reply.mark), (500, None));
    assert_about(took.as_millis(), 500);
    assert_eq!(*notes.begun.lock().unwrap(), [503]);
}

/// gRFC A6 counts hedged attempts as it counts retried ones.
#[tokio::test(start_paused = true)]
async fn failed_attempts_close_a_token_throttle_unless_another_layer_counts_them() {
    for is_shared in [false, true] {
        let throttle = Budget::new(BudgetConfig::token_throttle(4, 0.5).unwrap());
        let layer = layer(after_100_ms(1));
        let layer = match is_shared {
            true => layer.shared_budget(throttle.clone()),
            false => layer.budget(throttle.clone()),
        };
        let upstream = Upstream::new([(500 * MS, Err(SERVER))]);
        let mut service = layer.layer(upstream.clone());
        for calls in [2, 3, 4] {
            assert!(poll_fn(|cx| service.poll_ready(cx)).await.is_ok());
            assert_eq!(service.call(7).await, Err(SERVER));
            let calls = if is_shared { 2 * calls - 2 } else { calls };
            assert_eq!(upstream.calls(), calls);
        }
        let skipped = layer.handle().counts().skipped.budget_exhausted;
        assert_eq!(skipped, if is_shared { 0 } else { 2 });
        assert_eq!(throttle.balance(), if is_shared { 4.0 } else { 0.0 });
    }
}
