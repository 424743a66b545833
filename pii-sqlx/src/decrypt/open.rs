//! From the rows of a query to opened models.

use futures_core::stream::BoxStream;
use futures_util::{
    StreamExt as _,
    stream::{self, Chunks},
};
use pii_core::{Cryptor, Error, FieldSelection, PiiRow, Result};

use crate::error;

/// Refuses what would be refused for every row, before the query is sent.
pub(super) async fn check<R: PiiRow + Send>(cryptor: &Cryptor, fields: &FieldSelection) -> Result<()> {
    cryptor.open_each::<R>(&mut [], fields).await.map(drop).map_err(error::of_row::<R>)
}

/// Opens these rows in one batch; one that fails, fails all.
pub(super) async fn open_all<R: PiiRow + Send>(
    cryptor: &Cryptor,
    fields: &FieldSelection,
    mut rows: Vec<R>,
) -> Result<Vec<R>> {
    let opening = cryptor.open_each(&mut rows, fields).await.map_err(error::of_row::<R>)?;
    opening.into_iter().collect::<Result<()>>()?;
    Ok(rows)
}

/// Opens those rows that were decoded in one batch, and says for each what became of it, in order.
pub(super) async fn open_each<R: PiiRow + Send>(
    cryptor: &Cryptor,
    fields: &FieldSelection,
    rows: impl ExactSizeIterator<Item = Result<R>>,
) -> Result<Vec<Result<R>>> {
    let mut decoded = Vec::with_capacity(rows.len());
    let failed: Vec<Option<Error>> = rows
        .map(|row| match row {
            Ok(row) => {
                decoded.push(row);
                None
            }
            Err(error) => Some(error),
        })
        .collect();
    let opening = cryptor.open_each(&mut decoded, fields).await.map_err(error::of_row::<R>)?;
    let mut opened = decoded.into_iter().zip(opening).map(|(row, opening)| opening.map(|()| row));
    Ok(failed.into_iter().filter_map(|failed| failed.map(Err).or_else(|| opened.next())).collect())
}

/// Opens the rows of a stream in batches of `chunk` rows, the last one of what is left. What makes opening impossible for all
/// rows ends the stream.
///
/// A batch is decoded when all of it is there. sqlx's thread for SQLite is woken for each row that is taken from it
/// while it waits, and would wait again at once if something were done in between.
pub(crate) fn open_stream<'e, T, R>(
    rows: BoxStream<'e, sqlx::Result<T>>,
    decode: fn(T) -> sqlx::Result<R>,
    cryptor: &'e Cryptor,
    fields: FieldSelection,
    chunk: usize,
) -> BoxStream<'e, Result<R>>
where
    T: Send + 'e,
    R: PiiRow + Send + 'e,
{
    let opening = Opening { chunks: rows.chunks(chunk), decode, cryptor, fields, is_checked: false };
    stream::unfold(Some(opening), |opening| async {
        let mut opening = opening?;
        match opening.next().await {
            Ok(opened) => Some((opened?, Some(opening))),
            Err(error) => Some((vec![Err(error)], None)),
        }
    })
    .flat_map(stream::iter)
    .fuse()
    .boxed()
}

/// The chunks are whole, though smaller ones could be given earlier: to learn that no further row is there yet,
/// sqlx would have to be asked for it, and when the stream is dropped then, sqlx 0.9 loses its place in what
/// MySQL sends.
struct Opening<'e, T, R> {
    chunks: Chunks<BoxStream<'e, sqlx::Result<T>>>,
    decode: fn(T) -> sqlx::Result<R>,
    cryptor: &'e Cryptor,
    fields: FieldSelection,
    is_checked: bool,
}

impl<T, R: PiiRow + Send> Opening<'_, T, R> {
    async fn next(&mut self) -> Result<Option<Vec<Result<R>>>> {
        // the query is sent when the first chunk is asked for
        if !self.is_checked {
            check::<R>(self.cryptor, &self.fields).await?;
            self.is_checked = true;
        }
        let Some(rows) = self.chunks.next().await else { return Ok(None) };
        let decode = self.decode;
        let rows = rows.into_iter().map(|row| row.and_then(decode).map_err(failed::<R>));
        open_each(self.cryptor, &self.fields, rows).await.map(Some)
    }
}

pub(super) fn failed<R: PiiRow>(error: sqlx::Error) -> Error {
    error::of_query::<R>(error)
}

/// Ends a stream after its first error.
pub(crate) fn until_error<'e, R: Send + 'e>(rows: BoxStream<'e, Result<R>>) -> BoxStream<'e, Result<R>> {
    rows.scan(false, |is_over, row| {
        let ended = std::mem::replace(is_over, row.is_err());
        std::future::ready((!ended).then_some(row))
    })
    .fuse()
    .boxed()
}

#[cfg(test)]
mod tests {
    use pii_core::ErrorKind;

    use super::*;

    #[test]
    fn a_stream_ends_after_its_first_error() {
        let rows = vec![Ok(1), Err(Error::new(ErrorKind::Integrity)), Ok(3)];
        let rows: Vec<_> =
            futures_util::FutureExt::now_or_never(until_error(stream::iter(rows).boxed()).collect()).unwrap();
        assert!(matches!(rows.as_slice(), [Ok(1), Err(_)]), "{rows:?}");
    }
}
