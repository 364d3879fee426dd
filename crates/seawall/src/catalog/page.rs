//! The page of the documentation about the providers.

use std::fmt::{self, Write as _};
use std::time::Duration;

use toml::Spanned;

use super::build::Counted;
use super::data::{BodyData, LimitData, Meaning, ProviderData, RouteData, SignalData, TierData};
use super::figure::Mark;
use super::orders::Style;
use super::{Catalog, Provider};

const HEAD: &str = "# Providers

What the catalogue knows, by provider: made of the files in `crates/seawall/catalog`, and checked by a
test. Every figure has its source and a mark: *verified* was read in the provider's own documentation
or code, *third party* in somebody else's, and a *suggestion* is published by nobody: a choice of
Seawall's. Limits are what the provider allows; a stack uses 80 % of them unless it is set otherwise
(`Tier::utilization`).
";

impl Catalog {
    /// All that is known, as a page in Markdown.
    pub fn to_markdown(&self) -> String {
        let mut page = HEAD.to_owned();
        for data in self.providers.values() {
            // Writing into a string cannot fail.
            let _ = provider(&mut page, data);
        }
        page
    }
}

impl Provider {
    /// What is known of it, as the section of that page.
    ///
    /// ```
    /// let section = seawall::alpaca()?.to_markdown();
    /// assert!(section.contains("## Alpaca, trading"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn to_markdown(&self) -> String {
        let mut section = String::new();
        let _ = provider(&mut section, self.data());
        section
    }
}

fn provider(page: &mut String, data: &ProviderData) -> fmt::Result {
    writeln!(page, "\n## {}\n", data.title)?;
    writeln!(
        page,
        "`seawall::provider(\"{}\")`, {}. {}",
        data.name.get_ref(),
        data.kind.as_str(),
        one_line(&data.about)
    )?;
    for header in &data.required_headers {
        let (mark, source) = (header.mark, &header.source);
        writeln!(
            page,
            "\nEvery request needs `{}: {}` ({}).",
            header.name,
            header.example,
            from(source, mark)
        )?;
    }
    writeln!(page, "\n| base URL | |\n|---|---|")?;
    for base in &data.base_urls {
        writeln!(
            page,
            "| {} | <{}> ({}) |",
            base.name,
            base.url,
            from(&base.source, base.mark)
        )?;
    }
    for tier in &data.tiers {
        self::tier(page, data, tier)?;
    }
    model_groups(page, data)?;
    numbers(page, data)?;
    routes(page, data)?;
    headers(page, data)?;
    signals(page, data)?;
    if let Some(orders) = &data.orders {
        let style = Style { source: from, time };
        super::orders::orders(page, orders, style)?;
    }
    writeln!(page, "\nSources:\n")?;
    for (key, text) in &data.sources {
        writeln!(page, "- *{key}*: {}", linked(text.get_ref().trim()))?;
    }
    Ok(())
}

fn tier(page: &mut String, data: &ProviderData, tier: &TierData) -> fmt::Result {
    let name = tier.name.get_ref();
    let default = if name == data.default_tier.get_ref() {
        ", the default"
    } else {
        ""
    };
    writeln!(
        page,
        "\nTier `{name}`: {}{default}.\n\n| limit | of | counted per | |\n|---|---|---|---|",
        tier.title
    )?;
    for limit in &tier.limits {
        let LimitData {
            count,
            per,
            unit,
            scope,
            source,
            mark,
            ..
        } = limit;
        let of = match limit.counted() {
            Counted::All => "all calls",
            Counted::Model => "each model",
            Counted::Class(class) => class,
        };
        writeln!(
            page,
            "| {count} {} per {} | {of} | {} | {} |",
            super::build::unit(*unit).as_str().replace('_', " "),
            time(per.0),
            scope.as_str(),
            from(source, *mark)
        )?;
    }
    Ok(())
}

fn model_groups(page: &mut String, data: &ProviderData) -> fmt::Result {
    if data.model_groups.is_empty() {
        return Ok(());
    }
    writeln!(
        page,
        "\n| models that share limits | group | |\n|---|---|---|"
    )?;
    for group in &data.model_groups {
        writeln!(
            page,
            "| {} | {} | {} |",
            group.names(),
            group.name,
            from(&group.source, group.mark)
        )?;
    }
    Ok(())
}

fn numbers(page: &mut String, data: &ProviderData) -> fmt::Result {
    let (timing, retry) = (&data.timing, &data.retry);
    let (bulkhead, breaker) = (&data.bulkhead, &data.breaker);
    writeln!(page, "\n| layer | settings | |\n|---|---|---|")?;
    writeln!(
        page,
        "| timeouts | one call {}, one attempt {}, connect {}, idle body {} | {} |",
        time(timing.deadline.0),
        time(timing.attempt_timeout.0),
        time(timing.connect_timeout.0),
        time(timing.idle.0),
        from(&timing.source, timing.mark)
    )?;
    writeln!(
        page,
        "| retry | {} attempts, waits from {} to {} | {} |",
        retry.attempts,
        time(retry.first_wait.0),
        time(retry.longest_wait.0),
        from(&retry.source, retry.mark)
    )?;
    writeln!(
        page,
        "| bulkhead | {} at once, {} waiting for up to {} | {} |",
        bulkhead.max_concurrent,
        bulkhead.max_waiting,
        time(bulkhead.max_wait.0),
        from(&bulkhead.source, bulkhead.mark)
    )?;
    let queue = &data.queue;
    writeln!(
        page,
        "| rate limit | {} waiting for up to {}; a throttle without a time pauses for {} | {} |",
        queue.max_waiting,
        time(queue.max_wait.0),
        time(queue.default_pause.0),
        from(&queue.source, queue.mark)
    )?;
    let in_a_row = breaker
        .consecutive_failures
        .map(|n| format!("{n} failures in a row"));
    let share = breaker
        .failure_rate
        .zip(breaker.calls)
        .map(|(rate, calls)| format!("{} % of the last {calls} calls", (rate * 100.0).round()));
    let opens = [in_a_row, share].into_iter().flatten().collect::<Vec<_>>();
    writeln!(
        page,
        "| breaker | opens for {} at {} | {} |",
        time(breaker.open_for.0),
        opens.join(" or "),
        from(&breaker.source, breaker.mark)
    )
}

