//! A report for people.

use std::fmt::Write as _;

use jiff::Timestamp;

use crate::outcome::Outcome;
use crate::plot;
use crate::report::Report;
use crate::times::text;

impl Report {
    /// The report as Markdown, with a plot in text.
    pub fn to_markdown(&self) -> String {
        let mut page = String::new();
        self.head(&mut page);
        self.steady_state(&mut page);
        self.what_was_injected(&mut page);
        self.what_layers_counted(&mut page);
        self.what_to_do(&mut page);
        page
    }

    /// The samples as an SVG picture.
    pub fn to_svg(&self) -> String {
        plot::svg(self)
    }

    fn head(&self, page: &mut String) {
        let started = i64::try_from(self.started_unix_ms).ok();
        let started = started.and_then(|ms| Timestamp::from_millisecond(ms).ok());
        let started = started.map_or_else(String::new, text);
        let _ = writeln!(page, "# {}: {}\n", inline(&self.name), self.outcome);
        if !self.about.is_empty() {
            let _ = writeln!(page, "{}\n", inline(&self.about));
        }
        let _ = writeln!(page, "{}\n", inline(&self.words));
        let _ = writeln!(page, "- hypothesis: {}", inline(&self.hypothesis.words));
        let _ = writeln!(
            page,
            "- began {started}, took {:.1} s, runner `{}`",
            self.seconds, self.runner
        );
        if let Some(seconds) = self.recovered_seconds {
            let _ = writeln!(page, "- recovered within {seconds:.1} s");
        }
        for guard in &self.guards {
            let what = match &guard.tripped {
                Some(why) => format!("ended it: {}", inline(why)),
                None => "did not trip".to_owned(),
            };
            let _ = writeln!(page, "- guard, {}: {what}", inline(&guard.words));
        }
    }

    fn steady_state(&self, page: &mut String) {
        if self.samples.is_empty() {
            return;
        }
        let _ = writeln!(page, "\n## Steady state\n");
        let _ = writeln!(
            page,
            "| phase | held | samples | outside | mean | worst |\n|---|---|---|---|---|---|"
        );
        let number =
            |number: Option<f64>| number.map_or_else(|| "none".to_owned(), |it| format!("{it:.4}"));
        for phase in &self.hypothesis.phases {
            let held = match phase.held {
                Some(true) => "yes",
                Some(false) => "no",
                None if phase.samples == 0 => "no figure",
                None => "too few figures",
            };
            let (samples, expected, outside) = (phase.samples, phase.expected, phase.outside);
            let (mean, worst) = (number(phase.mean), number(phase.worst));
            let phase = phase.phase;
            let _ = writeln!(
                page,
                "| {phase} | {held} | {samples} of {expected} | {outside} | {mean} | {worst} |"
            );
        }
        let _ = writeln!(page, "\n```text\n{}```", plot::text(self));
    }

    fn what_was_injected(&self, page: &mut String) {
        let _ = writeln!(page, "\n## Faults\n");
        let _ = writeln!(
            page,
            "| service | faults | calls | had an effect | had none | spared | seed |"
        );
        let _ = writeln!(page, "|---|---|---|---|---|---|---|");
        for of in &self.faults {
            let kinds = of.faults.iter();
            let kinds = kinds.map(|(kind, share)| format!("{} {share}", kind.as_str()));
            let kinds: Vec<_> = kinds.collect();
            let seed = of
                .seed
                .map_or_else(|| "none".to_owned(), |seed| seed.to_string());
            let _ = writeln!(
                page,
                "| {} | {} | {} | {} | {} | {} | {seed} |",
                inline(&of.service),
                kinds.join(", "),
                of.calls,
                of.injected,
                of.without_effect,
                of.spared
            );
        }
    }

    fn what_layers_counted(&self, page: &mut String) {
        if self.layers.is_empty() {
            return;
        }
        let _ = writeln!(page, "\n## What the layers counted\n");
        let _ = writeln!(
            page,
            "| service | layer | counter | before | during | after |\n|---|---|---|---|---|---|"
        );
        for count in &self.layers {
            let labels: Vec<_> = count
                .labels
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            let _ = writeln!(
                page,
                "| {} | {} | {} {} | {} | {} | {} |",
                inline(&count.service),
                count.layer,
                count.metric,
                inline(&labels.join(" ")),
                count.before,
                count.during,
                count.after
            );
        }
    }

    fn what_to_do(&self, page: &mut String) {
        if self.outcome == Outcome::Refused {
            return;
        }
        let _ = writeln!(page, "\n## Recommendations\n");
        if self.recommendations.is_empty() {
            let nothing = match self.outcome {
                Outcome::Held => "None: the hypothesis held.",
                _ => "None: nothing that was counted points to a setting.",
            };
            let _ = writeln!(page, "{nothing}");
        }
        for it in &self.recommendations {
            let (service, layer, setting) = (inline(&it.service), it.layer, it.setting);
            let setting = match setting {
                "missing" => "a layer that is missing".to_owned(),
                setting => format!("`{setting}`"),
            };
            let _ = writeln!(
                page,
                "- **{service}**, {layer}, {setting}: {}. Evidence: {}.",
                it.words,
                inline(&it.evidence)
            );
        }
    }
}

/// Text of a file or of a program, in one line and without markup.
fn inline(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '\n' | '\r' => line.push(' '),
            '|' | '`' | '*' | '<' | '[' | ']' | '\\' => {
                line.push('\\');
                line.push(letter);
            }
            letter if letter.is_control() => {}
            letter => line.push(letter),
        }
    }
    line
}
