//! A live table of 100,000 rows goes from plaintext to sealed values, while a program that knows nothing of
//! this library keeps reading and writing it. It goes back once on the way. In the end it is proved that
//! nothing was lost and that no plaintext is left.
//!
//! ```sh
//! cargo run --features postgres --example adopt -- postgres://user:password@host/database
//! cargo run --features postgres --example adopt        # the server that `cargo xtask services up` started
//! ```
//!
//! It works in the schema `pii_adopt` of that database, and drops it when everything is proved. It can be stopped
//! at any moment, also by `kill -9`: run it again, and it goes on with the step it was at.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "an example prints")]

mod client;
mod newer;
mod older;
mod place;
mod programs;
mod proof;

use std::{error::Error, ops::ControlFlow, process::ExitCode, time::Instant};

use pii::{
    Adoption, AdoptionReport, Cryptor, FieldPolicies,
    PlaintextPolicy::{AcceptAndSeal, Prepare, Reject},
    ShadowColumn,
};
use sqlx::{AssertSqlSafe, PgPool, Postgres};

use client::{Clients, ROWS, shadows};
use place::Place;
use programs::Programs;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// The steps in their order. What was done is written to the database in the transaction that does it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Made = 1,
    Columns,
    Filled,
    Half,
    Back,
    Sealed,
    Retired,
    Strict,
    Finished,
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let place = Place::open().await?;
    let policies = FieldPolicies::new();
    let cryptor = place.cryptor()?.with_policies(&policies);
    let way = Way { pool: &place.pool, policies: &policies, cryptor: &cryptor, begun: Instant::now() };
    let is_proved = way.go().await?;
    if !is_proved {
        println!("\nNOT PROVED: the schema {} stays, to be looked at", place::SCHEMA);
        return Ok(ExitCode::FAILURE);
    }
    place.remove().await?;
    println!("\nproved; the schema and the keys are gone again");
    Ok(ExitCode::SUCCESS)
}

struct Way<'a> {
    pool: &'a PgPool,
    policies: &'a FieldPolicies,
    cryptor: &'a Cryptor,
    begun: Instant,
}

