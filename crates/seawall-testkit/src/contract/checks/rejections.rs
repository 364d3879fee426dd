//! How a subject says no.

use std::task::Poll;

use tower_service::Service;

use crate::contract::probe::{Subject, ensure, verdict};
use crate::contract::{BoxError, Check, Mock, MockError, MockHandle, Violation, mock};

/// One rejection: `poll_ready` says ready, the call fails without the inner service.
fn must_reject<S>(
    law: Check,
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
            return Err(Violation::new(law, what));
        }
        Poll::Pending => {
            let what = format!("poll_ready pends {when}, there is no rejection");
            return Err(Violation::new(law, what));
        }
    }
    let reached = mock.calls();
    let answer = subject.call(1)?.poll()?;
    let rejected = match &answer {
        Poll::Ready(Err(error)) => error.downcast_ref::<MockError>().is_none(),
        _ => false,
    };
    ensure(law, rejected && mock.calls() == reached, || {
        let reached = mock.calls() - reached;
        format!(
            "no rejection {when}: the answer was {answer:?}, {reached} calls reached the inner service"
        )
    })
}

/// A rejection is an error of `call`, never of `poll_ready` (C4, B16).
///
/// > "If `Poll::Ready(Err(_))` is returned, the service is no longer able to service requests and
/// > the caller should discard the service instance." (`tower_service::Service::poll_ready`)
///
/// `saturate` brings the subject to reject, for example [`occupy`](crate::contract::occupy) for a
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
    let law = Check::RejectsInCall;
    let (inner, mock) = mock();
    let mut subject = Subject::new(law, make(inner));
    let kept = saturate(subject.inner(), &mock).await;
    verdict(law, &mock)?;
    must_reject(law, &mut subject, &mock, "when the subject is saturated")?;
    must_reject(law, &mut subject, &mock, "after a first rejection")?;
    drop(kept);
    Ok(())
}

/// A gate that rejects answers at once, also when the inner service is stuck (C9, B15).
///
/// As [`rejects_in_call`], but the inner service is pending meanwhile. For breakers and other
/// gates whose rejection does not depend on the inner service.
///
/// # Errors
///
/// The violation.
pub async fn rejects_without_asking_the_inner_service<S, K>(
    make: impl Fn(Mock) -> S,
    saturate: impl AsyncFnOnce(&mut S, &MockHandle) -> K,
) -> Result<(), Violation>
where
    S: Service<u32, Response = u32, Error = BoxError>,
{
    let law = Check::RejectsWithoutAskingTheInnerService;
    let (inner, mock) = mock();
    let mut subject = Subject::new(law, make(inner));
    let kept = saturate(subject.inner(), &mock).await;
    verdict(law, &mock)?;
    mock.set_pending();
    let before = mock.readiness_polls();
    must_reject(law, &mut subject, &mock, "while the inner service is stuck")?;
    let polls = mock.readiness_polls() - before;
    ensure(law, polls == 0, || {
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
/// The violation, also if nobody parks.
pub async fn parked_task_is_woken_by_the_gate<S, K>(
    make: impl Fn(Mock, Mock) -> (S, S),
    saturate: impl AsyncFnOnce(&mut S, &MockHandle) -> K,
) -> Result<(), Violation>
where
    S: Service<u32, Response = u32, Error = BoxError>,
{
    let law = Check::ParkedTaskIsWokenByTheGate;
    let (stuck, mock_of_stuck) = mock();
    let (alive, mock_of_alive) = mock();
    mock_of_stuck.set_pending();
    let (parked, other) = make(stuck, alive);
    let (mut parked, mut other) = (Subject::new(law, parked), Subject::new(law, other));
    let ready = parked.try_ready()?;
    ensure(law, !ready, || {
        "poll_ready does not wait for the inner service".to_owned()
    })?;
    let kept = saturate(other.inner(), &mock_of_alive).await;
    verdict(law, &mock_of_alive)?;
    ensure(law, parked.wakes() > 0, || {
        "the gate closed and nobody woke the task that waits for the inner service".to_owned()
    })?;
    must_reject(law, &mut parked, &mock_of_stuck, "after it was woken")?;
    drop(kept);
    Ok(())
}
