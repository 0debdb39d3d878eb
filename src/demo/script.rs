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

/// What a caller asks first who waits.
const SHORT_QUESTION: &str = "How much does parking cost?";
/// Longer than any silence that an agent with fillers may leave.
const PATIENCE: When = When::AgentQuiet { ms: 4_300 };

/// The caller's lines; the rehearsal Deepgram learns them, and the agent's voice is another.
pub async fn caller(library: &Library) -> Result<Vec<Step>, Exit> {
    let interrupts = When::AfterAgentStarts { ms: INTERRUPT_AFTER_MS };
    let lines =
        [("question", QUESTION, When::AgentQuiet { ms: 700 }), ("interruption", INTERRUPTION, interrupts)];
    say(library, lines, When::AgentQuiet { ms: 900 }).await
}

/// The lines of a caller who lets the agent speak and waits for every answer, so that whatever is missing was lost.
pub async fn patient_caller(library: &Library) -> Result<Vec<Step>, Exit> {
    let lines =
        [("short question", SHORT_QUESTION, When::AgentQuiet { ms: 700 }), ("question", QUESTION, PATIENCE)];
    say(library, lines, PATIENCE).await
}

async fn say(
    library: &Library,
    lines: [(&str, &str, When); 2],
    goodbye_when: When,
) -> Result<Vec<Step>, Exit> {
    let speaker = Speaker::default();
    let voice = Voice { name: "en-us+f3".into(), ..Voice::default() };
    let mut steps = Vec::new();
    for (name, text, when) in lines {
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
    let samples = goodbye.samples.clone().into();
    steps.push(Step::Say(Line { name: goodbye.text.clone(), samples, when: goodbye_when }));
    Ok(steps)
}
