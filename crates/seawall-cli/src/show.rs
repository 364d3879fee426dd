//! Services and providers as tables.

use std::io::{self, Write};

use seawall::catalog::Catalog;
use seawall::config::{Origin, ServiceConfig};

/// Every setting in force of a service, and where it comes from.
pub(crate) fn service(service: &ServiceConfig, out: &mut dyn Write) -> io::Result<()> {
    let base = match (service.provider(), service.tier()) {
        (Some(provider), Some(tier)) => format!("provider {provider}, tier {tier}"),
        _ => format!("kind {}", service.kind().as_str()),
    };
    let safe = if service.is_fail_safe() {
        ", with its safe numbers, because of mistakes"
    } else {
        ""
    };
    let models = match service.is_limited_per_model() {
        true => ", with the limits of each model",
        false => "",
    };
    writeln!(out, "[{}]  {base}{models}{safe}", service.name())?;
    let settings = service.effective();
    let width = |of: fn(&seawall::config::EffectiveSetting) -> usize| {
        settings.iter().map(of).max().unwrap_or_default()
    };
    let key = width(|setting| setting.key.chars().count());
    let value = width(|setting| setting.value.chars().count());
    for setting in &settings {
        let origin = match &setting.origin {
            Origin::Base => base.clone(),
            origin => origin.to_string(),
        };
        let (name, shown) = (&setting.key, &setting.value);
        writeln!(out, "  {name:key$} = {shown:value$}  {origin}")?;
    }
    writeln!(out)
}

/// The providers, a line each.
pub(crate) fn providers(catalog: &Catalog, out: &mut dyn Write) -> io::Result<()> {
    for provider in catalog.providers() {
        let tiers: Vec<_> = provider
            .tiers()
            .map(|tier| tier.name().to_owned())
            .collect();
        let (name, kind, title) = (provider.name(), provider.kind().as_str(), provider.title());
        writeln!(out, "{name:15}{kind:13}{title:30}{}", tiers.join(", "))?;
    }
    Ok(())
}
