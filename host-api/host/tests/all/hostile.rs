//! A plugin that does its worst: each call ends in time, with the right kind and a text an operator
//! can act on.

use std::time::Duration;

use plugin_host::{CallReport, Outcome};

use crate::bed::{Bed, call, guest, manifest_with_process};

fn text(report: &CallReport) -> String {
    report.result.as_ref().unwrap_err().to_string()
}

#[tokio::test]
async fn an_endless_loop_is_stopped_by_its_processor_time() {
    let host = Bed::hostile().host();
    let report = call(&host, "loop").await;
    assert_eq!(report.outcome(), Outcome::Timeout);
    assert!(report.cpu >= Duration::from_millis(50), "{:?}", report.cpu);
    // A slice beyond the limit is five milliseconds; two hundred are for a machine under load.
    assert!(report.cpu < Duration::from_millis(250), "{:?}", report.cpu);
    assert_eq!(
        text(&report),
        "plugin hostile used up 50ms of processor time and was stopped; to give it more, set teleport.plugins.load.hostile.limits.cpu"
    );
}

#[tokio::test]
async fn waiting_is_stopped_by_the_time_on_the_clock_and_costs_no_processor_time() {
    let mut bed = Bed::hostile();
    bed.limit("hostile", "wall", "200ms");
    let report = call(&bed.host(), "sleep").await;
    assert_eq!(report.outcome(), Outcome::Timeout);
    assert!(text(&report).contains("did not answer within 200ms"), "{}", text(&report));
    assert!(report.cpu < Duration::from_millis(100), "{:?}", report.cpu);
}

#[tokio::test]
async fn memory_without_end_is_refused() {
    let host = Bed::patient().host();
    let report = call(&host, "allocate").await;
    assert_eq!(report.outcome(), Outcome::Memory, "{}", text(&report));
    assert!(report.memory <= 32 << 20, "{}", report.memory);
    let text = text(&report);
    assert!(
        text.contains("wanted more memory than 32MiB") && text.contains("it last said: memory allocation"),
        "{text}"
    );
}

#[tokio::test]
async fn a_plugin_that_can_do_with_less_memory_goes_on() {
    let mut bed = Bed::patient();
    bed.limit("hostile", "memory", "4MiB");
    let host = bed.host();
    assert_eq!(call(&host, "try-to-allocate 1000000").await.result.unwrap(), "given");
    let report = call(&host, "try-to-allocate 100000000").await;
    assert_eq!(report.result.unwrap(), "refused");
    assert!(report.memory <= 4 << 20);
}

#[tokio::test]
async fn a_panic_says_what_the_plugin_said() {
    let host = Bed::patient().host();
    let report = call(&host, "panic").await;
    assert_eq!(report.outcome(), Outcome::Trap);
    let text = text(&report);
    assert!(text.starts_with("plugin hostile 0.0.1 crashed: ") && text.contains("on purpose"), "{text}");
}

#[tokio::test]
async fn recursion_without_end_overflows_its_own_stack_only() {
    let host = Bed::patient().host();
    let report = call(&host, "recurse").await;
    assert_eq!(report.outcome(), Outcome::Trap, "{}", text(&report));
}

#[tokio::test]
async fn leaving_early_is_no_answer() {
    let host = Bed::hostile().host();
    let report = call(&host, "exit").await;
    assert_eq!(report.outcome(), Outcome::Trap);
    assert!(text(&report).contains('3'), "{}", text(&report));
}

#[tokio::test]
async fn a_flood_of_log_lines_is_dropped_and_counted() {
    let mut bed = Bed::patient();
    bed.limit("hostile", "log_lines", "10");
    let host = bed.host();
    for deed in ["log 1000", "print 1000"] {
        let report = call(&host, deed).await;
        assert!(report.result.is_ok(), "{deed}: {}", text(&report));
        assert_eq!((report.log_lines, report.log_dropped), (10, 990), "{deed}");
    }
    let report = call(&host, "log 5").await;
    assert_eq!(report.log_dropped, 0, "the next call begins anew");
}

