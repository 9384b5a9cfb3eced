//! Tests of the parsing, formatting and matching of selectors.

use super::*;

fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

/// Asserts that the selector `text` matches the labels `on` if `expected` is true, and does not match them otherwise.
/// Also converts the selector to text and back, and to `LabelSelector` and back, and checks the results.
#[track_caller]
fn check_match(text: &str, on: &[(&str, &str)], expected: bool) {
    let selector: Selector = text.parse().unwrap();
    assert_eq!(selector.matches(&labels(on)), expected, "{text} on {on:?}");
    let again: Selector = selector.to_string().parse().unwrap();
    assert_eq!(again, selector, "printing {text} and reading it again");
    let model = Selector::try_from(LabelSelector::from(selector)).unwrap();
    assert_eq!(model.matches(&labels(on)), expected, "{text} as a LabelSelector on {on:?}");
}

#[test]
fn selectors_match_labels_as_servers_do() {
    let web = [("app", "web"), ("tier", "front")];
    check_match("", &web, true);
    check_match("app=web", &web, true);
    check_match("app==db", &web, false);
    check_match("app!=db,tier", &web, true);
    check_match("other!=x", &web, true);
    check_match("app in (web, db)", &web, true);
    check_match("app in (db)", &web, false);
    check_match("app notin (db,cache)", &web, true);
    check_match("other notin (x)", &web, true);
    check_match("!app", &web, false);
    check_match("!other", &web, true);
    check_match("empty=", &[("empty", "")], true);
    check_match("app=web,app=db", &web, false);
    check_match("example.com/part-of=x", &[("example.com/part-of", "x")], true);
}

#[test]
fn invalid_selectors_are_rejected() {
    for bad in ["a in (b", "a b)", "a in b,(c)", "=x", "a=b=c", "a in (b)(c)", "a,,b", "a=b c"] {
        let error = bad.parse::<Selector>().unwrap_err();
        assert!(error.to_string().starts_with("cannot read a label selector"), "{bad}: {error}");
    }
}

#[test]
fn invalid_requirements_are_rejected() {
    let requirement = |operator: &str| LabelSelectorRequirement {
        key: "app".into(),
        operator: operator.into(),
        values: None,
    };
    assert!(Expression::try_from(requirement("In")).is_err());
    assert!(Expression::try_from(requirement("Near")).is_err());
    assert_eq!(Expression::try_from(requirement("Exists")), Ok(Expression::Exists("app".into())));
}

#[test]
fn an_invalid_expression_selects_nothing() {
    assert!(!Selector::from(Expression::Invalid).matches(&labels(&[("invalid", "x")])));
    check_match(&Expression::Invalid.to_string(), &[("invalid", "x")], false);
}

#[test]
fn selectors_serialize_and_deserialize_unchanged() {
    let selector: Selector = "app=web,tier notin (db,cache),!canary".parse().unwrap();
    let text = serde_json::to_string(&selector).unwrap();
    assert_eq!(serde_json::from_str::<Selector>(&text).unwrap(), selector);
    let text = serde_json::to_string(&Expression::Exists("app".into())).unwrap();
    assert_eq!(text, r#"{"Exists":"app"}"#);
}

#[test]
fn an_expression_extends_a_selector() {
    let mut selector = Selector::default();
    selector.extend(Expression::Exists("app".into()));
    assert_eq!(selector.to_string(), "app");
}
