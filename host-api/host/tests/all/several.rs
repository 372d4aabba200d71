//! A storage backend that answers several questions in one call, and one that does its worst in it: nobody's get
//! fails for another's, no put is made twice, and each is answered.

use domain::plugin::PluginName;
use domain::plugin::configuration::Written;
use futures::future::join_all;
use port::backend::Backend as _;
use port::store::{Key, Revision, StoreError, Transaction};

use crate::bed::{Bed, Running, guest, manifest};

const NAME: &str = "several";
/// Questions that gather while another takes a while.
const GATHERED: usize = 10;

fn host(deed: &str, limits: &[(&str, &str)]) -> Running {
    host_of(NAME, deed, limits)
}

/// The plugin built from this guest.
fn host_of(which: &str, deed: &str, limits: &[(&str, &str)]) -> Running {
    let mut bed = Bed::new();
    let manifest = manifest(NAME).replace("label-provider@1.0.0", "storage-backend@1.1.0")
        + "[config.deed]\ntype = \"text\"\ndefault = \"\"\ndescription = \"what it does instead\"\n";
    bed.install(NAME, &guest(which), &manifest);
    bed.pin(NAME);
    bed.settings.storage = Some(PluginName::new(NAME).unwrap());
    bed.plugin(NAME).config.insert("deed".to_owned(), Written::One(deed.to_owned()));
    limits.iter().for_each(|(key, value)| bed.limit(NAME, key, value));
    bed.host()
}

fn keys() -> impl Iterator<Item = Key> {
    let gathered = (0..GATHERED).map(|number| number.to_string());
    std::iter::once("slow".to_owned()).chain(gathered).map(|name| Key::of(&["t", &name]))
}

/// How each of those that gathered was answered.
async fn gets(deed: &str, limits: &[(&str, &str)]) -> Vec<Result<String, StoreError>> {
    gets_of(&host(deed, limits), deed).await
}

async fn gets_of(host: &Running, deed: &str) -> Vec<Result<String, StoreError>> {
    let backend = host.storage(PluginName::new(NAME).unwrap());
    backend.open().await.unwrap();
    let got = join_all(keys().map(|key| {
        let backend = &backend;
        async move {
            let item = backend.get(&key).await?.expect("it has everything");
            assert_eq!(item.key, key, "{deed}");
            Ok(String::from_utf8(item.value.to_vec()).unwrap())
        }
    }));
    got.await.split_off(1)
}

async fn puts(deed: &str) -> Vec<Result<Revision, StoreError>> {
    puts_of(&host(deed, &[("wall", "1s")])).await
}

async fn puts_of(host: &Running) -> Vec<Result<Revision, StoreError>> {
    let backend = host.storage(PluginName::new(NAME).unwrap());
    backend.open().await.unwrap();
    let put = |key| Transaction::default().put(key, "x", None);
    let transactions: Vec<_> = keys().map(put).collect();
    join_all(transactions.iter().map(|put| backend.write(put))).await.split_off(1)
}

#[tokio::test]
async fn what_gathers_is_asked_together() {
    assert_eq!(gets("", &[]).await, vec![Ok("together".to_owned()); GATHERED]);
    let revisions: Vec<_> = (2..).take(GATHERED).map(|revision| Ok(Revision(revision))).collect();
    assert_eq!(puts("").await, revisions, "each has its own");
    // Half of what it is asked, again and again, until one is left.
    let mut halves = gets("get half", &[]).await;
    assert_eq!(halves.pop(), Some(Ok("alone".to_owned())));
    assert_eq!(halves, vec![Ok("together".to_owned()); GATHERED - 1]);
}

#[tokio::test]
async fn a_backend_offers_what_it_likes() {
    let host = host_of("getter", "", &[]);
    assert_eq!(gets_of(&host, "").await, vec![Ok("together".to_owned()); GATHERED]);
    assert_eq!(puts_of(&host).await, vec![Ok(Revision(1)); GATHERED], "one by one");
}

#[tokio::test]
async fn gets_that_fail_together_are_asked_each() {
    let limits = [("wall", "1s"), ("host_call", "16MiB"), ("cpu", "900ms")];
    for deed in ["none", "more", "trap", "hang", "swell", "corrupt", "too large", "conflict"] {
        let got = gets(&format!("get {deed}"), &limits).await;
        assert_eq!(got, vec![Ok("alone".to_owned()); GATHERED], "{deed}");
    }
    let away = StoreError::Unavailable("nobody is there".to_owned());
    assert_eq!(
        gets("get away", &[]).await,
        vec![Err(away); GATHERED],
        "nobody would be there for each either"
    );
}

#[tokio::test]
async fn puts_whose_fate_is_unknown_are_not_made_again() {
    assert_eq!(
        puts("put too large").await,
        vec![Ok(Revision(1)); GATHERED],
        "nothing was changed: each by itself"
    );
    let deeds = [
        ("trap", "crashed"),
        ("hang", "1s"),
        ("away", "nobody is there"),
        ("conflict", "condition"),
        ("corrupt", "no sense"),
        ("half", "5 revisions for 10 puts"),
        ("same", "not in their order"),
    ];
    for (deed, says) in deeds {
        for put in puts(&format!("put {deed}")).await {
            assert!(put.as_ref().is_err_and(|error| error.to_string().contains(says)), "{deed}: {put:?}");
        }
    }
}
