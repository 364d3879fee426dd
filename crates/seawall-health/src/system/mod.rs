//! How much of the machine is used: processors, memory, disks, files.

mod parse;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use parse::CpuTime;

/// So much of something is used.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Usage {
    /// How much is used.
    pub used: u64,
    /// How much there is.
    pub total: u64,
}

impl Usage {
    fn new(used: u64, total: u64) -> Option<Self> {
        (total > 0).then_some(Self { used, total })
    }

    /// The share that is used, from 0 to 1.
    pub fn share(&self) -> f64 {
        (self.used as f64 / self.total as f64).min(1.0)
    }
}

/// How full a file system is.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DiskUsage {
    /// The path that was asked for.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub path: PathBuf,
    /// In bytes, what only the superuser may use counted as used.
    pub usage: Usage,
}

/// How much of the machine, or of what this process may have of it, is used. What is not known on this
/// system is `None`: no figure is made up.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SystemReport {
    /// The share of the processors' time that was used since the reading before, from 0 to 1: of the
    /// machine or, where that is more, of the limit of the cgroup.
    pub cpu: Option<f64>,
    /// Memory in bytes: of the cgroup that is nearest to its limit, without the page cache that can be
    /// dropped, or of the machine where that is nearer.
    pub memory: Option<Usage>,
    /// The memory of this process, in bytes.
    pub process_memory: Option<u64>,
    /// Files and sockets that this process has open, and how many it may have.
    pub open_files: Option<Usage>,
    /// The file systems that were asked for, as far as they are known.
    pub disks: Vec<DiskUsage>,
}

/// Reads how much of the machine is used, from `/proc`, cgroup v2 and the file systems. On other systems
/// than Linux only the file systems are known.
///
/// A reading opens some ten small files, which takes about 0.1 ms; within a second of another one it is
/// that one. It is synchronous: a file system that hangs, as one of a network may, hangs it.
///
/// ```
/// use seawall_health::SystemProbe;
///
/// let probe = SystemProbe::new().disk("/");
/// let system = probe.read();
/// if let Some(memory) = system.memory {
///     assert!(memory.used <= memory.total);
/// }
/// ```
#[derive(Debug)]
pub struct SystemProbe {
    /// Where `proc` and `sys` are.
    root: PathBuf,
    disks: Vec<PathBuf>,
    last: Mutex<Option<Last>>,
}

/// The reading before.
#[derive(Clone, Debug)]
struct Last {
    at: Instant,
    report: SystemReport,
    times: Times,
}

/// What only grows.
#[derive(Clone, Copy, Debug, Default)]
struct Times {
    machine: Option<CpuTime>,
    /// What the cgroup has used in microseconds, and how many processors it may use.
    limited: Option<(u64, f64)>,
}

/// A reading is good for so long.
const FRESH: Duration = Duration::from_secs(1);

impl Default for SystemProbe {
    fn default() -> Self {
        Self::new()
    }
}

impl SystemProbe {
    /// Of no file system. The use of the processors is counted from now on.
    pub fn new() -> Self {
        Self::under(PathBuf::from("/"))
    }

    fn under(root: PathBuf) -> Self {
        let probe = Self {
            root,
            disks: Vec::new(),
            last: Mutex::new(None),
        };
        let times = Times::read(&probe.root);
        *probe.lock() = Some(Last {
            // Not fresh: the first reading is made, whenever it comes.
            at: Instant::now(),
            report: SystemReport::default(),
            times,
        });
        probe
    }

    /// Adds the file system of this path.
    #[must_use]
    pub fn disk(mut self, path: impl Into<PathBuf>) -> Self {
        self.disks.push(path.into());
        self
    }

    /// How much is used now.
    pub fn read(&self) -> SystemReport {
        let now = Instant::now();
        let last = self.lock().clone();
        if let Some(last) = &last
            && last.report != SystemReport::default()
            && now.saturating_duration_since(last.at) < FRESH
        {
            return last.report.clone();
        }
        let times = Times::read(&self.root);
        let mut report = self.figures();
        report.cpu = last.as_ref().and_then(|last| {
            let took = now.saturating_duration_since(last.at);
            times.share_since(&last.times, took).or(last.report.cpu)
        });
        *self.lock() = Some(Last {
            at: now,
            report: report.clone(),
            times,
        });
        report
    }

