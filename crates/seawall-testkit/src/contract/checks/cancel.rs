//! What is given back: by a dropped service, a dropped future, a finished one, a panic.

use std::task::Poll;

use tower_service::Service;

use crate::contract::probe::{Subject, ensure, verdict};
use crate::contract::{BoxError, Check, Mock, MockHandle, Stage, Violation, mock};

/// What `poll_ready` reserved is released when the service is dropped (C3).
///
/// > "it is critical for implementations to not assume that `call` will always be invoked and to
/// > ensure that such resources are released if the service is dropped before `call` is invoked"
/// > (`tower_service::Service::poll_ready`)
///
/// A ready clone is dropped without a call. All reservations of the inner service must be back,
/// and a sibling must get through: give the subject a limit of one, if it has limits.
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
    let law = Check::DroppedServiceReleasesItsReservation;
    let (inner, mock) = mock();
    mock.set_capacity(1);
    let mut sibling = Subject::new(law, make(inner));
    let mut dropped = sibling.sibling();
    dropped.must_be_ready("although the inner service is")?;
    drop(dropped);
    ensure(law, mock.reserved() == 0, || {
        format!("{} reservations are held after the drop", mock.reserved())
    })?;
    let when = "after a ready clone was dropped";
    sibling.must_answer(1, when).await?;
    drop(sibling);
    nothing_is_left(law, &mock)?;
    verdict(law, &mock)
}

fn nothing_is_left(law: Check, mock: &MockHandle) -> Result<(), Violation> {
    let left = (mock.reserved(), mock.instances(), mock.futures());
    ensure(law, left == (0, 0, 0), || {
        format!(
            "after all was dropped, {} reservations, {} instances of the inner service and {} \
             inner futures live on",
            left.0, left.1, left.2
        )
    })
}

/// A dropped future releases everything, at each stage of its life (C3, C11, B22).
///
/// The future is dropped before its first poll, after its first poll (while the inner service
/// works) and after it has answered. Each time the inner future must be gone, no call may be open,
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
    let law = Check::DroppedFutureReleasesEverything;
    for (stage, when) in [
        "after a future was dropped before its first poll",
        "after a future was dropped while the inner service worked",
        "after a future was dropped that had answered",
    ]
    .into_iter()
    .enumerate()
    {
        let (inner, mock) = mock();
        let mut subject = Subject::new(law, make(inner));
        let mut sibling = subject.sibling();
        mock.hold();
        subject.must_be_ready("although the inner service is")?;
        let mut flight = subject.call(1)?;
        if stage > 0 {
            flight.must_pend("while the inner service works")?;
            ensure(law, mock.calls() == 1, || {
                "never reached the inner service".to_owned()
            })?;
        }
        if stage > 1 {
            mock.respond_to_all();
            drop(flight.finish_by_ref().await?);
        }
        drop(flight);
        ensure(law, mock.futures() == 0, || {
            format!("the inner future lives on {when}")
        })?;
        ensure(law, mock.in_flight() == 0, || {
            format!("the call is open {when}")
        })?;
        mock.answer_at_once();
        subject.must_answer(2, when).await?;
        sibling.must_answer(3, when).await?;
        drop((subject, sibling));
        nothing_is_left(law, &mock)?;
        verdict(law, &mock)?;
    }
    Ok(())
}

