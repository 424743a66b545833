//! Tables with nested structs in columns of their own: defined, examined, moved and written in bulk.

use pii::{
    Adoption, Ddl, DdlKind, Doctor, DoctorReport, EncryptedStr, ErrorKind, FieldPolicies,
    FindingKind as Kind, PiiModel,
    PlaintextPolicy::{AcceptAndSeal, Prepare},
    Severity, ShadowColumn, SqlTable,
    testing::{assert_no_plaintext, assert_sealed_text},
};
use sqlx::{AssertSqlSafe, Database as _};
use uuid::Uuid;

use super::{
    super::{Db, UUID},
    TestDatabase, definitions, sql,
};
use crate::{
    models::{Address, VISITS, Visit},
    support::{cryptor, process},
};

async fn with(ddl: &[&str]) -> TestDatabase {
    TestDatabase::new(3, ddl).await
}

fn of_visits() -> Ddl<Db> {
    Ddl::<Db>::of::<Visit>().unwrap()
}

async fn examine(db: &TestDatabase) -> DoctorReport {
    Doctor::new(&db.pool).model::<Visit>().examine().await.unwrap()
}

/// Severity, column and field of what was found of this kind.
fn found(report: &DoctorReport, kind: Kind) -> Vec<(Severity, &str, &str)> {
    let findings = report.of_kind(kind).map(|finding| {
        let names = [&finding.column, &finding.field].map(|name| name.as_deref().unwrap_or_default());
        (finding.severity, names[0], names[1])
    });
    findings.collect()
}

/// Without what is said of a `TEXT` of MySQL, which has room for all but documents.
fn too_short(report: &DoctorReport) -> Vec<(Severity, &str, &str)> {
    found(report, Kind::TooShort).into_iter().filter(|(severity, ..)| *severity > Severity::Note).collect()
}

async fn is_refused(db: &TestDatabase, statement: &str) -> bool {
    sqlx::query(AssertSqlSafe(statement.to_owned())).execute(&db.pool).await.is_err()
}

fn is_sqlite() -> bool {
    Db::NAME == "SQLite"
}

fn away(id: i64) -> Visit {
    let visit = Visit::new(id);
    Visit { origin: Some(Visit::new(id + 100).place), ..visit }
}

#[tokio::test]
async fn what_is_created_is_sound_and_takes_rows() {
    let db = with(&[]).await;
    let ddl = of_visits().index_column("at_street_bidx");
    let create = ddl.create().unwrap();
    definitions::run(&db, &create).await;
    let empty = examine(&db).await;
    assert!(empty.findings.is_empty(), "{create}\n{empty}");
    assert!(ddl.alter(&db.pool).await.unwrap().is_empty());

    let cryptor = process(&db.folder);
    let visits = SqlTable::<Visit, Db>::new(&db.pool, &cryptor);
    visits.insert_many(&[Visit::new(1), away(2), away(3)]).await.unwrap();
    let report = Doctor::new(&db.pool).model::<Visit>().cryptor(&cryptor).examine().await.unwrap();
    assert!(report.findings.is_empty(), "{report}");
    let sealed: Vec<_> =
        report.tables[0].columns.iter().map(|values| (values.column.as_str(), values.sealed)).collect();
    let expected = [
        ("at_street", 3),
        ("at_door", 3),
        ("from_street", 2),
        ("from_door", 2),
        ("by_phones", 3),
        ("by_home_street", 3),
        ("by_home_door", 3),
    ];
    assert_eq!(sealed, expected);
    let read = visits.get(2).decrypt_pii().await.unwrap();
    assert_eq!(read.origin.unwrap().street.expose().unwrap(), "1 canary place");

    for refused in ["at_city", "at_street", "by_phones", "by_home_city", "by_home_street"] {
        assert!(is_refused(&db, &format!("update visits set {refused} = null")).await, "{refused}");
    }
    for refused in ["at_street", "at_door", "from_street", "from_door", "by_home_street", "by_home_door"] {
        assert!(is_refused(&db, &format!("update visits set {refused} = 'canary'")).await, "{refused}");
    }
    sql(&db, "update visits set at_door = null, from_city = null, from_street = null, from_door = null, by_age = null")
        .await;
    assert!(visits.get(2).await.unwrap().origin.is_none());
    // the index of a column that stands behind a prefix
    let drop = if Db::NAME == "MySQL" { " on visits" } else { "" };
    assert!(!is_refused(&db, &format!("drop index visits_at_street_bidx_idx{drop}")).await);
    let report = examine(&db).await;
    assert_eq!(found(&report, Kind::IndexMissing), [(Severity::Warning, "at_street_bidx", "")], "{report}");
}

