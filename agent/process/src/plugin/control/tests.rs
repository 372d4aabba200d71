use plugin_host::Settings;
use tempfile::TempDir;

use super::*;

/// A daemon's folder with its socket, and what stops it.
struct Desk {
    folder: TempDir,
    stop: CancellationToken,
    serving: tokio::task::JoinHandle<()>,
}

impl Desk {
    fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let host = PluginHost::new(Settings::new(folder.path())).unwrap();
        let control = Control::open(folder.path(), Timestamp::UNIX_EPOCH).unwrap();
        let stop = CancellationToken::new();
        let answering = Arc::new(Answering::new(host, Timestamp::UNIX_EPOCH));
        let stopping = stop.clone();
        let serving = tokio::spawn(async move { control.serve(answering, &stopping).await });
        Self { folder, stop, serving }
    }

    async fn ask(&self, question: Question) -> Result<Answer, String> {
        client::control::ask(self.folder.path(), &question).await.map_err(|error| error.to_string())
    }

    /// What comes back for these bytes.
    async fn raw(&self, bytes: &[u8]) -> String {
        let mut stream = UnixStream::connect(self.folder.path().join(SOCKET)).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer).await;
        answer
    }
}

fn name() -> String {
    "label-command".to_owned()
}

#[tokio::test]
async fn the_list_has_every_carried_plugin_with_its_grants() {
    let desk = Desk::open();
    let Ok(Answer::Plugins(plugins)) = desk.ask(Question::List).await else { panic!("a list") };
    let listed = plugins.iter().find(|plugin| plugin.name == name()).unwrap();
    assert_eq!(listed.state, "Not loaded");
    let known = listed.known.as_ref().unwrap();
    assert_eq!(known.grants, ["process with the command configured for each label"]);
}

#[tokio::test]
async fn the_socket_is_as_old_as_the_daemon() {
    let desk = Desk::open();
    let found = std::fs::symlink_metadata(desk.folder.path().join(SOCKET)).unwrap();
    assert_eq!(found.modified().unwrap(), std::time::SystemTime::UNIX_EPOCH);
}

#[tokio::test]
async fn what_is_switched_off_stays_off_and_is_told_so() {
    let desk = Desk::open();
    let Ok(Answer::Switched { changed: true, plugin }) = desk.ask(Question::Disable { name: name() }).await
    else {
        panic!("it is switched off")
    };
    assert_eq!(plugin.state, "Disabled");
    let again = desk.ask(Question::Disable { name: name() }).await;
    assert!(matches!(again, Ok(Answer::Switched { changed: false, .. })), "{again:?}");
    let state = std::fs::read_to_string(desk.folder.path().join("plugins/state.json")).unwrap();
    assert_eq!(state, r#"{"disabled":["label-command"]}"#);
}

#[tokio::test]
async fn names_that_are_none_are_refused_with_what_there_is() {
    let desk = Desk::open();
    for name in ["../x", "label-nothing"] {
        let error = desk.ask(Question::Logs { name: name.to_owned(), after: 0 }).await.unwrap_err();
        assert!(error.contains(name), "{error}");
    }
}

#[tokio::test]
async fn nonsense_gets_a_refusal_or_nothing() {
    let desk = Desk::open();
    assert!(desk.raw(b"{\"ask\":\"erase\"}\n").await.contains("the question is not understood"));
    let long = vec![b'x'; QUESTION_MAX * 3];
    let answer = desk.raw(&long).await;
    assert!(answer.is_empty() || answer.contains("refused"), "{answer}");
    assert!(desk.ask(Question::List).await.is_ok(), "and others are served");
}

#[tokio::test]
async fn the_socket_is_private_and_goes_with_its_own_daemon_alone() {
    let desk = Desk::open();
    let path = desk.folder.path().join(SOCKET);
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
    // Another daemon starts before this one has ended.
    let later = Control::open(desk.folder.path(), Timestamp::UNIX_EPOCH).unwrap();
    desk.stop.cancel();
    desk.serving.await.unwrap();
    assert!(path.exists(), "it is the later one's");
    drop(later);
    assert!(!path.exists());
}
