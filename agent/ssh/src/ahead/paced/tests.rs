use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::super::tests::{Pair, pair, within};
use super::*;

async fn channel(pair: &mut Pair) -> (Paced, Paced) {
    let ours = pair.client.channel_open_session().await.unwrap();
    let theirs = pair.server_channels.recv().await.unwrap();
    (Paced::new(ours), Paced::new(theirs))
}

/// Writes until that stands still; how much was taken.
async fn fill(stream: &mut Paced) -> usize {
    let chunk = vec![7; 64 * 1024];
    let mut written = 0;
    while let Ok(count) = tokio::time::timeout(Duration::from_millis(200), stream.write(&chunk)).await {
        written += count.unwrap();
    }
    written
}

#[tokio::test]
async fn many_times_the_credit_passes_both_ways_and_the_ends_are_seen() {
    let mut pair = pair().await;
    let (mut ours, mut theirs) = channel(&mut pair).await;
    let sent: Vec<u8> = (0..4 * CREDIT).map(|n| (n % 251) as u8).collect();
    let expected = sent.clone();
    let writing = tokio::spawn(async move {
        ours.write_all(&sent).await.unwrap();
        ours.shutdown().await.unwrap();
        let mut answer = Vec::new();
        ours.read_to_end(&mut answer).await.unwrap();
        answer
    });
    let mut received = Vec::new();
    within(theirs.read_to_end(&mut received)).await.unwrap();
    assert!(received == expected);
    // The other way after the end of this one: what was taken is still told.
    within(theirs.write_all(&received)).await.unwrap();
    theirs.shutdown().await.unwrap();
    assert!(within(writing).await.unwrap() == expected);
}

#[tokio::test]
async fn no_more_than_the_credit_is_under_way() {
    let mut pair = pair().await;
    let (mut ours, mut theirs) = channel(&mut pair).await;
    assert_eq!(fill(&mut ours).await, CREDIT);
    let mut some = vec![0; STEP];
    within(theirs.read_exact(&mut some)).await.unwrap();
    assert_eq!(fill(&mut ours).await, STEP);
}

#[tokio::test]
async fn streams_nobody_reads_hold_up_none_of_the_others() {
    let mut pair = pair().await;
    let mut stuck = Vec::new();
    for _ in 0..4 {
        let (mut ours, mut theirs) = channel(&mut pair).await;
        // Both directions.
        assert_eq!((fill(&mut ours).await, fill(&mut theirs).await), (CREDIT, CREDIT));
        stuck.push((ours, theirs));
    }
    let (mut ours, mut theirs) = channel(&mut pair).await;
    for _ in 0..100 {
        let mut heard = [0; 5];
        within(ours.write_all(b"hello")).await.unwrap();
        within(theirs.read_exact(&mut heard)).await.unwrap();
        within(theirs.write_all(&heard)).await.unwrap();
        within(ours.read_exact(&mut heard)).await.unwrap();
        assert_eq!(&heard, b"hello");
    }
}

#[tokio::test]
async fn whoever_waits_for_credit_hears_of_the_end() {
    let mut pair = pair().await;
    let (mut ours, theirs) = channel(&mut pair).await;
    assert_eq!(fill(&mut ours).await, CREDIT);
    let writing = tokio::spawn(async move { ours.write_all(b"x").await });
    drop(theirs);
    assert!(within(writing).await.unwrap().is_err());
}

#[test]
fn a_peer_that_claims_more_than_it_was_sent_gains_nothing() {
    let pace = Pace::default();
    pace.sent(10);
    pace.told(&Bytes::copy_from_slice(&u32::MAX.to_be_bytes()));
    assert_eq!(pace.state.lock().credit, CREDIT);
    pace.told(&Bytes::from_static(b"no number"));
    assert_eq!(pace.state.lock().credit, CREDIT);
}
