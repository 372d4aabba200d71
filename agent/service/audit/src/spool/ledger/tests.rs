use super::*;

fn event(sid: &str, detail: Detail) -> Event {
    let server_labels = Labels([("env".to_owned(), "prod".to_owned())].into());
    let (sid, user) = (sid.to_owned(), "joe".to_owned());
    let context = Context { sid, user, ei: 7, server_labels, ..Context::default() };
    Event { uid: Uuid::nil(), time: Timestamp::UNIX_EPOCH, context, detail }
}

fn begins(sid: &str) -> Event {
    let command = vec!["a command ".repeat(40)];
    event(sid, Detail::SessionStart { size: None, interactive: true, initial_command: command })
}

fn ends(sid: &str) -> Event {
    let now = Timestamp::UNIX_EPOCH;
    let detail = Detail::SessionEnd {
        interactive: true,
        participants: Vec::new(),
        session_start: now,
        session_stop: now,
        enhanced_recording: false,
        reason: None,
    };
    event(sid, detail)
}

/// What the next daemon finds, which forgets it.
fn found(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for dead in left_behind(folder) {
        found.extend(dead.sessions().iter().map(|session| session.context.sid.clone()));
        dead.forget();
    }
    found
}

fn files(folder: &Path) -> usize {
    fs::read_dir(folder).unwrap().count()
}

#[test]
fn what_is_open_when_a_daemon_dies_is_found_once_by_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Ledger::new(folder.path());
    ledger.note(&ends("never begun"));
    ledger.note(&event("a", Detail::Resize { size: "80:25".to_owned() }));
    assert_eq!(files(folder.path()), 0, "nothing is made before a session begins");
    for sid in ["a", "b", "c"] {
        ledger.note(&begins(sid));
    }
    ledger.note(&ends("b"));
    assert!(found(folder.path()).is_empty(), "it belongs to a daemon that lives");
    drop(ledger);
    // The last line was torn.
    let path = folder.path().join("sessions-1.jsonl");
    let mut bytes = fs::read(&path).unwrap();
    bytes.extend_from_slice(br#"{"ended":"#);
    fs::write(&path, bytes).unwrap();
    assert_eq!(found(folder.path()), ["a", "c"]);
    assert_eq!(files(folder.path()), 0, "it is told once");
}

#[test]
fn the_end_that_nobody_saw_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Ledger::new(folder.path());
    let sid = Uuid::from_u128(5).to_string();
    ledger.note(&begins(&sid));
    drop(ledger);
    let path = folder.path().join("sessions-1.jsonl");
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o077, 0, "it names users");
    assert!(!fs::read_to_string(path).unwrap().contains("a command"), "what they do is none of its business");
    let dead = left_behind(folder.path());
    let now: Timestamp = "2017-02-03T06:54:05Z".parse().unwrap();
    let end = dead[0].sessions()[0].lost(now);
    let field = |name: &str| end[name].as_str().unwrap();
    assert_eq!((field("event"), field("code")), ("session.end", "T2004I"));
    assert_eq!((field("sid"), field("user")), (&*sid, "joe"));
    assert_eq!(end["participants"], serde_json::json!(["joe"]));
    assert_eq!(field("uid"), sid, "so that it is written once, however often it is told");
    assert!(
        field("session_start").starts_with("1970-01-01") && field("session_stop").starts_with("2017-02-03")
    );
    assert!(field("reason").contains("when that was found out"));
    assert!(!end.contains_key("ei"), "its place is not known");
    assert!(!end.contains_key("server_labels"), "they stand on its start");
}

#[test]
fn it_does_not_grow_for_ever() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Ledger::new(folder.path());
    let length = || ledger.book.lock().length;
    let mut most = 0;
    for number in 0..2000 {
        let sid = number.to_string();
        ledger.note(&begins(&sid));
        ledger.note(&ends(&sid));
        most = most.max(length());
    }
    assert!(most < SPARE + 4096, "{most} bytes where no session stays open");
    for sid in ["long", "longer"] {
        ledger.note(&begins(sid));
    }
    most = 0;
    for number in 0..10_000 {
        let sid = number.to_string();
        ledger.note(&begins(&sid));
        ledger.note(&ends(&sid));
        most = most.max(length());
    }
    assert!(most < FULL + 4096, "{most} bytes beside one that stays open");
    assert_eq!(files(folder.path()), 1);
    drop(ledger);
    assert_eq!(found(folder.path()), ["long", "longer"]);
}

#[test]
fn many_that_are_open_are_not_written_anew_with_each() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Ledger::new(folder.path());
    let (mut renewed, mut last) = (0, None);
    for number in 0..20_000 {
        ledger.note(&begins(&number.to_string()));
        let file = ledger.book.lock().file.as_ref().map(|(path, _)| path.clone());
        renewed += u32::from(file != last);
        last = file;
    }
    assert!((2..8).contains(&renewed), "{renewed} files");
    drop(ledger);
    assert_eq!(found(folder.path()).len(), 20_000);
}

#[test]
fn where_nothing_can_be_written_sessions_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let gone = folder.path().join("gone");
    let ledger = Ledger::new(&gone);
    ledger.note(&begins("a"));
    ledger.note(&ends("a"));
    assert!(left_behind(&gone).is_empty());
    fs::create_dir(&gone).unwrap();
    for sid in ["b", "c"] {
        ledger.note(&begins(sid));
    }
    // A descriptor that may not be written to stands for a disk that is full.
    let path = gone.join("sessions-1.jsonl");
    let whole = ledger.book.lock().file.replace((path.clone(), File::open(&path).unwrap()));
    ledger.note(&ends("b"));
    drop(whole);
    ledger.note(&begins("d"));
    drop(ledger);
    assert_eq!(found(&gone), ["c", "d"], "one whose end could not be written is not told to have been open");
}
