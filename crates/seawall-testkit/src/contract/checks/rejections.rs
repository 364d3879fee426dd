//! How a subject rejects.

use std::task::Poll;

use tower_service::Service;

use crate::contract::subject::{Subject, ensure, ensure_used};
use crate::contract::{BoxError, Check, Mock, MockError, MockHandle, Violation, mock};

/// One rejection: `poll_ready` says ready, the call fails without the inner service.
fn must_reject<S>(
    check: Check,
    subject: &mut Subject<S>,
    mock: &MockHandle,
    when: &str,
) -> Result<(), Violation>
where
    S: Service<u32, Response = u32, Error = BoxError>,
{
    match subject.poll_ready()? {
        Poll::Ready(Ok(())) => {}
        Poll::Ready(Err(error)) => {
            let what = format!("poll_ready failed with the rejection `{error}` {when}");
            return Err(Violation::new(check, what));
        }
        Poll::Pending => {
            let what = format!("poll_ready pends {when}, there is no rejection");
            return Err(Violation::new(check, what));
        }
    }
    let reached = mock.calls();
    let result = subject.call(1)?.poll()?;
    let rejected = match &result {
        Poll::Ready(Err(error)) => error.downcast_ref::<MockError>().is_none(),
        _ => false,
    };
    ensure(check, rejected && mock.calls() == reached, || {
        let reached = mock.calls() - reached;
        format!(
            "no rejection {when}: the result was {result:?}, {reached} calls reached the inner service"
        )
    })
}

/// A rejection is an error of `call`, never of `poll_ready` (C4, B16).
///
/// > "If `Poll::Ready(Err(_))` is returned, the service is no longer able to service requests and
/// > the caller should discard the service instance." (`tower_service::Service::poll_ready`)
///
/// `saturate` brings the subject to reject, for example [`hold_call`](crate::contract::hold_call) for a
/// limit of one or [`fail_calls`](crate::contract::fail_calls) for a breaker; what it returns is
/// kept meanwhile. The subject must then reject twice in a row, by the call, without reaching the
/// inner service.
///
/// # Errors
///
/// The violation, also if nothing is rejected.
pub async fn rejects_in_call<S, K>(
    make: impl Fn(Mock) -> S,
    saturate: impl AsyncFnOnce(&mut S, &MockHandle) -> K,
) -> Result<(), Violation>
where
    S: Service<u32, Response = u32, Error = BoxError>,
{
    let check = Check::RejectsInCall;
    let (inner, mock) = mock();
    let mut subject = Subject::new(check, make(inner));
    let kept = saturate(subject.inner(), &mock).await;
    ensure_used(check, &mock)?;
    must_reject(check, &mut subject, &mock, "when the subject is saturated")?;
    must_reject(check, &mut subject, &mock, "after a first rejection")?;
    drop(kept);
    Ok(())
}

/// A gate rejects immediately, also when the inner service is stuck (C9, B15).
///
/// As [`rejects_in_call`], but the inner service is pending meanwhile. For breakers and other
/// gates whose rejection does not depend on the inner service.
///
/// # Errors
///
/// The violation.
pub async fn rejects_without_polling_inner<S, K>(
    make: impl Fn(Mock) -> S,
    saturate: impl AsyncFnOnce(&mut S, &MockHandle) -> K,
) -> Result<(), Violation>
where
    S: Service<u32, Response = u32, Error = BoxError>,
{
    let check = Check::RejectsWithoutPollingInner;
    let (inner, mock) = mock();
    let mut subject = Subject::new(check, make(inner));
    let kept = saturate(subject.inner(), &mock).await;
    ensure_used(check, &mock)?;
    mock.set_pending();
    let before = mock.readiness_polls();
    must_reject(
        check,
        &mut subject,
        &mock,
        "while the inner service is stuck",
    )?;
    let polls = mock.readiness_polls() - before;
    ensure(check, polls == 0, || {
        format!("polled the inner service {polls} times before it rejected")
    })?;
    drop(kept);
    Ok(())
}

/// A task that waits for the inner service is woken when the gate closes (C5, B6, B15).
///
/// `make` puts one layer on two inner services. The first is not ready, and a task is parked on it
/// in `poll_ready`; `saturate` then brings the second to reject, for example by
/// [`fail_calls`](crate::contract::fail_calls). The parked task must be woken, and be rejected
/// instead of waiting on. For breakers and other gates whose rejection does not depend on the inner
/// service.
///
/// # Errors
///
/// The violation, also if no task parks.
pub async fn parked_task_is_woken_by_the_gate<S, K>(
    make: impl Fn(Mock, Mock) -> (S, S),
    saturate: impl AsyncFnOnce(&mut S, &MockHandle) -> K,
) -> Result<(), Violation>
where
    S: Service<u32, Response = u32, Error = BoxError>,
{
    let check = Check::ParkedTaskIsWokenByTheGate;
    let (stuck, mock_of_stuck) = mock();
    let (alive, mock_of_alive) = mock();
    mock_of_stuck.set_pending();
    let (parked, other) = make(stuck, alive);
    let (mut parked, mut other) = (Subject::new(check, parked), Subject::new(check, other));
    let ready = parked.try_ready()?;
    ensure(check, !ready, || {
        "poll_ready does not wait for the inner service".to_owned()
    })?;
    let kept = saturate(other.inner(), &mock_of_alive).await;
    ensure_used(check, &mock_of_alive)?;
    ensure(check, parked.wakes() > 0, || {
        "the gate closed and the task that waits for the inner service was not woken".to_owned()
    })?;
    must_reject(check, &mut parked, &mock_of_stuck, "after it was woken")?;
    drop(kept);
    Ok(())
}