impl Way<'_> {
    async fn go(&self) -> Result<bool> {
        let done = self.done().await?;
        if done > 0 {
            println!("an earlier run was stopped after step {done}: going on from there\n");
        }
        let is_due = |step: Step| done < step as i32;
        if is_due(Step::Made) {
            self.heading(&format!("1. A table of {ROWS} rows of plaintext"));
            client::make(self.pool, Step::Made as i32).await?;
        }
        let mut programs = Programs::new(self.pool, self.cryptor);
        if is_due(Step::Retired) {
            programs.start_older();
            println!(
                "   a program that knows nothing of sealing reads, writes, inserts and deletes from now on"
            );
        }
        self.policies.set_model(
            "client",
            match done {
                done if done < Step::Retired as i32 => Prepare,
                done if done < Step::Strict as i32 => AcceptAndSeal,
                _ => Reject,
            },
        );
        if is_due(Step::Columns) {
            self.heading("2. A sealed column beside each plain one, and triggers that keep both true");
            self.statements(Step::Columns, ShadowColumn::add).await?;
        }
        if is_due(Step::Filled) {
            self.heading("3. The new columns are filled");
            self.fill().await?;
        }
        programs.start_newer();
        println!("   a program with the new types runs beside the old one, under the policy `prepare`");
        if is_due(Step::Half) {
            self.heading("4. Half of the table is sealed");
            self.seal(Some(ROWS / 2)).await?;
            self.mark(Step::Half).await?;
            self.census().await?;
        }
        if is_due(Step::Back) {
            self.heading("5. Back: everything is plaintext again");
            let report = Adoption::of(&self.clients(self.cryptor)).on_chunk(progress()).roll_back().await?;
            println!("   {report}");
            let census = Adoption::of(&self.clients(self.cryptor)).verify().await?;
            println!("   {census}");
            if !report.is_done() || !census.is_all_plaintext() {
                return Err("not all of it is plaintext again".into());
            }
            self.mark(Step::Back).await?;
        }
        if is_due(Step::Sealed) {
            self.heading("6. Forward again: all of it is sealed");
            self.seal(None).await?;
            self.mark(Step::Sealed).await?;
            self.census().await?;
            println!("   what is plaintext here was written by the two programs meanwhile");
        }
        if is_due(Step::Retired) {
            self.heading("7. The old program is taken out, and its columns are retired");
            println!("   the old program: {}", programs.stop_older().await?);
            self.statements(Step::Retired, ShadowColumn::retire).await?;
            self.policies.set_model("client", AcceptAndSeal);
        }
        if is_due(Step::Strict) {
            self.heading("8. The rest is sealed, and plaintext is refused from now on");
            self.make_strict().await?;
        }
        if is_due(Step::Finished) {
            self.heading("9. The plain columns are dropped");
            self.statements(Step::Finished, ShadowColumn::finish).await?;
        }
        println!("   the new program: {}", programs.stop_newer().await?);
        self.heading("The proof");
        let is_proved = proof::show(self.pool, self.cryptor, programs.counts()).await?;
        let stats = self.cryptor.stats();
        println!(
            "   {} values sealed, {} opened, {} refused; {} key calls; {:.1} s",
            stats.sealed,
            stats.opened,
            stats.refused,
            stats.key_calls(),
            self.begun.elapsed().as_secs_f64()
        );
        Ok(is_proved)
    }

    async fn fill(&self) -> Result<()> {
        for shadow in shadows()? {
            let mut filled = 0;
            loop {
                match shadow.fill(self.pool, 5_000).await? {
                    0 => break,
                    rows => filled += rows,
                }
            }
            println!("   {shadow:?}: {filled} rows");
        }
        self.mark(Step::Filled).await
    }

    /// Seals, beside the programs, which go on under `prepare`. The policies of the job are its own.
    async fn seal(&self, up_to: Option<u64>) -> Result<()> {
        let policies = FieldPolicies::new();
        policies.set_model("client", AcceptAndSeal);
        let clients = self.clients(&self.cryptor.with_policies(&policies));
        let mut show = progress();
        let mut job = Adoption::of(&clients).attempts(20).on_chunk(move |report| match up_to {
            Some(rows) if report.rows_written >= rows => ControlFlow::Break(()),
            _ => show(report),
        });
        for shadow in shadows()? {
            job = job.shadow(&shadow);
        }
        let (begun, calls) = (Instant::now(), self.cryptor.stats().key_calls());
        let report = job.seal().await?;
        println!(
            "   {report}; {:.1} s, {} key calls",
            begun.elapsed().as_secs_f64(),
            self.cryptor.stats().key_calls() - calls
        );
        match report.failures.into_iter().next() {
            Some(error) => Err(error.into()),
            None => Ok(()),
        }
    }

    /// Under `accept_and_seal` nobody writes plaintext any more: when none is left, it can be refused.
    async fn make_strict(&self) -> Result<()> {
        let clients = self.clients(self.cryptor);
        loop {
            println!("   {}", Adoption::of(&clients).seal().await?);
            let census = Adoption::of(&clients).verify().await?;
            println!("   {census}");
            if census.is_all_sealed() {
                break;
            }
        }
        let mut tx = self.pool.begin().await?;
        for column in ["email_sealed", "birthday_sealed", "balance_sealed"] {
            let check = format!("alter table clients add check ({column} like 'ENC:%')");
            sqlx::query(AssertSqlSafe(check)).execute(&mut *tx).await?;
        }
        sqlx::query("insert into steps values ($1)").bind(Step::Strict as i32).execute(&mut *tx).await?;
        tx.commit().await?;
        self.policies.set_model("client", Reject);
        Ok(())
    }

    async fn census(&self) -> Result<()> {
        println!("   {}", Adoption::of(&self.clients(self.cryptor)).verify().await?);
        Ok(())
    }

    /// Runs statements of all shadow columns, and marks the step, in one transaction.
    async fn statements(
        &self,
        step: Step,
        of: impl Fn(&ShadowColumn<Postgres>) -> Vec<String>,
    ) -> Result<()> {
        let mut tx = self.pool.begin().await?;
        for shadow in shadows()? {
            shadow.check()?;
            for statement in of(&shadow) {
                println!("   {}", statement.lines().next().unwrap_or_default());
                sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut *tx).await?;
            }
        }
        sqlx::query("insert into steps values ($1)").bind(step as i32).execute(&mut *tx).await?;
        tx.commit().await?;
        Ok(())
    }

    async fn mark(&self, step: Step) -> Result<()> {
        sqlx::query("insert into steps values ($1)").bind(step as i32).execute(self.pool).await?;
        Ok(())
    }

    /// The last step that was done, 0 if there is none.
    async fn done(&self) -> Result<i32> {
        let is_there: bool =
            sqlx::query_scalar("select to_regclass('steps') is not null").fetch_one(self.pool).await?;
        if !is_there {
            return Ok(0);
        }
        Ok(sqlx::query_scalar("select coalesce(max(step), 0) from steps").fetch_one(self.pool).await?)
    }

    fn clients(&self, cryptor: &Cryptor) -> Clients {
        Clients::new(self.pool, cryptor)
    }

    fn heading(&self, text: &str) {
        println!("\n== {text}  ({:.1} s)", self.begun.elapsed().as_secs_f64());
    }
}

/// Shows what a job has done, every 20,000 rows.
fn progress() -> impl FnMut(&AdoptionReport) -> ControlFlow<()> + Send {
    let mut shown = 0;
    move |report| {
        if report.rows_written / 20_000 > shown {
            shown = report.rows_written / 20_000;
            println!("   … {report}");
        }
        ControlFlow::Continue(())
    }
}
