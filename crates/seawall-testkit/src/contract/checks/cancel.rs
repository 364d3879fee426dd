//! What is released: by a dropped service, a dropped future, a completed one, a panic.

use std::task::Poll;

use tower_service::Service;

use crate::contract::subject::{Subject, ensure, ensure_used};
use crate::contract::{BoxError, Check, Mock, MockHandle, Stage, Violation, mock};

/// What `poll_ready` reserved is released when the service is dropped (C3).
///
/// > "it is critical for implementations to not assume that `call` will always be invoked and to
/// > ensure that such resources are released if the service is dropped before `call` is invoked"
/// > (`tower_service::Service::poll_ready`)
///
/// A ready clone is dropped without a call. All reservations of the inner service must be
/// released, and a sibling must get through: give the subject a limit of one, if it has limits.
///
/// # Errors
///
/// The violation.
pub async fn dropped_service_releases_its_reservation<S>(
    make: impl Fn(Mock) -> S,
) -> Result<(), Violation>
where
    S: Service<u32, Response = u32, Error = BoxError> + Clone,
{
    let check = Check::DroppedServiceReleasesItsReservation;
    let (inner, mock) = mock();
    mock.set_capacity(1);
    let mut sibling = Subject::new(check, make(inner));
    let mut dropped = sibling.sibling();
    dropped.must_be_ready("although the inner service is")?;
    drop(dropped);
    ensure(check, mock.reserved() == 0, || {
        format!("{} reservations are held after the drop", mock.reserved())
    })?;
    let when = "after a ready clone was dropped";
    sibling.must_respond(1, when).await?;
    drop(sibling);
    nothing_is_left(check, &mock)?;
    ensure_used(check, &mock)
}

fn nothing_is_left(check: Check, mock: &MockHandle) -> Result<(), Violation> {
    let left = (mock.reserved(), mock.instances(), mock.futures());
    ensure(check, left == (0, 0, 0), || {
        format!(
            "after everything was dropped, {} reservations, {} instances of the inner service and \
             {} inner futures are left",
            left.0, left.1, left.2
        )
    })
}

/// A dropped future releases everything, at each stage of its life (C3, C11, B22).
///
/// The future is dropped before its first poll, after its first poll (while the inner service
/// works) and after completion. Each time the inner future must be gone, no call may be open,
/// and the next request must get through the same service and through a sibling: give the subject
/// a limit of one, if it has limits.
///
/// # Errors
///
/// The violation.
pub async fn dropped_future_releases_everything<S>(
    make: impl Fn(Mock) -> S,
) -> Result<(), Violation>
where
    S: Service<u32, Response = u32, Error = BoxError> + Clone,
{
    let check = Check::DroppedFutureReleasesEverything;
    for (stage, when) in [
        "after a future was dropped before its first poll",
        "after a future was dropped while the inner service worked",
        "after a completed future was dropped",
    ]
    .into_iter()
    .enumerate()
    {
        let (inner, mock) = mock();
        let mut subject = Subject::new(check, make(inner));
        let mut sibling = subject.sibling();
        mock.hold_responses();
        subject.must_be_ready("although the inner service is")?;
        let mut call = subject.call(1)?;
        if stage > 0 {
            call.must_pend("while the inner service works")?;
            ensure(check, mock.calls() == 1, || {
                "never reached the inner service".to_owned()
            })?;
        }
        if stage > 1 {
            mock.respond_to_all();
            drop(call.finish_by_ref().await?);
        }
        drop(call);
        ensure(check, mock.futures() == 0, || {
            format!("the inner future is still alive {when}")
        })?;
        ensure(check, mock.in_flight() == 0, || {
            format!("the call is open {when}")
        })?;
        mock.respond_immediately();
        subject.must_respond(2, when).await?;
        sibling.must_respond(3, when).await?;
        drop((subject, sibling));
        nothing_is_left(check, &mock)?;
        ensure_used(check, &mock)?;
    }
    Ok(())
}

