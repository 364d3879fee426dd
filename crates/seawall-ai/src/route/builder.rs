//! Makes a router.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32};

use seawall_core::{Budget, BudgetHandle, EventSource, InstanceName, InvalidConfig};
use seawall_http::Routes;

use super::config::RouterConfig;
use super::cool_down::CoolDown;
use super::counts::DeploymentCounters;
use super::deployment::{Prepare, ReadModel};
use super::latency::PeakLatency;
use super::parts::Parts;
use super::pick::MAX_DEPLOYMENTS;
use super::state::{DeploymentState, ModelState, ProviderState, State};
use super::{Deployment, Model, Router};

/// Collects what a [`Router`] is made of; see [`Router::builder`].
#[must_use = "a builder does nothing until `build`"]
pub struct RouterBuilder<S, B, D = Routes> {
    name: InstanceName,
    models: Vec<Model<S, B>>,
    config: RouterConfig,
    budget: BudgetHandle,
    describer: D,
}

impl<S, B> Router<S, B> {
    /// Starts with the name of the router and the model that is asked first. Without a describer,
    /// requests are described by their method ([`Routes`]): a POST is not sent twice unless it is certain that it was
    /// not executed.
    pub fn builder(name: impl Into<InstanceName>, model: Model<S, B>) -> RouterBuilder<S, B> {
        RouterBuilder::new(name.into(), model)
    }
}

impl<S, B> RouterBuilder<S, B> {
    fn new(name: InstanceName, model: Model<S, B>) -> Self {
        Self {
            name,
            models: vec![model],
            config: RouterConfig::default(),
            budget: BudgetHandle::filled(Budget::default()),
            describer: Routes::new(),
        }
    }
}

impl<S, B, D> RouterBuilder<S, B, D> {
    /// Adds a model that is asked where those before it have no deployment to offer.
    pub fn fallback(mut self, model: Model<S, B>) -> Self {
        self.models.push(model);
        self
    }

    /// Sets the settings.
    pub fn config(mut self, config: RouterConfig) -> Self {
        self.config = config;
        self
    }

    /// Pays for further attempts after one that may have been executed from this budget, in place of one
    /// of the router's own, which has 20 saved up and gets one for every five successes and one per second
    /// ([`BudgetConfig::default`](seawall_core::BudgetConfig)). Share it with a
    /// retry or a hedge around the router, so that all further attempts of a call are paid by one: the
    /// layer that fills it has [`BudgetHandle::filled`], the others [`BudgetHandle::shared`].
    pub fn budget(mut self, budget: BudgetHandle) -> Self {
        self.budget = budget;
        self
    }

    /// Describes requests with `describer`: whether one may be sent twice, what it costs, its deadline.
    ///
    /// A completion that is executed twice costs twice and does no other harm, so most callers allow it.
    ///
    /// ```
    /// use seawall_core::{ConstMeta, RequestMeta};
    /// # use seawall_ai::route::{Deployment, Model, Router};
    /// # type Body = http_body_util::Full<bytes::Bytes>;
    /// # let client = tower::service_fn(|_: http::Request<Body>| async { Ok::<_, std::convert::Infallible>(http::Response::new(Body::default())) });
    /// # let client = tower::ServiceBuilder::new().layer(seawall_core::WrapErrorLayer).service(client);
    /// # let model = Model::<_, Body>::new("large").deployment(Deployment::new("key-1", "openai", client));
    ///
    /// let router = Router::builder("assistant", model)
    ///     .describe(ConstMeta(RequestMeta::idempotent()))
    ///     .build()?;
    /// # let _ = router;
    /// # Ok::<(), seawall_core::InvalidConfig>(())
    /// ```
    pub fn describe<D2>(self, describer: D2) -> RouterBuilder<S, B, D2> {
        RouterBuilder {
            name: self.name,
            models: self.models,
            config: self.config,
            budget: self.budget,
            describer,
        }
    }

