//! CORE. Which calls may open a media socket: admissions, their one-use tokens, and what comes after a stream.

#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use proto::types::v1::{CallContext, Carrier, CarrierAction, DialState};
use sha2::{Digest as _, Sha256};

/// How often a carrier may come back to one call.
const RESUMES_MAX: u32 = 3;
/// How long a call that we place waits for news of its carrier: the telephone rings for 25 s at most.
const DIAL_PATIENCE: Duration = Duration::from_secs(45);
/// How long finding out what became of it may take after that.
const INQUIRY: Duration = Duration::from_secs(15);
/// How long a call is remembered after its end, for a carrier that asks what comes next.
const REMEMBERED: Duration = Duration::from_secs(60);

/// A one-use token of a media URL. Shows its beginning only.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// A token of 32 random bytes.
    pub fn from_random(bytes: [u8; 32]) -> Self {
        Self(BASE64_URL_SAFE_NO_PAD.encode(bytes))
    }

    /// The token itself, for the URL.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}...", self.0.get(..6).unwrap_or_default())
    }
}

/// Tokens are looked up by their hash, so that the time of a look-up says nothing about a token.
type Digest = [u8; 32];

fn digest(token: &str) -> Digest {
    Sha256::digest(token.as_bytes()).into()
}

/// A call that the carrier announced, or is asked to place.
#[derive(Debug, Clone)]
pub struct Announced {
    /// Who calls whom, and which agent answers.
    pub context: Arc<CallContext>,
    /// The carrier's name of the call; empty while it has not told.
    pub call_sid: String,
    /// The carrier's name of the account; `None` if it was not told, and any is taken.
    pub account_sid: Option<String>,
}

/// Why a token or a `start` is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No call has this token.
    #[error("the token is unknown: it was never issued, or its call is long over")]
    UnknownToken,
    /// The token was spent by an earlier `start`, or replaced by a newer one.
    #[error("the token was used before")]
    UsedToken,
    /// The call ended or its admission expired.
    #[error("the token's call is over")]
    CallOver,
    /// The `start` names another call or account than the token was issued for.
    #[error("the token was issued for another call")]
    OtherCall,
}

impl Refusal {
    /// Its name in metrics and logs.
    pub fn label(self) -> &'static str {
        match self {
            Self::UnknownToken => "unknown_token",
            Self::UsedToken => "used_token",
            Self::CallOver => "call_over",
            Self::OtherCall => "other_call",
        }
    }
}

/// What the carrier does next with a call.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Open a media stream with this token.
    Connect {
        /// The token, not spent yet.
        token: Token,
        /// The call's id.
        call_id: String,
    },
    /// End the call.
    HangUp,
}

/// Why a call is not admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

/// All calls of the node. `H` is held while a call is in progress and dropped when it ends.
#[derive(Debug)]
pub struct Table<H> {
    calls_max: usize,
    admission_timeout: Duration,
    /// By call id.
    records: HashMap<String, Record<H>>,
    by_token: HashMap<Digest, String>,
    by_sid: HashMap<String, String>,
    in_progress: usize,
}

#[derive(Debug)]
struct Record<H> {
    announced: Announced,
    token: Token,
    issued: Vec<Digest>,
    spent: bool,
    resumes: u32,
    connected: bool,
    /// What the carrier was asked to do with the call, until that is over.
    action: Option<CarrierAction>,
    /// How far the dialling of a call that we place has come.
    dial: Option<DialState>,
    /// Nothing is heard of the dialling, and the carrier is being asked.
    is_doubtful: bool,
    /// The carrier has asked whom to dial for it.
    dialled: bool,
    /// The carrier's names of its media streams, the present one last.
    streams: Vec<String>,
    /// None once the call is over.
    held: Option<H>,
    /// When the admission expires, or when a call that is over is forgotten. A connected call has its own deadlines.
    until: Instant,
}

/// A call as its carrier knows it.
#[derive(Debug, Clone)]
pub struct AtCarrier {
    /// Which.
    pub carrier: Carrier,
    /// The carrier's name of the call.
    pub call_sid: String,
    /// The carrier's name of the account, if it was told.
    pub account_sid: Option<String>,
    /// The token of its newest stream.
    pub token: Token,
    /// We asked the carrier to place it.
    pub is_placed: bool,
}

