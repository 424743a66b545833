//! Conditions: of keys, of items that are read, and of items that are written.

use aws_sdk_dynamodb::types::AttributeValue;
use pii_core::{Error, Result};

use super::{
    Guarded, Meanings,
    guarded::Code,
    parse::{Operand, Parser, unreadable},
    target::Target,
    tokens::Token,
};

/// One test of a condition. What joins them makes no difference here.
struct Test<'a> {
    kind: Kind<'a>,
    operands: Vec<Operand<'a>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind<'a> {
    /// `=`, `<>` and `IN`
    Equality,
    /// `<`, `BETWEEN` and their like
    Order,
    Function(&'a str),
}

/// Refuses a condition that looks into sealed values. Whether one is still the text that was read may be asked,
/// whether it is there, and whether it is sealed yet.
///
/// # Errors
/// [`Configuration`](pii_core::ErrorKind::Configuration), which names the field.
pub(crate) fn check_condition(
    guarded: &Guarded,
    expression: Option<&str>,
    meanings: Meanings<'_>,
) -> Result<()> {
    let Some(expression) = expression.filter(|_| !guarded.is_empty()) else { return Ok(()) };
    let check = Check { guarded, meanings };
    let tests = tests(expression, meanings).map_err(|error| guarded.at_model(error))?;
    tests.iter().try_for_each(|test| check.test(test))
}

#[derive(Clone, Copy)]
struct Check<'a> {
    guarded: &'a Guarded,
    meanings: Meanings<'a>,
}

impl<'a> Check<'a> {
    fn test(self, test: &Test<'_>) -> Result<()> {
        test.operands.iter().try_for_each(|operand| self.inside(operand))?;
        for operand in &test.operands {
            let Operand::Path(path) = operand else { continue };
            let Some(target) = Target::of(self.guarded, path) else { continue };
            let is_fine = match (test.kind, target) {
                (_, Target::Code(code)) => self.compares_codes(code, test)?,
                (Kind::Equality, _) => self.compares_sealed(target, &test.operands)?,
                (Kind::Function(function), _) => self.asks(target, function, &test.operands)?,
                (Kind::Order, _) => false,
            };
            if !is_fine {
                return Err(self.refused(target));
            }
        }
        Ok(())
    }

    /// Operands inside of operands: the length of a sealed text says little, and of sums there are none.
    fn inside(self, operand: &Operand<'_>) -> Result<()> {
        let (function, operands) = match operand {
            Operand::Path(_) => return Ok(()),
            Operand::Value(value) => return self.value(value).map(|_| ()),
            Operand::Call(function, operands) => (Some(*function), operands),
            Operand::Sum(operands) => (None, operands),
        };
        for operand in operands {
            self.inside(operand)?;
            let Operand::Path(path) = operand else { continue };
            let Some(target) = Target::of(self.guarded, path) else { continue };
            let is_one_text = matches!(target, Target::Value(_));
            if is_one_text || function != Some("size") {
                return Err(self.refused(target));
            }
        }
        Ok(())
    }

