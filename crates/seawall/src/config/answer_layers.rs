//! The layers of a service that answer without the upstream, with their settings in the file.

use std::hash::Hash;
use std::sync::Arc;

use bytes::Bytes;
use http::Response;
use seawall_cache::{CacheHandle, CacheLayer, CoalesceHandle, CoalesceLayer};
use seawall_core::{Command, InstanceHandle, InvalidConfig, Policy};
use seawall_fallback::{FailedCall, FallbackHandle, FallbackLayer, Step};

use crate::catalog::ProviderStack;

use super::answers::{Answer, AnswerSettings};
use super::fallback_value::STEP;
use super::running::{Noted, RunningAnswers, follow};
use super::service::ServiceConfig;
use super::setting::{Setting, Table};
use super::table;

/// The layers of a service that answer without the upstream, as its tables `cache`, `coalesce` and `fallback`
/// set them; from [`ServiceConfig::answers`] and `ReloadableConfig::answers`.
///
/// What they keep and answer is for the program to say, so the file adds none of them: take each, give it its
/// rules, then [`build`](Self::build) the stack and add them. A table that is not taken would have no effect,
/// so that no stack is built then.
///
/// ```
/// use seawall::cache::CacheConfig;
/// use seawall::config::Config;
/// # use http::Request;
/// # use std::time::Duration;
///
/// let text = "[resilience.quotes]\nkind = \"market-data\"\ncache.ttl = \"250ms\"\ncache.stale_on_failure = \"10s\"\n";
/// let config = Config::loader().text("seawall.toml", text).load()?;
///
/// let mut answers = config.service("quotes")?.answers();
/// let cache = answers
///     .cache::<String, u64>()?
///     .key(|request: &Request<()>| Some(request.uri().path().to_owned()));
/// let stack = answers.build()?.cache(cache)?;
/// assert_eq!(stack.handles().cache.config().ttl(), Duration::from_millis(250));
///
/// // Without the cache the table would have no effect.
/// let error = config.service("quotes")?.build().unwrap_err();
/// assert!(error.to_string().starts_with("`quotes.cache` is set at seawall.toml:3:1, accepted is nothing"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct AnswerLayers {
    service: ServiceConfig,
    taken: Vec<Table>,
    takes_value: bool,
    /// The stack that is kept for the service, if one is.
    kept: Option<ProviderStack>,
    running: Arc<RunningAnswers>,
}

impl ServiceConfig {
    /// The layers of this service that answer without the upstream, to be taken and added to its stack.
    pub fn answers(&self) -> AnswerLayers {
        AnswerLayers {
            service: self.clone(),
            taken: Vec::new(),
            takes_value: false,
            kept: None,
            running: self.running_answers(),
        }
    }
}

impl AnswerLayers {
    /// The same with the stack that is kept for the service.
    #[cfg(feature = "reload")]
    pub(crate) fn around(mut self, stack: ProviderStack, running: Arc<RunningAnswers>) -> Self {
        self.kept = Some(stack);
        self.running = running;
        self
    }

