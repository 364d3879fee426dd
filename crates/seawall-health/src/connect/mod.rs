//! Whether a host can be reached: by TCP, TLS, HTTP.

mod endpoint;
#[cfg(feature = "tls")]
mod tls;

use std::io;
use std::pin::Pin;
use std::sync::Arc;

use seawall_core::InvalidConfig;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::CheckResult;
use crate::run::Running;
use endpoint::{Endpoint, Probe};

/// The longest status line that is read, in bytes.
const STATUS_LINE: usize = 256;

/// The most bytes that are read, interim responses included.
const RESPONSE: usize = 8_192;

/// A check that connects to a host, as far as its URL says:
///
/// | URL | what is done | default port |
/// |---|---|---|
/// | `tcp://db.internal:5432` | the name is resolved and a connection is made | none |
/// | `ws://feed.test` | the same | 80 |
/// | `tls://feed.test`, `wss://feed.test` | and the certificate is verified (feature `tls`) | 443 |
/// | `http://api.test/health` | a connection, and a `HEAD` request without credentials | 80 |
/// | `https://api.test/health` | all three (feature `tls`) | 443 |
///
/// Every final answer below 500 is one: a host that wants a key answers 401 or 404 and can be reached. Each run
/// makes a connection of its own and closes it; it is the timeout of the check that bounds it. Providers
/// count such requests per address at most, since they have no key; an interval of 30 s is far below
/// what they allow.
///
/// ```
/// use seawall_health::{CheckConfig, Connectivity, HealthMonitor, Status};
/// use tokio::net::TcpListener;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let database = TcpListener::bind("127.0.0.1:0").await?;
/// let url = format!("tcp://{}", database.local_addr()?);
///
/// let monitor = HealthMonitor::new("desk");
/// let check = Connectivity::new(&url)?.into_check()?;
/// monitor.register("database", CheckConfig::default(), check)?;
/// assert_eq!(monitor.run_all().await.status, Status::Healthy);
/// # Ok(()) }
/// ```
#[must_use = "it does nothing until it is registered"]
#[derive(Clone, Debug)]
pub struct Connectivity {
    endpoint: Endpoint,
    #[cfg(feature = "tls")]
    roots: tls::Roots,
}

impl Connectivity {
    /// Connects to the host of this URL.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] that names `url`: one of another scheme, without a host or a port, with a user,
    /// a query or a fragment.
    pub fn new(url: &str) -> Result<Self, InvalidConfig> {
        Ok(Self {
            endpoint: Endpoint::parse(url)?,
            #[cfg(feature = "tls")]
            roots: tls::Roots::default(),
        })
    }

    /// Accepts servers whose certificate was issued by one of these, in PEM, beside those of the system.
    #[cfg(feature = "tls")]
    pub fn root_certificates(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.roots.add(pem.into());
        self
    }

    /// The host.
    pub fn host(&self) -> &str {
        &self.endpoint.host
    }

    /// The port.
    pub const fn port(&self) -> u16 {
        self.endpoint.port
    }

    /// What [`HealthMonitor::register`](crate::HealthMonitor::register) takes.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] that names `root_certificates`, where the URL asks for TLS and there are none, or
    /// some that cannot be read.
    pub fn into_check(
        self,
    ) -> Result<
        impl Fn() -> Pin<Box<dyn Future<Output = CheckResult> + Send>> + Send + Sync + 'static,
        InvalidConfig,
    > {
        let target = Arc::new(Target {
            #[cfg(feature = "tls")]
            connector: match self.endpoint.probe {
                Probe::Tls | Probe::Https => Some(self.roots.connector(&self.endpoint.host)?),
                Probe::Tcp | Probe::Http => None,
            },
            endpoint: self.endpoint,
        });
        Ok(move || -> Running {
            let target = Arc::clone(&target);
            Box::pin(async move { target.probe().await })
        })
    }
}

struct Target {
    endpoint: Endpoint,
    #[cfg(feature = "tls")]
    connector: Option<tls::Connector>,
}

impl Target {
    async fn probe(&self) -> CheckResult {
        let Endpoint { host, port, .. } = &self.endpoint;
        let mut addresses = match tokio::net::lookup_host((host.as_str(), *port)).await {
            Ok(addresses) => addresses.collect::<Vec<_>>(),
            Err(error) => return CheckResult::failed(format!("`{host}` is not resolved: {error}")),
        };
        // As clients do, both families are tried; a set of thousands is no answer.
        addresses.truncate(8);
        let stream = match TcpStream::connect(&*addresses).await {
            Ok(stream) => stream,
            Err(error) => {
                return CheckResult::failed(format!("no connection to {}: {error}", self.endpoint));
            }
        };
        #[cfg(feature = "tls")]
        if let Some(connector) = &self.connector {
            return match connector.connect(stream).await {
                Ok(stream) => self.speak(stream).await,
                Err(error) => {
                    CheckResult::failed(format!("no TLS with {}: {error}", self.endpoint))
                }
            };
        }
        self.speak(stream).await
    }

    async fn speak(&self, mut stream: impl AsyncRead + AsyncWrite + Unpin) -> CheckResult {
        let result = match self.endpoint.probe {
            Probe::Tcp | Probe::Tls => CheckResult::healthy(),
            Probe::Http | Probe::Https => match self.request(&mut stream).await {
                Ok(status) if status < 500 => CheckResult::healthy(),
                Ok(status) => CheckResult::failed(format!("{} answers {status}", self.endpoint)),
                Err(error) => {
                    CheckResult::failed(format!("no HTTP from {}: {error}", self.endpoint))
                }
            },
        };
        // The peer has to know that it is over; whether it takes notice is its own affair.
        let _ = stream.shutdown().await;
        result
    }

