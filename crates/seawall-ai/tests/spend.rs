//! What calls cost, however they end, and that no budget is exceeded.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::Poll;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use seawall_ai::NoteDeparture;
use seawall_ai::spend::{
    MeasuredBody, Money, NoteUnbilledLayer, PaidBy, Price, Prices, SpendBudget, SpendConfig,
    SpendHandle, SpendLayer, SpendPeriod, SpendState,
};
use seawall_core::{
    DepartureLayer, Error, EventKind, Events, InstanceHandle, Reason, Rejectable, Rejection, Sent,
    WrapErrorLayer,
};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};

/// Three tokens of input by three bytes each, and ten of output: at one per token, 14 are reserved.
const PROMPT: &str = r#"{"model":"m","max_tokens":10,"prompt":"ten bytes."}"#;
const USED: &str = r#"{"usage":{"prompt_tokens":3,"completion_tokens":4}}"#;
const EACH: u64 = 14;

fn request() -> Request<Full<Bytes>> {
    Request::new(Full::from(PROMPT))
}

/// One unit of the currency for a token.
fn prices() -> Prices {
    let million = Money::whole(1_000_000);
    Prices::new(Price::per_million(million, million).unwrap())
}

fn budget(name: &'static str, per_day: u64) -> SpendBudget {
    let config = SpendConfig::builder().per_day(Money::whole(per_day));
    SpendBudget::new(name, config.build().unwrap())
}

/// What is spent of the day, and what is reserved.
fn books(handle: &SpendHandle) -> (Money, Money) {
    let snapshot = handle.snapshot();
    (snapshot.periods[0].spent, snapshot.reserved)
}

fn whole(spent: u64, reserved: u64) -> (Money, Money) {
    (Money::whole(spent), Money::whole(reserved))
}

