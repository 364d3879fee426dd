//! Clients of models.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Uri};
use seawall_ai::route::Deployment;
use seawall_ai::spend::{NoteUnbilled, NoteUnbilledLayer};
use seawall_ai::stream::{StreamLayer, StreamService};
use seawall_core::{Departure, InstanceName, InvalidConfig};
use tower_layer::{Identity, Layer, Stack as LayerStack};
use tower_service::Service;

use super::stack::ModelStack;
use crate::StackBuilder;
use crate::catalog::{Provider, Tier};
use crate::client::{
    Client, ClientBuilder, Defaults, Departing, HttpTransport, RequestBody, Sending, StackOf,
};

/// A client of an AI API, whose streams come to their end or fail.
///
/// ```
/// # use seawall_sim::provider::AiApi;
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let api = AiApi::anthropic().start().await?;
/// # let url = api.base_url();
/// use serde_json::{Value, json};
///
/// let client = seawall::anthropic()?.model_client()?.base_url(url);
/// let client = client.header("x-api-key", "key").header("anthropic-version", "2023-06-01").build()?;
/// let ask = json!({"model": "claude", "max_tokens": 300,
///     "messages": [{"role": "user", "content": "SPY: buy, sell or hold?"}]});
/// let response = client.post("/v1/messages").json(&ask).send().await?;
/// let message: Value = response.error_for_status().await?.json().await?;
/// println!("{}", message["content"][0]["text"]);
/// assert_eq!(client.stack().handles().estimates.counts().settled, 1);
/// # Ok(()) }
/// ```
pub type ModelClient<P = Identity, T = HttpTransport> =
    Client<ModelStack<P>, StreamService<NoteUnbilled<T>>>;

/// Builds a [`ModelClient`].
pub type ModelClientBuilder<P = Identity> = ClientBuilder<ModelStack<P>, AroundClient>;

/// What a [`ModelClient`] has around its transport: attempts that are not billed are noted, and streams
/// come to their end.
pub type AroundClient = LayerStack<LayerStack<Identity, NoteUnbilledLayer>, StreamLayer>;

impl<P> ModelStack<P> {
    /// A builder of a client with this stack, that knows the base URLs of the provider and the headers
    /// that it asks for.
    pub fn client(self) -> ModelClientBuilder<P> {
        let streams = self.streams().clone();
        let builder = match self.tier.clone() {
            Some(tier) => ClientBuilder::of_tier(self, &tier),
            None => ClientBuilder::new(self),
        };
        builder
            .layer_transport(NoteUnbilledLayer)
            .layer_transport(streams)
    }
}

impl Provider {
    /// A builder of a client for the models of the default tier, with its [stack](ModelStack); see
    /// [`ModelClient`].
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] of a provider that has no models.
    pub fn model_client(&self) -> Result<ModelClientBuilder, InvalidConfig> {
        self.usual_tier()?.model_client()
    }
}

impl Tier {
    /// A builder of a client for the models of this tier, with its [stack](ModelStack).
    ///
    /// # Errors
    ///
    /// As [`build`](Self::build).
    pub fn model_client(&self) -> Result<ModelClientBuilder, InvalidConfig> {
        Ok(self.model_stack()?.client())
    }

    /// The same with settings of your own, as [`build_with`](Self::build_with).
    ///
    /// # Errors
    ///
    /// As [`build_with`](Self::build_with).
    pub fn model_client_with(
        &self,
        adjust: impl FnOnce(StackBuilder) -> StackBuilder,
    ) -> Result<ModelClientBuilder, InvalidConfig> {
        Ok(self.model_stack_with(adjust)?.client())
    }
}

/// The service of a [`ModelClient`].
type ModelClientService<P, T> =
    ClientService<StackOf<ModelStack<P>, StreamService<NoteUnbilled<T>>>>;

impl<P, T> ModelClient<P, T>
where
    ModelStack<P>:
        Layer<Departure<Sending<StreamService<NoteUnbilled<T>>>, Departing>, Service: Clone>,
{
    /// This client as one deployment of a model, for a [router](seawall_ai::route::Router): with its
    /// URL, its credentials, what it has left, and the errors of its provider. `name` is that of the
    /// deployment, unique in its router. What fails together is the provider of the tier; two regions
    /// with capacity of their own are two, so name them:
    /// `client.deployment("key-2").provider("azure-west")`.
    ///
    /// The router makes the further attempts, so the stack should make none: `model_client_with` and
    /// a retry of one attempt. See [`RoutedClient`](super::RoutedClient) for an example.
    pub fn deployment(
        &self,
        name: impl Into<InstanceName>,
    ) -> Deployment<ModelClientService<P, T>, RequestBody> {
        let stack = self.stack();
        let provider = match &stack.tier {
            Some(tier) => InstanceName::new(tier.provider().name()),
            None => stack.name(),
        };
        let deployment = Deployment::new(name, provider, self.service())
            .headroom(stack.handles())
            .classify(stack.errors.clone());
        match stack.tier.as_ref().is_some_and(Tier::is_per_model) {
            // Which model a request is for decides what is left.
            true => deployment.read_model(),
            false => deployment,
        }
    }
}

impl<L, T> Client<L, T>
where
    L: Layer<Departure<Sending<T>, Departing>, Service: Clone>,
{
    /// What the client calls, as a service: for requests whose path is joined to its base URL,
    /// whatever their scheme and host are.
    pub fn service(&self) -> ClientService<L::Service> {
        ClientService {
            inner: self.service.clone(),
            defaults: Arc::clone(&self.defaults),
        }
    }
}

/// A client as a service of requests; from [`Client::service`].
pub struct ClientService<S> {
    inner: S,
    defaults: Arc<Defaults>,
}

impl<S: Clone> Clone for ClientService<S> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            defaults: Arc::clone(&self.defaults),
        }
    }
}

impl<S: Service<Request<RequestBody>>> Service<Request<RequestBody>> for ClientService<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<RequestBody>) -> S::Future {
        // One that cannot be joined is the transport's to refuse: without a host, since no other one
        // may get the credentials of this client.
        let joined = self.defaults.base.rebase(request.uri());
        *request.uri_mut() = joined.unwrap_or(Uri::from_static("*"));
        self.inner.call(request)
    }
}

impl<S> fmt::Debug for ClientService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientService")
            .field("base", &self.defaults.base)
            .finish_non_exhaustive()
    }
}
