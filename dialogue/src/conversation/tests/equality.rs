//! Tentative turns change nothing: a conversation with them against one that is told of a turn only once it is certain.

use std::collections::BTreeSet;

use super::*;

/// One step of media, the model or a tool. Numbers choose among what is possible then.
#[derive(Debug, Clone)]
enum Step {
    Turn { tentative: bool },
    Confirm { back: i64 },
    Cancel { back: i64 },
    Heard { back: i64, words: usize, interrupted: bool },
    OwnLine { interrupted: bool },
    Text,
    Calls { tools: Vec<(usize, bool)> },
    Ends { stop: usize },
    Result { which: usize, is_error: bool },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => Just(Step::Turn { tentative: false }),
        5 => Just(Step::Turn { tentative: true }),
        4 => (0..2i64).prop_map(|back| Step::Confirm { back }),
        2 => (0..3i64).prop_map(|back| Step::Cancel { back }),
        4 => (0..4i64, 0..3usize, any::<bool>())
            .prop_map(|(back, words, interrupted)| Step::Heard { back, words, interrupted }),
        1 => any::<bool>().prop_map(|interrupted| Step::OwnLine { interrupted }),
        5 => Just(Step::Text),
        5 => prop::collection::vec((0..4usize, any::<bool>()), 1..4).prop_map(|tools| Step::Calls { tools }),
        3 => (0..4usize).prop_map(|stop| Step::Ends { stop }),
        6 => (0..4usize, any::<bool>()).prop_map(|(which, is_error)| Step::Result { which, is_error }),
    ]
}

/// The turn that may not be, and what the model and the tools did for it.
struct Pending {
    epoch: i64,
    text: String,
    later: Vec<Input>,
}

/// Both conversations.
struct Pair {
    real: Conversation,
    plain: Conversation,
    now: Instant,
    newest: i64,
    calls: usize,
    pending: Option<Pending>,
    never: BTreeSet<i64>,
    running: Vec<(Generation, usize)>,
    /// The keys of what was run and is not a read, in both.
    effects: [Vec<String>; 2],
}

impl Pair {
    fn new() -> Self {
        Self {
            real: Conversation::new(effects(), 0),
            plain: Conversation::new(effects(), 0),
            now: mesh::clock::now(),
            newest: 0,
            calls: 0,
            pending: None,
            never: BTreeSet::new(),
            running: Vec::new(),
            effects: Default::default(),
        }
    }

    fn real(&mut self, input: Input) -> Result<(), TestCaseError> {
        self.real.handle(input, self.now);
        while let Some(output) = self.real.poll() {
            let epoch = match output {
                Output::RunTool { generation, index, call, key } => {
                    self.running.push((generation, index));
                    let tentative = self.pending.as_ref().map(|pending| pending.epoch);
                    if effects()[call.name.as_str()] != Effect::Read {
                        prop_assert_ne!(
                            Some(generation.epoch),
                            tentative,
                            "an effect before the confirmation"
                        );
                        self.effects[0].push(key);
                    }
                    generation.epoch
                }
                Output::Generate { generation, .. } => generation.epoch,
                Output::Segment { epoch, .. } | Output::ReplyDone { epoch, .. } => epoch,
                _ => continue,
            };
            prop_assert!(!self.never.contains(&epoch), "something for a turn that never was");
        }
        Ok(())
    }

    fn plain(&mut self, input: Input) {
        self.plain.handle(input, self.now);
        while let Some(output) = self.plain.poll() {
            if let Output::RunTool { call, key, .. } = output
                && effects()[call.name.as_str()] != Effect::Read
            {
                self.effects[1].push(key);
            }
        }
    }

    fn discard(&mut self) {
        self.never.extend(self.pending.take().map(|pending| pending.epoch));
    }

    fn is_pending(&self, epoch: i64) -> bool {
        self.pending.as_ref().is_some_and(|pending| pending.epoch == epoch)
    }

    /// Something of the model or a tool, for this epoch.
    fn work(&mut self, epoch: i64, input: impl Fn() -> Input) -> Result<(), TestCaseError> {
        match &mut self.pending {
            Some(pending) if pending.epoch == epoch => pending.later.push(input()),
            _ if self.never.contains(&epoch) => {}
            _ => self.plain(input()),
        }
        self.real(input())
    }

