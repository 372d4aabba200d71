//! A word about roles that are taken away from a user: certificates name the roles they were made with, and nothing
//! calls them back.

use domain::printable::escape;
use domain::role::MAX_TTL;
use domain::user::User;

use crate::record::Record;
use crate::shell::quoted;

/// What to tell whoever has put one record in the place of another; nothing unless a user has lost a role by it.
pub(crate) fn note(before: &Record, after: &Record) -> Option<String> {
    let (Record::User(before), Record::User(after)) = (before, after) else { return None };
    let lost = lost(before, after);
    if lost.is_empty() {
        return None;
    }
    Some(format!(
        "note: certificates issued to {0} until now keep {1} until they expire; to cut them off, run: tctl lock --user={2} --until-now --ttl={3}h",
        escape(after.name()),
        escape(&lost.join(", ")),
        quoted(after.name()),
        MAX_TTL.as_secs() / 3600,
    ))
}

fn lost<'a>(before: &'a User, after: &User) -> Vec<&'a str> {
    let held = before.spec.roles.iter();
    held.filter(|role| !after.spec.roles.contains(role)).map(String::as_str).collect()
}

#[cfg(test)]
mod tests {
    use domain::role::presets;
    use domain::user::UserSpec;

    use super::*;

    fn user(roles: &[&str]) -> Record {
        let roles = roles.iter().map(|role| (*role).to_owned()).collect();
        Record::User(Box::new(User::new("joe d", UserSpec { roles, ..UserSpec::default() })))
    }

    #[test]
    fn a_role_that_is_taken_away_is_named_with_the_way_to_shut_its_holder_out() {
        let said = note(&user(&["access", "editor", "auditor"]), &user(&["access", "dev"])).unwrap();
        assert!(said.contains("keep editor, auditor until they expire"), "{said}");
        assert!(said.ends_with("tctl lock --user='joe d' --until-now --ttl=30h"), "{said}");
    }

    #[test]
    fn nothing_is_said_where_no_role_is_lost() {
        assert_eq!(note(&user(&["access"]), &user(&["editor", "access"])), None);
        let role = Record::Role(Box::new(presets().into_iter().next().unwrap()));
        assert_eq!(note(&role, &role), None);
    }
}
