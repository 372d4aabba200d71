//! `auth_service.tokens`: join tokens that never expire.
//!
//! An entry holds a secret, so no error shows more of it than a word that resembles a role.

use domain::identity::SystemRole;
use domain::token::{self, StaticToken};

use crate::error::ConfigError;
use crate::field::Field;
use crate::secret_source::{ReadFile, SecretSource};
use crate::shown::not_one_of;
use crate::suggest;

/// One entry of `auth_service.tokens`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StaticTokenSource {
    /// What a host may join as.
    pub roles: Vec<SystemRole>,
    /// The secret.
    pub value: SecretSource,
}

impl StaticTokenSource {
    /// The token, read from its file when it is in one.
    ///
    /// # Errors
    /// Those of [`SecretSource::read`].
    pub fn read(&self, read: ReadFile<'_>) -> Result<StaticToken, ConfigError> {
        Ok(StaticToken { roles: self.roles.clone(), value: self.value.read(read)? })
    }
}

/// Reads the list.
pub(super) fn read(field: &Field<'_>) -> Vec<StaticTokenSource> {
    field.list().unwrap_or_default().iter().filter_map(static_token).collect()
}

fn static_token(item: &Field<'_>) -> Option<StaticTokenSource> {
    if item.is_section() {
        item.problem(
            "is read as a section because of the space after the colon; write \"role:secret\", in quotes",
        );
        return None;
    }
    let entry = item.text()?;
    let Ok((roles, value)) = token::parse_static(entry) else {
        item.problem(token_fault(entry));
        return None;
    };
    let short = value.trim().len() < token::VALUE_MIN;
    let value = SecretSource::new(item.place(), value);
    if short && value.path().is_none() {
        item.warning(format!(
            "the secret has fewer than {} characters and is easily guessed",
            token::VALUE_MIN
        ));
    }
    Some(StaticTokenSource { roles, value })
}

/// What is wrong with an entry, without showing any of it: `secret:node` has the secret where the
/// role belongs. Only a word that resembles a role is shown.
fn token_fault(entry: &str) -> String {
    let form = "write it as \"role,role:secret\" or \"role:/path/to/file\"";
    let Some((roles, secret)) = entry.split_once(':') else { return format!("has no colon; {form}") };
    if secret.trim().is_empty() {
        return format!("the secret after the colon is empty; {form}");
    }
    let names = SystemRole::JOINABLE.map(SystemRole::as_str);
    let wrong = roles.split(',').map(str::trim).find(|role| SystemRole::parse_joinable(role).is_err());
    match wrong {
        Some(role) if suggest::closest(role, names).is_some() => not_one_of(role, &names),
        _ => {
            format!("what stands before the colon is not a role; {form}, with roles of {}", names.join(", "))
        }
    }
}
