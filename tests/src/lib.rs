//! The test suite of the workspace; everything is in `tests/`.
