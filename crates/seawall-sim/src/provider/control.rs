//! How a connection is cut off, by those inside of it.

use std::sync::atomic::{AtomicU8, Ordering};

use tokio::sync::Notify;

/// How a connection is cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Disconnect {
    /// A regular end of the stream (FIN).
    Close,
    /// A reset (RST); what was sent and not yet delivered may be lost.
    Reset,
}

/// Lets a request or a body, deep inside hyper, request the end of its connection.
#[derive(Debug, Default)]
pub(crate) struct ConnectionControl {
    cut: AtomicU8,
    requested: Notify,
}

impl ConnectionControl {
    pub(crate) fn request(&self, cut: Disconnect) {
        let value = match cut {
            Disconnect::Close => 1,
            Disconnect::Reset => 2,
        };
        self.cut.store(value, Ordering::Release);
        self.requested.notify_one();
    }

    /// Waits for a request.
    pub(super) async fn requested(&self) {
        self.requested.notified().await;
    }

    pub(super) fn resets(&self) -> bool {
        self.cut.load(Ordering::Acquire) == 2
    }
}
