//! What nearly every test here begins with: a cluster, a node behind its proxy, and joe, who has OpenSSH.

use serde_json::Value;
use teleport_tests_interop::{Daemon, Home, Output, World, login, run};

/// The node's name, as joe calls it.
pub(crate) const NODE: &str = "web-1.main";

/// A cluster, a node and a user.
pub(crate) struct Bed {
    pub(crate) world: World,
    pub(crate) node: Daemon,
    pub(crate) joe: Home,
}

impl Bed {
    /// The user may log in as whoever runs the tests.
    pub(crate) async fn start() -> Self {
        let world = World::start().await;
        let node = world.node("web-1").await;
        let joe = world.user("joe", &login()).await;
        world.until_nodes("the node is listed", |nodes| nodes.len() == 1).await;
        Self { world, node, joe }
    }

    /// A command line on the node, by joe.
    pub(crate) async fn on(&self, command: &str) -> Output {
        self.joe.on(NODE, command).await
    }

    /// One of OpenSSH's programs, run by joe, with a jump through the proxy.
    pub(crate) async fn through(&self, program: &str, arguments: &[&str]) -> Output {
        run(self.joe.command(program).args(["-o", "ProxyJump=proxy"]).args(arguments)).await
    }

    /// Waits for an event of this name about the node that passes.
    pub(crate) async fn event(&self, name: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let is = |event: &Value| event["event"] == name && event["server_hostname"] == "web-1";
        self.world.event(name, |event| is(event) && wanted(event)).await
    }

    /// A file below the world's folder.
    pub(crate) fn file(&self, name: &str) -> String {
        self.world.folder().join(name).display().to_string()
    }
}
