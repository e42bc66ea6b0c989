//! The dictionaries (`a{sv}`) in which the bus carries values. A later version can add fields to them.
//!
//! A reader ignores a field that it does not know. If a field is missing or has the wrong type, the reader
//! uses the default: 0, false, an empty string or an empty list. A state that the reader does not know, or
//! that is missing, becomes `unknown`.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::value::{self, BorrowedStrDeserializer};
use serde::{Deserialize, Serialize};
use zbus::{OwnedVariant, Type, Variant};

/// The named fields of a value.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, Type)]
pub struct Dictionary(BTreeMap<String, OwnedVariant>);

impl Dictionary {
    /// Adds a field.
    pub(crate) fn put(&mut self, name: &str, value: impl Field) {
        // Only a file descriptor could fail to become owned, and no field is one.
        if let Ok(value) = value.write().try_into() {
            self.0.insert(name.to_owned(), value);
        }
    }

    /// Takes a field out. A field that cannot be read stays.
    pub(crate) fn take<T: Field>(&mut self, name: &str) -> T {
        let Some(value) = self.0.get(name).and_then(|value| T::read(value)) else { return T::default() };
        self.0.remove(name);
        value
    }

    /// The names of the fields.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

/// A type that can be the value of a field.
pub(crate) trait Field: Default {
    fn write(self) -> Variant<'static>;
    fn read(value: &Variant<'static>) -> Option<Self>;
}

macro_rules! plain {
    ($($type:ty)+) => {$(
        impl Field for $type {
            fn write(self) -> Variant<'static> {
                self.into()
            }

            fn read(value: &Variant<'static>) -> Option<Self> {
                value.try_clone().ok()?.try_into().ok()
            }
        }
    )+};
}
plain!(bool u32 u64 String Vec<String>);

impl Field for Dictionary {
    fn write(self) -> Variant<'static> {
        self.0.into()
    }

    fn read(value: &Variant<'static>) -> Option<Self> {
        value.try_clone().ok()?.try_into().ok().map(Self)
    }
}

impl Field for Vec<Dictionary> {
    fn write(self) -> Variant<'static> {
        self.into_iter().map(|item| item.0).collect::<Vec<_>>().into()
    }

    fn read(value: &Variant<'static>) -> Option<Self> {
        let items: Vec<BTreeMap<_, _>> = value.try_clone().ok()?.try_into().ok()?;
        Some(items.into_iter().map(Dictionary).collect())
    }
}

/// Converts a struct to a dictionary and back. The key of a field is its name, or the literal that follows
/// `as`. If a field is left out, the compiler reports it.
macro_rules! dictionary {
    ($type:ident { $($field:ident $(as $name:literal)?),+ $(,)? }) => {
        impl From<$type> for $crate::Dictionary {
            fn from(value: $type) -> Self {
                let $type { $($field),+ } = value;
                let mut fields = Self::default();
                $(fields.put($crate::dictionary::dictionary!(@name $field $($name)?), $field);)+
                fields
            }
        }

        impl From<$crate::Dictionary> for $type {
            fn from(mut fields: $crate::Dictionary) -> Self {
                Self { $($field: fields.take($crate::dictionary::dictionary!(@name $field $($name)?))),+ }
            }
        }

        impl $crate::dictionary::Field for $type {
            fn write(self) -> zbus::Variant<'static> {
                $crate::Dictionary::from(self).write()
            }

            fn read(value: &zbus::Variant<'static>) -> Option<Self> {
                $crate::Dictionary::read(value).map(Self::from)
            }
        }

        impl $crate::dictionary::Field for Vec<$type> {
            fn write(self) -> zbus::Variant<'static> {
                self.into_iter().map($crate::Dictionary::from).collect::<Vec<_>>().write()
            }

            fn read(value: &zbus::Variant<'static>) -> Option<Self> {
                let items = Vec::<$crate::Dictionary>::read(value)?;
                Some(items.into_iter().map($type::from).collect())
            }
        }
    };
    (@name $field:ident) => { stringify!($field) };
    (@name $field:ident $name:literal) => { $name };
}
pub(crate) use dictionary;

/// Makes an enumeration a possible value of a field: the string that serde has for the variant.
macro_rules! words {
    ($($type:ident)+) => {$(
        impl $crate::dictionary::Field for $type {
            fn write(self) -> zbus::Variant<'static> {
                $crate::dictionary::Word(self).to_string().into()
            }

            fn read(value: &zbus::Variant<'static>) -> Option<Self> {
                let word = <&str>::try_from(value).ok()?;
                Some($crate::dictionary::read_word(word).unwrap_or_default())
            }
        }
    )+};
}
pub(crate) use words;

/// Displays an enumeration as the string that serde has for the variant.
pub(crate) struct Word<T>(pub(crate) T);

impl<T: Serialize> fmt::Display for Word<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.serialize(f)
    }
}

pub(crate) fn read_word<'de, T: Deserialize<'de>>(word: &'de str) -> Option<T> {
    let word: BorrowedStrDeserializer<'_, value::Error> = BorrowedStrDeserializer::new(word);
    T::deserialize(word).ok()
}
