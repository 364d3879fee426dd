//! Over a real socket, in real time: the client is killed, and the venue cancels its orders.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use seawall_orders::client::RequestSender;
use seawall_orders::dead_man::{BitmexTimer, DeadManConfig, DeadManState, DeadManSwitch};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep};
use tower::service_fn;

use super::venue::{Timer, answered};

/// Reads a message with a `content-length`, and returns its body.
async fn read(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let (mut all, mut buffer) = (Vec::new(), [0; 4_096]);
    loop {
        let text = String::from_utf8_lossy(&all).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "));
            let length: usize = length.unwrap_or("0").parse().map_err(io::Error::other)?;
            if body.len() >= length {
                return Ok(body.as_bytes().to_vec());
            }
        }
        match stream.read(&mut buffer).await? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => all.extend_from_slice(&buffer[..read]),
        }
    }
}

async fn serve(listener: TcpListener, timer: Arc<Mutex<Timer>>) -> io::Result<()> {
    loop {
        let (mut stream, _) = listener.accept().await?;
        let body: serde_json::Value = serde_json::from_slice(&read(&mut stream).await?)?;
        let timeout = Duration::from_millis(body["timeout"].as_u64().unwrap());
        timer.lock().unwrap().request(Instant::now(), timeout);
        let body = answered(timeout);
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(&body).await?;
    }
}

async fn send(venue: SocketAddr, request: Request<Bytes>) -> io::Result<Response<Full<Bytes>>> {
    let mut stream = TcpStream::connect(venue).await?;
    let (path, body) = (request.uri().path(), request.body());
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: venue\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body).await?;
    Ok(Response::new(Full::new(read(&mut stream).await?.into())))
}

#[tokio::test]
async fn orders_of_a_client_that_is_killed_are_cancelled() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let venue = listener.local_addr().unwrap();
    let timer = Arc::new(Mutex::new(Timer::default()));
    tokio::spawn(serve(listener, Arc::clone(&timer)));
    let look = || {
        let mut timer = timer.lock().unwrap();
        timer.look(Instant::now());
        (timer.set, timer.is_armed(), timer.fired.clone())
    };
    let client = RequestSender::new(service_fn(move |request| send(venue, request)));
    let timeout = Duration::from_secs(2);
    let config = DeadManConfig::builder(timeout).interval(Duration::from_millis(300));
    let config = config.build().unwrap();
    let switch = DeadManSwitch::new("venue", config, BitmexTimer, client, || true).unwrap();
    let handle = switch.handle();
    let driver = tokio::spawn(switch.run());
    // It lives for longer than the timeout.
    while look().0 < 9 {
        sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(look().2, [], "renewed in time");
    assert_eq!(handle.state(), DeadManState::Armed);

    driver.abort();
    let killed = Instant::now();
    while look().1 {
        sleep(Duration::from_millis(20)).await;
    }
    let (set, _, fired) = look();
    assert_eq!(fired.len(), 1);
    assert!(
        fired[0] <= killed + timeout,
        "one timeout after the last renewal"
    );
    sleep(Duration::from_millis(500)).await;
    assert_eq!(look().0, set, "nothing renews it any more");
}
