//! Where a command's output goes: one place, handed in, in the form that was asked for.

use std::fmt;
use std::io::{self, ErrorKind, Write};

use domain::printable::escape_json;
use serde::Serialize;

use crate::{Format, Screen, Table};

/// Why output could not be printed.
#[derive(Debug, thiserror::Error)]
pub enum PrintError {
    /// Whoever reads the output has stopped, like `head` does. No failure: nobody is left to tell.
    #[error("nobody reads the output any more")]
    Closed,
    /// Writing failed.
    #[error("cannot write the output")]
    Write(#[source] io::Error),
    /// The records have no JSON form.
    #[error("cannot show the result as JSON")]
    Json(#[source] serde_json::Error),
    /// The records have no YAML form.
    #[error("cannot show the result as YAML")]
    Yaml(#[source] serde_saphyr::SerializeError),
}

/// Prints for a command.
pub struct Printer<'a> {
    out: &'a mut dyn Write,
    screen: Screen,
}

impl<'a> Printer<'a> {
    /// Prints to `out`, which is (or is not) a terminal.
    pub fn new(out: &'a mut dyn Write, screen: Screen) -> Self {
        Self { out, screen }
    }

    /// Bytes as they are: a certificate, a key.
    ///
    /// # Errors
    /// [`PrintError`].
    pub fn raw(&mut self, bytes: &[u8]) -> Result<(), PrintError> {
        self.out.write_all(bytes).map_err(write_failed)
    }

    /// A line, or several with line breaks between them. Text of others goes through
    /// `domain::printable::escape` first.
    ///
    /// # Errors
    /// [`PrintError`].
    pub fn line(&mut self, text: impl fmt::Display) -> Result<(), PrintError> {
        self.raw(format!("{text}\n").as_bytes())
    }

    /// A table, fitted to the terminal.
    ///
    /// # Errors
    /// [`PrintError`].
    pub fn table<const N: usize>(&mut self, table: &Table<N>) -> Result<(), PrintError> {
        self.raw(table.render(self.screen).as_bytes())
    }

    /// A value as JSON, indented.
    ///
    /// # Errors
    /// [`PrintError`].
    pub fn json<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), PrintError> {
        let json = serde_json::to_string_pretty(value).map_err(PrintError::Json)?;
        self.line(escape_json(&json))
    }

    /// Values as YAML documents, separated by `---`.
    ///
    /// # Errors
    /// [`PrintError`].
    pub fn yaml<T: Serialize>(&mut self, documents: &[T]) -> Result<(), PrintError> {
        // Long values stay on one line: they are searched for and pasted.
        let options = serde_saphyr::ser_options! { folded_wrap_chars: usize::MAX };
        let yaml = serde_saphyr::to_string_multiple_with_options(documents, options);
        self.raw(yaml.map_err(PrintError::Yaml)?.as_bytes())
    }

    /// Records: a table for people, else one JSON array or one YAML document each.
    ///
    /// # Errors
    /// [`PrintError`].
    pub fn list<T: Serialize, const N: usize>(
        &mut self,
        format: Format,
        records: &[T],
        table: impl FnOnce(&[T]) -> Table<N>,
    ) -> Result<(), PrintError> {
        match format {
            Format::Text => self.table(&table(records)),
            Format::Json => self.json(records),
            Format::Yaml => self.yaml(records),
        }
    }

    /// One record: a line or more of text for people, else JSON or YAML.
    ///
    /// # Errors
    /// [`PrintError`].
    pub fn record<T: Serialize>(
        &mut self,
        format: Format,
        record: &T,
        text: impl FnOnce(&T) -> String,
    ) -> Result<(), PrintError> {
        match format {
            Format::Text => self.line(text(record)),
            Format::Json => self.json(record),
            Format::Yaml => self.yaml(std::slice::from_ref(record)),
        }
    }

    /// Hands over what is still held back. Programs call it before they end.
    ///
    /// # Errors
    /// [`PrintError`].
    pub fn flush(&mut self) -> Result<(), PrintError> {
        self.out.flush().map_err(write_failed)
    }
}

fn write_failed(error: io::Error) -> PrintError {
    if error.kind() == ErrorKind::BrokenPipe { PrintError::Closed } else { PrintError::Write(error) }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::Column;

    #[derive(Serialize)]
    struct User {
        name: &'static str,
        logins: Vec<&'static str>,
    }

    fn users() -> Vec<User> {
        vec![User { name: "joe", logins: vec!["joe", "root"] }, User { name: "yes", logins: vec![] }]
    }

    fn printed(print: impl FnOnce(&mut Printer<'_>) -> Result<(), PrintError>) -> String {
        let mut out = Vec::new();
        print(&mut Printer::new(&mut out, Screen::pipe())).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn listed(format: Format) -> String {
        printed(|printer| {
            printer.list(format, &users(), |users| {
                let mut table = Table::new([Column::new("User"), Column::new("Logins")]);
                users.iter().for_each(|user| table.row([user.name.into(), user.logins.join(",")]));
                table
            })
        })
    }

    #[test]
    fn a_list_is_a_table_an_array_or_documents() {
        assert_eq!(listed(Format::Text), "User     Logins\n----     ------\njoe      joe,root\nyes\n");
        let json = "[\n  {\n    \"name\": \"joe\",\n    \"logins\": [\n      \"joe\",\n      \"root\"\n    ]\n  },\n  {\n    \"name\": \"yes\",\n    \"logins\": []\n  }\n]\n";
        assert_eq!(listed(Format::Json), json);
        assert_eq!(
            listed(Format::Yaml),
            "name: joe\nlogins:\n- joe\n- root\n---\nname: \"yes\"\nlogins: []\n"
        );
    }

    #[test]
    fn one_record_is_text_an_object_or_a_document() {
        let user = || User { name: "joe", logins: vec![] };
        let show = |format| printed(|printer| printer.record(format, &user(), |user| user.name.to_owned()));
        assert_eq!(show(Format::Text), "joe\n");
        assert_eq!(show(Format::Json), "{\n  \"name\": \"joe\",\n  \"logins\": []\n}\n");
        assert_eq!(show(Format::Yaml), "name: joe\nlogins: []\n");
    }

    #[test]
    fn keys_and_certificates_stay_readable_in_yaml() {
        let key = BTreeMap::from([
            ("pem", "-----BEGIN-----\nabc\n-----END-----\n"),
            ("ssh", "ssh-ed25519 AAAA joe"),
        ]);
        let long = BTreeMap::from([("key", "word ".repeat(60))]);
        let yaml = printed(|printer| printer.yaml(&[key]));
        assert_eq!(yaml, "pem: |\n  -----BEGIN-----\n  abc\n  -----END-----\nssh: ssh-ed25519 AAAA joe\n");
        assert_eq!(printed(|printer| printer.yaml(&[long])).lines().count(), 1);
    }

    #[test]
    fn json_and_yaml_cannot_steer_a_terminal() {
        let evil = BTreeMap::from([("name", "a\u{1b}[2J\u{9b}1m\u{7f}")]);
        for text in [
            printed(|printer| printer.json(&evil)),
            printed(|printer| printer.yaml(std::slice::from_ref(&evil))),
        ] {
            assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text:?}");
        }
    }

    struct Fails(ErrorKind);

    impl Write for Fails {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Err(self.0.into())
        }
    }

    #[test]
    fn a_reader_that_left_is_told_apart_from_a_full_disk() {
        let print = |kind| Printer::new(&mut Fails(kind), Screen::pipe()).line("x");
        assert!(matches!(print(ErrorKind::BrokenPipe), Err(PrintError::Closed)));
        assert!(matches!(print(ErrorKind::StorageFull), Err(PrintError::Write(_))));
        let mut gone = Fails(ErrorKind::BrokenPipe);
        assert!(matches!(Printer::new(&mut gone, Screen::pipe()).flush(), Err(PrintError::Closed)));
    }

    proptest! {
        #[test]
        fn yaml_gives_back_every_text(text in any::<String>()) {
            let record = BTreeMap::from([("value".to_owned(), text)]);
            let yaml = printed(|printer| printer.yaml(std::slice::from_ref(&record)));
            let back: BTreeMap<String, String> = serde_saphyr::from_str(&yaml).unwrap();
            prop_assert_eq!(back, record);
        }
    }
}