fn routes(page: &mut String, data: &ProviderData) -> fmt::Result {
    if data.routes.is_empty() {
        return Ok(());
    }
    writeln!(
        page,
        "\n| route | is | may be sent twice | cost | class | |\n|---|---|---|---|---|---|"
    )?;
    for route in &data.routes {
        let RouteData {
            method,
            path,
            name,
            class,
            cost,
            source,
            mark,
            look_up,
            ..
        } = route;
        let without_id = match look_up {
            Some(false) => ", without a client order id",
            _ => "",
        };
        let twice = if super::build::meta(route).replay.is_safe() {
            "yes"
        } else {
            "no"
        };
        writeln!(
            page,
            "| `{} {path}` | {name}{without_id} | {twice} | {} | {} | {} |",
            method.as_deref().unwrap_or("*"),
            cost.unwrap_or(1),
            class.as_deref().unwrap_or(""),
            from(source, *mark)
        )?;
    }
    Ok(())
}

fn signals(page: &mut String, data: &ProviderData) -> fmt::Result {
    if data.signals.is_empty() {
        return Ok(());
    }
    writeln!(page, "\n| response | means | |\n|---|---|---|")?;
    for signal in &data.signals {
        writeln!(
            page,
            "| {} | {} | {} |",
            looks(signal),
            means(signal),
            from(&signal.source, signal.mark)
        )?;
    }
    Ok(())
}

fn headers(page: &mut String, data: &ProviderData) -> fmt::Result {
    if data.limit_headers.is_empty() && data.used_headers.is_empty() {
        return Ok(());
    }
    writeln!(page, "\n| headers of limits | of | |\n|---|---|---|")?;
    for headers in &data.limit_headers {
        let names = [
            &headers.limit,
            &headers.used,
            &headers.remaining,
            &headers.reset,
        ];
        let names: Vec<_> = names
            .into_iter()
            .flatten()
            .map(|name| format!("`{name}`"))
            .collect();
        let unit = super::build::unit(headers.unit).as_str().replace('_', " ");
        writeln!(
            page,
            "| {} | {unit} | {} |",
            names.join(", "),
            from(&headers.source, headers.mark)
        )?;
    }
    for headers in &data.used_headers {
        let unit = super::build::unit(headers.unit).as_str().replace('_', " ");
        let prefix = &headers.prefix;
        writeln!(
            page,
            "| `{prefix}*` | {unit} | {} |",
            from(&headers.source, headers.mark)
        )?;
    }
    Ok(())
}

fn looks(signal: &SignalData) -> String {
    let statuses: Vec<_> = signal.statuses.iter().map(u16::to_string).collect();
    let mut looks = statuses.join(", ");
    let Some(body) = &signal.body else {
        return looks;
    };
    let BodyData {
        html,
        first_key,
        contains,
        begins_with,
        ..
    } = body;
    let mut add = |words: &str, texts: &[String]| {
        let texts: Vec<_> = texts.iter().map(|text| format!("`{text}`")).collect();
        if !texts.is_empty() {
            let comma = if looks.is_empty() { "" } else { ", " };
            let _ = write!(looks, "{comma}{words} {}", texts.join(" or "));
        }
    };
    add("begins with the key", first_key);
    add("begins with", begins_with);
    add("contains", contains);
    if *html {
        looks.push_str(", a page of HTML");
    }
    looks
}

fn means(signal: &SignalData) -> String {
    let means = match signal.means {
        Meaning::Throttle => "throttled",
        Meaning::Ban => "banned",
        Meaning::QuotaExhausted => "quota exhausted",
        Meaning::Overloaded => "overloaded",
        Meaning::Ignored => "about the request, not the upstream",
    };
    match signal.wait {
        Some(wait) => format!("{means} for {} unless it says otherwise", time(wait.0)),
        None => means.to_owned(),
    }
}

fn from(source: &Spanned<String>, mark: Mark) -> String {
    format!("{}: *{}*", mark.as_str(), source.get_ref())
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A source that begins with its address, as a link.
fn linked(text: &str) -> String {
    let end = text.find([' ', ',', ';']).unwrap_or(text.len());
    match text.split_at_checked(end) {
        Some((url, rest)) if url.starts_with("http") => format!("<{url}>{rest}"),
        _ => text.to_owned(),
    }
}

/// A time in the largest unit that leaves no fraction.
fn time(time: Duration) -> String {
    let ms = time.as_millis();
    let units = [
        (86_400_000, "d"),
        (3_600_000, "h"),
        (60_000, "min"),
        (1_000, "s"),
    ];
    let fits = units
        .iter()
        .find(|(unit, _)| ms >= *unit && ms.is_multiple_of(*unit));
    fits.map_or_else(
        || format!("{ms} ms"),
        |(unit, word)| format!("{} {word}", ms / unit),
    )
}
