//! An upstream that does what each request names.

#![allow(dead_code, reason = "each test uses its own part of it")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use seawall_breaker::{Breaker, BreakerConfig, BreakerConfigBuilder, BreakerHandle, BreakerLayer};
use seawall_core::{Error, FailureKind, Outcome, Rejectable, Rejection, Scope, WrapError};
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tower::util::BoxCloneService;
use tower::{Layer, Service, ServiceExt, service_fn};

pub(crate) const MS: Duration = Duration::from_millis(1);
pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// What the upstream does with a request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Do {
    Succeed,
    Fail,
    /// Succeeds, after so long.
    Take(Duration),
    /// Fails, after so long.
    FailAfter(Duration),
    Hang,
    Ban(Option<Duration>),
    /// After the first time, bans the client for the second.
    BanAfter(Duration, Duration),
    Throttle(Option<Duration>, Scope),
    BadRequest,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Failed(pub(crate) Outcome);

pub(crate) type Upstream = BoxCloneService<Do, (), Error<Failed>>;
pub(crate) type Policy = seawall_breaker::Policy<Classifier>;
type Classifier = fn(Result<&(), &Error<Failed>>) -> Outcome;

fn classify(result: Result<&(), &Error<Failed>>) -> Outcome {
    match result {
        Ok(()) => Outcome::Success,
        Err(Error::Inner(Failed(outcome))) => *outcome,
        Err(_) => Outcome::Ignored,
    }
}

async fn carry_out(what: Do) -> Result<(), Failed> {
    let failure = Outcome::Failure(FailureKind::Server);
    match what {
        Do::Succeed => Ok(()),
        Do::Fail => Err(Failed(failure)),
        Do::Take(time) => {
            sleep(time).await;
            Ok(())
        }
        Do::FailAfter(time) => {
            sleep(time).await;
            Err(Failed(failure))
        }
        Do::Hang => std::future::pending().await,
        Do::Ban(lasts) => Err(Failed(Outcome::Banned { lasts })),
        Do::BanAfter(time, lasts) => {
            sleep(time).await;
            Err(Failed(Outcome::Banned { lasts: Some(lasts) }))
        }
        Do::Throttle(retry_after, scope) => Err(Failed(Outcome::Throttled { retry_after, scope })),
        Do::BadRequest => Err(Failed(Outcome::Ignored)),
    }
}

/// A breaker over such an upstream.
pub(crate) struct Subject {
    pub(crate) layer: BreakerLayer<Policy>,
    pub(crate) service: Breaker<Upstream, Policy>,
    pub(crate) handle: BreakerHandle,
    sent: Arc<AtomicU64>,
}

/// The settings that most tests start from: open for ten seconds, and one probe closes.
pub(crate) fn settings() -> BreakerConfigBuilder {
    BreakerConfig::builder().open_for(10 * SECOND)
}

pub(crate) fn subject(builder: BreakerConfigBuilder) -> Subject {
    let config = builder.build().expect("valid");
    let layer = BreakerLayer::new("upstream", config).classify(classify as Classifier);
    let sent: Arc<AtomicU64> = Arc::default();
    let counted = Arc::clone(&sent);
    let upstream = BoxCloneService::new(WrapError::new(service_fn(move |what| {
        counted.fetch_add(1, Ordering::SeqCst);
        carry_out(what)
    })));
    Subject {
        service: layer.layer(upstream),
        handle: layer.handle(),
        layer,
        sent,
    }
}

impl Subject {
    /// Calls that reached the upstream.
    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Ordering::SeqCst)
    }

    pub(crate) async fn send(&self, what: Do) -> Result<(), Error<Failed>> {
        self.service.clone().oneshot(what).await
    }

    /// Makes a call and does not poll it.
    pub(crate) fn call(&mut self, what: Do) -> <Breaker<Upstream, Policy> as Service<Do>>::Future {
        let ready = self
            .service
            .poll_ready(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(ready, Poll::Ready(Ok(()))));
        self.service.call(what)
    }

    pub(crate) async fn times(&self, times: u32, what: Do) {
        for _ in 0..times {
            let _ = self.send(what).await;
        }
    }

    /// Makes a call that goes on in a task of its own; it is admitted when this returns.
    pub(crate) async fn spawn(&self, what: Do) -> JoinHandle<Result<(), Error<Failed>>> {
        let call = tokio::spawn(self.service.clone().oneshot(what));
        tokio::task::yield_now().await;
        call
    }

    /// The rejection of a call that is made now.
    pub(crate) async fn rejection(&self) -> Rejection {
        let error = self.send(Do::Succeed).await.expect_err("rejected");
        *error.rejection().expect("a rejection, not the inner error")
    }

    pub(crate) async fn passes(&self, what: Do) -> bool {
        match self.send(what).await {
            Ok(()) => true,
            Err(error) => error.rejection().is_none(),
        }
    }
}
