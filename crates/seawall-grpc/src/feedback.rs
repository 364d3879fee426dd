//! What gRPC responses report about limits.

use std::time::Duration;

use http::HeaderMap;
use seawall_core::InstanceName;
use seawall_http::quota::{HttpFeedback, RateLimitHeaders};

use crate::classify::GrpcClassifier;
use crate::pushback::Pushback;

/// Reads the throttles of gRPC responses, for the feedback of a rate limit: `RESOURCE_EXHAUSTED`
/// pauses it for the server's pushback, and as an exhausted quota where that is "never".
///
/// A pushback that is longer than the classifier applies is bounded, counted and emitted, beside
/// any code: see [`HttpFeedback::handle`]. For another bound add
/// `.classify(GrpcClassifier.with_longest_wait(..)?)`. It reads the `http::Response`s of a channel, by
/// their heads; a status in the trailers of a stream comes too late for it.
///
/// ```
/// use std::time::Duration;
/// use seawall_core::{QuotaSignal, ReadQuotaSignals, Scope};
/// use seawall_grpc::GrpcError;
///
/// let feedback = seawall_grpc::feedback("quotes");
/// let throttle = http::Response::builder()
///     .header("grpc-status", "8")
///     .header("grpc-retry-pushback-ms", "86400000")
///     .body(())?;
/// let mut signals = Vec::new();
/// feedback.read_signals(Ok::<_, &GrpcError>(&throttle), &mut |signal| signals.push(signal));
///
/// let lasts = Some(Duration::from_secs(15 * 60));
/// assert_eq!(signals, [QuotaSignal::Pause { lasts, scope: Scope::Upstream }]);
/// assert_eq!(feedback.handle().counts().bounded_wait, 1);
/// # Ok::<(), http::Error>(())
/// ```
pub fn feedback(name: impl Into<InstanceName>) -> HttpFeedback<GrpcClassifier> {
    HttpFeedback::new(name, RateLimitHeaders::new())
        .classify(GrpcClassifier)
        .asked_wait(asked)
}

/// "Never" is no wait: nothing of it is bounded.
fn asked(headers: &HeaderMap) -> Option<Duration> {
    match Pushback::of(headers)? {
        Pushback::After(wait) => Some(wait),
        Pushback::Never => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::GrpcError;
    use http::Response;
    use seawall_core::{
        EventKind, Events, InstanceHandle, QuotaSignal, ReadQuotaSignals, Received, Scope,
    };

    const HOUR: Duration = Duration::from_secs(3_600);

    fn response(code: &str, pushback: &str) -> Response<()> {
        let response = Response::builder()
            .header("grpc-status", code)
            .header(crate::RETRY_PUSHBACK_MS, pushback);
        response.body(()).unwrap()
    }

    fn signals<C>(feedback: &HttpFeedback<C>, response: &Response<()>) -> Vec<QuotaSignal>
    where
        HttpFeedback<C>: ReadQuotaSignals<Response<()>, GrpcError>,
    {
        let mut signals = Vec::new();
        feedback.read_signals(Ok(response), &mut |signal| signals.push(signal));
        signals
    }

    #[test]
    fn a_pushback_that_is_bounded_is_counted_and_emitted() {
        let feedback = feedback("quotes");
        let events = Events::new(8);
        let mut subscription = events.subscribe();
        feedback.handle().attach(&events);
        let scope = Scope::Upstream;
        let lasts = Some(seawall_http::LONGEST_WAIT);
        let pause = QuotaSignal::Pause { lasts, scope };
        assert_eq!(signals(&feedback, &response("8", "7200000")), [pause]);
        let Some(Received::Event(event)) = subscription.try_next() else {
            panic!("no event");
        };
        let bounded = EventKind::Bounded {
            what: "wait_ms",
            reported: 7_200_000,
            applied: 900_000,
        };
        assert_eq!((event.name.as_str(), event.kind), ("quotes", bounded));
        // Read by the breaker and by the retry.
        assert_eq!(signals(&feedback, &response("14", "7200000")), []);
        let Some(Received::Event(event)) = subscription.try_next() else {
            panic!("no event");
        };
        assert_eq!(event.kind, bounded);
        assert_eq!(feedback.handle().counts().bounded_wait, 2);
    }

    #[test]
    fn what_is_applied_in_full_is_not_counted() {
        let feedback = feedback("quotes");
        for (code, pushback) in [
            ("8", "900000"),
            ("14", "250"),
            ("14", "-1"),
            ("0", "7200000"),
        ] {
            signals(&feedback, &response(code, pushback));
        }
        let never = QuotaSignal::Ban {
            lasts: None,
            scope: Scope::Account,
        };
        assert_eq!(signals(&feedback, &response("8", "-1")), [never]);
        assert_eq!(feedback.handle().counts().bounded_wait, 0);
        let hours = GrpcClassifier.with_longest_wait(2 * HOUR).unwrap();
        let feedback = feedback.classify(hours);
        let pause = QuotaSignal::Pause {
            lasts: Some(2 * HOUR),
            scope: Scope::Upstream,
        };
        assert_eq!(signals(&feedback, &response("8", "7200000")), [pause]);
        assert_eq!(feedback.handle().counts().bounded_wait, 0);
        signals(&feedback, &response("8", "7200001"));
        assert_eq!(feedback.handle().counts().bounded_wait, 1);
    }
}
