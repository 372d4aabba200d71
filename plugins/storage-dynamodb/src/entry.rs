//! An entry of the log: what one write changed, step by step, in the order of its operations.
//!
//! The form is bytes: the number of steps, then each step with its lengths before it, the highest byte
//! first. A value is within the step, or, where it is large, in items of its own that the step names.

use teleport_plugin_sdk::storage_backend::{Microseconds, Revision};

/// Where a value is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// Here.
    Here(Vec<u8>),
    /// In so many items of this name.
    Parts(String, u32),
}

/// A value and when it ceases to be one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// The write that made it.
    pub revision: Revision,
    /// Until when.
    pub expires: Option<Microseconds>,
    /// What.
    pub content: Content,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// An item was made or replaced.
    Put {
        /// Where.
        key: String,
        /// Until when.
        expires: Option<Microseconds>,
        /// What.
        content: Content,
    },
    /// An item was removed.
    Delete {
        /// Where.
        key: String,
    },
}

impl Step {
    /// The item's key.
    pub fn key(&self) -> &str {
        match self {
            Self::Put { key, .. } | Self::Delete { key } => key,
        }
    }
}

const DELETE: u8 = 0;
const PUT: u8 = 1;
const PUT_PARTS: u8 = 2;

/// Writes the steps.
pub fn seal(steps: &[Step]) -> Vec<u8> {
    let mut out = Vec::new();
    length(&mut out, steps.len());
    for step in steps {
        match step {
            Step::Delete { key } => {
                out.push(DELETE);
                run(&mut out, key.as_bytes());
            }
            Step::Put { key, expires, content } => {
                out.push(if matches!(content, Content::Here(_)) { PUT } else { PUT_PARTS });
                run(&mut out, key.as_bytes());
                out.push(u8::from(expires.is_some()));
                out.extend_from_slice(&expires.unwrap_or_default().to_be_bytes());
                match content {
                    Content::Here(value) => run(&mut out, value),
                    Content::Parts(name, count) => {
                        run(&mut out, name.as_bytes());
                        out.extend_from_slice(&count.to_be_bytes());
                    }
                }
            }
        }
    }
    out
}

fn length(out: &mut Vec<u8>, length: usize) {
    // The contract's limits are far below.
    out.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
}

fn run(out: &mut Vec<u8>, bytes: &[u8]) {
    length(out, bytes.len());
    out.extend_from_slice(bytes);
}

/// Reads the steps; none when these are not the bytes of any.
pub fn open(bytes: &[u8]) -> Option<Vec<Step>> {
    let mut rest = Rest(bytes);
    let count = rest.number()?;
    let mut steps = Vec::new();
    for _ in 0..count {
        let kind = rest.take(1)?;
        let key = rest.words()?;
        if kind == [DELETE] {
            steps.push(Step::Delete { key });
            continue;
        }
        let [expires, end @ ..] = rest.take(9)?.first_chunk::<9>()?;
        let end = u64::from_be_bytes(*end);
        let expires = match expires {
            0 if end == 0 => None,
            1 => Some(end),
            _ => return None,
        };
        let content = match kind {
            [PUT] => Content::Here(rest.run()?.to_vec()),
            [PUT_PARTS] => Content::Parts(rest.words()?, rest.number()?),
            _ => return None,
        };
        steps.push(Step::Put { key, expires, content });
    }
    rest.0.is_empty().then_some(steps)
}

struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self) -> Option<u32> {
        Some(u32::from_be_bytes(*self.take(4)?.first_chunk::<4>()?))
    }

    fn run(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.number()?).ok()?;
        self.take(length)
    }

    fn words(&mut self) -> Option<String> {
        String::from_utf8(self.run()?.to_vec()).ok()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn content() -> impl Strategy<Value = Content> {
        prop_oneof![
            any::<Vec<u8>>().prop_map(Content::Here),
            (".{0,9}", any::<u32>()).prop_map(|(name, count)| Content::Parts(name, count))
        ]
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            ".{0,9}".prop_map(|key| Step::Delete { key }),
            (".{0,9}", any::<Option<u64>>(), content()).prop_map(|(key, expires, content)| Step::Put {
                key,
                expires,
                content
            })
        ]
    }

    proptest! {
        #[test]
        fn what_is_sealed_is_opened(steps in prop::collection::vec(step(), 0..6)) {
            prop_assert_eq!(open(&seal(&steps)), Some(steps));
        }

        #[test]
        fn whatever_lies_there_breaks_nothing(bytes in any::<Vec<u8>>()) {
            if let Some(steps) = open(&bytes) {
                prop_assert_eq!(seal(&steps), bytes);
            }
        }
    }

    #[test]
    fn a_length_that_lies_is_noticed() {
        assert_eq!(open(&[0, 0, 0, 1, DELETE, 255, 255, 255, 255]), None);
        assert_eq!(open(&[255, 255, 255, 255]), None);
        assert_eq!(open(&[]), None);
    }
}
