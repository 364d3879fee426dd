//! Bodies as the providers send them: documented, or quoted in the reports that the rules name.

use crate::error_class::ErrorClass as Class;

/// A status, a body, and the class.
pub(super) type Case = (u16, &'static str, Class);

pub(super) const OPENAI: &[Case] = &[
    (
        401,
        r#"{"error":{"message":"Incorrect API key provided: sk-no. You can find your API key at https://platform.openai.com/account/api-keys.","type":"invalid_request_error","param":null,"code":"invalid_api_key"}}"#,
        Class::Credential,
    ),
    (
        429,
        r#"{"error":{"message":"You exceeded your current quota, please check your plan and billing details. For more information on this error, read the docs.","type":"insufficient_quota","param":null,"code":"insufficient_quota"}}"#,
        Class::QuotaExhausted,
    ),
    (
        429,
        r#"{"error":{"message":"Your rate limit of money is reached","type":"insufficient_quota","param":null,"code":"project_spend_limit_exceeded"}}"#,
        Class::QuotaExhausted,
    ),
    (
        429,
        r#"{"error":{"message":"Your account is not active, please check your billing details on our website.","type":"billing_not_active","param":null,"code":null}}"#,
        Class::QuotaExhausted,
    ),
    (
        400,
        r#"{"error":{"message":"This model's maximum context length is 8192 tokens. However, your messages resulted in 8227 tokens. Please reduce the length of the messages.","type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}}"#,
        Class::ContextLength,
    ),
    (
        429,
        r#"{"error":{"message":"Request too large for gpt-4o in organization org-2 on tokens per min (TPM): Limit 30000, Requested 36278. The input or output tokens must be reduced in order to run successfully.","type":"tokens","param":null,"code":"rate_limit_exceeded"}}"#,
        Class::ContextLength,
    ),
    (
        400,
        r#"{"error":{"message":"Invalid prompt: your prompt was flagged as potentially violating our usage policy.","type":"invalid_request_error","param":null,"code":"invalid_prompt"}}"#,
        Class::ContentPolicy,
    ),
    (
        400,
        r#"{"error":{"message":"The response was filtered due to the prompt triggering Azure OpenAI's content management policy.","type":null,"param":"prompt","code":"content_filter","status":400,"innererror":{"code":"ResponsibleAIPolicyViolation"}}}"#,
        Class::ContentPolicy,
    ),
    (
        404,
        r#"{"error":{"message":"The model `gpt-4o` does not exist or you do not have access to it.","type":"invalid_request_error","param":null,"code":"model_not_found"}}"#,
        Class::ModelUnavailable,
    ),
    (
        403,
        r#"{"error":{"code":"unsupported_country_region_territory","message":"Country, region, or territory not supported","param":null,"type":"request_forbidden"}}"#,
        Class::ModelUnavailable,
    ),
    (
        429,
        r#"{"error":{"message":"Rate limit reached for gpt-4.1 in organization org-6 on tokens per min (TPM): Limit 30000, Used 18928, Requested 11159. Please try again in 174ms.","type":"tokens","param":null,"code":"rate_limit_exceeded"}}"#,
        Class::RateLimit,
    ),
    (
        429,
        r#"{"error":{"message":"Slow down.","type":"rate_limit_error","param":null,"code":"slow_down"}}"#,
        Class::Overload,
    ),
    (
        503,
        r#"{"error":{"message":"The server is overloaded.","type":"service_unavailable_error","param":null,"code":"server_is_overloaded"}}"#,
        Class::Overload,
    ),
    (
        500,
        r#"{"error":{"message":"The server had an error while processing your request. Sorry about that!","type":"server_error","param":null,"code":null}}"#,
        Class::Server,
    ),
    (
        400,
        r#"{"error":{"message":"Unrecognized request argument supplied: mesages","type":"invalid_request_error","param":null,"code":null}}"#,
        Class::InvalidRequest,
    ),
];

/// The same, of account and content.
pub(super) const OPENAI_MORE: &[Case] = &[
    (
        403,
        r#"{"error":{"message":"You have insufficient permissions for this operation. Missing scopes: model.request.","type":"invalid_request_error","param":null,"code":null}}"#,
        Class::Credential,
    ),
    (
        403,
        r#"{"error":{"code":403,"message":"Your API key was reported as leaked. Please use another API key.","status":"PERMISSION_DENIED"}}"#,
        Class::Credential,
    ),
    (
        400,
        r#"{"error":{"code":"billing_hard_limit_reached","message":"Billing hard limit has been reached","param":null,"type":"invalid_request_error"}}"#,
        Class::QuotaExhausted,
    ),
    (
        400,
        r#"{"error":{"code":"content_policy_violation","message":"Your request was rejected as a result of our safety system.","param":null,"type":"invalid_request_error"}}"#,
        Class::ContentPolicy,
    ),
    (
        400,
        r#"{"error":{"code":"moderation_blocked","message":"Blocked","type":"image_generation_user_error"}}"#,
        Class::ContentPolicy,
    ),
    (
        400,
        r#"{"error":{"message":"Your request was rejected as a result of our safety system. Your prompt may contain text that is not allowed by our safety system."}}"#,
        Class::ContentPolicy,
    ),
    (
        429,
        r#"{"error":{"message":"That model is currently overloaded with other requests. You can retry your request.","type":"server_error","param":null,"code":null}}"#,
        Class::Overload,
    ),
    // Nothing is known of the key: the prompt is not sent to every other one.
    (
        403,
        r#"{"error":{"message":"Forbidden"}}"#,
        Class::InvalidRequest,
    ),
    (
        403,
        "<html><head><title>Attention Required!</title></head>You do not have permission</html>",
        Class::InvalidRequest,
    ),
];

pub(super) const ANTHROPIC: &[Case] = &[
    (
        401,
        r#"{"type":"error","error":{"type":"authentication_error","message":"invalid x-api-key"},"request_id":"req_1"}"#,
        Class::Credential,
    ),
    (
        403,
        r#"{"type":"error","error":{"type":"permission_error","message":"Your API key does not have permission to use the specified resource."},"request_id":"req_1"}"#,
        Class::Credential,
    ),
    (
        402,
        r#"{"type":"error","error":{"type":"billing_error","message":"There is an issue with your billing or payment information."},"request_id":"req_1"}"#,
        Class::QuotaExhausted,
    ),
    (
        400,
        r#"{"type":"error","error":{"type":"invalid_request_error","message":"Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade or purchase credits."},"request_id":"req_1"}"#,
        Class::QuotaExhausted,
    ),
    (
        400,
        r#"{"type":"error","error":{"type":"invalid_request_error","message":"You have reached your specified API usage limits. You will regain access on 2026-04-01 at 00:00 UTC."},"request_id":"req_1"}"#,
        Class::QuotaExhausted,
    ),
    (
        429,
        r#"{"type":"error","error":{"type":"rate_limit_error","message":"This organization has reached its spend limit.","details":{"error_code":"enforced_spend_limit_reached"}},"request_id":"req_1"}"#,
        Class::QuotaExhausted,
    ),
    (
        429,
        r#"{"type":"error","error":{"type":"rate_limit_error","message":"Extra usage is required for long context requests."},"request_id":"req_1"}"#,
        Class::QuotaExhausted,
    ),
    (
        400,
        r#"{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 208310 tokens > 200000 maximum"},"request_id":"req_1"}"#,
        Class::ContextLength,
    ),
    (
        400,
        r#"{"type":"error","error":{"type":"invalid_request_error","message":"input length and `max_tokens` exceed context limit: 178959 + 64000 > 200000, decrease input length or `max_tokens` and try again"},"request_id":"req_1"}"#,
        Class::ContextLength,
    ),
    (
        413,
        r#"{"type":"error","error":{"type":"request_too_large","message":"Request exceeds the maximum size"}}"#,
        Class::ContextLength,
    ),
    (
        400,
        r#"{"type":"error","error":{"details":null,"type":"invalid_request_error","message":"Output blocked by content filtering policy"},"request_id":"req_1"}"#,
        Class::ContentPolicy,
    ),
    (
        404,
        r#"{"type":"error","error":{"type":"not_found_error","message":"model: claude-4.5-sonnet"}}"#,
        Class::ModelUnavailable,
    ),
    (
        404,
        r#"{"type":"error","error":{"type":"not_found_error","message":"Not found"}}"#,
        Class::InvalidRequest,
    ),
    (
        429,
        r#"{"type":"error","error":{"type":"rate_limit_error","message":"This request would exceed your account's rate limit. Please try again later."},"request_id":"req_1"}"#,
        Class::RateLimit,
    ),
    (
        529,
        r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"},"request_id":"req_1"}"#,
        Class::Overload,
    ),
    (
        500,
        r#"{"type":"error","error":{"type":"api_error","message":"Internal server error"},"request_id":"req_1"}"#,
        Class::Server,
    ),
    (
        504,
        r#"{"type":"error","error":{"type":"timeout_error","message":"The request timed out"},"request_id":"req_1"}"#,
        Class::Network,
    ),
    (
        400,
        r#"{"type":"error","error":{"type":"invalid_request_error","message":"messages: at least one message is required"}}"#,
        Class::InvalidRequest,
    ),
];

pub(super) const COMPATIBLE: &[Case] = &[
    (
        400,
        r#"[{"error":{"code":400,"message":"API key not valid. Please pass a valid API key.","status":"INVALID_ARGUMENT"}}]"#,
        Class::Credential,
    ),
    (
        402,
        r#"{"error":{"message":"Insufficient Balance","type":"unknown_error","param":null,"code":"invalid_request_error"}}"#,
        Class::QuotaExhausted,
    ),
    (
        400,
        r#"{"object":"error","message":"This model's maximum context length is 4096 tokens.","type":"BadRequestError","param":null,"code":400}"#,
        Class::ContextLength,
    ),
    (
        400,
        r#"{"error":{"code":400,"message":"request (4390 tokens) exceeds the available context size (4096 tokens), try increasing it","type":"exceed_context_size_error","n_ctx":4096}}"#,
        Class::ContextLength,
    ),
    (
        500,
        r#"{"error":{"code":500,"message":"Context size has been exceeded.","type":"server_error"}}"#,
        Class::ContextLength,
    ),
    (
        404,
        r#"{"error":{"message":"The model `llama3.1-405b` does not exist or you do not have access to it."}}"#,
        Class::ModelUnavailable,
    ),
    (
        403,
        r#"{"error":{"message":"openai/gpt-4 requires moderation. Your input was flagged","code":403,"metadata":{"reasons":["violence"]}}}"#,
        Class::ContentPolicy,
    ),
    (
        400,
        r#"{"error":{"message":"Content Exists Risk","type":"invalid_request_error"}}"#,
        Class::ContentPolicy,
    ),
    (
        400,
        r#"{"error":{"code":400,"message":"The input token count (3475108) exceeds the maximum number of tokens allowed (1048576).","status":"INVALID_ARGUMENT"}}"#,
        Class::ContextLength,
    ),
    (422, r#"{"detail":"field required"}"#, Class::InvalidRequest),
];

/// What the status alone says, whatever the body is.
pub(super) const BY_STATUS: &[(u16, Class)] = &[
    (400, Class::InvalidRequest),
    (401, Class::Credential),
    (402, Class::QuotaExhausted),
    (403, Class::InvalidRequest),
    (404, Class::InvalidRequest),
    (408, Class::Network),
    (413, Class::ContextLength),
    (422, Class::InvalidRequest),
    (429, Class::RateLimit),
    (500, Class::Server),
    (502, Class::Server),
    (503, Class::Overload),
    (504, Class::Network),
    (520, Class::Server),
    (529, Class::Overload),
];
