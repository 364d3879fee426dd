//! What an operator commands of every kind of bulkhead, written once.

use crate::semaphore::packed::{BYPASS, DRAINING, PAUSED, SHADOW};

/// The [flags](crate::semaphore::packed) that a command sets, and those that it clears.
pub(crate) type FlagChange = (u64, u64);

pub(crate) const PAUSE: FlagChange = (PAUSED, BYPASS);
pub(crate) const DRAIN: FlagChange = (DRAINING, BYPASS);
pub(crate) const RESUME: FlagChange = (0, PAUSED | DRAINING | BYPASS);
pub(crate) const BYPASS_ALL: FlagChange = (BYPASS, PAUSED | DRAINING);
pub(crate) const SHADOW_ON: FlagChange = (SHADOW, BYPASS);
pub(crate) const SHADOW_OFF: FlagChange = (0, SHADOW | BYPASS);

/// Writes the commands of a handle, by three methods of its own: `change` changes flags,
/// `drains` is what a drain waits for, and `source` emits the commands.
macro_rules! commands {
    ($Handle:ident $(<$param:ident>)?) => {
        impl $(<$param>)? $Handle $(<$param>)? {
            /// Admits no call until [`resume`](Self::resume): new calls are rejected with
            /// [`Paused`](seawall_core::Reason::Paused), queued ones wait on for as long as they
            /// may, and those in flight go on. It holds in shadow mode, too.
            pub fn pause(&self) {
                self.give("pause", $crate::commands::PAUSE);
            }

            /// Rejects new calls with [`Draining`](seawall_core::Reason::Draining) until
            /// [`resume`](Self::resume), and serves those queued, unless it is
            /// [paused](Self::pause) as well: before a restart. It holds in shadow mode, too. See [`drained`](Self::drained) for its end.
            pub fn drain(&self) {
                self.give("drain", $crate::commands::DRAIN);
            }

            /// Ends a pause, a drain and a bypass.
            pub fn resume(&self) {
                self.give("resume", $crate::commands::RESUME);
            }

            /// Waits until no call holds a permit or waits for one, at any time or
            /// [for good](Self::drain). Waiters whose wait is over, or that are not polled and wait
            /// without an end, do not count.
            ///
            /// ```
            /// use seawall_bulkhead::{BulkheadConfig, BulkheadLayer};
            ///
            /// # #[tokio::main(flavor = "current_thread")] async fn main() {
            /// let handle = BulkheadLayer::new("orders", BulkheadConfig::default()).handle();
            /// handle.drain();
            /// handle.drained().await;
            /// # }
            /// ```
            pub fn drained(&self) -> $crate::DrainFuture {
                $crate::DrainFuture::new(self.drains())
            }

            /// Begins or ends shadow mode, in which every call passes and none waits, and those
            /// that would have been rejected are counted and emitted as
            /// [`Shadowed`](seawall_core::EventKind::Shadowed). Queued calls go at once when it
            /// begins. A pause and a drain hold.
            pub fn set_shadow(&self, on: bool) {
                use $crate::commands::{SHADOW_OFF, SHADOW_ON};
                self.change(if on { SHADOW_ON } else { SHADOW_OFF });
                self.source().commanded_shadow(on);
            }

            fn bypass(&self) {
                self.give("bypass", $crate::commands::BYPASS_ALL);
            }

            fn give(&self, command: &'static str, change: $crate::commands::FlagChange) {
                self.change(change);
                self.source().commanded(command);
            }
        }
    };
}

pub(crate) use commands;
