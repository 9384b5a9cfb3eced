//! Tests of the selection of requests, and of the JSON form of rules.

use serde_json::json;

use super::*;

fn faults() -> Faults {
    Faults::new(7, Clock::starting_at("2026-01-01T00:00:00Z".parse().unwrap()))
}

fn list_request(resource: &str) -> RequestAttributes<'_> {
    RequestAttributes { verb: "list", resource, ..RequestAttributes::default() }
}

#[tokio::test(start_paused = true)]
async fn nth_applies_a_rule_to_one_matching_request() {
    let faults = faults();
    let id = faults.add(Rule::new(Action::Hang).verb("list").resource("pods").nth(2));
    let applied = |resource: &str| faults.select_for_request(&list_request(resource)).len();
    assert_eq!([applied("nodes"), applied("pods"), applied("pods"), applied("pods")], [0, 0, 1, 0]);
    assert_eq!((faults.hits(id), faults.rules()[0].matched), (1, 3));
    assert!(faults.remove(id) && !faults.remove(id));
    assert_eq!(faults.hits(id), 0);
}

#[tokio::test(start_paused = true)]
async fn each_condition_restricts_a_rule() {
    let request = RequestAttributes {
        verb: "update",
        group: "apps",
        resource: "deployments",
        namespace: "x",
        name: "web",
        subresource: "status",
        user_agent: "manager/v1 (linux)",
        replica: 2,
    };
    let all = || Rule::new(Action::Reset);
    for (rule, expected) in [
        (all(), 1),
        (all().verb("update").group("apps").resource("deployments").namespace("x").name("web"), 1),
        (all().subresource("status").user_agent("manager/"), 1),
        (all().replica(2), 1),
        (all().replica(0), 0),
        (all().verb("get"), 0),
        (all().group(""), 0),
        (all().resource("pods"), 0),
        (all().namespace("y"), 0),
        (all().name("we"), 0),
        (all().subresource(""), 0),
        (all().user_agent("kubectl/"), 0),
    ] {
        let faults = faults();
        faults.add(rule.clone());
        assert_eq!(faults.select_for_request(&request).len(), expected, "{rule:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_rule_applies_only_between_its_start_and_end_times() {
    let faults = faults();
    tokio::time::advance(Duration::from_secs(100)).await;
    faults.add(Rule::new(Action::Reset).after(Duration::from_secs(10)).until(Duration::from_secs(20)));
    let mut applied = Vec::new();
    for _ in 0..5 {
        applied.push(faults.select_for_request(&list_request("pods")).len());
        tokio::time::advance(Duration::from_secs(5)).await;
    }
    assert_eq!(applied, [0, 0, 1, 1, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_seed_reproduces_the_choices_of_each_rule() {
    let rules = vec![
        Rule::new(Action::Reset).probability(0.5),
        Rule::new(Action::Hang).probability(0.5),
        Rule::new(Action::Compact).probability(0.0),
        Rule::new(Action::Restart).probability(1.0),
    ];
    let run = |seed| {
        let faults = faults();
        // `load` replaces this rule, which has the id 0. The ids of the loaded rules begin with 1.
        faults.add(Rule::new(Action::Reset));
        faults.load(Plan { seed, rules: rules.clone() });
        let all = (0..64).map(|_| faults.select_for_request(&list_request("pods")));
        let all: Vec<Vec<Action>> = all.map(|f| f.into_iter().map(|f| f.action).collect()).collect();
        let hits: Vec<u64> = faults.rules().iter().map(|rule| rule.hits).collect();
        (all, hits)
    };
    let (first, hits) = run(1);
    assert_eq!(run(1).0, first);
    assert_ne!(run(2).0, first);
    assert!((16..48).contains(&hits[0]) && (16..48).contains(&hits[1]), "{hits:?}");
    assert_eq!(hits[2..], [0, 64]);
    let differ = |actions: &&Vec<Action>| actions.contains(&Action::Reset) != actions.contains(&Action::Hang);
    assert!(first.iter().any(|actions| differ(&actions)), "two rules must not make the same choices");
}

#[test]
fn rules_survive_a_json_round_trip() {
    let rules = [
        (Rule::new(Action::status(503)), json!({"action": {"status": {"code": 503}}})),
        (
            Rule::new(Action::status_retry_after(429, 5)).verb("create").group("").nth(3),
            json!({
                "verb": "create", "group": "", "skip": 2, "times": 1,
                "action": {"status": {"code": 429, "retryAfter": 5}},
            }),
        ),
        (
            Rule::new(Action::Delay(Duration::from_millis(1_500))).until(Duration::from_secs(90)),
            json!({"until": "1m 30s", "action": {"delay": "1s 500ms"}}),
        ),
        (
            Rule::new(Action::ReplaceEvent { index: 1, bytes: "x\n".into() }).probability(0.25),
            json!({"probability": 0.25, "action": {"replaceEvent": {"index": 1, "bytes": "x\n"}}}),
        ),
        (Rule::new(Action::Rewind(3)), json!({"action": {"rewind": 3}})),
        (
            Rule::new(Action::ResetAfterHandling).user_agent("kubectl/").after(Duration::from_secs(1)),
            json!({"userAgent": "kubectl/", "after": "1s", "action": "resetAfterHandling"}),
        ),
    ];
    for (rule, data) in rules {
        assert_eq!(serde_json::to_value(&rule).unwrap(), data);
        assert_eq!(serde_json::from_value::<Rule>(data).unwrap(), rule);
    }
}

#[test]
fn wrong_data_is_refused_with_the_reason() {
    for (data, reason) in [
        (json!({"verb": "get"}), "missing field `action`"),
        (json!({"verbs": ["get"], "action": "reset"}), "unknown field `verbs`"),
        (json!({"action": "explode"}), "unknown variant `explode`"),
        (json!({"action": {"status": {"code": 200}}}), "200 is not the code of an error"),
        (json!({"action": {"status": {"code": 500, "retry": 1}}}), "unknown field `retry`"),
        (json!({"action": {"delay": 5}}), "expected a string"),
        (json!({"action": {"delay": "5"}}), "is not a duration"),
        (json!({"action": "reset", "probability": 1.5}), "between 0 and 1"),
    ] {
        let error = serde_json::from_value::<Rule>(data.clone()).unwrap_err().to_string();
        assert!(error.contains(reason), "{data}: {error}");
    }
}