/// What a client does with its attempts, one after the other.
#[derive(Clone, Copy, Debug)]
enum Attempt {
    Answer(u16, &'static str),
    Lost,
    Hangs,
}

type Answered = Result<Response<MeasuredBody<Full<Bytes>>>, Error<io::Error>>;

async fn call(layer: &SpendLayer, results: bool, attempts: &'static [Attempt]) -> Answered {
    call_with(layer, results, attempts, request()).await
}

/// A stack that tries again until there is an answer below 400, or no more attempts.
async fn call_with(
    layer: &SpendLayer,
    results: bool,
    attempts: &'static [Attempt],
    request: Request<Full<Bytes>>,
) -> Answered {
    let next = Arc::new(AtomicUsize::new(0));
    let client = service_fn(move |_: Request<Full<Bytes>>| {
        let attempt = attempts[next.fetch_add(1, Ordering::Relaxed)];
        async move {
            match attempt {
                Attempt::Answer(status, body) => {
                    let response = Response::builder().status(status);
                    Ok(response.body(Full::<Bytes>::from(body)).unwrap())
                }
                Attempt::Lost => Err(io::Error::other("lost")),
                Attempt::Hangs => std::future::pending().await,
            }
        }
    });
    let around = ServiceBuilder::new()
        .layer(DepartureLayer::new(NoteDeparture))
        .layer(WrapErrorLayer);
    let client = if results {
        tower::util::BoxCloneService::new(around.service(NoteUnbilledLayer.layer(client)))
    } else {
        tower::util::BoxCloneService::new(around.service(client))
    };
    let retry = service_fn(move |request: Request<Full<Bytes>>| {
        let client = client.clone();
        async move {
            let mut last = None;
            for _ in attempts {
                let attempt = client.clone().oneshot(request.clone());
                match tokio::time::timeout(Duration::from_secs(1), attempt).await {
                    Ok(Ok(response)) if response.status().as_u16() < 400 => return Ok(response),
                    Ok(Err(error)) if error.rejection().is_some() => return Err(error),
                    Ok(result) => last = Some(result),
                    Err(_) => {
                        let rejection = Rejection::new(Reason::AttemptTimeout, "t");
                        last = Some(Err(rejection.with_sent(Sent::Maybe).into()));
                    }
                }
            }
            last.unwrap()
        }
    });
    layer.layer(retry).oneshot(request).await
}

async fn cost_of(results: bool, attempts: &'static [Attempt]) -> (Money, Money) {
    let budget = budget("day", 1_000);
    let layer = SpendLayer::new(prices()).budget(budget.clone());
    if let Ok(response) = call(&layer, results, attempts).await {
        let _ = response.into_body().collect().await;
    }
    books(&budget.handle())
}

#[tokio::test(start_paused = true)]
async fn a_call_costs_its_usage_and_each_attempt_that_may_have_been_billed() {
    use Attempt::{Answer, Hangs, Lost};
    // With what is noted of results, and without.
    for (attempts, noted, unnoted) in [
        (&[Answer(200, USED)] as &[_], 7, 7),
        // No usage in it: what is reserved.
        (&[Answer(200, "{}")], EACH, EACH),
        // Answered with an error: not billed.
        (&[Answer(400, "{}")], 0, 0),
        (&[Answer(503, "{}"), Answer(200, USED)], 7, 7 + EACH),
        (&[Answer(429, "{}"), Answer(429, "{}")], 0, EACH),
        // Lost, or timed out: nobody knows.
        (&[Lost], EACH, EACH),
        (&[Hangs, Answer(200, USED)], 7 + EACH, 7 + EACH),
        (&[Hangs, Lost, Hangs], 3 * EACH, 3 * EACH),
        (
            &[Hangs, Answer(500, "{}"), Answer(200, USED)],
            7 + EACH,
            7 + 2 * EACH,
        ),
    ] {
        assert_eq!(
            cost_of(true, attempts).await,
            whole(noted, 0),
            "{attempts:?}"
        );
        assert_eq!(
            cost_of(false, attempts).await,
            whole(unnoted, 0),
            "{attempts:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_further_attempt_that_the_budget_cannot_pay_for_is_not_sent() {
    use Attempt::{Answer, Hangs};
    let budget = budget("day", 2 * EACH);
    let layer = SpendLayer::new(prices()).budget(budget.clone());
    let error = call(&layer, true, &[Hangs, Hangs, Answer(200, USED)]).await;
    let rejection = *error.unwrap_err().rejection().unwrap();
    assert_eq!(
        (rejection.reason(), rejection.pattern()),
        (Reason::QuotaExhausted, Some("spend"))
    );
    assert_eq!(books(&budget.handle()), whole(2 * EACH, 0));
    // Attempts that are not billed need no further reservation.
    budget.handle().reset();
    let attempts = &[
        Answer(500, "{}"),
        Answer(500, "{}"),
        Hangs,
        Answer(200, USED),
    ];
    assert!(call(&layer, true, attempts).await.is_ok());
}

/// Dropped after each number of polls: what has not departed is given back, what has is booked.
#[tokio::test]
async fn a_dropped_call_is_booked_only_if_it_has_departed() {
    let budget = budget("day", 10_000);
    let layer = SpendLayer::new(prices()).budget(budget.clone());
    let inner = ServiceBuilder::new()
        .layer(DepartureLayer::new(NoteDeparture))
        .layer(WrapErrorLayer)
        .service(service_fn(|_: Request<Full<Bytes>>| async {
            tokio::task::yield_now().await;
            tokio::task::yield_now().await;
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(USED)))
        }));
    // Two polls of waiting, and then it departs.
    let waiting = service_fn(move |request| async move {
        tokio::task::yield_now().await;
        tokio::task::yield_now().await;
        let response: Result<_, Error<Infallible>> = inner.oneshot(request).await;
        response
    });
    let service = layer.layer(waiting);
    // The layer has to have seen that departures are noted.
    let response = service.clone().oneshot(request()).await.unwrap();
    response.into_body().collect().await.unwrap();
    assert_eq!(books(&budget.handle()), whole(7, 0));
    for (polls, spent) in [(0, 0), (1, 0), (2, 0), (3, EACH), (4, EACH)] {
        budget.handle().reset();
        let mut service = service.clone();
        let mut future = Box::pin(service.ready().await.unwrap().call(request()));
        for _ in 0..polls {
            poll_fn(|cx| {
                assert!(Pin::new(&mut future).poll(cx).is_pending());
                Poll::Ready(())
            })
            .await;
        }
        assert_eq!(books(&budget.handle()), whole(0, EACH), "{polls} polls");
        drop(future);
        assert_eq!(books(&budget.handle()), whole(spent, 0), "{polls} polls");
    }
    // A body that is dropped before its end: the model may have written all.
    budget.handle().reset();
    drop(service.oneshot(request()).await.unwrap());
    assert_eq!(books(&budget.handle()), whole(EACH, 0));
}

#[tokio::test]
async fn without_the_hook_a_call_counts_as_departed_unless_a_rejection_denies_it() {
    for (sent, spent) in [(Sent::No, 0), (Sent::Maybe, EACH)] {
        let budget = budget("day", 100);
        let layer = SpendLayer::new(prices()).budget(budget.clone());
        let service = layer.layer(service_fn(move |_: Request<Full<Bytes>>| async move {
            let rejection = Rejection::new(Reason::RateLimited, "below").with_sent(sent);
            Err::<Response<Full<Bytes>>, Error<Infallible>>(rejection.into())
        }));
        service.clone().oneshot(request()).await.unwrap_err();
        assert_eq!(books(&budget.handle()), whole(spent, 0));
        let mut never_polled = service;
        drop(never_polled.ready().await.unwrap().call(request()));
        assert_eq!(books(&budget.handle()), whole(spent + EACH, 0));
    }
}

/// A budget of a client inside that of a desk: both see every attempt and every result.
#[tokio::test(start_paused = true)]
async fn layers_inside_of_each_other_book_the_same() {
    use Attempt::{Answer, Hangs};
    let (outer, inner) = (budget("outer", 1_000), budget("inner", 1_000));
    let inside = SpendLayer::new(prices()).budget(inner.clone());
    let stack = service_fn(move |request: Request<Full<Bytes>>| {
        let inside = inside.clone();
        async move {
            call_with(
                &inside,
                true,
                &[Hangs, Answer(500, "{}"), Answer(200, USED)],
                request,
            )
            .await
        }
    });
    let service = SpendLayer::new(prices()).budget(outer.clone()).layer(stack);
    let response = service.oneshot(request()).await.unwrap();
    response.into_body().collect().await.unwrap();
    for budget in [outer, inner] {
        assert_eq!(books(&budget.handle()), whole(7 + EACH, 0));
    }
}

fn answering(
    layer: &SpendLayer,
    body: &'static str,
) -> impl Service<
    Request<Full<Bytes>>,
    Response = Response<MeasuredBody<Full<Bytes>>>,
    Error = Error<Infallible>,
    Future: Send,
> + Clone
+ Send
+ use<> {
    layer.layer(
        ServiceBuilder::new()
            .layer(DepartureLayer::new(NoteDeparture))
            .layer(WrapErrorLayer)
            .service(service_fn(move |_: Request<Full<Bytes>>| async move {
                tokio::task::yield_now().await;
                Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(body)))
            })),
    )
}

