//! Files of experiments: what they have, and what is wrong with them.

use std::time::{Duration, SystemTime};

use proptest::prelude::*;
use seawall_experiments::{ExperimentSet, InvalidExperiment};

use crate::support::{SUNDAY, unix};

/// Everything an experiment may have.
const FULL: &str = r#"
[[calendar]]
name = "xetra"
zone = "Europe/Berlin"
source = "the exchange's page of trading hours"
closed = ["2026-12-24", "2026-12-25"]
early = [{ date = "2026-12-30", to = "14:00" }]
session = [{ days = ["mon", "tue", "wed", "thu", "fri"], from = "09:00", to = "17:30" }]

[[experiment]]
name = "everything"
about = "all that a file may have"
production = true
orders = false
hypothesis = { metric = "success_ratio", service = "quotes", at_least = 0.95, tolerated = 0.1 }
schedule = { cron = "0 7 * * SAT", zone = "Europe/Berlin", from = "2026-12-01T00:00:00", until = "2027-03-01T00:00:00Z" }
hours = { zone = "Europe/Berlin", days = ["sat"], from = "06:00", to = "12:00" }
market = { calendar = "xetra", allow_open = true }
blast_radius = { services = ["quotes", "orders"], traffic = 0.5, keys = ["SPY", "QQQ"], share_of_keys = 0.5, operations = ["q"] }
guard = [{ metric = "orders_in_doubt", at_most = 0, lasts = "5s" }]
run = { before = "10s", during = "2m", after = "1m", every = "500ms", recovered = "2s", seed = 7 }
fault = [
    { kind = "delay", intensity = 0.2, service = "quotes", delay = { median = "400ms", sigma = 0.7, at_most = "5s" } },
    { kind = "status", intensity = 0.1, status = 429, headers = { retry-after = "2" }, body = "slow down" },
    { kind = "slow_body", intensity = 0.1, delay = { from = "0s", to = "100ms" } },
    { kind = "clock_skew", intensity = 1.0, behind = "1h" },
]
"#;

fn read(text: &str) -> Result<ExperimentSet, InvalidExperiment> {
    ExperimentSet::from_toml_at(text, unix(SUNDAY))
}

#[test]
fn a_file_that_has_everything_is_read() {
    let set = read(FULL).unwrap();
    let experiment = set.get("everything").unwrap();
    assert_eq!(
        experiment.hypothesis(),
        "success_ratio of quotes is at least 0.95"
    );
    assert_eq!(
        experiment.services().collect::<Vec<_>>(),
        ["quotes", "orders"]
    );
    assert_eq!(experiment.lasts(), Duration::from_secs(10 + 120 + 60));
    // Saturday, December 5, 07:00 in Berlin.
    let next = experiment.schedule().next_after(unix(SUNDAY));
    assert_eq!(next, Some(unix(1_796_450_400)));
    let last = experiment.schedule().next_after(unix(1_803_859_200)); // 2027-02-28
    assert_eq!(last, None, "that would be March 6");
    let xetra = set.calendar("xetra").unwrap();
    let at = |seconds| unix(seconds);
    assert!(
        xetra.is_open(at(1_798_631_999)) && !xetra.is_open(at(1_798_632_000 + 3_600)),
        "14:00 on December 30"
    );
}

