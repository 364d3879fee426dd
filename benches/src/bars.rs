//! What the layers have to reach, and whether they do.
//!
//! Nearly every bar compares rows of one run, so it means the same on any machine. Those that count
//! nanoseconds assume a core of about 2.5 GHz or better.

use std::fmt;

use crate::crowd::{Batch, Batches};
use crate::harness::Row;
use crate::subjects::Extra;

/// All that was measured.
pub(crate) struct Figures<'a> {
    rows: &'a [Row],
    extras: &'a [(Extra, f64)],
    crowds: &'a [Batches],
}

impl<'a> Figures<'a> {
    pub(crate) fn new(rows: &'a [Row], extras: &'a [(Extra, f64)], crowds: &'a [Batches]) -> Self {
        Self {
            rows,
            extras,
            crowds,
        }
    }

    fn row(&self, subject: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.subject == subject)
    }

    fn ns(&self, subject: &str) -> Option<f64> {
        self.row(subject).map(|row| row.ns_median)
    }

    /// What a row takes more than another one.
    fn above(&self, subject: &str, other: &str) -> Option<f64> {
        Some(self.ns(subject)? - self.ns(other)?)
    }

    fn two_threads(&self, subject: &str) -> Option<f64> {
        self.row(subject)?.two_threads
    }

    /// Calls per microsecond of two threads.
    fn together(&self, subject: &str) -> Option<f64> {
        self.row(subject)?.together
    }

    /// The figure of a crowd over that of another.
    fn crowds(&self, [one, other]: [&str; 2], figure: fn(&Batch) -> f64) -> Option<f64> {
        let find = |name| self.crowds.iter().find(|crowd| crowd.name == name);
        Some(find(one)?.over(find(other)?, figure))
    }

    fn extra(&self, extra: Extra) -> Option<f64> {
        let found = self.extras.iter().find(|(known, _)| *known == extra)?;
        Some(found.1)
    }
}

/// Whether a row is of a stack whose requests are HTTP.
fn is_http(row: &Row) -> bool {
    ["seawall/stack/http", "seawall/http/"]
        .iter()
        .any(|prefix| row.subject.starts_with(prefix))
}

/// The most allocations per call of any row of ours, save for HTTP and for calls that wait: what
/// waits is boxed.
fn allocations(figures: &Figures<'_>) -> Option<f64> {
    let ours = figures.rows.iter();
    let ours = ours.filter(|row| row.subject.starts_with("seawall/") && !is_http(row));
    let ours = ours.filter(|row| !row.subject.ends_with("/waiting"));
    // What a second of monitoring does is no call.
    let ours = ours.filter(|row| !row.subject.starts_with("seawall/monitor/"));
    // That is of a call that has failed.
    let ours = ours.filter(|row| row.subject != "seawall/ai/classify");
    ours.map(|row| row.allocs).reduce(f64::max)
}

impl Figures<'_> {
    /// The highest figure of the HTTP stacks of every kind, in one case.
    fn http(&self, case: &str, figure: fn(&Row) -> f64) -> Option<f64> {
        let rows = self.rows.iter();
        let rows = rows.filter(|row| row.subject.starts_with("seawall/http/"));
        let of_case = rows.filter(|row| row.subject.ends_with(case));
        of_case.map(figure).reduce(f64::max)
    }

    /// Allocations beside those of the client and of its requests.
    fn http_allocations(&self, case: &str) -> Option<f64> {
        let client = self.row(&format!("raw/http{case}"))?;
        Some(self.http(&case.replacen('/', "-", 1), |row| row.allocs)? - client.allocs)
    }
}

const CONTENDED: [&str; 2] = ["seawall/bulkhead/contended", "tokio/bulkhead/semaphore"];
const LOOPBACK: [&str; 2] = ["seawall/loopback/http", "raw/loopback/client"];

enum Bar {
    /// The figure must not be over the limit.
    AtMost(&'static str, &'static str, Pick, Pick),
    /// The figure must not be under the limit.
    AtLeast(&'static str, &'static str, Pick, Pick),
}