#[derive(PiiModel)]
#[pii(nested)]
struct Device<T> {
    serial: T,
    seen: Option<i64>,
    #[pii(plaintext = "accept_and_seal")]
    owner: EncryptedStr,
    #[pii(legacy = "pydynox")]
    phone: Option<EncryptedStr>,
    #[pii(name = "secret")]
    pin: EncryptedStr,
}

/// A struct that is generic, one behind an alias, and one that is optional and holds another.
#[derive(PiiModel)]
#[pii(name = "rental", table = "rentals", from_row)]
struct Rental {
    #[pii(id)]
    id: Uuid,
    #[pii(nested, prefix = "own_")]
    own: Device<Uuid>,
    #[pii(nested, prefix = "spare_")]
    spare: Spare,
    #[pii(nested, prefix = "left_")]
    left: Option<Deposit>,
    price: i64,
}

type Spare = Option<Device<i64>>;

#[derive(PiiModel)]
#[pii(nested)]
struct Deposit {
    place: String,
    #[pii(nested, prefix = "device_")]
    device: Device<bool>,
    #[pii(nested)]
    address: Address,
}

fn device<T>(serial: T) -> Device<T> {
    Device {
        serial,
        seen: None,
        owner: EncryptedStr::new("canary owner"),
        phone: None,
        pin: EncryptedStr::new("canary pin"),
    }
}

fn rental(number: u128) -> Rental {
    let is_left = number.is_multiple_of(2);
    Rental {
        id: Uuid::from_u128(number),
        own: device(Uuid::from_u128(number + 1)),
        spare: (!is_left).then(|| device(7)),
        left: is_left.then(|| Deposit {
            place: "London".into(),
            device: device(true),
            address: Visit::new(1).place,
        }),
        price: 5,
    }
}

/// The definition of each column, without the type.
fn definition<'a>(create: &'a str, column: &str) -> &'a str {
    let is_it = |line: &&str| {
        line.trim_start()
            .trim_start_matches(['`', '"'])
            .strip_prefix(column)
            .is_some_and(|rest| rest.starts_with(['`', '"']))
    };
    create.lines().find(is_it).unwrap_or_else(|| panic!("{column} in {create}"))
}

#[tokio::test]
async fn each_column_is_defined_by_its_innermost_field_and_all_around_it() {
    let db = with(&[]).await;
    let ddl = Ddl::<Db>::of::<Rental>().unwrap();
    let create = ddl.create().unwrap();
    let text = create.to_string();
    for (column, is_there, is_checked) in [
        ("own_serial", true, false),
        ("own_seen", false, false),
        ("own_owner", true, false),
        ("own_phone", false, false),
        ("own_pin", true, true),
        ("spare_serial", false, false),
        ("spare_owner", false, false),
        ("spare_pin", false, true),
        ("left_place", false, false),
        ("left_device_serial", false, false),
        ("left_device_owner", false, false),
        ("left_device_pin", false, true),
        ("left_address", false, false),
        ("price", true, false),
    ] {
        let line = definition(&text, column);
        assert_eq!(line.contains("NOT NULL"), is_there, "{line}");
        assert_eq!(line.contains("CHECK"), is_checked, "{line}");
    }
    assert_eq!(text.to_lowercase().matches(UUID).count(), 2, "{text}");
    definitions::run(&db, &create).await;
    assert!(ddl.alter(&db.pool).await.unwrap().is_empty());
    let rentals = SqlTable::<Rental, Db>::new(&db.pool, &process(&db.folder));
    rentals.insert_many(&[rental(1), rental(2)]).await.unwrap();
    let report = Doctor::new(&db.pool).model::<Rental>().examine().await.unwrap();
    // without the cryptor and its key store nothing is known of how much room there has to be, nor is there a limit
    assert!(report.findings.is_empty(), "{report}");
    let read = rentals.get(Uuid::from_u128(2)).decrypt_pii().await.unwrap();
    let left = read.left.unwrap();
    assert_eq!((left.place.as_str(), left.device.serial, read.price), ("London", true, 5));
    assert_eq!(left.device.pin.expose().unwrap(), "canary pin");
    assert_eq!(rentals.get(Uuid::from_u128(1)).await.unwrap().spare.unwrap().serial, 7);

    // a value that is expected to be plaintext is no error, and another one is
    assert!(!is_refused(&db, "update rentals set own_owner = 'canary'").await);
    assert!(is_refused(&db, "update rentals set own_pin = 'canary'").await);
    let report = Doctor::new(&db.pool).model::<Rental>().examine().await.unwrap();
    assert_eq!(found(&report, Kind::PlaintextValues), [(Severity::Warning, "own_owner", "own.owner")]);
    assert_eq!(report.findings.len(), 1, "{report}");
}

