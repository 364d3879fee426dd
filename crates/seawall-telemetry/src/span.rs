//! The span of a call or an attempt, where the feature `tracing` is on and the settings ask for it.

#[cfg(feature = "tracing")]
pub(crate) use on::{Entered, SpanSlot};

#[cfg(not(feature = "tracing"))]
pub(crate) use off::{Entered, SpanSlot};

#[cfg(feature = "tracing")]
mod on {
    use std::cell::RefCell;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use seawall_core::Operation;
    use tracing::Span;
    use tracing::field::Empty;
    use tracing::level_filters::LevelFilter;

    use crate::counts::{End, error_word};
    use crate::state::{Id, here};
    use crate::stripe::Settings;

    thread_local! {
        /// The call that runs on this thread, by its instance, and how many attempts it has made.
        static CALL: RefCell<Option<Attempts>> = const { RefCell::new(None) };
    }

    type Attempts = (Id, Arc<AtomicU32>);

    /// The span of a call or an attempt, if it has one.
    #[derive(Debug, Default)]
    pub(crate) struct SpanSlot(Option<Box<CallSpan>>);

    #[derive(Debug)]
    struct CallSpan {
        span: Span,
        /// Of a call.
        attempts: Option<Attempts>,
    }

    impl SpanSlot {
        /// None.
        pub(crate) const NONE: Self = Self(None);

        /// Opens one, if that instance makes any.
        #[inline]
        pub(crate) fn open(id: Id, operation: Operation, is_attempt: bool) -> Self {
            if Settings::any_spans() {
                Self(CallSpan::open(id, operation, is_attempt))
            } else {
                Self::NONE
            }
        }

        #[inline]
        pub(crate) const fn is_open(&self) -> bool {
            self.0.is_some()
        }

        pub(crate) fn enter(&self) -> Option<Entered<'_>> {
            self.0.as_deref().map(CallSpan::enter)
        }

        /// Ends it, if there is one.
        pub(crate) fn end(&mut self, end: End, error: Option<u8>) {
            if let Some(open) = self.0.take() {
                open.end(end, error);
            }
        }
    }

    impl CallSpan {
        #[cold]
        #[inline(never)]
        fn open(id: Id, operation: Operation, is_attempt: bool) -> Option<Box<Self>> {
            if LevelFilter::current() < LevelFilter::INFO {
                return None;
            }
            let name = here(id, |stripe| stripe.settings.spans_of()).flatten()?;
            let (name, operation) = (name.as_str(), operation.as_str());
            let span = if is_attempt {
                tracing::info_span!(
                    target: "seawall", "attempt", name, operation, "otel.kind" = "client",
                    "http.request.resend_count" = Empty, outcome = Empty, "error.type" = Empty,
                    "otel.status_code" = Empty,
                )
            } else {
                tracing::info_span!(
                    target: "seawall", "call", name, operation, outcome = Empty,
                    "error.type" = Empty, "otel.status_code" = Empty,
                )
            };
            if span.is_disabled() {
                return None;
            }
            if is_attempt && let Some(earlier @ 1..) = earlier_attempts(id) {
                span.record("http.request.resend_count", earlier);
            }
            let attempts = (!is_attempt).then(|| (id, Arc::default()));
            Some(Box::new(Self { span, attempts }))
        }

        fn enter(&self) -> Entered<'_> {
            let before = self
                .attempts
                .as_ref()
                .map(|attempts| CALL.replace(Some(attempts.clone())));
            Entered {
                before,
                _entered: self.span.enter(),
            }
        }

        #[cold]
        fn end(&self, end: End, error: Option<u8>) {
            let span = &self.span;
            span.record("outcome", end.as_str());
            if let Some(error) = error {
                span.record("error.type", error_word(usize::from(error)));
                if end != End::Ignored {
                    span.record("otel.status_code", "ERROR");
                }
            }
        }
    }

    /// How many attempts the running call has made before this one, if it is of the same instance.
    fn earlier_attempts(id: Id) -> Option<u32> {
        CALL.with_borrow(|call| {
            let (_, attempts) = call.as_ref().filter(|(of, _)| *of == id)?;
            Some(attempts.fetch_add(1, Ordering::Relaxed))
        })
    }

    /// While a part of the call runs, its span is the current one.
    pub(crate) struct Entered<'a> {
        /// What ran before, if this is a call.
        before: Option<Option<Attempts>>,
        _entered: tracing::span::Entered<'a>,
    }

    impl Drop for Entered<'_> {
        fn drop(&mut self) {
            if let Some(before) = self.before.take() {
                CALL.set(before);
            }
        }
    }
}

#[cfg(not(feature = "tracing"))]
mod off {
    use seawall_core::Operation;

    use crate::counts::End;
    use crate::state::Id;

    /// Never entered.
    pub(crate) type Entered<'a> = std::marker::PhantomData<&'a ()>;

    /// No span.
    #[derive(Debug, Default)]
    pub(crate) struct SpanSlot;

    impl SpanSlot {
        pub(crate) const NONE: Self = Self;

        #[inline]
        pub(crate) const fn open(_: Id, _: Operation, _: bool) -> Self {
            Self
        }

        #[inline]
        pub(crate) const fn is_open(&self) -> bool {
            false
        }

        pub(crate) const fn enter(&self) -> Option<Entered<'_>> {
            None
        }

        pub(crate) const fn end(&mut self, _: End, _: Option<u8>) {}
    }
}
