//! The user who requests a rollout, as the history shows it.

use std::fs;

/// The user who typed the command: the caller of sudo(8), else the name of the user, else the number.
pub(crate) fn name() -> String {
    let uid = rustix::process::getuid().as_raw();
    let set = |variable| std::env::var(variable).ok().filter(|value| !value.is_empty());
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    set("SUDO_USER")
        .or_else(|| user(&users, uid))
        // Users of a directory service are not in the file.
        .or_else(|| set("USER"))
        .unwrap_or_else(|| uid.to_string())
}

/// The name of a user in the format of passwd(5).
fn user(users: &str, uid: u32) -> Option<String> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, number) = (fields.next()?, fields.nth(1)?);
        (number.parse() == Ok(uid)).then(|| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_found_by_number() {
        let users = "root:x:0:0:root:/root:/bin/bash\nbroken\nalice:x:1000:1000::/home/alice:/bin/sh\n";
        assert_eq!(user(users, 1000).as_deref(), Some("alice"));
        assert_eq!(user(users, 0).as_deref(), Some("root"));
        assert_eq!(user(users, 100), None);
    }
}
