//! From starting the process to ready: auth, proxy and node in one, with everything made before.

use terminal::Failure;

use crate::measure::{Scale, median};
use crate::table::{Report, below};
use crate::world::{free_ports, start_daemon};

pub(crate) async fn run(scale: Scale, report: &mut Report) -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let [auth, ssh, tunnel, web, node] = free_ports()?;
    let yaml = format!(
        "version: v3\nteleport:\n  nodename: start\n  data_dir: {data}\n\
         auth_service:\n  cluster_name: bench\n  listen_addr: {auth}\n\
         proxy_service:\n  listen_addr: {ssh}\n  tunnel_listen_addr: {tunnel}\n  web_listen_addr: {web}\n\
         ssh_service:\n  enabled: yes\n  listen_addr: {node}\n  commands:\n    - name: kernel\n      command: [uname, -r]\n      period: 1h\n",
        data = folder.path().join("data").display(),
    );
    let first = start_daemon(folder.path(), "first", &yaml).await?;
    report.show(
        "teleport start, first time, to ready",
        format!("{:.2} s", first.ready_after.as_secs_f64()),
        "",
    );
    drop(first);
    let mut times = Vec::new();
    for _ in 0..scale.rounds(16) {
        times.push(start_daemon(folder.path(), "again", &yaml).await?.ready_after.as_secs_f64());
    }
    report.add(below(
        "teleport start (auth, proxy, node), warm, to ready",
        median(&mut times),
        1.0,
        "s",
        String::new(),
    ));
    Ok(())
}