type Pick = fn(&Figures<'_>) -> Option<f64>;

use Bar::{AtLeast, AtMost};

#[rustfmt::skip]
const BARS: &[Bar] = &[
    AtMost("allocations per call that need not wait, of any layer or stack", "0",
        allocations, |_| Some(0.0)),
    AtMost("http stack, ns", "1.5x five layers and the client",
        |f| f.http("-get", |row| row.ns_median),
        |f| Some(1.5 * (f.ns("seawall/stack/five")? + f.ns("raw/http/get")?))),
    AtMost("http stack, allocations per call", "0",
        |f| f.http_allocations("/get"), |_| Some(0.0)),
    AtMost("http stack, 6 headers, sent once, allocations per call", "0",
        |f| f.http_allocations("/post-6"), |_| Some(0.0)),
    AtMost("http stack, 6 headers, may be repeated, allocations per call", "those of one copy",
        |f| f.http_allocations("/get-6"), |f| Some(f.row("raw/http/copy-6")?.allocs)),
    AtMost("http stack, future, bytes", "640",
        |f| f.http("-get", |row| row.future_bytes as f64), |_| Some(640.0)),
    AtLeast("http stack, two threads over one", "1.7x",
        |f| f.two_threads("seawall/http/broker-get"), |_| Some(1.7)),
    AtLeast("http stack over a connection, throughput over that of the client", "0.97x",
        |f| f.crowds(LOOPBACK, |batch| batch.calls_per_ms), |_| Some(0.97)),
    AtMost("breaker closed, count window, ns", "1.2x recloser's async call",
        |f| f.ns("seawall/breaker/closed-count"),
        |f| Some(1.2 * f.ns("recloser/breaker/closed-count-async")?)),
    AtMost("breaker closed, time window, ns", "count window + 1.3 clock reads",
        |f| f.ns("seawall/breaker/closed-time"),
        |f| Some(f.ns("seawall/breaker/closed-count")? + 1.3 * f.ns("raw/clock/fast")?)),
    AtMost("breaker closed, slow calls judged, ns", "time window + one clock read",
        |f| f.ns("seawall/breaker/closed-slow"),
        |f| Some(f.ns("seawall/breaker/closed-time")? + f.ns("raw/clock/fast")?)),
    AtMost("breaker, 1,000,000 calls in the count window, ns", "1.1x that with 100",
        |f| f.ns("seawall/breaker/failing-count-1m"),
        |f| Some(1.1 * f.ns("seawall/breaker/failing-count-100")?)),
    AtMost("breaker, 1,000,000 calls in the time window, ns", "1.1x that with 100",
        |f| f.ns("seawall/breaker/failing-time-1m"),
        |f| Some(1.1 * f.ns("seawall/breaker/failing-time-100")?)),
    AtMost("gate and breaker, closed, ns", "breaker + 20 ns",
        |f| f.ns("seawall/breaker/with-gate"),
        |f| Some(f.ns("seawall/breaker/closed-count")? + 20.0)),
    AtMost("breaker open, rejection, ns", "recloser's",
        |f| f.ns("seawall/breaker/refused"), |f| f.ns("recloser/breaker/refused")),
    AtMost("breaker open, p99.9 of rejections with 64 tasks, ns", "10 us",
        |f| f.extra(Extra::RejectionTail), |_| Some(10_000.0)),
    AtLeast("closed breaker, two threads over one", "1.9x",
        |f| f.two_threads("seawall/breaker/closed-count"), |_| Some(1.9)),
    AtLeast("closed breaker cloned per call, two threads over one", "1.8x",
        |f| f.two_threads("seawall/breaker/closed-count-cloned"), |_| Some(1.8)),
    AtMost("a change to its subscriber, two threads calling, median, us", "5 ms",
        |f| Some(f.extra(Extra::EventMedian)? / 1e3), |_| Some(5_000.0)),
    AtMost("a change to its subscriber, two threads calling, p99, us", "5 ms",
        |f| Some(f.extra(Extra::EventTail)? / 1e3), |_| Some(5_000.0)),
    AtMost("a change to its subscriber, two threads calling, longest of 2,000, us", "5 ms",
        |f| Some(f.extra(Extra::EventLongest)? / 1e3), |_| Some(5_000.0)),
    AtMost("a snapshot of 1,000 components, ms", "5 ms",
        |f| Some(f.extra(Extra::Snapshot)? / 1e6), |_| Some(5.0)),
    AtMost("1,000 components published and rendered for Prometheus, ms", "50 ms",
        |f| Some(f.extra(Extra::Scrape)? / 1e6), |_| Some(50.0)),
    AtMost("a scrape of 1,000 components by the admin route, ms", "50 ms",
        |f| Some(f.extra(Extra::ScrapeRoute)? / 1e6), |_| Some(50.0)),
    AtMost("a list of 1,000 components by the admin route, ms", "50 ms",
        |f| Some(f.extra(Extra::ComponentsRoute)? / 1e6), |_| Some(50.0)),
    AtMost("an overview of 100 services by the admin route, ms", "20 ms",
        |f| Some(f.extra(Extra::OverviewRoute)? / 1e6), |_| Some(20.0)),
    AtMost("a comprehensive health report by the admin route, ms", "5 ms",
        |f| Some(f.extra(Extra::HealthRoute)? / 1e6), |_| Some(5.0)),
    AtMost("the first viewer of 100 services, % of a core", "2 %",
        |f| f.extra(Extra::FirstViewer), |_| Some(2.0)),
    AtMost("p99 of calls beside 100 viewers, 10 of them stalled, over that without", "1.5x",
        |f| Some(f.extra(Extra::CallsViewed)? / f.extra(Extra::CallsAlone)?), |_| Some(1.5)),
    AtMost("breaker, bytes", "512 + 384 per stripe",
        |f| f.extra(Extra::BreakerBytes),
        |_| Some(512.0 + 384.0 * seawall_core::striped::Stripes::auto().get() as f64)),
    AtMost("breaker per key, one key, ns", "breaker + 60 ns",
        |f| f.ns("seawall/breaker/per-key-one"),
        |f| Some(f.ns("seawall/breaker/closed-count")? + 60.0)),
    AtMost("breaker per key, bytes per key with 100,000 keys", "640",
        |f| f.extra(Extra::KeyBytes), |_| Some(640.0)),
    AtMost("rate limit, granted, ns", "1.3x governor",
        |f| f.ns("seawall/ratelimit/granted"),
        |f| Some(1.3 * f.ns("governor/ratelimit/granted")?)),
    AtLeast("rate limit, granted, calls per us of two threads", "0.8x governor's",
        |f| f.together("seawall/ratelimit/granted"),
        |f| Some(0.8 * f.together("governor/ratelimit/granted")?)),
    AtMost("rate limit, rejected, ns", "1.3x governor",
        |f| f.ns("seawall/ratelimit/refused"),
        |f| Some(1.3 * f.ns("governor/ratelimit/refused")?)),
    AtMost("rate limit per key, 10,000 keys, ns", "governor",
        |f| f.ns("seawall/ratelimit/per-key-10k"),
        |f| f.ns("governor/ratelimit/per-key-10k")),
    AtMost("rate limit per key, bytes per key with 1,000,000 keys", "64",
        |f| f.extra(Extra::LimitKeyBytes), |_| Some(64.0)),
    AtMost("bulkhead, free, ns", "0.8x tower's ConcurrencyLimit",
        |f| f.ns("seawall/bulkhead/free"), |f| Some(0.8 * f.ns("tower/bulkhead/free")?)),
    AtLeast("bulkhead, free, calls per us of two threads", "tower's ConcurrencyLimit",
        |f| f.together("seawall/bulkhead/free"), |f| f.together("tower/bulkhead/free")),
    AtLeast("bulkhead, 64 tasks at 8 permits, throughput over tokio's semaphore", "1x",
        |f| f.crowds(CONTENDED, |batch| batch.calls_per_ms), |_| Some(1.0)),
    AtMost("bulkhead, 64 tasks at 8 permits, p99 of the wait over tokio's semaphore", "1x",
        |f| f.crowds(CONTENDED, |batch| batch.p99_us), |_| Some(1.0)),
    AtMost("timeout, response at once, ns", "1/8 of tower's Timeout",
        |f| f.ns("seawall/timeout/ready"), |f| Some(f.ns("tower/timeout/ready")? / 8.0)),
    AtMost("timeout, response at the second poll, ns", "tower's Timeout",
        |f| f.ns("seawall/timeout/pending"), |f| f.ns("tower/timeout/pending")),
    AtMost("retry, none needed, ns", "tower's Retry + 22 ns",
        |f| f.ns("seawall/retry/plain"), |f| Some(f.ns("tower/retry/plain")? + 22.0)),
    AtMost("retry with budget, none needed, ns", "0.5x tower's Retry with TpsBudget",
        |f| f.ns("seawall/retry/budget"), |f| Some(0.5 * f.ns("tower/retry/budget")?)),
    AtMost("hedge, not fired, ns", "1/3 of tower's Hedge",
        |f| f.ns("seawall/hedge/not-fired"), |f| Some(f.ns("tower/hedge/not-fired")? / 3.0)),
    AtMost("fallback, not used, ns above the leaf", "10",
        |f| f.above("seawall/fallback/not-used", "raw/leaf/ready"), |_| Some(10.0)),
    AtMost("fallback, answered by a value, ns", "seatbelt's",
        |f| f.ns("seawall/fallback/answered"), |f| f.ns("seatbelt/fallback/answered")),
    AtMost("cache, hit, ns above the store's own get and clone", "60",
        |f| f.above("seawall/cache/hit", "quick-cache/cache/get"), |_| Some(60.0)),
    AtMost("coalescing, idle key, ns", "120",
        |f| f.ns("seawall/coalesce/idle"), |_| Some(120.0)),
    AtMost("chaos, off, ns above the leaf", "2",
        |f| f.above("seawall/chaos/off", "raw/leaf/ready"), |_| Some(2.0)),
    AtMost("five layers, count window, ns", "0.7x tower's five, which have no breaker",
        |f| f.ns("seawall/stack/five"), |f| Some(0.7 * f.ns("tower/stack/five")?)),
    AtMost("five layers, time window, slow calls judged, ns", "tower's five",
        |f| f.ns("seawall/stack/five-slow"), |f| f.ns("tower/stack/five")),
    AtMost("comprehensive health of 100 checks as JSON, us", "5 ms",
        |f| f.extra(Extra::HealthReport), |_| Some(5_000.0)),
    AtMost("five layers, ns", "1/6 of tower-resilience's five",
        |f| f.ns("seawall/stack/five"), |f| Some(f.ns("tower-resilience/stack/five")? / 6.0)),
];

/// One line per bar.
#[derive(Debug)]
pub(crate) struct Judgement(Vec<String>);

impl fmt::Display for Judgement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

impl Judgement {
    /// Without the bars whose rows are not among those that were measured.
    pub(crate) fn of_measured(mut self) -> Self {
        self.0.retain(|line| !line.starts_with(NOT_MEASURED));
        self
    }
}

const NOT_MEASURED: &str = "not measured";

/// Judges every bar.
pub(crate) fn judge(figures: &Figures<'_>) -> Judgement {
    Judgement(BARS.iter().map(|bar| bar.line(figures)).collect())
}

impl Bar {
    fn line(&self, figures: &Figures<'_>) -> String {
        let (what, limit, figure, bound, sign) = match self {
            AtMost(what, limit, figure, bound) => (what, limit, figure, bound, "<="),
            AtLeast(what, limit, figure, bound) => (what, limit, figure, bound, ">="),
        };
        let (Some(figure), Some(bound)) = (figure(figures), bound(figures)) else {
            return format!("{NOT_MEASURED:<14} {what}: {limit}");
        };
        let reached = match self {
            AtMost(..) => figure <= bound,
            _ => figure >= bound,
        };
        let word = if reached { "reached" } else { "short" };
        format!(
            "{word:<14} {what}: {} {sign} {} ({limit})",
            plain(figure),
            plain(bound)
        )
    }
}

/// Two decimals for small figures, none for large ones.
fn plain(figure: f64) -> String {
    match figure {
        0.0 => "0".to_owned(),
        f if f < 10.0 => format!("{f:.2}"),
        f if f < 1_000.0 => format!("{f:.1}"),
        f => format!("{f:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(subject: &'static str, ns_median: f64) -> Row {
        Row {
            subject,
            ns_median,
            ns_min: ns_median,
            allocs: 0.0,
            bytes: 0.0,
            service_bytes: 0,
            future_bytes: 0,
            two_threads: None,
            together: None,
            disturbed: false,
        }
    }

    fn line(rows: &[Row], what: &str) -> String {
        let lines = judge(&Figures::new(rows, &[], &[])).0;
        let found = lines.into_iter().find(|line| line.contains(what));
        found.expect(what)
    }

    #[test]
    fn a_bar_says_reached_or_short_with_its_figures() {
        let fast = [
            row("seawall/timeout/ready", 5.5),
            row("tower/timeout/ready", 48.0),
        ];
        assert_eq!(
            line(&fast, "timeout"),
            "reached        timeout, response at once, ns: 5.50 <= 6.00 (1/8 of tower's Timeout)"
        );
        let slow = [
            row("seawall/timeout/ready", 16.5),
            row("tower/timeout/ready", 48.0),
        ];
        assert!(line(&slow, "timeout").starts_with("short "));
    }

    #[test]
    fn a_bar_whose_rows_were_filtered_out_is_not_measured() {
        let half = [row("seawall/timeout/ready", 9.0)];
        assert!(line(&half, "timeout").starts_with("not measured "));
        let measured = judge(&Figures::new(&half, &[], &[])).of_measured();
        assert!(!measured.to_string().contains("timeout"));
    }

    #[test]
    fn one_allocation_in_any_row_of_ours_is_short() {
        let mut rows = [row("seawall/a/b", 1.0), row("tower/a/b", 1.0)];
        rows[1].allocs = 2.0;
        assert!(line(&rows, "allocations").starts_with("reached "));
        rows[0].allocs = 0.5;
        assert!(line(&rows, "allocations").starts_with("short "));
    }

    #[test]
    fn allocations_of_the_client_and_of_its_requests_are_not_those_of_the_stack() {
        let mut rows = [
            row("seawall/http/broker-get-6", 1.0),
            row("raw/http/get-6", 1.0),
            row("raw/http/copy-6", 1.0),
        ];
        let what = "may be repeated, allocations";
        (rows[0].allocs, rows[1].allocs, rows[2].allocs) = (4.0, 2.0, 2.0);
        assert!(line(&rows, what).starts_with("reached "));
        rows[0].allocs = 5.0;
        assert!(line(&rows, what).starts_with("short "));
    }

    #[test]
    fn every_subject_that_a_bar_names_exists() {
        let names: Vec<_> = crate::subjects::all().iter().map(|s| s.name).collect();
        let mut rows: Vec<_> = names.iter().map(|name| row(name, 1.0)).collect();
        for row in &mut rows {
            (row.two_threads, row.together) = (Some(1.0), Some(1.0));
        }
        let extras: Vec<_> = Extra::ALL.iter().map(|&extra| (extra, 1.0)).collect();
        let batch = Batch {
            calls_per_ms: 1.0,
            median_us: 1.0,
            p99_us: 1.0,
        };
        let crowds: Vec<_> = crate::subjects::crowds()
            .iter()
            .map(|crowd| Batches::of(crowd.name, vec![batch]))
            .collect();
        let all = judge(&Figures::new(&rows, &extras, &crowds)).to_string();
        assert!(!all.contains("not measured"), "{all}");
    }
}
