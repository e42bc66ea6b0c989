//! The options of the calls that begin a rollout.

use crate::dictionary::Field;
use crate::{Dictionary, Error};

/// The options that a call may pass in its dictionary. An option that is left out is empty or 0.
///
/// A reader ignores a field that it does not know, but the orchestrator must not ignore a request. If it does
/// not know an option, or the option has the wrong type, it refuses the call and begins nothing. A client
/// does not send the options that it does not need. So an older orchestrator refuses a newer client only if
/// the client asks for something new.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// The release's name. If it is empty, the orchestrator chooses one.
    pub id: String,
    /// How many workers take the new release before the rollout pauses. 0 means no canary.
    pub canary: u32,
    /// Who asks for the rollout, as the history shows it: `alice`, `systemctl reload`.
    pub by: String,
}

impl Options {
    /// The options of `BeginReload`.
    pub const OF_RELOAD: &[&str] = &["by"];
    /// The options of `BeginDeploy` and `BeginDeployDirectory`.
    pub const OF_DEPLOY: &[&str] = &["id", "canary", "by"];
    /// The options of `BeginRollback`.
    pub const OF_ROLLBACK: &[&str] = &["id", "by"];

    /// Reads the options `given` to a call that knows only the options `known`.
    ///
    /// # Errors
    /// Fails if another option was given, or if an option has the wrong type.
    pub fn read(mut given: Dictionary, known: &[&str]) -> Result<Self, Error> {
        if let Some(unknown) = given.names().find(|name| !known.contains(name)) {
            return Err(refused(unknown, "this orchestrator does not know it for this call"));
        }
        let options = Self { id: given.take("id"), canary: given.take("canary"), by: given.take("by") };
        match given.names().next() {
            None => Ok(options),
            Some(unread) => Err(refused(unread, "its type is wrong")),
        }
    }
}

fn refused(name: &str, why: &str) -> Error {
    // The name can be any text, since it comes from the caller.
    Error::Refused(format!("the option {name:?} is refused: {why}; nothing was changed"))
}

impl From<Options> for Dictionary {
    fn from(options: Options) -> Self {
        fn put<T: Field + PartialEq>(given: &mut Dictionary, name: &str, value: T) {
            if value != T::default() {
                given.put(name, value);
            }
        }

        let Options { id, canary, by } = options;
        let mut given = Self::default();
        put(&mut given, "id", id);
        put(&mut given, "canary", canary);
        put(&mut given, "by", by);
        given
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> Options {
        Options { id: "1.3.0".into(), canary: 1, by: "alice".into() }
    }

    #[test]
    fn what_is_not_wished_is_not_sent() {
        let given = Dictionary::from(Options { by: "alice".into(), ..Options::default() });
        assert_eq!(given.names().collect::<Vec<_>>(), ["by"]);
        assert_eq!(Dictionary::from(Options::default()), Dictionary::default());
    }

    #[test]
    fn options_arrive_as_they_were_given() {
        assert_eq!(Options::read(options().into(), Options::OF_DEPLOY).unwrap(), options());
        let none = Options::read(Dictionary::default(), Options::OF_RELOAD).unwrap();
        assert_eq!(none, Options::default());
    }

    #[test]
    fn an_option_that_the_call_does_not_know_is_refused() {
        let refused = Options::read(options().into(), Options::OF_RELOAD).unwrap_err();
        assert!(refused.message().starts_with("the option \"canary\" is refused: "), "{refused:?}");
    }

    #[test]
    fn an_option_of_another_type_is_refused() {
        let mut given = Dictionary::default();
        given.put("canary", "1".to_owned());
        let refused = Options::read(given, Options::OF_DEPLOY).unwrap_err();
        assert!(refused.message().contains("its type is wrong"), "{refused:?}");
    }
}
