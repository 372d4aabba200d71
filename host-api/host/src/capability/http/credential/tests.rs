//! Against places of our own that answer as the real ones do.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;

const KEYS: &str =
    r#"{"Code":"Success","AccessKeyId":"AK","SecretAccessKey":"SK","Token":"T","Expiration":"END"}"#;

/// Answers requests whose head holds all the words of a row with its text, others with 401. Gives its address and how
/// often it was asked.
async fn serve(rows: Vec<(&'static [&'static str], String)>) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    tokio::spawn(async move {
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut head = vec![0; 4096];
            let length = socket.read(&mut head).await.unwrap();
            let head = String::from_utf8_lossy(&head[..length]).to_ascii_lowercase();
            counted.fetch_add(1, Ordering::SeqCst);
            let found = rows.iter().find(|(words, _)| words.iter().all(|word| head.contains(word)));
            let (status, text) = found.map_or((401, ""), |(_, text)| (200, text.as_str()));
            let answer = format!(
                "HTTP/1.1 {status} x\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{text}",
                text.len()
            );
            socket.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    (url, count)
}

fn lasting(seconds: u64) -> String {
    let end = SystemClock.now().checked_add(Duration::from_secs(seconds)).unwrap();
    KEYS.replace("END", &end.to_string())
}

#[tokio::test]
async fn a_machines_role_is_asked_for_with_a_token_and_kept() {
    let (url, asked) = serve(vec![
        (&["put /latest/api/token", "x-aws-ec2-metadata-token-ttl-seconds: "], "tok".to_owned()),
        (
            &["get /latest/meta-data/iam/security-credentials/ ", "x-aws-ec2-metadata-token: tok"],
            "role\n".to_owned(),
        ),
        (
            &["get /latest/meta-data/iam/security-credentials/role ", "x-aws-ec2-metadata-token: tok"],
            lasting(3600),
        ),
    ])
    .await;
    let keyring = Keyring::new(AwsKeys::Machine { url });
    for _ in 0..3 {
        let keys = keyring.now().await.unwrap();
        assert_eq!(
            (keys.access_key_id(), keys.secret_access_key(), keys.session_token()),
            ("AK", "SK", Some("T"))
        );
    }
    assert_eq!(asked.load(Ordering::SeqCst), 3, "three questions in all");
}

#[tokio::test]
async fn a_container_shows_what_is_in_its_file() {
    let (url, _) = serve(vec![(&["get /v1/credentials", "authorization: secret"], lasting(3600))]).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    let keys =
        |token_file| AwsKeys::Container { url: format!("{url}/v1/credentials"), token: None, token_file };
    assert!(matches!(Keyring::new(keys(Some(path.clone()))).now().await, Err(AwsKeysError::File { .. })));
    std::fs::write(&path, "secret\n").unwrap();
    assert_eq!(Keyring::new(keys(Some(path))).now().await.unwrap().access_key_id(), "AK");
    let refused = Keyring::new(keys(None)).now().await.unwrap_err();
    assert!(refused.to_string().contains("401"), "{refused}");
}

#[tokio::test]
async fn keys_that_still_work_are_used_when_no_others_come() {
    // Their end is so near that they are renewed at the next occasion, which is half a minute away.
    let (url, asked) = serve(vec![(&["get /"], lasting(60))]).await;
    let keyring = Keyring::new(AwsKeys::Container { url, token: None, token_file: None });
    keyring.now().await.unwrap();
    keyring.kept.lock().await.as_mut().unwrap().renew = SystemTime::UNIX_EPOCH;
    keyring.now().await.unwrap();
    assert_eq!(asked.load(Ordering::SeqCst), 2);
    let gone =
        Keyring { from: AwsKeys::Machine { url: "http://127.0.0.1:1".to_owned() }, kept: Mutex::default() };
    assert!(matches!(gone.now().await, Err(AwsKeysError::Unreachable { .. })));
    *gone.kept.lock().await = keyring.kept.lock().await.take();
    gone.kept.lock().await.as_mut().unwrap().renew = SystemTime::UNIX_EPOCH;
    assert_eq!(gone.now().await.unwrap().access_key_id(), "AK");
}

#[tokio::test]
async fn garbage_is_no_key_and_is_not_repeated() {
    for text in ["", "{}", "s3cret garbage", r#"{"AccessKeyId":"s3cret"}"#] {
        let (url, _) = serve(vec![(&["get /"], text.to_owned())]).await;
        let error =
            Keyring::new(AwsKeys::Container { url, token: None, token_file: None }).now().await.unwrap_err();
        assert!(
            matches!(&error, AwsKeysError::Refused { .. }) && !error.to_string().contains("s3cret"),
            "{error}"
        );
    }
}

#[test]
fn keys_are_asked_for_nearby_only() {
    for near in [
        "http://169.254.169.254",
        "http://169.254.170.2/v2/x",
        "http://127.0.0.1:80/",
        "http://[fd00:ec2::254]",
    ] {
        assert!(place(near).is_ok(), "{near}");
    }
    for far in
        ["http://example.com/", "https://169.254.169.254", "http://10.0.0.1/", "http://[fd00::1]/", "nothing"]
    {
        assert!(place(far).is_err(), "{far}");
    }
}
