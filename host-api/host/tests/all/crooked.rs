//! Components that break the rules below any language: answers that lie outside memory or are no text,
//! ends in every function the host calls, tables and memories without end.

use plugin_host::{CallReport, Outcome, PluginHost};

use crate::alone::alone;
use crate::bed::{Bed, LONG, Running, label, manifest, refusal};
use crate::made::{MEMORY, TABLE_BOMB, answer, component, in_parts, module, module_with};

/// A host with this core module as a plugin.
fn host(module: &str) -> Running {
    bed(&component(module)).host()
}

fn bed(wasm: &[u8]) -> Bed {
    let mut bed = Bed::new();
    bed.install("crooked", wasm, &manifest("crooked"));
    bed.pin("crooked");
    bed
}

async fn call(host: &PluginHost) -> CallReport {
    let label = label("crooked", "some words");
    tokio::time::timeout(LONG, host.call(&label)).await.expect("every call ends").expect("the plugin loads")
}

/// What such a plugin's call comes to.
async fn ends(module: &str) -> (Outcome, String) {
    let report = call(&host(module)).await;
    (report.outcome(), report.result.unwrap_or_else(|error| error.to_string()))
}

#[tokio::test]
async fn one_made_by_hand_that_keeps_the_rules_works() {
    let text = format!(r#"{MEMORY} (data (i32.const 2000) "by hand")"#);
    assert_eq!(ends(&module(&answer(2000, 7), &text)).await, (Outcome::Ok, "by hand".to_owned()));
}

#[tokio::test]
async fn a_crash_in_every_function_the_host_calls_is_told_as_one() {
    let fine = answer(0, 0);
    let after = r#"(func (export "cabi_post_teleport:label-provider/evaluate@1.0.0#evaluate") (param i32) unreachable)"#;
    let cases = [
        ("evaluate", module("unreachable", MEMORY)),
        ("start", module(&fine, &format!("{MEMORY} (func $boom unreachable) (start $boom)"))),
        ("realloc", module_with(&fine, "unreachable", MEMORY)),
        ("post-return", module(&fine, &format!("{MEMORY} {after}"))),
    ];
    for (place, module) in cases {
        let (outcome, text) = ends(&module).await;
        assert_eq!(outcome, Outcome::Trap, "{place}: {text}");
        assert!(
            text.starts_with(
                "plugin crooked 0.0.1 crashed: wasm trap: wasm `unreachable` instruction executed"
            ),
            "{place}: {text}"
        );
    }
}

#[tokio::test]
async fn an_answer_that_is_none_is_a_crash_of_the_plugin() {
    let bad_kind = "(i32.store8 (global.get $answer) (i32.const 7)) (global.get $answer)";
    let bad_failure = "(i32.store8 (global.get $answer) (i32.const 1))
        (i32.store8 offset=4 (global.get $answer) (i32.const 9)) (global.get $answer)";
    let no_text = format!(r#"{MEMORY} (data (i32.const 2000) "\ff\fe\80")"#);
    let half_a_surrogate = format!(r#"{MEMORY} (data (i32.const 2000) "\ed\a0\80")"#);
    let cases = [
        ("text of 1 GiB", module(&answer(0, 1 << 30), MEMORY), "out of bounds"),
        ("text that goes round", module(&answer(u32::MAX, 2), MEMORY), "out of bounds"),
        ("text outside", module(&answer(65_530, 7), MEMORY), "out of bounds"),
        ("an answer outside", module("(i32.const 0xfffffff0)", MEMORY), "out of bounds"),
        ("an answer out of step", module("(i32.const 1025)", MEMORY), "not aligned"),
        ("another kind of answer", module(bad_kind, MEMORY), "discriminant"),
        ("another kind of failure", module(bad_failure, MEMORY), "discriminant"),
        ("bytes that are no text", module(&answer(2000, 3), &no_text), "utf-8"),
        ("half a surrogate", module(&answer(2000, 3), &half_a_surrogate), "utf-8"),
        (
            "room outside",
            module_with(&answer(0, 0), "(i32.const 0xffffff00)", MEMORY),
            "beyond end of memory",
        ),
        ("room out of step", module_with(&answer(0, 0), "(i32.const 1)", MEMORY), "not aligned"),
    ];
    for (what, module, says) in cases {
        let (outcome, text) = ends(&module).await;
        assert_eq!(outcome, Outcome::Trap, "{what}: {text}");
        assert!(text.starts_with("plugin crooked 0.0.1 crashed: ") && text.contains(says), "{what}: {text}");
    }
}

#[tokio::test]
async fn tables_without_end_are_refused() {
    let module = module(TABLE_BOMB, &format!("{MEMORY} (table $held 1 funcref)"));
    let (outcome, text) = ends(&module).await;
    assert_eq!(outcome, Outcome::Memory, "{text}");
    assert_eq!(
        text,
        "plugin crooked wanted more table elements than 20000 and failed; to give it more, set teleport.plugins.load.crooked.limits.tables"
    );
}

#[tokio::test]
async fn what_no_instance_has_room_for_is_refused_when_it_is_loaded() {
    let tables = "(table 1 funcref)".repeat(17);
    let cases = [
        format!("{MEMORY} (table 20001 funcref)"),
        format!("{MEMORY} {tables}"),
        r#"(memory (export "memory") 2049)"#.to_owned(),
    ];
    for more in cases {
        let bed = bed(&component(&module(&answer(0, 0), &more)));
        let text = refusal(&bed.host(), "crooked").await;
        assert!(
            text.starts_with("the compiled code of plugin crooked does not load")
                && text.contains("build it with fewer and smaller ones: "),
            "{text}"
        );
    }
}

#[tokio::test]
async fn memory_that_is_too_large_from_the_start_is_refused() {
    let large = r#"(memory (export "memory") 1024)"#;
    let (outcome, text) = ends(&module(&answer(0, 0), large)).await;
    assert_eq!(outcome, Outcome::Memory, "{text}");
    assert!(text.contains("wanted more memory than 32MiB"), "{text}");
}

/// Passes 128 MiB to the host, none of which was ever touched.
fn large_argument() -> String {
    let import = r#"(import "teleport:host/log@1.0.0" "write" (func $write (param i32 i32 i32)))"#;
    let tell =
        format!("(call $write (i32.const 1) (i32.const 0) (i32.const {})) {}", 128 << 20, answer(0, 0));
    module(&tell, &format!(r#"{import} (memory (export "memory") 2048)"#))
}

#[test]
fn an_argument_of_128_mib_is_never_copied() {
    if !alone("crooked::an_argument_of_128_mib_is_never_copied") {
        return;
    }
    crate::alone::run(async {
        let mut bed = bed(&component(&large_argument()));
        bed.limit("crooked", "memory", "128MiB");
        let host = bed.host();
        call(&host).await;
        let before = crate::alone::resident();
        for _ in 0..20 {
            let report = call(&host).await;
            assert_eq!(report.outcome(), Outcome::Memory);
            let text = report.result.unwrap_err().to_string();
            assert!(text.contains("wanted more bytes in one host call than 1MiB"), "{text}");
            assert!(text.ends_with("limits.host_call"), "{text}");
        }
        let grown = crate::alone::most_resident().saturating_sub(before);
        assert!(grown < 32 << 20, "{grown} bytes");
    });
}

#[test]
fn ten_thousand_crashes_in_a_row_leave_no_trace() {
    if !alone("crooked::ten_thousand_crashes_in_a_row_leave_no_trace") {
        return;
    }
    crate::alone::run(async {
        let mut bed = bed(&component(&module("unreachable", MEMORY)));
        bed.limit("crooked", "log_rate", "1");
        bed.install("good", &crate::bed::guest("hostile"), &manifest("good"));
        bed.pin("good");
        let host = bed.host();
        for _ in 0..500 {
            assert_eq!(call(&host).await.outcome(), Outcome::Trap);
        }
        let (before, threads) = (crate::alone::resident(), crate::alone::threads());
        for crash in 0..10_000 {
            assert_eq!(call(&host).await.outcome(), Outcome::Trap);
            if crash % 500 == 0 {
                let served = host.call(&label("good", "echo well")).await.unwrap();
                assert_eq!(served.result.unwrap(), "well", "others are served meanwhile");
            }
        }
        let grown = crate::alone::resident().saturating_sub(before);
        assert!(grown < 16 << 20, "{grown} bytes");
        assert!(crate::alone::threads() <= threads + 2, "threads: {threads}, {}", crate::alone::threads());
    });
}

#[test]
fn a_million_handles_are_not_given() {
    if !alone("crooked::a_million_handles_are_not_given") {
        return;
    }
    crate::alone::run(async {
        let mut bed = Bed::hostile();
        bed.limit("hostile", "cpu", "30s");
        let host = bed.host();
        let before = crate::alone::resident();
        let report = crate::bed::call(&host, "hold-handles 1000000").await;
        let text = report.result.unwrap_err().to_string();
        assert!(text.contains("wanted more handles than 256"), "{text}");
        // And not when as many as there can be are granted.
        bed.limit("hostile", "handles", "10000");
        let report = crate::bed::call(&bed.host(), "hold-handles 1000000").await;
        let text = report.result.unwrap_err().to_string();
        assert!(text.contains("wanted more handles than 10000"), "{text}");
        let grown = crate::alone::most_resident().saturating_sub(before);
        assert!(grown < 96 << 20, "{grown} bytes");
    });
}

#[tokio::test]
async fn a_component_of_very_many_parts_is_refused() {
    let working =
        component(&module(&answer(2000, 7), &format!(r#"{MEMORY} (data (i32.const 2000) "by hand")"#)));
    let bed_of = |parts| bed(&in_parts(&working, parts));
    assert_eq!(call(&bed_of(20).host()).await.result.unwrap(), "by hand");
    let text = call(&bed_of(40).host()).await.result.unwrap_err().to_string();
    assert!(text.contains("wanted more core instances than 32"), "{text}");
    let mut granted = bed_of(40);
    granted.limit("crooked", "instances", "64");
    assert_eq!(call(&granted.host()).await.result.unwrap(), "by hand");
    // More than any may have: there is no call.
    let text = refusal(&bed_of(100).host(), "crooked").await;
    assert!(text.contains("core instances than one plugin can have"), "{text}");
}

#[tokio::test]
async fn a_plugin_has_a_stack_of_its_own_and_no_more() {
    let deep = |frames| {
        let deeper = "(func $deeper (param i32) (result i32)
            (if (result i32) (local.get 0)
                (then (i32.add (call $deeper (i32.sub (local.get 0) (i32.const 1))) (i32.const 1)))
                (else (i32.const 0))))";
        let more = format!(r#"{MEMORY} (data (i32.const 2000) "by hand") {deeper}"#);
        module(&format!("(drop (call $deeper (i32.const {frames}))) {}", answer(2000, 7)), &more)
    };
    // A frame takes some tens of bytes, and there are 512 KiB.
    assert_eq!(ends(&deep(2000)).await, (Outcome::Ok, "by hand".to_owned()));
    let (outcome, text) = ends(&deep(40_000)).await;
    assert!(outcome == Outcome::Trap && text.contains("call stack exhausted"), "{text}");
}
