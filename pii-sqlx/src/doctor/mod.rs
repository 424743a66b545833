//! Whether tables are fit for their models, and what stands in them.

mod columns;
mod dependents;
mod finding;
mod index_codes;
mod json_values;
mod keys;
mod report;
mod retired;
mod twins;
mod values;

use std::{cmp::Reverse, collections::BTreeMap, fmt};

use pii_core::{Cryptor, Error, ErrorKind, FieldSpec, KeyStore, ModelSpec, Result};
use sqlx::{Database, Pool};

pub use finding::{Finding, FindingKind, Severity};
pub use report::{ColumnValues, DoctorReport, ExaminedTable, IndexCodes, KeyUse};

use crate::{
    catalogue::{Catalogue, Table},
    column_field::{ColumnField, column_field},
    connection::Connection,
    error::from_sqlx,
    model::{ColumnKind, SqlColumn, SqlModel},
    model_types::{ColumnType, ColumnTypes},
};
use keys::KnownKeys;

/// Examines the tables of these models with what can be told from the database alone: [`Doctor`] with no
/// further choices.
///
/// ```no_run
/// # use pii::{EncryptedStr, PiiModel};
/// # #[derive(PiiModel)]
/// # #[pii(name = "customer", table = "customers")]
/// # struct Customer { #[pii(id)] id: i64, email: EncryptedStr }
/// # #[derive(PiiModel)]
/// # #[pii(name = "order", table = "orders")]
/// # struct Order { #[pii(id)] id: i64, address: EncryptedStr }
/// # async fn run(pool: sqlx::SqlitePool) -> pii::Result<()> {
/// let report = pii::doctor::<(Customer, Order), _>(&pool).await?;
/// println!("{report}");
/// assert!(report.is_sound());
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// As [`Doctor::examine`].
pub async fn doctor<M: ExaminedModels<DB>, DB: Catalogue>(pool: &Pool<DB>) -> Result<DoctorReport> {
    M::add_to(Doctor::new(pool)).examine().await
}

/// Examines tables before they are sealed, and while they are: whether the columns can hold sealed values, what
/// else in the database depends on them, whether plaintext is left, and under which data keys the values are. It
/// changes nothing, opens nothing and asks for no key.
///
/// ```no_run
/// # use pii::{EncryptedStr, PiiModel};
/// use pii::{Doctor, FindingKind, KeyStore};
///
/// # #[derive(PiiModel)]
/// # #[pii(name = "customer", table = "customers")]
/// # struct Customer { #[pii(id)] id: i64, email: EncryptedStr }
/// # async fn run(pool: sqlx::SqlitePool, store: pii::FileKeyStore) -> pii::Result<()> {
/// let report = Doctor::new(&pool)
///     .model::<Customer>()
///     .longest("customer.email", 254) // the longest plaintext that is expected, in bytes
///     .key_store(&store)
///     .examine()
///     .await?;
/// for finding in report.of_kind(FindingKind::PlaintextValues) {
///     println!("{}: {:?} values to seal", finding.table, finding.count);
/// }
/// # Ok(())
/// # }
/// ```
///
/// It reads each sealed column of each table as a whole, unless [`structure_only`](Self::structure_only) says
/// otherwise: on a large table, in a quiet hour or on a replica. No lock is held that hinders others.
#[must_use = "nothing is examined before `examine`"]
pub struct Doctor<'a, DB: Database> {
    pool: Pool<DB>,
    patients: Vec<Patient<DB>>,
    longest: BTreeMap<String, usize>,
    key_store: Option<&'a dyn KeyStore>,
    cryptor: Option<&'a Cryptor>,
    reads_values: bool,
}

/// A model, and the table that it is to be compared with.
struct Patient<DB: Database> {
    model: &'static ModelSpec,
    columns: &'static [SqlColumn],
    types: Vec<ColumnType<DB>>,
    table: Option<String>,
}

impl<DB: Database> Patient<DB> {
    /// The field of a column.
    fn field(&self, column: &str) -> Option<ColumnField> {
        column_field(self.model.fields(), column)
    }

