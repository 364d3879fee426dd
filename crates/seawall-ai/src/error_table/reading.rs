//! What a body, or an event of a stream, says about an error.

use serde_json::Value;

/// How much of a body is searched that is no complete JSON.
const LONGEST_TEXT: usize = 16 * 1024;

/// An error as the body reports it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct ErrorText {
    codes: Vec<String>,
    error_type: Option<String>,
    message: Option<String>,
    /// In lower case: the beginning of a body that is no JSON.
    raw: Option<String>,
}

impl ErrorText {
    /// Reads a body: JSON of any of the known shapes or, where it was cut off, its beginning as text.
    /// Of a page of HTML nothing is read: its words are those of a proxy.
    pub(crate) fn read(body: &[u8]) -> Self {
        if let Ok(value) = serde_json::from_slice(body) {
            return Self::of(&value);
        }
        let text = body.trim_ascii_start();
        if text.is_empty() || text.first() == Some(&b'<') {
            return Self::default();
        }
        let text = text.get(..LONGEST_TEXT).unwrap_or(text);
        Self {
            raw: Some(String::from_utf8_lossy(text).to_ascii_lowercase()),
            ..Self::default()
        }
    }

    /// `{"error": {..}}` (OpenAI, Anthropic and all that are compatible), `[{"error": {..}}]` (Google),
    /// `{"error": "text"}`, `{"response": {"error": {..}}}` and `{"type": "error", "code": ..}` (OpenAI's
    /// responses as a stream), `{"message": ..}`, `{"detail": ..}`.
    pub(crate) fn of(value: &Value) -> Self {
        let value = match value {
            Value::Array(values) => values.first().unwrap_or(value),
            value => value,
        };
        let is_object = |error: &&Value| error.is_object();
        let nested = value.get("error").filter(is_object);
        let response = || value.get("response")?.get("error").filter(is_object);
        let error = nested.or_else(response).unwrap_or(value);
        let codes = [
            error.get("code"),
            error.get("details").and_then(|all| all.get("error_code")),
        ];
        let message = [
            error.get("message"),
            error.get("error"),
            error.get("detail"),
        ];
        Self {
            codes: codes.into_iter().flatten().filter_map(word).collect(),
            error_type: error.get("type").and_then(word),
            message: message.into_iter().flatten().find_map(word),
            raw: None,
        }
    }

    /// The message, where the body is JSON and has one.
    pub(crate) fn message(&self) -> Option<&str> {
        self.message.as_deref()
    }

    pub(super) fn has_code(&self, code: &str) -> bool {
        let mut codes = self.codes.iter();
        codes.any(|known| known.eq_ignore_ascii_case(code)) || self.quotes(code)
    }

    pub(super) fn has_type(&self, error_type: &str) -> bool {
        let known = self.error_type.as_ref();
        known.is_some_and(|known| known.eq_ignore_ascii_case(error_type)) || self.quotes(error_type)
    }

    pub(super) fn says(&self, part: &str) -> bool {
        let part = part.to_ascii_lowercase();
        let message = self.message.as_ref();
        message.is_some_and(|message| message.to_ascii_lowercase().contains(&part))
            || self.raw.as_ref().is_some_and(|raw| raw.contains(&part))
    }

    /// Whether a body that is no JSON has this as a complete string: quotes within one are escaped.
    fn quotes(&self, word: &str) -> bool {
        let quoted = || format!("\"{}\"", word.to_ascii_lowercase());
        self.raw.as_ref().is_some_and(|raw| raw.contains(&quoted()))
    }
}

fn word(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}
