//! Reading and controlling what an HTTP stack has beside its layers.

use seawall_core::{AlreadyRegistered, InvalidConfig, Registry};
use seawall_http::body_timeout::BodyTimeoutHandle;
use seawall_http::quota::HttpFeedbackHandle;

use crate::settings::Settings;
use crate::stack::{HttpSnapshot, ProtocolHandles, SlotHandle, StackSnapshot};

/// Handles of what is particular to HTTP in a stack: `handles.protocol` of an
/// [`HttpStack`](crate::HttpStack).
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
}

impl SlotHandle for HttpHandles {
    fn add_to(&self, snapshot: &mut StackSnapshot) {
        snapshot.http = Some(HttpSnapshot {
            body_timeout: self.body_timeout.snapshot(),
            feedback: self.feedback.snapshot(),
        });
    }

    fn reset(&self) {
        self.body_timeout.reset();
        self.feedback.reset();
    }

    fn register(&self, registry: &Registry) -> Result<(), AlreadyRegistered> {
        registry.register(self.body_timeout.clone())?;
        registry.register(self.feedback.clone())
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
