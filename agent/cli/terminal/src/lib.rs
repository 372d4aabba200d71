//! How any command meets a person: tables, formats, errors.