#[tokio::test]
async fn a_table_is_altered_to_what_the_structs_need() {
    let begun = "create table visits (id bigint not null primary key, at_city text not null, from_city text)";
    let db = with(&[begun]).await;
    let ddl = of_visits();
    let alter = ddl.alter(&db.pool).await.unwrap();
    assert_eq!(alter.iter().filter(|statement| statement.kind == DdlKind::AddColumn).count(), 9, "{alter}");
    definitions::run(&db, &alter).await;
    assert!(ddl.alter(&db.pool).await.unwrap().is_empty());
    assert!(examine(&db).await.is_sound());
    let visits = SqlTable::<Visit, Db>::new(&db.pool, &process(&db.folder));
    visits.insert(&away(1)).await.unwrap();
    assert!(is_refused(&db, "update visits set by_home_street = 'canary'").await);

    // what is there already, and does not fit
    sql(&db, "drop table visits").await;
    let narrow = VISITS
        .replace("at_street text", "at_street varchar(40)")
        .replace("from_door text", "from_door text not null");
    sqlx::raw_sql(AssertSqlSafe(narrow)).execute(&db.pool).await.unwrap();
    let altered = ddl.alter(&db.pool).await;
    if is_sqlite() {
        let error = altered.unwrap_err();
        assert_eq!((error.kind(), error.model_name()), (ErrorKind::Configuration, Some("visit")));
        assert!(error.to_string().contains("NOT NULL of the column `from_door`"), "{error}");
        return;
    }
    let altered = altered.unwrap();
    for kind in [DdlKind::ChangeType, DdlKind::DropNotNull] {
        assert_eq!(altered.iter().filter(|statement| statement.kind == kind).count(), 1, "{altered}");
    }
    definitions::run(&db, &altered).await;
    assert!(ddl.alter(&db.pool).await.unwrap().is_empty());
    visits.insert_many(&[Visit::new(1), away(2)]).await.unwrap();
    assert!(examine(&db).await.is_sound());
}

#[tokio::test]
async fn checks_come_to_a_table_that_is_in_use() {
    let db = with(&[VISITS]).await;
    let visits = SqlTable::<Visit, Db>::new(&db.pool, &process(&db.folder));
    visits.insert_many(&[Visit::new(1), away(2)]).await.unwrap();
    let report = examine(&db).await;
    let missing = found(&report, Kind::CheckMissing);
    let expected = [
        (Severity::Note, "at_street", "place.street"),
        (Severity::Note, "at_door", "place.door"),
        (Severity::Note, "from_street", "origin.street"),
        (Severity::Note, "from_door", "origin.door"),
        (Severity::Note, "by_home_street", "visitor.home.street"),
        (Severity::Note, "by_home_door", "visitor.home.door"),
    ];
    assert_eq!(missing, expected, "{report}");
    definitions::run(&db, &of_visits().checks().unwrap()).await;
    let report = examine(&db).await;
    assert!(found(&report, Kind::CheckMissing).is_empty(), "{report}");
    for column in ["at_street", "from_door", "by_home_street"] {
        assert!(is_refused(&db, &format!("update visits set {column} = 'canary'")).await, "{column}");
    }
    visits.upsert_many(&[away(1), Visit::new(2)]).await.unwrap();
}

const BROKEN: &str = "create table visits (id bigint primary key, at_city bigint not null, at_street varchar(40) not null, \
     at_street_plain text, from_city text, from_street text not null, from_door text, by_phones text, \
     by_age bigint, by_home_city text not null, by_home_street text not null, by_home_door text)";

