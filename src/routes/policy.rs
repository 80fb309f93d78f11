//! `POST /v1/policy/reload`.

use hyper::Response;

use super::{App, Arrived, json, problems};
use crate::{
    api::policy::Reloaded,
    http::{Body, Problem},
    policy::act,
};

impl App {
    pub(super) async fn reload_policy(&self, arrived: Arrived) -> Result<Response<Body>, Problem> {
        let call = self.bare::<act::ReloadPolicy>(&arrived)?;
        let set = self.service.reload_policy(Some(&call)).await.map_err(|e| {
            tracing::error!(request_id = %arrived.id, "the policy set stays as it was: {e}");
            problems::of(&e, arrived.id)
        })?;
        if set.changed {
            // Its authorities may be others: their operators are let in as soon as it is in force.
            self.operators.refresh_aside(self.service.policy().trust()).await;
        }
        let (changed, signed_by) = (set.changed, set.signed_by);
        json(&Reloaded { policy: set.policy, sequence: set.sequence, changed, signed_by })
    }
}
