//! What responses report about limits.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::io;

use http::Response;
use seawall_core::{QuotaSignal, ReadQuotaSignals};
use seawall_http::quota::{HttpFeedback, LimitHeaders, RateLimitHeaders, ResetFormat, Usage};
use static_assertions::assert_impl_all;

assert_impl_all!(RateLimitHeaders: Clone, Send, Sync, Unpin);
assert_impl_all!(HttpFeedback: Clone, Send, Sync, Unpin);
assert_impl_all!(LimitHeaders: Clone, Send, Sync);
assert_impl_all!(ResetFormat: Copy, Send, Sync);

#[test]
fn reading_a_response_allocates_nothing() {
    let date = "Tue, 21 Mar 2023 15:13:07 GMT";
    let response = Response::builder()
        .header("date", date)
        .header("x-ratelimit-remaining", "7.5")
        .header("x-ratelimit-reset", "1679411617")
        .header("x-ratelimit-reset-tokens", "1h23m31.5s")
        .header(
            "anthropic-ratelimit-tokens-reset",
            "2023-03-21T15:13:37.25Z",
        )
        .header("x-mbx-used-weight-1m", "250")
        .header("ratelimit-policy", "\"a\";q=100;w=60")
        .header("ratelimit", "\"a\";r=5;t=3")
        .extension(Usage::new(9, 12))
        .body(())
        .unwrap();
    let readers = [
        RateLimitHeaders::alpaca(),
        RateLimitHeaders::openai(),
        RateLimitHeaders::anthropic(),
        RateLimitHeaders::binance(),
        RateLimitHeaders::coinbase(),
        RateLimitHeaders::ietf(),
    ];
    for reader in readers {
        let feedback = HttpFeedback::new("test", reader);
        let mut limits = 0;
        let mut used = 0;
        let counted = seawall_testkit::alloc::count(|| {
            let result = Ok::<_, &io::Error>(&response);
            feedback.read_signals(result, &mut |signal| match signal {
                QuotaSignal::Used { .. } => used += 1,
                _ => limits += 1,
            });
        });
        assert_eq!((limits, used), (1, 3), "{feedback:?}");
        assert_eq!(counted.allocations, 0, "{feedback:?}");
    }
}
