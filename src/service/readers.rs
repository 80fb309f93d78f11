//! Card readers: handed over to holders of active cards, out of the stock of the operator's office, with a receipt.
//!
//! Every count is a record that its change guards by version, and a request that finds one changed decides anew: a stock
//! never falls below zero, and no two receipts of an office have one number.

use serde::{Deserialize, Serialize};

use super::{Call, CardData, CardView, Error, Service, commitments, look_up::FoundCard};
use crate::{
    domain::{
        audit::{Event, Kind, Outcome},
        readers::{Desk, HandOver, Household, NoReader},
        reprints::{AgainAt, Reprints},
    },
    hsm::MacKey,
    policy::{Act, CardPermit, Permit, Proof, act},
    secret::SecretBytes,
    store::{Expect, Op, Space, Unit},
};

/// How often a request decides anew because another came first.
const TRIES: u32 = 64;

/// A reader for a holder.
#[derive(Debug)]
pub struct ReaderRequest {
    /// What is printed on the card that it is for.
    pub card: CardData,
    /// How it is handed over.
    pub kind: HandOver,
    /// The holder's, as the front end knows it.
    pub household: Option<Household>,
}

/// What is printed for a reader that was handed over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// The operator's office.
    pub office: String,
    /// Year of the receipt.
    pub year: u16,
    /// Its number in that year and office, from 1 up.
    pub number: u32,
    /// How it was handed over.
    pub kind: HandOver,
    /// What was paid, cents of a euro.
    pub price_cents: u32,
    /// Milliseconds since 1970 UTC.
    pub at_ms: u64,
}

/// What would be handed over.
#[derive(Clone, Debug)]
pub struct ReaderPreview {
    /// The card as it is.
    pub card: CardView,
    /// What is to be paid, cents of a euro.
    pub price_cents: u32,
    /// The operator's office.
    pub office: String,
    /// Readers in its stock.
    pub in_stock: u32,
}

/// A change of an office's stock.
#[derive(Clone, Copy, Debug)]
pub enum Stocking {
    /// So many are there, as counted.
    Counted(u32),
    /// So many came in.
    Received(u32),
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stocked {
    /// The operator's office.
    pub office: String,
    /// Readers in its stock before.
    pub before: u32,
    /// And now.
    pub in_stock: u32,
    /// Milliseconds since 1970 UTC.
    pub at_ms: u64,
}

/// What a reader is counted for.
struct Counted {
    holder: Vec<u8>,
    household: Option<Vec<u8>>,
}

/// What a hand-over comes to.
struct Decided {
    ops: Vec<Op>,
    receipt: Receipt,
    in_stock: u32,
}

/// Key in `Space::Reader` of an office.
fn office_key(office: &str) -> Vec<u8> {
    [b"o", office.as_bytes()].concat()
}

fn office<A: Act>(permit: &Permit<A>) -> Result<String, Error> {
    permit.office().map(str::to_owned).ok_or(Error::OperatorMissing)
}

impl Service {
    /// Shows what would be handed over, with no effect but the event of the look-up.
    pub async fn preview_reader(
        &self,
        mut call: Call<act::RequestReader>,
        request: ReaderRequest,
    ) -> Result<ReaderPreview, Error> {
        check(&call, &request)?;
        self.know_operator(&mut call).await?;
        self.charge_look_up(&call).await?;
        let [team, cf, household] = self.commitments(messages(&request)?).await?;
        let found = self.find(&team, Some((&cf, request.card.expires_on)));
        let found = self.seen(&call, Kind::CardLookedUp, found).await?;
        let permit = self.on_card(&call, Kind::CardLookedUp, &found, Proof::None).await?;
        let counted = counted(&request, &found, &commitments::half(&household));
        let Decided { receipt, in_stock, .. } =
            self.may_hand_over(&call, Kind::CardLookedUp, &permit, &found, &request, &counted).await?;
        self.looked_up(&call, &found).await?;
        Ok(ReaderPreview {
            card: self.view(&permit, &found.card)?,
            price_cents: receipt.price_cents,
            office: receipt.office,
            // Of which the one to be handed over is still there.
            in_stock: in_stock.saturating_add(1),
        })
    }