#[tokio::test]
async fn several_budgets_pay_all_or_none_and_a_short_one_says_which_and_when() {
    let (team, key) = (budget("team", 100), budget("key", 20));
    let layer = SpendLayer::new(prices()).budget(team.clone());
    let service = answering(&layer, USED);
    let paid = |budgets: Vec<SpendBudget>| {
        let mut request = request();
        request.extensions_mut().insert(PaidBy(budgets));
        request
    };
    // Named twice, it pays once.
    let both = vec![key.clone(), team.clone(), key.clone()];
    let response = service.clone().oneshot(paid(both.clone())).await.unwrap();
    response.into_body().collect().await.unwrap();
    assert_eq!(books(&team.handle()), whole(7, 0));
    assert_eq!(books(&key.handle()), whole(7, 0));
    let error = service.clone().oneshot(paid(both)).await.unwrap_err();
    let rejection = *error.rejection().unwrap();
    assert_eq!(
        (rejection.name().as_str(), rejection.reason()),
        ("key", Reason::QuotaExhausted)
    );
    let renews_in = key.handle().snapshot().periods[0].renews_in;
    let wait = rejection.retry_after().unwrap();
    assert!(
        wait <= renews_in + Duration::from_secs(1) && wait + Duration::from_secs(60) > renews_in
    );
    assert_eq!(books(&team.handle()), whole(7, 0));
    assert_eq!(
        (
            team.handle().counts().rejected,
            key.handle().counts().rejected
        ),
        (0, 1)
    );
    // The key's own budget does not touch others.
    assert!(service.oneshot(request()).await.is_ok());
}

#[tokio::test]
async fn a_call_that_no_period_can_ever_pay_for_says_its_cost() {
    let budget = budget("day", 10);
    let service = answering(&SpendLayer::new(prices()).budget(budget), USED);
    let error = service.oneshot(request()).await.unwrap_err();
    let rejection = error.rejection().unwrap();
    assert_eq!(rejection.reason(), Reason::TooExpensive);
    assert_eq!(rejection.cost_and_capacity(), Some((1_400, 1_000)));
    assert_eq!(
        rejection.to_string(),
        "spend budget `day`: the request costs more than the limit can ever grant (it costs \
         14.00 of at most 10.00); nothing was sent"
    );
}

