//! The models of the suite.

use std::collections::BTreeMap;

use pii::{Encrypted, EncryptedStr, Json, PiiModel, RowId};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub(crate) const EMAIL: &str = "ada.canary@example.com";
pub(crate) const SSN: &str = "900-12-canary";

pub(crate) const CUSTOMERS: &str = "create table customers (id bigint primary key, tenant text not null, \
     city text not null, email text not null, ssn text)";

#[derive(PiiModel, Clone)]
#[pii(name = "customer", table = "customers", context(app = "tests", tenant = self.tenant), from_row)]
pub(crate) struct Customer {
    #[pii(id)]
    pub(crate) id: i64,
    pub(crate) tenant: String,
    pub(crate) city: String,
    pub(crate) email: EncryptedStr,
    pub(crate) ssn: Option<EncryptedStr>,
}

impl Customer {
    pub(crate) fn new(id: i64) -> Self {
        Self {
            id,
            tenant: "acme".into(),
            city: "London".into(),
            email: EncryptedStr::new(EMAIL),
            ssn: Some(EncryptedStr::new(SSN)),
        }
    }

    pub(crate) fn of(id: i64, tenant: &str) -> Self {
        Self { tenant: tenant.into(), ..Self::new(id) }
    }
}

pub(crate) const ORDERS: &str = "create table orders (id bigint primary key, tenant text not null, \
     customer bigint not null, city text not null, address text not null)";

/// Has columns of the same names as a customer.
#[derive(PiiModel, Clone)]
#[pii(name = "order", table = "orders", context(app = "tests", tenant = self.tenant), from_row)]
pub(crate) struct Order {
    #[pii(id)]
    pub(crate) id: i64,
    pub(crate) tenant: String,
    pub(crate) customer: i64,
    pub(crate) city: String,
    pub(crate) address: EncryptedStr,
}

impl Order {
    pub(crate) fn new(id: i64, customer: i64) -> Self {
        Self {
            id,
            tenant: "acme".into(),
            customer,
            city: "Paris".into(),
            address: EncryptedStr::new(format!("{id} canary road")),
        }
    }
}

/// The same rows by way of `sqlx::FromRow`.
#[derive(PiiModel, sqlx::FromRow)]
#[pii(name = "customer", table = "customers", context(app = "tests", tenant = self.tenant))]
pub(crate) struct CustomerBySqlx {
    #[pii(id)]
    pub(crate) id: i64,
    pub(crate) tenant: String,
    #[sqlx(rename = "city")]
    pub(crate) town: String,
    pub(crate) email: EncryptedStr,
    pub(crate) ssn: Option<EncryptedStr>,
}

/// The same rows for a service that only writes e-mail addresses and only reads numbers.
#[derive(PiiModel, Clone)]
#[pii(name = "customer", table = "customers", context(app = "tests", tenant = self.tenant), from_row)]
pub(crate) struct LimitedCustomer {
    #[pii(id)]
    pub(crate) id: i64,
    pub(crate) tenant: String,
    pub(crate) city: String,
    #[pii(mode = "WriteOnly")]
    pub(crate) email: EncryptedStr,
    #[pii(mode = "ReadOnly")]
    pub(crate) ssn: Option<EncryptedStr>,
}

/// The same rows while the table is being moved: its plaintext is read, and sealed when it is saved.
#[derive(PiiModel, Clone)]
#[pii(name = "customer", table = "customers", context(app = "tests", tenant = self.tenant), from_row)]
#[pii(plaintext = "accept_and_seal")]
pub(crate) struct AcceptingCustomer {
    #[pii(id)]
    pub(crate) id: i64,
    pub(crate) tenant: String,
    pub(crate) city: String,
    pub(crate) email: EncryptedStr,
    pub(crate) ssn: Option<EncryptedStr>,
}

/// The same rows before: plaintext is read and written.
#[derive(PiiModel, Clone)]
#[pii(name = "customer", table = "customers", context(app = "tests", tenant = self.tenant), from_row)]
#[pii(plaintext = "prepare")]
pub(crate) struct PreparingCustomer {
    #[pii(id)]
    pub(crate) id: i64,
    pub(crate) tenant: String,
    pub(crate) city: String,
    pub(crate) email: EncryptedStr,
    pub(crate) ssn: Option<EncryptedStr>,
}