    /// Hands a reader over: one less in the office's stock, one receipt more.
    pub async fn request_reader(
        &self,
        mut call: Call<act::RequestReader>,
        request: ReaderRequest,
    ) -> Result<Receipt, Error> {
        let kind = Kind::ReaderHandedOver;
        check(&call, &request)?;
        let ([team, cf, household], key) = self.commitments_and_key(&mut call, messages(&request)?).await?;
        if let Some(before) = self.answered(&key)? {
            return self.replayed(&call, before).await;
        }
        self.charge_look_up(&call).await?;
        let found = self.find(&team, Some((&cf, request.card.expires_on)));
        let found = self.seen(&call, kind, found).await?;
        let permit = self.on_card(&call, kind, &found, Proof::None).await?;
        let counted = counted(&request, &found, &commitments::half(&household));
        let event = |outcome| Event { card: Some(*found.id().bytes()), ..self.event(&call, kind, outcome) };
        for _ in 0..TRIES {
            let Decided { ops, receipt, .. } =
                self.may_hand_over(&call, kind, &permit, &found, &request, &counted).await?;
            let done = event(Outcome::Done)
                .with("office", receipt.office.as_str())
                .with("receipt", format!("{}/{}", receipt.year, receipt.number))
                .with("handed_over", receipt.kind.text())
                .with("price_cents", receipt.price_cents.to_string());
            // A guard: another reader went out first. It is decided anew.
            if let Ok(receipt) = self.once(&call, &key, receipt, Unit { ops, events: vec![done] }).await? {
                return Ok(receipt);
            }
        }
        self.record(event(Outcome::Refused).with("reason", "changed_meanwhile")).await?;
        Err(Error::Conflict)
    }

    /// Whether a reader may be handed over now, and what that changes.
    async fn may_hand_over(
        &self,
        call: &Call<act::RequestReader>,
        kind: Kind,
        _: &CardPermit<act::RequestReader>,
        found: &FoundCard,
        request: &ReaderRequest,
        counted: &Counted,
    ) -> Result<Decided, Error> {
        let today = self.today()?;
        self.allowed(call, kind, &found.id(), found.card.check_in_use(today)).await?;
        let rules = &call.permit.policy().parameters().readers;
        let (now_ms, office) = (self.clock.now_ms(), office(&call.permit)?);
        let (year, ..) = today.numbers();
        let decide = || {
            let (desk, expect) = self.readers_of(&office)?;
            let (after, (year, number)) = match desk.hand_over(year) {
                Ok(handed) => handed,
                Err(why) => return Ok(Err(why)),
            };
            let put = |key, value, expect| Op::Put { space: Space::Reader, key, value, expect };
            let mut ops = vec![put(office_key(&office), after.encode(), expect)];
            for key in std::iter::once(&counted.holder).chain(&counted.household) {
                let (given, expect) = self.given(key)?;
                match given.once_more(now_ms, rules.most, rules.per_ms) {
                    Ok(given) => ops.push(put(key.clone(), given.encode(), expect)),
                    Err(AgainAt(at_ms)) => return Ok(Err(NoReader::Again { at_ms })),
                }
            }
            let price_cents = match request.kind {
                HandOver::Free => 0,
                HandOver::Sale => rules.price_cents,
            };
            let receipt = Receipt {
                office: office.clone(),
                year,
                number,
                kind: request.kind,
                price_cents,
                at_ms: now_ms,
            };
            Ok::<_, Error>(Ok(Decided { ops, receipt, in_stock: after.stock() }))
        };
        match decide()? {
            Ok(decided) => Ok(decided),
            Err(why) => {
                self.refused_on_card(call, kind, &found.id(), why.code(), None).await?;
                Err(why.into())
            }
        }
    }

