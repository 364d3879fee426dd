//! How the inner service is called, and what comes back from it.

use tower_service::Service;

use crate::contract::subject::{Subject, ensure, ensure_used};
use crate::contract::{BoxError, Check, Mock, MockError, Violation, mock};

/// The instance that was polled ready is the one that is called (C1, C8, B1).
///
/// > "Before dispatching a request, `poll_ready` must be called and return
/// > `Poll::Ready(Ok(()))`." (`tower_service::Service::call`)
///
/// Three requests, one after the other, through a mock that panics when the wrong instance is
/// called. The usual bug moves `self.inner.clone()` into the future.
///
/// # Errors
///
/// The violation, also if a response is not the echo.
pub async fn calls_the_ready_instance<S>(make: impl Fn(Mock) -> S) -> Result<(), Violation>
where
    S: Service<u32, Response = u32, Error = BoxError>,
{
    let check = Check::CallsTheReadyInstance;
    let (inner, mock) = mock();
    let mut subject = Subject::new(check, make(inner));
    for request in 1..=3 {
        subject
            .must_respond(request, "although the inner service is ready")
            .await?;
    }
    ensure_used(check, &mock)?;
    ensure(check, mock.requests() == [1, 2, 3], || {
        format!(
            "requests 1, 2 and 3 reached the inner service as {:?}",
            mock.requests()
        )
    })
}

/// One request gets through an inner service with a capacity of one (C8, B9).
///
/// The mock has one reservation. A layer that readies one instance and calls another one
/// waits for itself; so does one that reserves for a second request (a hedge, a retry) before there
/// is need for it. A second request follows the first on the same service.
///
/// # Errors
///
/// The violation.
pub async fn one_request_needs_one_reservation<S>(make: impl Fn(Mock) -> S) -> Result<(), Violation>
where
    S: Service<u32, Response = u32, Error = BoxError>,
{
    let check = Check::OneRequestNeedsOneReservation;
    let (inner, mock) = mock();
    mock.set_capacity(1);
    let mut subject = Subject::new(check, make(inner));
    let when = "through an inner service with a capacity of one";
    subject.must_respond(1, when).await?;
    subject.must_respond(2, when).await?;
    ensure_used(check, &mock)
}

/// `call` does not poll the readiness of the inner service (C6).
///
/// > "This function is expected to be callable off task. As such, implementations should take care
/// > to not call `poll_ready`." (`tower_service::Service::call`)
///
/// The readiness polls during `call` are counted; the future may poll clones later.
///
/// # Errors
///
/// The violation.
pub async fn call_does_not_poll_readiness<S>(make: impl Fn(Mock) -> S) -> Result<(), Violation>
where
    S: Service<u32, Response = u32, Error = BoxError>,
{
    let check = Check::CallDoesNotPollReadiness;
    let (inner, mock) = mock();
    let mut subject = Subject::new(check, make(inner));
    subject.must_be_ready("although the inner service is")?;
    let before = mock.readiness_polls();
    let mut call = subject.call(1)?;
    let polls = mock.readiness_polls() - before;
    ensure(check, polls == 0, || {
        format!("call polled the inner service {polls} times")
    })?;
    call.must_echo().await?;
    ensure_used(check, &mock)
}

/// A request spawns no task (C6, B19).
///
/// Spawned work outlives its caller and loses its span. A layer that does spawn says so in its
/// documentation and leaves this check out. What looks after a queue while calls wait belongs to no
/// request, and starts with the first that waits; this call does not. The check reads the runtime's count of live tasks, so
/// nothing else may spawn meanwhile.
///
/// # Errors
///
/// The violation.
pub async fn spawns_no_task<S>(make: impl Fn(Mock) -> S) -> Result<(), Violation>
where
    S: Service<u32, Response = u32, Error = BoxError>,
{
    let check = Check::SpawnsNoTask;
    let tasks = || {
        tokio::runtime::Handle::current()
            .metrics()
            .num_alive_tasks()
    };
    let (inner, mock) = mock();
    mock.hold_responses();
    let before = tasks();
    let mut subject = Subject::new(check, make(inner));
    subject.must_be_ready("although the inner service is")?;
    let mut call = subject.call(1)?;
    call.must_pend("while the inner service works")?;
    let spawned = tasks().saturating_sub(before);
    ensure(check, spawned == 0, || {
        format!("{spawned} tasks live while the request does")
    })?;
    ensure_used(check, &mock)
}

/// An error of the inner service reaches the caller as it is (C14).
///
/// Both the error of a call and that of `poll_ready` must come out as the [`BoxError`] that can be
/// downcast to [`MockError`]; the latter may come out of `poll_ready` or of the call. Configure a
/// layer that retries so that it does not.
///
/// # Errors
///
/// The violation.
pub async fn passes_errors_through<S>(make: impl Fn(Mock) -> S) -> Result<(), Violation>
where
    S: Service<u32, Response = u32, Error = BoxError>,
{
    let check = Check::PassesErrorsThrough;
    let same = |result: Result<u32, BoxError>, expected: MockError| {
        let found = result.as_ref().err().and_then(|error| error.downcast_ref());
        ensure(check, found == Some(&expected), || {
            format!("the inner service failed with `{expected}`, the caller got {result:?}")
        })
    };

    let (inner, mock_of_call) = mock();
    mock_of_call.script([Err(MockError::Failed(7))]);
    let mut subject = Subject::new(check, make(inner));
    same(subject.request(1).await?, MockError::Failed(7))?;
    ensure_used(check, &mock_of_call)?;

    let (inner, mock_of_readiness) = mock();
    mock_of_readiness.set_failed();
    let mut subject = Subject::new(check, make(inner));
    same(subject.request(1).await?, MockError::NotReady)
}
