//! What the authority does, and in which order.
//!
//! Every operation takes a [`Permit`] for itself and goes through the same steps
//! (`effects.rs`): decide, commit the intent, ask the HSM, commit the outcome, answer.

mod accounts;
mod activate;
mod answer;
mod applicants;
mod approvals;
mod audit;
mod audit_key;
mod backup;
mod commitments;
mod consents;
mod contacts;
mod deliveries;
mod dossier;
mod effects;
mod error;
mod export;
mod forget;
mod frozen;
mod hand_out;
mod history;
#[cfg(feature = "testing")]
pub mod hostile;
mod idempotency;
mod leases;
mod limits;
mod look_up;
mod marks;
mod met;
mod operator;
mod paper;
mod policies;
mod presented;
mod preview;
mod readers;
mod records;
mod recover;
mod register;
mod registry;
mod renew_cip;
mod renew_self;
mod reports;
mod reprint;
mod resend;
mod revoke;
mod running;
mod session;
mod statistics;
mod unlock;
mod upkeep;
mod verify;
mod witnesses;

use std::sync::{Arc, RwLock};

pub use activate::ActivationRequest;
pub use answer::{CardView, DeliveryView, FirstParts};
pub use approvals::{ApprovalRequest, ApprovalView, SignedApproval};
pub use audit::Exported;
pub use audit_key::handed_over;
pub use backup::Backup;
pub use consents::{
    ConsentView, ConsentsPreview, ConsentsRequest, Given, PastConsent, RecordedConsent, RecordedConsents,
    Words,
};
pub use contacts::{ContactChanged, ContactRequest};
pub use error::{Error, What};
pub use export::ExportLine;
pub use hand_out::HandedOut;
pub use history::{Cards, History, HistoryRequest, ListedCard, Page};
pub use leases::{Leased, LeasedDelivery};
pub use look_up::{CardData, CardNumber};
pub use marks::Unspent;
pub use operator::Operator;
pub use paper::Paper;
pub use policies::Reloaded;
pub use preview::{MaskedApplicant, Summary};
pub use readers::{ReaderPreview, ReaderRequest, Receipt, Stocked, Stocking};
pub use recover::{NoRecovery, Recovered, Standing};
pub use register::{Former, Line, LineOutcome};
pub use registry::{CardStanding, DeregistrationRequest, OpenedRegistration, SignedRegistration};
pub use renew_cip::CipRenewalRequest;
pub use renew_self::SelfRenewalRequest;
pub use reports::Outcome as DeliveryOutcome;
pub use reprint::ReprintRequest;
pub use resend::Resent;
pub use revoke::{RevocationProof, RevocationRequest, Revoked};
pub use session::Session;
pub use statistics::{Statistics, StatisticsRequest};
pub use unlock::{UnlockRequest, Unlocked};
pub use verify::{Purpose, Verdict, Verification, VerificationRequest};
pub use witnesses::Behind;

use crate::{
    clock::Clock,
    domain::{audit as evidence, id::RequestId, in_force::Signing},
    hsm::{Hsm, Uses},
    policy::{Act, Directory, Permit, Policy},
    seal::ContactSealer,
    store::Store,
    witness::Witness,
};

/// The authority: policy, keys, records and clock.
pub struct Service {
    accounted: Arc<Uses>,
    clock: Arc<dyn Clock>,
    dispatch: tokio::sync::Mutex<()>,
    follower: history::Follower,
    frozen: frozen::Frozen,
    hsm: Hsm,
    log: String,
    marks: marks::Marks,
    met: met::Met,
    over_limits: limits::Refusals,
    policy: RwLock<Arc<Policy>>,
    presented: presented::Presented,
    running: running::Running,
    sealer: ContactSealer,
    source: policies::Source,
    stand_in: verify::StandIn,
    store: Store,
    witnesses: witnesses::Witnesses,
}

/// What a service needs to start.
pub struct Parts {
    /// The audit key's public half, for the checkpoints that were kept.
    pub audit_key: Vec<u8>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Where the policy set is read from again.
    pub directory: Directory,
    /// The authority's token.
    pub hsm: Hsm,
    /// Name of this node's audit log, in its checkpoints.
    pub log: String,
    /// The policy set in force.
    pub policy: Arc<Policy>,
    /// The courier's contact key, public half.
    pub sealer: ContactSealer,
    /// Whether officers have to sign policy sets.
    pub signing: Signing,
    /// The records.
    pub store: Store,
    /// Where the newest checkpoint is kept too.
    pub witnesses: Vec<Arc<dyn Witness>>,
}

/// One permitted request.
pub struct Call<A> {
    /// Who may do this, under which policy.
    pub permit: Permit<A>,
    /// Names the request in events, logs and the answer.
    pub request: RequestId,
    /// Idempotency key as the caller gave it, 1 to 64 visible ASCII characters.
    pub key: Option<String>,
    /// Who acts, by a valid certificate; operations that act on a card are refused without.
    pub operator: Option<Operator>,
    /// What stands in the place of `{id}` in the path, where it has one.
    pub path_id: Option<String>,
    /// The body. With the path's id it makes the commitment that tells a repeated request from another one.
    pub body: crate::secret::SecretBytes,
}

