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
    let sealed = |expires| Some(envelope::seal(expires, b"x"));
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
    let one = several(&[("/a", Some(envelope::seal(None, b"x")))]);
    let small = several(&[("/b", None), ("/c", None)]);
    let mut backend = fake(THREE, vec![too_large(), one, small]);
    assert_eq!(backend.get_many(&keys).unwrap().len(), 1);
    assert_eq!(backend.get_many(&keys[1..]).unwrap().len(), 2, "as many as it has learned will fit");
    let reads: Vec<_> =
        backend.outside.calls.iter().map(|(_, body)| body.matches("request_range").count()).collect();
    assert_eq!(reads, [4, 1, 2]);
}

#[test]
fn answers_to_other_questions_are_nonsense() {
    let keys = ["/a", "/b"].map(str::to_owned);
    let sealed = || Some(envelope::seal(None, b"x"));
    let swapped = several(&[("/b", sealed()), ("/a", sealed())]);
    let missing = several(&[("/a", sealed())]);
    for answer in [swapped, missing] {
        assert!(matches!(fake(THREE, vec![answer]).get_many(&keys), Err(Failure::Corrupt(_))));
    }
}
