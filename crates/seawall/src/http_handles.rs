//! Reading and controlling what an HTTP stack has beside its layers.

use seawall_core::{AlreadyRegistered, InvalidConfig, Registry};
use seawall_http::body_timeout::BodyTimeoutHandle;
use seawall_http::quota::HttpFeedbackHandle;

use crate::settings::Settings;
use crate::stack::{HttpCounts, HttpSnapshot, ProtocolHandles, SlotHandle, StackSnapshot, remove};

/// Handles of what is particular to HTTP in a stack: `handles.protocol` of an
/// [`HttpStack`](crate::HttpStack).
///
/// They are two handles, which have name and settings each for itself; the timeout of bodies is one
/// of the [`Settings`] of the stack, too.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub struct HttpHandles {
    /// Bodies that took too long.
    pub body_timeout: BodyTimeoutHandle,
    /// Headers that report limits, and what of them could not be read.
    pub feedback: HttpFeedbackHandle,
}

impl HttpHandles {
    pub(crate) const fn new(body_timeout: BodyTimeoutHandle, feedback: HttpFeedbackHandle) -> Self {
        Self {
            body_timeout,
            feedback,
        }
    }

    /// Everything that both know now.
    pub fn snapshot(&self) -> HttpSnapshot {
        HttpSnapshot {
            body_timeout: self.body_timeout.snapshot(),
            feedback: self.feedback.snapshot(),
        }
    }

    /// What both have counted so far.
    pub fn counts(&self) -> HttpCounts {
        self.snapshot().counts()
    }

    /// Ends what an operator has commanded to either; counters stay.
    pub fn reset(&self) {
        self.body_timeout.reset();
        self.feedback.reset();
    }
}

impl SlotHandle for HttpHandles {
    fn add_to(&self, snapshot: &mut StackSnapshot) {
        snapshot.http = Some(Self::snapshot(self));
    }

    fn reset(&self) {
        Self::reset(self);
    }

    fn register(&self, registry: &Registry) -> Result<(), AlreadyRegistered> {
        registry.register(self.body_timeout.clone())?;
        registry.register(self.feedback.clone())
    }

    fn unregister(&self, registry: &Registry) {
        remove(registry, &self.body_timeout);
        remove(registry, &self.feedback);
    }
}

impl ProtocolHandles for HttpHandles {
    fn read_settings(&self, settings: &mut Settings) {
        settings.body_timeout = self.body_timeout.config();
    }

    fn apply_settings(&self, settings: &Settings) -> Result<(), InvalidConfig> {
        self.body_timeout.configure(settings.body_timeout)
    }
}
