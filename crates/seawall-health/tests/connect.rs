//! Connections to real sockets.
#![cfg(feature = "tls")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use seawall_health::{CheckConfig, CheckReport, Connectivity, HealthMonitor, Status};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;

/// What a server does with a connection once it has read what came first.
#[derive(Clone, Copy)]
enum Answer {
    Says(&'static str),
    /// Byte by byte, so that it comes in pieces.
    Dribbles(&'static str),
    Nothing,
}

struct Server {
    port: u16,
    connections: Arc<AtomicUsize>,
    requests: mpsc::UnboundedReceiver<String>,
}

impl Server {
    async fn start(answer: Answer, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let connections = Arc::new(AtomicUsize::new(0));
        let (sender, requests) = mpsc::unbounded_channel();
        let count = Arc::clone(&connections);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                let (sender, tls) = (sender.clone(), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => serve(stream, answer, sender).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                serve(stream, answer, sender).await;
                            }
                        }
                    }
                });
            }
        });
        Self {
            port,
            connections,
            requests,
        }
    }
}

async fn serve(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    answer: Answer,
    sender: mpsc::UnboundedSender<String>,
) {
    let mut request = Vec::new();
    let mut buffer = [0; 1_024];
    while !request.ends_with(b"\r\n\r\n") {
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(read) => request.extend_from_slice(&buffer[..read]),
        }
    }
    let _ = sender.send(String::from_utf8(request).unwrap());
    match answer {
        Answer::Says(text) => stream.write_all(text.as_bytes()).await.unwrap_or_default(),
        Answer::Dribbles(text) => {
            for byte in text.as_bytes() {
                let _ = stream.write_all(&[*byte]).await;
                let _ = stream.flush().await;
            }
        }
        Answer::Nothing => std::future::pending().await,
    }
    let _ = stream.shutdown().await;
}

async fn run(connectivity: Connectivity) -> CheckReport {
    let monitor = HealthMonitor::new("connects");
    let config = CheckConfig::builder()
        .failures_to_unhealthy(1)
        .timeout(Duration::from_secs(5))
        .build()
        .unwrap();
    let check = connectivity.into_check().unwrap();
    monitor.register("host", config, check).unwrap();
    monitor.run_check("host").await.unwrap()
}

async fn run_url(url: &str) -> CheckReport {
    run(Connectivity::new(url).unwrap()).await
}

fn message(report: &CheckReport) -> &str {
    report.message.as_deref().unwrap_or_default()
}

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        Self(CertifiedIssuer::self_signed(params, key).unwrap())
    }

    fn acceptor(&self, host: &str) -> TlsAcceptor {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![host.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
            )
            .unwrap();
        TlsAcceptor::from(Arc::new(config))
    }
}

#[tokio::test]
async fn tcp_is_a_connection() {
    let server = Server::start(Answer::Nothing, None).await;
    let report = run_url(&format!("tcp://127.0.0.1:{}", server.port)).await;
    assert_eq!((report.status, report.message), (Status::Healthy, None));
    // The server may accept it later.
    while server.connections.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }

    // A port at which nobody listens any more.
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = closed.local_addr().unwrap().port();
    drop(closed);
    let report = run_url(&format!("tcp://127.0.0.1:{port}")).await;
    assert_eq!(report.status, Status::Unhealthy);
    let expected = format!("no connection to 127.0.0.1:{port}: ");
    assert!(message(&report).starts_with(&expected), "{report:?}");

    // RFC 2606 keeps this name from ever being one.
    let report = run_url("tcp://nobody.invalid:80").await;
    let expected = "`nobody.invalid` is not resolved: ";
    assert!(message(&report).starts_with(expected), "{report:?}");
}

