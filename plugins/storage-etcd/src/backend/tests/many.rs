//! Several questions in one.

use super::*;

/// What a transaction of reads answers: for each key its value with its end, or that there is none.
fn several(items: &[(&str, Option<Vec<u8>>)]) -> Reply {
    let one = |(key, value): &(&str, Option<Vec<u8>>)| {
        let pair = value.as_ref().map(|value| {
            let key = text(format!("/teleport{key}").as_bytes());
            format!(r#"{{"key":"{key}","value":"{}","mod_revision":"2"}}"#, text(value))
        });
        format!(r#"{{"response_range":{{"kvs":[{}]}}}}"#, pair.unwrap_or_default())
    };
    let responses: Vec<_> = items.iter().map(one).collect();
    answer(&format!(
        r#"{{"header":{{"revision":"9"}},"succeeded":true,"responses":[{}]}}"#,
        responses.join(",")
    ))
}

#[test]
fn several_gets_are_one_request_and_come_in_their_order() {
    let keys = ["/a", "/b", "/c"].map(str::to_owned);
    let sealed = |expires| Some(envelope::seal(0, expires, b"x"));
    let answer = several(&[("/a", sealed(None)), ("/b", None), ("/c", sealed(Some(5)))]);
    let mut backend = fake(THREE, vec![answer]);
    let items = backend.get_many(&keys).unwrap();
    let found: Vec<_> = items.iter().map(|item| item.as_ref().map(|item| item.key.as_str())).collect();
    assert_eq!(found, [Some("/a"), None, None], "the last has expired");
    assert_eq!(backend.outside.calls.len(), 1);
}

#[test]
fn gets_too_large_for_one_answer_are_those_of_the_first_keys() {
    let keys = ["/a", "/b", "/c", "/d"].map(str::to_owned);
    let too_large = || Reply::Fault(Error::TooLarge(1));
    let one = several(&[("/a", Some(envelope::seal(0, None, b"x")))]);
    let small = several(&[("/b", None), ("/c", None)]);
    let mut backend = fake(THREE, vec![too_large(), one, small]);
    assert_eq!(backend.get_many(&keys).unwrap().len(), 1);
    assert_eq!(backend.get_many(&keys[1..]).unwrap().len(), 2, "as many as it has learned will fit");
    let reads: Vec<_> =
        backend.outside.calls.iter().map(|(_, body)| body.matches("request_range").count()).collect();
    assert_eq!(reads, [4, 1, 2]);
}

#[test]
fn each_of_several_puts_is_a_write_of_its_own() {
    let puts: Vec<_> = (0..65)
        .map(|number| Operation::Put { key: format!("/{number}"), value: vec![7], expires: None })
        .collect();
    let mut backend = fake(THREE, vec![done(10)]);
    let revisions = backend.put_many(&puts[..64]).unwrap();
    assert!(revisions.is_sorted_by(|one, next| one < next) && revisions.last() == Some(&last_of(10)));
    let [(_, body)] = backend.outside.calls.as_slice() else { panic!("one request") };
    for behind in 0..64 {
        assert_eq!(body.matches(&text(&envelope::seal(behind, None, &[7]))).count(), 1, "{behind}");
    }
    assert!(matches!(fake(THREE, vec![]).put_many(&puts), Err(Failure::TooLarge(_))), "no room for the last");
}

#[test]
fn a_revision_is_of_one_write_and_no_other() {
    let sealed = |behind| envelope::seal(behind, None, b"x");
    let unchanged = |behind| [Condition::Unchanged("/a".to_owned(), revision::of(4, behind))];
    for (there, asked) in [(0, 1), (1, 0), (1, 2), (63, 1)] {
        let mut backend = fake(THREE, vec![read(4, 0, &sealed(there))]);
        assert_eq!(backend.write(&unchanged(asked), &put()), Err(Failure::Conflict(0)), "{there} {asked}");
    }
    let mut backend = fake(THREE, vec![read(4, 0, &sealed(5)), done(10)]);
    assert_eq!(backend.write(&unchanged(5), &put()), Ok(last_of(10)));
}

#[test]
fn puts_that_only_fail_together_are_told_so() {
    let puts: Vec<_> = (1..=9)
        .map(|number| {
            let expires = Some(number * 3_600_000_000);
            Operation::Put { key: format!("/{number}"), value: vec![1], expires }
        })
        .collect();
    let many = |replies, puts: &[Operation]| fake(THREE, replies).put_many(puts);
    assert!(matches!(many(vec![], &puts), Err(Failure::TooLarge(text)) if text.contains("different times")));
    let few = || refuse(400, "etcdserver: too many operations in txn request");
    let two = [put(), [Operation::Put { key: "/b".to_owned(), value: vec![1], expires: None }]].concat();
    let mut backend = fake(THREE, vec![few()]);
    assert!(matches!(backend.put_many(&two), Err(Failure::TooLarge(text)) if text.contains("--max-txn-ops")));
    assert!(matches!(backend.put_many(&two), Err(Failure::TooLarge(_))));
    assert_eq!((backend.outside.calls.len(), backend.outside.warnings.len()), (1, 1), "asked and told once");
    let grant = || answer(r#"{"ID":"7","TTL":"99999999"}"#);
    let over = || refuse(404, "etcdserver: requested lease not found");
    let mut backend = fake(THREE, vec![grant(), over(), grant(), done(10)]);
    assert!(matches!(backend.put_many(&puts[..1]), Err(Failure::TooLarge(text)) if text.contains("lease")));
    assert_eq!(backend.put_many(&puts[..1]), Ok(vec![last_of(10)]), "it is asked for anew");
    assert_eq!(many(vec![done(10)], &two), Ok(vec![revision::of(10, 1), last_of(10)]));
}

#[test]
fn answers_to_other_questions_are_nonsense() {
    let keys = ["/a", "/b"].map(str::to_owned);
    let sealed = || Some(envelope::seal(0, None, b"x"));
    let swapped = several(&[("/b", sealed()), ("/a", sealed())]);
    let missing = several(&[("/a", sealed())]);
    for answer in [swapped, missing] {
        assert!(matches!(fake(THREE, vec![answer]).get_many(&keys), Err(Failure::Corrupt(_))));
    }
}
