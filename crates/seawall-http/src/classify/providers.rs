//! The classifiers of providers whose bans and quotas show in the status.

use std::time::Duration;

use super::HttpClassifier;
use super::settings::{BINANCE_BAN, Known, Rule, ban};
use crate::wait_bounds::WaitBounds;

impl HttpClassifier {
    /// Binance: 418 is a ban of the address, for the time of `Retry-After` (two minutes to
    /// three days, the longest ban here) or two minutes, and 403 comes from its web application
    /// firewall, as a ban of five minutes.
    ///
    /// The stacks of `seawall` pause and open for a ban of three days. Elsewhere raise the bounds of
    /// rate limit (`max_ban`) and breaker (`open_on_ban`), a day unless set, as well.
    ///
    /// Source: "LIMITS" and "HTTP Return Codes" in
    /// <https://github.com/binance/binance-spot-api-docs/blob/master/rest-api.md>; how long the
    /// firewall blocks is not documented.
    pub const fn binance() -> Self {
        const BINANCE: Known = Known {
            rules: &[BINANCE_BAN, ban(403, 300)],
            bounds: WaitBounds::DEFAULT.with_ban_of_days(3),
        };
        Self::of(BINANCE)
    }

    /// Interactive Brokers, Web API: 429 puts the address into a penalty box for 10 minutes, or 15
    /// by an older page; 15 are taken.
    ///
    /// Source: "Pacing Limitations" in the documentation of the Web API at IBKR Campus.
    pub const fn interactive_brokers() -> Self {
        Self::of(Known::rules(const { &[ban(429, 900)] }))
    }

    /// NewsAPI, the developer plan: 429 is an exhausted quota, whatever its body. A `Retry-After`
    /// of less than a quarter of an hour is ignored: none is documented, and no quota of twelve
    /// hours renews so soon. See [`news_api`](crate::inspect::news_api) for plans whose quota shows
    /// in the body alone.
    ///
    /// Source: <https://newsapi.org/docs/errors>: its only limit is a number of requests in twelve
    /// hours.
    pub const fn news_api() -> Self {
        const SHORTEST: Duration = Duration::from_secs(900);
        Self::of(Known::rules(const { &[(429, Rule::Quota(SHORTEST))] }))
    }

    /// SEC EDGAR: 403 and 429 are bans, until the address has been below the limit for ten
    /// minutes. See [`sec_edgar`](crate::inspect::sec_edgar) for a block page with a 200.
    ///
    /// Source: <https://www.sec.gov/os/accessing-edgar-data>.
    pub const fn sec_edgar() -> Self {
        Self::of(Known::rules(const { &[ban(403, 600), ban(429, 600)] }))
    }

    /// Yahoo Finance: 429 and 999 are bans of a quarter of an hour. See
    /// [`yahoo_finance`](crate::inspect::yahoo_finance) for a block with a 200.
    ///
    /// Source: `data.py` of <https://github.com/ranaroussi/yfinance>; the length is reported by
    /// its users.
    pub const fn yahoo_finance() -> Self {
        Self::of(Known::rules(const { &[ban(429, 900), ban(999, 900)] }))
    }
}