#[test]
fn what_is_wrong_names_the_field_the_value_and_what_is_accepted() {
    // A part of the file, what stands there instead, and the field, its value and a part of what is accepted.
    let table = [
        (
            "intensity = 0.2",
            "intensity = 1.5",
            "fault[0].intensity",
            "1.5",
            "a number above 0, up to 1",
        ),
        (
            "intensity = 0.2",
            "intensity = 0.0",
            "fault[0].intensity",
            "0",
            "a number above 0",
        ),
        (
            "intensity = 0.2",
            "intensity = nan",
            "fault[0].intensity",
            "NaN",
            "a number above 0",
        ),
        (
            "\"delay\"",
            "\"earthquake\"",
            "fault[0].kind",
            "`earthquake`",
            "one of `delay`, `hang`",
        ),
        (
            "service = \"quotes\", delay",
            "service = \"news\", delay",
            "fault[0].service",
            "\"news\"",
            "one of",
        ),
        (
            "at_most = \"5s\"",
            "at_most = \"0s\"",
            "fault[0].delay.at_most",
            "\"0s\"",
            "longer than zero",
        ),
        (
            "sigma = 0.7",
            "sigma = 70.0",
            "fault[0].delay.sigma",
            "70",
            "from 0.01 to 5",
        ),
        (
            "sigma = 0.7, ",
            "",
            "fault[0].delay",
            "no distribution",
            "`median` and `sigma`",
        ),
        (
            "sigma = 0.7, ",
            "sigma = 0.7, mean = \"1s\", ",
            "fault[0].delay",
            "no distribution",
            "`mean` and",
        ),
        (
            "status = 429",
            "status = 200",
            "fault[1].status",
            "200",
            "from 400 to 599",
        ),
        (
            "status = 429",
            "status = -1",
            "fault[1].status",
            "-1",
            "from 400 to 599",
        ),
        (
            "status = 429, ",
            "",
            "fault[1].status",
            "missing",
            "from 400 to 599",
        ),
        (
            "kind = \"status\"",
            "kind = \"hang\"",
            "fault[1].status",
            "set",
            "no effect on the kind `hang`",
        ),
        (
            "behind = \"1h\"",
            "behind = \"1h\", ahead = \"1h\"",
            "fault[3].behind",
            "\"1h\"",
            "nothing beside `ahead`",
        ),
        (
            "at_least = 0.95",
            "at_least = 1.5",
            "hypothesis.at_least",
            "1.5",
            "up to 1",
        ),
        (
            "at_least = 0.95",
            "at_least = 0",
            "hypothesis.at_least",
            "0",
            "above 0",
        ),
        (
            "at_least = 0.95, ",
            "",
            "hypothesis.at_least",
            "missing",
            "one of",
        ),
        (
            "at_least = 0.95",
            "at_least = 0.95, at_most = 1",
            "hypothesis.at_most",
            "set beside",
            "one of",
        ),
        (
            "tolerated = 0.1",
            "tolerated = 1.0",
            "hypothesis.tolerated",
            "1",
            "below 1",
        ),
        (
            "tolerated = 0.1",
            "lasts = '1s'",
            "hypothesis.lasts",
            "set",
            "no effect",
        ),
        (
            "at_most = 0, lasts = \"5s\"",
            "at_most = -1",
            "guard[0].at_most",
            "-1",
            "a number from 0",
        ),
        (
            "lasts = \"5s\"",
            "tolerated = 0.5",
            "guard[0].tolerated",
            "set",
            "no effect",
        ),
        (
            "orders_in_doubt\"",
            "orders_in_doubt\", service = \"x\"",
            "guard[0].service",
            "\"x\"",
            "nothing",
        ),
        (
            "0 7 * * SAT",
            "0 25 * * SAT",
            "schedule.cron",
            "\"0 25 * * SAT\"",
            "five fields",
        ),
        (
            "0 7 * * SAT",
            "0 7 30 2 *",
            "schedule.cron",
            "\"0 7 30 2 *\"",
            "due some day",
        ),
        (
            "cron = \"0 7 * * SAT\", ",
            "",
            "schedule.cron",
            "missing",
            "one of",
        ),
        (
            "cron = \"0 7",
            "game_day = true, cron = \"0 7",
            "schedule.game_day",
            "true",
            "nothing beside `cron`",
        ),
        (
            "zone = \"Europe/Berlin\", from = \"2026",
            "from = \"2026",
            "schedule.from",
            "\"2026",
            "with `zone`",
        ),
        (
            "SAT\", zone = \"Europe/Berlin",
            "SAT\", zone = \"Berlin",
            "schedule.zone",
            "\"Berlin\"",
            "of IANA",
        ),
        (
            "until = \"2027",
            "until = \"2025",
            "schedule.until",
            "\"2025-03-01T00:00:00Z\"",
            "later than `from`",
        ),
        (
            "from = \"2026-12-01T00:00:00\"",
            "from = \"2027-12-01T00:00:00\"",
            "schedule.until",
            "\"2027",
            "later",
        ),
        (
            "from = \"06:00\"",
            "from = \"6:00\"",
            "hours.from",
            "\"6:00\"",
            "a time of day",
        ),
        (
            "days = [\"sat\"]",
            "days = [\"sat\", \"sat\"]",
            "hours.days",
            "\"sat\"",
            "each once",
        ),
        (
            "days = [\"sat\"]",
            "days = []",
            "hours.days",
            "\"[]\"",
            "at least one day",
        ),
        (
            "hours = { zone = \"Europe/Berlin\", ",
            "hours = { ",
            "hours.zone",
            "\"\"",
            "of IANA",
        ),
        (
            "calendar = \"xetra\"",
            "calendar = \"lse\"",
            "market.calendar",
            "\"lse\"",
            "a calendar of the file",
        ),
        (
            "calendar = \"xetra\"",
            "calendar = \"none\"",
            "market.allow_open",
            "true",
            "no effect",
        ),
        (
            "traffic = 0.5",
            "traffic = 0",
            "blast_radius.traffic",
            "0",
            "above 0",
        ),
        (
            "traffic = 0.5",
            "traffic = 1.01",
            "blast_radius.traffic",
            "1.01",
            "up to 1",
        ),
        (
            "seed = 7",
            "seed = -1",
            "run.seed",
            "-1",
            "a whole number from 0",
        ),
        (
            "intensity = 0.2, ",
            "",
            "fault[0].intensity",
            "missing",
            "a number above 0",
        ),
        (
            "source = \"the exchange's page of trading hours\"",
            "",
            "source",
            "missing",
            "where the calendar",
        ),
        (
            "delay = { from = \"0s\", to = \"100ms\" }",
            "delay = { constant = \"1s\", at_most = \"5s\" }",
            "fault[2].delay.at_most",
            "\"5s\"",
            "nothing beside `constant`",
        ),
        (
            "behind = \"1h\"",
            "ahead = \"1h\", behind = \"2h\"",
            "fault[3].behind",
            "\"2h\"",
            "nothing beside `ahead`",
        ),
        (
            "{ retry-after = \"2\" }",
            "{}",
            "fault[1].headers",
            "{}",
            "at least one header",
        ),
        (
            "metric = \"success_ratio\", service = \"quotes\"",
            "metric = \" \"",
            "hypothesis.metric",
            "\" \"",
            "the name of a metric",
        ),
        (
            "from = \"09:00\", to = \"17:30\" }]",
            "from = \"09:00\", to = \"17:30\" }, { days = [\"fri\"], from = \"09:00\", to = \"17:30\" }]",
            "session[1].from",
            "\"09:00\"",
            "each session of a day once",
        ),
        (
            "cron = \"0 7 * * SAT\"",
            "cron = \"0,,5 7 * * SAT\"",
            "schedule.cron",
            "\"0,,5 7 * * SAT\"",
            "five fields",
        ),
        (
            "traffic = 0.5",
            "traffic = 1e-300",
            "blast_radius.traffic",
            "1e-300",
            "one in a million",
        ),
        (
            "intensity = 0.2",
            "intensity = 1e-300",
            "fault[0].intensity",
            "1e-300",
            "one in a million",
        ),
        (
            "traffic = 0.5",
            "traffic = 2e-6",
            "fault[0].intensity",
            "4e-7",
            "one in a million",
        ),
        (
            "share_of_keys = 0.5",
            "share_of_keys = 1e-300",
            "blast_radius.share_of_keys",
            "1e-300",
            "in a million",
        ),
        (
            "keys = [\"SPY\", \"QQQ\"]",
            "keys = [\"SPY\"]",
            "blast_radius.share_of_keys",
            "0.5",
            "nothing beside one key",
        ),
        (
            "keys = [\"SPY\", \"QQQ\"]",
            "keys = []",
            "blast_radius.keys",
            "[]",
            "at least one",
        ),
        (
            "keys = [\"SPY\", \"QQQ\"]",
            "keys = [\"SPY\", \"\"]",
            "blast_radius.keys",
            "\"\"",
            "not empty",
        ),
        (
            "keys = [\"SPY\", \"QQQ\"]",
            "keys = [\"SPY\", \"SPY\"]",
            "blast_radius.keys",
            "\"SPY\"",
            "once",
        ),
        (
            "operations = [\"q\"]",
            "operations = []",
            "blast_radius.operations",
            "[]",
            "at least one",
        ),
        (
            "operations = [\"q\"]",
            "operations = [\" \"]",
            "blast_radius.operations",
            "\" \"",
            "not empty",
        ),
        (
            "operations = [\"q\"]",
            "operations = [\"q\", \"q\"]",
            "blast_radius.operations",
            "\"q\"",
            "once",
        ),
        (
            "services = [\"quotes\", \"orders\"]",
            "services = [\"quotes\", \"\"]",
            "blast_radius.services",
            "\"\"",
            "not empty",
        ),
        (
            "at_most = 0, lasts = \"5s\"",
            "at_most = 0, lasts = \"121s\"",
            "guard[0].lasts",
            "121s",
            "`run.during`, 120s",
        ),
        (
            "service = \"quotes\", at_least",
            "service = \" \", at_least",
            "hypothesis.service",
            "\" \"",
            "the name of a service",
        ),
        (
            "metric = \"orders_in_doubt\", at_most = 0",
            "metric = \"score\", at_least = 0",
            "guard[0].at_least",
            "0",
            "above 0, up to 100",
        ),
        (
            "metric = \"orders_in_doubt\", at_most = 0",
            "metric = \"score\", at_least = 100.5",
            "guard[0].at_least",
            "100.5",
            "up to 100",
        ),
        (
            "metric = \"orders_in_doubt\", at_most = 0",
            "metric = \"score\", at_most = 100",
            "guard[0].at_most",
            "100",
            "below 100",
        ),
        (
            "metric = \"orders_in_doubt\", at_most = 0",
            "metric = \"score\", at_most = -1",
            "guard[0].at_most",
            "-1",
            "below 100",
        ),
        (
            "metric = \"orders_in_doubt\", at_most = 0",
            "metric = \"orders_in_doubt\", at_least = 0",
            "guard[0].at_least",
            "0",
            "above 0",
        ),
        (
            "metric = \"orders_in_doubt\", at_most = 0",
            "metric = \"queue_depth\", at_least = 0",
            "guard[0].at_least",
            "0",
            "above 0",
        ),
        (
            "metric = \"orders_in_doubt\", at_most = 0",
            "metric = \"calls_per_second\", at_least = 0",
            "guard[0].at_least",
            "0",
            "above 0",
        ),
        (
            "metric = \"orders_in_doubt\", at_most = 0",
            "metric = \"p99_seconds\", at_least = 0",
            "guard[0].at_least",
            "0",
            "above 0",
        ),
        (
            "metric = \"orders_in_doubt\", at_most = 0",
            "metric = \"open_circuits\", at_least = 0",
            "guard[0].at_least",
            "0",
            "above 0",
        ),
        (
            "metric = \"orders_in_doubt\", at_most = 0",
            "metric = \"error_ratio\", at_most = 1",
            "guard[0].at_most",
            "1",
            "below 1",
        ),
        (
            "\"2026-12-24\", ",
            "\"2026-12-26\", ",
            "closed[0]",
            "\"2026-12-26\"",
            "on which there is a session",
        ),
        (
            "date = \"2026-12-30\"",
            "date = \"2026-12-27\"",
            "early[0].date",
            "\"2026-12-27\"",
            "on which there is a session",
        ),
        (
            "to = \"14:00\"",
            "to = \"18:00\"",
            "early[0].to",
            "\"18:00\"",
            "within a session",
        ),
        (
            "to = \"14:00\"",
            "to = \"17:30\"",
            "early[0].to",
            "\"17:30\"",
            "within a session",
        ),
        (
            "to = \"14:00\"",
            "to = \"09:00\"",
            "early[0].to",
            "\"09:00\"",
            "within a session",
        ),
        (
            "calendar = \"xetra\"",
            "calendar = \"nyse\"",
            "name",
            "\"xetra\"",
            "an experiment has",
        ),
        (
            "0 7 * * SAT",
            "0 7 * * SUN",
            "schedule.cron",
            "\"0 7 * * SUN\"",
            "within its `hours`",
        ),
        (
            "0 7 * * SAT",
            "58 11 * * SAT",
            "schedule.cron",
            "\"58 11 * * SAT\"",
            "within its `hours`",
        ),
        (
            "to = \"12:00\"",
            "to = \"06:03\"",
            "hours.to",
            "\"06:03\"",
            "has room",
        ),
        (
            "share_of_keys = 0.5",
            "share_of_keys = 1.0",
            "blast_radius.share_of_keys",
            "1",
            "below 1",
        ),
        (
            "services = [\"quotes\", \"orders\"]",
            "services = []",
            "blast_radius.services",
            "[]",
            "at least one",
        ),
        (
            "[\"quotes\", \"orders\"]",
            "[\"quotes\", \"quotes\"]",
            "blast_radius.services",
            "\"quotes\"",
            "once",
        ),
        (
            "during = \"2m\"",
            "during = \"0s\"",
            "run.during",
            "\"0s\"",
            "longer than zero",
        ),
        (
            "during = \"2m\"",
            "during = \"2 fortnights\"",
            "run.during",
            "\"2 fortnights\"",
            "a length of time",
        ),
        (
            "during = \"2m\"",
            "during = \"48h\"",
            "run.during",
            "172800s",
            "from 500ms to 86400s",
        ),
        (
            "every = \"500ms\"",
            "every = \"1ms\"",
            "run.every",
            "1ms",
            "from 100ms",
        ),
        (
            "recovered = \"2s\"",
            "recovered = \"2m\"",
            "run.after",
            "60s",
            "from 120s",
        ),
        (
            "during = \"2m\"",
            "during = \"23h\"",
            "run.every",
            "500ms",
            "at most 100000 samples",
        ),
        (
            "name = \"everything\"",
            "name = \" \"",
            "name",
            "\" \"",
            "a name",
        ),
        (
            "name = \"xetra\"",
            "name = \"nyse\"",
            "name",
            "\"nyse\"",
            "other than",
        ),
        (
            "source = \"the exchange's page of trading hours\"",
            "source = \"\"",
            "source",
            "\"\"",
            "where",
        ),
        (
            "\"2026-12-24\", ",
            "\"2026-02-30\", ",
            "closed[0]",
            "\"2026-02-30\"",
            "a date",
        ),
        (
            "\"2026-12-24\", ",
            "\"2026-12-25\", ",
            "closed[1]",
            "\"2026-12-25\"",
            "once",
        ),
        (
            "date = \"2026-12-30\"",
            "date = \"2026-12-25\"",
            "early[0].date",
            "\"2026-12-25\"",
            "not closed",
        ),
        (
            "to = \"17:30\"",
            "to = \"17:60\"",
            "session[0].to",
            "\"17:60\"",
            "a time of day",
        ),
        (
            "to = \"17:30\"",
            "to = \"17:30\", zone = \"UTC\"",
            "session[0].zone",
            "\"UTC\"",
            "nothing",
        ),
    ];
    for (part, instead, field, value, accepted) in table {
        assert!(FULL.contains(part), "no {part}");
        let error = read(&FULL.replacen(part, instead, 1));
        let error = error.expect_err(instead);
        let invalid = error.invalid();
        assert_eq!(invalid.field(), field, "{instead}: {error}");
        assert!(invalid.value().starts_with(value), "{instead}: {error}");
        assert!(invalid.accepted().contains(accepted), "{instead}: {error}");
        assert!(
            error.experiment().is_some() && error.line().is_some(),
            "{error}"
        );
    }
}

