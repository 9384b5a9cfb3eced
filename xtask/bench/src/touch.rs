//! `touch_pages`: makes the host of a virtual machine allocate memory pages before a run is measured.
//!
//! On a virtual machine the first access to a page takes microseconds. The cost recurs after the host has reclaimed a
//! page that was unused for some seconds. Without [`touch_pages`], only the first contender would pay this cost.
//! Touching more memory than the run needs is harmful as well: the host would reclaim the surplus during the run and
//! slow the run down.

use std::fs;

/// The MiB to touch before the first run of a row: an estimate of the memory of the largest contender, but at most half
/// of `MemAvailable`.
pub(super) fn mib_for_first_run(pods: usize) -> usize {
    let available = fs::read_to_string("/proc/meminfo").ok().and_then(|text| {
        let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
        line.split_whitespace().next()?.parse::<usize>().ok()
    });
    (64 + pods / 8).min(available.unwrap_or(0) / 1024 / 2)
}

/// The MiB to touch before a repeated run: slightly more than the peak resident memory of the previous run.
pub(super) fn mib_for_repeated_run(peak_kib: u64) -> usize {
    usize::try_from(peak_kib / 1024 * 17 / 16 + 16).unwrap_or(0)
}

/// Allocates `mib` MiB, writes to every page, and frees the memory.
pub(super) fn touch_pages(mib: usize) {
    let mut memory = vec![0_u8; mib << 20];
    memory.iter_mut().step_by(4096).for_each(|byte| *byte = 1);
    std::hint::black_box(&memory);
}
