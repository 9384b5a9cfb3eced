//! Times in objects of built-in kinds. The module parses and serializes times like Go's `metav1.Time` and
//! `metav1.MicroTime`.
//!
//! This module owns the parser, its error texts, and the stored form: UTC, with whole seconds or six fractional
//! digits. This module must not know which fields are times.

use jiff::ToSpan as _;
use jiff::civil::{Date, DateTime};

use super::quote;

/// The precision of a time, which depends on its Go type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Precision {
    /// `metav1.Time`: fractional seconds are accepted but not stored.
    Seconds,
    /// `metav1.MicroTime`: exactly six fractional digits are required and stored.
    Micros,
}

impl Precision {
    /// Go's layout of a time with this precision.
    fn layout(self) -> &'static str {
        match self {
            Self::Seconds => "2006-01-02T15:04:05Z07:00",
            Self::Micros => "2006-01-02T15:04:05.000000Z07:00",
        }
    }
}

/// Returns the stored form of a time; `None` for Go's zero time, which represents an unset field.
///
/// # Errors
/// The text of Go's `time.Parse` for a malformed time.
pub(super) fn canonical_form(text: &str, precision: Precision) -> Result<Option<String>, String> {
    let mut parser = Parser { text, rest: text, precision };
    let parts = parser.parse()?;
    let date = Date::new(parts.year, parts.month, parts.day).map_err(|_| parser.out_of_range_error("day"))?;
    // The offset must not move the time out of the range of `jiff`. The calendar repeats every 400 years, so the
    // conversion to UTC uses a year from 2000 to 2399.
    let base_year = 2000 + parts.year.rem_euclid(400);
    let local = Date::new(base_year, date.month(), date.day())
        .map_err(|_| parser.out_of_range_error("day"))?
        .at(parts.hour, parts.minute, parts.second, 0);
    let utc: DateTime = local.saturating_sub(parts.offset.minutes());
    let year = parts.year + (utc.year() - base_year);
    let is_zero = (year, utc.month(), utc.day()) == (1, 1, 1)
        && (utc.hour(), utc.minute(), utc.second(), parts.nanos) == (0, 0, 0, 0);
    if is_zero {
        return Ok(None);
    }
    let sign = if year < 0 { "-" } else { "" };
    let seconds = format!(
        "{sign}{:04}-{:02}-{:02}T{:02}:{:02}:{:02}",
        year.unsigned_abs(),
        utc.month(),
        utc.day(),
        utc.hour(),
        utc.minute(),
        utc.second()
    );
    Ok(Some(match precision {
        Precision::Seconds => format!("{seconds}Z"),
        Precision::Micros => format!("{seconds}.{:06}Z", parts.nanos / 1000),
    }))
}

/// The parts of a time; `offset` is in minutes east of UTC.
struct Parts {
    year: i16,
    month: i8,
    day: i8,
    hour: i8,
    minute: i8,
    second: i8,
    nanos: u32,
    offset: i32,
}

/// A parser of a time. It parses the parts, such as the year and the month, in the order of Go's time layout.
/// The order matters, because Go's error contains the first part that does not match the layout.
struct Parser<'a> {
    text: &'a str,
    rest: &'a str,
    precision: Precision,
}

