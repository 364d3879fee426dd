//! Permits, queues, and how they are shared.

use std::task::Poll;

use tower_service::Service;

use crate::contract::subject::{Subject, ensure, ensure_used};
use crate::contract::{BoxError, Check, Mock, MockHandle, Violation, mock};

/// Clones that are ready at the same time never exceed the limit, and reach it (B3, B29).
///
/// `limit` must be that of the subject. Twice as many clones and one more are polled ready before
/// any is called, as tasks on many threads would be; then those that are ready are called, and
/// the others wait or are rejected. At no time may more than `limit` calls be open, and `limit` must
/// be reached. Then the open calls complete, and all waiters get through.
///
/// # Errors
///
/// The violation.
pub async fn never_exceeds_its_limit<S>(
    make: impl Fn(Mock) -> S,
    limit: usize,
) -> Result<(), Violation>
where
    S: Service<u32, Response = u32, Error = BoxError> + Clone,
{
    let check = Check::NeverExceedsItsLimit;
    let (inner, mock) = mock();
    mock.hold_responses();
    let first = Subject::new(check, make(inner));
    let mut clones: Vec<_> = (0..=2 * limit).map(|_| first.sibling()).collect();
    let mut ready = Vec::new();
    for clone in &mut clones {
        ready.push(clone.try_ready()?);
    }
    let mut calls = Vec::new();
    for ((clone, request), _) in clones
        .iter_mut()
        .zip(1..)
        .zip(&ready)
        .filter(|(_, ready)| **ready)
    {
        let mut call = clone.call(request)?;
        if call.poll()?.is_pending() {
            calls.push(call);
        }
    }
    let peak = mock.peak_in_flight();
    ensure(check, peak <= limit, || {
        format!("{peak} calls were open at the same time, the limit is {limit}")
    })?;
    ensure(check, peak == limit, || {
        format!("only {peak} calls are open, although the limit is {limit} and there are more")
    })?;

    // Some waiters hold a future, others pend in poll_ready.
    mock.respond_immediately();
    mock.respond_to_all();
    for call in calls {
        drop(call.finish().await?);
    }
    for (clone, ready) in clones.iter_mut().zip(ready) {
        if !ready {
            clone.must_respond(0, "after it had waited").await?;
        }
    }
    let peak = mock.peak_in_flight();
    ensure(check, peak <= limit, || {
        format!("{peak} calls were open after the first had completed, the limit is {limit}")
    })?;
    ensure_used(check, &mock)
}

/// A rejected clone leaves the queue (B7).
///
/// For subjects with a limit of one that reject. One request is open; a second clone is rejected
/// and stays alive, idle. When the first request completes, a third clone and the first must get
/// in. In `LoadShed<ConcurrencyLimit>` of tower 0.5 the rejected clone is still in the queue of the
/// semaphore, is granted the permit, and keeps it.
///
/// # Errors
///
/// The violation, also if the second clone is not rejected.
pub async fn rejected_clone_leaves_the_queue<S>(make: impl Fn(Mock) -> S) -> Result<(), Violation>
where
    S: Service<u32, Response = u32, Error = BoxError> + Clone,
{
    let check = Check::RejectedCloneLeavesTheQueue;
    let (inner, mock) = mock();
    mock.hold_responses();
    let mut first = Subject::new(check, make(inner));
    let mut rejected = first.sibling();
    let mut third = first.sibling();
    first.must_be_ready("although the inner service is")?;
    let mut open = first.call(1)?;
    open.must_pend("while the inner service works")?;

    rejected.must_be_ready("to reject while the limit is reached")?;
    let mut call = rejected.call(2)?;
    let result = call.poll()?;
    ensure(check, matches!(result, Poll::Ready(Err(_))), || {
        format!("the second request was not rejected, but {result:?}")
    })?;
    drop(call);

    mock.respond_immediately();
    mock.respond_to_all();
    drop(open.finish().await?);
    let when = "after the permit was free again, while a rejected clone is alive";
    third.must_respond(3, when).await?;
    first.must_respond(4, when).await?;
    rejected
        .must_respond(5, "through the rejected clone")
        .await?;
    ensure_used(check, &mock)
}

