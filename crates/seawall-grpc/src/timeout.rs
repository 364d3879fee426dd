//! The deadline of a call, as gRPC sends it.

use std::time::Duration;

use http::{HeaderName, HeaderValue};
use seawall_http::deadline::{
    DeadlineFormat, ReadDeadlineConfig, ReadDeadlineLayer, WriteDeadlineLayer,
};

/// The metadata key in which a client sends how long the response is of use.
pub const GRPC_TIMEOUT: &str = "grpc-timeout";

static HEADER: HeaderName = HeaderName::from_static(GRPC_TIMEOUT);

/// The largest number of eight digits.
const MAX: u64 = 99_999_999;

/// The units by their letter, finest first: how many seconds or nanoseconds one is.
const UNITS: [(u8, u64, u64); 6] = [
    (b'n', 0, 1),
    (b'u', 0, 1_000),
    (b'm', 0, 1_000_000),
    (b'S', 1, 0),
    (b'M', 60, 0),
    (b'H', 3_600, 0),
];

/// The time in a value of `grpc-timeout`: one to eight digits and a unit of `H`, `M`, `S`,
/// `m` (milliseconds), `u` or `n`, by the specification of gRPC over HTTP/2. `None` for anything
/// else.
///
/// ```
/// use std::time::Duration;
/// use seawall_grpc::parse_timeout;
///
/// assert_eq!(parse_timeout(b"1500m"), Some(Duration::from_millis(1_500)));
/// assert_eq!(parse_timeout(b"1M"), Some(Duration::from_secs(60)));
/// assert_eq!(parse_timeout(b"soon"), None);
/// ```
pub fn parse_timeout(value: &[u8]) -> Option<Duration> {
    let (unit, digits) = value.split_last()?;
    if digits.is_empty() || digits.len() > 8 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number: u64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    let (_, seconds, ns) = UNITS.iter().find(|(letter, ..)| letter == unit)?;
    // Eight digits of any unit fit.
    let whole = Duration::from_secs(number.saturating_mul(*seconds));
    Some(whole.saturating_add(Duration::from_nanos(number.saturating_mul(*ns))))
}

