//! The circuits of all keys.

use std::borrow::Cow;
use std::hash::{BuildHasher, Hash};
use std::mem;
use std::sync::Arc;

use seawall_core::InstanceName;

use super::circuit::{Keyed, KeyedCircuit, RegistryShared};
use super::map::Map;
use crate::access::Access;
use crate::config::BreakerConfig;
use crate::state::Setup;
use crate::state_word::CircuitState;

pub(crate) struct KeyedState<K: ToOwned + ?Sized, B> {
    pub(super) setup: Arc<Setup>,
    pub(super) map: Map<K::Owned, KeyedCircuit<K>, B>,
    pub(super) shared: Arc<RegistryShared<K>>,
}

impl<K: ToOwned + ?Sized, B> KeyedState<K, B> {
    pub(super) fn new(name: InstanceName, config: BreakerConfig, max: usize, hasher: B) -> Self {
        Self {
            setup: Setup::new(name),
            map: Map::new(max, hasher),
            shared: Arc::new(RegistryShared::new(config)),
        }
    }

    pub(super) fn config(&self) -> Arc<BreakerConfig> {
        Arc::clone(&self.shared.settings().config)
    }

    /// The circuit of `key`, made if there is none.
    #[inline]
    pub(super) fn circuit(&self, key: Cow<'_, K>) -> Keyed<K>
    where
        K: Hash + Eq,
        B: BuildHasher,
    {
        let mut is_new = false;
        let circuit = Keyed(self.map.get_or_make(key, || {
            is_new = true;
            KeyedCircuit::new(&self.setup, &self.config(), &self.shared)
        }));
        if is_new {
            // Changes that were made meanwhile may not have reached this circuit.
            circuit.apply_settings(true);
        }
        circuit
    }

    /// Gives every circuit other settings.
    pub(super) fn configure(&self, config: BreakerConfig) {
        let config = Arc::new(config);
        let old = self
            .shared
            .change_settings(|settings| mem::replace(&mut settings.config, config));
        drop(old);
        self.for_each(|circuit| circuit.apply_settings(false));
    }

    /// Carries out a command on every circuit, and forces future ones into a state.
    pub(super) fn command(&self, forced: Option<CircuitState>, act: impl Fn(&Keyed<K>)) {
        self.shared
            .change_settings(|settings| settings.forced = forced);
        self.for_each(act);
    }

    pub(super) fn for_each(&self, mut each: impl FnMut(&Keyed<K>)) {
        self.map.for_each(|entry| each(&Keyed(Arc::clone(entry))));
    }

    /// Every key whose calls do not all pass, with its state.
    pub(super) fn open_keys(&self) -> Vec<(K::Owned, CircuitState)> {
        let mut keys = Vec::new();
        self.for_each(|circuit| {
            let word = circuit.common().word();
            if !word.is_passing() {
                keys.push((circuit.key().to_owned(), word.state()));
            }
        });
        keys
    }
}