/// A clone that is ready and idle blocks no other (B8).
///
/// A caller need not use the readiness that it has got: pools and balancers keep ready services
/// for long. Such a clone is kept, and a sibling must get through: give the subject a limit of one.
/// A layer that reserves in `poll_ready` fails this check, and has to document it.
///
/// # Errors
///
/// The violation.
pub async fn idle_ready_clone_blocks_no_other<S>(make: impl Fn(Mock) -> S) -> Result<(), Violation>
where
    S: Service<u32, Response = u32, Error = BoxError> + Clone,
{
    let check = Check::IdleReadyCloneBlocksNoOther;
    let (inner, mock) = mock();
    let mut idle = Subject::new(check, make(inner));
    let mut sibling = idle.sibling();
    idle.must_be_ready("although the inner service is")?;
    sibling
        .must_respond(1, "while another clone is ready and idle")
        .await?;
    ensure_used(check, &mock)
}

/// No shared permit is held while the inner service is not ready (C10, B10).
///
/// `make` puts one layer with a limit of one on two inner services. The first is not ready, and
/// the request for it waits or is rejected; the second must respond nevertheless.
/// `GlobalConcurrencyLimitLayer` of tower 0.5 takes its permit first and then waits for the inner
/// service: one dead upstream starves all services that share the limit.
///
/// # Errors
///
/// The violation.
pub async fn keeps_no_permit_while_inner_is_not_ready<S>(
    make: impl Fn(Mock, Mock) -> (S, S),
) -> Result<(), Violation>
where
    S: Service<u32, Response = u32, Error = BoxError>,
{
    let check = Check::KeepsNoPermitWhileInnerIsNotReady;
    let (dead, mock_of_dead) = mock();
    let (alive, mock_of_alive) = mock();
    mock_of_dead.set_pending();
    let (waiting, sibling) = make(dead, alive);
    let (mut waiting, mut sibling) = (Subject::new(check, waiting), Subject::new(check, sibling));
    let mut call = None;
    if waiting.try_ready()? {
        let mut sent = waiting.call(1)?;
        if sent.poll()?.is_pending() {
            call = Some(sent);
        }
    }
    ensure(check, mock_of_dead.readiness_polls() > 0, || {
        "never polled the first inner service, whose state matters here".to_owned()
    })?;
    sibling
        .must_respond(2, "while the other inner service is not ready")
        .await?;
    drop(call);
    ensure_used(check, &mock_of_alive)?;
    ensure(check, mock_of_dead.violations().is_empty(), || {
        mock_of_dead.violations().join("; ")
    })
}

/// Two services made by one layer share its state (C7, B24).
///
/// `make` puts one layer on two inner services, the second time by a clone of the layer if it has
/// one, as axum does for each route. `saturate` brings the first to reject or to wait, for example
/// [`hold_call`](crate::contract::hold_call); what it returns is kept. The second must then not let a
/// request through.
///
/// # Errors
///
/// The violation.
pub async fn services_of_one_layer_share_state<S, K>(
    make: impl Fn(Mock, Mock) -> (S, S),
    saturate: impl AsyncFnOnce(&mut S, &MockHandle) -> K,
) -> Result<(), Violation>
where
    S: Service<u32, Response = u32, Error = BoxError>,
{
    let check = Check::ServicesOfOneLayerShareState;
    let (one, mock_of_one) = mock();
    let (two, mock_of_two) = mock();
    let (one, two) = make(one, two);
    let (mut one, mut two) = (Subject::new(check, one), Subject::new(check, two));
    let kept = saturate(one.inner(), &mock_of_one).await;
    ensure_used(check, &mock_of_one)?;
    if two.try_ready()? {
        drop(two.call(1)?.poll()?);
    }
    ensure(check, mock_of_two.calls() == 0, || {
        "the first service was saturated, and the second let a request through".to_owned()
    })?;
    drop(kept);
    Ok(())
}

/// Clones of one service share its state (C7, B24).
///
/// As [`services_of_one_layer_share_state`], with a clone that was made before `saturate` ran and
/// one that was made after.
///
/// # Errors
///
/// The violation.
pub async fn clones_share_state<S, K>(
    make: impl Fn(Mock) -> S,
    saturate: impl AsyncFnOnce(&mut S, &MockHandle) -> K,
) -> Result<(), Violation>
where
    S: Service<u32, Response = u32, Error = BoxError> + Clone,
{
    let check = Check::ClonesShareState;
    let (inner, mock) = mock();
    let mut subject = Subject::new(check, make(inner));
    let before = subject.sibling();
    let kept = saturate(subject.inner(), &mock).await;
    ensure_used(check, &mock)?;
    let reached = mock.calls();
    for mut clone in [before, subject.sibling()] {
        if clone.try_ready()? {
            drop(clone.call(1)?.poll()?);
        }
        ensure(check, mock.calls() == reached, || {
            "one clone was saturated, and another let a request through".to_owned()
        })?;
    }
    drop(kept);
    Ok(())
}
