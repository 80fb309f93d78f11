//! The API: which path is which operation, and who may ask for it. Thin: everything that matters is in `service`.

mod approvals;
mod audit;
mod backup;
mod cards;
mod cip;
mod codes;
mod consents;
mod courier;
mod csv;
mod deliveries;
mod export;
mod history;
#[cfg(feature = "testing")]
pub mod hostile;
mod operator;
mod policy;
mod problems;
mod read;
mod readers;
mod registry;
mod renewals;
mod statistics;
mod texts;

use std::sync::{Arc, OnceLock};

use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header::CONTENT_TYPE,
    http::HeaderValue,
};
use serde::Serialize;
use tokio::sync::Semaphore;

use crate::{
    auth::{Remote, cns::Validator},
    clock::{Clock, alarm::Alarm},
    domain::{date::CivilDate, id::RequestId, tax_code::TaxCode},
    http::{self, Body, Handler, Language, Limits, Problem},
    metrics::Metrics,
    policy::{Act, Permit, Policy, Refused, Shelf},
    secret::SecretBytes,
    service::{Call, Operator, RefusedRequest, Service},
};

/// The application behind the listener.
pub struct App {
    alarm: Alarm,
    backups: Arc<Semaphore>,
    batches: Semaphore,
    clock: Arc<dyn Clock>,
    limits: Limits,
    metrics: Arc<Metrics>,
    operators: Arc<Validator>,
    reports: Arc<Semaphore>,
    service: Arc<Service>,
}

