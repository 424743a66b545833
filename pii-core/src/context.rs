//! The encryption context: a few pairs that choose the data key and are authenticated with every value.

use std::{
    borrow::Cow,
    fmt,
    fmt::Write as _,
    hash::{Hash, Hasher},
    rc::Rc,
    sync::Arc,
};

use smallvec::SmallVec;

use crate::{
    error::{Error, ErrorKind, Result},
    wire::encode::{put_lp, put_u16},
};

/// At most this many pairs.
const MAX_CONTEXT_PAIRS: usize = 8;
/// At most this many bytes in all keys and values together.
const MAX_CONTEXT_BYTES: usize = 1024;

/// Name/value pairs, such as `app` and `tenant`, under which values are sealed.
///
/// The context goes to the key service in clear text and is logged there: it must not hold
/// personal data. At most 8 pairs and 1 KB; names that begin with `pii:` are reserved. Its
/// `Debug` shows names only.
///
/// ```
/// # use pii_core as pii;
/// let context = pii::ctx!(app = "billing", tenant = "acme")?;
/// assert_eq!(format!("{context:?}"), "EncryptionContext(app, tenant)");
/// # Ok::<(), pii::Error>(())
/// ```
#[derive(Clone)]
pub struct EncryptionContext {
    /// names and values, one after the other
    text: Box<str>,
    /// where each of them ends
    ends: SmallVec<[u16; 2 * MAX_CONTEXT_PAIRS]>,
    encoded: Box<[u8]>,
}

// the canonical bytes say all of it
impl PartialEq for EncryptionContext {
    fn eq(&self, other: &Self) -> bool {
        self.encoded == other.encoded
    }
}

impl Eq for EncryptionContext {}

impl Hash for EncryptionContext {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.encoded.hash(state);
    }
}

/// The name of the pair that holds the id of the person whom values are about.
pub(crate) const SUBJECT: &str = "subject";

impl EncryptionContext {
    /// The context without pairs.
    #[must_use]
    pub fn empty() -> Self {
        Self { text: Box::default(), ends: SmallVec::new(), encoded: [0, 0].into() }
    }

    /// A context of these pairs, in any order.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidContext`] for an empty or reserved name, an empty value, a name given
    /// twice, more than 8 pairs or more than 1 KB.
    pub fn new<K: AsRef<str>, V: AsRef<str>>(pairs: impl IntoIterator<Item = (K, V)>) -> Result<Self> {
        let mut pairs: SmallVec<[(K, V); 4]> = pairs.into_iter().collect();
        pairs.sort_by(|a, b| a.0.as_ref().cmp(b.0.as_ref()));
        let names = pairs.iter().map(|(name, _)| name.as_ref());
        let twice = names.clone().zip(names.skip(1)).find(|(left, right)| left == right);
        if let Some((name, _)) = twice {
            return Err(invalid(format!("`{name}` is given twice")));
        }
        let mut bytes = 0_usize;
        for (name, value) in &pairs {
            let (name, value) = (name.as_ref(), value.as_ref());
            if name.is_empty() {
                return Err(invalid("a name is empty"));
            }
            if name.starts_with("pii:") {
                return Err(invalid(format!("`{name}` is reserved: names must not begin with `pii:`")));
            }
            if value.is_empty() {
                return Err(invalid(format!("the value of `{name}` is empty")));
            }
            bytes = bytes.saturating_add(name.len()).saturating_add(value.len());
        }
        if pairs.len() > MAX_CONTEXT_PAIRS {
            return Err(invalid(format!("{} pairs; at most {MAX_CONTEXT_PAIRS} are allowed", pairs.len())));
        }
        if bytes > MAX_CONTEXT_BYTES {
            return Err(invalid(format!("{bytes} bytes; at most {MAX_CONTEXT_BYTES} are allowed")));
        }
        Ok(Self::encode(pairs.iter().map(|(name, value)| (name.as_ref(), value.as_ref())), bytes))
    }

