//! What `poll_ready` promises.

use tower_service::Service;

use crate::contract::probe::{Flight, Subject, ensure, poll_until_quiet, verdict};
use crate::contract::{BoxError, Check, Mock, Violation, mock};

/// `poll_ready` may be asked again and reserves once (C2, B4).
///
/// > "Until a request is dispatched, repeated calls to `poll_ready` must return either
/// > `Poll::Ready(Ok(()))` or `Poll::Ready(Err(_))`." (`tower_service::Service::poll_ready`)
///
/// Three polls in a row; at most one reservation of the inner service may be gone, and the subject
/// must not wait for a permit that it holds itself: give it a limit of one, if it has limits.
///
/// # Errors
///
/// The violation.
pub async fn reserves_once_when_polled_again<S>(make: impl Fn(Mock) -> S) -> Result<(), Violation>
where
    S: Service<u32, Response = u32, Error = BoxError>,
{
    let law = Check::ReservesOnceWhenPolledAgain;
    let (inner, mock) = mock();
    mock.set_capacity(4);
    let mut subject = Subject::new(law, make(inner));
    for poll in ["at the first poll", "at the second poll", "at the third"] {
        subject.must_be_ready(poll)?;
    }
    let reserved = mock.reserved();
    ensure(law, reserved <= 1, || {
        format!("three polls of poll_ready hold {reserved} reservations")
    })?;
    let answer = subject.call(1)?.finish().await?;
    ensure(law, matches!(answer, Ok(1)), || {
        format!("request 1 was answered with {answer:?}")
    })?;
    verdict(law, &mock)?;
    subject.must_answer(2, "after three polls and a call").await
}

/// The inner service is asked again before readiness is claimed again (C9, B5).
///
/// The mock is ready, the subject says so; then the mock turns pending, as a connection that died,
/// and the subject is polled again. It may pend or reject, or wait in its future, but it must not
/// send the request on the strength of the first answer.
///
/// # Errors
///
/// The violation.
pub async fn asks_again_before_claiming_ready<S>(make: impl Fn(Mock) -> S) -> Result<(), Violation>
where
    S: Service<u32, Response = u32, Error = BoxError>,
{
    let law = Check::AsksAgainBeforeClaimingReady;
    let (inner, mock) = mock();
    let mut subject = Subject::new(law, make(inner));
    subject.must_be_ready("although the inner service is")?;
    mock.set_pending();
    let mut flight = None;
    if subject.try_ready()? {
        // The mock is pending: only a subject that did not ask can have reached it.
        let mut sent = subject.call(1)?;
        let answered = sent.poll()?.is_ready();
        ensure(law, mock.calls() == 0, || {
            "claimed ready a second time and sent the request, while the inner service had turned \
             pending"
                .to_owned()
        })?;
        if !answered {
            flight = Some(sent);
        }
    }
    mock.set_ready();
    if let Some(flight) = flight {
        // Whether it was rejected in the end is its own affair.
        drop(flight.finish().await?);
    }
    subject
        .must_answer(2, "after the inner service became ready again")
        .await?;
    verdict(law, &mock)
}

/// Whoever was told to wait is woken when the inner service becomes ready, and not before
/// (C5, B6).
///
/// > "`Poll::Pending` is returned and the task is notified when the service becomes ready again."
/// > (`tower_service::Service::poll_ready`)
///
/// The mock is pending. The subject waits in `poll_ready` or in its future; it must not spin by
/// waking itself. It is then polled by another task, and the mock becomes ready: that task must be
/// woken, and the request must get through. For subjects that wait for readiness; a layer that
/// sheds cannot claim it.
///
/// # Errors
///
/// The violation, also if the subject does not wait at all.
pub async fn pending_has_registered_the_waker<S>(make: impl Fn(Mock) -> S) -> Result<(), Violation>
where
    S: Service<u32, Response = u32, Error = BoxError>,
{
    let law = Check::PendingHasRegisteredTheWaker;
    let (inner, mock) = mock();
    mock.set_pending();
    let mut subject = Subject::new(law, make(inner));
    let woken = |wakes: usize, who: &str| {
        ensure(law, wakes > 0, || {
            format!("the inner service became ready and nobody woke the task that waits in {who}")
        })
    };

    if !poll_until_quiet(law, Subject::wakes, &mut subject, Subject::try_ready)? {
        subject.change_task();
        poll_until_quiet(law, Subject::wakes, &mut subject, Subject::try_ready)?;
        let before = subject.wakes();
        mock.set_ready();
        woken(subject.wakes() - before, "poll_ready")?;
        subject.must_answer(1, "after it was woken").await?;
        return verdict(law, &mock);
    }

    let mut flight = subject.call(1)?;
    let poll = |flight: &mut Flight<S::Future>| match flight.poll()? {
        std::task::Poll::Pending => Ok(false),
        std::task::Poll::Ready(answer) => Err(Violation::new(
            law,
            format!("did not wait for the inner service, but answered {answer:?}"),
        )),
    };
    poll_until_quiet(law, Flight::wakes, &mut flight, poll)?;
    flight.change_task();
    poll_until_quiet(law, Flight::wakes, &mut flight, poll)?;
    let before = flight.wakes();
    mock.set_ready();
    woken(flight.wakes() - before, "the future")?;
    let answer = flight.finish().await?;
    ensure(law, matches!(answer, Ok(1)), || {
        format!("request 1 was answered with {answer:?} after it had waited")
    })?;
    verdict(law, &mock)
}

/// A clone of a ready service is not ready until it was polled itself (C7).
///
/// The original was polled ready, then cloned; the mock under the clone is a fresh instance and
/// panics if the clone took the readiness with it. Both must get a request through, the clone
/// first. A third clone is polled while the mock is pending, and must not reach it.
///
/// The subject must let two requests through one after the other while the first is ready: with a
/// limit that reserves in `poll_ready`, a limit of three.
///
/// # Errors
///
/// The violation.
pub async fn clone_resets_readiness<S>(make: impl Fn(Mock) -> S) -> Result<(), Violation>
where
    S: Service<u32, Response = u32, Error = BoxError> + Clone,
{
    let law = Check::CloneResetsReadiness;
    let (inner, mock) = mock();
    let mut original = Subject::new(law, make(inner));
    original.must_be_ready("although the inner service is")?;

    let mut clone = original.sibling();
    clone
        .must_answer(1, "through a clone of a ready service")
        .await?;

    let mut late = original.sibling();
    mock.set_pending();
    let reached = mock.calls();
    if late.try_ready()? {
        let mut flight = late.call(2)?;
        drop(flight.poll()?);
    }
    ensure(law, mock.calls() == reached, || {
        "a clone of a ready service reached an inner service that is not ready".to_owned()
    })?;
    drop(late);
    mock.set_ready();

    let answer = original.call(3)?.finish().await?;
    ensure(law, matches!(answer, Ok(3)), || {
        format!("the original was ready before it was cloned, then answered {answer:?}")
    })?;
    verdict(law, &mock)
}
