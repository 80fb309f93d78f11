//! What a good certificate says of its holder, beside C.F. and card.

use crate::{
    build::CN,
    der::name,
    world::{CARD, TAX_CODE, World, common_name},
};

const GIVEN_NAME: &str = "2.5.4.42";
const SURNAME: &str = "2.5.4.4";

#[test]
fn a_holder_has_a_name_where_the_certificate_has_both_parts_once() {
    let cn = common_name(TAX_CODE);
    let person = |more: &[(&str, &str)]| {
        let mut world = World::new();
        world.leaf.subject = name(&[&[(CN, cn.as_str())], more].concat());
        let valid = world.outcome().unwrap();
        assert_eq!((valid.tax_code().as_str(), valid.card()), (TAX_CODE, CARD));
        assert!(!format!("{valid:?}").contains("ROSSI"));
        valid.person().map(str::to_owned)
    };
    let (given, surname) = ((GIVEN_NAME, "MARIA"), (SURNAME, "ROSSI"));
    assert_eq!(person(&[surname, given]).as_deref(), Some("MARIA ROSSI"));
    assert_eq!(person(&[]), None);
    assert_eq!(person(&[given]), None);
    assert_eq!(person(&[surname, surname, given]), None);
    assert_eq!(person(&[surname, (GIVEN_NAME, "MA\nRIA")]), None);
}
