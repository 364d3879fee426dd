//! Puts a client order id into a request that has none.

use std::fmt::Write as _;

use super::pick::{Paths, Step, Value};
use super::template::{encoded, escaped};

/// A JSON text with `value` at `steps`. `None` if there is something already, and where the text has
/// something else on the way.
pub(super) fn into_json(text: &str, steps: &[Step], value: &str) -> Option<String> {
    let mut at = text;
    for (done, step) in steps.iter().enumerate() {
        let rest = steps.get(done + 1..)?;
        match (child(at, step)?, step) {
            (Some("null" | "\"\""), _) => {
                let place = child(at, step)??;
                return Some(replaced(text, place, &nested(rest, value)?));
            }
            (Some(inner), _) => at = inner,
            (None, Step::Key(key)) => {
                let inner = at.trim_start().strip_prefix('{')?;
                let comma = if inner.trim_start().starts_with('}') {
                    ""
                } else {
                    ","
                };
                let entry = format!("\"{}\":{}{comma}", escaped(key), nested(rest, value)?);
                let (before, after) = text.split_at_checked(offset(text, inner)?)?;
                return Some(format!("{before}{entry}{after}"));
            }
            (None, _) => return None,
        }
    }
    None
}

/// A form with `name` and `value`.
pub(super) fn into_form(form: &str, name: &str, value: &str) -> String {
    let mut form = form.to_owned();
    if !form.is_empty() {
        form.push('&');
    }
    let _ = write!(form, "{}={}", encoded(name), encoded(value));
    form
}

/// The value at a step, as it is written; `None` if the text is no JSON.
fn child<'a>(text: &'a str, step: &Step) -> Option<Option<&'a str>> {
    let mut paths = Paths::default();
    let field = paths.add_step(step.clone());
    let picked = paths.json(text).ok()?;
    Some(picked.value(&field).and_then(Value::json))
}

fn nested(steps: &[Step], value: &str) -> Option<String> {
    let mut text = format!("\"{}\"", escaped(value));
    for step in steps.iter().rev() {
        text = match step {
            Step::Key(key) => format!("{{\"{}\":{text}}}", escaped(key)),
            Step::Index(0) => format!("[{text}]"),
            Step::Index(_) | Step::Any => return None,
        };
    }
    Some(text)
}

fn replaced(text: &str, part: &str, with: &str) -> String {
    let at = offset(text, part).unwrap_or(0);
    let (before, rest) = text.split_at_checked(at).unwrap_or((text, ""));
    let after = rest.get(part.len()..).unwrap_or("");
    format!("{before}{with}{after}")
}

/// Where a part of a text begins.
pub(super) fn offset(text: &str, part: &str) -> Option<usize> {
    let at = (part.as_ptr() as usize).checked_sub(text.as_ptr() as usize)?;
    (at <= text.len()).then_some(at)
}
