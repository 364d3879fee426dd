//! Reads and checks the file of a provider.

use std::collections::BTreeSet;

use seawall_core::InvalidConfig;
use toml::Spanned;

use super::build;
use super::data::{LimitScope, ProviderData, TierData};
use super::error::CatalogError;
use super::orders::{self, OrdersData};
use crate::mistake::{Lines, Mistake};

/// Reads the file of a provider and checks it: every figure has a source, every name that is used
/// is there, and every tier makes a stack.
pub(super) fn read(file: &str, text: &str) -> Result<ProviderData, CatalogError> {
    let invalid = |mistakes| CatalogError::Invalid {
        file: file.to_owned(),
        mistakes,
    };
    let lines = Lines::new(file, text);
    let data: ProviderData = toml::from_str(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        invalid(vec![lines.mistake(at, error.message().to_owned())])
    })?;
    let mut check = Check {
        lines: &lines,
        mistakes: Vec::new(),
    };
    check.provider(&data);
    if check.mistakes.is_empty() {
        return Ok(data);
    }
    check.mistakes.sort_by(|a, b| a.place.cmp(&b.place));
    Err(invalid(check.mistakes))
}

struct Check<'a> {
    lines: &'a Lines<'a>,
    mistakes: Vec<Mistake>,
}

impl Check<'_> {
    fn complain(&mut self, offset: usize, problem: String) {
        self.mistakes.push(self.lines.mistake(offset, problem));
    }

    fn provider(&mut self, data: &ProviderData) {
        self.sources(data);
        self.names(data);
        self.classes(data);
        self.model_groups(data);
        for (at, problem) in orders::mistakes(data) {
            self.complain(at, problem);
        }
        for tier in &data.tiers {
            if let Err(problem) = check_tier(data, tier) {
                let problem = format!("tier `{}`: {problem}", tier.name.get_ref());
                self.complain(tier.name.span().start, problem);
            }
        }
    }

    /// Every source that is named is there, and every one that is there is named.
    fn sources(&mut self, data: &ProviderData) {
        let used = data.used_sources();
        for source in &used {
            if !data.sources.contains_key(source.get_ref()) {
                let known: Vec<_> = data.sources.keys().map(|key| &**key).collect();
                let problem = format!(
                    "`source` is `{}`, accepted is one of `sources`: {}",
                    source.get_ref(),
                    known.join(", ")
                );
                self.complain(source.span().start, problem);
            }
        }
        let used: BTreeSet<_> = used
            .iter()
            .map(|source| source.get_ref().as_str())
            .collect();
        for (key, text) in &data.sources {
            if !used.contains(key.as_str()) {
                let problem = format!("`sources.{key}` is used by nothing");
                self.complain(text.span().start, problem);
            }
            if text.get_ref().trim().is_empty() {
                let problem = format!("`sources.{key}` is empty, accepted is where it can be read");
                self.complain(text.span().start, problem);
            }
        }
    }

    fn names(&mut self, data: &ProviderData) {
        if data.name.get_ref().trim().is_empty() {
            let problem = "`name` is empty, accepted is what the provider is called".to_owned();
            self.complain(data.name.span().start, problem);
        }
        if data.timing.connect_timeout.0.is_zero() {
            let problem = "`connect_timeout` is 0s, accepted is a time above zero".to_owned();
            self.complain(data.timing.source.span().start, problem);
        }
        let mut seen = BTreeSet::new();
        for tier in &data.tiers {
            if tier.name.get_ref().trim().is_empty() {
                let problem = "`name` is empty, accepted is what the tier is called".to_owned();
                self.complain(tier.name.span().start, problem);
            }
            if !seen.insert(tier.name.get_ref()) {
                let problem = format!("there are two tiers `{}`", tier.name.get_ref());
                self.complain(tier.name.span().start, problem);
            }
        }
        if !seen.contains(data.default_tier.get_ref()) {
            let names: Vec<_> = seen.iter().map(|name| name.as_str()).collect();
            let problem = format!(
                "`default_tier` is `{}`, accepted is one of {}",
                data.default_tier.get_ref(),
                names.join(", ")
            );
            self.complain(data.default_tier.span().start, problem);
        }
        for base in &data.base_urls {
            if !(base.url.starts_with("https://") || base.url.starts_with("http://")) {
                let problem = format!(
                    "`url` is `{}`, accepted is an URL with its scheme",
                    base.url
                );
                self.complain(base.source.span().start, problem);
            }
        }
    }

    /// Groups are of models with limits, and a model is in one of them.
    fn model_groups(&mut self, data: &ProviderData) {
        let mut seen = BTreeSet::new();
        for group in &data.model_groups {
            let at = group.source.span().start;
            let name = &group.name;
            if !data.tiers.iter().any(build::is_per_model) {
                let problem =
                    format!("the group of models `{name}` has no effect: no limit is of models");
                self.complain(at, problem);
            }
            if name.trim().is_empty() || group.models.is_empty() {
                let problem = "a group of models needs a `name` and `models`".to_owned();
                self.complain(at, problem);
            }
            for model in group.models.iter().map(String::as_str) {
                if model.trim().is_empty() || !seen.insert(model) {
                    let problem = format!(
                        "`models` has `{model}`, accepted are names of models, in one group each"
                    );
                    self.complain(at, problem);
                }
            }
        }
        let mut names = BTreeSet::new();
        for group in &data.model_groups {
            if !names.insert(group.name.as_str()) {
                let problem = format!("there are two groups of models `{}`", group.name);
                self.complain(group.source.span().start, problem);
            }
        }
    }

    /// A class of a limit is one of some route, and the other way round.
    fn classes(&mut self, data: &ProviderData) {
        let of_routes: BTreeSet<_> = data
            .routes
            .iter()
            .filter_map(|r| r.class.as_deref())
            .collect();
        let mut of_limits = BTreeSet::new();
        for limit in data.tiers.iter().flat_map(|tier| &tier.limits) {
            let Some(class) = limit.class.as_deref() else {
                continue;
            };
            of_limits.insert(class);
            if !of_routes.contains(class) {
                let problem = format!("`class` is `{class}`, which no route has");
                self.complain(limit.source.span().start, problem);
            }
        }
        for route in &data.routes {
            if let Some(class) = route.class.as_deref()
                && !of_limits.contains(class)
            {
                let problem = format!("`class` is `{class}`, which no limit has");
                self.complain(route.source.span().start, problem);
            }
        }
    }
}

