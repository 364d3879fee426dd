//! The spans of calls and attempts, where the feature `tracing` is on and the settings ask for them.
//!
//! They are kept here, and a call has the place of its own: most calls have none, and what they carry must not
//! grow for those that do.

#[cfg(feature = "tracing")]
pub(crate) use on::{Entered, end, enter, open};

#[cfg(not(feature = "tracing"))]
pub(crate) use off::{Entered, end, enter, open};

/// Where the span of a call is kept.
pub(crate) type Place = u64;

#[cfg(feature = "tracing")]
mod on {
    use std::cell::{Cell, RefCell};
    use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
    use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

    use seawall_core::Operation;
    use tracing::Span;
    use tracing::field::Empty;
    use tracing::level_filters::LevelFilter;
    use tracing::span::EnteredSpan;

    use super::Place;
    use crate::counts::{End, error_word};
    use crate::state::{Id, here};
    use crate::stripe::Settings;

    /// Threads that open spans at the same time mostly take different ones.
    const SHARDS: usize = 16;

    static OPEN: [Mutex<Shard>; SHARDS] = [const { Mutex::new(Shard::NEW) }; SHARDS];

    /// Spans by their index, and which indices are free.
    struct Shard {
        open: Vec<Open>,
        free: Vec<usize>,
    }

    #[derive(Default)]
    struct Open {
        /// When the call began, by the clock of the process.
        started: u64,
        /// `None` while a part of the call runs, which has it then.
        span: Option<CallSpan>,
    }

    struct CallSpan {
        span: Span,
        /// Of a call.
        attempts: Option<Attempts>,
    }

    /// The instance of a call, and how many attempts that has made.
    type Attempts = (Id, Arc<AtomicU32>);

    thread_local! {
        /// The call that runs on this thread.
        static CALL: RefCell<Option<Attempts>> = const { RefCell::new(None) };
        /// The shard that this thread opens spans in.
        static SHARD: Cell<Option<usize>> = const { Cell::new(None) };
    }

    /// Opens one, if that instance makes any. The call has begun at `arrival`, or begins now.
    #[inline]
    pub(crate) fn open(
        id: Id,
        operation: Operation,
        is_attempt: bool,
        arrival: Option<u64>,
    ) -> Option<Place> {
        if Settings::any_spans() {
            open_of(id, operation, is_attempt, arrival)
        } else {
            None
        }
    }

    #[cold]
    #[inline(never)]
    fn open_of(
        id: Id,
        operation: Operation,
        is_attempt: bool,
        arrival: Option<u64>,
    ) -> Option<Place> {
        let span = CallSpan::open(id, operation, is_attempt)?;
        let started = arrival.unwrap_or_else(|| id.clock().now());
        Some(Shard::keep(Open {
            started,
            span: Some(span),
        }))
    }

    /// A part of the call runs: its span is the current one until that is dropped.
    pub(crate) fn enter(place: Place) -> Option<Entered> {
        let CallSpan { span, attempts } = shard(place).open.get_mut(index(place))?.span.take()?;
        let before = attempts
            .as_ref()
            .map(|attempts| CALL.replace(Some(attempts.clone())));
        Some(Entered {
            place,
            attempts,
            before,
            span: Some(span.entered()),
        })
    }

    /// Ends it. Returns when the call has begun.
    #[cold]
    pub(crate) fn end(place: Place, end: End, error: Option<u8>) -> u64 {
        let Open { started, span } = Shard::take(place);
        // Not under the lock: the subscriber is code of the user.
        if let Some(CallSpan { span, .. }) = span {
            span.record("outcome", end.as_str());
            if let Some(error) = error {
                span.record("error.type", error_word(usize::from(error)));
                if end != End::Ignored {
                    span.record("otel.status_code", "ERROR");
                }
            }
        }
        started
    }

    /// While a part of a call runs, its span is the current one.
    pub(crate) struct Entered {
        place: Place,
        attempts: Option<Attempts>,
        /// What ran before, if this is a call.
        before: Option<Option<Attempts>>,
        span: Option<EnteredSpan>,
    }

    impl Drop for Entered {
        fn drop(&mut self) {
            if let Some(before) = self.before.take() {
                CALL.set(before);
            }
            let attempts = self.attempts.take();
            let span = self.span.take().map(EnteredSpan::exit);
            if let Some(open) = shard(self.place).open.get_mut(index(self.place)) {
                open.span = span.map(|span| CallSpan { span, attempts });
            }
        }
    }

    impl CallSpan {
        fn open(id: Id, operation: Operation, is_attempt: bool) -> Option<Self> {
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
                // Signed: OpenTelemetry has no other integers.
                span.record("http.request.resend_count", i64::from(earlier));
            }
            let attempts = (!is_attempt).then(|| (id, Arc::default()));
            Some(Self { span, attempts })
        }
    }

    /// How many attempts the running call has made before this one, if it is of the same instance.
    fn earlier_attempts(id: Id) -> Option<u32> {
        CALL.with_borrow(|call| {
            let (_, attempts) = call.as_ref().filter(|(of, _)| *of == id)?;
            Some(attempts.fetch_add(1, Ordering::Relaxed))
        })
    }

    impl Shard {
        const NEW: Self = Self {
            open: Vec::new(),
            free: Vec::new(),
        };

        fn keep(open: Open) -> Place {
            static THREADS: AtomicUsize = AtomicUsize::new(0);
            let number = SHARD.get().unwrap_or_else(|| {
                let next = THREADS.fetch_add(1, Ordering::Relaxed) % SHARDS;
                SHARD.set(Some(next));
                next
            });
            let mut shard = shard(number as Place);
            let index = match shard.free.pop() {
                Some(index) => {
                    shard.open[index] = open;
                    index
                }
                None => {
                    shard.open.push(open);
                    shard.open.len() - 1
                }
            };
            (index * SHARDS + number) as Place
        }

        fn take(place: Place) -> Open {
            let mut shard = shard(place);
            let Some(open) = shard.open.get_mut(index(place)).map(std::mem::take) else {
                return Open::default();
            };
            shard.free.push(index(place));
            open
        }
    }

    fn shard(place: Place) -> MutexGuard<'static, Shard> {
        let shard = &OPEN[place as usize % SHARDS];
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn index(place: Place) -> usize {
        place as usize / SHARDS
    }
}

#[cfg(not(feature = "tracing"))]
mod off {
    use seawall_core::Operation;

    use super::Place;
    use crate::counts::End;
    use crate::state::Id;

    /// Never.
    pub(crate) type Entered = std::convert::Infallible;

    #[inline]
    pub(crate) const fn open(_: Id, _: Operation, _: bool, _: Option<u64>) -> Option<Place> {
        None
    }

    pub(crate) const fn enter(_: Place) -> Option<Entered> {
        None
    }

    pub(crate) const fn end(_: Place, _: End, _: Option<u8>) -> u64 {
        0
    }
}
