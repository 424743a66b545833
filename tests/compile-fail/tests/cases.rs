//! What the derives say about mistakes. `TRYBUILD=overwrite` writes the expected texts anew.

#[test]
fn every_mistake_gives_one_message_at_its_place() {
    trybuild::TestCases::new().compile_fail("cases/*.rs");
}
