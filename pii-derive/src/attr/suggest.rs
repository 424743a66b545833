//! "Did you mean": what an unknown word is most likely to stand for.

use syn::Ident;

use super::{container, field};

/// The error for a key that nothing knows, or that is known elsewhere.
pub(super) fn unknown_key(key: &Ident, on_struct: bool) -> syn::Error {
    let (known, elsewhere, here, there) = if on_struct {
        (container::KEYS, field::KEYS, "a struct", "a field")
    } else {
        (field::KEYS, container::KEYS, "a field", "a struct")
    };
    let name = key.unraw_name();
    let message = if elsewhere.contains(&name.as_str()) {
        format!("`{name}` goes on {there}, not on {here}")
    } else if name == "rename" {
        "unknown attribute `rename`; write `name` for the stable name, or `column` for the column".to_owned()
    } else {
        let meant = nearest(&name, known).map(|near| format!(" did you mean `{near}`?")).unwrap_or_default();
        format!("unknown attribute `{name}`;{meant} {here} takes {}", list(known))
    };
    syn::Error::new_spanned(key, message)
}

trait Unraw {
    fn unraw_name(&self) -> String;
}

impl Unraw for Ident {
    fn unraw_name(&self) -> String {
        syn::ext::IdentExt::unraw(self).to_string()
    }
}

/// The word that differs from `word` by the fewest letters, if those are few.
pub(super) fn nearest<'a>(word: &str, words: &[&'a str]) -> Option<&'a str> {
    let near =
        words.iter().map(|known| (distance(&word.to_lowercase(), &known.to_lowercase()), *known)).min()?;
    (near.0 <= (near.1.len().min(word.len()) + 1) / 3).then_some(near.1)
}

/// `a`, `b` or `c`.
pub(super) fn list<W: AsRef<str>>(words: &[W]) -> String {
    let mut out = String::new();
    for (index, word) in words.iter().enumerate() {
        out.push_str(match index {
            0 => "",
            _ if index + 1 == words.len() => " or ",
            _ => ", ",
        });
        out.push('`');
        out.push_str(word.as_ref());
        out.push('`');
    }
    out
}

/// How many letters must be added, removed or changed.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, left) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut last = i + 1;
        for (cell, right) in row.iter_mut().skip(1).zip(b.chars()) {
            let above = *cell;
            *cell = if left == right { diagonal } else { 1 + diagonal.min(above).min(last) };
            (diagonal, last) = (above, *cell);
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words_are_found_and_far_ones_are_not() {
        assert_eq!(nearest("colum", field::KEYS), Some("column"));
        assert_eq!(nearest("readonly", &["ReadWrite", "ReadOnly"]), Some("ReadOnly"));
        assert_eq!(nearest("viewof", container::KEYS), Some("view_of"));
        assert_eq!(nearest("tabel", container::KEYS), Some("table"));
        assert_eq!(nearest("encrypt", field::KEYS), None);
    }

    #[test]
    fn distances_count_letters() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", "abc"), 0);
    }
}
