//! Clocks that are apart.

use super::*;

/// The first is what the fake's clock has, the second an hour later.
const DATE: &str = "Thu, 01 Jan 1970 00:16:40 GMT";
const LATER: &str = "Thu, 01 Jan 1970 01:16:40 GMT";

#[test]
fn where_clocks_disagree_etcds_decides_what_has_expired() {
    let item = |expires: u64| {
        let (key, value) = (text(b"/teleport/a"), text(&envelope::seal(0, Some(expires), b"x")));
        format!(
            r#"{{"header":{{"revision":"3"}},"kvs":[{{"key":"{key}","value":"{value}","mod_revision":"2","lease":"1"}}]}}"#
        )
    };
    // Between the two, and after both.
    let (between, late) = (item(2_000_000_000), item(9_000_000_000));
    for (date, body, is_there) in
        [(DATE, &between, true), (DATE, &late, true), (LATER, &between, false), (LATER, &late, true)]
    {
        let mut backend =
            fake("http://a:1", vec![Reply::Dated(date, body.clone()), Reply::Dated(date, body.clone())]);
        assert_eq!(backend.get("/a").unwrap().is_some(), is_there, "{date}");
        assert_eq!(backend.range("/", None, 9).unwrap().items.len(), usize::from(is_there), "{date}");
        let warnings = &backend.outside.warnings;
        assert_eq!(warnings.len(), usize::from(date == LATER), "{warnings:?}");
        assert!(warnings.iter().all(|text| text.contains("3600 s behind that of etcd at http://a:1")));
    }
}

#[test]
fn a_lease_lasts_by_the_clock_that_decides() {
    let grant = |id: u64| Reply::Dated(LATER, format!(r#"{{"ID":"{id}","TTL":"99999"}}"#));
    // Ten minutes after etcd's time, seventy after this machine's.
    let expires = Some(1_000_000_000 + 4_200_000_000);
    let operations = [Operation::Put { key: "/a".to_owned(), value: vec![1], expires }];
    let mut backend = fake("http://a:1", vec![grant(1), grant(2), done(5), done(6)]);
    assert_eq!(backend.write(&[], &operations), Ok(last_of(5)));
    assert_eq!(backend.write(&[], &operations), Ok(last_of(6)));
    let body = |call: usize| backend.outside.calls[call].1.as_str();
    assert_eq!((body(0), body(1)), (r#"{"TTL":"4211"}"#, r#"{"TTL":"611"}"#));
    assert!(body(2).contains(r#""lease":"2""#) && body(3).contains(r#""lease":"2""#));
}

#[test]
fn a_lease_is_measured_anew_when_a_clock_is_set_and_the_new_time_told() {
    let dated = |date, id: u64| Reply::Dated(date, format!(r#"{{"ID":"{id}","TTL":"99999"}}"#));
    let status = || Reply::Dated(LATER, "{}".to_owned());
    let much_later = "Thu, 01 Jan 1970 03:16:40 GMT";
    // Ten minutes after the last of the times: what was off by an hour is off by three.
    let put = |expires| [Operation::Put { key: "/a".to_owned(), value: vec![1], expires: Some(expires) }];
    let replies = vec![status(), dated(much_later, 1), dated(much_later, 2), done(5)];
    let mut backend = fake("http://a:1", replies);
    assert!(backend.call(STATUS, "{}", Repeat::Freely, SMALL).is_ok());
    assert_eq!(backend.write(&[], &put(1_000_000_000 + 11_400_000_000)), Ok(last_of(5)));
    let bodies: Vec<_> = backend.outside.calls.iter().map(|(_, body)| body.as_str()).collect();
    assert_eq!(bodies[1..3], [r#"{"TTL":"7811"}"#, r#"{"TTL":"611"}"#]);
    assert!(bodies[3].contains(r#""lease":"2""#));
    let warnings = &backend.outside.warnings;
    assert!(warnings[0].contains("3600 s behind") && warnings[1].contains("10800 s behind"), "{warnings:?}");
}

/// Each with its date; the first is what somebody asks for.
fn three(dates: [&'static str; 3]) -> Vec<Reply> {
    dates
        .iter()
        .map(|date| Reply::Dated(date, r#"{"header":{"revision":"7"}}"#.to_owned()))
        .chain([at(8)])
        .collect()
}

#[test]
fn one_wrong_member_of_three_is_named_and_not_gone_by() {
    let mut backend = fake(THREE, three([LATER, DATE, DATE]));
    assert_eq!(backend.current(), Ok(last_of(7)));
    assert_eq!(backend.now(), backend.outside.now());
    assert_eq!(backend.current(), Ok(last_of(8)), "of the member that is asked, wrong as its clock may be");
    assert_eq!(asked(&backend), ["a:1", "b:1", "c:1", "a:1"]);
    let warnings = &backend.outside.warnings;
    assert!(
        warnings.len() == 1 && warnings[0].contains("3600 s behind that of etcd at http://a:1,"),
        "{warnings:?}"
    );
}

#[test]
fn what_members_agree_on_is_gone_by_at_the_first_answer() {
    for (dates, warned) in [([LATER; 3], 1), ([LATER, DATE, LATER], 2)] {
        let mut backend = fake(THREE, three(dates));
        assert_eq!(backend.current(), Ok(last_of(7)));
        assert!(backend.now() > backend.outside.now() + 3_599_000_000, "{dates:?}");
        assert_eq!(backend.outside.warnings.len(), warned, "{:?}", backend.outside.warnings);
        assert!(backend.outside.warnings[0].contains("http://c:1, which is gone by"));
    }
    // A member that does not answer says nothing.
    let mut replies = three([LATER; 3]);
    replies[1] = Reply::Hang;
    let mut backend = fake(THREE, replies);
    assert_eq!(backend.current(), Ok(last_of(7)));
    assert!(backend.outside.time.get() <= OTHER_MAX && backend.time.off() != Off::default());
}
