//! The last lines of a log file, for error messages.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

/// The number of bytes to read from the end of a file.
const TAIL_BYTES: u64 = 64 * 1024;

/// The last `lines` non-blank lines in the last 64 KiB of the file at `path`; empty if the file cannot be read.
/// Replaces invalid UTF-8.
pub fn tail(path: &Path, lines: usize) -> String {
    let Ok(text) = read_end(path) else { return String::new() };
    let all: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

/// Reads the last [`TAIL_BYTES`] bytes of a file as text.
fn read_end(path: &Path) -> std::io::Result<String> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
    let mut bytes = Vec::new();
    file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tail_returns_the_last_non_blank_lines() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.log");
        std::fs::write(&path, "a\nb\n\nc\n").unwrap();
        assert_eq!(tail(&path, 2), "b\nc");
        assert_eq!(tail(&path, 9), "a\nb\nc");
    }

    #[test]
    fn tail_returns_the_last_line_of_a_large_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.log");
        let mut text = "x".repeat(200_000);
        text.push_str("\nlast");
        std::fs::write(&path, text).unwrap();
        assert_eq!(tail(&path, 1), "last");
    }

    #[test]
    fn a_missing_file_has_no_lines() {
        assert_eq!(tail(Path::new("/nonexistent/x.log"), 3), "");
    }
}