/// What a look at the deadlines found.
#[derive(Debug, Default)]
pub struct Purged {
    /// Admissions that expired: those calls are over. True where we placed the call.
    pub ended: Vec<(Arc<CallContext>, bool)>,
    /// Calls that we place and of which nothing was heard for long: their carrier is to be asked, once.
    pub doubtful: Vec<String>,
}

/// A `start` that was accepted.
#[derive(Debug)]
pub struct Accepted<'a, H> {
    /// The call.
    pub context: Arc<CallContext>,
    /// What is held for the call.
    pub held: &'a mut H,
}

impl<H> Table<H> {
    /// An empty table.
    pub fn new(calls_max: usize, admission_timeout: Duration) -> Self {
        Self {
            calls_max,
            admission_timeout,
            records: HashMap::new(),
            by_token: HashMap::new(),
            by_sid: HashMap::new(),
            in_progress: 0,
        }
    }

    /// How many calls are admitted or connected.
    pub fn in_progress(&self) -> usize {
        self.in_progress
    }

    /// True when no further call would be admitted.
    pub fn is_full(&self) -> bool {
        self.in_progress >= self.calls_max
    }

    /// Admits a call.
    ///
    /// # Errors
    /// [`Full`] over the limit of calls.
    pub fn admit(&mut self, announced: Announced, token: Token, held: H, now: Instant) -> Result<(), Full> {
        self.take_in(announced, None, token, held, now + self.admission_timeout)
    }

    /// Admits a call that the carrier is to place, and has no name for yet.
    ///
    /// # Errors
    /// [`Full`] over the limit of calls.
    pub fn place(&mut self, announced: Announced, token: Token, held: H, now: Instant) -> Result<(), Full> {
        self.take_in(announced, Some(DialState::Dialling), token, held, now + DIAL_PATIENCE)
    }

    fn take_in(
        &mut self,
        announced: Announced,
        dial: Option<DialState>,
        token: Token,
        held: H,
        until: Instant,
    ) -> Result<(), Full> {
        if self.is_full() {
            return Err(Full);
        }
        let call_id = announced.context.call_id.clone();
        let digest = digest(token.expose());
        self.by_token.insert(digest, call_id.clone());
        if !announced.call_sid.is_empty() {
            self.by_sid.insert(announced.call_sid.clone(), call_id.clone());
        }
        let record = Record {
            announced,
            token,
            issued: vec![digest],
            spent: false,
            resumes: 0,
            connected: false,
            action: None,
            dial,
            is_doubtful: false,
            dialled: false,
            streams: Vec::new(),
            held: Some(held),
            until,
        };
        self.records.insert(call_id, record);
        self.in_progress += 1;
        Ok(())
    }

    /// Checks a token before a socket is opened. Nothing changes: the token is spent by [`Self::start`].
    ///
    /// # Errors
    /// Why a `start` with this token could not be accepted either.
    pub fn check(&self, token: &str) -> Result<(), Refusal> {
        let digest = digest(token);
        let call_id = self.by_token.get(&digest).ok_or(Refusal::UnknownToken)?;
        let record = self.records.get(call_id).ok_or(Refusal::UnknownToken)?;
        if record.held.is_none() {
            Err(Refusal::CallOver)
        } else if record.spent || record.issued.last() != Some(&digest) {
            Err(Refusal::UsedToken)
        } else {
            Ok(())
        }
    }

