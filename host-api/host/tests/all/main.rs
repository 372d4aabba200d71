//! The plugin host from the outside: real components, compiled by the real child, called through
//! the real loader. The guests are in `tests/guests`; what no compiler makes is made by hand (`made`).
//!
//! What is bad or hostile, and the test that holds the host to its word:
//!
//! | what | where |
//! |---|---|
//! | infinite loop | `hostile::an_endless_loop_is_stopped_by_its_processor_time`, `isolation::others_are_served_while_plugins_loop`, `backend::a_function_that_loops_is_stopped` |
//! | recursion | `hostile::recursion_without_end_overflows_its_own_stack_only`, `crooked::a_plugin_has_a_stack_of_its_own_and_no_more` |
//! | memory bomb | `hostile::memory_without_end_is_refused`, `crooked::memory_that_is_too_large_from_the_start_is_refused` |
//! | table bomb | `crooked::tables_without_end_are_refused`, `crooked::what_no_instance_has_room_for_is_refused_when_it_is_loaded` |
//! | very many core instances | `limit::a_component_of_more_parts_than_it_may_have_does_not_run`, `crooked::a_component_of_very_many_parts_is_refused` |
//! | log flood | `hostile::a_flood_of_log_lines_is_dropped_and_counted`, `hostile::logging_for_ever_ends_like_any_loop`, `hostile::the_rate_of_lines_holds_over_calls` |
//! | trap in each export | `crooked::a_crash_in_every_function_the_host_calls_is_told_as_one`, `backend::a_crash_in_each_function_is_an_error_of_that_question_alone` |
//! | results of 1 GiB | `crooked::an_answer_that_is_none_is_a_crash_of_the_plugin`, `hostile::an_answer_that_is_too_large_is_no_label`, `backend::an_answer_of_very_many_bytes_is_not_taken` |
//! | invalid UTF-8, answers outside memory, impossible variants | `crooked::an_answer_that_is_none_is_a_crash_of_the_plugin`, `hostile::text_that_is_none_is_a_crash` |
//! | imports that do not exist | `loading::an_import_that_is_not_on_the_list_is_refused_by_name`, `loading::another_major_version_is_refused_with_both_named` |
//! | core module, no component at all | `loading::what_is_no_component_is_named` |
//! | truncated file | `place::a_file_that_is_cut_off_anywhere_is_refused`, `reload::a_half_written_file_is_refused_and_taken_when_it_is_whole` |
//! | wrong signature | `signature::a_changed_file_is_refused`, `signature::what_is_no_signature_and_what_is_too_large_is_refused` |
//! | right signature, untrusted key | `signature::a_key_that_is_not_listed_is_named` |
//! | manifest that lies about its world | `place::a_manifest_that_lies_about_its_contract_is_refused_with_both_named`, `loading::a_manifest_must_be_there_and_tell_the_truth` |
//! | name with `../` | `place::a_manifest_cannot_lead_elsewhere_by_its_name`, `loading::a_plugin_that_is_not_there_is_named_with_where_it_was_looked_for` |
//! | two plugins of one name | `place::of_two_plugins_of_one_name_the_one_in_its_folder_is_served`, `loading::a_folder_goes_before_the_carried_plugin_and_never_falls_back_to_it` |
//! | directory made unreadable | `place::what_may_not_be_read_is_named_and_serving_goes_on` |
//! | disk full while caching | `place::a_disk_without_room_for_compiled_code_is_named_and_left_empty` |
//! | HTTP to where it may not go | `http_refusal`: one test for each way |
//! | sockets of its own | `socket::every_way_to_a_socket_is_refused_and_nobody_outside_hears_of_it` |
//! | a host-call argument of 128 MiB | `crooked::an_argument_of_128_mib_is_never_copied` |
//! | a million handles | `crooked::a_million_handles_are_not_given` |
//! | 10,000 traps in a row | `crooked::ten_thousand_crashes_in_a_row_leave_no_trace` |
//! | storage that hangs | `backend::a_function_that_hangs_is_given_up`, `backend::others_are_answered_while_one_function_hangs` |
//! | storage that acknowledges and forgets | `backend::the_suite_catches_a_plugin_that_acknowledges_and_forgets` |
//! | storage that lies about revisions | `backend::revisions_that_do_not_rise_are_damage`, `backend::a_backend_that_cannot_be_followed_is_no_store_and_says_why` |
//! | storage that fails several questions at once | `several::gets_that_fail_together_are_asked_each`, `several::puts_whose_fate_is_unknown_are_not_made_again` |
//! | storage whose watch crashes | `backend::a_backend_that_cannot_be_followed_is_no_store_and_says_why` |
//!
//! That sessions are served all the while is tested with whole daemons, in `tests/interop`; that every
//! test of this table is there, in `limit`.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test stops where something is wrong"
)]

mod alone;
mod arrival;
mod backend;
mod backend_reload;
mod bed;
mod carried;
mod compiler;
mod counting;
mod crooked;
mod disk;
mod hostile;
mod http;
mod http_refusal;
mod isolation;
mod limit;
mod loading;
mod made;
mod place;
mod quarantine;
mod released;
mod reload;
mod secret;
mod sending;
mod serving;
mod several;
mod signature;
mod socket;
mod tutorial;
