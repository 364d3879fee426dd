//! Responses of providers, as they are documented or quoted.

use http::{HeaderValue, Response};

use super::*;

fn head(status: u16) -> Parts {
    let mut parts = Response::new(()).into_parts().0;
    parts.status = StatusCode::from_u16(status).unwrap();
    parts
}

const GONE: Option<Outcome> = Some(Outcome::QuotaExhausted { renews_in: None });

#[test]
fn alpha_vantage_names_the_burst_first_and_the_day_second() {
    let inspected = |text: &str| alpha_vantage(&head(200), text.as_bytes());
    let throttled = |seconds| {
        Some(Outcome::Throttled {
            retry_after: Some(Duration::from_secs(seconds)),
            scope: Scope::Account,
        })
    };
    let burst = r#"{ "Information": "Please consider spreading out your free API requests more
        sparingly (1 request per second). You may subscribe to lift the free key rate limit
        (25 requests per day)" }"#;
    assert_eq!(inspected(burst), throttled(1));
    assert_eq!(
        inspected(r#"{"Note":"Burst pattern detected"}"#),
        throttled(1)
    );
    let older = r#"{"Note": "5 calls per minute and 500 calls per day"}"#;
    assert_eq!(inspected(older), throttled(60));
    let day = r#"{"Information": "our standard API rate limit is 25 requests per day."}"#;
    assert_eq!(inspected(day), GONE);
    let premium = r#"{"Information": "This is a premium endpoint."}"#;
    assert_eq!(inspected(premium), Some(Outcome::Ignored));
    assert_eq!(
        inspected(r#"{"Error Message": "Invalid API call."}"#),
        Some(Outcome::Ignored)
    );
}

#[test]
fn data_that_speaks_of_seconds_is_data() {
    let inspected = |status, text: &str| alpha_vantage(&head(status), text.as_bytes());
    let data = r#"{"Meta Data": {"1. Information": "Daily", "note": "25 requests per day"}}"#;
    assert_eq!(inspected(200, data), None);
    assert_eq!(inspected(200, "[]"), None);
    assert_eq!(inspected(200, ""), None);
    assert_eq!(inspected(200, "{"), None);
    assert_eq!(inspected(200, "{\"Note"), None);
    assert_eq!(inspected(500, r#"{"Note": "1 request per second"}"#), None);
}

#[test]
fn openai_an_exhausted_quota_is_no_throttle() {
    let quota = br#"{"error":{"type":"insufficient_quota","code":"insufficient_quota"}}"#;
    assert_eq!(openai(&head(429), quota), GONE);
    let code = br#"{"error":{"type":"x","code":"project_spend_limit_exceeded"}}"#;
    assert_eq!(openai(&head(429), code), GONE);
    assert_eq!(openai(&head(400), quota), None);
    let throttle = br#"{"error":{"code":"rate_limit_exceeded"}}"#;
    assert_eq!(openai(&head(429), throttle), None);
    let quoted = br#"{"error":{"message":"not \"insufficient_quota\", be calm"}}"#;
    assert_eq!(openai(&head(429), quoted), None);
}

#[test]
fn anthropic_a_spend_limit_is_no_throttle() {
    let spent = br#"{"error":{"details":{"error_code":"enforced_spend_limit_reached"}}}"#;
    assert_eq!(anthropic(&head(429), spent), GONE);
    let throttle = br#"{"error":{"type":"rate_limit_error"}}"#;
    assert_eq!(anthropic(&head(429), throttle), None);
    let billing = br#"{"error":{"type":"billing_error"}}"#;
    assert_eq!(anthropic(&head(402), billing), GONE);
}

fn html(status: u16) -> Parts {
    let mut parts = head(status);
    let html = HeaderValue::from_static("text/html; charset=UTF-8");
    parts.headers.insert("content-type", html);
    parts
}

#[test]
fn polygon_names_the_minute_of_the_free_plan() {
    let free =
        b"{\"status\":\"ERROR\",\"error\":\"You've exceeded the maximum requests per minute, \
        please wait or upgrade your subscription to continue.\"}";
    let wait = Some(throttled(12, Scope::Account));
    assert_eq!(polygon(&head(429), free), wait);
    assert_eq!(polygon(&head(429), b""), None, "by its status");
    assert_eq!(polygon(&head(403), free), None);
}

#[test]
fn news_api_an_exhausted_key_is_no_throttle() {
    let exhausted = br#"{"status":"error","code":"apiKeyExhausted","message":"..."}"#;
    let limited = br#"{"status":"error","code":"rateLimited","message":"..."}"#;
    assert_eq!(news_api(&head(429), exhausted), GONE);
    assert_eq!(news_api(&head(429), limited), None);
    assert_eq!(news_api_developer(&head(429), exhausted), GONE);
    assert_eq!(news_api_developer(&head(429), limited), GONE);
    assert_eq!(news_api_developer(&head(200), limited), None);
}

#[test]
fn reddit_a_throttled_write_has_its_wait_in_words() {
    let inspected = |text: &str| {
        let body = format!(r#"{{"json": {{"errors": [["RATELIMIT", "{text}", "ratelimit"]]}}}}"#);
        reddit(&head(200), body.as_bytes())
    };
    let throttled = |retry_after| {
        Some(Outcome::Throttled {
            retry_after,
            scope: Scope::Endpoint,
        })
    };
    let too_much = "you are doing that too much, try again in 9 minutes.";
    assert_eq!(
        inspected(too_much),
        throttled(Some(Duration::from_secs(540)))
    );
    let second = "Take a break for 1 second before trying again.";
    assert_eq!(inspected(second), throttled(Some(Duration::from_secs(1))));
    let short = "Take a break for 250 milliseconds";
    assert_eq!(
        inspected(short),
        throttled(Some(Duration::from_millis(250)))
    );
    assert_eq!(inspected("take 3 deep breaths"), throttled(None));
    let post = br#"{"data": {"title": "[\"RATELIMIT\" in 9 minutes]"}}"#;
    assert_eq!(reddit(&head(200), post), None);
    assert_eq!(reddit(&head(200), br#"{"json": {"errors": []}}"#), None);
}

#[test]
fn kraken_has_its_errors_in_a_200() {
    let inspected = |error: &str| {
        let body = format!(r#"{{"error":["{error}"],"result":{{"a":["EService:Busy"]}}}}"#);
        kraken(&head(200), body.as_bytes())
    };
    for throttle in [
        "EAPI:Rate limit exceeded",
        "EOrder:Rate limit exceeded",
        "EService:Throttled",
    ] {
        assert_eq!(inspected(throttle), Some(throttled(5, Scope::Account)));
    }
    let lockout = inspected("EGeneral:Temporary lockout");
    assert_eq!(lockout, Some(Outcome::Banned { lasts: None }));
    let overloaded = Some(Outcome::Failure(FailureKind::Overloaded));
    assert_eq!(inspected("EService:Unavailable"), overloaded);
    assert_eq!(inspected("EService:Busy"), overloaded);
    assert_eq!(inspected("EOrder:Insufficient funds"), None);
    let good = br#"{"error":[],"result":{"a":["EService:Busy"]}}"#;
    assert_eq!(kraken(&head(200), good), None);
    let futures = br#"{"result":"error","error":"apiLimitExceeded"}"#;
    assert_eq!(
        kraken(&head(200), futures),
        Some(throttled(5, Scope::Account))
    );
}

#[test]
fn kite_the_orders_of_a_day_are_a_quota() {
    let orders = br#"{"status":"error","message":"Maximum allowed order requests exceeded."}"#;
    assert_eq!(kite(&head(429), orders), GONE);
    assert_eq!(
        kite(&head(429), br#"{"message":"Too many requests"}"#),
        None
    );
    assert_eq!(kite(&head(400), orders), None);
}

#[test]
fn yahoo_blocks_in_plain_text_also_in_place_of_a_token() {
    let blocked = Some(banned(900));
    assert_eq!(
        yahoo_finance(&head(429), b"Edge: Too Many Requests"),
        blocked
    );
    assert_eq!(yahoo_finance(&head(200), b"Too Many Requests\r\n"), blocked);
    assert_eq!(yahoo_finance(&head(999), b"<html>"), blocked);
    assert_eq!(yahoo_finance(&head(200), b"aB3.cr/umb"), None);
    let news = br#"{"title": "Too Many Requests"}"#;
    assert_eq!(yahoo_finance(&head(200), news), None);
}

#[test]
fn the_sec_blocks_with_a_page() {
    let blocked = Some(banned(600));
    let rate = b"<html><h1>SEC.gov | Request Rate Threshold Exceeded</h1></html>";
    let tool = b"<p>Your Request Originates from an Undeclared Automated Tool</p>";
    for status in [200, 403] {
        assert_eq!(sec_edgar(&html(status), rate), blocked);
        assert_eq!(sec_edgar(&html(status), tool), blocked);
    }
    assert_eq!(sec_edgar(&head(200), rate), None, "data that mentions it");
    assert_eq!(sec_edgar(&html(403), b"<html>Forbidden</html>"), None);
}
