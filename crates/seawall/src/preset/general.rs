//! Clients of other services: news, agents, databases, any API.

use seawall_core::InstanceName;

#[cfg(feature = "http")]
use super::BodyTimes;
use super::{BREAKER, Breaker, Bulkhead, MINUTE, Preset, RATE, RETRY, Rate, Retry, millis, secs};
use super::{SECOND, ai::AI_API};
use crate::StackBuilder;

/// A stack for any news feed: few calls, long pauses.
///
/// Reads are tried twice; three failures in a row open the circuit for two minutes. Its rate is 80
/// requests per minute, three at once. `name` is a label: the stacks of known feeds are in the
/// [catalogue](crate::catalog).
///
/// ```
/// let stack = seawall::news("my-feed").build_generic(seawall::Policy::new())?;
/// # let _ = stack.handles();
/// # Ok::<(), seawall::InvalidConfig>(())
/// ```
pub fn news(name: impl Into<InstanceName>) -> StackBuilder {
    StackBuilder::of(name, &NEWS)
}

/// A stack for AI agents, whose steps take minutes and fail often: ten failures in a row open the
/// circuit for three minutes, and five successes close it. Otherwise as [`ai_api`](super::ai_api()).
///
/// ```
/// let stack = seawall::ai_agents("research").build_generic(seawall::Policy::new())?;
/// # let _ = stack.handles();
/// # Ok::<(), seawall::InvalidConfig>(())
/// ```
pub fn ai_agents(name: impl Into<InstanceName>) -> StackBuilder {
    StackBuilder::of(name, &AI_AGENTS)
}

/// A stack for a database: twenty calls at once, short timeouts, a circuit that opens after three
/// failures in a row for a minute. Only queries that the policy describes as safe are tried again.
///
/// A database has no limit of calls per second; one of 2,000 bounds what a loop that went wrong
/// sends, and [`StackBuilder::rate_limit`] changes it.
///
/// ```
/// use seawall::{ConstMeta, KeepWhole, LayerExt, Policy, RequestMeta};
///
/// async fn count_orders() -> Result<u64, std::io::Error> { Ok(7) }
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let queries = Policy::new().describe(ConstMeta(RequestMeta::idempotent())).keep(KeepWhole);
/// let database = seawall::database("orders-db").build_generic(queries)?;
/// assert_eq!(database.run(count_orders).await?, 7);
/// # Ok(()) }
/// ```
pub fn database(name: impl Into<InstanceName>) -> StackBuilder {
    StackBuilder::of(name, &DATABASE)
}

/// A stack for any API that is none of the other kinds: three attempts from one second to a
/// minute, 80 requests per minute, fifty at once, thirty seconds for one attempt; a circuit that
/// opens after five failures in a row or at half of the last hundred calls, from ten on.
///
/// ```
/// let stack = seawall::api_client("weather").build_generic(seawall::Policy::new())?;
/// # let _ = stack.handles();
/// # Ok::<(), seawall::InvalidConfig>(())
/// ```
pub fn api_client(name: impl Into<InstanceName>) -> StackBuilder {
    StackBuilder::of(name, &API_CLIENT)
}

const NEWS: Preset = Preset {
    deadline: secs(90),
    retry: Retry {
        attempts: 2,
        backoff: (secs(2), secs(30)),
        ..RETRY
    },
    bulkhead: Bulkhead {
        max_concurrent: 3,
        max_waiting: 10,
        max_wait: secs(30),
    },
    // 80 % of 100 per minute.
    rate_limit: Rate {
        rate: (80, MINUTE),
        burst: 3,
        ..RATE
    },
    breaker: Breaker {
        consecutive_failures: Some(3),
        open_for: secs(120),
        ..BREAKER
    },
    attempt_timeout: secs(30),
    #[cfg(feature = "http")]
    bodies: BodyTimes {
        idle: secs(30),
        ..BodyTimes::COMMON
    },
};

const AI_AGENTS: Preset = Preset {
    breaker: Breaker {
        consecutive_failures: Some(10),
        open_for: secs(180),
        successes_to_close: 5,
        ..BREAKER
    },
    ..AI_API
};

const DATABASE: Preset = Preset {
    deadline: secs(15),
    retry: Retry {
        backoff: (millis(100), secs(2)),
        ..RETRY
    },
    // As many as a pool of connections has.
    bulkhead: Bulkhead {
        max_concurrent: 20,
        max_waiting: 100,
        max_wait: secs(5),
    },
    rate_limit: Rate {
        rate: (2_000, SECOND),
        burst: 200,
        max_wait: SECOND,
        ..RATE
    },
    breaker: Breaker {
        consecutive_failures: Some(3),
        successes_to_close: 2,
        ..BREAKER
    },
    attempt_timeout: secs(5),
    #[cfg(feature = "http")]
    bodies: BodyTimes::COMMON,
};

const API_CLIENT: Preset = Preset {
    // All attempts together.
    deadline: MINUTE,
    retry: Retry {
        backoff: (SECOND, MINUTE),
        ..RETRY
    },
    bulkhead: Bulkhead {
        max_concurrent: 50,
        max_waiting: 100,
        max_wait: secs(30),
    },
    // 80 % of 100 per minute.
    rate_limit: Rate {
        rate: (80, MINUTE),
        burst: 10,
        ..RATE
    },
    breaker: Breaker {
        consecutive_failures: Some(5),
        failure_rate: Some((0.5, 100, 10)),
        successes_to_close: 2,
        ..BREAKER
    },
    attempt_timeout: secs(30),
    #[cfg(feature = "http")]
    bodies: BodyTimes::COMMON,
};
