//! The three providers, with limits that a run of seconds can meet.
//!
//! Real limits count per minute. Here they count per second or two, and each has room for
//! the desk's usual load but not for all calls at the same moment.

use std::error::Error;
use std::time::Duration;

use seawall_sim::incident::{Incidents, ProviderKind};
use seawall_sim::provider::{
    AiApi, BanPolicy, Broker, Handle, InvalidSetting, Limit, MarketData, Stats,
};
use tokio::time::{Instant, sleep};

const SECOND: Duration = Duration::from_secs(1);

/// What a provider allows: so many requests in each of its windows.
pub(crate) type Allowed = (u32, Duration);
pub(crate) const BROKER: Allowed = (28, Duration::from_secs(2));
pub(crate) const MARKET_DATA: Allowed = (36, SECOND);
pub(crate) const AI_API: Allowed = (16, Duration::from_secs(2));

fn limit((count, per): Allowed) -> Result<Limit, InvalidSetting> {
    Limit::new(count, per)
}

#[derive(Debug)]
pub(crate) struct World {
    pub(crate) broker: Handle,
    pub(crate) market_data: Handle,
    pub(crate) ai_api: Handle,
}

impl World {
    pub(crate) async fn start(incidents: &Incidents) -> Result<Self, Box<dyn Error>> {
        // The vendor bans a caller that keeps violating its limit.
        let ban = BanPolicy::new(8, 5 * SECOND, 3 * SECOND / 2, 403)?;
        Ok(Self {
            broker: Broker::alpaca()
                .incidents(incidents.clone())
                .limit(limit(BROKER)?)
                .hold_clock()
                .start()
                .await?,
            market_data: MarketData::alpaca()
                .incidents(incidents.clone())
                .limit(limit(MARKET_DATA)?)
                .ban(ban)
                .hold_clock()
                .start()
                .await?,
            ai_api: AiApi::open_ai()
                .incidents(incidents.clone())
                .limit(limit(AI_API)?)
                .hold_clock()
                .start()
                .await?,
        })
    }

    fn all(&self) -> [&Handle; 3] {
        [&self.broker, &self.market_data, &self.ai_api]
    }

    pub(crate) fn start_clock_at(&self, zero: Instant) {
        for provider in self.all() {
            provider.start_clock_at(zero);
        }
    }

    pub(crate) fn url(&self, provider: ProviderKind) -> String {
        match provider {
            ProviderKind::Broker => self.broker.base_url(),
            ProviderKind::MarketData => self.market_data.base_url(),
            _ => self.ai_api.base_url(),
        }
    }

    pub(crate) fn stats(&self) -> [Stats; 3] {
        self.all().map(Handle::stats)
    }

    /// Waits until no order has been executed for half a second: orders whose callers have given up
    /// are executed all the same.
    pub(crate) async fn wait_until_idle(&self) {
        let mut before = self.broker.stats().executed;
        for _ in 0..10 {
            sleep(Duration::from_millis(500)).await;
            let now = self.broker.stats().executed;
            if now == before {
                return;
            }
            before = now;
        }
    }

    pub(crate) async fn shutdown(self) {
        self.broker.shutdown().await;
        self.market_data.shutdown().await;
        self.ai_api.shutdown().await;
    }
}
