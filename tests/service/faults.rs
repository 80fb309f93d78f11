//! Every commit of every operation fails in every way; then the process starts again over what the store holds, and
//! the request is repeated. Never a second effect, never a free guess, and what is unknown stays unknown.

use sigillo::{
    domain::{
        card::{Reason, State},
        id::ApprovalId,
        template::CodeName,
    },
    service::{Error, RevocationProof},
    store::{Space, memory::Fault},
};

use crate::{people::printed, post::Citizen, rules::LAZIO, world::World};

/// An operation that intends, asks the token and concludes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Job {
    Activate,
    RenewCip,
    Reprint,
    Revoke,
    RevokeApproved,
    Verify,
}

impl Job {
    pub(crate) const ALL: [Self; 6] =
        [Self::Activate, Self::RenewCip, Self::Reprint, Self::Revoke, Self::RevokeApproved, Self::Verify];

    /// The calls of the token, in order, for an operator who was there before.
    pub(crate) const fn calls(self) -> &'static [&'static str] {
        match self {
            Self::Activate => &["index", "index", "index", "index", "print", "print", "print", "verify"],
            Self::RenewCip => &["index", "index", "index", "index", "print", "verify"],
            Self::Reprint => &["index", "index", "index", "index", "print", "print"],
            Self::Revoke | Self::RevokeApproved => &["index", "index", "index", "index"],
            Self::Verify => &["index", "index", "verify", "verify"],
        }
    }
}

/// What an operation needs before it can be asked for.
pub(crate) struct Ready {
    pub(crate) w: World,
    who: Citizen,
    proof: Option<RevocationProof>,
    approval: Option<ApprovalId>,
}

impl Ready {
    pub(crate) async fn new(job: Job) -> Self {
        let w = World::new().await;
        let (mut who, mut proof, mut approval) = (w.citizen(LAZIO).await, None, None);
        match job {
            Job::Activate => who = Citizen { card: w.registered(LAZIO).await, cip: String::new() },
            Job::RenewCip => approval = Some(w.approved_renewal(&who.card, "p").await),
            Job::Revoke => {
                let id = w.desk.verify(&who.card, &who.cip, "p").await.unwrap().verification;
                proof = Some(RevocationProof::Verification(id));
            }
            Job::RevokeApproved => {
                let asked = w.desk.ask(&who.card, "p").await.unwrap();
                w.supervisor().await.approve(&asked, "p").await.unwrap();
                proof = Some(RevocationProof::Approval(asked.id));
            }
            Job::Reprint | Job::Verify => {}
        }
        w.hands.clear();
        w.ledger.clear();
        Self { w, who, proof, approval }
    }

    /// Asks for it; the answer as text, to compare two.
    pub(crate) async fn ask(&self, job: Job, key: &str) -> Result<String, Error> {
        let (desk, card) = (&self.w.desk, &self.who.card);
        Ok(match job {
            Job::Activate => format!("{:?}", printed(&desk.activate(card, key).await?)),
            Job::RenewCip => format!("{:?}", printed(&desk.renew_cip(card, self.approval, key).await?)),
            Job::Reprint => format!("{:?}", printed(&desk.reprint(card, key).await?)),
            Job::Revoke | Job::RevokeApproved => {
                format!("{:?}", desk.revoke_with(card, self.proof.unwrap(), key, Reason::Lost).await?)
            }
            Job::Verify => format!("{:?}", desk.verify(card, &self.who.wrong(0), key).await?),
        })
    }

    /// How often it has had its effect, by the log and by the records, which must agree.
    pub(crate) fn effects(&self, job: Job) -> usize {
        let logged = |kind: &str, outcome: &str| {
            self.w.log_of(kind).iter().filter(|text| text.starts_with(outcome)).count()
        };
        let deliveries = self.w.all(Space::Delivery).len() - 1; // the citizen's first one
        let is = |held: bool| usize::from(held);
        let state = self.w.card(&self.who.card).state();
        let (logged, recorded) = match job {
            Job::Activate => {
                let active = is(matches!(state, State::Active { .. }));
                assert_eq!(deliveries, active);
                (logged("card.activated", "done") - 1, active)
            }
            Job::RenewCip => {
                let generations = self.w.card(&self.who.card).generation(CodeName::Cip) - 1;
                let renewed = usize::try_from(generations).unwrap();
                assert_eq!(deliveries, renewed);
                assert_eq!(self.w.all(Space::Approval).is_empty(), renewed == 1, "used up with it");
                (logged("cip.renewed", "done"), renewed)
            }
            Job::Reprint => (logged("codes.reprinted", "done"), deliveries),
            Job::Revoke | Job::RevokeApproved => {
                let proofs = self.w.all(Space::Verification).len();
                // An approval has a record of its place too, gone with it.
                let approvals = self.w.all(Space::Approval).len();
                let revoked = is(matches!(state, State::Revoked { .. }));
                assert_eq!(proofs + approvals / 2, 1 - revoked, "the proof is used up with the card");
                assert_eq!(approvals % 2, 0);
                (logged("card.revoked", "done"), revoked)
            }
            Job::Verify => (logged("verification.decided", ""), self.w.all(Space::Verification).len()),
        };
        assert_eq!(logged, recorded);
        logged
    }

    /// Tries spent on the card.
    pub(crate) fn spent(&self, job: Job) -> usize {
        match job {
            Job::Verify => {
                let left = usize::try_from(self.w.tries(&self.who.card).left()).unwrap();
                assert_eq!(self.w.tickets().len(), 5 - left);
                5 - left
            }
            Job::Activate | Job::RenewCip | Job::Reprint | Job::Revoke | Job::RevokeApproved => 0,
        }
    }

