//! Plugins that compute the value of a dynamic label: implement [`LabelProvider`], export it with
//! [`export_label_provider!`](crate::export_label_provider).

use std::fmt;
use std::marker::PhantomData;

use crate::bindings::exports::teleport::label_provider::evaluate as wire;
use crate::process;

/// The longest value the host takes, in bytes. A longer one ends the call.
pub const VALUE_MAX: usize = 4096;

/// The label to compute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Its key, for example `uptime`.
    pub name: String,
    /// What the operator wrote beside it; what it means is the plugin's to say.
    pub command: Vec<String>,
}

/// Why there is no value. The label keeps its last good one, the text is shown to the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The host refused something; the text is the host's and says what to add.
    Denied(String),
    /// What the operator wrote cannot work, however often it is tried.
    Invalid(String),
    /// It did not work this time.
    Unavailable(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Denied(text) | Self::Invalid(text) | Self::Unavailable(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for Failure {}

impl From<process::Error> for Failure {
    fn from(error: process::Error) -> Self {
        let text = error.to_string();
        match error {
            process::Error::Denied(_) => Self::Denied(text),
            process::Error::Invalid(_) | process::Error::NotFound(_) => Self::Invalid(text),
            process::Error::TimedOut(_) | process::Error::Unavailable(_) => Self::Unavailable(text),
        }
    }
}

/// A plugin that computes labels.
///
/// Each call is made in a fresh instance: nothing is kept from one to the next. What is not
/// implemented is refused.
pub trait LabelProvider {
    /// The label's value now: one line of text of at most [`VALUE_MAX`] bytes.
    ///
    /// # Errors
    /// [`Failure`] with a text for the operator.
    fn evaluate(request: Request) -> Result<String, Failure> {
        Err(Failure::Invalid(format!(
            "this plugin does not compute labels, so it has no value for {}",
            request.name
        )))
    }
}

/// Makes a [`LabelProvider`] the component's export.
///
/// ```
/// use teleport_plugin_sdk::label_provider::{Failure, LabelProvider, Request};
///
/// struct Answer;
///
/// impl LabelProvider for Answer {
///     fn evaluate(_request: Request) -> Result<String, Failure> {
///         Ok("42".to_owned())
///     }
/// }
///
/// teleport_plugin_sdk::export_label_provider!(Answer);
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! export_label_provider {
    ($provider:ty) => {
        #[doc(hidden)]
        type ExportedLabelProvider = $crate::label_provider::Exported<$provider>;
        // Native linkers do not take the names a component exports, and native tests need none.
        #[cfg(target_arch = "wasm32")]
        $crate::bindings::export_label_provider_component!(
            ExportedLabelProvider with_types_in $crate::bindings
        );
        #[cfg(not(target_arch = "wasm32"))]
        const _: $crate::label_provider::Exported<$provider> = ExportedLabelProvider::NEW;
    };
}

/// Stands between the contract's types and the trait's. Named by the export macro only.
#[doc(hidden)]
pub struct Exported<P>(PhantomData<P>);

impl<P: LabelProvider> Exported<P> {
    #[doc(hidden)]
    pub const NEW: Self = Self(PhantomData);
}

impl<P: LabelProvider> wire::Guest for Exported<P> {
    fn evaluate(request: wire::Request) -> Result<String, wire::Failure> {
        let wire::Request { name, command } = request;
        P::evaluate(Request { name, command }).map_err(|failure| match failure {
            Failure::Denied(text) => wire::Failure::Denied(text),
            Failure::Invalid(text) => wire::Failure::Invalid(text),
            Failure::Unavailable(text) => wire::Failure::Unavailable(text),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_implemented_is_refused() {
        struct Nothing;
        impl LabelProvider for Nothing {}
        let request = Request { name: "load".to_owned(), command: vec![] };
        assert!(matches!(Nothing::evaluate(request), Err(Failure::Invalid(text)) if text.contains("load")));
    }

    #[test]
    fn a_denial_stays_one_so_that_the_operator_sees_the_line_to_add() {
        let failure = Failure::from(process::Error::Denied("add under …".to_owned()));
        assert_eq!(failure, Failure::Denied("add under …".to_owned()));
    }
}