#[tokio::test]
async fn hostile_usage_is_booked_and_counted_and_a_missing_one_keeps_the_reservation() {
    for (body, spent) in [
        (
            r#"{"usage":{"prompt_tokens":9223372036854775808,"completion_tokens":0}}"#,
            16_384,
        ),
        (
            r#"{"usage":{"prompt_tokens":-3,"completion_tokens":-4}}"#,
            EACH,
        ),
        (
            r#"{"usage":{"prompt_tokens":1,"completion_tokens":1000000000000}}"#,
            11,
        ),
        (
            r#"{"usage":{"prompt_tokens":0,"completion_tokens":0}}"#,
            EACH,
        ),
        ("", EACH),
    ] {
        let budget = budget("day", 100);
        let service = answering(&SpendLayer::new(prices()).budget(budget.clone()), body);
        let response = service.clone().oneshot(request()).await.unwrap();
        response.into_body().collect().await.unwrap();
        assert_eq!(books(&budget.handle()), whole(spent, 0), "{body}");
        let overruns = u64::from(spent > EACH);
        assert_eq!(budget.handle().counts().overruns, overruns);
        assert_eq!(service.oneshot(request()).await.is_err(), overruns == 1);
    }
}

/// What a model may write and read of such a request, at one unit for a token and three bytes per token.
#[tokio::test]
async fn ordinary_requests_reserve_what_they_may_cost() {
    let pdf = "QUJD".repeat(3_000);
    let document = format!(r#"{{"type":"document","source":{{"type":"base64","data":"{pdf}"}}}}"#);
    let hundred = [r#"{"role":"user","content":"a"}"#; 100].join(",");
    for (body, reserved) in [
        (
            r#"{"max_tokens":1,"max_completion_tokens":4000}"#.to_owned(),
            4_000,
        ),
        (r#"{"max_tokens":1,"max_tokens":4000}"#.to_owned(), 4_000),
        (r#"{"best_of":8,"max_tokens":500}"#.to_owned(), 4_000),
        (r#"{"n":8}"#.to_owned(), 8 * 4_096),
        // 12,000 bytes count as the least of a file, 5,000 tokens, and a third more.
        (
            format!(r#"{{"max_tokens":1,"messages":[{{"content":[{document}]}}]}}"#),
            1 + 6_672,
        ),
        // 425 tokens and a third more.
        (
            format!(r#"{{"max_tokens":1,"messages":[{hundred}]}}"#),
            1 + 567,
        ),
    ] {
        let budget = budget("day", 100_000);
        let service = answering(&SpendLayer::new(prices()).budget(budget.clone()), "");
        let call = service.oneshot(Request::new(Full::from(body.clone())));
        assert_eq!(books(&budget.handle()), whole(0, 0), "{body}");
        call.await.unwrap().into_body().collect().await.unwrap();
        assert_eq!(books(&budget.handle()), whole(reserved, 0), "{body}");
    }
}

#[test]
fn threads_never_spend_more_than_any_budget() {
    let budgets: Vec<_> = [400, 1_000, 700].map(|most| budget("shared", most)).into();
    let done = AtomicBool::new(false);
    let answered = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                for budget in &budgets {
                    let snapshot = budget.handle().snapshot();
                    let period = snapshot.periods[0];
                    assert!(period.spent.plus(snapshot.reserved) <= period.limit);
                }
            }
        });
        let threads: Vec<_> = (0..8)
            .map(|n| {
                let (budgets, answered) = (&budgets, &answered);
                scope.spawn(move || {
                    // Each takes two of the three, in an order of its own.
                    let mut paid = budgets.clone();
                    paid.rotate_left(n % 3);
                    paid.truncate(2);
                    let layer = SpendLayer::new(prices());
                    let layer = paid
                        .iter()
                        .fold(layer, |layer, of| layer.budget(of.clone()));
                    let runtime = tokio::runtime::Builder::new_current_thread()
                        .build()
                        .unwrap();
                    runtime.block_on(async {
                        for turn in 0..200 {
                            let mut call = Box::pin(answering(&layer, USED).oneshot(request()));
                            if turn % 5 == 0 {
                                poll_fn(|cx| Poll::Ready(call.as_mut().poll(cx).is_ready())).await;
                                continue;
                            }
                            let Ok(response) = call.await else { continue };
                            response.into_body().collect().await.unwrap();
                            answered.fetch_add(1, Ordering::Relaxed);
                        }
                    });
                })
            })
            .collect();
        threads
            .into_iter()
            .for_each(|thread| thread.join().unwrap());
        done.store(true, Ordering::Relaxed);
        watcher.join().unwrap();
    });
    let mut settled = Money::ZERO;
    for budget in &budgets {
        let (handle, snapshot) = (budget.handle(), budget.handle().snapshot());
        assert_eq!(snapshot.reserved, Money::ZERO);
        let counts = handle.counts();
        let booked = Money::whole(7 * counts.settled + EACH * counts.kept);
        assert_eq!(snapshot.periods[0].spent, booked);
        settled = settled.plus(Money::whole(7 * counts.settled));
    }
    // Each call was paid for by two.
    let answered = answered.load(Ordering::Relaxed) as u64;
    assert_eq!(settled, Money::whole(2 * 7 * answered));
    assert!(answered > 50, "{answered}");
}

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

#[tokio::test(start_paused = true)]
async fn periods_renew_by_the_calendar() {
    // 2024-02-29 23:30 UTC.
    const NOW: u64 = 1_709_249_400;
    let config = SpendConfig::builder()
        .per_hour(Money::whole(20))
        .per_day(Money::whole(30))
        .per_month(Money::whole(40));
    let budget = SpendBudget::new("all", config.build().unwrap());
    let handle = budget.handle();
    handle.set_wall_clock(at(NOW - 86_400 * 40));
    handle.reset();
    handle.set_wall_clock(at(NOW));
    let renew = |of: usize| {
        handle.snapshot().periods[of]
            .renews_in
            .as_secs_f64()
            .round()
    };
    assert_eq!([renew(0), renew(1), renew(2)], [1_800.0; 3]);
    let service = answering(&SpendLayer::new(prices()).budget(budget.clone()), USED);
    let call = || async {
        let response = service.clone().oneshot(request()).await?;
        response.into_body().collect().await.unwrap();
        Ok::<_, Error<Infallible>>(())
    };
    call().await.unwrap();
    let error = call().await.unwrap_err();
    let wait = error.rejection().unwrap().retry_after().unwrap();
    assert_eq!(wait.as_secs_f64().round(), 1_800.0);
    tokio::time::advance(wait).await;
    // March: everything is allowed again.
    let snapshot = handle.snapshot();
    let left: Vec<_> = snapshot.periods.iter().map(|period| period.left).collect();
    assert_eq!(left, [20, 30, 40].map(Money::whole));
    call().await.unwrap();
    handle.already_spent(SpendPeriod::Month, Money::whole(25));
    let wait = call().await.unwrap_err();
    let wait = wait.rejection().unwrap().retry_after().unwrap();
    assert_eq!(wait.as_secs_f64().round(), 31.0 * 86_400.0);
}

#[tokio::test]
async fn commands_are_emitted_and_shadow_mode_lets_pass() {
    let budget = budget("day", EACH);
    let handle = budget.handle();
    let events = Events::new(100);
    handle.attach(&events);
    let mut heard = events.subscribe();
    let service = answering(&SpendLayer::new(prices()).budget(budget.clone()), USED);
    let call = || service.clone().oneshot(request());
    drop(call().await.unwrap());
    assert_eq!(handle.snapshot().state, SpendState::Exhausted);
    assert!(call().await.is_err());
    handle.set_shadow(true);
    assert!(call().await.is_ok());
    assert_eq!((handle.counts().rejected, handle.counts().shadowed), (1, 1));
    handle.reset();
    assert!(!handle.snapshot().shadow);
    assert_eq!(handle.snapshot().state, SpendState::Ok);
    let config = SpendConfig::builder().per_day(Money::whole(5)).shadow(true);
    handle.configure(config.build().unwrap()).unwrap();
    assert!(call().await.is_ok());
    handle.control(seawall_core::Command::Reset).unwrap();
    handle.control(seawall_core::Command::Bypass).unwrap();
    handle.already_spent(SpendPeriod::Day, Money::whole(1));
    handle.set_wall_clock(SystemTime::now());
    assert!(handle.control(seawall_core::Command::Block).is_err());
    let mut commands = Vec::new();
    while let Some(received) = heard.try_next() {
        if let seawall_core::Received::Event(event) = received
            && let EventKind::Commanded { command } = event.kind
        {
            commands.push(command);
        }
    }
    let expected = [
        "shadow_on",
        "reset",
        "configure",
        "reset",
        "bypass",
        "already_spent",
        "set_wall_clock",
    ];
    assert_eq!(commands, expected);
}

#[test]
fn impossible_budgets_are_rejected_by_name() {
    let (one, two) = (Money::whole(1), Money::whole(2));
    for (invalid, field) in [
        (SpendConfig::builder(), "limits"),
        (SpendConfig::builder().per_hour(Money::ZERO), "per_hour"),
        (
            SpendConfig::builder().per_hour(two).per_month(one),
            "per_month",
        ),
        (
            SpendConfig::builder().per_day(one).utc_offset(86_400),
            "utc_offset",
        ),
        (
            SpendConfig::builder().per_day(one).utc_offset(i32::MIN),
            "utc_offset",
        ),
    ] {
        assert_eq!(invalid.build().unwrap_err().field(), field);
    }
}
