//! What an admin interface shows and controls.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::SystemTime;

use seawall_core::{InstanceName, InvalidConfig, NonZeroCount, Registry};
use seawall_health::HealthMonitor;

use crate::Tokens;
use crate::audit::{AuditLog, unix_ms};
use crate::commands::ActiveCommands;
use crate::hosts::Hosts;
use crate::rate::{PER_SECOND, rate_limit};
use crate::session::Sessions;
use crate::state::Shared;
use crate::streams::{StreamCounts, Streams};

/// How many streams of events may be open at once, unless it is set.
const MAX_STREAMS: u32 = 256;
/// How many connections a server has at once, unless it is set.
#[cfg(feature = "server")]
const MAX_CONNECTIONS: u32 = 1_024;

/// An admin interface: what it shows and controls, and who may use it. Clones share.
///
/// ```
/// use seawall_admin::{Admin, Role, Tokens};
/// use seawall_core::Registry;
///
/// let registry = Registry::new("desk");
/// let tokens = Tokens::new().with(Role::Admin, "alice", "a-secret-of-some-length")?;
/// let admin = Admin::builder("desk").registry(registry).tokens(tokens).build()?;
/// let app: axum::Router = axum::Router::new().nest("/ops", admin.router());
/// # Ok::<(), seawall_admin::InvalidConfig>(())
/// ```
#[derive(Clone, Debug)]
pub struct Admin {
    pub(crate) shared: Arc<Shared>,
}

/// Builds an [`Admin`].
#[must_use]
#[derive(Debug)]
pub struct AdminBuilder {
    name: InstanceName,
    registries: Vec<Registry>,
    health: Option<HealthMonitor>,
    #[cfg(feature = "monitor")]
    monitor: Option<seawall_monitor::Monitor>,
    #[cfg(feature = "config")]
    config: Option<seawall::reload::ReloadableConfig>,
    #[cfg(feature = "orders")]
    trading: Vec<crate::trading::Trading>,
    hosts: Vec<String>,
    tokens: Tokens,
    audit: Option<PathBuf>,
    secure_cookies: bool,
    per_second: u32,
    max_streams: u32,
    max_streams_per_caller: Option<u32>,
    #[cfg(feature = "server")]
    max_connections: u32,
}

impl Admin {
    /// An interface of the program of that name, which shows nothing yet.
    pub fn builder(name: impl Into<InstanceName>) -> AdminBuilder {
        AdminBuilder {
            name: name.into(),
            registries: Vec::new(),
            health: None,
            #[cfg(feature = "monitor")]
            monitor: None,
            #[cfg(feature = "config")]
            config: None,
            #[cfg(feature = "orders")]
            trading: Vec::new(),
            hosts: Vec::new(),
            tokens: Tokens::new(),
            audit: None,
            secure_cookies: false,
            per_second: PER_SECOND,
            max_streams: MAX_STREAMS,
            max_streams_per_caller: None,
            #[cfg(feature = "server")]
            max_connections: MAX_CONNECTIONS,
        }
    }

    /// The name of the program.
    pub fn name(&self) -> InstanceName {
        self.shared.name
    }

    /// Accepts these tokens from now on and no others. None at all lets nobody in any more: what was never
    /// without tokens does not become open.
    /// Sessions of tokens that are gone end, and so
    /// does every stream of events: those that may see it go on with `Last-Event-ID`.
    pub fn set_tokens(&self, tokens: Tokens) {
        if !tokens.is_empty() {
            self.shared.had_tokens.store(true, Ordering::Release);
        }
        self.shared
            .sessions
            .keep(|token| tokens.find_digest(token).is_some());
        let mut current = self
            .shared
            .tokens
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        *current = Arc::new(tokens);
        drop(current);
        self.shared.streams.tokens_changed();
    }

    /// What `/readyz` answers: 200 after `true`, which it begins with, and 503 after `false`, for a
    /// program that starts or shuts down.
    pub fn set_ready(&self, ready: bool) {
        self.shared.is_ready.store(ready, Ordering::Release);
    }

    /// Ends all streams of events, and those that are opened later: before a graceful shutdown, which would
    /// wait for them. An [`AdminServer`](crate::serve::AdminServer) that is stopped does so.
    pub fn end_streams(&self) {
        self.shared.streams.end_all();
    }

    /// What streams do.
    pub fn stream_counts(&self) -> StreamCounts {
        self.shared.streams.counts()
    }