#[test]
fn a_schedule_of_a_moment_is_in_the_future_and_has_no_end() {
    // Every moment is within its hours.
    let hours =
        "hours = { zone = \"Europe/Berlin\", days = [\"sat\"], from = \"06:00\", to = \"12:00\" }";
    assert!(FULL.contains(hours));
    let full = FULL.replace(hours, "");
    let schedule = |schedule: &str| {
        let start = full.find("schedule = ").unwrap();
        let end = start + full[start..].find('\n').unwrap();
        read(&format!(
            "{}schedule = {{ {schedule} }}{}",
            &full[..start],
            &full[end..]
        ))
    };
    assert!(schedule("at = '2026-11-29T17:00:01Z'").is_ok());
    for (text, field, accepted) in [
        (
            "at = '2026-11-29T17:00:00Z'",
            "schedule.at",
            "a moment in the future",
        ),
        ("at = 'tomorrow'", "schedule.at", "a moment such as"),
        ("at = '2027-01-01T00:00:00'", "schedule.at", "with `zone`"),
        (
            "at = '2027-03-14T02:30:00', zone = 'America/New_York'",
            "schedule.at",
            "that is there once",
        ),
        (
            "at = '2027-11-07T01:30:00', zone = 'America/New_York'",
            "schedule.at",
            "that is there once",
        ),
        (
            "at = '2027-01-01T00:00:00Z', until = '2027-01-02T00:00:00Z'",
            "schedule.until",
            "no effect",
        ),
        (
            "game_day = true, from = '2027-01-02T00:00:00Z'",
            "schedule.from",
            "no effect",
        ),
        (
            "game_day = true, zone = 'UTC'",
            "schedule.zone",
            "no effect",
        ),
        ("game_day = false", "schedule.game_day", "true, or nothing"),
        ("cron = '* * * * *'", "schedule.zone", "of IANA"),
        (
            "cron = '* * * * *', zone = 'UTC', until = '2026-11-29T17:00:00Z'",
            "schedule.until",
            "in the future",
        ),
        (
            "at = '2027-01-09T08:00:00Z', game_day = true",
            "schedule.game_day",
            "nothing beside `at`",
        ),
        (
            "cron = '0 0 1 1 *', zone = 'UTC', until = '2026-12-29T17:00:00Z'",
            "schedule.cron",
            "before `until`",
        ),
    ] {
        let error = schedule(text).expect_err(text);
        assert_eq!(error.invalid().field(), field, "{text}: {error}");
        assert!(
            error.invalid().accepted().contains(accepted),
            "{text}: {error}"
        );
    }
}

