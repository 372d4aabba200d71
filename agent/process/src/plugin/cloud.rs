//! Whose keys of Amazon's sign what plugins send: those of the configuration, of the environment, of the
//! container or of the machine, in this order. Here the environment is read; the plugin host asks the rest.

use domain::secret::Secret;
use plugin_host::AwsKeys;

/// Where a machine tells its role's keys.
const MACHINE: &str = "http://169.254.169.254";

/// Where a container of ECS is told its keys, when only a path is given.
const CONTAINER: &str = "http://169.254.170.2";

/// The keys to sign with; those written, where some are.
pub(super) fn keys(written: Option<&(String, Secret)>) -> AwsKeys {
    choose(written, |name| std::env::var_os(name)?.into_string().ok().filter(|value| !value.is_empty()))
}

fn choose(written: Option<&(String, Secret)>, variable: impl Fn(&str) -> Option<String>) -> AwsKeys {
    if let Some((access_key, secret_key)) = written {
        return AwsKeys::Given {
            access_key: access_key.clone(),
            secret_key: secret_key.clone(),
            session: None,
        };
    }
    if let (Some(access_key), Some(secret)) =
        (variable("AWS_ACCESS_KEY_ID"), variable("AWS_SECRET_ACCESS_KEY"))
    {
        let session = variable("AWS_SESSION_TOKEN").map(Secret::from);
        return AwsKeys::Given { access_key, secret_key: Secret::from(secret), session };
    }
    let path = variable("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
    let url = path
        .map(|path| format!("{CONTAINER}{path}"))
        .or_else(|| variable("AWS_CONTAINER_CREDENTIALS_FULL_URI"));
    if let Some(url) = url {
        let token = variable("AWS_CONTAINER_AUTHORIZATION_TOKEN").map(Secret::from);
        let token_file = variable("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE").map(Into::into);
        return AwsKeys::Container { url, token, token_file };
    }
    AwsKeys::Machine {
        url: variable("AWS_EC2_METADATA_SERVICE_ENDPOINT").unwrap_or_else(|| MACHINE.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(&str, &str)]) -> AwsKeys {
        choose(None, |name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn the_first_of_the_chain_counts() {
        let environment = [("AWS_ACCESS_KEY_ID", "AK"), ("AWS_SECRET_ACCESS_KEY", "SK")];
        let container = [("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/x")];
        assert!(matches!(of(&[&environment[..], &container].concat()), AwsKeys::Given { session: None, .. }));
        assert!(
            matches!(of(&container), AwsKeys::Container { url, .. } if url == "http://169.254.170.2/v2/x")
        );
        assert!(matches!(of(&environment[..1]), AwsKeys::Machine { url } if url == MACHINE));
        let written = ("mine".to_owned(), Secret::from("x"));
        let chosen = choose(Some(&written), |_| Some("other".to_owned()));
        assert!(matches!(chosen, AwsKeys::Given { access_key, .. } if access_key == "mine"));
    }
}