    fn figures(&self) -> SystemReport {
        let file = |path: &str| read(&self.root, path);
        let meminfo = file("proc/meminfo");
        let machine = meminfo.as_deref().and_then(|text| {
            let total = parse::kib(text, "MemTotal")?;
            Usage::new(total.checked_sub(parse::kib(text, "MemAvailable")?)?, total)
        });
        let limited = cgroups(&self.root)
            .into_iter()
            .filter_map(|group| memory(&self.root, &group));
        let nearest = limited
            .chain(machine)
            .max_by(|a, b| a.share().total_cmp(&b.share()));
        let max_files = file("proc/self/limits").and_then(|text| parse::max_open_files(&text));
        let open = fs::read_dir(self.root.join("proc/self/fd"))
            .ok()
            .map(Iterator::count);
        let open = open.and_then(|open| u64::try_from(open).ok());
        let disks = self.disks.iter().filter_map(|path| {
            let usage = disk_usage(path)?;
            Some(DiskUsage {
                path: path.clone(),
                usage,
            })
        });
        SystemReport {
            cpu: None,
            memory: nearest,
            process_memory: file("proc/self/status").and_then(|text| parse::kib(&text, "VmRSS")),
            open_files: open
                .zip(max_files)
                .and_then(|(open, max)| Usage::new(open, max)),
            disks: disks.collect(),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Last>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Times {
    fn read(root: &Path) -> Self {
        let limits = cgroups(root).into_iter().filter_map(|group| {
            let limit = parse::cpu_limit(&read(root, &format!("{group}/cpu.max"))?)?;
            let used = parse::keyed(&read(root, &format!("{group}/cpu.stat"))?, "usage_usec")?;
            Some((used, limit))
        });
        Self {
            machine: read(root, "proc/stat").and_then(|text| parse::cpu_time(&text)),
            // The tightest limit; of two alike that of the innermost group.
            limited: limits.reduce(|a, b| if b.1 < a.1 { b } else { a }),
        }
    }

    fn share_since(&self, before: &Self, took: Duration) -> Option<f64> {
        let machine = self.machine.zip(before.machine).and_then(|(now, before)| {
            let total = now
                .total
                .checked_sub(before.total)
                .filter(|total| *total > 0)?;
            Some(now.busy.checked_sub(before.busy)? as f64 / total as f64)
        });
        let limited = self.limited.zip(before.limited).and_then(|(now, before)| {
            let used = Duration::from_micros(now.0.checked_sub(before.0)?);
            let most = took.as_secs_f64() * now.1;
            (most > 0.0).then(|| used.as_secs_f64() / most)
        });
        let share = machine.into_iter().chain(limited).reduce(f64::max)?;
        Some(share.clamp(0.0, 1.0))
    }
}

fn read(root: &Path, path: &str) -> Option<String> {
    fs::read_to_string(root.join(path)).ok()
}

/// The own group of cgroup v2 and those around it, from the inside out.
fn cgroups(root: &Path) -> Vec<String> {
    let own = read(root, "proc/self/cgroup");
    let Some(own) = own.as_deref().and_then(parse::cgroup) else {
        return Vec::new();
    };
    let ancestors = Path::new(own).ancestors().filter_map(Path::to_str);
    ancestors
        .map(|path| format!("sys/fs/cgroup{}", path.trim_end_matches('/')))
        .collect()
}

/// What a group uses of its limit, if it has one.
fn memory(root: &Path, group: &str) -> Option<Usage> {
    let file = |name: &str| read(root, &format!("{group}/{name}"));
    let max = parse::single(&file("memory.max")?)?;
    let current = parse::single(&file("memory.current")?)?;
    // What can be dropped at once is not used, as orchestrators count it.
    let cache = file("memory.stat").and_then(|stat| parse::keyed(&stat, "inactive_file"));
    Usage::new(current.saturating_sub(cache.unwrap_or(0)), max)
}

#[cfg(unix)]
fn disk_usage(path: &Path) -> Option<Usage> {
    let stat = rustix::fs::statvfs(path).ok()?;
    let total = stat.f_blocks.checked_mul(stat.f_frsize)?;
    let free = stat.f_bavail.checked_mul(stat.f_frsize)?;
    Usage::new(total.checked_sub(free)?, total)
}

#[cfg(not(unix))]
fn disk_usage(_: &Path) -> Option<Usage> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tree of files that is removed at the end.
    struct Tree(PathBuf);

    impl Tree {
        fn new(name: &str) -> Self {
            let folder = format!("seawall-health-{name}-{}", std::process::id());
            let root = std::env::temp_dir().join(folder);
            let _ = fs::remove_dir_all(&root);
            Self(root)
        }

        fn write(&self, path: &str, text: &str) {
            let path = self.0.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
    }

    impl Drop for Tree {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn host(tree: &Tree, busy: u64, idle: u64) {
        tree.write(
            "proc/stat",
            &format!("cpu  {busy} 0 0 {idle} 0 0 0 0 0 0\n"),
        );
        tree.write("proc/meminfo", "MemTotal: 1000 kB\nMemAvailable: 600 kB\n");
        tree.write("proc/self/limits", "Max open files   10   20   files\n");
        tree.write("proc/self/status", "Name:\tx\nVmRSS:\t    7 kB\n");
        tree.write("proc/self/fd/0", "");
        tree.write("proc/self/fd/1", "");
    }

    #[tokio::test(start_paused = true)]
    async fn the_machine_counts_where_there_is_no_limit() {
        let tree = Tree::new("machine");
        host(&tree, 100, 900);
        let probe = SystemProbe::under(tree.0.clone()).disk(std::env::temp_dir());
        let first = probe.read();
        assert_eq!(first.cpu, None, "nothing has passed since");
        assert_eq!(first.memory, Usage::new(400 * 1_024, 1_000 * 1_024));
        assert_eq!(first.process_memory, Some(7 * 1_024));
        assert_eq!(first.open_files, Usage::new(2, 10));
        assert_eq!(first.disks.len(), usize::from(cfg!(unix)));

        host(&tree, 175, 925);
        assert_eq!(probe.read(), first, "within a second it is the same one");
        tokio::time::advance(2 * FRESH).await;
        assert_eq!(probe.read().cpu, Some(0.75));
        // A clock that stands still, and one that goes back, say nothing new.
        tokio::time::advance(2 * FRESH).await;
        assert_eq!(probe.read().cpu, Some(0.75));
        host(&tree, 1, 1);
        tokio::time::advance(2 * FRESH).await;
        assert_eq!(probe.read().cpu, Some(0.75));
    }

    #[tokio::test(start_paused = true)]
    async fn the_tightest_limit_of_the_groups_around_counts() {
        let tree = Tree::new("groups");
        host(&tree, 100, 900);
        tree.write("proc/self/cgroup", "0::/pod/desk\n");
        let outer = "sys/fs/cgroup/pod";
        let inner = "sys/fs/cgroup/pod/desk";
        tree.write(&format!("{inner}/memory.max"), "max\n");
        tree.write(&format!("{inner}/memory.current"), "900\n");
        tree.write(&format!("{outer}/memory.max"), "1000\n");
        tree.write(&format!("{outer}/memory.current"), "900\n");
        tree.write(&format!("{outer}/memory.stat"), "inactive_file 100\n");
        tree.write(&format!("{inner}/cpu.max"), "200000 100000\n");
        tree.write(&format!("{inner}/cpu.stat"), "usage_usec 0\n");
        tree.write(&format!("{outer}/cpu.max"), "50000 100000\n");
        tree.write(&format!("{outer}/cpu.stat"), "usage_usec 1000000\n");
        let probe = SystemProbe::under(tree.0.clone());
        assert_eq!(probe.read().memory, Usage::new(800, 1_000));
        // 0.9 s of processor time within 2 s, of half a processor.
        tree.write(&format!("{outer}/cpu.stat"), "usage_usec 1900000\n");
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(probe.read().cpu, Some(0.9));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_there_or_malformed_is_no_figure() {
        let none = Tree::new("none");
        let probe = SystemProbe::under(none.0.clone()).disk("/no/such/path");
        tokio::time::advance(2 * FRESH).await;
        assert_eq!(probe.read(), SystemReport::default());
        none.write("proc/stat", "cpu  x\n");
        none.write("proc/meminfo", "MemTotal: 10 kB\nMemAvailable: 11 kB\n");
        none.write("proc/self/cgroup", "0::/../..\n");
        none.write("proc/self/limits", "Max open files 0 0 files\n");
        none.write("proc/self/status", "VmRSS: many\n");
        assert_eq!(probe.read(), SystemReport::default());
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn this_machine_has_figures() {
        let system = SystemProbe::new().disk("/").read();
        let memory = system.memory.unwrap();
        assert!(memory.used > 0 && memory.used <= memory.total);
        assert!(system.process_memory.unwrap() > 100_000);
        assert!(system.open_files.unwrap().used > 2);
        let disk = system.disks[0].usage;
        assert!(disk.used > 0 && disk.used <= disk.total);
    }
}
