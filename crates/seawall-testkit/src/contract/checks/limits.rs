//! Permits, places in a queue, and who shares them.

use std::task::Poll;

use tower_service::Service;

use crate::contract::probe::{Subject, ensure, verdict};
use crate::contract::{BoxError, Check, Mock, MockHandle, Violation, mock};

/// Clones that are ready at the same time never exceed the limit, and reach it (B3, B29).
///
/// `limit` must be that of the subject. Twice as many clones and one more are polled ready before
/// any is called, as tasks on many threads would be; then those that are ready are called, and
/// more wait or are rejected. Never may more than `limit` calls be open, and exactly `limit` must
/// be. Then the open calls are answered, and all who wait get through.
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
    let law = Check::NeverExceedsItsLimit;
    let (inner, mock) = mock();
    mock.hold();
    let first = Subject::new(law, make(inner));
    let mut clones: Vec<_> = (0..=2 * limit).map(|_| first.sibling()).collect();
    let mut ready = Vec::new();
    for clone in &mut clones {
        ready.push(clone.try_ready()?);
    }
    let mut flights = Vec::new();
    for ((clone, request), _) in clones
        .iter_mut()
        .zip(1..)
        .zip(&ready)
        .filter(|(_, ready)| **ready)
    {
        let mut flight = clone.call(request)?;
        if flight.poll()?.is_pending() {
            flights.push(flight);
        }
    }
    let peak = mock.peak_in_flight();
    ensure(law, peak <= limit, || {
        format!("{peak} calls were open at the same time, the limit is {limit}")
    })?;
    ensure(law, peak == limit, || {
        format!("only {peak} calls are open, although the limit is {limit} and more are there")
    })?;

    // Those who wait: some hold a future, others pend in poll_ready.
    mock.answer_at_once();
    mock.respond_to_all();
    for flight in flights {
        drop(flight.finish().await?);
    }
    for (clone, ready) in clones.iter_mut().zip(ready) {
        if !ready {
            clone.must_answer(0, "after it had waited").await?;
        }
    }
    let peak = mock.peak_in_flight();
    ensure(law, peak <= limit, || {
        format!("{peak} calls were open after the first were answered, the limit is {limit}")
    })?;
    verdict(law, &mock)
}

/// A rejected clone keeps no place in the queue (B7).
///
/// For subjects with a limit of one that reject. One request is open; a second clone is rejected
/// and lives on, idle. When the first is done, it is the turn of whoever asks next: a third clone
/// and the first must get in. In `LoadShed<ConcurrencyLimit>` of tower 0.5 the rejected clone still
/// stands in the queue of the semaphore, is given the permit, and keeps it.
///
/// # Errors
///
/// The violation, also if the second clone is not rejected.
pub async fn rejected_clone_keeps_no_place<S>(make: impl Fn(Mock) -> S) -> Result<(), Violation>
where
    S: Service<u32, Response = u32, Error = BoxError> + Clone,
{
    let law = Check::RejectedCloneKeepsNoPlace;
    let (inner, mock) = mock();
    mock.hold();
    let mut first = Subject::new(law, make(inner));
    let mut rejected = first.sibling();
    let mut third = first.sibling();
    first.must_be_ready("although the inner service is")?;
    let mut open = first.call(1)?;
    open.must_pend("while the inner service works")?;

    rejected.must_be_ready("to reject while the limit is reached")?;
    let mut flight = rejected.call(2)?;
    let answer = flight.poll()?;
    ensure(law, matches!(answer, Poll::Ready(Err(_))), || {
        format!("the second request was not rejected, but {answer:?}")
    })?;
    drop(flight);

    mock.answer_at_once();
    mock.respond_to_all();
    drop(open.finish().await?);
    let when = "after the limit was free again, while a rejected clone lives";
    third.must_answer(3, when).await?;
    first.must_answer(4, when).await?;
    rejected
        .must_answer(5, "through the rejected clone")
        .await?;
    verdict(law, &mock)
}