    /// Whether all that a sealed attribute is said to equal are sealed texts.
    fn compares_sealed(self, target: Target<'_>, operands: &[Operand<'_>]) -> Result<bool> {
        let mut paths = 0_usize;
        for operand in operands {
            let fits = match operand {
                Operand::Value(value) => target.allows(self.value(value)?),
                Operand::Path(_) => {
                    paths += 1;
                    paths == 1
                }
                Operand::Call(..) | Operand::Sum(_) => false,
            };
            if !fits {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether all that an attribute of a blind index is compared with can be codes: a search for something else
    /// would find nothing, and show the service what is searched for.
    fn compares_codes(self, code: Code, test: &Test<'_>) -> Result<bool> {
        if matches!(test.kind, Kind::Function("attribute_exists" | "attribute_not_exists" | "attribute_type"))
        {
            return Ok(true);
        }
        for operand in &test.operands {
            let fits = match operand {
                Operand::Value(value) if test.kind == Kind::Equality => code.is_code(self.value(value)?),
                Operand::Value(value) => code.begins_with(self.value(value)?),
                Operand::Path(path) => matches!(Target::of(self.guarded, path), Some(Target::Code(_))),
                Operand::Call(..) | Operand::Sum(_) => false,
            };
            if !fits {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether a function may be asked about a sealed attribute.
    fn asks(self, target: Target<'_>, function: &str, operands: &[Operand<'_>]) -> Result<bool> {
        Ok(match (function, operands) {
            // these look at the attribute, and not into it
            ("attribute_exists" | "attribute_not_exists", [_])
            | ("attribute_type", [Operand::Path(_), Operand::Value(_)]) => true,
            ("contains", [Operand::Path(_), Operand::Value(value)]) => match target {
                Target::Values(_) => target.allows(self.value(value)?),
                _ => false,
            },
            // whether it is sealed yet
            ("begins_with", [Operand::Path(_), Operand::Value(value)]) => {
                let is_prefix = |value: &AttributeValue| value.as_s().is_ok_and(|text| text == "ENC:");
                matches!(target, Target::Value(_)) && is_prefix(self.value(value)?)
            }
            _ => false,
        })
    }

    fn value(self, placeholder: &str) -> Result<&'a AttributeValue> {
        self.meanings.value(placeholder).map_err(|error| self.guarded.at_model(error))
    }

    fn refused(self, target: Target<'_>) -> Error {
        match target {
            Target::Value(field) | Target::Values(field) | Target::Struct(field) => {
                self.guarded.no_comparison(field)
            }
            Target::Code(code) => self.guarded.no_search(code),
        }
    }
}

/// All tests of a condition.
fn tests<'a>(expression: &'a str, meanings: Meanings<'a>) -> Result<Vec<Test<'a>>> {
    let mut parser = Parser::of(expression, meanings)?;
    let mut tests = Vec::new();
    let mut open = 0_usize;
    loop {
        loop {
            if parser.has("(") {
                open += 1;
            } else if !parser.has_word("NOT") {
                break;
            }
        }
        tests.push(test(&mut parser, &mut open)?);
        while open > 0 && parser.has(")") {
            open -= 1;
        }
        if !(parser.has_word("AND") || parser.has_word("OR")) {
            break;
        }
    }
    if open == 0 && parser.peek().is_none() { Ok(tests) } else { Err(unreadable()) }
}

fn test<'a>(parser: &mut Parser<'a>, open: &mut usize) -> Result<Test<'a>> {
    let first = parser.operand()?;
    // `(a) = :b`
    let mut closed = 0;
    while matches!(parser.ahead(closed), Some(Token::Symbol(")"))) {
        closed += 1;
    }
    if closed <= *open && is_comparator(parser.ahead(closed)) {
        for _ in 0..closed {
            parser.take();
        }
        *open -= closed;
    }
    if !is_comparator(parser.peek()) {
        return match first {
            Operand::Call(function, operands) => Ok(Test { kind: Kind::Function(function), operands }),
            _ => Err(unreadable()),
        };
    }
    if parser.has_word("BETWEEN") {
        let from = parser.operand()?;
        if !parser.has_word("AND") {
            return Err(unreadable());
        }
        let to = parser.operand()?;
        return Ok(Test { kind: Kind::Order, operands: vec![first, from, to] });
    }
    if parser.has_word("IN") {
        let mut operands = parser.list(0)?;
        operands.insert(0, first);
        return Ok(Test { kind: Kind::Equality, operands });
    }
    let kind = if parser.has("=") || parser.has("<>") {
        Kind::Equality
    } else {
        parser.take();
        Kind::Order
    };
    Ok(Test { kind, operands: vec![first, parser.operand()?] })
}

fn is_comparator(token: Option<Token<'_>>) -> bool {
    match token {
        Some(Token::Symbol(symbol)) => ["=", "<>", "<", "<=", ">", ">="].contains(&symbol),
        Some(Token::Word(word)) => ["BETWEEN", "IN"].iter().any(|keyword| word.eq_ignore_ascii_case(keyword)),
        _ => false,
    }
}
