//! `teleport configure`: prints a sample configuration, or checks one.

use std::io::Write;
use std::path::PathBuf;

use config::SampleOptions;
use terminal::{Explain, Failure, Printer, Screen};

use self::absent::absent;
use super::plugin::misfits;

mod absent;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Check this configuration instead of printing one, and the files and plugins of this host against it.
    #[arg(long, value_name = "FILE", exclusive = true)]
    test: Option<PathBuf>,
    /// Write to this file instead of standard output; it must not exist.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Get the web port's certificate by ACME.
    #[arg(long)]
    acme: bool,
    /// Whom the ACME server may write to.
    #[arg(long, value_name = "EMAIL")]
    acme_email: Option<String>,
    /// The cluster's name.
    #[arg(long, value_name = "NAME")]
    cluster_name: Option<String>,
    /// Which services to run, for example: proxy,node.
    #[arg(short, long)]
    roles: Option<String>,
    /// Where state is kept.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// The join token, or the path of a file that holds it.
    #[arg(long)]
    token: Option<String>,
    /// The pin of the cluster's authority; may be given several times.
    #[arg(long, value_name = "sha256:HEX")]
    ca_pin: Vec<String>,
    /// Join through this auth server.
    #[arg(long, value_name = "HOST:PORT", conflicts_with = "proxy")]
    auth_server: Option<String>,
    /// Join through this proxy.
    #[arg(long, value_name = "HOST:PORT")]
    proxy: Option<String>,
    /// The host's name in the cluster.
    #[arg(long, visible_alias = "node-name", value_name = "NAME")]
    nodename: Option<String>,
}

pub(crate) fn run(arguments: Arguments, out: &mut dyn Write) -> Result<(), Failure> {
    let mut printer = Printer::new(out, Screen::pipe());
    if let Some(path) = &arguments.test {
        let name = path.display().to_string();
        let text = config::read_file(path).while_doing(format!("cannot read {name}"))?;
        let settings = config::check(&text, &name)?;
        for warning in settings.warnings.iter().cloned().chain(absent(&settings)).chain(misfits(&settings)) {
            printer.line(format!("warning: {warning}"))?;
        }
        printer.line(format!("{name}: OK"))?;
        return Ok(());
    }
    let output = arguments.output.clone();
    let text = config::sample(&options(arguments))?;
    match output {
        None => printer.raw(text.as_bytes())?,
        Some(path) => {
            let name = path.display().to_string();
            let made = std::fs::OpenOptions::new().write(true).create_new(true).open(&path);
            let written = made.and_then(|mut file| file.write_all(text.as_bytes()));
            written.map_err(|error| {
                let taken = error.kind() == std::io::ErrorKind::AlreadyExists;
                let failure = Failure::from(error).while_doing(format!("cannot write {name}"));
                if taken {
                    failure.hint("nothing is overwritten: move it away, or choose another name")
                } else {
                    failure
                }
            })?;
            printer.line(format!(
                "wrote {name}; check it after a change with: teleport configure --test {name}"
            ))?;
        }
    }
    Ok(())
}

fn options(arguments: Arguments) -> SampleOptions {
    SampleOptions {
        acme: arguments.acme,
        acme_email: arguments.acme_email,
        cluster_name: arguments.cluster_name,
        roles: arguments.roles,
        data_dir: arguments.data_dir,
        token: arguments.token,
        ca_pin: arguments.ca_pin,
        auth_server: arguments.auth_server,
        proxy: arguments.proxy,
        nodename: arguments.nodename,
    }
}
