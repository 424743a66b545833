//! diesel.
#[test]
fn x() {}