    fn step(&mut self, step: Step) -> Result<(), TestCaseError> {
        match step {
            Step::Turn { tentative } => return self.turn(tentative),
            Step::Confirm { back } => {
                let epoch = self.newest - back;
                if let Some(Pending { text, later, .. }) =
                    self.pending.take_if(|pending| pending.epoch == epoch)
                {
                    self.plain(Input::UserTurn { epoch, text, language: String::new(), tentative: false });
                    later.into_iter().for_each(|input| self.plain(input));
                }
                self.real(Input::Confirm { epoch })?;
            }
            Step::Cancel { back } => {
                let epoch = self.newest - back;
                if self.is_pending(epoch) {
                    self.discard();
                } else if !self.never.contains(&epoch) {
                    self.plain(Input::Cancel { epoch });
                }
                self.real(Input::Cancel { epoch })?;
            }
            Step::Heard { back, words, interrupted } => {
                let text = ["", "One word", "One two three four five six"][words];
                self.heard(self.newest - back, text, interrupted)?;
            }
            Step::OwnLine { interrupted } => {
                self.newest += 1;
                self.discard();
                self.heard(self.newest, "Are you still there?", interrupted)?;
            }
            Step::Text | Step::Calls { .. } | Step::Ends { .. } => return self.model(&step),
            Step::Result { which, is_error } => {
                if self.running.is_empty() {
                    return Ok(());
                }
                let (generation, index) = self.running.remove(which % self.running.len());
                let result = || ToolResult { text: format!("r{}{index}", generation.round), is_error };
                self.work(generation.epoch, || Input::ToolDone(generation, index, result()))?;
            }
        }
        Ok(())
    }

    fn turn(&mut self, tentative: bool) -> Result<(), TestCaseError> {
        self.newest += 1;
        self.discard();
        let (epoch, text) = (self.newest, format!("turn {}", self.newest));
        if tentative {
            // Any newer turn stops an older reply, as a cancel does.
            if let Some(older) = self.plain.reply.as_ref().filter(|reply| reply.is_running()) {
                let epoch = older.epoch;
                self.plain(Input::Cancel { epoch });
            }
            self.pending = Some(Pending { epoch, text: text.clone(), later: Vec::new() });
        } else {
            self.plain(Input::UserTurn { epoch, text: text.clone(), language: String::new(), tentative });
        }
        self.real(Input::UserTurn { epoch, text, language: String::new(), tentative })
    }

    fn heard(&mut self, epoch: i64, text: &str, interrupted: bool) -> Result<(), TestCaseError> {
        let input = || Input::Heard { epoch, text: text.to_owned(), interrupted };
        if !self.is_pending(epoch) && !self.never.contains(&epoch) {
            self.plain(input());
        }
        self.real(input())
    }

    fn model(&mut self, step: &Step) -> Result<(), TestCaseError> {
        let Some(generation) = self.real.reply.as_ref().map(Reply::generation) else { return Ok(()) };
        self.calls += 1;
        let id = self.calls;
        self.work(generation.epoch, || match step {
            Step::Calls { tools } => {
                let call = |(i, (tool, flag)): (usize, &(usize, bool))| ToolCall {
                    id: format!("c{id}.{i}"),
                    name: ["search", "book", "end_call", "unknown"][*tool].to_owned(),
                    arguments: Some(Map::from_iter([("flag".to_owned(), (*flag).into())])),
                };
                Input::Finished(generation, Stop::ToolUse, tools.iter().enumerate().map(call).collect())
            }
            Step::Ends { stop } => {
                let stop = [Stop::EndOfTurn, Stop::EndOfTurn, Stop::TokenLimit, Stop::Refusal][*stop];
                Input::Finished(generation, stop, Vec::new())
            }
            _ => Input::Text(generation, "One two three, four five. ".into()),
        })
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]
    #[test]
    fn history_and_effects_are_those_of_the_call_without_tentative_turns(
        steps in prop::collection::vec(step(), 0..60)
    ) {
        let mut pair = Pair::new();
        for step in steps {
            pair.step(step)?;
            prop_assert_eq!(transcript(pair.real.history()), transcript(pair.plain.history()));
            prop_assert_eq!(&pair.effects[0], &pair.effects[1]);
            check(pair.real.history())?;
            check(&pair.real.context())?;
        }
        if let Some(epoch) = pair.pending.as_ref().map(|pending| pending.epoch) {
            pair.step(Step::Confirm { back: pair.newest - epoch })?;
            prop_assert_eq!(transcript(pair.real.history()), transcript(pair.plain.history()));
            prop_assert_eq!(&pair.effects[0], &pair.effects[1]);
        }
    }
}