/// A clone that is ready and idle blocks no other (B8).
///
/// Nothing says that a caller who was told "ready" ever calls: pools and balancers keep ready
/// services for long. Such a clone is kept, and a sibling must get through: give the subject a
/// limit of one. A layer that reserves in `poll_ready` cannot claim this law, and has to say so.
///
/// # Errors
///
/// The violation.
pub async fn idle_ready_clone_blocks_nobody<S>(make: impl Fn(Mock) -> S) -> Result<(), Violation>
where
    S: Service<u32, Response = u32, Error = BoxError> + Clone,
{
    let law = Check::IdleReadyCloneBlocksNobody;
    let (inner, mock) = mock();
    let mut idle = Subject::new(law, make(inner));
    let mut sibling = idle.sibling();
    idle.must_be_ready("although the inner service is")?;
    sibling
        .must_answer(1, "while another clone is ready and idle")
        .await?;
    verdict(law, &mock)
}

/// No shared permit is held while the inner service is not ready (C10, B10).
///
/// `make` puts one layer with a limit of one on two inner services. The first is not ready, and
/// the request for it waits or is rejected; the second must answer nevertheless.
/// `GlobalConcurrencyLimitLayer` of tower 0.5 takes its permit first and then waits for the inner
/// service: one dead backend starves all that share the limit.
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
    let law = Check::KeepsNoPermitWhileInnerIsNotReady;
    let (dead, mock_of_dead) = mock();
    let (alive, mock_of_alive) = mock();
    mock_of_dead.set_pending();
    let (waiting, sibling) = make(dead, alive);
    let (mut waiting, mut sibling) = (Subject::new(law, waiting), Subject::new(law, sibling));
    let mut flight = None;
    if waiting.try_ready()? {
        let mut sent = waiting.call(1)?;
        if sent.poll()?.is_pending() {
            flight = Some(sent);
        }
    }
    ensure(law, mock_of_dead.readiness_polls() > 0, || {
        "never asked the first inner service, whose state matters here".to_owned()
    })?;
    sibling
        .must_answer(2, "while the other inner service is not ready")
        .await?;
    drop(flight);
    verdict(law, &mock_of_alive)?;
    ensure(law, mock_of_dead.violations().is_empty(), || {
        mock_of_dead.violations().join("; ")
    })
}

/// Two services made by one layer share its state (C7, B24).
///
/// `make` puts one layer on two inner services, the second time by a clone of the layer if it has
/// one, as axum does for each route. `saturate` brings the first to reject or to wait, for example
/// [`occupy`](crate::contract::occupy); what it returns is kept. The second must then not let a
/// request through.
///
/// # Errors
///
/// The violation.
pub async fn two_services_of_one_layer_share<S, K>(
    make: impl Fn(Mock, Mock) -> (S, S),
    saturate: impl AsyncFnOnce(&mut S, &MockHandle) -> K,
) -> Result<(), Violation>
where
    S: Service<u32, Response = u32, Error = BoxError>,
{
    let law = Check::TwoServicesOfOneLayerShare;
    let (one, mock_of_one) = mock();
    let (two, mock_of_two) = mock();
    let (one, two) = make(one, two);
    let (mut one, mut two) = (Subject::new(law, one), Subject::new(law, two));
    let kept = saturate(one.inner(), &mock_of_one).await;
    verdict(law, &mock_of_one)?;
    if two.try_ready()? {
        drop(two.call(1)?.poll()?);
    }
    ensure(law, mock_of_two.calls() == 0, || {
        "the first service was saturated, and the second let a request through".to_owned()
    })?;
    drop(kept);
    Ok(())
}

/// Clones of one service share its state (C7, B24).
///
/// As [`two_services_of_one_layer_share`], with a clone that was made before `saturate` ran and
/// one that was made after.
///
/// # Errors
///
/// The violation.
pub async fn clones_share<S, K>(
    make: impl Fn(Mock) -> S,
    saturate: impl AsyncFnOnce(&mut S, &MockHandle) -> K,
) -> Result<(), Violation>
where
    S: Service<u32, Response = u32, Error = BoxError> + Clone,
{
    let law = Check::ClonesShare;
    let (inner, mock) = mock();
    let mut subject = Subject::new(law, make(inner));
    let before = subject.sibling();
    let kept = saturate(subject.inner(), &mock).await;
    verdict(law, &mock)?;
    let reached = mock.calls();
    for mut clone in [before, subject.sibling()] {
        if clone.try_ready()? {
            drop(clone.call(1)?.poll()?);
        }
        ensure(law, mock.calls() == reached, || {
            "one clone was saturated, and another let a request through".to_owned()
        })?;
    }
    drop(kept);
    Ok(())
}
