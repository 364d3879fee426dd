//! A provider of models on a raw socket, whose responses are scripts.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep};

use super::raw_server::read_request;

/// What a response does next, on the wire.
#[derive(Clone, Debug)]
pub enum Wire {
    Send(String),
    Wait(Duration),
    /// The connection is reset.
    Reset,
    /// It is closed.
    Close,
    /// Nothing comes any more.
    Hang,
}

pub type Script = Vec<Wire>;

/// A response with all of its body.
pub fn response(status: &str, headers: &[(&str, &str)], body: &str) -> Script {
    let mut head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in headers {
        write!(head, "{name}: {value}\r\n").expect("a string");
    }
    vec![Wire::Send(format!("{head}\r\n{body}"))]
}

pub const JSON: (&str, &str) = ("content-type", "application/json");

/// The head of a stream.
pub fn stream() -> Wire {
    let head =
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    Wire::Send(head.to_owned())
}

/// A piece of a stream.
pub fn chunk(text: &str) -> Wire {
    Wire::Send(format!("{:x}\r\n{text}\r\n", text.len()))
}

/// The end of a stream.
pub fn end() -> Wire {
    Wire::Send("0\r\n\r\n".to_owned())
}

/// A stream of these events, to its end.
pub fn events(all: &[&str]) -> Script {
    let mut script = vec![stream()];
    script.extend(all.iter().map(|event| chunk(event)));
    script.push(end());
    script
}

/// The first request has the first script, and so on; the last script stays.
#[derive(Default)]
struct Plan {
    scripts: VecDeque<Script>,
    asked: Vec<Instant>,
}

/// A provider that does what its scripts say.
pub struct AiServer {
    address: SocketAddr,
    plan: Arc<Mutex<Plan>>,
    task: JoinHandle<()>,
}

impl AiServer {
    pub async fn start(scripts: impl IntoIterator<Item = Script>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a socket");
        let address = listener.local_addr().expect("bound");
        let plan = Arc::new(Mutex::new(Plan {
            scripts: scripts.into_iter().collect(),
            asked: Vec::new(),
        }));
        let of_connections = Arc::clone(&plan);
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, Arc::clone(&of_connections)));
                while connections.try_join_next().is_some() {}
            }
        });
        Self {
            address,
            plan,
            task,
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// When each request came.
    pub fn asked(&self) -> Vec<Instant> {
        self.plan.lock().expect("no panic").asked.clone()
    }
}

impl Drop for AiServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(mut stream: TcpStream, plan: Arc<Mutex<Plan>>) {
    let mut buffer = Vec::new();
    while read_request(&mut stream, &mut buffer).await.is_some() {
        let script = {
            let mut plan = plan.lock().expect("no panic");
            plan.asked.push(Instant::now());
            if plan.scripts.len() > 1 {
                plan.scripts.pop_front()
            } else {
                plan.scripts.front().cloned()
            }
        };
        for step in script.expect("a script") {
            match step {
                Wire::Send(text) => {
                    let sent = stream.write_all(text.as_bytes()).await;
                    if sent.is_err() || stream.flush().await.is_err() {
                        return;
                    }
                }
                Wire::Wait(wait) => sleep(wait).await,
                Wire::Reset => {
                    let _ = stream.set_zero_linger();
                    return;
                }
                Wire::Close => return,
                Wire::Hang => sleep(Duration::from_secs(3_600)).await,
            }
        }
    }
}
