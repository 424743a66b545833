//! The words of a piece of SQL, to see which columns it names.

/// A part of a piece of SQL. Texts in quotes and comments are none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Word {
    /// a keyword or a name without quotes
    Bare(String),
    /// a name in quotes, without them
    Quoted(String),
    Sign(char),
}

impl Word {
    pub(crate) fn name(&self) -> Option<&str> {
        match self {
            Self::Bare(name) | Self::Quoted(name) => Some(name),
            Self::Sign(_) => None,
        }
    }

    pub(crate) fn is(&self, keyword: &str) -> bool {
        matches!(self, Self::Bare(word) if word.eq_ignore_ascii_case(keyword))
    }
}

/// Whether a column of this name stands in it.
pub(crate) fn mentions(sql: &str, name: &str) -> bool {
    words(sql).iter().filter_map(Word::name).any(|word| word.eq_ignore_ascii_case(name))
}

pub(crate) fn words(sql: &str) -> Vec<Word> {
    let mut out = Vec::new();
    let mut rest = sql.chars().peekable();
    while let Some(first) = rest.next() {
        match first {
            '\'' => {
                until(&mut rest, '\'');
            }
            '"' | '`' => out.push(Word::Quoted(until(&mut rest, first))),
            '[' => out.push(Word::Quoted(until(&mut rest, ']'))),
            '-' if rest.peek() == Some(&'-') => while rest.next().is_some_and(|next| next != '\n') {},
            '/' if rest.peek() == Some(&'*') => {
                let mut before = ' ';
                for next in rest.by_ref() {
                    if before == '*' && next == '/' {
                        break;
                    }
                    before = next;
                }
            }
            first if is_part(first) => {
                let mut word = String::from(first);
                while let Some(next) = rest.next_if(|next| is_part(*next)) {
                    word.push(next);
                }
                out.push(Word::Bare(word));
            }
            first if first.is_whitespace() => {}
            sign => out.push(Word::Sign(sign)),
        }
    }
    out
}

fn is_part(character: char) -> bool {
    character.is_alphanumeric() || matches!(character, '_' | '$')
}

/// What stands before the closing quote, which is doubled inside.
fn until(rest: &mut std::iter::Peekable<std::str::Chars<'_>>, close: char) -> String {
    let mut text = String::new();
    while let Some(next) = rest.next() {
        if next == close {
            if rest.next_if_eq(&close).is_none() {
                break;
            }
        }
        text.push(next);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_from_texts_and_comments() {
        let sql = "create view v as select lower(\"e mail\"), c.[city] /* ssn */ from c -- phone\n where x = 'it''s email'";
        for there in ["e mail", "CITY", "x", "v"] {
            assert!(mentions(sql, there), "{there}");
        }
        for absent in ["email", "ssn", "phone", "mail", "it"] {
            assert!(!mentions(sql, absent), "{absent}");
        }
    }

    #[test]
    fn names_are_not_found_inside_longer_ones() {
        assert!(!mentions("select email_bidx, myemail from t", "email"));
        assert!(mentions("select t.email from t", "email"));
    }

    #[test]
    fn what_is_cut_off_ends() {
        assert!(mentions("select \"email", "email"));
        assert!(!mentions("/* email", "email"));
        assert_eq!(words("a=-1").len(), 4);
    }
}
