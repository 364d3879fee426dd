//! One run of a check, whose panics are results.

use std::any::Any;
use std::future::Future;
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::CheckResult;
use crate::result::bounded;

pub(crate) type Panic = Box<dyn Any + Send>;

pub(crate) type Running = Pin<Box<dyn Future<Output = CheckResult> + Send>>;
pub(crate) type Begin = Box<dyn Fn() -> Running + Send + Sync>;

/// A run of a check whose panics are results. The check is begun at the first poll, so that a
/// panic in making its future is caught too, as is one in dropping it.
pub(crate) struct Run<'a>(Stage<'a>);

enum Stage<'a> {
    New(&'a Begin),
    Running(Running),
    Over,
}

impl<'a> Run<'a> {
    pub(crate) const fn new(begin: &'a Begin) -> Self {
        Self(Stage::New(begin))
    }
}

impl Run<'_> {
    /// Drops the run, wherever it is.
    pub(crate) fn end(&mut self) -> Result<(), Panic> {
        let run = std::mem::replace(&mut self.0, Stage::Over);
        catch_unwind(AssertUnwindSafe(|| drop(run)))
    }
}

impl Drop for Run<'_> {
    fn drop(&mut self) {
        // Of a run that was given up: there is no result any more.
        if let Err(panic) = self.end() {
            discard(panic);
        }
    }
}

impl Future for Run<'_> {
    type Output = Result<CheckResult, Panic>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let stage = &mut self.0;
        // What a panic leaves behind is dropped and never polled again.
        let polled = catch_unwind(AssertUnwindSafe(|| {
            if let Stage::New(begin) = stage {
                *stage = Stage::Running(begin());
            }
            match stage {
                Stage::Running(running) => running.as_mut().poll(cx),
                Stage::New(_) | Stage::Over => Poll::Pending,
            }
        }));
        match polled {
            Ok(poll) => poll.map(Ok),
            Err(panic) => Poll::Ready(Err(panic)),
        }
    }
}

/// What `ask` returns, or the message of its panic.
pub(crate) fn caught<T>(ask: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(ask)).map_err(|panic| {
        let message = bounded(message(&*panic));
        discard(panic);
        message
    })
}

/// The result of a run that panicked.
pub(crate) fn panicked(panic: Panic) -> CheckResult {
    let result = CheckResult::failed(format!("the check panicked: {}", message(&*panic)));
    discard(panic);
    result
}

/// Drops the payload of a panic, which may panic in its turn.
fn discard(panic: Panic) {
    if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(panic))) {
        // This has to end somewhere.
        let _leaked = ManuallyDrop::new(again);
    }
}

fn message(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}
