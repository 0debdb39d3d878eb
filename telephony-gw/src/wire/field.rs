//! CORE. What both dialects write in the same way.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, SeqAccess, Visitor},
};

/// A name of a stream that needs no escaping in JSON.
pub fn plain(sid: &str) -> bool {
    (1..=128).contains(&sid.len()) && sid.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

/// A key of a telephone: one of `0-9 * # A-D`.
pub fn key(text: &str) -> Option<char> {
    let mut chars = text.chars();
    match (chars.next().map(|c| c.to_ascii_uppercase()), chars.next()) {
        (Some(digit @ ('0'..='9' | '*' | '#' | 'A'..='D')), None) => Some(digit),
        _ => None,
    }
}

/// A number that the carrier writes as a string, or as a number.
pub struct Number(pub u64);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl Visitor<'_> for Either {
            type Value = Number;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number, bare or in a string")
            }

            fn visit_u64<E>(self, value: u64) -> Result<Number, E> {
                Ok(Number(value))
            }

            fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<Number, E> {
                value.parse().map(Number).map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Either)
    }
}

/// A number that may be written in any way, or not at all; `None` unless it is whole and not negative, since the audio
/// beside it is good without.
#[derive(Default)]
pub struct Legible(pub Option<u64>);

impl<'de> Deserialize<'de> for Legible {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Legible;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("anything")
            }

            fn visit_u64<E>(self, value: u64) -> Result<Legible, E> {
                Ok(Legible(Some(value)))
            }

            fn visit_str<E>(self, value: &str) -> Result<Legible, E> {
                Ok(Legible(value.parse().ok()))
            }

            fn visit_i64<E>(self, _: i64) -> Result<Legible, E> {
                Ok(Legible(None))
            }

            fn visit_f64<E>(self, _: f64) -> Result<Legible, E> {
                Ok(Legible(None))
            }

            fn visit_bool<E>(self, _: bool) -> Result<Legible, E> {
                Ok(Legible(None))
            }

            fn visit_unit<E>(self) -> Result<Legible, E> {
                Ok(Legible(None))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Legible, A::Error> {
                while items.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Legible(None))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Legible, A::Error> {
                while fields.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Legible(None))
            }
        }
        deserializer.deserialize_any(Any)
    }
}
