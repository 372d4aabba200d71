//! What plugins execute, counted for their authors.

use crate::bed::{Bed, call};

#[tokio::test(flavor = "multi_thread")]
async fn the_same_call_executes_the_same_and_a_larger_one_more() {
    let mut bed = Bed::hostile();
    bed.settings.counting = true;
    let host = bed.host();
    let mut fuel = Vec::new();
    for deed in ["echo a", "echo a", "echo a few words more"] {
        fuel.push(call(&host, deed).await.fuel.expect("fuel is counted"));
    }
    assert!(fuel[0] > 0 && fuel[0] == fuel[1] && fuel[1] < fuel[2], "{fuel:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_counted_where_nobody_asked_and_code_of_one_kind_is_not_run_as_the_other() {
    let mut bed = Bed::hostile();
    assert_eq!(call(&bed.host(), "echo a").await.fuel, None);
    let before = std::fs::read_dir(bed.cache()).unwrap().count();
    bed.settings.counting = true;
    // The same data folder, with the other kind of code in its cache.
    assert!(call(&bed.host(), "echo a").await.fuel.is_some());
    assert!(std::fs::read_dir(bed.cache()).unwrap().count() > before, "each kind has its own");
}
