//! Registration of produced cards, line by line: good lines go in, bad ones are named, a rerun is safe.

use std::sync::Arc;

use serde::Serialize;
use tokio::task::JoinSet;

use super::{
    Call, Error, Service, commitments,
    commitments::{card_counter, half},
    effects::{Guard, TRIES, fresh},
};
use crate::{
    domain::{
        audit::{Event, Kind, Outcome},
        card::{Card, Predecessor, Reason, Registration},
        date::CivilDate,
        id::CardId,
        succession::former_first,
        tax_code::TaxCode,
        team::TeamNumber,
        template::Template,
        tries::Tries,
    },
    policy::act,
    secret::Secret,
    store::{
        Expect, Op,
        Outcome::{Applied, Refused},
        Space, Unit,
    },
};

/// A produced card.
#[derive(Clone, Debug)]
pub struct Line {
    /// The holder's.
    pub tax_code: TaxCode,
    /// On the back.
    pub team: TeamNumber,
    /// On the front.
    pub expires_on: CivilDate,
    /// The card that this one takes the place of.
    pub former: Option<Former>,
}

/// How a produced card takes the place of a former one, by the number on that.
#[derive(Clone, Debug)]
pub enum Former {
    /// It is about to expire and stays valid until the new one is active.
    Renews(TeamNumber),
    /// It is lost, stolen, faulty or out of date: revoked now.
    Replaces(TeamNumber),
}

impl Former {
    const fn team(&self) -> &TeamNumber {
        match self {
            Self::Renews(team) | Self::Replaces(team) => team,
        }
    }

    const fn predecessor(&self, id: CardId) -> Predecessor {
        match self {
            Self::Renews(_) => Predecessor::Renews(id),
            Self::Replaces(_) => Predecessor::Replaces(id),
        }
    }
}

/// What became of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LineOutcome {
    /// The number is registered already, for another holder or another expiry.
    NumberTaken,
    /// Registered already, but as the successor of another card, or of none.
    OtherFormerCard,
    /// New.
    Registered,
    /// `renews` or `replaces` names a card that is not registered, or another holder's.
    UnknownFormerCard,
    /// Registered already, with the same data.
    Unchanged,
}

/// Lines are registered in steps of this many: one HSM call and one group commit each.
const STEP: usize = 64;

impl Service {
    /// Registers cards; one outcome a line, in their order. A line may name a former card that is in any other line. An error
    /// means that lines of the step it happened in may or may not be registered: send them again.
    pub async fn register(
        &self,
        call: &Call<act::Register>,
        lines: &[Line],
    ) -> Result<Vec<LineOutcome>, Error> {
        let numbers: Vec<_> =
            lines.iter().map(|line| (&line.team, line.former.as_ref().map(Former::team))).collect();
        let mut outcomes = vec![LineOutcome::Unchanged; lines.len()];
        for group in former_first(&numbers) {
            for places in group.chunks(STEP) {
                let step: Vec<_> = places.iter().filter_map(|place| lines.get(*place)).collect();
                let done = self.register_step(call, &step).await?;
                places.iter().zip(done).for_each(|(place, outcome)| set(&mut outcomes, *place, outcome));
            }
        }
        Ok(outcomes)
    }

