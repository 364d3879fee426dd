//! Layers that try again.

use tower_service::Service;

use crate::contract::probe::{Subject, ensure, verdict};
use crate::contract::{BoxError, Check, Mock, MockError, Violation, mock};

/// Each attempt polls the readiness of what it calls (C7, C8, B2).
///
/// For subjects that try again, at least once, when the inner service answers with an error, with
/// or without a back-off. The inner service has room for one: an attempt that does not give back
/// what the one before it held waits for itself. The first answer is an error, the second an echo.
///
/// # Errors
///
/// The violation, also if there is no second attempt.
pub async fn every_attempt_polls_readiness<S>(make: impl Fn(Mock) -> S) -> Result<(), Violation>
where
    S: Service<u32, Response = u32, Error = BoxError>,
{
    let law = Check::EveryAttemptPollsReadiness;
    let (inner, mock) = mock();
    mock.set_capacity(1);
    mock.script([Err(MockError::Failed(1))]);
    let mut subject = Subject::new(law, make(inner));
    let answer = subject.request(1).await?;
    ensure(law, mock.violations().is_empty(), || {
        mock.violations().join("; ")
    })?;
    ensure(law, mock.requests() == [1, 1], || {
        format!(
            "expected two attempts of request 1, the inner service saw {:?}",
            mock.requests()
        )
    })?;
    ensure(law, matches!(answer, Ok(1)), || {
        format!("the second attempt was answered, the caller got {answer:?}")
    })?;
    subject
        .must_answer(2, "after a request that took two attempts")
        .await?;
    verdict(law, &mock)
}

/// Nothing of the inner service is held across a back-off (C10).
///
/// For subjects that pause, for longer than nothing, before they try again. While they do, no
/// reservation and no call of the inner service may be theirs.
///
/// # Errors
///
/// The violation, also if there is no pause.
pub async fn holds_nothing_while_it_backs_off<S>(make: impl Fn(Mock) -> S) -> Result<(), Violation>
where
    S: Service<u32, Response = u32, Error = BoxError>,
{
    let law = Check::HoldsNothingWhileItBacksOff;
    let (inner, mock) = mock();
    mock.set_capacity(1);
    mock.script([Err(MockError::Failed(1))]);
    let mut subject = Subject::new(law, make(inner));
    subject.must_be_ready("although the inner service is")?;
    let mut flight = subject.call(1)?;
    flight.must_pend("without a back-off")?;
    ensure(law, mock.calls() == 1, || {
        format!(
            "expected one attempt before the back-off, there were {}",
            mock.calls()
        )
    })?;
    let held = (mock.reserved(), mock.in_flight(), mock.futures());
    ensure(law, held == (0, 0, 0), || {
        format!(
            "while it backs off, {} reservations, {} open calls and {} inner futures are held",
            held.0, held.1, held.2
        )
    })?;
    let answer = flight.finish().await?;
    ensure(law, matches!(answer, Ok(1)), || {
        format!("the second attempt was answered, the caller got {answer:?}")
    })?;
    verdict(law, &mock)
}
