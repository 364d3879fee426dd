//! Arrivals and token counts: read from a file, or made up.

use std::fmt;
use std::fmt::Write;
use std::time::Duration;

/// The columns of the Azure traces of LLM inference.
pub(crate) const HEADER: &str = "TIMESTAMP,ContextTokens,GeneratedTokens";

/// One request of the trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Arrival {
    /// After the first one.
    pub(crate) at: Duration,
    /// Tokens of the prompt.
    pub(crate) input: u32,
    /// Tokens of the result.
    pub(crate) output: u32,
}

/// What is wrong in which line, and what is accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BadTrace {
    line: usize,
    what: String,
}

impl fmt::Display for BadTrace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.what)
    }
}

impl std::error::Error for BadTrace {}

/// Reads a trace; lines may end with a carriage return.
pub(crate) fn read(text: &str) -> Result<Vec<Arrival>, BadTrace> {
    let mut lines = text.lines().zip(1..);
    let header = lines.next().map_or("", |(line, _)| line.trim_end());
    if header != HEADER {
        let what = format!("the header is {:?}: expected {HEADER}", clipped(header));
        return Err(BadTrace { line: 1, what });
    }
    let mut first = None;
    let mut last = Duration::ZERO;
    let mut arrivals = Vec::new();
    for (text, line) in lines {
        let bad = |what| BadTrace { line, what };
        let mut fields = text.trim_end().split(',');
        let (Some(time), Some(input), Some(output), None) =
            (fields.next(), fields.next(), fields.next(), fields.next())
        else {
            let fields = text.split(',').count();
            return Err(bad(format!("{fields} fields: expected 3, {HEADER}")));
        };
        let now = instant(time).ok_or_else(|| {
            let time = clipped(time);
            bad(format!(
                "TIMESTAMP is {time:?}: expected a time as 2023-11-16 18:17:03.9799600"
            ))
        })?;
        let at = now.checked_sub(*first.get_or_insert(now));
        let at = at.filter(|at| *at >= last).ok_or_else(|| {
            bad(format!(
                "TIMESTAMP is {time:?}: expected one that is not before the line above"
            ))
        })?;
        last = at;
        let tokens = |name, text: &str| {
            let tokens = text.parse().ok().filter(|tokens| *tokens <= MAX_TOKENS);
            tokens.ok_or_else(|| {
                let text = clipped(text);
                bad(format!(
                    "{name} is {text:?}: expected a whole number from 0 to {MAX_TOKENS}"
                ))
            })
        };
        arrivals.push(Arrival {
            at,
            input: tokens("ContextTokens", input)?,
            output: tokens("GeneratedTokens", output)?,
        });
    }
    if arrivals.is_empty() {
        let what = "the trace ends: expected at least one request".to_owned();
        return Err(BadTrace { line: 2, what });
    }
    Ok(arrivals)
}

/// More than any model reads or writes.
const MAX_TOKENS: u32 = 10_000_000;

/// The beginning of what stands there, for a message.
fn clipped(text: &str) -> String {
    text.chars().take(60).collect()
}

/// Time since 0000-03-01.
fn instant(text: &str) -> Option<Duration> {
    let (date, time) = text.split_once(' ')?;
    let [year, month, day] = three(date.split('-'))?;
    let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let [hour, minute, second] = three(time.split(':'))?;
    let valid = (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && (hour, minute, second) < (24, 0, 0)
        && minute < 60
        && second < 60
        && (1..=9_999).contains(&year);
    let digits = !fraction.is_empty() && fraction.bytes().all(|digit| digit.is_ascii_digit());
    if !valid || !digits || fraction.len() > 9 {
        return None;
    }
    // Years that begin in March, so that a leap day is the last.
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1;
    let seconds = ((days * 24 + hour) * 60 + minute) * 60 + second;
    let nanos = format!("{fraction:0<9}").parse().ok()?;
    Some(Duration::new(seconds, nanos))
}

fn three<'a>(mut parts: impl Iterator<Item = &'a str>) -> Option<[u64; 3]> {
    let mut next = || -> Option<u64> {
        let part = parts.next()?;
        let digits = part.bytes().all(|digit| digit.is_ascii_digit());
        part.parse().ok().filter(|_| digits)
    };
    let three = [next()?, next()?, next()?];
    parts.next().is_none().then_some(three)
}

