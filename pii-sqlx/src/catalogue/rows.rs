//! Queries of catalogues: texts in, texts out.

use std::sync::Arc;

use pii_core::{Error, ErrorKind, Result};

use crate::{dialect::Dialect, quiet::quiet, statement::Statement};

/// The rows of a query, all of whose columns are text or NULL.
pub(crate) struct Rows<DB: Dialect>(Vec<DB::Row>);

impl<DB: Dialect> Rows<DB> {
    /// Runs a query whose placeholders stand where the text is cut: `["... = ", " and ..."]`.
    pub(crate) async fn of(
        connection: &mut DB::Connection,
        parts: &[&str],
        arguments: &[&str],
    ) -> Result<Self> {
        let mut statement = Statement::<DB>::new("").once();
        let mut arguments = arguments.iter();
        for part in parts {
            statement.push(part);
            if let Some(argument) = arguments.next() {
                statement.bind_text(Some(Arc::from(*argument))).map_err(|_| unread())?;
            }
        }
        Self::run(connection, statement).await
    }

    pub(crate) async fn run(connection: &mut DB::Connection, statement: Statement<DB>) -> Result<Self> {
        let rows = DB::fetch(connection, statement.finish()).await;
        rows.map(Self).map_err(|error| unread().source(quiet(error)))
    }

    pub(crate) fn texts<const N: usize>(&self) -> Result<Vec<[Option<String>; N]>> {
        let of_row = |row: &DB::Row| {
            let mut texts = [const { None }; N];
            for (index, text) in texts.iter_mut().enumerate() {
                *text = DB::text(row, index).map_err(|error| unread().source(quiet(error)))?;
            }
            Ok(texts)
        };
        self.0.iter().map(of_row).collect()
    }
}

/// The error that sqlx's stands for where nothing else is known.
pub(crate) fn unread() -> Error {
    Error::new(ErrorKind::Database)
        .message("the table or the database's catalogue cannot be read")
        .help("use a role that may SELECT from the table")
}
