//! Full load on the stack of a tier, and the counters of its provider.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::error::Error;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use seawall::catalog::{LimitScope, Provider, ProviderLimit, Route, Tier};
use seawall::http_client::quota::TokenEstimate;
use seawall::{PartitionKey, Rejectable, TokenCount, Unit};
use seawall_sim::provider::{Counting, Limit, Measure, SimulatedQuota, Usage};
use tokio::task::LocalSet;
use tokio::time::{Instant, sleep, sleep_until};
use tower::{Layer, Service, ServiceExt, service_fn};

/// The share of a limit that a stack takes.
const SHARE: f64 = 0.8;
/// Callers for each class of routes: as many as one after the other keep its limit busy.
const CALLERS: usize = 4;
/// Where limits are of each model: all of them at once, each with the load of a class.
const MODELS: [&str; 2] = ["model-a", "model-b"];
/// Of a request to an AI model.
const TOKENS: TokenCount = TokenCount::new(600, 200);

type Body = Full<Bytes>;

/// What a run has shown.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) calls: u64,
    /// The classes of the calls, or their models.
    classes: Vec<Option<String>>,
    pub(crate) limits: Vec<LimitOutcome>,
    /// Calls that the stack rejected, by reason.
    pub(crate) rejections: BTreeMap<String, u64>,
}

#[derive(Debug)]
pub(crate) struct LimitOutcome {
    pub(crate) name: String,
    class: Option<String>,
    /// What was used of what the stack allows itself.
    pub(crate) used: f64,
    pub(crate) violations: u64,
}

impl Outcome {
    /// How much of the limit that holds it back most each class has used: the least of them.
    pub(crate) fn least_used(&self) -> f64 {
        let most = |class: &Option<String>| {
            let bounds = self
                .limits
                .iter()
                .filter(|l| l.class.is_none() || l.class == *class);
            bounds.map(|limit| limit.used).fold(0.0, f64::max)
        };
        self.classes.iter().map(most).fold(f64::INFINITY, f64::min)
    }
}

/// A class of routes or a model, with the counters of its limits; those of all calls have no class.
struct Counted {
    class: Option<String>,
    quota: SimulatedQuota,
    limits: Vec<(String, u32, Duration)>,
}

/// What a request belongs to, for the counters.
#[derive(Clone)]
struct Load {
    class: Option<String>,
    model: Option<PartitionKey>,
    usage: Usage,
}

pub(crate) async fn run(
    provider: &Provider,
    tier: &Tier,
    length: Duration,
) -> Result<Outcome, Box<dyn Error>> {
    let counted: Rc<Vec<Counted>> = Rc::new(counters(tier)?);
    let counting = Rc::clone(&counted);
    let client = service_fn(move |request: Request<Body>| {
        let load = request.extensions().get::<Load>().cloned();
        for counted in counting.iter() {
            let Some(load) = &load else { break };
            if counted.class.is_none() || counted.class == load.class {
                // What is exceeded is a violation in its statistics.
                drop(counted.quota.clone().call(load.usage));
            }
        }
        std::future::ready(Ok::<_, Infallible>(Response::new(Body::default())))
    });
    let stack = tier.build()?.layer(client);
    let rejections = Rc::new(RefCell::new(BTreeMap::new()));
    // A call that departs at the very end is in the next window.
    let end = Instant::now() + length - Duration::from_millis(1);
    let callers = LocalSet::new();
    let loads = loads(provider, tier, &counted);
    let classes = loads.iter().map(|(load, ..)| load.class.clone()).collect();
    for load in loads {
        for _ in 0..CALLERS {
            let (stack, load) = (stack.clone(), load.clone());
            callers.spawn_local(call_on(stack, load, Rc::clone(&rejections)));
        }
    }
    callers.run_until(sleep_until(end)).await;
    drop(callers);
    let calls_of = |one: &Counted| {
        let stats = one.quota.stats();
        stats.accepted + stats.rejected
    };
    // The first counts all calls, unless each model is counted by itself.
    let counts_all = |one: &&Counted| one.class.is_none();
    let calls = match counted.iter().find(counts_all) {
        Some(all) => calls_of(all),
        None => counted.iter().map(calls_of).sum(),
    };
    Ok(Outcome {
        calls,
        classes,
        limits: counted
            .iter()
            .flat_map(|counted| counted.outcomes(length))
            .collect(),
        rejections: rejections.take(),
    })
}

