//! Clients of market-data vendors: reads only, strict limits, responses that go stale.

use seawall_core::{InstanceName, Unit};

use super::{BREAKER, Breaker, Bulkhead, DAY, MINUTE, Preset, RATE, RETRY, Rate, Retry};
#[cfg(feature = "http")]
use super::{HttpClassifier, HttpParts, InspectLayer, RateLimitHeaders};
use super::{SECOND, millis, secs};
use crate::StackBuilder;

/// A stack for any market-data vendor: quotes, bars, snapshots.
///
/// `name` is a label: what rejections, events and metrics call this stack. It selects nothing: the
/// stacks of known vendors, with their limits, headers and errors, are in [`data`](crate::data).
///
/// It is made for reads, which are tried again up to four times: GET, HEAD, OPTIONS, TRACE. Any other
/// method, such as POST, PUT and DELETE, is sent once, unless [routes](crate::HttpStack::describe) say
/// that it may be sent again. A response that takes longer than five seconds is of no use. Its rate is 80 requests per minute; set your vendor's own with
/// [`StackBuilder::rate_limit`]. For a vendor that hides throttles in a 200, add
/// [`HttpStack::inspect`](crate::HttpStack::inspect).
///
/// ```
/// # use tower::{ServiceBuilder, service_fn};
/// # type Body = http_body_util::Full<bytes::Bytes>;
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let http_client = service_fn(|_: http::Request<Body>| async {
/// #     Ok::<_, std::convert::Infallible>(http::Response::new(Body::default()))
/// # });
/// # use tower::ServiceExt;
/// let stack = seawall::market_data("my-vendor").build()?;
/// let client = ServiceBuilder::new().layer(stack).service(http_client);
/// let response = client.oneshot(http::Request::get("/v2/last/nbbo/SPY").body(Body::default())?).await?;
/// # assert!(response.status().is_success());
/// # Ok(()) }
/// ```
pub fn market_data(name: impl Into<InstanceName>) -> StackBuilder {
    StackBuilder::of(name, &MARKET_DATA)
}

/// Polygon (Massive), a paid plan: 80 % of the 100 requests per second that it advises to stay
/// under ([request limit](https://massive.com/knowledge-base)), thirty at once, and a circuit that
/// opens after five failures in a row for half a minute. Its 429 names no time, so a throttle
/// pauses the stack for a second.
pub fn polygon(name: impl Into<InstanceName>) -> StackBuilder {
    StackBuilder::of(name, &POLYGON)
}

/// Alpha Vantage, the free plan: 80 % of one request per second, and its quota of 25 a day. When
/// its day begins is not documented, so no stretch of 24 hours sees more. Throttles and the
/// exhausted quota, both of which come with status 200, are recognised; the quota is not tried
/// again, and pauses the stack for an hour.
///
/// The response is passed on as it came: after the last attempt the caller gets `200 OK` with a
/// `Note` or an `Information` in place of the data. What was found in the body is an
/// [`Outcome`](crate::Outcome) in the extensions of the response:
///
/// ```
/// use seawall::Outcome;
///
/// fn has_data<B>(response: &http::Response<B>) -> bool {
///     let found = response.extensions().get::<Outcome>();
///     response.status().is_success() && found.is_none()
/// }
/// # assert!(has_data(&http::Response::new(())));
/// ```
pub fn alpha_vantage(name: impl Into<InstanceName>) -> StackBuilder {
    StackBuilder::of(name, &ALPHA_VANTAGE)
}

/// NewsAPI, the developer plan: one request per second, three at once, and its 50 requests every
/// 12 hours ([errors](https://newsapi.org/docs/errors)), of which no stretch of 12 hours sees more.
/// Its 429 is an exhausted quota, with any body: the caller gets it, it is not tried again, and the
/// stack pauses for a quarter of an hour. A paid plan overrides the
/// [rate limit](StackBuilder::rate_limit).
pub fn news_api(name: impl Into<InstanceName>) -> StackBuilder {
    StackBuilder::of(name, &NEWS_API)
}

/// Reddit's data API: 80 % of its 100 queries per minute, which it averages over ten minutes
/// ("Reddit Data API Wiki" on <https://support.reddithelp.com>), and what its headers report is
/// left. Posts and comments are sent once; their limit, which comes with status 200, is recognised.
pub fn reddit(name: impl Into<InstanceName>) -> StackBuilder {
    StackBuilder::of(name, &REDDIT)
}

/// Yahoo Finance, which publishes no limit and blocks for a quarter of an hour and more: four
/// requests in ten seconds, two at once, and more failures before the circuit opens than elsewhere.
/// Its 429 is a ban, as are 999 and the text "Too Many Requests" with any status.
pub fn yahoo_finance(name: impl Into<InstanceName>) -> StackBuilder {
    StackBuilder::of(name, &YAHOO_FINANCE)
}

/// SEC EDGAR: 80 % of ten requests per second, which it counts per user over all machines
/// ([fair access](https://www.sec.gov/os/accessing-edgar-data)). Over it, the address is blocked
/// until it has been quiet for ten minutes: 403, 429 and the block page are a ban of that length.
/// Send the `User-Agent` that the SEC asks for.
pub fn sec_edgar(name: impl Into<InstanceName>) -> StackBuilder {
    StackBuilder::of(name, &SEC_EDGAR)
}

const MARKET_DATA: Preset = Preset {
    // Older quotes are worse than none.
    deadline: secs(15),
    // Reads cost little and short outages are frequent.
    retry: Retry {
        attempts: 5,
        backoff: (millis(500), secs(10)),
        ..RETRY
    },
    // Many symbols are asked for at once.
    bulkhead: Bulkhead {
        max_concurrent: 20,
        max_waiting: 50,
        max_wait: secs(5),
    },
    // 80 % of 100 per minute; 80 + 10 in any minute stay below it.
    rate_limit: Rate {
        rate: (80, MINUTE),
        burst: 10,
        max_wait: secs(5),
        ..RATE
    },
    // Other sources exist: leave early, come back soon. With fewer failures than a call makes
    // attempts, its own would open the circuit, and its last attempts never be made.
    breaker: Breaker {
        consecutive_failures: Some(5),
        failure_rate: Some((0.5, 100, 20)),
        open_for: secs(30),
        ..BREAKER
    },
    // A vendor that needs longer for a quote is down.
    attempt_timeout: secs(5),
    #[cfg(feature = "http")]
    http: HttpParts {
        // The read timeout of Massive's and Finnhub's own SDKs.
        idle: secs(10),
        ..HttpParts::COMMON
    },
};

/// Limits: <https://massive.com/knowledge-base>. No rate-limit headers, no `Retry-After`; 403 is a
/// plan that does not cover the request, and no throttle.
const POLYGON: Preset = Preset {
    deadline: secs(30),
    bulkhead: Bulkhead {
        max_concurrent: 30,
        max_waiting: 256,
        max_wait: secs(5),
    },
    rate_limit: Rate {
        rate: (80, SECOND),
        burst: 20,
        max_wait: secs(5),
        max_waiting: 256,
        ..RATE
    },
    breaker: Breaker {
        consecutive_failures: Some(5),
        failure_rate: Some((0.5, 100, 50)),
        open_for: secs(30),
        ..BREAKER
    },
    // The timeout of its own SDKs.
    attempt_timeout: secs(10),
    #[cfg(feature = "http")]
    http: HttpParts {
        inspect: InspectLayer::polygon(),
        ..MARKET_DATA.http
    },
    ..MARKET_DATA
};

/// Limits and texts: <https://www.alphavantage.co/premium/>, and the messages of its responses,
/// which come with status 200.
const ALPHA_VANTAGE: Preset = Preset {
    deadline: MINUTE,
    // Every attempt costs one of twenty-five a day.
    retry: Retry {
        attempts: 2,
        backoff: (secs(2), secs(10)),
        ..RETRY
    },
    bulkhead: Bulkhead {
        max_concurrent: 2,
        max_waiting: 10,
        max_wait: secs(30),
    },
    rate_limit: Rate {
        rate: (4, secs(5)),
        burst: 1,
        quotas: &[(25, DAY, Unit::Requests)],
        max_wait: secs(20),
        // For an exhausted quota: it lasts until the next day, whenever that begins.
        default_pause: secs(3_600),
        ..RATE
    },
    breaker: Breaker {
        consecutive_failures: Some(2),
        open_for: secs(120),
        ..BREAKER
    },
    attempt_timeout: secs(15),
    #[cfg(feature = "http")]
    http: HttpParts {
        inspect: InspectLayer::alpha_vantage(),
        idle: secs(15),
        ..HttpParts::COMMON
    },
};

/// Limits and codes: <https://newsapi.org/docs/errors>, <https://newsapi.org/pricing>.
const NEWS_API: Preset = Preset {
    deadline: secs(45),
    retry: Retry {
        attempts: 2,
        backoff: (secs(2), secs(30)),
        ..RETRY
    },
    bulkhead: Bulkhead {
        max_concurrent: 3,
        max_waiting: 10,
        max_wait: secs(15),
    },
    rate_limit: Rate {
        rate: (1, SECOND),
        burst: 1,
        quotas: &[(50, secs(12 * 3_600), Unit::Requests)],
        max_wait: secs(15),
        // For an exhausted quota: it comes back within twelve hours, nobody says when.
        default_pause: secs(900),
        ..RATE
    },
    breaker: Breaker {
        consecutive_failures: Some(3),
        open_for: secs(120),
        ..BREAKER
    },
    attempt_timeout: secs(15),
    #[cfg(feature = "http")]
    http: HttpParts {
        classifier: HttpClassifier::news_api,
        inspect: InspectLayer::news_api_developer(),
        // The timeout of its Python client.
        idle: secs(30),
        ..HttpParts::COMMON
    },
};

/// Limit, headers and statuses: "Reddit Data API Wiki" on <https://support.reddithelp.com>;
/// timeouts, waits and the text of a limited post: prawcore and praw.
const REDDIT: Preset = Preset {
    deadline: MINUTE,
    retry: Retry {
        backoff: (SECOND, secs(4)),
        ..RETRY
    },
    bulkhead: Bulkhead {
        max_concurrent: 4,
        max_waiting: 50,
        max_wait: secs(30),
    },
    rate_limit: Rate {
        rate: (80, MINUTE),
        burst: 20,
        ..RATE
    },
    breaker: Breaker {
        failure_rate: Some((0.5, 100, 10)),
        open_for: secs(30),
        ..BREAKER
    },
    attempt_timeout: secs(16),
    #[cfg(feature = "http")]
    http: HttpParts {
        headers: RateLimitHeaders::reddit,
        inspect: InspectLayer::reddit(),
        idle: secs(16),
        ..HttpParts::COMMON
    },
};

/// Nothing is published; statuses, texts and timeouts are those that yfinance handles.
const YAHOO_FINANCE: Preset = Preset {
    deadline: MINUTE,
    retry: Retry {
        attempts: 2,
        backoff: (secs(2), secs(10)),
        ..RETRY
    },
    bulkhead: Bulkhead {
        max_concurrent: 2,
        max_waiting: 12,
        max_wait: secs(30),
    },
    rate_limit: Rate {
        rate: (4, secs(10)),
        burst: 1,
        ..RATE
    },
    breaker: Breaker {
        consecutive_failures: Some(10),
        ..BREAKER
    },
    attempt_timeout: secs(20),
    #[cfg(feature = "http")]
    http: HttpParts {
        classifier: HttpClassifier::yahoo_finance,
        inspect: InspectLayer::yahoo_finance(),
        idle: secs(30),
        ..HttpParts::COMMON
    },
};

/// Limit, ban and block page: <https://www.sec.gov/os/accessing-edgar-data>; timeouts and waits are
/// those of edgartools.
const SEC_EDGAR: Preset = Preset {
    deadline: secs(90),
    retry: Retry {
        attempts: 4,
        backoff: (SECOND, secs(16)),
        ..RETRY
    },
    bulkhead: Bulkhead {
        max_concurrent: 4,
        max_waiting: 200,
        max_wait: secs(30),
    },
    rate_limit: Rate {
        rate: (8, SECOND),
        burst: 2,
        ..RATE
    },
    breaker: Breaker {
        failure_rate: Some((0.5, 100, 10)),
        ..BREAKER
    },
    attempt_timeout: secs(30),
    #[cfg(feature = "http")]
    http: HttpParts {
        classifier: HttpClassifier::sec_edgar,
        inspect: InspectLayer::sec_edgar(),
        idle: secs(30),
        ..HttpParts::COMMON
    },
};
