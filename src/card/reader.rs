//! Which card is meant: readers come and go, and several may hold cards.

use std::{
    ffi::{CStr, CString},
    time::Duration,
};

use pcsc::{Context, PNP_NOTIFICATION, ReaderState, State};

use super::CardError;
use crate::{clock::Clock, domain::chip::CnsAtr};

/// Longest single wait: a reader that comes between the list and the wait is seen after it.
const SLICE: Duration = Duration::from_secs(1);

/// What card to open.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted<'a> {
    /// A reader's name, or a part of it that no other reader has.
    pub reader: Option<&'a str>,
    /// How long to wait for a card.
    pub wait: Duration,
}

/// A card in a reader.
struct Seen {
    reader: CString,
    kind: Kind,
}

/// What is in a reader.
enum Kind {
    Cns(CnsAtr),
    Mute,
    Other,
}

impl Seen {
    fn new(state: &ReaderState) -> Self {
        let kind = match CnsAtr::parse(state.atr()) {
            _ if state.event_state().contains(State::MUTE) => Kind::Mute,
            Ok(atr) => Kind::Cns(atr),
            Err(_) => Kind::Other,
        };
        Self { reader: state.name().to_owned(), kind }
    }

    const fn is_cns(&self) -> bool {
        matches!(self.kind, Kind::Cns(_))
    }

    fn name(&self) -> String {
        self.reader.to_string_lossy().into_owned()
    }
}

/// The reader whose CNS card is meant, waiting for it if that is wanted.
pub(super) fn find(
    context: &Context,
    wanted: &Wanted<'_>,
    clock: &dyn Clock,
) -> Result<(CString, CnsAtr), CardError> {
    let until = clock.uptime().saturating_add(wanted.wait);
    loop {
        let readers = readers(context)?;
        let mut states = states(context, &readers)?;
        match choose(&states, wanted.reader) {
            Err(CardError::Mute(_) | CardError::NoCard(_) | CardError::UnknownReader { .. })
                if clock.uptime() < until => {}
            done => return done,
        }
        for state in &mut states {
            state.sync_current_state();
        }
        states.push(ReaderState::new(PNP_NOTIFICATION().to_owned(), State::UNAWARE));
        let left = until.saturating_sub(clock.uptime());
        settle(context.get_status_change(left.min(SLICE), &mut states))?;
    }
}

fn readers(context: &Context) -> Result<Vec<CString>, CardError> {
    match context.list_readers_owned() {
        Err(pcsc::Error::NoReadersAvailable) => Ok(Vec::new()),
        other => Ok(other?),
    }
}

/// What is in the readers now.
fn states(context: &Context, readers: &[CString]) -> Result<Vec<ReaderState>, CardError> {
    let mut states: Vec<_> =
        readers.iter().map(|name| ReaderState::new(name.clone(), State::UNAWARE)).collect();
    if !states.is_empty() {
        settle(context.get_status_change(Duration::ZERO, &mut states))?;
    }
    Ok(states)
}

/// A time-out and a reader that has just gone are answers too: look again.
fn settle(result: Result<(), pcsc::Error>) -> Result<(), CardError> {
    match result {
        Err(pcsc::Error::Timeout | pcsc::Error::UnknownReader) => Ok(()),
        other => Ok(other?),
    }
}

fn choose(states: &[ReaderState], asked: Option<&str>) -> Result<(CString, CnsAtr), CardError> {
    let name = |state: &ReaderState| state.name().to_string_lossy().into_owned();
    let meant = |state: &&ReaderState| asked.is_none_or(|asked| named(state.name(), asked, states));
    let there: Vec<String> = states.iter().map(name).collect();
    let meant: Vec<&ReaderState> = states.iter().filter(meant).collect();
    if let (Some(asked), []) = (asked, meant.as_slice()) {
        return Err(CardError::UnknownReader { asked: asked.to_owned(), there });
    }
    let present = meant.iter().filter(|state| state.event_state().contains(State::PRESENT));
    let mut seen: Vec<Seen> = present.map(|state| Seen::new(state)).collect();
    if seen.iter().any(Seen::is_cns) {
        seen.retain(Seen::is_cns);
    }
    match seen.as_slice() {
        [] => Err(CardError::NoCard(there)),
        [Seen { reader, kind: Kind::Cns(atr) }] => Ok((reader.clone(), *atr)),
        [mute @ Seen { kind: Kind::Mute, .. }] => Err(CardError::Mute(mute.name())),
        [other @ Seen { kind: Kind::Other, .. }] => Err(CardError::NotCns(other.name())),
        several => Err(CardError::Several(several.iter().map(Seen::name).collect())),
    }
}

/// Whether a reader is the one that was asked for: by its name, or by a part of it if no reader has that name.
fn named(reader: &CStr, asked: &str, all: &[ReaderState]) -> bool {
    let exact = all.iter().any(|state| state.name().to_string_lossy() == asked);
    let name = reader.to_string_lossy();
    if exact { name == asked } else { name.contains(asked) }
}
