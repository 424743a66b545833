//! What all kinds of expressions have in common: paths and operands.

use pii_core::{Error, Result};

use super::{
    Meanings,
    path::{Path, Step},
    tokens::{Token, tokens},
};

/// DynamoDB takes at most 300 operators in an expression. What is nested deeper is not worth a stack.
const MAX_DEPTH: usize = 300;

/// Something with a value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Operand<'a> {
    Path(Path),
    /// `:value`
    Value(&'a str),
    /// `size(path)`
    Call(&'a str, Vec<Operand<'a>>),
    /// `a + b` or `a - b`
    Sum(Vec<Operand<'a>>),
}

/// Reads the tokens of one expression.
pub(super) struct Parser<'a> {
    pub(super) meanings: Meanings<'a>,
    tokens: Vec<Token<'a>>,
    next: usize,
}

impl<'a> Parser<'a> {
    pub(super) fn of(text: &'a str, meanings: Meanings<'a>) -> Result<Self> {
        let tokens = tokens(text).filter(|tokens| !tokens.is_empty()).ok_or_else(unreadable)?;
        Ok(Self { meanings, tokens, next: 0 })
    }

    pub(super) fn peek(&self) -> Option<Token<'a>> {
        self.ahead(0)
    }

    pub(super) fn ahead(&self, tokens: usize) -> Option<Token<'a>> {
        self.tokens.get(self.next.checked_add(tokens)?).copied()
    }

    pub(super) fn take(&mut self) -> Option<Token<'a>> {
        let token = self.peek()?;
        self.next += 1;
        Some(token)
    }

    /// Takes this symbol, if it is the next token.
    pub(super) fn has(&mut self, symbol: &str) -> bool {
        let is_next = matches!(self.peek(), Some(Token::Symbol(next)) if next == symbol);
        self.next += usize::from(is_next);
        is_next
    }

    /// Takes this keyword, if it is the next token.
    pub(super) fn has_word(&mut self, keyword: &str) -> bool {
        let is_next = matches!(self.peek(), Some(Token::Word(word)) if word.eq_ignore_ascii_case(keyword));
        self.next += usize::from(is_next);
        is_next
    }

    pub(super) fn expect(&mut self, symbol: &str) -> Result<()> {
        if self.has(symbol) { Ok(()) } else { Err(unreadable()) }
    }

    /// `address.#lines[0]`
    pub(super) fn path(&mut self) -> Result<Path> {
        let attribute = self.step_name()?;
        let mut steps = Vec::new();
        loop {
            if self.has(".") {
                steps.push(Step::Name(self.step_name()?));
            } else if self.has("[") {
                match self.take() {
                    Some(Token::Word(index)) if index.bytes().all(|byte| byte.is_ascii_digit()) => {}
                    _ => return Err(unreadable()),
                }
                self.expect("]")?;
                steps.push(Step::Element);
            } else {
                return Ok(Path { attribute, steps });
            }
        }
    }

    fn step_name(&mut self) -> Result<String> {
        match self.take() {
            Some(Token::Word(name)) => Ok(name.to_owned()),
            Some(Token::NamePlaceholder(name)) => self.meanings.name(name).map(str::to_owned),
            _ => Err(unreadable()),
        }
    }

    pub(super) fn operand(&mut self) -> Result<Operand<'a>> {
        self.sum(0)
    }

    fn sum(&mut self, depth: usize) -> Result<Operand<'a>> {
        let first = self.term(depth)?;
        let mut terms = vec![first];
        while self.has("+") || self.has("-") {
            terms.push(self.term(depth)?);
        }
        match (terms.pop(), terms.is_empty()) {
            (Some(only), true) => Ok(only),
            (Some(last), false) => {
                terms.push(last);
                Ok(Operand::Sum(terms))
            }
            (None, _) => Err(unreadable()),
        }
    }

    fn term(&mut self, depth: usize) -> Result<Operand<'a>> {
        if depth > MAX_DEPTH {
            return Err(unreadable());
        }
        if self.has("(") {
            let inner = self.sum(depth + 1)?;
            self.expect(")")?;
            return Ok(inner);
        }
        match (self.peek(), self.ahead(1)) {
            (Some(Token::ValuePlaceholder(value)), _) => {
                self.take();
                Ok(Operand::Value(value))
            }
            (Some(Token::Word(function)), Some(Token::Symbol("("))) => {
                self.take();
                Ok(Operand::Call(function, self.list(depth + 1)?))
            }
            _ => self.path().map(Operand::Path),
        }
    }

    /// `(a, b, c)`
    pub(super) fn list(&mut self, depth: usize) -> Result<Vec<Operand<'a>>> {
        self.expect("(")?;
        let mut operands = vec![self.sum(depth)?];
        while self.has(",") {
            operands.push(self.sum(depth)?);
        }
        self.expect(")")?;
        Ok(operands)
    }
}

/// That it is no expression.
pub(super) fn unreadable() -> Error {
    super::unreadable("an expression can't be read, and it may name a sealed attribute")
        .help("write values as `:value`, and names that are unusual or reserved as `#name`")
}