pub(crate) const DOCUMENTS: &str = "create table documents (id bigint primary key, title text not null, body text not null, revision bigint not null)";

/// With a version column.
#[derive(PiiModel, Clone)]
#[pii(name = "document", table = "documents", from_row)]
pub(crate) struct Document {
    #[pii(id)]
    pub(crate) id: i64,
    pub(crate) title: String,
    pub(crate) body: EncryptedStr,
    #[pii(version)]
    pub(crate) revision: i64,
}

impl Document {
    pub(crate) fn new(id: i64) -> Self {
        Self { id, title: "Will".into(), body: EncryptedStr::new(EMAIL), revision: 1 }
    }
}

/// The id is made up by the database.
#[derive(PiiModel, Clone)]
#[pii(name = "note", table = "notes", from_row)]
pub(crate) struct Note {
    #[pii(id, bind = "field")]
    pub(crate) id: Option<i64>,
    pub(crate) text: EncryptedStr,
}

impl Note {
    pub(crate) fn new(id: Option<i64>) -> Self {
        Self { id, text: EncryptedStr::new(EMAIL) }
    }
}

pub(crate) const MEMBERS: &str = "create table members (team varchar(40), number integer, phone text not null, primary key (team, number))";

#[derive(PiiModel, Clone)]
#[pii(name = "member", table = "members", from_row)]
pub(crate) struct Member {
    #[pii(id)]
    pub(crate) team: String,
    #[pii(id)]
    pub(crate) number: i32,
    pub(crate) phone: EncryptedStr,
}

#[derive(PiiModel)]
#[pii(name = "session", table = "sessions", from_row)]
pub(crate) struct Session {
    #[pii(id)]
    pub(crate) id: Uuid,
    pub(crate) address: EncryptedStr,
}

#[derive(Clone, PartialEq, Debug, sqlx::Type, RowId)]
#[sqlx(transparent)]
pub(crate) struct Code(pub(crate) String);

#[derive(PiiModel)]
#[pii(name = "voucher", table = "vouchers", from_row)]
pub(crate) struct Voucher {
    #[pii(id)]
    pub(crate) code: Code,
    pub(crate) owner: EncryptedStr,
}

#[derive(PiiModel)]
#[pii(name = "account", table = "accounts", from_row)]
pub(crate) struct Account {
    #[pii(id)]
    pub(crate) name: String,
    pub(crate) owner: EncryptedStr,
}

pub(crate) const PEOPLE: &str = "create table people (id bigint primary key, phones text not null, aliases text, \
     contacts text not null, home text not null, work text, profile text not null)";

#[derive(PiiModel, Serialize, Deserialize, Clone)]
#[pii(nested)]
pub(crate) struct Address {
    pub(crate) city: String,
    pub(crate) street: EncryptedStr,
    pub(crate) door: Option<EncryptedStr>,
}

#[derive(Serialize, Deserialize, Clone, PartialEq, Debug)]
pub(crate) struct Profile {
    pub(crate) born: u16,
    pub(crate) languages: Vec<String>,
}

/// Collections and nested structs.
#[derive(PiiModel, Clone)]
#[pii(name = "person", table = "people", from_row)]
pub(crate) struct Person {
    #[pii(id)]
    pub(crate) id: i64,
    pub(crate) phones: Vec<EncryptedStr>,
    pub(crate) aliases: Option<Vec<EncryptedStr>>,
    pub(crate) contacts: BTreeMap<String, EncryptedStr>,
    #[pii(nested)]
    pub(crate) home: Address,
    #[pii(nested)]
    pub(crate) work: Option<Address>,
    pub(crate) profile: Encrypted<Json<Profile>>,
}

impl Person {
    pub(crate) fn new(id: i64) -> Self {
        Self {
            id,
            phones: vec![EncryptedStr::new("+44 20 canary 1"), EncryptedStr::new("+44 20 canary 2")],
            aliases: None,
            contacts: BTreeMap::from([("work".into(), EncryptedStr::new(EMAIL))]),
            home: Address { city: "London".into(), street: EncryptedStr::new("1 Canary Wharf"), door: None },
            work: None,
            profile: Encrypted::json(&Profile { born: 1815, languages: vec!["canary-en".into()] }).unwrap(),
        }
    }
}

pub(crate) const VISITS: &str = "create table visits (id bigint primary key, at_city text not null, \
     at_street text not null, at_door text, from_city text, from_street text, from_door text, \
     by_phones text not null, by_age bigint, by_home_city text not null, by_home_street text not null, \
     by_home_door text)";

