//! How a provider is configured and started.

use std::io;
use std::time::Duration;

use super::app::App;
use super::broker::{self, Duplicates, Fills};
use super::handle::{Handle, Setup};
use super::meter::{Counting, Kind};
use super::profile::Profile;
use super::settings::{BanPolicy, Limit};
use super::{ai_api, market_data};
use crate::incident::Incidents;

/// The methods that every builder has.
macro_rules! common_settings {
    ($builder:ident, $profile:expr) => {
        impl $builder {
            /// Allows so many requests, instead of the profile's own number.
            #[must_use]
            pub fn limit(mut self, limit: Limit) -> Self {
                let counting = $profile(&self).counting();
                self.setup.set_limit(Kind::Requests, limit, counting);
                self
            }

            /// Allows so many requests over a long time, with the profile's "quota used up" response
            /// beyond. Only Alpha Vantage starts with one (25 a day).
            #[must_use]
            pub fn quota(mut self, limit: Limit) -> Self {
                self.setup.set_limit(Kind::Quota, limit, Counting::Fixed);
                self
            }

            /// Removes every limit.
            #[must_use]
            pub fn unlimited(mut self) -> Self {
                self.setup.limits.clear();
                self
            }

            /// Bans callers that violate the limits; without this no caller is banned.
            #[must_use]
            pub fn ban(mut self, policy: BanPolicy) -> Self {
                self.setup.ban = Some(policy);
                self
            }

            /// Scripts the faults of the run; without this nothing goes wrong.
            #[must_use]
            pub fn incidents(mut self, incidents: Incidents) -> Self {
                self.setup.incidents = incidents;
                self
            }

            /// Seeds ids, prices and responses; without this the seed of the incidents does.
            #[must_use]
            pub fn seed(mut self, seed: u64) -> Self {
                self.setup.seed = Some(seed);
                self
            }

            /// Performs no incident until [`Handle::start_clock`]; without this the clock starts
            /// with the server.
            #[must_use]
            pub fn hold_clock(mut self) -> Self {
                self.setup.held = true;
                self
            }
        }
    };
}

/// A simulated broker that executes every order as often as it is sent, and remembers.
///
/// Settings make it one that knows client order ids, shows orders late, fills them in pieces, and
/// takes its time to cancel.
///
/// An order whose request has the header `x-valid-until`, microseconds since 1970, is not executed
/// after that: 422. Kraken's `deadline` and Binance's `recvWindow` are such a bound. It holds however long
/// the request was on its way, and however long this process stood still.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use seawall_sim::incident::Incidents;
/// use seawall_sim::provider::Broker;
///
/// let broker = Broker::alpaca().incidents(Incidents::default_scenario()).start().await?;
/// // ... POST {base_url}/v2/orders ...
/// assert_eq!(broker.executions("order-1"), 0);
/// broker.shutdown().await;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Broker {
    setup: Setup,
    rules: broker::Rules,
}

common_settings!(Broker, |_: &Broker| Profile::Alpaca);

impl Broker {
    /// Speaks as Alpaca's trading API does.
    #[must_use]
    pub fn alpaca() -> Self {
        Self {
            setup: Setup::new(Profile::Alpaca),
            rules: broker::Rules::default(),
        }
    }

    /// What a second order of one client order id comes to: it is executed as well without this, so
    /// that duplicates can be counted.
    ///
    /// Every rejection is Alpaca's, 422 and code 40010001. A replacement with an id of its own is
    /// an order like others.
    #[must_use]
    pub fn duplicates(mut self, duplicates: Duplicates) -> Self {
        self.rules.duplicates = duplicates;
        self
    }

    /// Shows an order in queries, lists and positions only after a time between 0 and this, drawn
    /// for each; immediately without this. It can be filled, cancelled and replaced before.
    #[must_use]
    pub fn visible_within(mut self, bound: Duration) -> Self {
        self.rules.visible_within = bound;
        self
    }

    /// Fills orders over time; without this market orders are filled immediately, and others never.
    #[must_use]
    pub fn fills(mut self, fills: Fills) -> Self {
        self.rules.fills = Some(fills);
        self
    }

    /// Lets a cancel take effect after a time between 0 and this, drawn for each order: it may be
    /// filled before, although the cancel was accepted. Immediately without this.
    #[must_use]
    pub fn cancels_within(mut self, bound: Duration) -> Self {
        self.rules.cancels_within = bound;
        self
    }

