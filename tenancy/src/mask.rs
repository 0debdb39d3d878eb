//! CORE: field masks, over any message of the contracts.

use std::sync::LazyLock;

use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MessageDescriptor};
use prost_types::FieldMask;

use crate::wire::Wrong;

/// The contracts as this build knows them.
pub static CONTRACTS: LazyLock<DescriptorPool> =
    LazyLock::new(|| DescriptorPool::decode(proto::FILE_DESCRIPTOR_SET).unwrap_or_default());

/// What of a resource may be changed by a mask.
pub struct Masked {
    /// The message, `trunkline.tenancy.v1.Agent`.
    pub message: &'static str,
    /// Top-level fields that an update takes.
    pub changeable: &'static [&'static str],
}

/// The stored message with the masked fields of another, and which they were. Without a mask these are the populated
/// ones; `*` means all that can be changed.
///
/// # Errors
/// For a mask with paths that are not changeable: each, with why.
pub fn apply<M: Message + Default>(
    rules: &Masked,
    stored: &M,
    given: &M,
    mask: Option<&FieldMask>,
) -> Result<(M, Vec<String>), Wrong> {
    let broken = |error: &dyn std::fmt::Display| vec![("update_mask".to_owned(), error.to_string())];
    let descriptor =
        CONTRACTS.get_message_by_name(rules.message).ok_or_else(|| broken(&"the message is not known"))?;
    let dynamic =
        |message: &M| DynamicMessage::decode(descriptor.clone(), message.encode_to_vec().as_slice());
    let mut target = dynamic(stored).map_err(|error| broken(&error))?;
    let source = dynamic(given).map_err(|error| broken(&error))?;
    let paths = paths(rules, &descriptor, &source, mask)?;
    for path in &paths {
        copy(&mut target, &source, path);
    }
    let changed = M::decode(target.encode_to_vec().as_slice()).map_err(|error| broken(&error))?;
    let names = paths.iter().map(|path| path.iter().map(FieldDescriptor::name).collect::<Vec<_>>().join("."));
    Ok((changed, names.collect()))
}

type Path = Vec<FieldDescriptor>;

fn paths(
    rules: &Masked,
    descriptor: &MessageDescriptor,
    source: &DynamicMessage,
    mask: Option<&FieldMask>,
) -> Result<Vec<Path>, Wrong> {
    let all = || rules.changeable.iter().filter_map(|name| descriptor.get_field_by_name(name));
    let Some(mask) = mask.filter(|mask| !mask.paths.is_empty()) else {
        return Ok(all().filter(|field| source.has_field(field)).map(|field| vec![field]).collect());
    };
    if mask.paths == ["*"] {
        return Ok(all().map(|field| vec![field]).collect());
    }
    let mut wrong = Vec::new();
    let mut found = Vec::new();
    for (at, text) in mask.paths.iter().enumerate() {
        match parse(rules, descriptor, text) {
            Some(path) => found.push(path),
            None => wrong.push((
                format!("update_mask.paths[{at}]"),
                format!("must be `*`, or lead to a field in one of {}", rules.changeable.join(", ")),
            )),
        }
    }
    if wrong.is_empty() { Ok(found) } else { Err(wrong) }
}

fn parse(rules: &Masked, descriptor: &MessageDescriptor, text: &str) -> Option<Path> {
    let mut message = Some(descriptor.clone());
    let mut path = Path::new();
    for name in text.split('.') {
        let field = message?.get_field_by_name(name)?;
        // Durations and times are values, and lists are replaced whole.
        message = match field.kind() {
            Kind::Message(inner) if !field.is_list() && inner.package_name().starts_with("trunkline.") => {
                Some(inner)
            }
            _ => None,
        };
        path.push(field);
    }
    rules.changeable.contains(&path.first()?.name()).then_some(path)
}

fn copy(target: &mut DynamicMessage, source: &DynamicMessage, path: &[FieldDescriptor]) {
    let Some((field, rest)) = path.split_first() else { return };
    if rest.is_empty() {
        if source.has_field(field) {
            target.set_field(field, source.get_field(field).into_owned());
        } else {
            target.clear_field(field);
        }
        return;
    }
    let inner = source.get_field(field);
    if let (Some(inner), Some(target)) = (inner.as_message(), target.get_field_mut(field).as_message_mut()) {
        copy(target, inner, rest);
    }
}

#[cfg(test)]
mod tests {
    use proto::tenancy::v1::{Agent, TurnSettings, Voice};

    use super::*;

    const AGENT: Masked =
        Masked { message: "trunkline.tenancy.v1.Agent", changeable: &["prompt", "voice", "turn"] };

    fn agent(prompt: &str, words: i32, preemptive: bool) -> Agent {
        let turn = TurnSettings { barge_in_words_min: words, preemptive, ..TurnSettings::default() };
        Agent { name: "n".into(), prompt: prompt.into(), turn: Some(turn), ..Agent::default() }
    }

    fn update(stored: &Agent, given: &Agent, paths: Option<&[&str]>) -> Result<Agent, Vec<String>> {
        let mask = paths.map(|paths| FieldMask { paths: paths.iter().map(|&path| path.into()).collect() });
        apply(&AGENT, stored, given, mask.as_ref())
            .map(|(agent, _)| agent)
            .map_err(|wrong| wrong.into_iter().map(|(field, _)| field).collect())
    }

    #[test]
    fn only_what_is_masked_changes() {
        let (stored, given) = (agent("old", 2, true), agent("new", 5, false));
        let changed = update(&stored, &given, Some(&["turn.barge_in_words_min"])).unwrap();
        assert_eq!(changed, agent("old", 5, true));
        assert_eq!(update(&stored, &given, Some(&["prompt"])).unwrap(), agent("new", 2, true));
        // A message field replaces the whole message, and one that is not given is taken away.
        assert_eq!(update(&stored, &given, Some(&["turn"])).unwrap(), agent("old", 5, false));
        let gone = update(&stored, &Agent::default(), Some(&["turn"])).unwrap();
        assert_eq!(gone.turn, None);
    }

    #[test]
    fn no_mask_means_what_is_populated_and_a_star_everything() {
        let mut stored = agent("old", 2, true);
        stored.voice = Some(Voice { vendor: "cartesia".into(), ..Voice::default() });
        let given = Agent { prompt: "new".into(), ..Agent::default() };
        let changed = update(&stored, &given, None).unwrap();
        assert_eq!((changed.prompt.as_str(), changed.voice.is_some()), ("new", true));
        let replaced = update(&stored, &given, Some(&["*"])).unwrap();
        assert_eq!((replaced.prompt.as_str(), replaced.voice, replaced.name.as_str()), ("new", None, "n"));
    }

    #[test]
    fn other_paths_are_refused_each() {
        let stored = agent("old", 2, true);
        let paths = ["name", "prompt", "turn.nothing", "turn.idle_timeout.seconds", "", "live_version"];
        let wrong = update(&stored, &stored, Some(&paths)).unwrap_err();
        assert_eq!(wrong, [0, 2, 3, 4, 5].map(|at| format!("update_mask.paths[{at}]")));
    }
}
