//! How many links are up, for whoever watches over the agent's health.

use tokio::sync::watch;

use super::held::Kept;

/// How the links stand.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Links {
    /// Configured addresses whose proxy has a link.
    pub up: usize,
    /// Configured addresses.
    pub wanted: usize,
    /// Links to proxies that are told of and not configured.
    pub further: usize,
    /// Why the last one failed.
    pub last_failure: Option<String>,
}

impl Links {
    fn of(&mut self, kept: Kept) -> &mut usize {
        match kept {
            Kept::Configured => &mut self.up,
            Kept::Told => &mut self.further,
        }
    }
}

/// A link, or what is as good, for as long as this lives.
pub(super) struct Up {
    links: watch::Sender<Links>,
    kept: Kept,
}

impl Up {
    pub(super) fn mark(links: &watch::Sender<Links>, kept: Kept) -> Self {
        links.send_modify(|links| *links.of(kept) += 1);
        Self { links: links.clone(), kept }
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        self.links.send_modify(|links| *links.of(self.kept) -= 1);
    }
}
