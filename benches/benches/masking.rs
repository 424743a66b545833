//! Masking of parsed documents and of JSON text.

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use pii::{FieldMask, Mask, Masker};
use serde_json::{Value, json};

/// An order of about 1 KB.
fn order() -> Value {
    let line = |id: usize| json!({ "id": id, "name": "Notes by the translator", "price": 12.5, "count": 1 });
    json!({
        "id": "5f0f1d2a-b6c5-4b0f-9b7c-0c1d2e3f4a5b",
        "customer": { "name": "Ada Lovelace", "email": "ada@example.com", "phone": "+44 20 7946 0100" },
        "address": { "street": "12 St James's Square", "city": "London", "postcode": "SW1Y 4JH", "country": "GB" },
        "card": { "number": "4111111111111111", "expires": "2027-10", "holder": "Ada Lovelace" },
        "lines": (0..8).map(line).collect::<Vec<_>>(),
        "note": "Please ring twice, and leave the parcel with the neighbour if nobody opens the door.",
        "placed": "2026-01-01T00:00:00Z"
    })
}

/// 1,000 addresses in a list.
fn addresses() -> Value {
    let address = |id: usize| json!({ "id": id, "street": format!("{id} St James's Square"), "city": "London", "postcode": 10000 + id });
    json!({ "addresses": (0..1000).map(address).collect::<Vec<_>>() })
}

fn masker(path: &str, mask: impl Into<FieldMask>) -> Masker {
    Masker::builder().rule(path, mask).expect("a path").build()
}

/// Few copies are made ahead, so that a document is in the processor's cache, as one that was just read.
fn in_place(criterion: &mut Criterion, name: &str, document: &Value, masker: &Masker) {
    criterion.bench_function(name, |bencher| {
        let mask = |mut document: Value| {
            masker.mask(&mut document).expect("masks");
            // so that dropping it is not measured
            document
        };
        bencher.iter_batched(|| document.clone(), mask, BatchSize::LargeInput);
    });
}

fn masking(criterion: &mut Criterion) {
    let (order, addresses) = (order(), addresses());
    in_place(criterion, "one path in 1 KB", &order, &masker("customer.email", Mask::Email));
    in_place(criterion, "[*].street of 1,000", &addresses, &masker("addresses[*].street", FieldMask::full()));
    in_place(criterion, "..street of 1,000", &addresses, &masker("$..street", FieldMask::full()));
    let several = Masker::builder()
        .rule("customer.email", Mask::Email)
        .and_then(|builder| builder.rule("card.number", FieldMask::last(4)))
        .and_then(|builder| builder.path("address.street"))
        .and_then(|builder| builder.path("$..name"))
        .expect("paths")
        .build();
    in_place(criterion, "four rules in 1 KB", &order, &several);

    let text = order.to_string();
    let mut group = criterion.benchmark_group("text of 1 KB");
    group.throughput(Throughput::Bytes(text.len() as u64));
    let email = masker("customer.email", Mask::Email);
    group.bench_function("one path", |bencher| bencher.iter(|| email.mask_json(&text).expect("masks")));
    group.bench_function("read and written by serde_json alone", |bencher| {
        bencher.iter(|| serde_json::from_str::<Value>(&text).expect("JSON").to_string());
    });
    group.finish();
}

criterion_group!(benches, masking);
criterion_main!(benches);
