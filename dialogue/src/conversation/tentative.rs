//! A turn that may not be over. Its reply is made as any other; the turn itself lies beside the history.

use super::{
    Conversation, Effect, Output,
    history::{History, ToolRound},
    reply::{Phase, Reply},
};

/// What a tentative turn adds to the history once it is confirmed.
pub(super) struct Tentative {
    /// The open reply to the turn before, which may still be heard.
    pub(super) under: Option<Reply>,
    pub(super) words: String,
    /// The language to answer them in.
    pub(super) language: String,
    pub(super) rounds: Vec<ToolRound>,
}

impl Tentative {
    /// A history as it will be if the turn is confirmed now.
    pub(super) fn after(&self, history: &History) -> History {
        let mut after = history.clone();
        if self.under.is_some() {
            after.close("", true);
        }
        after.push_caller(&self.words);
        self.rounds.iter().cloned().for_each(|round| after.push_round(round));
        after
    }
}

impl Conversation {
    pub(super) fn tentative_epoch(&self) -> Option<i64> {
        self.tentative.as_ref().and(self.reply.as_ref()).map(|reply| reply.epoch)
    }

    /// Like any newer turn it stops a reply that is still being made, which may yet be heard as far as it came.
    pub(super) fn begin_tentative(&mut self, words: String, language: String) {
        let mut under = self.reply.take();
        if let Some(reply) = under.as_mut().filter(|reply| reply.is_running()) {
            self.break_off(reply);
        }
        self.tentative = Some(Tentative { under, words, language, rounds: Vec::new() });
    }

    pub(super) fn confirm(&mut self, epoch: i64) {
        if self.tentative_epoch() != Some(epoch) {
            return self.refuse("confirm");
        }
        let Some(Tentative { under, words, language, rounds }) = self.tentative.take() else { return };
        let reply = std::mem::replace(&mut self.reply, under);
        self.begin_turn(epoch, &words);
        self.language = language;
        rounds.into_iter().for_each(|round| self.history.push_round(round));
        self.reply = reply;
        self.outputs.push_back(Output::Confirmed { epoch });
        if matches!(&self.reply, Some(Reply { phase: Phase::RunningTools(_), .. })) {
            self.start_calls(|effect| effect != Effect::Read);
            self.end_round_if_complete();
        }
    }

    pub(super) fn discard_tentative(&mut self) {
        let Some(tentative) = self.tentative.take() else { return };
        if let Some(reply) = std::mem::replace(&mut self.reply, tentative.under) {
            self.discarded.insert(reply.epoch);
            self.outputs.push_back(Output::Discard { epoch: reply.epoch });
        }
    }
}
