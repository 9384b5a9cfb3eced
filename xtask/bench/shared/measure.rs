//! Time and memory of this process, from the kernel.

use std::time::{Duration, Instant};

use anyhow::Context;
use rustix::time::{ClockId, clock_gettime};

/// Memory of this process, in KiB.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Memory {
    /// What is resident now.
    pub(crate) resident: u64,
    /// The most that was.
    pub(crate) peak: u64,
    /// What of it is data: without the program's own code, which is read from its file, and of which more counts the more of it
    /// has run.
    pub(crate) data: u64,
}

impl Memory {
    /// As of now.
    pub(crate) fn now() -> anyhow::Result<Self> {
        let status = std::fs::read_to_string("/proc/self/status").context("cannot read /proc/self/status")?;
        let field = |name: &str| -> anyhow::Result<u64> {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let number = line.and_then(|rest| rest.trim_start_matches(':').split_whitespace().next());
            number
                .and_then(|number| number.parse().ok())
                .with_context(|| format!("no {name} in /proc/self/status"))
        };
        Ok(Self { resident: field("VmRSS")?, peak: field("VmHWM")?, data: field("RssAnon")? })
    }

    /// Forgets the peak so far.
    fn reset_peak() -> anyhow::Result<()> {
        std::fs::write("/proc/self/clear_refs", "5").context("cannot reset the peak of this process's memory")
    }
}

/// A measurement under way.
#[derive(Debug)]
pub(crate) struct Running {
    wall: Instant,
    cpu: Duration,
    before: Memory,
}

/// What a piece of work has cost.
#[derive(Debug)]
pub(crate) struct Measure {
    pub(crate) wall: Duration,
    pub(crate) cpu: Duration,
    pub(crate) before: Memory,
    pub(crate) after: Memory,
}

impl Measure {
    /// Begins; the peak counts from here.
    pub(crate) fn start() -> anyhow::Result<Running> {
        Memory::reset_peak()?;
        let before = Memory::now()?;
        Ok(Running { before, cpu: processor_time(), wall: Instant::now() })
    }
}

impl Running {
    /// Ends.
    pub(crate) fn stop(self) -> anyhow::Result<Measure> {
        let wall = self.wall.elapsed();
        let cpu = processor_time().saturating_sub(self.cpu);
        Ok(Measure { wall, cpu, before: self.before, after: Memory::now()? })
    }
}

fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.try_into().unwrap_or(0), time.tv_nsec.try_into().unwrap_or(0))
}
