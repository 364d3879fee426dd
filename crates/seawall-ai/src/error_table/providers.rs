//! The rules of the known APIs, each with the page or the report that it comes from.
//!
//! Pages:
//!
//! * OpenAI: <https://developers.openai.com/docs/guides/error-codes>, and the codes of a failed response
//!   in `openai/openai-python`, `types/responses/response_error.py`;
//! * Anthropic: <https://platform.claude.com/docs/en/api/errors>, and the types in
//!   `anthropics/anthropic-sdk-python`, `types/shared/error_object.py`;
//! * others: named at the rule.
//!
//! Where a page has no text of the message, the rule names a public report that quotes it.

use http::StatusCode;

use super::rule::ErrorRule;
use crate::error_class::ErrorClass;

const BAD_REQUEST: StatusCode = StatusCode::BAD_REQUEST;
const UNAUTHORIZED: StatusCode = StatusCode::UNAUTHORIZED;
const PAYMENT_REQUIRED: StatusCode = StatusCode::PAYMENT_REQUIRED;
const FORBIDDEN: StatusCode = StatusCode::FORBIDDEN;
const NOT_FOUND: StatusCode = StatusCode::NOT_FOUND;
const TOO_LARGE: StatusCode = StatusCode::PAYLOAD_TOO_LARGE;
const TOO_MANY: StatusCode = StatusCode::TOO_MANY_REQUESTS;
const SERVER_ERROR: StatusCode = StatusCode::INTERNAL_SERVER_ERROR;
const UNAVAILABLE: StatusCode = StatusCode::SERVICE_UNAVAILABLE;
const TIMEOUT: StatusCode = StatusCode::GATEWAY_TIMEOUT;

pub(super) fn openai() -> Vec<ErrorRule> {
    let mut rules = openai_account();
    rules.extend(openai_request());
    rules.extend(openai_provider());
    rules
}

fn openai_account() -> Vec<ErrorRule> {
    use ErrorClass as Class;
    let rule = ErrorRule::new;
    vec![
        // Error codes, "401 - Incorrect API key provided".
        rule(Class::Credential)
            .status(UNAUTHORIZED)
            .code("invalid_api_key"),
        // A key without the scope: microsoft/PowerToys#32989, a 401 with the type of any bad request. As
        // a 403 where a gateway has it so.
        rule(Class::Credential)
            .status(UNAUTHORIZED)
            .status(FORBIDDEN)
            .message("insufficient permissions"),
        // A 403 that speaks of the key or of what it may do means the key. Google's for a leaked key:
        // continuedev/continue#11541.
        rule(Class::Credential)
            .status(FORBIDDEN)
            .message("API key")
            .message("not have permission")
            .message("permission denied"),
        // Error codes, "429 - You exceeded your current quota", and
        // https://help.openai.com/en/articles/6614457-troubleshooting-api-usage-and-spend-limits.
        rule(Class::QuotaExhausted)
            .status(TOO_MANY)
            .code("insufficient_quota")
            .code("credit_balance_exhausted")
            .code("organization_spend_limit_exceeded")
            .code("project_spend_limit_exceeded")
            .code("organization_usage_limit_exceeded"),
        // The same; the type of all of them.
        rule(Class::QuotaExhausted)
            .status(TOO_MANY)
            .error_type("insufficient_quota"),
        // The older hard limit, a 400 with the type of any bad request: dfinke/PowerShellAI#127.
        rule(Class::QuotaExhausted)
            .status(BAD_REQUEST)
            .code("billing_hard_limit_reached"),
        // A 429 of an account without a valid way to pay: BerriAI/litellm#2743,
        // Chanzhaoyu/chatgpt-web#1273 (without a code).
        rule(Class::QuotaExhausted)
            .status(TOO_MANY)
            .error_type("billing_not_active"),
    ]
}

