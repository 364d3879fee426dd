//! Counts the tokens of a prompt, roughly or exactly.

use crate::prompt::Prompt;

/// Counts the tokens that a model reads of a prompt.
///
/// Closures `Fn(&Prompt<'_>) -> u32` are tokenizers. What one counts is corrected per model by what
/// responses report, so it need not be exact, but should be proportional: an error that is the same for
/// every prompt is learned.
///
/// ```
/// use seawall_ai::estimate::{Prompt, Tokenizer};
///
/// let by_length = |prompt: &Prompt<'_>| prompt.body.len() as u32 / 5;
/// let body = br#"{"model":"m","prompt":"twenty bytes of text"}"#;
/// assert_eq!(by_length.count(&Prompt::read(body).unwrap()), 9);
/// ```
pub trait Tokenizer: Send + Sync {
    /// How many tokens the model reads. Called once per call, before it waits for anything.
    fn count(&self, prompt: &Prompt<'_>) -> u32;
}

impl<F: Fn(&Prompt<'_>) -> u32 + Send + Sync> Tokenizer for F {
    fn count(&self, prompt: &Prompt<'_>) -> u32 {
        self(prompt)
    }
}

/// The default tokenizer: a token per four bytes of text, rounded up, four per message, 1,000 per image,
/// and a token per four of the [bytes of files](Prompt::file_bytes), so at least 5,000 per file.
///
/// Four bytes are OpenAI's rule of thumb
/// ([`estimate_tokens`](seawall_http::quota::estimate_tokens)), and four tokens the most that it
/// documents for what separates messages
/// (<https://github.com/openai/openai-cookbook/blob/main/examples/How_to_format_inputs_to_ChatGPT_models.ipynb>). An image takes a number of tokens that
/// depends on its size, which is not looked at: with Anthropic width times height over 750, so at most
/// about 1,600
/// (<https://platform.claude.com/docs/en/build-with-claude/vision>).
/// A page of a PDF takes 1,500 to 3,000 tokens there, and an image
/// (<https://platform.claude.com/docs/en/build-with-claude/pdf-support>); how many pages a file has is
/// not looked at, so one that is only named, by its address or its id, counts as one page. A second of
/// audio takes tens of tokens, and has a thousand bytes or more. Give a tokenizer of your own where
/// callers send files, and their cost must be known better.
///
/// ```
/// use seawall_ai::estimate::{Prompt, RoughTokenizer, Tokenizer};
///
/// let body = br#"{"messages":[{"role":"user","content":[
///     {"type":"text","text":"What is it?"},
///     {"type":"image_url","image_url":{"url":"data:image/png;base64,iVBORw0KGgo"}}]}]}"#;
/// assert_eq!(RoughTokenizer.count(&Prompt::read(body).unwrap()), 1_007);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct RoughTokenizer;

const BYTES_PER_TOKEN: u64 = 4;
const IMAGE_TOKENS: u64 = 1_000;
const MESSAGE_TOKENS: u64 = 4;

impl Tokenizer for RoughTokenizer {
    fn count(&self, prompt: &Prompt<'_>) -> u32 {
        let bytes = prompt.text_bytes.saturating_add(prompt.file_bytes);
        let tokens = bytes
            .div_ceil(BYTES_PER_TOKEN)
            .saturating_add(u64::from(prompt.images) * IMAGE_TOKENS)
            .saturating_add(u64::from(prompt.messages) * MESSAGE_TOKENS);
        u32::try_from(tokens).unwrap_or(u32::MAX)
    }
}
