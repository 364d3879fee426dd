//! Every named layer instance of a service in one place: read, control, publish.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

#[cfg(feature = "metrics")]
use crate::published::Published;
use crate::{
    Events, InstanceName, LastRejection, Misconfiguration, Operated, OwnedSample, Samples,
};

/// A handle of one layer instance, as the registry knows it.
///
/// Cheap to call at any time from any thread; none of it is on the path of a request.
pub trait InstanceHandle: Send + Sync {
    /// The pattern: `"breaker"`, `"retry"`, ...
    fn pattern(&self) -> &'static str;

    /// The name of the instance, unique within its pattern and registry.
    fn name(&self) -> InstanceName;

    /// The state in one word: `"closed"`, `"open"`, `"ok"`, `"full"`.
    fn state(&self) -> &'static str;

    /// Hands every counter, gauge and histogram to `sink`.
    fn samples(&self, sink: &mut Samples<'_>);

    /// The settings in force, by field.
    fn settings(&self) -> Vec<(&'static str, String)>;

    /// What was found to be wrong with how the instance is set up; nothing unless implemented.
    fn misconfigured(&self) -> Vec<Misconfiguration> {
        Vec::new()
    }

    /// The last call that was rejected, by this instance or within it; `None` unless it keeps that, as the
    /// layer that measures calls does.
    fn last_rejection(&self) -> Option<LastRejection> {
        None
    }

    /// Connects the instance to the events of a registry. An instance speaks through the events
    /// that it was attached to first.
    fn attach(&self, events: &Events);

    /// The commands that it carries out; none unless implemented.
    fn commands(&self) -> &'static [Command] {
        &[]
    }

    /// Which instance it is, and how often an operator has commanded what may pass it; `None` unless
    /// implemented.
    fn operated(&self) -> Option<Operated> {
        None
    }

    /// Carries out a command.
    ///
    /// # Errors
    ///
    /// [`Unsupported`] when the pattern has no such command.
    fn control(&self, command: Command) -> Result<(), Unsupported> {
        Err(Unsupported::new(self.pattern(), command))
    }
}

/// A command to a component.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Command {
    /// Reject everything until another command comes, in shadow mode, too.
    Block,
    /// Let everything pass until another command comes.
    Bypass,
    /// Forget what was learned and every earlier command, and work by the rules again.
    Reset,
    /// End [`Block`](Self::Block), [`Bypass`](Self::Bypass) and [`Drain`](Self::Drain), and keep what was
    /// learned.
    Resume,
    /// Let no new call pass, and serve those that are queued.
    Drain,
    /// Decide and count, and let every call pass.
    ShadowOn,
    /// End [`ShadowOn`](Self::ShadowOn).
    ShadowOff,
}

impl Command {
    /// Every command.
    pub const ALL: [Self; 7] = [
        Self::Block,
        Self::Bypass,
        Self::Reset,
        Self::Resume,
        Self::Drain,
        Self::ShadowOn,
        Self::ShadowOff,
    ];

    /// The command in a word, as it is written in paths and files: `block`, `shadow_on`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Block => "block",
            Self::Bypass => "bypass",
            Self::Reset => "reset",
            Self::Resume => "resume",
            Self::Drain => "drain",
            Self::ShadowOn => "shadow_on",
            Self::ShadowOff => "shadow_off",
        }
    }
}

/// A command that the component does not know.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unsupported {
    /// The pattern that was asked.
    pub pattern: &'static str,
    /// What it was asked for.
    pub command: Command,
}

impl Unsupported {
    /// This pattern does not know this command.
    pub const fn new(pattern: &'static str, command: Command) -> Self {
        Self { pattern, command }
    }
}

impl fmt::Display for Unsupported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`{}` has no command `{}`",
            self.pattern,
            self.command.as_str()
        )
    }
}

impl std::error::Error for Unsupported {}

