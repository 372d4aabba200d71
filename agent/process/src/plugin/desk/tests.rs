use api::control::{Answer, Question, SOCKET};
use plugin_host::Settings;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::*;

/// Longer than it takes to see that another daemon has gone.
const LONG: Duration = Duration::from_secs(30);

/// One of the daemons of a data folder.
struct Daemon {
    stop: CancellationToken,
    serving: JoinHandle<()>,
}

impl Daemon {
    async fn start(folder: &TempDir) -> Self {
        let host = PluginHost::new(Settings::new(folder.path())).unwrap();
        let desk = Desk { host, data_dir: folder.path().to_owned(), started: Timestamp::UNIX_EPOCH };
        let (stop, has_started) = (CancellationToken::new(), CancellationToken::new());
        has_started.cancel();
        let first = if desk.is_answered().await { None } else { desk.open_here().ok() };
        let stopping = stop.clone();
        let serving = tokio::spawn(async move { desk.serve(first, has_started, &stopping).await });
        Self { stop, serving }
    }

    async fn end(self) {
        self.stop.cancel();
        timeout(LONG, self.serving).await.expect("it ends when it is told to").unwrap();
    }
}

async fn ask(folder: &TempDir, question: Question) -> Answer {
    let asking = async {
        loop {
            if let Ok(answer) = client::control::ask(folder.path(), &question).await {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(LONG, asking).await.expect("a daemon answers")
}

async fn disable(folder: &TempDir, name: &str) {
    let answer = ask(folder, Question::Disable { name: name.to_owned() }).await;
    assert!(matches!(answer, Answer::Switched { changed: true, .. }), "{answer:?}");
}

#[tokio::test]
async fn nothing_is_opened_once_it_is_told_to_stop() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(&folder).await;
    ask(&folder, Question::List).await;
    daemon.end().await;
    assert!(!folder.path().join(SOCKET).exists());
}

#[tokio::test]
async fn who_has_the_place_back_knows_what_the_other_was_told() {
    let folder = tempfile::tempdir().unwrap();
    let first = Daemon::start(&folder).await;
    let second = Daemon::start(&folder).await;
    let inode = || {
        std::fs::metadata(folder.path().join(SOCKET)).map(|found| std::os::unix::fs::MetadataExt::ino(&found))
    };
    // It takes the place a moment after it has started.
    let of_the_first = inode().unwrap();
    let taken = async {
        while inode().is_ok_and(|now| now == of_the_first) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(LONG, taken).await.expect("it takes the place");
    disable(&folder, "label-command").await;
    second.end().await;
    let Answer::Plugins(plugins) = ask(&folder, Question::List).await else { panic!("a list") };
    let listed = plugins.iter().find(|plugin| plugin.name == "label-command").unwrap();
    assert_eq!(listed.state, "Disabled", "{:?}", listed.reason);
    disable(&folder, "storage-etcd").await;
    let state = std::fs::read_to_string(folder.path().join("plugins/state.json")).unwrap();
    assert_eq!(state, r#"{"disabled":["label-command","storage-etcd"]}"#);
    first.end().await;
}

#[tokio::test]
async fn a_folder_that_is_gone_is_not_made_anew() {
    let root = tempfile::tempdir().unwrap();
    let gone = root.path().join("gone");
    let host = PluginHost::new(Settings::new(root.path())).unwrap();
    let desk = Desk { host, data_dir: gone.clone(), started: Timestamp::UNIX_EPOCH };
    let error = desk.open_again().err().map(|error| error.kind());
    assert_eq!((error, gone.exists()), (Some(std::io::ErrorKind::NotFound), false));
}
