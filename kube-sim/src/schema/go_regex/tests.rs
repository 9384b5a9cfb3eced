//! The expected results were recorded from kube-apiserver 1.37.2, with one CRD for each pattern and one object
//! for each string.

use MatchedTexts::{AllBut, Only};

use super::compile;

/// The [`TEXTS`] that a pattern matches.
enum MatchedTexts {
    /// The pattern matches these texts, and no other.
    Only(&'static [&'static str]),
    /// The pattern matches all texts except for these.
    AllBut(&'static [&'static str]),
}

/// The strings on which the test tries each pattern of [`MATCHES`].
const TEXTS: &[&str] = &[
    "a", "b", "aa", "aaa", "A", "k", "K", "z", "_", "-", "&", "<a>", "ä", "ü", "ß", "straße", "STRASSE", "α",
    "Ω", "Я", "5", "٣", "12", " ", "\t", "\u{b}", "\n", "\u{7}", "", ".", "a.b", "axb", "a\nb", "a\nb\nc",
    "[", "a]", "[]", "]", "\\", "^", "/", "~", "a{,3}", "a{", "{a", "}", "a{2", "漢", "ʰ", "ab", "Qa", "a b",
    "S", "_# ", "é", "€", "ก", "!", "bc", "Bc", "abb", "ac",
];

