//! The expected results were recorded from kube-apiserver 1.37.2. The results for `metav1.Time` come from the field
//! `firstTimestamp` of an Event. The results for `metav1.MicroTime` come from the field `renewTime` of a Lease.

use super::{Precision, canonical_form};

/// An input and its expected result. `Ok` contains the stored form, or `None` for null. `Err` contains the part of the
/// error message after the quoted input. If this part starts with `as: `, these characters stand for ` as "LAYOUT": `,
/// where `LAYOUT` is the Go time layout of the precision.
type TimeCase = (&'static str, Result<Option<&'static str>, &'static str>);

/// Asserts the results of [`canonical_form`] for all `rows`.
#[track_caller]
fn assert_stored_times(precision: Precision, rows: &[TimeCase]) {
    for (text, expected) in rows {
        let found = canonical_form(text, precision);
        let expected = match expected {
            Ok(stored) => Ok(stored.map(str::to_owned)),
            Err(problem) => {
                let problem = match problem.strip_prefix("as: ") {
                    Some(problem) => format!(" as \"{}\": {problem}", precision.layout()),
                    None => (*problem).to_owned(),
                };
                Err(format!("parsing time \"{text}\"{problem}"))
            }
        };
        assert_eq!(found, expected, "{text}");
    }
}

/// Cases of `metav1.Time`.
const TIME_CASES: &[TimeCase] = &[
    ("2024-02-03T04:05:06Z", Ok(Some("2024-02-03T04:05:06Z"))),
    ("2024-02-03T04:05:06.1Z", Ok(Some("2024-02-03T04:05:06Z"))),
    ("2024-02-03T04:05:06.123Z", Ok(Some("2024-02-03T04:05:06Z"))),
    ("2024-02-03T04:05:06.123456Z", Ok(Some("2024-02-03T04:05:06Z"))),
    ("2024-02-03T04:05:06.1234567Z", Ok(Some("2024-02-03T04:05:06Z"))),
    ("2024-02-03T04:05:06.123456789Z", Ok(Some("2024-02-03T04:05:06Z"))),
    ("2024-02-03T04:05:06.000000Z", Ok(Some("2024-02-03T04:05:06Z"))),
    ("2024-02-03T04:05:06+02:00", Ok(Some("2024-02-03T02:05:06Z"))),
    ("2024-02-03T04:05:06.123456+02:00", Ok(Some("2024-02-03T02:05:06Z"))),
    ("2024-02-03T04:05:06.123456-00:00", Ok(Some("2024-02-03T04:05:06Z"))),
    ("2024-02-03T04:05:06.123456+24:00", Ok(Some("2024-02-02T04:05:06Z"))),
    ("2024-02-03T04:05:06.123456+23:59", Ok(Some("2024-02-02T04:06:06Z"))),
    ("2024-02-03T04:05:06.123456+02:60", Ok(Some("2024-02-03T01:05:06Z"))),
    ("2024-02-03t04:05:06z", Err(r#"as: cannot parse "t04:05:06z" as "T""#)),
    ("2024-02-03t04:05:06.123456z", Err(r#"as: cannot parse "t04:05:06.123456z" as "T""#)),
    ("2024-02-03 04:05:06Z", Err(r#"as: cannot parse " 04:05:06Z" as "T""#)),
    ("2024-02-03 04:05:06.123456Z", Err(r#"as: cannot parse " 04:05:06.123456Z" as "T""#)),
    ("2024-02-03T04:05Z", Err(r#"as: cannot parse "Z" as ":""#)),
    ("2024-02-03", Err(r#"as: cannot parse "" as "T""#)),
    ("2024-02-30T04:05:06Z", Err(": day out of range")),
    ("2024-02-30T04:05:06.123456Z", Err(": day out of range")),
    ("2024-13-03T04:05:06Z", Err(": month out of range")),
    ("2024-02-03T24:05:06Z", Err(": hour out of range")),
    ("2024-02-03T04:60:06Z", Err(": minute out of range")),
    ("2024-02-03T04:05:60Z", Err(": second out of range")),
    ("2024-02-03T04:05:60.123456Z", Err(": second out of range")),
    ("2024-02-03T4:05:06Z", Ok(Some("2024-02-03T04:05:06Z"))),
    ("2024-2-03T04:05:06Z", Err(r#"as: cannot parse "2-03T04:05:06Z" as "01""#)),
    ("24-02-03T04:05:06Z", Err(r#"as: cannot parse "24-02-03T04:05:06Z" as "2006""#)),
    ("12024-02-03T04:05:06Z", Err(r#"as: cannot parse "4-02-03T04:05:06Z" as "-""#)),
    ("2024-02-03T04:05:06,123456Z", Ok(Some("2024-02-03T04:05:06Z"))),
    ("2024-02-03T04:05:06", Err(r#"as: cannot parse "" as "Z07:00""#)),
    ("2024-02-03T04:05:06.123456", Err(r#"as: cannot parse "" as "Z07:00""#)),
    ("2024-02-03T04:05:06+0200", Err(r#"as: cannot parse "+0200" as "Z07:00""#)),
    ("2024-02-03T04:05:06Z ", Err(r#": extra text: " ""#)),
    (" 2024-02-03T04:05:06Z", Err(r#"as: cannot parse " 2024-02-03T04:05:06Z" as "2006""#)),
    ("", Err(r#"as: cannot parse "" as "2006""#)),
    ("0001-01-01T00:00:00Z", Ok(None)),
    ("0001-01-01T00:00:00.000000Z", Ok(None)),
    ("0000-01-01T00:00:00Z", Ok(Some("0000-01-01T00:00:00Z"))),
    ("9999-12-31T23:59:59Z", Ok(Some("9999-12-31T23:59:59Z"))),
    ("9999-12-31T23:59:59.999999Z", Ok(Some("9999-12-31T23:59:59Z"))),
    ("2023-02-29T04:05:06.000000Z", Err(": day out of range")),
    ("2024-02-03T04:05:06.123456Zx", Err(r#": extra text: "x""#)),
    ("2024-02-03T04:05:06.Z", Err(r#"as: cannot parse ".Z" as "Z07:00""#)),
    ("2024-02-03T04:05:06.12345Z", Ok(Some("2024-02-03T04:05:06Z"))),
    ("9999-12-31T23:59:59-01:00", Ok(Some("10000-01-01T00:59:59Z"))),
    ("0000-01-01T00:00:00+01:00", Ok(Some("-0001-12-31T23:00:00Z"))),
    ("x", Err(r#"as: cannot parse "x" as "2006""#)),
    ("2024-02-03T04:05:06.999999999Z", Ok(Some("2024-02-03T04:05:06Z"))),
    ("2024-02-03T23:05:06-05:30", Ok(Some("2024-02-04T04:35:06Z"))),
    ("-2024-02-03T04:05:06Z", Err(r#"as: cannot parse "-2024-02-03T04:05:06Z" as "2006""#)),
    ("2024-00-03T04:05:06Z", Err(": month out of range")),
    ("2024-01-00T04:05:06Z", Err(": day out of range")),
];

/// Cases of `metav1.MicroTime`.
const MICRO_TIME_CASES: &[TimeCase] = &[
    ("2024-02-03T04:05:06Z", Err(r#"as: cannot parse "Z" as ".000000""#)),
    ("2024-02-03T04:05:06.1Z", Err(r#"as: cannot parse ".1Z" as ".000000""#)),
    ("2024-02-03T04:05:06.123Z", Err(r#"as: cannot parse ".123Z" as ".000000""#)),
    ("2024-02-03T04:05:06.123456Z", Ok(Some("2024-02-03T04:05:06.123456Z"))),
    ("2024-02-03T04:05:06.1234567Z", Err(r#"as: cannot parse "7Z" as "Z07:00""#)),
    ("2024-02-03T04:05:06.123456789Z", Err(r#"as: cannot parse "789Z" as "Z07:00""#)),
    ("2024-02-03T04:05:06.000000Z", Ok(Some("2024-02-03T04:05:06.000000Z"))),
    ("2024-02-03T04:05:06+02:00", Err(r#"as: cannot parse "+02:00" as ".000000""#)),
    ("2024-02-03T04:05:06.123456+02:00", Ok(Some("2024-02-03T02:05:06.123456Z"))),
    ("2024-02-03T04:05:06.123456-00:00", Ok(Some("2024-02-03T04:05:06.123456Z"))),
    ("2024-02-03T04:05:06.123456+24:00", Ok(Some("2024-02-02T04:05:06.123456Z"))),
    ("2024-02-03T04:05:06.123456+23:59", Ok(Some("2024-02-02T04:06:06.123456Z"))),
    ("2024-02-03T04:05:06.123456+02:60", Ok(Some("2024-02-03T01:05:06.123456Z"))),
    ("2024-02-03t04:05:06z", Err(r#"as: cannot parse "t04:05:06z" as "T""#)),
    ("2024-02-03t04:05:06.123456z", Err(r#"as: cannot parse "t04:05:06.123456z" as "T""#)),
    ("2024-02-03 04:05:06Z", Err(r#"as: cannot parse " 04:05:06Z" as "T""#)),
    ("2024-02-03 04:05:06.123456Z", Err(r#"as: cannot parse " 04:05:06.123456Z" as "T""#)),
    ("2024-02-03T04:05Z", Err(r#"as: cannot parse "Z" as ":""#)),
    ("2024-02-03", Err(r#"as: cannot parse "" as "T""#)),
    ("2024-02-30T04:05:06Z", Err(r#"as: cannot parse "Z" as ".000000""#)),
    ("2024-02-30T04:05:06.123456Z", Err(": day out of range")),
    ("2024-13-03T04:05:06Z", Err(": month out of range")),
    ("2024-02-03T24:05:06Z", Err(": hour out of range")),
    ("2024-02-03T04:60:06Z", Err(": minute out of range")),
    ("2024-02-03T04:05:60Z", Err(": second out of range")),
    ("2024-02-03T04:05:60.123456Z", Err(": second out of range")),
    ("2024-02-03T4:05:06Z", Err(r#"as: cannot parse "Z" as ".000000""#)),
    ("2024-2-03T04:05:06Z", Err(r#"as: cannot parse "2-03T04:05:06Z" as "01""#)),
    ("24-02-03T04:05:06Z", Err(r#"as: cannot parse "24-02-03T04:05:06Z" as "2006""#)),
    ("12024-02-03T04:05:06Z", Err(r#"as: cannot parse "4-02-03T04:05:06Z" as "-""#)),
    ("2024-02-03T04:05:06,123456Z", Ok(Some("2024-02-03T04:05:06.123456Z"))),
    ("2024-02-03T04:05:06", Err(r#"as: cannot parse "" as ".000000""#)),
    ("2024-02-03T04:05:06.123456", Err(r#"as: cannot parse "" as "Z07:00""#)),
    ("2024-02-03T04:05:06+0200", Err(r#"as: cannot parse "+0200" as ".000000""#)),
    ("2024-02-03T04:05:06Z ", Err(r#"as: cannot parse "Z " as ".000000""#)),
    (" 2024-02-03T04:05:06Z", Err(r#"as: cannot parse " 2024-02-03T04:05:06Z" as "2006""#)),
    ("", Err(r#"as: cannot parse "" as "2006""#)),
    ("0001-01-01T00:00:00Z", Err(r#"as: cannot parse "Z" as ".000000""#)),
    ("0001-01-01T00:00:00.000000Z", Ok(None)),
    ("0000-01-01T00:00:00Z", Err(r#"as: cannot parse "Z" as ".000000""#)),
    ("9999-12-31T23:59:59Z", Err(r#"as: cannot parse "Z" as ".000000""#)),
    ("9999-12-31T23:59:59.999999Z", Ok(Some("9999-12-31T23:59:59.999999Z"))),
    ("2023-02-29T04:05:06.000000Z", Err(": day out of range")),
    ("2024-02-03T04:05:06.123456Zx", Err(r#": extra text: "x""#)),
    ("2024-02-03T04:05:06.Z", Err(r#"as: cannot parse ".Z" as ".000000""#)),
    ("2024-02-03T04:05:06.12345Z", Err(r#"as: cannot parse ".12345Z" as ".000000""#)),
    ("9999-12-31T23:59:59-01:00", Err(r#"as: cannot parse "-01:00" as ".000000""#)),
    ("0000-01-01T00:00:00+01:00", Err(r#"as: cannot parse "+01:00" as ".000000""#)),
    ("x", Err(r#"as: cannot parse "x" as "2006""#)),
    ("2024-02-03T04:05:06.999999999Z", Err(r#"as: cannot parse "999Z" as "Z07:00""#)),
    ("2024-02-03T23:05:06-05:30", Err(r#"as: cannot parse "-05:30" as ".000000""#)),
    ("-2024-02-03T04:05:06Z", Err(r#"as: cannot parse "-2024-02-03T04:05:06Z" as "2006""#)),
    ("2024-00-03T04:05:06Z", Err(": month out of range")),
    ("2024-01-00T04:05:06Z", Err(r#"as: cannot parse "Z" as ".000000""#)),
];

#[test]
fn time_is_stored_in_utc_with_whole_seconds() {
    assert_stored_times(Precision::Seconds, TIME_CASES);
}

#[test]
fn micro_time_requires_and_keeps_six_fractional_digits() {
    assert_stored_times(Precision::Micros, MICRO_TIME_CASES);
}

#[test]
fn non_ascii_strings_are_rejected() {
    for text in ["ä", "2024-02-03T04:05:06ä", "2024-02-03T04:05:06.ä", "2024-02-03T04:05:06+ä1:00", "202ä"]
    {
        assert!(canonical_form(text, Precision::Seconds).is_err(), "{text}");
        assert!(canonical_form(text, Precision::Micros).is_err(), "{text}");
    }
}
