//! Writes single values as the JSON that Go's `encoding/json` writes. Only the exponents of floats (`1e300` instead of
//! `1e+300`) and the escapes in strings may differ.

use super::reader::fields_1_to_3;
use super::transcode::{Result, number_of};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Go's zero time (the beginning of the year 1), in seconds since the Unix epoch.
const ZERO_TIME: i64 = -62_135_596_800;
/// The last second of the year 9999.
const MAX_TIME: i64 = 253_402_300_799;
const SECONDS_PER_DAY: i64 = 86_400;

/// Writes a string in quotes. Bytes that are not UTF-8 stay unchanged.
#[inline]
pub(super) fn write_quoted(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    // The fold has no branches, so that the compiler can use vector (SIMD) instructions.
    let escape_flags = text.iter().fold(0, |flags, byte| flags | escape_flag(*byte));
    if escape_flags != 0 {
        write_escaped(text, out);
    } else {
        out.extend_from_slice(text);
    }
    out.push(b'"');
}

/// 1 if a JSON string must escape the byte, otherwise 0.
#[inline]
fn escape_flag(byte: u8) -> u8 {
    u8::from(byte < b' ') | u8::from(byte == b'"') | u8::from(byte == b'\\')
}

#[cold]
fn write_escaped(text: &[u8], out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    for byte in text {
        match byte {
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\t' => out.extend_from_slice(b"\\t"),
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', *byte]),
            0..b' ' => {
                out.extend_from_slice(b"\\u00");
                out.extend_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
            }
            _ => out.push(*byte),
        }
    }
}

pub(super) fn write_int(number: i64, out: &mut Vec<u8>) {
    if number < 0 {
        out.push(b'-');
    }
    write_uint(number.unsigned_abs(), out);
}

