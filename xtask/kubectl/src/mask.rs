//! Replaces the parts of an output that differ in each run, such as uids, versions, times, ages, addresses, ports and
//! generated names. The widths of columns depend on these parts. Therefore each gap between columns is reduced to two
//! spaces.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::Regex;

/// The patterns in the order of their use, and their replacements.
const PATTERNS: [(&str, &str); 25] = [
    ("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "(uid)"),
    ("X509SHA256=[0-9a-f]{64}", "X509SHA256=(hash)"),
    // The administrators of the two servers have different names.
    ("kubernetes-admin", "admin"),
    (r"eyJ[\w-]+\.[\w-]+\.[\w-]+", "(token)"),
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "(time)"),
    (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+ [+-]\d{4}", "(time)"),
    (r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d [+-]\d{4}", "(time)"),
    (r"[EIW]\d{4} \d\d:\d\d:\d\d\.\d+ +\d+ (\w+\.go):\d+\]", "(log $1)"),
    (r#"(resourceVersion"?: )"\d+""#, "$1(version)"),
    (r"(Resource Version: +)\d+", "$1(version)"),
    (r"(LIVE|MERGED|kubectl-edit)-\d+", "$1-(number)"),
    (r"(127\.0\.0\.1|localhost|\[::1\]):\d+", "$1:(port)"),
    (r"\b10\.\d+\.\d+\.\d+\b", "(address)"),
    (r"\b3[0-2]\d{3}\b", "(port)"),
    (r"(pod-template-hash[=:] ?)[a-z0-9]+", "$1(hash)"),
    // Generated names have no vowels, and no digits that resemble a vowel.
    (r"-[bcdfghjklmnpqrstvwxz2456789]{8,10}-[bcdfghjklmnpqrstvwxz2456789]{5}\b", "-(hash)-(name)"),
    (r"-[bcdfghjklmnpqrstvwxz2456789]{8,10}\b", "-(hash)"),
    (r"-[bcdfghjklmnpqrstvwxz2456789]{5}\b", "-(name)"),
    // The suffix of an Event's name, and the count of an Event in the output of `kubectl describe`.
    (r"(\.)[0-9a-f]{16}\b", "$1(number)"),
    (r"x\d+ over ", "x(number) over "),
    // An age begins a line or follows a word; a quantity in the output of `kubectl describe` follows a colon. The pattern
    // is used twice: the first pass does not mask an age that directly follows another age.
    (AGE, "$1(age)$2"),
    (AGE, "$1(age)$2"),
    (r"(?m)^(\S+) +$", "$1"),
    (r"(?m)(\S) +$", "$1"),
    (r"(\S) {2,}", "$1  "),
];

/// An age, as kubectl prints it: in seconds up to two minutes, in minutes and seconds up to ten minutes, and then in
/// minutes, hours and days. Three digits before `m` are a quantity, such as `100m`, and not an age.
const AGE: &str =
    r"(?m)(^|[^:\s](?:[ \t]+\(?|\())(?:1?\d?\ds|[2-9]m(?:\d+s)?|\d\dm|\d+h(?:\d+m)?|\d+d(?:\d+h)?)( |\)|$)";

/// Replaces the matches of the patterns `extra` in a text, and then the matches of [`PATTERNS`].
pub(crate) fn mask_text(text: &str, extra: &[String]) -> String {
    static COMPILED_PATTERNS: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
        #[expect(clippy::expect_used, reason = "the patterns are constants, and every run compiles them")]
        let compile = |(pattern, with)| (Regex::new(pattern).expect("the pattern is valid"), with);
        PATTERNS.into_iter().map(compile).collect()
    });
    let mut text = Cow::Borrowed(text);
    // No pattern is skipped: `Script::parse` has already rejected invalid patterns.
    for pattern in extra.iter().filter_map(|pattern| Regex::new(pattern).ok()) {
        text = pattern.replace_all(&text, "(masked)").into_owned().into();
    }
    for (pattern, with) in COMPILED_PATTERNS.iter() {
        text = pattern.replace_all(&text, *with).into_owned().into();
    }
    text.into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(mask_text(text, &[]), expected);
    }

    #[test]
    fn ages_are_masked_and_quantities_are_not() {
        check("web   1/1     Running   0          5s", "web  1/1  Running  0  (age)");
        check("5s          Normal   Killing", "(age)  Normal  Killing");
        check("0 (3m2s ago)   5m", "0 ((age) ago)  (age)");
        check("  cpu:     100m", "  cpu:  100m");
        check("node-0   351m   4%", "node-0  351m  4%");
    }

    #[test]
    fn generated_names_are_masked() {
        check("pod/web-5d78c9869d-x2x4z created", "pod/web-(hash)-(name) created");
        check("replicaset.apps/web-5d78c9869d", "replicaset.apps/web-(hash)");
        check("pod-template-hash=5d78c9869d", "pod-template-hash=(hash)");
        check("deployment/web-server", "deployment/web-server");
    }

    #[test]
    fn addresses_times_and_versions_are_masked() {
        check("Forwarding from 127.0.0.1:41234 -> 80", "Forwarding from 127.0.0.1:(port) -> 80");
        check("80:30123/TCP  10.0.0.12", "80:(port)/TCP  (address)");
        check("  resourceVersion: \"12\"", "  resourceVersion: (version)");
        check("at 2026-11-28T18:51:33Z", "at (time)");
    }

    #[test]
    fn extra_patterns_are_masked() {
        assert_eq!(mask_text("on node-1", &["node-[0-9]".to_owned()]), "on (masked)");
    }
}
