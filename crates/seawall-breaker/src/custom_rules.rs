//! Evaluation of custom rules, outside of the lock: they are code of the user.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use seawall_core::InstanceName;

use crate::circuit::settled::Settled;
use crate::config::BreakerConfig;
use crate::publish::Publish;
use crate::rule::{Rule, RuleContext};
use crate::state::Locked;
use crate::state_word::StateWord;

/// A moment at which the custom rules are evaluated.
pub(crate) struct RuleCheck {
    context: RuleContext,
    config: Arc<BreakerConfig>,
    word: StateWord,
}

impl RuleCheck {
    /// Nothing where there are no rules, or they are not on; `settled` is the call that has ended.
    pub(crate) fn new(
        locked: &Locked,
        settled: Option<Settled>,
        overdue: u64,
        now: u64,
    ) -> Option<Self> {
        let Locked {
            circuit, config, ..
        } = locked;
        (!config.rare().rules.0.is_empty() && circuit.has_rules_on()).then(|| Self {
            context: circuit.rule_context(config, settled, overdue, now),
            config: Arc::clone(config),
            word: circuit.word,
        })
    }
}

pub(crate) trait EvaluateRules: Publish {
    #[cold]
    fn evaluate_rules(&self, check: &RuleCheck, now: u64) {
        let common = self.common();
        let instant = common.setup.clock.instant(now);
        // A rule that panics does not trip: it must not take the result away from a call, nor end
        // the process where a permit is dropped while its task unwinds.
        let trips = |rule: &Arc<dyn Rule>| {
            let trips = || rule.trips(&check.context, instant).then(|| rule.name());
            catch_unwind(AssertUnwindSafe(trips)).unwrap_or(None)
        };
        let Some(name) = check.config.rare().rules.0.iter().find_map(trips) else {
            return;
        };
        let name = InstanceName::new(name);
        let mut locked = common.lock();
        if !locked.circuit.is_present(check.word) {
            return;
        }
        if check.word.is_passing() {
            self.drain(&mut locked, now);
        }
        let Locked {
            circuit, config, ..
        } = &mut *locked;
        let change = circuit.open_by_rule(config, name, now);
        self.publish(locked, change, false, now);
    }
}

impl<X: Publish> EvaluateRules for X {}