    /// Accepts the `start` of a media stream and spends its token.
    ///
    /// # Errors
    /// Why not; the token is as it was.
    pub fn start(
        &mut self,
        token: &str,
        stream_sid: &str,
        call_sid: &str,
        account_sid: &str,
    ) -> Result<Accepted<'_, H>, Refusal> {
        self.check(token)?;
        let call_id = self.by_token.get(&digest(token)).ok_or(Refusal::UnknownToken)?.clone();
        let known = self.records.get(&call_id).and_then(|record| record.announced.account_sid.as_ref());
        if known.is_some_and(|known| known != account_sid) || !self.name(&call_id, call_sid) {
            return Err(Refusal::OtherCall);
        }
        let record = self.records.get_mut(&call_id).ok_or(Refusal::UnknownToken)?;
        let held = record.held.as_mut().ok_or(Refusal::CallOver)?;
        record.spent = true;
        record.connected = true;
        record.streams.push(stream_sid.to_owned());
        Ok(Accepted { context: Arc::clone(&record.announced.context), held })
    }

    /// The call that a token was ever issued for, if it is remembered.
    pub fn call_of_token(&self, token: &str) -> Option<&str> {
        self.by_token.get(&digest(token)).map(String::as_str)
    }

    /// The call that a carrier calls by this name, if it is remembered.
    pub fn call_of_sid(&self, call_sid: &str) -> Option<&str> {
        self.by_sid.get(call_sid).map(String::as_str)
    }

    /// The token that was issued last for the call.
    pub fn current_token(&self, call_id: &str) -> Option<&Token> {
        self.records.get(call_id).map(|record| &record.token)
    }

    /// True if the token is the last that was issued for the call.
    pub fn is_current(&self, call_id: &str, token: &str) -> bool {
        self.records.get(call_id).is_some_and(|record| record.token.expose() == token)
    }

    /// True if this is the carrier's name of a stream of the call before the present one.
    pub fn is_past_stream(&self, call_id: &str, stream_sid: &str) -> bool {
        let streams = self.records.get(call_id).map(|record| &*record.streams);
        streams.and_then(<[_]>::split_last).is_some_and(|(present, past)| {
            present != stream_sid && past.iter().any(|past| past == stream_sid)
        })
    }

    /// True if this is the carrier's name of the call: the one that it was announced under, or the first that is told of a
    /// call that we place.
    pub fn name(&mut self, call_id: &str, call_sid: &str) -> bool {
        let Some(record) = self.records.get_mut(call_id) else { return false };
        let known = &mut record.announced.call_sid;
        if known.is_empty() && !call_sid.is_empty() && !self.by_sid.contains_key(call_sid) {
            call_sid.clone_into(known);
            self.by_sid.insert(call_sid.to_owned(), call_id.to_owned());
        }
        !call_sid.is_empty() && known == call_sid
    }

    /// The dialling of a call that we place has come this far. The call, if that is news.
    pub fn dial_progress(
        &mut self,
        call_id: &str,
        state: DialState,
        now: Instant,
    ) -> Option<Arc<CallContext>> {
        let record = self.records.get_mut(call_id).filter(|record| record.held.is_some())?;
        let known = record.dial.as_mut().filter(|known| **known < state)?;
        *known = state;
        record.is_doubtful = false;
        record.until = now + DIAL_PATIENCE;
        Some(Arc::clone(&record.announced.context))
    }

    /// True while the call is admitted or connected.
    pub fn is_in_progress(&self, call_id: &str) -> bool {
        self.records.get(call_id).is_some_and(|record| record.held.is_some())
    }

    /// What is held for a call in progress that has connected.
    pub fn connected(&mut self, call_id: &str) -> Option<&mut H> {
        self.records.get_mut(call_id).filter(|record| record.connected)?.held.as_mut()
    }

    /// The carrier asks again how a call begins: the same answer, as long as its token was not spent.
    pub fn first_step(&self, call_id: &str) -> Step {
        match self.records.get(call_id) {
            Some(record) if record.held.is_some() && !record.spent => {
                Step::Connect { token: record.token.clone(), call_id: call_id.to_owned() }
            }
            _ => Step::HangUp,
        }
    }

    /// A media stream is over for the carrier, who asks what comes next: another one, a few times, as long as the
    /// call is not over for us. `token` is the stream's, `fresh` the next one, if one is needed.
    pub fn next_step(&mut self, call_id: &str, token: &str, fresh: Token, now: Instant) -> Step {
        if !self.is_current(call_id, token) {
            // The question came twice: the same answer, which is of no use once the next stream is open.
            return self.first_step(call_id);
        }
        let Some(record) = self.records.get_mut(call_id) else { return Step::HangUp };
        if record.held.is_none() || record.resumes >= RESUMES_MAX {
            return Step::HangUp;
        }
        record.resumes += 1;
        if record.spent {
            let digest = digest(fresh.expose());
            self.by_token.insert(digest, call_id.to_owned());
            record.issued.push(digest);
            record.token = fresh;
            record.spent = false;
        }
        record.until = now + self.admission_timeout;
        Step::Connect { token: record.token.clone(), call_id: call_id.to_owned() }
    }

    /// The carrier is asked to do something with a call that is in progress, and may come back from it as often as from
    /// the beginning.
    pub fn begin_action(&mut self, call_id: &str, action: CarrierAction) -> Option<AtCarrier> {
        let record = self.records.get_mut(call_id).filter(|record| record.held.is_some())?;
        record.action = Some(action);
        record.dialled = false;
        record.resumes = 0;
        self.at_carrier(call_id)
    }

    /// A call as its carrier knows it, if it is remembered.
    pub fn at_carrier(&self, call_id: &str) -> Option<AtCarrier> {
        let record = self.records.get(call_id)?;
        let Announced { call_sid, account_sid, .. } = record.announced.clone();
        let (token, is_placed) = (record.token.clone(), record.dial.is_some());
        Some(AtCarrier {
            carrier: record.announced.context.carrier(),
            call_sid,
            account_sid,
            token,
            is_placed,
        })
    }

    /// A call in progress or just over, if it is this tenant's.
    pub fn is_tenants(&self, call_id: &str, tenant: &str) -> bool {
        self.records.get(call_id).is_some_and(|record| record.announced.context.tenant == tenant)
    }

    /// What the carrier was asked to do, and has not done.
    pub fn action(&self, call_id: &str) -> Option<&CarrierAction> {
        self.records.get(call_id).filter(|record| record.held.is_some())?.action.as_ref()
    }

    /// The carrier asks whom to dial for its action.
    pub fn dial(&mut self, call_id: &str) -> Option<(&CarrierAction, &CallContext)> {
        let record = self.records.get_mut(call_id).filter(|record| record.held.is_some())?;
        record.dialled = record.action.is_some();
        record.action.as_ref().map(|action| (action, &*record.announced.context))
    }

    /// True once the carrier has asked whom to dial.
    pub fn is_dialled(&self, call_id: &str) -> bool {
        self.records.get(call_id).is_some_and(|record| record.dialled)
    }

    /// True while Exotel dials somebody for the call: its flow asks nothing until that is over.
    pub fn is_out_of_reach(&self, call_id: &str) -> bool {
        self.records.get(call_id).is_some_and(|record| {
            let is_exotels = record.announced.context.carrier() == Carrier::Exotel;
            is_exotels && record.held.is_some() && record.dialled && record.action.is_some()
        })
    }

    /// The action is over: returned the first time.
    pub fn end_action(&mut self, call_id: &str) -> Option<CarrierAction> {
        self.records.get_mut(call_id)?.action.take()
    }

    /// The call is over. Returns it the first time.
    pub fn end(&mut self, call_id: &str, now: Instant) -> Option<Arc<CallContext>> {
        let record = self.records.get_mut(call_id)?;
        record.held.take()?;
        record.until = now + REMEMBERED;
        self.in_progress -= 1;
        Some(Arc::clone(&record.announced.context))
    }

    /// Forgets what is long over, and ends the admissions that expired.
    pub fn purge(&mut self, now: Instant) -> Purged {
        let due = |record: &Record<H>| now >= record.until && (record.held.is_none() || !record.connected);
        let due: Vec<String> =
            self.records.iter().filter(|(_, record)| due(record)).map(|(id, _)| id.clone()).collect();
        let mut purged = Purged::default();
        for call_id in due {
            let Some(record) = self.records.get_mut(&call_id) else { continue };
            let is_placed = record.dial.is_some();
            if is_placed && record.held.is_some() && !std::mem::replace(&mut record.is_doubtful, true) {
                record.until = now + INQUIRY;
                purged.doubtful.push(call_id);
            } else if let Some(context) = self.end(&call_id, now) {
                purged.ended.push((context, is_placed));
            } else if let Some(record) = self.records.remove(&call_id) {
                for digest in &record.issued {
                    self.by_token.remove(digest);
                }
                self.by_sid.remove(&record.announced.call_sid);
            }
        }
        purged
    }

    /// How many calls are remembered, those that are over included.
    #[cfg(test)]
    pub fn remembered(&self) -> usize {
        self.records.len().max(self.by_token.len()).max(self.by_sid.len())
    }
}