    /// The context of these pairs, which have so many bytes.
    fn encode<'p>(pairs: impl ExactSizeIterator<Item = (&'p str, &'p str)>, bytes: usize) -> Self {
        let mut encoded = Vec::with_capacity(2 + 8 * pairs.len() + bytes);
        let (mut text, mut ends) = (String::with_capacity(bytes), SmallVec::new());
        put_u16(&mut encoded, pairs.len());
        for part in pairs.flat_map(|(name, value)| [name, value]) {
            put_lp(&mut encoded, part.as_bytes());
            text.push_str(part);
            // there are `MAX_CONTEXT_BYTES` at most
            ends.push(u16::try_from(text.len()).unwrap_or(u16::MAX));
        }
        Self { text: text.into(), ends, encoded: encoded.into() }
    }

    /// A context that no program can ask for: one pair with a reserved name.
    #[cfg(feature = "public-keyring")]
    pub(crate) fn reserved(name: &'static str, value: &str) -> Self {
        Self::encode([(name, value)].into_iter(), name.len() + value.len())
    }

    /// The pairs, sorted by name. Values are not for logs.
    pub fn pairs(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        let mut start = 0;
        let mut next = move |end: u16| {
            let part = self.text.get(start..usize::from(end)).unwrap_or_default();
            start = usize::from(end);
            part
        };
        self.ends.chunks_exact(2).map(move |pair| match *pair {
            [name, value] => (next(name), next(value)),
            _ => Default::default(),
        })
    }

    /// The value of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.pairs().find(|pair| pair.0 == name).map(|pair| pair.1)
    }

    /// The names, separated by commas: what errors may say about a context.
    #[must_use]
    pub fn names(&self) -> String {
        let names: Vec<&str> = self.pairs().map(|pair| pair.0).collect();
        names.join(", ")
    }

    /// The canonical bytes that are authenticated: see FORMAT.md.
    #[must_use]
    #[inline]
    pub fn canonical_bytes(&self) -> &[u8] {
        &self.encoded
    }

    /// The context without this pair.
    pub(crate) fn without(&self, name: &str) -> Result<Self> {
        Self::new(self.pairs().filter(|pair| pair.0 != name))
    }

    /// The names of those pairs of `scope` that this context lacks or has with another value.
    pub(crate) fn names_that_differ(&self, scope: &Self) -> Vec<String> {
        scope
            .pairs()
            .filter(|(name, value)| self.get(name) != Some(value))
            .map(|(name, _)| name.to_owned())
            .collect()
    }

    /// Both contexts in one.
    pub(crate) fn and(&self, other: &Self) -> Result<Self> {
        let mut pairs: Vec<(&str, &str)> = self.pairs().collect();
        for (name, value) in other.pairs() {
            match self.get(name) {
                None => pairs.push((name, value)),
                Some(same) if same == value => {}
                Some(_) => {
                    return Err(Error::new(ErrorKind::ContextMismatch)
                        .message(format!("the scope already has another value for `{name}`")));
                }
            }
        }
        Self::new(pairs)
    }
}

impl fmt::Debug for EncryptionContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EncryptionContext({})", self.names())
    }
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidContext).message(message)
}

/// A value that may stand in an encryption context: text, integers, UUIDs and references to them.
///
/// Newtypes get it by `#[derive(ContextValue)]`. `Option` has none: a context value must exist.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a value of an encryption context",
    label = "needs a `String`, `&str`, integer, `Uuid` (feature `uuid`), or a newtype with `#[derive(ContextValue)]`",
    note = "an encryption context value must always exist: `Option` is not accepted"
)]
pub trait ContextValue {
    /// Whether it is text, an integer or a UUID, so that a database makes the same text of the stored value. The
    /// rows of others are then left out by conditions of statements, and otherwise after they were read.
    const IS_STORED_TEXT: bool = false;

    /// Writes the value as text.
    fn write_context(&self, out: &mut ContextText<'_>);
}

/// Where a [`ContextValue`] writes its text.
pub struct ContextText<'a>(&'a mut Retold);

impl ContextText<'_> {
    /// Appends text.
    #[inline]
    pub fn push(&mut self, text: &str) {
        self.0.push(text);
    }
}

/// A text that is written again and again. What is the same as before is compared and not copied.
#[derive(Default)]
struct Retold {
    /// begins with what was written, and goes on with what stood there before
    text: String,
    written: usize,
    /// whether something else was written than what stood there
    differs: bool,
}

impl Retold {
    #[inline]
    fn push(&mut self, part: &str) {
        let before = self.text.as_bytes().get(self.written..).unwrap_or_default();
        if !before.starts_with(part.as_bytes()) {
            self.push_other(part);
        }
        self.written += part.len();
    }

    fn push_other(&mut self, part: &str) {
        self.text.truncate(self.written);
        self.text.push_str(part);
        self.differs = true;
    }
}

impl fmt::Write for Retold {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push(text);
        Ok(())
    }
}

impl ContextValue for str {
    const IS_STORED_TEXT: bool = true;

    #[inline]
    fn write_context(&self, out: &mut ContextText<'_>) {
        out.push(self);
    }
}

impl ContextValue for String {
    const IS_STORED_TEXT: bool = true;

