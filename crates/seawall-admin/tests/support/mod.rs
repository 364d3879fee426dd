//! A program with an admin server, and a client that speaks plain HTTP/1.1.

#![allow(dead_code, reason = "not every test uses all of it")]

use std::net::SocketAddr;
use std::time::Duration;

use seawall::{CheckConfig, HealthMonitor, Registry};
use seawall_admin::serve::AdminServer;
use seawall_admin::{Admin, AdminBuilder, Role, Tokens};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

pub(crate) const VIEWER: &str = "token-of-the-viewer-0001";
pub(crate) const OPERATOR: &str = "token-of-the-operator-01";
pub(crate) const ADMIN: &str = "token-of-the-admin-00001";

pub(crate) fn tokens() -> Tokens {
    let tokens = Tokens::new().with(Role::Viewer, "wall", VIEWER);
    let tokens = tokens.and_then(|tokens| tokens.with(Role::Operator, "olga", OPERATOR));
    let tokens = tokens.and_then(|tokens| tokens.with(Role::Admin, "anna", ADMIN));
    tokens.expect("tokens")
}

/// The registry of a desk with one broker, and its checks.
pub(crate) fn desk() -> (Registry, HealthMonitor) {
    let registry = Registry::new("desk");
    let stack = seawall::broker("alpaca").build().expect("settings");
    stack.register(&registry).expect("the first");
    let monitor = HealthMonitor::new("desk");
    let check = || async { Ok::<_, String>(()) };
    monitor
        .register("broker", CheckConfig::default(), check)
        .expect("the first");
    (registry, monitor)
}

pub(crate) fn admin() -> AdminBuilder {
    let (registry, monitor) = desk();
    Admin::builder("desk")
        .registry(registry)
        .health(monitor)
        .tokens(tokens())
}

pub(crate) async fn serve(admin: Admin) -> AdminServer {
    AdminServer::bind("127.0.0.1:0", admin)
        .await
        .expect("a free port")
}

/// A response.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines();
        lines.find_map(|line| {
            let (is, value) = line.split_once(':')?;
            is.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

/// Sends bytes as they are, and reads the response to its end.
pub(crate) async fn raw(address: SocketAddr, request: &[u8]) -> Option<Answer> {
    let work = async {
        let mut stream = TcpStream::connect(address).await.ok()?;
        // The server may answer and close before all is sent.
        let _ = stream.write_all(request).await;
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes).await;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let (head, body) = text.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some(Answer {
            status,
            head: head.to_owned(),
            body: body.to_owned(),
        })
    };
    tokio::time::timeout(Duration::from_secs(20), work)
        .await
        .ok()?
}

/// A request with a token and a body, if any.
pub(crate) async fn ask(
    address: SocketAddr,
    method: &str,
    path: &str,
    token: Option<&str>,
    body: Option<Value>,
) -> Answer {
    let mut request =
        format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n");
    if let Some(token) = token {
        request += &format!("authorization: Bearer {token}\r\n");
    }
    let body = body.map(|body| body.to_string());
    if let Some(body) = &body {
        request += &format!(
            "content-type: application/json\r\ncontent-length: {}\r\n",
            body.len()
        );
    }
    request += "\r\n";
    request += &body.unwrap_or_default();
    raw(address, request.as_bytes()).await.expect("an answer")
}

pub(crate) async fn get(address: SocketAddr, path: &str, token: &str) -> Answer {
    ask(address, "GET", path, Some(token), None).await
}

pub(crate) async fn post(address: SocketAddr, path: &str, token: &str, body: Value) -> Answer {
    ask(address, "POST", path, Some(token), Some(body)).await
}

/// A stream of events that is read line by line.
pub(crate) struct Stream(BufReader<TcpStream>);

impl Stream {
    pub(crate) async fn open(at: SocketAddr, extra: &str) -> Self {
        Self::open_at(at, "/api/v1/events", extra).await
    }

    /// Opens the stream of a path, with further lines in the head of the request.
    pub(crate) async fn open_at(at: SocketAddr, path: &str, extra: &str) -> Self {
        let stream = TcpStream::connect(at).await.expect("a connection");
        Self::over(stream, path, extra).await
    }

    /// The same over a connection that takes little at once.
    pub(crate) async fn open_narrow(at: SocketAddr, path: &str) -> Self {
        let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(4_096).expect("a size");
        let stream = socket.connect(at).await.expect("a connection");
        Self::over(stream, path, "").await
    }

    /// Opens the stream of events of a session alone.
    pub(crate) async fn open_by_cookie(at: SocketAddr, cookie: &str) -> Self {
        let stream = TcpStream::connect(at).await.expect("a connection");
        Self::with(stream, "/api/v1/events", &format!("cookie: {cookie}\r\n")).await
    }

    async fn over(stream: TcpStream, path: &str, extra: &str) -> Self {
        let head = format!("authorization: Bearer {VIEWER}\r\n{extra}");
        Self::with(stream, path, &head).await
    }

    async fn with(mut stream: TcpStream, path: &str, head: &str) -> Self {
        let request =
            format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{head}\r\n");
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut stream = Self(BufReader::new(stream));
        assert_eq!(stream.line().await.as_deref(), Some("HTTP/1.1 200 OK"));
        while stream.line().await.is_some_and(|line| !line.is_empty()) {}
        stream
    }

    /// The next line; `None` at the end.
    pub(crate) async fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let read = tokio::time::timeout(Duration::from_secs(10), self.0.read_line(&mut line));
        let read = read.await.expect("in time").unwrap_or(0);
        (read > 0).then(|| line.trim_end().to_owned())
    }

    /// The type and the data of the next event, as they are.
    pub(crate) async fn unread(&mut self) -> Option<(String, String)> {
        let mut kind = String::new();
        loop {
            let line = self.line().await?;
            if let Some(text) = line.strip_prefix("event: ") {
                kind = text.to_owned();
            } else if let Some(text) = line.strip_prefix("data: ") {
                return Some((kind, text.to_owned()));
            }
        }
    }

    /// The type, the id and the data of the next event.
    pub(crate) async fn event(&mut self) -> Option<(String, String, Value)> {
        let (mut kind, mut id) = (String::new(), String::new());
        loop {
            let line = self.line().await?;
            if let Some(text) = line.strip_prefix("event: ") {
                kind = text.to_owned();
            } else if let Some(text) = line.strip_prefix("id: ") {
                id = text.to_owned();
            } else if let Some(text) = line.strip_prefix("data: ") {
                let data = serde_json::from_str(text).expect("JSON");
                let kind = std::mem::take(&mut kind);
                return Some((kind, id, data));
            }
        }
    }
}
