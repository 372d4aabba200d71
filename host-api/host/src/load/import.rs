//! What a component may import, and which contract it is built for, by the names in its outermost
//! layer.
//!
//! The list is closed: what is not on it is refused by name, before anything is compiled. Answering HTTP requests
//! and everything a later WASI may add are not on it. Sending requests is, for a plugin whose manifest asks for
//! it. Sockets may be imported, for some languages cannot do otherwise, and are refused in every use.

use domain::plugin::contract::{ContractError, Version};
use domain::plugin::{Capability, Contract, ContractKind, Manifest, PluginName};

use crate::capability::{http, sockets, wasi};
use crate::compile::Inspection;
use crate::error::LoadError;

/// The interfaces of the host's own package.
const HOST: &str = "teleport:host";
const HOST_VERSION: Version = Version { major: 1, minor: 0, patch: 0 };
const HOST_INTERFACES: [&str; 6] = ["log", "config", "process", "secrets", "secret-reveal", "kv"];

/// `namespace:package/interface@version`, taken apart.
struct Name<'a> {
    package: &'a str,
    interface: &'a str,
    version: Version,
}

fn parse(name: &str) -> Option<Name<'_>> {
    let (path, version) = name.split_once('@')?;
    let (package, interface) = path.split_once('/')?;
    Some(Name { package, interface, version: Version::parse(version)? })
}

/// The contract a component is built for: the package of the hooks it exports, in the newest version of them, for
/// a later minor version adds hooks beside the older ones.
///
/// # Errors
/// [`LoadError::NoContract`] when it exports none.
pub(super) fn contract(name: &PluginName, inspection: &Inspection) -> Result<Contract, LoadError> {
    let known = |export: &&Name<'_>| ContractKind::ALL.iter().any(|kind| kind.package() == export.package);
    let exports: Vec<Name<'_>> = inspection.exports.iter().filter_map(|export| parse(export)).collect();
    // A hook of a known contract; otherwise any of ours, so that the answer can name its version.
    let hook = exports
        .iter()
        .find(known)
        .or_else(|| exports.iter().find(|export| export.package.starts_with("teleport:")));
    let hooks = exports.iter().filter(|export| hook.is_some_and(|hook| hook.package == export.package));
    let served =
        |version: Version| ContractKind::ALL.iter().any(|kind| kind.served().version.major == version.major);
    match hooks.max_by_key(|export| (served(export.version), export.version)) {
        Some(hook) => Ok(Contract { package: hook.package.to_owned(), version: hook.version }),
        None => Err(LoadError::NoContract {
            name: name.clone(),
            exports: list(&inspection.exports),
            served: list(ContractKind::ALL.iter().map(|kind| kind.served().to_string())),
        }),
    }
}

/// Checks every import against the closed list.
///
/// # Errors
/// [`LoadError::Import`] names the first that is not on it; [`LoadError::Contract`] one of the
/// host's own in a version
/// this host does not serve.
pub(super) fn check(name: &PluginName, inspection: &Inspection) -> Result<(), LoadError> {
    for import in &inspection.imports {
        match parse(import) {
            Some(host) if host.package == HOST => check_host(name, import, &host)?,
            Some(wasi) if is_wasi(&wasi) || is_http(&wasi) || is_sockets(&wasi) => {}
            Some(words) if is_words(&words) => {}
            _ => return Err(refused(name, import)),
        }
    }
    Ok(())
}

/// Checks that a component which sends requests asks for that in its manifest.
///
/// # Errors
/// [`LoadError::HttpNotAsked`] with what to write.
pub(super) fn check_http(
    name: &PluginName,
    inspection: &Inspection,
    manifest: &Manifest,
) -> Result<(), LoadError> {
    let asks = manifest.needs.iter().any(|need| need.capability == Capability::Http.key());
    let sends = |import: &&String| parse(import).is_some_and(|name| is_http(&name));
    match inspection.imports.iter().find(sends) {
        Some(import) if !asks => Err(LoadError::HttpNotAsked { name: name.clone(), import: import.clone() }),
        _ => Ok(()),
    }
}

fn check_host(name: &PluginName, import: &str, host: &Name<'_>) -> Result<(), LoadError> {
    if host.version.major != HOST_VERSION.major {
        let package = || HOST.to_owned();
        let asked = Contract { package: package(), version: host.version };
        let served = Contract { package: package(), version: HOST_VERSION };
        let source = ContractError::Version { asked, served };
        return Err(LoadError::Contract { name: name.clone(), source });
    }
    if HOST_INTERFACES.contains(&host.interface) { Ok(()) } else { Err(refused(name, import)) }
}

/// The versions of our own packages that a component names and that are later than what this host serves, each with
/// what it serves. What of them is missing shows when the component is linked.
pub(super) fn newer(inspection: &Inspection) -> Vec<(Contract, Contract)> {
    let host = Contract { package: HOST.to_owned(), version: HOST_VERSION };
    let contracts = ContractKind::ALL.iter().map(|kind| kind.served());
    let served: Vec<Contract> = std::iter::once(host).chain(contracts).collect();
    let named = inspection.imports.iter().chain(&inspection.exports).filter_map(|name| parse(name));
    let later = named.filter_map(|name| {
        let served = served.iter().find(|served| served.package == name.package)?;
        let asked = Contract { package: name.package.to_owned(), version: name.version };
        (asked.version > served.version).then(|| (asked, served.clone()))
    });
    let mut newer: Vec<_> = later.collect();
    newer.dedup();
    newer
}

/// WASI 0.2, any patch of it: below 1.0 the minor number is the one that must fit.
fn is_wasi(name: &Name<'_>) -> bool {
    wasi::PACKAGES.contains(&name.package) && name.version.major == 0 && name.version.minor == 2
}