    /// The sealed columns with their fields.
    fn sealed(&self) -> impl Iterator<Item = (&'static SqlColumn, ColumnField)> {
        let is_sealed =
            |column: &&SqlColumn| matches!(column.kind, ColumnKind::Sealed | ColumnKind::SealedJson);
        self.columns.iter().filter(is_sealed).filter_map(|column| Some((column, self.field(column.name)?)))
    }
}

impl<'a, DB: Catalogue> Doctor<'a, DB> {
    /// Examines tables that this pool reaches. A role that may SELECT from them is enough.
    pub fn new(pool: &Pool<DB>) -> Self {
        Self {
            pool: pool.clone(),
            patients: Vec::new(),
            longest: BTreeMap::new(),
            key_store: None,
            cryptor: None,
            reads_values: true,
        }
    }

    /// Examines the table that this model names.
    pub fn model<M: SqlModel<DB>>(self) -> Self {
        self.with::<M>(M::MODEL.table().map(str::to_owned))
    }

    /// Examines this table as one of the model.
    pub fn model_in<M: SqlModel<DB>>(self, table: &str) -> Self {
        self.with::<M>(Some(table.to_owned()))
    }

    fn with<M: SqlModel<DB>>(mut self, table: Option<String>) -> Self {
        let mut types = ColumnTypes::new();
        M::column_types(&mut types);
        let (model, columns) = (M::MODEL, M::COLUMNS);
        self.patients.push(Patient { model, columns, types: types.into_vec(), table });
        self
    }

    /// The longest plaintext that is expected in a field, in bytes: where a column has a length, it is compared with
    /// what such a value takes. The field is `model.field`, both by their stable names; that of a nested struct with
    /// columns of its own is `model.address.street`.
    pub fn longest(mut self, field: &str, plaintext_bytes: usize) -> Self {
        self.longest.insert(field.to_owned(), plaintext_bytes);
        self
    }

    /// Looks up the data keys of the stored values here, by the part of each value that names its key.
    pub fn key_store(mut self, store: &'a dyn KeyStore) -> Self {
        self.key_store = Some(store);
        self
    }

    /// Computes how long values will be as this cryptor seals them: without a key store they carry their wrapped
    /// data key. By default, as with a key store.
    pub fn cryptor(mut self, cryptor: &'a Cryptor) -> Self {
        self.cryptor = Some(cryptor);
        self
    }

    /// Reads the catalogue alone, and no values.
    pub fn structure_only(mut self) -> Self {
        self.reads_values = false;
        self
    }

    /// Looks.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] if a model names no table, or [`longest`](Self::longest) no sealed field of a
    /// model that is examined; [`ErrorKind::Database`] if the catalogue or a table can't be read; and the errors
    /// of the key store. What is wrong with the tables is a finding.
    pub async fn examine(self) -> Result<DoctorReport> {
        self.check_longest()?;
        let keys = match self.key_store {
            Some(store) if self.reads_values => Some(KnownKeys::of(store).await?),
            _ => None,
        };
        let mut report = DoctorReport::default();
        for patient in &self.patients {
            let name = patient.table.as_deref().ok_or_else(|| nameless(patient.model))?;
            self.examine_one(patient, name, keys.as_ref(), &mut report)
                .await
                .map_err(|error| error.model(patient.model.name()))?;
        }
        Ok(report)
    }

    async fn examine_one(
        &self,
        patient: &Patient<DB>,
        name: &str,
        keys: Option<&KnownKeys>,
        report: &mut DoctorReport,
    ) -> Result<()> {
        let connection = self.pool.acquire().await;
        let connection = connection.map_err(|error| from_sqlx(error, patient.model))?;
        let mut pooled = Connection::<DB>::pooled(connection);
        let connection = pooled.lend();
        let mut examined = ExaminedTable::new(patient.model.name(), name);
        let mut findings = Vec::new();
        match DB::describe(connection, name).await? {
            None => findings.push(
                Finding::error(FindingKind::TableMissing)
                    .message("the table does not exist, or the role may not see it")
                    .help("create it: `Ddl::of` gives the statement"),
            ),
            Some(table) => {
                let mut examination =
                    Examination { doctor: self, patient, table: &table, findings: &mut findings };
                examination.columns();
                examination.retired(connection, name, self.reads_values).await?;
                examination.twins(connection, name, self.reads_values).await?;
                examination.dependents();
                examination.types(connection, name).await?;
                if self.reads_values {
                    examined.columns = examination.values(connection, name, keys).await?;
                    examined.indexes = examination.codes(connection, name, keys).await?;
                }
            }
        }
        pooled.finished();
        drop(pooled);
        for finding in &mut findings {
            finding.model = patient.model.name();
            if let (None, Some(column)) = (&finding.field, &finding.column) {
                finding.field = patient.field(column).map(|field| field.path);
            }
            name.clone_into(&mut finding.table);
        }
        findings.sort_by_key(|finding| Reverse(finding.severity));
        report.findings.append(&mut findings);
        report.tables.push(examined);
        Ok(())
    }

