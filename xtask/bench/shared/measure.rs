//! `Measure`: wall time, CPU time, memory and wake-ups of this process, as reported by the kernel.

use std::time::{Duration, Instant};

use anyhow::Context;
use rustix::time::{ClockId, clock_gettime};

/// Memory of this process, in KiB.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Memory {
    /// Resident memory (`VmRSS`).
    pub(crate) resident: u64,
    /// Peak resident memory since the last reset (`VmHWM`).
    pub(crate) peak: u64,
    /// Anonymous resident memory (`RssAnon`). It excludes the program's code, whose resident part grows as the program
    /// executes more code.
    pub(crate) anonymous: u64,
}

impl Memory {
    /// Reads the current values.
    pub(crate) fn now() -> anyhow::Result<Self> {
        let status = std::fs::read_to_string("/proc/self/status").context("cannot read /proc/self/status")?;
        let field = |name: &str| -> anyhow::Result<u64> {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let number = line.and_then(|rest| rest.trim_start_matches(':').split_whitespace().next());
            number
                .and_then(|number| number.parse().ok())
                .with_context(|| format!("no {name} in /proc/self/status"))
        };
        Ok(Self { resident: field("VmRSS")?, peak: field("VmHWM")?, anonymous: field("RssAnon")? })
    }

    /// Resets the peak (`VmHWM`) to the current resident memory.
    fn reset_peak() -> anyhow::Result<()> {
        std::fs::write("/proc/self/clear_refs", "5").context("cannot reset the peak of this process's memory")
    }
}

/// A measurement in progress.
#[derive(Debug)]
pub(crate) struct RunningMeasure {
    wall: Instant,
    cpu: Duration,
    wakeups: u64,
    before: Memory,
}

/// A finished measurement.
#[derive(Debug)]
pub(crate) struct Measure {
    pub(crate) wall: Duration,
    pub(crate) cpu: Duration,
    /// The number of times that a thread was resumed after a wait.
    pub(crate) wakeups: u64,
    pub(crate) before: Memory,
    pub(crate) after: Memory,
}

impl Measure {
    /// Resets the peak of resident memory and starts a measurement.
    pub(crate) fn start() -> anyhow::Result<RunningMeasure> {
        Memory::reset_peak()?;
        let before = Memory::now()?;
        Self::start_with_memory(before)
    }

    /// Starts to measure time and wake-ups. `before` is the memory before the work.
    fn start_with_memory(before: Memory) -> anyhow::Result<RunningMeasure> {
        Ok(RunningMeasure { before, wakeups: wakeup_count()?, cpu: processor_time(), wall: Instant::now() })
    }
}

impl RunningMeasure {
    /// Starts the measurement of time and wake-ups again. The growth of memory still counts from [`Measure::start`].
    pub(crate) fn restart_except_memory(self) -> anyhow::Result<Self> {
        Measure::start_with_memory(self.before)
    }

    /// Ends the measurement.
    pub(crate) fn stop(self) -> anyhow::Result<Measure> {
        let wall = self.wall.elapsed();
        let cpu = processor_time().saturating_sub(self.cpu);
        let wakeups = wakeup_count()?.saturating_sub(self.wakeups);
        Ok(Measure { wall, cpu, wakeups, before: self.before, after: Memory::now()? })
    }
}

/// The number of waits (voluntary context switches) of the threads that exist now in this process. Each wait ends with a
/// wake-up.
fn wakeup_count() -> anyhow::Result<u64> {
    let mut sum = 0;
    for thread in std::fs::read_dir("/proc/self/task").context("cannot list the threads")? {
        // A thread may have ended after the directory was listed.
        let Ok(status) = std::fs::read_to_string(thread?.path().join("status")) else { continue };
        let waits = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        sum += waits.and_then(|waits| waits.trim().parse::<u64>().ok()).unwrap_or_default();
    }
    Ok(sum)
}

/// The CPU time of all threads of this process.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.try_into().unwrap_or(0), time.tv_nsec.try_into().unwrap_or(0))
}