fn openai_request() -> Vec<ErrorRule> {
    use ErrorClass as Class;
    let rule = ErrorRule::new;
    vec![
        // Quoted in crewAIInc/crewAI-examples#121 and in mckaywrigley/chatbot-ui#102; the same code
        // ends a stream of responses, maximhq/bifrost#4413.
        rule(Class::ContextLength)
            .status(BAD_REQUEST)
            .code("context_length_exceeded"),
        // A single request of more tokens than the limit per minute: no wait makes it fit. A 429 with
        // `rate_limit_exceeded`, quoted in Aider-AI/aider#1880 and in DrShushen/climb#13.
        rule(Class::ContextLength)
            .status(TOO_MANY)
            .message("Request too large for"),
        // Quoted in BeehiveInnovations/pal-mcp-server#178; a code of `response_error.py`.
        rule(Class::ContentPolicy)
            .status(BAD_REQUEST)
            .code("invalid_prompt"),
        // `response_error.py`.
        rule(Class::ContentPolicy)
            .status(BAD_REQUEST)
            .code("image_content_policy_violation"),
        // Quoted in songquanpeng/one-api#737, and read in microsoft/PyRIT#1463. OpenRouter has the first
        // as a 403: https://developersdigest.tech, errors of OpenRouter.
        rule(Class::ContentPolicy)
            .status(BAD_REQUEST)
            .status(FORBIDDEN)
            .code("content_policy_violation")
            .code("moderation_blocked"),
        // The same without a code: RanFeng/clipsketch-ai#6.
        rule(Class::ContentPolicy)
            .status(BAD_REQUEST)
            .message("rejected as a result of our safety system"),
        // Azure's OpenAI, quoted in openai/openai-agents-python#806 and in compl-ai/compl-ai#20.
        rule(Class::ContentPolicy)
            .status(BAD_REQUEST)
            .code("content_filter"),
        // Quoted in simonw/llm#1553 and in langgenius/dify#13036. A retired model has the same code,
        // hkjang/node-red-contrib-openai#7.
        rule(Class::ModelUnavailable)
            .status(NOT_FOUND)
            .status(FORBIDDEN)
            .status(BAD_REQUEST)
            .code("model_not_found"),
        // Error codes, "403 - Country, region, or territory not supported".
        rule(Class::ModelUnavailable)
            .status(FORBIDDEN)
            .message("Country, region, or territory not supported"),
        // Error codes, "429 - Rate limit reached for requests"; in a failed response as well,
        // `response_error.py`.
        rule(Class::RateLimit)
            .status(TOO_MANY)
            .code("rate_limit_exceeded"),
    ]
}

fn openai_provider() -> Vec<ErrorRule> {
    use ErrorClass as Class;
    let rule = ErrorRule::new;
    vec![
        // Error codes, "503 - Slow Down", since 2026 a 429 of the type `rate_limit_error`: the traffic
        // has grown too fast for the provider's capacity.
        rule(Class::Overload)
            .status(UNAVAILABLE)
            .status(TOO_MANY)
            .code("slow_down"),
        // Error codes, "503 - The engine is currently overloaded", with that code and type.
        rule(Class::Overload)
            .status(UNAVAILABLE)
            .code("server_is_overloaded"),
        rule(Class::Overload)
            .status(UNAVAILABLE)
            .error_type("service_unavailable_error"),
        // The older forms, a 429: https://w3cschool.cn/openai_api/openai-api-error-codes.html, and
        // openai/openai-python#414.
        rule(Class::Overload)
            .status(UNAVAILABLE)
            .status(TOO_MANY)
            .message("engine is currently overloaded")
            .message("currently overloaded with other requests"),
        // Error codes, "500 - The server had an error"; a code of a failed response, `response_error.py`.
        rule(Class::Server)
            .status(SERVER_ERROR)
            .error_type("server_error"),
        rule(Class::Server)
            .status(SERVER_ERROR)
            .code("server_error")
            .code("vector_store_timeout"),
        // The type of every error of the request; in a stream there is no status to say so.
        rule(Class::InvalidRequest)
            .statuses(400..=499)
            .error_type("invalid_request_error"),
    ]
}

pub(super) fn anthropic() -> Vec<ErrorRule> {
    use ErrorClass as Class;
    let rule = ErrorRule::new;
    vec![
        // Errors, 401 and 403.
        rule(Class::Credential)
            .status(UNAUTHORIZED)
            .error_type("authentication_error"),
        rule(Class::Credential)
            .status(FORBIDDEN)
            .error_type("permission_error"),
        // Errors, 402.
        rule(Class::QuotaExhausted)
            .status(PAYMENT_REQUIRED)
            .error_type("billing_error"),
        // The monthly spend limit of the tier, a 429 without `retry-after`:
        // https://learn.microsoft.com, dev-proxy, and third parties.
        rule(Class::QuotaExhausted)
            .status(TOO_MANY)
            .code("enforced_spend_limit_reached"),
        // An empty balance, a 400 of the type of any bad request: anthropics/claude-code#66314.
        rule(Class::QuotaExhausted)
            .status(BAD_REQUEST)
            .message("credit balance is too low"),
        // A spend limit that the user has set, a 400 as the errors page says:
        // anthropics/claude-code#38035.
        rule(Class::QuotaExhausted)
            .status(BAD_REQUEST)
            .message("reached your specified API usage limits"),
        // A long prompt that the plan does not pay for, a 429 that no wait ends:
        // anthropics/claude-code#44863 ("Extra usage is ..") and #64982 ("Usage credits are ..").
        rule(Class::QuotaExhausted)
            .status(TOO_MANY)
            .message("required for long context requests"),
        // Quoted in anthropics/claude-code#12186 and in coder/aibridge#56.
        rule(Class::ContextLength)
            .status(BAD_REQUEST)
            .message("prompt is too long"),
        // Quoted in docker/docker-agent#569.
        rule(Class::ContextLength)
            .status(BAD_REQUEST)
            .message("exceed context limit"),
        // Errors, 413: more than 32 MB.
        rule(Class::ContextLength)
            .status(TOO_LARGE)
            .error_type("request_too_large"),
        // Quoted in anthropics/claude-code#58367, as a response and as an event of a stream.
        rule(Class::ContentPolicy)
            .status(BAD_REQUEST)
            .message("blocked by content filtering policy"),
        // Errors, 404, with the model as message: anthropics/claude-code#5349.
        rule(Class::ModelUnavailable)
            .status(NOT_FOUND)
            .message("model:"),
        // Errors, 429.
        rule(Class::RateLimit)
            .status(TOO_MANY)
            .error_type("rate_limit_error"),
        // Errors, 529.
        rule(Class::Overload)
            .statuses(529..=529)
            .error_type("overloaded_error"),
        // Errors, 500.
        rule(Class::Server)
            .status(SERVER_ERROR)
            .error_type("api_error"),
        // Errors, 504.
        rule(Class::Network)
            .status(TIMEOUT)
            .error_type("timeout_error"),
        // Errors, 400, 404 and 409.
        rule(Class::InvalidRequest)
            .statuses(400..=499)
            .error_type("invalid_request_error")
            .error_type("not_found_error")
            .error_type("conflict_error"),
    ]
}

