//! Reads and controls a router from outside.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use seawall_core::{
    Budget, Command, EventSource, Events, InstanceHandle, InstanceName, InvalidConfig,
    Misconfiguration, Operated, Samples, Unsupported,
};

use super::config::RouterConfig;
use super::counts::{DeploymentCounts, RouterCounts};
use super::snapshot::{DeploymentSnapshot, RouterSnapshot, RouterState};
use super::state::{DeploymentState, State};

/// Reads and controls a router from any thread, without being part of any call.
///
/// It keeps what is known of the deployments alive, not their services.
///
/// ```
/// # use seawall_ai::route::{Deployment, Model, Router, RouteState};
/// # type Body = http_body_util::Full<bytes::Bytes>;
/// # let client = tower::service_fn(|_: http::Request<Body>| async { Ok::<_, std::convert::Infallible>(http::Response::new(Body::default())) });
/// # let client = tower::ServiceBuilder::new().layer(seawall_core::WrapErrorLayer).service(client);
/// # let model = Model::<_, Body>::new("large").deployment(Deployment::new("key-1", "openai", client));
/// let router = Router::builder("assistant", model).build()?;
/// let handle = router.handle();
///
/// // The key is about to be replaced.
/// assert!(handle.block("key-1"));
/// assert_eq!(handle.snapshot().deployments[0].state, RouteState::Blocked);
/// assert!(handle.resume("key-1"));
/// # Ok::<(), seawall_core::InvalidConfig>(())
/// ```
#[derive(Clone)]
pub struct RouterHandle {
    state: Arc<State>,
}

impl RouterHandle {
    pub(crate) const fn new(state: Arc<State>) -> Self {
        Self { state }
    }

    /// The name of the instance.
    pub fn name(&self) -> InstanceName {
        self.state.events.name()
    }

    /// The settings in force.
    pub fn config(&self) -> RouterConfig {
        RouterConfig::clone(&self.state.config())
    }

    /// Changes the settings while calls run. Cool-downs that have begun end when they would have.
    ///
    /// # Errors
    ///
    /// None today: settings cannot be wrong.
    pub fn configure(&self, config: RouterConfig) -> Result<(), InvalidConfig> {
        self.state.configure(config);
        self.events().commanded("configure");
        Ok(())
    }

    /// What became of the calls so far.
    pub fn counts(&self) -> RouterCounts {
        RouterCounts::sum([&self.state.counters])
    }

    /// Everything at once.
    pub fn snapshot(&self) -> RouterSnapshot {
        RouterSnapshot::of(&self.state)
    }

    /// One deployment; `None` when there is none of that name.
    pub fn deployment(&self, name: &str) -> Option<DeploymentSnapshot> {
        let deployment = self.find(name)?;
        let now = self.state.clock.now();
        Some(DeploymentSnapshot::of(&self.state, deployment, now))
    }

    /// The budget that pays for further attempts; `None` where they cost nothing, or where it is of
    /// another library.
    pub fn budget(&self) -> Option<&Budget> {
        self.state.budget.budget()
    }

    /// Chooses a deployment no more, until it is [resumed](Self::resume). Attempts under way go on. A
    /// block names no end, so no call waits for it: with all blocked, calls are rejected at once.
    /// `false` when there is none of that name.
    pub fn block(&self, name: &str) -> bool {
        let Some(deployment) = self.find(name) else {
            return false;
        };
        deployment.blocked.store(true, Ordering::Relaxed);
        self.state.changed.notify_waiters();
        deployment.events.commanded("block");
        true
    }

    /// Ends a [block](Self::block) of a deployment, its cool-down and that of its provider, without a
    /// trial. `false` when there is none of that name.
    pub fn resume(&self, name: &str) -> bool {
        let Some(deployment) = self.find(name) else {
            return false;
        };
        let now = self.state.clock.now();
        deployment.resume(now);
        self.state.provider_of(deployment).resume(now);
        self.state.changed.notify_waiters();
        deployment.events.commanded("resume");
        true
    }

    /// Rejects every call with [`Paused`](seawall_core::Reason::Paused) until
    /// [`resume_all`](Self::resume_all), also those that wait. Attempts under way go on.
    pub fn pause_all(&self) {
        self.state.pause();
        self.events().commanded("pause_all");
    }

    /// Ends a [pause](Self::pause_all), every block and every cool-down, without trials.
    pub fn resume_all(&self) {
        self.state.resume();
        self.events().commanded("resume_all");
    }

    /// As [`resume_all`](Self::resume_all), and forgets the latencies. [`counts`](Self::counts) stay.
    pub fn reset(&self) {
        self.state.reset();
        self.events().commanded("reset");
    }

    fn find(&self, name: &str) -> Option<&DeploymentState> {
        let mut all = self.state.deployments.iter();
        all.find(|deployment| deployment.events.name().as_str() == name)
    }

    fn events(&self) -> &EventSource {
        &self.state.events
    }
}

/// [`Block`](Command::Block) is [`pause_all`](RouterHandle::pause_all). There is no
/// [`Bypass`](Command::Bypass): every call needs a choice.
impl InstanceHandle for RouterHandle {
    seawall_core::handle_methods! { |this|
        pattern: this.state.events.pattern(),
        state: RouterState::of(&this.state).as_str(),
    }

    fn attach(&self, events: &Events) {
        self.state.events.attach(events);
        for deployment in &self.state.deployments {
            deployment.events.attach(events);
        }
        for provider in &self.state.providers {
            provider.events.attach(events);
        }
    }

    fn misconfigured(&self) -> Vec<Misconfiguration> {
        self.state.events.misconfigured()
    }

    fn operated(&self) -> Option<Operated> {
        Some(self.state.events.operated())
    }

    fn commands(&self) -> &'static [Command] {
        &[Command::Block, Command::Resume, Command::Reset]
    }

    fn control(&self, command: Command) -> Result<(), Unsupported> {
        match command {
            Command::Block => self.pause_all(),
            Command::Resume => self.resume_all(),
            Command::Reset => self.reset(),
            _ => return Err(Unsupported::new(self.pattern(), command)),
        }
        Ok(())
    }

    fn samples(&self, sink: &mut Samples<'_>) {
        self.counts().samples(sink);
        let now = self.state.clock.now();
        for deployment in &self.state.deployments {
            let name = deployment.events.name().as_str();
            let counts = DeploymentCounts::sum([&deployment.counters]);
            counts.deployment_samples(name, sink);
            let snapshot = DeploymentSnapshot::of(&self.state, deployment, now);
            let labels = [("deployment", name)];
            let is_available = snapshot.state.as_str() == "available";
            let available = f64::from(u8::from(is_available));
            sink.gauge("seawall_router_available", &labels, available);
            let in_flight = f64::from(snapshot.in_flight);
            sink.gauge("seawall_router_in_flight", &labels, in_flight);
            if let Some(latency) = snapshot.latency {
                let seconds = latency.as_secs_f64();
                sink.gauge("seawall_router_latency_seconds", &labels, seconds);
            }
        }
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        let mut settings = self.config().settings();
        settings.push(self.state.budget.setting());
        settings
    }
}

seawall_core::impl_debug!(RouterHandle: |this|
    name = this.name(),
    state = RouterState::of(&this.state),
);