/// The counters of a tier: each limit in windows, in any stretch of time, and as a bucket.
fn counters(tier: &Tier) -> Result<Vec<Counted>, Box<dyn Error>> {
    let mut all: Vec<Counted> = Vec::new();
    let mut limits: Vec<(Option<&str>, ProviderLimit<'_>)> = Vec::new();
    for limit in tier.limits() {
        match limit.scope() {
            LimitScope::OrganizationModel => {
                limits.extend(MODELS.map(|model| (Some(model), limit)));
            }
            _ => limits.push((limit.class(), limit)),
        }
    }
    limits.sort_by_key(|(class, _)| *class);
    for (class, limit) in limits {
        let class = class.map(str::to_owned);
        let (count, period) = (limit.count(), limit.period());
        let name = format!(
            "{count} {} in {period:?} of {}",
            limit.unit().as_str(),
            class.as_deref().unwrap_or("all calls")
        );
        let mut counted = match all.pop_if(|last| last.class == class) {
            Some(counted) => counted,
            None => Counted {
                class,
                quota: SimulatedQuota::new(),
                limits: Vec::new(),
            },
        };
        for counting in [Counting::Sliding, Counting::Fixed, Counting::Bucket] {
            let rule = Limit::new(count, period)?;
            counted.quota = counted.quota.limit(measure(limit.unit()), rule, counting);
        }
        counted.limits.push((name, count, period));
        all.push(counted);
    }
    Ok(all)
}

const fn measure(unit: Unit) -> Measure {
    match unit {
        Unit::Cost => Measure::Weight,
        Unit::Tokens => Measure::Tokens,
        Unit::InputTokens => Measure::InputTokens,
        Unit::OutputTokens => Measure::OutputTokens,
        _ => Measure::Requests,
    }
}

impl Counted {
    fn outcomes(&self, length: Duration) -> Vec<LimitOutcome> {
        let stats = self.quota.stats();
        let counters = stats.limits.chunks(3).zip(&self.limits);
        counters
            .map(|(counters, (name, count, period))| {
                let periods = (length.as_secs_f64() / period.as_secs_f64()).max(1.0);
                let allowed = SHARE * f64::from(*count) * periods;
                LimitOutcome {
                    name: name.clone(),
                    class: self.class.clone(),
                    used: counters.first().map_or(0.0, |limit| limit.used as f64) / allowed,
                    violations: counters.iter().map(|limit| limit.violations).sum(),
                }
            })
            .collect()
    }
}

/// A request of each class, and one of none where a path can be without.
fn loads(provider: &Provider, tier: &Tier, counted: &[Counted]) -> Vec<(Load, String, String)> {
    let mut classes: Vec<Option<String>> = counted.iter().map(|c| c.class.clone()).collect();
    classes.sort();
    classes.dedup();
    if provider
        .routes()
        .any(|route| route.path() == "/**" && route.class().is_some())
    {
        classes.retain(Option::is_some);
    }
    let load = |class: Option<String>| {
        let of_class = |route: &Route<'_>| tier.is_per_model() || route.class() == class.as_deref();
        // The lightest: heavier ones fit less well into what is left.
        let route = provider
            .routes()
            .filter(of_class)
            .min_by_key(|route| route.meta().cost);
        let cost = route.map_or(1, |route| route.meta().cost);
        let (method, path) = route.map_or(("GET", "/none"), |route| {
            (route.method().unwrap_or("GET"), route.path())
        });
        let path = path.replace("**", "x").replace('*', "x");
        let usage = Usage {
            weight: cost,
            input: TOKENS.input,
            output: TOKENS.output,
        };
        let model = class.as_deref().filter(|_| tier.is_per_model());
        let model = model.map(|model| tier.model_key(model));
        let load = Load {
            class,
            model,
            usage,
        };
        (load, method.to_owned(), path)
    };
    classes.into_iter().map(load).collect()
}

/// Calls again as soon as a call has completed.
async fn call_on<S, B>(
    stack: S,
    (load, method, path): (Load, String, String),
    rejections: Rc<RefCell<BTreeMap<String, u64>>>,
) where
    S: Service<Request<Body>, Response = Response<B>, Error: Rejectable> + Clone,
{
    loop {
        let mut request = Request::new(Body::default());
        if let (Ok(method), Ok(uri)) = (method.parse(), path.parse()) {
            *request.method_mut() = method;
            *request.uri_mut() = uri;
        }
        request.extensions_mut().insert(load.clone());
        request.extensions_mut().insert(TokenEstimate(TOKENS));
        if let Some(model) = load.model {
            request.extensions_mut().insert(model);
        }
        let Err(error) = stack.clone().oneshot(request).await else {
            continue;
        };
        let Some(rejection) = error.rejection() else {
            continue;
        };
        *rejections
            .borrow_mut()
            .entry(rejection.reason().as_str().to_owned())
            .or_insert(0) += 1;
        let wait = rejection.retry_after().unwrap_or(Duration::from_secs(1));
        sleep(wait.max(Duration::from_millis(1))).await;
    }
}