    fn check_longest(&self) -> Result<()> {
        // all sealed fields that have a column, as `model.field`
        let of_patient = |patient: &Patient<DB>| {
            let name = patient.model.name();
            patient.sealed().map(|(_, field)| format!("{name}.{}", field.path)).collect::<Vec<_>>()
        };
        let known: Vec<String> = self.patients.iter().flat_map(of_patient).collect();
        let Some(path) = self.longest.keys().find(|path| !known.contains(path)) else { return Ok(()) };
        let is_in = |field: &&String| {
            field.strip_prefix(path.as_str()).is_some_and(|rest| rest.starts_with('.')) && path.contains('.')
        };
        let wrong = |message| Error::new(ErrorKind::Configuration).message(message);
        Err(match known.iter().find(is_in) {
            Some(field) => {
                wrong(format!("`{path}` is a nested struct, each of whose fields has a column of its own"))
                    .help(format!("name the field, such as `{field}`"))
            }
            None => wrong(format!("no model that is examined has a column for the sealed field `{path}`")).help(
                "write `model.field` by their stable names, or `model.address.street` for a nested struct with a \
                 `prefix`, and add the model",
            ),
        })
    }
}

/// One table being examined.
struct Examination<'e, 'a, DB: Database> {
    doctor: &'e Doctor<'a, DB>,
    patient: &'e Patient<DB>,
    table: &'e Table,
    findings: &'e mut Vec<Finding>,
}

impl<DB: Database> Examination<'_, '_, DB> {
    fn find(&mut self, finding: Finding) {
        self.findings.push(finding);
    }

    fn sealed_chars(&self, field: &FieldSpec, plaintext_bytes: usize) -> usize {
        match self.doctor.cryptor {
            Some(cryptor) => cryptor.sealed_chars(field, plaintext_bytes),
            None => field.sealed_chars(plaintext_bytes),
        }
    }

    fn plaintext_bytes_within(&self, field: &FieldSpec, chars: usize) -> Option<usize> {
        match self.doctor.cryptor {
            Some(cryptor) => cryptor.plaintext_bytes_within(field, chars),
            None => field.plaintext_bytes_within(chars),
        }
    }
}

pub(crate) fn nameless(model: &ModelSpec) -> Error {
    Error::new(ErrorKind::Configuration)
        .model(model.name())
        .message("the model names no table")
        .help("write `#[pii(table = \"...\")]` on the struct, or name the table where the model is added")
}

/// ExaminedModels that [`doctor`] examines together: a tuple of one to eight.
pub trait ExaminedModels<DB: Catalogue> {
    #[doc(hidden)]
    fn add_to(doctor: Doctor<'_, DB>) -> Doctor<'_, DB>;
}

macro_rules! models {
    ($($model:ident)*) => {
        impl<DB: Catalogue, $($model: SqlModel<DB>),*> ExaminedModels<DB> for ($($model,)*) {
            fn add_to(doctor: Doctor<'_, DB>) -> Doctor<'_, DB> {
                doctor$(.model::<$model>())*
            }
        }
    };
}
models!(A);
models!(A B);
models!(A B C);
models!(A B C D);
models!(A B C D E);
models!(A B C D E F);
models!(A B C D E F G);
models!(A B C D E F G H);

impl<DB: Database> fmt::Debug for Doctor<'_, DB> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let models: Vec<_> = self.patients.iter().map(|patient| patient.model.name()).collect();
        f.debug_struct("Doctor").field("models", &models).finish_non_exhaustive()
    }
}