    /// Sends a `HEAD` request and reads the status.
    async fn request(&self, stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> io::Result<u16> {
        let (path, host) = (&self.endpoint.path, self.endpoint.authority());
        let agent = concat!("seawall-health/", env!("CARGO_PKG_VERSION"));
        let request = format!(
            "HEAD {path} HTTP/1.1\r\nhost: {host}\r\nuser-agent: {agent}\r\naccept: */*\r\nconnection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await?;
        stream.flush().await?;
        let mut response = Vec::with_capacity(STATUS_LINE);
        let mut buffer = [0; STATUS_LINE];
        let (mut left, mut is_open) = (RESPONSE, true);
        loop {
            if let Some(read) = read_status(&mut response, !is_open || left == 0) {
                let error = || io::Error::new(io::ErrorKind::InvalidData, "no status line");
                return read.ok_or_else(error);
            }
            let most = left.min(STATUS_LINE);
            let read = stream.read(&mut buffer[..most]).await?;
            response.extend_from_slice(&buffer[..read]);
            left -= read;
            is_open = read > 0;
        }
    }
}

/// The status of the final response, or that there is none; `None` while more has to be read, unless that
/// was all. Interim responses (RFC 9110, section 15.2) are left out.
#[allow(clippy::option_option, reason = "not yet, and never")]
fn read_status(response: &mut Vec<u8>, was_all: bool) -> Option<Option<u16>> {
    loop {
        let is_line = response.contains(&b'\n') || response.len() >= STATUS_LINE;
        if !is_line && !was_all {
            return None;
        }
        let status = status(response);
        // 101 is final: nothing was to be upgraded, so nothing follows.
        if !status.is_some_and(|status| status < 200 && status != 101) {
            return Some(status);
        }
        let end = response.windows(4).position(|four| four == b"\r\n\r\n");
        let Some(end) = end else {
            return was_all.then_some(None);
        };
        response.drain(..end + 4);
    }
}

/// The status of a status line, RFC 9112, section 4.
fn status(line: &[u8]) -> Option<u16> {
    let rest = line.strip_prefix(b"HTTP/1.")?;
    let (b'0'..=b'9', rest) = rest.split_first()? else {
        return None;
    };
    let digits = rest.strip_prefix(b" ")?.get(..3)?;
    let status: u16 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    // After the digits a space, or the end of the line.
    let is_over = matches!(rest.get(4), Some(b' ' | b'\r' | b'\n'));
    (is_over && (100..1_000).contains(&status)).then_some(status)
}

#[cfg(test)]
mod tests {
    use super::{read_status, status};
    use proptest::prelude::*;

    #[test]
    fn status_lines_are_read() {
        assert_eq!(status(b"HTTP/1.1 200 OK\r\n"), Some(200));
        assert_eq!(status(b"HTTP/1.0 503\r\n"), Some(503));
        for wrong in [
            &b""[..],
            b"HTTP/1.1",
            b"HTTP/2 200\r\n",
            b"HTTP/1.1 2000 OK\r\n",
            b"HTTP/1.1 20\r\n",
            b"HTTP/1.1 +20 OK\r\n",
            b"HTTP/1.1 099 OK\r\n",
            b"HTTP/1.x 200 OK\r\n",
            b"SSH-2.0-x\r\n",
            b"HTTP/1.1  200 OK\r\n",
            b"HTTP/1.1 200",
        ] {
            assert_eq!(status(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn interim_responses_are_left_out() {
        let read = |text: &str, was_all| read_status(&mut text.as_bytes().to_vec(), was_all);
        let interim = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n";
        let then = |text: &str| format!("{interim}{text}");
        assert_eq!(read(&then("HTTP/1.1 503 x\r\n"), false), Some(Some(503)));
        assert_eq!(read(&then("HTTP/1.1 503"), false), None, "it goes on");
        assert_eq!(read(&then(""), false), None);
        assert_eq!(read(&then(""), true), Some(None), "nothing final came");
        assert_eq!(read("HTTP/1.1 100 Continue\r\n", false), None);
        assert_eq!(read("HTTP/1.1 100 Continue\r\n", true), Some(None));
        assert_eq!(read("HTTP/1.1 101 x\r\n", false), Some(Some(101)));
        assert_eq!(read("SSH-2.0-x\r\n", false), Some(None));
        assert_eq!(read(&"x".repeat(256), false), Some(None));
    }

    proptest! {
        /// However it is cut into pieces, the status is the same.
        #[test]
        fn pieces_make_no_difference(cut in 1_usize..20, interim in 0_usize..4) {
            let text = "HTTP/1.1 102 wait\r\na: b\r\n\r\n".repeat(interim) + "HTTP/1.1 204 fine\r\n";
            let (mut response, mut status) = (Vec::new(), None);
            for piece in text.as_bytes().chunks(cut) {
                prop_assert_eq!(status, None);
                response.extend_from_slice(piece);
                status = read_status(&mut response, false);
            }
            prop_assert_eq!(status, Some(Some(204)));
        }

        #[test]
        fn no_bytes_make_it_panic(line in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = status(&line);
            let _ = status(&[b"HTTP/1.1 ", &*line].concat());
        }
    }
}
