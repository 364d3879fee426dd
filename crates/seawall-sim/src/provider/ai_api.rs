//! The model behind the simulated AI API, as two real ones have it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use http::Method;
use serde_json::{Value, json};

use super::body::Reply;
use super::call::Call;
use super::meter::Cost;
use super::profile::Profile;
use super::stats::TokenUsage;
use super::text;
use crate::incident::{Route, SplitMix64};

#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) seed: u64,
    pub(crate) profile: Profile,
    /// The length of a response that nothing cuts short.
    pub(crate) completion_tokens: u32,
    /// The pause before each event of a stream.
    pub(crate) pace: Duration,
    requests: AtomicU64,
}

/// What is read of a request.
#[derive(Debug)]
pub(crate) struct Prompt {
    model: String,
    pub(crate) stream: bool,
    usage_wanted: bool,
    input: u32,
    max_tokens: Option<u32>,
    fault: Option<&'static str>,
}

impl Prompt {
    pub(crate) fn read(profile: Profile, body: &[u8]) -> Self {
        let request: Value = serde_json::from_slice(body).unwrap_or_default();
        let max_tokens = ["max_completion_tokens", "max_tokens"]
            .iter()
            .find_map(|key| request[key].as_u64())
            .map(|max_tokens| u32::try_from(max_tokens).unwrap_or(u32::MAX));
        let messages = request["messages"]
            .as_array()
            .filter(|messages| !messages.is_empty());
        let fault = if !request.is_object() {
            Some("the body is not a JSON object")
        } else if request["model"].as_str().is_none() {
            Some("model: field required")
        } else if messages.is_none() {
            Some("messages: at least one message is required")
        } else if profile == Profile::Anthropic && max_tokens.is_none() {
            Some("max_tokens: field required")
        } else if max_tokens == Some(0) {
            Some("max_tokens: must be at least 1")
        } else {
            None
        };
        Self {
            model: request["model"].as_str().unwrap_or_default().to_owned(),
            stream: request["stream"].as_bool().unwrap_or(false),
            usage_wanted: request["stream_options"]["include_usage"]
                .as_bool()
                .unwrap_or(false),
            input: tokens(characters(&request["messages"]) + characters(&request["system"])),
            max_tokens,
            fault,
        }
    }
}

/// Characters in all texts, wherever in the messages they are.
fn characters(value: &Value) -> usize {
    match value {
        Value::String(text) => text.chars().count(),
        Value::Array(items) => items.iter().map(characters).sum(),
        Value::Object(fields) => ["content", "text"]
            .iter()
            .filter_map(|key| fields.get(*key))
            .map(characters)
            .sum(),
        _ => 0,
    }
}

/// Four characters to a token, the usual rule of thumb; at least one.
fn tokens(characters: usize) -> u32 {
    u32::try_from(characters.div_ceil(4))
        .unwrap_or(u32::MAX)
        .max(1)
}

const WORDS: [&str; 16] = [
    "the", "spread", "is", "narrow", "and", "volume", "supports", "this", "view", "while", "risk",
    "stays", "within", "limits", "for", "today",
];

impl Model {
    pub(crate) fn new(seed: u64, profile: Profile, completion_tokens: u32, pace: Duration) -> Self {
        Self {
            seed,
            profile,
            completion_tokens,
            pace,
            requests: AtomicU64::new(0),
        }
    }

    pub(crate) fn route(&self, method: &Method, path: &str) -> Route {
        let own = match self.profile {
            Profile::Anthropic => "/v1/messages",
            _ => "/v1/chat/completions",
        };
        if method == Method::POST && path == own {
            Route::Completions
        } else {
            Route::Other
        }
    }

    /// OpenAI charges the most that the response may have when it admits a request, Anthropic what
    /// the response really has.
    pub(crate) fn cost(&self, prompt: &Prompt) -> Cost {
        let output = match (self.profile, prompt.max_tokens) {
            (Profile::OpenAi, Some(max_tokens)) => max_tokens,
            _ => self.output(prompt),
        };
        Cost {
            input: prompt.input,
            output,
        }
    }

    fn output(&self, prompt: &Prompt) -> u32 {
        prompt
            .max_tokens
            .map_or(self.completion_tokens, |max_tokens| {
                max_tokens.min(self.completion_tokens)
            })
    }

    pub(crate) fn execute(&self, call: &Call<'_>, prompt: &Prompt) -> (Reply, TokenUsage) {
        if call.route != Route::Completions {
            let reply = self.profile.error(404, "unknown request URL", call.id);
            return (reply, TokenUsage::default());
        }
        if let Some(fault) = prompt.fault {
            return (
                self.profile.error(400, fault, call.id),
                TokenUsage::default(),
            );
        }
        let output = self.output(prompt);
        let words = self.completion(output);
        let truncated = output < self.completion_tokens;
        let reply = match (self.profile, prompt.stream) {
            (Profile::Anthropic, false) => anthropic(prompt, call.id, &words, truncated),
            (Profile::Anthropic, true) => {
                anthropic_events(prompt, call.id, &words, truncated, self.pace)
            }
            (_, false) => openai(prompt, call.id, &words, truncated),
            (_, true) => openai_events(prompt, call.id, &words, truncated, self.pace),
        };
        let usage = TokenUsage {
            input: u64::from(prompt.input),
            output: u64::from(output),
        };
        (reply, usage)
    }

