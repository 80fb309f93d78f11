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
        let set = self.service.reload_policy(Some(&call)).await.map_err(|e| problems::of(&e, arrived.id))?;
        let (changed, signed_by) = (set.changed, set.signed_by);
        json(&Reloaded { policy: set.policy, sequence: set.sequence, changed, signed_by })
    }
}