#[tokio::test]
async fn http_is_a_request_whose_status_counts() {
    for (answer, healthy) in [
        (
            Answer::Says("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"),
            true,
        ),
        (Answer::Says("HTTP/1.1 401 Unauthorized\r\n\r\n"), true),
        (Answer::Dribbles("HTTP/1.1 404 Not Found\r\n\r\n"), true),
        (
            Answer::Says("HTTP/1.1 503 Service Unavailable\r\n\r\n"),
            false,
        ),
        (
            Answer::Dribbles("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 503 x\r\n\r\n"),
            false,
        ),
        (Answer::Says("SSH-2.0-OpenSSH_9.9\r\n"), false),
        (Answer::Says(""), false),
    ] {
        let mut server = Server::start(answer, None).await;
        let port = server.port;
        let report = run_url(&format!("http://127.0.0.1:{port}/v2/health")).await;
        assert_eq!(report.status == Status::Healthy, healthy, "{report:?}");
        if !healthy {
            let message = message(&report);
            let expected = [
                format!("127.0.0.1:{port} answers 503"),
                format!("no HTTP from 127.0.0.1:{port}: no status line"),
            ];
            assert!(expected.iter().any(|e| e == message), "{message}");
        }
        let request = server.requests.recv().await.unwrap();
        let mut lines = request.lines();
        assert_eq!(lines.next(), Some("HEAD /v2/health HTTP/1.1"));
        assert!(lines.any(|line| line == format!("host: 127.0.0.1:{port}")));
        assert!(!request.to_lowercase().contains("authorization"));
    }
}

#[tokio::test]
async fn an_endless_answer_is_not_read_to_its_end() {
    static LONG: std::sync::LazyLock<String> = std::sync::LazyLock::new(|| "x".repeat(1 << 20));
    let server = Server::start(Answer::Says(&LONG), None).await;
    let report = run_url(&format!("http://127.0.0.1:{}", server.port)).await;
    assert!(message(&report).ends_with("no status line"), "{report:?}");
}

#[tokio::test]
async fn a_host_that_says_nothing_fails_after_the_timeout_of_the_check() {
    let server = Server::start(Answer::Nothing, None).await;
    let monitor = HealthMonitor::new("silent");
    let config = CheckConfig::builder().timeout(Duration::from_millis(50));
    let url = format!("http://127.0.0.1:{}", server.port);
    let check = Connectivity::new(&url).unwrap().into_check().unwrap();
    monitor
        .register("host", config.build().unwrap(), check)
        .unwrap();
    let report = monitor.run_check("host").await.unwrap();
    assert_eq!(message(&report), "no result within 50ms");
}

#[tokio::test]
async fn tls_is_a_handshake_with_a_certificate_that_is_trusted() {
    let authority = Authority::new();
    let pem = authority.0.pem();
    let acceptor = authority.acceptor("127.0.0.1");
    let answer = Answer::Says("HTTP/1.1 200 OK\r\n\r\n");
    let server = Server::start(answer, Some(acceptor)).await;
    for scheme in ["tls", "https", "wss"] {
        let url = format!("{scheme}://127.0.0.1:{}", server.port);
        let trusted = Connectivity::new(&url).unwrap();
        let report = run(trusted.root_certificates(pem.clone())).await;
        assert_eq!(report.status, Status::Healthy, "{scheme}: {report:?}");
        // One that nobody knows.
        let other = Authority::new().0.pem();
        let unknown = Connectivity::new(&url).unwrap();
        let report = run(unknown.root_certificates(other)).await;
        let expected = format!("no TLS with 127.0.0.1:{}: ", server.port);
        assert!(message(&report).starts_with(&expected), "{report:?}");
    }

    // For another host.
    let server = Server::start(answer, Some(authority.acceptor("other.test"))).await;
    let url = format!("https://127.0.0.1:{}", server.port);
    let other = Connectivity::new(&url)
        .unwrap()
        .root_certificates(pem.clone());
    assert!(message(&run(other).await).contains("no TLS with"));

    // And no TLS at all.
    let server = Server::start(Answer::Says("220 mail\r\n\r\n"), None).await;
    let url = format!("tls://127.0.0.1:{}", server.port);
    let none = Connectivity::new(&url).unwrap().root_certificates(pem);
    let monitor = HealthMonitor::new("no tls");
    let config = CheckConfig::builder().timeout(Duration::from_millis(200));
    let check = none.into_check().unwrap();
    monitor
        .register("host", config.build().unwrap(), check)
        .unwrap();
    assert_eq!(monitor.run_check("host").await.unwrap().failures, 1);
}

#[test]
fn certificates_that_cannot_be_read_are_rejected() {
    let check = Connectivity::new("https://api.test").unwrap();
    assert_eq!((check.host(), check.port()), ("api.test", 443));
    let rejected = check
        .root_certificates("no PEM")
        .into_check()
        .err()
        .unwrap();
    assert_eq!(rejected.field(), "root_certificates");
    // Where no TLS is asked for, none are read.
    let plain = Connectivity::new("http://api.test").unwrap();
    assert!(plain.root_certificates("no PEM").into_check().is_ok());
}
