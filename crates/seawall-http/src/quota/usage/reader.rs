//! Reads the used tokens from a body that comes in pieces.

use serde_json::Value;

use super::members::Members;
use crate::quota::tokens::Usage;

/// Reads from a response of an AI model, piece by piece, how many tokens it has used.
///
/// It reads
///
/// * a body of JSON with a `usage` of `prompt_tokens`, `completion_tokens` and `total_tokens`
///   (OpenAI's chat, completions and embeddings, and what is compatible with them) or of
///   `input_tokens` and `output_tokens` (OpenAI's responses, Anthropic);
/// * an event stream: OpenAI's last chunk, which it sends with
///   `stream_options: {"include_usage": true}`, the `response` of `response.completed`, and
///   Anthropic's `message_start` and `message_delta`, whose counts are of all that came before.
///   Of several, the largest of each count is taken.
///
/// Which of the two it is shows in the first byte. A compressed body is neither: decompress it
/// first. See [`Usage::input_tokens`] for what becomes of cached tokens; when `total_tokens` is
/// more than its parts, the rest was written by the model.
///
/// The text is not kept: the memory it takes is that of one `usage`, at most 8 KiB.
///
/// ```
/// use seawall_http::quota::{Usage, UsageReader};
///
/// let mut reader = UsageReader::new();
/// reader.push(b"data: {\"choices\":[{\"delta\":{\"content\":\"Hi\"}}],\"usage\":null}\n\n");
/// assert_eq!(reader.usage(), None);
/// reader.push(b"data: {\"choices\":[],\"usage\":{\"prompt_tok");
/// reader.push(b"ens\":9,\"completion_tokens\":1}}\n\ndata: [DONE]\n\n");
/// assert_eq!(reader.finish(), Some(Usage::new(9, 1)));
/// ```
#[derive(Debug, Default)]
pub struct UsageReader {
    shape: Shape,
    members: Members,
    seen: TokenCounts,
    /// Whether the last byte was a carriage return.
    after_return: bool,
}

/// What the body is, and in an event stream where in a line it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Shape {
    /// Nothing but space has come.
    #[default]
    Unknown,
    Json,
    /// So many bytes of `data` have come in this line.
    Field(usize),
    /// After `data:`, where a space may be.
    Space,
    /// In the data of an event.
    Data,
    /// In a line that is no data.
    Other,
}

impl UsageReader {
    /// A reader of one body, of which nothing has come yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads the next piece.
    pub fn push(&mut self, mut piece: &[u8]) {
        while let Some((byte, rest)) = piece.split_first() {
            if self.shape == Shape::Unknown {
                match byte {
                    // White space, and the bytes of a byte order mark.
                    b' ' | b'\t' | b'\r' | b'\n' | 0xEF | 0xBB | 0xBF => piece = rest,
                    b'{' | b'[' => self.shape = Shape::Json,
                    _ => self.shape = Shape::Field(0),
                }
            } else if self.shape == Shape::Json {
                self.text(piece);
                return;
            } else {
                piece = self.line(piece);
            }
        }
    }

    /// What is known so far.
    pub fn usage(&self) -> Option<Usage> {
        self.seen.usage()
    }

    /// What was found; `None` when nothing was.
    pub fn finish(self) -> Option<Usage> {
        self.usage()
    }

    fn text(&mut self, text: &[u8]) {
        let seen = &mut self.seen;
        self.members.push(text, &mut |usage| seen.add(usage));
    }

