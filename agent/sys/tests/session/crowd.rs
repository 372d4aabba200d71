//! Many at once, helpers that die or go, callers that give up: what stays behind is nothing.
//!
//! Each runs in a process of its own (`fixture/scenario.rs`), because it counts what the whole
//! process has.

use std::process::Command;

fn scenario(name: &str) {
    let output = Command::new(env!("CARGO_BIN_EXE_sys-fixture")).args(["scenario", name]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name}: {} {said}", output.status);
}

#[test]
fn two_hundred_sessions_leave_no_process_and_no_descriptor() {
    scenario("crowd");
}

#[test]
fn a_caller_that_gives_up_leaves_nothing_running() {
    scenario("give-up");
}

#[test]
fn a_helper_that_dies_is_replaced() {
    scenario("replace");
}

#[test]
fn an_idle_helper_goes_and_its_sessions_stay() {
    scenario("idle");
}

#[test]
fn failures_leave_no_process_and_no_descriptor() {
    scenario("failures");
}

#[test]
fn sessions_get_the_limit_of_open_files_the_daemon_began_with() {
    scenario("limit");
}