/// Patterns, each with the texts that it matches.
const MATCHES: &[(&str, MatchedTexts)] = &[
    (
        r"[[:alpha:]]+",
        Only(&[
            "a", "b", "aa", "aaa", "A", "k", "K", "z", "<a>", "straße", "STRASSE", "a.b", "axb", "a\nb",
            "a\nb\nc", "a]", "a{,3}", "a{", "{a", "a{2", "ab", "Qa", "a b", "S", "bc", "Bc", "abb", "ac",
        ]),
    ),
    (
        r"^[[:^alpha:]]$",
        Only(&[
            "_", "-", "&", "ä", "ü", "ß", "α", "Ω", "Я", "5", "٣", " ", "\t", "\u{b}", "\n", "\u{7}", ".",
            "[", "]", "\\", "^", "/", "~", "}", "漢", "ʰ", "é", "€", "ก", "!",
        ]),
    ),
    (r"^\pL$", Only(&["a", "b", "A", "k", "K", "z", "ä", "ü", "ß", "α", "Ω", "Я", "漢", "ʰ", "S", "é", "ก"])),
    (r"^\p{Greek}$", Only(&["α", "Ω"])),
    (
        r"^\PN$",
        AllBut(&[
            "aa", "aaa", "<a>", "straße", "STRASSE", "5", "٣", "12", "", "a.b", "axb", "a\nb", "a\nb\nc",
            "a]", "[]", "a{,3}", "a{", "{a", "a{2", "ab", "Qa", "a b", "_# ", "bc", "Bc", "abb", "ac",
        ]),
    ),
    (
        r"^\p{^Lu}$",
        AllBut(&[
            "aa", "aaa", "A", "K", "<a>", "straße", "STRASSE", "Ω", "Я", "12", "", "a.b", "axb", "a\nb",
            "a\nb\nc", "a]", "[]", "a{,3}", "a{", "{a", "a{2", "ab", "Qa", "a b", "S", "_# ", "bc", "Bc",
            "abb", "ac",
        ]),
    ),
    (r"^\Qa.b\E$", Only(&["a.b"])),
    (r"^\Qa.b", Only(&["a.b"])),
    (r"^a{1,1000}$", Only(&["a", "aa", "aaa"])),
    (r"^(a{10}){100}$", Only(&[])),
    (r"^[a-z&&_]$", Only(&["a", "b", "k", "z", "_", "&"])),
    (r"\<a\>", Only(&["<a>"])),
    (r"^\d$", Only(&["5"])),
    (r"^\w$", Only(&["a", "b", "A", "k", "K", "z", "_", "5", "S"])),
    (r"^\s$", Only(&[" ", "\t", "\n"])),
    (
        r"a\b",
        Only(&[
            "a", "aa", "aaa", "<a>", "straße", "a.b", "a\nb", "a\nb\nc", "a]", "a{,3}", "a{", "{a", "a{2",
            "Qa", "a b",
        ]),
    ),
    (
        r"^[^]a]$",
        AllBut(&[
            "a", "aa", "aaa", "<a>", "straße", "STRASSE", "12", "", "a.b", "axb", "a\nb", "a\nb\nc", "a]",
            "[]", "]", "a{,3}", "a{", "{a", "a{2", "ab", "Qa", "a b", "_# ", "bc", "Bc", "abb", "ac",
        ]),
    ),
    (r"^[]a]$", Only(&["a", "]"])),
    (r"^[a\]]$", Only(&["a", "]"])),
    (r"^(?i)straße$", Only(&["straße"])),
    (r"^(?P<n>a)$", Only(&["a"])),
    (r"^(?<n>a)$", Only(&["a"])),
    (r"^\x{41}$", Only(&["A"])),
    (r"^\x41$", Only(&["A"])),
    (r"^\101$", Only(&["A"])),
    (r"^[\d-x]$", Only(&["-", "5"])),
    (r"^[a~~b]$", Only(&["a", "b", "~"])),
    (r"^[[a]]$", Only(&["a]", "[]"])),
    (r"^[a[b]$", Only(&["a", "b", "["])),
    (r"^a{,3}$", Only(&["a{,3}"])),
    (r"^a{$", Only(&["a{"])),
    (r"^{a$", Only(&["{a"])),
    (r"^}$", Only(&["}"])),
    (r"^a{2", Only(&["a{2"])),
    (r"^\z$", Only(&[""])),
    (
        r"\Aa",
        Only(&[
            "a", "aa", "aaa", "a.b", "axb", "a\nb", "a\nb\nc", "a]", "a{,3}", "a{", "a{2", "ab", "a b",
            "abb", "ac",
        ]),
    ),
    (
        r"^(?s).$",
        AllBut(&[
            "aa", "aaa", "<a>", "straße", "STRASSE", "12", "", "a.b", "axb", "a\nb", "a\nb\nc", "a]", "[]",
            "a{,3}", "a{", "{a", "a{2", "ab", "Qa", "a b", "_# ", "bc", "Bc", "abb", "ac",
        ]),
    ),
    (
        r"^.$",
        AllBut(&[
            "aa", "aaa", "<a>", "straße", "STRASSE", "12", "\n", "", "a.b", "axb", "a\nb", "a\nb\nc", "a]",
            "[]", "a{,3}", "a{", "{a", "a{2", "ab", "Qa", "a b", "_# ", "bc", "Bc", "abb", "ac",
        ]),
    ),
    (r"^(?U)a+$", Only(&["a", "aa", "aaa"])),
    (r"^\p{greek}$", Only(&["α", "Ω"])),
    (
        r"^\p{Letter}$",
        Only(&["a", "b", "A", "k", "K", "z", "ä", "ü", "ß", "α", "Ω", "Я", "漢", "ʰ", "S", "é", "ก"]),
    ),
    (
        r"^\p{L}$",
        Only(&["a", "b", "A", "k", "K", "z", "ä", "ü", "ß", "α", "Ω", "Я", "漢", "ʰ", "S", "é", "ก"]),
    ),
    (
        r"^\p{Any}$",
        AllBut(&[
            "aa", "aaa", "<a>", "straße", "STRASSE", "12", "", "a.b", "axb", "a\nb", "a\nb\nc", "a]", "[]",
            "a{,3}", "a{", "{a", "a{2", "ab", "Qa", "a b", "_# ", "bc", "Bc", "abb", "ac",
        ]),
    ),
    (r"^\v$", Only(&["\u{b}"])),
    (r"^\-$", Only(&["-"])),
    (r"^\/$", Only(&["/"])),
    (r"^\_$", Only(&["_"])),
    (r"^\a$", Only(&["\u{7}"])),
    (r"^[[:word:]]$", Only(&["a", "b", "A", "k", "K", "z", "_", "5", "S"])),
    (r"^(a|)$", Only(&["a", ""])),
    (r"^()$", Only(&[""])),
    (r"^(?:)$", Only(&[""])),
    (r"^(?i)k$", Only(&["k", "K"])),
    (r"^[[:alpha:]-z]$", Only(&["a", "b", "A", "k", "K", "z", "-", "S"])),
    (r"^(?i:\w)$", Only(&["a", "b", "A", "k", "K", "z", "_", "5", "S"])),
    (r"^[a-c-e]$", Only(&["a", "b", "-"])),
    (r"^[-a]$", Only(&["a", "-"])),
    (r"^[a-]$", Only(&["a", "-"])),
    (r"(?m)^a$", Only(&["a", "a\nb", "a\nb\nc"])),
    (r"^\p{Cyrillic}$", Only(&["Я"])),
    (r"^\pZ$", Only(&[" "])),
    (
        r"^[\p{L}\d]$",
        Only(&["a", "b", "A", "k", "K", "z", "ä", "ü", "ß", "α", "Ω", "Я", "5", "漢", "ʰ", "S", "é", "ก"]),
    ),
    (r"^\B$", Only(&[""])),
    (r"^$", Only(&[""])),
    (r"^*$", AllBut(&[])),
    (r"\0", Only(&[])),
    (r"a\\", Only(&[])),
    (r"\\", Only(&["\\"])),
    (r"^(?P<n>a)(?P<n>b)$", Only(&["ab"])),
    (r"^(?P<1a>a)$", Only(&["a"])),
    (r"\b{start}a", Only(&[])),
    (r"^\p{Zs}$", Only(&[" "])),
    (r"^\p{Han}$", Only(&["漢"])),
    (r"^\p{Lm}$", Only(&["ʰ"])),
    (
        r"^[^\d]$",
        AllBut(&[
            "aa", "aaa", "<a>", "straße", "STRASSE", "5", "12", "", "a.b", "axb", "a\nb", "a\nb\nc", "a]",
            "[]", "a{,3}", "a{", "{a", "a{2", "ab", "Qa", "a b", "_# ", "bc", "Bc", "abb", "ac",
        ]),
    ),
    (
        r"^\D$",
        AllBut(&[
            "aa", "aaa", "<a>", "straße", "STRASSE", "5", "12", "", "a.b", "axb", "a\nb", "a\nb\nc", "a]",
            "[]", "a{,3}", "a{", "{a", "a{2", "ab", "Qa", "a b", "_# ", "bc", "Bc", "abb", "ac",
        ]),
    ),
    (
        r"^\W$",
        Only(&[
            "-", "&", "ä", "ü", "ß", "α", "Ω", "Я", "٣", " ", "\t", "\u{b}", "\n", "\u{7}", ".", "[", "]",
            "\\", "^", "/", "~", "}", "漢", "ʰ", "é", "€", "ก", "!",
        ]),
    ),
    (
        r"^\S$",
        AllBut(&[
            "aa", "aaa", "<a>", "straße", "STRASSE", "12", " ", "\t", "\n", "", "a.b", "axb", "a\nb",
            "a\nb\nc", "a]", "[]", "a{,3}", "a{", "{a", "a{2", "ab", "Qa", "a b", "_# ", "bc", "Bc", "abb",
            "ac",
        ]),
    ),
    (
        r"^[\W]$",
        Only(&[
            "-", "&", "ä", "ü", "ß", "α", "Ω", "Я", "٣", " ", "\t", "\u{b}", "\n", "\u{7}", ".", "[", "]",
            "\\", "^", "/", "~", "}", "漢", "ʰ", "é", "€", "ก", "!",
        ]),
    ),
    (
        r"^[^[:space:]]$",
        AllBut(&[
            "aa", "aaa", "<a>", "straße", "STRASSE", "12", " ", "\t", "\u{b}", "\n", "", "a.b", "axb",
            "a\nb", "a\nb\nc", "a]", "[]", "a{,3}", "a{", "{a", "a{2", "ab", "Qa", "a b", "_# ", "bc", "Bc",
            "abb", "ac",
        ]),
    ),
    (r"^\p{L_u}$", Only(&["A", "K", "Ω", "Я", "S"])),
    (r"^\p{Uppercase_Letter}$", Only(&["A", "K", "Ω", "Я", "S"])),
    (
        r"^\p{ascii}$",
        Only(&[
            "a", "b", "A", "k", "K", "z", "_", "-", "&", "5", " ", "\t", "\u{b}", "\n", "\u{7}", ".", "[",
            "]", "\\", "^", "/", "~", "}", "S", "!",
        ]),
    ),
    (r"^\p{Thai}$", Only(&["ก"])),
    (r"^\p{punct}$", Only(&["_", "-", "&", ".", "[", "]", "\\", "/", "}", "!"])),
    (r"^\p{digit}$", Only(&["5", "٣"])),
    (r"^a{01}$", Only(&[])),
    (r"^a{2}?$", Only(&["aa"])),
    (
        r"^(?i)[^k]$",
        AllBut(&[
            "aa", "aaa", "k", "K", "<a>", "straße", "STRASSE", "12", "", "a.b", "axb", "a\nb", "a\nb\nc",
            "a]", "[]", "a{,3}", "a{", "{a", "a{2", "ab", "Qa", "a b", "_# ", "bc", "Bc", "abb", "ac",
        ]),
    ),
    (r"^(?i)\d$", Only(&["5"])),
    (r"^(?ii)a$", Only(&["a", "A"])),
    (r"^(?i-i)a$", Only(&["a"])),
    (r"^(?)a$", Only(&["a"])),
    (r"^(?i:a|b)c$", Only(&["bc", "Bc", "ac"])),
    (
        r"^(?i)a|b$",
        Only(&[
            "a", "b", "aa", "aaa", "A", "a.b", "axb", "a\nb", "a\nb\nc", "a]", "a{,3}", "a{", "a{2", "ab",
            "a b", "abb", "ac",
        ]),
    ),
    (r"^\Q\E$", Only(&[""])),
    (r"^\Qab\E*$", Only(&["a", "ab", "abb"])),
    (r"^[\x{D800}-\x{DFFF}]$", Only(&[])),
    (r"^\x{D800}$", Only(&[])),
    (
        r"^[\x{0}-\x{10FFFF}]$",
        AllBut(&[
            "aa", "aaa", "<a>", "straße", "STRASSE", "12", "", "a.b", "axb", "a\nb", "a\nb\nc", "a]", "[]",
            "a{,3}", "a{", "{a", "a{2", "ab", "Qa", "a b", "_# ", "bc", "Bc", "abb", "ac",
        ]),
    ),
    (r"^[^\x{0}-\x{10FFFF}]$", Only(&[])),
    (r"^a{1000}$", Only(&[])),
    (r"^(a{2}){500}$", Only(&[])),
    (r"^(a*){1000}$", Only(&["a", "aa", "aaa", ""])),
    (r"^\_\#\ $", Only(&["_# "])),
    (r"^[\]\-\\]$", Only(&["-", "]", "\\"])),
    (
        r"^[[:^digit:][:lower:]]$",
        AllBut(&[
            "aa", "aaa", "<a>", "straße", "STRASSE", "5", "12", "", "a.b", "axb", "a\nb", "a\nb\nc", "a]",
            "[]", "a{,3}", "a{", "{a", "a{2", "ab", "Qa", "a b", "_# ", "bc", "Bc", "abb", "ac",
        ]),
    ),
    (r"^[[:alpha]$", Only(&["a", "["])),
    (r"^(?s)a.b$", Only(&["a.b", "axb", "a\nb", "a b", "abb"])),
    (r"^a.b$", Only(&["a.b", "axb", "a b", "abb"])),
    (r"(?m)^b$", Only(&["b", "a\nb", "a\nb\nc"])),
    (
        r"^[^a-]$",
        AllBut(&[
            "a", "aa", "aaa", "-", "<a>", "straße", "STRASSE", "12", "", "a.b", "axb", "a\nb", "a\nb\nc",
            "a]", "[]", "a{,3}", "a{", "{a", "a{2", "ab", "Qa", "a b", "_# ", "bc", "Bc", "abb", "ac",
        ]),
    ),
    (r"^\07$", Only(&["\u{7}"])),
    (r"^\1234$", Only(&[])),
    (r"^ü+$", Only(&["ü"])),
    (r"^[ä-ü]$", Only(&["ä", "ü", "é"])),
    (r"^+", AllBut(&[])),
    (r"^\b*a$", Only(&["a"])),
    (r"^\p{Any}+$", AllBut(&[""])),
    (
        r"^\p{Assigned}$",
        AllBut(&[
            "aa", "aaa", "<a>", "straße", "STRASSE", "12", "", "a.b", "axb", "a\nb", "a\nb\nc", "a]", "[]",
            "a{,3}", "a{", "{a", "a{2", "ab", "Qa", "a b", "_# ", "bc", "Bc", "abb", "ac",
        ]),
    ),
    (r"^\p{LC}$", Only(&["a", "b", "A", "k", "K", "z", "ä", "ü", "ß", "α", "Ω", "Я", "S", "é"])),
    (r"^\p{Co}$", Only(&[])),
    (r"^\p{Cn}$", Only(&[])),
    (r"^\p{Cs}$", Only(&[])),
];