    async fn register_step(
        &self,
        call: &Call<act::Register>,
        lines: &[&Line],
    ) -> Result<Vec<LineOutcome>, Error> {
        self.refuse_if_unmarked()?;
        let _registering = self.source.registering.read().await;
        self.refuse_former_templates(call, lines)?;
        let mut messages = Vec::with_capacity(lines.len().saturating_mul(3));
        for line in lines {
            let former = line.former.as_ref().map_or(&line.team, Former::team);
            messages.push(commitments::team(&line.team)?);
            messages.push(commitments::tax_code(&line.tax_code)?);
            messages.push(commitments::team(former)?);
        }
        let macs = self.hsm.macs(messages).await?;
        let salts = self.hsm.random_vec(lines.len().saturating_mul(32)).await?;
        let wrong = || Error::Bug("HSM answered another number of MACs or bytes".into());
        let mut running = JoinSet::new();
        let mut outcomes = Vec::with_capacity(lines.len());
        for (index, (line, (macs, salt))) in
            lines.iter().zip(macs.chunks_exact(3).zip(salts.chunks_exact(32))).enumerate()
        {
            let [team, cf, former] = macs else { return Err(wrong()) };
            let new = NewCard { team, cf, former, salt: salt.try_into().map_err(|_| wrong())? };
            outcomes.push(LineOutcome::Unchanged);
            match self.unit_for(call, line, &new)? {
                Ok(unit) => {
                    self.refuse_if_gone_back()?;
                    let store = self.store.clone();
                    running.spawn(async move { (index, store.submit(unit).await) });
                }
                Err(outcome) => set(&mut outcomes, index, outcome),
            }
        }
        while let Some(done) = running.join_next().await {
            let (index, result) = done.map_err(|e| Error::Bug(e.to_string()))?;
            let (line, macs) = lines.get(index).zip(macs.chunks_exact(3).nth(index)).ok_or_else(wrong)?;
            let [team, cf, former] = macs else { return Err(wrong()) };
            let outcome = match result? {
                Applied { .. } => self.registered(call, line)?,
                Refused { op: 0 } => self.same_or_taken(line, team, cf, former)?,
                Refused { .. } => {
                    // Another request or line changed the former card first, or the courier its delivery; again, alone.
                    let salt = self.hsm.random().await?;
                    self.register_alone(call, line, &NewCard { team, cf, former, salt }).await?
                }
            };
            set(&mut outcomes, index, outcome);
        }
        self.record_others(call, &outcomes).await?;
        Ok(outcomes)
    }

    /// Refuses lines whose template is not in the set in force any more, since it was permitted by an earlier one.
    fn refuse_former_templates(&self, call: &Call<act::Register>, lines: &[&Line]) -> Result<(), Error> {
        let now = self.policy();
        if Arc::ptr_eq(&now, call.permit.policy()) {
            return Ok(());
        }
        let there = |template: &Template| {
            now.templates().any(|t| t.id() == template.id() && t.digest() == template.digest())
        };
        let all = lines.iter().all(|line| there(template_for(call, line)));
        if all { Ok(()) } else { Err(Error::Conflict) }
    }

    async fn register_alone(
        &self,
        call: &Call<act::Register>,
        line: &Line,
        new: &NewCard<'_>,
    ) -> Result<LineOutcome, Error> {
        for _ in 0..TRIES {
            let unit = match self.unit_for(call, line, new)? {
                Ok(unit) => unit,
                Err(outcome) => return Ok(outcome),
            };
            match self.commit(unit).await? {
                Ok(()) => return self.registered(call, line),
                Err(Guard(0)) => return self.same_or_taken(line, new.team, new.cf, new.former),
                Err(Guard(_)) => {}
            }
        }
        Err(Error::Conflict)
    }