/// A caller that gives up waiting gives its place, or the permit it was just given, back (C3, B6).
///
/// For subjects with a limit of one that wait. One request is open; another waits, in `poll_ready`
/// or in its future, and is dropped: once before the place is free, once after it was given to the
/// waiter, who never came to use it. A third must get in.
///
/// # Errors
///
/// The violation, also if nobody has to wait.
pub async fn dropped_waiter_gives_its_place_back<S>(
    make: impl Fn(Mock) -> S,
) -> Result<(), Violation>
where
    S: Service<u32, Response = u32, Error = BoxError> + Clone,
{
    let law = Check::DroppedWaiterGivesItsPlaceBack;
    for given in [false, true] {
        let (inner, mock) = mock();
        mock.hold();
        let mut first = Subject::new(law, make(inner));
        let mut second = first.sibling();
        let mut third = first.sibling();
        first.must_be_ready("although the inner service is")?;
        let mut open = first.call(1)?;
        open.must_pend("while the inner service works")?;

        let mut waiting = None;
        if second.try_ready()? {
            let mut flight = second.call(2)?;
            if let Poll::Ready(answer) = flight.poll()? {
                let what = format!("nobody waits: the second request was answered {answer:?}");
                return Err(Violation::new(law, what));
            }
            waiting = Some(flight);
        }
        ensure(law, mock.calls() == 1, || {
            "nobody waits: the second request got in".to_owned()
        })?;

        mock.answer_at_once();
        if given {
            mock.respond_to_all();
            drop(open.finish().await?);
            drop((waiting, second));
        } else {
            drop((waiting, second));
            mock.respond_to_all();
            drop(open.finish().await?);
        }
        let when = if given {
            "after a waiter was dropped that had been given its place"
        } else {
            "after a waiter was dropped"
        };
        third.must_answer(3, when).await?;
        first.must_answer(4, when).await?;
        verdict(law, &mock)?;
    }
    Ok(())
}

/// A future that has answered holds no permit, also before it is dropped (C11, B11).
///
/// Callers keep finished futures for a while: in a `join`, in a slot of a struct, in a
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
    let law = Check::FinishedFutureHoldsNothing;
    let (inner, mock) = mock();
    let mut subject = Subject::new(law, make(inner));
    let mut sibling = subject.sibling();
    subject.must_be_ready("although the inner service is")?;
    let mut kept = subject.call(1)?;
    let answer = kept.finish_by_ref().await?;
    ensure(law, matches!(answer, Ok(1)), || {
        format!("request 1 was answered with {answer:?}")
    })?;
    let reserved = (mock.reserved(), mock.in_flight());
    ensure(law, reserved == (0, 0), || {
        format!(
            "a finished future holds {} reservations and {} open calls",
            reserved.0, reserved.1
        )
    })?;
    sibling
        .must_answer(2, "while a finished future is kept")
        .await?;
    drop(kept);
    verdict(law, &mock)
}

/// A future that has answered has dropped the inner future (C11, B22).
///
/// The inner future may hold what the subject cannot know of: a permit, a connection, a body. A
/// layer whose future *is* the inner future cannot claim this law, and need not.
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
    let law = Check::FinishedFutureHasDroppedTheInnerFuture;
    let (inner, mock) = mock();
    let mut subject = Subject::new(law, make(inner));
    subject.must_be_ready("although the inner service is")?;
    let mut kept = subject.call(1)?;
    let answer = kept.finish_by_ref().await?;
    ensure(law, matches!(answer, Ok(1)), || {
        format!("request 1 was answered with {answer:?}")
    })?;
    let alive = mock.futures();
    drop(kept);
    ensure(law, alive == 0, || {
        format!("a finished future keeps {alive} inner futures alive")
    })?;
    verdict(law, &mock)
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
    let law = Check::SurvivesAPanic;
    for stage in [Stage::PollReady, Stage::Call, Stage::Poll] {
        let (inner, mock) = mock();
        let mut sibling = Subject::new(law, make(inner));
        let mut subject = sibling.sibling();
        mock.panic_at(stage);
        let first = subject.request(1).await;
        ensure(law, !matches!(first, Ok(Ok(_))), || {
            format!("the inner service was told to panic in {stage:?}, and was not reached")
        })?;
        drop(subject);
        let when = format!("after the inner service panicked in {stage:?}");
        let left = (mock.reserved(), mock.in_flight(), mock.futures());
        ensure(law, left == (0, 0, 0), || {
            format!(
                "{} reservations, {} open calls and {} inner futures are left {when}",
                left.0, left.1, left.2
            )
        })?;
        sibling.must_answer(2, &when).await?;
        verdict(law, &mock)?;
    }
    Ok(())
}
