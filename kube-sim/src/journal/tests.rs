//! Tests of the limits and of the JSON form of the journal.

use super::*;
use crate::fault::{Action, RuleId};

fn entry(path: &str) -> Entry {
    Entry {
        number: 0,
        time: "2026-01-01T00:00:00.5Z".parse().unwrap(),
        method: Method::GET,
        path: path.to_owned(),
        query: String::new(),
        verb: "get",
        group: String::new(),
        resource: "pods".into(),
        status: None,
        user_agent: String::new(),
        accept: String::new(),
        content_type: String::new(),
        direct: false,
        replica: 0,
        faults: Vec::new(),
        handling: None,
        request_body: None,
        response_body: None,
    }
}

#[test]
fn bodies_are_recorded_up_to_the_limit() {
    let journal = Journal::new(Some(4));
    let recorder = journal.add_entry(entry("/a"));
    for part in ["ab", "cd", "ef"] {
        recorder.record_response_part(&Bytes::from(part));
    }
    recorder.record_request_body(&Bytes::from("abcd"));
    let first = &journal.entries()[0];
    let body = |content: &'static str, truncated| Some(RecordedBody { content: content.into(), truncated });
    assert_eq!(first.response_body, body("abcd", true));
    assert_eq!(first.request_body, body("abcd", false));
    assert_eq!(journal.queue().body_bytes, 8);
    journal.clear();
    assert_eq!(journal.queue().body_bytes, 0);
    assert_eq!(journal.total(), 1);
    recorder.record_response_part(&Bytes::from("x"));

    let without = Journal::new(None);
    without.add_entry(entry("/a")).record_response_part(&Bytes::from("ab"));
    assert_eq!(without.entries()[0].response_body, None);
}

#[test]
fn the_oldest_entries_are_dropped() {
    let journal = Journal::new(Some(BODIES_LIMIT));
    let half = Bytes::from(vec![b'x'; BODIES_LIMIT / 2 + 1]);
    for path in ["/a", "/b"] {
        journal.add_entry(entry(path)).record_request_body(&half);
    }
    let paths: Vec<String> = journal.entries().into_iter().map(|e| e.path).collect();
    assert_eq!(paths, ["/b"]);
    for _ in 0..JOURNAL_LIMIT + 2 {
        journal.add_entry(entry("/c"));
    }
    let entries = journal.entries();
    assert_eq!((entries.len(), entries[0].number), (JOURNAL_LIMIT, 4));
    assert_eq!(journal.total(), 4 + JOURNAL_LIMIT as u64);
}

#[test]
fn entries_survive_a_json_round_trip() {
    let journal = Journal::new(Some(10));
    let recorder = journal.add_entry(entry("/a"));
    recorder.record_faults(&[AppliedFault { rule: RuleId::new(3), action: Action::Rewind(2) }]);
    recorder.record_handling("2026-01-01T00:00:01Z".parse().unwrap(), 7);
    recorder.record_status(StatusCode::CREATED, 8);
    recorder.record_response_part(&Bytes::from_static(b"\xff"));
    let text = serde_json::to_string(&journal.entries()).unwrap();
    assert!(text.contains(r#""time":"2026-01-01T00:00:00.5Z","method":"GET""#), "{text}");
    assert!(text.contains(r#""faults":[{"rule":3,"action":{"rewind":2}}]"#), "{text}");
    assert_eq!(serde_json::from_str::<Vec<Entry>>(&text).unwrap(), journal.entries());
    let unknown = text.replace(r#""verb":"get""#, r#""verb":"grab""#);
    let error = serde_json::from_str::<Vec<Entry>>(&unknown).unwrap_err().to_string();
    assert!(error.contains("\"grab\" is not a verb"), "{error}");
}
