//! Plugins: what a call, a load, a reload and a hostile guest cost; and storage through them.

use terminal::Failure;

use crate::measure::Scale;
use crate::table::Report;

mod bare;
mod bed;
mod call;
mod etcd;
mod hostile;
mod load;
mod reload;
mod session;
mod sqlite;
mod warm;

pub(crate) use session::run as sessions_meanwhile;
pub(crate) use sqlite::run as embedded_store;

/// All but what needs a cluster.
pub(crate) async fn run(scale: Scale, report: &mut Report) -> Result<(), Failure> {
    let guests = bed::Guests::build()?;
    call::run(&guests, scale, report).await?;
    warm::run(&guests, scale, report).await?;
    load::run(scale, report).await?;
    hostile::run(&guests, scale, report).await?;
    reload::run(&guests, scale, report).await?;
    storage(scale, report).await
}

/// The stores beside their peers.
pub(crate) async fn storage(scale: Scale, report: &mut Report) -> Result<(), Failure> {
    sqlite::run(scale, report).await?;
    etcd::run(scale, report).await
}
