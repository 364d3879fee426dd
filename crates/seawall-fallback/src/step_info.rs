//! What is known of a step, whatever it is asked with.

use std::sync::Arc;

use seawall_core::InstanceName;

use crate::counts::StepCounters;
use crate::last_good::Forget;

/// The name and the counters of a step.
pub(crate) struct StepInfo {
    pub(crate) name: InstanceName,
    pub(crate) kind: &'static str,
    pub(crate) counters: StepCounters,
    pub(crate) memory: Option<Arc<dyn Forget>>,
}

impl StepInfo {
    pub(crate) fn new(name: InstanceName, kind: &'static str) -> Self {
        Self {
            name,
            kind,
            counters: StepCounters::default(),
            memory: None,
        }
    }

    pub(crate) fn with_memory(mut self, memory: Arc<dyn Forget>) -> Self {
        self.memory = Some(memory);
        self
    }

    pub(crate) fn named(&self, name: InstanceName) -> Self {
        Self {
            memory: self.memory.clone(),
            ..Self::new(name, self.kind)
        }
    }
}
