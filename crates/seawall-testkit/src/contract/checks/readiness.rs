//! What `poll_ready` guarantees.

use tower_service::Service;

use crate::contract::subject::{PendingCall, Subject, ensure, ensure_used, poll_until_quiet};
use crate::contract::{BoxError, Check, Mock, Violation, mock};

/// `poll_ready` may be called again and reserves once (C2, B4).
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
    let check = Check::ReservesOnceWhenPolledAgain;
    let (inner, mock) = mock();
    mock.set_capacity(4);
    let mut subject = Subject::new(check, make(inner));
    for poll in ["at the first poll", "at the second poll", "at the third"] {
        subject.must_be_ready(poll)?;
    }
    let reserved = mock.reserved();
    ensure(check, reserved <= 1, || {
        format!("three polls of poll_ready hold {reserved} reservations")
    })?;
    subject.call(1)?.must_echo().await?;
    ensure_used(check, &mock)?;
    subject
        .must_respond(2, "after three polls and a call")
        .await
}

/// The inner service is polled again before readiness is reported again (C9, B5).
///
/// The mock is ready, and so is the subject; then the mock turns pending, like a connection that
/// died, and the subject is polled again. It may pend or reject, or wait in its future, but it must
/// not send the request because of the first poll.
///
/// # Errors
///
/// The violation.
pub async fn polls_inner_again_before_ready<S>(make: impl Fn(Mock) -> S) -> Result<(), Violation>
where
    S: Service<u32, Response = u32, Error = BoxError>,
{
    let check = Check::PollsInnerAgainBeforeReady;
    let (inner, mock) = mock();
    let mut subject = Subject::new(check, make(inner));
    subject.must_be_ready("although the inner service is")?;
    mock.set_pending();
    let mut call = None;
    if subject.try_ready()? {
        // The mock is pending: only a subject that did not poll it can have reached it.
        let mut sent = subject.call(1)?;
        let completed = sent.poll()?.is_ready();
        ensure(check, mock.calls() == 0, || {
            "reported ready a second time and sent the request, while the inner service had turned \
             pending"
                .to_owned()
        })?;
        if !completed {
            call = Some(sent);
        }
    }
    mock.set_ready();
    if let Some(call) = call {
        // It may have been rejected in the end.
        drop(call.finish().await?);
    }
    subject
        .must_respond(2, "after the inner service became ready again")
        .await?;
    ensure_used(check, &mock)
}

/// A waiter is woken when the inner service becomes ready, and not before (C5, B6).
///
/// > "`Poll::Pending` is returned and the task is notified when the service becomes ready again."
/// > (`tower_service::Service::poll_ready`)
///
/// The mock is pending. The subject waits in `poll_ready` or in its future; it must not spin by
/// waking itself. It is then polled by another task, and the mock becomes ready: that task must be
/// woken, and the request must get through. For subjects that wait for readiness; it does not
/// apply to a layer that sheds.
///
/// # Errors
///
/// The violation, also if the subject does not wait at all.
pub async fn pending_has_registered_the_waker<S>(make: impl Fn(Mock) -> S) -> Result<(), Violation>
where
    S: Service<u32, Response = u32, Error = BoxError>,
{
    let check = Check::PendingHasRegisteredTheWaker;
    let (inner, mock) = mock();
    mock.set_pending();
    let mut subject = Subject::new(check, make(inner));
    let woken = |wakes: usize, place: &str| {
        ensure(check, wakes > 0, || {
            format!(
                "the inner service became ready and the task that waits in {place} was not woken"
            )
        })
    };

    if !poll_until_quiet(check, Subject::wakes, &mut subject, Subject::try_ready)? {
        subject.change_task();
        poll_until_quiet(check, Subject::wakes, &mut subject, Subject::try_ready)?;
        let before = subject.wakes();
        mock.set_ready();
        woken(subject.wakes() - before, "poll_ready")?;
        subject.must_respond(1, "after it was woken").await?;
        return ensure_used(check, &mock);
    }

    let mut call = subject.call(1)?;
    let poll = |call: &mut PendingCall<S::Future>| match call.poll()? {
        std::task::Poll::Pending => Ok(false),
        std::task::Poll::Ready(result) => Err(Violation::new(
            check,
            format!("did not wait for the inner service, but completed with {result:?}"),
        )),
    };
    poll_until_quiet(check, PendingCall::wakes, &mut call, poll)?;
    call.change_task();
    poll_until_quiet(check, PendingCall::wakes, &mut call, poll)?;
    let before = call.wakes();
    mock.set_ready();
    woken(call.wakes() - before, "the future")?;
    call.must_echo().await?;
    ensure_used(check, &mock)
}

/// A clone of a ready service is not ready until it was polled itself (C7).
///
/// The original was polled ready, then cloned; the mock under the clone is a fresh instance and
/// panics if the clone copied the readiness. Both must get a request through, the clone
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
    let check = Check::CloneResetsReadiness;
    let (inner, mock) = mock();
    let mut original = Subject::new(check, make(inner));
    original.must_be_ready("although the inner service is")?;

    let mut clone = original.sibling();
    clone
        .must_respond(1, "through a clone of a ready service")
        .await?;

    let mut late = original.sibling();
    mock.set_pending();
    let reached = mock.calls();
    if late.try_ready()? {
        let mut call = late.call(2)?;
        drop(call.poll()?);
    }
    ensure(check, mock.calls() == reached, || {
        "a clone of a ready service reached an inner service that is not ready".to_owned()
    })?;
    drop(late);
    mock.set_ready();

    original.call(3)?.must_echo().await?;
    ensure_used(check, &mock)
}