    #[inline]
    fn write_context(&self, out: &mut ContextText<'_>) {
        out.push(self);
    }
}

macro_rules! delegate {
    ($($pointer:ty),*) => {$(
        impl<T: ContextValue + ?Sized> ContextValue for $pointer {
            const IS_STORED_TEXT: bool = T::IS_STORED_TEXT;

            #[inline]
            fn write_context(&self, out: &mut ContextText<'_>) { (**self).write_context(out); }
        }
    )*};
}
delegate!(&T, Box<T>, Arc<T>, Rc<T>);

impl<T: ContextValue + ToOwned + ?Sized> ContextValue for Cow<'_, T> {
    const IS_STORED_TEXT: bool = T::IS_STORED_TEXT;

    fn write_context(&self, out: &mut ContextText<'_>) {
        (**self).write_context(out);
    }
}

macro_rules! by_display {
    ($is_stored_text:literal: $($ty:ty),*) => {$(
        impl ContextValue for $ty {
            const IS_STORED_TEXT: bool = $is_stored_text;

            fn write_context(&self, out: &mut ContextText<'_>) {
                // writing to a String cannot fail
                let _ = write!(out.0, "{self}");
            }
        }
    )*};
}
by_display!(true: i8, i16, i32, i64, i128, isize, u8, u16, u32, u64, u128, usize);
// some databases store a number
by_display!(false: bool);
#[cfg(feature = "uuid")]
by_display!(true: uuid::Uuid);

/// Collects the context of one row; the derive calls it, one pair after the other.
#[derive(Default)]
pub struct ContextWriter {
    /// names and where their values end: what was written, and what stood there before
    pairs: Vec<(&'static str, usize)>,
    written: usize,
    text: Retold,
}

impl ContextWriter {
    /// Adds a pair.
    #[inline]
    pub fn pair<V: ContextValue + ?Sized>(&mut self, name: &'static str, value: &V) {
        value.write_context(&mut ContextText(&mut self.text));
        let end = self.text.written;
        // names are mostly the very same text, and telling so is quicker than comparing them
        let is_before =
            |before: &(&str, usize)| before.1 == end && (std::ptr::eq(before.0, name) || before.0 == name);
        if !self.pairs.get(self.written).is_some_and(is_before) {
            self.pairs.truncate(self.written);
            self.pairs.push((name, end));
            self.text.differs = true;
        }
        self.written += 1;
    }

    /// With room for most contexts.
    pub(crate) fn with_room() -> Self {
        let text = Retold { text: String::with_capacity(64), ..Retold::default() };
        Self { pairs: Vec::with_capacity(4), text, ..Self::default() }
    }

    /// Begins with the next row.
    #[inline]
    pub(crate) fn restart(&mut self) {
        self.written = 0;
        self.text.written = 0;
    }

    /// Whether all was written, and equals what was written when this was last asked.
    #[inline]
    pub(crate) fn is_as_before(&mut self) -> bool {
        let is_whole = self.written == self.pairs.len() && self.text.written == self.text.text.len();
        if is_whole && !self.text.differs {
            return true;
        }
        self.pairs.truncate(self.written);
        self.text.text.truncate(self.text.written);
        self.text.differs = false;
        false
    }

