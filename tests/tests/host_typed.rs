//! Host 3: a plain typed service with an error enum of its own, over a TCP line protocol.

mod support;

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use seawall::{ClientStack, Reason, Rejectable, Rejection, StackService, rejectable};
use support::quick;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tower::{Layer, Service, ServiceExt};

#[derive(Debug)]
enum FeedError {
    Rejected(Rejection),
    Io(std::io::Error),
    NoSuchSymbol,
}
rejectable!(FeedError::Rejected);

impl From<std::io::Error> for FeedError {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error)
    }
}

#[derive(Clone)]
struct Feed {
    addr: SocketAddr,
}

impl Service<&'static str> for Feed {
    type Response = f64;
    type Error = FeedError;
    type Future = Pin<Box<dyn Future<Output = Result<f64, FeedError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), FeedError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, symbol: &'static str) -> Self::Future {
        let addr = self.addr;
        Box::pin(async move {
            let mut stream = BufReader::new(TcpStream::connect(addr).await?);
            stream.write_all(format!("{symbol}\n").as_bytes()).await?;
            let mut line = String::new();
            stream.read_line(&mut line).await?;
            line.trim().parse().or(Err(FeedError::NoSuchSymbol))
        })
    }
}

/// No error wrapper, no box, a type that can be named.
struct Desk {
    feed: StackService<Feed>,
}

async fn server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a socket");
    let addr = listener.local_addr().expect("bound");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut stream = BufReader::new(stream);
                let mut line = String::new();
                let _ = stream.read_line(&mut line).await;
                let response: &[u8] = if line == "SPY\n" { b"512.25\n" } else { b"?\n" };
                let _ = stream.write_all(response).await;
            });
        }
    });
    addr
}

#[tokio::test]
async fn a_typed_service_keeps_its_own_errors_and_finds_rejections_in_them() {
    let stack: ClientStack = quick(seawall::market_data("feed"))
        .build_generic(seawall::Policy::new())
        .expect("valid");
    let mut desk = Desk {
        feed: stack.layer(Feed {
            addr: server().await,
        }),
    };
    let price = desk
        .feed
        .ready()
        .await
        .expect("ready")
        .call("SPY")
        .await
        .expect("a price");
    assert!((price - 512.25).abs() < 1e-9);
    for _ in 0..3 {
        let error = desk.feed.ready().await.expect("ready").call("NONE").await;
        assert!(matches!(error, Err(FeedError::NoSuchSymbol)));
    }
    let rejected = desk
        .feed
        .ready()
        .await
        .expect("ready")
        .call("SPY")
        .await
        .expect_err("open");
    assert_eq!(
        rejected.rejection().map(seawall::Rejection::reason),
        Some(Reason::CircuitOpen)
    );
    assert!(matches!(rejected, FeedError::Rejected(_)));
}

#[tokio::test]
async fn an_io_error_of_the_service_arrives_as_it_is() {
    let closed = {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a socket");
        listener.local_addr().expect("bound")
    };
    let stack = quick(seawall::market_data("feed"))
        .build_generic(seawall::Policy::new())
        .expect("valid");
    let error = stack
        .layer(Feed { addr: closed })
        .oneshot("SPY")
        .await
        .expect_err("closed");
    let FeedError::Io(error) = error else {
        panic!("{error:?}");
    };
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
}