    /// The request whose outcome is unknown is repeated; later, another one with a key of its own is made; and years
    /// later, when everything else is forgotten, the first is repeated once more.
    pub(crate) async fn stays_unknown(&self, job: Job, key: &str) {
        for _ in 0..2 {
            let again = self.ask(job, key).await;
            assert!(matches!(again, Err(Error::OutcomeUnknown)), "{again:?}");
        }
        assert_eq!(self.effects(job), 0);
        let spent = self.spent(job);
        assert_eq!(spent, usize::from(job == Job::Verify), "no repetition spends, and none gives back");
        self.ask(job, "another key").await.unwrap();
        assert_eq!((self.effects(job), self.spent(job)), (1, 2 * spent));

        self.w.advance_ms(1000 * 86_400_000);
        self.w.service.forget_expired().await.unwrap();
        let again = self.ask(job, key).await;
        assert!(matches!(again, Err(Error::OutcomeUnknown)), "{again:?}");
    }
}

/// What a repetition finds after a new start.
#[derive(Clone, Copy, Debug)]
enum Then {
    /// The first request never happened: the repetition is the first.
    AsNew,
    /// It happened: the same answer.
    Replayed,
    /// It may have: `OutcomeUnknown`.
    Unknown,
}

#[tokio::test]
async fn every_commit_of_every_operation() {
    let table = [
        (1, Fault::Fatal, Then::AsNew),
        (1, Fault::NotWritten, Then::AsNew),
        (1, Fault::UnknownKept, Then::Unknown),
        (1, Fault::UnknownLost, Then::AsNew),
        (2, Fault::Fatal, Then::Unknown),
        (2, Fault::NotWritten, Then::Unknown),
        (2, Fault::UnknownKept, Then::Replayed),
        (2, Fault::UnknownLost, Then::Unknown),
    ];
    for job in Job::ALL {
        let ready = Ready::new(job).await;
        ready.ask(job, "no fault").await.unwrap();
        // What finds a card is charged first, and that leaves nothing behind that a repetition would meet.
        let charged = u64::from(job != Job::Verify);
        let commits = usize::from(job != Job::Verify) + 2;
        assert_eq!((ready.w.ledger.entered(), ready.effects(job)), (commits, 1), "{job:?}");
        let faults = [Fault::Fatal, Fault::NotWritten, Fault::UnknownKept, Fault::UnknownLost];
        let of_charge = faults.map(|fault| (1, fault, Then::AsNew)).into_iter();
        let others = table.into_iter().map(|(nth, fault, then)| (nth + charged, fault, then));
        for (nth, fault, then) in of_charge.filter(|_| charged > 0).chain(others) {
            for restart in [true, false] {
                if restart || fault == Fault::NotWritten {
                    commit(job, (nth, fault), then, restart).await;
                }
            }
        }
    }
}

async fn commit(job: Job, (nth, fault): (u64, Fault), then: Then, restart: bool) {
    let what = format!("{job:?}, commit {nth} {fault:?}, new start {restart}");
    let mut ready = Ready::new(job).await;
    ready.w.memory.fail(nth, fault);
    let failed = ready.ask(job, "the key").await;
    assert!(matches!(failed, Err(Error::Unavailable(_))), "{what}: {failed:?}");
    assert_eq!(ready.w.service.store().is_up(), fault == Fault::NotWritten, "{what}");
    if fault != Fault::NotWritten {
        let next = ready.ask(job, "next").await;
        assert!(
            matches!(next, Err(Error::Unavailable(_))),
            "{what}: a store in doubt takes nothing: {next:?}"
        );
    }
    if restart {
        ready.w.restart().await;
    }
    let happened = usize::from(matches!(then, Then::Replayed));
    assert_eq!(ready.effects(job), happened, "{what}");
    let intended = !matches!(then, Then::AsNew);
    assert_eq!(ready.spent(job), usize::from(job == Job::Verify && intended), "{what}");
    match then {
        Then::AsNew | Then::Replayed => {
            let again = ready.ask(job, "the key").await.expect(&what);
            assert_eq!(ready.effects(job), 1, "{what}");
            assert_eq!(ready.spent(job), usize::from(job == Job::Verify), "{what}");
            let replayed = ready.w.log_of("request.replayed").len();
            assert_eq!(replayed, happened, "{what}");
            ready.w.advance_ms(1);
            assert_eq!(ready.ask(job, "the key").await.expect(&what), again, "{what}");
            assert_eq!(ready.effects(job), 1, "{what}");
        }
        Then::Unknown => ready.stays_unknown(job, "the key").await,
    }
}

/// A repeated hand-out derives its parts again, which can fail; it has no effect in any case, and never loses the
/// answer.
#[tokio::test]
async fn every_commit_of_a_repeated_hand_out() {
    for job in [Job::Activate, Job::RenewCip, Job::Reprint] {
        for fault in [Fault::Fatal, Fault::NotWritten, Fault::UnknownKept, Fault::UnknownLost] {
            let mut ready = Ready::new(job).await;
            let first = ready.ask(job, "the key").await.unwrap();
            ready.w.memory.fail(1, fault);
            let failed = ready.ask(job, "the key").await;
            assert!(matches!(failed, Err(Error::Unavailable(_))), "{job:?} {fault:?}: {failed:?}");
            ready.w.restart().await;
            assert_eq!(ready.ask(job, "the key").await.unwrap(), first, "{job:?} {fault:?}");
            assert_eq!(ready.effects(job), 1);
        }
    }
}