/// Nested structs in columns of their own, one of them in another.
#[derive(PiiModel, Clone)]
#[pii(name = "visit", table = "visits", from_row)]
pub(crate) struct Visit {
    #[pii(id)]
    pub(crate) id: i64,
    #[pii(nested, prefix = "at_")]
    pub(crate) place: Address,
    #[pii(nested, prefix = "from_")]
    pub(crate) origin: Option<Address>,
    #[pii(nested, prefix = "by_")]
    pub(crate) visitor: Visitor,
}

/// Knows nothing of serde.
#[derive(PiiModel, Clone)]
#[pii(nested)]
pub(crate) struct Visitor {
    pub(crate) phones: Vec<EncryptedStr>,
    pub(crate) age: Option<i64>,
    #[pii(nested, prefix = "home_")]
    pub(crate) home: Address,
    #[pii(skip)]
    pub(crate) seen: u8,
}

impl Visit {
    pub(crate) fn new(id: i64) -> Self {
        let address = |street: &str| Address {
            city: "London".into(),
            street: EncryptedStr::new(street),
            door: Some(EncryptedStr::new("canary door")),
        };
        Self {
            id,
            place: address("1 canary place"),
            origin: None,
            visitor: Visitor {
                phones: vec![EncryptedStr::new("+44 20 canary 1")],
                age: None,
                home: address("2 canary home"),
                seen: 7,
            },
        }
    }
}

/// The same rows, of which some nested structs are one column of JSON.
#[derive(PiiModel)]
#[pii(name = "visit", table = "whole_visits", from_row)]
pub(crate) struct WholeVisit {
    #[pii(id)]
    pub(crate) id: i64,
    #[pii(nested)]
    pub(crate) place: Address,
}

pub(crate) const READINGS: &str = "create table readings (id bigint primary key, tenant text not null, a text not null, \
     b text not null, c text not null, d text not null, value text not null, remark text)";

/// Wide enough for several statements.
#[derive(PiiModel, Clone)]
#[pii(name = "reading", table = "readings", context(tenant = self.tenant), from_row)]
pub(crate) struct Reading {
    #[pii(id)]
    pub(crate) id: i64,
    pub(crate) tenant: String,
    pub(crate) a: String,
    pub(crate) b: String,
    pub(crate) c: String,
    pub(crate) d: String,
    pub(crate) value: EncryptedStr,
    pub(crate) remark: Option<EncryptedStr>,
}

impl Reading {
    pub(crate) fn new(id: i64) -> Self {
        Self {
            id,
            tenant: "acme".into(),
            a: "a".into(),
            b: "b".into(),
            c: "c".into(),
            d: "d".into(),
            value: EncryptedStr::new(format!("reading {id}")),
            remark: (id % 2 == 0).then(|| EncryptedStr::new("even")),
        }
    }
}

/// Names no table.
#[derive(PiiModel)]
#[pii(name = "customer", context(app = "tests", tenant = self.tenant), from_row)]
pub(crate) struct Homeless {
    #[pii(id)]
    pub(crate) id: i64,
    pub(crate) tenant: String,
    pub(crate) email: EncryptedStr,
}

pub(crate) const ODD_NAMES: &str =
    "create table \"Odd \"\"names\" (\"Order\" bigint primary key, \"e-mail \"\"x\" text not null)";

#[derive(PiiModel)]
#[pii(name = "odd", table = "Odd \"names", from_row)]
pub(crate) struct Odd {
    #[pii(id, column = "Order")]
    pub(crate) id: i64,
    #[pii(column = "e-mail \"x")]
    pub(crate) email: EncryptedStr,
}

pub(crate) const SUBSCRIBERS: &str = "create table subscribers (id bigint primary key, tenant text not null, email text not null, \
     email_bidx text, login_bidx text unique, phone text, phone_bidx text)";

/// A model with blind indexes.
#[derive(PiiModel, Clone)]
#[pii(name = "subscriber", table = "subscribers", context(app = "tests", tenant = self.tenant), from_row)]
pub(crate) struct Subscriber {
    #[pii(id)]
    pub(crate) id: i64,
    pub(crate) tenant: String,
    #[pii(
        blind_index(normalize = "email"),
        blind_index(name = "login", normalize = "email", unique, scope = "global")
    )]
    pub(crate) email: EncryptedStr,
    #[pii(blind_index(normalize = "digits", bits = 1))]
    pub(crate) phone: Option<EncryptedStr>,
}