/// A time as a value of `grpc-timeout`: in the finest unit in which it fits into eight digits,
/// rounded down so that no more is promised than is left; at most 99,999,999 hours, and for zero,
/// which gRPC does not allow, a nanosecond.
///
/// ```
/// use std::time::Duration;
/// use seawall_grpc::format_timeout;
///
/// assert_eq!(format_timeout(Duration::from_micros(2_500)), "2500000n");
/// assert_eq!(format_timeout(Duration::from_secs(10)), "10000000u");
/// assert_eq!(format_timeout(Duration::MAX), "99999999H");
/// ```
pub fn format_timeout(left: Duration) -> HeaderValue {
    let left = left.max(Duration::from_nanos(1));
    let fits = UNITS.iter().find_map(|(letter, seconds, ns)| {
        let number = if *seconds > 0 {
            u128::from(left.as_secs() / seconds)
        } else {
            left.as_nanos() / u128::from(*ns)
        };
        let number = u64::try_from(number).ok()?;
        (number <= MAX).then_some((number, *letter))
    });
    let (number, letter) = fits.unwrap_or((MAX, b'H'));
    // On the stack: the header's value is the only allocation.
    let mut text = [0; 9];
    let mut at = text.len() - 1;
    text[at] = letter;
    let mut rest = number;
    loop {
        at -= 1;
        // One digit, so it fits.
        text[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 || at == 0 {
            break;
        }
    }
    HeaderValue::from_bytes(&text[at..]).expect("digits and a letter are a header's value")
}

/// `grpc-timeout` as a header that layers read and write.
///
/// Client: [`write_grpc_timeout`] next to the channel, inside of retry. Server:
/// [`read_grpc_timeout`] outermost. A shorter timeout that tonic's `Request::set_timeout` wrote
/// is kept. See [`seawall_http::deadline`] for what is ignored.
///
/// ```
/// use std::time::Duration;
/// use http::Request;
/// use seawall_grpc::{read_grpc_timeout, write_grpc_timeout};
/// use seawall_http::deadline::{ReadDeadlineConfig, RequestDeadline, deadline_of};
/// use tokio::time::Instant;
/// use tower::{ServiceBuilder, ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let server = ServiceBuilder::new()
///     .layer(read_grpc_timeout("quotes", ReadDeadlineConfig::default()))
///     .service(service_fn(|request: Request<()>| async move {
///         Ok::<_, std::io::Error>(deadline_of(&request))
///     }));
/// // In place of a channel.
/// let client = ServiceBuilder::new().layer(write_grpc_timeout()).service(server);
///
/// let mut request = Request::new(());
/// let deadline = Instant::now() + Duration::from_secs(2);
/// request.extensions_mut().insert(RequestDeadline(deadline));
/// assert_eq!(client.oneshot(request).await?, Some(deadline));
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GrpcTimeout;

impl DeadlineFormat for GrpcTimeout {
    fn header(&self) -> &HeaderName {
        &HEADER
    }

    fn parse(&self, value: &[u8]) -> Option<Duration> {
        parse_timeout(value)
    }

    fn format(&self, left: Duration) -> HeaderValue {
        format_timeout(left)
    }
}

/// A layer that writes what is left of each request's deadline into `grpc-timeout`.
pub fn write_grpc_timeout() -> WriteDeadlineLayer<GrpcTimeout> {
    WriteDeadlineLayer::new().header(GrpcTimeout)
}

/// A layer that reads `grpc-timeout` into each request's deadline; `name` is that of its counter of
/// ignored headers.
pub fn read_grpc_timeout(
    name: impl Into<seawall_core::InstanceName>,
    config: ReadDeadlineConfig,
) -> ReadDeadlineLayer<GrpcTimeout> {
    ReadDeadlineLayer::new(name, config).header(GrpcTimeout)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_unit_is_read() {
        for (text, seconds, ns) in [
            ("2H", 7_200, 0),
            ("2M", 120, 0),
            ("2S", 2, 0),
            ("2m", 0, 2_000_000),
            ("2u", 0, 2_000),
            ("2n", 0, 2),
            ("0n", 0, 0),
            ("00000002n", 0, 2),
            ("99999999H", 359_999_996_400, 0),
        ] {
            let time = Duration::new(seconds, ns);
            assert_eq!(parse_timeout(text.as_bytes()), Some(time), "{text}");
        }
    }

    #[test]
    fn garbage_is_none() {
        for garbage in [
            "",
            "S",
            "1",
            "1s",
            "1h",
            "-1S",
            "+1S",
            "1.5S",
            " 1S",
            "1 S",
            "1S ",
            "123456789n",
            "1SS",
            "\u{661}S",
            "nan",
        ] {
            assert_eq!(parse_timeout(garbage.as_bytes()), None, "{garbage:?}");
        }
    }

    #[test]
    fn each_time_is_written_in_the_finest_unit_that_fits() {
        for (ns, text) in [
            (0, "1n"),
            (1, "1n"),
            (99_999_999, "99999999n"),
            (100_000_000, "100000u"),
            (99_999_999_999, "99999999u"),
            (100_000_000_000, "100000m"),
            (100_000_000_000_000, "100000S"),
            (100_000_000_000_000_000, "1666666M"),
        ] {
            assert_eq!(format_timeout(Duration::from_nanos(ns)), text);
        }
        assert_eq!(
            format_timeout(Duration::from_secs(u64::MAX / 2)),
            "99999999H"
        );
        assert_eq!(
            format_timeout(Duration::from_secs(6_000_000_000)),
            "1666666H"
        );
    }

    proptest! {
        #[test]
        fn parsing_never_panics(value in proptest::collection::vec(any::<u8>(), 0..16)) {
            let _ = parse_timeout(&value);
        }

        #[test]
        fn every_well_formed_value_is_read(number in 0..=MAX, unit in 0_usize..6) {
            let (letter, seconds, ns) = UNITS[unit];
            let text = format!("{number}{}", char::from(letter));
            let time = Duration::from_secs(number * seconds) + Duration::from_nanos(number * ns);
            prop_assert_eq!(parse_timeout(text.as_bytes()), Some(time));
        }

        #[test]
        fn what_is_written_is_read_and_never_longer(seconds in 0_u64..99_999_999 * 3_600, ns in 1_u32..1_000_000_000) {
            let left = Duration::new(seconds, ns);
            let value = format_timeout(left);
            prop_assert!(value.len() <= 9);
            let read = parse_timeout(value.as_bytes()).unwrap();
            prop_assert!(read <= left);
            // The unit that was left out, against eight digits of it.
            prop_assert!((left - read).as_secs_f64() <= left.as_secs_f64() * 1e-4);
        }
    }
}
