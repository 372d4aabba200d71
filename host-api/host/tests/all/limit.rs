//! Every limit of the table is reached by a test, and says so in words of its own.

use std::path::Path;

use domain::plugin::{Grant, limit};
use plugin_host::Outcome;

use crate::bed::{Bed, call, guest, manifest};

/// For each limit the test that reaches it, as file and function below this crate.
const REACHED: [(&str, &str, &str); 20] = [
    ("memory", "tests/all/hostile.rs", "memory_without_end_is_refused"),
    ("tables", "tests/all/crooked.rs", "tables_without_end_are_refused"),
    ("instances", "tests/all/limit.rs", "a_component_of_more_parts_than_it_may_have_does_not_run"),
    (
        "wall",
        "tests/all/hostile.rs",
        "waiting_is_stopped_by_the_time_on_the_clock_and_costs_no_processor_time",
    ),
    ("cpu", "tests/all/hostile.rs", "an_endless_loop_is_stopped_by_its_processor_time"),
    ("output", "tests/all/hostile.rs", "an_answer_that_is_too_large_is_no_label"),
    ("log_lines", "tests/all/hostile.rs", "a_flood_of_log_lines_is_dropped_and_counted"),
    ("log_line", "tests/all/limit.rs", "a_long_line_is_cut"),
    ("log_rate", "tests/all/hostile.rs", "the_rate_of_lines_holds_over_calls"),
    ("handles", "tests/all/hostile.rs", "handles_are_counted"),
    ("host_call", "tests/all/hostile.rs", "an_argument_that_is_too_large_is_never_copied"),
    ("process_output", "tests/all/carried.rs", "a_command_that_hangs_or_floods_ends"),
    ("process_time", "tests/all/carried.rs", "a_command_that_hangs_or_floods_ends"),
    ("http_requests", "tests/all/http.rs", "the_requests_of_a_call_are_counted"),
    ("http_concurrency", "tests/all/http.rs", "a_plugin_has_so_many_requests_under_way_as_it_may"),
    ("http_bytes", "tests/all/http.rs", "bodies_are_bounded_both_ways"),
    ("http_time", "tests/all/http.rs", "servers_that_do_not_answer_cost_no_more_than_the_time_there_is"),
    ("kv_bytes", "tests/all/limit.rs", "what_is_kept_from_call_to_call_is_bounded"),
    ("stack", "tests/all/crooked.rs", "a_plugin_has_a_stack_of_its_own_and_no_more"),
    ("queue", "tests/all/isolation.rs", "calls_beyond_those_that_may_wait_are_refused_at_once"),
];

#[test]
fn every_limit_is_reached_by_a_test() {
    let limits: Vec<_> = limit::table().iter().map(|row| row.key).collect();
    assert_eq!(REACHED.map(|(key, _, _)| key).to_vec(), limits, "a new limit needs a test that reaches it");
    for (key, file, test) in REACHED {
        let source = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap();
        let Some((_, body)) = source.split_once(&format!("fn {test}(")) else {
            panic!("{key}: there is no {test} in {file}");
        };
        // A test that was turned into one of something else would still be there.
        let body = body.split("\n}\n").next().unwrap();
        let words = key.replace('_', " ");
        let sets = body.contains(&format!("\"{key}\"")) || source.contains(&format!("limits.{key}"));
        let default =
            ["memory", "tables", "wall", "cpu", "output", "handles", "host_call", "stack"].contains(&key);
        assert!(sets || default, "{key}: {test} neither sets {words} nor reaches its default");
    }
}

#[test]
fn every_test_of_the_table_of_hostile_things_is_there() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/all");
    let page = std::fs::read_to_string(folder.join("main.rs")).unwrap();
    let rows = page.lines().filter_map(|line| line.strip_prefix("//! | "));
    let named = rows.flat_map(|row| row.split('`').filter_map(|word| word.split_once("::")));
    let mut count = 0;
    for (module, test) in named {
        let source = std::fs::read_to_string(folder.join(module).with_extension("rs")).unwrap();
        assert!(source.contains(&format!("fn {test}()")), "there is no {module}::{test}");
        count += 1;
    }
    assert!(count > 40, "{count}");
}

#[tokio::test]
async fn a_component_of_more_parts_than_it_may_have_does_not_run() {
    let mut bed = Bed::hostile();
    bed.limit("hostile", "instances", "1");
    let report = call(&bed.host(), "echo whole").await;
    assert_eq!(report.outcome(), Outcome::Memory);
    assert_eq!(
        report.result.unwrap_err().to_string(),
        "plugin hostile wanted more core instances than 1 and failed; to give it more, set teleport.plugins.load.hostile.limits.instances"
    );
}

#[tokio::test]
async fn a_long_line_is_cut() {
    let mut bed = Bed::hostile();
    bed.limit("hostile", "log_line", "20");
    let text = call(&bed.host(), "panic").await.result.unwrap_err().to_string();
    // What it last said is cut as its line in the log is.
    let (_, said) = text.split_once("it last said: ").unwrap();
    assert!(said.starts_with("thread '<unnamed>' ( on purpose"), "{text}");
}

#[tokio::test]
async fn what_is_kept_from_call_to_call_is_bounded() {
    let mut bed = Bed::new();
    let needs = "[[needs]]\ncapability = \"kv\"\nreason = \"keeps things\"\n";
    bed.install("hostile", &guest("hostile"), &format!("{}{needs}", manifest("hostile")));
    bed.pin("hostile");
    bed.plugin("hostile").grants.push(Grant::kv());
    bed.limit("hostile", "kv_bytes", "2KiB");
    let host = bed.host();
    assert_eq!(call(&host, "keep-much 1500").await.result.unwrap(), "kept");
    for _ in 0..3 {
        let full = call(&host, "keep-much 4000").await.result.unwrap();
        assert_eq!(full, "Failure::Full(2048), keys: large small", "what was there is there still");
    }
    let folder = bed.settings.data_dir.join("plugins/kv");
    let size: u64 =
        std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().metadata().unwrap().len()).sum();
    assert!(size < 4096, "{size} bytes on disk");
}

#[tokio::test]
async fn nothing_is_kept_for_a_plugin_that_is_not_granted_it() {
    let report = call(&Bed::hostile().host(), "keep-much 1").await;
    assert_eq!(report.outcome(), Outcome::Denied);
    let text = report.result.unwrap_err().to_string();
    assert!(text.contains("hostile.grants: kv: yes"), "{text}");
}
