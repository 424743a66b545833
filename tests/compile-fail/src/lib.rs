//! What the derives say about mistakes: the cases are in `cases/`, the test in `tests/cases.rs`.