#[tokio::test]
async fn what_is_found_names_the_field() {
    let db = with(&[BROKEN]).await;
    sql(&db, "insert into visits values (1, 5, 'ENC:x', 'canary', null, 'ENC:x', null, '[\"canary\"]', null, 'Paris', \
              'canary home', null)").await;
    let report = examine(&db).await;
    for (kind, severity, column, field) in [
        (Kind::ColumnMissing, Severity::Error, "at_door", "place.door"),
        (Kind::WrongType, Severity::Error, "at_city", "place.city"),
        (Kind::PlaintextTwin, Severity::Error, "at_street_plain", "place.street"),
        (Kind::NotNullable, Severity::Error, "from_street", "origin.street"),
        (Kind::Nullable, Severity::Note, "by_phones", "visitor.phones"),
    ] {
        assert_eq!(found(&report, kind), [(severity, column, field)], "{kind:?} {report}");
    }
    let plaintext = [
        (Severity::Error, "by_phones", "visitor.phones"),
        (Severity::Error, "by_home_street", "visitor.home.street"),
    ];
    assert_eq!(found(&report, Kind::PlaintextValues), plaintext, "{report}");
    let damaged = found(&report, Kind::DamagedValues);
    assert!(damaged.contains(&(Severity::Error, "at_street", "place.street")), "{report}");
    if !is_sqlite() {
        assert_eq!(too_short(&report), [(Severity::Error, "at_street", "place.street")], "{report}");
    }
    let shown = report.to_string();
    assert!(shown.contains("error   at_street_plain (`place.street`): it looks like"), "{shown}");
    assert!(shown.contains("error   by_home_street (`visitor.home.street`): 1 value not sealed"), "{shown}");
    assert_no_plaintext(shown, &["canary"]);
    let json = serde_json::to_value(&report).unwrap();
    let findings = json["findings"].as_array().unwrap();
    let missing = findings.iter().find(|finding| finding["kind"] == "column_missing").unwrap();
    assert_eq!((&missing["column"], &missing["field"]), (&"at_door".into(), &"place.door".into()));
}

#[tokio::test]
async fn the_longest_plaintext_of_a_nested_field_is_told_by_its_path() {
    let narrow = VISITS.replace("at_street text", "at_street varchar(200)");
    let db = with(&[&narrow]).await;
    let examine =
        |field: &'static str, bytes| Doctor::new(&db.pool).model::<Visit>().longest(field, bytes).examine();
    let fits = examine("visit.place.street", 60).await.unwrap();
    assert!(too_short(&fits).is_empty(), "{fits}");
    if !is_sqlite() {
        let too_long = examine("visit.place.street", 254).await.unwrap();
        assert_eq!(too_short(&too_long), [(Severity::Error, "at_street", "place.street")]);
        let of_another = examine("visit.visitor.home.street", 254).await.unwrap();
        assert_eq!(too_short(&of_another), [(Severity::Warning, "at_street", "place.street")]);
        assert!(of_another.to_string().contains("`.longest(\"visit.place.street\", bytes)`"), "{of_another}");
    }
    for nested in ["visit.place", "visit.visitor.home"] {
        let error = examine(nested, 9).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert!(error.to_string().contains(&format!("`{nested}` is a nested struct")), "{error}");
        assert!(error.to_string().contains(&format!("`{nested}.street`")), "{error}");
    }
    for unknown in
        ["visit.place.city", "visit.street", "visit.at_street", "visit.place.street.x", "visit.plac", "visit"]
    {
        let error = examine(unknown, 9).await.unwrap_err();
        assert!(error.to_string().contains(&format!("the sealed field `{unknown}`")), "{error}");
    }
}

async fn street(db: &TestDatabase) -> (String, Option<String>) {
    sqlx::query_as("select at_street, from_street from visits where id = 1")
        .fetch_one(&db.pool)
        .await
        .unwrap()
}

#[tokio::test]
async fn plaintext_of_nested_fields_is_sealed_and_written_back() {
    let db = with(&[VISITS]).await;
    sql(&db, "insert into visits values (1, 'London', 'canary street', null, 'Paris', 'canary from', null, '[\"canary 1\"]', \
              null, 'Rome', 'canary home', null)").await;
    let policies = FieldPolicies::new();
    policies.set("visit", "place.street", AcceptAndSeal);
    for path in ["origin.street", "visitor.phones", "visitor.home.street"] {
        policies.set("visit", path, Prepare);
    }
    let cryptor = cryptor().with_policies(&policies);
    let visits = SqlTable::<Visit, Db>::new(&db.pool, &cryptor);
    let report = Adoption::of(&visits).seal().await.unwrap();
    assert!(report.is_done(), "{report}");
    assert_eq!((report.rows_read, report.rows_written), (1, 1));
    let texts = street(&db).await;
    assert_sealed_text(&texts.0);
    assert_eq!(texts.1.as_deref(), Some("canary from"));
    // that column is done, whatever the others of its struct hold
    assert_eq!(Adoption::of(&visits).seal().await.unwrap().rows_read, 0);

    policies.set_model("visit", AcceptAndSeal);
    for path in ["origin.street", "visitor.phones", "visitor.home.street"] {
        policies.set("visit", path, AcceptAndSeal);
    }
    assert_eq!(Adoption::of(&visits).seal().await.unwrap().rows_written, 1);
    let census = Adoption::of(&visits).verify().await.unwrap();
    assert!(census.is_all_sealed(), "{census}");
    assert!(examine(&db).await.is_sound());
    for path in ["place.street", "origin.street", "visitor.phones", "visitor.home.street"] {
        policies.set("visit", path, Prepare);
    }
    Adoption::of(&visits).roll_back().await.unwrap();
    assert_eq!(street(&db).await, ("canary street".to_owned(), Some("canary from".to_owned())));
}

