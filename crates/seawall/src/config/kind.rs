//! The kinds of services.

use seawall_core::{InstanceName, InvalidConfig};

use crate::StackBuilder;
use crate::catalog::Kind;
use crate::settings::Settings;

/// A kind of service: what a service is that is no provider of the catalogue.
///
/// ```
/// use seawall::config::ServiceKind;
///
/// assert_eq!(ServiceKind::MarketData.as_str(), "market-data");
/// ```
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ServiceKind {
    /// [`broker`](crate::broker()).
    Broker,
    /// [`order_execution`](crate::order_execution()).
    OrderExecution,
    /// [`market_data`](crate::market_data()).
    MarketData,
    /// [`news`](crate::news()).
    News,
    /// [`ai_api`](crate::ai_api()).
    AiApi,
    /// [`ai_agents`](crate::ai_agents()).
    AiAgents,
    /// [`database`](crate::database()).
    Database,
    /// [`api_client`](crate::api_client()).
    #[default]
    ApiClient,
}

impl ServiceKind {
    const ALL: [Self; 8] = [
        Self::Broker,
        Self::OrderExecution,
        Self::MarketData,
        Self::News,
        Self::AiApi,
        Self::AiAgents,
        Self::Database,
        Self::ApiClient,
    ];

    /// Their names in a file.
    pub(super) const NAMES: [&'static str; 8] = {
        let mut names = [""; 8];
        let mut at = 0;
        while at < names.len() {
            names[at] = Self::ALL[at].as_str();
            at += 1;
        }
        names
    };

    /// Its name in a file: `"market-data"`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Broker => "broker",
            Self::OrderExecution => "order-execution",
            Self::MarketData => "market-data",
            Self::News => "news",
            Self::AiApi => "ai-api",
            Self::AiAgents => "ai-agents",
            Self::Database => "database",
            Self::ApiClient => "api-client",
        }
    }

    pub(super) fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }

    /// The settings of its stacks.
    pub(super) fn settings(self) -> Result<Settings, InvalidConfig> {
        // The settings do not depend on the name.
        let name = InstanceName::new(self.as_str());
        let builder: StackBuilder = match self {
            Self::Broker => crate::broker(name),
            Self::OrderExecution => crate::order_execution(name),
            Self::MarketData => crate::market_data(name),
            Self::News => crate::news(name),
            Self::AiApi => crate::ai_api(name),
            Self::AiAgents => crate::ai_agents(name),
            Self::Database => crate::database(name),
            Self::ApiClient => crate::api_client(name),
        };
        builder.settings().cloned()
    }
}

impl From<Kind> for ServiceKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Broker => Self::Broker,
            Kind::MarketData => Self::MarketData,
            Kind::News => Self::News,
            Kind::AiApi => Self::AiApi,
        }
    }
}