/// What only compatible servers and gateways send.
pub(super) fn compatible() -> Vec<ErrorRule> {
    use ErrorClass as Class;
    let rule = ErrorRule::new;
    vec![
        // Google's compatible endpoint reports a wrong key as a bad request: google-gemini, quoted in
        // continuedev/continue#10748.
        rule(Class::Credential)
            .status(BAD_REQUEST)
            .message("API key not valid"),
        // https://api-docs.deepseek.com/quick_start/error_codes, 402.
        rule(Class::QuotaExhausted)
            .status(PAYMENT_REQUIRED)
            .message("Insufficient Balance"),
        // vLLM and others that write as OpenAI does, without its code: mckaywrigley/repo-chat#7.
        rule(Class::ContextLength)
            .status(BAD_REQUEST)
            .status(FORBIDDEN)
            .status(TOO_LARGE)
            .message("maximum context length"),
        // Google: google-gemini/gemini-cli#4231.
        rule(Class::ContextLength)
            .status(BAD_REQUEST)
            .message("exceeds the maximum number of tokens allowed"),
        // llama.cpp: ggml-org/llama.cpp#15780, and with a 500 before, ggml-org/llama.cpp#19774.
        rule(Class::ContextLength)
            .status(BAD_REQUEST)
            .status(SERVER_ERROR)
            .error_type("exceed_context_size_error"),
        rule(Class::ContextLength)
            .status(BAD_REQUEST)
            .status(SERVER_ERROR)
            .message("exceeds the available context size")
            .message("Context size has been exceeded"),
        // OpenRouter: https://openrouter.ai/docs/errors, "403: Your chosen model requires moderation and
        // your input was flagged".
        rule(Class::ContentPolicy)
            .status(FORBIDDEN)
            .message("requires moderation")
            .message("flagged"),
        // DeepSeek: vm0-ai/vm0#33180.
        rule(Class::ContentPolicy)
            .status(BAD_REQUEST)
            .message("Content Exists Risk"),
        // The words of OpenAI without its code, as Groq has them: continuedev/continue#10832.
        rule(Class::ModelUnavailable)
            .status(NOT_FOUND)
            .message("does not exist or you do not have access to it"),
    ]
}

/// RFC 9110, with 529 as Anthropic has it (Errors), and with 402 and 503 as DeepSeek and OpenAI have
/// them (their pages above). A 408 or 504 is a request that somebody on the way has waited for.
///
/// A 403 has no rule: a firewall or a moderation forbids one prompt as well as an API forbids a key, and
/// to take the first for the second sends that prompt to every key, and leaves all of them alone.
pub(super) fn by_status() -> Vec<ErrorRule> {
    use ErrorClass as Class;
    let rule = ErrorRule::new;
    vec![
        rule(Class::Credential).status(UNAUTHORIZED),
        rule(Class::QuotaExhausted).status(PAYMENT_REQUIRED),
        rule(Class::ContextLength).status(TOO_LARGE),
        rule(Class::RateLimit).status(TOO_MANY),
        rule(Class::Overload)
            .status(UNAVAILABLE)
            .statuses(529..=529),
        rule(Class::Network)
            .status(TIMEOUT)
            .status(StatusCode::REQUEST_TIMEOUT),
        // After those above, which are looked through first.
        rule(Class::Server)
            .statuses(500..=502)
            .statuses(505..=528)
            .statuses(530..=599),
    ]
}
