//! Updates of items.

use pii_core::{Error, Result};

use super::{
    Guarded, Meanings,
    parse::{Operand, Parser, unreadable},
    path::Path,
    target::Target,
    tokens::Token,
};

/// Refuses an update that writes something else than sealed texts to a sealed attribute, or copies one to
/// another place.
///
/// # Errors
/// [`State`](pii_core::ErrorKind::State), which names the field;
/// [`Configuration`](pii_core::ErrorKind::Configuration) for what can't be read.
pub(crate) fn check_update(
    guarded: &Guarded,
    expression: Option<&str>,
    meanings: Meanings<'_>,
) -> Result<()> {
    let Some(expression) = expression.filter(|_| !guarded.is_empty()) else { return Ok(()) };
    let check = Check { guarded, meanings };
    let actions = actions(expression, meanings).map_err(|error| guarded.at_model(error))?;
    actions.iter().try_for_each(|action| check.action(action))
}

enum Action<'a> {
    Set(Path, Operand<'a>),
    Remove,
    /// `ADD` and `DELETE`, which are for numbers and sets
    Change(Path),
}

#[derive(Clone, Copy)]
struct Check<'a> {
    guarded: &'a Guarded,
    meanings: Meanings<'a>,
}

impl<'a> Check<'a> {
    fn action(self, action: &Action<'_>) -> Result<()> {
        match action {
            Action::Remove => Ok(()),
            Action::Change(path) => match self.target(path) {
                None => Ok(()),
                Some(target) => Err(self.not_sealed(target)),
            },
            Action::Set(path, operand) => match self.target(path) {
                None => self.plain_source(operand),
                Some(target) => self.set(path, target, operand),
            },
        }
    }

    /// What is written to a guarded attribute: a sealed value, or what is there already.
    fn set(self, path: &Path, target: Target<'_>, operand: &Operand<'_>) -> Result<()> {
        let each = |operands: &[Operand<'_>]| {
            operands.iter().try_for_each(|operand| self.set(path, target, operand))
        };
        match operand {
            Operand::Value(value) => {
                let value = self.meanings.value(value).map_err(|error| self.guarded.at_model(error))?;
                if target.allows(value) { Ok(()) } else { Err(self.not_sealed(target)) }
            }
            Operand::Path(source) if source == path => Ok(()),
            Operand::Path(source) => match self.target(source) {
                Some(source) => Err(self.moved(source).unwrap_or_else(|| self.not_sealed(target))),
                None => Err(self.not_sealed(target)),
            },
            Operand::Call("if_not_exists", operands) => each(operands),
            Operand::Call("list_append", operands)
                if matches!(target, Target::Values(_) | Target::Struct(_)) =>
            {
                each(operands)
            }
            Operand::Call(..) | Operand::Sum(_) => Err(self.not_sealed(target)),
        }
    }

    /// What is written to a plain attribute: nothing that is sealed.
    fn plain_source(self, operand: &Operand<'_>) -> Result<()> {
        match operand {
            Operand::Value(value) => {
                self.meanings.value(value).map(|_| ()).map_err(|error| self.guarded.at_model(error))
            }
            Operand::Path(path) => {
                self.target(path).and_then(|source| self.moved(source)).map_or(Ok(()), Err)
            }
            Operand::Call(_, operands) | Operand::Sum(operands) => {
                operands.iter().try_for_each(|operand| self.plain_source(operand))
            }
        }
    }

    fn target(self, path: &Path) -> Option<Target<'a>> {
        Target::of(self.guarded, path)
    }

    fn not_sealed(self, target: Target<'_>) -> Error {
        match target {
            Target::Value(field) | Target::Values(field) | Target::Struct(field) => {
                self.guarded.not_sealed(field)
            }
            Target::Code(code) => self.guarded.no_code(code),
        }
    }

    /// A code is bound to no place.
    fn moved(self, source: Target<'_>) -> Option<Error> {
        match source {
            Target::Value(field) | Target::Values(field) | Target::Struct(field) => {
                Some(self.guarded.moved(field))
            }
            Target::Code(_) => None,
        }
    }
}

#[derive(Clone, Copy)]
enum Clause {
    Set,
    Remove,
    Change,
}

fn actions<'a>(expression: &'a str, meanings: Meanings<'a>) -> Result<Vec<Action<'a>>> {
    let mut parser = Parser::of(expression, meanings)?;
    let mut actions = Vec::new();
    while parser.peek().is_some() {
        let clause = clause(&mut parser)?;
        actions.push(action(&mut parser, clause)?);
        while parser.has(",") {
            actions.push(action(&mut parser, clause)?);
        }
    }
    Ok(actions)
}

fn clause(parser: &mut Parser<'_>) -> Result<Clause> {
    match parser.take() {
        Some(Token::Word(word)) if word.eq_ignore_ascii_case("SET") => Ok(Clause::Set),
        Some(Token::Word(word)) if word.eq_ignore_ascii_case("REMOVE") => Ok(Clause::Remove),
        Some(Token::Word(word)) if ["ADD", "DELETE"].iter().any(|verb| word.eq_ignore_ascii_case(verb)) => {
            Ok(Clause::Change)
        }
        _ => Err(unreadable()),
    }
}

fn action<'a>(parser: &mut Parser<'a>, clause: Clause) -> Result<Action<'a>> {
    let path = parser.path()?;
    match clause {
        Clause::Remove => Ok(Action::Remove),
        Clause::Set => {
            parser.expect("=")?;
            Ok(Action::Set(path, parser.operand()?))
        }
        Clause::Change => match parser.operand()? {
            Operand::Value(value) => parser.meanings.value(value).map(|_| Action::Change(path)),
            _ => Err(unreadable()),
        },
    }
}
