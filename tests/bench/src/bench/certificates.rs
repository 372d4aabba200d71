//! Certificates over the API, each with an audit event on disk before it is handed out; and joins.

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use port::random::SystemRandom;
use terminal::{Explain, Failure};
use tokio::time::Instant;

use crate::measure::{Scale, millis, quantile, timed};
use crate::table::{Report, above};
use crate::world::World;

/// Calls under way at once.
const AT_ONCE: usize = 128;

pub(crate) async fn run(world: &World, scale: Scale, report: &mut Report) -> Result<(), Failure> {
    let keygen = keygen_rate(world, scale)?;
    let total = scale.rounds(8000);
    let key = certs::ssh::new_key(&SystemRandom).public_key().to_openssh()?;
    let left = Arc::new(AtomicUsize::new(total));
    let started = Instant::now();
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..AT_ONCE {
        let (left, admin, key) = (Arc::clone(&left), world.admin.clone(), key.clone());
        callers.spawn(async move {
            let mut times = Vec::new();
            while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
            {
                let asked = Instant::now();
                let request = api::auth::SignUserRequest {
                    user: "bench".into(),
                    ssh_public_key: key.clone(),
                    ..Default::default()
                };
                admin.sign_user(request).await?;
                times.push(millis(asked.elapsed()));
            }
            Ok::<_, client::ClientError>(times)
        });
    }
    let mut times = Vec::new();
    while let Some(done) = callers.join_next().await {
        times.extend(done??);
    }
    #[allow(clippy::cast_precision_loss, reason = "a few thousand")]
    let rate = times.len() as f64 / started.elapsed().as_secs_f64();
    report.add(above(
        "certificates over the API, each with a durable event",
        rate,
        1000.0,
        "/s",
        format!("ssh-keygen -s, a process each: {keygen:.0}/s"),
    ));
    report.show(
        "  time of one, 128 at once, p50 / p99",
        format!("{:.0} / {:.0} ms", quantile(&mut times, 0.5), quantile(&mut times, 0.99)),
        "",
    );
    Ok(())
}

/// `ssh-keygen -s`, one process per certificate and without any record.
fn keygen_rate(world: &World, scale: Scale) -> Result<f64, Failure> {
    let authority = world.path("keygen_ca");
    let make = |path: &std::path::Path| {
        Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(path).status()
    };
    make(&authority).while_doing("cannot run ssh-keygen")?;
    make(&world.path("keygen_user"))?;
    let times = scale.rounds(60);
    let (outcome, took) = timed(|| {
        (0..times).try_for_each(|_| {
            let mut sign = Command::new("ssh-keygen");
            sign.arg("-q")
                .arg("-s")
                .arg(&authority)
                .args(["-I", "x", "-n", "root"])
                .arg(world.path("keygen_user.pub"));
            sign.stderr(Stdio::null()).status().map(drop)
        })
    });
    outcome?;
    #[allow(clippy::cast_precision_loss, reason = "a few dozen")]
    Ok(times as f64 / took.as_secs_f64())
}