/// A waiter that is dropped returns its permit, or leaves the queue (C3, B6).
///
/// For subjects with a limit of one that wait. One request is open; another waits, in `poll_ready`
/// or in its future, and is dropped: once before a permit is free, once after the permit was
/// granted to it and before it was used. A third request must get in.
///
/// # Errors
///
/// The violation, also if no request waits.
pub async fn dropped_waiter_returns_its_permit<S>(make: impl Fn(Mock) -> S) -> Result<(), Violation>
where
    S: Service<u32, Response = u32, Error = BoxError> + Clone,
{
    let check = Check::DroppedWaiterReturnsItsPermit;
    for granted in [false, true] {
        let (inner, mock) = mock();
        mock.hold_responses();
        let mut first = Subject::new(check, make(inner));
        let mut second = first.sibling();
        let mut third = first.sibling();
        first.must_be_ready("although the inner service is")?;
        let mut open = first.call(1)?;
        open.must_pend("while the inner service works")?;

        let mut waiting = None;
        if second.try_ready()? {
            let mut call = second.call(2)?;
            if let Poll::Ready(result) = call.poll()? {
                let what = format!("the second request does not wait, but got {result:?}");
                return Err(Violation::new(check, what));
            }
            waiting = Some(call);
        }
        ensure(check, mock.calls() == 1, || {
            "the second request does not wait, but got in".to_owned()
        })?;

        mock.respond_immediately();
        if granted {
            mock.respond_to_all();
            drop(open.finish().await?);
            drop((waiting, second));
        } else {
            drop((waiting, second));
            mock.respond_to_all();
            drop(open.finish().await?);
        }
        let when = if granted {
            "after a waiter was dropped that had been granted its permit"
        } else {
            "after a waiter was dropped"
        };
        third.must_respond(3, when).await?;
        first.must_respond(4, when).await?;
        ensure_used(check, &mock)?;
    }
    Ok(())
}

/// A completed future holds no permit, also before it is dropped (C11, B11).
///
/// Callers keep completed futures for a while: in a `join`, in a slot of a struct, in a
/// `FuturesOrdered`. One is kept here, and a sibling must get through: give the subject a limit of
/// one, if it has limits.
///
/// # Errors
///
/// The violation.
pub async fn finished_future_holds_nothing<S>(make: impl Fn(Mock) -> S) -> Result<(), Violation>
where
    S: Service<u32, Response = u32, Error = BoxError> + Clone,
{
    let check = Check::FinishedFutureHoldsNothing;
    let (inner, mock) = mock();
    let mut subject = Subject::new(check, make(inner));
    let mut sibling = subject.sibling();
    subject.must_be_ready("although the inner service is")?;
    let mut kept = subject.call(1)?;
    kept.must_echo().await?;
    let reserved = (mock.reserved(), mock.in_flight());
    ensure(check, reserved == (0, 0), || {
        format!(
            "a completed future holds {} reservations and {} open calls",
            reserved.0, reserved.1
        )
    })?;
    sibling
        .must_respond(2, "while a completed future is kept")
        .await?;
    drop(kept);
    ensure_used(check, &mock)
}

/// A completed future has dropped the inner future (C11, B22).
///
/// The inner future may hold what the subject cannot know of: a permit, a connection, a body. The
/// check does not apply to a layer whose future *is* the inner future.
///
/// # Errors
///
/// The violation.
pub async fn finished_future_has_dropped_the_inner_future<S>(
    make: impl Fn(Mock) -> S,
) -> Result<(), Violation>
where
    S: Service<u32, Response = u32, Error = BoxError>,
{
    let check = Check::FinishedFutureHasDroppedTheInnerFuture;
    let (inner, mock) = mock();
    let mut subject = Subject::new(check, make(inner));
    subject.must_be_ready("although the inner service is")?;
    let mut kept = subject.call(1)?;
    kept.must_echo().await?;
    let alive = mock.futures();
    drop(kept);
    ensure(check, alive == 0, || {
        format!("a completed future keeps {alive} inner futures alive")
    })?;
    ensure_used(check, &mock)
}

/// A panic of the inner service leaks nothing and later requests get through (C3, C11).
///
/// The mock panics in `poll_ready`, in `call` and while its future is polled. The panic may reach
/// the caller, as it does here; then what was in use is dropped, nothing may be held, and a
/// sibling must get through: give the subject a limit of one, if it has limits. Configure a breaker
/// so that one failure does not open it.
///
/// # Errors
///
/// The violation.
pub async fn survives_a_panic<S>(make: impl Fn(Mock) -> S) -> Result<(), Violation>
where
    S: Service<u32, Response = u32, Error = BoxError> + Clone,
{
    let check = Check::SurvivesAPanic;
    for stage in [Stage::PollReady, Stage::Call, Stage::Poll] {
        let (inner, mock) = mock();
        let mut sibling = Subject::new(check, make(inner));
        let mut subject = sibling.sibling();
        mock.panic_at(stage);
        let first = subject.request(1).await;
        ensure(check, !matches!(first, Ok(Ok(_))), || {
            format!("the inner service was to panic in {stage:?}, and was not reached")
        })?;
        drop(subject);
        let when = format!("after the inner service panicked in {stage:?}");
        let left = (mock.reserved(), mock.in_flight(), mock.futures());
        ensure(check, left == (0, 0, 0), || {
            format!(
                "{} reservations, {} open calls and {} inner futures are left {when}",
                left.0, left.1, left.2
            )
        })?;
        sibling.must_respond(2, &when).await?;
        ensure_used(check, &mock)?;
    }
    Ok(())
}
