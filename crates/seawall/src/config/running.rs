//! Layers of running stacks that have their settings from tables of the file.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use seawall_core::{Command, InstanceHandle, InvalidConfig};

use super::answers::{Answer, AnswerSettings};
use super::fallback_value::FallbackValue;

/// From which settings to which.
type Change<'a> = (&'a AnswerSettings, &'a AnswerSettings);

/// A layer that was made of a table: changes it, and says whether it is still there.
pub(super) type Noted = Arc<dyn Fn(Option<Change<'_>>) -> bool + Send + Sync>;

/// The layers of one service, which a reload reaches as long as somebody uses them.
pub(crate) struct RunningAnswers(Mutex<State>);

#[derive(Default)]
struct State {
    settings: AnswerSettings,
    layers: Vec<Noted>,
    /// Whether there is a step that answers with the value.
    has_value_step: bool,
}

seawall_core::impl_debug!(RunningAnswers: |this| layers = this.lock().layers.len());

impl RunningAnswers {
    pub(super) fn new(settings: AnswerSettings) -> Self {
        Self(Mutex::new(State {
            settings,
            ..State::default()
        }))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a layer of the settings in force, and reaches it from then on.
    pub(super) fn make<L>(
        &self,
        make: impl FnOnce(&AnswerSettings) -> Result<L, InvalidConfig>,
        note: impl FnOnce(&L) -> Noted,
    ) -> Result<L, InvalidConfig> {
        // Outside of the lock: it may be the last one that lets go of what is kept.
        let is_gone = |layer: &Noted| !layer(None);
        let layers = self.lock().layers.clone();
        let gone: Vec<_> = layers.into_iter().filter(is_gone).collect();
        let mut state = self.lock();
        let is_left = |layer: &Noted| !gone.iter().any(|gone| Arc::ptr_eq(gone, layer));
        state.layers.retain(is_left);
        // Within it: no reload comes between the settings and the note.
        let layer = make(&state.settings)?;
        state.layers.push(note(&layer));
        Ok(layer)
    }

    /// The value that calls which fail are answered with now.
    pub(super) fn value(&self) -> Option<FallbackValue> {
        self.lock().settings.value.clone()
    }

    /// Notes that there is a step that answers with it.
    pub(super) fn note_value_step(&self) {
        self.lock().has_value_step = true;
    }

    #[cfg(feature = "reload")]
    pub(super) fn has_value_step(&self) -> bool {
        self.lock().has_value_step
    }

    /// Puts other settings on the layers. It emits events, so no lock may be held.
    #[cfg(feature = "reload")]
    pub(super) fn put(&self, settings: &AnswerSettings) {
        let (before, layers) = {
            let mut state = self.lock();
            let before = std::mem::replace(&mut state.settings, settings.clone());
            (before, state.layers.clone())
        };
        if before != *settings {
            for layer in layers {
                layer(Some((&before, settings)));
            }
        }
    }
}

/// Notes a layer by a handle that keeps nothing alive.
pub(super) fn follow<H, C>(
    weak: impl Fn() -> Option<H> + Send + Sync + 'static,
    table: fn(&AnswerSettings) -> Option<&Answer<C>>,
    configure: fn(&H, C) -> Result<(), InvalidConfig>,
) -> Noted
where
    H: InstanceHandle + 'static,
    C: Clone + PartialEq + 'static,
{
    Arc::new(move |change| {
        let Some(handle) = weak() else { return false };
        let Some((from, to)) = change else {
            return true;
        };
        // A table neither comes nor goes while a stack runs.
        if let (Some(from), Some(to)) = (table(from), table(to)) {
            if from.config != to.config {
                // Settings that are valid are accepted while it runs, too.
                let _ = configure(&handle, to.config.clone());
            }
            if from.is_off != to.is_off {
                let command = if to.is_off {
                    Command::Bypass
                } else {
                    Command::Resume
                };
                let _ = handle.control(command);
            }
        }
        true
    })
}
