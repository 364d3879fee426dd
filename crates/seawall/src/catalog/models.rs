//! Which models share their limits.

use seawall_core::PartitionKey;

use super::data::{ModelGroupData, ProviderData};

/// The key of the limits of a model: that of its group, or its own, by its name without what makes no
/// difference. A request that names no model has the key of requests without one.
pub(super) fn key(data: &ProviderData, model: &str) -> PartitionKey {
    let name = base(model);
    if name.is_empty() {
        return PartitionKey::default();
    }
    match data.model_groups.iter().find(|group| group.has(name)) {
        Some(group) => PartitionKey::of(group.name.as_str()),
        None => PartitionKey::of(name),
    }
}

impl ModelGroupData {
    /// Whether it has the model of that name or one whose name goes on behind a mark: `claude-opus-4`
    /// and `claude-opus-4-1`, and not `claude-opus-40`.
    fn has(&self, name: &str) -> bool {
        self.models.iter().any(|model| {
            let rest = name.strip_prefix(model.as_str());
            rest.is_some_and(|rest| !rest.starts_with(|next: char| next.is_alphanumeric()))
        })
    }

    /// The names of its models, for people.
    pub(super) fn names(&self) -> String {
        let names: Vec<_> = self
            .models
            .iter()
            .map(|name| format!("`{name}*`"))
            .collect();
        names.join(", ")
    }
}

/// The name of a model without the date of its version and without a fine-tuning. An alias and the
/// version that it stands for are one model, and a fine-tuned model takes from the limits of the one
/// that it is based on (<https://developers.openai.com/api/docs/guides/fine-tuning>).
fn base(model: &str) -> &str {
    let tuned = model.strip_prefix("ft:");
    let base = tuned.map_or(model, |rest| rest.split(':').next().unwrap_or(rest));
    let undated = base
        .strip_suffix("-latest")
        .or_else(|| without_date(base, &[8]))
        .or_else(|| without_date(base, &[4, 2, 2]))
        .or_else(|| without_day(base));
    match undated {
        // Nothing but a date is a name.
        None | Some("") => base,
        Some(undated) => undated,
    }
}

/// The name before numbers of so many digits, each behind a mark.
fn without_date<'a>(name: &'a str, digits: &[usize]) -> Option<&'a str> {
    digits.iter().rev().try_fold(name, |name, count| {
        let at = name.len().checked_sub(count + 1)?;
        let number = name.get(at..)?.strip_prefix(['-', '@'])?;
        let is_number = number.bytes().all(|digit| digit.is_ascii_digit());
        is_number.then(|| &name[..at])
    })
}

/// The name before a month and a day: `gpt-4-0613`. Other numbers of four digits are part of a name.
fn without_day(name: &str) -> Option<&str> {
    let undated = without_date(name, &[4])?;
    let month_and_day: u32 = name.get(undated.len() + 1..)?.parse().ok()?;
    let is_day = matches!(month_and_day / 100, 1..=12) && matches!(month_and_day % 100, 1..=31);
    is_day.then_some(undated)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_makes_no_difference_is_left_out() {
        for (model, name) in [
            ("gpt-5", "gpt-5"),
            ("gpt-5-mini", "gpt-5-mini"),
            ("gpt-4.1-2025-04-14", "gpt-4.1"),
            ("claude-haiku-4-5-20251001", "claude-haiku-4-5"),
            ("claude-haiku-4-5@20251001", "claude-haiku-4-5"),
            ("claude-3-5-haiku-latest", "claude-3-5-haiku"),
            ("ft:gpt-4o-mini-2024-07-18:desk::B1", "gpt-4o-mini"),
            ("gpt-4-0613", "gpt-4"),
            ("gpt-3.5-turbo-0125", "gpt-3.5-turbo"),
            ("gpt-3.5-turbo-1231", "gpt-3.5-turbo"),
            ("ft:gpt-3.5-turbo-0125:desk::B1", "gpt-3.5-turbo"),
            // No months and no days.
            ("m-2411", "m-2411"),
            ("m-0011", "m-0011"),
            ("m-0600", "m-0600"),
            ("m-0632", "m-0632"),
            ("m0613", "m0613"),
            ("m-06130", "m-06130"),
            ("-0613", "-0613"),
            ("ft:", ""),
            ("-20251001", "-20251001"),
            ("20251001", "20251001"),
            ("m-1-2-3", "m-1-2-3"),
            ("m\u{e9}-2025-1\u{e9}-01", "m\u{e9}-2025-1\u{e9}-01"),
            ("", ""),
        ] {
            assert_eq!(base(model), name, "{model}");
        }
    }
}