impl Parser<'_> {
    fn parse(&mut self) -> Result<Parts, String> {
        let year = self.parse_year()?;
        self.skip_literal("-")?;
        let month = self.parse_number("01", Digits::Two)?;
        if !(1..=12).contains(&month) {
            return Err(self.out_of_range_error("month"));
        }
        self.skip_literal("-")?;
        // Go checks the range of the day after all other parts.
        let day = self.parse_number("02", Digits::Two)?;
        self.skip_literal("T")?;
        let hour = self.parse_number("15", Digits::OneOrTwo)?;
        if hour > 23 {
            return Err(self.out_of_range_error("hour"));
        }
        self.skip_literal(":")?;
        let minute = self.parse_number("04", Digits::Two)?;
        if minute > 59 {
            return Err(self.out_of_range_error("minute"));
        }
        self.skip_literal(":")?;
        let second = self.parse_number("05", Digits::Two)?;
        if second > 59 {
            return Err(self.out_of_range_error("second"));
        }
        let nanos = self.parse_fraction()?;
        let offset = self.parse_offset()?;
        if !self.rest.is_empty() {
            return Err(format!("parsing time {}: extra text: {}", quote(self.text), quote(self.rest)));
        }
        Ok(Parts { year, month, day, hour, minute, second, nanos, offset })
    }

    fn parse_year(&mut self) -> Result<i16, String> {
        match self.rest.get(..4).filter(|year| year.bytes().all(|b| b.is_ascii_digit())) {
            Some(year) => {
                self.rest = &self.rest[4..];
                year.parse().map_err(|_| self.mismatch_error("2006"))
            }
            None => Err(self.mismatch_error("2006")),
        }
    }

    fn skip_literal(&mut self, expected: &str) -> Result<(), String> {
        match self.rest.strip_prefix(expected) {
            Some(rest) => {
                self.rest = rest;
                Ok(())
            }
            None => Err(self.mismatch_error(expected)),
        }
    }

    /// Parses a number with as many digits as `digits` allows. `name` is the element of Go's time layout that the error
    /// contains.
    fn parse_number(&mut self, name: &str, digits: Digits) -> Result<i8, String> {
        let found = self.rest.bytes().take(2).take_while(u8::is_ascii_digit).count();
        if found == 0 || found == 1 && digits == Digits::Two {
            return Err(self.mismatch_error(name));
        }
        let (number, rest) = self.rest.split_at(found);
        let number = number.parse().map_err(|_| self.mismatch_error(name))?;
        self.rest = rest;
        Ok(number)
    }

    /// Parses the fractional seconds and returns them in nanoseconds. With [`Precision::Seconds`], the fraction is
    /// optional and has any number of digits; with [`Precision::Micros`], it has six digits.
    fn parse_fraction(&mut self) -> Result<u32, String> {
        let digits = |rest: &str| {
            let count = rest.bytes().skip(1).take_while(u8::is_ascii_digit).count();
            if rest.starts_with(['.', ',']) { count } else { 0 }
        };
        let found = digits(self.rest);
        let taken = match self.precision {
            Precision::Seconds if found == 0 => return Ok(0),
            Precision::Seconds => found,
            Precision::Micros if found < 6 => return Err(self.mismatch_error(".000000")),
            Precision::Micros => 6,
        };
        let (fraction, rest) = self.rest.split_at(1 + taken);
        self.rest = rest;
        let nanos = format!("{:0<9.9}", &fraction[1..]);
        Ok(nanos.parse().unwrap_or(0))
    }

    /// Parses the time zone offset and returns it in minutes east of UTC.
    fn parse_offset(&mut self) -> Result<i32, String> {
        const GO_OFFSET_LAYOUT: &str = "Z07:00";
        if let Some(rest) = self.rest.strip_prefix('Z') {
            self.rest = rest;
            return Ok(0);
        }
        let number = |from: usize| -> Option<i32> {
            let digits = self.rest.get(from..from + 2)?;
            digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok())?
        };
        let sign = match self.rest.as_bytes().first() {
            Some(b'+') => 1,
            Some(b'-') => -1,
            _ => return Err(self.mismatch_error(GO_OFFSET_LAYOUT)),
        };
        let (Some(hours), Some(":"), Some(minutes)) = (number(1), self.rest.get(3..4), number(4)) else {
            return Err(self.mismatch_error(GO_OFFSET_LAYOUT));
        };
        // As in Go, the largest valid hour of an offset is 24, and the largest valid minute is 60.
        if hours > 24 {
            return Err(self.out_of_range_error("time zone offset hour"));
        }
        if minutes > 60 {
            return Err(self.out_of_range_error("time zone offset minute"));
        }
        self.rest = &self.rest[6..];
        Ok(sign * (hours * 60 + minutes))
    }

    /// The error for a text that does not match the element `expected` of Go's layout.
    fn mismatch_error(&self, expected: &str) -> String {
        let layout = self.precision.layout();
        format!(
            "parsing time {} as \"{layout}\": cannot parse {} as \"{expected}\"",
            quote(self.text),
            quote(self.rest)
        )
    }

    fn out_of_range_error(&self, what: &str) -> String {
        format!("parsing time {}: {what} out of range", quote(self.text))
    }
}

/// The numbers of digits that a part may have.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Digits {
    Two,
    OneOrTwo,
}

#[cfg(test)]
mod tests;
