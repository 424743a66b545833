//! Jobs with a scoped cryptor, where no column tells the rows of the scope.

use futures_core::future::BoxFuture;
use pii::{
    Adoption, Cryptor, DataKey, EncryptedStr, ErrorKind, FieldPolicies, FileKeyStore, GeneratedKey,
    KeyBinding, Keyring, PiiModel,
    PlaintextPolicy::{AcceptAndSeal, Prepare},
    Result, SqlTable, TestKeyring, WrappedKey, ctx,
};
use sqlx::Pool;

use super::{Db, TestDatabase, in_dialect, sql};

const VISITORS: &str = "create table visitors (id bigint primary key, tenant text not null, email text not null, \
     email_bidx text)";

/// No column holds what is bound: an expression makes it.
#[derive(PiiModel, Clone)]
#[pii(name = "visitor", table = "visitors", context(app = "tests", tenant = self.tenant.to_lowercase()), from_row)]
struct Visitor {
    #[pii(id)]
    id: i64,
    tenant: String,
    #[pii(blind_index(normalize = "email"))]
    email: EncryptedStr,
}

/// The rows of `acme`, among others: none in the first and the last chunk of two.
const OWN: [i64; 3] = [2, 6, 7];
const ROWS: i64 = 10;

struct Museum {
    db: TestDatabase,
    keys: tempfile::TempDir,
    policies: FieldPolicies,
}

impl Museum {
    /// With rows as a program writes them that knows nothing of sealing.
    async fn with_plaintext() -> Self {
        let db = TestDatabase::new(4, &[VISITORS]).await;
        for id in 0..ROWS {
            sqlx::query(in_dialect("insert into visitors (id, tenant, email) values ($1, $2, $3)"))
                .bind(id)
                .bind(if OWN.contains(&id) { "ACME" } else { "Other" })
                .bind(email(id))
                .execute(&db.pool)
                .await
                .unwrap();
        }
        let policies = FieldPolicies::new();
        policies.set_model("visitor", AcceptAndSeal);
        Self { db, keys: tempfile::tempdir().unwrap(), policies }
    }

    fn through(&self, keyring: impl Keyring) -> Cryptor {
        let store = FileKeyStore::open(self.keys.path().join("keys")).unwrap();
        let cryptor = Cryptor::envelope().keyring(keyring).key_store(store).build().unwrap();
        cryptor.with_policies(&self.policies)
    }

    fn all(&self) -> SqlTable<Visitor, Db> {
        SqlTable::new(&self.db.pool, &self.through(TestKeyring::new()))
    }

    fn of(&self, tenant: &str) -> SqlTable<Visitor, Db> {
        self.scoped(&self.through(TestKeyring::new()), tenant)
    }

    fn scoped(&self, cryptor: &Cryptor, tenant: &str) -> SqlTable<Visitor, Db> {
        SqlTable::new(&self.db.pool, &cryptor.scoped(ctx!(tenant = tenant)))
    }

    /// The ids of rows that are sealed, and of those that have a code.
    async fn state(&self) -> [Vec<i64>; 2] {
        let rows: Vec<(i64, String, Option<String>)> =
            sqlx::query_as("select id, email, email_bidx from visitors order by id")
                .fetch_all(&self.db.pool)
                .await
                .unwrap();
        assert!(rows.iter().all(|row| row.1.starts_with("ENC:") || row.1 == email(row.0)));
        let sealed = rows.iter().filter(|row| row.1.starts_with("ENC:")).map(|row| row.0);
        let coded = rows.iter().filter(|row| row.2.is_some()).map(|row| row.0);
        [sealed.collect(), coded.collect()]
    }
}

fn email(id: i64) -> String {
    format!("canary-{}@example.com", id % 6)
}

#[tokio::test]
async fn rows_outside_the_scope_are_neither_moved_nor_counted() {
    for chunk in [1, 2, 3, 500] {
        let museum = Museum::with_plaintext().await;
        let acme = museum.of("acme");
        let mut chunks = 0;
        let job = Adoption::of(&acme).chunk_rows(chunk).on_chunk(|_| {
            chunks += 1;
            std::ops::ControlFlow::Continue(())
        });
        let report = job.seal().await.unwrap();
        assert!(report.is_done(), "{report} {:?}", report.failures);
        assert_eq!((report.rows_read, report.rows_written, report.failed), (3, 3, 0), "{report}");
        assert!(chunks >= 10 / chunk, "the rows of others don't end it");
        assert_eq!(museum.state().await, [OWN, OWN]);

        let census = Adoption::of(&acme).chunk_rows(chunk).verify().await.unwrap();
        assert!(census.is_all_sealed(), "{census}");
        assert_eq!((census.rows, census.fields["email"].sealed), (3, 3));
        let census = Adoption::of(&museum.all()).verify().await.unwrap();
        assert_eq!((census.rows, census.fields["email"].plaintext), (10, 7));
        let again = Adoption::of(&acme).chunk_rows(chunk).seal().await.unwrap();
        assert!(again.is_done() && again.rows_read == 0, "{again}");

        let others = Adoption::of(&museum.of("other")).chunk_rows(chunk).seal().await.unwrap();
        assert!(others.is_done() && others.rows_written == 7, "{others}");
        museum.policies.set_model("visitor", Prepare);
        let back = Adoption::of(&acme).chunk_rows(chunk).roll_back().await.unwrap();
        assert!(back.is_done(), "{back} {:?}", back.failures);
        assert_eq!((back.rows_read, back.rows_written), (3, 3), "{back}");
        assert_eq!(museum.state().await[0], [0, 1, 3, 4, 5, 8, 9]);
    }
}