/// Malformed patterns, each with the error code and the part of the pattern that the error quotes.
const MALFORMED_PATTERNS: &[(&str, &str, &str)] = &[
    (r"^[a-\d]$", "invalid escape sequence", r"\d"),
    (r"^[a--b]$", "invalid character class range", r"a--"),
    (r"^a++$", "invalid nested repetition operator", r"++"),
    (r"^a**$", "invalid nested repetition operator", r"**"),
    (r"a\Z", "invalid escape sequence", r"\Z"),
    (r"^\C$", "invalid escape sequence", r"\C"),
    (r"^\N$", "invalid escape sequence", r"\N"),
    (r"^(?=a)$", "invalid or unsupported Perl syntax", r"(?="),
    (r"^\1$", "invalid escape sequence", r"\1"),
    (r"^(?x)a b$", "invalid or unsupported Perl syntax", r"(?x"),
    (r"^\p{Script=Greek}$", "invalid character class range", r"\p{Script=Greek}"),
    (r"^\h$", "invalid escape sequence", r"\h"),
    (r"^\u0041$", "invalid escape sequence", r"\u"),
    (r"^\e$", "invalid escape sequence", r"\e"),
    (r"^[\b]$", "invalid escape sequence", r"\b"),
    (r"^[[:foo:]]$", "invalid character class range", r"[:foo:]"),
    (r"^a{1001}$", "invalid repeat count", r"{1001}"),
    (r"^{1,2048}$", "invalid repeat count", r"{1,2048}"),
    (r"^a{1,2048}$", "invalid repeat count", r"{1,2048}"),
    (r"^a{2,1}$", "invalid repeat count", r"{2,1}"),
    (r"^(a{100}){100}$", "invalid repeat count", r"{100}"),
    (r"^a{0,1}{2}$", "invalid nested repetition operator", r"{0,1}{2}"),
    (r"^[\Q.\E]$", "invalid escape sequence", r"\Q"),
    (r"(?R)a", "invalid or unsupported Perl syntax", r"(?R"),
    (r"(?u)a", "invalid or unsupported Perl syntax", r"(?u"),
    (r"(?-u)a", "invalid or unsupported Perl syntax", r"(?-u"),
    (r"a|*", "missing argument to repetition operator", r"*"),
    (r"(*)", "missing argument to repetition operator", r"*"),
    (r"\8", "invalid escape sequence", r"\8"),
    (r"^[z-a]$", "invalid character class range", r"z-a"),
    (r"^\x{110000}$", "invalid escape sequence", r"\x{110000"),
    (r"^\xZ$", "invalid escape sequence", r"\xZ$"),
    (r"(", "missing closing )", r"("),
    (r")", "unexpected )", r")"),
    (r"[", "missing closing ]", r"["),
    (r"\", "trailing backslash at end of expression", r""),
    (r"^\p{Grek}$", "invalid character class range", r"\p{Grek}"),
    (r"^\p{Alphabetic}$", "invalid character class range", r"\p{Alphabetic}"),
    (r"^\p{isGreek}$", "invalid character class range", r"\p{isGreek}"),
    (r"^\p{Latn}$", "invalid character class range", r"\p{Latn}"),
    (r"^\p{}$", "invalid character class range", r"\p{}"),
    (r"^\p", "invalid character class range", r"\p"),
    (r"^\p{L", "invalid character class range", r"\p{L"),
    (r"^a{2}??$", "invalid nested repetition operator", r"{2}??"),
    (r"^a*?*$", "invalid nested repetition operator", r"*?*"),
    (r"^(?-)a$", "invalid or unsupported Perl syntax", r"(?-)"),
    (r"^(?i", "invalid or unsupported Perl syntax", r"(?i"),
    (r"^(?P<a-b>a)$", "invalid named capture", r"(?P<a-b>"),
    (r"^(?P<a$", "invalid named capture", r"(?P<a$"),
    (r"^(?'n'a)$", "invalid or unsupported Perl syntax", r"(?'"),
    (r"^(a{2,}){501}$", "invalid repeat count", r"{501}"),
    (r"^((a{10}){10}){11}$", "invalid repeat count", r"{11}"),
    (r"^[[:alpha:]$", "missing closing ]", r"[[:alpha:]$"),
    (r"^[a\Q]$", "invalid escape sequence", r"\Q"),
    (r"^(a)(b)\2$", "invalid escape sequence", r"\2"),
    (r"^a{100000000000}$", "invalid repeat count", r"{100000000000}"),
    (r"^\x{}$", "invalid escape sequence", r"\x{}"),
    (r"^\x4$", "invalid escape sequence", r"\x4$"),
    (r"a{2}{3}", "invalid nested repetition operator", r"{2}{3}"),
    (r"(a", "missing closing )", r"(a"),
    (r"a)b", "unexpected )", r"a)b"),
    (r"\p{{L}", "invalid character class range", r"\p{{L}"),
    (r"\p{^{L}", "invalid character class range", r"\p{^{L}"),
    (r"[a", "missing closing ]", r"[a"),
    (r"[^", "missing closing ]", r"[^"),
    (r"[]", "missing closing ]", r"[]"),
    (r"a**b", "invalid nested repetition operator", r"**"),
    (r"x{2,1}", "invalid repeat count", r"{2,1}"),
    (r"(?P=n)", "invalid or unsupported Perl syntax", r"(?P"),
];

#[test]
fn patterns_match_as_in_go() {
    for (pattern, matches) in MATCHES {
        let regex = compile(pattern).unwrap_or_else(|error| panic!("{pattern}: {error}"));
        for text in TEXTS {
            let expected = match matches {
                Only(texts) => texts.contains(text),
                AllBut(texts) => !texts.contains(text),
            };
            assert_eq!(regex.is_match(text), expected, "{pattern:?} on {text:?}");
        }
    }
}

#[test]
fn malformed_patterns_are_rejected_with_the_error_of_go() {
    for (pattern, code, found) in MALFORMED_PATTERNS {
        let expected = format!("error parsing regexp: {code}: `{found}`");
        assert_eq!(compile(pattern).err(), Some(expected), "{pattern}");
    }
}

#[test]
fn a_repetition_after_flags_repeats_the_element_before_the_flags() {
    for (pattern, matching, other) in [
        ("^a(?i)*b$", "aaB", "AB"),
        ("^a(?i)(?s){2}b$", "aaB", "aB"),
        ("^a+(?i)?b$", "B", "c"),
        ("^a+?(?i)?b$", "B", "c"),
        ("^(ab)(?i)+?$", "abab", "a"),
    ] {
        let regex = compile(pattern).unwrap_or_else(|error| panic!("{pattern}: {error}"));
        assert!(regex.is_match(matching) && !regex.is_match(other), "{pattern}");
    }
    assert!(compile("(?i)*").is_err());
}

#[test]
fn nested_repeat_counts_with_a_product_of_1000_are_accepted() {
    let exact = "a".repeat(1000);
    for pattern in ["^a{1000}$", "^(a{2}){500}$", "^(a{10}){100}$", "^(a*){1000}$"] {
        assert!(compile(pattern).unwrap().is_match(&exact), "{pattern}");
    }
}

#[test]
fn arbitrary_patterns_cause_no_panic() {
    let parts = [
        "(", "?", "[", "^", "ä", "\\", "p", "{", "1", ",", "}", "]", "-", ":", "x", "Q", ")", "*", "|", "<",
        "P",
    ];
    for first in parts {
        for second in parts {
            for third in parts {
                for fourth in parts {
                    let _ = super::Translator {
                        whole: "",
                        rest: &format!("{first}{second}{third}{fourth}"),
                        out: String::new(),
                        flags: String::new(),
                        ends_greedy: false,
                        nesting: super::Nesting::default(),
                    }
                    .translate();
                }
            }
        }
    }
}