#[tokio::test]
async fn logging_for_ever_ends_like_any_loop() {
    let host = Bed::hostile().host();
    let report = call(&host, "log-for-ever").await;
    assert_eq!(report.outcome(), Outcome::Timeout);
    assert!(report.log_lines <= 100 && report.log_dropped > 0);
}

#[tokio::test]
async fn the_rate_of_lines_holds_over_calls() {
    let mut bed = Bed::patient();
    bed.limit("hostile", "log_rate", "1");
    let host = bed.host();
    let mut written = 0;
    for _ in 0..20 {
        written += call(&host, "log 50").await.log_lines;
    }
    // A burst of five, and one a second: far from the thousand that the calls alone would allow.
    assert!((5..500).contains(&written), "{written}");
}

#[tokio::test]
async fn an_answer_that_is_too_large_is_no_label() {
    let host = Bed::patient().host();
    assert_eq!(call(&host, "answer-much 4096").await.result.unwrap().len(), 4096);
    let report = call(&host, "answer-much 4097").await;
    assert_eq!(report.outcome(), Outcome::Guest);
    assert_eq!(
        text(&report),
        "plugin hostile answered with 4097 bytes, a label takes 4096; to let it, set teleport.plugins.load.hostile.limits.output"
    );
    let report = call(&host, "answer-much 16000000").await;
    assert_eq!(report.outcome(), Outcome::Memory);
    assert!(text(&report).contains("more bytes in one host call than 1MiB"), "{}", text(&report));
}

#[tokio::test]
async fn an_argument_that_is_too_large_is_never_copied() {
    let host = Bed::patient().host();
    let report = call(&host, "tell-much 8000000").await;
    assert_eq!(report.outcome(), Outcome::Memory);
    assert!(text(&report).contains("limits.host_call"), "{}", text(&report));
}

#[tokio::test]
async fn text_that_is_none_is_a_crash() {
    let host = Bed::patient().host();
    let report = call(&host, "answer-no-text").await;
    assert_eq!(report.outcome(), Outcome::Trap);
    assert!(text(&report).contains("utf-8"), "{}", text(&report));
}

#[tokio::test]
async fn handles_are_counted() {
    let host = Bed::patient().host();
    assert_eq!(call(&host, "hold-handles 100").await.result.unwrap(), "held");
    let report = call(&host, "hold-handles 100000").await;
    assert_eq!(report.outcome(), Outcome::Memory);
    assert!(text(&report).contains("wanted more handles than 256"), "{}", text(&report));
}

#[tokio::test]
async fn a_failure_of_its_own_is_passed_on_and_cleaned() {
    let host = Bed::hostile().host();
    let report = call(&host, "fail no luck \u{1b}[2J").await;
    assert_eq!((report.outcome(), text(&report).as_str()), (Outcome::Guest, "no luck \\u{1b}[2J"));
}

#[tokio::test]
async fn a_program_nobody_granted_is_denied_with_the_line_to_add() {
    let host = Bed::hostile().host();
    for deed in ["run id", "run-and-hide id"] {
        let report = call(&host, deed).await;
        assert_eq!(report.outcome(), Outcome::Denied, "{deed}");
        assert_eq!(
            text(&report),
            r#"plugin hostile is not granted to run ["id"]; if it may, add under teleport.plugins.load.hostile.grants: process: [["id"]], and to its manifest a need of process"#
        );
    }
    let report = call(&host, "claim-denied").await;
    assert_eq!(report.outcome(), Outcome::Guest, "its own word is not the host's");
}

#[tokio::test]
async fn a_granted_program_runs_and_no_other() {
    let mut bed = Bed::new();
    bed.install("hostile", &guest("hostile"), &manifest_with_process("hostile"));
    bed.pin("hostile");
    bed.grant("hostile", "echo granted");
    let host = bed.host();
    assert_eq!(call(&host, "run echo granted").await.result.unwrap(), "granted");
    for other in ["run echo", "run echo granted twice", "run /bin/echo granted", "run sh -c id"] {
        assert_eq!(call(&host, other).await.outcome(), Outcome::Denied, "{other}");
    }
}