/// Half an hour of bursts, in the format of the files: quiet minutes of about 150 requests, and
/// busy ones of about 450, half of which come in a few seconds. Responses have up to `longest` tokens,
/// a fifth of that on average.
pub(crate) fn synthetic(seed: u64, longest: u32) -> String {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut text = format!("{HEADER}\n");
    for minute in 0..30 {
        // Twelve of the thirty minutes are busy, in runs of three.
        let busy = minute / 3 % 5 == 1 || minute / 3 % 5 == 3;
        let requests = if busy {
            random.u32(400..500)
        } else {
            random.u32(100..200)
        };
        let burst = random.u32(0..55_000);
        let mut times: Vec<u32> = (0..requests)
            .map(|_| {
                if busy && random.bool() {
                    burst + random.u32(0..5_000)
                } else {
                    random.u32(0..60_000)
                }
            })
            .collect();
        times.sort_unstable();
        for at in times {
            let (second, milli) = (at / 1_000, at % 1_000);
            // Most are short, some are long.
            let input = 50 + (7_000.0 * random.f64().powi(3)) as u32;
            let output = 5 + (f64::from(longest) * random.f64().powi(4)) as u32;
            let _ = writeln!(
                text,
                "2026-01-05 09:{minute:02}:{second:02}.{milli:03}0000,{input},{output}"
            );
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_is_read_as_it_is_written() {
        let text = "TIMESTAMP,ContextTokens,GeneratedTokens\r\n\
                    2023-12-31 23:59:59.9000000,4808,10\r\n\
                    2024-01-01 00:00:00.0250000,0,1899\r\n\
                    2024-03-01 00:00:00,7,8";
        let at = Duration::from_millis;
        let of = |at, input, output| Arrival { at, input, output };
        let days = 60 * 24 * 3_600_000;
        assert_eq!(
            read(text),
            Ok(vec![
                of(at(0), 4_808, 10),
                of(at(125), 0, 1_899),
                of(at(days + 100), 7, 8),
            ])
        );
    }

    #[test]
    fn a_generated_trace_has_the_same_format_and_is_bursty() {
        let arrivals = read(&synthetic(1, 600)).expect("it is of the format");
        let mut minutes = [0; 30];
        let mut seconds = [0; 1_800];
        for arrival in &arrivals {
            let second = arrival.at.as_secs() as usize;
            seconds[second] += 1;
            minutes[second / 60] += 1;
        }
        let mean = arrivals.len() as f64 / 1_800.0;
        let peak = f64::from(*seconds.iter().max().expect("there are some"));
        assert!(peak > 8.0 * mean, "{peak} of {mean}");
        assert_eq!(read(&synthetic(1, 600)), Ok(arrivals));
    }

    #[test]
    fn a_mistake_names_its_line_and_what_is_accepted() {
        for (lines, expected) in [
            ("", "line 2: the trace ends: expected at least one request"),
            (
                "2023-11-16 18:17:03.97,1,2\n2023-11-16 18:17:04.0,1",
                "line 3: 2 fields: expected 3, TIMESTAMP,ContextTokens,GeneratedTokens",
            ),
            (
                "2023-13-16 18:17:03.97,1,2",
                "line 2: TIMESTAMP is \"2023-13-16 18:17:03.97\": expected a time as 2023-11-16 \
                 18:17:03.9799600",
            ),
            (
                "2023-11-16 18:17:03.97,1,2\n2023-11-16 18:17:03.96,1,2",
                "line 3: TIMESTAMP is \"2023-11-16 18:17:03.96\": expected one that is not before \
                 the line above",
            ),
            (
                "2023-11-16 18:17:03.97,-1,2",
                "line 2: ContextTokens is \"-1\": expected a whole number from 0 to 10000000",
            ),
            (
                "2023-11-16 18:17:03.97,1,many",
                "line 2: GeneratedTokens is \"many\": expected a whole number from 0 to 10000000",
            ),
        ] {
            let error = read(&format!("{HEADER}\n{lines}")).expect_err("bad");
            assert_eq!(error.to_string(), expected);
        }
        assert_eq!(
            read("time;tokens").expect_err("bad").to_string(),
            "line 1: the header is \"time;tokens\": expected \
             TIMESTAMP,ContextTokens,GeneratedTokens"
        );
        for time in [
            "",
            "2023-11-16",
            "2023-11-16 24:00:00",
            "2023-11-16 1:2:3.",
            "0-1-1 0:0:0",
        ] {
            assert_eq!(instant(time), None, "{time}");
        }
    }
}
