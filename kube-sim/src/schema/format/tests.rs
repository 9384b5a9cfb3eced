//! Tests of [`accepts`] with strings that kube-apiserver 1.37.2 accepted or rejected for each format.

use super::accepts;

/// A format, the strings that the API server accepts, and the strings that it rejects.
type FormatCase = (&'static str, &'static [&'static str], &'static [&'static str]);

const CASES: &[FormatCase] = &[
    (
        "bsonobjectid",
        &["507f1f77bcf86cd799439011", "507F1F77BCF86CD799439011"],
        &["507f1f77bcf86cd79943901", "507f1f77bcf86cd79943901g", ""],
    ),
    (
        "uri",
        &[
            "https://a.b/c?d",
            "/",
            "/a b",
            "/a%20b",
            "*",
            "mailto:a@b",
            "mailto:",
            "a:",
            "a+b-c.d:e",
            "//a/b",
            "http://",
            "http:///",
            "http://a:80",
            "http://a:",
            "http://[::1]:80/",
            "http://ü/",
            "http://a<b>/",
            "http://u:p@h/",
            "http://a/#b",
            "http://a/\\",
            "/ü",
            "urn:x:y",
            "http://a?b c",
            "a:%",
            "http://[fe80::1%25en0]/",
            "http://]",
            "http://a]b/",
            "http://a%25b/",
            "http://%25]:80",
            "HTTP://A",
        ],
        &[
            "/a%2",
            "/a%zz",
            "a",
            "",
            "?",
            "a b:c",
            "1a:b",
            ":a",
            "http://a:b",
            "http://[::1",
            "http://::1/",
            "http://a b/",
            "http://a%20b/",
            "http://a%41/",
            "http://a^b/",
            "http://u p@h/",
            "http://a#b",
            "a:\t",
            "./a",
            "http://a/%",
            "http://[::g]/",
            "http://[a]/",
            "http://a[b]/",
            "http://%31/",
        ],
    ),
    (
        "email",
        &[
            "a@b",
            "a@b.c",
            "A B <a@b>",
            "\"A B\" <a@b>",
            "<a@b>",
            "a@b (c)",
            "\"a b\"@c",
            "a.b@c",
            "a@[1.2.3.4]",
            "ü@ü",
            " a@b ",
            "g: a@b;",
            "g: <a@b>;",
            "A. B. <a@b>",
            "=?utf-8?q?A?= <a@b>",
            "\"a\\\"b\"@c",
            "<a@b> (c)",
            "a@ b",
            "A<a@b>",
        ],
        &[
            "mailto:a@b",
            "(c) a@b",
            "a",
            "@b",
            "a@",
            "a@@b",
            "a b@c",
            "\"\"@c",
            ".a@c",
            "a.@c",
            "a..b@c",
            "a@b.",
            "a@.b",
            "a@b..c",
            "a@[]",
            "a@b, c@d",
            "",
            "g:;",
            "a:b:c@d;;",
            "g: a@b, c: d@e;;",
            "g: a@b,;",
            "a@b>",
            "<a@b",
            "A <a@b> x",
            "a:b@c",
            "a@b c",
            "a\\b@c",
            "a@b\n",
            "a @b",
        ],
    ),
    (
        "hostname",
        &[
            "a",
            "a-1.example.com",
            "aGk=",
            "a-",
            "a-b",
            "a.bc",
            "1",
            "ü",
            "ü.de",
            "☃.com",
            "ab-cd.com",
            "localhost",
            "a+b.com",
        ],
        &[
            "-a.b",
            "1.5h",
            "2024-02-03",
            "a_b",
            "A.Example.",
            "a--b",
            "a-b-c",
            "a.b",
            "a.b1",
            "1.2.3.4",
            "",
            ".",
            "a..bc",
            "a-.bc",
            "a.ü",
            "a b.com",
            "a.com-",
            "a.-bc",
        ],
    ),
    (
        "ipv4",
        &[
            "10.0.0.1",
            "010.0.0.1",
            "::ffff:1.2.3.4",
            "::1.2.3.4",
            "::ffff:01.2.3.4",
            "0000001.2.3.4",
            "1.2.3.04",
        ],
        &[
            "1.2.3",
            "1.2.3.256",
            "1.2.3.4.5",
            "1.2.3.4/24",
            "::1",
            "",
            " 1.2.3.4",
            "1.2.3.a",
            "fe80::1.2.3.4%eth0",
            "+1.2.3.4",
        ],
    ),
    (
        "ipv6",
        &[
            "fe80::1",
            "::",
            "::1",
            "::ffff:1.2.3.4",
            "1:2:3:4:5:6:7:8",
            "1:2:3:4:5:6:7::",
            "FE80::A",
            "0001::",
        ],
        &[
            "1.2.3.4",
            "::ffff:01.2.3.4",
            "fe80::1%eth0",
            "1:2:3:4:5:6:7::8",
            "1::2::3",
            "12345::",
            "[::1]",
            "",
            "::ffff:1.2.3",
        ],
    ),
    (
        "cidr",
        &[
            "10.0.0.0/8",
            "010.0.0.0/8",
            "10.0.0.1/8",
            "10.0.0.0/08",
            "::/0",
            "::/128",
            "::ffff:1.2.3.4/96",
            "::ffff:01.2.3.4/96",
        ],
        &[
            "10.0.0.0/33",
            "10.0.0.0/",
            "10.0.0.0",
            "::/129",
            "/8",
            "10.0.0.0/+8",
            "10.0.0.0/8/9",
            "fe80::%a/10",
        ],
    ),
    (
        "mac",
        &[
            "01:23:45:67:89:ab",
            "01-23-45-67-89-AB",
            "0123.4567.89ab",
            "4111111111111111",
            "0123456789ab",
            "01:23:45:67:89:ab:cd:ef",
            "0123.4567.89ab.cdef",
            "00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00",
            "0000.0000.0000.0000.0000.0000.0000.0000.0000.0000",
            "0000000000000000000000000000000000000000",
        ],
        &[
            "01:23:45:67:89",
            "01:23:45-67-89-ab",
            "01-23-45:67:89:ab",
            "00000000000000",
            "0123456789ag",
            "01:23:45:67:89:gg",
            "1:2:3:4:5:6",
            "",
            "0123.4567.89ab.cd",
            "01234567.89ab",
        ],
    ),
    (
        "uuid",
        &[
            "a987fbc9-4bed-3078-9f07-9141ba07c9f3",
            "A987FBC94BED30789F079141BA07C9F3",
            "a987fbc94bed-3078-9f079141ba07c9f3",
        ],
        &["a987", "{a987fbc9-4bed-3078-9f07-9141ba07c9f3}"],
    ),
    (
        "uuid3",
        &["a987fbc9-4bed-3078-9f07-9141ba07c9f3", "a987fbc9-4bed-3078-cf07-9141ba07c9f3"],
        &["a987fbc9-4bed-4078-9f07-9141ba07c9f3"],
    ),
    (
        "uuid4",
        &["57b73598-8764-4ad0-a76a-679bb6640eb1", "57B73598-8764-4AD0-A76A-679BB6640EB1"],
        &["57b73598-8764-4ad0-c76a-679bb6640eb1", "57b73598-8764-5ad0-a76a-679bb6640eb1"],
    ),
    (
        "uuid5",
        &["987fbc97-4bed-5078-af07-9141ba07c9f3"],
        &["987fbc97-4bed-4078-af07-9141ba07c9f3", "987fbc97-4bed-5078-0f07-9141ba07c9f3"],
    ),
    ("isbn", &["0321751043", "978-0321751041", "3 401 01319 X"], &["978-0321751042", "3 401 01319 x", ""]),
    (
        "isbn10",
        &["0321751043", "3-401-01319-X", "3\t401\t01319\tX"],
        &["0321751044", "3-401-01319-x", "978-0321751041", "03217510431"],
    ),
    (
        "isbn13",
        &["978-0321751041", "9780321751041", "978 0321751041"],
        &["0321751043", "9780321751042", "978032175104X"],
    ),
    (
        "creditcard",
        &[
            "4111-1111-1111-1111",
            "4222222222222",
            "5500000000000004",
            "6011000000000004",
            "340000000000009",
            "30000000000004",
            "3530111333300000",
            "4111x1111y1111z1111",
            "36000000000008",
        ],
        &[
            "4111-1111-1111-1112",
            "4111111111111",
            "201400000000009",
            "2131000000000008",
            "6521674451993089",
            "0000000000000000",
            "",
        ],
    ),
    ("ssn", &["111-11-1111", "111 11 1111", "111-11 1111"], &["111111111", "11-11-1111", "111-11-111a"]),
    ("hexcolor", &["#FFFFFF", "fff", "#fff", "ffffff"], &["#FFFFFG", "#ffff", "", "##fff"]),
    (
        "rgbcolor",
        &["rgb(1, 2, 255)", "rgb( 1 , 2 , 3 )", "rgb(0,0,0)"],
        &[
            "rgb(1,2,256)",
            "rgb(01,2,3)",
            "rgb(+1,2,3)",
            "RGB(1,2,3)",
            "rgb(1,2)",
            "rgb (1,2,3)",
            "rgb(1,2,3) ",
        ],
    ),
    (
        "byte",
        &["aGVsbG8=", "aGk=", "aGl=", "aGkk", "aG=="],
        &["a", "", "aGk", "aGVs\nbG8=", "aG-_", "====", "a===", "aGVsbG8= ", "aGk=aGk="],
    ),
    (
        "date",
        &["2024-02-29", "0000-01-01"],
        &[
            "2023-02-29",
            "2024-2-29",
            "10000-01-01",
            "2024-02-29T",
            "24-02-29",
            "",
            "2024-00-01",
            "-2024-01-01",
            "٢٠٢٤-01-01",
        ],
    ),
    (
        "duration",
        &[
            "1h30m",
            "PT5M",
            "P1D",
            "P1DT2H",
            "-PT1M",
            "P1W",
            "0",
            "-0",
            "+0",
            "1.5h",
            "1.5d",
            ".5s",
            "1.s",
            "-1.5h",
            "1 day",
            "3 days",
            "2 weeks",
            "5 wk",
            "1h 30m",
            "1h30",
            "5µs",
            "5μs",
            "5us",
            "5 micros",
            "5 microfoo",
            "1 m",
            "1 min",
            "5 minutes",
            "1 hr",
            "1 hour",
            "5 H",
            "5 HOURS",
            "99999999999h",
            "9223372036854775807ns",
            "1e3s",
            "- 5s",
            "x5s",
            "5 s foo",
            "5secret",
            "1d2x",
            "10 dayz",
            "+-5s",
            "1.5.5h",
            "5S",
            "1h.",
        ],
        &[
            "1 parsec",
            "P1Y",
            "00",
            "1",
            "",
            ".",
            "5wks",
            "5 mi",
            "5 mo",
            "1 month",
            "1 hrs",
            "99999999999999999999h",
            "9223372036854775808ns",
            "5sx",
            "5 ss",
            "٣s",
            "5.",
        ],
    ),
    (
        "date-time",
        &[
            "2014-12-15T19:30:20.000Z",
            "2014-12-15T19:30:20+01:00",
            "2024-02-03t04:05:06z",
            "2024-02-03T04:05:06,5Z",
            "2024-02-03T04:05:06x5Z",
            "2024-02-03T04:05:06+99:99",
            "9999-12-31T23:59:59Z",
            "2024-02-03T04:05:06Ztx",
        ],
        &[
            "2014-12-15",
            "2024-02-03T04:05Z",
            "2024-02-03 04:05:06Z",
            "2024-02-03T04:05:60Z",
            "2024-02-03T24:00:00Z",
            "2024-02-30T04:05:06Z",
            "2024-02-03T04:05:06+0100",
            "2024-02-03T04:05:06",
            "2024-02-03T4:05:06Z",
            "",
            "2024-02-03T04:60:06Z",
            "2024-02-03T04:05:06.Z",
            "T",
            "٢٠٢٤-02-03T04:05:06Z",
        ],
    ),
    ("k8s-short-name", &["a-b", "0"], &["a_b", "-a", "A", "a.b", ""]),
    ("k8s-long-name", &["a.b-c.d"], &["a..b", ".a", "a.", "A.b", "", "a_b"]),
];

#[test]
fn formats_accept_the_same_strings_as_the_server() {
    for (format, good, bad) in CASES {
        for text in *good {
            assert!(accepts(format, text), "{format} should take {text:?}");
        }
        for text in *bad {
            assert!(!accepts(format, text), "{format} should refuse {text:?}");
        }
    }
}

#[test]
fn dns_names_have_a_maximum_length() {
    let label = "x".repeat(63);
    let hosts = [
        (label.clone(), true),
        (format!("{label}x"), false),
        (format!("{label}.{label}.{label}.com"), true),
        (format!("{}com", format!("{}.", "x".repeat(50)).repeat(5)), false),
    ];
    for (host, expected) in hosts {
        assert_eq!(accepts("hostname", &host), expected, "{host}");
    }
    assert!(accepts("k8s-short-name", &label));
    assert!(!accepts("k8s-short-name", &format!("{label}x")));
    assert!(accepts("k8s-long-name", &format!("{}.b", "a".repeat(100))));
    assert!(!accepts("k8s-long-name", &"a".repeat(254)));
}

#[test]
fn infiniband_mac_addresses_have_twenty_bytes() {
    assert!(accepts("mac", &["00"; 20].join(":")));
    assert!(accepts("mac", &["0000"; 10].join(".")));
    assert!(accepts("mac", &"00".repeat(20)));
    assert!(!accepts("mac", &"00".repeat(7)));
}

#[test]
fn password_and_unknown_formats_accept_any_string() {
    assert!(accepts("password", ""));
    assert!(accepts("datetime", "2014-12-15T19:30:20+01:00"));
    assert!(accepts("made-up", "x"));
}

#[test]
fn arbitrary_strings_cause_no_panic() {
    for text in ["ä", "a%ä", "/%ä", "ää:", "[ä", "\"ä", "\"\\", "(", "a@b (", "<", "=", "١:"] {
        for (format, _, _) in CASES {
            let _ = accepts(format, text);
        }
    }
}

#[test]
fn deeply_nested_groups_of_addresses_are_rejected() {
    assert!(!accepts("email", &"a:".repeat(1_000_000)));
}