#[tokio::test]
async fn what_cannot_be_told_is_not_left_out_in_silence() {
    let museum = Museum::with_plaintext().await;
    sql(&museum.db, "update visitors set tenant = '' where id = 1").await;
    let report = Adoption::of(&museum.of("acme")).chunk_rows(2).seal().await.unwrap();
    assert!(report.is_complete && !report.is_done(), "{report}");
    assert_eq!((report.rows_read, report.rows_written, report.failed), (4, 3, 1), "{report}");
    assert_eq!(
        (report.failures[0].kind(), report.failures[0].row_id()),
        (ErrorKind::InvalidContext, Some("1"))
    );
    // a scope in which no row of the model can be
    let nowhere = museum.through(TestKeyring::new()).scoped(ctx!(app = "other"));
    let table = SqlTable::<Visitor, Db>::new(&museum.db.pool, &nowhere);
    assert_eq!(Adoption::of(&table).seal().await.unwrap_err().kind(), ErrorKind::ContextMismatch);
}

/// Writes to the table between a job's reading and its writing: when the job needs a new key.
struct Meddler {
    pool: Pool<Db>,
    inner: TestKeyring,
}

impl Keyring for Meddler {
    fn generate<'a>(&'a self, binding: &'a KeyBinding) -> BoxFuture<'a, Result<GeneratedKey>> {
        Box::pin(async move {
            let statement = "update visitors set tenant = 'Other' where id = 6";
            sqlx::raw_sql(statement).execute(&self.pool).await.unwrap();
            self.inner.generate(binding).await
        })
    }

    fn unwrap<'a>(
        &'a self,
        copies: &'a [WrappedKey],
        binding: &'a KeyBinding,
        is_wanted: &'a (dyn Fn(&DataKey) -> bool + Sync),
    ) -> BoxFuture<'a, Result<DataKey>> {
        self.inner.unwrap(copies, binding, is_wanted)
    }
}

#[tokio::test]
async fn a_row_that_leaves_the_scope_meanwhile_is_gone() {
    let museum = Museum::with_plaintext().await;
    let meddling = museum.through(Meddler { pool: museum.db.pool.clone(), inner: TestKeyring::new() });
    let report = Adoption::of(&museum.scoped(&meddling, "acme")).seal().await.unwrap();
    assert!(report.is_done(), "{report} {:?}", report.failures);
    assert_eq!((report.rows_read, report.rows_written, report.gone), (3, 2, 1), "{report}");
    assert_eq!(museum.state().await[0], [2, 7]);
}

#[tokio::test]
async fn jobs_for_indexes_leave_the_rows_of_others_alone() {
    let museum = Museum::with_plaintext().await;
    assert!(Adoption::of(&museum.all()).seal().await.unwrap().is_done());
    museum.policies.set_model("visitor", pii::PlaintextPolicy::Reject);
    sql(&museum.db, "update visitors set email_bidx = null").await;
    let acme = museum.of("acme");
    let found = acme.index_duplicates("email").chunk_rows(2).await.unwrap();
    assert_eq!((found.rows, found.groups, found.failed), (3, 0, 0), "{found}");
    let found = museum.of("other").index_duplicates("email").chunk_rows(2).await.unwrap();
    assert_eq!((found.rows, found.groups, found.failed), (7, 1, 0), "rows 3 and 9: {found}");

    let report = acme.fill_indexes().chunk_rows(2).await.unwrap();
    assert!(report.is_done(), "{report} {:?}", report.failures);
    assert_eq!((report.rows_read, report.filled), (3, 3), "{report}");
    assert_eq!(museum.state().await[1], OWN);
    let report = acme.fill_indexes().every_row().await.unwrap();
    assert_eq!((report.rows_read, report.unchanged), (3, 3), "{report}");
}

#[tokio::test]
async fn codes_of_others_are_not_cleared() {
    let museum = Museum::with_plaintext().await;
    assert!(Adoption::of(&museum.all()).seal().await.unwrap().is_done());
    let error = museum.of("acme").clear_indexes(ctx!(app = "tests")).await.unwrap_err();
    assert_eq!((error.kind(), error.model_name()), (ErrorKind::Configuration, Some("visitor")));
    assert_eq!(museum.state().await[1].len(), 10);
    assert_eq!(museum.all().clear_indexes(ctx!(app = "tests")).await.unwrap(), 10);
    assert_eq!(museum.state().await[1], [0_i64; 0]);
}