    /// One word per token; the first is an opinion, so that a program can act on it.
    fn completion(&self, output: u32) -> Vec<String> {
        let mut draw = SplitMix64::new(&[self.seed, self.requests.fetch_add(1, Ordering::Relaxed)]);
        let opinion = ["BUY", "SELL", "HOLD"][(draw.next_u64() % 3) as usize];
        let start = (draw.next_u64() % 16) as usize;
        let rest = WORDS
            .iter()
            .cycle()
            .skip(start)
            .map(|word| format!(" {word}"));
        std::iter::once(opinion.to_owned())
            .chain(rest)
            .take(output as usize)
            .collect()
    }

    /// A throttle inside a 200: the error envelope, or the error event of a stream.
    pub(crate) fn hidden_throttle(&self, prompt: &Prompt, id: &str) -> Reply {
        let body = self.profile.hidden_throttle(id);
        match (self.profile, prompt.stream) {
            (_, false) => Reply::json(200, &body),
            (Profile::Anthropic, true) => Reply::events(vec![event("error", &body)], self.pace),
            (_, true) => Reply::events(vec![data(&body)], self.pace),
        }
    }
}

fn data(value: &Value) -> String {
    format!("data: {value}\n\n")
}

fn event(name: &str, value: &Value) -> String {
    format!("event: {name}\ndata: {value}\n\n")
}

fn openai_usage(prompt: &Prompt, words: &[String]) -> Value {
    json!({
        "prompt_tokens": prompt.input,
        "completion_tokens": words.len(),
        "total_tokens": prompt.input as usize + words.len(),
    })
}

fn openai(prompt: &Prompt, id: &str, words: &[String], truncated: bool) -> Reply {
    let message = json!({ "role": "assistant", "content": words.concat(), "refusal": null });
    let finish = if truncated { "length" } else { "stop" };
    Reply::json(
        200,
        &json!({
            "id": format!("chatcmpl-{id}"),
            "object": "chat.completion",
            "created": text::epoch_seconds(SystemTime::now()),
            "model": prompt.model,
            "choices": [
                { "index": 0, "message": message, "logprobs": null, "finish_reason": finish },
            ],
            "usage": openai_usage(prompt, words),
        }),
    )
}

fn openai_events(
    prompt: &Prompt,
    id: &str,
    words: &[String],
    truncated: bool,
    pace: Duration,
) -> Reply {
    let created = text::epoch_seconds(SystemTime::now());
    let chunk = |choices: Value, usage: Option<Value>| {
        let mut chunk = json!({
            "id": format!("chatcmpl-{id}"),
            "object": "chat.completion.chunk",
            "created": created,
            "model": prompt.model,
            "choices": choices,
        });
        if let Some(usage) = usage {
            chunk["usage"] = usage;
        }
        data(&chunk)
    };
    let choice = |delta: Value, finish: Option<&str>| json!([{ "index": 0, "delta": delta, "finish_reason": finish }]);
    let mut events = vec![chunk(
        choice(json!({ "role": "assistant", "content": "" }), None),
        None,
    )];
    for word in words {
        events.push(chunk(choice(json!({ "content": word }), None), None));
    }
    let finish = if truncated { "length" } else { "stop" };
    events.push(chunk(choice(json!({}), Some(finish)), None));
    if prompt.usage_wanted {
        events.push(chunk(json!([]), Some(openai_usage(prompt, words))));
    }
    events.push("data: [DONE]\n\n".to_owned());
    Reply::events(events, pace)
}

fn anthropic_message(prompt: &Prompt, id: &str, content: &Value, usage: &Value) -> Value {
    json!({
        "id": format!("msg_{id}"),
        "type": "message",
        "role": "assistant",
        "model": prompt.model,
        "content": content,
        "stop_reason": null,
        "stop_sequence": null,
        "usage": usage,
    })
}

fn anthropic(prompt: &Prompt, id: &str, words: &[String], truncated: bool) -> Reply {
    let content = json!([{ "type": "text", "text": words.concat() }]);
    let usage = json!({ "input_tokens": prompt.input, "output_tokens": words.len() });
    let mut message = anthropic_message(prompt, id, &content, &usage);
    message["stop_reason"] = json!(if truncated { "max_tokens" } else { "end_turn" });
    Reply::json(200, &message)
}

fn anthropic_events(
    prompt: &Prompt,
    id: &str,
    words: &[String],
    truncated: bool,
    pace: Duration,
) -> Reply {
    let usage = json!({ "input_tokens": prompt.input, "output_tokens": 1 });
    let message = anthropic_message(prompt, id, &json!([]), &usage);
    let typed = |name: &str, mut value: Value| {
        value["type"] = json!(name);
        event(name, &value)
    };
    let mut events = vec![
        typed("message_start", json!({ "message": message })),
        typed(
            "content_block_start",
            json!({ "index": 0, "content_block": { "type": "text", "text": "" } }),
        ),
        typed("ping", json!({})),
    ];
    for word in words {
        let delta = json!({ "type": "text_delta", "text": word });
        events.push(typed(
            "content_block_delta",
            json!({ "index": 0, "delta": delta }),
        ));
    }
    let reason = if truncated { "max_tokens" } else { "end_turn" };
    events.push(typed("content_block_stop", json!({ "index": 0 })));
    events.push(typed(
        "message_delta",
        json!({
            "delta": { "stop_reason": reason, "stop_sequence": null },
            "usage": { "output_tokens": words.len() },
        }),
    ));
    events.push(typed("message_stop", json!({})));
    Reply::events(events, pace)
}