/// Why a component was not registered: the registry has one of that pattern and name.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AlreadyRegistered {
    /// The pattern.
    pub pattern: &'static str,
    /// The name.
    pub name: InstanceName,
}

impl AlreadyRegistered {
    /// There is an instance of this pattern and name.
    pub const fn new(pattern: &'static str, name: InstanceName) -> Self {
        Self { pattern, name }
    }
}

impl fmt::Display for AlreadyRegistered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "a {} named `{}` is registered already; give each instance a name of its own",
            self.pattern, self.name
        )
    }
}

impl std::error::Error for AlreadyRegistered {}

/// What the registry knows of one component at one moment.
///
/// With the feature `serde` its settings and labels are maps, and a gauge that is not finite is `null` in JSON.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Snapshot {
    /// The pattern.
    pub pattern: &'static str,
    /// The name of the instance.
    pub name: InstanceName,
    /// The state in one word.
    pub state: &'static str,
    /// Counters, gauges and histograms.
    pub samples: Vec<OwnedSample>,
    /// The settings in force.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::serialize::pairs"))]
    pub settings: Vec<(&'static str, String)>,
    /// What was found to be wrong with how it is set up.
    pub misconfigured: Vec<Misconfiguration>,
}

/// The named layer instances of one service. Clones share.
///
/// No registry is required for a layer to work, and none is global.
///
/// ```
/// use seawall_core::Registry;
///
/// let registry = Registry::new("alpaca");
/// assert_eq!(registry.service().as_str(), "alpaca");
/// assert!(registry.snapshot().is_empty());
/// ```
#[derive(Clone)]
pub struct Registry {
    inner: Arc<Inner>,
}