macro_rules! routes {
    ($($(#[$doc:meta])* $route:ident = $name:literal $method:literal $path:literal;)*) => {
        /// The operations.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Route { $($(#[$doc])* $route,)* }

        impl Route {
            /// Its name in metrics and events.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$route => $name,)* }
            }
        }

        /// Every operation with its method, and its path with `{id}` where one is.
        pub const ROUTES: &[(&str, &str, Route)] = &[$(($method, $path, Route::$route),)*];
    };
}

routes! {
    /// Registers produced cards.
    Cards = "cards" "POST" "/v1/cards";
    /// What the codes of produced cards are derived from.
    CardsExport = "cards_export" "POST" "/v1/cards/export";
    /// Shows a card.
    LookUp = "lookup" "POST" "/v1/cards/lookup";
    /// Shows a card's history.
    History = "history" "POST" "/v1/history";
    /// Figures of the log.
    Statistics = "statistics" "POST" "/v1/reports";
    /// Activates a card, or shows what that would do.
    Activations = "activations" "POST" "/v1/activations";
    /// Records consents to the health record, or shows what that would do.
    Consents = "consents" "POST" "/v1/consents";
    /// Shows a person's consents.
    ConsentsLookUp = "consents_lookup" "POST" "/v1/consents/lookup";
    /// Hands a card reader over, or shows what that would do.
    ReaderRequests = "reader_requests" "POST" "/v1/reader-requests";
    /// Takes card readers into an office's stock, or counts them.
    ReaderStock = "reader_stock" "POST" "/v1/reader-stock";
    /// Has a holder activate a new card, or shows what that would do.
    SelfRenewals = "self_renewals" "POST" "/v1/self-renewals";
    /// Hands PIN and PUK out again.
    Reprints = "reprints" "POST" "/v1/reprints";
    /// Says whether a C.I.P. is right.
    Verifications = "verifications" "POST" "/v1/verifications";
    /// Revokes a card.
    Revocations = "revocations" "POST" "/v1/revocations";
    /// Gives a card a new C.I.P.
    CipRenewals = "cip_renewals" "POST" "/v1/cip-renewals";
    /// Unlocks a C.I.P.
    Unlocks = "unlocks" "POST" "/v1/unlocks";
    /// Asks for an approval.
    Approvals = "approvals" "POST" "/v1/approvals";
    /// Shows an approval.
    Approval = "approval" "GET" "/v1/approvals/{id}";
    /// Signs an approval.
    ApprovalSign = "approval_sign" "POST" "/v1/approvals/{id}/sign";
    /// Sends second parts to another contact.
    Contacts = "contacts" "POST" "/v1/contacts";
    /// Shows a delivery.
    Deliveries = "deliveries" "GET" "/v1/deliveries/{id}";
    /// Sends a message once more.
    Resend = "resend" "POST" "/v1/deliveries/{id}/resend";
    /// Gives the courier deliveries to carry out.
    Leases = "leases" "POST" "/v1/courier/leases";
    /// Takes the courier's reports.
    Reports = "reports" "POST" "/v1/courier/leases/{id}/report";
    /// The newest checkpoint of the audit log.
    AuditCheckpoint = "audit_checkpoint" "GET" "/v1/audit/checkpoint";
    /// The audit log.
    AuditEvents = "audit_events" "GET" "/v1/audit/events";
    /// The whole store, encrypted to the officers.
    Backup = "backup" "GET" "/v1/backup";
    /// Gives an operator a text to sign, to register a card.
    OpenRegistration = "open_registration" "POST" "/v1/operator-registrations";
    /// Ends the registration of an operator's card.
    Deregistration = "deregistration" "POST" "/v1/operator-registrations/end";
    /// Registers an operator's card by its signature.
    SignRegistration = "sign_registration" "POST" "/v1/operator-registrations/{id}/sign";
    /// Says who the operator is, and what is allowed.
    Session = "session" "GET" "/v1/session";
    /// The forms to be printed and signed.
    Forms = "forms" "GET" "/v1/forms";
    /// One of them.
    Form = "form" "GET" "/v1/forms/{id}";
    /// The pages of the operating guide.
    Guide = "guide" "GET" "/v1/guide";
    /// One of them.
    GuidePage = "guide_page" "GET" "/v1/guide/{id}";
    /// Reads the policy directory again.
    PolicyReload = "policy_reload" "POST" "/v1/policy/reload";
    /// The description of all this.
    OpenApi = "openapi" "GET" "/v1/openapi.json";
}

/// The description of all this, kept true by `tests/openapi.rs`.
const OPENAPI: &str = include_str!("routes/openapi.json");

/// Batches of cards read and registered at one time.
const BATCHES: usize = 2;

/// Backups at one time: each keeps former values in memory while it is read.
const BACKUPS: usize = 1;

/// Reports made at one time: each keeps former counts in memory while it is read.
const STATISTICS: usize = 2;

/// One request on its way.
struct Arrived {
    remote: Arc<Remote>,
    id: RequestId,
    /// What stands in the place of `{id}` in the path.
    path_id: Option<String>,
    request: Request<Incoming>,
    /// Who acts, once a certificate was judged good: for the event of a refusal.
    who: Arc<OnceLock<TaxCode>>,
}

impl App {
    /// Puts the application together.
    pub fn new(
        service: Arc<Service>,
        operators: Arc<Validator>,
        metrics: Arc<Metrics>,
        limits: Limits,
        (clock, alarm): (Arc<dyn Clock>, Alarm),
    ) -> Self {
        let (backups, batches) = (Arc::new(Semaphore::new(BACKUPS)), Semaphore::new(BATCHES));
        let reports = Arc::new(Semaphore::new(STATISTICS));
        Self { alarm, backups, batches, clock, limits, metrics, operators, reports, service }
    }

    /// The permit of the caller behind this certificate, with the operator whom `who` finds under the same policy; or the
    /// refusal. Nobody is looked for on behalf of a caller who may not ask at all.
    fn permit<A: Act>(
        &self,
        arrived: &Arrived,
        who: impl FnOnce(&Policy) -> Result<Option<Operator>, Problem>,
    ) -> Result<(Permit<A>, Option<Operator>), Problem> {
        let policy = self.service.policy();
        let caller = operator::caller(&policy, &arrived.remote).ok_or_else(operator::unknown_caller)?;
        operator::not_forged(caller, arrived.request.headers())?;
        if !caller.may(A::ACTION) {
            return Err(problems::of_refused(&Refused::Caller));
        }
        let operator = who(&policy)?;
        if let Some(operator) = &operator {
            arrived.who.get_or_init(|| operator.tax_code().clone());
        }
        let at = CivilDate::moment_in_italy(self.clock.now_ms()).ok_or_else(Problem::unavailable)?;
        let permit = policy.permit::<A>(caller, operator.as_ref().map(Operator::tax_code), at);
        Ok((permit.map_err(|refused| problems::of_refused(&refused))?, operator))
    }

    /// A permitted call with its JSON body.
    async fn call<A: Act>(&self, arrived: Arrived) -> Result<Call<A>, Problem> {
        let (permit, operator) = self.permit(&arrived, |policy| self.operator(policy, &arrived))?;
        let key = read::idempotency_key(arrived.request.headers())?;
        let (_, body) = http::read(arrived.request, http::MediaType::Json, self.limits.body()).await?;
        Ok(Call { permit, request: arrived.id, key, operator, path_id: arrived.path_id, body })
    }

    /// As [`App::call`], by a citizen who is logged in to the front end.
    async fn call_by_citizen<A: Act>(&self, arrived: Arrived) -> Result<Call<A>, Problem> {
        let (permit, citizen) = self.permit(&arrived, |policy| self.citizen(policy, &arrived))?;
        let key = read::idempotency_key(arrived.request.headers())?;
        let (_, body) = http::read(arrived.request, http::MediaType::Json, self.limits.body()).await?;
        Ok(Call { permit, request: arrived.id, key, operator: citizen, path_id: arrived.path_id, body })
    }

    /// A permitted call that has no body.
    fn bare<A: Act>(&self, arrived: &Arrived) -> Result<Call<A>, Problem> {
        let (permit, _) = self.permit(arrived, |_| Ok(None))?;
        let (path_id, body) = (arrived.path_id.clone(), SecretBytes::new(Vec::new()));
        Ok(Call { permit, request: arrived.id, key: None, operator: None, path_id, body })
    }

    /// A permitted call that has no body, by an operator.
    fn bare_by_operator<A: Act>(&self, arrived: &Arrived) -> Result<Call<A>, Problem> {
        let (permit, operator) = self.permit(arrived, |policy| self.operator(policy, arrived))?;
        let (path_id, body) = (arrived.path_id.clone(), SecretBytes::new(Vec::new()));
        Ok(Call { permit, request: arrived.id, key: None, operator, path_id, body })
    }

    /// Records a refusal that nobody has recorded yet; where that fails, the answer is that of the failure (I7, I8).
    async fn recorded(
        &self,
        route: Route,
        id: RequestId,
        remote: &Remote,
        who: Option<TaxCode>,
        result: Result<Response<Body>, Problem>,
    ) -> Result<Response<Body>, Problem> {
        let problem = match result {
            Err(problem) if is_recorded_here(route, &problem) => problem,
            other => return other,
        };
        let policy = self.service.policy();
        let refused = RefusedRequest {
            caller: operator::caller(&policy, remote).map(|caller| caller.name().to_string()),
            certificate: *remote.fingerprint(),
            operator: who.map(|code| {
                let who = Operator::new(code);
                if route == Route::SelfRenewals { who.as_citizen() } else { who }
            }),
            operation: route.name(),
            reason: problem.code(),
            rule: rule_of(&problem),
        };
        let recorded = self.service.refused(id, refused).await;
        recorded.map_err(|e| problems::of(&e, id))?;
        Err(problem)
    }

    async fn route(&self, route: Route, id: &str, arrived: Arrived) -> Result<Response<Body>, Problem> {
        match route {
            Route::Activations => self.activate(arrived).await,
            Route::Approval => self.approval(arrived, id).await,
            Route::ApprovalSign => self.sign_approval(arrived, id).await,
            Route::Approvals => self.ask_approval(arrived).await,
            Route::AuditCheckpoint => self.checkpoint(arrived).await,
            Route::AuditEvents => self.events(arrived).await,
            Route::Backup => self.back_up(arrived).await,
            Route::Cards => self.register(arrived).await,
            Route::CipRenewals => self.renew_cip(arrived).await,
            Route::Contacts => self.change_contact(arrived).await,
            Route::Consents => self.record_consents(arrived).await,
            Route::ConsentsLookUp => self.look_up_consents(arrived).await,
            Route::CardsExport => self.export_cards(arrived).await,
            Route::Deliveries => self.delivery(arrived, id).await,
            Route::Deregistration => self.deregister(arrived).await,
            Route::History => self.history(arrived).await,
            Route::Form => self.text(&arrived, Shelf::Forms, id),
            Route::Forms => self.texts(&arrived, Shelf::Forms),
            Route::Guide => self.texts(&arrived, Shelf::Guide),
            Route::GuidePage => self.text(&arrived, Shelf::Guide, id),
            Route::Leases => self.lease(arrived).await,
            Route::LookUp => self.look_up(arrived).await,
            Route::OpenApi => Ok(body(OPENAPI.as_bytes(), http::MediaType::Json.as_str())),
            Route::OpenRegistration => self.open_registration(arrived).await,
            Route::PolicyReload => self.reload_policy(arrived).await,
            Route::ReaderRequests => self.request_reader(arrived).await,
            Route::ReaderStock => self.stock_readers(arrived).await,
            Route::Reports => self.report(arrived, id).await,
            Route::Reprints => self.reprint(arrived).await,
            Route::Resend => self.resend(arrived, id).await,
            Route::Revocations => self.revoke(arrived).await,
            Route::SelfRenewals => self.renew_self(arrived).await,
            Route::Session => self.session(arrived).await,
            Route::SignRegistration => self.sign_registration(arrived, id).await,
            Route::Statistics => self.statistics(arrived).await,
            Route::Unlocks => self.unlock(arrived).await,
            Route::Verifications => self.verify(arrived).await,
        }
    }
}

/// The rules that refused, where rules did.
fn rule_of(problem: &Problem) -> Option<String> {
    (problem.code() == "operator_not_allowed").then(|| problem.detail_text().unwrap_or_default().to_owned())
}

/// Whether a refusal is recorded here: the policy's, and those for what the request says. What the service refuses by
/// the state of a card it has recorded itself.
fn is_recorded_here(route: Route, problem: &Problem) -> bool {
    match problem.status() {
        StatusCode::FORBIDDEN => !matches!(
            problem.code(),
            "approval_own_request"
                | "approval_signature"
                | "not_allowed_on_card"
                | "operator_former_card"
                | "own_card"
                | "report_not_allowed"
                | "renewal_other_card"
                | "renewal_other_holder"
        ),
        StatusCode::CONFLICT if route == Route::PolicyReload => false,
        StatusCode::UNPROCESSABLE_ENTITY if matches!(problem.code(), "bad_signature" | "unknown_consent") => {
            false
        }
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => false,
        StatusCode::CONFLICT => route == Route::Reports,
        status => status.is_client_error(),
    }
}

impl Handler for App {
    async fn handle(&self, remote: Arc<Remote>, request: Request<Incoming>) -> Response<Body> {
        let at = self.clock.uptime();
        let (id, language) = (http::request_id(&request), Language::preferred(request.headers()));
        if !self.stays(&remote) {
            let response =
                operator::unknown_caller().detail("the connection ends").into_response(id, language);
            self.metrics.request("none", response.status().as_u16(), self.clock.uptime().saturating_sub(at));
            return response;
        }
        let (name, result) = match find(request.method(), request.uri().path()) {
            Ok((route, path_id)) => {
                let (path_id, whose) = (path_id.to_owned(), Arc::clone(&remote));
                let who = Arc::new(OnceLock::new());
                let in_path = (!path_id.is_empty()).then(|| path_id.clone());
                let arrived = Arrived { remote, id, path_id: in_path, request, who: Arc::clone(&who) };
                let result = self.route(route, &path_id, arrived).await;
                let who = who.get().cloned();
                (route.name(), self.recorded(route, id, &whose, who, result).await)
            }
            Err(problem) => ("none", Err(problem)),
        };
        let response = result.unwrap_or_else(|problem| problem.into_response(id, language));
        let took = self.clock.uptime().saturating_sub(at);
        self.metrics.request(name, response.status().as_u16(), took);
        response
    }
}

/// The route of a path, with what stands in the place of `{id}`.
fn find<'p>(method: &Method, path: &'p str) -> Result<(Route, &'p str), Problem> {
    let found = ROUTES.iter().find_map(|(of, pattern, route)| Some((*of, *route, matches(pattern, path)?)));
    match found {
        Some((of, route, id)) if of == method.as_str() => Ok((route, id)),
        Some((of, ..)) => {
            let title = "This path has another method";
            Err(Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", title).allow(of))
        }
        None => Err(Problem::new(StatusCode::NOT_FOUND, "no_such_path", "There is no such path")),
    }
}

fn matches<'p>(pattern: &str, path: &'p str) -> Option<&'p str> {
    match pattern.split_once("{id}") {
        None => (pattern == path).then_some(""),
        Some((before, after)) => {
            let id = path.strip_prefix(before)?.strip_suffix(after)?;
            (!id.is_empty() && !id.contains('/')).then_some(id)
        }
    }
}

/// The description is one for all who read it, however slowly.
fn body(bytes: impl Into<Bytes>, media_type: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::full(bytes));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}

/// A 200 with a JSON body.
fn json<T: Serialize>(answer: &T) -> Result<Response<Body>, Problem> {
    let bytes = serde_json::to_vec(answer).map_err(|_| Problem::internal())?;
    Ok(body(bytes, http::MediaType::Json.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        assert_eq!(find(&Method::POST, "/v1/cards").unwrap(), (Route::Cards, ""));
        assert_eq!(find(&Method::GET, "/v1/deliveries/ab").unwrap(), (Route::Deliveries, "ab"));
        assert_eq!(find(&Method::POST, "/v1/courier/leases/ab/report").unwrap(), (Route::Reports, "ab"));
        let code = |method, path| find(&method, path).unwrap_err().code();
        assert_eq!(code(Method::GET, "/v1/cards"), "method_not_allowed");
        for path in
            ["/", "/v1", "/v1/cards/", "/v1/deliveries/", "/v1/deliveries/a/b", "/v1/courier/leases//report"]
        {
            assert_eq!(code(Method::GET, path), "no_such_path", "{path}");
        }
    }
}
