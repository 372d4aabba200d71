use domain::name::HostId;
use fake::{FakeAudit, FakeClock, FakeRandom, FakeView};

use super::*;

fn door(audit: &Arc<FakeAudit>) -> Arc<Door> {
    let clock = Arc::new(FakeClock::new());
    let authenticator = Authenticator {
        view: Arc::new(FakeView::new("main")),
        clock: clock.clone(),
        server: HostId::parse("d52527f9-b260-41d0-bb5a-e23b0cfe0f8f"),
    };
    let recorder = Recorder::new(clock, Arc::new(FakeRandom::default()), audit.clone());
    Arc::new(Door::new(authenticator, Arc::new(recorder), Context::default()))
}

/// Somebody who comes, says a login, and leaves.
fn refused(door: &Arc<Door>, login: &str, reason: &str) {
    let address = "10.0.0.1:50000".parse().unwrap();
    let mut entrance = Entrance::new(Arc::clone(door), address, address, Heard::default());
    entrance.tried(login);
    entrance.signing_in.refused(reason);
}

/// Lets every task that was started run to its end: a paused clock goes on only then.
async fn settle() {
    tokio::time::sleep(std::time::Duration::from_millis(1)).await;
}

#[tokio::test]
async fn no_stranger_writes_more_than_a_line_into_the_log() {
    let audit = Arc::new(FakeAudit::new());
    let huge = "é".repeat(100_000);
    refused(&door(&audit), &huge, &format!("no login {huge}"));
    let event = audit.wait_for("T3007W").await.unwrap();
    for field in ["login", "error"] {
        let text = event[field].as_str().unwrap();
        assert!(text.len() <= RECORDED_MAX && text.len() > RECORDED_MAX - 2, "{field}: {}", text.len());
    }
    assert!(!event.contains_key("left_out"), "{event:?}");
}

#[tokio::test(start_paused = true)]
async fn of_a_crowd_of_strangers_the_number_is_told() {
    let audit = Arc::new(FakeAudit::new());
    let door = door(&audit);
    for _ in 0..1200 {
        refused(&door, "root", "no");
    }
    settle().await;
    let written = audit.lines().len();
    assert!(written < 1200, "{written}");
    tokio::time::advance(std::time::Duration::from_secs(1)).await;
    refused(&door, "root", "no");
    settle().await;
    assert_eq!(audit.lines().len(), written + 1);
    let last = audit.lines().pop().unwrap();
    assert_eq!(last["left_out"].as_u64(), Some(1200 - written as u64), "{last:?}");
}

#[tokio::test(start_paused = true)]
async fn those_whose_event_was_not_kept_are_told_of_later() {
    let audit = Arc::new(FakeAudit::new());
    let door = door(&audit);
    audit.fail(2);
    for _ in 0..3 {
        refused(&door, "root", "no");
        settle().await;
    }
    let events = audit.lines();
    assert_eq!(events.len(), 1);
    assert_eq!(events[0]["left_out"].as_u64(), Some(2), "{events:?}");
}