    /// Takes readers into the stock of the operator's office, or notes how many are there.
    pub async fn stock_readers(
        &self,
        mut call: Call<act::StockReaders>,
        stocking: Stocking,
    ) -> Result<Stocked, Error> {
        let kind = Kind::ReaderStocked;
        let ([], key) = self.commitments_and_key(&mut call, []).await?;
        if let Some(before) = self.answered(&key)? {
            return self.replayed(&call, before).await;
        }
        let office = office(&call.permit)?;
        let event = |outcome| self.event(&call, kind, outcome).with("office", office.as_str());
        for _ in 0..TRIES {
            let (desk, expect) = self.readers_of(&office)?;
            let (how, after) = match stocking {
                Stocking::Counted(readers) => ("counted", desk.count(readers)),
                Stocking::Received(readers) => ("received", desk.receive(readers)),
            };
            let after = match after {
                Ok(after) => after,
                Err(why) => {
                    self.record(event(Outcome::Refused).with("reason", why.code())).await?;
                    return Err(why.into());
                }
            };
            let (before, in_stock) = (desk.stock(), after.stock());
            let done = event(Outcome::Done)
                .with("how", how)
                .with("before", before.to_string())
                .with("in_stock", in_stock.to_string());
            let put =
                Op::Put { space: Space::Reader, key: office_key(&office), value: after.encode(), expect };
            let answer = Stocked { office: office.clone(), before, in_stock, at_ms: self.clock.now_ms() };
            let unit = Unit { ops: vec![put], events: vec![done] };
            if let Ok(answer) = self.once(&call, &key, answer, unit).await? {
                return Ok(answer);
            }
        }
        self.record(event(Outcome::Refused).with("reason", "changed_meanwhile")).await?;
        Err(Error::Conflict)
    }

    /// The readers of an office, and what their change expects.
    fn readers_of(&self, office: &str) -> Result<(Desk, Expect), Error> {
        let Some(found) = self.store.get(Space::Reader, &office_key(office))? else {
            return Ok((Desk::default(), Expect::Absent));
        };
        let desk = Desk::decode(&found.value)
            .ok_or_else(|| Error::Bug(format!("readers of office {office} are damaged")))?;
        Ok((desk, Expect::Version(found.version)))
    }

    /// When readers were given to a holder or household, and what a change of it expects.
    fn given(&self, key: &[u8]) -> Result<(Reprints, Expect), Error> {
        let Some(found) = self.store.get(Space::Reader, key)? else {
            return Ok((Reprints::default(), Expect::Absent));
        };
        let given = Reprints::decode(&found.value)
            .ok_or_else(|| Error::Bug("the readers of a holder are damaged".into()))?;
        Ok((given, Expect::Version(found.version)))
    }
}

/// Refuses what the policy does not offer, by the request alone.
fn check(call: &Call<act::RequestReader>, request: &ReaderRequest) -> Result<(), Error> {
    let rules = &call.permit.policy().parameters().readers;
    if !rules.kinds.contains(&request.kind) {
        let detail = "the policy does not hand readers over in this way";
        return Err(Error::Field { field: "kind", code: "reader_kind_not_offered", detail });
    }
    if rules.household && request.kind == HandOver::Free && request.household.is_none() {
        let detail = "a free reader is one for the household, which must be named";
        return Err(Error::Field { field: "household", code: "household_missing", detail });
    }
    Ok(())
}

/// Of the card, the holder and the household, whose place is taken by nobody's if none is named.
fn messages(request: &ReaderRequest) -> Result<[(MacKey, SecretBytes); 3], Error> {
    let [team, cf] = request.card.messages()?;
    let household = request.household.as_ref().map_or("", Household::expose);
    Ok([team, cf, commitments::household(household)?])
}

fn counted(request: &ReaderRequest, found: &FoundCard, household: &[u8; 16]) -> Counted {
    let holder = [b"h".as_slice(), &found.card.registration().tax_code_mac].concat();
    let household = request.household.is_some().then(|| [b"f".as_slice(), household].concat());
    Counted { holder, household }
}
