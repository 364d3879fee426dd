//! Clients of market-data vendors: reads only, strict limits, answers that go stale.

use std::time::Duration;

use seawall_breaker::BreakerConfig;
use seawall_bulkhead::BulkheadConfig;
use seawall_core::{Backoff, InstanceName, InvalidConfig};
use seawall_ratelimit::{Limit, RateLimitConfig};
use seawall_retry::RetryConfig;

use crate::settings::{Settings, StackBuilder};

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(24 * 3_600);
const MINUTE: Duration = Duration::from_secs(60);

/// A stack for a market-data vendor: quotes, bars, snapshots.
///
/// Every request is a read, so it is tried again up to four times; an answer that takes longer
/// than five seconds is of no use. Its rate is 80 % of 100 requests per minute; set your vendor's
/// own with [`StackBuilder::rate_limit`], or begin with a vendor's function of this module. For a
/// vendor that hides throttles in a 200, add [`HttpStack::inspect`](crate::HttpStack::inspect).
///
/// ```
/// # use tower::{ServiceBuilder, service_fn};
/// # type Body = http_body_util::Full<bytes::Bytes>;
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let http_client = service_fn(|_: http::Request<Body>| async {
/// #     Ok::<_, std::convert::Infallible>(http::Response::new(Body::default()))
/// # });
/// # use tower::ServiceExt;
/// let stack = seawall::market_data("polygon").build()?;
/// let client = ServiceBuilder::new().layer(stack).service(http_client);
/// let answer = client.oneshot(http::Request::get("/v2/last/nbbo/SPY").body(Body::default())?).await?;
/// # assert!(answer.status().is_success());
/// # Ok(()) }
/// ```
pub fn market_data(name: impl Into<InstanceName>) -> StackBuilder {
    StackBuilder::new(name, settings())
}

fn settings() -> Result<Settings, InvalidConfig> {
    Ok(Settings {
        // Older quotes are worse than none.
        deadline: 15 * SECOND,
        // Reads cost little and vendors blink often.
        retry: RetryConfig::builder()
            .attempts(5)
            .backoff(Backoff::exponential(SECOND / 2, 10 * SECOND)?)
            .build()?,
        // Many symbols are asked for at once.
        bulkhead: BulkheadConfig::builder()
            .max_concurrent(20)
            .max_waiting(50)
            .max_wait(5 * SECOND)
            .build()?,
        // 80 % of 100 per minute; 80 + 10 in any minute stay below it.
        rate_limit: RateLimitConfig::builder()
            .rate(80, MINUTE)
            .burst(10)
            .max_wait(5 * SECOND)
            .build()?,
        // Other sources exist: leave early, come back soon.
        breaker: BreakerConfig::builder()
            .consecutive_failures(3)
            .failure_rate(0.5, 100)
            .min_calls(20)
            .open_for(30 * SECOND)
            .build()?,
        // A vendor that needs longer for a quote is down.
        attempt_timeout: 5 * SECOND,
    })
}

/// Polygon (Massive), a paid plan: 80 % of the 100 requests per second that it advises to stay
/// under ([request limit](https://massive.com/knowledge-base)), thirty at once, and a circuit that
/// opens after five failures in a row for half a minute.
pub fn polygon(name: impl Into<InstanceName>) -> StackBuilder {
    let settings = settings().and_then(|s| {
        Ok(Settings {
            bulkhead: BulkheadConfig::builder()
                .max_concurrent(30)
                .max_waiting(256)
                .max_wait(5 * SECOND)
                .build()?,
            rate_limit: RateLimitConfig::builder()
                .rate(80, SECOND)
                .burst(20)
                .max_wait(5 * SECOND)
                .max_waiting(256)
                .build()?,
            breaker: BreakerConfig::builder()
                .consecutive_failures(5)
                .failure_rate(0.5, 100)
                .min_calls(50)
                .open_for(30 * SECOND)
                .build()?,
            attempt_timeout: 10 * SECOND,
            deadline: 30 * SECOND,
            ..s
        })
    });
    StackBuilder::new(name, settings)
}

/// Alpha Vantage, the free plan: 80 % of one request per second, and its quota of 25 a day. When
/// its day begins is not documented, so no stretch of 24 hours sees more. A quota that other
/// programs have used up is recognised and not tried again when the stack is built with
/// `.inspect(seawall::http::inspect::alpha_vantage)`.
pub fn alpha_vantage(name: impl Into<InstanceName>) -> StackBuilder {
    let settings = (|| {
        Ok(Settings {
            bulkhead: BulkheadConfig::builder()
                .max_concurrent(2)
                .max_waiting(10)
                .max_wait(30 * SECOND)
                .build()?,
            rate_limit: RateLimitConfig::builder()
                .rate(4, 5 * SECOND)
                .burst(1)
                .limit(Limit::strict(25, DAY))
                .max_wait(20 * SECOND)
                .build()?,
            // Every attempt costs one of twenty-five a day.
            retry: RetryConfig::builder()
                .attempts(2)
                .backoff(Backoff::exponential(2 * SECOND, 10 * SECOND)?)
                .build()?,
            breaker: BreakerConfig::builder()
                .consecutive_failures(2)
                .open_for(2 * MINUTE)
                .build()?,
            attempt_timeout: 15 * SECOND,
            deadline: MINUTE,
        })
    })();
    StackBuilder::new(name, settings)
}

/// NewsAPI, the developer plan: one request per second, three at once, and its 50 requests every
/// 12 hours ([errors](https://newsapi.org/docs/errors)), of which no stretch of 12 hours sees more.
/// A paid plan overrides the [rate limit](StackBuilder::rate_limit).
pub fn news_api(name: impl Into<InstanceName>) -> StackBuilder {
    let settings = (|| {
        Ok(Settings {
            bulkhead: BulkheadConfig::builder()
                .max_concurrent(3)
                .max_waiting(10)
                .max_wait(15 * SECOND)
                .build()?,
            rate_limit: RateLimitConfig::builder()
                .rate(1, SECOND)
                .burst(1)
                .limit(Limit::strict(50, DAY / 2))
                .max_wait(15 * SECOND)
                .build()?,
            retry: RetryConfig::builder()
                .attempts(2)
                .backoff(Backoff::exponential(2 * SECOND, 30 * SECOND)?)
                .build()?,
            breaker: BreakerConfig::builder()
                .consecutive_failures(3)
                .open_for(2 * MINUTE)
                .build()?,
            attempt_timeout: 15 * SECOND,
            deadline: 45 * SECOND,
        })
    })();
    StackBuilder::new(name, settings)
}

/// Reddit's data API: 80 % of its 100 queries per minute, which it averages over ten minutes
/// ("Reddit Data API Wiki" on <https://support.reddithelp.com>). Posts and
/// comments are sent once.
pub fn reddit(name: impl Into<InstanceName>) -> StackBuilder {
    let settings = (|| {
        Ok(Settings {
            bulkhead: BulkheadConfig::builder()
                .max_concurrent(4)
                .max_waiting(50)
                .max_wait(30 * SECOND)
                .build()?,
            rate_limit: RateLimitConfig::builder()
                .rate(80, MINUTE)
                .burst(20)
                .max_wait(30 * SECOND)
                .build()?,
            retry: RetryConfig::builder()
                .attempts(3)
                .backoff(Backoff::exponential(SECOND, 4 * SECOND)?)
                .build()?,
            breaker: BreakerConfig::builder()
                .failure_rate(0.5, 100)
                .min_calls(10)
                .open_for(30 * SECOND)
                .build()?,
            attempt_timeout: 16 * SECOND,
            deadline: MINUTE,
        })
    })();
    let reddit = StackBuilder::new(name, settings);
    #[cfg(feature = "http")]
    let reddit = reddit.headers(seawall_http::RateLimitHeaders::reddit());
    reddit
}

/// Yahoo Finance, which publishes no limit and answers a breach with a block of a quarter of an
/// hour and more: four requests in ten seconds, two at once, and more failures borne than
/// elsewhere. Its 429 is a ban: build with
/// `.classifier(HttpClassifier::new().ban_on(StatusCode::TOO_MANY_REQUESTS, lasts))`.
pub fn yahoo_finance(name: impl Into<InstanceName>) -> StackBuilder {
    let settings = (|| {
        Ok(Settings {
            bulkhead: BulkheadConfig::builder()
                .max_concurrent(2)
                .max_waiting(12)
                .max_wait(30 * SECOND)
                .build()?,
            rate_limit: RateLimitConfig::builder()
                .rate(4, 10 * SECOND)
                .burst(1)
                .max_wait(30 * SECOND)
                .build()?,
            retry: RetryConfig::builder()
                .attempts(2)
                .backoff(Backoff::exponential(2 * SECOND, 10 * SECOND)?)
                .build()?,
            breaker: BreakerConfig::builder()
                .consecutive_failures(10)
                .open_for(MINUTE)
                .build()?,
            attempt_timeout: 20 * SECOND,
            deadline: MINUTE,
        })
    })();
    StackBuilder::new(name, settings)
}

/// SEC EDGAR: 80 % of ten requests per second, which it counts per user over all machines
/// ([fair access](https://www.sec.gov/os/accessing-edgar-data)). Over it, the address is shut out
/// until it has been quiet for ten minutes: build with `.classifier(..)` that takes 403 and 429
/// for a ban, and send the User-Agent that the SEC asks for.
pub fn sec_edgar(name: impl Into<InstanceName>) -> StackBuilder {
    let settings = (|| {
        Ok(Settings {
            bulkhead: BulkheadConfig::builder()
                .max_concurrent(4)
                .max_waiting(200)
                .max_wait(30 * SECOND)
                .build()?,
            rate_limit: RateLimitConfig::builder()
                .rate(8, SECOND)
                .burst(2)
                .max_wait(30 * SECOND)
                .build()?,
            retry: RetryConfig::builder()
                .attempts(4)
                .backoff(Backoff::exponential(SECOND, 16 * SECOND)?)
                .build()?,
            breaker: BreakerConfig::builder()
                .failure_rate(0.5, 100)
                .min_calls(10)
                .open_for(MINUTE)
                .build()?,
            attempt_timeout: 30 * SECOND,
            deadline: 90 * SECOND,
        })
    })();
    StackBuilder::new(name, settings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_vendors_numbers_make_a_stack() {
        for vendor in [
            market_data("m"),
            polygon("p"),
            alpha_vantage("a"),
            news_api("n"),
            reddit("r"),
            yahoo_finance("y"),
            sec_edgar("s"),
        ] {
            let settings = vendor.settings().expect("valid").clone();
            // 80 % of a limit and a burst of a fifth of it never pass the limit.
            let per_burst = settings.rate_limit.limits()[0].capacity() * 4;
            assert!(
                per_burst <= settings.rate_limit.limits()[0].count().max(4),
                "{settings:?}"
            );
            assert!(vendor.build_generic().is_ok());
        }
    }
}
