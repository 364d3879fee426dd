//! Who gives a command, and how often an operator did.

use std::cell::Cell;

/// Which instance a handle belongs to, and how often an operator has commanded what may pass it.
///
/// A recovery that blocks a layer notes it, to know afterwards whether the layer is still as the recovery
/// left it. Handles of one instance have the same `instance`, whichever registry or name they came by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operated {
    pub(crate) instance: usize,
    pub(crate) commands: u16,
}

impl Operated {
    /// A number of the instance: while it lives, no other one has the same.
    pub const fn instance(self) -> usize {
        self.instance
    }

    /// How many commands an operator has given that decide what passes, those without effect included.
    /// Wraps around.
    pub const fn commands(self) -> u16 {
        self.commands
    }
}

thread_local! {
    /// The word of the command that a recovery gives on this thread.
    static RECOVERY: Cell<Option<&'static str>> = const { Cell::new(None) };
}

/// Gives a command as a recovery, not as an operator: what `act` commands on this thread is emitted as
/// `word`, has [`CircuitCause::Recovery`](crate::CircuitCause::Recovery), and is not counted in
/// [`Operated`].
///
/// ```
/// use seawall_core::{EventSource, as_recovery};
///
/// let source = EventSource::new("door", "front");
/// let before = source.operated();
/// as_recovery("recovery_hold", || source.commanded("pause"));
/// assert_eq!(source.operated(), before);
/// source.commanded("pause");
/// assert_eq!(source.operated().commands(), before.commands() + 1);
/// ```
pub fn as_recovery<R>(word: &'static str, act: impl FnOnce() -> R) -> R {
    acting_as(Some(word), act)
}

/// Runs a listener, whose commands are not those of the recovery that it listens to.
pub(crate) fn as_operator<R>(act: impl FnOnce() -> R) -> R {
    acting_as(None, act)
}

fn acting_as<R>(recovery: Option<&'static str>, act: impl FnOnce() -> R) -> R {
    struct Restore(Option<&'static str>);

    impl Drop for Restore {
        fn drop(&mut self) {
            RECOVERY.set(self.0);
        }
    }

    // Also where it panics.
    let _restore = Restore(RECOVERY.replace(recovery));
    act()
}

/// The word of the command that a recovery is giving on this thread, if one is.
pub(crate) fn recovery() -> Option<&'static str> {
    RECOVERY.get()
}

/// Whether a command, by the name of its method, decides what passes.
pub(crate) fn decides(command: &str) -> bool {
    ["force_", "pause", "drain", "resume"]
        .iter()
        .any(|start| command.starts_with(start))
        || matches!(command, "automatic" | "block" | "bypass" | "reset")
}
