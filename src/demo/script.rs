//! What the demo's caller says: two lines by espeak-ng, the last by a human voice of Debian's prompts.

use rehearsal::{
    carrier::{Line, Step, When},
    recordings::Library,
    speech::{Speaker, Voice},
};

use crate::exit::{Exit, chain};

const QUESTION: &str = "Can you tell me everything about the rooms and the prices?";
const INTERRUPTION: &str = "Sorry, how much does parking cost?";
/// Far enough into the answer to the first question that some of it was heard.
const INTERRUPT_AFTER_MS: u32 = 2600;

/// The caller's lines; the rehearsal Deepgram learns them, and the agent's voice is another.
pub async fn caller(library: &Library) -> Result<Vec<Step>, Exit> {
    let speaker = Speaker::default();
    let voice = Voice { name: "en-us+f3".into(), ..Voice::default() };
    let mut steps = Vec::new();
    for (name, text, when) in [
        ("question", QUESTION, When::AgentQuiet { ms: 700 }),
        ("interruption", INTERRUPTION, When::AfterAgentStarts { ms: INTERRUPT_AFTER_MS }),
    ] {
        let speech =
            speaker.speak(text, &voice, 8000).await.map_err(|error| Exit::unavailable(chain(&error)))?;
        library.add(name, text, speech.samples.clone());
        steps.push(Step::Say(Line { name: text.into(), samples: speech.samples.clone().into(), when }));
    }
    let goodbye = library.get("vm-goodbye").ok_or_else(|| {
        Exit::unavailable(
            "the prompt vm-goodbye is missing: install the Debian package asterisk-core-sounds-en-wav",
        )
    })?;
    let when = When::AgentQuiet { ms: 900 };
    steps.push(Step::Say(Line { name: goodbye.text.clone(), samples: goodbye.samples.clone().into(), when }));
    Ok(steps)
}