    /// What registers a line, or why it is not registered. Its first operation claims the number.
    fn unit_for(
        &self,
        call: &Call<act::Register>,
        line: &Line,
        new: &NewCard<'_>,
    ) -> Result<Result<Unit, LineOutcome>, Error> {
        let region = line.team.region();
        let template = template_for(call, line);
        let mut unit = Unit::default();
        let id = CardId::new(fresh()?);
        let mut predecessor = None;
        if let Some(former) = &line.former {
            let old = match self.find(new.former, None) {
                Ok(old)
                    if old.card.registration().tax_code_mac == half(new.cf)
                        && former.team() != &line.team =>
                {
                    old
                }
                Ok(_) | Err(Error::NotFound(_)) => return Ok(Err(LineOutcome::UnknownFormerCard)),
                Err(e) => return Err(e),
            };
            predecessor = Some(former.predecessor(old.id()));
        }
        let registration = Registration {
            id,
            tax_code_mac: half(new.cf),
            team_mac: half(new.team),
            expiry: line.expires_on,
            region,
            template: template.id().clone(),
            predecessor,
            registered_at_ms: self.clock.now_ms(),
        };
        let card = Card::register(registration, new.salt);
        let mut put = |space, key: Vec<u8>, value: Vec<u8>| {
            unit.ops.push(Op::Put { space, key, value, expect: Expect::Absent });
        };
        put(Space::TeamCard, half(new.team).into(), id.bytes().to_vec());
        put(Space::Card, id.bytes().to_vec(), card.encode());
        put(Space::CfCard, [half(new.cf).as_slice(), id.bytes()].concat(), Vec::new());
        put(Space::Tries, card_counter(&id).to_vec(), Tries::new(template.tries()).encode().to_vec());
        unit.ops.extend(self.frozen.freeze(template));
        let detail = vec![("template", template.id().to_string())];
        let event = self.event(call, Kind::CardRegistered, Outcome::Done);
        unit.events.push(Event { card: Some(*id.bytes()), detail, ..event });
        if let Some(Predecessor::Replaces(old)) = predecessor {
            // I11: in the same commit.
            self.revoke_into(&mut unit, &old, Reason::Replaced, |kind| {
                self.event(call, kind, Outcome::Done)
            })?;
        }
        Ok(Ok(unit))
    }

    fn registered(&self, call: &Call<act::Register>, line: &Line) -> Result<LineOutcome, Error> {
        self.frozen.note(template_for(call, line));
        Ok(LineOutcome::Registered)
    }

    /// A line whose number is registered: the same card again, or another one.
    fn same_or_taken(
        &self,
        line: &Line,
        team: &Secret<32>,
        cf: &Secret<32>,
        former: &Secret<32>,
    ) -> Result<LineOutcome, Error> {
        let found = match self.find(team, Some((cf, line.expires_on))) {
            Ok(found) => found,
            Err(Error::NotFound(_)) => return Ok(LineOutcome::NumberTaken),
            Err(e) => return Err(e),
        };
        let wanted = match &line.former {
            None => None,
            Some(kind) => match self.find(former, None) {
                Ok(old) => Some(kind.predecessor(old.id())),
                Err(Error::NotFound(_)) => return Ok(LineOutcome::UnknownFormerCard),
                Err(e) => return Err(e),
            },
        };
        let same = found.card.registration().predecessor == wanted;
        Ok(if same { LineOutcome::Unchanged } else { LineOutcome::OtherFormerCard })
    }

    /// Records what was not registered, in numbers: asking for cards by registering them leaves a trace too.
    async fn record_others(&self, call: &Call<act::Register>, outcomes: &[LineOutcome]) -> Result<(), Error> {
        let count = |wanted| outcomes.iter().filter(|outcome| **outcome == wanted).count();
        let mut detail = Vec::new();
        for (name, outcome) in [
            ("unchanged", LineOutcome::Unchanged),
            ("number_taken", LineOutcome::NumberTaken),
            ("other_former_card", LineOutcome::OtherFormerCard),
            ("unknown_former_card", LineOutcome::UnknownFormerCard),
        ] {
            detail.push((name, count(outcome).to_string()));
        }
        if count(LineOutcome::Registered) == outcomes.len() {
            return Ok(());
        }
        let event = self.event(call, Kind::CardRegistered, Outcome::Refused);
        self.record(Event { detail, ..event }).await
    }
}

/// What a line becomes a card with.
struct NewCard<'a> {
    team: &'a Secret<32>,
    cf: &'a Secret<32>,
    /// MAC of the former card's number; of its own where there is none.
    former: &'a Secret<32>,
    salt: [u8; 32],
}

fn template_for<'a>(call: &'a Call<act::Register>, line: &Line) -> &'a Template {
    call.permit.policy().template_for(&line.team.region())
}

fn set(outcomes: &mut [LineOutcome], index: usize, outcome: LineOutcome) {
    if let Some(place) = outcomes.get_mut(index) {
        *place = outcome;
    }
}
