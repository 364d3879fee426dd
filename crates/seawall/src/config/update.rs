//! Another configuration of a service, put on its running stack.

use std::sync::Arc;

use seawall_core::{InvalidConfig, Span, Unit};
use seawall_ratelimit::{KeyedRateLimitConfig, Limit};

use crate::catalog::ProviderHandles;
use crate::mistake::{Mistake, Place};
use crate::settings::Settings;
use crate::stack::{Part, Replaced};

use super::running::RunningAnswers;
use super::service::ServiceConfig;
use super::set::Id;
use super::setting::{Level, Setting, Table};
use super::table;

/// Settings that decide which limits there are.
const LIMITS: [Id; 8] = [
    (Table::RateLimit, "quotas"),
    (Table::RateLimit, "tokens"),
    (Table::RateLimit, "input_tokens"),
    (Table::RateLimit, "output_tokens"),
    (Table::RateLimit, "rate"),
    (Table::RateLimit, "limit"),
    (Table::Service, "tier"),
    (Table::Service, "kind"),
];

/// The layers that options replace, by their table and, where it is one of several, their setting.
const REPLACEABLE: [(Part, Table, Option<&str>); 4] = [
    (Part::Bulkhead, Table::Bulkhead, None),
    (Part::RateLimit, Table::RateLimit, None),
    (Part::Breaker, Table::Breaker, None),
    (
        Part::AttemptTimeout,
        Table::Service,
        Some("attempt_timeout"),
    ),
];

/// What changes in a running stack: what differs between two configurations of its service.
///
/// What is the same in both is left alone, so that an operator's command stays where the file says
/// nothing else than before.
pub(crate) struct Update {
    handles: ProviderHandles,
    from: ServiceConfig,
    to: ServiceConfig,
    classes: [KeyedRateLimitConfig; 2],
    /// What was in force.
    before: (Settings, KeyedRateLimitConfig),
    /// The layers that the program has added.
    running: Arc<RunningAnswers>,
}

impl Update {
    /// The way from one configuration to another, changing nothing yet.
    ///
    /// # Errors
    ///
    /// A mistake for each setting that a running stack cannot have.
    pub(crate) fn check(
        handles: ProviderHandles,
        from: &ServiceConfig,
        to: &ServiceConfig,
        running: &Arc<RunningAnswers>,
    ) -> Result<Self, Vec<Mistake>> {
        let mut mistakes = Vec::new();
        if from.provider() != to.provider() {
            let id = (Table::Service, "provider");
            let values = [from, to].map(|of| of.provider().unwrap_or("none").to_owned());
            mistakes.push(to.needs_stack(id, values));
        }
        if from.is_limited_per_model() != to.is_limited_per_model() {
            let id = (Table::Service, "tier");
            let values = [from, to].map(|of| of.tier().unwrap_or("none").to_owned());
            mistakes.push(to.needs_stack(id, values));
        }
        let longest = [from, to].map(|of| of.numbers.longest_wait_in_force());
        if longest[0] != longest[1] {
            let id = (Table::Service, "longest_wait");
            mistakes.push(to.needs_stack(id, longest.map(|time| Span(time).to_string())));
        }
        mistakes.extend(to.other_tables(from));
        let values = [from, to].map(|of| of.numbers.answers.value.as_ref());
        if let [None, Some(value)] = values
            && !running.has_value_step()
        {
            let values = ["none".to_owned(), format!("{:?}", value.body())];
            mistakes.push(to.needs_stack((Table::Fallback, "body"), values));
        }
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        let invalid = |error: InvalidConfig| vec![to.cannot_have(from, &error)];
        let classes = [
            from.limit_per_key().map_err(invalid)?,
            to.limit_per_key().map_err(invalid)?,
        ];
        let limit = &handles.rate_limit;
        limit.check(&classes[1]).map_err(invalid)?;
        if let Some(account) = limit.account() {
            let total = &to.numbers.settings.rate_limit;
            account.check(total).map_err(invalid)?;
        }
        let before = (handles.settings(), limit.config());
        Ok(Self {
            handles,
            from: from.clone(),
            to: to.clone(),
            classes,
            before,
            running: Arc::clone(running),
        })
    }

