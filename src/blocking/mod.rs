//! The synchronous face, for programs without async: with diesel, in a command line tool, in a script.
//!
//! A [`blocking::Cryptor`](Cryptor) is a cryptor whose calls wait for their result.
//!
#![cfg_attr(feature = "derive", doc = "```")]
#![cfg_attr(not(feature = "derive"), doc = "```ignore")]
//! use pii::{Cryptor, EncryptedStr, PiiModel, TestKeyring, blocking};
//!
//! #[derive(PiiModel)]
//! #[pii(name = "customer")]
//! struct Customer {
//!     #[pii(id)]
//!     id: i64,
//!     email: EncryptedStr,
//! }
//!
//! fn main() -> pii::Result<()> {
//!     let cryptor = Cryptor::envelope().keyring(TestKeyring::new()).build()?;
//!     let cryptor = blocking::Cryptor::new(cryptor);
//!     let mut customers = [Customer { id: 1, email: EncryptedStr::new("ada@example.com") }];
//!     cryptor.seal(&mut customers)?;
//!     assert!(customers[0].email.stored_text()?.as_str().starts_with("ENC:"));
//!     cryptor.open(&mut customers)
//! }
//! ```
//!
//! # Runtimes
//!
//! This crate starts no async runtime. [`Cryptor::new`] needs none: it is for keys and key stores in files, and for
//! implementations of your own that need none either. What speaks to a server needs the runtime that its crate was
//! built for: AWS KMS, and sqlx with its key store and tables, need Tokio. Make one, keep it as long as the
//! program runs, and hand it in with [`Cryptor::on`].
//!
//! # Inside async code
//!
//! There, a call that waits would stop other tasks, and wait for ever if it needed one of them. So it is an
//! error, [`ErrorKind::State`](crate::ErrorKind::State), before anything is done. Inside Tokio, wait in
//! `tokio::task::spawn_blocking`, where it is allowed. `block_in_place`, and a thread that has merely entered a runtime by
//! `Handle::enter`, can't be told from async code and are refused too. The other way round, a task of a `LocalSet` that
//! `Runtime::block_on` drives on a runtime with many threads looks like a blocking thread. Of other runtimes' threads
//! nothing is known. There, it is up to you.
mod cryptor;
mod documents;
mod inside;
mod wait;

pub use cryptor::Cryptor;
pub use documents::Documents;
pub use wait::Wait;