/// The types a contract's hooks share: an interface without functions, which whoever exports the hooks
/// imports. Its version is the contract's, which is checked by itself.
fn is_words(name: &Name<'_>) -> bool {
    name.interface == "types" && ContractKind::ALL.iter().any(|kind| kind.package() == name.package)
}

/// What requests are sent with, of the same version.
fn is_http(name: &Name<'_>) -> bool {
    name.package == http::PACKAGE
        && http::INTERFACES.contains(&name.interface)
        && name.version.major == 0
        && name.version.minor == 2
}

/// What languages bring along and no plugin can use, of the same version.
fn is_sockets(name: &Name<'_>) -> bool {
    name.package == sockets::PACKAGE
        && sockets::INTERFACES.contains(&name.interface)
        && name.version.major == 0
        && name.version.minor == 2
}

fn refused(name: &PluginName, import: &str) -> LoadError {
    let host = HOST_INTERFACES.map(|interface| format!("{HOST}/{interface}@{HOST_VERSION}"));
    let wasi = wasi::PACKAGES.map(|package| format!("{package} 0.2"));
    let http = http::INTERFACES.map(|interface| format!("{}/{interface} 0.2", http::PACKAGE));
    let import = domain::printable::escape(domain::printable::clip(import, 256)).into_owned();
    // The host's own list is short, and who reads half of it looks for the other half in vain.
    let offered: Vec<String> = host.into_iter().chain(wasi).chain(http).collect();
    LoadError::Import { name: name.clone(), import, offered: offered.join(", ") }
}

fn list<S: AsRef<str>>(items: impl IntoIterator<Item = S>) -> String {
    let items: Vec<String> = items
        .into_iter()
        .take(8)
        .map(|item| domain::printable::escape(domain::printable::clip(item.as_ref(), 128)).into_owned())
        .collect();
    if items.is_empty() { "nothing".to_owned() } else { items.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inspection(imports: &[&str], exports: &[&str]) -> Inspection {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Inspection { imports: owned(imports), exports: owned(exports), manifest: None }
    }

    fn name() -> PluginName {
        PluginName::new("label-x").unwrap()
    }

    #[test]
    fn what_the_contracts_offer_passes() {
        let good = [
            "teleport:host/log@1.0.0",
            "teleport:host/process@1.3.0",
            "wasi:cli/stderr@0.2.0",
            "wasi:io/streams@0.2.6",
            "wasi:clocks/wall-clock@0.2.3",
            "wasi:filesystem/types@0.2.6",
            "wasi:random/random@0.2.6",
            "wasi:http/types@0.2.6",
            "wasi:sockets/tcp@0.2.6",
            "wasi:http/outgoing-handler@0.2.0",
            "teleport:storage-backend/types@1.0.0",
        ];
        assert!(check(&name(), &inspection(&good, &[])).is_ok());
    }

    #[test]
    fn anything_else_is_refused_by_name() {
        let bad = [
            "wasi:sockets/tcp@0.3.0",
            "wasi:sockets/raw@0.2.6",
            "wasi:http/incoming-handler@0.2.6",
            "wasi:http/outgoing-handler@0.3.0",
            "wasi:cli/run@0.3.0",
            "wasi:cli/stderr",
            "wasi:clocks/wall-clock@1.0.0",
            "teleport:host/secret@1.0.0",
            "teleport:hosts/log@1.0.0",
            "teleport:storage-backend/records@1.0.0",
            "example:thing/x@1.0.0",
            "plain-name",
            "",
        ];
        for import in bad {
            let error = check(&name(), &inspection(&["teleport:host/log@1.0.0", import], &[])).unwrap_err();
            assert!(
                matches!(&error, LoadError::Import { import: named, .. } if named == import),
                "{import}: {error}"
            );
        }
    }

    #[test]
    fn another_major_version_of_the_host_is_refused_with_both_named() {
        let error = check(&name(), &inspection(&["teleport:host/log@2.0.0"], &[])).unwrap_err();
        let text = crate::error::chain(&error);
        assert!(text.contains("teleport:host@2.0.0") && text.contains("teleport:host@1.0.0"), "{text}");
    }

    #[test]
    fn the_contract_is_the_package_of_the_exported_hook() {
        let of =
            |exports: &[&str]| contract(&name(), &inspection(&[], exports)).map(|found| found.to_string());
        assert_eq!(
            of(&["wasi:cli/run@0.2.0", "teleport:label-provider/evaluate@1.2.0"]).unwrap(),
            "teleport:label-provider@1.2.0"
        );
        assert_eq!(of(&["teleport:label-provider/evaluate@2.0.0"]).unwrap(), "teleport:label-provider@2.0.0");
        assert_eq!(of(&["teleport:storage-backend/crud@1.0.0"]).unwrap(), "teleport:storage-backend@1.0.0");
        let minors = ["teleport:storage-backend/get-many@1.1.0", "teleport:storage-backend/records@1.0.0"];
        assert_eq!(of(&minors).unwrap(), "teleport:storage-backend@1.1.0");
        let majors = ["teleport:storage-backend/records@2.0.0", "teleport:storage-backend/records@1.0.0"];
        assert_eq!(of(&majors).unwrap(), "teleport:storage-backend@1.0.0", "what is served beside the next");
        let text = of(&["wasi:http/incoming-handler@0.2.0"]).unwrap_err().to_string();
        assert!(text.contains("it exports wasi:http/incoming-handler@0.2.0"), "{text}");
        assert!(of(&[]).unwrap_err().to_string().contains("it exports nothing"));
    }
}
