//! Templates in use, frozen in the store: a policy may add versions, never change or drop one that a card has.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
};

use super::Error;
use crate::{
    domain::template::{CodeName, Part, Template, TemplateId},
    policy::Policy,
    store::{Expect, Op, Space, Store},
};

/// The templates that cards have, by id.
pub(super) struct Frozen {
    known: RwLock<BTreeMap<TemplateId, Arc<Template>>>,
    store: Store,
}

/// No set has more templates than this in one look.
const MOST: usize = 10_000;

impl Frozen {
    /// Reads them.
    pub(super) fn load(store: &Store) -> Result<Self, Error> {
        let mut frozen = BTreeMap::new();
        for found in store.scan(Space::Template, &[], &[], MOST)? {
            let template = thaw(&found.record.value)?;
            frozen.insert(template.id().clone(), Arc::new(template));
        }
        Ok(Self { known: RwLock::new(frozen), store: store.clone() })
    }

    /// Refuses a policy that changed or dropped one. Asks the store: the first card of a template may be on its way.
    pub(super) fn check(&self, policy: &Policy) -> Result<(), Error> {
        for found in self.store.scan(Space::Template, &[], &[], MOST)? {
            let template = thaw(&found.record.value)?;
            let id = template.id();
            match policy.templates().find(|t| t.id() == id) {
                Some(same) if same.digest() == template.digest() => {}
                Some(_) => {
                    return Err(Error::PolicyInUse(format!(
                        "template {id} is in use by cards and was changed in the policy: give the change a new version"
                    )));
                }
                None => {
                    return Err(Error::PolicyInUse(format!(
                        "template {id} is in use by cards and is missing from the policy: put it back"
                    )));
                }
            }
        }
        Ok(())
    }

    /// The template of a card. Read from the store where it is not known yet: the registration of its first card
    /// may have been given up by its caller after the commit.
    pub(super) fn get(&self, id: &TemplateId) -> Result<Arc<Template>, Error> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner).get(id).map(Arc::clone);
        if let Some(template) = known {
            return Ok(template);
        }
        let found = self.store.get(Space::Template, id.as_str().as_bytes())?;
        let found = found.ok_or_else(|| Error::Bug(format!("card with unknown template {id}")))?;
        let template = thaw(&found.value)?;
        self.note(&template);
        Ok(Arc::new(template))
    }

    /// Digits of the first part of a C.I.P. under this template, if it has one. The look-up is made for unknown
    /// cards too.
    pub(super) fn first_digits_of_cip(&self, id: &str) -> Option<u8> {
        let all = self.known.read().unwrap_or_else(PoisonError::into_inner);
        all.get(id)?.shape(CodeName::Cip).map(|shape| shape.length(Part::First))
    }

    /// What registers a template together with its first card; nothing if it is frozen already.
    pub(super) fn freeze(&self, template: &Template) -> Option<Op> {
        let all = self.known.read().unwrap_or_else(PoisonError::into_inner);
        (!all.contains_key(template.id())).then(|| Op::Put {
            space: Space::Template,
            key: template.id().to_string().into_bytes(),
            value: template.freeze().into_bytes(),
            expect: Expect::Any,
        })
    }

    /// Notes that the template is durable.
    pub(super) fn note(&self, template: &Template) {
        let mut all = self.known.write().unwrap_or_else(PoisonError::into_inner);
        all.entry(template.id().clone()).or_insert_with(|| Arc::new(template.clone()));
    }
}

fn thaw(value: &[u8]) -> Result<Template, Error> {
    std::str::from_utf8(value)
        .map_err(|e| e.to_string())
        .and_then(|text| Template::thaw(text).map_err(|e| e.to_string()))
        .map_err(|e| Error::Bug(format!("stored template: {e}")))
}
