//! etcd through `etcd-client`: gRPC over one connection, which its callers share as its users do.

use std::net::SocketAddr;

use etcd_client::Client;
use terminal::Failure;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::{Load, VALUE, Work, rate};

pub(super) async fn once(address: SocketAddr, load: Load) -> Result<f64, Failure> {
    let client = Client::connect([format!("http://{address}")], None).await?;
    let (began, mut callers) = (Instant::now(), JoinSet::new());
    for caller in 0..load.callers {
        let mut kv = client.kv_client();
        callers.spawn(async move {
            for number in 0..load.each {
                let key = format!("/client/{caller}-{number}");
                match load.work {
                    Work::Put => drop(kv.put(key, VALUE, None).await?),
                    Work::Get => drop(kv.get(key, None).await?),
                }
            }
            Ok(())
        });
    }
    rate(callers, load, began).await
}
