//! `touch`: has the machine's memory there before anybody's time is measured.
//!
//! On a virtual machine a page costs microseconds the first time that anyone touches it, and again once it was unused for some
//! seconds and the host has taken it back. Whoever comes first would pay for all. Nor is more touched than will be used: the
//! host, taking the rest back, would slow the run down that follows.

use std::fs;

/// How many MiB are touched before a run of which no earlier one is known: what the hungriest contender needs, and no more
/// than half of what the machine has left.
pub(super) fn guess(pods: usize) -> usize {
    let available = fs::read_to_string("/proc/meminfo").ok().and_then(|text| {
        let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
        line.split_whitespace().next()?.parse::<usize>().ok()
    });
    (64 + pods / 8).min(available.unwrap_or(0) / 1024 / 2)
}

/// How many MiB are touched before a run whose last one had so much resident at its peak: a little more.
pub(super) fn mib(peak_kib: u64) -> usize {
    usize::try_from(peak_kib / 1024 * 17 / 16 + 16).unwrap_or(0)
}

/// Touches so many MiB and gives them back.
pub(super) fn touch(mib: usize) {
    let mut memory = vec![0_u8; mib << 20];
    memory.iter_mut().step_by(4096).for_each(|byte| *byte = 1);
    std::hint::black_box(&memory);
}
