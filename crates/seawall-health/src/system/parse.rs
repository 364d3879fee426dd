//! What the files of Linux say. Pure: texts in, figures out; what is malformed is nothing.

/// Time of the processors since the start, in ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CpuTime {
    pub(super) busy: u64,
    pub(super) total: u64,
}

/// `/proc/stat`: user, nice, system, idle, iowait, irq, softirq, steal; what a guest used is in user.
pub(super) fn cpu_time(stat: &str) -> Option<CpuTime> {
    let line = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let ticks: Option<Vec<u64>> = line
        .split_ascii_whitespace()
        .take(8)
        .map(|t| t.parse().ok())
        .collect();
    let ticks = ticks.filter(|ticks| ticks.len() >= 4)?;
    let total = ticks
        .iter()
        .try_fold(0_u64, |sum, ticks| sum.checked_add(*ticks))?;
    let idle = ticks[3].checked_add(ticks.get(4).copied().unwrap_or(0))?;
    let busy = total.checked_sub(idle)?;
    Some(CpuTime { busy, total })
}

/// The field of `/proc/meminfo` or `/proc/self/status` of that name, in bytes: both are in KiB.
pub(super) fn kib(text: &str, field: &str) -> Option<u64> {
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?;
    let mut words = value.split_ascii_whitespace();
    let number: u64 = words.next()?.parse().ok()?;
    (words.next()? == "kB").then(|| number.checked_mul(1_024))?
}

/// The value behind a name in a flat file of cgroup v2: `cpu.stat`, `memory.stat`.
pub(super) fn keyed(text: &str, key: &str) -> Option<u64> {
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix(' '))?;
    value.trim().parse().ok()
}

/// A file of cgroup v2 with one number: `memory.max`. `max` is no limit.
pub(super) fn single(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

/// `cpu.max`: how many processors may be used on average.
pub(super) fn cpu_limit(text: &str) -> Option<f64> {
    let (quota, period) = text.trim().split_once(' ')?;
    let (quota, period): (u64, u64) = (quota.parse().ok()?, period.parse().ok()?);
    let limit = quota as f64 / period as f64;
    (limit.is_finite() && limit > 0.0).then_some(limit)
}

/// `/proc/self/cgroup`: the path within cgroup v2. One that leads out of the own name space, or that
/// climbs, is nothing.
pub(super) fn cgroup(text: &str) -> Option<&str> {
    let path = text.lines().find_map(|line| line.strip_prefix("0::"))?;
    let climbs = path.split('/').any(|part| part == "..");
    (path.starts_with('/') && !climbs).then_some(path)
}

/// `/proc/self/limits`: how many files may be open.
pub(super) fn max_open_files(text: &str) -> Option<u64> {
    let rest = text
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    rest.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const STAT: &str = "cpu  100 5 45 800 50 0 0 0 3 0\ncpu0 1 1 1 1\nintr 7\n";
    const MEMINFO: &str = "MemTotal:       16384000 kB\nMemFree:          100 kB\n\
        MemAvailable:    4096000 kB\nHugePages_Total:       0\n";
    const LIMITS: &str = "Limit                     Soft Limit           Hard Limit           Units     \n\
        Max cpu time              unlimited            unlimited            seconds   \n\
        Max open files            1024                 524288               files     \n";

    #[test]
    fn what_the_kernel_writes_is_read() {
        assert_eq!(
            cpu_time(STAT),
            Some(CpuTime {
                busy: 150,
                total: 1_000
            })
        );
        // Kernels before 2.6.
        let four = cpu_time("cpu  1 2 3 4\n");
        assert_eq!(four, Some(CpuTime { busy: 6, total: 10 }));
        assert_eq!(kib(MEMINFO, "MemTotal"), Some(16_384_000 * 1_024));
        assert_eq!(kib(MEMINFO, "MemAvailable"), Some(4_096_000 * 1_024));
        assert_eq!(kib("VmRSS:\t    4321 kB\n", "VmRSS"), Some(4_321 * 1_024));
        let stat = "anon 5\ninactive_file 4096\nactive_file 1\n";
        assert_eq!(keyed(stat, "inactive_file"), Some(4_096));
        assert_eq!(
            (single("1048576\n"), single("max\n")),
            (Some(1_048_576), None)
        );
        assert_eq!(cpu_limit("150000 100000\n"), Some(1.5));
        assert_eq!(cpu_limit("max 100000\n"), None);
        assert_eq!(
            cgroup("12:cpu:/v1\n0::/system.slice/desk.service\n"),
            Some("/system.slice/desk.service")
        );
        assert_eq!(cgroup("0::/\n"), Some("/"));
        assert_eq!(max_open_files(LIMITS), Some(1_024));
    }

    #[test]
    fn what_is_malformed_is_nothing() {
        for stat in [
            "",
            "cpu",
            "cpu  ",
            "cpu  1 2 3",
            "cpu  1 2 x 4",
            "cpu  -1 2 3 4",
            "intr 1",
            "cpu  18446744073709551615 1 1 1",
        ] {
            assert_eq!(cpu_time(stat), None, "{stat}");
        }
        for meminfo in [
            "",
            "MemTotal",
            "MemTotal:",
            "MemTotal: kB",
            "MemTotal: 1",
            "MemTotal: 1 MB",
            "MemTotal: -1 kB",
            "MemTotal: 99999999999999999999 kB",
            "MemTotal: 18446744073709551615 kB",
            "MemTotalX: 1 kB",
        ] {
            assert_eq!(kib(meminfo, "MemTotal"), None, "{meminfo}");
        }
        for limit in ["", "1", "0 100000", "1 0", "0 0", "a b", "-1 1", "1 2 3"] {
            assert_eq!(cpu_limit(limit), None, "{limit}");
        }
        for path in [
            "",
            "0:/",
            "1:name=systemd:/x",
            "0::",
            "0::x",
            "0::/../x",
            "0::/a/../../b",
        ] {
            assert_eq!(cgroup(path), None, "{path}");
        }
        for limits in [
            "",
            "Max open files",
            "Max open files unlimited unlimited files",
        ] {
            assert_eq!(max_open_files(limits), None, "{limits}");
        }
        assert_eq!(keyed("usage_usec\nusage_usecx 1", "usage_usec"), None);
        assert_eq!(
            (single(""), single("-1"), single("1 2")),
            (None, None, None)
        );
    }

    proptest! {
        #[test]
        fn no_text_makes_a_parser_panic(text in "(cpu |MemTotal:|0::|Max open files)?\\PC{0,60}\n?\\PC{0,20}") {
            if let Some(time) = cpu_time(&text) {
                prop_assert!(time.busy <= time.total);
            }
            let _ = (kib(&text, "MemTotal"), keyed(&text, "cpu"), single(&text));
            let _ = (cpu_limit(&text), cgroup(&text), max_open_files(&text));
        }
    }
}