    /// A cache with the settings of the table `cache` and the name of the service. It still needs a key or
    /// rules; see [`CacheLayer`].
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] of a service that has no such table: how long an answer is fresh is not known.
    pub fn cache<K, V>(&mut self) -> Result<CacheLayer<Policy, K, V>, InvalidConfig>
    where
        K: Clone + Eq + Hash + Send + Sync + 'static,
        V: Send + Sync + 'static,
    {
        let service = self.service.name().to_owned();
        self.take(
            Table::Cache,
            |settings| {
                let cache = settings
                    .cache
                    .as_ref()
                    .ok_or_else(|| not_set(&service, Table::Cache, "ttl"))?;
                let layer = CacheLayer::new(service.as_str(), cache.config.clone());
                switch(&layer.handle(), Some(cache));
                Ok(layer)
            },
            |layer| {
                follow(
                    layer.handle().weak(),
                    |it| it.cache.as_ref(),
                    CacheHandle::configure,
                )
            },
        )
    }

    /// A layer that coalesces, with the settings of the table `coalesce`, or the defaults where there is none,
    /// and the name of the service. It still needs a key or rules; see [`CoalesceLayer`].
    ///
    /// # Errors
    ///
    /// None today.
    pub fn coalesce<K, V, E>(&mut self) -> Result<CoalesceLayer<Policy, K, V, E>, InvalidConfig>
    where
        K: Send + Sync + 'static,
        V: Send + Sync + 'static,
        E: Send + Sync + 'static,
    {
        let service = self.service.name().to_owned();
        self.take(
            Table::Coalesce,
            |settings| {
                let coalesce = settings.coalesce.as_ref();
                let config = coalesce.map(|it| it.config.clone()).unwrap_or_default();
                let layer = CoalesceLayer::new(service.as_str(), config);
                switch(&layer.handle(), coalesce);
                Ok(layer)
            },
            |layer| {
                follow(
                    layer.handle().weak(),
                    |it| it.coalesce.as_ref(),
                    CoalesceHandle::configure,
                )
            },
        )
    }

    /// A fallback of these steps, with the settings of the table `fallback`, or the defaults where there is
    /// none, and the name of the service; see [`FallbackLayer`].
    ///
    /// # Errors
    ///
    /// As [`FallbackLayer::new`]: of its steps.
    pub fn fallback<Req, Res>(
        &mut self,
        steps: impl IntoIterator<Item = Step<Req, Res>>,
    ) -> Result<FallbackLayer<Policy, Req, Res>, InvalidConfig> {
        let service = self.service.name().to_owned();
        let steps: Vec<_> = steps.into_iter().collect();
        self.take(
            Table::Fallback,
            |settings| {
                let fallback = settings.fallback.as_ref();
                let config = fallback.map(|it| it.config).unwrap_or_default();
                let layer = FallbackLayer::new(service.as_str(), config, steps)?;
                switch(&layer.handle(), fallback);
                Ok(layer)
            },
            |layer| {
                follow(
                    layer.handle().weak(),
                    |it| it.fallback.as_ref(),
                    FallbackHandle::configure,
                )
            },
        )
    }

    /// A step of a fallback that answers with the `body` of the table `fallback`, as it is in the file at that
    /// moment: a response without code. Its name is `configured`.
    ///
    /// With [`fail_safe_defaults`](super::Config::mistakes) and a mistake it answers nothing.
    ///
    /// ```
    /// use bytes::Bytes;
    /// use http::{Request, Response};
    /// use http_body_util::Full;
    /// use seawall::config::Config;
    /// use seawall::http_client::HttpMark;
    /// use tower::{Layer, ServiceExt, service_fn};
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # type Body = Full<Bytes>;
    /// let text = r#"
    /// [resilience.opinions]
    /// kind = "market-data"
    /// fallback.body = '{"decision":"HOLD"}'
    /// fallback.content_type = "application/json"
    /// "#;
    /// let config = Config::loader().text("seawall.toml", text).load()?;
    /// let mut answers = config.service("opinions")?.answers();
    /// let hold = answers.fallback_value()?;
    /// let fallback = answers.fallback([hold])?.mark(HttpMark);
    /// let stack = answers.build()?.fallback(fallback)?;
    /// let down = service_fn(|_: Request<Body>| async {
    ///     let response = Response::builder().status(500).body(Body::default());
    ///     Ok::<_, std::convert::Infallible>(response.unwrap())
    /// });
    /// let opinion = stack.layer(down).oneshot(Request::get("/SPY").body(Body::default())?).await?;
    /// assert_eq!(opinion.status(), 200);
    /// assert_eq!(opinion.headers()["x-seawall-degraded"], "server;source=configured");
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] of a service that has no such body.
    pub fn fallback_value<Req, B>(&mut self) -> Result<Step<Req, Response<B>>, InvalidConfig>
    where
        B: From<Bytes> + 'static,
    {
        if self.running.value().is_none() && !self.service.is_fail_safe() {
            return Err(not_set(self.service.name(), Table::Fallback, "body"));
        }
        self.running.note_value_step();
        self.takes_value = true;
        let running = Arc::clone(&self.running);
        let answer = move |_: &FailedCall| running.value().map(|value| value.response());
        Ok(Step::value_with(STEP, answer))
    }

    /// The stack of the service, for the layers that were taken to be added to it; see [`ServiceConfig::build`].
    /// Of a `ReloadableConfig` it is the one stack that is kept for the service.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] of a table that was not taken, and of a [value](Self::fallback_value).
    pub fn build(&self) -> Result<ProviderStack, InvalidConfig> {
        self.service.check_taken(&self.taken)?;
        let body = self.service.written.own.get(&(Table::Fallback, "body"));
        if let Some(body) = body.filter(|_| !self.takes_value) {
            let field = format!("{}.fallback.body", self.service.name());
            let accepted = "nothing without that step: take it by `fallback_value`";
            let value = format!("set at {}", body.place);
            return Err(InvalidConfig::new(field, value, accepted));
        }
        match &self.kept {
            Some(stack) => Ok(stack.clone()),
            None => self.service.build_stack(),
        }
    }

    #[cfg(feature = "client")]
    pub(crate) const fn service(&self) -> &ServiceConfig {
        &self.service
    }

    fn take<L>(
        &mut self,
        table: Table,
        make: impl FnOnce(&AnswerSettings) -> Result<L, InvalidConfig>,
        note: impl FnOnce(&L) -> Noted,
    ) -> Result<L, InvalidConfig> {
        let layer = self.running.make(make, note)?;
        self.taken.push(table);
        Ok(layer)
    }
}

/// Lets every call pass a layer that is off.
fn switch<C>(handle: &dyn InstanceHandle, layer: Option<&Answer<C>>) {
    if layer.is_some_and(|layer| layer.is_off) {
        // All of them have this command.
        let _ = handle.control(Command::Bypass);
    }
}

fn not_set(service: &str, of: Table, key: &str) -> InvalidConfig {
    let accepted = table::find(of, key).map(Setting::accepted);
    let field = format!("{service}.{}.{key}", of.name());
    InvalidConfig::new(field, "not set", accepted.unwrap_or_default())
}