    /// Reads a piece of a line of an event stream (HTML Living Standard, section 9.2.6), or the
    /// end of one, and returns what comes after it.
    fn line<'a>(&mut self, piece: &'a [u8]) -> &'a [u8] {
        let end = piece.iter().position(|b| matches!(b, b'\r' | b'\n'));
        let (line, rest) = piece.split_at(end.unwrap_or(piece.len()));
        if line.is_empty() {
            let (end, rest) = rest.split_at(rest.len().min(1));
            self.end_of_line(end == b"\r");
            return rest;
        }
        self.after_return = false;
        match (self.shape, line) {
            (Shape::Field(4), [b':', ..]) => self.shape = Shape::Space,
            (Shape::Field(n), [byte, ..]) if b"data".get(n) == Some(byte) => {
                self.shape = Shape::Field(n + 1);
            }
            (Shape::Space, [b' ', ..]) => self.shape = Shape::Data,
            (Shape::Space | Shape::Data, line) => {
                self.shape = Shape::Data;
                self.text(line);
                return rest;
            }
            _ => {
                self.shape = Shape::Other;
                return rest;
            }
        }
        piece.get(1..).unwrap_or_default()
    }

    fn end_of_line(&mut self, is_return: bool) {
        // The second half of an end of two bytes, which may come in two pieces.
        if !is_return && std::mem::take(&mut self.after_return) {
            return;
        }
        self.after_return = is_return;
        match self.shape {
            // An empty line ends the event.
            Shape::Field(0) => self.members.reset(),
            // Lines of one event are joined by a line feed.
            Shape::Data => self.text(b"\n"),
            _ => {}
        }
        self.shape = Shape::Field(0);
    }
}

/// The largest of each count that was seen.
#[derive(Clone, Copy, Debug, Default)]
struct TokenCounts {
    /// OpenAI's chat: all of the prompt.
    prompt: Option<u64>,
    input: Option<u64>,
    /// Anthropic: written to the cache, beside the input.
    cache_creation: Option<u64>,
    output: Option<u64>,
    total: Option<u64>,
    /// OpenAI: read from the cache, as a part of the input.
    cached: Option<u64>,
    /// Anthropic: read from the cache, beside the input.
    cache_read: Option<u64>,
}

impl TokenCounts {
    fn add(&mut self, usage: &[u8]) {
        // An object that does not parse is ignored.
        let Ok(usage) = serde_json::from_slice::<Value>(usage) else {
            return;
        };
        let count = |seen: &mut Option<u64>, name: &str| {
            *seen = (*seen).max(usage.get(name).and_then(Value::as_u64));
        };
        count(&mut self.prompt, "prompt_tokens");
        count(&mut self.input, "input_tokens");
        count(&mut self.cache_creation, "cache_creation_input_tokens");
        count(&mut self.output, "completion_tokens");
        count(&mut self.output, "output_tokens");
        count(&mut self.total, "total_tokens");
        count(&mut self.cache_read, "cache_read_input_tokens");
        for details in ["prompt_tokens_details", "input_tokens_details"] {
            let cached = usage.get(details).and_then(|of| of.get("cached_tokens"));
            self.cached = self.cached.max(cached.and_then(Value::as_u64));
        }
    }

    fn usage(&self) -> Option<Usage> {
        let input = match (self.prompt.max(self.input), self.cache_creation) {
            // Where there is a sum or a prompt, the cache is among it.
            (Some(input), Some(cached)) if self.prompt.is_none() && self.total.is_none() => {
                Some(input.saturating_add(cached))
            }
            (input, _) => input,
        };
        if input.is_none() && self.output.is_none() && self.total.is_none() {
            return None;
        }
        let input = input.unwrap_or(0);
        let rest = self.total.unwrap_or(0).saturating_sub(input);
        let mut usage = Usage::new(input, self.output.unwrap_or(0).max(rest));
        usage.cached_tokens = self.cached.unwrap_or(0).min(input);
        usage.cache_write_tokens = self.cache_creation.unwrap_or(0).min(input);
        usage.cached_beside_input = self.cache_read.unwrap_or(0);
        Some(usage)
    }
}

/// How many tokens a complete body reports as used; see [`UsageReader`].
///
/// ```
/// use seawall_http::quota::{Usage, usage_of};
///
/// let body = br#"{"type":"message","usage":{"input_tokens":2095,"output_tokens":503}}"#;
/// assert_eq!(usage_of(body), Some(Usage::new(2_095, 503)));
/// assert_eq!(usage_of(b"{}"), None);
/// ```
pub fn usage_of(body: &[u8]) -> Option<Usage> {
    let mut reader = UsageReader::new();
    reader.push(body);
    reader.finish()
}

#[cfg(test)]
mod tests;
