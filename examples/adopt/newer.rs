//! The program with the new types, which goes through all policies without a new release.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use pii::{Encrypted, EncryptedStr, ErrorKind, Swap};
use sqlx::PgPool;

use crate::{
    Result,
    client::{Client, Clients},
    programs::{Counts, Deed, Numbers, REST},
};

pub(crate) struct Newer {
    pub(crate) pool: PgPool,
    pub(crate) clients: Clients,
    pub(crate) counts: Arc<Counts>,
}

impl Newer {
    pub(crate) async fn run(self, mut numbers: Numbers, is_over: Arc<AtomicBool>) -> Result<()> {
        while !is_over.load(Relaxed) {
            let (deed, id) = (numbers.deed(), numbers.id());
            let email = format!("new{}-{id}@new.example", numbers.below(1_000_000));
            match deed {
                Deed::Read => self.read(id).await?,
                Deed::Change => self.change(id, &email, numbers.below(1_000_000)).await?,
                Deed::Insert => self.insert(&email).await?,
                Deed::Delete => self.delete(id).await?,
            }
            tokio::time::sleep(REST).await;
        }
        Ok(())
    }

    /// The row and the ledger, as they are at one moment.
    async fn read(&self, id: i64) -> Result<()> {
        let mut tx = self.pool.begin_with("begin isolation level repeatable read").await?;
        let client = self.clients.get(id).optional().decrypt_pii().on(&mut tx).await?;
        let noted: Option<Values> =
            sqlx::query_as("select email, birthday::text, balance::float8 from ledger where id = $1")
                .bind(id)
                .fetch_optional(&mut *tx)
                .await?;
        tx.commit().await?;
        let is_right = client.as_ref().map(values).transpose()? == noted;
        self.counts.reads.fetch_add(1, Relaxed);
        self.counts.wrong.fetch_add(u64::from(!is_right), Relaxed);
        Ok(())
    }

    async fn change(&self, id: i64, email: &str, cents: u64) -> Result<()> {
        let mut tx = self.pool.begin().await?;
        let mut client = match self.clients.get(id).decrypt_pii().stored().on(&mut tx).await {
            Err(error) if error.kind() == ErrorKind::RowNotFound => return Ok(()),
            client => client?,
        };
        let balance = f64::from(u32::try_from(cents)?) / 100.0;
        client.email = EncryptedStr::new(email);
        client.balance = Encrypted::json(&balance)?;
        if self.clients.swap(&client).on(&mut tx).await? != Swap::Swapped {
            self.counts.met.fetch_add(1, Relaxed);
            return Ok(());
        }
        sqlx::query("update ledger set email = $2, balance = $3::float8::numeric(12,2) where id = $1")
            .bind(id)
            .bind(email)
            .bind(balance)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        self.counts.changes.fetch_add(1, Relaxed);
        Ok(())
    }

    async fn insert(&self, email: &str) -> Result<()> {
        let mut tx = self.pool.begin().await?;
        let id: i64 = sqlx::query_scalar("select nextval('new_ids')").fetch_one(&mut *tx).await?;
        let client = Client {
            id,
            tenant: "tenant-1".into(),
            name: "Newer".into(),
            email: EncryptedStr::new(email),
            birthday: Some(EncryptedStr::new("2001-02-03")),
            balance: Encrypted::json(&7.25)?,
        };
        self.clients.insert(&client).on(&mut tx).await?;
        sqlx::query("insert into ledger values ($1, $2, '2001-02-03', 7.25)")
            .bind(id)
            .bind(email)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        self.counts.inserts.fetch_add(1, Relaxed);
        Ok(())
    }

    async fn delete(&self, id: i64) -> Result<()> {
        let mut tx = self.pool.begin().await?;
        match self.clients.delete(id).on(&mut tx).await {
            Err(error) if error.kind() == ErrorKind::RowNotFound => return Ok(()),
            deleted => deleted?,
        }
        sqlx::query("delete from ledger where id = $1").bind(id).execute(&mut *tx).await?;
        tx.commit().await?;
        self.counts.deletes.fetch_add(1, Relaxed);
        Ok(())
    }
}

/// E-mail, birthday and balance.
pub(crate) type Values = (String, Option<String>, f64);

/// What a client that was opened holds.
pub(crate) fn values(client: &Client) -> Result<Values> {
    let birthday = client.birthday.as_ref().map(|birthday| birthday.expose().map(str::to_owned));
    Ok((client.email.expose()?.to_owned(), birthday.transpose()?, client.balance.expose()?))
}
