//! Commands that hold for a time: what was commanded, by whom, why, and until when.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use seawall_core::Command;
use serde::Serialize;
use tokio::task::AbortHandle;
use utoipa::ToSchema;

use crate::audit::unix_ms;

/// The longest time that a command may hold before it ends by itself.
pub(crate) const LONGEST: Duration = Duration::from_secs(7 * 24 * 3_600);

/// A command that holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct ActiveCommand {
    /// The command: `block`.
    pub(crate) command: &'static str,
    /// Who has given it.
    pub(crate) who: String,
    /// Why.
    pub(crate) reason: String,
    /// Since when, in milliseconds since 1970.
    pub(crate) since_unix_ms: u64,
    /// When it ends by itself, in milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) until_unix_ms: Option<u64>,
}

/// What commands are about: shadow mode goes beside the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum About {
    Calls,
    Shadow,
}

impl About {
    const fn of(command: Command) -> Self {
        match command {
            Command::ShadowOn | Command::ShadowOff => Self::Shadow,
            _ => Self::Calls,
        }
    }
}

/// Whether a command begins something that another one ends.
pub(crate) const fn begins(command: Command) -> bool {
    matches!(
        command,
        Command::Block | Command::Bypass | Command::Drain | Command::ShadowOn
    )
}

/// The command that ends another one, of those that the component has.
pub(crate) fn inverse(command: Command, has: &[Command]) -> Option<Command> {
    let ends: &[Command] = match command {
        Command::ShadowOn => &[Command::ShadowOff],
        command if begins(command) => &[Command::Resume, Command::Reset],
        _ => &[],
    };
    ends.iter().copied().find(|end| has.contains(end))
}

/// A component: its service, pattern and name.
pub(crate) type Target = (&'static str, &'static str, &'static str);

/// The commands that hold, by component.
#[derive(Clone, Debug, Default)]
pub(crate) struct ActiveCommands(Arc<Mutex<HashMap<(Target, About), Active>>>);

#[derive(Debug)]
struct Active {
    command: ActiveCommand,
    timer: Option<AbortHandle>,
    number: u64,
}

impl Drop for Active {
    fn drop(&mut self) {
        if let Some(timer) = &self.timer {
            timer.abort();
        }
    }
}

impl ActiveCommands {
    /// Notes a command that was carried out, and returns which it ends. `number` is that of the command.
    pub(crate) fn note(
        &self,
        target: Target,
        command: Command,
        (who, reason): (String, String),
        lasts: Option<Duration>,
        number: u64,
    ) -> Vec<ActiveCommand> {
        let mut active = self.lock();
        let ends: &[About] = match command {
            Command::Reset => &[About::Calls, About::Shadow],
            command => &[About::of(command)],
        };
        let ended = ends
            .iter()
            .filter_map(|about| active.remove(&(target, *about)));
        let ended = ended.map(|held| held.command.clone()).collect();
        if !begins(command) {
            return ended;
        }
        let now = SystemTime::now();
        let until = lasts.and_then(|lasts| now.checked_add(lasts));
        let command_view = ActiveCommand {
            command: command.as_str(),
            who,
            reason,
            since_unix_ms: unix_ms(now),
            until_unix_ms: until.map(unix_ms),
        };
        let held = Active {
            command: command_view,
            timer: None,
            number,
        };
        active.insert((target, About::of(command)), held);
        ended
    }

    /// Sets the timer of a command, unless it holds no more.
    pub(crate) fn set_timer(
        &self,
        target: Target,
        command: Command,
        number: u64,
        timer: AbortHandle,
    ) {
        let mut active = self.lock();
        match active.get_mut(&(target, About::of(command))) {
            Some(held) if held.number == number => held.timer = Some(timer),
            _ => timer.abort(),
        }
    }

    /// Forgets a command whose time is over, and which it was, if it held until now.
    pub(crate) fn expire(
        &self,
        target: Target,
        command: Command,
        number: u64,
    ) -> Option<ActiveCommand> {
        let mut active = self.lock();
        let key = (target, About::of(command));
        let holds = active.get(&key).is_some_and(|held| held.number == number);
        let mut held = holds.then(|| active.remove(&key)).flatten()?;
        // It is the timer that calls.
        held.timer = None;
        Some(held.command.clone())
    }

    /// What holds for a component.
    pub(crate) fn of(&self, service: &str, pattern: &str, name: &str) -> Vec<ActiveCommand> {
        let active = self.lock();
        let is_it = |((its_service, its_pattern, its_name), _): &(Target, About)| {
            (*its_service, *its_pattern, *its_name) == (service, pattern, name)
        };
        let found = active.iter().filter(|(key, _)| is_it(key));
        let mut found: Vec<_> = found.map(|(_, held)| held).collect();
        found.sort_by_key(|held| held.number);
        found.into_iter().map(|held| held.command.clone()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(Target, About), Active>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
