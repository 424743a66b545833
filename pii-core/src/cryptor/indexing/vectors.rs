//! The frozen vectors of blind indexes, through the same code that indexes every value.

use std::{collections::BTreeMap, fs};

use serde::Deserialize;

use super::*;
use crate::{
    crypto::{DataKey, IndexKey},
    index::{IndexSize, Normalizer, normalize},
    model::{ContextPart, FieldSpec, Holds, Level, RowBinding},
    wire::encode::hex,
};

#[derive(Deserialize)]
struct File {
    keys: Vec<Key>,
    vectors: Vec<Vector>,
}

#[derive(Deserialize)]
struct Key {
    data_key: String,
    key_id: String,
    keyring: String,
    context: BTreeMap<String, String>,
    epoch: u32,
}

#[derive(Deserialize)]
struct Vector {
    name: String,
    model: String,
    index: String,
    parts: Vec<Part>,
    bits: u16,
    scope: String,
    version: u32,
    keyring: String,
    context: Vec<(String, String)>,
    literals: Vec<(String, String)>,
    values: Vec<String>,
    result: String,
    #[serde(default)]
    key_id: String,
    #[serde(default)]
    info: String,
    #[serde(default)]
    input: String,
    #[serde(default)]
    text: String,
}

#[derive(Deserialize)]
struct Part {
    field: String,
    #[serde(rename = "type")]
    code: u8,
    normalize: Vec<String>,
}

const PHONE: Normalizer = Normalizer::custom("phone", 1, |text| {
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    digits.trim_start_matches('0').to_owned()
});

fn kept(text: &str) -> &'static str {
    String::leak(text.to_owned())
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

fn normalizer(name: &String) -> Normalizer {
    use Normalizer as N;
    let all = [N::TRIM, N::LOWER, N::EMAIL, N::DIGITS, N::LAST4, N::FIRST, N::CASE_FOLD, PHONE];
    *all.iter().find(|known| known.name() == *name).unwrap()
}

impl Vector {
    /// A model with the index, as the derive writes it.
    fn model(&self) -> &'static ModelSpec {
        let parts = self.parts.iter().map(|part| IndexPart {
            field: kept(&part.field),
            normalizers: part.normalize.iter().map(normalizer).collect::<Vec<_>>().leak(),
        });
        let version = IndexVersion { number: self.version, column: "it_bidx", attribute: "it_bidx" };
        let size = u8::try_from(self.bits).map_or(IndexSize::Full, IndexSize::Bits);
        let scope = match self.scope.as_str() {
            "global" => IndexScope::Global,
            _ => IndexScope::Context,
        };
        let index = IndexSpec::new(kept(&self.index), parts.collect::<Vec<_>>().leak(), vec![version].leak())
            .with_size(size)
            .with_scope(scope);
        let fields = self.parts.iter().map(|part| {
            let name = kept(&part.field);
            let field = FieldSpec::new(name, name, Holds::Value(TypeCode(part.code))).with_level(Level::Two);
            match self.keyring.as_str() {
                "default" => field,
                keyring => field.with_keyring(kept(keyring)),
            }
        });
        let context = self.context.iter().map(|(name, _)| {
            let literal = self.literals.iter().find(|(of, _)| of == name).map(|(_, value)| kept(value));
            ContextPart { name: kept(name), literal, column: None, is_stored_text: false }
        });
        let model = ModelSpec::new(kept(&self.model), fields.collect::<Vec<_>>().leak(), RowBinding::Field)
            .with_context(context.collect::<Vec<_>>().leak())
            .with_indexes(vec![index].leak());
        Box::leak(Box::new(model))
    }

    /// The values after normalising; `None` if nothing is left of one.
    fn normalized(&self, index: &IndexSpec) -> Result<Option<Vec<SecretBytes>>> {
        let values = self.values.iter().zip(&self.parts).zip(index.parts());
        let values = values.map(|((value, given), part)| {
            normalize(part.normalizers, given.code == TypeCode::UTF8.number(), &bytes(value))
        });
        values.collect()
    }

    fn check(&self, keys: &[Key]) {
        let name = &self.name;
        let model = self.model();
        let index = &model.indexes()[0];
        assert_eq!(self.values.len(), index.parts().len(), "{name}");
        let values = self.normalized(index);
        let values = match self.result.as_str() {
            "refused" => {
                assert_eq!(values.err().unwrap().kind(), ErrorKind::Configuration, "{name}");
                return;
            }
            "nothing" => {
                assert!(values.unwrap().is_none(), "{name}");
                return;
            }
            _ => values.unwrap().unwrap(),
        };
        let context = Arc::new(EncryptionContext::new(self.context.iter().map(|(a, b)| (a, b))).unwrap());
        let context = context_of(model, index, &context).unwrap();
        let (keyring, epoch) =
            (keyring_of(model, index).unwrap_or("default"), epoch_of(&index.versions()[0]));
        let key = keys.iter().find(|key| {
            (key.keyring.as_str(), key.epoch) == (keyring, epoch)
                && EncryptionContext::new(&key.context).unwrap() == *context
        });
        let key = key.unwrap_or_else(|| panic!("{name}: no key"));
        assert_eq!(key.key_id, self.key_id, "{name}");
        let [info] = every_info(model, index).try_into().unwrap();
        let mut input = Vec::new();
        input_of(values.iter().map(SecretBytes::expose), &mut input);
        assert_eq!((hex(&info), hex(&input)), (self.info.clone(), self.input.clone()), "{name}");
        let key = IndexKey::new(DataKey::from_slice(&bytes(&key.data_key)).unwrap());
        assert_eq!(key.id().to_string(), self.key_id, "{name}");
        assert_eq!(&*text_of(index, &key.of_index(&info).code(&input)), self.text, "{name}");
        assert_eq!(index.size().text_length(), self.text.len(), "{name}");
    }
}

#[test]
fn every_vector_is_what_is_stored() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors/blind-index-v1.json");
    let file: File = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    file.vectors.iter().for_each(|vector| vector.check(&file.keys));
    let count = |result: &str| file.vectors.iter().filter(|vector| vector.result == result).count();
    let counts = (count("text"), count("nothing"), count("refused"));
    assert!(counts.0 >= 79 && counts.1 >= 8 && counts.2 >= 4, "{counts:?}");
    assert_eq!(counts.0 + counts.1 + counts.2, file.vectors.len());
}