#[test]
fn unknown_fields_and_broken_toml_have_their_line() {
    for (part, instead, value) in [
        ("traffic = 0.5", "trafic = 0.5", "trafic"),
        ("about =", "abuot =", "abuot"),
        ("seed = 7", "seed = 'x'", "'x'"),
        ("production = true", "production = 'yes'", "'yes'"),
        ("[[calendar]]", "[[kalender]]", "kalender"),
    ] {
        let error = read(&FULL.replacen(part, instead, 1)).expect_err(instead);
        let line = FULL[..FULL.find(part).unwrap()].matches('\n').count() + 1;
        assert_eq!(error.line(), Some(line), "{error}");
        assert!(error.invalid().value().contains(value), "{error}");
    }
    assert!(read("[[experiment]").is_err());
    assert!(read("\u{0}").is_err());
    let missing = read("[[experiment]]\nname = 'x'").unwrap_err();
    assert!(missing.to_string().contains("missing field"), "{missing}");
    assert!(read("").unwrap().experiments().is_empty());
}

#[test]
fn two_of_one_name_are_rejected() {
    let twice = format!("{FULL}\n{}", &FULL[FULL.find("[[experiment]]").unwrap()..]);
    assert_eq!(read(&twice).unwrap_err().invalid().field(), "name");
    let calendar = &FULL[..FULL.find("[[experiment]]").unwrap()];
    assert_eq!(
        read(&format!("{calendar}{calendar}"))
            .unwrap_err()
            .invalid()
            .field(),
        "name"
    );
}