    /// Starts the server on a free port of 127.0.0.1.
    ///
    /// # Errors
    ///
    /// No socket can be bound.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime with I/O and time enabled.
    pub async fn start(self) -> io::Result<Handle> {
        let book = broker::OrderBook::new(self.setup.seed(), self.rules);
        self.setup.start(App::Broker(Box::new(book))).await
    }
}

/// A simulated vendor of quotes and bars.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use seawall_sim::provider::MarketData;
///
/// let vendor = MarketData::alpha_vantage().start().await?;
/// println!("{}/query?function=GLOBAL_QUOTE&symbol=IBM", vendor.base_url());
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct MarketData {
    setup: Setup,
    profile: Profile,
}

common_settings!(MarketData, |builder: &MarketData| builder.profile);

impl MarketData {
    fn new(profile: Profile) -> Self {
        Self {
            setup: Setup::new(profile),
            profile,
        }
    }

    /// Speaks as Alpaca's market-data API does.
    #[must_use]
    pub fn alpaca() -> Self {
        Self::new(Profile::Alpaca)
    }

    /// Speaks as Polygon.io (Massive) does.
    #[must_use]
    pub fn polygon() -> Self {
        Self::new(Profile::Polygon)
    }

    /// Speaks as Alpha Vantage does, whose throttle is a 200.
    #[must_use]
    pub fn alpha_vantage() -> Self {
        Self::new(Profile::AlphaVantage)
    }

    /// Starts the server on a free port of 127.0.0.1.
    ///
    /// # Errors
    ///
    /// No socket can be bound.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime with I/O and time enabled.
    pub async fn start(self) -> io::Result<Handle> {
        let feed = market_data::Feed::new(self.setup.seed(), self.profile);
        self.setup.start(App::MarketData(feed)).await
    }
}

/// A simulated AI API that completes prompts, also as a stream, and bills tokens.
///
/// The first word of every completion is `BUY`, `SELL` or `HOLD`.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
/// use seawall_sim::provider::{AiApi, Limit};
///
/// let api = AiApi::open_ai()
///     .token_limit(Limit::new(10_000, Duration::from_secs(1))?)
///     .completion_tokens(40)
///     .stream_pace(Duration::from_millis(2))
///     .start()
///     .await?;
/// assert_eq!(api.stats().tokens.output, 0);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct AiApi {
    setup: Setup,
    profile: Profile,
    completion_tokens: u32,
    stream_pace: Duration,
}

common_settings!(AiApi, |builder: &AiApi| builder.profile);

impl AiApi {
    fn new(profile: Profile) -> Self {
        let setup = Setup::new(profile);
        Self {
            setup,
            profile,
            completion_tokens: 24,
            stream_pace: Duration::ZERO,
        }
    }

    /// Speaks as OpenAI's chat completions do. One token limit holds for input and output; a
    /// request is charged for the most that its response may have.
    #[must_use]
    pub fn open_ai() -> Self {
        Self::new(Profile::OpenAi)
    }

    /// Speaks as Anthropic's messages do. Input and output have a token limit each; a request is
    /// charged for what its response has.
    #[must_use]
    pub fn anthropic() -> Self {
        Self::new(Profile::Anthropic)
    }

    /// Allows so many tokens: of input and output for OpenAI, of input for Anthropic.
    #[must_use]
    pub fn token_limit(mut self, limit: Limit) -> Self {
        let kind = if self.profile == Profile::Anthropic {
            Kind::Input
        } else {
            Kind::Tokens
        };
        self.setup.set_limit(kind, limit, Counting::Bucket);
        self
    }

    /// Allows so many tokens of output. OpenAI has no such limit; this adds one.
    #[must_use]
    pub fn output_token_limit(mut self, limit: Limit) -> Self {
        self.setup.set_limit(Kind::Output, limit, Counting::Bucket);
        self
    }

    /// The length of a response that `max_tokens` does not cut short; 24 without this, at least 1.
    #[must_use]
    pub fn completion_tokens(mut self, tokens: u32) -> Self {
        self.completion_tokens = tokens.clamp(1, 100_000);
        self
    }

    /// The pause before each event of a stream; none without this.
    #[must_use]
    pub fn stream_pace(mut self, pace: Duration) -> Self {
        self.stream_pace = pace;
        self
    }

    /// Starts the server on a free port of 127.0.0.1.
    ///
    /// # Errors
    ///
    /// No socket can be bound.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime with I/O and time enabled.
    pub async fn start(self) -> io::Result<Handle> {
        let seed = self.setup.seed();
        let model =
            ai_api::Model::new(seed, self.profile, self.completion_tokens, self.stream_pace);
        self.setup.start(App::AiApi(model)).await
    }
}
