//! What makes faults of a service's requests, responses and errors.

use crate::{Alteration, FaultKind, InjectedError, Keeper, StatusResponse};

/// What a layer's hooks can make, whichever service it is around: the part of [`MakeFault`] that is
/// known when faults are started.
pub trait FaultHooks {
    /// What is kept of a response for [`Fault::stale_response`](crate::Fault::stale_response).
    type Kept: Send + Sync + 'static;

    /// Whether faults of that kind can be made; if not, starting one is an error.
    fn makes(&self, kind: FaultKind) -> bool;
}

/// Makes the errors and the responses of faults, for a service with requests `Req`, responses `Res`
/// and errors `Err`.
///
/// [`ErrorFaults`], the default, makes all that needs no response. `seawall_http::chaos::HttpFaults`
/// makes those of HTTP. For a protocol of your own implement it:
///
/// ```
/// use seawall_chaos::{
///     Alteration, ChaosConfig, ChaosLayer, Fault, FaultHooks, FaultKind, InjectedError, Keeper,
///     MakeFault, StatusResponse,
/// };
/// use seawall_core::{ConstMeta, RequestMeta};
/// use tower::{BoxError, Service, ServiceBuilder, service_fn};
///
/// #[derive(Clone, Copy, Debug, PartialEq)]
/// struct Price(f64);
///
/// /// Stale prices by symbol.
/// #[derive(Clone)]
/// struct PriceFaults;
///
/// impl FaultHooks for PriceFaults {
///     type Kept = Price;
///
///     fn makes(&self, kind: FaultKind) -> bool {
///         kind == FaultKind::StaleResponse
///     }
/// }
///
/// impl MakeFault<&'static str, Price, BoxError> for PriceFaults {
///     type Response = Price;
///
///     fn pass(&self, price: Price) -> Price {
///         price
///     }
///
///     fn error(&self, injected: InjectedError) -> BoxError {
///         injected.into()
///     }
///
///     fn identity(&self, symbol: &&'static str) -> Option<Vec<u8>> {
///         Some(symbol.as_bytes().to_vec())
///     }
///
///     fn keep(&self, price: Price, keeper: Keeper<Price>) -> Price {
///         keeper.keep(price);
///         price
///     }
///
///     fn replay(&self, kept: &Price) -> Option<Price> {
///         Some(*kept)
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), BoxError> {
/// let layer = ChaosLayer::new("feed", ChaosConfig::default())
///     .describe(ConstMeta(RequestMeta::idempotent()))
///     .faults(PriceFaults);
/// let handle = layer.handle();
/// let mut now = 100.0;
/// let mut feed = ServiceBuilder::new().layer(layer).service(service_fn(move |_: &'static str| {
///     now += 1.0;
///     async move { Ok::<_, BoxError>(Price(now)) }
/// }));
/// # let mut feed = Box::new(feed);
/// # if !cfg!(feature = "inject") { return Ok(()) }
/// let stale = handle.start(Fault::stale_response())?;
/// assert_eq!(feed.call("SPY").await?, Price(101.0));
/// assert_eq!(feed.call("SPY").await?, Price(101.0));
/// stale.stop();
/// assert_eq!(feed.call("SPY").await?, Price(102.0));
/// # Ok(()) }
/// ```
pub trait MakeFault<Req, Res, Err>: FaultHooks {
    /// What the layer's service responds with: mostly `Res`, or a `Res` with another body.
    type Response;

    /// The response as it is. It is asked at each call, also when no fault is on.
    fn pass(&self, response: Res) -> Self::Response;

    /// The service's error for an injected one.
    fn error(&self, injected: InjectedError) -> Err;

    /// A response with a status; `None` when there is none to this request.
    fn respond(&self, request: &Req, status: &StatusResponse) -> Option<Self::Response> {
        let _ = (request, status);
        None
    }

    /// All that distinguishes this request from every other one whose response may be another:
    /// credentials included. `None` when its response must not be passed on to another one. It is
    /// asked for [`Fault::stale_response`](crate::Fault::stale_response).
    fn identity(&self, request: &Req) -> Option<Vec<u8>> {
        let _ = request;
        None
    }

    /// Passes the response on, and keeps it, or what is read of it, if it is good.
    fn keep(&self, response: Res, keeper: Keeper<Self::Kept>) -> Self::Response {
        drop(keeper);
        self.pass(response)
    }

    /// A response from what was kept.
    fn replay(&self, kept: &Self::Kept) -> Option<Self::Response> {
        let _ = kept;
        None
    }

    /// The response with these changes.
    fn alter(&self, response: Res, alterations: Vec<Alteration>) -> Self::Response {
        drop(alterations);
        self.pass(response)
    }
}

/// Makes the error of a service of an injected one. Closures and `fn` pointers
/// `Fn(InjectedError) -> Err` do.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot make an error of type `{Err}` of an injected one",
    label = "the error of this service cannot be injected",
    note = "give the layer a function: `.errors(|injected: InjectedError| MyError::..)`",
    note = "or implement `From<InjectedError>` for the error",
    note = "or put `.map_err(ChaosError::Client)` below the layer"
)]
pub trait MakeError<Err> {
    /// The error of the service.
    fn make_error(&self, injected: InjectedError) -> Err;
}

#[diagnostic::do_not_recommend]
impl<F, Err> MakeError<Err> for F
where
    F: Fn(InjectedError) -> Err,
{
    fn make_error(&self, injected: InjectedError) -> Err {
        self(injected)
    }
}

/// Makes errors by `From<InjectedError>`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IntoError;

impl<Err: From<InjectedError>> MakeError<Err> for IntoError {
    fn make_error(&self, injected: InjectedError) -> Err {
        injected.into()
    }
}

/// The default hooks: delays, hangs, errors and duplicated requests, which need nothing of the
/// response.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ErrorFaults<F = IntoError> {
    errors: F,
}

impl<F> ErrorFaults<F> {
    /// Makes errors with `errors`.
    pub const fn new(errors: F) -> Self {
        Self { errors }
    }
}

impl<F> FaultHooks for ErrorFaults<F> {
    type Kept = ();

    fn makes(&self, kind: FaultKind) -> bool {
        matches!(
            kind,
            FaultKind::Delay
                | FaultKind::Hang
                | FaultKind::ErrorBeforeSending
                | FaultKind::LostResponse
                | FaultKind::RefusedConnection
                | FaultKind::DuplicatedRequest
        )
    }
}

impl<Req, Res, Err, F: MakeError<Err>> MakeFault<Req, Res, Err> for ErrorFaults<F> {
    type Response = Res;

    #[inline]
    fn pass(&self, response: Res) -> Res {
        response
    }

    fn error(&self, injected: InjectedError) -> Err {
        self.errors.make_error(injected)
    }
}
