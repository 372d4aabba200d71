//! `tctl edit`, with programs in place of a person.

use crate::cluster::{Cluster, Done};

const JOE: &str =
    "kind: user\nversion: v2\nmetadata: {name: joe}\nspec: {roles: [access], traits: {logins: [joe]}}\n";

async fn with_joe() -> Cluster {
    let cluster = Cluster::new().await;
    cluster.tctl_with(&["create"], JOE, &[]).await.ok();
    cluster
}

async fn edit(cluster: &Cluster, editor: &str) -> Done {
    cluster.tctl_with(&["edit", "user/joe"], "", &[("VISUAL", editor), ("EDITOR", "false")]).await
}

/// What the error says is left of what was typed.
fn kept(error: &str) -> String {
    let path = error.lines().find_map(|line| line.strip_prefix("hint: what you typed is in ")).unwrap();
    std::fs::read_to_string(path).unwrap()
}

fn left_behind(cluster: &Cluster) -> usize {
    let entries = std::fs::read_dir(cluster.folder.path()).unwrap();
    entries
        .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with("tctl-edit-"))
        .count()
}

#[tokio::test]
async fn what_was_typed_is_written_back_and_no_file_is_left() {
    let cluster = with_joe().await;
    assert_eq!(edit(&cluster, "sed -i s/joe$/root/").await.failed(1).matches("renamed").count(), 1);
    let done = edit(&cluster, "sed -i 's/^    - joe$/    - root/'").await;
    assert_eq!(done.ok(), "user \"joe\" has been updated\n");
    assert_eq!(cluster.json(&["get", "user/joe"]).await[0]["spec"]["traits"]["logins"][0], "root");
    assert_eq!(left_behind(&cluster), 1, "only that of the refused edit");
}

#[tokio::test]
async fn an_edit_that_changes_nothing_writes_nothing() {
    let cluster = with_joe().await;
    let revision = cluster.json(&["get", "user/joe"]).await[0]["metadata"]["revision"].clone();
    assert_eq!(edit(&cluster, "true").await.ok(), "user \"joe\" has not been changed\n");
    let fallback = cluster.tctl_with(&["edit", "user/joe"], "", &[("EDITOR", "true")]).await;
    assert_eq!(fallback.ok(), "user \"joe\" has not been changed\n");
    assert_eq!(cluster.json(&["get", "user/joe"]).await[0]["metadata"]["revision"], revision);
    assert_eq!(left_behind(&cluster), 0);
}

#[tokio::test]
async fn a_change_by_someone_else_is_not_overwritten_and_the_text_is_kept() {
    let cluster = with_joe().await;
    let tctl = env!("CARGO_BIN_EXE_tctl");
    let other = cluster.file("other.yaml", &JOE.replace("[joe]", "[other]"));
    let script =
        format!("{tctl} -c teleport.yaml create -f {other} >/dev/null && sed -i 's/- joe$/- mine/' \"$1\"\n");
    cluster.file("editor.sh", &script);
    let error = edit(&cluster, "sh editor.sh").await.failed(1);
    assert!(error.contains("changed by someone else"), "{error}");
    assert!(kept(&error).contains("- mine"), "{error}");
    assert_eq!(cluster.json(&["get", "user/joe"]).await[0]["spec"]["traits"]["logins"][0], "other");
}

#[tokio::test]
async fn a_slip_is_named_with_its_line_and_the_text_is_kept() {
    let cluster = with_joe().await;
    let error = edit(&cluster, "sed -i s/roles:/rolez:/").await.failed(1);
    assert!(error.contains("user.yaml:") && error.contains("rolez"), "{error}");
    assert!(error.contains("tctl create -f "), "{error}");
    assert!(kept(&error).contains("rolez:"));
}

#[tokio::test]
async fn an_editor_that_fails_changes_nothing_and_what_was_typed_is_kept() {
    let cluster = with_joe().await;
    let error = edit(&cluster, "false").await.failed(1);
    assert!(error.contains("exit status: 1") && !error.contains("what you typed"), "{error}");
    cluster.file("editor.sh", "echo '# half' >> \"$1\"; exit 3\n");
    let error = edit(&cluster, "sh editor.sh").await.failed(1);
    assert!(kept(&error).ends_with("# half\n"), "{error}");
    let done = edit(&cluster, "no-such-editor").await;
    assert!(done.code == 1 && done.err.contains("ERROR: the editor \"no-such-editor\""), "{done:?}");
    assert!(done.err.contains("VISUAL"), "{done:?}");
}

#[tokio::test]
async fn a_role_that_is_edited_away_stays_in_certificates_and_that_is_told() {
    let cluster = with_joe().await;
    let done = edit(&cluster, "sed -i 's/^  - access$/  - auditor/'").await;
    assert!(done.err.contains("keep access until they expire"), "{done:?}");
    done.ok();
}
