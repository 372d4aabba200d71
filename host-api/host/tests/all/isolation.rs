//! Nothing leaks: from call to call, from the host to a plugin, or from a plugin to the calls of
//! others.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use plugin_host::{LoadError, Outcome, PluginHost};
use tokio::task::JoinSet;

use crate::bed::{Bed, LONG, call, gone, label};

#[tokio::test]
async fn every_call_has_a_fresh_instance() {
    let host = Bed::hostile().host();
    for _ in 0..3 {
        assert_eq!(call(&host, "count").await.result.unwrap(), "1");
    }
}

#[tokio::test]
async fn there_is_nothing_of_the_host_to_see() {
    let host = Bed::hostile().host();
    let seen = call(&host, "look-around").await.result.unwrap();
    assert_eq!(seen, "variables 0, arguments 0, input 0, passwd false, root false");
}

#[tokio::test]
async fn others_are_served_while_plugins_loop() {
    let mut bed = Bed::hostile();
    bed.limit("hostile", "cpu", "1m");
    bed.limit("hostile", "wall", "1m");
    let host = bed.host();
    let looping: Vec<_> = (0..2)
        .map(|_| {
            let host = Arc::clone(&host);
            tokio::spawn(async move { host.call(&label("hostile", "loop")).await })
        })
        .collect();
    for n in 0..10 {
        assert_eq!(call(&host, &format!("echo {n}")).await.result.unwrap(), n.to_string());
    }
    assert!(looping.iter().all(|call| !call.is_finished()), "they loop for a minute of processor time");
    looping.iter().for_each(tokio::task::JoinHandle::abort);
}

/// Waits until so many programs that were told to write their number into this folder run.
async fn running(folder: &std::path::Path, count: usize) {
    let all = async {
        while std::fs::read_dir(folder).unwrap().count() < count {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(LONG, all).await.expect("they run");
}

/// Calls that go on for as long as they may, each of which leaves a file in this folder when it has begun.
fn hold(host: &Arc<PluginHost>, folder: &std::path::Path, count: usize) -> JoinSet<()> {
    let mut held = JoinSet::new();
    for _ in 0..count {
        let (host, mut holding) = (Arc::clone(host), label("label-command", ""));
        let script = format!("touch {}/$$; exec sleep 1000", folder.display());
        holding.command = vec!["sh".to_owned(), "-c".to_owned(), script];
        held.spawn(async move { drop(host.call(&holding).await) });
    }
    held
}

#[tokio::test]
async fn one_plugin_cannot_have_all_the_turns() {
    let mut bed = Bed::hostile();
    for limit in ["wall", "process_time"] {
        bed.limit("label-command", limit, "1m");
    }
    let (host, folder) = (bed.host(), tempfile::tempdir().unwrap());
    assert!(host.check(["hostile", "label-command"]).await.is_empty());
    let turns = usize::try_from(bed.settings.concurrency).unwrap();
    let held = hold(&host, folder.path(), 4 * turns);
    running(folder.path(), turns - 1).await;
    assert_eq!(call(&host, "echo served").await.result.unwrap(), "served");
    assert_eq!(held.len(), 4 * turns, "they hold their turns still");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), turns - 1);
}

#[tokio::test]
async fn calls_beyond_those_that_may_wait_are_refused_at_once() {
    let mut bed = Bed::new();
    for limit in ["wall", "process_time"] {
        bed.limit("label-command", limit, "1m");
    }
    bed.limit("label-command", "queue", "2");
    bed.settings.concurrency = 1;
    let (host, folder) = (bed.host(), tempfile::tempdir().unwrap());
    let _held = hold(&host, folder.path(), 1);
    running(folder.path(), 1).await;
    let mut others = JoinSet::new();
    for _ in 0..3 {
        let host = Arc::clone(&host);
        others.spawn(async move { host.call(&label("label-command", "true")).await.unwrap() });
    }
    let refused = tokio::time::timeout(LONG, others.join_next()).await.unwrap().unwrap().unwrap();
    assert_eq!(refused.outcome(), Outcome::Host);
    assert_eq!(
        refused.result.unwrap_err().to_string(),
        "2 calls of plugin label-command wait for their turn already; if more may, set teleport.plugins.load.label-command.limits.queue"
    );
    assert_eq!(others.len(), 2, "the others wait");
}