    /// Makes the router.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] when a name is empty or is that of another model or deployment, a model has no
    /// deployment or a window of 0, a weight is 0, or there are more than 64 deployments.
    pub fn build(self) -> Result<Router<S, B, D>, InvalidConfig> {
        named("name", self.name)?;
        let mut made = Made::default();
        for model in self.models {
            made.add(model)?;
        }
        let count = made.deployments.len();
        if count > MAX_DEPLOYMENTS {
            return Err(InvalidConfig::new("deployments", count, "at most 64"));
        }
        let state = State::new(
            self.name,
            self.config,
            self.budget,
            made.models,
            made.deployments,
            made.providers,
        );
        Ok(Router {
            parts: Arc::new(Parts {
                state: Arc::new(state),
                services: made.services.into(),
                prepare: made.prepare.into(),
                describer: self.describer,
                read_model: made.read_model,
            }),
        })
    }
}

seawall_core::impl_debug!(RouterBuilder<S, B, D>: |this|
    name = this.name,
    models = this.models,
    config = this.config,
);

struct Made<S, B> {
    models: Vec<ModelState>,
    deployments: Vec<DeploymentState>,
    providers: Vec<ProviderState>,
    services: Vec<S>,
    prepare: Vec<Box<[Prepare<B>]>>,
    read_model: Option<ReadModel<B>>,
}

impl<S, B> Default for Made<S, B> {
    fn default() -> Self {
        Self {
            models: Vec::new(),
            deployments: Vec::new(),
            providers: Vec::new(),
            services: Vec::new(),
            prepare: Vec::new(),
            read_model: None,
        }
    }
}

impl<S, B> Made<S, B> {
    fn add(&mut self, model: Model<S, B>) -> Result<(), InvalidConfig> {
        named("model", model.name)?;
        if self.models.iter().any(|other| other.name == model.name) {
            return Err(twice("model", model.name));
        }
        if model.context_window == Some(0) {
            return Err(InvalidConfig::new("context_window", 0, "at least 1"));
        }
        if model.deployments.is_empty() {
            let field = format!("deployments of {}", model.name);
            return Err(InvalidConfig::new(field, "none", "at least one"));
        }
        let index = self.models.len();
        let first = self.deployments.len();
        for deployment in model.deployments {
            self.add_deployment(index, deployment)?;
        }
        self.models.push(ModelState {
            name: model.name,
            context_window: model.context_window,
            deployments: Range {
                start: first,
                end: self.deployments.len(),
            },
        });
        Ok(())
    }

    fn add_deployment(
        &mut self,
        model: usize,
        deployment: Deployment<S, B>,
    ) -> Result<(), InvalidConfig> {
        named("deployment", deployment.name)?;
        named("provider", deployment.provider)?;
        let mut names = self.deployments.iter().map(|other| other.events.name());
        if names.any(|other| other == deployment.name) {
            return Err(twice("deployment", deployment.name));
        }
        if deployment.weight == 0 {
            let field = format!("weight of {}", deployment.name);
            return Err(InvalidConfig::new(field, 0, "at least 1"));
        }
        let provider = self.provider(deployment.provider);
        let named = deployment
            .model
            .as_deref()
            .zip(deployment.headroom.as_ref());
        let key = named.and_then(|(model, headroom)| headroom.key_of(model));
        if deployment.model.is_none() && self.read_model.is_none() {
            self.read_model = deployment.read_model;
        }
        self.deployments.push(DeploymentState {
            events: EventSource::beside("deployment", deployment.name),
            model,
            provider,
            weight: deployment.weight,
            headroom: deployment.headroom,
            key,
            classifier: deployment.classifier,
            cool_down: CoolDown::default(),
            blocked: AtomicBool::new(false),
            in_flight: AtomicU32::new(0),
            latency: PeakLatency::default(),
            counters: DeploymentCounters::default(),
        });
        self.services.push(deployment.service);
        self.prepare.push(deployment.prepare.into());
        Ok(())
    }

    fn provider(&mut self, name: InstanceName) -> usize {
        let mut known = self.providers.iter();
        let known = known.position(|other| other.events.name() == name);
        known.unwrap_or_else(|| {
            self.providers.push(ProviderState {
                events: EventSource::beside("provider", name),
                cool_down: CoolDown::default(),
                failures: AtomicU32::new(0),
            });
            self.providers.len() - 1
        })
    }
}

fn named(field: &'static str, name: InstanceName) -> Result<(), InvalidConfig> {
    match name.is_unnamed() {
        true => Err(InvalidConfig::new(field, "empty", "a name")),
        false => Ok(()),
    }
}

fn twice(field: &'static str, name: InstanceName) -> InvalidConfig {
    InvalidConfig::new(field, name, "a name that no other one has")
}
