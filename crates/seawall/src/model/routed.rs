//! A client over a router.

use seawall_ai::route::Router;
use seawall_core::InvalidConfig;
use tower_layer::Layer;

use crate::client::{Client, ClientBuilder, RequestBody};

/// A client whose requests go to one of several [deployments](super::ModelClient::deployment).
///
/// It makes the further attempts of a call, so the clients of the deployments make one each: after a 5xx or
/// a broken connection it asks another key, then another model, then the same key again after a moment. After
/// a 429 a deployment is left alone for all models, also where the limit is that of one, so with one key alone a
/// [`ModelClient`](super::ModelClient) with its retry is better. See the [guide](seawall_ai::route::guide).
///
/// ```
/// # use seawall_sim::provider::AiApi;
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let api = AiApi::open_ai().start().await?;
/// # let url = || api.base_url();
/// use seawall::ai::route::{Model, Router};
/// use seawall::model::RoutedClient;
/// use seawall::{ConstMeta, RequestMeta, RetryConfig};
/// use serde_json::{Value, json};
///
/// let key = |name: &'static str, key: &str| -> Result<_, Box<dyn std::error::Error>> {
///     let once = RetryConfig::builder().attempts(1).build()?;
///     let tier = seawall::openai()?.tier("tier-1")?.named(name);
///     let client = tier.model_client_with(|stack| stack.retry(once))?.base_url(url());
///     Ok(client.header("authorization", format!("Bearer {key}")).build()?.deployment(name))
/// };
/// let large = Model::new("large").deployment(key("key-1", "a")?).deployment(key("key-2", "b")?);
/// let small = Model::new("small").deployment(key("key-3", "c")?.model("gpt-5-mini"));
/// let router = Router::builder("assistant", large)
///     .fallback(small)
///     .describe(ConstMeta(RequestMeta::idempotent()))
///     .build()?;
///
/// let client = RoutedClient::new(router)?;
/// let ask = json!({"model": "gpt-5", "messages": [{"role": "user", "content": "Hello"}]});
/// let answer: Value = client.post("/v1/chat/completions").json(&ask).send().await?.json().await?;
/// println!("{}", answer["choices"][0]["message"]["content"]);
/// assert_eq!(client.router().handle().snapshot().deployments.len(), 3);
/// # Ok(()) }
/// ```
pub type RoutedClient<S, D> = Client<Routing<S, D>, NoTransport>;

/// The stack of a [`RoutedClient`]: a router, which has clients of its own below it.
pub struct Routing<S, D> {
    router: Router<S, RequestBody, D>,
}

/// What a [`RoutedClient`] has in place of a transport: the clients of its deployments send.
#[non_exhaustive]
#[derive(Clone, Copy, Debug)]
pub struct NoTransport;

/// Where the paths of requests are joined to until a deployment has been chosen.
const NOWHERE: &str = "http://router.invalid";

impl<S, D> RoutedClient<S, D> {
    /// A client over `router`, with paths and without a base URL.
    ///
    /// # Errors
    ///
    /// None today.
    pub fn new(router: Router<S, RequestBody, D>) -> Result<Self, InvalidConfig> {
        ClientBuilder::new(Routing { router })
            .base_url(NOWHERE)
            .build_around(NoTransport)
    }

    /// The router.
    pub const fn router(&self) -> &Router<S, RequestBody, D> {
        &self.stack().router
    }
}

impl<S, D> Clone for Routing<S, D> {
    fn clone(&self) -> Self {
        Self {
            router: self.router.clone(),
        }
    }
}

seawall_core::impl_debug!(Routing<S, D>: |this| router = this.router);

impl<S, D, T> Layer<T> for Routing<S, D> {
    type Service = Router<S, RequestBody, D>;

    fn layer(&self, _: T) -> Self::Service {
        self.router.clone()
    }
}