    /// The routes, to be nested in any axum application.
    ///
    /// They know the address of a client where the application is served with
    /// `into_make_service_with_connect_info::<SocketAddr>()`; rates are limited for all clients
    /// together otherwise.
    pub fn router(&self) -> axum::Router {
        crate::routes::router(&self.shared)
    }
}

impl AdminBuilder {
    /// Shows and controls the components of a registry; of several, one after the other. The stream of events
    /// has the changes of what is registered: also a configuration and an order stack, if they are.
    pub fn registry(mut self, registry: Registry) -> Self {
        self.registries.push(registry);
        self
    }

    /// Shows these health checks.
    pub fn health(mut self, health: HealthMonitor) -> Self {
        self.health = Some(health);
        self
    }

    /// Shows what a monitor makes of its registries: an overview, also as a live stream, history and alerts,
    /// which operators acknowledge and silence. Whether it runs is up to the program.
    ///
    /// ```
    /// use seawall_admin::Admin;
    /// use seawall_monitor::Monitor;
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), seawall_admin::InvalidConfig> {
    /// let registry = seawall_core::Registry::new("desk");
    /// let monitor = Monitor::builder("desk").registry(registry.clone()).build()?;
    /// let guard = monitor.start();
    /// let admin = Admin::builder("desk").registry(registry).monitor(monitor).build()?;
    /// # drop((admin, guard)); Ok(()) }
    /// ```
    #[cfg(feature = "monitor")]
    pub fn monitor(mut self, monitor: seawall_monitor::Monitor) -> Self {
        self.monitor = Some(monitor);
        self
    }

    /// Shows this configuration, and lets operators change, reload and save it.
    ///
    /// ```
    /// use seawall::config::Config;
    /// use seawall_admin::Admin;
    ///
    /// let text = "[resilience.feed]\nkind = \"market-data\"\n";
    /// let config = Config::loader().text("seawall.toml", text).load_reloadable()?;
    /// let registry = seawall::Registry::new("desk");
    /// config.stack("feed")?.register(&registry)?;
    /// let admin = Admin::builder("desk").registry(registry).config(config).build()?;
    /// # drop(admin);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[cfg(feature = "config")]
    pub fn config(mut self, config: seawall::reload::ReloadableConfig) -> Self {
        self.config = Some(config);
        self
    }

    /// Shows the orders in doubt of a broker's stack, and lets operators set its trading mode and engage
    /// its kill switch, if it has one; of several, one after the other. The switch must be that which the
    /// stack asks.
    #[cfg(feature = "orders")]
    pub fn trading(
        mut self,
        orders: seawall_orders::OrderHandle,
        kill_switch: Option<seawall_orders::switch::KillSwitch>,
    ) -> Self {
        let trading = crate::trading::Trading {
            orders,
            kill_switch,
        };
        self.trading.push(trading);
        self
    }

    /// Accepts these tokens. Without any, everything is shown to everybody that reaches the routes, and
    /// nothing can be commanded.
    pub fn tokens(mut self, tokens: Tokens) -> Self {
        self.tokens = tokens;
        self
    }

    /// Has browsers send their session over TLS alone, for what is reached by it. Unless set, a session is so
    /// where a proxy says it by `x-forwarded-proto: https`.
    pub fn secure_cookies(mut self, secure: bool) -> Self {
        self.secure_cookies = secure;
        self
    }

    /// Accepts requests that name this host, beside `localhost` and addresses: a name without a port.
    pub fn allow_host(mut self, host: impl Into<String>) -> Self {
        self.hosts.push(host.into());
        self
    }

    /// Answers so many requests a second of each client address, and five times as many at once; 20 unless
    /// set. A dashboard makes a few, and who guesses tokens makes no more.
    pub fn requests_per_second(mut self, requests: u32) -> Self {
        self.per_second = requests;
        self
    }

    /// Has at most so many streams open, of events and of the dashboard; 256 unless set. A quarter of them
    /// is kept for those that may command. Further ones are answered by 503.
    pub fn max_streams(mut self, streams: u32) -> Self {
        self.max_streams = streams;
        self
    }

    /// Has at most so many streams of one token open, or of one address without; a quarter of
    /// [`max_streams`](Self::max_streams) unless set. Further ones are answered by 429.
    pub fn max_streams_per_caller(mut self, streams: u32) -> Self {
        self.max_streams_per_caller = Some(streams);
        self
    }

    /// Has at most so many connections at once in an [`AdminServer`](crate::serve::AdminServer); 1,024
    /// unless set. Further ones are closed. In an application of your own, its server decides.
    #[cfg(feature = "server")]
    pub fn max_connections(mut self, connections: u32) -> Self {
        self.max_connections = connections;
        self
    }

    /// Appends who has commanded what to this file, a line of JSON for each. What cannot be written down
    /// is not done. That it is done is written after it: where that fails, the entry is kept and tried again
    /// each second, `/health` is `degraded` and responses have `seawall-audit-unwritten`. A file that was
    /// moved or deleted is made again. Without a file the last 1,000 entries are kept in memory.
    pub fn audit_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.audit = Some(path.into());
        self
    }

    /// The interface.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] when there is nothing to show, two registries have one name, a host is no name,
    /// no request, stream or connection is allowed, two brokers have one name, or the audit file cannot be opened.
    pub fn build(self) -> Result<Admin, InvalidConfig> {
        if self.registries.is_empty() && self.health.is_none() {
            return Err(InvalidConfig::new(
                "registry",
                "none",
                "a registry or health checks to show",
            ));
        }
        for (index, registry) in self.registries.iter().enumerate() {
            let service = registry.service();
            let mut earlier = self.registries[..index].iter();
            if earlier.any(|earlier| earlier.service() == service) {
                let value = format!("a second `{}`", service.as_str());
                return Err(InvalidConfig::new("registry", value, "a service once"));
            }
        }
        NonZeroCount::check("requests_per_second", self.per_second)?;
        NonZeroCount::check("max_streams", self.max_streams)?;
        let per_caller = self.max_streams_per_caller;
        let per_caller = per_caller.unwrap_or((self.max_streams / 4).max(1));
        NonZeroCount::check("max_streams_per_caller", per_caller)?;
        #[cfg(feature = "server")]
        NonZeroCount::check("max_connections", self.max_connections)?;
        #[cfg(feature = "orders")]
        self.check_trading()?;
        #[cfg(feature = "monitor")]
        let frames = self.monitor.map(crate::frames::Frames::new);
        let mut hosts = Hosts::default();
        for host in &self.hosts {
            let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
            if host.is_empty() || !host.chars().all(is_name) {
                let value = format!("{host:?}");
                return Err(InvalidConfig::new(
                    "allow_host",
                    value,
                    "a name without a port",
                ));
            }
            hosts.add(host);
        }
        let audit = match &self.audit {
            None => AuditLog::in_memory(),
            Some(path) => AuditLog::file(path).map_err(|error| {
                let value = format!("{}: {error}", path.display());
                InvalidConfig::new("audit_file", value, "a file that can be appended to")
            })?,
        };
        Ok(Admin {
            shared: Arc::new(Shared {
                name: self.name,
                registries: self.registries,
                health: self.health,
                #[cfg(feature = "monitor")]
                frames: frames.map(Arc::new),
                #[cfg(feature = "config")]
                config: self.config,
                #[cfg(feature = "orders")]
                trading: self.trading,
                hosts,
                sessions: Sessions::default(),
                secure_cookies: self.secure_cookies,
                active: ActiveCommands::default(),
                audit,
                is_ready: AtomicBool::new(true),
                rate_limit: rate_limit(self.per_second)?,
                rendered: crate::rendered::Rendered::default(),
                streams: Arc::new(Streams::new(self.max_streams as usize, per_caller as usize)),
                #[cfg(feature = "server")]
                max_connections: self.max_connections as usize,
                had_tokens: AtomicBool::new(!self.tokens.is_empty()),
                run: unix_ms(SystemTime::now()),
                tokens: RwLock::new(Arc::new(self.tokens)),
                commanding: Mutex::new(()),
                commands: AtomicU64::new(0),
            }),
        })
    }

    #[cfg(feature = "orders")]
    fn check_trading(&self) -> Result<(), InvalidConfig> {
        for (index, trading) in self.trading.iter().enumerate() {
            let name = trading.orders.name();
            let mut earlier = self.trading[..index].iter();
            if earlier.any(|earlier| earlier.orders.name() == name) {
                let value = format!("a second `{}`", name.as_str());
                return Err(InvalidConfig::new("trading", value, "a broker once"));
            }
        }
        Ok(())
    }
}