    pub(crate) fn finish(&self) -> Result<EncryptionContext> {
        let mut start = 0;
        EncryptionContext::new(self.pairs.iter().take(self.written).map(|&(name, end)| {
            let value = self.text.text.get(start..end).unwrap_or_default();
            start = end;
            (name, value)
        }))
    }
}

/// Builds an [`EncryptionContext`]: `ctx!(app = "billing", tenant = session.tenant)?`.
///
/// # Errors
/// As [`EncryptionContext::new`].
#[macro_export]
macro_rules! ctx {
    ($($name:ident = $value:expr),* $(,)?) => {
        $crate::EncryptionContext::new::<&str, ::std::string::String>(
            [$((::core::stringify!($name), $crate::context_text(&$value))),*]
        )
    };
}

/// The text of a context value; used by [`ctx!`].
#[doc(hidden)]
pub fn context_text<V: ContextValue + ?Sized>(value: &V) -> String {
    let mut text = Retold::default();
    value.write_context(&mut ContextText(&mut text));
    text.text
}

/// What [`Cryptor::scoped`](crate::Cryptor::scoped) takes: a context, or the result of [`ctx!`].
pub trait IntoContext {
    /// The context, or why it is not one.
    ///
    /// # Errors
    /// As [`EncryptionContext::new`].
    fn into_context(self) -> Result<EncryptionContext>;
}

impl IntoContext for EncryptionContext {
    fn into_context(self) -> Result<EncryptionContext> {
        Ok(self)
    }
}

impl IntoContext for Result<EncryptionContext> {
    fn into_context(self) -> Result<EncryptionContext> {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(pairs: &[(&str, &str)]) -> ErrorKind {
        EncryptionContext::new(pairs.iter().copied()).unwrap_err().kind()
    }

    #[test]
    fn pairs_are_sorted_and_encoded_without_ambiguity() {
        let context = ctx!(tenant = "acme", app = "billing").unwrap();
        assert_eq!(context.pairs().collect::<Vec<_>>(), [("app", "billing"), ("tenant", "acme")]);
        assert_eq!(
            context.canonical_bytes(),
            b"\0\x02\0\0\0\x03app\0\0\0\x07billing\0\0\0\x06tenant\0\0\0\x04acme"
        );
        let a = EncryptionContext::new([("a", "b"), ("c", "d")]).unwrap();
        let b = EncryptionContext::new([("a", "bcd")]).unwrap();
        assert_ne!(a.canonical_bytes(), b.canonical_bytes());
    }

    #[test]
    fn what_cannot_be_a_context_is_refused() {
        let nine: Vec<String> = (0..9).map(|n| format!("k{n}")).collect();
        assert_eq!(kind(&[("", "x")]), ErrorKind::InvalidContext);
        assert_eq!(kind(&[("a", "")]), ErrorKind::InvalidContext);
        assert_eq!(kind(&[("a", "1"), ("a", "1")]), ErrorKind::InvalidContext);
        assert_eq!(kind(&[("pii:purpose", "seal")]), ErrorKind::InvalidContext);
        assert_eq!(
            kind(&nine.iter().map(|k| (k.as_str(), "v")).collect::<Vec<_>>()),
            ErrorKind::InvalidContext
        );
        assert_eq!(kind(&[("a", &"x".repeat(1024))]), ErrorKind::InvalidContext);
        assert!(EncryptionContext::new([("a", "x".repeat(1023))]).is_ok());
    }

    #[test]
    fn a_writer_tells_whether_the_next_row_has_the_same_context() {
        type Pairs = &'static [(&'static str, &'static [&'static str])];
        let rows: [(Pairs, bool); 14] = [
            (&[], true),
            (&[("app", &["billing"]), ("tenant", &["ac", "me"])], false),
            (&[("app", &["billing"]), ("tenant", &["acme"])], true),
            (&[("app", &["bill", "ing"]), ("tenant", &["acme"])], true),
            (&[("app", &["billing"]), ("tenant", &["acmé"])], false),
            (&[("app", &["billing"]), ("tenant", &["acmè"])], false),
            (&[("app", &["billin"]), ("tenant", &["gacmè"])], false),
            (&[("app", &["billin"])], false),
            (&[("app", &["billin"])], true),
            (&[("app", &["billin"]), ("tenant", &["gacmè"])], false),
            (&[("app", &["billin"]), ("region", &["gacmè"])], false),
            (&[("app", &["billin"]), ("region", &[])], false),
            (&[("app", &["billin"]), ("region", &[])], true),
            (&[], false),
        ];
        let mut writer = ContextWriter::with_room();
        for (row, is_same) in rows {
            writer.restart();
            for (name, parts) in row {
                writer.pair(name, &Parts(parts));
            }
            assert_eq!(writer.is_as_before(), is_same, "{row:?}");
            let context = EncryptionContext::new(row.iter().map(|(name, parts)| (name, parts.concat())));
            match (writer.finish(), context) {
                (Ok(written), Ok(context)) => assert!(written == context, "{row:?}"),
                (written, context) => assert_eq!(written.is_ok(), context.is_ok(), "{row:?}"),
            }
        }
        // of what was written and not asked about, the next row knows
        for (tenant, is_same) in [("one", None), ("two", None), ("two", Some(false)), ("two", Some(true))] {
            writer.restart();
            writer.pair("tenant", tenant);
            assert!(is_same.is_none_or(|is_same| is_same == writer.is_as_before()));
        }
    }

    /// Writes its text in parts.
    struct Parts<'a>(&'a [&'a str]);

    impl ContextValue for Parts<'_> {
        fn write_context(&self, out: &mut ContextText<'_>) {
            self.0.iter().for_each(|part| out.push(part));
        }
    }

    #[test]
    fn errors_and_debug_name_keys_only() {
        let error =
            EncryptionContext::new([("tenant", "secret-tenant"), ("tenant", "secret-tenant")]).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("secret-tenant"));
    }
}
