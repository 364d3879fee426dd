//! A server on a raw socket that does everything wrong.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{sleep, timeout};

/// What the server has seen, and whether it behaves.
#[derive(Default)]
pub struct Log {
    read: Mutex<HashMap<String, usize>>,
    well: AtomicBool,
}

impl Log {
    /// How many complete requests were read, by path.
    pub fn read(&self) -> HashMap<String, usize> {
        self.read.lock().expect("no panic").clone()
    }

    /// From now on every response is a good one.
    pub fn is_well(&self) {
        self.well.store(true, Ordering::Relaxed);
    }

    /// What is done to the next request: one of two is served well.
    fn fault(&self) -> Fault {
        if self.well.load(Ordering::Relaxed) || fastrand::bool() {
            return Fault::None;
        }
        FAULTS[fastrand::usize(0..FAULTS.len())]
    }
}

pub struct Server {
    address: SocketAddr,
    log: Arc<Log>,
    task: JoinHandle<()>,
}

impl Server {
    pub async fn start(log: Arc<Log>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a socket");
        let address = listener.local_addr().expect("bound");
        let of_connections = Arc::clone(&log);
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, Arc::clone(&of_connections)));
                while connections.try_join_next().is_some() {}
            }
        });
        Self { address, log, task }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn log(&self) -> &Log {
        &self.log
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What is done to a request that was read.
#[derive(Clone, Copy)]
enum Fault {
    None,
    Reset,
    HalfAHead,
    OneByteAtATime,
    HalfABody,
    Informational,
    HugeHead,
    NoHttp,
    HangsUpAfter,
    Silence,
    HalfAChunk,
    Busy,
    UntilTheEnd,
    Twice,
    Throttle,
    InformationalWithoutEnd,
}

const FAULTS: [Fault; 15] = [
    Fault::Reset,
    Fault::HalfAHead,
    Fault::OneByteAtATime,
    Fault::HalfABody,
    Fault::Informational,
    Fault::HugeHead,
    Fault::NoHttp,
    Fault::HangsUpAfter,
    Fault::Silence,
    Fault::HalfAChunk,
    Fault::Busy,
    Fault::UntilTheEnd,
    Fault::Twice,
    Fault::Throttle,
    Fault::InformationalWithoutEnd,
];

const OK: &[u8] =
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 11\r\n\r\n{\"ok\":true}";
const EARLY_HINTS: &[u8] = b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n";

async fn serve(mut stream: TcpStream, log: Arc<Log>) {
    let mut buffer = Vec::new();
    while let Some(path) = read_request(&mut stream, &mut buffer).await {
        *log.read.lock().expect("no panic").entry(path).or_default() += 1;
        let goes_on = respond(&mut stream, log.fault()).await;
        if !goes_on.unwrap_or(false) {
            return;
        }
    }
}

/// Reads a request to its end; its path.
pub async fn read_request(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<String> {
    loop {
        if let Some(end) = buffer.windows(4).position(|part| part == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&buffer[..end]).to_ascii_lowercase();
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length:"));
            let length: usize = length.map_or(0, |n| n.trim().parse().expect("a length"));
            if buffer.len() >= end + 4 + length {
                buffer.drain(..end + 4 + length);
                return head.split(' ').nth(1).map(str::to_owned);
            }
        }
        let mut piece = [0; 4_096];
        match timeout(Duration::from_secs(20), stream.read(&mut piece)).await {
            Ok(Ok(n)) if n > 0 => buffer.extend_from_slice(&piece[..n]),
            _ => return None,
        }
    }
}

/// Responds; whether the connection goes on.
async fn respond(stream: &mut TcpStream, fault: Fault) -> io::Result<bool> {
    const LONG: &[u8] =
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 1000000\r\n\r\n{";
    const CHUNK: &[u8] = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhel";
    const BUSY: &[u8] = b"HTTP/1.1 503 Busy\r\nretry-after: 0\r\ncontent-length: 4\r\n\r\nbusy";
    const SLOW: &[u8] = b"HTTP/1.1 429 Slow\r\nretry-after-ms: 5\r\ncontent-length: 0\r\n\r\n";
    const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
    let (bytes, goes_on): (Vec<u8>, bool) = match fault {
        Fault::None => (OK.to_vec(), true),
        // Unread bytes or none: the socket is closed without a word.
        Fault::Reset => return Ok(false),
        Fault::HalfAHead => (OK[..20].to_vec(), false),
        Fault::OneByteAtATime => {
            for byte in OK {
                stream.write_all(&[*byte]).await?;
                tokio::task::yield_now().await;
            }
            return Ok(true);
        }
        Fault::HalfABody => {
            stream.write_all(LONG).await?;
            sleep(Duration::from_secs(5)).await;
            return Ok(false);
        }
        Fault::Informational => ([CONTINUE, EARLY_HINTS, OK].concat(), true),
        Fault::HugeHead => {
            let huge = "a".repeat(1_000_000);
            let head = format!("HTTP/1.1 200 OK\r\nx: {huge}\r\ncontent-length: 0\r\n\r\n");
            (head.into_bytes(), false)
        }
        Fault::NoHttp => (b"\x00\x01 not http at all\r\n\r\n".to_vec(), false),
        Fault::HangsUpAfter => (OK.to_vec(), false),
        Fault::Silence => {
            sleep(Duration::from_secs(5)).await;
            return Ok(false);
        }
        Fault::HalfAChunk => (CHUNK.to_vec(), false),
        Fault::Busy => (BUSY.to_vec(), true),
        Fault::UntilTheEnd => (b"HTTP/1.0 200 OK\r\n\r\nuntil the end".to_vec(), false),
        Fault::Twice => ([OK, OK].concat(), true),
        Fault::Throttle => (SLOW.to_vec(), true),
        Fault::InformationalWithoutEnd => {
            for _ in 0..2_000 {
                stream.write_all(EARLY_HINTS).await?;
                sleep(Duration::from_millis(1)).await;
            }
            return Ok(false);
        }
    };
    stream.write_all(&bytes).await?;
    Ok(goes_on)
}
