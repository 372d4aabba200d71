//! Why a file of resources cannot be used.

use domain::resource::ResourceError;

/// Why a file of resources cannot be used. Each names the file and the place in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DocumentError {
    /// There is no resource in it.
    #[error("{0}: there is no resource in it; a resource has kind, version, metadata and spec")]
    Empty(String),
    /// It is not YAML, or a value is of the wrong type, or a key is unknown.
    #[error("{place}: {message}")]
    Yaml {
        /// File, line and column.
        place: String,
        /// What is wrong.
        message: String,
    },
    /// A document does not say what it is.
    #[error("{0}: there is no kind; start with `kind: user`, for example")]
    NoKind(String),
    /// A record breaks a rule of its kind.
    #[error("{place}")]
    Record {
        /// File and document.
        place: String,
        /// The rule.
        source: ResourceError,
    },
}

impl DocumentError {
    /// From an error of the YAML reader, which counts lines from where its text begins.
    pub(crate) fn yaml(file: &str, first_line: usize, error: &serde_saphyr::Error) -> Self {
        let error = error.without_snippet();
        let message = match error {
            serde_saphyr::Error::DuplicateMappingKey { key: Some(key), .. } => {
                format!("the key {key} is there twice")
            }
            error => error.to_string(),
        };
        let Some(at) = error.location().filter(|at| at.line() > 0) else {
            return Self::Yaml { place: file.to_owned(), message };
        };
        // The reader says the line of its own text, which is not that of the file.
        let own = format!(" at line {}, column {}", at.line(), at.column());
        let message = message.strip_suffix(&own).unwrap_or(&message).to_owned();
        let line = u64::try_from(first_line).unwrap_or(u64::MAX).saturating_add(at.line() - 1);
        Self::Yaml { place: format!("{file}:{line}:{}", at.column()), message }
    }
}