impl Subscriber {
    pub(crate) fn new(id: i64, email: &str) -> Self {
        Self { id, tenant: "acme".into(), email: EncryptedStr::new(email), phone: None }
    }
}

/// The same rows while version 2 of the index is written beside version 1.
#[derive(PiiModel, Clone)]
#[pii(name = "subscriber", table = "subscribers", context(app = "tests", tenant = self.tenant), from_row)]
pub(crate) struct RotatingSubscriber {
    #[pii(id)]
    pub(crate) id: i64,
    pub(crate) tenant: String,
    #[pii(blind_index(normalize = "email", versions(1, 2)))]
    pub(crate) email: EncryptedStr,
}

/// A view that can change the phone alone.
#[derive(PiiModel, Clone)]
#[pii(view_of = Subscriber, context(app = "tests", tenant = self.tenant), from_row)]
pub(crate) struct SubscriberPhone {
    #[pii(id)]
    pub(crate) id: i64,
    pub(crate) tenant: String,
    pub(crate) phone: Option<EncryptedStr>,
}

pub(crate) const MAILBOXES: &str = "create table mailboxes (id bigint primary key, email text not null, email_bidx varchar(64) unique, \
     work_email text not null, work_email_bidx varchar(64) unique)";

/// The names of whose columns are parts of one another.
#[derive(PiiModel, Clone)]
#[pii(name = "mailbox", table = "mailboxes", from_row)]
pub(crate) struct Mailbox {
    #[pii(id)]
    pub(crate) id: i64,
    #[pii(blind_index(normalize = "email", unique))]
    pub(crate) email: EncryptedStr,
    #[pii(blind_index(normalize = "email", unique))]
    pub(crate) work_email: EncryptedStr,
}

impl Mailbox {
    pub(crate) fn new(id: i64, email: &str, work_email: &str) -> Self {
        Self { id, email: EncryptedStr::new(email), work_email: EncryptedStr::new(work_email) }
    }
}

pub(crate) const NAMES: &str =
    "create table names (id bigint primary key, first text not null, last text not null, full_bidx text)";

/// An index over two values.
#[derive(PiiModel, Clone)]
#[pii(name = "name", table = "names", from_row, blind_index(name = "full", fields(first, last)))]
pub(crate) struct Name {
    #[pii(id)]
    pub(crate) id: i64,
    pub(crate) first: EncryptedStr,
    pub(crate) last: EncryptedStr,
}

impl Name {
    pub(crate) fn new(id: i64, first: &str, last: &str) -> Self {
        Self { id, first: EncryptedStr::new(first), last: EncryptedStr::new(last) }
    }
}

pub(crate) const MEETINGS: &str = "create table meetings (id UUID primary key, tenant text not null, name text not null, \
     score smallint, ratio double precision not null, paid boolean not null, who text, note text)";

/// With columns of several types.
#[derive(PiiModel, Clone, Serialize)]
#[pii(name = "meeting", table = "meetings", context(tenant = self.tenant), from_row)]
pub(crate) struct Meeting {
    #[pii(id)]
    #[serde(serialize_with = "as_text")]
    pub(crate) id: Uuid,
    pub(crate) tenant: String,
    #[pii(level = 1, mask = "name")]
    pub(crate) name: String,
    pub(crate) score: Option<i16>,
    pub(crate) ratio: f64,
    pub(crate) paid: bool,
    #[pii(mask = "email")]
    pub(crate) who: Option<EncryptedStr>,
    #[pii(mode = "WriteOnly", mask = "last4")]
    pub(crate) note: Option<EncryptedStr>,
}

fn as_text<S: serde::Serializer>(id: &Uuid, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(id)
}

impl Meeting {
    pub(crate) fn new(number: u8) -> Self {
        Self {
            id: Uuid::from_bytes([number; 16]),
            tenant: "acme".into(),
            name: format!("Ada {number}"),
            score: (!number.is_multiple_of(3)).then_some(i16::from(number)),
            ratio: f64::from(number) / 4.0,
            paid: number.is_multiple_of(2),
            who: (number != 5).then(|| EncryptedStr::new(EMAIL)),
            note: Some(EncryptedStr::new(SSN)),
        }
    }
}