    /// Changes the settings.
    ///
    /// # Errors
    ///
    /// None, unless an operator gives a key of the rate limit other limits at that moment. Then
    /// [`undo`](Self::undo) it.
    pub(crate) fn apply(&self) -> Result<(), Mistake> {
        let done = self.set(&self.to.numbers.settings, &self.classes[1]);
        done.map_err(|error| self.to.cannot_have(&self.from, &error))
    }

    /// Goes back to what was in force before.
    pub(crate) fn undo(&self) {
        // It was accepted before.
        let _ = self.set(&self.before.0, &self.before.1);
    }

    /// Switches layers on and off, when everything else is applied, and configures those that the program
    /// has added: these accept whatever is valid.
    pub(crate) fn switch(&self) {
        self.running.put(&self.to.numbers.answers);
        let (from, to) = (&self.from.numbers, &self.to.numbers);
        to.off.switch(from.off, &self.handles, Some(&to.settings));
    }

    /// Sets what differs to what `new` and `classes` have there.
    fn set(&self, new: &Settings, classes: &KeyedRateLimitConfig) -> Result<(), InvalidConfig> {
        let (from, to) = (&self.from.numbers.settings, &self.to.numbers.settings);
        let handles = &self.handles;
        // First what can be rejected.
        if self.classes[0] != self.classes[1] {
            handles.rate_limit.configure(classes.clone())?;
        }
        let account = handles.rate_limit.account();
        if let Some(account) = account.filter(|_| from.rate_limit != to.rate_limit) {
            account.configure(new.rate_limit.clone())?;
        }
        if from.telemetry != to.telemetry {
            handles.telemetry.configure(new.telemetry)?;
        }
        if from.deadline != to.deadline {
            handles.deadline.configure(new.deadline)?;
        }
        if from.retry != to.retry {
            handles.retry.configure(new.retry.clone())?;
        }
        if from.bulkhead != to.bulkhead {
            handles.bulkhead.configure(new.bulkhead)?;
        }
        if from.breaker != to.breaker {
            handles.breaker.configure(new.breaker.clone())?;
        }
        if from.attempt_timeout != to.attempt_timeout {
            handles.attempt_timeout.configure(new.attempt_timeout)?;
        }
        if from.body_timeout != to.body_timeout {
            let body_timeout = &handles.protocol.body_timeout;
            body_timeout.configure(new.body_timeout)?;
        }
        Ok(())
    }
}

