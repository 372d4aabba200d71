//! Signals by the names SSH gives them (RFC 4254 section 6.10).

/// A signal a client may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signal {
    name: &'static str,
    number: rustix::process::Signal,
}

impl Signal {
    /// Every signal SSH names.
    pub const ALL: [Self; 13] = [
        Self { name: "ABRT", number: rustix::process::Signal::ABORT },
        Self { name: "ALRM", number: rustix::process::Signal::ALARM },
        Self { name: "FPE", number: rustix::process::Signal::FPE },
        Self { name: "HUP", number: rustix::process::Signal::HUP },
        Self { name: "ILL", number: rustix::process::Signal::ILL },
        Self { name: "INT", number: rustix::process::Signal::INT },
        Self { name: "KILL", number: rustix::process::Signal::KILL },
        Self { name: "PIPE", number: rustix::process::Signal::PIPE },
        Self { name: "QUIT", number: rustix::process::Signal::QUIT },
        Self { name: "SEGV", number: rustix::process::Signal::SEGV },
        Self { name: "TERM", number: rustix::process::Signal::TERM },
        Self { name: "USR1", number: rustix::process::Signal::USR1 },
        Self { name: "USR2", number: rustix::process::Signal::USR2 },
    ];

    /// The signal of this name, without `SIG`; none when SSH has no such signal.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|signal| signal.name == name)
    }

    /// Its name, without `SIG`.
    pub fn name(self) -> &'static str {
        self.name
    }

    pub(crate) fn number(self) -> rustix::process::Signal {
        self.number
    }

    /// The name of a signal by its number, for exit statuses. Signals SSH has no name for are called
    /// as OpenSSH calls them, which its clients know.
    pub(crate) fn name_of(number: i32) -> &'static str {
        let known = Self::ALL.iter().find(|signal| signal.number.as_raw() == number);
        known.map_or("SIG@openssh.com", |signal| signal.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_both_ways() {
        for signal in Signal::ALL {
            assert_eq!(Signal::from_name(signal.name()), Some(signal));
            assert_eq!(Signal::name_of(signal.number().as_raw()), signal.name());
        }
        for stranger in ["SIGINT", "int", "STOP", "WINCH", ""] {
            assert_eq!(Signal::from_name(stranger), None, "{stranger}");
        }
        assert_eq!(Signal::name_of(rustix::process::Signal::BUS.as_raw()), "SIG@openssh.com");
    }
}
