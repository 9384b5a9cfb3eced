//! `Measure`: wall time, CPU time and memory of this process, as reported by the kernel.

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

    /// Resets `VmHWM` to the current value.
    fn reset_peak() -> anyhow::Result<()> {
        std::fs::write("/proc/self/clear_refs", "5").context("cannot reset the peak of this process's memory")
    }
}

/// A measurement in progress.
#[derive(Debug)]
pub(crate) struct RunningMeasure {
    wall: Instant,
    cpu: Duration,
    before: Memory,
}

/// A finished measurement.
#[derive(Debug)]
pub(crate) struct Measure {
    pub(crate) wall: Duration,
    pub(crate) cpu: Duration,
    pub(crate) before: Memory,
    pub(crate) after: Memory,
}

impl Measure {
    /// Starts a measurement and resets the peak.
    pub(crate) fn start() -> anyhow::Result<RunningMeasure> {
        Memory::reset_peak()?;
        let before = Memory::now()?;
        Ok(RunningMeasure { before, cpu: processor_time(), wall: Instant::now() })
    }
}

impl RunningMeasure {
    /// Ends the measurement.
    pub(crate) fn stop(self) -> anyhow::Result<Measure> {
        let wall = self.wall.elapsed();
        let cpu = processor_time().saturating_sub(self.cpu);
        Ok(Measure { wall, cpu, before: self.before, after: Memory::now()? })
    }
}

/// The CPU time of all threads of this process.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.try_into().unwrap_or(0), time.tv_nsec.try_into().unwrap_or(0))
}