#[derive(PiiModel, Clone)]
#[pii(nested)]
struct Contact {
    #[pii(plaintext = "prepare")]
    email: Option<EncryptedStr>,
}

#[derive(PiiModel, Clone)]
#[pii(name = "shop", table = "shops", from_row)]
struct Shop {
    #[pii(id)]
    id: i64,
    #[pii(nested, prefix = "c_")]
    contact: Contact,
}

#[tokio::test]
async fn a_nested_field_can_have_a_shadow_column() {
    let db = with(&["create table shops (id bigint primary key, c_mail varchar(40))"]).await;
    sql(&db, "insert into shops values (1, 'old canary')").await;
    let shadow = ShadowColumn::<Db>::of::<Shop>("contact.email").unwrap().replacing("c_mail");
    shadow.check().unwrap();
    for statement in shadow.add() {
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(&db.pool).await.unwrap();
    }
    assert_eq!(shadow.fill(&db.pool, 10).await.unwrap(), 1);
    let policies = FieldPolicies::new();
    policies.set("shop", "contact.email", AcceptAndSeal);
    let shops = SqlTable::<Shop, Db>::new(&db.pool, &cryptor().with_policies(&policies));
    let report = Adoption::of(&shops).shadow(&shadow).seal().await.unwrap();
    assert_eq!((report.rows_written, report.is_done()), (1, true), "{report}");
    let (plain, sealed): (String, String) =
        sqlx::query_as("select c_mail, c_email from shops").fetch_one(&db.pool).await.unwrap();
    assert_eq!(plain, "old canary");
    assert_sealed_text(&sealed);
    let read = shops.get(1).decrypt_pii().await.unwrap();
    assert_eq!(read.contact.email.unwrap().expose().unwrap(), "old canary");

    for (field, message) in [
        ("contact", "only a field with one sealed value"),
        ("contact.phone", "there is no field of this name"),
        ("email", "there is no field of this name"),
    ] {
        let error = ShadowColumn::<Db>::of::<Shop>(field).unwrap_err();
        assert!(error.to_string().contains(message), "{field}: {error}");
    }
    // the plain column of the same name is the sealed one
    let same = ShadowColumn::<Db>::of::<Shop>("contact.email").unwrap();
    assert_eq!(same.check().unwrap_err().field_name(), Some("contact.email"));
}

#[tokio::test]
async fn many_rows_are_updated_at_once() {
    let db = with(&[]).await;
    definitions::run(&db, &of_visits().create().unwrap()).await;
    let visits = SqlTable::<Visit, Db>::new(&db.pool, &cryptor());
    let of = |offset: i64| {
        let visit = move |id: i64| {
            let mut visit = if (id + offset) % 3 == 0 { away(id) } else { Visit::new(id) };
            visit.place.city = format!("City {id} {offset}");
            visit.place.street.set(format!("street {id} {offset}"));
            visit.place.door = ((id + offset) % 2 == 0).then(|| EncryptedStr::new("door"));
            visit.visitor.age = ((id + offset) % 4 > 0).then_some(id + offset);
            visit.visitor.phones = (0..offset).map(|n| EncryptedStr::new(format!("{id} {n}"))).collect();
            visit
        };
        (1..=120).map(visit).collect::<Vec<_>>()
    };
    visits.insert_many(&of(1)).await.unwrap();
    for offset in [2, 3, 0] {
        let rows = of(offset);
        assert_eq!(visits.update_many(&rows).in_chunks_of(70).await.unwrap(), 120);
        let read = visits.list().decrypt_pii().await.unwrap();
        assert_eq!(read.len(), rows.len());
        for (read, row) in read.iter().zip(&rows) {
            let parts = |visit: &Visit| {
                let address =
                    |address: &Address| (address.city.clone(), address.street.clone(), address.door.clone());
                let origin = visit.origin.as_ref().map(address);
                let visitor = &visit.visitor;
                (
                    visit.id,
                    address(&visit.place),
                    origin,
                    visitor.age,
                    visitor.phones.clone(),
                    address(&visitor.home),
                )
            };
            assert!(parts(read) == parts(row), "row {} of {offset}", row.id);
        }
    }
}