#[tokio::test]
async fn a_call_nobody_waits_for_is_stopped_and_gives_its_turn_back() {
    let mut bed = Bed::hostile();
    bed.limit("hostile", "cpu", "1m");
    bed.limit("hostile", "wall", "1m");
    bed.settings.concurrency = 1;
    let host = bed.host();
    assert!(host.check(["hostile"]).await.is_empty());
    let abandoned = label("hostile", "loop");
    let given_up = tokio::time::timeout(Duration::from_millis(50), host.call(&abandoned)).await;
    assert!(given_up.is_err(), "it loops for a minute");
    assert_eq!(call(&host, "echo next").await.result.unwrap(), "next");
}

#[tokio::test]
async fn a_call_that_never_gets_its_turn_says_so() {
    let mut bed = Bed::hostile();
    bed.limit("hostile", "cpu", "1m");
    bed.limit("hostile", "wall", "300ms");
    bed.limit("label-command", "wall", "1m");
    bed.limit("label-command", "process_time", "1m");
    bed.settings.concurrency = 1;
    let host = bed.host();
    assert!(host.check(["hostile", "label-command"]).await.is_empty());
    let holder = Arc::clone(&host);
    let holding = tokio::spawn(async move { holder.call(&label("label-command", "sleep 1000")).await });
    // The holder's turn is taken when its program runs, which nobody is told of: until then this
    // one may be served, or be too late with its answer.
    let refused = async {
        loop {
            let report = call(&host, "echo x").await;
            if !matches!(report.outcome(), Outcome::Ok | Outcome::Timeout) {
                return report;
            }
        }
    };
    let report = tokio::time::timeout(LONG, refused).await.expect("its turn never comes");
    assert_eq!(report.outcome(), Outcome::Host);
    let text = report.result.unwrap_err().to_string();
    assert!(text.contains("did not get its turn"), "{text}");
    holding.abort();
}

#[tokio::test]
async fn crash_after_crash_leaves_no_trace() {
    let mut bed = Bed::patient();
    bed.settings.concurrency = 1;
    bed.limit("hostile", "log_rate", "1");
    let host = bed.host();
    for _ in 0..200 {
        assert_eq!(call(&host, "recurse").await.outcome(), Outcome::Trap);
    }
    assert_eq!(call(&host, "echo alive").await.result.unwrap(), "alive");
}

#[tokio::test]
async fn every_call_is_told_to_the_observer() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let mut bed = Bed::hostile();
    let observer = Arc::clone(&seen);
    bed.settings.on_call = Some(Arc::new(move |report| observer.lock().push(report.outcome())));
    let host = bed.host();
    for deed in ["echo", "panic", "fail", "run id"] {
        call(&host, deed).await;
    }
    assert_eq!(*seen.lock(), [Outcome::Ok, Outcome::Trap, Outcome::Guest, Outcome::Denied]);
}

#[tokio::test]
async fn stopping_the_host_ends_calls_and_the_programs_they_run() {
    let host = Bed::new().host();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pid");
    let mut hanging = label("label-command", "");
    let script = format!("echo $$ > {0}.new; mv {0}.new {0}; sleep 1000", file.display());
    hanging.command = vec!["sh".to_owned(), "-c".to_owned(), script];
    let caller = Arc::clone(&host);
    let call = tokio::spawn(async move { caller.call(&hanging).await });
    while !file.exists() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    tokio::time::timeout(LONG, host.stop()).await.expect("stopping ends");
    assert!(matches!(call.await.unwrap(), Err(LoadError::Stopped(_))));
    assert!(matches!(host.call(&label("label-command", "true")).await, Err(LoadError::Stopped(_))));
    gone(&file).await;
}

#[tokio::test]
async fn without_address_space_for_a_pool_the_same_limits_hold() {
    let mut bed = Bed::hostile();
    // More instances than any machine has address space for: each is allocated by itself then.
    bed.settings.concurrency = 1 << 20;
    // Memory that is mapped page by page takes its time on a busy machine.
    bed.limit("hostile", "wall", "1m");
    bed.limit("hostile", "cpu", "1s");
    let host = bed.host();
    assert_eq!(call(&host, "echo unpooled").await.result.unwrap(), "unpooled");
    for (deed, outcome) in
        [("loop", Outcome::Timeout), ("allocate", Outcome::Memory), ("recurse", Outcome::Trap)]
    {
        assert_eq!(call(&host, deed).await.outcome(), outcome, "{deed}");
    }
    let report = call(&host, "allocate").await;
    assert!(report.memory <= 32 << 20, "{}", report.memory);
}