/// A request that was refused before it reached an operation, for its event.
pub struct RefusedRequest {
    /// The caller's name; nothing for a certificate that the policy does not know.
    pub caller: Option<String>,
    /// SHA-256 of the caller's certificate.
    pub certificate: [u8; 32],
    /// Who acts, if a certificate that was judged good says so.
    pub operator: Option<Operator>,
    /// Name of the route.
    pub operation: &'static str,
    /// Code of the problem.
    pub reason: &'static str,
    /// The policy's rules that refused, where some did.
    pub rule: Option<String>,
}

impl Service {
    /// Puts the parts together, and refuses a policy that contradicts what the store holds: a template in use must
    /// be there, unchanged; and a store or policy set older than the newest checkpoint of token and witnesses (I13).
    /// Makes the decoy counters that are missing.
    pub async fn start(parts: Parts) -> Result<Self, Error> {
        let service = Self::assemble(parts)?;
        let known = service.refuse_going_back().await?;
        service.bring_into_force(known.as_ref()).await?;
        service.start_witnesses().await?;
        service.make_decoys(&service.policy()).await?;
        service.record_start().await?;
        Ok(service)
    }

    fn assemble(parts: Parts) -> Result<Self, Error> {
        let Parts { audit_key, clock, directory, hsm, log, policy, sealer, signing, store, witnesses } =
            parts;
        let frozen = frozen::Frozen::load(&store)?;
        frozen.check(&policy)?;
        let keys = audit_key::keys(&store, &log, &audit_key)?;
        Ok(Self {
            accounted: Arc::default(),
            clock,
            dispatch: tokio::sync::Mutex::new(()),
            follower: history::Follower::default(),
            frozen,
            hsm,
            log,
            marks: marks::Marks::new(keys),
            met: met::Met::default(),
            over_limits: limits::Refusals::default(),
            policy: RwLock::new(policy),
            presented: presented::Presented::default(),
            running: running::Running::default(),
            sealer,
            source: policies::Source::new(directory, signing),
            stand_in: verify::StandIn::new().ok_or_else(|| Error::Bug("no card can stand in".into()))?,
            store,
            witnesses: witnesses::Witnesses::new(witnesses),
        })
    }

    /// The policy set in force.
    pub fn policy(&self) -> Arc<Policy> {
        Arc::clone(&self.policy.read().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    /// The records, for readiness and metrics.
    pub const fn store(&self) -> &Store {
        &self.store
    }

    /// The token, for readiness and metrics.
    pub const fn hsm(&self) -> &Hsm {
        &self.hsm
    }

    /// Records a request that was refused before it reached an operation: by the policy, or for what it says.
    pub async fn refused(&self, request: RequestId, refused: RefusedRequest) -> Result<(), Error> {
        let RefusedRequest { caller, certificate, operator, operation, reason, rule } = refused;
        let office = operator.as_ref().and_then(|operator| {
            let policy = self.policy();
            let profile = policy.operators().profile(operator.tax_code(), self.today().ok()?)?;
            Some(profile.office.clone())
        });
        let name = match operator {
            // Whatever the token does, a refusal is an event (I8).
            Some(operator) => Some((
                operator.acts_as(),
                self.name_of(operator).await.unwrap_or_else(|error| {
                    tracing::error!("the operator of a refused request is not named: {error}");
                    "unknown".to_owned()
                }),
            )),
            None => None,
        };
        let mut detail = vec![
            ("reason", reason.to_owned()),
            ("operation", operation.to_owned()),
            ("certificate", hex::encode(certificate)),
        ];
        detail.extend(rule.map(|named| ("rule", named)));
        detail.extend(name);
        detail.extend(office.map(|office| ("office", office)));
        let event = self.own_event(evidence::Kind::RequestRefused, evidence::Outcome::Refused)?;
        self.record(evidence::Event { caller: caller.unwrap_or_default(), request, detail, ..event }).await
    }

    /// An event of this request, to be completed. It says where the operator works at this time.
    fn event<A: Act>(
        &self,
        call: &Call<A>,
        kind: evidence::Kind,
        outcome: evidence::Outcome,
    ) -> evidence::Event {
        evidence::Event {
            at_ms: self.clock.now_ms(),
            kind,
            outcome,
            caller: call.permit.caller().to_string(),
            request: call.request,
            policy: call.permit.policy().digest().to_string(),
            card: None,
            with_ticket: false,
            detail: {
                let office = call.permit.office().map(|office| ("office", office.to_owned()));
                call.acting().into_iter().chain(office).collect()
            },
        }
    }

    /// An event of what the service does by itself.
    fn own_event(&self, kind: evidence::Kind, outcome: evidence::Outcome) -> Result<evidence::Event, Error> {
        Ok(evidence::Event {
            at_ms: self.clock.now_ms(),
            kind,
            outcome,
            caller: "sigillo".into(),
            request: RequestId::new(effects::fresh()?),
            policy: self.policy().digest().to_string(),
            card: None,
            with_ticket: false,
            detail: Vec::new(),
        })
    }
}
