//! Random walks through the model of `model.rs`, the real service doing each step beside it: after every step both have the
//! same tries left, and every answer is the model's.

use std::pin::Pin;

use sigillo::service::{Error, Verdict, Verification};
use stateright::Model;

use crate::{
    model::{Bug, Spec, State, Step, say},
    post::Citizen,
    rules::SICILIA,
    world::World,
};

const WALKS: u64 = 24;
const STEPS: usize = 30;

/// The limits of the template that Sicilia has in these tests. A restore goes through officers: `recover.rs` has it.
fn spec(bug: Option<Bug>) -> Spec {
    Spec { in_a_row: 3, lifetime: 7, at_once: 3, grants: 40, unlocks: 2, restores: 0, bug }
}

type Asked = Pin<Box<dyn Future<Output = Result<Verification, Error>>>>;

struct Walk {
    w: World,
    who: Citizen,
    asked: Vec<Asked>,
    keys: u32,
}

impl Walk {
    async fn new() -> Self {
        let w = World::new().await;
        let who = w.citizen(SICILIA).await;
        Self { w, who, asked: Vec::new(), keys: 0 }
    }

    fn key(&mut self) -> String {
        self.keys += 1;
        format!("step {}", self.keys)
    }

    /// Does a step; answers whether a guess was accepted.
    async fn step(&mut self, step: Step) -> bool {
        match step {
            Step::Begin { right } => {
                let (desk, card, key) = (self.w.desk.clone(), self.who.card.clone(), self.key());
                let code = if right {
                    self.who.cip.clone()
                } else {
                    self.who.wrong(usize::try_from(self.keys % 8).unwrap())
                };
                let mut asked: Asked = Box::pin(async move { desk.verify(&card, &code, &key).await });
                // Its try is committed; from here on it goes no further until it is ended.
                self.w.until_held(Pin::new(&mut asked)).await;
                self.w.release().await;
                self.asked.push(asked);
                false
            }
            Step::End(place) => self.asked.remove(place).await.unwrap().outcome == Verdict::Accepted,
            Step::Crash => {
                self.asked.clear();
                self.w.restart().await;
                false
            }
            Step::Unlock => {
                let key = self.key();
                let asked = self.w.desk.ask_unlock(&self.who.card, &key).await.unwrap();
                self.w.supervisor().await.approve(&asked, &key).await.unwrap();
                self.w.desk.unlock(&self.who.card, Some(asked.id), &format!("{key} too")).await.unwrap();
                false
            }
            Step::Backup | Step::Restore => panic!("not in this specification"),
        }
    }
}

/// Walks so far; the first difference, if there is one.
async fn walk(spec: &Spec, seed: u64) -> (usize, Option<String>) {
    let mut random = seed.wrapping_mul(2) + 1;
    let mut state: State = spec.init_states().remove(0);
    let mut real = Walk::new().await;
    for number in 0..STEPS {
        let mut steps = Vec::new();
        spec.actions(&state, &mut steps);
        if steps.is_empty() {
            return (number, None);
        }
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let step = steps[usize::try_from(random >> 33).unwrap() % steps.len()];
        let expected = match step {
            Step::End(place) => spec.end(&mut state.clone(), place),
            Step::Begin { .. } | Step::Crash | Step::Unlock | Step::Backup | Step::Restore => false,
        };
        state = spec.next_state(&state, step).unwrap();
        let accepted = real.step(step).await;
        let tries = real.w.tries(&real.who.card);
        let is = (accepted, tries.left(), tries.wrong());
        let should = (expected, spec.left(&state.store).into(), spec.wrong(&state.store).into());
        if is != should {
            return (
                number,
                Some(format!("walk {seed}, step {number}, {step:?}: {is:?} instead of {should:?}")),
            );
        }
    }
    (STEPS, None)
}

#[tokio::test]
async fn the_service_does_what_the_model_does_and_not_what_a_wrong_one_does() {
    let mut steps = 0;
    for seed in 0..WALKS {
        let (done, difference) = walk(&spec(None), seed).await;
        assert_eq!(difference, None);
        steps += done;
    }
    let mut told = Vec::new();
    for bug in [Bug::ForgiveWrong, Bug::ForgiveToNow, Bug::ForgetInCrash] {
        let mut seed = 0;
        let found = loop {
            assert!(seed < WALKS, "{bug:?} is not told from the service");
            if let (_, Some(difference)) = walk(&spec(Some(bug)), seed).await {
                break difference;
            }
            seed += 1;
        };
        told.push(format!("{bug:?} ({found})"));
    }
    say(
        "the service answers and counts as the model does, in random walks",
        &format!(
            "{WALKS} walks, {steps} steps, no difference; wrong models that were told from it: {}",
            told.join("; ")
        ),
        "no difference in any step",
        true,
    );
}
