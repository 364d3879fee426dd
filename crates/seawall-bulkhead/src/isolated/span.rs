//! The span of the caller, carried to the thread that does the work.

/// The span that was current when a call was made; nothing without the feature `tracing`.
#[derive(Debug)]
pub(crate) struct Span {
    #[cfg(feature = "tracing")]
    span: tracing::Span,
}

impl Span {
    pub(crate) fn current() -> Self {
        Self {
            #[cfg(feature = "tracing")]
            span: tracing::Span::current(),
        }
    }

    #[cfg(feature = "tracing")]
    pub(crate) fn carry<F: Future>(self, future: F) -> tracing::instrument::Instrumented<F> {
        tracing::Instrument::instrument(future, self.span)
    }

    #[cfg(not(feature = "tracing"))]
    pub(crate) fn carry<F: Future>(self, future: F) -> F {
        future
    }

    #[cfg(feature = "tracing")]
    pub(crate) fn run<T>(&self, work: impl FnOnce() -> T) -> T {
        self.span.in_scope(work)
    }

    #[cfg(not(feature = "tracing"))]
    #[allow(clippy::unused_self, reason = "the span is there with the feature")]
    pub(crate) fn run<T>(&self, work: impl FnOnce() -> T) -> T {
        work()
    }
}
