//! Whether what a test has in hand is sealed.

use serde_json::Value;

use crate::{Ciphertext, Encrypted, PiiModel, ValueState, model::Walk, value::Cell};

/// What [`assert_sealed!`](macro@super::assert_sealed) can look at: values, models, stored text, JSON strings, and lists
/// and options of them.
pub trait LookSealed {
    /// Why it is not sealed, without showing it.
    ///
    /// # Errors
    /// If it is not sealed, or there is nothing to look at.
    fn look_sealed(&self) -> Result<(), String>;
}

/// Asserts that values are sealed: each an [`Encrypted`] value, a model (all of its values), the text of a
/// column, an attribute or a line, a string of a JSON document, or a list or option of these. With nothing in it,
/// a list, an option or a model proves nothing and fails.
///
/// ```
/// # use pii_core as pii;
/// # use pii::{Cryptor, Documents, NoId, TestKeyring, testing::assert_sealed};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> pii::Result<()> {
/// # let cryptor = Cryptor::envelope().keyring(TestKeyring::new()).build()?;
/// let mut document = serde_json::json!({ "email": "ada@example.com" });
/// # let documents = Documents::new("note").paths(["$.email"])?;
/// documents.encrypt_fields(&cryptor, &mut document, NoId).await?;
/// assert_sealed!(document["email"], [document["email"].as_str()]);
/// # Ok(())
/// # }
/// ```
///
/// # Panics
/// If something is not sealed. Nothing of it is shown.
#[macro_export]
macro_rules! assert_sealed {
    ($($value:expr),+ $(,)?) => {{
        $({
            // a method finds its way through references
            use $crate::testing::LookSealed as _;
            if let ::std::result::Result::Err(why) = ($value).look_sealed() {
                ::std::panic!("expected `{}` to be sealed: {why}", ::std::stringify!($value));
            }
        })+
    }};
}

impl<T> LookSealed for Encrypted<T> {
    fn look_sealed(&self) -> Result<(), String> {
        match self.state() {
            ValueState::Sealed => Ok(()),
            other => Err(format!("the value is in the state {other:?}")),
        }
    }
}

impl<M: PiiModel> LookSealed for M {
    fn look_sealed(&self) -> Result<(), String> {
        let mut walk = Walk::default();
        self.visit(&mut walk);
        if walk.slots().is_empty() {
            return Err(format!("this `{}` has no values", M::MODEL.name()));
        }
        match walk.slots().iter().find(|slot| !matches!(slot.cell, Cell::Sealed { .. })) {
            None => Ok(()),
            Some(slot) => Err(format!("`{}.{}` is not", M::MODEL.name(), slot.field.name())),
        }
    }
}

impl LookSealed for str {
    fn look_sealed(&self) -> Result<(), String> {
        Ciphertext::parse(self).map(drop).map_err(|error| error.to_string())
    }
}

impl LookSealed for String {
    fn look_sealed(&self) -> Result<(), String> {
        self.as_str().look_sealed()
    }
}

impl LookSealed for Value {
    fn look_sealed(&self) -> Result<(), String> {
        self.as_str().ok_or("the JSON value is no string")?.look_sealed()
    }
}

impl<T: LookSealed> LookSealed for Option<T> {
    fn look_sealed(&self) -> Result<(), String> {
        self.as_ref().ok_or("there is no value")?.look_sealed()
    }
}

impl<T: LookSealed> LookSealed for [T] {
    fn look_sealed(&self) -> Result<(), String> {
        if self.is_empty() {
            return Err("the list is empty".to_owned());
        }
        let number = |(index, value): (usize, &T)| {
            value.look_sealed().map_err(|why| format!("element {index}: {why}"))
        };
        self.iter().enumerate().try_for_each(number)
    }
}

impl<T: LookSealed> LookSealed for Vec<T> {
    fn look_sealed(&self) -> Result<(), String> {
        self.as_slice().look_sealed()
    }
}

impl<T: LookSealed, const N: usize> LookSealed for [T; N] {
    fn look_sealed(&self) -> Result<(), String> {
        self.as_slice().look_sealed()
    }
}

impl LookSealed for &str {
    fn look_sealed(&self) -> Result<(), String> {
        (**self).look_sealed()
    }
}
