//! Layers that make further attempts.

use tower_service::Service;

use crate::contract::subject::{Subject, ensure, ensure_used};
use crate::contract::{BoxError, Check, Mock, MockError, Violation, mock};

/// Each attempt polls the readiness of what it calls (C7, C8, B2).
///
/// For subjects that make at least one further attempt when the inner service fails, with or
/// without a backoff. The inner service has a capacity of one: an attempt that does not release
/// what the one before it held waits for itself. The first result is an error, the second an echo.
///
/// # Errors
///
/// The violation, also if there is no second attempt.
pub async fn every_attempt_polls_readiness<S>(make: impl Fn(Mock) -> S) -> Result<(), Violation>
where
    S: Service<u32, Response = u32, Error = BoxError>,
{
    let check = Check::EveryAttemptPollsReadiness;
    let (inner, mock) = mock();
    mock.set_capacity(1);
    mock.script([Err(MockError::Failed(1))]);
    let mut subject = Subject::new(check, make(inner));
    let result = subject.request(1).await?;
    ensure(check, mock.violations().is_empty(), || {
        mock.violations().join("; ")
    })?;
    ensure(check, mock.requests() == [1, 1], || {
        format!(
            "expected two attempts of request 1, the inner service saw {:?}",
            mock.requests()
        )
    })?;
    ensure(check, matches!(result, Ok(1)), || {
        format!("the second attempt succeeded, the caller got {result:?}")
    })?;
    subject
        .must_respond(2, "after a request that took two attempts")
        .await?;
    ensure_used(check, &mock)
}

/// Nothing of the inner service is held during a backoff (C10).
///
/// For subjects with a backoff above zero between attempts. During it, they may hold no reservation
/// and no open call of the inner service.
///
/// # Errors
///
/// The violation, also if there is no backoff.
pub async fn holds_nothing_during_backoff<S>(make: impl Fn(Mock) -> S) -> Result<(), Violation>
where
    S: Service<u32, Response = u32, Error = BoxError>,
{
    let check = Check::HoldsNothingDuringBackoff;
    let (inner, mock) = mock();
    mock.set_capacity(1);
    mock.script([Err(MockError::Failed(1))]);
    let mut subject = Subject::new(check, make(inner));
    subject.must_be_ready("although the inner service is")?;
    let mut call = subject.call(1)?;
    call.must_pend("without a backoff")?;
    ensure(check, mock.calls() == 1, || {
        format!(
            "expected one attempt before the backoff, there were {}",
            mock.calls()
        )
    })?;
    let held = (mock.reserved(), mock.in_flight(), mock.futures());
    ensure(check, held == (0, 0, 0), || {
        format!(
            "during the backoff, {} reservations, {} open calls and {} inner futures are held",
            held.0, held.1, held.2
        )
    })?;
    call.must_echo().await?;
    ensure_used(check, &mock)
}