impl ServiceConfig {
    /// Whether a stack of the one is a stack of the other, wherever the settings come from.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let base = |of: &Self| (of.kind(), of.provider().map(str::to_owned));
        self.numbers == other.numbers
            && base(self) == base(other)
            && self.tier() == other.tier()
            && self.is_fail_safe() == other.is_fail_safe()
    }

    fn place_of(&self, id: Id) -> Place {
        self.written.place(id).unwrap_or(&self.place).clone()
    }

    fn needs_stack(&self, id: Id, [before, now]: [String; 2]) -> Mistake {
        let accepted = format!("{before} while its stack runs");
        self.mistake(
            id,
            format!("is {now}, accepted is {accepted}{}", self.way_out()),
        )
    }

    /// The tables of layers that the program adds which `from` does not have, or which are gone.
    fn other_tables(&self, from: &Self) -> Vec<Mistake> {
        let has = |of: &Self, table| of.written.tables.contains_key(&table);
        let own = Table::LAYERS.into_iter();
        let own = own.filter(|table| table.level() == Level::Own);
        let other = own.filter(|table| has(self, *table) != has(from, *table));
        other
            .map(|table| {
                let word = |of: &Self| if has(of, table) { "there" } else { "not there" };
                let (now, before) = (word(self), word(from));
                let place = self.written.tables.get(&table).unwrap_or(&self.place);
                Mistake {
                    place: place.clone(),
                    key: format!("{}.{}", self.name, table.name()),
                    problem: format!(
                        "is {now}, accepted is {before} while its stack runs{}",
                        self.way_out()
                    ),
                }
            })
            .collect()
    }

    fn way_out(&self) -> String {
        let name = &self.name;
        format!(": another one needs a new stack, so `forget` that of `{name}` and reload")
    }

    /// What differs from `from` in layers that options have replaced, a setting each.
    pub(crate) fn not_reached(&self, from: &Self, replaced: &Replaced) -> Vec<Mistake> {
        let differs = |setting: &&Setting| {
            let show = |of: &Self| setting.show.map(|show| show(&of.numbers));
            show(self) != show(from)
        };
        let parts = REPLACEABLE.iter().filter(|(part, ..)| replaced.has(*part));
        let found = parts.filter_map(|(part, table, key)| {
            let is_of = |setting: &&Setting| key.is_none_or(|key| setting.key == key);
            let setting = table::of(*table).filter(is_of).find(differs)?;
            let value = setting.show.map(|show| show(&self.numbers));
            let problem = format!(
                "is {}, which does not reach stacks with `{}`: configure them by their handles",
                value.unwrap_or_default(),
                part.option(),
            );
            Some(self.mistake((*table, setting.key), problem))
        });
        found.collect()
    }

    /// The limits are others than before: the mistake is at the setting that has made them so.
    fn cannot_have(&self, from: &Self, error: &InvalidConfig) -> Mistake {
        let shown = |of: &Self, (layer, key): Id| match (layer, key) {
            (Table::Service, "tier") => of.tier().map(str::to_owned),
            (Table::Service, _) => Some(of.kind().as_str().to_owned()),
            _ => {
                let show = table::find(layer, key).and_then(|setting| setting.show);
                show.map(|show| show(&of.numbers))
            }
        };
        // Beside one that only changes a number there may be one that changes which limits there are.
        let is_cause = |id: &&Id| {
            let shapes = [from, self].map(|of| of.limits_of(**id));
            let is_written = [from, self].map(|of| of.written.place(**id).is_some());
            shapes[0] != shapes[1] && is_written.contains(&true)
        };
        let is_other = |id: &&Id| shown(self, **id) != shown(from, **id);
        let cause = LIMITS.iter().find(is_cause);
        match cause.or_else(|| LIMITS.iter().find(is_other)) {
            Some(id) => {
                let values = [from, self].map(|of| shown(of, *id).unwrap_or_else(|| "none".into()));
                self.needs_stack(*id, values)
            }
            None => {
                let problem = format!("does not fit: {error}{}", self.way_out());
                self.mistake((Table::RateLimit, "limits"), problem)
            }
        }
    }

    /// The kinds of the limits that a setting makes.
    fn limits_of(&self, id: Id) -> Vec<(&'static str, Unit)> {
        let is_of = |limit: &&Limit| match id {
            (Table::RateLimit, "rate" | "limit") => table::is_rate(limit),
            (Table::RateLimit, "quotas") => table::counts_calls(limit) && !table::is_rate(limit),
            (Table::RateLimit, "tokens") => limit.unit() == Unit::Tokens,
            (Table::RateLimit, "input_tokens") => limit.unit() == Unit::InputTokens,
            (Table::RateLimit, "output_tokens") => limit.unit() == Unit::OutputTokens,
            _ => false,
        };
        let limits = self.numbers.settings.rate_limit.limits().iter();
        let limits = limits.filter(is_of);
        limits.map(|limit| (limit.kind(), limit.unit())).collect()
    }

    fn mistake(&self, id: Id, problem: String) -> Mistake {
        let (layer, key) = id;
        let key = match layer {
            Table::Service => format!("{}.{key}", self.name),
            layer => format!("{}.{}.{key}", self.name, layer.name()),
        };
        Mistake {
            place: self.place_of(id),
            key,
            problem,
        }
    }
}
