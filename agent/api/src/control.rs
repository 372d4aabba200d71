//! What `tctl plugins` asks the daemon of its own host: one line of JSON each way, over a socket in the
//! data folder. Whoever may open that socket is the daemon's own user or root, and nobody else.
//!
//! Both ends are of one release, as tool and daemon of a host are installed together; an unknown
//! question is answered with a refusal that says so.

use domain::Timestamp;
use serde::{Deserialize, Serialize};

/// The socket, below the data folder.
pub const SOCKET: &str = "plugins/control.sock";

/// The longest question, in bytes with its line break.
pub const QUESTION_MAX: usize = 4 * 1024;

/// The longest answer, in bytes with its line break.
pub const ANSWER_MAX: usize = 4 * 1024 * 1024;

/// A question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case", deny_unknown_fields)]
pub enum Question {
    /// Every plugin there is.
    List,
    /// What one asks for, is granted and has used.
    Explain {
        /// The plugin.
        name: String,
    },
    /// What one logged.
    Logs {
        /// The plugin.
        name: String,
        /// Only lines after this number.
        after: u64,
    },
    /// Lets one run again.
    Enable {
        /// The plugin.
        name: String,
    },
    /// Switches one off.
    Disable {
        /// The plugin.
        name: String,
    },
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// To [`Question::List`].
    Plugins(Vec<Plugin>),
    /// To [`Question::Explain`].
    Explained(Box<Explained>),
    /// To [`Question::Logs`].
    Lines(Vec<Line>),
    /// To the other two.
    Switched {
        /// Whether anything changed.
        changed: bool,
        /// How the plugin is now.
        plugin: Box<Plugin>,
    },
    /// The question cannot be answered, and why.
    Refused(String),
}

/// A plugin in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plugin {
    /// Its name.
    pub name: String,
    /// In one or two words: `Ready`, `Behind`, `Quarantined`, `Not loaded`, `Disabled`, `Refused`.
    pub state: String,
    /// Why, for the states that have a reason.
    pub reason: Option<String>,
    /// What is known of it once it was loaded.
    #[serde(flatten)]
    pub known: Option<Known>,
}

/// What is known of a plugin that was loaded, or refused after its manifest was read, or is carried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// Its own version.
    pub version: String,
    /// What it is for.
    pub description: String,
    /// The contract it is built for, with its version.
    pub contract: String,
    /// Where it came from: a path, or `this program`.
    pub source: String,
    /// The SHA-256 of its file.
    pub digest: String,
    /// Who signed it, where that counts.
    pub publisher: Option<String>,
    /// What it may do, one line each; nothing where it was refused.
    pub grants: Vec<String>,
}

/// Everything asked, granted and used of one plugin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explained {
    /// How it is.
    pub plugin: Plugin,
    /// The version whose manifest asks; none where no manifest was read.
    pub asking_version: Option<String>,
    /// Whether that is another manifest than the one that is served.
    #[serde(default)]
    pub asking_other: bool,
    /// Needs and grants side by side.
    pub items: Vec<Item>,
    /// Since when uses are counted.
    pub since: Timestamp,
    /// Uses that were counted and are not told apart.
    pub further_uses: u64,
}

/// One thing that is asked for, granted, or both.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// What it is.
    pub what: String,
    /// The reason the manifest gives.
    pub reason: Option<String>,
    /// `granted`, `not granted`, `not asked for` or `unknown`.
    pub meeting: String,
    /// What holds of it.
    pub granted: Vec<String>,
    /// What to change in `teleport.yaml`.
    pub change: Option<String>,
    /// What was used of it.
    pub used: Vec<Used>,
}

/// Something a plugin did, and how often.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Used {
    /// What.
    pub what: String,
    /// How often.
    pub times: u64,
}

/// A line a plugin logged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// Counts up.
    pub number: u64,
    /// When.
    pub time: Timestamp,
    /// `debug`, `info`, `warn` or `error`.
    pub level: String,
    /// The line.
    pub text: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_one_line_and_strict() {
        let line = serde_json::to_string(&Question::Logs { name: "label-x".into(), after: 7 }).unwrap();
        assert_eq!(line, r#"{"ask":"logs","name":"label-x","after":7}"#);
        for wrong in [
            r#"{"ask":"erase"}"#,
            r#"{"ask":"logs","name":"x"}"#,
            r#"{"ask":"logs","name":"x","after":1,"all":1}"#,
        ] {
            assert!(serde_json::from_str::<Question>(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn answers_come_back_as_they_were_sent() {
        let known = Known {
            version: "1".into(),
            description: "x".into(),
            contract: "c".into(),
            source: "this program".into(),
            digest: "sha256:0".into(),
            publisher: None,
            grants: vec!["kv".into()],
        };
        let plugin = |known| Plugin { name: "x".into(), state: "Ready".into(), reason: None, known };
        for answer in [
            Answer::Plugins(vec![plugin(Some(known)), plugin(None)]),
            Answer::Refused("no".into()),
            Answer::Switched { changed: true, plugin: Box::new(plugin(None)) },
        ] {
            let line = serde_json::to_string(&answer).unwrap();
            assert_eq!(serde_json::from_str::<Answer>(&line).unwrap(), answer);
        }
    }
}