fn check_tier(data: &ProviderData, tier: &TierData) -> Result<(), InvalidConfig> {
    if tier.limits.iter().all(|limit| limit.class.is_some()) {
        return Err(InvalidConfig::new(
            "limits",
            "of classes alone",
            "at least one without `class`, for all calls",
        ));
    }
    let of_class = tier.limits.iter().find_map(|limit| limit.class.as_deref());
    if let Some(class) = of_class
        && tier
            .limits
            .iter()
            .any(|limit| limit.scope == LimitScope::OrganizationModel)
    {
        return Err(InvalidConfig::new(
            "class",
            class,
            "none where limits are of models: a call has one key",
        ));
    }
    build::check(data, tier)
}

impl ProviderData {
    fn used_sources(&self) -> Vec<&Spanned<String>> {
        let mut used = vec![
            &self.timing.source,
            &self.retry.source,
            &self.bulkhead.source,
            &self.queue.source,
            &self.breaker.source,
        ];
        used.extend(self.base_urls.iter().map(|item| &item.source));
        used.extend(self.required_headers.iter().map(|item| &item.source));
        used.extend(self.routes.iter().map(|item| &item.source));
        used.extend(self.limit_headers.iter().map(|item| &item.source));
        used.extend(self.used_headers.iter().map(|item| &item.source));
        used.extend(self.signals.iter().map(|item| &item.source));
        used.extend(self.model_groups.iter().map(|item| &item.source));
        used.extend(self.orders.iter().flat_map(OrdersData::sources));
        for tier in &self.tiers {
            used.extend(tier.limits.iter().map(|item| &item.source));
            used.extend(tier.timing.iter().map(|item| &item.source));
            used.extend(tier.retry.iter().map(|item| &item.source));
            used.extend(tier.bulkhead.iter().map(|item| &item.source));
            used.extend(tier.queue.iter().map(|item| &item.source));
            used.extend(tier.breaker.iter().map(|item| &item.source));
        }
        used
    }
}
