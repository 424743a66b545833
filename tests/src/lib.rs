//! The test suite of the workspace; everything is in `tests/`.

/// The examples of the guides compile.
#[cfg(doctest)]
pub mod guides {
    #[doc = include_str!("../../docs/dynamodb.md")]
    pub struct Dynamo;
    #[doc = include_str!("../../docs/sql.md")]
    pub struct Sql;
    #[doc = include_str!("../../docs/doctor.md")]
    pub struct Doctor;
    #[doc = include_str!("../../docs/index-jobs.md")]
    pub struct IndexJobs;
    #[doc = include_str!("../../docs/keys.md")]
    pub struct Keys;
    #[doc = include_str!("../../docs/documents.md")]
    pub struct Documents;
    #[doc = include_str!("../../docs/testing.md")]
    pub struct Testing;
    #[doc = include_str!("../../docs/masking.md")]
    pub struct Masking;
    #[doc = include_str!("../../docs/views.md")]
    pub struct Views;
    #[doc = include_str!("../../docs/blind-indexes.md")]
    pub struct BlindIndexes;
    #[doc = include_str!("../../docs/types.md")]
    pub struct Types;
    #[doc = include_str!("../../docs/when-keys-fail.md")]
    pub struct WhenKeysFail;
    #[doc = include_str!("../../docs/other-formats.md")]
    pub struct OtherFormats;
}
