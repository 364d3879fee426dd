//! HTTP/1 over a real connection: what a stack adds to what the network and the client cost.

use std::io;
use std::net::SocketAddr;
use std::sync::OnceLock;

use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use tower_layer::Layer;
use tower_service::Service;

use super::http::broker;
use crate::crowd::{Crowd, Size, Tasks};
use crate::harness::nanoseconds;

const SIZE: Size = Size {
    tasks: 8,
    calls: 60,
    rounds: 151,
};

const RESPONSE: &[u8] =
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 14\r\n\r\n[\"AAPL\",\"SPY\"]";

pub(super) fn crowds() -> Vec<Crowd> {
    vec![
        crowd("raw/loopback/client", |client| client),
        crowd("seawall/loopback/http", |client| broker().layer(client)),
    ]
}

type HyperClient = Client<HttpConnector, Full<Bytes>>;

/// Tasks that call clones of one client, which keeps its connections.
fn crowd<S, B>(name: &'static str, wrap: fn(HyperClient) -> S) -> Crowd
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>, Error: Send, Future: Send>
        + Clone
        + Send
        + Sync
        + 'static,
    B: http_body::Body<Data = Bytes, Error: Send> + Send + 'static,
{
    let kept = OnceLock::new();
    Crowd::new(name, SIZE, move || -> Tasks {
        let (uri, template): &(Uri, S) = kept.get_or_init(|| {
            let address = serve().expect("a free port on the loopback device");
            let uri = Uri::try_from(format!("http://{address}/v2/positions"));
            let client = Client::builder(TokioExecutor::new()).build_http();
            (uri.expect("an address is a host"), wrap(client))
        });
        let (uri, template) = (uri.clone(), template.clone());
        Box::new(move || Box::pin(calls(template.clone(), uri.clone())))
    })
}

/// Calls that fail are missing.
async fn calls<S, B>(mut service: S, uri: Uri) -> Vec<f64>
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>>,
    B: http_body::Body,
{
    let mut took = Vec::with_capacity(SIZE.calls);
    for _ in 0..SIZE.calls {
        let start = Instant::now();
        let ready = std::future::poll_fn(|cx| service.poll_ready(cx)).await;
        let mut request = Request::new(Full::default());
        *request.uri_mut() = uri.clone();
        if ready.is_err() {
            continue;
        }
        if let Ok(response) = service.call(request).await
            && response.into_body().collect().await.is_ok()
        {
            took.push(nanoseconds(start, Instant::now()));
        }
    }
    took
}

/// A server on the runtime, for as long as that lasts.
fn serve() -> io::Result<SocketAddr> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(listener)?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            tokio::spawn(respond(connection));
        }
    });
    Ok(address)
}

/// Responds to every request without a body.
async fn respond(mut connection: TcpStream) -> io::Result<()> {
    connection.set_nodelay(true)?;
    let mut head = Vec::with_capacity(1_024);
    while connection.read_buf(&mut head).await? > 0 {
        if head.ends_with(b"\r\n\r\n") {
            head.clear();
            connection.write_all(RESPONSE).await?;
        }
    }
    Ok(())
}