pub(super) fn write_uint(mut number: u64, out: &mut Vec<u8>) {
    let (mut digits, mut at) = ([b'0'; 20], 20);
    loop {
        at -= 1;
        digits[at] = last_digit(number % 10);
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// The last decimal digit of a number, as an ASCII character.
fn last_digit(number: u64) -> u8 {
    b'0' + u8::try_from(number % 10).unwrap_or_default()
}

/// Writes a float. As in Go, a float has an exponent only if its magnitude is below 10^-6 or at least 10^21. A whole number
/// without an exponent decodes as an integer, as from the JSON of an API server.
pub(super) fn write_double(number: f64, out: &mut Vec<u8>) -> Result<()> {
    if !number.is_finite() {
        return Err("JSON has no form for a number that is not finite".into());
    }
    let magnitude = number.abs();
    let text = if magnitude == 0.0 || (1e-6..1e21).contains(&magnitude) {
        number.to_string()
    } else {
        format!("{number:e}")
    };
    out.extend_from_slice(text.as_bytes());
    Ok(())
}

/// Writes bytes as a string in base64.
pub(super) fn write_base64(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    let start = out.len();
    out.resize(start + bytes.len().div_ceil(3) * 4, 0);
    // The buffer has exactly the size of the base64 text, so the encoding cannot fail.
    let length = STANDARD.encode_slice(bytes, &mut out[start..]).unwrap_or_default();
    out.truncate(start + length);
    out.push(b'"');
}

/// Writes a time in the form of RFC 3339, with microseconds if `micro` is set. Writes null for Go's zero time and for an
/// empty message.
pub(super) fn write_time(bytes: &[u8], micro: bool, out: &mut Vec<u8>) -> Result<()> {
    let [seconds, nanos, _] = fields_1_to_3(bytes)?;
    let (seconds, nanos) = (number_of(seconds)?.cast_signed(), number_of(nanos)?);
    if bytes.is_empty() || seconds == ZERO_TIME {
        out.extend_from_slice(b"null");
        return Ok(());
    }
    if !(ZERO_TIME..=MAX_TIME).contains(&seconds) || nanos >= 1_000_000_000 {
        return Err("a time is not between the years 1 and 9999".into());
    }
    let (year, month, day) = date_of(seconds.div_euclid(SECONDS_PER_DAY));
    let second = seconds.rem_euclid(SECONDS_PER_DAY);
    out.push(b'"');
    for (number, digits, after) in [
        (year, 4, b'-'),
        (month, 2, b'-'),
        (day, 2, b'T'),
        (second / 3600, 2, b':'),
        (second / 60 % 60, 2, b':'),
        (second % 60, 2, if micro { b'.' } else { b'Z' }),
    ] {
        write_padded(number.unsigned_abs(), digits, out);
        out.push(after);
    }
    if micro {
        write_padded(nanos / 1000, 6, out);
        out.push(b'Z');
    }
    out.push(b'"');
    Ok(())
}

/// Writes the last `digits` digits of a number, with leading zeroes.
fn write_padded(mut number: u64, digits: usize, out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + digits, b'0');
    for slot in out[start..].iter_mut().rev() {
        *slot = last_digit(number);
        number /= 10;
    }
}

/// Returns the year, month and day of the date that is `day` days after 1970-01-01, in the Gregorian calendar. The
/// calculation begins each year in March, so that the leap day is the last day of the year.
fn date_of(day: i64) -> (i64, i64, i64) {
    const DAYS_PER_400_YEARS: i64 = 146_097;
    let day = day + 719_468;
    let (cycle, day) = (day.div_euclid(DAYS_PER_400_YEARS), day.rem_euclid(DAYS_PER_400_YEARS));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (cycle * 400 + year + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;

    fn written_text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    /// Encodes a time as a Protobuf message.
    fn encode_time(seconds: i64, nanos: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (tag, mut number) in [(0x08, seconds.cast_unsigned()), (0x10, nanos)] {
            bytes.push(tag);
            while number >= 0x80 {
                bytes.push(number.to_le_bytes()[0] | 0x80);
                number >>= 7;
            }
            bytes.push(number.to_le_bytes()[0]);
        }
        bytes
    }

    #[test]
    fn strings_are_escaped_as_json() {
        for string in ["", "plain", "a\"b\\c", "line\nend\t\u{1}\u{1f}", "é\u{2028}"] {
            let written = written_text(|out| write_quoted(string.as_bytes(), out));
            assert_eq!(serde_json::from_str::<String>(&written).unwrap(), string);
        }
    }

    #[test]
    fn numbers_and_bytes_are_written_as_json() {
        for number in [0, 7, -1, 10, i64::MAX, i64::MIN] {
            assert_eq!(written_text(|out| write_int(number, out)), number.to_string());
        }
        for (number, expected) in [
            (0.0, "0"),
            (-3.0, "-3"),
            (0.5, "0.5"),
            (1e-6, "0.000001"),
            (-1.5e-7, "-1.5e-7"),
            (9_223_372_036_854_775_807.0, "9223372036854776000"),
            (1e20, "100000000000000000000"),
            (1e21, "1e21"),
            (1e300, "1e300"),
        ] {
            assert_eq!(written_text(|out| write_double(number, out).unwrap()), expected);
        }
        assert!(write_double(f64::NAN, &mut Vec::new()).is_err());
        assert_eq!(written_text(|out| write_base64(&[0xff, 0], out)), "\"/wA=\"");
    }

    #[test]
    fn times_agree_with_jiff() {
        let mut random = fastrand::Rng::with_seed(1);
        for _ in 0..2000 {
            let seconds = random.i64(ZERO_TIME + 1..253_402_207_200);
            let written = written_text(|out| write_time(&encode_time(seconds, 5), false, out).unwrap());
            let expected = Timestamp::from_second(seconds).unwrap();
            assert_eq!(written.trim_matches('"').parse::<Timestamp>().unwrap(), expected, "{written}");
        }
        let micro = written_text(|out| write_time(&encode_time(1, 12_345_678), true, out).unwrap());
        assert_eq!(micro, "\"1970-01-01T00:00:01.012345Z\"");
        assert_eq!(
            written_text(|out| write_time(&encode_time(MAX_TIME, 0), false, out).unwrap()),
            "\"9999-12-31T23:59:59Z\""
        );
        assert_eq!(written_text(|out| write_time(&encode_time(ZERO_TIME, 0), false, out).unwrap()), "null");
        assert_eq!(written_text(|out| write_time(&[], true, out).unwrap()), "null");
        for (seconds, nanos) in [(MAX_TIME + 1, 0), (ZERO_TIME - 1, 0), (i64::MIN, 0), (0, 1_000_000_000)] {
            assert!(write_time(&encode_time(seconds, nanos), false, &mut Vec::new()).is_err());
        }
    }
}