type Components = BTreeMap<(&'static str, InstanceName), Arc<dyn InstanceHandle>>;

struct Inner {
    service: InstanceName,
    events: Events,
    components: RwLock<Components>,
    #[cfg(feature = "metrics")]
    published: std::sync::Mutex<Published>,
}

impl Registry {
    /// An empty registry for the service of that name.
    pub fn new(service: impl Into<InstanceName>) -> Self {
        Self::with_events(service, Events::default())
    }

    /// An empty registry whose components speak through `events`.
    pub fn with_events(service: impl Into<InstanceName>, events: Events) -> Self {
        Self {
            inner: Arc::new(Inner {
                service: service.into(),
                events,
                components: RwLock::default(),
                #[cfg(feature = "metrics")]
                published: std::sync::Mutex::default(),
            }),
        }
    }

    /// The name of the service.
    pub fn service(&self) -> InstanceName {
        self.inner.service
    }

    /// What the components speak through.
    pub fn events(&self) -> &Events {
        &self.inner.events
    }

    /// Adds a component and connects it to the registry's events.
    ///
    /// # Errors
    ///
    /// [`AlreadyRegistered`] when there is one of that pattern and name; the registry keeps it.
    pub fn register(
        &self,
        component: impl InstanceHandle + 'static,
    ) -> Result<(), AlreadyRegistered> {
        let component: Arc<dyn InstanceHandle> = Arc::new(component);
        let key = (component.pattern(), component.name());
        {
            let mut components = self.write();
            if components.contains_key(&key) {
                return Err(AlreadyRegistered::new(key.0, key.1));
            }
            components.insert(key, Arc::clone(&component));
        }
        component.attach(&self.inner.events);
        Ok(())
    }

    /// Removes a component; the layer goes on working.
    pub fn remove(
        &self,
        pattern: &str,
        name: impl Into<InstanceName>,
    ) -> Option<Arc<dyn InstanceHandle>> {
        let key = {
            let component = self.get(pattern, name)?;
            (component.pattern(), component.name())
        };
        self.write().remove(&key)
    }

    /// The component of that pattern and name.
    pub fn get(
        &self,
        pattern: &str,
        name: impl Into<InstanceName>,
    ) -> Option<Arc<dyn InstanceHandle>> {
        let components = self.read();
        // Its keys live longer than what is looked for.
        let components: &BTreeMap<(&str, InstanceName), _> = &components;
        components.get(&(pattern, name.into())).map(Arc::clone)
    }

    /// Every component, by pattern and name.
    pub fn all(&self) -> Vec<Arc<dyn InstanceHandle>> {
        self.read().values().map(Arc::clone).collect()
    }

    /// What every component is doing now.
    pub fn snapshot(&self) -> Vec<Snapshot> {
        // Components are read outside of the lock.
        self.all()
            .iter()
            .map(|component| {
                let mut samples = Vec::new();
                component.samples(&mut Samples::new(&mut |s| {
                    samples.push(OwnedSample::from(s));
                }));
                Snapshot {
                    pattern: component.pattern(),
                    name: component.name(),
                    state: component.state(),
                    samples,
                    settings: component.settings(),
                    misconfigured: component.misconfigured(),
                }
            })
            .collect()
    }

    /// Publishes every counter, gauge and histogram through the `metrics` facade, with the labels
    /// `service` and `name`, and what each [metric](crate::METRICS) means. Call it at an interval or at each scrape.
    ///
    /// Handles are looked up here and now, so it does not matter whether a recorder was
    /// installed before the layers were built. What was recorded in a histogram is published once, to the
    /// recorder of that call: for several recorders make a [`Publisher`](crate::Publisher) for each.
    #[cfg(feature = "metrics")]
    pub fn publish(&self) {
        let published = self.inner.published.lock();
        self.publish_to(&mut published.unwrap_or_else(PoisonError::into_inner));
    }

    /// Publishes what `published` has not published yet.
    #[cfg(feature = "metrics")]
    pub(crate) fn publish_to(&self, published: &mut Published) {
        // Each time: nobody says when another recorder is installed.
        crate::metric::describe();
        for component in self.all() {
            let [service, name] = [self.inner.service, component.name()];
            component.samples(&mut Samples::new(&mut |sample| {
                published.publish([service, name], &sample);
            }));
        }
        published.forget_what_is_gone();
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Components> {
        let components = self.inner.components.read();
        components.unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, Components> {
        self.inner
            .components
            .write()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self
            .all()
            .iter()
            .map(|c| format!("{}/{}", c.pattern(), c.name()))
            .collect();
        f.debug_struct("Registry")
            .field("service", &self.inner.service)
            .field("components", &names)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Switch(InstanceName);

    impl InstanceHandle for Switch {
        fn pattern(&self) -> &'static str {
            "switch"
        }
        fn name(&self) -> InstanceName {
            self.0
        }
        fn state(&self) -> &'static str {
            "on"
        }
        fn samples(&self, sink: &mut Samples<'_>) {
            sink.counter("seawall_switch_calls_total", &[("outcome", "success")], 7);
        }
        fn settings(&self) -> Vec<(&'static str, String)> {
            vec![("volts", "12".into())]
        }
        fn attach(&self, _: &Events) {}
    }

    #[test]
    fn a_second_component_of_the_same_name_is_rejected_and_the_first_stays() {
        let registry = Registry::new("svc");
        registry.register(Switch(InstanceName::new("a"))).unwrap();
        let first = registry.get("switch", "a").unwrap();
        let rejected = registry.register(Switch(InstanceName::new("a")));
        assert_eq!(rejected.unwrap_err().name.as_str(), "a");
        registry.register(Switch(InstanceName::new("b"))).unwrap();
        assert!(Arc::ptr_eq(&registry.get("switch", "a").unwrap(), &first));
        assert_eq!(registry.snapshot().len(), 2);
        assert!(registry.remove("switch", "a").is_some());
        assert!(registry.get("switch", "a").is_none());
    }

    #[test]
    fn unknown_commands_say_so() {
        let rejected = Switch(InstanceName::new("a")).control(Command::Block);
        assert_eq!(
            rejected.unwrap_err().to_string(),
            "`switch` has no command `block`"
        );
    }
}
