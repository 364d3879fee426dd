//! How a client is made.

use std::convert::Infallible;
use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use http::header::{HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use seawall_core::{Departure, DepartureLayer, InvalidConfig};
use tower_layer::{Identity, Layer, Stack as LayerStack};

use super::api::Client;
use super::base_url::{BaseUrl, without_secrets};
use super::body::RequestBody;
use super::departing::{Departing, Hook, auth_hook};
use super::request::{Defaults, header};
use super::sending::Sending;
use super::tls::Tls;
use super::transport::{Connections, HttpTransport, HttpVersion};
#[cfg(feature = "catalog")]
use crate::catalog::Tier;

/// Builds a [`Client`] around a stack `L`, with a layer `Y` [around its transport](Self::layer_transport).
///
/// From [`Tier::client`](crate::catalog::Tier::client), which knows the base URLs of the provider and
/// the headers that it asks for, or from [`Client::builder`] with a stack of your own.
///
/// ```
/// use std::time::Duration;
///
/// let stack = seawall::broker("my-broker").build()?;
/// let client = seawall::Client::builder(stack)
///     .base_url("https://api.example.com/v1")
///     .header("x-api-key", "secret")
///     .connect_timeout(Duration::from_secs(2))
///     .build()?;
/// assert_eq!(client.base_url(), "https://api.example.com/v1");
///
/// let without = seawall::Client::builder(seawall::broker("b").build()?).base_url("api.example.com");
/// assert!(without.build().unwrap_err().to_string().starts_with("`base_url` is `api.example.com`"));
/// # Ok::<(), seawall::InvalidConfig>(())
/// ```
#[must_use]
pub struct ClientBuilder<L, Y = Identity> {
    stack: L,
    around_transport: Y,
    /// The base URLs that the catalogue knows, by name.
    known: Vec<(String, String)>,
    /// The headers that the provider asks for, with an example.
    required: Vec<(String, String)>,
    base: Option<Base>,
    headers: HeaderMap,
    invalid: Option<InvalidConfig>,
    auth: Option<Arc<Hook>>,
    connections: Connections,
    /// The last setting of connections that was made.
    connection_setting: Option<&'static str>,
    max_body: usize,
}

impl<L> Client<L>
where
    L: Layer<Departure<Sending<HttpTransport>, Departing>>,
{
    /// Builds a client around `stack`: an [`HttpStack`](crate::HttpStack), a
    /// [`ProviderStack`](crate::catalog::ProviderStack), or any layer of HTTP requests.
    pub fn builder(stack: L) -> ClientBuilder<L> {
        ClientBuilder::new(stack)
    }
}

enum Base {
    Url(String),
    Name(String),
}

impl<L> ClientBuilder<L> {
    pub(crate) fn new(stack: L) -> Self {
        Self {
            stack,
            around_transport: Identity::new(),
            known: Vec::new(),
            required: Vec::new(),
            base: None,
            headers: HeaderMap::new(),
            invalid: None,
            auth: None,
            connections: Connections {
                connect_timeout: Duration::from_secs(5),
                idle_timeout: Duration::from_secs(60),
                max_idle_per_host: 32,
                version: HttpVersion::default(),
                ping_interval: Duration::from_secs(20),
                ping_timeout: Duration::from_secs(5),
                decompress: true,
                tls: Tls::default(),
            },
            connection_setting: None,
            max_body: 16 * 1024 * 1024,
        }
    }

    /// With what the catalogue knows of a tier and its provider.
    #[cfg(feature = "catalog")]
    pub(crate) fn of_tier(stack: L, tier: &Tier) -> Self {
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        let provider = tier.provider();
        let mut builder = Self::new(stack);
        builder.known = provider.base_urls().map(owned).collect();
        builder.required = provider.required_headers().map(owned).collect();
        builder.connections.connect_timeout = tier.connect_timeout();
        builder
    }
}

impl<L, Y> ClientBuilder<L, Y> {
    /// Changes the stack: adds an option of it, such as hedging.
    ///
    /// ```
    /// let client = seawall::alpaca()?
    ///     .default_tier()?
    ///     .client()?
    ///     .map_stack(|stack| stack.health(seawall::HealthConfig::default()))
    ///     .base("paper")
    ///     .build()?;
    /// # let _ = client;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn map_stack<M>(self, change: impl FnOnce(L) -> M) -> ClientBuilder<M, Y> {
        self.map(|stack, around_transport| (change(stack), around_transport))
    }

    /// As [`map_stack`](Self::map_stack), with a change that may fail: `|stack| stack.cache(layer)`.
    ///
    /// # Errors
    ///
    /// That of `change`.
    pub fn try_map_stack<M, E>(
        self,
        change: impl FnOnce(L) -> Result<M, E>,
    ) -> Result<ClientBuilder<M, Y>, E> {
        self.try_map(|stack, around_transport| Ok((change(stack)?, around_transport)))
    }

    /// Puts a layer around the transport, below the stack and its waits: it sees each attempt as it is
    /// sent, with all its headers, and each response before the stack does. Of several, the last one is
    /// the outermost.
    ///
    /// ```
    /// use tower::util::MapRequestLayer;
    /// use seawall::client::RequestBody;
    ///
    /// let show = MapRequestLayer::new(|request: http::Request<RequestBody>| {
    ///     println!("{} {}", request.method(), request.uri());
    ///     request
    /// });
    /// let client = seawall::alpaca()?.client()?.layer_transport(show).base("paper").build()?;
    /// # let _ = client;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn layer_transport<Z>(self, layer: Z) -> ClientBuilder<L, LayerStack<Y, Z>> {
        self.map(|stack, around| (stack, LayerStack::new(around, layer)))
    }

    fn map<M, Z>(self, change: impl FnOnce(L, Y) -> (M, Z)) -> ClientBuilder<M, Z> {
        let changed = self.try_map(|stack, around| Ok::<_, Infallible>(change(stack, around)));
        match changed {
            Ok(changed) => changed,
            Err(never) => match never {},
        }
    }

    fn try_map<M, Z, E>(
        self,
        change: impl FnOnce(L, Y) -> Result<(M, Z), E>,
    ) -> Result<ClientBuilder<M, Z>, E> {
        let (stack, around_transport) = change(self.stack, self.around_transport)?;
        Ok(ClientBuilder {
            stack,
            around_transport,
            known: self.known,
            required: self.required,
            base: self.base,
            headers: self.headers,
            invalid: self.invalid,
            auth: self.auth,
            connections: self.connections,
            connection_setting: self.connection_setting,
            max_body: self.max_body,
        })
    }

    /// The URL that the paths of requests are joined to: `http://` or `https://`, a host, and a path
    /// or none.
    pub fn base_url(mut self, url: impl Into<String>) -> Self {
        self.base = Some(Base::Url(url.into()));
        self
    }

    /// The base URL that the catalogue knows by this name: `"paper"`. A provider that has one only
    /// needs none; of several, one has to be chosen.
    pub fn base(mut self, name: impl Into<String>) -> Self {
        self.base = Some(Base::Name(name.into()));
        self
    }

    /// Sets a header of every request.
    pub fn header<N, V>(mut self, name: N, value: V) -> Self
    where
        N: TryInto<HeaderName>,
        V: TryInto<HeaderValue>,
    {
        match header(name, value) {
            Ok((name, value)) => {
                self.headers.insert(name, value);
            }
            Err(invalid) => {
                self.invalid.get_or_insert(invalid);
            }
        }
        self
    }

    /// Says who calls: `"desk/1.2 ops@example.com"`. `seawall/` and its version unless set; a
    /// provider that asks for one needs yours.
    pub fn user_agent(self, name: &str) -> Self {
        self.header(USER_AGENT, name)
    }

    /// Authenticates each attempt at its departure, with its own nonce, timestamp and signature: below
    /// every wait of the stack, once for each attempt, of a retry and of a hedge, too. The hook gets
    /// the request as it leaves, with all its headers; [`RequestBody::data`] is what it signs.
    ///
    /// It runs in the call, so it should be short and must not block. Its error ends the call: nothing
    /// is sent, nothing is tried again, and it says nothing about the upstream.
    ///
    /// ```
    /// use std::convert::Infallible;
    /// use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
    /// use http::HeaderValue;
    ///
    /// static NONCE: AtomicU64 = AtomicU64::new(1);
    ///
    /// let client = seawall::Client::builder(seawall::broker("my-broker").build()?)
    ///     .base_url("https://api.example.com")
    ///     .auth(|request| {
    ///         let nonce = NONCE.fetch_add(1, Relaxed);
    ///         request.headers_mut().insert("x-nonce", HeaderValue::from(nonce));
    ///         Ok::<_, Infallible>(())
    ///     })
    ///     .build()?;
    /// # let _ = client;
    /// # Ok::<(), seawall::InvalidConfig>(())
    /// ```
    pub fn auth<E>(
        mut self,
        hook: impl Fn(&mut Request<RequestBody>) -> Result<(), E> + Send + Sync + 'static,
    ) -> Self
    where
        E: Into<Box<dyn StdError + Send + Sync>>,
    {
        self.auth = Some(auth_hook(hook));
        self
    }

    /// Bounds the making of a connection, with its name, TCP and TLS; that of the provider, or five
    /// seconds. What was not connected in time was not sent.
    pub const fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connection_setting = Some("connect_timeout");
        self.connections.connect_timeout = timeout;
        self
    }

    /// Closes connections that were idle for this long; a minute unless set.
    pub const fn pool_idle_timeout(mut self, timeout: Duration) -> Self {
        self.connection_setting = Some("pool_idle_timeout");
        self.connections.idle_timeout = timeout;
        self
    }

    /// Keeps at most this many idle connections; 32 unless set.
    pub const fn pool_max_idle(mut self, connections: usize) -> Self {
        self.connection_setting = Some("pool_max_idle");
        self.connections.max_idle_per_host = connections;
        self
    }

    /// Speaks this version of HTTP; HTTP/2 where the server offers it, unless set.
    pub const fn http_version(mut self, version: HttpVersion) -> Self {
        self.connection_setting = Some("http_version");
        self.connections.version = version;
        self
    }

    /// Asks the server of an HTTP/2 connection for a sign of life every `interval`, and closes a
    /// connection that gives none within `timeout`: 20 s and 5 s unless set.
    pub const fn keep_alive(mut self, interval: Duration, timeout: Duration) -> Self {
        self.connection_setting = Some("keep_alive");
        self.connections.ping_interval = interval;
        self.connections.ping_timeout = timeout;
        self
    }

    /// Whether bodies are asked for in gzip or deflate, and decompressed below the stack, whose layers
    /// see the text; on unless set.
    pub const fn decompress(mut self, is_on: bool) -> Self {
        self.connection_setting = Some("decompress");
        self.connections.decompress = is_on;
        self
    }

    /// Allows bodies of this many bytes, decompressed; 16 MiB unless set.
    pub const fn max_body(mut self, bytes: usize) -> Self {
        self.max_body = bytes;
        self
    }

    /// Accepts servers whose certificates are by these authorities as well: certificates in PEM.
    pub fn root_certificates(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.connection_setting = Some("root_certificates");
        self.connections.tls.roots.push(pem.into());
        self
    }

    /// Accepts only servers of [`root_certificates`](Self::root_certificates), and none that the
    /// system accepts.
    pub const fn without_system_roots(mut self) -> Self {
        self.connection_setting = Some("without_system_roots");
        self.connections.tls.system_roots = false;
        self
    }

    /// **Dangerous.** Accepts any certificate, so that anybody between this program and the server
    /// can read and change every request and response, credentials included. For a gateway on this
    /// machine with a certificate of its own making; better, give that one to
    /// [`root_certificates`](Self::root_certificates).
    ///
    /// With the feature `tracing` each client that is built so is a warning.
    pub const fn dangerously_accept_any_certificate(mut self) -> Self {
        self.connection_setting = Some("dangerously_accept_any_certificate");
        self.connections.tls.is_verified = false;
        self
    }

    /// Makes the client. It connects when it is first called.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] of the first setting that is not accepted: a base URL that is missing or
    /// has no scheme, a header that cannot be sent, one that the provider asks for and that is not
    /// set, a time of zero, certificates that cannot be read.
    pub fn build(self) -> Result<Client<L, Y::Service>, InvalidConfig>
    where
        Y: Layer<HttpTransport>,
        L: Layer<Departure<Sending<Y::Service>, Departing>>,
    {
        let is_https = self.find_base()?.is_https();
        let transport = HttpTransport::new(self.connections.checked()?, is_https)?;
        if !self.connections.tls.is_verified {
            #[cfg(feature = "tracing")]
            tracing::warn!(
                target: "seawall",
                base_url = ?self.base,
                "TLS certificates are not verified: anyone in between can read and change everything"
            );
        }
        self.around(transport)
    }

    /// The same around another transport: any service of HTTP requests, such as a `reqwest::Client` in
    /// its [adapter](crate::http_client::ReqwestClient) (feature `reqwest`), a layer around one, or a
    /// function in a test. Its error knows whether the request was sent
    /// ([`TransportError`](crate::http_client::TransportError)).
    ///
    /// ```
    /// # #[cfg(feature = "reqwest")] {
    /// use seawall::client::RequestBody;
    /// use seawall::http_client::ReqwestClient;
    ///
    /// let transport = ReqwestClient::build(reqwest::Client::builder())?.with_body::<RequestBody>();
    /// let client = seawall::alpaca()?.client()?.base("paper").build_around(transport)?;
    /// assert_eq!(client.base_url(), "https://paper-api.alpaca.markets");
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`build`](Self::build), and [`InvalidConfig`] where a setting of connections was made: they are
    /// those of `transport`.
    pub fn build_around<T>(self, transport: T) -> Result<Client<L, Y::Service>, InvalidConfig>
    where
        Y: Layer<T>,
        L: Layer<Departure<Sending<Y::Service>, Departing>>,
    {
        if let Some(setting) = self.connection_setting {
            let accepted = "nothing: the transport has its own connections";
            return Err(InvalidConfig::new(setting, "set", accepted));
        }
        self.around(transport)
    }

    fn around<T>(mut self, transport: T) -> Result<Client<L, Y::Service>, InvalidConfig>
    where
        Y: Layer<T>,
        L: Layer<Departure<Sending<Y::Service>, Departing>>,
    {
        if let Some(invalid) = self.invalid.take() {
            return Err(invalid);
        }
        let base = self.find_base()?;
        self.check_required()?;
        let mut headers = self.headers;
        headers
            .entry(USER_AGENT)
            .or_insert(HeaderValue::from_static(AGENT));
        let departing = Departing::new(base.clone(), headers, self.auth);
        let defaults = Defaults {
            base,
            max_body: self.max_body,
        };
        let departing = DepartureLayer::new(departing)
            .layer(Sending::new(self.around_transport.layer(transport)));
        let service = self.stack.layer(departing);
        Ok(Client {
            stack: self.stack,
            service,
            defaults: Arc::new(defaults),
        })
    }

    fn find_base(&self) -> Result<BaseUrl, InvalidConfig> {
        let names = || {
            let names: Vec<_> = self.known.iter().map(|(name, _)| name.as_str()).collect();
            match names.is_empty() {
                true => "none: use `base_url`".to_owned(),
                false => format!("one of `{}`, or a `base_url`", names.join("`, `")),
            }
        };
        let url = match (&self.base, &*self.known) {
            (Some(Base::Url(url)), _) => url,
            (Some(Base::Name(wanted)), known) => {
                let found = known.iter().find(|(name, _)| name == wanted);
                let unknown = || InvalidConfig::new("base", format!("`{wanted}`"), names());
                &found.ok_or_else(unknown)?.1
            }
            (None, [(_, url)]) => url,
            (None, []) => return Err(InvalidConfig::new("base_url", "not set", "a URL")),
            (None, _) => return Err(InvalidConfig::new("base", "not set", names())),
        };
        BaseUrl::parse(url)
    }

    fn check_required(&self) -> Result<(), InvalidConfig> {
        for (name, example) in &self.required {
            if !self.headers.contains_key(name) {
                let field = format!("header `{name}`");
                let accepted = format!("what the provider asks for, such as `{example}`");
                return Err(InvalidConfig::new(field, "not set", accepted));
            }
        }
        Ok(())
    }
}

/// Who calls, unless the user says so.
const AGENT: &str = concat!("seawall/", env!("CARGO_PKG_VERSION"));

impl Connections {
    fn checked(&self) -> Result<&Self, InvalidConfig> {
        for (field, value) in [
            ("connect_timeout", self.connect_timeout),
            ("pool_idle_timeout", self.idle_timeout),
            ("keep_alive interval", self.ping_interval),
            ("keep_alive timeout", self.ping_timeout),
        ] {
            seawall_core::NonZeroDuration::new(value).map_err(|e| e.in_field(field))?;
        }
        Ok(self)
    }
}

impl fmt::Debug for Base {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Url(text) | Self::Name(text)) = self;
        without_secrets(text).fmt(f)
    }
}

impl<L, Y> fmt::Debug for ClientBuilder<L, Y> {
    /// Without the values of headers, which have credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers: Vec<_> = self.headers.keys().collect();
        f.debug_struct("ClientBuilder")
            .field("base", &self.base)
            .field("headers", &headers)
            .field("has_auth", &self.auth.is_some())
            .field("connections", &self.connections)
            .field("max_body", &self.max_body)
            .finish_non_exhaustive()
    }
}
