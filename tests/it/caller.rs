//! The caller: lines by espeak-ng or by the human voices of Debian's prompts, and the calls they are said in.

use std::{sync::LazyLock, time::Duration};

use rehearsal::{
    carrier::Carrier,
    exotel,
    recordings::Library,
    speech::{Speaker, Voice},
    twilio::{Call, CallEvent, Line, Outcome, Plan, Step, What, When},
};
use tokio::sync::mpsc;
use trunkline::layout::DEMO_SECRET;
use url::Url;

use crate::sandbox::{AUTH_TOKEN, Finished, Sandbox};

/// The number of the demo's agent.
pub const NUMBER: &str = "+12025550100";
/// Who calls.
pub const CALLER: &str = "+12025550199";
/// No call of a test lasts nearly as long.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(90);

static SPEAKER: LazyLock<Speaker> = LazyLock::new(Speaker::default);

/// When the agent has fallen quiet.
pub fn quiet() -> When {
    When::AgentQuiet { ms: 900 }
}

/// A line that the rehearsed recogniser knows, in another voice than the agent's.
pub async fn line(library: &Library, text: &str, when: When) -> Step {
    let samples = sound(text).await;
    library.add(text, text, samples.clone());
    Step::Say(Line { name: text.into(), samples: samples.into(), when })
}

/// The same of a caller who speaks Hindi.
pub async fn hindi(library: &Library, text: &str, when: When) -> Step {
    let voice = Voice { name: "hi+f3".into(), ..Voice::default() };
    let samples = SPEAKER.speak(text, &voice, 8_000).await.expect("espeak-ng speaks").samples.clone();
    library.add(text, text, samples.clone());
    Step::Say(Line { name: text.into(), samples: samples.into(), when })
}

/// The sound of a line.
pub async fn sound(text: &str) -> Vec<i16> {
    let voice = Voice { name: "en-us+f3".into(), ..Voice::default() };
    SPEAKER.speak(text, &voice, 8_000).await.expect("espeak-ng speaks").samples.clone()
}

/// A line by a human voice: a prompt of Debian's `asterisk-core-sounds-en-wav`.
pub fn prompt(library: &Library, name: &str, when: When) -> Step {
    let prompt = library.get(name).unwrap_or_else(|| panic!("no {name}: is the Debian package installed?"));
    Step::Say(Line { name: prompt.text.clone(), samples: prompt.samples.clone().into(), when })
}

/// A call at the demo's agent with these steps of the caller.
pub fn plan(http: &Url, steps: Vec<Step>) -> Plan {
    let mut plan = Plan::new(http.clone(), NUMBER, CALLER, AUTH_TOKEN);
    plan.steps = steps;
    plan.max_duration = CALL_TIMEOUT;
    plan
}

/// The same over Exotel.
pub fn exotel_plan(http: &Url, settings: exotel::Settings, steps: Vec<Step>) -> Plan {
    let (to, from) = (exotel::DEMO_NUMBER, exotel::DEMO_CALLER);
    let carrier = Carrier::Exotel(settings);
    Plan { carrier, steps, max_duration: CALL_TIMEOUT, ..Plan::exotel(http.clone(), to, from, DEMO_SECRET) }
}

/// A call that is under way.
pub struct Placed {
    call: Call,
    events: mpsc::Receiver<CallEvent>,
}

impl Placed {
    /// Places a call.
    pub fn new(plan: Plan) -> Self {
        let mut call = Call::place(plan);
        let events = call.events().expect("nobody else has taken them");
        Self { call, events }
    }

    /// Waits until this happens in the call.
    pub async fn until(&mut self, wanted: impl Fn(&What) -> bool) {
        while let Some(event) = self.events.recv().await {
            if wanted(&event.what) {
                return;
            }
            assert!(!matches!(event.what, What::Ended { .. }), "the call ended before: {event:?}");
        }
        panic!("the call ended before");
    }

    /// Waits until this line is being said.
    pub async fn until_said(&mut self, text: &str) {
        self.until(|what| matches!(what, What::LineBegan { line } if line == text)).await;
    }

    /// Forgets what has happened so far.
    pub fn forget(&mut self) {
        while self.events.try_recv().is_ok() {}
    }

    /// The caller hangs up.
    pub fn hang_up(&self) {
        self.call.hang_up();
    }

    /// Waits for the carrier's end of the call.
    pub async fn outcome(mut self) -> Outcome {
        while self.events.recv().await.is_some() {}
        self.call.finish().await
    }
}

impl Sandbox {
    /// A call with these steps of the caller.
    pub fn plan(&self, steps: Vec<Step>) -> Plan {
        plan(&self.layout.http, steps)
    }

    /// Places a call with these steps of the caller.
    pub fn place(&self, steps: Vec<Step>) -> Placed {
        Placed::new(self.plan(steps))
    }

    /// Waits for the end of a call, and for all that is told of it.
    pub async fn finish(&self, placed: Placed) -> Finished {
        self.conclude(placed.outcome().await).await
    }

    /// A whole call.
    pub async fn call(&self, steps: Vec<Step>) -> Finished {
        self.finish(self.place(steps)).await
    }
}