const SHORT: &str = r#"
    hypothesis = { metric = "success_ratio", at_least = 0.9 }
    fault = [{ kind = "hang", intensity = 0.1 }]"#;

/// Nothing is looked up in what was read before: were it quadratic, this would take minutes.
#[test]
fn ten_thousand_experiments_are_read() {
    let one = |index| {
        let text = crate::support::game_day(SHORT);
        text.replace("quotes fail", &format!("number {index}"))
    };
    let text: String = (0..10_000).map(one).collect();
    let set = read(&text).unwrap();
    assert_eq!(set.experiments().len(), 10_000);
    assert_eq!(set.get("number 9999").unwrap().name(), "number 9999");
    let error = read(&format!("{text}{}", one(5_000))).unwrap_err();
    assert_eq!(error.experiment(), Some("number 5000"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_text_panics(text in "\\PC*", at in any::<u32>()) {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(u64::from(at));
        let _ = ExperimentSet::from_toml_at(&text, now);
        let _ = ExperimentSet::from_toml_at(&FULL.replace("0 7 * * SAT", &text), now);
        let _ = ExperimentSet::from_toml_at(&FULL.replace("500ms", &text), now);
    }

    #[test]
    fn no_cut_and_no_flipped_byte_panics(cut in 0..FULL.len(), byte in any::<u8>()) {
        let mut bytes = FULL.as_bytes().to_vec();
        bytes[cut] = byte;
        if let Ok(text) = String::from_utf8(bytes) {
            let _ = read(&text);
        }
        let _ = read(&FULL[..cut]);
    }
}

const CALENDARS: &str = r#"
[[calendar]]
name = "always"
zone = "UTC"
source = "it has no hours"
session = [{ days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"], from = "00:00", to = "00:00" }]
[[calendar]]
name = "weekdays"
zone = "Europe/Berlin"
source = "a test"
session = [
    { days = ["mon", "tue", "wed", "thu", "fri"], from = "09:00", to = "12:00" },
    { days = ["mon", "tue", "wed", "thu", "fri"], from = "13:00", to = "17:30" },
]
"#;

/// An experiment that lasts 3 min, with these lines, after a Sunday at 18:00 in Berlin.
fn timed(lines: &str) -> Result<ExperimentSet, InvalidExperiment> {
    let used = |name| {
        format!(
            "[[experiment]]\nname = 'uses {name}'\n{SHORT}\nmarket = {{ calendar = '{name}', allow_open = true }}\n\
             schedule = {{ game_day = true }}\nblast_radius = {{ services = ['q'] }}\nrun = {{ during = '1m' }}\n"
        )
    };
    read(&format!(
        "{CALENDARS}\n{}{}[[experiment]]\nname = 'x'\n{SHORT}\n{lines}\n\
         blast_radius = {{ services = ['q'] }}\nrun = {{ before = '1m', during = '1m', after = '1m' }}\n",
        used("always"),
        used("weekdays"),
    ))
}

fn berlin_hours(days: &str, from: &str, to: &str) -> String {
    format!("hours = {{ zone = 'Europe/Berlin', days = [{days}], from = '{from}', to = '{to}' }}")
}

#[test]
fn what_can_never_run_is_rejected() {
    let cron = |cron: &str| format!("schedule = {{ cron = '{cron}', zone = 'Europe/Berlin' }}");
    let at = |at: &str| format!("schedule = {{ at = '{at}' }}");
    let game_day = || "schedule = { game_day = true }".to_owned();
    let market = |name: &str| format!("market = {{ calendar = '{name}' }}");
    let monday = || berlin_hours("'mon'", "10:00", "11:00");
    for (lines, field) in [
        // Noon in New York, on a Monday.
        (vec![at("2026-11-30T17:00:00Z")], "schedule.at"),
        (
            vec![at("2026-11-30T10:00:00Z"), monday(), market("none")],
            "schedule.at",
        ),
        // Two minutes before the market opens.
        (
            vec![cron("58 8 * * MON"), market("weekdays")],
            "schedule.cron",
        ),
        (
            vec![cron("* * * * *"), monday(), market("weekdays")],
            "schedule.cron",
        ),
        (vec![cron("* * * * *"), market("always")], "schedule.cron"),
        (vec![cron("0 12 29 2 *"), market("always")], "schedule.cron"),
        (vec![game_day(), monday(), market("weekdays")], "hours.from"),
        (vec![game_day(), market("always")], "market.calendar"),
        // The break is too short with what the hours leave of it.
        (
            vec![
                game_day(),
                berlin_hours("'tue'", "11:00", "12:02"),
                market("weekdays"),
            ],
            "hours.from",
        ),
    ] {
        let lines = lines.join("\n");
        let error = timed(&lines).expect_err(&lines);
        assert_eq!(error.experiment(), Some("x"), "{error}");
        assert_eq!(error.invalid().field(), field, "{lines}: {error}");
        let accepted = error.invalid().accepted();
        assert!(accepted.contains("`market` is not open"), "{error}");
    }
}

#[test]
fn what_can_run_some_day_is_not_rejected() {
    let cron = |cron: &str| format!("schedule = {{ cron = '{cron}', zone = 'Europe/Berlin' }}");
    let market = |name: &str| format!("market = {{ calendar = '{name}' }}");
    for lines in [
        vec!["schedule = { at = '2026-11-30T09:00:00Z' }".to_owned()],
        // Ten thousand minutes lie between.
        vec![cron("* * * * *"), berlin_hours("'sat'", "17:00", "17:04")],
        // At the moment at which the hours begin, and up to their end.
        vec![
            cron("0 17 * * SAT"),
            berlin_hours("'sat'", "17:00", "17:03"),
        ],
        vec![cron("0 1 * * SUN"), berlin_hours("'sat'", "22:00", "03:00")],
        // On holidays alone, as on Christmas Day.
        vec!["schedule = { cron = '0 12 * * MON-FRI', zone = 'America/New_York' }".to_owned()],
        // The next one is in 2048.
        vec![cron("0 12 29 2 *"), berlin_hours("'sat'", "11:00", "13:00")],
        // In the break.
        vec![
            cron("*/5 * * * *"),
            berlin_hours("'mon'", "09:00", "17:00"),
            market("weekdays"),
        ],
        vec![
            "schedule = { game_day = true }".to_owned(),
            berlin_hours("'mon'", "16:00", "17:33"),
            market("weekdays"),
        ],
        vec![
            "schedule = { game_day = true }".to_owned(),
            "market = { calendar = 'always', allow_open = true }".to_owned(),
        ],
    ] {
        let lines = lines.join("\n");
        timed(&lines).expect(&lines);
    }
}

#[test]
fn more_faults_of_a_service_than_can_be_started_are_rejected() {
    let of =
        |service: &str| format!("{{ kind = 'hang', intensity = 0.1, service = '{service}' }},");
    let file = |a: usize, b: usize| {
        let faults = of("a").repeat(a) + &of("b").repeat(b);
        read(&format!(
            "[[experiment]]\nname = 'x'\nhypothesis = {{ metric = 'score', at_least = 1 }}\nfault = [{faults}]\n\
             schedule = {{ game_day = true }}\nblast_radius = {{ services = ['a', 'b'] }}\nrun = {{ during = '1m' }}\n"
        ))
    };
    assert!(file(64, 64).is_ok());
    let error = file(1, 65).unwrap_err();
    assert_eq!(error.invalid().field(), "fault");
    assert!(
        error.invalid().accepted().contains("from 1 to 64"),
        "{error}"
    );
}
